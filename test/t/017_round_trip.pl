
# The claim: the rollback restores all of it.  Tables that have everything at once that a table of the property test can have are taken to
# version 4 and back, in each mode, and pg_dump shows what it showed before, but for the columns' order; so do the rows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl", "$FindBin::RealBin/../fuzz";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SchemaDump;
use Shape;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->start;
my $space = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', $_)
  for "CREATE TABLESPACE fuzz_space LOCATION '$space'", 'CREATE ROLE fuzz_owner; CREATE ROLE fuzz_reader; CREATE ROLE "fuzz Writer"';

# What a table cannot have together, it has one after the other: each shape begins with what the one before had to leave out.
my @left_out = map { $_->[0] } grep { !$_->[2]{session} } @Shape::features;
my %entry = map { $_->[0] => $_ } @Shape::features;

sub shape
{
	my (%choices) = @_;
	my %shape = (map { $_ => $Shape::slots{$_}[0] } keys %Shape::slots);
	my @others = grep { my $name = $_; !$entry{$name}[2]{session} && !grep { $_ eq $name } @left_out } map { $_->[0] } @Shape::features;
	my @next;

	%shape = (%shape, %choices, features => []);
	for my $name (@left_out, @others)
	{
		# neither may rule the other out
		my %with = (%shape, features => [ @{ $shape{features} }, $name ]);
		if (Shape::fits(\%shape, $entry{$name}) && !grep { !Shape::fits(\%with, $entry{$_}) } @{ $shape{features} })
		{
			push @{ $shape{features} }, $name;
		}
		else
		{
			push @next, $name;
		}
	}
	# in the order of the table: one may need another
	my %has = map { $_ => 1 } @{ $shape{features} };
	$shape{features} = [ grep { $has{$_} } map { $_->[0] } @Shape::features ];
	@left_out = grep { my $name = $_; grep { $_ eq $name } @next } @left_out;
	return \%shape;
}

# Rows of which none is refused by a constraint
sub rows_sql
{
	my ($shape) = @_;
	my $state = 1;
	my $rng = sub { $state = ($state * 1103515245 + 12345) % 4294967296; return int($state / 65536) % $_[0]; };
	my @rows = map { Shape::random_values($rng, $shape, $_, 0) } grep { $_ % 5 } 1 .. 60;
	my @columns = sort keys %{ $rows[0] };

	return 'INSERT INTO connections.connections (' . join(', ', @columns) . ') VALUES '
	  . join(', ', map { my $row = $_; '(' . join(', ', map { Shape::literal($row->{$_}) } @columns) . ')' } @rows) . ';';
}

sub dump_of
{
	my ($database) = @_;
	my ($stdout, $stderr) = run_command([ 'pg_dump', '--schema-only', '--no-sync', '-d', $node->connstr($database) ]);
	die $stderr if $stderr;
	return join(";\n", SchemaDump::statements("$stdout\n"));
}

sub rows_of
{
	my ($database) = @_;
	return join("\n", map { $node->safe_psql($database, <<"SQL") } qw(connections available_connections));
SELECT (SELECT string_agg(key || ' ' || value, ' ' ORDER BY key) FROM json_each(row_to_json(t))) FROM connections.$_ t ORDER BY 1
SQL
}

my %tried;
for my $choices (
	{},
	{ partitions => 'hash', catalog_id => 'bigint', id => 'bigint', provider => 'text', type => 'enum', name => 'text', config => 'json', owner => 'owner' },
	{ partitions => 'range', key => 'composite', catalog_id => 'serial', id => 'text', provider => 'domain', type => 'citext', name => 'citext' },
	{ partitions => 'list', catalog_id => 'text', provider => 'citext', type => 'domain', name => 'domain', config => 'json' },
	{ provider => 'enum', type => 'text', key => 'composite', owner => 'owner' })
{
	my $shape = shape(%$choices);
	my $name = join(' ', map { "$_=$choices->{$_}" } sort keys %$choices) || 'as in the runbook';
	my $sql = Shape::shape_sql($shape);
	my $rows = rows_sql($shape);

	$sql =~ s/^:rows$/$rows/m;
	$tried{$_} = 1 for @{ $shape->{features} };
	$node->safe_psql('postgres', 'CREATE DATABASE subject');
	$node->safe_psql('subject', "CREATE EXTENSION citext; CREATE EXTENSION connections_redesign; SET client_min_messages = error;\n$sql");
	my $dump = dump_of('subject');
	my $before = rows_of('subject');
	for my $mode ([ 'atomic', 'SELECT connections_migrate(4)', 'SELECT connections_rollback(0)' ],
		[ 'online', 'CALL connections_migrate_online(4)', 'CALL connections_rollback_online(0)' ])
	{
		my ($which, $forward, $back) = @$mode;
		is( $node->safe_psql('subject', q{SELECT check_name || ': ' || found FROM connections_precheck(4) WHERE status = 'error'}),
			'', "$name: the precheck has no error");
		$node->safe_psql('subject', "SET client_min_messages = error; $forward");
		isnt(dump_of('subject'), $dump, "$name, $which: pg_dump shows another schema at version 4");
		$node->safe_psql('subject', "SET client_min_messages = error; $back");
		is(dump_of('subject'), $dump, "$name, $which: pg_dump shows the legacy schema again");
		is(rows_of('subject'), $before, "$name, $which: every row is what it was");
	}
	$node->safe_psql('postgres', 'DROP DATABASE subject');
	$node->safe_psql('postgres', 'DROP PUBLICATION IF EXISTS fuzz_publication');
}
is(join(', ', grep { !$entry{$_}[2]{session} && !$tried{$_} } sort keys %entry), '', 'everything that a table can have was there in one of them');

$node->stop;
done_testing();
