
# The claim: a dump carries all that a rollback needs.  A database that is dumped at version 4 and restored elsewhere goes back to the
# legacy version without losing a type, a label or its history.

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
	my ($database, @files) = @_;
	my ($stdout, $stderr) = run_command(
		[
			'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-v', 'rows=2000',
			'-d', $node->connstr($database), map { ('-f', "test/fixtures/$_.sql") } @files
		]);
	die $stderr if $stderr;
	return $stdout;
}

my $history = 'SELECT to_jsonb(h) FROM connections_redesign.history h ORDER BY id';
my $dump = "$PostgreSQL::Test::Utils::tmp_check/version_4.dump";

run_fixture('postgres', 'legacy', 'rows');
my $legacy_rows = run_fixture('postgres', 'checksum');
my $columns = q{
	SELECT attname, format_type(atttypid, atttypmod), attnotnull
	FROM pg_attribute WHERE attrelid = 'connections.connections'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname};
my $legacy_columns = $node->safe_psql('postgres', $columns);
isnt(
	$node->safe_psql('postgres', "SELECT count(*) FROM connections.connections WHERE type IN ('imap', 'service_account')"),
	'0', 'some rows have a type that no catalog entry gives back');

$node->safe_psql('postgres', 'CREATE EXTENSION connections_redesign');
$node->safe_psql('postgres', 'SELECT connections_migrate(4)');
my $migrated_rows = run_fixture('postgres', 'checksum');
my $before = $node->safe_psql('postgres', $history);
isnt($before, '', 'the migration is in history');

command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('postgres') ], 'version 4 is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ], 'and restored elsewhere');

is(run_fixture('restored', 'checksum'), $migrated_rows, 'the restored rows are the migrated ones');
is($node->safe_psql('restored', $history), $before, 'history came along');
is( $node->safe_psql('restored', "SELECT string_agg(state || ' ' || mode, ', ' ORDER BY step) FROM connections_status()"),
	'applied atomic, applied atomic, applied atomic, applied atomic',
	'the restored database knows how it was migrated');

is($node->safe_psql('restored', 'SELECT connections_rollback(0)'), '0', 'the restored database is rolled back');
is(run_fixture('restored', 'checksum'), $legacy_rows, 'every row is what it was before the migration');
is($node->safe_psql('restored', $columns), $legacy_columns, 'so is every column');
is($node->safe_psql('restored', "$history LIMIT " . split(/\n/, $before)), $before, 'history still begins with the migration');
is( $node->safe_psql('restored', "SELECT string_agg(DISTINCT direction || ' ' || state, ', ') FROM connections_redesign.history"),
	'down applied, up applied',
	'and ends with the rollback');

$node->stop;
done_testing();
