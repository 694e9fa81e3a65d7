--
-- rehearse: each step for real, then undone.  The rows are those that plain SQL counts and that connections_status() shows after the real
-- migration; nothing is left, neither of a rehearsal that succeeds nor of one that fails, and the errors are those of connections_migrate().
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 303
\i :abs_srcdir/fixtures/begin.sql
\pset null NULL
-- beside shape and rows, what the extension keeps and the files that the tables are in: row by row and version by version
CREATE FUNCTION pg_temp.kept() RETURNS TABLE (object text, found text) LANGUAGE plpgsql AS $$
DECLARE
	relation text;
BEGIN
	FOREACH relation IN ARRAY ARRAY['run_step', 'online_run', 'pause_request', 'saved_column', 'saved_ddl', 'saved_index', 'saved_entry', 'saved_entry_type',
		'saved_connection_type', 'saved_null_label', 'saved_key_expression'] LOOP
		RETURN QUERY EXECUTE format('SELECT %1$L, concat(ctid, xmin, t) FROM connections_redesign.%1$I t', relation);
	END LOOP;
	RETURN QUERY SELECT c.oid::regclass::text, concat(c.oid, ' ', c.relfilenode) FROM pg_class c WHERE relnamespace = 'connections'::regnamespace;
END
$$;
CREATE TEMP TABLE kept (object text, found text);
\set remember_all ':remember TRUNCATE kept; INSERT INTO kept SELECT * FROM pg_temp.kept();'
\set nothing_left 'SELECT NOT EXISTS (SELECT FROM pg_temp.differences()) AS unchanged, NOT EXISTS ((TABLE kept EXCEPT ALL SELECT * FROM pg_temp.kept()) UNION ALL (SELECT * FROM pg_temp.kept() EXCEPT ALL TABLE kept)) AS kept;'
-- the error of a call, after which the transaction goes on
CREATE FUNCTION pg_temp.error_of(call text) RETURNS TABLE (code text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE call;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END
$$;
\set as_migrate 'SELECT *, r = (SELECT m FROM pg_temp.error_of(''SELECT connections_migrate(4)'') m) AS as_migrate FROM pg_temp.error_of(''SELECT connections_rehearse(4)'') r \\g (format=unaligned footer=off)'
CREATE TEMP TABLE rehearsed (step int, migration text, row_count bigint, duration interval, wal_bytes bigint);
\set rehearse 'TRUNCATE rehearsed; INSERT INTO rehearsed SELECT * FROM connections_rehearse(:target); SELECT step, migration, row_count, duration > interval ''0'' AS timed, wal_bytes > 0 AS logged FROM rehearsed;'
:remember_all

-- five entries and 303 connections: step 1 goes through the ones, the others through the others
SELECT (SELECT count(*) FROM connections.available_connections) AS entries, (SELECT count(*) FROM connections.connections) AS connections;
\set target 4
:rehearse
:nothing_left
SELECT step, state, mode, row_count FROM connections_status();
SELECT count(*) FROM connections_redesign.history;

-- the time is that of the call, and the WAL what this session wrote: rows that are written anew are logged, unless the server need not
SELECT clock_timestamp() AS began, pg_current_wal_insert_lsn() AS lsn \gset
TRUNCATE rehearsed;
INSERT INTO rehearsed SELECT * FROM connections_rehearse(4);
SELECT sum(duration) < clock_timestamp() - :'began' AS in_time, sum(wal_bytes) <= pg_current_wal_insert_lsn() - :'lsn' AS in_the_log FROM rehearsed;
SELECT wal_bytes > pg_relation_size('connections.connections') / 2 OR current_setting('wal_level') = 'minimal' AS logged FROM rehearsed WHERE step = 2;

-- as far as asked
\set target 1
:rehearse
\set target 2
:rehearse
\set target 3
:rehearse
:nothing_left

-- what the transaction did before stays, also what it migrated
BEGIN;
UPDATE connections.available_connections SET icon = 'new.svg' WHERE name = 'gmail';
SELECT connections_migrate(1);
:remember_all
SELECT count(*) FROM connections_rehearse(4);
:nothing_left
SELECT connections_migrate(2);
:remember_all
SELECT step, row_count FROM connections_rehearse(4);
SELECT count(*) FROM connections_rehearse(3) a JOIN connections_rehearse(4) b USING (step, row_count);
:nothing_left
ROLLBACK;

-- no lock stays in the transaction, but that the extension's own sequences were used
BEGIN;
SELECT count(*) FROM connections_rehearse(4);
SELECT locktype, mode, relation::regclass FROM pg_locks WHERE pid = pg_backend_pid() AND mode <> 'AccessShareLock' ORDER BY 1, relation::regclass::text;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN (SELECT oid FROM pg_class WHERE relnamespace = 'connections'::regnamespace);
COMMIT;
:remember_all

-- a plan that was made before goes on
PREPARE reading AS SELECT provider, count(*) FROM connections.connections WHERE user_id IS NOT NULL GROUP BY 1 ORDER BY 1;
EXECUTE reading;
SELECT count(*) FROM connections_rehearse(4);
EXECUTE reading;
SET enable_seqscan = off;
SELECT count(*) FROM connections.connections WHERE provider = 'smtp' AND type = 'basic';
RESET enable_seqscan;
:nothing_left

-- errors
SELECT connections_rehearse(0);
SELECT connections_rehearse(5);
SELECT connections_rehearse(-1);
SELECT connections_rehearse(NULL);
\echo :LAST_ERROR_SQLSTATE
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT connections_rehearse(4);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT connections_rehearse(4);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
BEGIN READ ONLY;
SELECT connections_rehearse(4);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
:nothing_left

-- rows that map to nothing, more than the error lists: nothing of step 1 is taken either
BEGIN;
UPDATE connections.connections SET provider = 'gopher ' || left(id::text, 1) WHERE provider = 'smtp';
:remember_all
:as_migrate
:nothing_left
SELECT code, message FROM pg_temp.error_of('SELECT connections_rehearse(2)');
-- step 1 does not look at them
SELECT step, row_count FROM connections_rehearse(1);
:nothing_left
ROLLBACK;
-- the catalog; an object that would go with a column
BEGIN;
DELETE FROM connections.connections WHERE provider = 'smtp';
DELETE FROM connections.available_connections WHERE name = 'smtp';
:as_migrate
ROLLBACK;
BEGIN;
CREATE VIEW connections.types AS SELECT type FROM connections.connections;
:remember_all
:as_migrate
:nothing_left
-- only step 4 drops it
SELECT step, row_count FROM connections_rehearse(3);
ROLLBACK;
-- trigger events of the same transaction are pending, a query is open
BEGIN;
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON connections.connections DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION connections.touch_updated_at();
UPDATE connections.connections SET name = name WHERE type = 'basic';
:remember_all
:as_migrate
:nothing_left
SELECT connections_rehearse(4);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
DECLARE open CURSOR FOR SELECT id FROM connections.connections;
FETCH 1 FROM open \g /dev/null
:as_migrate
FETCH 1 FROM open \g /dev/null
ROLLBACK;
-- what no check foresees, after two steps have been taken
CREATE FUNCTION pg_temp.no_index() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'no index today' USING ERRCODE = '23S00', DETAIL = 'As it is late.', HINT = 'Come tomorrow.';
END
$$;
CREATE EVENT TRIGGER regress_crd_no_index ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION pg_temp.no_index();
BEGIN;
:remember_all
:as_migrate
:nothing_left
SELECT step, row_count FROM connections_rehearse(2);
SELECT connections_rehearse(3);
ROLLBACK;
:nothing_left

-- from a step that an online run left partial: it is settled first, as by the real run
CALL connections_migrate_online(3);
SELECT step, state FROM connections_status();
DROP EVENT TRIGGER regress_crd_no_index;
:remember_all
\set target 4
:rehearse
:nothing_left
-- version 2 is there, whole
SELECT * FROM connections_rehearse(2);
SELECT step, state FROM connections_status();
-- no row-level trigger of the table's fires, so that none is pending
CREATE CONSTRAINT TRIGGER later AFTER INSERT OR UPDATE ON connections.connections DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION connections.touch_updated_at();
BEGIN;
SELECT step, row_count FROM connections_rehearse(4);
SELECT connections_migrate(4);
-- the real run has the rows of the rehearsal
SELECT step, s.row_count, s.row_count = r.row_count AS same FROM connections_status() s LEFT JOIN rehearsed r USING (step);
COMMIT;
DROP TRIGGER later ON connections.connections;
SELECT step, direction, mode, state, row_count FROM connections_redesign.history ORDER BY id;

-- from a partial rollback, where the old columns are not filled yet: step 4 is applied again without going through the rows
CREATE FUNCTION pg_temp.no_check() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM connections_redesign.online_run WHERE phase = 'not_null') THEN
		RAISE EXCEPTION 'no constraint today';
	END IF;
END
$$;
CREATE EVENT TRIGGER regress_crd_no_check ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION pg_temp.no_check();
CALL connections_rollback_online(3);
DROP EVENT TRIGGER regress_crd_no_check;
SELECT step, state FROM connections_status();
:remember_all
:rehearse
:nothing_left
SELECT connections_migrate(4);
SELECT step, direction, mode, state, row_count FROM connections_redesign.history WHERE run_id = (SELECT max(run_id) FROM connections_redesign.history);

-- and where they are what there is: step 4 is undone first, and taken
CREATE EVENT TRIGGER regress_crd_no_index ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION pg_temp.no_index();
CALL connections_rollback_online(3);
DROP EVENT TRIGGER regress_crd_no_index;
SELECT step, state FROM connections_status();
:remember_all
:rehearse
:nothing_left
SELECT connections_migrate(4);
SELECT step, direction, mode, state, row_count FROM connections_redesign.history WHERE run_id = (SELECT max(run_id) FROM connections_redesign.history);

-- at the target or beyond
SELECT * FROM connections_rehearse(4);
SELECT * FROM connections_rehearse(2);

-- from each version; what was kept for the way forward is there afterwards
CREATE ROLE regress_crd_gone;
GRANT SELECT (slug) ON connections.available_connections TO regress_crd_gone;
UPDATE connections.connections SET label = NULL WHERE id::text < '4';
SELECT count(*) > 0 AS empty FROM connections.connections WHERE label IS NULL;
SELECT count(*) AS nulls FROM connections.connections WHERE label IS NULL \gset
SELECT connections_rollback(0);
DROP ROLE regress_crd_gone;
:remember_all
:rehearse
:nothing_left
CREATE TEMP TABLE from_the_start AS TABLE rehearsed;
SELECT connections_migrate(1);
:rehearse
SELECT connections_migrate(2);
:rehearse
SELECT connections_migrate(3);
:remember_all
:rehearse
:nothing_left
SELECT connections_migrate(4);
SELECT count(*) = :nulls AS null_again FROM connections.connections WHERE label IS NULL;
SELECT step, s.row_count, s.row_count = r.row_count AS same FROM connections_status() s FULL JOIN from_the_start r USING (step, migration);
SELECT connections_rollback(0);

-- as the owner, who does not see the rows by himself; EXECUTE and membership are needed, as for the real run
CREATE ROLE regress_crd_owner;
CREATE ROLE regress_crd_member IN ROLE regress_crd_owner;
CREATE ROLE regress_crd_stranger;
GRANT USAGE, CREATE ON SCHEMA connections TO regress_crd_owner;
ALTER TABLE connections.connections OWNER TO regress_crd_owner;
ALTER TABLE connections.available_connections OWNER TO regress_crd_owner;
ALTER TABLE connections.connections ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY only_new ON connections.connections USING (created_at > now());
SET ROLE regress_crd_member;
SELECT connections_rehearse(4);
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT EXECUTE ON FUNCTION connections_rehearse TO regress_crd_member, regress_crd_stranger;
:remember_all
SET ROLE regress_crd_stranger;
SELECT connections_rehearse(4);
\echo :LAST_ERROR_SQLSTATE
SET ROLE regress_crd_member;
SELECT step, row_count FROM connections_rehearse(4);
SELECT current_user, current_setting('row_security') AS row_security, current_setting('search_path') AS search_path;
RESET ROLE;
:nothing_left
DROP OWNED BY regress_crd_member, regress_crd_stranger;

\set ECHO none
\i :fixtures/drop.sql
DROP ROLE regress_crd_owner, regress_crd_member, regress_crd_stranger;
\set ECHO all
-- without tables
SELECT connections_rehearse(4);
\echo :LAST_ERROR_SQLSTATE
