--
-- seed: connections_seed_catalog() writes what the registry says of each entry, by slug, and no more than that; calling it again changes
-- nothing.  connections_available() shows the catalog, connections_verify() what is wrong with it.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 10
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;
\pset null NULL
CREATE FUNCTION pg_temp.names() RETURNS TABLE (status text, found text, expected text, hint text) LANGUAGE sql AS $$
SELECT status, found, expected, hint FROM connections_verify() WHERE check_name = 'display_names'
$$;
CREATE FUNCTION pg_temp.differs() RETURNS TABLE (slug text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT r.slug FROM connections_registry() r LEFT JOIN connections.available_connections a ON a.slug = r.slug
	WHERE (a.display_name, a.icon, a.cover, a.description, a.auth_type) IS DISTINCT FROM (r.display_name, r.icon, r.cover, r.description, r.auth_type);
END
$$;

SELECT * FROM pg_temp.names();
SELECT connections_migrate(1);
SELECT * FROM pg_temp.names();
SELECT * FROM connections_available();
SELECT slug FROM pg_temp.differs() ORDER BY 1;

-- all of it; the table's own trigger fires, as for any UPDATE
CREATE TEMP TABLE rows_before AS SELECT id, slug, auth_type, created_at, updated_at FROM connections.available_connections;
SELECT * FROM connections_seed_catalog();
SELECT slug FROM pg_temp.differs() ORDER BY 1;
SELECT * FROM pg_temp.names();
SELECT a.slug, (a.id, a.auth_type, a.created_at) = (b.id, b.auth_type, b.created_at) AS same, a.updated_at > b.updated_at AS touched
FROM connections.available_connections a JOIN rows_before b USING (id) ORDER BY 1;
SELECT * FROM connections_available();

-- again: nothing is written
CREATE TEMP TABLE versions AS SELECT slug, ctid AS place, xmin::text AS transaction FROM connections.available_connections;
SELECT * FROM connections_seed_catalog();
SELECT slug FROM connections.available_connections a JOIN versions v USING (slug) WHERE (a.ctid, a.xmin::text) IS DISTINCT FROM (v.place, v.transaction);
SELECT count(*) FROM versions;

-- what differs is refreshed, one entry and one column of it; NULL differs, too; slug and auth_type stay
UPDATE connections.available_connections SET icon = NULL WHERE slug = 'gmail';
UPDATE connections.available_connections SET display_name = 'Sheets' WHERE slug = 'sheets';
UPDATE connections.available_connections SET display_name = NULL WHERE slug = 'calendar';
UPDATE connections.available_connections SET auth_type = 'password' WHERE slug = 'smtp';
INSERT INTO connections.available_connections (id, slug, auth_type) VALUES ('0c0a1e9d-0000-4000-8000-000000000006', 'slack', 'webhook');
SELECT * FROM pg_temp.names();
SELECT * FROM connections_seed_catalog();
SELECT * FROM pg_temp.names();
SELECT slug, auth_type FROM connections.available_connections ORDER BY 1;
UPDATE connections.available_connections SET display_name = 'Slack' WHERE slug = 'slack';
SELECT * FROM pg_temp.names();

-- overrides: for this call; null leaves the column as it is
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "display_name": "Google Mail", "cover": ""}, {"slug": "telegram", "description": "it''s \\ \u00fc"}]');
SELECT slug, display_name, cover, description FROM connections_available() WHERE slug IN ('gmail', 'telegram');
SELECT * FROM pg_temp.names();
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "display_name": null, "cover": null}]');
SELECT slug, display_name, cover, description FROM connections_available() WHERE slug IN ('gmail', 'telegram');
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "display_name": null, "icon": null, "cover": null, "description": null}]');
SELECT * FROM connections_seed_catalog(NULL);
SELECT slug, display_name, cover FROM connections_available() WHERE slug = 'gmail';

-- what is missing is inserted, with the registry's auth_type, in the order of the registry
SELECT connections_migrate(4);
DELETE FROM connections.connections;
DELETE FROM connections.available_connections WHERE slug IN ('telegram', 'gmail');
SELECT status, found, hint FROM connections_verify() WHERE check_name = 'available_connections';
SELECT * FROM connections_seed_catalog('[{"slug": "telegram", "display_name": null, "icon": "own.svg"}]');
SELECT slug, display_name, auth_type, icon FROM connections_available();
SELECT status, found FROM connections_verify() WHERE check_name = 'available_connections';

-- an id that has no default is not needed for what is there, but for what is not
ALTER TABLE connections.available_connections ALTER id DROP DEFAULT;
UPDATE connections.available_connections SET icon = NULL;
SELECT * FROM connections_seed_catalog();
DELETE FROM connections.available_connections WHERE slug = 'smtp';
\set VERBOSITY terse
SELECT * FROM connections_seed_catalog();
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
SELECT slug FROM pg_temp.differs() ORDER BY 1;
ALTER TABLE connections.available_connections ALTER id SET DEFAULT gen_random_uuid();

-- the table's own triggers run as the caller and have the last word
CREATE FUNCTION connections.shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.display_name := upper(NEW.display_name) || ' by ' || CASE WHEN current_user = session_user THEN 'session user' ELSE current_user END;
	RETURN NEW;
END
$$;
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON connections.available_connections FOR EACH ROW EXECUTE FUNCTION connections.shout();
SELECT * FROM connections_seed_catalog();
SELECT slug, display_name FROM connections_available() WHERE slug IN ('smtp', 'gmail');
DROP TRIGGER shout ON connections.available_connections;
SELECT slug FROM connections_seed_catalog() WHERE action <> 'unchanged';

-- columns of other types, a slug that is longer; the list goes by slug, byte by byte
ALTER TABLE connections.available_connections ALTER slug TYPE varchar(20) COLLATE "C", ALTER display_name TYPE varchar(16), ALTER auth_type TYPE char(9);
INSERT INTO connections.available_connections (slug, auth_type) VALUES ('Zapier', 'x'), ('_own', 'x'), ('ärger', 'x');
SELECT * FROM connections_seed_catalog();
SELECT slug, display_name, auth_type FROM connections_available();
SELECT * FROM connections_seed_catalog('[{"slug": "smtp", "display_name": "seventeen letters"}]');
\echo :LAST_ERROR_SQLSTATE
\set ECHO none
\i :fixtures/drop.sql
