--
-- privileges: who may do what.  EXECUTE on what writes is nobody's by default; with it, migrating takes the privileges of the owner of
-- both tables; reports read what their caller may read; the seed and the list run as their caller, under the policies of the catalog.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 20
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;
CREATE ROLE regress_crd_owner;
CREATE ROLE regress_crd_member IN ROLE regress_crd_owner;
CREATE ROLE regress_crd_other;
CREATE ROLE regress_crd_admin;
GRANT USAGE, CREATE ON SCHEMA connections TO regress_crd_owner;
GRANT USAGE ON SCHEMA connections TO regress_crd_admin, regress_crd_other;
ALTER TABLE connections.connections OWNER TO regress_crd_owner;
ALTER TABLE connections.available_connections OWNER TO regress_crd_owner;

-- not without EXECUTE, not even the owner
SET ROLE regress_crd_member;
SELECT connections_migrate(4);
\echo :LAST_ERROR_SQLSTATE
SELECT connections_rollback();
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM connections_seed_catalog();
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT EXECUTE ON FUNCTION connections_migrate(integer), connections_rollback(integer) TO regress_crd_member, regress_crd_other;

-- not without the owner's privileges; the reports still report
:remember
SET ROLE regress_crd_other;
SELECT connections_migrate(4);
\echo :LAST_ERROR_SQLSTATE
SELECT connections_rollback();
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM connections_plan();
\echo :LAST_ERROR_SQLSTATE
SELECT check_name, status, found, expected, hint FROM connections_precheck(4) WHERE check_name IN ('ownership', 'available_connections', 'mapping');
SELECT check_name, status, found FROM connections_verify();
SELECT step, state FROM connections_status();
SELECT count(*) FROM connections_registry();
RESET ROLE;
:differences

-- two owners: a member of one is not enough, and the owner of connections must be allowed to refer to the catalog
BEGIN;
ALTER TABLE connections.available_connections OWNER TO regress_crd_other;
SET ROLE regress_crd_member;
SELECT status, found, expected FROM connections_precheck(4) WHERE check_name = 'ownership';
RESET ROLE;
SELECT check_name, found, hint FROM connections_precheck(4) WHERE status = 'error';
GRANT REFERENCES (id) ON connections.available_connections TO regress_crd_owner;
GRANT CREATE ON SCHEMA connections TO regress_crd_other;
SELECT check_name, found, hint FROM connections_precheck(4) WHERE status = 'error';
SAVEPOINT refused;
SET ROLE regress_crd_member;
SELECT connections_migrate(4);
ROLLBACK TO refused;
SELECT connections_migrate(4);
ROLLBACK;

-- the owner's member can; what it does is done as the owner, and recorded as the session's user
SET ROLE regress_crd_member;
SELECT connections_migrate(4);
SELECT step, state, mode, row_count, applied_at IS NOT NULL AS dated, applied_by = session_user AS by_session_user FROM connections_status();
SELECT step, direction, state, mode FROM connections_redesign.history
WHERE run_id = (SELECT max(run_id) FROM connections_redesign.history) ORDER BY id;
-- what is kept of the tables is for nobody to read or write, nor is the history to be written
SELECT count(*) FROM connections_redesign.saved_ddl;
SELECT count(*) FROM connections_redesign.saved_connection_type;
DELETE FROM connections_redesign.run_step;
DELETE FROM connections_redesign.history;
SELECT nextval('connections_redesign.run_id_seq');
SELECT connections_redesign.saved_type('key', 'id', 'nothing kept');
RESET ROLE;
SET ROLE regress_crd_other;
SELECT connections_redesign.saved_type('key', 'id', 'nothing kept');
SELECT connections_redesign.saved_label_was_null('key');
RESET ROLE;
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid IN ('connections.connections'::regclass, 'connections.connections_available_connection_id_idx'::regclass);

-- the seed needs SELECT, INSERT and UPDATE on the catalog, and EXECUTE; the list needs SELECT
GRANT EXECUTE ON FUNCTION connections_seed_catalog(jsonb) TO regress_crd_admin;
SET ROLE regress_crd_admin;
SELECT * FROM connections_available();
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM connections_seed_catalog();
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT SELECT, INSERT, UPDATE ON connections.available_connections TO regress_crd_admin;
SET ROLE regress_crd_admin;
SELECT * FROM connections_seed_catalog();
SELECT * FROM connections_available();
SELECT connections_migrate(4);
RESET ROLE;

-- under the policies of the catalog
ALTER TABLE connections.available_connections ENABLE ROW LEVEL SECURITY;
CREATE POLICY not_smtp ON connections.available_connections USING (slug <> 'smtp');
SET ROLE regress_crd_admin;
SELECT slug FROM connections_available();
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "display_name": "G"}]');
RESET ROLE;
DROP POLICY not_smtp ON connections.available_connections;

-- row-level security that is forced upon the owner hides no row from the migration: it is lifted under the lock and put back
CREATE POLICY of_nobody ON connections.connections USING (false);
ALTER TABLE connections.connections ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY of_nobody ON connections.available_connections USING (false);
ALTER TABLE connections.available_connections FORCE ROW LEVEL SECURITY;
:remember
SET ROLE regress_crd_member;
SELECT check_name, status, found, hint FROM connections_precheck(0) WHERE status <> 'ok' ORDER BY 1, 3;
SELECT connections_rollback(0);
SELECT count(*) FROM connections.connections;
SELECT connections_migrate(4);
RESET ROLE;
:differences
SELECT connections_rollback(0);
DROP POLICY of_nobody ON connections.connections;
DROP POLICY of_nobody ON connections.available_connections;

-- statistics that belong to a role of which the owner is no member are its own again
CREATE STATISTICS connections.given ON provider, type FROM connections.connections;
ALTER STATISTICS connections.given OWNER TO regress_crd_other;
:remember
SET ROLE regress_crd_member;
SELECT connections_migrate(4);
SELECT connections_rollback(0);
RESET ROLE;
:differences
DROP STATISTICS connections.given;

-- functions that an owner planted never run as the superuser who migrates
CREATE TABLE connections.ran_as (role text);
GRANT ALL ON connections.ran_as TO PUBLIC;
CREATE FUNCTION connections.note() RETURNS boolean LANGUAGE sql AS $$
INSERT INTO connections.ran_as VALUES (current_user) RETURNING true
$$;
CREATE FUNCTION connections.planted(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN connections.note();
END
$$;
ALTER TABLE connections.connections ADD CHECK (connections.planted(type));
CREATE INDEX ON connections.connections (connections.planted(provider)) WHERE connections.planted(provider);
CREATE INDEX ON connections.available_connections (connections.planted(icon));
SELECT DISTINCT role = session_user AS superuser FROM connections.ran_as;
TRUNCATE connections.ran_as;
SELECT connections_migrate(4);
SELECT connections_rollback(0);
SELECT role, count(*) > 0 AS often FROM connections.ran_as GROUP BY 1 ORDER BY 1;
\set ECHO none
\i :fixtures/drop.sql
\set ECHO all
DROP OWNED BY regress_crd_member, regress_crd_other, regress_crd_admin, regress_crd_owner;
DROP ROLE regress_crd_member, regress_crd_other, regress_crd_admin, regress_crd_owner;
