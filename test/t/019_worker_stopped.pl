
# The claim: when an online run waits for its background worker, either can be stopped, by anything.  An index that was left half made is
# in nobody's way, and is made again, in either mode.
#
# The worker is held where it begins, where it has left an index that is not ready yet, where it has left one that is not valid yet,
# and in the final VACUUM.  With CRD_ALL set, all faults happen at all of them, each alone; else the worst does.

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

# What comes back is a unique index.
create_legacy($node, 'template_up', 2000);
$node->safe_psql('template_up', q{
	DROP INDEX connections."IDX_0ea1b89120271575026380ce65";
	CREATE UNIQUE INDEX by_type_and_id ON connections.connections (type, id)});
copy($node, 'template_down', 'template_up');
$node->safe_psql('template_down', 'SELECT connections_migrate(4)');

# Who keeps the worker waiting, where that is, and what must be left of its index then
my @waits = (
	[ 'begins', 'BEGIN; LOCK TABLE connections.connections IN SHARE UPDATE EXCLUSIVE MODE', q{wait_event = 'relation'}, '' ],
	[
		'builds', 'BEGIN; LOCK TABLE connections.connections IN ROW EXCLUSIVE MODE',
		q{EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.pid = pg_stat_activity.pid AND phase = 'waiting for writers before build')},
		'not ready'
	],
	[
		'validates', 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class',
		q{EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.pid = pg_stat_activity.pid AND phase = 'waiting for old snapshots')},
		'not valid'
	]);

sub stop_worker_at
{
	my ($direction, $call, $atomic, $step, $phase, $wait) = @_;
	my ($what, $hold, $waiting, $left) = @$wait;
	my %point = (name => "$phase $what", waitpoint => $phase, step => $step, hold => $hold, waiting => $waiting);
	$point{left} = sub {
		is( $node->safe_psql('stopped', q{
				SELECT string_agg(CASE WHEN indisready THEN 'not valid' ELSE 'not ready' END, ' ') FROM pg_index
				WHERE indrelid = 'connections.connections'::regclass AND NOT indisvalid}),
			$left, "$direction, $point{name}: what is left of the index");
	};
	my @faults = $ENV{CRD_ALL} ? faults(\%point) : $what eq 'validates' ? ['kill -9 of the worker'] : $what eq 'builds' ? ['terminate'] : ();
	stop_at($node, \%point, $call, $direction, atomic_twin($node, $direction), @$_) foreach @faults;
	stop_at($node, { %point, again => $atomic }, $call, $direction, atomic_twin($node, $direction), 'cancel of the worker')
	  if $what eq 'validates';
	return;
}

foreach (
	[ 'up', 'CALL connections_migrate_online(4)', 'SELECT connections_migrate(4)', 3, 'index' ],
	[ 'down', 'CALL connections_rollback_online(0)', 'SELECT connections_rollback(0)', 4, 'restore' ])
{
	my ($direction, $call, $atomic, $step, $phase) = @$_;
	stop_worker_at($direction, $call, $atomic, $step, $phase, $_) foreach @waits;
	stop_worker_at($direction, $call, $atomic, 4, 'vacuum', $waits[0]);
}

had_no_accident($node);

$node->stop;
done_testing();
