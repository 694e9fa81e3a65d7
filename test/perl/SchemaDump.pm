
# A schema as pg_dump sees it, so that it can be compared with what it was.

package SchemaDump;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(statements);

# The statements of a dump, sorted, but for the order of columns, which a rollback does not restore, and the dump's own settings
sub statements
{
	my ($dump) = @_;
	my @statements;

	$dump =~ s/^(--.*|\\(un)?restrict .*|SET .*|SELECT pg_catalog\.set_config.*)?\n//mg;
	for my $statement (split(/;\n/, $dump))
	{
		if ($statement =~ /^(CREATE (?:UNLOGGED )?TABLE .*?\(\n)(.*)(\n\).*)$/s)
		{
			my ($head, $columns, $tail) = ($1, $2, $3);
			$statement = $head . join("\n", sort(split(/,?\n/, $columns))) . $tail;
		}
		$statement =~ s/(CREATE STATISTICS .* ON )(.*)( FROM )/$1 . join(', ', sort(split(m{, }, $2))) . $3/e;
		push @statements, $statement;
	}
	return sort @statements;
}

1;
