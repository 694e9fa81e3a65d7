
# The claim: an online rollback that was stopped at any point can be turned round again, in either mode, or completed by the atomic mode.
# The writes of either application are in it, and nothing is lost.

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

create_legacy($node, 'template_down', 2000);
$node->safe_psql('template_down', q{
	SET application.now = '2024-12-01 00:00+00';
	ALTER TABLE connections.connections ADD CONSTRAINT provider_is_lower CHECK (provider = lower(provider));
	SELECT connections_migrate(4);
	UPDATE connections.connections SET label = NULL WHERE label LIKE 'Smtp%' OR label = ''});

# What the atomic mode comes to when it does the same
my %twins;

sub twin
{
	my ($which, @calls) = @_;
	return $twins{"$which @calls"} //= do
	{
		copy($node, 'twin', 'template_down');
		application_writes($node, 'twin', 'new', 1) if $which eq 'new';
		foreach my $call (@calls)
		{
			$node->safe_psql('twin', "SELECT $call");
			application_writes($node, 'twin', 'old', 1) if $which eq 'old' && $call eq $calls[0];
		}
		my $everything = everything($node, 'twin');
		$node->safe_psql('postgres', 'DROP DATABASE twin');
		$everything;
	};
}

# What is rolled back inside a phase is as before it, but for batches, and for an index that is there before it is recorded.
foreach my $point (grep { $_->{name} =~ /^(in (backfill|restore)|\w+)$/ } points($node, 'template_down', 0))
{
	my $name = $point->{name};
	copy($node, 'stopped', 'template_down');
	stop_once($node, 'stopped', $point, 'CALL connections_rollback_online(0)', 'cancel');
	my $which = application_writes($node, 'stopped', undef, 1);

	# A step that was begun has seen to the capability of what was written meanwhile, as the atomic mode does.
	my $version = $point->{begun} ? $point->{step} - 1 : $point->{step};
	my @forward = $version < 4 ? ("connections_rollback($version)", 'connections_migrate(4)') : ();
	my %ways = (
		'CALL connections_migrate_online(4)' => \@forward,
		'SELECT connections_migrate(4)' => \@forward,
		'SELECT connections_rollback(0)' => ['connections_rollback(0)']);

	foreach my $call (sort keys %ways)
	{
		copy($node, 'turned', 'stopped');
		my ($result, $stdout, $stderr) = $node->psql('turned', $call);
		is($result, 0, "$name: $call") or diag($stderr);
		unlike($stderr, qr/rows are moved/, "$name: no snapshot is in its way");

		# A step that was never undone may have kept the types of rows that are gone, or have been pointed elsewhere.
		$node->safe_psql('turned', q{
			DELETE FROM connections_redesign.saved_connection_type k WHERE NOT EXISTS (
				SELECT FROM connections.connections c WHERE c.id::text = k.key AND c.available_connection_id::text = k.available_connection_id)})
		  if $which eq 'new' && $point->{begun} && $call =~ /migrate/;
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
