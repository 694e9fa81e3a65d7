
# What the tests of runs that are stopped share: two applications that write, a run that waits at its waitpoints, the faults, and all that can
# be compared of a database.
#
# With CRD_ALL set, a test goes through all faults at all points.  With CRD_FIGURES set to the name of a file, it adds a line to it: how
# many faults it has injected, how many of them did no harm, and how many rows it has compared.

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
  points atomic_points start_run wait_for_run end_run close_waitpoint open_waitpoint wait_for_waitpoint next_waitpoint worker_of
  everything is_same_as difference states setbacks verify_errors had_no_accident faults inject stop_run stop_once stop_at atomic_twin
  survives count_rows
);

# The advisory lock of connections_redesign.debug_waitpoint
my $waitpoint_lock = 63726472;

sub new_node
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, install_path => delete $params{install_path});
	$node->init(%params);
	$node->append_conf('postgresql.conf', "autovacuum = off\njit = off\nrestart_after_crash = on\nlog_error_verbosity = verbose");
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
		"SELECT step, substring(purpose FROM '^end of phase (.*)'), statement FROM connections_plan($target, true) ORDER BY seq");
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

# The points of an atomic run from here to that version: before each statement that connections_plan() lists, and before the commit
sub atomic_points
{
	my ($node, $database, $target) = @_;
	my $statements = $node->safe_psql($database, "SELECT count(*) FROM connections_plan($target)");
	return map { { name => $_, atomic => 1 } } ((map { "statement $_" } 1 .. $statements), 'end');
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

# Waits for the end, and for the server to be there again if it was killed with the run; what it said.
sub end_run
{
	my ($run) = @_;
	$run->{handle}->finish;
	if ($run->{log} && $run->{stderr} =~ /connection to server was lost/)
	{
		$run->{node}->wait_for_log(qr/terminated by signal 9.*all server processes terminated/s, $run->{log});
		$run->{node}->poll_query_until('postgres', 'SELECT true');
	}
	return $run->{stderr};
}

# Nobody passes a waitpoint that is closed.
sub close_waitpoint
{
	my ($node, $database) = @_;
	my $blocker = $node->background_psql($database);
	$blocker->query_safe("SELECT pg_advisory_lock($waitpoint_lock)");
	return $blocker;
}

sub open_waitpoint
{
	my ($blocker) = @_;
	$blocker->quit;
	return;
}

sub wait_for_waitpoint
{
	my ($run) = @_;
	return wait_for_run($run, "EXISTS (SELECT FROM pg_locks WHERE pid = $run->{pid} AND locktype = 'advisory' AND objid = $waitpoint_lock AND NOT granted)");
}

# Lets the run come from one waitpoint to the next: a second blocker is in the queue behind it before the first one lets it go.  Returns
# him; undef if the run has ended.
sub next_waitpoint
{
	my ($run, $blocker) = @_;
	my $next = $run->{node}->background_psql($run->{database});
	$next->query_until(qr/queues/, "\\echo queues\nSELECT pg_advisory_lock($waitpoint_lock);\n");
	$run->{node}->poll_query_until($run->{database}, "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND objid = $waitpoint_lock AND NOT granted")
	  or die 'nobody is at the waitpoint';
	open_waitpoint($blocker);
	return $next if wait_for_waitpoint($run);
	$next->quit;
	return;
}

# The background worker of a run: its pid, or nothing
sub worker_of
{
	my ($run) = @_;
	return $run->{node}->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'connections_redesign worker'");
}

# Ways to stop a run, each with what its client sees, and what does it to a process.  Sessions are told what to do in SQL.
my %faults = (
	cancel => [ qr/ERROR:  57014/, sub { my ($node, $pid, $sql) = @_; $sql->("SELECT pg_cancel_backend($pid)") } ],
	terminate => [ qr/(FATAL|ERROR):  57P01/, sub { my ($node, $pid, $sql) = @_; $sql->("SELECT pg_terminate_backend($pid)") } ],
	'kill -9' => [ qr/connection to server was lost/, sub { my ($node, $pid) = @_; kill(9, $pid) } ],
	'immediate stop' => [ qr/connection to server was lost/, sub { my ($node) = @_; $node->stop('immediate'); $node->start } ]);

# The faults of a point, in groups that happen to the same database one after the other: each alone, or a few of them in a row
sub faults
{
	my ($point, @crashes) = @_;
	my @faults = ('cancel', 'terminate', 'kill -9', 'immediate stop');
	push @faults, map { "$_ of the worker" } @faults[ 0 .. 2 ] if $point->{hold};
	return map { [$_] } @faults if $ENV{CRD_ALL};
	return [ 'cancel', 'terminate', @crashes ];
}

# Does that to a process of a run, and returns what its client must say then.  SQL goes to a session that is there already, if any.
sub inject
{
	my ($run, $fault, $pid, $session) = @_;
	my $node = $run->{node};
	my ($message, $inject) = @{ $faults{ $fault =~ s/ of the worker$//r } };
	$run->{log} = -s $node->logfile if $fault =~ /^kill/;
	$inject->($node, $pid, sub { $session ? $session->query(@_) : $node->safe_psql('postgres', @_) });
	return $message;
}

# Stops a run as it waits for a session.  All that it had committed is on disk by then.
sub stop_run
{
	my ($run, $session, $fault) = @_;
	$run->{node}->safe_psql('postgres', "SELECT pg_logical_emit_message(true, 'flush', '')");
	my $pid = $fault =~ /of the worker$/ ? worker_of($run) || die 'there is no worker' : $run->{pid};
	my $message = inject($run, $fault, $pid);
	like(end_run($run), $message, "$fault: it stops");
	if ($fault =~ /^(cancel|terminate)/) { $session->quit } else { $session->{run}->kill_kill }
	return;
}

# Stops a call at a point; what the states were.  A point where the run waits for its worker is one where the worker waits for somebody
# who comes before it, when the run is at the waitpoint.
sub stop_once
{
	my ($node, $database, $point, $call, $fault) = @_;
	my $session = close_waitpoint($node, $database);
	my $run = start_run($node, $database, $call, 'connections_redesign.debug_waitpoint' => $point->{waitpoint} // $point->{name});
	wait_for_waitpoint($run) or die "it did not come to the waitpoint $point->{name}: " . end_run($run);
	if ($point->{hold})
	{
		my $blocker = $session;
		$session = $node->background_psql($database);
		$session->query_safe($point->{hold});
		open_waitpoint($blocker);
		wait_for_run($run, "EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'connections_redesign worker' AND wait_event_type = 'Lock'
			AND $point->{waiting})") or die "its worker did not wait: " . end_run($run);
	}
	my $states = states($node, $database);
	stop_run($run, $session, $fault);
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

my %figures = (injected => 0, survived => 0, rows => 0);

# A fault, or some in a row, and all that comes after them
sub survives
{
	my ($name, $faults, $work) = @_;
	$figures{injected} += $faults;
	my $survived = subtest $name => $work;
	$figures{survived} += $faults if $survived;
	return $survived;
}

sub count_rows
{
	$figures{rows} += $_[0];
	return;
}

END
{
	if ($ENV{CRD_FIGURES} && $figures{injected})
	{
		my $status = $?;
		append_to_file($ENV{CRD_FIGURES}, "$figures{injected} $figures{survived} $figures{rows}\n");
		$? = $status;
	}
}

# Stops a run at one of its points by these faults, one after the other, and lets the application write each time; then lets it end.  It
# has to come to what the twin is like, to which the other mode did the same at once.  An atomic run that was stopped has done nothing.
sub stop_at
{
	my ($node, $point, $call, $direction, $twin, @faults) = @_;
	my $name = "$direction, $point->{name}";
	return survives("$name: " . join(', ', @faults), scalar @faults, sub {
		my $which;
		my @setbacks;
		copy($node, 'stopped', "template_$direction");
		foreach my $time (1 .. @faults)
		{
			my $fault = $faults[ $time - 1 ];
			my $before = $point->{atomic} && everything($node, 'stopped');
			my $states_before = states($node, 'stopped');
			my $states = stop_once($node, 'stopped', $point, $call, $fault);
			if ($point->{atomic})
			{
				is($states, $states_before =~ s/pending/running/r, "$name: others see that it runs, and nothing that it has done");
				is(states($node, 'stopped'), $states_before, "$name: no step has changed after $fault");
				is_same_as($node, 'stopped', $before, "$name: nothing is done after $fault");
			}
			else
			{
				is((split(/ /, $states))[ $point->{step} - 1 ], 'running', "$name: the step was running");
				is((split(/ /, states($node, 'stopped')))[ $point->{step} - 1 ], 'interrupted', "$name: the step is interrupted after $fault");
				push @setbacks, "$point->{step} $direction online " . (
					$fault =~ /^cancel/ ? 'canceled 57014' : $fault eq 'terminate of the worker' ? 'failed 57P01' : 'interrupted');
			}
			$point->{left}->($node, 'stopped') if $point->{left};
			$which = application_writes($node, 'stopped', undef, $time);
		}
		my $again = $point->{again} // $call;
		my ($result, $stdout, $stderr) = $node->psql('stopped', $again);
		is($result, 0, "$name: $again completes it") or diag($stderr);
		unlike($stderr, qr/rows are moved/, "$name: no snapshot is in its way");
		is_same_as($node, 'stopped', $twin->($which, scalar @faults), "$name: all is as if it had never been stopped");
		is(setbacks($node, 'stopped'), join("\n", @setbacks), "$name: history knows how often it was stopped, and how");
		is(verify_errors($node, 'stopped'), '', "$name: verify finds no error");
		$node->safe_psql('postgres', 'DROP DATABASE stopped');
	});
}

# What the atomic mode comes to from the template when nobody stops it, by who writes, and how often
my %twins;

sub atomic_twin
{
	my ($node, $direction) = @_;
	my ($first, $call) = $direction eq 'up' ? ('old', 'connections_migrate(4)') : ('new', 'connections_rollback(0)');
	return sub {
		my ($which, $times) = @_;
		return $twins{"$direction $which $times"} //= do
		{
			copy($node, 'twin', "template_$direction");
			application_writes($node, 'twin', $which, 1 .. $times) if $which eq $first;
			$node->safe_psql('twin', "SELECT $call");
			application_writes($node, 'twin', $which, 1 .. $times) if $which ne $first;
			my $everything = everything($node, 'twin');
			$node->safe_psql('postgres', 'DROP DATABASE twin');
			$everything;
		};
	};
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

sub verify_errors
{
	my ($node, $database) = @_;
	return $node->safe_psql($database,
		"SELECT string_agg(check_name, ' ') FROM connections_verify() WHERE status = 'error' AND check_name <> 'display_names'");
}

# The schema as pg_dump shows it, and what else is asked for; else as the catalogs show it, all rows, and what is kept for a rollback.
my @saved = qw(saved_column saved_ddl saved_index saved_entry saved_entry_type saved_connection_type saved_null_label saved_key_expression online_run pause_request);

my @everything = ('pg_temp.shape()', 'pg_temp.rows()',
	map { "(SELECT '$_', to_jsonb(t)::text FROM connections_redesign.$_ t) t (object, definition)" } @saved);

sub everything
{
	my ($node, $database, @objects) = @_;
	@objects = @everything unless @objects;
	my ($dump, $stderr) = run_command([ 'pg_dump', '--schema-only', '-d', $node->connstr($database) ]);
	die $stderr if $stderr;
	$dump =~ s/^\\(un)?restrict .*\n//mg;
	my ($rest, $stderr2) = run_command(
		[
			'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', 'test/fixtures/snapshot.sql',
			map { ('-c', "SELECT object, replace(definition, E'\\n', ' ') FROM $_ ORDER BY 1, 2") } @objects
		]);
	die $stderr2 if $stderr2;
	return $dump . $rest;
}

sub is_same_as
{
	my ($node, $database, $expected, $name) = @_;
	my $found = everything($node, $database);
	count_rows(scalar(() = $found =~ /^row of /mg));
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
