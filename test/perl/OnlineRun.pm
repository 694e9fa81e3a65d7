
# What the tests of the online mode share: two applications that write, a run that can be stopped at its gates, and all that can be
# compared of a database.

package OnlineRun;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  new_node create_legacy copy run_fixture application_writes is_old_application
  points start_run wait_for_run end_run close_gate open_gate wait_for_gate next_gate
  everything is_same_as states setbacks had_no_accident stop_run stop_once stop_at
);

# The advisory lock of connections_redesign.gate
my $gate = 63726472;

sub new_node
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(%params);
	$node->append_conf('postgresql.conf', "autovacuum = off\nrestart_after_crash = on\nlog_error_verbosity = verbose");
	return $node;
}

sub run_fixture
{
	my ($node, $database, $rows, @files) = @_;
	my ($stdout, $stderr) = run_command(
		[
			'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-v', "rows=$rows",
			'-d', $node->connstr($database), map { ('-f', "test/fixtures/$_.sql") } @files
		]);
	die $stderr if $stderr;
	return $stdout;
}

# A legacy database whose own trigger fails for everybody but the application: who else updates a row must not fire it.
sub create_legacy
{
	my ($node, $database, $rows) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	run_fixture($node, $database, $rows, 'legacy', 'rows');
	$node->safe_psql($database, q{
		CREATE EXTENSION connections_redesign;
		CREATE OR REPLACE FUNCTION connections.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			NEW.updated_at := current_setting('application.now');
			RETURN NEW;
		END
		$$});
	return;
}

# Not by WAL: PostgreSQL's copies of sequences would go back in a crash.
sub copy
{
	my ($node, $database, $template) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE $template STRATEGY file_copy");
	return;
}


# The applications

# What each of them writes, on rows of its own each time.
my %writes = (
	old => q{
		INSERT INTO connections.connections (id, user_id, provider, type, name, config, created_at, updated_at)
		SELECT md5(format('old %s %s', time, n))::uuid, md5('user')::uuid, provider, type, name, config::jsonb, '2025-01-01 00:00+00', '2025-01-01 00:00+00'
		FROM (VALUES
			(1, 'gmail', 'oauth2', 'inserted', '{}'),
			(2, 'gmail', 'imap', 'of another type', '{"capability": "sheets"}'),
			(3, 'google_workspace', 'service_account', '', '{"capability": "calendar"}'),
			(4, 'telegram', 'bot', 'inserted', '{"chat_id": 1}')) v (n, provider, type, name, config);
		UPDATE connections.connections SET provider = 'smtp', type = 'imap' WHERE id = md5('connection ' || time * 100 + 1)::uuid;
		UPDATE connections.connections SET type = 'bot_token' WHERE id = md5('connection ' || time * 100 + 4)::uuid;
		UPDATE connections.connections SET type = 'oauth2', provider = 'google_workspace', config = config || '{"capability": "sheets"}'
		WHERE id = md5('connection ' || time * 101)::uuid;
		UPDATE connections.connections SET name = '' WHERE id = md5('connection ' || time * 100 + 5)::uuid;
		DELETE FROM connections.connections WHERE id = md5('connection ' || time * 100 + 6)::uuid;
		DELETE FROM connections.connections WHERE id = md5('connection ' || time * 101 + 1010)::uuid;
		GET DIAGNOSTICS deleted = ROW_COUNT;
		PERFORM provider, type, name FROM connections.connections WHERE id = md5('connection ' || time * 100 + 1)::uuid;
	},
	new => q{
		INSERT INTO connections.connections (id, user_id, available_connection_id, label, config, created_at, updated_at)
		SELECT md5(format('new %s %s', time, n))::uuid, md5('user')::uuid, a.id, label, config::jsonb, '2025-01-01 00:00+00', '2025-01-01 00:00+00'
		FROM (VALUES
			(1, 'gmail', NULL, '{}'),
			(2, 'sheets', 'its capability is missing', '{}'),
			(3, 'smtp', 'inserted', '{"capability": "sheets"}'),
			(4, 'calendar', '', '{"capability": "sheets"}')) v (n, slug, label, config)
		JOIN connections.available_connections a USING (slug);
		UPDATE connections.connections SET available_connection_id = (SELECT id FROM connections.available_connections WHERE slug = 'sheets')
		WHERE id = md5('connection ' || time * 100 + 8)::uuid;
		UPDATE connections.connections SET label = NULL WHERE id = md5('connection ' || time * 100 + 4)::uuid;
		UPDATE connections.connections SET available_connection_id = (SELECT id FROM connections.available_connections WHERE slug = 'gmail')
		WHERE id = md5('connection ' || time * 101)::uuid;
		UPDATE connections.connections SET label = 'other' WHERE id = md5('connection ' || time * 100 + 5)::uuid;
		DELETE FROM connections.connections WHERE id = md5('connection ' || time * 100 + 6)::uuid;
		DELETE FROM connections.connections WHERE id = md5('connection ' || time * 101 + 1010)::uuid;
		GET DIAGNOSTICS deleted = ROW_COUNT;
		PERFORM available_connection_id, label FROM connections.connections WHERE id = md5('connection ' || time * 100 + 1)::uuid;
	});

sub is_old_application
{
	my ($node, $database) = @_;
	return '0' ne $node->safe_psql($database,
		q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'connections.connections'::regclass AND attname = 'name'});
}

# Lets an application write for the first, second, third time; dies if it cannot, or finds what it should not.  Returns which, where it is
# that for which the table is made now.
sub application_writes
{
	my ($node, $database, $which, @times) = @_;
	$which //= is_old_application($node, $database) ? 'old' : 'new';
	my $times = join(', ', @times);
	$node->safe_psql($database, qq{
		SET application.now = '2025-01-01 00:00+00';
		DO \$\$
		DECLARE
			time int;
			deleted int;
		BEGIN
			FOREACH time IN ARRAY ARRAY[$times] LOOP
				$writes{$which}
				ASSERT FOUND AND deleted = 1, 'rows are missing';
			END LOOP;
		END
		\$\$}) if @times;
	return $which;
}


# Runs

# The points of an online run from here to that version, as connections_plan() tells its phases.  There is one inside a phase that
# has statements of its own, or batches.
sub points
{
	my ($node, $database, $target) = @_;
	my @points;
	my %seen;
	my $previous = 0;
	my $inside = 0;
	my $rows = $node->safe_psql($database,
		"SELECT step, substring(purpose FROM '^end of the phase (.*)'), statement FROM connections_plan($target, true) ORDER BY seq");
	foreach (split(/\n/, $rows))
	{
		my ($step, $phase, $statement) = /^(\d)\|(\w*)\|(.*)/ or next;
		if ($phase eq '')
		{
			$inside = 1 unless $statement =~ /^(CREATE INDEX CONCURRENTLY|VACUUM|SELECT count)/;
			next;
		}
		unless ($seen{$phase}++)
		{
			push @points, { name => $phase, step => $step, begun => $step == $previous };
			push @points, { name => "in $phase", step => $step, begun => 1 } if $inside;
		}
		$inside = 0;
		$previous = $step;
	}
	return @points;
}

# Starts to run statements in a session of its own, with the settings given.
sub start_run
{
	my ($node, $database, $call, %settings) = @_;
	my %run = (node => $node, database => $database, stdout => '', stderr => '');
	$run{handle} = IPC::Run::start(
		[
			'psql', '-XqAt', '-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=1',
			'-d', $node->connstr($database),
			(map { ('-c', "SET $_ = '$settings{$_}'") } sort keys %settings), '-c', 'SELECT pg_backend_pid()', '-c', $call
		],
		'>', \$run{stdout}, '2>', \$run{stderr},
		my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	pump_until($run{handle}, $timeout, \$run{stdout}, qr/\d+\n/) or die $run{stderr};
	$run{pid} = $run{stdout} =~ s/^(\d+)\n// ? $1 : die;
	return \%run;
}

# Waits until a condition is met while a run is in flight; whether it was.
sub wait_for_run
{
	my ($run, $condition) = @_;
	$run->{node}->poll_query_until($run->{database}, "SELECT ($condition) OR NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $run->{pid})")
	  or die "waited in vain for $condition";
	return $run->{node}->safe_psql($run->{database}, "SELECT $condition") eq 't';
}

# Waits for the end; what it said.
sub end_run
{
	my ($run) = @_;
	$run->{handle}->finish;
	return $run->{stderr};
}

# Nobody passes a gate that is closed.
sub close_gate
{
	my ($node, $database) = @_;
	my $gatekeeper = $node->background_psql($database);
	$gatekeeper->query_safe("SELECT pg_advisory_lock($gate)");
	return $gatekeeper;
}

sub open_gate
{
	my ($gatekeeper) = @_;
	$gatekeeper->quit;
	return;
}

sub wait_for_gate
{
	my ($run) = @_;
	return wait_for_run($run, "EXISTS (SELECT FROM pg_locks WHERE pid = $run->{pid} AND locktype = 'advisory' AND objid = $gate AND NOT granted)");
}

# Lets the run come from one gate to the next: a second gatekeeper is in the queue behind it before the first one lets it go.  Returns
# him; undef if the run has ended.
sub next_gate
{
	my ($run, $gatekeeper) = @_;
	my $next = $run->{node}->background_psql($run->{database});
	$next->query_until(qr/queues/, "\\echo queues\nSELECT pg_advisory_lock($gate);\n");
	$run->{node}->poll_query_until($run->{database}, "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND objid = $gate AND NOT granted")
	  or die 'nobody is at the gate';
	open_gate($gatekeeper);
	return $next if wait_for_gate($run);
	$next->quit;
	return;
}

# Ways to stop a run, each with what its client sees
my %faults = (
	cancel => [ qr/ERROR:  57014/, sub { $_[0]->safe_psql('postgres', "SELECT pg_cancel_backend($_[1])") } ],
	terminate => [ qr/FATAL:  57P01/, sub { $_[0]->safe_psql('postgres', "SELECT pg_terminate_backend($_[1])") } ],
	'kill -9' => [
		qr/connection to server was lost/,
		sub {
			my ($node, $pid) = @_;
			my $offset = -s $node->logfile;
			kill(9, $pid);
			$node->wait_for_log(qr/terminated by signal 9.*all server processes terminated/s, $offset);
			$node->poll_query_until('postgres', 'SELECT true');
		} ],
	'immediate stop' => [ qr/connection to server was lost/, sub { $_[0]->stop('immediate'); $_[0]->start } ]);

# Stops a run as it waits for the gate; what it said.  All that it had committed is on disk by then.
sub stop_run
{
	my ($run, $gatekeeper, $fault) = @_;
	my ($message, $stop) = @{ $faults{$fault} };
	my $node = $run->{node};
	$node->safe_psql('postgres', "SELECT pg_logical_emit_message(true, 'flush', '')");
	$stop->($node, $run->{pid});
	like(end_run($run), $message, "$fault: it stops");
	if ($fault =~ /^(cancel|terminate)$/) { open_gate($gatekeeper) } else { $gatekeeper->{run}->kill_kill }
	return;
}

# Stops a call at a point; what the states were.
sub stop_once
{
	my ($node, $database, $point, $call, $fault) = @_;
	my $gatekeeper = close_gate($node, $database);
	my $run = start_run($node, $database, $call, 'connections_redesign.gate' => $point->{name});
	wait_for_gate($run) or die "it did not come to the gate $point->{name}: " . end_run($run);
	my $states = states($node, $database);
	stop_run($run, $gatekeeper, $fault);
	return $states;
}
# What the server must never have done by itself
sub had_no_accident
{
	my ($node) = @_;
	is(join('', grep { /PANIC|TRAP|XX000|terminated by signal (?!9:)/ } split(/^/, slurp_file($node->logfile))), '', 'the server had no accident');
	return;
}


# The matrix

# Stops a run at one of its points, again and again, and lets the application write each time; then lets it end.  It has to come to what
# the twin is like, to which the other mode did the same at once.
sub stop_at
{
	my ($node, $point, $call, $direction, $twin, @faults) = @_;
	my $name = "$direction, $point->{name}";
	my $which;
	my @setbacks;
	copy($node, 'stopped', "template_$direction");
	foreach my $time (1 .. @faults)
	{
		my $fault = $faults[ $time - 1 ];
		my @states = split(/ /, stop_once($node, 'stopped', $point, $call, $fault));
		is($states[ $point->{step} - 1 ], 'running', "$name: the step was running");
		push @setbacks, "$point->{step} $direction online " . ($fault eq 'cancel' ? 'cancelled 57014' : 'interrupted');
		@states = split(/ /, states($node, 'stopped'));
		is($states[ $point->{step} - 1 ], 'interrupted', "$name: the step is interrupted after $fault");
		$which = application_writes($node, 'stopped', undef, $time);
	}
	my ($result, $stdout, $stderr) = $node->psql('stopped', $call);
	is($result, 0, "$name: another call completes it") or diag($stderr);
	unlike($stderr, qr/rows are moved/, "$name: no snapshot is in its way");
	is_same_as($node, 'stopped', $twin->($which, scalar @faults), "$name: all is as if it had never been stopped");
	is(setbacks($node, 'stopped'), join("\n", @setbacks), "$name: history knows how often it was stopped, and how");
	is( $node->safe_psql('stopped', "SELECT string_agg(check_name, ' ') FROM connections_verify() WHERE status = 'error' AND check_name <> 'display_names'"),
		'', "$name: verify finds no error");
	$node->safe_psql('postgres', 'DROP DATABASE stopped');
	return;
}


# What is compared

sub states
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, "SELECT string_agg(state, ' ' ORDER BY step) FROM connections_status()");
}

# What history knows of runs that did not succeed
sub setbacks
{
	my ($node, $database) = @_;
	return $node->safe_psql($database,
		"SELECT concat_ws(' ', step, direction, mode, state, sqlstate) FROM connections_redesign.history WHERE state <> 'applied' ORDER BY id");
}

# The schema as pg_dump shows it and as the catalogs do, all rows, and what is kept for a rollback.
my @kept = qw(kept_ddl kept_catalog kept_type_dictionary kept_type_exception kept_null_label kept_key online_run paused);

sub everything
{
	my ($node, $database) = @_;
	my ($dump, $stderr) = run_command([ 'pg_dump', '--schema-only', '-d', $node->connstr($database) ]);
	die $stderr if $stderr;
	$dump =~ s/^\\(un)?restrict .*\n//mg;
	my ($rest, $stderr2) = run_command(
		[
			'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', 'test/fixtures/shape.sql',
			map { ('-c', "SELECT object, replace(definition, E'\\n', ' ') FROM $_ ORDER BY 1, 2") }
			('pg_temp.shape()', 'pg_temp.rows()', map { "(SELECT '$_', (to_jsonb(t) - CASE WHEN to_jsonb(t) ->> 'step' = '2' THEN 'not_null' ELSE '' END)::text FROM connections_redesign.$_ t) t (object, definition)" } @kept)
		]);
	die $stderr2 if $stderr2;
	return $dump . $rest;
}

sub is_same_as
{
	my ($node, $database, $expected, $name) = @_;
	my $found = everything($node, $database);
	ok($found eq $expected, $name) or diag(difference($expected, $found));
	return;
}

# The lines that are not the same, not too many of them
sub difference
{
	my ($expected, $found) = @_;
	my %lines;
	$lines{$_}-- foreach split(/\n/, $expected);
	$lines{$_}++ foreach split(/\n/, $found);
	my @lines = map { ($lines{$_} < 0 ? '-' : '+') . $_ } grep { $lines{$_} } sort keys %lines;
	return join("\n", @lines > 30 ? @lines[ 0 .. 29 ] : @lines);
}

1;
