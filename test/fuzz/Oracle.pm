# What a migration should have made of a database, in plain SQL that shares no code with the extension: every connection and every entry of
# the catalog as they should be, the schema as others would have made it, and whether a migration should be refused.
#
# The rows are tables of text in the schema oracle of a twin database, whose schema connections stays the legacy one: rows that are to come
# back to it are tried there.

package Oracle;

use strict;
use warnings;

my %registry = (
	calendar => [ 'google_workspace', 'calendar', 'oauth2' ],
	gmail    => [ 'gmail', undef, 'oauth2' ],
	sheets   => [ 'google_workspace', 'sheets', 'oauth2' ],
	smtp     => [ 'smtp', undef, 'basic' ],
	telegram => [ 'telegram', undef, 'bot_token' ],
);

# The columns that a migration writes; all others are "rest".
my @migrated = qw(provider type name config available_connection_id label);

sub new
{
	my ($class, $twin, $subject) = @_;
	my $self = bless { twin => $twin, subject => $subject, version => 0 }, $class;

	$twin->do(<<'SQL');
CREATE SCHEMA oracle;
CREATE TABLE oracle.registry (slug text PRIMARY KEY, provider text, capability text, auth_type text);
CREATE TABLE oracle.entry (id text PRIMARY KEY, slug text, auth_type text, display_name text, saved_slug text, saved_auth_type text, saved_display_name text, rest text);
CREATE TABLE oracle.connection (key text PRIMARY KEY, provider text, type text, name text, config text, id text, label text, rest jsonb,
	saved_type text, saved_for text, was_null boolean NOT NULL DEFAULT false);
CREATE TABLE oracle.entry_type (id text PRIMARY KEY, type text);
CREATE VIEW oracle.known AS
	SELECT e.id, e.slug, coalesce(r.provider, e.slug) AS provider, r.capability, e.auth_type FROM oracle.entry e LEFT JOIN oracle.registry r USING (slug);
CREATE FUNCTION oracle.id_of(provider text, config text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT id FROM oracle.known k WHERE k.provider = id_of.provider COLLATE "C"
	AND (capability IS NULL OR capability = (config::json ->> 'capability') COLLATE "C")
$$;
SQL
	$twin->do('INSERT INTO oracle.registry VALUES (?, ?, ?, ?)', undef, $_, @{ $registry{$_} }) for sort keys %registry;
	$self->{required} = { map { $_->[0] => $_->[1] } @{ $subject->selectall_arrayref(<<'SQL') } };
SELECT attname, attnotnull::int FROM pg_catalog.pg_attribute WHERE attrelid = 'connections.connections'::pg_catalog.regclass AND attname IN ('provider', 'type', 'name')
SQL
	$self->{json} = $subject->selectrow_array(q{SELECT atttypid::pg_catalog.regtype FROM pg_catalog.pg_attribute WHERE attrelid = 'connections.connections'::pg_catalog.regclass AND attname = 'config'});
	my $rows = $self->actual;
	for my $key (sort keys %{ $rows->{connections} })
	{
		$self->wrote($key, undef, $rows->{connections}{$key});
	}
	for my $id (sort keys %{ $rows->{entries} })
	{
		my $entry = $rows->{entries}{$id};
		$twin->do('INSERT INTO oracle.entry (id, slug, rest) VALUES (?, ?, ?)', undef, $id, $entry->{name}, $entry->{rest});
	}
	return $self;
}

# All rows as the subject has them, by key: columns as text.
sub actual
{
	my ($self) = @_;
	my $dbh = $self->{subject};
	my %columns = map { $_->[0] => 1 } @{ $dbh->selectall_arrayref(q{SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = 'connections.connections'::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped}) };
	my $list = join(', ', map { $columns{$_} ? "$_\:\:text AS $_" : "NULL AS $_" } @migrated);
	my $migrated = join(',', @migrated);
	my %result = (connections => {}, entries => {});

	$result{connections} = $dbh->selectall_hashref(
		"SELECT id::text AS key, $list, (pg_catalog.to_jsonb(t) - '{$migrated}'::pg_catalog.text[])::text AS rest FROM connections.connections t", 'key');
	my $new = $dbh->selectrow_array(q{SELECT count(*) FROM pg_catalog.pg_attribute WHERE attrelid = 'connections.available_connections'::pg_catalog.regclass AND attname = 'slug' AND NOT attisdropped});
	$list = $new ? 'NULL AS name, slug::text AS slug, auth_type::text AS auth_type, display_name::text AS display_name' : 'name::text AS name, NULL AS slug, NULL AS auth_type, NULL AS display_name';
	$result{entries} = $dbh->selectall_hashref(
		"SELECT id::text AS key, $list, (pg_catalog.to_jsonb(t) - '{id,name,slug,auth_type,display_name}'::pg_catalog.text[])::text AS rest FROM connections.available_connections t", 'key');
	return \%result;
}

# An application has written a connection: before and after as it has them itself, NULL for a row that is not there.  The sync trigger's part is
# worked out here.
sub wrote
{
	my ($self, $key, $before, $after) = @_;
	my $twin = $self->{twin};

	if (!$after)
	{
		$twin->do('DELETE FROM oracle.connection WHERE key = ?', undef, $key);
		return;
	}
	$twin->do('INSERT INTO oracle.connection (key) VALUES (?)', undef, $key) if !$before;
	if ($self->{version} == 4)
	{
		$twin->do('UPDATE oracle.connection SET id = ?, label = ?, config = ?, rest = ? WHERE key = ?', undef,
			@$after{qw(available_connection_id label config rest)}, $key);
		return;
	}
	if ($self->{version} >= 2)
	{
		# what an UPDATE changes, and an INSERT leaves out, the sync trigger fills
		$twin->do(<<'SQL', undef, @$after{qw(provider config provider config)}, $key);
UPDATE oracle.connection SET id = oracle.id_of($1, $2)
WHERE key = $5 AND (id IS NULL OR oracle.id_of(provider, config) IS DISTINCT FROM oracle.id_of($3, $4))
SQL
	}
	$twin->do('UPDATE oracle.connection SET provider = ?, type = ?, name = ?, config = ?, rest = ? WHERE key = ?', undef,
		@$after{qw(provider type name config rest)}, $key);
	return;
}

# An application has added an entry to the catalog, or deleted one.
sub wrote_entry
{
	my ($self, $id, $entry) = @_;

	if ($entry)
	{
		$self->{twin}->do('INSERT INTO oracle.entry (id, slug, auth_type, display_name, rest) VALUES (?, ?, ?, ?, ?)', undef,
			$id, @$entry{qw(slug auth_type display_name rest)});
	}
	else
	{
		$self->{twin}->do('DELETE FROM oracle.entry WHERE id = ?', undef, $id);
	}
	return;
}

# What the report on the mapping should be about, or undef
sub unmapped
{
	my ($self) = @_;
	my $wrong = $self->{version} < 2 ? 'oracle.id_of(provider, config) IS NULL' : 'id IS NULL OR id IS DISTINCT FROM oracle.id_of(provider, config)';

	return undef if $self->{version} == 4;
	return $self->{twin}->selectrow_array("SELECT key FROM oracle.connection WHERE $wrong LIMIT 1");
}

# Why a migration to that version, in that mode, should be refused, or undef.
sub refusal
{
	my ($self, $target, $online) = @_;
	my $twin = $self->{twin};
	my $version = $self->{version};

	if ($target > $version)
	{
		return 'a connection maps to nothing'
		  if $version < 2 && $target >= 2 && $twin->selectrow_array('SELECT count(*) FROM oracle.connection WHERE oracle.id_of(provider, config) IS NULL');
		return 'a connection has no available_connection_id'
		  if $version == 2 && $target >= 3 && $twin->selectrow_array('SELECT count(*) FROM oracle.connection WHERE id IS NULL OR id IS DISTINCT FROM oracle.id_of(provider, config)');
		return undef;
	}
	return $self->refusal_of_legacy($online) if $version == 4;
	return undef;
}

# Whether the legacy table takes the rows that it is to get.
sub refusal_of_legacy
{
	my ($self, $online) = @_;
	my $twin = $self->{twin};

	$twin->begin_work;
	$self->undo_step4;
	my $refusal = $twin->selectrow_array(<<'SQL');
SELECT 'config is no object' FROM oracle.connection c JOIN oracle.known k USING (id)
WHERE k.capability IS NOT NULL AND config IS NOT NULL AND json_typeof(config::json) <> 'object' LIMIT 1
SQL
	if (!$refusal)
	{
		my $columns = join(', ', map { $_->[0] } @{ $twin->selectall_arrayref(<<'SQL') });
SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = 'connections.connections'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname <> 'config'
SQL
		for my $constraint (@{ $twin->selectcol_arrayref(q{SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = 'connections.connections'::regclass AND NOT convalidated}) })
		{
			$twin->do("ALTER TABLE connections.connections DROP CONSTRAINT $constraint");
		}
		$twin->do('ALTER TABLE connections.connections DISABLE TRIGGER USER');
		$twin->do('ALTER TABLE connections.connections NO FORCE ROW LEVEL SECURITY');
		eval {
			local $twin->{PrintError} = 0;
			$twin->do(<<"SQL");
INSERT INTO connections.connections ($columns, config) OVERRIDING SYSTEM VALUE
SELECT $columns, c.config::$self->{json} FROM (
	SELECT (jsonb_populate_record(NULL::connections.connections, rest || jsonb_build_object('provider', provider, 'type', type, 'name', name))).*,
		config AS new_config FROM oracle.connection) t, LATERAL (SELECT new_config) c (config)
SQL
			$twin->do('SET CONSTRAINTS ALL IMMEDIATE');
			# a connection without a label might, too, where the name is then empty
			$twin->do(<<"SQL") if $online && $self->{required}{name};
DO \$\$
DECLARE
	k text;
	allowed boolean;
BEGIN
	FOR k IN SELECT id::text FROM connections.connections LOOP
		BEGIN
			UPDATE connections.connections SET name = name WHERE id::text = k;
			allowed := true;
			UPDATE connections.connections SET name = '' WHERE id::text = k;
			allowed := false;
			RAISE query_canceled;
		EXCEPTION
			WHEN check_violation OR foreign_key_violation THEN
				IF allowed THEN
					RAISE;
				END IF;
			WHEN unique_violation OR query_canceled THEN
		END;
	END LOOP;
END
\$\$
SQL
			# a connection of any entry might come while it is undone
			$twin->do(<<'SQL') if $online;
SELECT jsonb_populate_record(NULL::connections.connections,
	jsonb_build_object('provider', k.provider, 'type', CASE WHEN d.id IS NULL THEN k.auth_type ELSE d.type END))
FROM oracle.known k LEFT JOIN oracle.entry_type d USING (id)
SQL
			1;
		} or do {
			my $state = $twin->state;
			die $@ if $state !~ /^2[23]/;
			$refusal = $twin->errstr;
		};
	}
	$twin->rollback;
	return $refusal;
}

# The migration has been done: so should the rows be.
sub migrated
{
	my ($self, $target) = @_;

	while ($self->{version} < $target)
	{
		my $step = ++$self->{version};
		my $do = $self->can("do_step$step");
		$do->($self) if $do;
	}
	while ($self->{version} > $target)
	{
		my $undo = $self->can("undo_step$self->{version}");
		$undo->($self) if $undo;
		$self->{version}--;
	}
	return;
}

sub do_step1
{
	my ($self) = @_;
	$self->{twin}->do(<<'SQL');
UPDATE oracle.entry e SET auth_type = CASE WHEN saved_slug = slug THEN saved_auth_type ELSE (SELECT auth_type FROM oracle.registry r WHERE r.slug = e.slug) END,
	display_name = CASE WHEN saved_slug = slug THEN saved_display_name END
SQL
	return;
}

sub undo_step1
{
	my ($self) = @_;
	$self->{twin}->do('UPDATE oracle.entry SET saved_slug = slug, saved_auth_type = auth_type, saved_display_name = display_name, auth_type = NULL, display_name = NULL');
	return;
}

sub do_step2
{
	my ($self) = @_;
	$self->{twin}->do('UPDATE oracle.connection SET id = oracle.id_of(provider, config)');
	return;
}

sub undo_step2
{
	my ($self) = @_;
	$self->{twin}->do('UPDATE oracle.connection SET id = NULL');
	return;
}

sub do_step4
{
	my ($self) = @_;
	$self->{twin}->do(<<'SQL');
TRUNCATE oracle.entry_type;
INSERT INTO oracle.entry_type SELECT id, (array_agg(type ORDER BY n DESC, type COLLATE "C"))[1]
FROM (SELECT id, type, count(*) AS n FROM oracle.connection GROUP BY 1, 2) t GROUP BY 1;
UPDATE oracle.connection SET saved_type = type, saved_for = id, label = CASE WHEN name = '' AND was_null THEN NULL ELSE name END, was_null = false,
	provider = NULL, type = NULL, name = NULL
SQL
	return;
}

sub undo_step4
{
	my ($self) = @_;
	# a allow NULL in label as a name only where it could be before
	my $name = $self->{required}{name} ? "coalesce(label, '')" : 'label';
	my $was_null = $self->{required}{name} ? 'label IS NULL' : 'false';
	$self->{twin}->do(<<"SQL");
UPDATE oracle.connection c SET provider = k.provider,
	type = CASE WHEN saved_for = c.id THEN saved_type WHEN d.id IS NOT NULL THEN d.type ELSE k.auth_type END,
	name = $name, was_null = $was_null, label = NULL,
	config = CASE WHEN k.capability IS NULL OR k.capability = (config::json ->> 'capability') THEN config
		WHEN config IS NOT NULL AND json_typeof(config::json) <> 'object' THEN config
		ELSE jsonb_set(coalesce(config, '{}')::jsonb, '{capability}', to_jsonb(k.capability))::text END
FROM oracle.known k LEFT JOIN oracle.entry_type d USING (id) WHERE k.id = c.id
SQL
	# each is new to the next migration
	$self->{twin}->do('UPDATE oracle.connection SET saved_for = NULL, saved_type = NULL');
	return;
}

# How the subject's rows differ from what they should be: lines of text.
sub differences
{
	my ($self) = @_;
	my $actual = $self->actual;
	my $version = $self->{version};
	my $expected = $self->{twin}->selectall_hashref(
		'SELECT key, provider, type, name, config, id AS available_connection_id, label, rest::text AS rest FROM oracle.connection', 'key');
	my $entries = $self->{twin}->selectall_hashref(
		$version < 1 ? 'SELECT id AS key, slug AS name, NULL AS slug, NULL AS auth_type, NULL AS display_name, rest FROM oracle.entry'
		: 'SELECT id AS key, NULL AS name, slug, auth_type, display_name, rest FROM oracle.entry', 'key');
	my @lines;

	push @lines, compare('connection', $expected, $actual->{connections}, $self->{json});
	push @lines, compare('entry', $entries, $actual->{entries}, '');
	return @lines;
}

sub compare
{
	my ($what, $expected, $actual, $json) = @_;
	my @lines;

	for my $key (sort(keys %{ { %$expected, %$actual } }))
	{
		my ($e, $a) = ($expected->{$key}, $actual->{$key});
		if (!$e || !$a)
		{
			push @lines, "$what $key is " . ($a ? 'there' : 'not there');
			next;
		}
		for my $column (sort keys %$e)
		{
			my ($want, $have) = map { defined $_->{$column} ? $_->{$column} : 'NULL' } $e, $a;
			next if $want eq $have;
			# what the oracle has made by way of jsonb, json may spell in another way
			next if $column eq 'config' && $json eq 'json' && $want =~ /^\{"/ && same_json($want, $have);
			push @lines, "$what $key: $column is $have, should be $want";
		}
	}
	return @lines;
}

sub same_json
{
	my ($want, $have) = @_;
	my $strip = sub { my %members = map { s/\s*:\s*/:/r => 1 } map { s/^\s+|\s+$//gr } split(/,(?=\s*")/, $_[0] =~ s/^\s*\{|\}\s*$//gr); return join(',', sort keys %members) };
	return $strip->($want) eq $strip->($have);
}

# The statements that others would take the steps with, in a database that has the legacy schema without rows.
sub step_sql
{
	my ($step, $id_type) = @_;
	return (
		undef,
		'ALTER TABLE connections.available_connections ADD COLUMN slug text, ADD COLUMN display_name text, ADD COLUMN auth_type text;
UPDATE connections.available_connections SET slug = name, auth_type = name;
ALTER TABLE connections.available_connections ALTER slug SET NOT NULL, ALTER auth_type SET NOT NULL, ADD UNIQUE (slug), DROP COLUMN name',
		"ALTER TABLE connections.connections ADD COLUMN available_connection_id $id_type",
		'ALTER TABLE connections.connections ALTER available_connection_id SET NOT NULL,
	ADD FOREIGN KEY (available_connection_id) REFERENCES connections.available_connections (id) ON DELETE RESTRICT;
CREATE INDEX ON connections.connections (available_connection_id)',
		'ALTER TABLE connections.connections DROP COLUMN provider, DROP COLUMN type, ALTER name DROP NOT NULL;
ALTER TABLE connections.connections RENAME COLUMN name TO label')[$step];
}

1;
