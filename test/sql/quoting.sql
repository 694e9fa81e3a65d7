--
-- Names and values that try to break out of the statements that are made of them
--
\set VERBOSITY terse
SET client_min_messages = warning;
DROP EXTENSION connections_redesign;
CREATE EXTENSION connections_redesign;
\pset null NULL

CREATE TABLE public.regress_crd_bystander ();
CREATE ROLE "regress_crd_""; DROP TABLE public.regress_crd_bystander; --";
CREATE SCHEMA connections;
CREATE TABLE connections.available_connections (
	id text PRIMARY KEY,
	name text CONSTRAINT "name'; DROP TABLE public.regress_crd_bystander; --" UNIQUE NOT NULL,
	icon text, cover text, description text
);
INSERT INTO connections.available_connections VALUES
	('''); DROP TABLE public.regress_crd_bystander; --', 'calendar'), ('\''); DROP TABLE public.regress_crd_bystander; --', 'gmail'),
	('$$ "three" \\', 'sheets'), ('%s %I %1$s %n', 'smtp'), (E'new\nline\t', 'telegram');
CREATE TABLE connections.connections (
	"id ""; DROP TABLE public.regress_crd_bystander; --" text,
	second text,
	provider text NOT NULL,
	type text DEFAULT '\''); DROP TABLE public.regress_crd_bystander; --',
	name text NOT NULL,
	config jsonb,
	"extra '); DROP TABLE public.regress_crd_bystander; --" int,
	PRIMARY KEY ("id ""; DROP TABLE public.regress_crd_bystander; --", second)
);
CREATE INDEX "idx ""; DROP TABLE public.regress_crd_bystander; --" ON connections.connections (provider, (type || '\''); DROP TABLE public.regress_crd_bystander; --'))
	WHERE provider <> '\''); DROP TABLE public.regress_crd_bystander; --';
COMMENT ON INDEX connections."idx ""; DROP TABLE public.regress_crd_bystander; --" IS '\''); DROP TABLE public.regress_crd_bystander; --';
ALTER TABLE connections.connections ADD CONSTRAINT "check ""; DROP TABLE public.regress_crd_bystander; --"
	CHECK (type <> '\''); DROP TABLE public.regress_crd_bystander; -- %s' OR name <> '\''');
COMMENT ON CONSTRAINT "check ""; DROP TABLE public.regress_crd_bystander; --" ON connections.connections IS '''; DROP TABLE public.regress_crd_bystander; -- %s \';
ALTER TABLE connections.connections ADD CONSTRAINT "unique ""; %s \" UNIQUE ("id ""; DROP TABLE public.regress_crd_bystander; --", type);
COMMENT ON COLUMN connections.connections.provider IS '''; DROP TABLE public.regress_crd_bystander; -- \';
COMMENT ON COLUMN connections.connections.type IS E'\\'' || ''%s'' %I \n$$';
CREATE STATISTICS connections."statistics ""; DROP TABLE public.regress_crd_bystander; --" ON provider, type FROM connections.connections;
GRANT SELECT (provider), UPDATE (type) ON connections.connections TO "regress_crd_""; DROP TABLE public.regress_crd_bystander; --" WITH GRANT OPTION;
INSERT INTO connections.connections VALUES
	('1'';', ',"\', 'gmail', 'oauth2', 'a', '{}'),
	('2', '{NULL}', 'gmail', 'oauth2', 'b', '{}'),
	('{3,"', '\', 'gmail', '''); DROP TABLE public.regress_crd_bystander; --', 'c', '{}'),
	(E'4\n', 'x', 'google_workspace', '\', 'd', '{"capability": "sheets"}'),
	('5', 'x', 'google_workspace', '\''); DROP TABLE public.regress_crd_bystander; -- %s', 'e', '{"capability": "calendar"}'),
	('6', 'x', 'google_workspace', NULL, 'f', '{"capability": "calendar"}'),
	('7', 'x', 'smtp', 'NULL', 'g', '{}'),
	('8', 'x', 'smtp', NULL, 'h', '{}'),
	('9', 'x', 'telegram', '{"a","b', 'i', '{}');
CREATE TEMP TABLE before AS SELECT to_jsonb(c) AS row FROM connections.connections c;
CREATE TEMP VIEW differing AS
	(SELECT '-', row FROM before EXCEPT ALL SELECT '-', to_jsonb(c) FROM connections.connections c)
	UNION ALL (SELECT '+', to_jsonb(c) FROM connections.connections c EXCEPT ALL SELECT '+', row FROM before);
CREATE TEMP VIEW definitions AS
	SELECT 'index' AS kind, pg_get_indexdef(indexrelid) AS definition, obj_description(indexrelid, 'pg_class') AS comment
	FROM pg_index WHERE indrelid = 'connections.connections'::regclass
	UNION ALL SELECT 'constraint', conname || ' ' || pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')
	FROM pg_constraint WHERE conrelid IN ('connections.connections'::regclass, 'connections.available_connections'::regclass) AND contype <> 'n'
	UNION ALL SELECT 'statistics', pg_get_statisticsobjdef(oid), NULL FROM pg_statistic_ext
	UNION ALL SELECT 'column ' || attname, concat_ws(' ', format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END,
		pg_get_expr(d.adbin, d.adrelid), attacl::text), col_description(attrelid, attnum)
	FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE attrelid = 'connections.connections'::regclass AND attnum > 0 AND NOT attisdropped;
CREATE TEMP TABLE definitions_before AS SELECT * FROM definitions;

-- unmappable values in reports
BEGIN;
INSERT INTO connections.connections VALUES ('10''"', '\', '''; DROP TABLE public.regress_crd_bystander; --', 't', 'n', '{}'),
	('11', '%s', 'google_workspace', 't', 'n', '{"capability": "\" %s %n '' \\"}');
SELECT found, hint FROM connections_precheck() WHERE check_name = 'mapping' AND status = 'error';
\set VERBOSITY default
SELECT connections_migrate(4);
\set VERBOSITY terse
ROLLBACK;

-- there and back
SELECT connections_migrate(3);
UPDATE connections.connections SET config = '{"capability": "sheets"}' WHERE second = 'x' AND provider = 'google_workspace' AND name = 'e';
SELECT name, available_connection_id FROM connections.connections ORDER BY name;
UPDATE connections.connections SET config = '{"capability": "calendar"}' WHERE name = 'e';
SELECT count(*) FILTER (WHERE status = 'error' AND check_name <> 'display_names') AS errors FROM connections_verify();
SELECT connections_migrate(4);
SELECT label, available_connection_id FROM connections.connections ORDER BY label;
SELECT connections_rollback(0);
SELECT * FROM differing;
(SELECT '-', * FROM definitions_before EXCEPT ALL SELECT '-', * FROM definitions)
UNION ALL (SELECT '+', * FROM definitions EXCEPT ALL SELECT '+', * FROM definitions_before);

-- Settings of the caller that change how text is read or written change nothing.
SET standard_conforming_strings = off;
SET backslash_quote = on;
SET escape_string_warning = off;
SET quote_all_identifiers = on;
SET array_nulls = off;
SET transform_null_equals = on;
SET bytea_output = escape;
SET extra_float_digits = -15;
SET DateStyle = 'German';
SET IntervalStyle = 'sql_standard';
SET TimeZone = 'Asia/Kathmandu';
SET xmloption = document;
SET session_replication_role = replica;
SET check_function_bodies = off;
SELECT connections_migrate(4);
SELECT connections_rollback(2);
SELECT connections_migrate(4);
SELECT connections_rollback(0);
RESET ALL;
SET client_min_messages = warning;
SELECT * FROM differing;
(SELECT '-', * FROM definitions_before EXCEPT ALL SELECT '-', * FROM definitions)
UNION ALL (SELECT '+', * FROM definitions EXCEPT ALL SELECT '+', * FROM definitions_before);

-- Nor do they where what was kept under them is read without them, or the other way round.
SET standard_conforming_strings = off;
SET quote_all_identifiers = on;
SET array_nulls = off;
SELECT connections_migrate(4);
RESET ALL;
SET client_min_messages = warning;
SELECT connections_rollback(0);
SELECT connections_migrate(4);
SET standard_conforming_strings = off;
SET backslash_quote = off;
SET quote_all_identifiers = on;
SET array_nulls = off;
SELECT connections_rollback(0);
RESET ALL;
SET client_min_messages = warning;
SELECT * FROM differing;
(SELECT '-', * FROM definitions_before EXCEPT ALL SELECT '-', * FROM definitions)
UNION ALL (SELECT '+', * FROM definitions EXCEPT ALL SELECT '+', * FROM definitions_before);

-- the overrides of the seed
SELECT connections_migrate(1);
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "display_name": "''); DROP TABLE public.regress_crd_bystander; -- \\ %s", "icon": "$1"}]');
SELECT display_name, icon FROM connections_available() WHERE slug = 'gmail';
SELECT * FROM connections_seed_catalog('[{"slug": "''; %s --"}]');
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "icon = ''''; %s --": "x"}]');
SELECT connections_rollback(0);
SELECT connections_migrate(1);
SELECT display_name, icon FROM connections_available() WHERE slug = 'gmail';

SELECT 'it is still there' FROM pg_class WHERE oid = 'public.regress_crd_bystander'::regclass;
DROP TABLE public.regress_crd_bystander;
DROP SCHEMA connections CASCADE;
DROP ROLE "regress_crd_""; DROP TABLE public.regress_crd_bystander; --";
