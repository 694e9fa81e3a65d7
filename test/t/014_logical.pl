
# The claim: with the recipes of docs/replication.md, a subscriber of both tables follows through the migration and back, in either mode,
# without losing a change.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use OnlineRun;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = new_node('publisher', allows_streaming => 'logical');
$publisher->start;
my $subscriber = new_node('subscriber');
$subscriber->append_conf('postgresql.conf', "wal_retrieve_retry_interval = '100ms'");
$subscriber->start;
create_legacy($publisher, 'template_up', 4000);

# A database with its rows on the publisher, and what the subscriber has copied of it
sub begin
{
	my ($database, $publication, $template) = @_;
	my $schema = "$PostgreSQL::Test::Utils::tmp_check/schema.sql";
	copy($publisher, $database, $template // 'template_up');
	command_ok([ 'pg_dump', '--schema-only', '-f', $schema, '-d', $publisher->connstr($database) ], "$database: the schema");
	$subscriber->safe_psql('postgres', "CREATE DATABASE $database");
	command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $schema, '-d', $subscriber->connstr($database) ], "$database: on the subscriber, too");
	$publisher->safe_psql($database, "CREATE PUBLICATION $database $publication");
	$subscriber->safe_psql($database, "CREATE SUBSCRIPTION $database CONNECTION '" . $publisher->connstr . " dbname=$database' PUBLICATION $database");
	$subscriber->poll_query_until($database, "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel") or die 'the rows are not copied';
	return;
}

# Waits until the subscriber has all that the publisher has written.
sub catch_up
{
	my ($database) = @_;
	$publisher->wait_for_catchup($database, 'replay', $publisher->lsn('insert'));
	return;
}

# Waits until it has got as far as it can, as a column is missing.
my $offset = 0;

sub is_halted
{
	my ($name, $column) = @_;
	ok($subscriber->wait_for_log(qr/target relation "connections\.\w+" is missing replicated columns?: .*"$column"/, $offset), $name);
	return;
}

sub not_halted
{
	my ($name) = @_;
	unlike(substr(slurp_file($subscriber->logfile), $offset), qr/logical replication .*(missing|does not exist)/, $name);
	$offset = -s $subscriber->logfile;
	return;
}

# Both tables with all their rows, and what is kept for a rollback
sub all_of
{
	my ($node, $database, @but) = @_;
	my $but = join('|', '^-*$', 'PUBLICATION', 'SUBSCRIPTION', @but);
	my $everything = everything($node, $database);
	$everything =~ s/^.*($but).*\n//mgi;
	return $everything;
}

sub is_same
{
	my ($database, $name, @but) = @_;
	catch_up($database);
	my ($here, $there) = (all_of($publisher, $database, @but), all_of($subscriber, $database, @but));
	ok($here eq $there, $name) or diag(OnlineRun::difference($here, $there));
	return;
}

my $both = 'FOR TABLE connections.connections, connections.available_connections';

# Runs a call while an application writes.
sub run_and_write
{
	my ($node, $database, $call, $waitpoint_lock, $time) = @_;
	my $blocker = close_waitpoint($node, $database);
	my $run = start_run($node, $database, $call, 'connections_redesign.debug_waitpoint' => $waitpoint_lock);
	ok(wait_for_waitpoint($run), "$database: it comes to $waitpoint_lock") or die end_run($run);
	application_writes($publisher, $database, undef, $time);
	open_waitpoint($blocker);
	unlike(end_run($run), qr/ERROR/, "$database: $call");
	return;
}

# Online, forward
begin('online', $both);
application_writes($publisher, 'online', 'old', 1);
$publisher->safe_psql('online', 'SELECT connections_migrate(1)');
application_writes($publisher, 'online', 'old', 2);
catch_up('online');
run_and_write($subscriber, 'online', 'CALL connections_migrate_online(3)', 'backfill', 3);
application_writes($publisher, 'online', 'old', 4);
$publisher->safe_psql('online', "SET application.now = '2025-01-01 00:00+00'; SELECT connections_seed_catalog()");
catch_up('online');
not_halted('a subscriber at version 3 takes what a publisher at version 1 sends');
is( $subscriber->safe_psql('online', "SELECT string_agg(check_name, ' ') FROM connections_verify() WHERE status = 'error'"),
	'', 'and fills in where each connection belongs');
run_and_write($publisher, 'online', 'CALL connections_migrate_online(3)', 'backfill', 5);
application_writes($publisher, 'online', 'old', 6);
is_same('online', 'version 3 on both');
not_halted('nothing was in the way');
run_and_write($publisher, 'online', 'CALL connections_migrate_online(4)', 'backfill_types', 7);
application_writes($publisher, 'online', 'new', 8);
is_halted('at version 4, changes wait for the subscriber', 'label');
is($subscriber->safe_psql('online', 'SELECT connections_migrate(4)'), '4', 'which is taken there');
is_same('online', 'version 4 on both, and no change is lost');

# Back, step 4 in the atomic mode
$offset = -s $subscriber->logfile;
$publisher->safe_psql('online', 'SELECT connections_rollback(3)');
application_writes($publisher, 'online', 'old', 9);
is_halted('at version 3, changes wait for the subscriber', 'name');
is($subscriber->safe_psql('online', 'SELECT connections_rollback(3)'), '3', 'which is taken there');
is_same('online', 'version 3 on both', 'saved_null_label', 'saved_key_expression');
$offset = -s $subscriber->logfile;
run_and_write($publisher, 'online', 'CALL connections_rollback_online(1)', 'drop_column', 10);
application_writes($publisher, 'online', 'old', 11);
catch_up('online');
not_halted('a subscriber at version 3 takes what a publisher at version 1 sends');
$subscriber->safe_psql('online', 'CALL connections_rollback_online(1)');
application_writes($publisher, 'online', 'old', 12);
is_same('online', 'version 1 on both', 'saved_null_label', 'saved_key_expression');
$publisher->safe_psql('online', 'SELECT connections_rollback(0)');
application_writes($publisher, 'online', 'old', 13);
catch_up('online');
$subscriber->safe_psql('online', 'SELECT connections_rollback(0)');
is_same('online', 'version 0 on both', 'saved_null_label', 'saved_key_expression');
not_halted('nothing was in the way');

# Forward again, with labels that were NULL
$publisher->safe_psql('online', 'SELECT connections_migrate(1)');
$subscriber->safe_psql('online', 'CALL connections_migrate_online(3)');
application_writes($publisher, 'online', 'old', 14);
$publisher->safe_psql('online', 'CALL connections_migrate_online(4)');
isnt($publisher->safe_psql('online', 'SELECT count(*) FROM connections.connections WHERE label IS NULL'), '0', 'labels are NULL again');
is_halted('again, changes wait for the subscriber', 'label');
$subscriber->safe_psql('online', 'CALL connections_migrate_online(4)');
is_same('online', 'version 4 on both again', 'saved_null_label', 'saved_key_expression');

# In the atomic mode
begin('atomic', $both);
application_writes($publisher, 'atomic', 'old', 1);
$publisher->safe_psql('atomic', 'SELECT connections_migrate(4)');
application_writes($publisher, 'atomic', 'new', 2);
is_halted('in the atomic mode, changes wait for the subscriber', 'label');
is($subscriber->safe_psql('atomic', 'SELECT connections_migrate(4)'), '4', 'which is taken there');
is_same('atomic', 'version 4 on both by the atomic mode');
$offset = -s $subscriber->logfile;
$publisher->safe_psql('atomic', 'SELECT connections_rollback(0)');
application_writes($publisher, 'atomic', 'old', 3);
is_halted('on the rollback, too', 'name');
is($subscriber->safe_psql('atomic', 'SELECT connections_rollback(0)'), '0', 'it is taken there');
is_same('atomic', 'version 0 on both by the atomic mode', 'saved_null_label', 'saved_key_expression');

# A subscriber that is taken forward too early
$offset = -s $subscriber->logfile;
is($subscriber->safe_psql('atomic', 'SELECT connections_migrate(4)'), '4', 'the subscriber goes first');
application_writes($publisher, 'atomic', 'old', 4);
is_halted('a subscriber at version 4 does not take what a publisher at version 0 sends', 'provider');
$subscriber->safe_psql('atomic', 'SELECT connections_rollback(3)');
$offset = -s $subscriber->logfile;
application_writes($publisher, 'atomic', 'old', 5);
catch_up('atomic');
not_halted('one step back, it does');
$subscriber->safe_psql('atomic', 'SELECT connections_rollback(0)');
is_same('atomic', 'and no change is lost', 'saved_null_label', 'saved_key_expression');

# A publication of all tables has those of the extension, too.  The subscriber's own are not touched, as it does not know of them.
copy($publisher, 'template_plain', 'template_up');
$publisher->safe_psql('template_plain', 'DROP EXTENSION connections_redesign');
begin('all_tables', 'FOR ALL TABLES', 'template_plain');
$_->safe_psql('all_tables', 'CREATE EXTENSION connections_redesign') foreach $subscriber, $publisher;
$publisher->safe_psql('all_tables', 'SELECT connections_migrate(1)');
$subscriber->safe_psql('all_tables', 'CALL connections_migrate_online(3)');
$publisher->safe_psql('all_tables', 'CALL connections_migrate_online(3)');
$publisher->safe_psql('all_tables', 'CALL connections_migrate_online(4)');
application_writes($publisher, 'all_tables', 'new', 1);
is_halted('a publication of all tables: changes wait for the subscriber', 'label');
$subscriber->safe_psql('all_tables', 'SELECT connections_migrate(4)');
is_same('all_tables', 'version 4 on both');
is( $subscriber->safe_psql('all_tables', "SELECT string_agg(concat_ws(' ', step, mode), ', ' ORDER BY id) FROM connections_redesign.history"),
	'1 online, 2 online, 3 online, 4 atomic', 'the history of the subscriber is its own');
$publisher->safe_psql('all_tables', 'SELECT connections_rollback(0)');
catch_up('all_tables');
$subscriber->safe_psql('all_tables', 'SELECT connections_rollback(0)');
$offset = -s $subscriber->logfile;
$publisher->safe_psql('all_tables', 'SELECT connections_migrate(4)');
is_halted('forward again in the atomic mode, labels that are NULL again wait for the subscriber', 'label');
$subscriber->safe_psql('all_tables', 'SELECT connections_migrate(4)');
is_same('all_tables', 'version 4 on both again', 'saved_null_label', 'saved_key_expression');

had_no_accident($_) foreach $publisher, $subscriber;
$subscriber->stop;
$publisher->stop;
done_testing();
