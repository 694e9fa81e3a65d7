
# The claim: limits that a server or a role sets end a run with an error that says which, or do not touch it.  The atomic mode then leaves
# all as it was; the online mode goes on when it is called again, and ends where an undisturbed run does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use OnlineRun;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
$node->append_conf('postgresql.conf', "max_connections = 6\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0");
$node->start;
create_legacy($node, 'template_up', 2000);
$node->safe_psql('template_up', q{
	CREATE ROLE owner;
	CREATE ROLE limited LOGIN IN ROLE owner;
	GRANT EXECUTE ON FUNCTION connections_migrate, connections_rollback TO limited;
	GRANT EXECUTE ON PROCEDURE connections_migrate_online, connections_rollback_online TO limited;
	GRANT USAGE, CREATE ON SCHEMA connections TO owner;
	ALTER TABLE connections.connections OWNER TO owner;
	ALTER TABLE connections.available_connections OWNER TO owner});
my @calls = (
	[ 'SELECT connections_migrate(4)', 'CALL connections_migrate_online(4)' ],
	[ 'SELECT connections_rollback(0)', 'CALL connections_rollback_online(0)' ]);

# What the atomic mode comes to forward, and back
my @twins;
copy($node, 'twin', 'template_up');
foreach my $call (@calls)
{
	$node->safe_psql('twin', $call->[0]);
	push @twins, everything($node, 'twin');
}
$node->safe_psql('postgres', 'DROP DATABASE twin');

# Calls as the role that is limited.
sub call
{
	my ($database, $call) = @_;
	return $node->psql($database, "\\set VERBOSITY verbose\n$call", extra_params => [ '-U', 'limited' ]);
}

# Both ways in both modes under settings of the role that must not matter
sub does_not_matter
{
	my ($name, @settings) = @_;
	foreach my $mode (0, 1)
	{
		copy($node, 'app', 'template_up');
		$node->safe_psql('postgres', "ALTER ROLE limited IN DATABASE app SET $_") foreach @settings;
		foreach my $way (0, 1)
		{
			my $call = $calls[$way][$mode];
			my ($result, $stdout, $stderr) = call('app', $call);
			is($result, 0, "$name does not matter to $call") or diag($stderr);
			is_same_as($node, 'app', $twins[$way], "$name: $call ends as ever");
		}
		is(setbacks($node, 'app'), '', "$name: there was no setback");
		$node->safe_psql('postgres', 'DROP DATABASE app');
	}
	return;
}
does_not_matter('lock_timeout', "lock_timeout = '1ms'");
does_not_matter('idle_in_transaction_session_timeout', "idle_in_transaction_session_timeout = '1ms'");
$node->safe_psql('postgres', 'GRANT SET ON PARAMETER temp_file_limit TO limited');
does_not_matter('temp_file_limit', 'temp_file_limit = 0', "maintenance_work_mem = '1MB'");
$node->safe_psql('postgres', 'ALTER ROLE limited CONNECTION LIMIT 1');
does_not_matter('CONNECTION LIMIT', 'work_mem = DEFAULT');
$node->safe_psql('postgres', 'ALTER ROLE limited CONNECTION LIMIT -1');

# Without temporary files, and without memory to do without them
copy($node, 'app', 'template_up');
my $legacy = everything($node, 'app');
$node->safe_psql('postgres', "ALTER ROLE limited IN DATABASE app SET $_") foreach 'temp_file_limit = 0', "work_mem = '64kB'";
foreach my $call (@{ $calls[0] })
{
	my ($result, $stdout, $stderr) = call('app', $call);
	like($stderr, qr/ERROR:  53400: .*temp_file_limit/, "temp_file_limit ends $call");
	is_same_as($node, 'app', $legacy, 'all is as it was');
}
$node->safe_psql('postgres', 'DROP DATABASE app');

# Timeouts that end a statement, or the session, get longer until they suffice: one call after another comes further.
sub ends_runs
{
	my ($timeout, $error, $state) = @_;
	foreach my $way (0, 1)
	{
		my ($atomic, $online) = @{ $calls[$way] };
		copy($node, 'app', 'template_up');
		$node->safe_psql('app', $calls[0][0]) if $way;
		my $before = everything($node, 'app');
		$node->safe_psql('postgres', "ALTER ROLE limited IN DATABASE app SET $timeout = 1");
		my ($result, $stdout, $stderr) = call('app', $atomic);
		like($stderr, $error, "$timeout ends $atomic");
		is_same_as($node, 'app', $before, "$timeout: all is as it was");
		my $ncalls = 0;
		for (my $milliseconds = 8;; $milliseconds *= 2)
		{
			die "$timeout = $milliseconds is not enough" if $milliseconds > 600_000;
			$node->safe_psql('postgres', "ALTER ROLE limited IN DATABASE app SET $timeout = $milliseconds");
			($result, $stdout, $stderr) = call('app', $online);
			$ncalls++;
			last if $result == 0;
			like($stderr, $error, "$timeout = $milliseconds ends $online");
			is( $node->safe_psql('app', "SELECT count(*) FROM connections_status() WHERE state = 'running'"),
				'0', "$timeout = $milliseconds: no step looks as if it were running");
		}
		isnt($ncalls, 1, "$timeout: it took more than one call of $online");
		is_same_as($node, 'app', $twins[$way], "$timeout: which came to the end");
		like(setbacks($node, 'app'), qr/^(\d (up|down) online $state\n?)*$/, "$timeout: history tells how the others ended");
		$node->safe_psql('postgres', 'DROP DATABASE app');
	}
	return;
}
ends_runs('statement_timeout', qr/ERROR:  57014: .*statement timeout/, 'canceled 57014');
SKIP:
{
	skip 'transaction_timeout came with 17', 1 unless $node->safe_psql('postgres', "SELECT count(*) FROM pg_settings WHERE name = 'transaction_timeout'");
	ends_runs('transaction_timeout', qr/FATAL:  25P04: .*transaction timeout/, 'interrupted');
}

# All connections are taken while it runs: its worker needs none.
copy($node, 'app', 'template_up');
my @others = map { $node->background_psql('postgres') } 1 .. 5;
my ($result, $stdout, $stderr) = call('app', $calls[0][1]);
is($result, 0, 'the last connection is enough for a run, and for its worker') or diag($stderr);
push @others, $node->background_psql('postgres');
($result, $stdout, $stderr) = call('app', $calls[1][1]);
like($stderr, qr/FATAL: .*too many clients|FATAL: .*connection slots/, 'without one it cannot be called');
$_->quit foreach @others;
is_same_as($node, 'app', $twins[0], 'and nothing is changed');
$node->safe_psql('postgres', 'DROP DATABASE app');

# The backend may have no more memory than it has, and then meets a config of 30 MB.
SKIP:
{
	skip 'there is no prlimit', 1 unless $^O eq 'linux' && system('prlimit --version > /dev/null 2>&1') == 0;
	copy($node, 'template_big', 'template_up');
	$node->safe_psql('template_big', q{
		SET application.now = '2024-12-01 00:00+00';
		UPDATE connections.connections SET config = config || jsonb_build_object('padding', repeat('x', 30000000))
		WHERE id = md5('connection 2')::uuid});
	copy($node, 'twin', 'template_big');
	$node->safe_psql('twin', $calls[0][0]);
	my $twin = everything($node, 'twin');
	foreach my $mode (0, 1)
	{
		copy($node, 'app', 'template_big');
		my $before = everything($node, 'app');
		my $blocker = close_waitpoint($node, 'app');
		my $run = start_run($node, 'app', $mode ? $calls[0][1] : "SELECT pg_advisory_xact_lock(63726472); $calls[0][0]", 'connections_redesign.debug_waitpoint' => 'backfill');
		ok(wait_for_waitpoint($run), 'it is on its way') or diag(end_run($run));
		my ($size) = slurp_file("/proc/$run->{pid}/status") =~ /^VmSize:\s+(\d+) kB/m or die;
		system_or_bail('prlimit', "--pid=$run->{pid}", '--as=' . ($size + 8192) * 1024 . ':' . ($size + 8192) * 1024);
		open_waitpoint($blocker);
		like(end_run($run), qr/ERROR:  53200: out of memory/, "without memory, $calls[0][$mode] ends");
		if ($mode)
		{
			is(states($node, 'app'), 'applied interrupted pending pending', 'the step is interrupted');
			is(setbacks($node, 'app'), '2 up online failed 53200', 'history knows why');
		}
		else
		{
			is_same_as($node, 'app', $before, 'all is as it was');
		}
		is($node->psql('app', $calls[0][$mode]), 0, 'with memory it comes to the end');
		is_same_as($node, 'app', $twin, 'where an undisturbed run does');
		$node->safe_psql('postgres', 'DROP DATABASE app');
	}
}

had_no_accident($node);
$node->stop;
done_testing();
