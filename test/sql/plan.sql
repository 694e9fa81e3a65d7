--
-- plan: connections_plan() prints what connections_migrate() and connections_rollback() run.  Its statements, run by hand one after
-- the other, lead to the same tables, row by row, and to the same saved state; printing them changes nothing and locks nothing.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 110
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;

-- the whole plan there and back
\pset format unaligned
SELECT step, seq, lock_mode, pg_temp.as_before_18(statement) AS statement, purpose FROM connections_plan();
BEGIN;
SELECT connections_migrate(4);
SELECT step, seq, lock_mode, pg_temp.as_before_18(statement) AS statement, purpose FROM connections_plan(0);
ROLLBACK;
\pset format aligned

-- how many statements each way takes, and whether it is numbered without a gap
CREATE FUNCTION pg_temp.lengths() RETURNS TABLE (target integer, statements bigint, numbered boolean, steps text) LANGUAGE sql AS $$
SELECT t, count(p), coalesce(max(p.seq) = count(p) AND min(p.seq) = 1, true), string_agg(DISTINCT p.step::text, ' ' ORDER BY p.step::text)
FROM generate_series(0, 4) AS t LEFT JOIN LATERAL connections_plan(t) p ON true GROUP BY t ORDER BY t
$$;
SELECT * FROM pg_temp.lengths();
SELECT connections_migrate(2);
SELECT * FROM pg_temp.lengths();
SELECT connections_migrate(4);
SELECT * FROM pg_temp.lengths();
SELECT connections_rollback(0);
-- the same when it is asked for again, and with the default
SELECT * FROM connections_plan(3) EXCEPT SELECT * FROM connections_plan(3, false);
SELECT * FROM connections_plan() EXCEPT SELECT * FROM connections_plan(4);

-- it only reads: in a read-only transaction, and without a lock that would hold up a writer
:remember
BEGIN READ ONLY;
SELECT count(*) > 0 AS planned FROM connections_plan();
SELECT DISTINCT mode FROM pg_locks WHERE relation IN ('connections.connections'::regclass, 'connections.available_connections'::regclass) ORDER BY 1;
ROLLBACK;
:differences

-- by hand: the statements as printed.  A query among them says what is kept of single rows, an UPDATE runs as replication would
CREATE FUNCTION pg_temp.by_hand(target integer) RETURNS SETOF text LANGUAGE sql AS $$
SELECT CASE
	WHEN statement LIKE 'SELECT %type%' THEN 'INSERT INTO connections_redesign.saved_connection_type ' || statement
	WHEN statement LIKE 'SELECT %label%' THEN 'INSERT INTO connections_redesign.saved_null_label ' || statement
	WHEN statement LIKE 'UPDATE %' THEN 'SET LOCAL session_replication_role = replica; ' || statement || '; SET LOCAL session_replication_role = origin'
	ELSE statement END
FROM connections_plan(target) ORDER BY seq
$$;
CREATE FUNCTION pg_temp.all_there_is() RETURNS text LANGUAGE sql AS $$
SELECT md5(string_agg(line, E'\n' ORDER BY line COLLATE "C")) FROM (
	SELECT s::text AS line FROM pg_temp.shape() s
	UNION ALL SELECT r::text FROM pg_temp.rows() r
	UNION ALL SELECT 'column ' || k::text FROM connections_redesign.saved_column k
	UNION ALL SELECT 'ddl ' || k::text FROM connections_redesign.saved_ddl k
	UNION ALL SELECT 'entry ' || k::text FROM connections_redesign.saved_entry k
	UNION ALL SELECT 'type ' || k::text FROM connections_redesign.saved_entry_type k
	UNION ALL SELECT 'other type ' || k::text FROM connections_redesign.saved_connection_type k
	UNION ALL SELECT 'label ' || k::text FROM connections_redesign.saved_null_label k) AS lines
$$;
-- what the new application writes meanwhile, without a time that would differ
ALTER TABLE connections.connections DISABLE TRIGGER connections_audit;
\set writes 'UPDATE connections.connections SET label = NULL WHERE label LIKE ''Smtp%3''; UPDATE connections.connections SET config = ''{}'' WHERE label LIKE ''Sheets%2''; UPDATE connections.connections SET available_connection_id = ''0c0a1e9d-0000-4000-8000-000000000001'' WHERE label LIKE ''Gmail%1'';'
BEGIN;
SELECT connections_migrate(4);
SELECT pg_temp.all_there_is() AS forward \gset called_
:writes
SELECT connections_rollback(0);
SELECT pg_temp.all_there_is() AS back \gset called_
SELECT connections_migrate(4);
SELECT pg_temp.all_there_is() AS again \gset called_
ROLLBACK;
BEGIN;
\set ECHO none
SELECT * FROM pg_temp.by_hand(4) \gexec
\set ECHO all
SELECT pg_temp.all_there_is() AS forward \gset printed_
:writes
\set ECHO none
SELECT * FROM pg_temp.by_hand(0) \gexec
\set ECHO all
SELECT pg_temp.all_there_is() AS back \gset printed_
\set ECHO none
SELECT * FROM pg_temp.by_hand(4) \gexec
\set ECHO all
SELECT pg_temp.all_there_is() AS again \gset printed_
SELECT step, state, mode FROM connections_status();
ROLLBACK;
SELECT :'called_forward' = :'printed_forward' AS forward, :'called_back' = :'printed_back' AS back, :'called_again' = :'printed_again' AS again,
	:'called_forward' <> :'called_back' AND :'called_forward' <> :'called_again' AS different;

-- in steps or at once, the tables are the same
BEGIN;
SELECT connections_migrate(4);
SELECT md5(string_agg(s::text, E'\n' ORDER BY s::text COLLATE "C")) AS at_once FROM (SELECT * FROM pg_temp.shape() UNION ALL SELECT * FROM pg_temp.rows()) s \gset
ROLLBACK;
BEGIN;
SELECT connections_migrate(1), connections_migrate(2), connections_migrate(3), connections_migrate(4);
SELECT md5(string_agg(s::text, E'\n' ORDER BY s::text COLLATE "C")) = :'at_once' AS same FROM (SELECT * FROM pg_temp.shape() UNION ALL SELECT * FROM pg_temp.rows()) s;
ROLLBACK;
\set ECHO none
\i :fixtures/drop.sql
