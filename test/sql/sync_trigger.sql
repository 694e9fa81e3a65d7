--
-- sync_trigger: while the old application writes provider and type, at versions 2 and 3, the trigger gives each row the entry that it maps
-- to; what the writer gives stands; what maps to nothing is NULL, which version 2 allows and version 3 refuses.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 20
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;
SELECT connections_migrate(2);
SELECT tgname, tgenabled, tgtype, tgattr = '' AS all_columns FROM pg_trigger WHERE tgrelid = 'connections.connections'::regclass ORDER BY 1;

-- a new row, and the slug that it has got
CREATE FUNCTION pg_temp.put(name text, provider text, config jsonb, id text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
INSERT INTO connections.connections (id, user_id, provider, type, name, config, available_connection_id)
VALUES (md5($1)::uuid, md5('user')::uuid, $2, 'oauth2', $1, $3, ('0c0a1e9d-0000-4000-8000-00000000000' || $4)::uuid)
RETURNING name
$$;
CREATE FUNCTION pg_temp.slugs(VARIADIC names text[] DEFAULT NULL) RETURNS TABLE (name text, provider text, slug text) LANGUAGE sql AS $$
SELECT c.name, c.provider, a.slug
FROM connections.connections c LEFT JOIN connections.available_connections a ON a.id = c.available_connection_id
WHERE c.name = ANY ($1) OR $1 IS NULL AND user_id = md5('user')::uuid
ORDER BY 1
$$;
\pset null NULL

-- INSERT, with and without an id
SELECT count(*) FROM (VALUES
	(pg_temp.put('gmail', 'gmail', '{}')), (pg_temp.put('smtp', 'smtp', '{"capability": "sheets"}')), (pg_temp.put('telegram', 'telegram', '[]')),
	(pg_temp.put('sheets', 'google_workspace', '{"capability": "sheets"}')), (pg_temp.put('calendar', 'google_workspace', '{"capability": "calendar"}')),
	(pg_temp.put('given', 'gmail', '{}', '4')), (pg_temp.put('given to none', 'gopher', '{}', '5')),
	(pg_temp.put('no capability', 'google_workspace', '{}')), (pg_temp.put('another', 'google_workspace', '{"capability": "drive"}')),
	(pg_temp.put('upper', 'google_workspace', '{"capability": "Sheets"}')), (pg_temp.put('not an object', 'google_workspace', '"sheets"')),
	(pg_temp.put('gopher', 'gopher', '{"capability": "sheets"}'))) AS put (name);
SELECT * FROM pg_temp.slugs();

-- UPDATE: provider, config, another column, the id
UPDATE connections.connections SET provider = 'smtp' WHERE name = 'gmail';
UPDATE connections.connections SET provider = 'google_workspace' WHERE name = 'smtp';
UPDATE connections.connections SET provider = 'gopher' WHERE name = 'telegram';
UPDATE connections.connections SET config = '{"capability": "calendar"}' WHERE name = 'sheets';
UPDATE connections.connections SET config = '{"capability": "calendar", "more": 1}' WHERE name = 'calendar';
UPDATE connections.connections SET config = '{"capability": "sheets"}' WHERE name = 'no capability';
-- of a row with an id that the mapping does not give: as long as the mapping stays the same, the id does
UPDATE connections.connections SET type = 'x', config = '{"a": 1}' WHERE name = 'given';
SELECT * FROM pg_temp.slugs();
UPDATE connections.connections SET provider = 'telegram' WHERE name = 'given';
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000002', provider = 'smtp' WHERE name = 'given to none';
UPDATE connections.connections SET available_connection_id = NULL WHERE name = 'gmail';
UPDATE connections.connections SET available_connection_id = NULL WHERE name = 'gopher';
SELECT * FROM pg_temp.slugs('given', 'given to none', 'gmail', 'gopher');

-- an UPDATE of another column fills a row that was not filled, as those that were written before the sync trigger was there
SET session_replication_role = replica;
ALTER TABLE connections.connections DISABLE TRIGGER "~connections_redesign_sync_new";
UPDATE connections.connections SET available_connection_id = NULL WHERE name IN ('sheets', 'calendar');
ALTER TABLE connections.connections ENABLE ALWAYS TRIGGER "~connections_redesign_sync_new";
RESET session_replication_role;
SELECT * FROM pg_temp.slugs('sheets', 'calendar');
UPDATE connections.connections SET type = 'y' WHERE name = 'sheets';
SELECT * FROM pg_temp.slugs('sheets', 'calendar');
-- also where replication or a restore writes
SET session_replication_role = replica;
SELECT pg_temp.put('replicated', 'gmail', '{}');
UPDATE connections.connections SET type = 'y' WHERE name = 'calendar';
RESET session_replication_role;
SELECT * FROM pg_temp.slugs('replicated', 'calendar');

-- the table's own BEFORE triggers fire first: what they write is what the sync trigger reads
CREATE FUNCTION connections.lower_provider() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.provider := lower(trim(NEW.provider));
	RETURN NEW;
END
$$;
CREATE TRIGGER zz_lower BEFORE INSERT OR UPDATE ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.lower_provider();
SELECT pg_temp.put('lowered', ' TELEGRAM ', '{}');
UPDATE connections.connections SET provider = 'GMAIL' WHERE name = 'smtp';
SELECT * FROM pg_temp.slugs('lowered', 'smtp');
DROP TRIGGER zz_lower ON connections.connections;

-- COPY, MERGE, INSERT ... ON CONFLICT, UPDATE ... FROM
COPY connections.connections (user_id, provider, type, name, config) FROM stdin;
ee11cbb1-9052-e40b-07aa-c0ca060c23ee	gmail	oauth2	copied	{}
ee11cbb1-9052-e40b-07aa-c0ca060c23ee	google_workspace	oauth2	copied too	{"capability": "sheets"}
\.
MERGE INTO connections.connections c
USING (VALUES ('copied', 'smtp'), ('merged', 'telegram')) AS v (name, provider) ON c.name = v.name
WHEN MATCHED THEN UPDATE SET provider = v.provider
WHEN NOT MATCHED THEN INSERT (user_id, provider, type, name) VALUES (md5('user')::uuid, v.provider, 'bot', v.name);
INSERT INTO connections.connections (id, user_id, provider, type, name)
SELECT id, user_id, 'telegram', type, 'never' FROM connections.connections WHERE name = 'copied too'
ON CONFLICT (id) DO UPDATE SET provider = EXCLUDED.provider;
UPDATE connections.connections c SET provider = v.provider FROM (VALUES ('lowered', 'smtp')) AS v (name, provider) WHERE c.name = v.name;
SELECT * FROM pg_temp.slugs('copied', 'copied too', 'merged', 'lowered');

-- rows that map to nothing keep the database from version 3, and are named
SELECT name FROM connections.connections WHERE available_connection_id IS NULL ORDER BY 1;
SELECT connections_migrate(3);
DELETE FROM connections.connections WHERE user_id = md5('user')::uuid;
SELECT connections_migrate(3);
SELECT pg_temp.put('third', 'google_workspace', '{"capability": "sheets"}');
UPDATE connections.connections SET provider = 'smtp' WHERE name = 'third';
SELECT * FROM pg_temp.slugs('third');
\set VERBOSITY terse
SELECT pg_temp.put('bad', 'gopher', '{}');
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000009' WHERE name = 'third';
\echo :LAST_ERROR_SQLSTATE
DELETE FROM connections.connections WHERE name = 'third';
-- at version 4 it is gone, on the rollback it is there again
SELECT connections_migrate(4);
SELECT count(*) FROM pg_trigger WHERE tgname LIKE '~conn%';
SELECT connections_rollback(3);
SELECT pg_temp.put('back', 'gmail', '{}');
SELECT * FROM pg_temp.slugs('back');
SELECT connections_rollback(1);
SELECT count(*) FROM pg_trigger WHERE tgname LIKE '~conn%';

-- the function is of no use but as that trigger
SELECT connections_redesign.sync_to_new();
\echo :LAST_ERROR_SQLSTATE
CREATE TRIGGER after AFTER INSERT ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections_redesign.sync_to_new();
INSERT INTO connections.connections (user_id, provider, type, name) VALUES (md5('user')::uuid, 'gmail', 'oauth2', 'after');
\echo :LAST_ERROR_SQLSTATE
DROP TRIGGER after ON connections.connections;
CREATE TRIGGER statement BEFORE INSERT ON connections.connections EXECUTE FUNCTION connections_redesign.sync_to_new();
INSERT INTO connections.connections (user_id, provider, type, name) VALUES (md5('user')::uuid, 'gmail', 'oauth2', 'statement');
\echo :LAST_ERROR_SQLSTATE
DROP TRIGGER statement ON connections.connections;
-- on a table that it does not know it does nothing
CREATE TABLE connections.other (n int);
CREATE TRIGGER sync_trigger BEFORE INSERT ON connections.other FOR EACH ROW EXECUTE FUNCTION connections_redesign.sync_to_new('a', 'b', 'c');
INSERT INTO connections.other VALUES (1) RETURNING n;
-- its name is taken: by another trigger
CREATE TRIGGER "~connections_redesign_sync_new" BEFORE INSERT ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.touch_updated_at();
SELECT status, found, hint FROM connections_precheck(4) WHERE check_name = 'name_conflicts';
SELECT connections_migrate(2);
\echo :LAST_ERROR_SQLSTATE
\set ECHO none
\i :fixtures/drop.sql
