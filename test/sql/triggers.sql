--
-- triggers: those of the application are what they were, enabled or not, and none of them fires for what a migration does, in either mode,
-- but for those that are to fire for what replication does; afterwards they fire as before.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 30
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;
CREATE TABLE connections.fired (name text, op text);
CREATE FUNCTION connections.fire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO connections.fired VALUES (TG_NAME, TG_RELNAME || ' ' || TG_WHEN || ' ' || TG_LEVEL || ' ' || TG_OP);
	RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
CREATE FUNCTION connections.fire_for_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO connections.fired SELECT TG_NAME, 'all ' || count(*) FROM new;
	RETURN NULL;
END
$$;

-- rows and statements, before and after, with a column list and with WHEN on columns that stay, deferred, with transition tables
CREATE TRIGGER before_row BEFORE INSERT OR UPDATE OR DELETE ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.fire('an', 'argument');
CREATE TRIGGER "After Row" AFTER INSERT OR UPDATE OR DELETE ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.fire();
CREATE TRIGGER before_statement BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON connections.connections EXECUTE FUNCTION connections.fire();
CREATE TRIGGER after_statement AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON connections.connections EXECUTE FUNCTION connections.fire();
CREATE TRIGGER with_tables AFTER UPDATE ON connections.connections REFERENCING OLD TABLE AS old NEW TABLE AS new EXECUTE FUNCTION connections.fire_for_all();
CREATE TRIGGER of_columns AFTER UPDATE OF config, user_id ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.fire();
CREATE TRIGGER of_name BEFORE UPDATE OF name ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.fire();
CREATE TRIGGER with_condition AFTER UPDATE ON connections.connections FOR EACH ROW
	WHEN (OLD.config IS DISTINCT FROM NEW.config OR OLD.name <> NEW.name) EXECUTE FUNCTION connections.fire();
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT OR UPDATE ON connections.connections DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (NEW.user_id IS NOT NULL) EXECUTE FUNCTION connections.fire();
CREATE TRIGGER disabled AFTER INSERT OR UPDATE ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.fire();
ALTER TABLE connections.connections DISABLE TRIGGER disabled;
COMMENT ON TRIGGER with_condition ON connections.connections IS 'it''s conditional';
CREATE TRIGGER of_catalog AFTER INSERT OR UPDATE OR DELETE ON connections.available_connections FOR EACH ROW EXECUTE FUNCTION connections.fire();
CREATE TRIGGER of_catalog_disabled AFTER INSERT OR UPDATE ON connections.available_connections EXECUTE FUNCTION connections.fire();
ALTER TABLE connections.available_connections DISABLE TRIGGER of_catalog_disabled;
CREATE CONSTRAINT TRIGGER of_catalog_deferred AFTER UPDATE OF icon ON connections.available_connections DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION connections.fire();
-- a rule that asks for none of the columns
CREATE RULE also AS ON UPDATE TO connections.connections WHERE OLD.user_id <> NEW.user_id DO ALSO INSERT INTO connections.fired (name) VALUES ('also');
:remember

-- atomic; a NULL label and one that points elsewhere, so that the rollback has rows to change
SELECT connections_migrate(2);
SELECT connections_migrate(4);
TABLE connections.fired;
SELECT tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger
WHERE tgrelid = 'connections.connections'::regclass AND NOT tgisinternal AND tgname IN ('of_name', 'with_condition') ORDER BY 1;
SET session_replication_role = replica;
UPDATE connections.connections SET label = NULL WHERE id::text < '4';
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000003' WHERE id::text BETWEEN '4' AND '8';
RESET session_replication_role;
SELECT connections_rollback(2);
SELECT connections_rollback(0);
TABLE connections.fired;
SELECT object, sign, definition FROM pg_temp.differences() WHERE object NOT LIKE 'row of %';

-- online
:remember
CALL connections_migrate_online(2);
CALL connections_migrate_online(4);
TABLE connections.fired;
SET session_replication_role = replica;
UPDATE connections.connections SET label = NULL WHERE id::text < '6';
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000001' WHERE id::text BETWEEN '4' AND '8';
RESET session_replication_role;
CALL connections_rollback_online(2);
CALL connections_rollback_online(0);
TABLE connections.fired;
SELECT object, sign, definition FROM pg_temp.differences() WHERE object NOT LIKE 'row of %';

-- they fire for the application, as before, at each version
CREATE VIEW pg_temp.all_fired AS SELECT name, op, count(*) FROM connections.fired GROUP BY 1, 2 ORDER BY name COLLATE "C", op COLLATE "C";
UPDATE connections.connections SET name = name || '!', config = config || '{"a": 1}' WHERE provider = 'smtp';
SELECT * FROM pg_temp.all_fired;
TRUNCATE connections.fired;
SELECT connections_migrate(2);
UPDATE connections.connections SET name = name || '!', config = config || '{"b": 1}' WHERE provider = 'smtp';
SELECT * FROM pg_temp.all_fired;
TRUNCATE connections.fired;
SELECT connections_migrate(4);
UPDATE connections.connections SET label = label || '!', config = config || '{"c": 1}' WHERE available_connection_id = '0c0a1e9d-0000-4000-8000-000000000004';
UPDATE connections.available_connections SET icon = 'x' WHERE slug = 'smtp';
SELECT * FROM pg_temp.all_fired;
TRUNCATE connections.fired;
SELECT connections_rollback(0);

-- those that are to fire for what replication does do fire for the few rows that the atomic mode updates, whose label was or becomes
-- NULL, and for the catalog's in the online mode; for the walks of the online mode they do not
CREATE TRIGGER always AFTER INSERT OR UPDATE ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.fire();
CREATE TRIGGER "as Replica" BEFORE UPDATE ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections.fire();
ALTER TABLE connections.connections ENABLE ALWAYS TRIGGER always, ENABLE REPLICA TRIGGER "as Replica";
ALTER TABLE connections.available_connections ENABLE ALWAYS TRIGGER of_catalog;
:remember
SELECT count(*) FROM connections.connections WHERE name = '';
SELECT connections_migrate(4);
SELECT * FROM pg_temp.all_fired;
TRUNCATE connections.fired;
SELECT connections_rollback(0);
SELECT * FROM pg_temp.all_fired;
TRUNCATE connections.fired;
CALL connections_migrate_online(4);
SELECT DISTINCT name, op FROM pg_temp.all_fired;
TRUNCATE connections.fired;
CALL connections_rollback_online(0);
SELECT DISTINCT name, op FROM pg_temp.all_fired;
SELECT object, sign, definition FROM pg_temp.differences() WHERE object NOT LIKE 'row of %';
\set ECHO none
\i :fixtures/drop.sql
