-- The oracle of the load test: a twin of connections.connections that the applications write in the same transactions, and what each
-- version has to be like by it, in plain SQL.  A twin has the entry that its connection belongs to and what the applications have said of
-- the rest; type is the one that the old application gave it while it belonged to type_slug.
CREATE SCHEMA load;
CREATE SEQUENCE load.fresh;

CREATE FUNCTION load.slug(provider text, config jsonb) RETURNS text IMMUTABLE RETURN
	CASE provider WHEN 'google_workspace' THEN config ->> 'capability' ELSE provider END;
CREATE FUNCTION load.provider(slug text) RETURNS text IMMUTABLE RETURN
	CASE WHEN slug IN ('calendar', 'sheets') THEN 'google_workspace' ELSE slug END;
CREATE FUNCTION load.usual_type(slug text) RETURNS text IMMUTABLE RETURN
	CASE slug WHEN 'smtp' THEN 'basic' WHEN 'telegram' THEN 'bot' ELSE 'oauth2' END;

CREATE TABLE load.twin AS
SELECT id, user_id, load.slug(provider, config) AS slug, type::text, load.slug(provider, config) AS type_slug, name::text AS label, config,
	created_at, updated_at
FROM connections.connections;
ALTER TABLE load.twin ADD PRIMARY KEY (id), ALTER created_at SET DEFAULT now(), ALTER updated_at SET DEFAULT now();

-- What a rollback over step 4 has to make of them: config tells the capability, and an entry that the old application has not chosen
-- gives the type that its connections usually have.  A connection that the new application has pointed at such an entry and away from it
-- again while the rollback was under way was given that capability, and keeps it, where it says nothing: that key alone is taken over.
CREATE PROCEDURE load.roll_back() LANGUAGE sql AS $$
UPDATE load.twin t SET config = c.config FROM connections.connections c
WHERE c.id = t.id AND t.slug NOT IN ('calendar', 'sheets') AND c.config IS DISTINCT FROM t.config AND c.config - 'capability' = t.config - 'capability';
UPDATE load.twin SET config = jsonb_set(config, '{capability}', to_jsonb(slug))
WHERE slug IN ('calendar', 'sheets') AND config ->> 'capability' IS DISTINCT FROM slug;
UPDATE load.twin SET type = load.usual_type(slug), type_slug = slug WHERE type_slug IS DISTINCT FROM slug
$$;

-- The rows that are there, and those that should be, as text; each statement sees both tables at one moment.  available_connection_id is
-- compared where it is there.
CREATE VIEW load.expected AS
SELECT concat_ws(' | ', id, user_id, slug, label, config, created_at, updated_at) AS redesigned,
	concat_ws(' | ', id, user_id, load.provider(slug), type, coalesce(label, ''), config, created_at, updated_at) AS legacy, slug
FROM load.twin;

CREATE FUNCTION load.compare(OUT compared bigint, OUT missing bigint, OUT surplus bigint, OUT examples text) LANGUAGE plpgsql AS $$
DECLARE
	columns text[] := ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = 'connections.connections'::regclass AND NOT attisdropped);
	entry text := CASE WHEN 'available_connection_id' = ANY (columns)
		THEN '(SELECT slug FROM connections.available_connections a WHERE a.id = c.available_connection_id)' ELSE 'NULL' END;
	found text := CASE WHEN 'label' = ANY (columns)
		THEN format('concat_ws('' | '', id, user_id, %s, label, config, created_at, updated_at)', entry)
		ELSE format('concat_ws('' | '', id, user_id, provider, type, name, config, created_at, updated_at) || coalesce('' to '' || %s, '''')', entry) END;
	expected text := CASE WHEN 'label' = ANY (columns) THEN 'redesigned' WHEN entry = 'NULL' THEN 'legacy' ELSE 'legacy || '' to '' || slug' END;
BEGIN
	EXECUTE format('
		WITH found (r) AS MATERIALIZED (SELECT %s FROM connections.connections c), expected (r) AS MATERIALIZED (SELECT %s FROM load.expected),
			missing AS MATERIALIZED (TABLE expected EXCEPT ALL TABLE found), surplus AS MATERIALIZED (TABLE found EXCEPT ALL TABLE expected)
		SELECT (SELECT count(*) FROM found), (SELECT count(*) FROM missing), (SELECT count(*) FROM surplus),
			(SELECT string_agg(r, E''\n'' ORDER BY substr(r, 3)) FROM (
				(SELECT ''- '' || r FROM missing ORDER BY r LIMIT 3) UNION ALL (SELECT ''+ '' || r FROM surplus ORDER BY r LIMIT 3)) t (r))',
		found, expected)
	INTO compared, missing, surplus, examples;
END
$$;
