--
-- regressions: cases off the beaten track that once went wrong.  Errors are shown by their SQLSTATE alone: that there is a report instead of
-- an error, an error of ours instead of one from below, and that nothing is lost, is what counts here.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 110
\set VERBOSITY sqlstate
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = error;

-- constraints that use provider or type come back, from whichever version they went
BEGIN;
ALTER TABLE connections.connections ADD CONSTRAINT not_x CHECK (type <> 'x');
:remember
SELECT connections_migrate(4);
SELECT connections_rollback(0);
:differences
ROLLBACK;
-- an exclusion constraint that uses them in an expression or a predicate stands in the way: it is refused, as DROP COLUMN
-- would refuse it
BEGIN;
ALTER TABLE connections.connections ADD CONSTRAINT apart EXCLUDE USING btree (id WITH =) WHERE (provider <> 'x');
SELECT connections_migrate(4);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE

-- an empty catalog, and no connections
BEGIN;
DELETE FROM connections.connections;
DELETE FROM connections.available_connections;
SELECT count(*) > 0 AS reported FROM connections_precheck(4);
SELECT connections_migrate(4);
ROLLBACK;
BEGIN;
DELETE FROM connections.connections;
SELECT connections_migrate(1);
DELETE FROM connections.available_connections;
SELECT count(*) > 0 AS planned FROM connections_plan(4);
SELECT connections_migrate(4);
SELECT count(*) > 0 AS reported FROM connections_precheck(0);
SELECT connections_rollback(2);
ROLLBACK;

-- columns that are missing or of another type are reported, as is a view or an empty materialized view in a table's place
BEGIN;
ALTER TABLE connections.connections DROP COLUMN config;
SELECT count(*) FROM connections_precheck(4) WHERE check_name = 'column_types' AND status = 'error';
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections ALTER config DROP DEFAULT, ALTER config TYPE text;
SELECT count(*) FROM connections_precheck(4) WHERE check_name = 'column_types' AND status = 'error';
SELECT count(*) > 0 AS verified FROM connections_verify();
ROLLBACK;
BEGIN;
ALTER TABLE connections.available_connections DROP COLUMN id;
SELECT count(*) FROM connections_precheck(4) WHERE check_name = 'column_types' AND status = 'error';
-- without the privilege REFERENCES on the table, that on the column would count
CREATE ROLE regress_crd_poor;
ALTER TABLE connections.connections OWNER TO regress_crd_poor;
SELECT count(*) FROM connections_precheck(4) WHERE check_name = 'column_types' AND status = 'error';
ROLLBACK;
BEGIN;
ALTER TABLE connections.available_connections RENAME TO entries;
CREATE MATERIALIZED VIEW connections.available_connections AS TABLE connections.entries WITH NO DATA;
SELECT count(*) FROM connections_precheck(4) WHERE check_name = 'table_kinds' AND status = 'error';
ROLLBACK;
BEGIN;
ALTER TABLE connections.available_connections RENAME TO entries;
CREATE TYPE connections.available_connections AS (id uuid, name text);
SELECT count(*) FROM connections_precheck(4) WHERE check_name IN ('tables', 'table_kinds') AND status = 'error';
ROLLBACK;

-- an owner who may not create in the schema, or not even look into it
BEGIN;
CREATE ROLE regress_crd_poor;
ALTER TABLE connections.connections OWNER TO regress_crd_poor;
ALTER TABLE connections.available_connections OWNER TO regress_crd_poor;
SAVEPOINT poor;
SELECT count(*) > 0 AS refused FROM connections_precheck(4) WHERE status = 'error';
ROLLBACK TO poor;
GRANT USAGE ON SCHEMA connections TO regress_crd_poor;
SELECT count(*) > 0 AS refused FROM connections_precheck(4) WHERE status = 'error';
ROLLBACK;

-- a sixth entry whose slug does not fit into what provider was: refused, not cut
BEGIN;
SELECT connections_migrate(4);
INSERT INTO connections.available_connections (id, slug, auth_type) VALUES ('0c0a1e9d-0000-4000-8000-000000000006', repeat('x', 60), 'oauth2');
INSERT INTO connections.connections (id, user_id, label, available_connection_id)
VALUES (md5('sixth')::uuid, md5('user')::uuid, 'sixth', '0c0a1e9d-0000-4000-8000-000000000006');
SELECT count(*) > 0 AS refused FROM connections_precheck(3) WHERE status = 'error';
SELECT connections_rollback(3);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
-- nor into what the catalog's name was
BEGIN;
SELECT connections_migrate(1);
INSERT INTO connections.available_connections (id, slug, auth_type) VALUES ('0c0a1e9d-0000-4000-8000-000000000006', repeat('x', 120), 'oauth2');
SELECT count(*) > 0 AS refused FROM connections_precheck(0) WHERE status = 'error';
SELECT connections_rollback(0);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
-- an auth_type that does not fit into what type was
BEGIN;
ALTER TABLE connections.connections ALTER type TYPE varchar(15);
SELECT connections_migrate(4);
INSERT INTO connections.available_connections (id, slug, auth_type) VALUES ('0c0a1e9d-0000-4000-8000-000000000006', 'slack', 'longer than fifteen');
INSERT INTO connections.connections (id, user_id, label, available_connection_id)
VALUES (md5('sixth')::uuid, md5('user')::uuid, 'sixth', '0c0a1e9d-0000-4000-8000-000000000006');
SELECT connections_rollback(3);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
-- an enum that has not the slug
BEGIN;
CREATE TYPE connections.provider AS ENUM ('telegram', 'smtp', 'google_workspace', 'gmail');
DROP INDEX connections."IDX_0ea1b89120271575026380ce65";
ALTER TABLE connections.connections ALTER provider TYPE connections.provider USING provider::connections.provider;
SELECT connections_migrate(4);
INSERT INTO connections.available_connections (id, slug, auth_type) VALUES ('0c0a1e9d-0000-4000-8000-000000000006', 'slack', 'oauth2');
INSERT INTO connections.connections (id, user_id, label, available_connection_id)
VALUES (md5('sixth')::uuid, md5('user')::uuid, 'sixth', '0c0a1e9d-0000-4000-8000-000000000006');
SELECT count(*) > 0 AS refused FROM connections_precheck(3) WHERE status = 'error';
SELECT connections_rollback(3);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE

-- NULL labels where the empty name is forbidden by a constraint that was not validated, by a domain, or together by an exclusion
BEGIN;
UPDATE connections.connections SET name = 'x' WHERE name = '';
ALTER TABLE connections.connections ADD CONSTRAINT named CHECK (name <> '') NOT VALID;
SELECT connections_migrate(4);
UPDATE connections.connections SET label = NULL WHERE id = (SELECT id FROM connections.connections ORDER BY id LIMIT 1);
SELECT connections_rollback(3);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
UPDATE connections.connections SET name = 'x' WHERE name = '';
CREATE DOMAIN connections.named AS varchar(255) CHECK (VALUE <> '');
ALTER TABLE connections.connections ALTER name TYPE connections.named;
SELECT connections_migrate(4);
UPDATE connections.connections SET label = NULL WHERE id = (SELECT id FROM connections.connections ORDER BY id LIMIT 1);
SELECT connections_rollback(3);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
ALTER TABLE connections.connections ADD CONSTRAINT apart EXCLUDE USING btree (user_id WITH =, provider WITH =, name WITH =);
SELECT connections_migrate(4);
UPDATE connections.connections SET user_id = md5('user')::uuid, label = NULL, available_connection_id = '0c0a1e9d-0000-4000-8000-000000000004'
WHERE id IN (SELECT id FROM connections.connections ORDER BY id LIMIT 2);
SELECT connections_rollback(3);
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE

-- the catalog's id is of a domain that is NOT NULL
BEGIN;
CREATE DOMAIN connections.key AS uuid NOT NULL;
ALTER TABLE connections.available_connections ALTER id TYPE connections.key;
:remember
SELECT connections_migrate(4);
SELECT connections_rollback(0);
:differences
ROLLBACK;

-- config is NULL, and the entry needs a capability in it
BEGIN;
ALTER TABLE connections.connections ALTER config DROP NOT NULL;
SELECT connections_migrate(4);
INSERT INTO connections.connections (id, user_id, label, config, available_connection_id) VALUES
	(md5('null')::uuid, md5('user')::uuid, 'null', NULL, '0c0a1e9d-0000-4000-8000-000000000003'), (md5('other')::uuid, md5('user')::uuid, 'other', NULL, '0c0a1e9d-0000-4000-8000-000000000004');
SELECT connections_rollback(0);
SELECT name, provider, config FROM connections.connections WHERE user_id = md5('user')::uuid ORDER BY name;
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections ALTER config DROP NOT NULL, ALTER config DROP DEFAULT, ALTER config TYPE json;
SELECT connections_migrate(4);
INSERT INTO connections.connections (id, user_id, label, config, available_connection_id) VALUES
	(md5('null')::uuid, md5('user')::uuid, 'null', NULL, '0c0a1e9d-0000-4000-8000-000000000003'), (md5('other')::uuid, md5('user')::uuid, 'other', NULL, '0c0a1e9d-0000-4000-8000-000000000004');
SELECT connections_rollback(0);
SELECT name, provider, config FROM connections.connections WHERE user_id = md5('user')::uuid ORDER BY name;
ROLLBACK;

-- TypeORM and the extension by turns: what was kept on one way is not replayed on the other
BEGIN;
SELECT connections_migrate(1);
\set ECHO none
\i :typeorm/1.down.sql
\set ECHO all
SELECT connections_migrate(1);
ROLLBACK;
BEGIN;
SELECT connections_migrate(1);
COMMENT ON COLUMN connections.available_connections.slug IS 'the slug';
SELECT connections_rollback(0);
\set ECHO none
\i :typeorm/1.up.sql
\set ECHO all
SELECT connections_rollback(0);
SELECT attname, attnotnull FROM pg_attribute WHERE attrelid = 'connections.available_connections'::regclass AND attname = 'name';
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'connections.available_connections'::regclass AND contype = 'u';
ROLLBACK;
BEGIN;
SELECT connections_migrate(4);
UPDATE connections.connections SET label = NULL WHERE id = (SELECT id FROM connections.connections ORDER BY id LIMIT 1);
SELECT connections_rollback(3);
\set ECHO none
\i :typeorm/4.up.sql
\set ECHO all
UPDATE connections.connections SET label = NULL WHERE id = (SELECT id FROM connections.connections ORDER BY id OFFSET 1 LIMIT 1);
CREATE TEMP TABLE unnamed AS SELECT id FROM connections.connections WHERE label IS NULL;
SELECT connections_rollback(3);
SELECT connections_migrate(4);
SELECT count(*) AS unnamed, bool_and(id IN (TABLE unnamed)) AS they_were FROM connections.connections WHERE label IS NULL;
ROLLBACK;
-- tables that a backup brought back to the beginning
BEGIN;
CREATE TABLE public.backup_of_entries AS TABLE connections.available_connections;
CREATE TABLE public.backup AS TABLE connections.connections;
SELECT connections_migrate(4);
DROP SCHEMA connections CASCADE;
\set ECHO none
\i :fixtures/legacy.sql
\set ECHO all
SET LOCAL client_min_messages = error;
INSERT INTO connections.connections TABLE public.backup;
:remember
SELECT connections_migrate(4);
SELECT connections_rollback(0);
:differences
ROLLBACK;

-- an index and a foreign key that somebody made at version 2 are not the ones that step 3 makes
BEGIN;
SELECT connections_migrate(2);
CREATE INDEX mine ON connections.connections (available_connection_id) WITH (fillfactor = 50);
ALTER TABLE connections.connections ADD CONSTRAINT my_key FOREIGN KEY (available_connection_id)
	REFERENCES connections.available_connections ON DELETE CASCADE;
:remember
SELECT connections_rollback(1);
SELECT connections_migrate(2);
:differences
ROLLBACK;

-- an index that finds no single entry's connections does not serve as the one of step 3
BEGIN;
SELECT connections_migrate(2);
CREATE INDEX blocks ON connections.connections USING brin (available_connection_id);
SELECT connections_migrate(3);
SELECT indexname, split_part(indexdef, 'USING ', 2) FROM pg_indexes WHERE schemaname = 'connections' AND indexdef LIKE '%(available_connection_id)' ORDER BY 1;
SELECT connections_rollback(2);
SELECT indexname, split_part(indexdef, 'USING ', 2) FROM pg_indexes WHERE schemaname = 'connections' AND indexdef LIKE '%(available_connection_id)' ORDER BY 1;
ROLLBACK;

-- what uses columns of both step 2 and step 4 comes back where these are taken one after the other, and is refused where they are not
BEGIN;
SELECT connections_migrate(3);
CREATE INDEX of_two ON connections.connections (provider, available_connection_id);
:remember
SELECT connections_migrate(4);
CREATE INDEX of_entry ON connections.connections (available_connection_id, label);
SAVEPOINT one;
SELECT connections_rollback(1);
ROLLBACK TO one;
SELECT status, found, expected, hint FROM connections_precheck(1) WHERE check_name = 'dependent_objects' AND status = 'error';
SELECT connections_rollback(3);
DROP INDEX connections.of_entry;
:differences
CREATE INDEX of_entry ON connections.connections (available_connection_id, name);
:remember
SELECT connections_rollback(1);
SAVEPOINT one;
SELECT connections_migrate(4);
ROLLBACK TO one;
SELECT found FROM connections_precheck(4) WHERE check_name = 'dependent_objects' AND status = 'error' ORDER BY 1;
SELECT connections_migrate(3);
:differences
SELECT connections_migrate(4);
SELECT indexname FROM pg_indexes WHERE schemaname = 'connections' AND indexname LIKE 'of%';
SELECT connections_rollback(3);
:differences
ROLLBACK;

-- what only a partition has and would lose with the column is refused, or comes back
BEGIN;
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS) PARTITION BY HASH (id);
CREATE TABLE connections.part PARTITION OF connections.connections FOR VALUES WITH (modulus 1, remainder 0);
INSERT INTO connections.connections TABLE connections.plain;
ALTER TABLE connections.connections ADD PRIMARY KEY (id);
CREATE INDEX of_all ON connections.connections (provider);
SAVEPOINT one;
SELECT connections_migrate(4);
SELECT connections_rollback(0);
SELECT count(*) FROM pg_indexes WHERE schemaname = 'connections' AND indexdef LIKE '%(provider)';
ROLLBACK TO one;
CREATE INDEX of_one ON connections.part (type);
ALTER TABLE connections.part ADD CONSTRAINT of_one CHECK (type <> 'x');
SELECT (SELECT count(*) FROM connections_precheck(4) WHERE status IN ('error', 'warning') AND found LIKE '%of_one%') > 0 AS seen;
ROLLBACK;
-- a view of the row type keeps the table from being rewritten
BEGIN;
CREATE VIEW connections.nothing AS SELECT NULL::connections.connections AS row;
SELECT count(*) > 0 AS refused FROM connections_precheck(4) WHERE check_name = 'dependent_objects' AND status = 'error';
ROLLBACK;

-- constraints that are not enforced, from 18 on, come back as that, whatever the rows are; before 18, others take their place here
\set not_enforced 'NOT VALID'
\set harmless 'true OR '
\set of_name ''
SELECT current_setting('server_version_num')::int >= 180000 AS has_not_enforced \gset
\if :has_not_enforced
\set not_enforced 'NOT ENFORCED'
\set harmless ''
\set of_name ', ADD FOREIGN KEY (name) REFERENCES connections.names NOT ENFORCED'
\endif
CREATE TABLE connections.names (name varchar(255) PRIMARY KEY);
INSERT INTO connections.names SELECT DISTINCT provider FROM connections.connections WHERE NOT :'has_not_enforced';
ALTER TABLE connections.connections ADD CONSTRAINT kinds CHECK (:harmless type <> 'oauth2') :not_enforced, ADD CONSTRAINT named CHECK (:harmless name <> '') :not_enforced,
	ADD CONSTRAINT has_config CHECK (:harmless config = '{}') :not_enforced, ADD CONSTRAINT listed FOREIGN KEY (provider) REFERENCES connections.names :not_enforced :of_name;
:remember
CALL connections_migrate_online(4);
SET session_replication_role = replica;
UPDATE connections.connections SET label = NULL WHERE label = '';
RESET session_replication_role;
SELECT check_name, found FROM connections_precheck(3) WHERE status = 'error';
CALL connections_rollback_online(3);
CALL connections_rollback_online(0);
:differences
SELECT connections_migrate(4);
SELECT count(*) FROM connections.connections WHERE label IS NULL;
SELECT check_name, found FROM connections_precheck(3) WHERE status = 'error';
SELECT connections_rollback(0);
:differences
-- NOT NULL that is not validated, from 18 on, holds for new rows: it would be in the way, or lost, and has to be validated before
\set refused 4
\if :has_not_enforced
ALTER TABLE connections.connections ALTER provider DROP NOT NULL, ALTER name DROP NOT NULL,
	ADD CONSTRAINT nn_provider NOT NULL provider NOT VALID, ADD CONSTRAINT nn_name NOT NULL name NOT VALID;
ALTER TABLE connections.available_connections ALTER name DROP NOT NULL, ADD CONSTRAINT "NN name" NOT NULL name NOT VALID;
SELECT count(*) AS refused FROM connections_precheck(4) WHERE check_name = 'column_types' AND status = 'error' \gset
SELECT string_agg(hint, ' ') AS hints FROM connections_precheck(4) WHERE check_name = 'column_types' AND status = 'error' \gset
DO $$ BEGIN PERFORM connections_migrate(4); EXCEPTION WHEN object_not_in_prerequisite_state THEN RETURN; END $$;
SELECT :refused + count(*) AS refused FROM connections_status() WHERE step = 4 AND state = 'pending' \gset
:hints
\endif
\echo :refused
:remember
SELECT connections_migrate(4);
SELECT count(*) FROM connections.connections WHERE label IS NULL;
\set refused 2
\if :has_not_enforced
BEGIN;
ALTER TABLE connections.connections ADD CONSTRAINT nn_provider CHECK (label <> 'x'), ADD CONSTRAINT nn_label NOT NULL label NOT VALID;
SELECT count(*) AS refused FROM connections_precheck(3) WHERE check_name IN ('column_types', 'name_conflicts') AND status = 'error' \gset
SELECT hint AS hints FROM connections_precheck(3) WHERE check_name = 'column_types' AND status = 'error' \gset
:hints
SELECT :refused - count(*) AS refused FROM connections_precheck(3) WHERE check_name = 'column_types' AND status = 'error' \gset
ROLLBACK;
\endif
\echo :refused
SELECT connections_rollback(0);
:differences
-- a foreign key that is not enforced is not the one that step 3 makes
SELECT connections_migrate(2);
ALTER TABLE connections.connections ADD FOREIGN KEY (available_connection_id) REFERENCES connections.available_connections ON DELETE RESTRICT :not_enforced;
CALL connections_migrate_online(3);
SELECT status, found FROM connections_verify() WHERE check_name = 'version';
\set ECHO none
\i :fixtures/drop.sql
