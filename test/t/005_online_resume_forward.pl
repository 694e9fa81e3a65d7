
# The claim: an online migration can be stopped at any point, and by anything.  The old application goes on writing, the next call ends
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

# It was at version 4 before, so there are NULL labels to bring back, and more to forget.
create_legacy($node, 'template_up', 2000);
$node->safe_psql('template_up', q{
	SELECT connections_migrate(4);
	SET application.now = '2024-12-01 00:00+00';
	UPDATE connections.connections SET label = NULL WHERE label LIKE 'Smtp%' OR label = '';
	SELECT connections_rollback(0)});

my %crashes = map { $_ => 1 } ('in add_column', 'in backfill', 'foreign_key', 'in drop_columns');
foreach my $point (points($node, 'template_up', 4))
{
	stop_at($node, $point, 'CALL connections_migrate_online(4)', 'up', atomic_twin($node, 'up'), @$_) foreach faults($point, $crashes{ $point->{name} } ? 'kill -9' : ());
}

had_no_accident($node);

$node->stop;
done_testing();
