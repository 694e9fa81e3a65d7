--
-- verify: connections_verify() has a row for each of its checks at every version, all of them ok on good data but for display names before
-- the seed; and it reports each thing that is wrong, and nothing else.  It only reads.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 20
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;
CREATE VIEW pg_temp.wrong AS
SELECT check_name, status, found, expected, hint FROM connections_verify() WHERE status <> 'ok' AND check_name <> 'display_names';

-- good data, at each version, up and down
SELECT check_name, status, found, expected, hint FROM connections_verify() WHERE check_name <> 'ownership';
SELECT connections_migrate(1);
SELECT check_name, status, found FROM connections_verify() WHERE check_name <> 'ownership';
SELECT * FROM connections_seed_catalog();
SELECT connections_migrate(2);
SELECT check_name, status, found FROM connections_verify() WHERE check_name <> 'ownership';
SELECT connections_migrate(3);
SELECT check_name, status, found FROM connections_verify() WHERE check_name <> 'ownership';
SELECT connections_migrate(4);
SELECT check_name, status, found FROM connections_verify() WHERE check_name <> 'ownership';
BEGIN READ ONLY;
TABLE pg_temp.wrong;
COMMIT;
SELECT connections_rollback(3);
TABLE pg_temp.wrong;

-- a connection that points to another entry than the mapping says
BEGIN;
UPDATE connections.connections SET available_connection_id = (SELECT id FROM connections.available_connections WHERE slug = 'smtp')
WHERE id = (SELECT min(id::text)::uuid FROM connections.connections WHERE provider = 'gmail');
TABLE pg_temp.wrong;
ROLLBACK;

-- an entry that does not exist in the registry is no error, one of the registry that is missing is reported
BEGIN;
INSERT INTO connections.available_connections (slug, display_name, auth_type) VALUES ('slack', 'Slack', 'oauth2');
TABLE pg_temp.wrong;
ROLLBACK;
BEGIN;
DELETE FROM connections.connections WHERE provider = 'telegram';
DELETE FROM connections.available_connections WHERE slug = 'telegram';
TABLE pg_temp.wrong;
ROLLBACK;

-- a version that is not whole: no foreign key, one that is NOT VALID or of another kind, no index, an index that is INVALID, NULL allowed
SELECT conname FROM pg_constraint WHERE conrelid = 'connections.connections'::regclass AND contype = 'f' AND confrelid = 'connections.available_connections'::regclass \gset
BEGIN;
ALTER TABLE connections.connections DROP CONSTRAINT :"conname";
SELECT check_name, status, found, expected FROM pg_temp.wrong;
ALTER TABLE connections.connections ADD FOREIGN KEY (available_connection_id) REFERENCES connections.available_connections ON DELETE RESTRICT NOT VALID;
SELECT check_name, status, found FROM pg_temp.wrong WHERE check_name = 'version';
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections DROP CONSTRAINT :"conname";
ALTER TABLE connections.connections ADD FOREIGN KEY (available_connection_id) REFERENCES connections.available_connections ON DELETE CASCADE;
SELECT check_name, status, found FROM pg_temp.wrong WHERE check_name = 'version';
ROLLBACK;
SELECT indexrelid::regclass AS index FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
WHERE indrelid = 'connections.connections'::regclass AND attname = 'available_connection_id' \gset
BEGIN;
DROP INDEX :index;
SELECT check_name, status, found FROM pg_temp.wrong WHERE check_name = 'version';
ROLLBACK;
BEGIN;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = :'index'::regclass;
SELECT check_name, status, found FROM pg_temp.wrong WHERE check_name = 'version';
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections ALTER available_connection_id DROP NOT NULL;
SELECT check_name, status, found FROM pg_temp.wrong WHERE check_name = 'version';
ROLLBACK;

-- display names: an error where there is none, a warning where it is another one
BEGIN;
UPDATE connections.available_connections SET display_name = NULL WHERE slug = 'gmail';
UPDATE connections.available_connections SET display_name = 'Mail' WHERE slug = 'smtp';
SELECT check_name, status, found, expected, hint FROM connections_verify() WHERE check_name = 'display_names';
ROLLBACK;

-- no tables: what can be looked at is, and nothing is raised
BEGIN;
DROP TABLE connections.connections;
SELECT check_name, status, found, expected, hint FROM connections_verify();
ROLLBACK;
DROP SCHEMA connections CASCADE;
SELECT check_name, status, found FROM connections_verify() WHERE check_name = 'tables';
