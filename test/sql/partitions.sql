--
-- partitions: what partitions have of their own comes back with the columns, in both modes and at each level: defaults, NOT NULL, comments,
-- privileges, settings, indexes, constraints, statistics, and names that were given to what they have of the partitioned table.  A
-- partition that came or went in between is no obstacle.  See fixtures/compare_modes.sql.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set crossing off
\set brief on
\i :abs_srcdir/fixtures/begin.sql
SET check_function_bodies = off;
\pset null NULL
CREATE ROLE regress_crd_reader;
CREATE ROLE "regress_crd Writer";
\set legacy `cat "$PG_ABS_SRCDIR/fixtures/legacy.sql" "$PG_ABS_SRCDIR/fixtures/rows.sql"`
SELECT $$
UPDATE connections.connections SET label = NULL WHERE id::text < '4';
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000003' WHERE id::text > 'c';
$$ AS app \gset

-- by hash: columns
\set rows 30
SELECT :'legacy' || $$
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
ALTER TABLE connections.connections ALTER provider DROP NOT NULL, ALTER type DROP NOT NULL, ALTER name DROP NOT NULL;
CREATE TABLE connections.part_0 PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 0);
CREATE TABLE connections.part_1 PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 1);
CREATE TABLE connections."a partition ""whose"" name is as long as a name can be, 63 bytes"
	PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 2);
INSERT INTO connections.connections TABLE connections.plain;
DROP TABLE connections.plain;
ALTER TABLE connections.connections ALTER provider SET DEFAULT 'smtp', ALTER type SET STATISTICS 40, ALTER name SET DEFAULT 'of all',
	ALTER provider SET STORAGE EXTERNAL;
COMMENT ON COLUMN connections.connections.type IS 'of all';
GRANT SELECT (provider) ON connections.connections TO regress_crd_reader;
-- another one, none, and one where the table has none
ALTER TABLE connections.part_0 ALTER provider SET DEFAULT 'it''s \gmail', ALTER name DROP DEFAULT, ALTER type SET DEFAULT lower('BASIC');
ALTER TABLE connections.part_0 ALTER provider SET NOT NULL, ALTER type SET STATISTICS 20, ALTER provider SET STATISTICS 30,
	ALTER type SET STORAGE MAIN, ALTER provider SET STORAGE EXTENDED, ALTER type SET COMPRESSION pglz, ALTER type SET (n_distinct = 4);
ALTER TABLE connections.part_1 ALTER type SET NOT NULL, ALTER type SET STATISTICS -1, ALTER provider DROP DEFAULT;
COMMENT ON COLUMN connections.part_0.provider IS 'of one';
COMMENT ON COLUMN connections.part_1.type IS 'of another';
GRANT SELECT (type), UPDATE (name) ON connections.part_0 TO regress_crd_reader WITH GRANT OPTION;
GRANT USAGE ON SCHEMA connections TO regress_crd_reader;
SET ROLE regress_crd_reader;
GRANT SELECT (type) ON connections.part_0 TO "regress_crd Writer";
RESET ROLE;
GRANT USAGE ON SCHEMA connections TO "regress_crd Writer";
GRANT SELECT (type) ON connections.part_1 TO "regress_crd Writer" WITH GRANT OPTION;
SET ROLE "regress_crd Writer";
GRANT SELECT (type) ON connections.part_1 TO regress_crd_reader WITH GRANT OPTION;
SET ROLE regress_crd_reader;
GRANT SELECT (type) ON connections.part_1 TO PUBLIC;
RESET ROLE;
-- of the partitions themselves
COMMENT ON TABLE connections.part_0 IS 'a partition';
GRANT SELECT ON connections.part_1 TO regress_crd_reader;
ALTER TABLE connections.part_1 SET (fillfactor = 50);
ALTER TABLE connections.part_1 SET UNLOGGED;
ALTER TABLE connections.part_0 ENABLE ROW LEVEL SECURITY;
CREATE TRIGGER of_all AFTER UPDATE OF user_id ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.touch_updated_at();
ALTER TABLE connections.part_1 DISABLE TRIGGER of_all;
CREATE TRIGGER of_one AFTER INSERT ON connections.part_0 FOR EACH ROW EXECUTE FUNCTION connections.touch_updated_at();
$$ AS shape \gset
\i :fixtures/compare_modes.sql

-- by hash: indexes, constraints and statistics
SELECT :'legacy' || $$
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE connections.part_0 PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 0);
CREATE TABLE connections.part_1 PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 1);
CREATE TABLE connections."a partition ""whose"" name is as long as a name can be, 63 bytes"
	PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 2);
INSERT INTO connections.connections TABLE connections.plain;
DROP TABLE connections.plain;
CREATE TABLE connections.providers (name varchar(50) PRIMARY KEY);
INSERT INTO connections.providers SELECT DISTINCT provider FROM connections.connections;
-- the table's, with names, comments and settings of each partition's part
CREATE INDEX of_provider ON connections.connections (provider);
ALTER INDEX connections.part_0_provider_idx RENAME TO "By Provider";
COMMENT ON INDEX connections.of_provider IS 'of all';
COMMENT ON INDEX connections."By Provider" IS 'renamed';
ALTER INDEX connections.part_1_provider_idx SET (fillfactor = 60);
CREATE INDEX "of ON ONLY an expression" ON connections.connections (lower(type));
ALTER INDEX connections.part_0_lower_idx ALTER COLUMN 1 SET STATISTICS 33;
ALTER TABLE connections.part_1 CLUSTER ON part_1_lower_idx;
ALTER TABLE connections.connections ADD CONSTRAINT once UNIQUE (id, type) WITH (fillfactor = 80, deduplicate_items = off);
ALTER TABLE connections.part_0 RENAME CONSTRAINT part_0_id_type_key TO "Once";
COMMENT ON CONSTRAINT "Once" ON connections.part_0 IS 'once in a partition';
ALTER TABLE connections.part_1 REPLICA IDENTITY USING INDEX part_1_id_type_key;
ALTER TABLE connections.connections ADD CONSTRAINT twice UNIQUE (type, id) WITH (fillfactor = 70) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE connections.connections ADD CONSTRAINT known CHECK (provider <> 'x');
COMMENT ON CONSTRAINT known ON connections.part_0 IS 'known in a partition';
ALTER TABLE connections.connections ADD CONSTRAINT later CHECK (type <> 'x') NOT VALID;
ALTER TABLE connections.connections ADD CONSTRAINT listed FOREIGN KEY (provider) REFERENCES connections.providers;
-- of one partition only
CREATE INDEX "only 0" ON connections.part_0 (type, user_id) WHERE provider <> 'x';
CREATE UNIQUE INDEX only_1 ON connections.part_1 (type, id) NULLS NOT DISTINCT;
COMMENT ON INDEX connections."only 0" IS 'of one';
ALTER TABLE connections.part_0 ADD CONSTRAINT of_one CHECK (type <> 'nothing'), ADD CONSTRAINT unique_in_one UNIQUE (provider, id) DEFERRABLE;
ALTER TABLE connections.part_1 ADD CONSTRAINT of_one FOREIGN KEY (provider) REFERENCES connections.providers ON UPDATE CASCADE;
ALTER TABLE connections.part_1 ADD CONSTRAINT apart EXCLUDE USING btree (id WITH =, type WITH =);
COMMENT ON CONSTRAINT of_one ON connections.part_1 IS 'a foreign key of one';
-- checked in a partition before the table had it
ALTER TABLE connections.part_1 ADD CONSTRAINT of_both CHECK (name <> provider);
ALTER TABLE connections.connections ADD CONSTRAINT of_both CHECK (name <> provider);
CREATE STATISTICS connections.of_all ON provider, type FROM connections.connections;
CREATE STATISTICS connections.of_one (mcv) ON provider, type FROM connections.part_0;
COMMENT ON STATISTICS connections.of_one IS 'of one';
ALTER STATISTICS connections.of_one SET STATISTICS 12;
ALTER STATISTICS connections.of_all OWNER TO regress_crd_reader;
$$ AS shape \gset
\i :fixtures/compare_modes.sql
-- online, rows are checked later, a foreign key in each partition before the table has it; a unique index is built beside writers
SELECT step, lock_mode, statement FROM connections_plan(3, online => true)
WHERE statement ~ '^(ALTER TABLE|CREATE).* (listed|known|unique_in_one)' ORDER BY seq;

-- by range, and below that by hash: what a partition has that is partitioned itself, and one of its own
SELECT :'legacy' || $$
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
CREATE TABLE connections.early PARTITION OF connections.connections FOR VALUES FROM (MINVALUE) TO ('2024-01-01 00:00:20+00') PARTITION BY HASH (id);
CREATE TABLE connections.early_0 PARTITION OF connections.early FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE connections.early_1 PARTITION OF connections.early FOR VALUES WITH (modulus 2, remainder 1);
CREATE TABLE connections.late PARTITION OF connections.connections DEFAULT;
INSERT INTO connections.connections TABLE connections.plain;
DROP TABLE connections.plain;
CREATE INDEX of_type ON connections.connections (type, name);
CREATE INDEX of_early ON connections.early (provider) INCLUDE (user_id);
CREATE UNIQUE INDEX ON connections.early (id, created_at, (lower(type)));
ALTER INDEX connections.early_type_name_idx RENAME TO "middle one";
ALTER INDEX connections.early_1_type_name_idx RENAME TO "lower one";
CREATE INDEX of_early_0 ON connections.early_0 (provider, type);
ALTER TABLE connections.early ADD CONSTRAINT of_early CHECK (provider <> 'x'), ALTER provider SET DEFAULT 'gmail';
COMMENT ON CONSTRAINT of_early ON connections.early_1 IS 'two levels below';
ALTER TABLE connections.early_1 ALTER provider SET DEFAULT 'telegram', ADD CONSTRAINT of_early_1 UNIQUE (id, created_at, type);
COMMENT ON COLUMN connections.early.provider IS 'of the middle';
ALTER TABLE connections.early ALTER type SET STATISTICS 11;
ALTER TABLE connections.early_0 ALTER type SET STATISTICS 12;
GRANT SELECT (type) ON connections.early TO regress_crd_reader;
GRANT SELECT (type) ON connections.early_0 TO "regress_crd Writer";
CREATE STATISTICS connections.of_early ON provider, type FROM connections.early;
$$ AS shape \gset
\i :fixtures/compare_modes.sql

-- a partition comes while the legacy columns are gone: it gets what the table has
SELECT :'legacy' || $$
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
CREATE TABLE connections.early PARTITION OF connections.connections FOR VALUES FROM (MINVALUE) TO ('2024-01-01 00:00:20+00');
CREATE TABLE connections.late PARTITION OF connections.connections FOR VALUES FROM ('2024-01-01 00:00:20+00') TO ('2024-01-02 00:00+00');
INSERT INTO connections.connections TABLE connections.plain;
DROP TABLE connections.plain;
CREATE INDEX of_type ON connections.connections (type, name);
CREATE INDEX of_late ON connections.late (provider);
ALTER TABLE connections.connections ALTER provider SET DEFAULT 'smtp', ADD CONSTRAINT known CHECK (provider <> 'x'),
	ADD CONSTRAINT once UNIQUE (id, created_at, type);
COMMENT ON COLUMN connections.connections.provider IS 'of all';
ALTER TABLE connections.late ALTER provider SET DEFAULT 'gmail';
$$ AS shape, $$
CREATE TABLE connections.new PARTITION OF connections.connections FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO connections.connections (id, user_id, available_connection_id, label, created_at, updated_at)
SELECT md5('new ' || id)::uuid, md5('user')::uuid, id, nullif(slug, 'gmail'), '2025-01-01', '2025-01-01' FROM connections.available_connections;
$$ AS app \gset
\i :fixtures/compare_modes.sql
SET client_min_messages = warning;
SELECT connections_rollback(0);
SELECT tableoid::regclass, provider, type, name FROM connections.connections WHERE user_id = md5('user')::uuid ORDER BY provider, type;
-- what step 3 made is not among what was kept with the column that it used
SELECT connections_migrate(2);
SELECT indexrelid::regclass FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
WHERE indrelid::regclass::text LIKE 'connections.%' AND attname = 'available_connection_id';
SELECT kind, name, definition FROM connections_redesign.saved_ddl WHERE step IN (2, 3);

-- and one goes, with what it had of its own: that need not come back
\set app 'DROP TABLE connections.late;'
\i :fixtures/compare_modes.sql

-- or leaves, and comes back
SELECT $$
ALTER TABLE connections.connections DETACH PARTITION connections.late;
ALTER TABLE connections.connections ATTACH PARTITION connections.late FOR VALUES FROM ('2024-01-01 00:00:20+00') TO ('2024-01-02 00:00+00');
$$ AS app \gset
\i :fixtures/compare_modes.sql

-- or has another name by then: what it had of its own is known by the old one, which the precheck says
\set ECHO none
\i :fixtures/drop.sql
\i :fixtures/legacy.sql
\i :fixtures/rows.sql
\set ECHO all
SET client_min_messages = warning;
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
CREATE TABLE connections.part PARTITION OF connections.connections DEFAULT;
INSERT INTO connections.connections TABLE connections.plain;
DROP TABLE connections.plain;
CREATE INDEX own ON connections.part (provider);
ALTER TABLE connections.part ADD CONSTRAINT ck_own CHECK (type <> 'x');
SELECT connections_migrate(4);
ALTER TABLE connections.part RENAME TO "Default";
CREATE TEMP VIEW lost AS
SELECT status, found, expected, hint FROM connections_precheck(3) WHERE check_name = 'dependent_objects' ORDER BY found COLLATE "C";
TABLE lost;
BEGIN;
SELECT connections_rollback(3);
ROLLBACK;
ALTER TABLE connections."Default" RENAME TO part;
TABLE lost;
SELECT connections_rollback(3);
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'connections.part'::regclass AND contype = 'c'
UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid = 'connections.own'::regclass;
\set ECHO none
\i :fixtures/drop.sql
\set ECHO all
DROP ROLE regress_crd_reader, "regress_crd Writer";
