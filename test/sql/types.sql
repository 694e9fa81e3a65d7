--
-- types: ids, provider, type, name and config of every type that a legacy schema may have.  Each variant goes forward through version 2,
-- where the sync trigger fills a row, to version 4, and back to what it was; json that jsonb would not hold keeps every byte.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 110
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;
SET check_function_bodies = off;
\pset null NULL

-- what the rows map to by the runbook's rule, and by the column; how many are there, and how many differ
CREATE FUNCTION pg_temp.mapped() RETURNS TABLE (rows bigint, astray bigint) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT count(*), count(*) FILTER (WHERE a.slug::text IS DISTINCT FROM
		CASE c.provider::text WHEN 'google_workspace' THEN c.config ->> 'capability' ELSE c.provider::text END)
	FROM connections.connections c LEFT JOIN connections.available_connections a ON a.id = c.available_connection_id;
END
$$;
\set round_trip ':remember SELECT connections_migrate(2); INSERT INTO connections.connections (id, user_id, provider, type, name, config) SELECT :new_id, user_id, provider, type, name, config FROM connections.connections WHERE name::text LIKE ''Sheets%'' LIMIT 1; SELECT * FROM pg_temp.mapped(); DELETE FROM connections.connections WHERE id = :new_id; SELECT connections_migrate(4); SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = ''connections.connections''::regclass AND attname = ''available_connection_id''; SELECT connections_rollback(0); :differences'
\set new_id 'md5(\'new\')::uuid'

-- provider, type and name
BEGIN;
ALTER TABLE connections.connections ALTER provider TYPE text, ALTER type TYPE text, ALTER name TYPE text;
:round_trip
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections ALTER provider TYPE char(30), ALTER type TYPE char(20), ALTER name TYPE char(99);
ALTER TABLE connections.available_connections ALTER name TYPE char(20);
:round_trip
ROLLBACK;
BEGIN;
CREATE TYPE connections.provider AS ENUM ('telegram', 'smtp', 'google_workspace', 'gmail');
CREATE TYPE connections."Type" AS ENUM ('oauth2', 'basic', 'bot', 'imap', 'service_account');
CREATE TYPE connections.entry AS ENUM ('telegram', 'smtp', 'sheets', 'calendar', 'gmail');
DROP INDEX connections."IDX_0ea1b89120271575026380ce65";
ALTER TABLE connections.connections ALTER provider TYPE connections.provider USING provider::connections.provider,
	ALTER type TYPE connections."Type" USING type::connections."Type";
ALTER TABLE connections.available_connections ALTER name TYPE connections.entry USING name::connections.entry;
:round_trip
ROLLBACK;
BEGIN;
CREATE DOMAIN connections.short AS varchar(20) COLLATE "C" NOT NULL CHECK (VALUE ~ '^[a-z_0-9]+$');
CREATE DOMAIN connections.shorter AS connections.short CHECK (VALUE <> 'x');
ALTER TABLE connections.connections ALTER provider TYPE connections.short, ALTER type TYPE connections.shorter;
ALTER TABLE connections.available_connections ALTER name TYPE connections.shorter;
:round_trip
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections ALTER provider TYPE varchar(40) COLLATE "POSIX", ALTER type TYPE text COLLATE "C", ALTER name TYPE text COLLATE "C";
:round_trip
ROLLBACK;
BEGIN;
ALTER TABLE connections.connections ALTER provider TYPE name, ALTER type TYPE name;
:round_trip
ROLLBACK;
-- letters that a type takes for the same are not the same
BEGIN;
CREATE EXTENSION citext SCHEMA connections;
ALTER TABLE connections.connections ALTER provider TYPE connections.citext, ALTER type TYPE connections.citext, ALTER name TYPE connections.citext;
ALTER TABLE connections.available_connections ALTER name TYPE connections.citext;
:round_trip
UPDATE connections.connections SET provider = 'SMTP' WHERE provider OPERATOR(connections.=) 'smtp'::connections.citext;
SELECT connections_migrate(4);
ROLLBACK;
BEGIN;
CREATE COLLATION connections.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
ALTER TABLE connections.connections ALTER provider TYPE text COLLATE connections.any_case;
:round_trip
UPDATE connections.connections SET provider = 'SMTP' WHERE provider = 'smtp';
SELECT connections_migrate(4);
ROLLBACK;

-- nullable ones, and NULL in type
BEGIN;
ALTER TABLE connections.connections ALTER type DROP NOT NULL, ALTER name DROP NOT NULL, ALTER provider DROP NOT NULL, ALTER config DROP NOT NULL;
ALTER TABLE connections.available_connections ALTER name DROP NOT NULL;
UPDATE connections.connections SET type = NULL WHERE provider = 'smtp';
UPDATE connections.connections SET type = NULL WHERE name LIKE 'Gmail%6';
UPDATE connections.connections SET config = NULL WHERE provider = 'telegram';
:round_trip
ROLLBACK;

-- ids
BEGIN;
ALTER TABLE connections.available_connections ALTER id DROP DEFAULT, ALTER id TYPE bigint USING right(id::text, 1)::bigint * 1000000000000;
ALTER TABLE connections.connections ALTER id DROP DEFAULT, ALTER id TYPE text USING 'key ''' || id;
\set new_id '\'new\''
:round_trip
ROLLBACK;
BEGIN;
ALTER TABLE connections.available_connections ALTER id DROP DEFAULT, ALTER id TYPE varchar(40) COLLATE "C" USING 'it''s \ ' || right(id::text, 1);
ALTER TABLE connections.connections ALTER id DROP DEFAULT, ALTER id TYPE bigint USING ('x' || left(id::text, 8))::bit(32)::bigint;
ALTER TABLE connections.connections ALTER id ADD GENERATED BY DEFAULT AS IDENTITY;
\set new_id 42
:round_trip
ROLLBACK;
BEGIN;
ALTER TABLE connections.available_connections ALTER id DROP DEFAULT, ALTER id TYPE integer USING -right(id::text, 1)::integer;
ALTER TABLE connections.connections DROP CONSTRAINT "PK_0a1f844af3122354cbd487a8d03", ADD COLUMN "Tenant id" timestamptz NOT NULL DEFAULT '2025-01-01 12:34:56.789+01',
	ADD PRIMARY KEY ("Tenant id", id);
\set new_id 'md5(\'new\')::uuid'
:round_trip
ROLLBACK;

-- config as json: a capability that escapes spell, duplicate keys, white space, what text cannot hold
CREATE FUNCTION pg_temp.put(provider text, config json) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO connections.connections (id, user_id, provider, type, name, config) VALUES
		(md5($1 || $2)::uuid, md5('user')::uuid, $1, 'oauth2', 'json', $2);
	RETURN 1;
END
$$;
ALTER TABLE connections.connections ALTER config DROP DEFAULT, ALTER config TYPE json;
SELECT sum(pg_temp.put(provider, config::json)) FROM (VALUES
	('google_workspace', '{"\u0063apability": "\u0073heets"}'),
	('google_workspace', E' \n{ "a" : {"capability": "drive"} ,\t"capability"\n:  "sheets"  } '),
	('google_workspace', '{"capability": "drive", "capability": "calendar"}'),
	('google_workspace', '{"a": "\u0000", "capability": "calendar", "b": ["}", "{\"capability\": 1}", "\\"]}'),
	('google_workspace', '{"\u0000": 1, "\ud83d\ude00": "\ud83d\ude00", "capability": "sheets"}'),
	('gmail', '{"capability": "\u0000"}'),
	('smtp', '"\u0000"'),
	('telegram', '[1.0, {"capability": "\ud800"}]')) AS good (provider, config);
CREATE TEMP TABLE json_rows AS SELECT id, provider, type, name, config::text, updated_at FROM connections.connections;
SELECT connections_migrate(4);
SELECT connections_rollback(0);
(TABLE json_rows EXCEPT SELECT id, provider, type, name, config::text, updated_at FROM connections.connections)
UNION ALL (SELECT id, provider, type, name, config::text, updated_at FROM connections.connections EXCEPT TABLE json_rows);
SELECT connections_migrate(2);
SELECT a.slug, c.provider, c.config FROM connections.connections c JOIN connections.available_connections a ON a.id = c.available_connection_id
WHERE c.name = 'json' ORDER BY c.config::text COLLATE "C";
-- the sync trigger reads the same from them
DELETE FROM connections.connections WHERE name = 'json';
SELECT sum(pg_temp.put(provider, config::json)) FROM (VALUES
	('google_workspace', '{"\u0063apability": "\u0073heets"}'),
	('google_workspace', '{"capability": "drive", "capability": "calendar"}'),
	('google_workspace', '{"a": "\u0000", "capability": "calendar"}'),
	('google_workspace', '{"capability": "calendar", "capability": "drive"}'),
	('google_workspace', '{"capability": "calendar", "capability": null}'),
	('google_workspace', '{"capability": "\u0000"}'),
	('google_workspace', '{"capability": "sheets\u0000"}'),
	('google_workspace', '{"capability": "\ud800"}'),
	('google_workspace', '{"capability": "\udc00\ud800"}'),
	('google_workspace', '{"capability": {"capability": "sheets"}}'),
	('google_workspace', '{"x": {"capability": "sheets"}}'),
	('google_workspace', '["capability", "sheets"]'),
	('google_workspace', '{}'),
	('google_workspace', '{"capability\u0000": "sheets"}'),
	('google_workspace', 'null')) AS any_kind (provider, config);
SELECT a.slug, c.config FROM connections.connections c LEFT JOIN connections.available_connections a ON a.id = c.available_connection_id
WHERE c.name = 'json' ORDER BY a.slug COLLATE "C", c.config::text COLLATE "C";
SELECT found FROM connections_precheck(3) WHERE check_name = 'mapping' AND status = 'error';
SELECT connections_migrate(3);
-- the rollback sets the one key in the text, and leaves the rest of it alone
DELETE FROM connections.connections WHERE available_connection_id IS NULL OR name = 'json';
SELECT connections_migrate(4);
CREATE TEMP TABLE put (n int, before json);
INSERT INTO put VALUES (1, '{}'), (2, '{"a": 1}'), (3, ' { "a" : 1.00, "b":"\u0000" } '), (4, '{"capability": "drive", "z": {"capability": "drive"}}'),
	(5, '{"capability"  :  null, "capability" : {"a": [1, "}"]} , "a":1}'), (6, '{"\u0063apability":"\u0000"}'), (7, E'{\n\t"a": 1\n}'), (8, '{ }');
INSERT INTO connections.connections (id, user_id, available_connection_id, label, config)
SELECT md5(n::text)::uuid, md5('user')::uuid, '0c0a1e9d-0000-4000-8000-000000000003', 'put', before FROM put;
SELECT connections_rollback(3);
\pset format unaligned
SELECT before, config AS after FROM put JOIN connections.connections ON id = md5(n::text)::uuid ORDER BY n;
\set ECHO none
\i :fixtures/drop.sql
