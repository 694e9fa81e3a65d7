--
-- The extension itself: what DROP EXTENSION takes along, and what it does not; a schema of its own
--
\set VERBOSITY default
SET client_min_messages = warning;
DROP EXTENSION connections_redesign;
CREATE EXTENSION connections_redesign;
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 20
\i :abs_srcdir/fixtures/begin.sql
CREATE TEMP TABLE rows_before AS SELECT * FROM connections.connections;

-- At versions 2 and 3 the sync trigger is in use.
SELECT connections_migrate(1);
SELECT connections_migrate(2);
DROP EXTENSION connections_redesign;
SELECT connections_migrate(3);
DROP EXTENSION connections_redesign;
SELECT connections_migrate(4);

-- At version 4 nothing of the tables depends on the extension.
DROP EXTENSION connections_redesign;
SELECT nspname FROM pg_namespace WHERE nspname = 'connections_redesign';
SELECT count(*), count(available_connection_id) FROM connections.connections;
SELECT attname FROM pg_attribute WHERE attrelid = 'connections.connections'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname;

-- A new one knows nothing of what was kept: provider and type come from the registry, and it says so.
CREATE EXTENSION connections_redesign;
SELECT step, state, mode FROM connections_status();
SELECT check_name, status, found FROM connections_precheck(0) WHERE check_name = 'rollback_rows';
SELECT connections_rollback(3);
SELECT connections_rollback(0);
SELECT count(*) FROM (SELECT id, user_id, provider, name, config, created_at, updated_at FROM rows_before
	EXCEPT SELECT id, user_id, provider, name, config, created_at, updated_at FROM connections.connections) missing;
SELECT DISTINCT provider, config ->> 'capability' AS capability, type FROM connections.connections ORDER BY 1, 2, 3;

-- At version 0 either.
DROP EXTENSION connections_redesign;
SELECT count(*) FROM connections.connections;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'connections.connections'::regclass AND NOT tgisinternal;
DROP SCHEMA connections CASCADE;
CREATE EXTENSION connections_redesign;

-- What the extension brings, it brings into the schema that was asked for, but for what has a schema of its own.
SELECT current_database() AS database \gset
\set second 'regress_CRD "second"'
CREATE DATABASE :"second" TEMPLATE template0;
\c :"second"
SET client_min_messages = warning;
\set ECHO none
\i :abs_srcdir/fixtures/legacy.sql
\i :abs_srcdir/fixtures/rows.sql
\set ECHO all
CREATE SCHEMA "Own ""schema";
CREATE EXTENSION connections_redesign SCHEMA "Own ""schema";
SELECT n.nspname, count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
WHERE d.deptype = 'e' AND p.proname LIKE 'connections%' GROUP BY 1;
SELECT connections_migrate(1);
SELECT count(*) FILTER (WHERE status = 'error') AS errors FROM "Own ""schema".connections_precheck();
SELECT "Own ""schema".connections_migrate(3);
SELECT count(*) > 0 AS planned FROM "Own ""schema".connections_plan(0);
SELECT "Own ""schema".connections_migrate(4);
SELECT "Own ""schema".connections_rollback(2);
SELECT "Own ""schema".connections_migrate(4);
SELECT action FROM "Own ""schema".connections_seed_catalog();
SELECT status FROM "Own ""schema".connections_verify() WHERE status <> 'ok';
SELECT slug FROM "Own ""schema".connections_available();
SELECT step, state FROM "Own ""schema".connections_status();
SELECT slug FROM "Own ""schema".connections_registry();
SELECT "Own ""schema".connections_rollback(0);
ALTER EXTENSION connections_redesign SET SCHEMA public;
\c :"database"
DROP DATABASE :"second";
