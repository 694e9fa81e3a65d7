--
-- What somebody without privileges can reach or put in the way: the schema in which the extension is created, the session's own temporary
-- schema, the functions that are for everybody, settings, names that look like SQL, and overrides of any size.
--
\set VERBOSITY terse
SET client_min_messages = warning;
DROP EXTENSION connections_redesign;

-- Operators that fit better than those of pg_catalog, in the schema that the superuser chooses, are not used by what the script makes.
CREATE SCHEMA regress_crd_trap;
SET search_path = regress_crd_trap;
DO $$
DECLARE
	l text;
	r text;
	o text;
BEGIN
	FOREACH l IN ARRAY ARRAY['float8', 'int8', 'int4', 'numeric', 'text', 'bool', 'int4[]', 'interval'] LOOP
		FOREACH r IN ARRAY ARRAY['float8', 'int8', 'int4', 'numeric', 'text', 'bool', 'int4[]', 'interval'] LOOP
			EXECUTE format('CREATE FUNCTION pwned(%s, %s) RETURNS bool LANGUAGE plpgsql AS $x$ BEGIN RAISE ''pwned''; END $x$', l, r);
			FOREACH o IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>=', '+', '-', '*', '/', '||'] LOOP
				EXECUTE format('CREATE OPERATOR %s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = pwned)', o, l, r);
			END LOOP;
		END LOOP;
	END LOOP;
END
$$;
CREATE FUNCTION format(text, text, numeric) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'pwned'; END $$;
CREATE FUNCTION floor(numeric) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RAISE 'pwned'; END $$;
CREATE FUNCTION repeat(text, numeric) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'pwned'; END $$;
CREATE TYPE trigger AS (x int);
CREATE DOMAIN text AS pg_catalog.int4;
RESET search_path;
CREATE EXTENSION connections_redesign SCHEMA regress_crd_trap;
WITH members AS (
	SELECT m.classid, m.objid FROM pg_depend m JOIN pg_extension e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid
	WHERE m.deptype = 'e' AND e.extname = 'connections_redesign'
), parts AS (
	TABLE members
	UNION SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r JOIN members m ON m.classid = 'pg_class'::regclass AND r.ev_class = m.objid
	UNION SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint c JOIN members m ON m.classid = 'pg_class'::regclass AND c.conrelid = m.objid
	UNION SELECT 'pg_attrdef'::regclass, d.oid FROM pg_attrdef d JOIN members m ON m.classid = 'pg_class'::regclass AND d.adrelid = m.objid
)
SELECT pg_describe_object(p.classid, p.objid, 0) AS object, pg_describe_object(d.refclassid, d.refobjid, 0) AS uses
FROM parts p JOIN pg_depend d USING (classid, objid) CROSS JOIN pg_identify_object(d.refclassid, d.refobjid, 0) o
WHERE o.schema = 'regress_crd_trap' OR pg_describe_object(d.refclassid, d.refobjid, 0) LIKE '%regress_crd_trap.%';
DROP EXTENSION connections_redesign;
-- A name that is taken is not taken over.
CREATE FUNCTION regress_crd_trap.connections_status() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE EXTENSION connections_redesign SCHEMA regress_crd_trap;
DROP SCHEMA regress_crd_trap CASCADE;
CREATE SCHEMA connections_redesign;
CREATE EXTENSION connections_redesign;
DROP SCHEMA connections_redesign;
CREATE EXTENSION connections_redesign;

-- Everything that PUBLIC may not execute says so, each by a call.
CREATE ROLE regress_crd_guest;
SET ROLE regress_crd_guest;
SELECT connections_migrate(4);
SELECT connections_rollback(0);
SELECT * FROM connections_rehearse(4);
CALL connections_migrate_online(4);
CALL connections_rollback_online(0);
SELECT connections_pause();
SELECT connections_resume();
SELECT * FROM connections_seed_catalog();
-- Nor may he stop a run at a waitpoint, or write the extension's tables, with or without a trigger or a view of his own.
SET connections_redesign.debug_waitpoint = 'backfill';
SELECT set_config('connections_redesign.debug_waitpoint', 'backfill', true);
SHOW connections_redesign.debug_waitpoint;
CREATE TEMP VIEW mine AS SELECT * FROM connections_redesign.history;
INSERT INTO mine (run_id) VALUES (1);
DROP VIEW mine;
BEGIN;
LOCK TABLE connections_redesign.run_step IN ACCESS SHARE MODE;
ROLLBACK;
TRUNCATE connections_redesign.saved_connection_type;
COPY connections_redesign.saved_ddl TO STDOUT;
CREATE TRIGGER t BEFORE INSERT ON connections_redesign.run_step FOR EACH ROW EXECUTE FUNCTION connections_redesign.sync_to_new();
CREATE FUNCTION connections_redesign.saved_label_was_null(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
ALTER FUNCTION connections_redesign.saved_type(text, text, text) SET search_path = public;
RESET ROLE;

-- Where there are no tables, who may create the schema makes tables of these names, and is their owner: what he keeps of them is forgotten
-- when step 4 is applied to others.
SELECT current_database() AS dbname \gset
GRANT CREATE ON DATABASE :"dbname" TO regress_crd_guest;
SET ROLE regress_crd_guest;
SELECT connections_redesign.saved_type('1', '1', 'otherwise');
CREATE SCHEMA connections;
CREATE TABLE connections.connections (id int PRIMARY KEY, provider text, type text, config jsonb, available_connection_id int);
CREATE TRIGGER k AFTER INSERT OR UPDATE OR DELETE ON connections.connections FOR EACH ROW EXECUTE FUNCTION connections_redesign.save_type('1', '=oauth2');
INSERT INTO connections.connections VALUES (1, 'gmail', 'forged', '{}', 1);
SELECT connections_redesign.saved_type('1', '1', 'otherwise');
SELECT connections_plan(4);
DROP SCHEMA connections CASCADE;
SELECT connections_redesign.saved_type('1', '1', 'otherwise');
RESET ROLE;
REVOKE CREATE ON DATABASE :"dbname" FROM regress_crd_guest;

-- The session's own temporary schema, which is searched first for tables and types, if it is not named
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 60
\i :abs_srcdir/fixtures/begin.sql
CREATE TEMP TABLE pg_class AS SELECT 1 / 1 AS oid;
CREATE TEMP TABLE pg_attribute (attrelid int);
CREATE TEMP TABLE pg_constraint (oid int);
CREATE TEMP TABLE pg_locks (pid int);
CREATE TEMP TABLE online_run (run_id int);
CREATE TEMP TABLE connections (id int);
CREATE TEMP TABLE available_connections (id int);
CREATE DOMAIN pg_temp.text AS pg_catalog.int4 CHECK (false);
CREATE DOMAIN pg_temp.uuid AS pg_catalog.int4 CHECK (false);
CREATE DOMAIN pg_temp.int8 AS pg_catalog.int4 CHECK (false);
CREATE DOMAIN pg_temp.jsonb AS pg_catalog.int4 CHECK (false);
CREATE FUNCTION pg_temp.format(pg_catalog.text, VARIADIC "any") RETURNS pg_catalog.text LANGUAGE internal AS 'text_format';
CREATE FUNCTION pg_temp.lower(pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql AS $$ BEGIN RAISE 'pwned'; END $$;
CREATE FUNCTION pg_temp.saved_type(pg_catalog.text, pg_catalog.text, pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql AS $$ BEGIN RAISE 'pwned'; END $$;
CREATE FUNCTION pg_temp.pwned(pg_catalog.text, pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'pwned'; END $$;
CREATE OPERATOR pg_temp.= (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = pg_temp.pwned);
SET search_path = pg_temp, pg_catalog, public;
SELECT check_name, found FROM public.connections_precheck() WHERE status = 'error';
SELECT public.connections_migrate(2);
CALL public.connections_migrate_online(4);
SELECT count(*) FROM public.connections_seed_catalog();
SELECT count(*) FROM public.connections_available();
SELECT check_name, found FROM public.connections_verify() WHERE status = 'error';
SELECT state FROM public.connections_status();
SELECT count(*) AS forged FROM connections_redesign.saved_connection_type WHERE type = 'forged';
UPDATE connections.connections SET label = NULL WHERE label > 'S';
CALL public.connections_rollback_online(2);
SELECT public.connections_rollback(0);
SELECT public.connections_migrate(1);
RESET search_path;
DISCARD TEMP;

-- Overrides of 10 MB
SELECT * FROM connections_seed_catalog(jsonb_build_array(jsonb_build_object('slug', 'gmail', 'description', repeat('x', 10000000))));
SELECT length(description) FROM connections_available() WHERE slug = 'gmail';
SELECT count(*) FROM connections_seed_catalog((SELECT jsonb_build_array(jsonb_object_agg('key ' || i, repeat('x', 80)) || '{"slug": "gmail"}') FROM generate_series(1, 100000) i));
SELECT count(*) FROM connections_seed_catalog((SELECT jsonb_agg(jsonb_build_object('slug', 'gmail', 'icon', repeat('x', 80))) FROM generate_series(1, 100000) i));
SELECT count(*) FROM connections_seed_catalog(jsonb_build_array(jsonb_build_object('slug', repeat('x', 10000000))));
-- nested as deep as the server allows
SELECT count(*) FROM connections_seed_catalog((repeat('[', 1000) || repeat(']', 1000))::jsonb);
SELECT count(*) FROM connections_seed_catalog(('[{"slug": "gmail", "icon": ' || repeat('{"a":', 1000) || '1' || repeat('}', 1000) || '}]')::jsonb);
SELECT connections_redesign.config_capability(('{"a": ' || repeat('[', 1000) || repeat(']', 1000) || ', "capability": "found"}')::json);
SELECT length(connections_redesign.set_config_capability(('{"a": ' || repeat('[', 1000) || repeat(']', 1000) || ', "capability": "found"}')::json, 'x')::text);
-- of keys that come twice, the last counts, as jsonb has it
SELECT * FROM connections_seed_catalog('[{"slug": "smtp", "slug": "gmail", "icon": "a", "icon": "b", "description": "short"}]');
SELECT slug, icon, length(description) FROM connections_available() WHERE slug IN ('gmail', 'smtp');
-- what is no text
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "icon": 1e1000}]');
SELECT * FROM connections_seed_catalog('[[{"slug": "gmail"}]]');
SELECT * FROM connections_seed_catalog('[{"slug": ["gmail"]}]');
SELECT * FROM connections_seed_catalog('[null]');
SELECT * FROM connections_seed_catalog('"gmail"');
SELECT connections_rollback(0);

-- Names and literals that look like the statements that are kept and run again
CREATE TABLE public.regress_crd_bystander ();
CREATE SCHEMA "part'; DROP TABLE public.regress_crd_bystander; --";
ALTER TABLE connections.connections ADD CONSTRAINT "a NOT VALID" CHECK (provider <> ' NOT VALID'),
	ADD CONSTRAINT "b) NOT VALID" UNIQUE (id, type), ADD CONSTRAINT "c UNIQUE (id)" CHECK (type <> $x$'); DROP TABLE public.regress_crd_bystander; --$x$);
CREATE INDEX "CREATE UNIQUE INDEX ""x"" ON ONLY y" ON connections.connections (provider) WHERE type <> ' ON ONLY ';
CREATE INDEX "DROP TABLE public.regress_crd_bystander" ON connections.connections (type DESC, "provider");
ALTER TABLE connections.connections ALTER type SET DEFAULT $x$'; DROP TABLE public.regress_crd_bystander; --$x$;
COMMENT ON COLUMN connections.connections.type IS $x$'; DROP TABLE public.regress_crd_bystander; -- GRANTED BY postgres$x$;
CREATE STATISTICS "part'; DROP TABLE public.regress_crd_bystander; --"."s;" ON provider, type FROM connections.connections;
CREATE ROLE "regress_crd_TO ""PUBLIC"" GRANTED BY x";
CREATE ROLE regress_crd_grantee;
GRANT USAGE ON SCHEMA connections TO "regress_crd_TO ""PUBLIC"" GRANTED BY x";
GRANT SELECT (provider) ON connections.connections TO "regress_crd_TO ""PUBLIC"" GRANTED BY x" WITH GRANT OPTION;
SET ROLE "regress_crd_TO ""PUBLIC"" GRANTED BY x";
GRANT SELECT (provider) ON connections.connections TO regress_crd_grantee;
RESET ROLE;
CREATE TEMP VIEW definitions AS
	SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index WHERE indrelid = to_regclass('connections.connections')
	UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = to_regclass('connections.connections') AND contype <> 'n'
	UNION ALL SELECT stxname, pg_get_statisticsobjdef(oid) FROM pg_statistic_ext
	UNION ALL SELECT attname, concat_ws(' | ', pg_get_expr(adbin, adrelid), replace(attacl::text, '/' || current_user, '/OWNER'), col_description(attrelid, attnum))
	FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
	WHERE attrelid = to_regclass('connections.connections') AND attname IN ('provider', 'type');
CREATE TEMP TABLE definitions_before AS SELECT * FROM definitions;
SELECT name, definition FROM definitions_before WHERE name IN ('provider', 'type') ORDER BY 1;
SELECT connections_migrate(2);
-- an index that step 3 finds there, and keeps by its name alone
CREATE INDEX "DROP TABLE public.regress_crd_bystander; --" ON connections.connections (available_connection_id);
SELECT connections_migrate(4);
SELECT connections_rollback(2);
DROP INDEX connections."DROP TABLE public.regress_crd_bystander; --";
CALL connections_migrate_online(4);
CALL connections_rollback_online(0);
SELECT count(*) FROM definitions;
(TABLE definitions_before EXCEPT ALL TABLE definitions) UNION ALL (TABLE definitions EXCEPT ALL TABLE definitions_before);
SELECT 'it is still there' FROM pg_class WHERE oid = 'public.regress_crd_bystander'::regclass;

-- A statement that is kept for another role to run is a GRANT, whoever that role is by now, and runs in a security-restricted operation: an
-- event trigger sees it.
SELECT connections_migrate(4);
SELECT count(*) FILTER (WHERE definition NOT LIKE 'GRANT %') AS others, count(*) AS grants FROM connections_redesign.saved_ddl WHERE grantor IS NOT NULL;
CREATE TABLE public.regress_crd_seen (tag text, who text, attempt text);
GRANT INSERT ON public.regress_crd_seen TO PUBLIC;
CREATE FUNCTION public.regress_crd_see() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
	attempt text := 'SUCCEEDED';
BEGIN
	BEGIN
		EXECUTE format('SET LOCAL ROLE %I', session_user);
	EXCEPTION WHEN OTHERS THEN attempt := SQLERRM;
	END;
	INSERT INTO public.regress_crd_seen VALUES (tg_tag, CASE current_user WHEN session_user THEN 'THE OWNER, WHO CALLS' ELSE current_user END, attempt);
END $$;
CREATE EVENT TRIGGER regress_crd_see ON ddl_command_end WHEN TAG IN ('GRANT') EXECUTE FUNCTION public.regress_crd_see();
ALTER ROLE "regress_crd_TO ""PUBLIC"" GRANTED BY x" SUPERUSER;
SELECT connections_rollback(0);
DROP EVENT TRIGGER regress_crd_see;
SELECT * FROM public.regress_crd_seen;
-- what a superuser grants, the server takes for the owner's
(TABLE definitions_before EXCEPT ALL TABLE definitions) UNION ALL (TABLE definitions EXCEPT ALL TABLE definitions_before) ORDER BY 2;

-- the same of a partitioned table, whose indexes are kept without their ONLY
DROP SCHEMA connections CASCADE;
CREATE SCHEMA connections;
CREATE TABLE connections.available_connections (id int PRIMARY KEY, name text NOT NULL UNIQUE, icon text, cover text, description text);
INSERT INTO connections.available_connections VALUES (1, 'calendar'), (2, 'gmail'), (3, 'sheets'), (4, 'smtp'), (5, 'telegram');
CREATE TABLE connections.connections ("i""d; --" int PRIMARY KEY, provider text NOT NULL, type text, name text NOT NULL, config jsonb) PARTITION BY RANGE ("i""d; --");
CREATE TABLE "part'; DROP TABLE public.regress_crd_bystander; --"."p"" ON ONLY x" PARTITION OF connections.connections DEFAULT;
INSERT INTO connections.connections VALUES (1, 'gmail', 'oauth2', 'x', '{}'), (2, 'gmail', 'oauth2', 'y', '{}'), (3, 'gmail', 'imap', 'z', '{}');
CREATE INDEX "i ON ONLY x" ON connections.connections (provider);
CREATE UNIQUE INDEX "u"" ON ONLY x" ON connections.connections ("i""d; --", type) WHERE type <> ' ON ONLY ';
ALTER TABLE connections.connections ADD CONSTRAINT "c ON ONLY x" CHECK (type <> ' ON ONLY ');
TRUNCATE definitions_before;
INSERT INTO definitions_before SELECT * FROM definitions;
SELECT connections_migrate(4);
SELECT connections_rollback(0);
CALL connections_migrate_online(4);
CALL connections_rollback_online(0);
SELECT count(*) FROM definitions;
(TABLE definitions_before EXCEPT ALL TABLE definitions) UNION ALL (TABLE definitions EXCEPT ALL TABLE definitions_before) ORDER BY 2;
SELECT * FROM connections.connections ORDER BY 1;
SELECT 'it is still there' FROM pg_class WHERE oid = 'public.regress_crd_bystander'::regclass;

DROP SCHEMA connections, "part'; DROP TABLE public.regress_crd_bystander; --" CASCADE;
DROP TABLE public.regress_crd_bystander, public.regress_crd_seen;
DROP FUNCTION public.regress_crd_see;
DROP OWNED BY regress_crd_guest;
DROP ROLE regress_crd_guest, regress_crd_grantee, "regress_crd_TO ""PUBLIC"" GRANTED BY x";
