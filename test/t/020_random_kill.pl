
# The claim: whatever happens to a run, at whatever moment, in either mode and direction, the application goes on, the next call
# completes the run, in either mode, and no row is lost or changed.
#
# An application inserts, updates and deletes all the time, the old one or the new one, as the table is made for, and writes what it
# means into a table of its own in the same transactions: the oracle.  A fault is one that came before the run had ended; those that
# came too late are done again.
#
#     CRASH_RANDOM     how many faults (4)
#     CRASH_SEED       which ones: one that has failed, again; the moments are those of this machine

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use OnlineRun;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $faults = $ENV{CRASH_RANDOM} // 4;
my $seed = $ENV{CRASH_SEED} // int(rand(1e9));
srand($seed);
note("CRASH_SEED=$seed");

my $node = new_node('main');
$node->start;
create_legacy($node, 'app', $faults > 20 ? 20000 : 5000);

# The application.  The table cannot change its shape while it writes.  It does not write an empty name over another one: what was NULL
# for the new application is empty for the old one, and it would have to know which.
$node->safe_psql('app', q{
CREATE SCHEMA application;

-- where the new application chose the entry (chosen), config is given its capability, and type, NULL here, is what most have
CREATE TABLE application.meant AS
SELECT id, user_id, CASE WHEN provider = 'google_workspace' THEN config ->> 'capability' ELSE provider END AS slug, false AS chosen, type::text, name::text, config,
	created_at, updated_at
FROM connections.connections;
ALTER TABLE application.meant ADD PRIMARY KEY (id);

CREATE FUNCTION application.writes(what text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	old boolean;
	it application.meant;
	other text := (ARRAY['calendar', 'gmail', 'sheets', 'smtp', 'telegram'])[1 + floor(random() * 5)];
	done int;
BEGIN
	LOCK TABLE connections.connections IN ROW EXCLUSIVE MODE;
	old := EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'connections.connections'::regclass AND attname = 'name');

	IF what = 'insert' THEN
		INSERT INTO application.meant
		VALUES (gen_random_uuid(), md5('user')::uuid, other, NOT old, 'inserted', 'inserted', jsonb_build_object('capability', other, 'n', random()),
			'2025-01-01 00:00+00', '2025-01-01 00:00+00')
		RETURNING * INTO it;
	ELSE
		SELECT * INTO it FROM application.meant WHERE id >= gen_random_uuid() ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;
		IF NOT FOUND THEN RETURN; END IF;
		it.updated_at := current_setting('application.now');
	END IF;

	IF what = 'insert' AND old THEN
		it.name := (ARRAY['', 'inserted'])[1 + floor(random() * 2)];
		it.type := (ARRAY['oauth2', 'basic', 'bot', 'imap'])[1 + floor(random() * 4)];
		INSERT INTO connections.connections (id, user_id, provider, type, name, config, created_at, updated_at)
		VALUES (it.id, it.user_id, CASE WHEN it.slug IN ('calendar', 'sheets') THEN 'google_workspace' ELSE it.slug END, it.type, it.name, it.config,
			it.created_at, it.updated_at);
	ELSIF what = 'insert' THEN
		it.name := (ARRAY['', 'inserted', NULL])[1 + floor(random() * 3)];
		it.type := NULL;
		it.config := it.config - 'capability';
		INSERT INTO connections.connections (id, user_id, available_connection_id, label, config, created_at, updated_at)
		SELECT it.id, it.user_id, id, it.name, it.config, it.created_at, it.updated_at FROM connections.available_connections WHERE slug = it.slug;
	ELSIF what = 'point elsewhere' AND old THEN
		it.slug := other;
		it.chosen := false;
		it.config := jsonb_build_object('capability', other, 'n', random());
		UPDATE connections.connections SET provider = CASE WHEN other IN ('calendar', 'sheets') THEN 'google_workspace' ELSE other END, config = it.config
		WHERE id = it.id;
	ELSIF what = 'point elsewhere' THEN
		IF it.slug <> other THEN
			it.type := NULL;
			it.chosen := true;
		END IF;
		it.slug := other;
		UPDATE connections.connections SET available_connection_id = (SELECT id FROM connections.available_connections WHERE slug = other)
		WHERE id = it.id;
	ELSIF what = 'change' AND old THEN
		it.type := (ARRAY['oauth2', 'basic', 'bot', 'imap'])[1 + floor(random() * 4)];
		UPDATE connections.connections SET type = it.type WHERE id = it.id;
	ELSIF what = 'change' THEN
		it.config := it.config || jsonb_build_object('n', random());
		UPDATE connections.connections SET config = config || jsonb_build_object('n', it.config -> 'n') WHERE id = it.id;
	ELSIF what = 'rename' AND old THEN
		it.name := md5(random()::text);
		UPDATE connections.connections SET name = it.name WHERE id = it.id;
	ELSIF what = 'rename' THEN
		it.name := (ARRAY[NULL, md5(random()::text)])[1 + floor(random() * 2)];
		UPDATE connections.connections SET label = it.name WHERE id = it.id;
	ELSIF what = 'delete' THEN
		DELETE FROM connections.connections WHERE id = it.id;
	END IF;

	GET DIAGNOSTICS done = ROW_COUNT;
	IF done <> 1 THEN
		RAISE '%: % rows', what, done;
	ELSIF what = 'delete' THEN
		DELETE FROM application.meant WHERE id = it.id;
	ELSE
		UPDATE application.meant SET slug = it.slug, chosen = it.chosen, type = it.type, name = it.name, config = it.config, updated_at = it.updated_at WHERE id = it.id;
	END IF;
END
$$});

my @kinds = ('insert', 'insert', 'point elsewhere', 'change', 'rename', 'delete', 'delete');
my $script = "$PostgreSQL::Test::Utils::tmp_check/writes.sql";
append_to_file($script, sprintf("\\set n random(1, %d)\nSELECT application.writes((ARRAY[%s])[:n]);\n", scalar(@kinds), join(', ', map { "'$_'" } @kinds)));
$ENV{PGOPTIONS} = '-c application.now=2025-01-01';
my %application;

sub start_application
{
	%application = (stdout => '', stderr => '');
	$application{handle} = IPC::Run::start(
		[
			'pgbench', '--no-vacuum', '--client=2', '--rate=100', '--time=100000', "--file=$script", '--host=' . $node->host,
			'--port=' . $node->port, 'app'
		],
		'>', \$application{stdout}, '2>', \$application{stderr});
	return;
}

# The application ends in a crash.
sub start_again
{
	$application{handle}->finish;
	unlike($application{stderr}, qr/ERROR/, 'no statement of the application had failed');
	start_application();
	return;
}

# Whether the server has served it some more
sub goes_on
{
	my $before = $node->safe_psql('app', q{SELECT xact_commit FROM pg_stat_database WHERE datname = 'app'});
	return $node->poll_query_until('app', qq{
		SELECT xact_commit > $before + 20 AND EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT application.writes((%')
		FROM pg_stat_database WHERE datname = 'app'});
}

# How many rows there are, and those that are not what the application means
sub compare
{
	my $up = !is_old_application($node, 'app');
	my $off = q{(m.user_id, m.created_at, m.updated_at) IS DISTINCT FROM (c.user_id, c.created_at, c.updated_at)
		OR m.config - CASE WHEN m.chosen THEN 'capability' ELSE '' END
			IS DISTINCT FROM c.config - CASE WHEN m.chosen THEN 'capability' ELSE '' END OR } . (
		$up
		? '(m.slug, m.name) IS DISTINCT FROM ((SELECT slug FROM connections.available_connections WHERE id = c.available_connection_id), c.label)'
		: q{(m.slug, coalesce(m.name, '')) IS DISTINCT FROM
				(CASE c.provider WHEN 'google_workspace' THEN c.config ->> 'capability' ELSE c.provider END, c.name)
			OR m.type <> c.type});
	return split(/\|/, $node->safe_psql('app', qq{
		SELECT count(*), string_agg(concat_ws(E'\n', m, c), E'\n') FILTER (WHERE $off)
		FROM application.meant m FULL JOIN connections.connections c USING (id)}), 2);
}

# What is not a matter of rows
my %shapes;

sub check_whole
{
	my ($name) = @_;
	my $version = is_old_application($node, 'app') ? 0 : 4;
	my $shape = everything($node, 'app', 'pg_temp.shape()');
	$shapes{$version} //= $shape;
	ok($shape eq $shapes{$version}, "$name: the schema is that of version $version") or diag(difference($shapes{$version}, $shape));
	my ($rows, $off) = compare();
	count_rows($rows);
	is($off, '', "$name: every row is what the application means");
	is(states($node, 'app'), join(' ', ($version ? 'applied' : 'pending') x 4), "$name: all steps are done") if $version;
	is($node->safe_psql('app', 'SELECT count(*) FROM connections_redesign.online_run'), '0', "$name: no step is partial");
	is(verify_errors($node, 'app'), '', "$name: verify finds no error");
	return;
}

my %calls = (
	up => { atomic => 'SELECT connections_migrate(4)', online => 'CALL connections_migrate_online(4)' },
	down => { atomic => 'SELECT connections_rollback(0)', online => 'CALL connections_rollback_online(0)' });

# How long each takes when nothing happens to it
my %duration;

start_application();
goes_on();

# The first way forward and back moves columns to other places, once; from the second on the schemas are the same.
foreach my $mode ('online', 'atomic', 'online')
{
	foreach my $direction ('up', 'down')
	{
		my $start = time;
		is($node->psql('app', $calls{$direction}{$mode}), 0, "$mode, $direction: undisturbed");
		$duration{"$mode $direction"} = time - $start;
		check_whole("$mode, $direction") if $duration{"atomic $direction"} || $mode eq 'atomic';
	}
}

my @all = ('cancel', 'terminate', 'kill -9', 'immediate stop', 'cancel of the worker', 'terminate of the worker', 'kill -9 of the worker');
my ($hit, $late) = (0, 0);
while ($hit < $faults && Test::More->builder->is_passing)
{
	my $mode = rand() < 0.7 ? 'online' : 'atomic';
	my $direction = is_old_application($node, 'app') ? 'up' : 'down';
	my $fault = $all[ rand($mode eq 'online' ? @all : 4) ];
	my $again = rand() < 0.7 ? $mode : $mode eq 'online' ? 'atomic' : 'online';
	my $share = rand();
	my $name = sprintf('CRASH_SEED=%d %d: %s, %s, %s at %.3f, then %s', $seed, $hit + 1, $mode, $direction, $fault, $share, $again);

	my $session = $node->background_psql('postgres');
	my $run = start_run($node, 'app', $calls{$direction}{$mode});
	my $start = time;
	my $pid = $run->{pid};
	if ($fault =~ /of the worker/)
	{
		my $worker = "FROM pg_stat_activity WHERE backend_type = 'connections_redesign worker'";
		$session->query(qq{
			DO \$\$
			BEGIN
				WHILE NOT EXISTS (SELECT $worker) AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid) LOOP
					COMMIT;
					PERFORM pg_sleep(0.001);
				END LOOP;
			END
			\$\$});
		$pid = $session->query("SELECT pid $worker");
		usleep($share * 50_000);
	}
	else
	{
		usleep($share * 1_000_000 * $duration{"$mode $direction"});
	}

	# who is gone is not killed
	$run->{handle}->pump_nb;
	my $is_late = !$pid || !$run->{handle}->pumpable;
	my $message = $is_late ? undef : inject($run, $fault, $pid, $session);
	my $stderr = end_run($run);
	my $crashed = !$is_late && ($fault eq 'immediate stop' || $fault =~ /^kill/ && $stderr =~ /connection to server was lost/);
	if ($crashed) { $session->{run}->kill_kill } else { $session->quit }
	if ($stderr !~ /ERROR|FATAL|connection to server was lost/)
	{
		$duration{"$mode $direction"} = time - $start if $is_late;
		$late++;
		start_again() if $crashed;
		next;
	}

	$hit++;
	survives($name, 1, sub {
		# a worker that is stopped before it can say so
		like($stderr, $fault =~ /of the worker/ ? qr/$message|ERROR:  08000/ : $message, 'the run has ended by that');
		start_again() if $crashed;
		foreach my $what ('insert', 'point elsewhere', 'change', 'rename', 'delete')
		{
			my ($result, $stdout, $error) = $node->psql('app', "SELECT application.writes('$what')");
			is($error, '', "the application can still $what");
		}
		ok(goes_on(), 'the application goes on');
		my ($result, $stdout, $error) = $node->psql('app', $calls{$direction}{$again});
		is($result, 0, 'another call completes it') or diag($error);
		is(is_old_application($node, 'app'), $direction eq 'down', 'it comes to where it should');
		check_whole($name);
		$application{handle}->pump_nb;
		unlike($application{stderr}, qr/ERROR|FATAL/, 'no statement of the application has failed');
	});
}
is($hit, $faults, 'all faults were injected');
note("$hit runs were stopped, $late had ended before");
had_no_accident($node);

$application{handle}->signal('TERM');
$application{handle}->finish;
$node->stop;
done_testing();
