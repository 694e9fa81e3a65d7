--
-- replication: replica identity, publications with lists and filters on other columns, and security labels are what they were, in both
-- modes, forward and back; see fixtures/compare_modes.sql.  A replica identity that would go is refused.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set crossing off
\set brief on
\i :abs_srcdir/fixtures/begin.sql
\set rows 20
SET check_function_bodies = off;
\pset null NULL
\set legacy `cat "$PG_ABS_SRCDIR/fixtures/legacy.sql" "$PG_ABS_SRCDIR/fixtures/rows.sql"`
SELECT $$
SET session_replication_role = replica;
UPDATE connections.connections SET label = NULL WHERE id::text < '4';
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000003' WHERE id::text > 'c';
RESET session_replication_role;
$$ AS app \gset

-- filters on columns that stay; replica identity full, and of an index that stays; the extension's own tables are among all tables
SET client_min_messages = error;
CREATE PUBLICATION regress_crd_list;
CREATE PUBLICATION "regress_crd Filter" WITH (publish = 'insert, delete');
CREATE PUBLICATION regress_crd_schema;
CREATE PUBLICATION regress_crd_all FOR ALL TABLES;
SELECT :'legacy' || $$
ALTER TABLE connections.connections ADD COLUMN region text NOT NULL DEFAULT 'eu';
ALTER PUBLICATION "regress_crd Filter" ADD TABLE connections.connections WHERE (region <> 'it''s' AND id IS NOT NULL), connections.available_connections WHERE (id IS NOT NULL);
ALTER TABLE connections.connections REPLICA IDENTITY FULL;
CREATE UNIQUE INDEX by_id ON connections.available_connections (id) INCLUDE (icon);
ALTER TABLE connections.available_connections REPLICA IDENTITY USING INDEX by_id;
$$ AS shape \gset
\i :fixtures/compare_modes.sql
-- lists, one of them with a column that is renamed; a whole schema
SELECT :'legacy' || $$
ALTER PUBLICATION regress_crd_list ADD TABLE connections.connections (id, user_id, name, config), connections.available_connections (id, icon);
ALTER PUBLICATION regress_crd_schema ADD TABLES IN SCHEMA connections;
ALTER TABLE connections.connections REPLICA IDENTITY USING INDEX "PK_0a1f844af3122354cbd487a8d03";
$$ AS shape \gset
\i :fixtures/compare_modes.sql
SELECT tablename, attnames FROM pg_publication_tables WHERE pubname = 'regress_crd_list' ORDER BY 1;
SELECT check_name, status, found FROM connections_precheck(4) WHERE check_name = 'publications' ORDER BY found COLLATE "C";
DROP PUBLICATION regress_crd_list, "regress_crd Filter", regress_crd_schema, regress_crd_all;

-- security labels: no provider is loaded here, so they are put into the catalog by hand
\set ECHO none
\i :fixtures/drop.sql
\i :fixtures/legacy.sql
\i :fixtures/rows.sql
\set ECHO all
SET allow_system_table_mods = on;
INSERT INTO pg_seclabel (objoid, classoid, objsubid, provider, label)
SELECT attrelid, 'pg_class'::regclass, attnum, 'a "provider"', 'it''s ' || attname FROM pg_attribute
WHERE attrelid = 'connections.connections'::regclass AND attname IN ('provider', 'name', 'id')
UNION ALL SELECT 'connections.connections'::regclass, 'pg_class'::regclass, 0, 'a "provider"', 'it''s all';
RESET allow_system_table_mods;
SET client_min_messages = warning;
-- of a column of a partition, too
BEGIN;
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE connections.part PARTITION OF connections.connections FOR VALUES WITH (modulus 1, remainder 0);
SET LOCAL allow_system_table_mods = on;
INSERT INTO pg_seclabel (objoid, classoid, objsubid, provider, label)
SELECT attrelid, 'pg_class'::regclass, attnum, 'a "provider"', 'of a part' FROM pg_attribute WHERE attrelid = 'connections.part'::regclass AND attname = 'type';
RESET allow_system_table_mods;
SELECT connections_migrate(4);
SELECT statement FROM connections_plan(3) WHERE statement LIKE '%SECURITY LABEL%';
ROLLBACK;
SELECT connections_migrate(4);
SELECT attname, label FROM pg_seclabel LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid WHERE provider = 'a "provider"' ORDER BY 1;
SELECT statement FROM connections_plan(3) WHERE statement LIKE '%SECURITY LABEL%';
-- as long as there is none, the label cannot come back, and nothing else does
SELECT connections_rollback(3);
\echo :LAST_ERROR_SQLSTATE
DELETE FROM pg_seclabel WHERE provider = 'a "provider"';

-- a replica identity that goes with a column: where updates or deletes are published, none could be made afterwards, so it is refused
\set ECHO none
\i :fixtures/drop.sql
\i :fixtures/legacy.sql
\i :fixtures/rows.sql
\set ECHO all
SET client_min_messages = error;
CREATE FUNCTION pg_temp.identities(step integer) RETURNS TABLE (status text, found text, expected text, hint text) LANGUAGE sql AS $$
SELECT status, found, expected, hint FROM connections_precheck(step) WHERE check_name = 'dependent_objects' AND found LIKE '%identity%' ORDER BY found COLLATE "C"
$$;
CREATE UNIQUE INDEX "By Provider" ON connections.connections (id, provider);
ALTER TABLE connections.connections REPLICA IDENTITY USING INDEX "By Provider";
CREATE PUBLICATION regress_crd_inserts FOR TABLE connections.connections WITH (publish = 'insert, truncate');
SELECT * FROM pg_temp.identities(4);
CREATE PUBLICATION "regress_crd Updates" FOR TABLE connections.connections WITH (publish = 'update');
CREATE PUBLICATION regress_crd_deletes FOR ALL TABLES WITH (publish = 'delete');
SELECT * FROM pg_temp.identities(4);
:remember
SELECT connections_migrate(4);
:unchanged
CALL connections_migrate_online(4);
:unchanged
SELECT * FROM pg_temp.identities(3);
SELECT connections_migrate(3);
ALTER TABLE connections.connections REPLICA IDENTITY DEFAULT;
CALL connections_migrate_online(4);
UPDATE connections.connections SET label = 'published';
-- on the rollback
CREATE UNIQUE INDEX by_entry ON connections.connections (id, available_connection_id);
ALTER TABLE connections.connections REPLICA IDENTITY USING INDEX by_entry;
SELECT * FROM pg_temp.identities(3);
SELECT * FROM pg_temp.identities(1);
ALTER TABLE connections.connections REPLICA IDENTITY DEFAULT;
SELECT connections_rollback(0);
-- one of a column that may be NULL afterwards is none, whatever is published
DROP PUBLICATION regress_crd_inserts, "regress_crd Updates", regress_crd_deletes;
CREATE UNIQUE INDEX by_name ON connections.connections (id, name);
ALTER TABLE connections.connections REPLICA IDENTITY USING INDEX by_name;
SELECT * FROM pg_temp.identities(4);
SELECT connections_migrate(4);
ALTER TABLE connections.connections REPLICA IDENTITY FULL;
SELECT connections_migrate(4);
ALTER TABLE connections.connections REPLICA IDENTITY USING INDEX by_entry;
SELECT * FROM pg_temp.identities(2);
SELECT connections_rollback(2);
SELECT * FROM pg_temp.identities(1);
SELECT connections_rollback(0);
-- of partitions it is theirs that count
BEGIN;
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain, PRIMARY KEY (id), CONSTRAINT once UNIQUE (id, type)) PARTITION BY HASH (id);
CREATE TABLE connections.part_0 PARTITION OF connections.connections FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE connections.part_1 PARTITION OF connections.connections FOR VALUES WITH (modulus 2, remainder 1);
CREATE PUBLICATION regress_crd_root FOR TABLE connections.connections WITH (publish_via_partition_root);
ALTER TABLE connections.connections REPLICA IDENTITY USING INDEX once;
SELECT * FROM pg_temp.identities(4);
ALTER TABLE connections.part_1 REPLICA IDENTITY USING INDEX part_1_id_type_key;
SELECT * FROM pg_temp.identities(4);
ROLLBACK;
\set ECHO none
\i :fixtures/drop.sql
