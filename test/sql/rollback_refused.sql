--
-- rollback_refused: a rollback that constraints forbid, those that went with provider and type or those that are there, is refused with the
-- constraint and the rows (55000), and changes nothing; so is one that brings back names that are taken.  And what a rollback of step 1
-- keeps: slug, display_name and auth_type.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 50
\i :abs_srcdir/fixtures/begin.sql
CREATE TEMP VIEW refusals AS
SELECT found, expected, hint FROM connections_precheck(3) WHERE check_name = 'rollback_constraints' AND status <> 'ok' ORDER BY found COLLATE "C";

-- UNIQUE over columns of which two were dropped: two NULL labels of one user
BEGIN;
ALTER TABLE connections.connections ADD CONSTRAINT one_of_a_name UNIQUE (user_id, provider, type, name);
SELECT connections_migrate(4);
UPDATE connections.connections SET user_id = md5('user')::uuid, label = NULL, available_connection_id = '0c0a1e9d-0000-4000-8000-000000000004'
WHERE id IN (SELECT id FROM connections.connections ORDER BY id LIMIT 2);
:remember
TABLE refusals;
SAVEPOINT refused;
SELECT connections_rollback(3);
ROLLBACK TO refused;
:unchanged
-- they have to differ in one of the columns
UPDATE connections.connections SET label = 'one'
WHERE id = (SELECT id FROM connections.connections WHERE label IS NULL ORDER BY id LIMIT 1);
TABLE refusals;
SELECT connections_rollback(3);
ROLLBACK;

-- a CHECK on the name that stays at version 4, and so does not mind NULL
BEGIN;
ALTER TABLE connections.connections ADD CONSTRAINT named CHECK (name <> '');
SELECT connections_migrate(4);
UPDATE connections.connections SET label = NULL WHERE id IN (SELECT id FROM connections.connections ORDER BY id LIMIT 5);
:remember
TABLE refusals;
SAVEPOINT refused;
SELECT connections_rollback(3);
ROLLBACK TO refused;
:unchanged
SELECT connections_rollback(0);
ROLLBACK TO refused;
:unchanged
UPDATE connections.connections SET label = 'named' WHERE label IS NULL;
SELECT connections_rollback(0);
ROLLBACK;

-- a CHECK that went with a column, a partial unique index and one over an expression
BEGIN;
UPDATE connections.connections SET name = left(md5(id::text), 30);
ALTER TABLE connections.connections ADD CONSTRAINT known_type CHECK (type IN ('oauth2', 'basic', 'bot') AND name <> '');
CREATE UNIQUE INDEX one_smtp ON connections.connections (user_id) WHERE provider = 'smtp';
CREATE UNIQUE INDEX one_of_a_kind ON connections.connections (lower(provider || ':' || name));
SELECT connections_migrate(4);
INSERT INTO connections.available_connections (id, slug, auth_type) VALUES ('0c0a1e9d-0000-4000-8000-000000000006', 'slack', 'webhook');
INSERT INTO connections.connections (id, user_id, label, available_connection_id) VALUES
	(md5('a')::uuid, md5('user')::uuid, 'a', '0c0a1e9d-0000-4000-8000-000000000004'),
	(md5('b')::uuid, md5('user')::uuid, 'b', '0c0a1e9d-0000-4000-8000-000000000004'),
	(md5('c')::uuid, md5('user')::uuid, 'c', '0c0a1e9d-0000-4000-8000-000000000005'),
	(md5('C')::uuid, md5('user')::uuid, 'C', '0c0a1e9d-0000-4000-8000-000000000005'),
	(md5('d')::uuid, md5('user')::uuid, 'd', '0c0a1e9d-0000-4000-8000-000000000006');
:remember
TABLE refusals;
SAVEPOINT refused;
SELECT connections_rollback(3);
ROLLBACK TO refused;
:unchanged
ROLLBACK;

-- NULLS NOT DISTINCT and a nullable column: what SQL says is the same is the same
BEGIN;
ALTER TABLE connections.connections ADD COLUMN team text;
CREATE UNIQUE INDEX distinct_nulls ON connections.connections (team, type, name) WHERE name = '';
SELECT connections_migrate(4);
UPDATE connections.connections SET label = NULL, available_connection_id = '0c0a1e9d-0000-4000-8000-000000000004'
WHERE id IN (SELECT id FROM connections.connections ORDER BY id LIMIT 2);
TABLE refusals;
SELECT connections_rollback(3);
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections ADD COLUMN team text;
CREATE UNIQUE INDEX alike_nulls ON connections.connections (team, type, name) NULLS NOT DISTINCT WHERE name = '';
SELECT connections_migrate(4);
UPDATE connections.connections SET label = NULL, available_connection_id = '0c0a1e9d-0000-4000-8000-000000000004'
WHERE id IN (SELECT id FROM connections.connections ORDER BY id LIMIT 2);
TABLE refusals;
SELECT connections_rollback(3);
ROLLBACK;

-- a foreign key that went with provider: what an entry becomes is no key there; a NULL is, unless all of them must be
BEGIN;
CREATE TABLE connections.providers (name varchar(50), type varchar(50), PRIMARY KEY (name, type));
INSERT INTO connections.providers SELECT DISTINCT provider, type FROM connections.connections;
ALTER TABLE connections.connections ALTER type DROP NOT NULL,
	ADD CONSTRAINT simple FOREIGN KEY (provider, type) REFERENCES connections.providers,
	ADD CONSTRAINT whole FOREIGN KEY (provider, type) REFERENCES connections.providers MATCH FULL;
SELECT connections_migrate(4);
INSERT INTO connections.available_connections (id, slug, auth_type) VALUES ('0c0a1e9d-0000-4000-8000-000000000006', 'slack', 'webhook');
INSERT INTO connections.connections (id, user_id, label, available_connection_id) VALUES
	(md5('a')::uuid, md5('user')::uuid, 'a', '0c0a1e9d-0000-4000-8000-000000000006');
:remember
TABLE refusals;
SAVEPOINT refused;
SELECT connections_rollback(3);
ROLLBACK TO refused;
:unchanged
INSERT INTO connections.providers VALUES ('slack', 'webhook');
TABLE refusals;
SELECT connections_rollback(3);
ROLLBACK;
BEGIN;
CREATE TABLE connections.providers (name varchar(50), type varchar(50), PRIMARY KEY (name, type));
INSERT INTO connections.providers SELECT DISTINCT provider, type FROM connections.connections;
ALTER TABLE connections.connections ALTER type DROP NOT NULL,
	ADD CONSTRAINT simple FOREIGN KEY (provider, type) REFERENCES connections.providers;
UPDATE connections.connections SET type = NULL WHERE id = (SELECT id FROM connections.connections ORDER BY id LIMIT 1);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT connections_migrate(4);
TABLE refusals;
SELECT connections_rollback(3);
ROLLBACK;
-- one to a table that the owner may refer to, but not read
BEGIN;
CREATE ROLE regress_crd_owner;
GRANT USAGE, CREATE ON SCHEMA connections TO regress_crd_owner;
CREATE TABLE connections.providers (name varchar(50) PRIMARY KEY);
INSERT INTO connections.providers SELECT DISTINCT provider FROM connections.connections;
GRANT REFERENCES ON connections.providers TO regress_crd_owner;
ALTER TABLE connections.connections ADD CONSTRAINT known_provider FOREIGN KEY (provider) REFERENCES connections.providers;
ALTER TABLE connections.connections OWNER TO regress_crd_owner;
ALTER TABLE connections.available_connections OWNER TO regress_crd_owner;
SELECT connections_migrate(4);
TABLE refusals;
SELECT connections_rollback(3);
ROLLBACK;

-- a constraint on config that the capability would break
BEGIN;
ALTER TABLE connections.connections ADD CONSTRAINT plain CHECK (config ->> 'plain' IS NULL OR config ->> 'capability' IS NULL);
SELECT connections_migrate(4);
UPDATE connections.connections SET config = '{"plain": 1}', available_connection_id = '0c0a1e9d-0000-4000-8000-000000000003'
WHERE id = (SELECT id FROM connections.connections ORDER BY id LIMIT 1);
:remember
TABLE refusals;
SAVEPOINT refused;
SELECT connections_rollback(3);
ROLLBACK TO refused;
:unchanged
ROLLBACK;

-- config that cannot say a capability
BEGIN;
SELECT connections_migrate(4);
UPDATE connections.connections SET config = '["a"]' WHERE id = (SELECT id FROM connections.connections
	WHERE available_connection_id = '0c0a1e9d-0000-4000-8000-000000000003' ORDER BY id LIMIT 1);
UPDATE connections.connections SET config = '"a"' WHERE id = (SELECT id FROM connections.connections
	WHERE available_connection_id = '0c0a1e9d-0000-4000-8000-000000000001' ORDER BY id LIMIT 1);
UPDATE connections.connections SET config = '["fine"]' WHERE id = (SELECT id FROM connections.connections
	WHERE available_connection_id = '0c0a1e9d-0000-4000-8000-000000000002' ORDER BY id LIMIT 1);
:remember
SELECT check_name, status, found, hint FROM connections_precheck(3) WHERE check_name LIKE 'rollback%' AND status <> 'ok';
SAVEPOINT refused;
SELECT connections_rollback(3);
ROLLBACK TO refused;
:unchanged
ROLLBACK;

-- an entry that would be taken for the provider of two others
BEGIN;
SELECT connections_migrate(4);
INSERT INTO connections.available_connections (id, slug, auth_type) VALUES ('0c0a1e9d-0000-4000-8000-000000000006', 'google_workspace', 'oauth2');
:remember
SAVEPOINT refused;
SELECT connections_rollback(3);
ROLLBACK TO refused;
:unchanged
ROLLBACK;

-- types that were kept by another primary key
BEGIN;
UPDATE connections.connections SET type = 'imap' WHERE id IN (SELECT id FROM connections.connections WHERE provider = 'smtp' ORDER BY id LIMIT 2);
SELECT connections_migrate(4);
ALTER TABLE connections.connections DROP CONSTRAINT "PK_0a1f844af3122354cbd487a8d03", ADD CONSTRAINT other PRIMARY KEY (user_id, id);
:remember
SELECT check_name, status, found, expected, hint FROM connections_precheck(3) WHERE check_name LIKE 'rollback%' AND status <> 'ok';
SAVEPOINT refused;
SELECT connections_rollback(3);
ROLLBACK TO refused;
:unchanged
ALTER TABLE connections.connections DROP CONSTRAINT other, ADD PRIMARY KEY (id);
UPDATE connections.connections SET label = NULL WHERE id = (SELECT id FROM connections.connections ORDER BY id LIMIT 1);
SELECT connections_rollback(3);
SELECT count(*) FROM connections.connections WHERE type = 'imap';
-- labels that were NULL are known by it, too, but to lose that is no reason to refuse
ALTER TABLE connections.connections DROP CONSTRAINT connections_pkey, ADD CONSTRAINT other PRIMARY KEY (user_id, id);
SELECT status, found, expected, hint FROM connections_precheck(4) WHERE check_name = 'dependent_objects' AND found LIKE 'primary key%';
SELECT connections_migrate(4);
SELECT count(*) FROM connections.connections WHERE label IS NULL;
ROLLBACK;

-- the catalog's new columns are kept while step 1 is undone: values that were changed, and an entry beyond the five
SELECT connections_migrate(1);
SELECT slug FROM connections_seed_catalog() WHERE action <> 'updated';
UPDATE connections.available_connections SET display_name = 'Our mail', auth_type = 'password' WHERE slug = 'smtp';
UPDATE connections.available_connections SET display_name = NULL WHERE slug = 'gmail';
INSERT INTO connections.available_connections (id, slug, display_name, auth_type, created_at, updated_at)
VALUES ('0c0a1e9d-0000-4000-8000-000000000006', 'slack', 'Slack', 'webhook', '2025-01-01', '2025-01-01');
:remember
SELECT connections_rollback(0);
SELECT name FROM connections.available_connections ORDER BY 1;
SELECT connections_migrate(1);
:differences
-- an entry that was made anew, with another id, is not the one that was kept; one that was renamed is neither
SELECT connections_rollback(0);
DELETE FROM connections.available_connections WHERE name = 'smtp';
INSERT INTO connections.available_connections (id, name) VALUES ('0c0a1e9d-0000-4000-8000-000000000007', 'smtp');
UPDATE connections.available_connections SET name = 'slock' WHERE name = 'slack';
SELECT connections_migrate(1);
DELETE FROM connections.available_connections WHERE name = 'slock';
SELECT connections_migrate(1);
SELECT slug, display_name, auth_type FROM connections.available_connections ORDER BY 1;

-- names that what comes back has, and something else has by now: an index and a constraint of other columns, one that was left INVALID,
-- objects of other kinds.  Both modes refuse, and leave them alone.
CREATE TEMP VIEW taken AS
SELECT status, found, expected, hint FROM connections_precheck(3) WHERE check_name = 'name_conflicts' ORDER BY found COLLATE "C";
ALTER TABLE connections.connections ADD CONSTRAINT uq_old UNIQUE (id, provider), ADD CONSTRAINT "Known" CHECK (type <> 'x'),
	ADD CONSTRAINT apart EXCLUDE USING btree (id WITH =, type WITH =);
CREATE INDEX lookup ON connections.connections (provider, user_id);
CREATE INDEX "Look up" ON connections.connections (type);
CREATE STATISTICS connections."to gether" ON provider, type FROM connections.connections;
SELECT connections_migrate(4);
TABLE taken;
CREATE INDEX lookup ON connections.connections (available_connection_id, user_id);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'connections.lookup'::regclass;
CREATE UNIQUE INDEX uq_old ON connections.connections (id, label);
ALTER TABLE connections.connections ADD CONSTRAINT "Known" CHECK (label <> 'x');
CREATE TABLE connections.apart ();
CREATE SEQUENCE connections."Look up";
CREATE STATISTICS connections."to gether" ON label, id FROM connections.connections;
TABLE taken;
:remember
SELECT connections_rollback(3);
:unchanged
CALL connections_rollback_online(0);
:unchanged
SELECT count(*) FROM connections_plan(3, online => true);
-- a constraint is named once, without its index
DROP INDEX connections.uq_old;
ALTER TABLE connections.connections ADD CONSTRAINT uq_old UNIQUE (id, label);
ALTER INDEX connections.lookup RENAME TO look;
ALTER TABLE connections.connections DROP CONSTRAINT "Known";
DROP TABLE connections.apart;
DROP SEQUENCE connections."Look up";
ALTER STATISTICS connections."to gether" RENAME TO gether;
TABLE taken;
ALTER TABLE connections.connections RENAME CONSTRAINT uq_old TO uq_new;
CALL connections_rollback_online(3);
SELECT indexrelid::regclass, indisvalid, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = 'connections.connections'::regclass AND indexrelid::regclass::text ~ 'look|Look|uq' ORDER BY indexrelid::regclass::text COLLATE "C";
DROP INDEX connections.look;
-- the way forward brings things back, too
CREATE INDEX of_entry ON connections.connections (available_connection_id, name);
SELECT connections_rollback(1);
CREATE INDEX of_entry ON connections.connections (name);
SELECT connections_migrate(2);
ALTER INDEX connections.of_entry RENAME TO of_name;
SELECT connections_migrate(2);
DROP INDEX connections.of_entry;
-- a CHECK of a partition, where that of the partitioned table is to be one with it
BEGIN;
SELECT connections_rollback(0);
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id), CONSTRAINT named CHECK (type <> 'x')) PARTITION BY HASH (id);
CREATE TABLE connections.part PARTITION OF connections.connections FOR VALUES WITH (modulus 1, remainder 0);
INSERT INTO connections.connections TABLE connections.plain;
SELECT connections_migrate(4);
ALTER TABLE connections.part ADD CONSTRAINT named CHECK (label <> 'x');
TABLE taken;
ROLLBACK;

-- online, the new application may write a NULL label at any time, which becomes an empty name: refused where that cannot be, whether there
-- is one now or not.  The atomic mode is asked what there is.
SELECT connections_rollback(0);
UPDATE connections.connections SET name = 'named' WHERE name = '';
ALTER TABLE connections.connections ADD CONSTRAINT named CHECK (name <> ''), ADD CONSTRAINT named_kind CHECK (type <> 'x' AND length(name) > 0),
	ADD CONSTRAINT named_mail CHECK (provider <> 'gmail' OR name <> '');
CREATE TABLE connections.names (name varchar(255) PRIMARY KEY);
INSERT INTO connections.names SELECT DISTINCT name FROM connections.connections;
ALTER TABLE connections.connections ADD CONSTRAINT listed FOREIGN KEY (name) REFERENCES connections.names;
SELECT connections_migrate(4);
SELECT status, found FROM connections_precheck(3) WHERE check_name = 'rollback_constraints' ORDER BY found COLLATE "C";
TABLE refusals;
:remember
CALL connections_rollback_online(3);
:unchanged
SELECT connections_rollback(3);
ALTER TABLE connections.connections DROP CONSTRAINT named, DROP CONSTRAINT named_kind, DROP CONSTRAINT listed;
CALL connections_migrate_online(4);
TABLE refusals;
CALL connections_rollback_online(0);
CREATE DOMAIN connections.named AS varchar(255) CHECK (VALUE <> '');
ALTER TABLE connections.connections ALTER name TYPE connections.named;
SELECT connections_migrate(4);
SELECT status, found, expected, hint FROM connections_precheck(3) WHERE check_name = 'rollback_rows';
:remember
CALL connections_rollback_online(3);
:unchanged
SELECT connections_rollback(0);
-- where a name may be NULL, a label stays what it is
ALTER TABLE connections.connections ALTER name DROP NOT NULL, ALTER name TYPE varchar(255), ADD CONSTRAINT named CHECK (name <> '');
SELECT connections_migrate(4);
SELECT check_name, status, found FROM connections_precheck(3) WHERE check_name LIKE 'rollback%';
UPDATE connections.connections SET label = NULL WHERE id = (SELECT id FROM connections.connections ORDER BY id LIMIT 1);
CALL connections_rollback_online(3);
SELECT count(*) FROM connections.connections WHERE name IS NULL;
\set ECHO none
\i :fixtures/drop.sql
