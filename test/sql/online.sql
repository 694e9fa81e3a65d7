--
-- online: the interface of the online mode: what it refuses, and with what SQLSTATE, its plan, its settings, pause and resume, the
-- history.  An error before the first phase changes nothing and leaves no row in the history; one in a phase leaves what was done.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 50
\i :abs_srcdir/fixtures/begin.sql
\pset null NULL
TRUNCATE connections_redesign.run_step;
:remember

-- arguments
CALL connections_migrate_online(0);
:unchanged
CALL connections_migrate_online(5);
:unchanged
CALL connections_migrate_online(NULL);
:unchanged
CALL connections_rollback_online(-1);
:unchanged
CALL connections_rollback_online(4);
:unchanged
SELECT * FROM connections_plan(5, online => true);
:unchanged
SELECT * FROM connections_plan(NULL, online => true);
:unchanged

-- it commits as it goes, so not in a transaction block, nor in what runs in one
BEGIN;
CALL connections_migrate_online(4);
ROLLBACK;
:unchanged
BEGIN;
CALL connections_rollback_online();
ROLLBACK;
:unchanged
CREATE FUNCTION pg_temp.call_online() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL connections_migrate_online(4); END $$;
SELECT pg_temp.call_online();
:unchanged
CREATE FUNCTION pg_temp.call_online_in_sql() RETURNS void LANGUAGE sql AS 'CALL connections_migrate_online(4)';
SELECT pg_temp.call_online_in_sql();
:unchanged
DO $$ BEGIN CALL connections_migrate_online(1); EXCEPTION WHEN unique_violation THEN NULL; END $$;
:unchanged
SELECT 1 AS one \; CALL connections_migrate_online(4);
:unchanged
BEGIN;
DO $$ BEGIN CALL connections_migrate_online(1); END $$;
ROLLBACK;
:unchanged

-- the mode of the transaction
SET default_transaction_isolation = 'repeatable read';
CALL connections_migrate_online(4);
:unchanged
SET default_transaction_isolation = 'serializable';
CALL connections_rollback_online();
:unchanged
RESET default_transaction_isolation;
SET default_transaction_read_only = on;
CALL connections_migrate_online(4);
:unchanged
CALL connections_rollback_online();
:unchanged
SELECT connections_pause();
:unchanged
SELECT connections_resume();
:unchanged
SELECT count(*) > 0 AS planned FROM connections_plan(4, online => true);
RESET default_transaction_read_only;

-- privileges
CREATE ROLE regress_crd_owner;
CREATE ROLE regress_crd_member IN ROLE regress_crd_owner;
CREATE ROLE regress_crd_other;
GRANT USAGE ON SCHEMA connections TO regress_crd_other;
GRANT USAGE, CREATE ON SCHEMA connections TO regress_crd_owner;
ALTER TABLE connections.connections OWNER TO regress_crd_owner;
ALTER TABLE connections.available_connections OWNER TO regress_crd_owner;
:remember
SET ROLE regress_crd_member;
CALL connections_migrate_online(4);
\echo :LAST_ERROR_SQLSTATE
CALL connections_rollback_online();
\echo :LAST_ERROR_SQLSTATE
SELECT connections_pause();
\echo :LAST_ERROR_SQLSTATE
SELECT connections_resume();
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM connections_redesign.progress;
SELECT count(*) FROM connections_redesign.history;
RESET ROLE;
GRANT EXECUTE ON PROCEDURE connections_migrate_online(integer), connections_rollback_online(integer) TO regress_crd_member, regress_crd_other;
SET ROLE regress_crd_other;
CALL connections_migrate_online(4);
\echo :LAST_ERROR_SQLSTATE
CALL connections_rollback_online();
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM connections_plan(4, online => true);
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
-- the waitpoint is for superusers; lag is seen by those who may see it
SET ROLE regress_crd_member;
SET connections_redesign.debug_waitpoint = 'available_connections';
SET connections_redesign.max_replication_lag = '1s';
CALL connections_migrate_online(4);
\echo :LAST_ERROR_SQLSTATE
RESET connections_redesign.max_replication_lag;
RESET ROLE;
:differences

-- without a run
SELECT connections_pause(), connections_resume();
SELECT * FROM connections_redesign.progress;
SELECT count(*) FROM connections_redesign.history;

-- nothing to do
CALL connections_rollback_online();
CALL connections_rollback_online(0);
CALL connections_rollback_online(2);
SELECT * FROM connections_plan(0, online => true);
:differences
SELECT count(*) FROM connections_redesign.history;

-- the plan there
SELECT step, seq, lock_mode, purpose, left(pg_temp.as_before_18(statement), 100) AS statement FROM connections_plan(4, online => true);
SELECT target, count(p), coalesce(max(p.seq) = count(p) AND min(p.seq) = 1, true) AS numbered, string_agg(DISTINCT p.step::text, ' ') AS steps
FROM generate_series(0, 4) target LEFT JOIN LATERAL connections_plan(target, online => true) p ON true GROUP BY 1 ORDER BY 1;
:differences

-- settings
SELECT name, setting, unit, context, vartype, min_val, max_val FROM pg_settings WHERE name LIKE 'connections\_redesign.%' ORDER BY 1;
SHOW connections_redesign.debug_waitpoint;
\set VERBOSITY sqlstate
SET connections_redesign.batch_time = 0;
SET connections_redesign.progress_interval = 0;
SET connections_redesign.max_replication_lag = -1;
\set VERBOSITY default
SET connections_redesign.no_such_setting = 1;

-- a member of the owner goes through it; what the settings of the session were, they are
SET ROLE regress_crd_member;
SET statement_timeout = '100s';
SET lock_timeout = '11s';
SET synchronous_commit = local;
SET search_path = pg_catalog, public;
SET maintenance_work_mem = '2MB';
SET row_security = off;
CALL connections_migrate_online(2);
CALL public.connections_migrate_online(2);
SELECT current_user, current_setting('statement_timeout') AS statement_timeout, current_setting('lock_timeout') AS lock_timeout,
	current_setting('synchronous_commit') AS synchronous_commit, current_setting('search_path') AS search_path,
	current_setting('maintenance_work_mem') AS maintenance_work_mem, current_setting('row_security') AS row_security,
	current_setting('session_replication_role') AS session_replication_role, current_setting('wal_compression') AS wal_compression;
RESET search_path;
CALL connections_migrate_online(2);
SELECT current_user, current_setting('statement_timeout') AS statement_timeout, current_setting('lock_timeout') AS lock_timeout,
	current_setting('synchronous_commit') AS synchronous_commit, current_setting('search_path') AS search_path,
	current_setting('maintenance_work_mem') AS maintenance_work_mem, current_setting('row_security') AS row_security,
	current_setting('session_replication_role') AS session_replication_role, current_setting('wal_compression') AS wal_compression;
RESET statement_timeout;
RESET lock_timeout;
RESET synchronous_commit;
RESET maintenance_work_mem;
RESET row_security;
CALL connections_migrate_online(2);
CALL connections_migrate_online(1);
RESET ROLE;
SELECT step, state, mode, row_count, applied_at <= now() AS past, applied_by FROM connections_status();
SELECT step, direction, mode, state, row_count, applied_by, finished_at >= started_at AS in_order FROM connections_redesign.history ORDER BY id;
SELECT check_name, status, found FROM connections_verify() WHERE status <> 'ok' AND check_name <> 'display_names';

-- rows that map to nothing: the report of the precheck; after mending, the next call goes on
INSERT INTO connections.connections (id, user_id, provider, type, name, config) VALUES
	(md5('a')::uuid, md5('user')::uuid, 'gopher', 'oauth2', 'a', '{}'), (md5('b')::uuid, md5('user')::uuid, 'google_workspace', 'oauth2', 'b', '{"capability": "Sheets"}');
SELECT found, hint FROM connections_precheck(4) WHERE check_name = 'mapping' AND status = 'error';
CALL connections_migrate_online(4);
\echo :LAST_ERROR_SQLSTATE
SELECT step, state, mode FROM connections_status();
DELETE FROM connections.connections WHERE name = 'a';
UPDATE connections.connections SET config = '{"capability": "sheets"}' WHERE name = 'b';
SELECT a.slug FROM connections.connections c JOIN connections.available_connections a ON a.id = c.available_connection_id WHERE c.name = 'b';
DELETE FROM connections.connections WHERE name = 'b';
CALL connections_migrate_online(4);
SELECT step, state, mode, row_count FROM connections_status();
SELECT count(DISTINCT run_id) AS runs, count(*), array_agg(DISTINCT mode) AS modes FROM connections_redesign.history;
CALL connections_migrate_online(4);
CALL connections_migrate_online(3);
SELECT * FROM connections_plan(4, online => true);
SELECT check_name, status, found FROM connections_verify() WHERE status <> 'ok' AND check_name <> 'display_names';

-- the plan back
SELECT step, seq, lock_mode, purpose, left(pg_temp.as_before_18(statement), 100) AS statement FROM connections_plan(0, online => true);
SELECT target, count(p), coalesce(max(p.seq) = count(p) AND min(p.seq) = 1, true) AS numbered, string_agg(DISTINCT p.step::text, ' ') AS steps
FROM generate_series(0, 4) target LEFT JOIN LATERAL connections_plan(target, online => true) p ON true GROUP BY 1 ORDER BY 1;
CALL connections_rollback_online();
SELECT step, state FROM connections_status();
CALL connections_rollback_online(0);
:differences
SELECT step, direction, mode, state, row_count, sqlstate FROM connections_redesign.history ORDER BY id;

-- the precheck of a rollback that the rows do not allow
CALL connections_migrate_online(4);
ALTER TABLE connections.connections DISABLE TRIGGER connections_audit;
UPDATE connections.connections SET config = '["a"]' WHERE id = (SELECT id FROM connections.connections
	WHERE available_connection_id = '0c0a1e9d-0000-4000-8000-000000000003' ORDER BY id LIMIT 1);
ALTER TABLE connections.connections ENABLE TRIGGER connections_audit;
:remember
CALL connections_rollback_online();
:unchanged
UPDATE connections.connections SET config = '{}', label = NULL WHERE config = '["a"]';
CALL connections_rollback_online();
SELECT name, config FROM connections.connections WHERE config - 'capability' = '{}' ORDER BY id;
-- the empty name was NULL: the plan there says that it will be again
SELECT step, purpose FROM connections_plan(4, online => true) WHERE purpose ~ 'NULL|null_labels' ORDER BY seq;
CALL connections_rollback_online(0);

-- FORCE ROW LEVEL SECURITY: only the atomic mode can lift it
ALTER TABLE connections.connections ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY half ON connections.connections USING (id::text < '8');
:remember
CALL connections_migrate_online(4);
:unchanged
SET ROLE regress_crd_member;
CALL connections_migrate_online(4);
RESET ROLE;
:unchanged
\set ECHO none
\i :fixtures/drop.sql
\set ECHO all
DROP OWNED BY regress_crd_member, regress_crd_other;
DROP ROLE regress_crd_owner, regress_crd_member, regress_crd_other;
