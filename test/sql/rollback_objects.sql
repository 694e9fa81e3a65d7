--
-- rollback_objects: what goes with a dropped column, and does not stand in its way, comes back with it: indexes, constraints, statistics, defaults,
-- comments, privileges, settings.  Whatever the path, the system catalogs say in the end what they said in the beginning.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 50
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;
CREATE ROLE regress_crd_reader;
CREATE ROLE "regress_crd Writer";
CREATE TABLE connections.providers (name varchar(50) PRIMARY KEY);
INSERT INTO connections.providers SELECT DISTINCT provider FROM connections.connections;

-- on the catalog's name
ALTER TABLE connections.available_connections ADD CONSTRAINT short CHECK (length(name) < 50) NOT VALID;
ALTER TABLE connections.available_connections ADD CONSTRAINT "by Name" UNIQUE (name, icon) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE connections.available_connections ALTER name SET DEFAULT 'it''s \new', ALTER name SET STATISTICS 0, ALTER name SET STORAGE PLAIN;
CREATE INDEX ON connections.available_connections (upper(name) text_pattern_ops DESC NULLS LAST);
ALTER INDEX connections.available_connections_upper_idx ALTER COLUMN 1 SET STATISTICS 0;
COMMENT ON COLUMN connections.available_connections.name IS 'the name, it''s unique';
COMMENT ON CONSTRAINT "by Name" ON connections.available_connections IS 'deferred';
ALTER TABLE connections.available_connections CLUSTER ON "by Name";
ALTER TABLE connections.available_connections REPLICA IDENTITY USING INDEX "UQ_cbb3156f141ac53833c59bb309e";
GRANT SELECT (name, id), UPDATE (name) ON connections.available_connections TO regress_crd_reader WITH GRANT OPTION;

-- on provider, type and name: constraints
ALTER TABLE connections.connections ADD CONSTRAINT known CHECK (provider <> 'it''s' AND type IS NOT NULL);
ALTER TABLE connections.connections ADD CONSTRAINT later CHECK (type <> 'oauth1') NOT VALID;
ALTER TABLE connections.connections ADD CONSTRAINT named CHECK (name IS NOT NULL);
ALTER TABLE connections.connections ADD CONSTRAINT listed FOREIGN KEY (provider) REFERENCES connections.providers ON UPDATE CASCADE DEFERRABLE;
ALTER TABLE connections.connections ADD CONSTRAINT once UNIQUE (id, provider, type) INCLUDE (name) WITH (fillfactor = 70) DEFERRABLE;
ALTER TABLE connections.connections ADD CONSTRAINT apart EXCLUDE USING btree (id WITH =, type WITH =);
ALTER TABLE connections.connections ADD CONSTRAINT alike UNIQUE NULLS NOT DISTINCT (type, id);
ALTER TABLE connections.connections ADD COLUMN copy_of uuid,
	ADD CONSTRAINT "Copy" FOREIGN KEY (type, copy_of) REFERENCES connections.connections (type, id) ON DELETE SET NULL (copy_of);
COMMENT ON CONSTRAINT once ON connections.connections IS 'a constraint';
COMMENT ON INDEX connections.once IS 'its index';
COMMENT ON CONSTRAINT known ON connections.connections IS 'a check';

-- indexes
CREATE INDEX partial ON connections.connections (user_id) WHERE provider = 'smtp' AND type <> 'imap';
CREATE INDEX expression ON connections.connections ((provider || ':' || type) COLLATE "C" DESC, (config ->> 'host'));
CREATE INDEX covering ON connections.connections (user_id) INCLUDE (provider);
CREATE UNIQUE INDEX "Unique Index" ON connections.connections (type, id) WITH (fillfactor = 50, deduplicate_items = off);
CREATE INDEX hashed ON connections.connections USING hash (provider);
CREATE INDEX brin ON connections.connections USING brin (type) WITH (pages_per_range = 4);
CREATE INDEX of_names ON connections.connections (lower(name)) WHERE name <> '';
ALTER INDEX connections.expression ALTER COLUMN 1 SET STATISTICS 77;
COMMENT ON INDEX connections."Unique Index" IS 'an index';
ALTER TABLE connections.connections CLUSTER ON "Unique Index";
ALTER TABLE connections.connections REPLICA IDENTITY USING INDEX "Unique Index";

-- statistics, defaults, comments, privileges, settings
CREATE STATISTICS connections.together (ndistinct, dependencies) ON provider, type FROM connections.connections;
CREATE STATISTICS connections.expressions ON (lower(type)), user_id FROM connections.connections;
ALTER STATISTICS connections.together SET STATISTICS 500;
ALTER STATISTICS connections.expressions SET STATISTICS 0;
COMMENT ON STATISTICS connections.together IS 'go together';
ALTER STATISTICS connections.expressions OWNER TO "regress_crd Writer";
ALTER TABLE connections.connections
	ALTER provider SET DEFAULT 'smtp', ALTER type SET DEFAULT lower('BASIC'), ALTER name SET DEFAULT '',
	ALTER provider SET STATISTICS 321, ALTER type SET STATISTICS 10, ALTER name SET STATISTICS 9,
	ALTER provider SET STORAGE EXTERNAL, ALTER type SET STORAGE MAIN, ALTER type SET COMPRESSION pglz,
	ALTER provider SET (n_distinct = 4, n_distinct_inherited = -0.5);
COMMENT ON COLUMN connections.connections.provider IS E'it''s "quoted"\nand \\ on two lines';
COMMENT ON COLUMN connections.connections.name IS 'the name';
GRANT SELECT (provider, type, name), INSERT (type) ON connections.connections TO regress_crd_reader, "regress_crd Writer";
GRANT UPDATE (provider), REFERENCES (provider) ON connections.connections TO "regress_crd Writer" WITH GRANT OPTION;
GRANT SELECT (type) ON connections.connections TO PUBLIC;

:remember
SELECT found, status FROM connections_precheck(4) WHERE check_name = 'dependent_objects' ORDER BY found COLLATE "C";
-- at once; names that stay are where they were
SELECT connections_migrate(4);
SELECT object, definition FROM pg_temp.differences() WHERE sign = '+' AND object NOT LIKE 'row of %';
-- what is saved is data: the objects, the columns that they use, and the other objects that they need
SELECT step, kind, relation, name, validated, columns, has_expressions FROM connections_redesign.saved_ddl WHERE name IS NOT NULL ORDER BY step, seq;
SELECT name, definition, need ->> 'type' AS type, need -> 'names' AS names, need -> 'args' AS args
FROM connections_redesign.saved_ddl CROSS JOIN jsonb_array_elements(needs) need ORDER BY step, seq, need;
SELECT connections_rollback(0);
:differences
-- step by step
SELECT connections_migrate(1), connections_migrate(2), connections_migrate(3), connections_migrate(4);
SELECT connections_rollback(), connections_rollback(), connections_rollback(), connections_rollback();
:differences
-- and what was there at the new version comes back, too, when it is applied again
SELECT connections_migrate(3);
COMMENT ON COLUMN connections.available_connections.slug IS 'the slug';
COMMENT ON COLUMN connections.connections.available_connection_id IS 'the entry';
UPDATE connections.available_connections SET display_name = upper(slug);
ALTER TABLE connections.available_connections ADD CONSTRAINT lower_case CHECK (slug = lower(slug)), ALTER display_name SET DEFAULT 'no name',
	ALTER display_name TYPE varchar(80), ALTER display_name SET NOT NULL, ALTER auth_type SET STATISTICS 5;
CREATE INDEX ON connections.available_connections (auth_type, slug);
CREATE INDEX of_a_user ON connections.connections (available_connection_id, user_id);
ALTER TABLE connections.connections ADD CONSTRAINT not_this CHECK (available_connection_id <> id);
GRANT SELECT (available_connection_id) ON connections.connections TO regress_crd_reader;
:remember
SELECT connections_rollback(0);
SELECT connections_migrate(3);
:differences
-- online, too, where none of the indexes does for the one that step 3 makes
DROP INDEX connections.of_a_user;
CREATE INDEX of_a_user ON connections.connections (user_id, available_connection_id);
:remember
CALL connections_rollback_online(0);
CALL connections_migrate_online(3);
:differences

-- connections_plan() printed the statements that brought it back: those of the way to version 0 are all plain SQL
SELECT connections_migrate(4);
SELECT step, statement FROM connections_plan(0) WHERE purpose = 'restore what was dropped together with the column' ORDER BY seq;
\set ECHO none
\i :fixtures/drop.sql
\set ECHO all
DROP ROLE regress_crd_reader, "regress_crd Writer";
