
# The claim: a disk that is full ends a run with PostgreSQL's error for it.  The atomic mode then leaves all as it was; the online mode
# leaves what can be continued, and once there is room the next call ends where an undisturbed run does.  The server has no accident.
#
# The whole database is on the disk that is full, but not WAL: without room for that, PostgreSQL itself stops.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use OnlineRun;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $disk = $ENV{CRD_SMALL_DISK};
plan skip_all => 'there is no small disk to fill: setup.sh mounts one where root may' unless $disk;

my $node = new_node('main');
$node->start;
create_legacy($node, 'template_up', 4000);
mkdir("$disk/database") or die $!;
$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$disk/database'");
copy($node, 'template_down', 'template_up');
$node->safe_psql('template_down', q{
	SET application.now = '2024-12-01 00:00+00';
	SELECT connections_migrate(4);
	UPDATE connections.connections SET label = NULL WHERE label LIKE 'Smtp%'});
my $filler = "$disk/filler";

# Leaves so many bytes of the disk free.
sub fill_disk
{
	my ($left) = @_;
	my $size = 0;
	$node->safe_psql('postgres', 'CHECKPOINT');
	open(my $file, '>', $filler) or die $!;
	while (my $written = syswrite($file, "\1" x 8192)) { $size += $written }
	truncate($file, $size - $left) or die $!;
	close($file);
	return;
}

sub make_room
{
	unlink($filler) or die $!;
	return;
}

# What the atomic mode comes to, where an application writes before it, or after it
my %twins;

sub twin
{
	my ($direction, $call, $when) = @_;
	return $twins{"$direction $when"} //= do
	{
		copy($node, 'twin', "template_$direction");
		application_writes($node, 'twin', undef, 1) if $when eq 'before';
		$node->safe_psql('twin', $call);
		application_writes($node, 'twin', undef, 1) if $when eq 'after';
		my $everything = everything($node, 'twin');
		$node->safe_psql('postgres', 'DROP DATABASE twin');
		$everything;
	};
}

sub begin
{
	my ($direction) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE filled TEMPLATE template_$direction STRATEGY file_copy TABLESPACE small");
	return;
}

my $full = qr/ERROR:  53100: could not extend file .*No space left on device.*HINT:  .*disk space/s;
my %calls = (
	up => [ 'SELECT connections_migrate(4)', 'CALL connections_migrate_online(4)' ],
	down => [ 'SELECT connections_rollback(0)', 'CALL connections_rollback_online(0)' ]);
foreach my $direction ('up', 'down')
{
	my ($atomic, $online) = @{ $calls{$direction} };
	my ($result, $stdout, $stderr);

	# The rewrite, and an index after it
	foreach my $left (0, 600, 1200)
	{
		begin($direction);
		my $before = everything($node, 'filled');
		fill_disk($left * 1024);
		($result, $stdout, $stderr) = $node->psql('filled', "\\set VERBOSITY verbose\n$atomic");
		like($stderr, $full, "$direction, atomic, $left kB free: it ends");
		make_room();
		is_same_as($node, 'filled', $before, "$direction, atomic, $left kB free: all is as it was");
		is($node->psql('filled', $atomic), 0, "$direction, atomic, $left kB free: with room it is done");
		is_same_as($node, 'filled', twin($direction, $atomic, 'never'), "$direction, atomic, $left kB free: as if it had never failed");
		$node->safe_psql('postgres', 'DROP DATABASE filled');
	}

	# The rows, and the index
	foreach my $phase ('backfill', $direction eq 'up' ? 'index' : 'restore')
	{
		begin($direction);
		my $blocker = close_waitpoint($node, 'filled');
		my $run = start_run($node, 'filled', $online, 'connections_redesign.debug_waitpoint' => $phase);
		wait_for_waitpoint($run) or die "it did not come to the waitpoint $phase: " . end_run($run);
		fill_disk(0);
		open_waitpoint($blocker);
		like(end_run($run), $full, "$direction, online, $phase: it ends");
		my $step = $direction eq 'down' ? 4 : $phase eq 'index' ? 3 : 2;
		is(setbacks($node, 'filled'), "$step $direction online failed 53100", "$direction, online, $phase: history knows why");
		is((split(/ /, states($node, 'filled')))[ $step - 1 ], 'interrupted', "$direction, online, $phase: the step is interrupted");
		make_room();
		my $was_old = is_old_application($node, 'filled');
		application_writes($node, 'filled', undef, 1);
		is($node->psql('filled', $online), 0, "$direction, online, $phase: with room the next call goes on");
		is_same_as($node, 'filled', twin($direction, $atomic, $was_old == ($direction eq 'up') ? 'before' : 'after'), "$direction, online, $phase: as if it had never failed");
		$node->safe_psql('postgres', 'DROP DATABASE filled');
	}
}

had_no_accident($node);
$node->stop;
done_testing();
