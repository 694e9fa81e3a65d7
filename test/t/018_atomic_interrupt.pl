
# The claim: an atomic run that is stopped before any of its statements, or before its commit, and by anything, has done nothing.  The
# application goes on writing, the next call ends in what one comes to that nobody stops, and history knows nothing of it.
#
# A few points are stopped at by a cancel and a terminate, one by a crash; with CRD_ALL set, all by all, each alone.

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
	ALTER TABLE connections.connections ADD CONSTRAINT provider_is_lower CHECK (provider = lower(provider));
	CREATE UNIQUE INDEX by_type_and_id ON connections.connections (type, id);
	SELECT connections_migrate(4);
	SET application.now = '2024-12-01 00:00+00';
	UPDATE connections.connections SET label = NULL WHERE label LIKE 'Smtp%' OR label = '';
	SELECT connections_rollback(0)});
copy($node, 'template_down', 'template_up');
$node->safe_psql('template_down', q{
	SELECT connections_migrate(4);
	SET application.now = '2024-12-01 00:00+00';
	SELECT connections_seed_catalog();
	UPDATE connections.connections SET label = NULL WHERE label LIKE 'Gmail%'});

foreach (
	[ 'up', 4, 'SELECT connections_migrate(4)', qr/ALTER COLUMN available_connection_id TYPE/ ],
	[ 'down', 0, 'SELECT connections_rollback(0)', qr/ALTER COLUMN provider TYPE/ ])
{
	my ($direction, $target, $call, $rewrite) = @$_;
	my @points = atomic_points($node, "template_$direction", $target);
	my @statements = split(/\n/, $node->safe_psql("template_$direction", "SELECT replace(statement, E'\\n', ' ') FROM connections_plan($target) ORDER BY seq"));
	is(@points, @statements + 1, "$direction: a waitpoint before each statement, and one at the end");

	# after the rewrite
	my ($rewritten) = grep { $statements[ $_ - 2 ] =~ $rewrite } 2 .. @statements;
	my %some = map { $_ => 1 } ('statement 1', "statement $rewritten", 'end');
	foreach my $point (@points)
	{
		next unless $ENV{CRD_ALL} || $some{ $point->{name} };
		stop_at($node, $point, $call, $direction, atomic_twin($node, $direction), @$_) foreach faults($point, $point->{name} eq 'end' ? 'kill -9' : ());
	}
}

had_no_accident($node);

$node->stop;
done_testing();
