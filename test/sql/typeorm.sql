--
-- typeorm: a database that the TypeORM migrations took to some version is at that version, goes forward from there and back to the
-- beginning; nobody knows who took it there, nor which type the connections had.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 303
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;
SET check_function_bodies = off;
\pset null NULL

-- the row that each would be at version 4, by plain SQL over the legacy rows
CREATE TEMP TABLE legacy AS TABLE connections.connections;
CREATE TEMP TABLE goal AS
SELECT c.id, user_id, a.id AS available_connection_id, c.name AS label, config, c.created_at
FROM connections.connections c JOIN connections.available_connections a
	ON a.name = CASE provider WHEN 'google_workspace' THEN config ->> 'capability' ELSE provider END;
SELECT count(*) FROM goal;
CREATE FUNCTION pg_temp.off_goal() RETURNS bigint LANGUAGE sql AS $$
SELECT count(*) FROM ((TABLE goal EXCEPT SELECT id, user_id, available_connection_id, label, config, created_at FROM connections.connections)
UNION ALL (SELECT id, user_id, available_connection_id, label, config, created_at FROM connections.connections EXCEPT TABLE goal)) AS off
$$;
-- the legacy rows that are not as they were, but for the columns that TypeORM's UPDATE moves or its version 4 has lost
CREATE FUNCTION pg_temp.off_legacy() RETURNS TABLE (lost_type boolean, count bigint) LANGUAGE sql AS $$
SELECT l.type <> c.type, count(*) FROM connections.connections c FULL JOIN legacy l USING (id)
WHERE (l.user_id, l.provider, l.type, l.name, l.config, l.created_at) IS DISTINCT FROM (c.user_id, c.provider, c.type, c.name, c.config, c.created_at)
GROUP BY 1
$$;
CREATE FUNCTION pg_temp.constraints() RETURNS TABLE (kind "char", definition text) LANGUAGE sql AS $$
SELECT contype, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid IN ('connections.connections'::regclass, 'connections.available_connections'::regclass) AND contype <> 'n' ORDER BY 1, 2
$$;

-- version 1 by TypeORM, the rest by the extension
BEGIN;
\set ECHO none
\i :typeorm/1.up.sql
\set ECHO all
SELECT step, state, mode, row_count, applied_at, applied_by FROM connections_status();
SELECT check_name, found FROM connections_precheck(4) WHERE status = 'error';
SELECT connections_migrate(4);
SELECT step, state, mode, row_count FROM connections_status();
SELECT pg_temp.off_goal();
SELECT check_name, status, found FROM connections_verify() WHERE status <> 'ok' AND check_name <> 'display_names';
SELECT connections_rollback(0);
SELECT * FROM pg_temp.off_legacy();
SELECT * FROM pg_temp.constraints();
SELECT step, state, mode FROM connections_status();
ROLLBACK;

-- version 2
BEGIN;
\set ECHO none
\i :typeorm/1.up.sql
\i :typeorm/2.up.sql
\set ECHO all
SELECT step, state, mode FROM connections_status();
SELECT connections_migrate(4);
SELECT pg_temp.off_goal();
SELECT connections_rollback(0);
SELECT * FROM pg_temp.off_legacy();
ROLLBACK;

-- version 2 without the sync trigger: the application went on writing, and some rows do not have the entry that they map to
BEGIN;
\set ECHO none
\i :typeorm/1.up.sql
\i :typeorm/2.up.sql
\set ECHO all
INSERT INTO connections.connections (id, user_id, provider, type, name) VALUES (md5('unfilled')::uuid, md5('user')::uuid, 'gmail', 'oauth2', 'new');
INSERT INTO connections.connections (id, user_id, provider, type, name, available_connection_id)
VALUES (md5('wrong')::uuid, md5('user')::uuid, 'smtp', 'basic', 'wrong', '0c0a1e9d-0000-4000-8000-000000000001');
SELECT found, expected, hint FROM connections_precheck(3) WHERE check_name = 'mapping' AND status = 'error';
:remember
SAVEPOINT refused;
SELECT connections_migrate(3);
ROLLBACK TO refused;
:unchanged
SELECT connections_migrate(4);
ROLLBACK TO refused;
:unchanged
-- nor can it go back, as the entry would be another when step 2 is applied again
SELECT connections_rollback(1);
ROLLBACK TO refused;
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000002' WHERE name = 'new';
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000004' WHERE name = 'wrong';
SELECT connections_migrate(4);
ROLLBACK;

-- version 3
BEGIN;
\set ECHO none
\i :typeorm/1.up.sql
\i :typeorm/2.up.sql
\i :typeorm/3.up.sql
\set ECHO all
SELECT step, state, mode FROM connections_status();
SELECT check_name, status FROM connections_verify() WHERE check_name LIKE '%valid';
SELECT connections_migrate(4);
SELECT pg_temp.off_goal();
SELECT connections_rollback(0);
SELECT * FROM pg_temp.off_legacy();
SELECT * FROM pg_temp.constraints();
SELECT indexdef FROM pg_indexes WHERE schemaname = 'connections' ORDER BY indexdef COLLATE "C";
ROLLBACK;
BEGIN;
\set ECHO none
\i :typeorm/1.up.sql
\i :typeorm/2.up.sql
\i :typeorm/3.up.sql
\set ECHO all
SELECT connections_rollback(2), connections_rollback(1), connections_rollback(0);
SELECT * FROM pg_temp.off_legacy();
ROLLBACK;

-- version 4: there is nothing left of provider and type
BEGIN;
\set ECHO none
\i :typeorm/1.up.sql
\i :typeorm/2.up.sql
\i :typeorm/3.up.sql
\i :typeorm/4.up.sql
\set ECHO all
SELECT step, state, mode, row_count, applied_at, applied_by FROM connections_status();
SELECT pg_temp.off_goal();
RESET client_min_messages;
SELECT connections_migrate(4);
SELECT connections_migrate(1);
SELECT * FROM connections_plan(4);
SELECT check_name, status, found, hint FROM connections_precheck(0) WHERE check_name LIKE 'rollback%';
UPDATE connections.connections SET label = NULL WHERE id IN (SELECT id FROM connections.connections ORDER BY id LIMIT 2);
SELECT connections_rollback(3);
SET client_min_messages = warning;
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = 'connections.connections'::regclass AND attname IN ('provider', 'type', 'name') ORDER BY 1;
SELECT c.type, a.auth_type, count(*) FROM connections.connections c JOIN connections.available_connections a ON a.id = available_connection_id GROUP BY 1, 2 ORDER BY 1, 2;
UPDATE connections.connections c SET name = l.name FROM legacy l WHERE l.id = c.id AND c.name = '';
SELECT * FROM pg_temp.off_legacy() ORDER BY 1;
SELECT step, state, mode FROM connections_status();
SELECT connections_rollback(0);
SELECT * FROM pg_temp.off_legacy() ORDER BY 1;
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = 'connections.available_connections'::regclass AND attname = 'name';
SELECT * FROM pg_temp.constraints();
SELECT connections_migrate(4);
ROLLBACK;

-- the extension to version 4, TypeORM back: both may be used in turn
BEGIN;
SELECT connections_migrate(4);
\set ECHO none
\i :typeorm/4.down.sql
\set ECHO all
SELECT step, state FROM connections_status();
SELECT connections_migrate(4);
SELECT pg_temp.off_goal();
ROLLBACK;
\set ECHO none
\i :fixtures/drop.sql
