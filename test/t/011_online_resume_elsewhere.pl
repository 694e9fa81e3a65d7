
# The claim: an online run that was stopped while it filled rows goes on wherever they are by then: in other places of the table, in a
# database that a dump was restored to, or on a standby that was promoted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use OnlineRun;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# More than the 2048 blocks between two places that it can go on from
my $rows = 75000;
my $node = new_node('primary', allows_streaming => 1);
$node->start;
create_legacy($node, 'template_up', $rows);
copy($node, 'stopped', 'template_up');
my $migrate = 'CALL connections_migrate_online(4)';

my $blocker = close_waitpoint($node, 'stopped');
my $run = start_run($node, 'stopped', $migrate, 'connections_redesign.debug_waitpoint' => 'in backfill', 'connections_redesign.batch_time' => '2000');
ok(wait_for_waitpoint($run), 'rows are being filled') or die end_run($run);
my $steps = 0;
until ($node->safe_psql('stopped', 'SELECT coalesce(max(backfill_block), 0) > 0 AND count(*) = 1 FROM connections_redesign.online_run') eq 't')
{
	$blocker = next_waitpoint($run, $blocker) or die end_run($run);
	die 'it does not get on' if ++$steps > 200;
}
like($node->safe_psql('stopped', 'SELECT direction, phase, blocks_done > 0 AND blocks_done < blocks_total, rows_done > 0 AND rows_done < ' . $rows
		. ', hot_share > 0.5, bar, waiting_on IS NOT NULL FROM connections_redesign.progress'),
	qr/^up\|backfill\|t\|t\|t\|\[#+\.+\] \d+ %\|t$/, 'progress shows how far it has come');
stop_run($run, $blocker, 'cancel');
is($node->safe_psql('stopped', 'SELECT count(*) > 0 FROM connections.connections WHERE available_connection_id IS NULL'), 't', 'others are not filled yet');
my @filled = split(/\n/, $node->safe_psql('stopped', 'SELECT available_connection_id IS NULL FROM connections.connections WHERE ctid < \'(1,0)\''));
is(join('', grep { $_ eq 't' } @filled), '', 'those of the first blocks are');

# What happens before it is called again, and where
my $dump = "$PostgreSQL::Test::Utils::tmp_check/stopped.dump";
my %events = (
	nothing => sub { },
	vacuum_full => sub { $node->safe_psql('vacuum_full', 'VACUUM FULL connections.connections') },
	cluster => sub {
		$node->safe_psql('cluster', 'CLUSTER connections.connections USING "IDX_86337b5c9ed96b6fb381a40ae6"');
		$node->safe_psql('cluster', 'ALTER TABLE connections.connections SET WITHOUT CLUSTER');
	},
	other_rows => sub {
		$node->safe_psql('other_rows', 'CREATE TABLE connections.copy (LIKE connections.connections INCLUDING DEFAULTS);
			INSERT INTO connections.copy SELECT * FROM connections.connections');
		application_writes($node, 'other_rows', 'old', 1);
		$node->safe_psql('other_rows', 'DROP TABLE connections.copy');
	},
	restored => sub {
		command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('stopped') ], 'restored: it is dumped in between');
		command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ], 'restored: and restored elsewhere');
	});

sub twin
{
	my (@times) = @_;
	copy($node, 'twin', 'template_up');
	application_writes($node, 'twin', 'old', @times);
	$node->safe_psql('twin', 'SELECT connections_migrate(4)');
	my $everything = everything($node, 'twin');
	$node->safe_psql('postgres', 'DROP DATABASE twin');
	return $everything;
}
my $twin = twin();

# One walk has to do: with one attempt there is no second one.
foreach my $event (sort keys %events)
{
	if ($event eq 'restored') { $node->safe_psql('postgres', 'CREATE DATABASE restored') } else { copy($node, $event, 'stopped') }
	$events{$event}->();
	is(states($node, $event), 'applied interrupted pending pending', "$event: the step is interrupted");
	my ($result, $stdout, $stderr) = $node->psql($event, "SET connections_redesign.lock_attempts = 1; $migrate");
	is($result, 0, "$event: the next call goes on to the end") or diag($stderr);
	is_same_as($node, $event, $event eq 'other_rows' ? twin(1) : $twin, "$event: all is as the atomic mode makes it");
	is(setbacks($node, $event), '2 up online canceled 57014', "$event: history knows of the stop");
	$node->safe_psql('postgres', "DROP DATABASE $event");
}

# It is running, and the standby takes over.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$blocker = close_waitpoint($node, 'stopped');
$run = start_run($node, 'stopped', $migrate, 'connections_redesign.debug_waitpoint' => 'in backfill');
ok(wait_for_waitpoint($run), 'rows are being filled') or die end_run($run);
$blocker = next_waitpoint($run, $blocker) or die end_run($run);
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is(states($standby, 'stopped'), 'applied interrupted pending pending', 'on the standby, the step looks interrupted');
is($standby->safe_psql('stopped', 'SELECT count(*) FROM connections_redesign.progress'), '0', 'as nobody is at it there');
foreach my $call ($migrate, 'CALL connections_rollback_online()', 'SELECT connections_pause()', 'SELECT connections_resume()')
{
	my ($result, $stdout, $stderr) = $standby->psql('stopped', "\\set VERBOSITY verbose\n$call");
	like($stderr, qr/ERROR:  25006:/, "the standby is read-only: $call");
}
$node->stop('immediate');
$run->{handle}->finish;
$blocker->{run}->kill_kill;
$standby->promote;
application_writes($standby, 'stopped', 'old', 1);
is($standby->psql('stopped', $migrate), 0, 'when it is promoted, the next call goes on there');
$node->start;
is_same_as($standby, 'stopped', twin(1), 'and all is as the atomic mode makes it');
like(setbacks($standby, 'stopped'), qr/^2 up online canceled 57014\n2 up online interrupted$/, 'history knows that the run there has ended');

had_no_accident($_) foreach $node, $standby;
$standby->stop;
$node->stop;
done_testing();
