--
-- online_partitions: partitioned tables in the online mode, forward and back, against the atomic mode on identical twins: columns,
-- constraints and indexes of each partition, with their names and their parents, and every row; see fixtures/compare_modes.sql.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set crossing off
\i :abs_srcdir/fixtures/begin.sql
SET check_function_bodies = off;
\pset null NULL
\set legacy `cat "$PG_ABS_SRCDIR/fixtures/legacy.sql" "$PG_ABS_SRCDIR/fixtures/rows.sql"`
SELECT $$
UPDATE connections.connections SET label = NULL WHERE id::text < '4';
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000003' WHERE id::text > 'c';
INSERT INTO connections.connections (id, user_id, available_connection_id, label, config, created_at, updated_at)
SELECT md5('new ' || a.slug)::uuid, md5('user')::uuid, a.id, nullif(a.slug, 'gmail'), '{"new": true}', '2025-01-01', '2025-01-01'
FROM connections.available_connections a;
$$ AS app \gset

-- by hash; types that no slug gives; indexes and constraints on the columns that go
\set rows 202
SELECT :'legacy' || $$
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS) PARTITION BY HASH (id);
CREATE TABLE connections.part_0 PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 0);
CREATE TABLE connections.part_1 PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 1);
CREATE TABLE connections."Part 2" PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 2);
INSERT INTO connections.connections TABLE connections.plain;
DROP TABLE connections.plain;
ALTER TABLE connections.connections ADD PRIMARY KEY (id);
CREATE INDEX "of provider" ON connections.connections (provider, type);
CREATE UNIQUE INDEX ON connections.connections (id, lower(type)) WHERE provider <> 'x';
ALTER TABLE connections.connections ADD CONSTRAINT known CHECK (type <> 'x');
ALTER TABLE connections.connections ADD UNIQUE (id, provider);
$$ AS shape \gset
\i :fixtures/compare_modes.sql

-- by range, and below that by list; partitions with their columns in another order, and with an index of their own; an empty one
\set rows 60
SELECT :'legacy' || $$
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);
CREATE TABLE connections.early PARTITION OF connections.connections FOR VALUES FROM (MINVALUE) TO ('2024-01-01 00:00:30+00') PARTITION BY HASH (id);
CREATE TABLE connections.early_0 PARTITION OF connections.early FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE connections.early_1 (config jsonb NOT NULL DEFAULT '{}', gone text, type varchar(50) NOT NULL, updated_at timestamptz NOT NULL, id uuid NOT NULL,
	user_id uuid NOT NULL, provider varchar(50) NOT NULL, name varchar(255) NOT NULL, created_at timestamptz NOT NULL);
ALTER TABLE connections.early_1 DROP gone;
ALTER TABLE connections.early ATTACH PARTITION connections.early_1 FOR VALUES WITH (modulus 2, remainder 1);
CREATE TABLE connections.late PARTITION OF connections.connections FOR VALUES FROM ('2024-01-01 00:00:30+00') TO ('2024-02-01 00:00+00');
CREATE TABLE connections.rest PARTITION OF connections.connections DEFAULT;
INSERT INTO connections.connections TABLE connections.plain;
DROP TABLE connections.plain;
ALTER TABLE connections.connections ADD PRIMARY KEY (id, created_at);
CREATE INDEX ON connections.connections (provider);
CREATE INDEX of_late ON connections.late (user_id);
ALTER TABLE connections.late ALTER name SET DEFAULT 'late';
$$ AS shape \gset
\i :fixtures/compare_modes.sql

-- a partitioned table without partitions
\set rows 0
SELECT :'legacy' || $$
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
$$ AS shape, 'SELECT FROM connections.connections;' AS app \gset
\i :fixtures/compare_modes.sql

-- an index that a partition has is a part of step 3's where it fits, and else stays beside it
\set rows 30
\set ECHO none
\i :fixtures/drop.sql
\i :fixtures/legacy.sql
\i :fixtures/rows.sql
\set ECHO all
SET client_min_messages = error;
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE connections.part_0 PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 0);
CREATE TABLE connections.part_1 PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 1);
CREATE TABLE connections.part_2 PARTITION OF connections.connections FOR VALUES WITH (modulus 3, remainder 2);
INSERT INTO connections.connections TABLE connections.plain;
DROP TABLE connections.plain;
SELECT connections_migrate(2);
CREATE INDEX hashes ON connections.part_0 USING hash (available_connection_id);
CREATE INDEX backwards ON connections.part_1 (available_connection_id DESC);
CREATE INDEX fits ON connections.part_2 (available_connection_id);
CALL connections_migrate_online(3);
SELECT indrelid::regclass, indexrelid::regclass, inhparent::regclass, indisvalid FROM pg_index LEFT JOIN pg_inherits ON inhrelid = indexrelid
WHERE indrelid::regclass::text LIKE 'connections.%' AND pg_get_indexdef(indexrelid) LIKE '%(available_connection_id%' ORDER BY indrelid::regclass::text, indexrelid::regclass::text;
\set ECHO none
\i :fixtures/drop.sql
