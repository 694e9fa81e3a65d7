--
-- online_backfill: the walks over tables of several forms: of many pages, with room on each page or none, with rows that are stored out of
-- line, empty, and with rows that map to nothing.  The rows are compared with what plain SQL makes of them.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 6000
\i :abs_srcdir/fixtures/begin.sql
SET check_function_bodies = off;
-- what each row has to be at versions 2 and 4 by plain SQL
CREATE TEMP TABLE legacy AS TABLE connections.connections;
CREATE FUNCTION pg_temp.off_goal() RETURNS bigint LANGUAGE sql AS $$
SELECT count(*) FROM connections.connections c FULL JOIN legacy l USING (id)
LEFT JOIN connections.available_connections a ON a.slug = CASE l.provider WHEN 'google_workspace' THEN l.config ->> 'capability' ELSE l.provider END
WHERE (c.user_id, c.available_connection_id, c.config::text, c.created_at, c.updated_at, coalesce(to_jsonb(c) ->> 'name', to_jsonb(c) ->> 'label'))
	IS DISTINCT FROM (l.user_id, a.id, l.config::text, l.created_at, l.updated_at, l.name)
$$;
CREATE FUNCTION pg_temp.off_legacy() RETURNS bigint LANGUAGE sql AS $$
SELECT count(*) FROM connections.connections c FULL JOIN legacy l USING (id)
WHERE (c.user_id, c.provider, c.type, c.name, c.config::text, c.created_at, c.updated_at)
	IS DISTINCT FROM (l.user_id, l.provider, l.type, l.name, l.config::text, l.created_at, l.updated_at)
$$;
-- how much they grow depends on who else has a snapshot, so it is not said exactly
CREATE FUNCTION pg_temp.pages() RETURNS bigint LANGUAGE sql AS $$ SELECT pg_relation_size('connections.connections') / 8192 $$;

-- many pages, all full; a batch is a millisecond, so the walk is in many of them
SET connections_redesign.batch_time = 1;
SELECT pg_temp.pages() AS pages \gset
SELECT :pages > 100 AS many;
CALL connections_migrate_online(2);
SELECT pg_temp.off_goal();
SELECT pg_temp.pages() < 1.6 * :pages AS grew_little;
CALL connections_migrate_online(4);
SELECT pg_temp.off_goal();
SELECT count(*) FROM connections_redesign.saved_connection_type;
SELECT count(*) FROM legacy l WHERE (provider, type) NOT IN (SELECT provider, mode() WITHIN GROUP (ORDER BY type) FROM legacy GROUP BY 1);
CALL connections_rollback_online(0);
SELECT pg_temp.off_legacy();
SELECT step, direction, row_count FROM connections_redesign.history ORDER BY id;

-- indexes agree with the table
SET enable_seqscan = off;
SELECT count(*) FROM connections.connections c JOIN legacy l ON c.id = l.id;
SELECT count(*) FROM (SELECT DISTINCT user_id FROM legacy) u, LATERAL (SELECT FROM connections.connections c WHERE c.user_id = u.user_id) c;
RESET enable_seqscan;
RESET connections_redesign.batch_time;

-- room on each page
ALTER TABLE connections.connections SET (fillfactor = 70);
VACUUM FULL connections.connections;
SELECT pg_temp.pages() AS pages \gset
CALL connections_migrate_online(2);
SELECT pg_temp.off_goal();
SELECT pg_temp.pages() <= 1.2 * :pages AS stayed;
CALL connections_migrate_online(4);
CALL connections_rollback_online(0);
SELECT pg_temp.off_legacy();

-- configs of 10 kB that do not compress, stored out of line: they are not read or written again, but where the capability goes in
ALTER TABLE connections.connections RESET (fillfactor);
DELETE FROM connections.connections WHERE id::text > '1';
ALTER TABLE connections.connections DISABLE TRIGGER connections_audit;
UPDATE connections.connections c SET config = config || jsonb_build_object('big',
	(SELECT string_agg(md5(c.id::text || n), '') FROM generate_series(1, 320) n));
ALTER TABLE connections.connections ENABLE TRIGGER connections_audit;
VACUUM FULL connections.connections;
TRUNCATE legacy;
INSERT INTO legacy SELECT id, user_id, provider, type, name, config, created_at, updated_at FROM connections.connections;
CREATE FUNCTION pg_temp.toast_size() RETURNS bigint LANGUAGE sql AS $$
SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'connections.connections'::regclass
$$;
SELECT count(*) > 300 AS enough, min(length(config::text)) > 10000 AS big, pg_temp.toast_size() > 3000000 AS out_of_line FROM connections.connections;
SELECT pg_temp.toast_size() AS toast \gset
CALL connections_migrate_online(4);
SELECT pg_temp.off_goal();
SELECT pg_temp.toast_size() = :toast AS not_written;
CALL connections_rollback_online(3);
SELECT pg_temp.toast_size() = :toast AS not_written;
CALL connections_migrate_online(4);
ALTER TABLE connections.connections DISABLE TRIGGER connections_audit;
UPDATE connections.connections SET config = config - 'capability' WHERE id::text < '02';
ALTER TABLE connections.connections ENABLE TRIGGER connections_audit;
SET client_min_messages = error;
CALL connections_rollback_online(0);
RESET client_min_messages;
SELECT pg_temp.off_legacy();

-- some 10 kB on the page itself: a row a page, which cannot grow there
ALTER TABLE connections.connections ALTER config SET STORAGE PLAIN;
ALTER TABLE connections.connections DISABLE TRIGGER connections_audit;
UPDATE connections.connections SET config = jsonb_set(config, '{big}', to_jsonb(left(config ->> 'big', 7500)));
ALTER TABLE connections.connections ENABLE TRIGGER connections_audit;
VACUUM FULL connections.connections;
TRUNCATE legacy;
INSERT INTO legacy SELECT id, user_id, provider, type, name, config, created_at, updated_at FROM connections.connections;
SELECT pg_temp.pages() >= count(*) AS a_row_a_page FROM connections.connections;
CALL connections_migrate_online(4);
SELECT pg_temp.off_goal();
CALL connections_rollback_online(0);
SELECT pg_temp.off_legacy();

-- empty, and emptied: pages without rows
DELETE FROM connections.connections;
TRUNCATE legacy;
CALL connections_migrate_online(4);
SELECT pg_temp.off_goal();
CALL connections_rollback_online(0);
TRUNCATE connections.connections;
CALL connections_migrate_online(4);
CALL connections_rollback_online(0);
SELECT pg_temp.off_legacy();
SELECT step, state FROM connections_status();

-- only rows that map to nothing: refused before anything is done
INSERT INTO connections.connections (id, user_id, provider, type, name) VALUES (md5('a')::uuid, md5('user')::uuid, 'gopher', 'oauth2', 'a');
:remember
CALL connections_migrate_online(4);
:unchanged
DELETE FROM connections.connections;
-- at version 2 they are written, and not filled; step 3 refuses and lists them, and the next call goes on
CALL connections_migrate_online(2);
INSERT INTO connections.connections (id, user_id, provider, type, name, config) VALUES
	(md5('a')::uuid, md5('user')::uuid, 'gopher', 'oauth2', 'a', '{}'), (md5('b')::uuid, md5('user')::uuid, 'google_workspace', 'oauth2', 'b', '{"capability": null}'),
	(md5('c')::uuid, md5('user')::uuid, 'google_workspace', 'oauth2', 'c', '{}'), (md5('d')::uuid, md5('user')::uuid, 'Gmail', 'oauth2', 'd', '{}');
:remember
CALL connections_migrate_online(4);
:unchanged
SELECT step, state FROM connections_status();
UPDATE connections.connections SET provider = 'gmail' WHERE name IN ('a', 'd');
UPDATE connections.connections SET config = '{"capability": "calendar"}' WHERE name IN ('b', 'c');
CALL connections_migrate_online(4);
SELECT c.label, a.slug FROM connections.connections c JOIN connections.available_connections a ON a.id = c.available_connection_id ORDER BY 1;
\set ECHO none
\i :fixtures/drop.sql
