
# The claim: a crash never leaves part of a migration behind.  One that was not committed is gone to the last row, although its
# pages had reached the disk; one that was is there.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

sub run_fixture
{
	my @files = map { ('-f', "test/fixtures/$_.sql") } @_;
	my ($stdout, $stderr) = run_command(
		[ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-v', 'rows=2000', '-d', $node->connstr('postgres'), @files ]);
	die $stderr if $stderr;
	return $stdout;
}

# The whole schema, but for the random key in which pg_dump wraps it.
sub schema
{
	my ($dump) = run_command([ 'pg_dump', '--schema-only', '-d', $node->connstr('postgres') ]);
	$dump =~ s/^\\(un)?restrict .*\n//mg;
	return $dump;
}

sub states
{
	return $node->safe_psql('postgres', "SELECT string_agg(state, ' ' ORDER BY step) FROM connections_status()");
}

run_fixture('legacy', 'rows');
$node->safe_psql('postgres', 'CREATE EXTENSION connections_redesign');

my $legacy_schema = schema();
my $legacy_rows = run_fixture('checksum');
like($legacy_schema, qr/CREATE TABLE connections\.connections /, 'the dump shows the legacy schema');
like($legacy_rows, qr/^connections\|2000\|/m, 'the checksum covers the rows');

# Uncommitted, and on disk.
my $session = $node->background_psql('postgres', on_error_stop => 1);
is($session->query('BEGIN; SELECT connections_migrate(4)'), '4', 'a migration is done but not committed');
$node->safe_psql('postgres', 'CHECKPOINT');
$node->stop('immediate');
$session->{run}->kill_kill;
$node->start;

is(states(), 'pending pending pending pending', 'after the crash no step is applied');
is(schema(), $legacy_schema, 'the schema is the legacy one');
is(run_fixture('checksum'), $legacy_rows, 'every row is as it was');
is($node->safe_psql('postgres', 'SELECT count(*) FROM connections_redesign.history'), '0', 'history does not know the run');

# Committed.
is($node->safe_psql('postgres', 'SELECT connections_migrate(4)'), '4', 'the same migration can be run again');
my $migrated_schema = schema();
my $migrated_rows = run_fixture('checksum');
$node->stop('immediate');
$node->start;

is(states(), 'applied applied applied applied', 'after the crash every step is applied');
is(schema(), $migrated_schema, 'the schema is the redesigned one');
is(run_fixture('checksum'), $migrated_rows, 'every row is as it was when the migration committed');
is($node->safe_psql('postgres', "SELECT count(*) FROM connections_verify() WHERE status = 'error' AND check_name !~ 'display'"),
	'0', 'verify finds no error but the names that the seed brings');

# And back.
is($node->safe_psql('postgres', 'SELECT connections_rollback(0)'), '0', 'the migration can be rolled back');
$node->stop('immediate');
$node->start;
is(run_fixture('checksum'), $legacy_rows, 'after a third crash every row is as it was before all of them');

$node->stop;
done_testing();
