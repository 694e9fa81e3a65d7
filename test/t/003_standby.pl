
# The claim: what only reads can be asked of a hot standby, and says there what it says on the primary; what writes is refused.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->start;
command_ok(
	[
		'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-v', 'rows=500', '-d', $primary->connstr('postgres'),
		'-f', 'test/fixtures/legacy.sql', '-f', 'test/fixtures/rows.sql'
	],
	'a legacy database');
$primary->safe_psql('postgres', 'CREATE EXTENSION connections_redesign');
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# Asks both servers and expects the same answer; returns it.
sub is_same
{
	my ($query, $name) = @_;
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
	my $answer = $primary->safe_psql('postgres', $query);
	is($standby->safe_psql('postgres', $query), $answer, $name);
	return $answer;
}

my $status = 'SELECT * FROM connections_status()';
my $verify = 'SELECT * FROM connections_verify()';
my $checks = 'SELECT check_name FROM connections_precheck()';

# What the precheck says of the database; its other checks look at the server and the session, which differ.
my $data = q{SELECT * FROM connections_precheck() WHERE check_name NOT IN ('isolation', 'locks', 'old_snapshots', 'disk_space')};

is_same($status, 'status of a legacy database');
is_same($checks, 'the precheck makes the same checks');
unlike(is_same($data, 'they say the same of good data'), qr/\|error\|/, 'which is that there is no error');

$primary->safe_psql('postgres', q{
	INSERT INTO connections.connections (user_id, provider, type, name, config) VALUES
		(gen_random_uuid(), 'google_workspace', 'oauth2', 'no capability', '{}'),
		(gen_random_uuid(), 'google_workspace', 'oauth2', 'near miss', '{"capability": "Sheets"}')});
like(is_same($data, 'they say the same of bad data'), qr/\|error\|/, 'which is that there is an error');

foreach my $function ('migrate', 'rehearse')
{
	my ($result, $stdout, $stderr) = $standby->psql('postgres', "\\set VERBOSITY verbose
SELECT connections_$function(4)");
	isnt($result, 0, "the standby does not $function");
	like($stderr, qr/ERROR:  25006:/, 'as it is read-only');
}

$primary->safe_psql('postgres', "DELETE FROM connections.connections WHERE name IN ('no capability', 'near miss')");
$primary->safe_psql('postgres', 'SELECT connections_migrate(2)');
is_same($status, 'status half way');
is_same('SELECT * FROM connections_plan(4)', 'the plan half way');
$primary->safe_psql('postgres', 'SELECT connections_migrate(4)');
is_same($status, 'status of a redesigned database');
is_same($verify, 'verify');
is_same('SELECT * FROM connections_available()', 'the catalog');
is_same('SELECT * FROM connections_redesign.history', 'history');

$standby->stop;
$primary->stop;
done_testing();
