
# The claim: the applications do not notice.  The old one inserts, updates and deletes throughout the migration until its columns are
# dropped, the new one throughout the rollback until they are back, and the old one again to its end; no statement fails, and what they
# have written comes out as in plain SQL, types and all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use OnlineRun;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rows = 20000;
my $node = new_node('main');
$node->start;
create_legacy($node, 'app', $rows);

my %scripts = (
	old => q{
\set n random(1, :rows)
\set type random(1, 4)
\set kind random(1, 5)
\set what random(1, 10)
\if :what <= 4
INSERT INTO connections.connections (user_id, provider, type, name, config)
SELECT md5(:n::text)::uuid, provider, (ARRAY['oauth2', 'basic', 'bot', 'imap'])[:type], 'by pgbench', config
FROM connections.connections WHERE id = md5('connection ' || :n)::uuid;
\elif :what <= 6
BEGIN;
UPDATE connections.connections SET provider = (ARRAY['gmail', 'smtp', 'telegram', 'google_workspace', 'google_workspace'])[:kind],
	config = config || jsonb_build_object('capability', (ARRAY['', 'sheets', 'calendar', 'sheets', 'calendar'])[:kind])
WHERE id = md5('connection ' || :n)::uuid;
UPDATE connections.connections SET type = (ARRAY['oauth2', 'basic', 'bot', 'imap'])[:type] WHERE id = md5('connection ' || :n)::uuid;
END;
\elif :what <= 8
UPDATE connections.connections SET type = (ARRAY['oauth2', 'basic', 'bot', 'imap'])[:type], name = 'by pgbench, too' WHERE id = md5('connection ' || :n)::uuid;
\else
DELETE FROM connections.connections WHERE id = md5('connection ' || :n)::uuid;
\endif
},
	new => q{
\set n random(1, :rows)
\set kind random(1, 5)
\set what random(1, 10)
\if :what <= 4
INSERT INTO connections.connections (user_id, available_connection_id, label, config)
SELECT md5(:n::text)::uuid, id, nullif('by pgbench', (ARRAY['', 'by pgbench'])[:kind % 2]), '{"new": true}'
FROM connections.available_connections WHERE slug = (ARRAY['gmail', 'smtp', 'telegram', 'sheets', 'calendar'])[:kind];
\elif :what <= 6
UPDATE connections.connections SET available_connection_id =
	(SELECT id FROM connections.available_connections WHERE slug = (ARRAY['gmail', 'smtp', 'telegram', 'sheets', 'calendar'])[:kind])
WHERE id = md5('connection ' || :n)::uuid;
\elif :what <= 8
UPDATE connections.connections SET label = NULL WHERE id = md5('connection ' || :n)::uuid;
\else
DELETE FROM connections.connections WHERE id = md5('connection ' || :n)::uuid;
\endif
});

# Starts an application; it writes until it is stopped.
sub start_application
{
	my ($which) = @_;
	my $script = "$PostgreSQL::Test::Utils::tmp_check/$which.sql";
	my %application = (stdout => '', stderr => '', written => written());
	append_to_file($script, $scripts{$which}) unless -e $script;
	local $ENV{PGOPTIONS} = "-c application.now=2025-01-01";
	local $ENV{PGAPPNAME} = 'pgbench';
	$application{handle} = IPC::Run::start(
		[
			'pgbench', '--no-vacuum', '--client=2', '--time=1000', "--define=rows=$rows", "--file=$script", '--host=' . $node->host,
			'--port=' . $node->port, 'app'
		],
		'>', \$application{stdout}, '2>', \$application{stderr});
	wrote_more(\%application);
	return \%application;
}

# How often a row of connections has been written
sub written
{
	return $node->safe_psql('app', 'SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = \'connections\'');
}

# Waits until the application has written some more.
sub wrote_more
{
	my ($application) = @_;
	$application->{before} = $node->safe_psql('app', q{SELECT xact_commit FROM pg_stat_database WHERE datname = 'app'});
	$node->poll_query_until('app', "SELECT xact_commit > $application->{before} + 200 FROM pg_stat_database WHERE datname = 'app'")
	  or die $application->{stderr};
	return;
}

sub stop_application
{
	my ($application, $name) = @_;
	wrote_more($application);
	$application->{handle}->signal('TERM');
	$application->{handle}->finish;
	unlike($application->{stderr}, qr/ERROR|FATAL|aborted/, "$name: no statement of the application has failed");
	$node->poll_query_until('app', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pgbench')");
	return;
}

# What each row has to be, in plain SQL
my $mapping = q{(SELECT id FROM connections.available_connections WHERE slug = CASE
	WHEN provider IN ('gmail', 'smtp', 'telegram') THEN provider
	WHEN provider = 'google_workspace' AND config ->> 'capability' IN ('sheets', 'calendar') THEN config ->> 'capability' END)};

# Until its columns are dropped, the old application works.
my $application = start_application('old');
my $blocker = close_waitpoint($node, 'app');
my $run = start_run($node, 'app', 'CALL connections_migrate_online(4)',
	'connections_redesign.debug_waitpoint' => 'drop_columns', 'connections_redesign.batch_time' => '2');
ok(wait_for_waitpoint($run), 'the migration has come to where it drops columns') or diag(end_run($run));
stop_application($application, 'up');
is($node->safe_psql('app', "SELECT count(*) FROM connections.connections WHERE available_connection_id IS DISTINCT FROM $mapping"),
	'0', 'up: every connection points where plain SQL says');
$node->safe_psql('app', "CREATE TABLE legacy AS SELECT *, $mapping AS entry FROM connections.connections");
open_waitpoint($blocker);
unlike(end_run($run), qr/ERROR/, 'the migration is done');
is( $node->safe_psql('app', q{
		SELECT count(*) FROM legacy l FULL JOIN connections.connections c USING (id)
		WHERE (l.user_id, l.entry, l.name, l.config, l.created_at, l.updated_at)
			IS DISTINCT FROM (c.user_id, c.available_connection_id, c.label, c.config, c.created_at, c.updated_at)}),
	'0', 'every row is what plain SQL makes of it');
isnt($node->safe_psql('app', "SELECT count(*) FROM legacy WHERE name LIKE 'by pgbench%' AND type = 'imap'"), '0', 'there are types that only the application knows');

# Until the old application's columns are back, the new one works.
$application = start_application('new');
$blocker = close_waitpoint($node, 'app');
$run = start_run($node, 'app', 'CALL connections_rollback_online(3)',
	'connections_redesign.debug_waitpoint' => 'switchover', 'connections_redesign.batch_time' => '2');
ok(wait_for_waitpoint($run), 'the rollback has come to where it exchanges the columns') or diag(end_run($run));
stop_application($application, 'down');
$node->safe_psql('app', q{CREATE TABLE redesigned AS SELECT id, user_id, available_connection_id, label, config, created_at, updated_at FROM connections.connections});
open_waitpoint($blocker);
unlike(end_run($run), qr/ERROR/, 'the rollback is done');
is( $node->safe_psql('app', q{
		SELECT count(*) FROM redesigned r FULL JOIN connections.connections c USING (id)
		WHERE (r.user_id, coalesce(r.label, ''), r.config - 'capability', r.created_at, r.updated_at)
			IS DISTINCT FROM (c.user_id, c.name, c.config - 'capability', c.created_at, c.updated_at)}),
	'0', 'no row has lost anything');
is( $node->safe_psql('app', q{
		SELECT count(*) FROM redesigned r JOIN connections.connections c USING (id) JOIN connections.available_connections a ON a.id = r.available_connection_id
		WHERE a.slug IS DISTINCT FROM CASE WHEN c.provider = 'google_workspace' THEN c.config ->> 'capability' ELSE c.provider END}),
	'0', 'every provider leads to the entry that the row had');
is( $node->safe_psql('app', q{
		SELECT count(*) FROM redesigned r JOIN connections.connections c USING (id) JOIN legacy l USING (id)
		WHERE l.entry = r.available_connection_id AND l.type <> c.type}),
	'0', 'every type is the one that the old application wrote');

# To the end, the old one works again.
$application = start_application('old');
is($node->psql('app', 'SET connections_redesign.batch_time = 2; CALL connections_rollback_online(0)'), 0, 'the other steps are undone');
stop_application($application, 'to the end');
is(states($node, 'app'), 'pending pending pending pending', 'no step is applied any more');
had_no_accident($node);

$node->stop;
done_testing();
