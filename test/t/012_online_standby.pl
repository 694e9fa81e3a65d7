
# The claim: with connections_redesign.max_replication_lag, an online run waits for the standby that is furthest behind, and the
# application does not wait with it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use OnlineRun;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('primary', allows_streaming => 1);
$node->start;
create_legacy($node, 'template_up', 2000);
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
copy($node, 'twin', 'template_up');
copy($node, 'app', 'template_up');
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));

my $migrate = 'CALL connections_migrate_online(4)';
my %settings = ('connections_redesign.max_replication_lag' => '20ms', 'connections_redesign.progress_interval' => '100ms');

# It stands still.
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$standby->poll_query_until('postgres', "SELECT pg_get_wal_replay_pause_state() = 'paused'");
my $run = start_run($node, 'app', $migrate, %settings);
ok(wait_for_run($run, "(SELECT waiting_for ~ '^standby standby, [0-9]+ ms behind\$' FROM connections_redesign.progress)"),
	'the run waits for a standby that stands still')
  or diag(end_run($run));
is($node->safe_psql('app', 'SELECT count(*) FROM connections_redesign.progress WHERE waiting_on IS NULL'), '1', 'and for no session');
application_writes($node, 'app', undef, 1);

# It waits as long as that lasts.
my $states = states($node, 'app');
ok(wait_for_run($run, "(SELECT substring(waiting_for FROM ' ([0-9]+) ms')::int > 2000 FROM connections_redesign.progress)"), 'it goes on waiting');
is(states($node, 'app'), $states, 'and comes no further');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
my $said = end_run($run);
unlike($said, qr/ERROR/, 'when the standby goes on, so does the run, to its end');
like($said, qr/NOTICE: .*waiting for standby standby, \d+ ms behind/, 'it had said what it waited for');

application_writes($node, 'twin', 'old', 1);
$node->safe_psql('twin', 'SELECT connections_migrate(4)');
is_same_as($node, 'app', everything($node, 'twin'), 'all is as the atomic mode makes it');
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is(run_fixture($standby, 'app', 0, 'checksum'), run_fixture($node, 'app', 0, 'checksum'), 'on the standby, too');

# Waiting can be canceled.
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$standby->poll_query_until('postgres', "SELECT pg_get_wal_replay_pause_state() = 'paused'");
$run = start_run($node, 'app', 'CALL connections_rollback_online(0)', %settings);
ok(wait_for_run($run, "(SELECT waiting_for ~ '^standby' FROM connections_redesign.progress)"), 'the rollback waits, too') or diag(end_run($run));
$node->safe_psql('postgres', "SELECT pg_cancel_backend($run->{pid})");
like(end_run($run), qr/57014/, 'it can be canceled');
like(setbacks($node, 'app'), qr/^4 down online canceled 57014$/, 'history knows');
is($node->psql('app', 'CALL connections_rollback_online(0)'), 0, 'without the setting, nothing waits');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');

# A standby that always replays late: more so than is allowed, and less
$standby->append_conf('postgresql.conf', "recovery_min_apply_delay = '1s'");
$standby->reload;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
$run = start_run($node, 'app', 'CALL connections_migrate_online(2)', %settings);
ok(wait_for_run($run, "(SELECT waiting_for ~ '^standby' FROM connections_redesign.progress)"), 'the run waits for a standby that replays late')
  or diag(end_run($run));
$standby->append_conf('postgresql.conf', "recovery_min_apply_delay = '0'");
$standby->reload;
unlike(end_run($run), qr/ERROR/, 'and goes on when it does not any more');
$standby->append_conf('postgresql.conf', "recovery_min_apply_delay = '200ms'");
$standby->reload;
is($node->psql('app', "SET connections_redesign.max_replication_lag = '100s'; CALL connections_migrate_online(3)"), 0, 'less than is allowed does not matter');
is(states($node, 'app'), 'applied applied applied pending', 'the steps are applied');
$standby->stop;
is($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_replication'), 1, 'the standby has gone');
$run = start_run($node, 'app', $migrate, %settings);
unlike(end_run($run), qr/ERROR/, 'who has gone is not waited for');

# Who may not see it cannot ask for it.
$node->safe_psql('app', q{
	CREATE ROLE owner; CREATE ROLE member LOGIN IN ROLE owner;
	GRANT EXECUTE ON PROCEDURE connections_rollback_online TO member;
	GRANT USAGE, CREATE ON SCHEMA connections TO owner;
	ALTER TABLE connections.connections OWNER TO owner;
	ALTER TABLE connections.available_connections OWNER TO owner});
my $back = 'SET connections_redesign.max_replication_lag = 1000; CALL connections_rollback_online(0)';
my ($result, $stdout, $stderr) = $node->psql('app', "\\set VERBOSITY verbose\n$back", extra_params => [ '-U', 'member' ]);
like($stderr, qr/ERROR:  42501: .*HINT:  .*pg_read_all_stats/s, 'a role that may not see how far standbys are behind is told so');
is(states($node, 'app'), 'applied applied applied applied', 'and nothing was begun');
$node->safe_psql('app', 'GRANT pg_read_all_stats TO member');
($result, $stdout, $stderr) = $node->psql('app', $back, extra_params => [ '-U', 'member' ]);
is($result, 0, 'one that may is not') or diag($stderr);

had_no_accident($_) foreach $node, $standby;
$node->stop;
done_testing();
