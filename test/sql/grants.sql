--
-- grants: what PUBLIC may do with each object of the extension, the seed with less than all privileges, and two owners
--
\set VERBOSITY terse
SET client_min_messages = warning;
DROP EXTENSION connections_redesign;
CREATE EXTENSION connections_redesign;
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 10
\i :abs_srcdir/fixtures/begin.sql
CREATE ROLE regress_crd_owner;
CREATE ROLE regress_crd_catalog_owner;
CREATE ROLE regress_crd_member_of_both IN ROLE regress_crd_owner, regress_crd_catalog_owner;
CREATE ROLE regress_crd_admin;
CREATE ROLE regress_crd_nobody;
GRANT USAGE, CREATE ON SCHEMA connections TO regress_crd_owner, regress_crd_catalog_owner;
GRANT USAGE ON SCHEMA connections TO regress_crd_admin;
ALTER TABLE connections.connections OWNER TO regress_crd_owner;
ALTER TABLE connections.available_connections OWNER TO regress_crd_owner;

-- what PUBLIC may execute of all that the extension has
SELECT p.proname, has_function_privilege('regress_crd_nobody', p.oid, 'EXECUTE') AS everybody, p.prosecdef
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'connections_redesign' ORDER BY 2, p.proname COLLATE "C";

-- what PUBLIC may read or write of its relations
SELECT c.relname, c.relkind, has_table_privilege('regress_crd_nobody', c.oid, 'SELECT') AS may_read,
	has_table_privilege('regress_crd_nobody', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') AS may_write
FROM pg_class c WHERE relnamespace = 'connections_redesign'::regnamespace AND relkind IN ('r', 'v', 'm', 'p') ORDER BY 3, relname COLLATE "C";
SELECT c.relname, CASE relkind WHEN 'S' THEN has_sequence_privilege('regress_crd_nobody', c.oid, 'USAGE, SELECT, UPDATE') END AS may_use
FROM pg_class c WHERE relnamespace = 'connections_redesign'::regnamespace AND relkind = 'S' ORDER BY relname COLLATE "C";
SELECT has_schema_privilege('regress_crd_nobody', 'connections_redesign', 'CREATE') AS may_create;

SET ROLE regress_crd_nobody;
SELECT count(*) FROM connections_redesign.history;
DELETE FROM connections_redesign.history;
SELECT * FROM connections_redesign.run_step;
INSERT INTO connections_redesign.saved_ddl (step, seq, definition) VALUES (4, 1, 'DROP TABLE connections.connections');
SELECT nextval('connections_redesign.run_id_seq');
SELECT connections_redesign.saved_type('1', '1', '1');
SELECT connections_redesign.saved_label_was_null('1');
RESET ROLE;

-- The tables' owner may ask what was kept, but neither read nor write it.
SELECT connections_migrate(4);
SET ROLE regress_crd_owner;
SELECT connections_redesign.saved_type('1', '1', 'the owner may ask');
SELECT connections_redesign.saved_label_was_null('1');
SELECT type FROM connections_redesign.saved_connection_type;
INSERT INTO connections_redesign.saved_ddl (step, seq, definition) VALUES (4, 99, 'DROP TABLE connections.connections');
UPDATE connections_redesign.run_step SET applied_by = 'somebody else';
RESET ROLE;

-- The seed, without being the owner: EXECUTE, and SELECT, INSERT and UPDATE on the catalog, each as far as it is needed
GRANT EXECUTE ON FUNCTION connections_seed_catalog TO regress_crd_admin;
SET ROLE regress_crd_admin;
SELECT * FROM connections_seed_catalog();
RESET ROLE;
GRANT SELECT, UPDATE ON connections.available_connections TO regress_crd_admin;
SET ROLE regress_crd_admin;
SELECT * FROM connections_seed_catalog();
SELECT slug, display_name FROM connections_available();
SELECT connections_migrate(4);
RESET ROLE;
DELETE FROM connections.connections WHERE available_connection_id = (SELECT id FROM connections.available_connections WHERE slug = 'gmail');
DELETE FROM connections.available_connections WHERE slug = 'gmail';
SET ROLE regress_crd_admin;
SELECT * FROM connections_seed_catalog();
RESET ROLE;
GRANT INSERT ON connections.available_connections TO regress_crd_admin;
SET ROLE regress_crd_admin;
SELECT * FROM connections_seed_catalog();
SELECT * FROM connections_seed_catalog();
RESET ROLE;
GRANT EXECUTE ON FUNCTION connections_migrate, connections_rollback TO regress_crd_admin, regress_crd_owner, regress_crd_member_of_both;
SET ROLE regress_crd_admin;
SELECT connections_rollback();
RESET ROLE;

-- Two owners
SELECT connections_rollback(0);
ALTER TABLE connections.available_connections OWNER TO regress_crd_catalog_owner;
SET ROLE regress_crd_owner;
SELECT connections_migrate(4);
SET ROLE regress_crd_member_of_both;
\set VERBOSITY sqlstate
SELECT connections_migrate(4);
\set VERBOSITY default
SELECT connections_migrate(4);
\set VERBOSITY terse
RESET ROLE;
SELECT connections_migrate(4);
SELECT status, found, hint FROM connections_precheck() WHERE check_name = 'foreign_key';
GRANT REFERENCES (id) ON connections.available_connections TO regress_crd_owner;
SET ROLE regress_crd_member_of_both;
SELECT connections_migrate(4);
SELECT connections_rollback(0);
RESET ROLE;
-- the owner of connections cannot read the catalog: he need not
SELECT has_table_privilege('regress_crd_owner', 'connections.available_connections', 'SELECT');
SELECT connections_migrate(4);
SELECT count(*) FROM pg_constraint WHERE conrelid = 'connections.connections'::regclass AND contype = 'f' AND convalidated;

DROP SCHEMA connections CASCADE;
DROP OWNED BY regress_crd_owner, regress_crd_catalog_owner, regress_crd_member_of_both, regress_crd_admin, regress_crd_nobody;
DROP ROLE regress_crd_owner, regress_crd_catalog_owner, regress_crd_member_of_both, regress_crd_admin, regress_crd_nobody;
