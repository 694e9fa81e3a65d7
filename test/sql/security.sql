--
-- Nothing that the tables' owner planted runs as the superuser who migrates, and nothing in the caller's search_path is used.
--
\set VERBOSITY terse
SET client_min_messages = warning;
DROP EXTENSION connections_redesign;
CREATE EXTENSION connections_redesign;

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/fixtures/malicious_owner.sql
\set ECHO all

-- That the spy would notice: as the superuser everything succeeds.
BEGIN;
SELECT connections.spy('the test');
SELECT * FROM connections.seen;
ROLLBACK;

-- From here on it is the superuser who calls.
SELECT count(*) FILTER (WHERE status = 'error') AS errors FROM connections_precheck();
SELECT * FROM connections.seen;
TRUNCATE connections.log;

SELECT connections_migrate(2);
SELECT * FROM connections.seen;
TRUNCATE connections.log;

SELECT count(*) FILTER (WHERE status = 'error' AND check_name <> 'display_names') AS errors FROM connections_verify();
SELECT * FROM connections.seen;
TRUNCATE connections.log;

SELECT connections_migrate(4);
SELECT * FROM connections.seen;

-- so that the rollback has rows to update
SET ROLE regress_crd_owner;
UPDATE connections.connections SET label = NULL WHERE id = 2;
UPDATE connections.connections SET available_connection_id = 1 WHERE id = 4;
TRUNCATE connections.log;
RESET search_path;
RESET ROLE;

SELECT count(*) FILTER (WHERE status = 'error') AS errors FROM connections_precheck(0);
SELECT * FROM connections.seen;
TRUNCATE connections.log;

SELECT connections_rollback(0);
SELECT * FROM connections.seen;
TRUNCATE connections.log;

-- again, now with a label to make NULL
SELECT connections_migrate(4);
SELECT * FROM connections.seen;
SELECT DISTINCT set_role, session_authorization, make_superuser = 'SUCCEEDED' AS made_superuser FROM connections.log;
SELECT current_user = session_user, rolsuper FROM pg_roles WHERE rolname = 'regress_crd_owner';
SHOW search_path;
SET ROLE regress_crd_owner;
SELECT id, available_connection_id, label FROM connections.connections ORDER BY id;
RESET search_path;
RESET ROLE;

-- What is deferred to the commit would run as the superuser.
SET ROLE regress_crd_owner;
CREATE TABLE connections.trap ();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON connections.trap DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION connections.always();
CREATE FUNCTION connections.defer() RETURNS void LANGUAGE sql AS 'INSERT INTO connections.trap DEFAULT VALUES';
CREATE OR REPLACE FUNCTION connections.index_key(text, text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
	$$ BEGIN PERFORM connections.defer(); RETURN $2; END $$;
RESET ROLE;
SELECT connections_rollback(3);
SELECT step, state FROM connections_status();

-- So would the query of a cursor that outlives the transaction.
SET ROLE regress_crd_owner;
CREATE OR REPLACE FUNCTION connections.defer() RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN EXECUTE 'DECLARE later CURSOR WITH HOLD FOR SELECT connections.spy(''cursor'')'; END $$;
RESET ROLE;
SELECT connections_rollback(3);
SELECT step, state FROM connections_status();
DROP SCHEMA connections CASCADE;
DROP ROLE regress_crd_owner;
DROP EXTENSION connections_redesign;
CREATE EXTENSION connections_redesign;

--
-- A hostile search_path, which has its own =, ||, count, lower, ... before those of pg_catalog
--
\set ECHO none
\set rows 60
\i :abs_srcdir/fixtures/legacy.sql
\i :abs_srcdir/fixtures/rows.sql
\set ECHO all
CREATE SCHEMA regress_crd_hostile;
DO $$
DECLARE
	types text[] := ARRAY['text', 'name', 'oid', 'int2', 'int4', 'int8', 'bool', '"char"', 'uuid', 'jsonb'];
	type text;
	name text;
BEGIN
	SET LOCAL search_path = regress_crd_hostile, pg_catalog;
	FOREACH type IN ARRAY types LOOP
		EXECUTE format('CREATE FUNCTION pwned(%s, %1$s) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $x$ BEGIN RAISE EXCEPTION ''pwned: operator of type %1$s''; END $x$', type);
		FOREACH name IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>=', '||', '~~', '-', '+'] LOOP
			EXECUTE format('CREATE OPERATOR %s (LEFTARG = %s, RIGHTARG = %2$s, FUNCTION = pwned)', name, type);
		END LOOP;
	END LOOP;
	FOREACH name IN ARRAY ARRAY['lower', 'upper', 'length', 'quote_ident', 'quote_literal', 'format', 'textin', 'current_database', 'array_to_string', 'pg_backend_pid',
			'nextval', 'clock_timestamp', 'now', 'format_type', 'pg_get_indexdef', 'pg_get_constraintdef', 'jsonb_typeof', 'to_jsonb', 'unnest', 'generate_series'] LOOP
		EXECUTE format('CREATE FUNCTION %I(VARIADIC text[]) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $x$ BEGIN RAISE EXCEPTION ''pwned: %1$s''; END $x$', name);
		EXECUTE format('CREATE FUNCTION %I() RETURNS text IMMUTABLE LANGUAGE plpgsql AS $x$ BEGIN RAISE EXCEPTION ''pwned: %1$s''; END $x$', name);
	END LOOP;
	CREATE FUNCTION state(int8, VARIADIC text[]) RETURNS int8 IMMUTABLE LANGUAGE plpgsql AS $x$ BEGIN RAISE EXCEPTION 'pwned: aggregate'; END $x$;
	CREATE FUNCTION state(int8) RETURNS int8 IMMUTABLE LANGUAGE plpgsql AS $x$ BEGIN RAISE EXCEPTION 'pwned: aggregate'; END $x$;
	CREATE AGGREGATE count(*) (SFUNC = state, STYPE = int8);
	CREATE AGGREGATE min(VARIADIC text[]) (SFUNC = state, STYPE = int8);
	CREATE AGGREGATE string_agg(VARIADIC text[]) (SFUNC = state, STYPE = int8);
	CREATE VIEW pg_class AS SELECT 1 / 0 AS oid;
	CREATE VIEW pg_attribute AS SELECT 1 / 0 AS attrelid;
	CREATE VIEW pg_locks AS SELECT 1 / 0 AS pid;
	CREATE VIEW pg_stat_activity AS SELECT 1 / 0 AS pid;
	CREATE DOMAIN text AS pg_catalog.int4 CHECK (false);
	CREATE DOMAIN oid AS pg_catalog.int4 CHECK (false);
END
$$;

-- the database's search_path; connecting again makes it the session's
ALTER DATABASE :"DBNAME" SET search_path = regress_crd_hostile, pg_catalog, public;
\c -
SET client_min_messages = warning;
SELECT 1 = 1;
\pset format unaligned
\pset tuples_only
SELECT check_name, status, found FROM connections_precheck() WHERE check_name OPERATOR(pg_catalog.<>) ALL ('{ownership,locks,snapshots,disk_space}');
SELECT DISTINCT step, lock_mode FROM connections_plan() ORDER BY 1, 2;
SELECT connections_migrate(2);
SELECT connections_migrate(3);
INSERT INTO connections.connections (user_id, provider, type, name, config) VALUES
	('00000000-0000-4000-8000-000000000000', 'google_workspace', 'x', 'through the sync trigger', '{"capability": "calendar"}');
SELECT connections_migrate(4);
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "display_name": "Google Mail"}]');
SELECT * FROM connections_seed_catalog();
SELECT check_name, status FROM connections_verify();
SELECT * FROM connections_available();
SELECT step, migration, state, mode, row_count FROM connections_status();
BEGIN;
SET LOCAL search_path = pg_catalog;
UPDATE connections.connections SET label = NULL;
COMMIT;
SELECT check_name, status, found FROM connections_precheck(0) WHERE check_name OPERATOR(pg_catalog.<>) ALL ('{ownership,locks,snapshots,disk_space}');
SELECT connections_rollback(0);
SELECT connections_migrate(4);
SELECT step, state FROM connections_status();
RESET search_path;
ALTER DATABASE :"DBNAME" RESET search_path;
\c -
SET client_min_messages = warning;
DROP SCHEMA connections, regress_crd_hostile CASCADE;
