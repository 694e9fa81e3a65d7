--
-- unsupported_schemas: tables that are missing, of another kind or between two versions, and those that step 3 cannot be made from.  The precheck
-- reports what it finds and never raises; migrate, rollback and plan name what does not fit, and nothing is changed.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/fixtures/begin.sql
\set rows 20
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.report(step integer) RETURNS TABLE (check_name text, status text, found text) LANGUAGE sql AS $$
SELECT check_name, status, found FROM connections_precheck(step)
WHERE check_name NOT IN ('locks', 'old_snapshots', 'disk_space', 'ownership', 'isolation', 'citus') AND found <> 'not checked'
$$;

-- no tables
SELECT * FROM pg_temp.report(4);
SELECT check_name, status FROM connections_precheck(4) WHERE found = 'not checked';
SELECT step, state, mode FROM connections_status();
SELECT * FROM connections_verify();
SELECT connections_migrate(4);
\echo :LAST_ERROR_SQLSTATE
SELECT connections_rollback();
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM connections_plan();
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM connections_seed_catalog();
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM connections_available();
\echo :LAST_ERROR_SQLSTATE

-- only one of them
\set ECHO none
\i :fixtures/legacy.sql
\i :fixtures/rows.sql
\set ECHO all
SET client_min_messages = warning;
BEGIN;
DROP TABLE connections.available_connections;
SELECT * FROM pg_temp.report(4);
SELECT connections_migrate(4);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
DROP TABLE connections.connections;
SELECT * FROM pg_temp.report(4);
SELECT connections_migrate(4);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE

-- something else in a table's place
BEGIN;
ALTER TABLE connections.available_connections RENAME TO entries;
CREATE VIEW connections.available_connections AS TABLE connections.entries;
SELECT * FROM pg_temp.report(4) WHERE status = 'error';
:remember
SAVEPOINT refused;
SELECT connections_migrate(4);
ROLLBACK TO refused;
:unchanged
DROP VIEW connections.available_connections;
CREATE MATERIALIZED VIEW connections.available_connections AS TABLE connections.entries;
SELECT * FROM pg_temp.report(4) WHERE check_name = 'table_kinds';
SAVEPOINT refused;
SELECT connections_migrate(4);
ROLLBACK TO refused;
DROP MATERIALIZED VIEW connections.available_connections;
CREATE SEQUENCE connections.available_connections;
SELECT * FROM pg_temp.report(4) WHERE check_name = 'table_kinds';
DROP SEQUENCE connections.available_connections;
CREATE TABLE connections.available_connections (LIKE connections.entries INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
SELECT * FROM pg_temp.report(4) WHERE check_name = 'table_kinds';
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections RENAME TO plain;
CREATE VIEW connections.connections AS TABLE connections.plain;
SELECT * FROM pg_temp.report(4) WHERE check_name = 'table_kinds';
SELECT connections_migrate(4);
ROLLBACK;
BEGIN;
CREATE FOREIGN DATA WRAPPER regress_crd_nothing;
CREATE SERVER regress_crd_nowhere FOREIGN DATA WRAPPER regress_crd_nothing;
DROP TABLE connections.available_connections;
CREATE FOREIGN TABLE connections.available_connections (id uuid, name text) SERVER regress_crd_nowhere;
SELECT connections_migrate(4);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
CREATE TABLE connections.parent (id uuid NOT NULL);
ALTER TABLE connections.connections INHERIT connections.parent;
SELECT * FROM pg_temp.report(4) WHERE status = 'error';
:remember
SAVEPOINT refused;
SELECT connections_migrate(4);
ROLLBACK TO refused;
:unchanged
ROLLBACK;
BEGIN;
CREATE TABLE connections.child () INHERITS (connections.available_connections);
SELECT * FROM pg_temp.report(4) WHERE status = 'error';
SELECT connections_migrate(4);
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.parent (LIKE connections.plain INCLUDING INDEXES) PARTITION BY RANGE (id);
CREATE TABLE connections.connections PARTITION OF connections.parent DEFAULT;
SELECT * FROM pg_temp.report(4) WHERE status = 'error';
SELECT connections_migrate(4);
ROLLBACK;

-- between two versions
\pset format unaligned
\pset tuples_only
CREATE FUNCTION pg_temp.mismatch() RETURNS SETOF text LANGUAGE sql AS $$
SELECT found FROM connections_precheck(4) WHERE check_name = 'version' AND status = 'error'
$$;
BEGIN;
ALTER TABLE connections.available_connections ADD COLUMN slug text;
SELECT * FROM pg_temp.mismatch();
SELECT step, state FROM connections_status();
SELECT check_name, status, found FROM connections_verify() WHERE check_name <> 'ownership';
:remember
SAVEPOINT refused;
SELECT connections_migrate(4);
ROLLBACK TO refused;
:unchanged
SELECT connections_rollback();
ROLLBACK TO refused;
:unchanged
SELECT * FROM connections_plan(0);
ROLLBACK TO refused;
:unchanged
SELECT * FROM connections_seed_catalog();
ROLLBACK;
-- slug is there, unique and filled, but name is, too
BEGIN;
ALTER TABLE connections.available_connections ADD COLUMN slug text UNIQUE, ADD COLUMN display_name text, ADD COLUMN auth_type text;
UPDATE connections.available_connections SET slug = name, auth_type = 'x';
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE connections.available_connections ALTER slug SET NOT NULL, ALTER auth_type SET NOT NULL;
SELECT * FROM pg_temp.mismatch();
ROLLBACK;
BEGIN;
ALTER TABLE connections.available_connections DROP COLUMN name;
SELECT * FROM pg_temp.mismatch();
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections ADD COLUMN available_connection_id uuid;
SELECT * FROM pg_temp.mismatch();
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections ADD COLUMN label text;
SELECT * FROM pg_temp.mismatch();
ROLLBACK;
BEGIN;
SELECT connections_migrate(1);
ALTER TABLE connections.available_connections DROP CONSTRAINT available_connections_slug_key;
SELECT * FROM pg_temp.mismatch();
CREATE UNIQUE INDEX ON connections.available_connections (slug) WHERE slug <> '';
CREATE UNIQUE INDEX ON connections.available_connections (lower(slug));
CREATE UNIQUE INDEX ON connections.available_connections (slug, id);
SELECT * FROM pg_temp.mismatch();
CREATE UNIQUE INDEX ON connections.available_connections (slug);
SELECT * FROM pg_temp.mismatch();
SELECT connections_migrate(4);
ROLLBACK;
BEGIN;
SELECT connections_migrate(2);
ALTER TABLE connections.connections ALTER available_connection_id SET NOT NULL;
SELECT * FROM pg_temp.mismatch();
SELECT connections_rollback();
ROLLBACK;
BEGIN;
SELECT connections_migrate(3);
ALTER TABLE connections.connections DROP CONSTRAINT connections_available_connection_id_fkey;
SELECT * FROM pg_temp.mismatch();
ALTER TABLE connections.connections ADD FOREIGN KEY (available_connection_id) REFERENCES connections.available_connections ON DELETE CASCADE;
SELECT * FROM pg_temp.mismatch();
ALTER TABLE connections.connections DROP CONSTRAINT connections_available_connection_id_fkey,
	ADD FOREIGN KEY (available_connection_id) REFERENCES connections.available_connections ON DELETE RESTRICT NOT VALID;
SELECT * FROM pg_temp.mismatch();
ALTER TABLE connections.connections VALIDATE CONSTRAINT connections_available_connection_id_fkey;
SELECT * FROM pg_temp.mismatch();
DROP INDEX connections.connections_available_connection_id_idx;
SELECT * FROM pg_temp.mismatch();
CREATE INDEX ON connections.connections (user_id, available_connection_id);
SELECT * FROM pg_temp.mismatch();
CREATE INDEX ON connections.connections (available_connection_id, user_id);
SELECT * FROM pg_temp.mismatch();
SELECT connections_migrate(4);
ROLLBACK;
BEGIN;
SELECT connections_migrate(4);
ALTER TABLE connections.connections ADD COLUMN type text;
SELECT * FROM pg_temp.mismatch();
SELECT connections_rollback();
ROLLBACK;
BEGIN;
SELECT connections_migrate(4);
ALTER TABLE connections.connections ALTER label SET NOT NULL;
SELECT * FROM pg_temp.mismatch();
ROLLBACK;
BEGIN;
SELECT connections_migrate(4);
ALTER TABLE connections.connections DROP COLUMN label;
SELECT * FROM pg_temp.mismatch();
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections DROP COLUMN type;
SELECT * FROM pg_temp.mismatch();
ROLLBACK;

\pset format aligned
\pset tuples_only

-- an index that leads with the column may be there before, at any version from 2 on
BEGIN;
SELECT connections_migrate(2);
CREATE INDEX mine ON connections.connections (available_connection_id);
SELECT connections_migrate(4);
SELECT indexname FROM pg_indexes WHERE tablename = 'connections' AND indexdef LIKE '%(available_connection_id)';
SELECT connections_rollback(2);
SELECT indexname FROM pg_indexes WHERE tablename = 'connections' AND indexdef LIKE '%(available_connection_id)';
ROLLBACK;

-- what step 3 cannot be made from
BEGIN;
ALTER TABLE connections.available_connections DROP CONSTRAINT "PK_768c9248b6d2331f57ab02317cf";
SELECT check_name, found, hint FROM connections_precheck(4) WHERE status = 'error';
ALTER TABLE connections.available_connections ADD PRIMARY KEY (id) DEFERRABLE;
SELECT check_name, found, hint FROM connections_precheck(4) WHERE status = 'error';
:remember
SAVEPOINT refused;
SELECT connections_migrate(4);
ROLLBACK TO refused;
:unchanged
ROLLBACK;
BEGIN;
ALTER TABLE connections.available_connections SET UNLOGGED;
SELECT check_name, found, hint FROM connections_precheck(4) WHERE status = 'error';
SELECT connections_migrate(4);
ROLLBACK;

-- tables and partitions that cannot be rewritten, or not by their owner: refused by both modes, with their names
CREATE FUNCTION pg_temp.refusals() RETURNS TABLE (check_name text, found text, hint text) LANGUAGE sql AS $$
SELECT check_name, found, hint FROM connections_precheck(4) WHERE status = 'error' AND check_name <> 'ownership'
$$;
CREATE ACCESS METHOD regress_crd_heap TYPE TABLE HANDLER heap_tableam_handler;
CREATE FOREIGN DATA WRAPPER regress_crd_nothing;
CREATE SERVER regress_crd_nowhere FOREIGN DATA WRAPPER regress_crd_nothing;
CREATE ROLE regress_crd_other;
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS) USING regress_crd_heap;
ALTER TABLE connections.connections ADD PRIMARY KEY (id);
SELECT * FROM pg_temp.refusals();
:remember
SELECT connections_migrate(4);
:unchanged
CALL connections_migrate_online(4);
:unchanged
DROP TABLE connections.connections;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);
CREATE FOREIGN TABLE connections.far PARTITION OF connections.connections FOR VALUES FROM (MINVALUE) TO ('2020-01-01') SERVER regress_crd_nowhere;
CREATE TABLE connections."Other heap" PARTITION OF connections.connections FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') USING regress_crd_heap;
CREATE TABLE connections.middle PARTITION OF connections.connections FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY HASH (id);
CREATE TABLE connections.of_another PARTITION OF connections.middle FOR VALUES WITH (modulus 1, remainder 0);
ALTER TABLE connections.of_another OWNER TO regress_crd_other;
SELECT * FROM pg_temp.refusals();
SELECT connections_migrate(4);
\echo :LAST_ERROR_SQLSTATE
CALL connections_migrate_online(4);
\echo :LAST_ERROR_SQLSTATE
SELECT relname, relispartition FROM pg_class WHERE oid IN (SELECT relid FROM pg_partition_tree('connections.connections')) ORDER BY 1;
DROP TABLE connections.connections;
CREATE TYPE connections.connection AS (id uuid, user_id uuid, provider varchar(50), type varchar(50), name varchar(255), config jsonb);
CREATE TABLE connections.connections OF connections.connection (PRIMARY KEY (id));
SELECT * FROM pg_temp.refusals();
SELECT connections_migrate(4);
CALL connections_migrate_online(4);
DROP TABLE connections.connections;
ALTER TABLE connections.plain RENAME TO connections;
ALTER TABLE connections.available_connections RENAME TO entries;
CREATE TABLE connections.available_connections (LIKE connections.entries INCLUDING DEFAULTS INCLUDING INDEXES) USING regress_crd_heap;
SELECT * FROM pg_temp.refusals() WHERE check_name = 'table_kinds';
SELECT connections_migrate(1);
DROP TABLE connections.available_connections;
ALTER TABLE connections.entries RENAME TO available_connections;
-- children and parents, a primary key that is missing, and a column elsewhere of the row type, for the online mode
CREATE TABLE connections.child () INHERITS (connections.connections);
SELECT * FROM pg_temp.refusals();
:remember
CALL connections_migrate_online(4);
:unchanged
DROP TABLE connections.child;
ALTER TABLE connections.connections DROP CONSTRAINT "PK_0a1f844af3122354cbd487a8d03";
SELECT * FROM pg_temp.refusals();
:remember
CALL connections_migrate_online(4);
:unchanged
ALTER TABLE connections.connections ADD PRIMARY KEY (id);
CREATE TABLE connections."keeps Rows" (id int, "a Row" connections.connections);
SELECT * FROM pg_temp.refusals();
:remember
CALL connections_migrate_online(4);
:unchanged
DROP TABLE connections."keeps Rows";
CREATE VIEW connections.of_provider AS SELECT id, provider FROM connections.connections;
SELECT * FROM pg_temp.refusals();
:remember
CALL connections_migrate_online(4);
:unchanged
\set ECHO none
\i :fixtures/drop.sql
\set ECHO all
DROP SERVER regress_crd_nowhere;
DROP FOREIGN DATA WRAPPER regress_crd_nothing;
DROP ACCESS METHOD regress_crd_heap;
DROP ROLE regress_crd_other;
