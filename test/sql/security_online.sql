--
-- The same as in security.sql of the online mode and of its background worker; and what an owner's code can do while it runs for others:
-- it cannot write as replication would, nor get anywhere with the extension's own functions.
--
\set VERBOSITY terse
SET client_min_messages = warning;
DROP EXTENSION connections_redesign;
CREATE EXTENSION connections_redesign;
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/fixtures/malicious_owner.sql
\set ECHO all
-- The online mode does not bring back a column of a domain with constraints.
SET ROLE regress_crd_owner;
ALTER TABLE connections.connections ALTER type TYPE text;
TRUNCATE connections.log;
RESET ROLE;

-- An event trigger is the superuser's; what it sees is done as the owner.
CREATE TABLE public.regress_crd_seen (tag text, who text);
GRANT INSERT ON public.regress_crd_seen TO regress_crd_owner;
CREATE FUNCTION public.regress_crd_see() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.regress_crd_seen VALUES (tg_tag, CASE current_user WHEN session_user THEN 'THE SUPERUSER' ELSE current_user END);
END $$;
CREATE EVENT TRIGGER regress_crd_see ON ddl_command_end EXECUTE FUNCTION public.regress_crd_see();

-- each call in a new session, which has nothing cached
\c -
SET client_min_messages = warning;
SELECT count(*) > 0 AS planned FROM connections_plan(4, true);
SELECT count(*) FILTER (WHERE status = 'error') AS errors FROM connections_precheck();
SELECT * FROM connections.seen;
TRUNCATE connections.log;
CALL connections_migrate_online(2);
SELECT * FROM connections.seen;
TRUNCATE connections.log;
\c -
SET client_min_messages = warning;
CALL connections_migrate_online(4);
SELECT * FROM connections.seen;

-- so that the rollback has rows to change
SET ROLE regress_crd_owner;
UPDATE connections.connections SET label = NULL WHERE id = 2 \g /dev/null
UPDATE connections.connections SET available_connection_id = 1 WHERE id = 4 \g /dev/null
TRUNCATE connections.log;
\c -
SET client_min_messages = warning;
SELECT count(*) > 0 AS planned FROM connections_plan(0, true);
SELECT count(*) FILTER (WHERE status = 'error') AS errors FROM connections_precheck(0);
SELECT * FROM connections.seen;
TRUNCATE connections.log;
\c -
SET client_min_messages = error;
CALL connections_rollback_online(0);
SELECT * FROM connections.seen;
TRUNCATE connections.log;

-- again, now with a label to make NULL
\c -
SET client_min_messages = warning;
CALL connections_migrate_online(4);
SELECT * FROM connections.seen;
SELECT DISTINCT in_worker, set_role, session_authorization, make_superuser = 'SUCCEEDED' AS made_superuser FROM connections.log ORDER BY 1;
SELECT current_user = session_user AS myself, rolsuper FROM pg_roles WHERE rolname = 'regress_crd_owner';
SELECT current_setting('search_path') AS search_path, current_setting('session_replication_role') AS replication_role;
SET ROLE regress_crd_owner;
SELECT id, available_connection_id, label FROM connections.connections ORDER BY id;
RESET ROLE;
RESET search_path;
-- What runs as its caller is not for a superuser to call: the seed, and the list.  The server, too, runs such code for who just plans a query.
TRUNCATE connections.log;
\c -
SET client_min_messages = warning;
SELECT count(*) FROM connections_available();
RESET search_path;
SELECT * FROM connections.seen;
TRUNCATE connections.log;
SELECT DISTINCT action FROM connections_seed_catalog();
RESET search_path;
SELECT * FROM connections.seen;
DROP EVENT TRIGGER regress_crd_see;
SELECT who, count(*) > 10 AS many FROM public.regress_crd_seen GROUP BY 1;
SELECT tag FROM public.regress_crd_seen GROUP BY 1 ORDER BY tag COLLATE "C";
DROP FUNCTION public.regress_crd_see;
DROP TABLE public.regress_crd_seen;

-- What is deferred to the commit would run as the superuser: in the worker, in a walk, in a statement.
SET ROLE regress_crd_owner;
CREATE OR REPLACE FUNCTION connections.spy(planted text) RETURNS void LANGUAGE sql AS '';
CREATE TABLE connections.trap ();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON connections.trap DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION connections.always();
CREATE FUNCTION connections.defer() RETURNS void LANGUAGE sql AS 'INSERT INTO connections.trap DEFAULT VALUES';
CREATE OR REPLACE FUNCTION connections.index_key(text, text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
	$$ BEGIN IF $1 = 'index of connections.type' THEN PERFORM connections.defer(); END IF; RETURN $2; END $$;
RESET ROLE;
SET client_min_messages = error;
CALL connections_rollback_online(3);
SET ROLE regress_crd_owner;
CREATE OR REPLACE FUNCTION connections.index_key(text, text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $2; END $$;
RESET ROLE;
CALL connections_rollback_online(1);
SET ROLE regress_crd_owner;
CREATE OR REPLACE FUNCTION connections.index_key(text, text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM connections.defer(); RETURN $2; END $$;
RESET ROLE;
SELECT step FROM connections_rehearse(2);
SET ROLE regress_crd_owner;
CREATE OR REPLACE FUNCTION connections.index_key(text, text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $2; END $$;
CREATE OR REPLACE FUNCTION connections.check_row(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM connections.defer(); RETURN true; END $$;
RESET ROLE;
CALL connections_migrate_online(2);
SELECT step, state FROM connections_status();
SET ROLE regress_crd_owner;
CREATE OR REPLACE FUNCTION connections.check_row(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$;
RESET ROLE;
CALL connections_rollback_online(0);
SELECT count(*) AS trapped FROM connections.trap;

-- What the extension updates as replication would, for which one has to be a superuser, it does in its own tables only: the triggers
-- and foreign keys of others' hold for what the owner's code writes meanwhile.
CREATE TABLE public.regress_crd_parent (id int PRIMARY KEY);
CREATE TABLE public.regress_crd_others (id int REFERENCES public.regress_crd_parent, audited boolean);
CREATE FUNCTION public.regress_crd_audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.audited := true; RETURN NEW; END $$;
CREATE TRIGGER audit BEFORE INSERT ON public.regress_crd_others FOR EACH ROW EXECUTE FUNCTION public.regress_crd_audit();
GRANT INSERT ON public.regress_crd_others TO regress_crd_owner;
SET ROLE regress_crd_owner;
CREATE FUNCTION connections.write_others() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.regress_crd_others VALUES (NULL, false);
	BEGIN
		INSERT INTO public.regress_crd_others VALUES (1, false);
	EXCEPTION WHEN foreign_key_violation THEN NULL;
	END;
END $$;
CREATE OR REPLACE FUNCTION connections.check_row(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM connections.write_others(); RETURN true; END $$;
CREATE OR REPLACE FUNCTION connections.always() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM connections.write_others(); RETURN NEW; END $$;
RESET ROLE;
CALL connections_migrate_online(1);
SELECT id, audited, count(*) > 0 AS written FROM public.regress_crd_others GROUP BY 1, 2;
TRUNCATE public.regress_crd_others;
CALL connections_migrate_online(4);
UPDATE connections.connections SET label = NULL WHERE id = 2 \g /dev/null
TRUNCATE public.regress_crd_others;
SELECT connections_rollback(3);
SELECT id, audited, count(*) > 0 AS written FROM public.regress_crd_others GROUP BY 1, 2;
TRUNCATE public.regress_crd_others;
SELECT connections_migrate(4);
SELECT id, audited, count(*) > 0 AS written FROM public.regress_crd_others GROUP BY 1, 2;
SHOW session_replication_role;
DROP TABLE public.regress_crd_others, public.regress_crd_parent;
DROP FUNCTION public.regress_crd_audit;

-- The owner, who may migrate, has code that calls the extension's functions while they run: nothing comes of it but errors of its own.
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO regress_crd_owner;
SET ROLE regress_crd_owner;
CREATE TABLE connections.calls (statement text, sqlstate text);
CREATE FUNCTION connections.call_all() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	statement text;
BEGIN
	FOREACH statement IN ARRAY ARRAY['SELECT public.connections_migrate(4)', 'SELECT public.connections_rollback(0)', 'SELECT public.connections_rollback()',
			'CALL public.connections_migrate_online(4)', 'CALL public.connections_rollback_online(0)', 'SELECT * FROM public.connections_rehearse(4)',
			'SELECT public.connections_pause()', 'SELECT public.connections_resume()',
			'SELECT count(*) FROM public.connections_precheck(0)', 'SELECT count(*) FROM public.connections_verify()'] LOOP
		BEGIN
			EXECUTE statement;
			INSERT INTO connections.calls VALUES (statement, '00000');
		EXCEPTION WHEN OTHERS THEN
			INSERT INTO connections.calls VALUES (statement, SQLSTATE);
		END;
	END LOOP;
END $$;
CREATE OR REPLACE FUNCTION connections.check_row(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
	IF NOT EXISTS (SELECT FROM connections.calls) THEN PERFORM connections.call_all(); END IF;
	RETURN true;
END $$;
CREATE OR REPLACE FUNCTION connections.always() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
RESET ROLE;
SELECT connections_rollback(0);
SELECT DISTINCT statement COLLATE "C", sqlstate FROM connections.calls ORDER BY 1, 2;
TRUNCATE connections.calls;
SELECT step, state FROM connections_status();
CALL connections_migrate_online(4);
SELECT DISTINCT statement COLLATE "C", sqlstate FROM connections.calls ORDER BY 1, 2;
SELECT step, state FROM connections_status();
-- from a cast that the checks try on a single value, when no table is in use: the outer call finds other tables than it has read, and an
-- error takes everything back
SET ROLE regress_crd_owner;
CREATE OR REPLACE FUNCTION connections.text_provider(text) RETURNS connections.provider LANGUAGE plpgsql AS $$ BEGIN
	IF NOT EXISTS (SELECT FROM connections.calls) THEN PERFORM connections.call_all(); END IF;
	RETURN enum_in(textout($1), 'connections.provider'::regtype);
END $$;
TRUNCATE connections.calls;
RESET ROLE;
\set VERBOSITY sqlstate
SELECT connections_rollback(3);
\set VERBOSITY terse
SELECT DISTINCT statement COLLATE "C", sqlstate FROM connections.calls ORDER BY 1, 2;
SELECT step, state FROM connections_status();
SELECT step, direction, mode, state FROM connections_redesign.history ORDER BY id DESC LIMIT 4;

DROP SCHEMA connections CASCADE;
DROP OWNED BY regress_crd_owner;
DROP ROLE regress_crd_owner;
