
# The claim: pg_upgrade takes the state along, whatever it is: a database at a version, one that was rolled back, one whose online run the
# old server's stop has interrupted.  The new server goes on as the old one would have.
#
# It is an upgrade to the same version, for which pg_upgrade does all that it does for another one, unless oldinstall names the
# installation of another server, with the extension installed in both.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use OnlineRun;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Two versions may differ in what they do when nothing is said.
my @same = (extra => [ '--locale=C', '--encoding=UTF8', '--data-checksums' ]);
my $old = do
{
	# how the server finds what test/run has staged is no setting of another version
	delete local $ENV{TEMP_CONFIG} if $ENV{oldinstall};
	new_node('old', install_path => $ENV{oldinstall}, @same);
};
my $new = new_node('new', @same);
plan skip_all => 'from 18 on, pg_upgrade finds the library only where it is installed'
  if $new->pg_version >= 18 && !-e $new->config_data('--pkglibdir') . '/connections_redesign.so';
$old->start;

create_legacy($old, 'legacy', 2000);
$old->safe_psql('legacy', q{
	ALTER TABLE connections.connections ALTER type SET DEFAULT 'oauth2', ADD CONSTRAINT provider_is_lower CHECK (provider = lower(provider));
	COMMENT ON COLUMN connections.connections.type IS 'how it logs in'});

# How each database came where it is, and how it goes on
my %databases = (
	version_2 => [ [ 'SELECT connections_migrate(2)' ], 'SELECT connections_migrate(4)', 'SELECT connections_rollback(0)' ],
	version_4 => [ [ 'CALL connections_migrate_online(4)', 'SELECT connections_seed_catalog()' ], 'CALL connections_rollback_online(0)', 'SELECT connections_migrate(4)' ],
	rolled_back => [
		[ 'SELECT connections_migrate(4)', q{UPDATE connections.connections SET label = NULL WHERE label LIKE 'Smtp%'}, 'SELECT connections_rollback(0)' ],
		'CALL connections_migrate_online(4)', 'SELECT connections_rollback(0)' ],
	forward => [ [], 'CALL connections_migrate_online(4)', 'SELECT connections_rollback(0)' ],
	back => [ [ 'SELECT connections_migrate(4)' ], 'CALL connections_rollback_online(0)', 'SELECT connections_migrate(4)' ]);
my %interrupted = (forward => 'backfill_types', back => 'switchover');
my %expected;

sub goes_on
{
	my ($node, $database, $source) = @_;
	my (undef, @calls) = @{ $databases{$source} };
	my @states;
	my $time = 1;
	foreach my $call (@calls)
	{
		$node->safe_psql($database, $call);
		application_writes($node, $database, undef, ++$time);
		push @states, everything_of($node, $database);
	}
	return @states;
}

# Everything, but for the versions that pg_dump prints
sub everything_of
{
	return everything(@_) =~ s/^-- Dumped (from|by) .*\n//mgr;
}

foreach my $database (sort keys %databases)
{
	copy($old, $database, 'legacy');
	foreach my $call (@{ $databases{$database}[0] })
	{
		$old->safe_psql($database, "SET application.now = '2024-12-01 00:00+00'; $call");
	}
	application_writes($old, $database, undef, 1);
	copy($old, 'twin', $database);
	$expected{$database} = [ goes_on($old, 'twin', $database) ];
	$old->safe_psql('postgres', 'DROP DATABASE twin');
}

my @runs;
foreach my $database (sort keys %interrupted)
{
	my $blocker = close_waitpoint($old, $database);
	my $run = start_run($old, $database, $databases{$database}[1], 'connections_redesign.debug_waitpoint' => $interrupted{$database});
	wait_for_waitpoint($run) or die "it did not come to the waitpoint: " . end_run($run);
	push @runs, [ $run, $blocker ];
}
$old->stop;
foreach (@runs)
{
	my ($run, $blocker) = @$_;
	like(end_run($run), qr/57P01/, "the server's stop ends the run in $run->{database}");
	$blocker->{run}->kill_kill;
}
$old->start;
my %before = map { $_ => everything_of($old, $_) } keys %databases;
my %history = map { $_ => $old->safe_psql($_, 'SELECT to_jsonb(h) FROM connections_redesign.history h ORDER BY id') } keys %databases;
$old->stop;

# It writes its logs below the new data directory, and scripts to where it runs.
chdir($PostgreSQL::Test::Utils::tmp_check) or die;
my ($stdout, $stderr) = run_command(
	[
		'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir,
		'-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
		'-s', $new->host, '-p', $old->port, '-P', $new->port
	]);
like($stdout, qr/^Upgrade Complete/m, 'pg_upgrade succeeds') or BAIL_OUT($stdout . $stderr);
chdir("$FindBin::RealBin/../..") or die;

$new->start;
foreach my $database (sort keys %databases)
{
	is_deeply([ split(/\n/, everything_of($new, $database)) ], [ split(/\n/, $before{$database}) ], "$database: all came along");
	is($new->safe_psql($database, 'SELECT to_jsonb(h) FROM connections_redesign.history h ORDER BY id'), $history{$database}, "$database: history, too");
	like(states($new, $database), qr/interrupted/, "$database: the run is interrupted") if $interrupted{$database};
	my @states = goes_on($new, $database, $database);
	foreach my $n (0 .. 1)
	{
		ok($states[$n] eq $expected{$database}[$n], "$database: after $databases{$database}[ $n + 1 ] all is as on the old server")
		  or diag(difference($expected{$database}[$n], $states[$n]));
	}
}
had_no_accident($new);
$new->stop;
done_testing();
