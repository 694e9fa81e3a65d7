--
-- steps: the four steps one at a time and all at once, there and back.  After each: the columns and what goes with them, status, history;
-- at the end everything is as it was in the beginning, and the rows at version 4 are those that plain SQL makes of the legacy ones.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 303
\i :abs_srcdir/fixtures/begin.sql
:remember
CREATE TEMP TABLE legacy AS SELECT c.*, a.id AS entry
FROM connections.connections c JOIN connections.available_connections a
	ON a.name = CASE provider WHEN 'google_workspace' THEN config ->> 'capability' ELSE provider END;
CREATE TEMP TABLE shape AS SELECT * FROM pg_temp.shape();
-- what the last call changed
\set changes 'SELECT * FROM ((SELECT ''+'' AS sign, * FROM pg_temp.shape() EXCEPT SELECT ''+'', * FROM shape) UNION ALL (SELECT ''-'', * FROM shape EXCEPT SELECT ''-'', * FROM pg_temp.shape())) AS changed ORDER BY object COLLATE "C", sign; TRUNCATE shape; INSERT INTO shape SELECT * FROM pg_temp.shape();'
\set status 'SELECT step, migration, state, mode, row_count, applied_at IS NOT NULL AS dated, applied_by = session_user AS by_me FROM connections_status();'
\set history 'SELECT step, migration, direction, mode, state, row_count, started_at <= finished_at AS timed, sqlstate, message FROM connections_redesign.history WHERE run_id = (SELECT max(run_id) FROM connections_redesign.history) ORDER BY id;'
\pset null NULL

-- nothing is done yet
:status
SELECT connections_rollback();
SELECT connections_rollback(2);
SELECT * FROM connections_plan(0);

-- one at a time
SELECT connections_migrate(1);
:changes
:status
:history
SELECT slug, display_name, auth_type FROM connections.available_connections ORDER BY 1;
SELECT connections_migrate(2);
:changes
:status
:history
SELECT connections_migrate(3);
:changes
:history
SELECT c.type = l.type AND c.provider = l.provider AND c.name = l.name AND c.available_connection_id = l.entry AS same, count(*)
FROM connections.connections c FULL JOIN legacy l USING (id) GROUP BY 1;
SELECT connections_migrate(4);
:changes
:status
:history

-- each row is what plain SQL makes of the legacy one, and nothing else has touched it
SELECT count(*) FROM ((SELECT id, user_id, entry, name, config, created_at, updated_at FROM legacy
	EXCEPT SELECT id, user_id, available_connection_id, label, config, created_at, updated_at FROM connections.connections)
	UNION ALL (SELECT id, user_id, available_connection_id, label, config, created_at, updated_at FROM connections.connections
	EXCEPT SELECT id, user_id, entry, name, config, created_at, updated_at FROM legacy)) AS off;
SELECT check_name, status, found FROM connections_verify() WHERE check_name NOT IN ('ownership', 'display_names');

-- at the end, beyond it and between
SELECT connections_migrate(4);
SELECT connections_migrate(4);
SELECT connections_migrate(2);
SELECT connections_rollback(3);
SELECT connections_rollback(3);
SELECT connections_migrate(4);
SELECT * FROM connections_plan(4);

-- back, one at a time
TRUNCATE shape;
INSERT INTO shape SELECT * FROM pg_temp.shape();
SELECT connections_rollback();
:changes
:status
:history
SELECT connections_rollback();
:changes
SELECT connections_rollback();
:changes
:history
SELECT connections_rollback();
:changes
:status
:differences

-- all at once; the result is the same as of the four steps, in a transaction that does more than this as well
BEGIN;
SELECT connections_migrate(4);
SELECT connections_rollback(2);
SELECT connections_migrate(3);
SELECT connections_rollback(0);
:differences
SELECT connections_migrate(4);
COMMIT;
:history
SELECT count(*) FROM ((SELECT id, user_id, entry, name, config, created_at, updated_at FROM legacy
	EXCEPT SELECT id, user_id, available_connection_id, label, config, created_at, updated_at FROM connections.connections)
	UNION ALL (SELECT id, user_id, available_connection_id, label, config, created_at, updated_at FROM connections.connections
	EXCEPT SELECT id, user_id, entry, name, config, created_at, updated_at FROM legacy)) AS off;
SELECT connections_rollback(0);
:history
:differences

-- what TypeORM's migrations make of the same tables is the same, but for types and names
BEGIN;
SELECT connections_migrate(4);
CREATE TEMP TABLE ours AS SELECT regexp_replace(object, ' (constraint|index) .*', ' \1') AS object,
	regexp_replace(regexp_replace(definition, 'character varying(\(\d+\))?|text', 'string'), 'INDEX \S+ ON', 'INDEX ON') AS definition FROM pg_temp.shape();
SELECT connections_rollback(0);
\set ECHO none
\i :typeorm/1.up.sql
\i :typeorm/2.up.sql
\i :typeorm/3.up.sql
\i :typeorm/4.up.sql
\set ECHO all
CREATE TEMP TABLE theirs AS SELECT regexp_replace(object, ' (constraint|index) .*', ' \1') AS object,
	regexp_replace(regexp_replace(definition, 'character varying(\(\d+\))?|text', 'string'), 'INDEX \S+ ON', 'INDEX ON') AS definition FROM pg_temp.shape();
(SELECT 'ours', * FROM ours EXCEPT ALL SELECT 'ours', * FROM theirs) UNION ALL (SELECT 'theirs', * FROM theirs EXCEPT ALL SELECT 'theirs', * FROM ours);
ROLLBACK;
\set ECHO none
\i :fixtures/drop.sql
