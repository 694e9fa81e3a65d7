
# The claim: a dump takes the state along, whatever it is: at every version, forward and back, and while an online run is at any of its
# phases, or paused.  Wherever it is restored, and from whichever format, the run goes on there and ends as if it had never been moved.
#
# A dump of a run in flight is restored at every third point of it; with CRD_ALL set, at every one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use OnlineRun;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
$node->start;

# It was at version 4 before, so more is kept than one run keeps.  There are rows for 29 times that an application writes.
create_legacy($node, 'template_up', 4000);
$node->safe_psql('template_up', q{
	SET application.now = '2024-12-01 00:00+00';
	SELECT connections_migrate(4);
	UPDATE connections.connections SET label = NULL WHERE label LIKE 'Smtp%' OR label = '';
	SELECT connections_rollback(0)});
copy($node, 'template_down', 'template_up');
$node->safe_psql('template_down', q{
	ALTER TABLE connections.connections ALTER type SET DEFAULT 'oauth2', ADD CONSTRAINT provider_is_lower CHECK (provider = lower(provider));
	COMMENT ON COLUMN connections.connections.type IS 'how it logs in';
	SET application.now = '2024-12-01 00:00+00';
	SELECT connections_migrate(4);
	SELECT connections_seed_catalog();
	UPDATE connections.connections SET label = NULL WHERE label LIKE 'Smtp%' OR label = ''});

# What pg_dump can write, each in its turn
my @formats = qw(custom plain directory);
my $ndumps = 0;

sub dump_database
{
	my ($database, $name) = @_;
	my $format = $formats[ $ndumps % @formats ];
	my %dump = (format => $format, file => "$PostgreSQL::Test::Utils::tmp_check/" . $ndumps++ . ".$format");
	command_ok([ 'pg_dump', '-F', $format, $format eq 'directory' ? ('-j', 2) : (), '-f', $dump{file}, '-d', $node->connstr($database) ],
		"$name: pg_dump in the format $format");
	return \%dump;
}

sub restore_database
{
	my ($dump, $database, $name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	my @restore = $dump->{format} eq 'plain' ? ('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f') : ('pg_restore', '--exit-on-error');
	push @restore, '-j', 2 if $dump->{format} eq 'directory';
	my ($stdout, $stderr) = run_command([ @restore, $dump->{file}, '-d', $node->connstr($database) ]);
	is($stderr, '', "$name: it is restored");
	return;
}

sub drop_databases
{
	$node->safe_psql('postgres', "DROP DATABASE $_") foreach @_;
	return;
}

# Versions

my $history = 'SELECT to_jsonb(h) FROM connections_redesign.history h ORDER BY id';
copy($node, 'source', 'template_up');
my $time = 0;
foreach my $call (
	'SELECT 0', 'SELECT connections_migrate(1)', 'CALL connections_migrate_online(2)', 'SELECT connections_migrate(3)',
	'CALL connections_migrate_online(4)',  'CALL connections_rollback_online(3)', 'SELECT connections_rollback(2)',
	'CALL connections_rollback_online(1)', 'SELECT connections_rollback(0)')
{
	my $name = "after $call";
	$node->safe_psql('source', $call);
	application_writes($node, 'source', undef, ++$time);
	restore_database(dump_database('source', $name), 'restored', $name);
	is_same_as($node, 'restored', everything($node, 'source'), "$name: all came along");
	is($node->safe_psql('restored', $history), $node->safe_psql('source', $history), "$name: history, too");

	# There and back from here, where it was restored, and where it was not
	copy($node, 'twin', 'source');
	foreach my $next ('SELECT connections_migrate(4)', 'SELECT connections_rollback(0)')
	{
		foreach my $database ('twin', 'restored')
		{
			$node->safe_psql($database, $next);
			application_writes($node, $database, undef, $time + ($next =~ /migrate/ ? 10 : 20));
		}
	}
	is_same_as($node, 'restored', everything($node, 'twin'), "$name: there and back from here is the same");
	drop_databases('twin', 'restored');
}
drop_databases('source');

# In flight

my %twins;

sub twin
{
	my ($direction, $call, $is_first) = @_;
	return $twins{"$direction $is_first"} //= do
	{
		copy($node, 'twin', "template_$direction");
		application_writes($node, 'twin', undef, 1) if $is_first;
		$node->safe_psql('twin', $call);
		application_writes($node, 'twin', undef, 1) unless $is_first;
		my $everything = everything($node, 'twin');
		drop_databases('twin');
		$everything;
	};
}

my %calls = (
	up => [ 'CALL connections_migrate_online(4)', 'SELECT connections_migrate(4)' ],
	down => [ 'CALL connections_rollback_online(0)', 'SELECT connections_rollback(0)' ]);
my $npoints = 0;
foreach my $direction ('up', 'down')
{
	my ($online, $atomic) = @{ $calls{$direction} };

	# Inside a phase there is something to see only where it commits as it goes; elsewhere it has the table for itself.
	my @points = grep { $_->{name} =~ /^(in (backfill|backfill_types)|\w+)$/ } points($node, "template_$direction", $direction eq 'up' ? 4 : 0);
	copy($node, 'source', "template_$direction");
	my $is_old = is_old_application($node, 'source');

	# One run that is stopped at each point in turn, and taken up again, until the next one
	foreach my $point (@points)
	{
		my $name = "$direction, $point->{name}";
		my $is_batch = $point->{name} =~ /^in /;
		my $blocker = close_waitpoint($node, 'source');
		my $run = start_run($node, 'source', $online, 'connections_redesign.debug_waitpoint' => $point->{name});
		wait_for_waitpoint($run) or die "it did not come to the waitpoint $point->{name}: " . end_run($run);
		$blocker = next_waitpoint($run, $blocker) || die end_run($run) if $point->{name} eq 'in backfill';
		$node->safe_psql('source', 'SELECT connections_pause()') if $is_batch;
		if ($ENV{CRD_ALL} || $is_batch || $npoints++ % 3 == 0)
		{
			my $dump = dump_database('source', $name);
			restore_database($dump, 'restored', $name);
			is((split(/ /, states($node, 'restored')))[ $point->{step} - 1 ], 'interrupted', "$name: there the step looks interrupted") if $point->{begun};
			is($node->safe_psql('restored', 'SELECT count(*) FROM connections_redesign.progress'), '0', "$name: nobody is at it there");
			application_writes($node, 'restored', undef, 1);
			my $is_first = is_old_application($node, 'restored') == $is_old;
			my ($result, $stdout, $stderr) = $node->psql('restored', $online);
			is($result, 0, "$name: the run goes on where it was restored") or diag($stderr);
			is_same_as($node, 'restored', twin($direction, $atomic, $is_first), "$name: all is as if it had never been moved");
			like(setbacks($node, 'restored'), qr/^$point->{step} $direction online interrupted$/m, "$name: history knows where it was") if $point->{begun};
			drop_databases('restored');
		}
		stop_run($run, $blocker, 'cancel');
	}
	is($node->psql('source', $online), 0, "$direction: the run ends where it began, too");
	drop_databases('source');
}

had_no_accident($node);
$node->stop;
done_testing();
