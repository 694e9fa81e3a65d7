
# The claim: an online run waits for what it must wait for, says on whom, and lets the application write meanwhile; what it cannot have
# ends it with an error that says so, and the next call goes on.  It can be paused, and its worker may die.

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
create_legacy($node, 'template_up', 2000);
my $migrate = 'CALL connections_migrate_online(4)';

# What the atomic mode comes to, by how often the old application writes
my @twins;

sub twin
{
	my ($times) = @_;
	return $twins[$times] //= do
	{
		copy($node, 'twin', 'template_up');
		application_writes($node, 'twin', 'old', 1 .. $times);
		$node->safe_psql('twin', 'SELECT connections_migrate(4)');
		my $everything = everything($node, 'twin');
		$node->safe_psql('postgres', 'DROP DATABASE twin');
		$everything;
	};
}

# A database for each story
sub begin
{
	my ($database) = @_;
	copy($node, $database, 'template_up');
	return;
}

sub is_complete
{
	my ($database, $times, $name) = @_;
	is(states($node, $database), 'applied applied applied applied', "$name: every step is applied");
	is_same_as($node, $database, twin($times), "$name: all is as the atomic mode makes it");
	$node->safe_psql('postgres', "DROP DATABASE $database");
	return;
}

# A session with a snapshot, or with a lock
sub bystander
{
	my ($database, $sql) = @_;
	my $session = $node->background_psql($database);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; $sql");
	return ($session, $pid);
}

# Brings a run to where the index is built and waits for an old snapshot; returns both.
sub wait_for_snapshot
{
	my ($database) = @_;
	my $blocker = close_waitpoint($node, $database);
	my $run = start_run($node, $database, $migrate, 'connections_redesign.debug_waitpoint' => 'index');
	ok(wait_for_waitpoint($run), "$database: the run comes to the index") or die end_run($run);
	my ($session, $pid) = bystander($database, 'SELECT 1');
	open_waitpoint($blocker);
	ok(wait_for_run($run, "(SELECT waiting_on = ARRAY[$pid] AND phase = 'index' FROM connections_redesign.progress)"),
		"$database: progress says on whom it waits")
	  or diag(end_run($run));
	return ($run, $session);
}

# An old snapshot while the index is built
begin('snapshot');
my ($run, $session) = wait_for_snapshot('snapshot');
is($node->safe_psql('snapshot', 'SELECT step, direction, waiting_for FROM connections_redesign.progress'), '3|up|the background worker', 'and for what');
like(states($node, 'snapshot'), qr/^applied applied running /, 'the step is running');
application_writes($node, 'snapshot', 'old', 1);
$session->query_safe('COMMIT');
$session->quit;
unlike(end_run($run), qr/ERROR/, 'when the snapshot has gone, the run goes on to its end');
is($node->safe_psql('snapshot', 'SELECT count(*) FROM connections_redesign.progress'), '0', 'then progress is empty');
is(setbacks($node, 'snapshot'), '', 'history knows of no setback');
is( $node->safe_psql('snapshot', "SELECT count(*), count(DISTINCT run_id), bool_and(started_at <= finished_at AND applied_by = session_user) FROM connections_redesign.history"),
	'4|1|t', 'but of the four steps of one run');
is_complete('snapshot', 1, 'old snapshot');

# What may happen meanwhile to the run or to its worker
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'connections_redesign worker'";
my %ends = (
	run_cancelled => [ qr/57014/, 'canceled 57014', sub { $node->safe_psql('postgres', "SELECT pg_cancel_backend($_[0]{pid})") } ],
	run_terminated => [ qr/57P01/, 'interrupted', sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend($_[0]{pid})") } ],
	worker_cancelled => [ qr/57014.*background worker for statement/s, 'canceled 57014', sub { $node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM ($worker) w") } ],
	worker_terminated => [ qr/57P01.*Calling again continues/s, 'failed 57P01', sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM ($worker) w") } ],
	worker_killed => [ qr/connection to server was lost/, 'interrupted', sub { kill(9, $node->safe_psql('postgres', $worker) || die) } ]);
foreach my $end (sort keys %ends)
{
	my ($message, $state, $stop) = @{ $ends{$end} };
	begin($end);
	($run, $session) = wait_for_snapshot($end);
	application_writes($node, $end, 'old', 1);
	my $offset = -s $node->logfile;
	$stop->($run);
	like(end_run($run), $message, "$end: the run ends");
	if ($end eq 'worker_killed')
	{
		$node->wait_for_log(qr/all server processes terminated/, $offset);
		$node->poll_query_until('postgres', 'SELECT true');
		$session->{run}->kill_kill;
	}
	ok($node->poll_query_until('postgres', "SELECT NOT EXISTS ($worker)"), "$end: the worker has gone");
	like(states($node, $end), qr/^applied applied interrupted /, "$end: the step is interrupted");
	is($node->safe_psql($end, "SELECT count(*) FROM pg_index WHERE indrelid = 'connections.connections'::regclass AND NOT indisvalid"),
		'1', "$end: an index is left that is not valid");
	application_writes($node, $end, 'old', 2);
	$session->quit unless $end eq 'worker_killed';
	is($node->psql($end, $migrate), 0, "$end: the next call goes on");
	is(setbacks($node, $end), "3 up online $state", "$end: history knows");
	is_complete($end, 2, $end);
}

# A snapshot that is there all the time, when rows are filled
begin('defeated');
($session, my $pid) = bystander('defeated', 'SELECT 1');
my ($result, $stdout, $stderr) = $node->psql('defeated', 'CALL connections_migrate_online(2)');
is($result, 0, 'an old snapshot does not keep rows from being filled');
like($stderr, qr/NOTICE:.* rows are moved.*process $pid\b/s, 'who holds it is named');
$session->quit;
is($node->psql('defeated', $migrate), 0, 'the other steps');
is_complete('defeated', 0, 'rows were moved');

# Somebody reads the table and does not go
begin('reader');
$node->safe_psql('reader', 'CALL connections_migrate_online(3)');
($session, $pid) = bystander('reader', 'SELECT count(*) FROM connections.connections');
my $impatient = "SET connections_redesign.lock_timeout = '50ms'; SET connections_redesign.lock_attempts = 3";
($result, $stdout, $stderr) = $node->psql('reader', "\\set VERBOSITY verbose\n$impatient;\n$migrate");
like($stderr, qr/ERROR:  55P03: .*3 attempts of 50 ms.*Process $pid \(idle in transaction/s, 'the run gives up and names who was in the way');
like(states($node, 'reader'), qr/^applied applied applied interrupted$/, 'the step is interrupted');
is(setbacks($node, 'reader'), '4 up online failed 55P03', 'history knows why');
application_writes($node, 'reader', 'old', 1);
$session->query_safe('COMMIT');
$session->quit;
is($node->psql('reader', $migrate), 0, 'when he has gone, the next call goes on');
is_complete('reader', 1, 'reader');

# Writers whose rows are locked when the walk comes by
begin('writer');
($session, $pid) = bystander('writer', 'SELECT count(*) FROM (SELECT FROM connections.connections LIMIT 10 FOR UPDATE) locked');
$run = start_run($node, 'writer', 'CALL connections_migrate_online(2)', 'connections_redesign.lock_timeout' => '50ms', 'connections_redesign.lock_attempts' => '3');
like(end_run($run), qr/ERROR:  55P03: /, 'rows that are locked all the time end the run');
application_writes($node, 'writer', 'old', 1);
$session->quit;
is($node->psql('writer', $migrate), 0, 'when they are not, the next call goes on');
is_complete('writer', 1, 'writer');

# Pauses: while rows are filled, and where there are none to fill
foreach my $points ([ 'in backfill', 'in backfill' ], [ 'not_null', 'foreign_key' ])
{
	my $point = $points->[0];
	begin('paused');
	is($node->safe_psql('paused', 'SELECT connections_pause()'), 'f', "$point: without a run there is nothing to pause");
	is($node->safe_psql('paused', 'SELECT connections_resume()'), 'f', "$point: nor to resume");
	foreach my $time (1, 2)
	{
		my $blocker = close_waitpoint($node, 'paused');
		$run = start_run($node, 'paused', $migrate, 'connections_redesign.debug_waitpoint' => $points->[ $time - 1 ], 'connections_redesign.batch_time' => '1');
		ok(wait_for_waitpoint($run), "$point: the run is there") or die end_run($run);
		is($node->safe_psql('paused', 'SELECT connections_pause()'), 't', "$point: it is told to pause");
		open_waitpoint($blocker);
		ok(wait_for_run($run, "(SELECT waiting_for = 'connections_resume()' FROM connections_redesign.progress)"), "$point: it pauses")
		  or diag(end_run($run));
		application_writes($node, 'paused', 'old', $time);
		if ($time == 1)
		{
			$node->safe_psql('postgres', "SELECT pg_cancel_backend($run->{pid})");
			like(end_run($run), qr/57014/, "$point: a run that pauses can be canceled");
			is($node->safe_psql('paused', 'SELECT connections_pause()'), 'f', "$point: then there is none to pause");
		}
		else
		{
			is($node->safe_psql('paused', 'SELECT connections_resume()'), 't', "$point: it is told to go on");
			unlike(end_run($run), qr/ERROR/, "$point: and goes on to its end");
		}
	}
	is(setbacks($node, 'paused'), $point eq 'in backfill' ? '2 up online canceled 57014' : '3 up online canceled 57014', "$point: history knows");
	is_complete('paused', 2, "$point: paused");
}

# A second run, and the atomic mode, while there is one
begin('second');
my $blocker = close_waitpoint($node, 'second');
$run = start_run($node, 'second', $migrate, 'connections_redesign.debug_waitpoint' => 'in backfill_types');
ok(wait_for_waitpoint($run), 'a run is there');
foreach my $call ($migrate, 'CALL connections_rollback_online(0)', 'SELECT connections_migrate(4)', 'SELECT connections_rollback(0)')
{
	($result, $stdout, $stderr) = $node->psql('second', "\\set VERBOSITY verbose\n$call");
	like($stderr, qr/ERROR:  55006: .*Process $run->{pid} /s, "while it is there: $call");
}
open_waitpoint($blocker);
unlike(end_run($run), qr/ERROR/, 'it does not mind');
is_complete('second', 0, 'second run');

# No worker to be had
begin('no_worker');
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
($result, $stdout, $stderr) = $node->psql('no_worker', "\\set VERBOSITY verbose\n$migrate");
like($stderr, qr/ERROR:  53000: .*HINT:  .*max_worker_processes.*Calling again/s, 'without a worker the run ends, with a hint');
like(states($node, 'no_worker'), qr/^applied applied interrupted /, 'the step is interrupted');
application_writes($node, 'no_worker', 'old', 1);
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
is($node->psql('no_worker', $migrate), 0, 'with one, the next call goes on');
is(setbacks($node, 'no_worker'), '3 up online failed 53000', 'history knows');
is_complete('no_worker', 1, 'no worker');

# An owner who cannot log in
begin('owned');
$node->safe_psql('owned', q{
	CREATE ROLE owner NOLOGIN;
	CREATE ROLE member LOGIN IN ROLE owner;
	GRANT EXECUTE ON PROCEDURE connections_migrate_online, connections_rollback_online TO member;
	ALTER TABLE connections.connections OWNER TO owner;
	ALTER TABLE connections.available_connections OWNER TO owner;
	GRANT USAGE, CREATE ON SCHEMA connections TO owner});
my $before = everything($node, 'owned');
foreach my $caller ('member', $node->safe_psql('postgres', 'SELECT current_user'))
{
	($result, $stdout, $stderr) = $node->psql('owned', $migrate, extra_params => [ '-U', $caller ]);
	is($result, 0, "$caller migrates the tables of an owner who cannot log in") or diag($stderr);
	is( $node->safe_psql('owned', "SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 'connections'::regnamespace"),
		'owner', 'whose are the new index, too');
	($result, $stdout, $stderr) = $node->psql('owned', 'CALL connections_rollback_online(0)', extra_params => [ '-U', $caller ]);
	is($result, 0, 'and back') or diag($stderr);
	is( $node->safe_psql('owned', "SELECT DISTINCT applied_by FROM connections_redesign.history WHERE run_id = (SELECT max(run_id) FROM connections_redesign.history)"),
		$caller, 'history knows who');
}
is(run_fixture($node, 'owned', 0, 'checksum'), run_fixture($node, 'template_up', 0, 'checksum'), 'all rows are as they were');

had_no_accident($node);
$node->stop;
done_testing();
