
# The claim: an online migration that was stopped at any point can be undone, in either mode, or completed by the atomic mode.  The old
# application's writes are in it, and nothing is lost.

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
	SET application.now = '2024-12-01 00:00+00';
	SELECT connections_migrate(4);
	UPDATE connections.connections SET label = NULL WHERE label LIKE 'Smtp%' OR label = '';
	SELECT connections_rollback(0)});

# What the atomic mode comes to when it does the same
my %twins;

sub twin
{
	my ($which, @calls) = @_;
	return $twins{"$which @calls"} //= do
	{
		copy($node, 'twin', 'template_up');
		application_writes($node, 'twin', 'old', 1) if $which eq 'old';
		$node->safe_psql('twin', 'SELECT connections_migrate(4)') if $which eq 'new';
		application_writes($node, 'twin', 'new', 1) if $which eq 'new';
		$node->safe_psql('twin', "SELECT $_") foreach @calls;
		my $everything = everything($node, 'twin');
		$node->safe_psql('postgres', 'DROP DATABASE twin');
		$everything;
	};
}

# What is rolled back inside a phase is as before it, but for batches.
foreach my $point (grep { $_->{name} =~ /^(in (backfill|backfill_types|null_labels)|\w+)$/ } points($node, 'template_up', 4))
{
	my $name = $point->{name};
	copy($node, 'stopped', 'template_up');
	stop_once($node, 'stopped', $point, 'CALL connections_migrate_online(4)', 'cancel');
	my $which = application_writes($node, 'stopped', undef, 1);

	# The step that the run was at is undone.
	my $version = $point->{step} - 1;
	my @back = $which eq 'new' ? ('connections_rollback()') : $version > 0 ? ("connections_migrate($version)") : ();
	my %ways = (
		'SELECT connections_rollback()' => \@back,
		'CALL connections_rollback_online()' => \@back,
		'SELECT connections_migrate(4)' => $which eq 'new' ? [] : ['connections_migrate(4)']);

	foreach my $call (sort keys %ways)
	{
		copy($node, 'turned', 'stopped');
		my ($result, $stdout, $stderr) = $node->psql('turned', $call);
		is($result, 0, "$name: $call") or diag($stderr);
		unlike($stderr, qr/rows are moved/, "$name: no snapshot is in its way");
		is_same_as($node, 'turned', twin($which, @{ $ways{$call} }), "$name: all is as if it had been done at once");
		is( $node->safe_psql('turned', "SELECT string_agg(check_name, ' ') FROM connections_verify() WHERE status = 'error' AND check_name <> 'display_names'"),
			'', "$name: verify finds no error");
		$node->safe_psql('postgres', 'DROP DATABASE turned');
	}
	$node->safe_psql('postgres', 'DROP DATABASE stopped');
}

had_no_accident($node);

$node->stop;
done_testing();
