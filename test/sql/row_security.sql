--
-- Row-level security: the migration sees every row or fails, the application's functions obey the policies
--
\set VERBOSITY terse
SET client_min_messages = warning;
DROP EXTENSION connections_redesign;
CREATE EXTENSION connections_redesign;
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 20
\i :abs_srcdir/fixtures/begin.sql
CREATE ROLE regress_crd_owner;
CREATE ROLE regress_crd_app;
GRANT USAGE, CREATE ON SCHEMA connections TO regress_crd_owner;
GRANT USAGE ON SCHEMA connections TO regress_crd_app;
ALTER TABLE connections.connections OWNER TO regress_crd_owner;
ALTER TABLE connections.available_connections OWNER TO regress_crd_owner;
GRANT EXECUTE ON FUNCTION connections_migrate, connections_rollback, connections_seed_catalog TO regress_crd_owner, regress_crd_app;
CREATE TEMP TABLE rows_before AS SELECT * FROM connections.connections;
GRANT SELECT ON rows_before TO regress_crd_owner;
CREATE VIEW pg_temp.security AS SELECT relname, relrowsecurity, relforcerowsecurity, array_agg(polname::text ORDER BY polname) AS policies
FROM pg_class LEFT JOIN pg_policy ON polrelid = pg_class.oid WHERE relnamespace = 'connections'::regnamespace AND relkind = 'r' GROUP BY 1, 2, 3 ORDER BY 1;

-- Policies that hide most rows from whomever they bind, or raise an error
CREATE POLICY part ON connections.connections USING (user_id < '80000000-0000-0000-0000-000000000000');
CREATE POLICY part ON connections.available_connections TO regress_crd_app USING (icon IS NOT NULL) WITH CHECK (false);
CREATE POLICY none ON connections.available_connections AS RESTRICTIVE TO regress_crd_owner USING (1 / 0 > 1);
ALTER TABLE connections.connections ENABLE ROW LEVEL SECURITY;
ALTER TABLE connections.available_connections ENABLE ROW LEVEL SECURITY;

-- The owner is not bound, and the caller's row_security does not matter.
SET ROLE regress_crd_owner;
SELECT check_name, status, found FROM connections_precheck() WHERE check_name IN ('row_level_security', 'available_connections', 'mapping');
SELECT connections_migrate(4);
SELECT connections_rollback(0);
SET row_security = off;
SELECT connections_migrate(4);
SELECT connections_rollback(0);
RESET row_security;
RESET ROLE;
SELECT * FROM pg_temp.security;
SELECT count(*) FROM (TABLE rows_before EXCEPT SELECT id, user_id, provider, type, name, config, created_at, updated_at FROM connections.connections) missing;

-- FORCE binds the owner, too: it is lifted under the lock and put back
ALTER TABLE connections.connections FORCE ROW LEVEL SECURITY;
ALTER TABLE connections.available_connections FORCE ROW LEVEL SECURITY;
SET ROLE regress_crd_owner;
SELECT count(*) < 20 AS owner_is_bound FROM connections.connections;
SELECT check_name, status, found, hint FROM connections_precheck() WHERE check_name IN ('row_level_security', 'available_connections', 'mapping');
SELECT connections_migrate(1);
RESET ROLE;
SELECT * FROM pg_temp.security;
SET ROLE regress_crd_owner;
SELECT connections_migrate(4);
SELECT check_name, status, found FROM connections_verify() WHERE check_name IN ('version', 'available_connections', 'mapping', 'display_names');
RESET ROLE;
SELECT * FROM pg_temp.security;
SELECT count(*), count(available_connection_id) FROM connections.connections;
UPDATE connections.connections SET label = NULL;
-- also where the superuser calls
SELECT connections_rollback(3);
SET ROLE regress_crd_owner;
SELECT connections_rollback(0);
RESET ROLE;
SELECT * FROM pg_temp.security;
SELECT count(*), count(*) FILTER (WHERE name = '') AS empty FROM connections.connections;
SELECT count(*) FROM (SELECT id, user_id, provider, type, config, created_at FROM rows_before
	EXCEPT SELECT id, user_id, provider, type, config, created_at FROM connections.connections) missing;

-- An unmappable row that the owner does not see is found all the same, and FORCE is as it was after the error.
INSERT INTO connections.connections (id, user_id, provider, type, name)
VALUES ('ffffffff-0000-4000-8000-000000000000', 'ffffffff-0000-4000-8000-000000000000', 'hidden', 't', 'n');
SET ROLE regress_crd_owner;
\set VERBOSITY default
SELECT connections_migrate(4);
\set VERBOSITY terse
RESET ROLE;
SELECT * FROM pg_temp.security;
DELETE FROM connections.connections WHERE provider = 'hidden';

-- FORCE on one table only, and an owner who bypasses policies, whom FORCE does not bind
ALTER TABLE connections.available_connections NO FORCE ROW LEVEL SECURITY;
SELECT found, status FROM connections_precheck() WHERE check_name = 'row_level_security';
SELECT connections_migrate(3);
SELECT * FROM pg_temp.security;
ALTER ROLE regress_crd_owner BYPASSRLS;
SELECT found, status FROM connections_precheck() WHERE check_name = 'row_level_security';
SELECT connections_migrate(4);
SELECT * FROM pg_temp.security;
ALTER ROLE regress_crd_owner NOBYPASSRLS;

-- Two owners: the policies of the catalog bind the owner of connections, who references it.
SELECT connections_rollback(0);
CREATE ROLE regress_crd_catalog_owner;
GRANT USAGE, CREATE ON SCHEMA connections TO regress_crd_catalog_owner;
ALTER TABLE connections.available_connections OWNER TO regress_crd_catalog_owner;
GRANT SELECT, REFERENCES ON connections.available_connections TO regress_crd_owner;
SELECT connections_migrate(4);
SELECT connections_rollback(1);
ALTER TABLE connections.available_connections FORCE ROW LEVEL SECURITY;
SELECT connections_migrate(4);
SELECT * FROM pg_temp.security;
SELECT count(*), count(available_connection_id) FROM connections.connections;
ALTER TABLE connections.available_connections NO FORCE ROW LEVEL SECURITY;

-- What the application calls obeys the policies.
GRANT SELECT, INSERT, UPDATE ON connections.available_connections TO regress_crd_app;
SET ROLE regress_crd_app;
SELECT slug FROM connections_available();
SELECT * FROM connections_seed_catalog();
RESET ROLE;
SELECT slug, display_name FROM connections_available();
ALTER POLICY part ON connections.available_connections WITH CHECK (icon IS NOT NULL);
SET ROLE regress_crd_app;
BEGIN;
SELECT slug, action FROM connections_seed_catalog();
SELECT slug, display_name FROM connections_available();
ROLLBACK;
SET row_security = off;
SELECT slug FROM connections_available();
RESET ROLE;
SELECT slug, display_name FROM connections_available();
RESET row_security;
DROP SCHEMA connections CASCADE;

-- Policies of a partition bind who reads it by itself, as the walk for types does: that fails rather than lose the types of rows it does not see.
CREATE SCHEMA connections;
GRANT USAGE, CREATE ON SCHEMA connections TO regress_crd_owner;
SET ROLE regress_crd_owner;
CREATE TABLE connections.available_connections (id int PRIMARY KEY, name text NOT NULL UNIQUE, icon text, cover text, description text);
INSERT INTO connections.available_connections VALUES (1, 'calendar'), (2, 'gmail'), (3, 'sheets'), (4, 'smtp'), (5, 'telegram');
CREATE TABLE connections.connections (id int PRIMARY KEY, provider text NOT NULL, type text, name text NOT NULL, config jsonb) PARTITION BY RANGE (id);
CREATE TABLE connections.hidden PARTITION OF connections.connections DEFAULT;
INSERT INTO connections.connections VALUES (1, 'gmail', 'oauth2', 'a', '{}'), (2, 'gmail', 'oauth2', 'b', '{}'), (3, 'gmail', 'imap', 'c', '{}');
ALTER TABLE connections.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
RESET ROLE;
SELECT status, found, hint FROM connections_precheck(4) WHERE check_name = 'row_level_security' AND status <> 'ok';
CALL connections_migrate_online(4);
SELECT step, state FROM connections_status();
ALTER TABLE connections.hidden NO FORCE ROW LEVEL SECURITY;
CALL connections_migrate_online(4);
SELECT connections_rollback(0);
SET ROLE regress_crd_owner;
SELECT id, type FROM connections.connections ORDER BY id;
RESET ROLE;

DROP SCHEMA connections CASCADE;
DROP OWNED BY regress_crd_owner, regress_crd_catalog_owner, regress_crd_app;
DROP ROLE regress_crd_owner, regress_crd_catalog_owner, regress_crd_app;
