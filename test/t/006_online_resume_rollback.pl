
# The claim: an online rollback can be stopped at any point, and by anything.  The new application goes on writing, and the old one once its columns are back, the next call ends
# in what the atomic mode would have come to, and history tells what happened.
#
# Every point is stopped at by a cancel and a terminate, and a few of them by a crash; with CRD_ALL set, all by all, each alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use OnlineRun;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
$node->start;

# What goes with the columns comes back one by one.
create_legacy($node, 'template_down', 2000);
$node->safe_psql('template_down', q{
	ALTER TABLE connections.connections ALTER type SET DEFAULT 'oauth2', ADD CONSTRAINT provider_is_lower CHECK (provider = lower(provider));
	CREATE UNIQUE INDEX by_type_and_id ON connections.connections (type, id);
	CREATE STATISTICS connections.provider_and_type ON provider, type FROM connections.connections;
	COMMENT ON COLUMN connections.connections.type IS 'how it logs in';
	SET application.now = '2024-12-01 00:00+00';
	SELECT connections_migrate(4);
	SELECT connections_seed_catalog();
	UPDATE connections.connections SET label = NULL WHERE label LIKE 'Smtp%' OR label = ''});

my %crashes = map { $_ => 1 } ('in add_columns', 'in backfill', 'in switchover', 'restore');
foreach my $point (points($node, 'template_down', 0))
{
	stop_at($node, $point, 'CALL connections_rollback_online(0)', 'down', atomic_twin($node, 'down'), @$_) foreach faults($point, $crashes{ $point->{name} } ? 'kill -9' : ());
}

had_no_accident($node);

$node->stop;
done_testing();
