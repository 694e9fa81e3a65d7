--
-- check_dependents: what DROP COLUMN would refuse, or take along without a rollback, is refused before anything is changed (55000), and the
-- precheck names it.  Nothing is dropped with CASCADE.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 20
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;
CREATE TEMP VIEW refusals AS
SELECT found FROM connections_precheck(4) WHERE check_name IN ('dependent_objects', 'column_types', 'primary_key') AND status = 'error' ORDER BY found COLLATE "C";
TABLE refusals;

-- views
BEGIN;
CREATE VIEW connections.of_provider AS SELECT id, provider FROM connections.connections;
CREATE VIEW connections.of_type AS SELECT * FROM connections.connections;
CREATE MATERIALIZED VIEW connections.of_name AS SELECT name FROM connections.available_connections;
-- this one needs none of the columns
CREATE VIEW connections.harmless AS SELECT c.id, c.name, c.config, a.icon FROM connections.connections c CROSS JOIN connections.available_connections a;
TABLE refusals;
:remember
SAVEPOINT refused;
SELECT connections_migrate(4);
ROLLBACK TO refused;
:unchanged
DROP VIEW connections.of_provider, connections.of_type;
DROP MATERIALIZED VIEW connections.of_name;
SELECT connections_migrate(4);
SELECT count(*) FROM connections.harmless;
ROLLBACK;

-- rules and policies
BEGIN;
CREATE RULE no_smtp AS ON INSERT TO connections.connections WHERE NEW.provider = 'smtp' DO INSTEAD NOTHING;
CREATE POLICY not_telegram ON connections.connections USING (type <> 'bot');
CREATE POLICY not_gmail ON connections.available_connections FOR SELECT USING (name <> 'gmail');
TABLE refusals;
:remember
SAVEPOINT refused;
SELECT connections_migrate(4);
ROLLBACK TO refused;
:unchanged
SELECT connections_migrate(1);
ROLLBACK;

-- a generated column, triggers with a column list and with WHEN
BEGIN;
ALTER TABLE connections.connections ADD COLUMN kind text GENERATED ALWAYS AS (provider || '/' || type) STORED;
TABLE refusals;
SELECT connections_migrate(4);
ROLLBACK;
BEGIN;
CREATE TRIGGER on_provider AFTER UPDATE OF provider ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.touch_updated_at();
CREATE TRIGGER on_type AFTER UPDATE ON connections.connections
	FOR EACH ROW WHEN (OLD.type IS DISTINCT FROM NEW.type) EXECUTE FUNCTION connections.touch_updated_at();
CREATE TRIGGER on_name AFTER UPDATE OF name ON connections.available_connections
	FOR EACH ROW EXECUTE FUNCTION connections.touch_updated_at();
-- name stays, as label
CREATE TRIGGER on_label AFTER UPDATE OF name ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.touch_updated_at();
TABLE refusals;
:remember
SAVEPOINT refused;
SELECT connections_migrate(4);
ROLLBACK TO refused;
:unchanged
ROLLBACK;

-- publications with a column list and with a row filter
BEGIN;
SET LOCAL client_min_messages = error;
CREATE PUBLICATION regress_crd_columns FOR TABLE connections.connections (id, provider);
CREATE PUBLICATION regress_crd_rows FOR TABLE connections.connections WHERE (type <> 'bot'), connections.available_connections WHERE (name <> 'gmail');
TABLE refusals;
SELECT check_name, status, found FROM connections_precheck(4) WHERE check_name = 'publications';
SELECT connections_migrate(4);
ROLLBACK;

-- foreign keys of other tables
BEGIN;
CREATE TABLE connections.other (name varchar(100) REFERENCES connections.available_connections (name));
ALTER TABLE connections.connections ADD UNIQUE (provider, type, name);
CREATE TABLE connections.another (provider text, type text, name text,
	CONSTRAINT back FOREIGN KEY (name, provider, type) REFERENCES connections.connections (name, provider, type));
TABLE refusals;
SELECT connections_migrate(4);
ROLLBACK;

-- functions whose body SQL parsed
BEGIN;
CREATE FUNCTION connections.parsed() RETURNS text BEGIN ATOMIC SELECT min(provider) FROM connections.connections; END;
CREATE FUNCTION connections.text() RETURNS text LANGUAGE sql AS 'SELECT min(provider) FROM connections.connections';
TABLE refusals;
SELECT connections_migrate(4);
ROLLBACK;

-- what depends on no column that goes, but on a constraint that goes with one
BEGIN;
ALTER TABLE connections.connections ALTER provider SET DEFAULT 'smtp', ALTER type SET DEFAULT 'basic', ADD CONSTRAINT once UNIQUE (id, type);
CREATE FUNCTION connections.put_once(id uuid) RETURNS void BEGIN ATOMIC
	INSERT INTO connections.connections (id, user_id, name) VALUES ($1, $1, 'once') ON CONFLICT ON CONSTRAINT once DO NOTHING;
END;
TABLE refusals;
SELECT connections_migrate(4);
ROLLBACK;

-- exclusion constraints that DROP COLUMN would refuse, as they use the columns in a condition or an expression
BEGIN;
ALTER TABLE connections.connections ADD CONSTRAINT apart EXCLUDE USING btree (id WITH =) WHERE (provider <> 'x'),
	ADD CONSTRAINT apart_too EXCLUDE USING btree (id WITH =, lower(type) WITH =), ADD CONSTRAINT "both" EXCLUDE USING btree (id WITH =, type WITH =) WHERE (provider <> 'x'),
	ADD CONSTRAINT fine EXCLUDE USING btree (id WITH =, type WITH =);
TABLE refusals;
:remember
SAVEPOINT refused;
SELECT connections_migrate(4);
ROLLBACK TO refused;
:unchanged
ALTER TABLE connections.connections DROP CONSTRAINT apart, DROP CONSTRAINT apart_too, DROP CONSTRAINT "both";
SELECT connections_migrate(4);
SELECT connections_rollback(0);
ROLLBACK;

-- of a partitioned table: a trigger and a foreign key are named once, not for each partition
BEGIN;
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id), UNIQUE (id, provider)) PARTITION BY HASH (id);
CREATE TABLE connections.part_0 PARTITION OF connections.connections FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE connections.part_1 PARTITION OF connections.connections FOR VALUES WITH (modulus 2, remainder 1);
CREATE TRIGGER on_provider AFTER UPDATE OF provider ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.touch_updated_at();
CREATE TABLE connections.another (id uuid, provider text, CONSTRAINT back FOREIGN KEY (id, provider) REFERENCES connections.connections (id, provider));
TABLE refusals;
ROLLBACK;

-- functions whose body is a string are nobody's dependents, as far as the server knows.  Those that seem to use what goes, or gets another
-- name, are warned of: the words tell, the table's and the column's, or the column's alone in a trigger function of the table.
CREATE TEMP VIEW mentions AS
SELECT step, status, found FROM generate_series(0, 4) AS step CROSS JOIN LATERAL connections_precheck(step)
WHERE check_name = 'function_bodies' ORDER BY step, found COLLATE "C";
TABLE mentions;
BEGIN;
SET LOCAL check_function_bodies = off;
CREATE SCHEMA elsewhere;
CREATE TABLE connections.other (type text, provider text);
-- these do
CREATE FUNCTION elsewhere.sql(uuid) RETURNS text LANGUAGE sql AS 'SELECT type FROM connections.connections WHERE id = $1';
CREATE FUNCTION elsewhere.plpgsql() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE Connections SET "provider" = 'gmail' WHERE Name IS NULL;
END
$$;
CREATE PROCEDURE elsewhere.procedure(n int, VARIADIC text[]) LANGUAGE sql AS 'DELETE FROM "connections"."connections" c WHERE c.type = ANY ($2)';
CREATE FUNCTION elsewhere."of a type"() RETURNS text LANGUAGE plpgsql AS $$ DECLARE t connections . "type"%TYPE; BEGIN RETURN t; END $$;
CREATE FUNCTION elsewhere.of_both() RETURNS text LANGUAGE sql AS
	'SELECT a.name FROM connections.available_connections a JOIN connections.connections c ON a.name = c.provider';
CREATE FUNCTION elsewhere.dynamic() RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN EXECUTE format('SELECT %I FROM %I.%I', 'type', 'connections', 'connections'); END $$;
CREATE FUNCTION elsewhere.in_a_comment() RETURNS int LANGUAGE sql AS $$ SELECT 1 /* the type of our connections */ $$;
CREATE FUNCTION elsewhere.on_connections() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.provider := lower(NEW.provider); RETURN NEW; END $$;
CREATE TRIGGER lower BEFORE INSERT ON connections.connections FOR EACH ROW EXECUTE FUNCTION elsewhere.on_connections();
CREATE FUNCTION elsewhere.on_both() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := trim(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER trim BEFORE INSERT ON connections.connections FOR EACH ROW EXECUTE FUNCTION elsewhere.on_both();
CREATE TRIGGER trim BEFORE INSERT ON connections.available_connections FOR EACH ROW EXECUTE FUNCTION elsewhere.on_both();
CREATE FUNCTION elsewhere.tells_label() RETURNS bigint LANGUAGE sql AS 'SELECT count(label) FROM connections.connections';
CREATE FUNCTION elsewhere.tells_entry() RETURNS bigint LANGUAGE sql AS
	'SELECT count(*) FROM connections.connections c JOIN connections.available_connections a ON a.id = c.available_connection_id WHERE a.slug = $$smtp$$';
-- these do not: another table of the same schema; a part of a word; no column that goes; what the server parsed (an error), or compiled; a
-- trigger function of another table; what an extension brings, and what goes with its session
CREATE FUNCTION elsewhere.not_this_table() RETURNS text LANGUAGE sql AS 'SELECT min(type || provider) FROM connections.other';
CREATE FUNCTION elsewhere.not_these_words() RETURNS text LANGUAGE sql AS
	'SELECT provider_type, subtype, "my type", type FROM old_connections JOIN connections_2024 USING (id) JOIN connections.other2 USING (id)';
CREATE FUNCTION elsewhere.not_these_columns() RETURNS text LANGUAGE sql AS 'SELECT min(user_id::text) FROM connections.connections';
CREATE FUNCTION elsewhere.c_language(connections.connections) RETURNS text LANGUAGE internal AS 'record_out';
CREATE FUNCTION elsewhere.on_other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.provider := lower(NEW.type); RETURN NEW; END $$;
CREATE TRIGGER lower BEFORE INSERT ON connections.other FOR EACH ROW EXECUTE FUNCTION elsewhere.on_other();
CREATE FUNCTION elsewhere.of_extension() RETURNS text LANGUAGE sql AS 'SELECT min(type) FROM connections.connections';
ALTER EXTENSION connections_redesign ADD FUNCTION elsewhere.of_extension();
CREATE FUNCTION pg_temp.not_for_long() RETURNS text LANGUAGE sql AS 'SELECT min(type) FROM connections.connections';
CREATE FUNCTION elsewhere.parsed() RETURNS text BEGIN ATOMIC SELECT min(provider) FROM connections.connections; END;
TABLE mentions;
SELECT expected, hint FROM connections_precheck(4) WHERE check_name = 'function_bodies' LIMIT 1;
TABLE refusals;
DROP FUNCTION elsewhere.parsed();
-- a warning stops nothing
SELECT connections_migrate(2);
TABLE mentions;
SELECT connections_migrate(4);
TABLE mentions;
ROLLBACK;
-- partitions have triggers of their own
BEGIN;
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE connections.part PARTITION OF connections.connections FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE FUNCTION connections.on_part() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', NEW.type; RETURN NEW; END $$;
CREATE TRIGGER tell BEFORE INSERT ON connections.part FOR EACH ROW EXECUTE FUNCTION connections.on_part();
TABLE mentions;
ROLLBACK;

-- the catalog's primary key
BEGIN;
ALTER TABLE connections.available_connections DROP CONSTRAINT "PK_768c9248b6d2331f57ab02317cf";
ALTER TABLE connections.available_connections ADD CONSTRAINT named PRIMARY KEY (name), ADD UNIQUE (id);
TABLE refusals;
ROLLBACK;

-- partition keys, of a column and of an expression; a primary key of legacy columns
BEGIN;
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id, provider)) PARTITION BY LIST (provider);
CREATE TABLE connections.rest PARTITION OF connections.connections DEFAULT;
INSERT INTO connections.connections TABLE connections.plain;
TABLE refusals;
SELECT connections_migrate(4);
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections RENAME TO plain;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS) PARTITION BY LIST (lower(type));
TABLE refusals;
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections DROP CONSTRAINT "PK_0a1f844af3122354cbd487a8d03", ADD PRIMARY KEY (id, type);
TABLE refusals;
SELECT connections_migrate(4);
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections DROP CONSTRAINT "PK_0a1f844af3122354cbd487a8d03";
TABLE refusals;
SELECT connections_migrate(4);
ROLLBACK;

-- a partition whose name must not be NULL, where that of the table may be
BEGIN;
ALTER TABLE connections.connections RENAME TO plain;
ALTER TABLE connections.plain ALTER name DROP NOT NULL;
CREATE TABLE connections.connections (LIKE connections.plain INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE connections.part PARTITION OF connections.connections FOR VALUES WITH (modulus 1, remainder 0);
INSERT INTO connections.connections TABLE connections.plain;
ALTER TABLE connections.part ALTER name SET NOT NULL;
TABLE refusals;
SAVEPOINT refused;
SELECT connections_migrate(4);
ROLLBACK TO refused;
SELECT connections_migrate(3);
ALTER TABLE connections.part ALTER name DROP NOT NULL;
SELECT connections_migrate(4);
ROLLBACK;

-- columns of the row type elsewhere: plain, in an array, a domain, a composite type, a materialized view
BEGIN;
CREATE TABLE connections.keeps_plain (row connections.connections);
CREATE TABLE connections.keeps_array (rows connections.connections[]);
CREATE DOMAIN connections.named AS connections.connections CHECK ((VALUE).name <> '');
CREATE TABLE connections.keeps_domain (row connections.named);
CREATE TYPE connections.pair AS (one connections.connections, other connections.available_connections[]);
CREATE TABLE connections.keeps_composite (pair connections.pair);
CREATE MATERIALIZED VIEW connections.keeps_view AS SELECT a AS entry FROM connections.available_connections a;
-- nothing is stored in this
CREATE FUNCTION connections.function(connections.connections) RETURNS int LANGUAGE sql AS 'SELECT 1';
TABLE refusals;
:remember
SAVEPOINT refused;
SELECT connections_migrate(4);
ROLLBACK TO refused;
:unchanged
DROP TABLE connections.keeps_plain, connections.keeps_array, connections.keeps_domain, connections.keeps_composite;
DROP MATERIALIZED VIEW connections.keeps_view;
SELECT connections_migrate(4);
ROLLBACK;

-- the rollback: what depends on the new columns
BEGIN;
SELECT connections_migrate(4);
CREATE VIEW connections.joined AS
SELECT c.id, c.label, a.slug FROM connections.connections c JOIN connections.available_connections a ON a.id = c.available_connection_id;
CREATE POLICY kind ON connections.available_connections USING (auth_type <> 'basic');
SELECT step, found FROM generate_series(0, 3) AS step CROSS JOIN LATERAL connections_precheck(step)
WHERE check_name = 'dependent_objects' AND status = 'error' ORDER BY 1, 2;
SELECT connections_rollback(2);
SELECT label IS NOT NULL AS labelled, count(*) FROM connections.joined GROUP BY 1;
:remember
SAVEPOINT refused;
SELECT connections_rollback(1);
ROLLBACK TO refused;
:unchanged
SELECT connections_rollback(0);
ROLLBACK TO refused;
DROP VIEW connections.joined;
SELECT connections_rollback(1);
SAVEPOINT refused;
SELECT connections_rollback(0);
ROLLBACK TO refused;
DROP POLICY kind ON connections.available_connections;
SELECT connections_rollback(0);
ROLLBACK;
\set ECHO none
\i :fixtures/drop.sql
