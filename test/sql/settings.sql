--
-- settings: whoever calls, and with whatever settings, both modes lead to the same, forward and back; see fixtures/compare_modes.sql.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set fixtures :abs_srcdir /fixtures
\set SHOW_CONTEXT never
\set rows 20
\set crossing off
\set brief on
SET client_min_messages = warning;
SELECT current_database() AS database \gset
\pset null NULL
\set legacy `cat "$PG_ABS_SRCDIR/fixtures/legacy.sql" "$PG_ABS_SRCDIR/fixtures/rows.sql" | sed 's/☎ 仕事/§/'`
SELECT $$
CREATE INDEX ON connections.connections ((provider || ':' || type));
ALTER TABLE connections.connections ALTER type SET DEFAULT 'it''s' || '\n' || E'\\', ADD CONSTRAINT known CHECK (provider || type <> '\' AND created_at > '2001-02-03');
ALTER TABLE connections.connections ADD COLUMN since date DEFAULT '2001-02-03', ADD COLUMN length interval DEFAULT '1 day 2:03', ADD COLUMN bytes bytea DEFAULT '\x00ff',
	ADD COLUMN ratio float8 DEFAULT 0.1;
COMMENT ON COLUMN connections.connections.provider IS E'it''s \\ "quoted"';
ALTER TABLE connections.available_connections REPLICA IDENTITY NOTHING;
$$ AS more, $$
ALTER TABLE connections.connections DISABLE TRIGGER USER;
UPDATE connections.connections SET label = NULL WHERE id::text < '4';
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000003' WHERE id::text > 'c';
ALTER TABLE connections.connections ENABLE TRIGGER USER;
$$ AS app \gset

-- a search_path with functions, operators and relations that stand before those of pg_catalog; the extension in a schema of its own; an
-- owner who is no superuser, and calls himself
DROP EXTENSION connections_redesign;
CREATE SCHEMA "Its ""own";
CREATE EXTENSION connections_redesign SCHEMA "Its ""own";
CREATE ROLE "regress_crd Owner" LOGIN;
CREATE SCHEMA evil;
CREATE FUNCTION evil.boom() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'evil'; END$$;
CREATE FUNCTION evil.eq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.boom()';
CREATE FUNCTION evil.eq(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT evil.boom()';
CREATE FUNCTION evil.eq(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT evil.boom()';
CREATE FUNCTION evil.eq(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT evil.boom()';
CREATE FUNCTION evil.eq(jsonb, text) RETURNS text LANGUAGE sql AS 'SELECT evil.boom()::text';
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq);
CREATE OPERATOR evil.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = evil.eq);
CREATE OPERATOR evil.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = evil.eq);
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.eq);
CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq);
CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq);
CREATE OPERATOR evil.->> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = evil.eq);
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql AS 'SELECT evil.boom()::text';
CREATE FUNCTION evil.quote_ident(text) RETURNS text LANGUAGE sql AS 'SELECT evil.boom()::text';
CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS 'SELECT evil.boom()::text';
CREATE FUNCTION evil.count(text) RETURNS bigint LANGUAGE sql AS 'SELECT evil.boom()::int::bigint';
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT evil.boom()::text::timestamptz';
CREATE TYPE evil.text AS (a int);
CREATE TYPE evil.uuid AS (a int);
CREATE TABLE evil.pg_class (oid oid);
CREATE TABLE evil.connections (id int);
CREATE COLLATION evil."C" (provider = icu, locale = 'en');
GRANT USAGE ON SCHEMA evil, "Its ""own" TO PUBLIC;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA "Its ""own" TO "regress_crd Owner";
SELECT $$RESET SESSION AUTHORIZATION; SET search_path = public; $$ || :'legacy' || :'more' || $$
ALTER SCHEMA connections OWNER TO "regress_crd Owner";
ALTER TABLE connections.connections OWNER TO "regress_crd Owner";
ALTER TABLE connections.available_connections OWNER TO "regress_crd Owner";
SET search_path = evil, pg_catalog, "Its ""own", public;
SET SESSION AUTHORIZATION "regress_crd Owner";
SET client_min_messages = error;
$$ AS shape \gset
SELECT 'SET search_path = pg_catalog;' || :'app' || 'SET search_path = evil, pg_catalog, "Its ""own", public;' AS app, :'app' AS plain_app \gset
SET search_path = "Its ""own", public;
\set ECHO none
\i :fixtures/snapshot.sql
\set ECHO all
\i :fixtures/compare_modes.sql
\set ECHO none
\i :fixtures/drop.sql
\set ECHO all
DROP SCHEMA evil, "Its ""own" CASCADE;
CREATE EXTENSION connections_redesign;

\set app :plain_app
-- settings that change how values and names are read and written, and where new things go
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_crd_default LOCATION '';
SELECT $$RESET ALL; $$ || :'legacy' || :'more' || $$
SET standard_conforming_strings = off; SET backslash_quote = off; SET escape_string_warning = off; SET quote_all_identifiers = on; SET array_nulls = off;
SET transform_null_equals = on; SET bytea_output = escape; SET extra_float_digits = -15; SET DateStyle = 'German'; SET IntervalStyle = 'sql_standard';
SET TimeZone = 'Asia/Kathmandu'; SET xmloption = document; SET session_replication_role = replica; SET row_security = off; SET check_function_bodies = on;
SET default_tablespace = regress_crd_default; SET default_toast_compression = lz4; SET default_transaction_deferrable = on; SET client_encoding = LATIN1;
SET client_min_messages = error;
$$ AS shape \gset
\i :fixtures/compare_modes.sql
RESET ALL;
SET client_min_messages = warning;
SELECT count(*) AS in_the_default_tablespace FROM pg_class WHERE relnamespace = 'connections'::regnamespace AND reltablespace <> 0;
\set ECHO none
\i :fixtures/drop.sql
\set ECHO all
DROP TABLESPACE regress_crd_default;

-- databases of other encodings
CREATE DATABASE regress_crd_latin1 TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_crd_latin1
SET client_encoding = UTF8;
SET client_min_messages = warning;
CREATE EXTENSION connections_redesign;
\set ECHO none
\i :fixtures/snapshot.sql
\set ECHO all
SELECT 'SET client_encoding = UTF8; ' || :'legacy' || :'more' || $$
CREATE INDEX "größter" ON connections.connections (type) WHERE provider <> 'größter';
COMMENT ON COLUMN connections.connections.type IS 'größter';
$$ AS shape \gset
\i :fixtures/compare_modes.sql
SELECT label FROM connections.connections WHERE label LIKE 'Büro%';
\c :database
DROP DATABASE regress_crd_latin1;
CREATE DATABASE regress_crd_sql_ascii TEMPLATE template0 ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_crd_sql_ascii
SET client_min_messages = warning;
CREATE EXTENSION connections_redesign;
\set ECHO none
\i :fixtures/snapshot.sql
\set ECHO all
\i :fixtures/compare_modes.sql
SELECT encode(label::bytea, 'hex') AS label FROM connections.connections WHERE label LIKE 'B%ro%';
\c :database
DROP DATABASE regress_crd_sql_ascii;
DROP ROLE "regress_crd Owner";
