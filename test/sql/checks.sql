--
-- checks: the whole report on good data at each version and in both directions; and what bad data gives, in the report and as the
-- error of connections_migrate(), which changes nothing.  The report itself never raises for what it finds.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 20
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.report(step integer) RETURNS TABLE (check_name text, status text, found text, expected text, hint text) LANGUAGE sql AS $$
SELECT * FROM connections_precheck(step) WHERE check_name NOT IN ('ownership', 'locks', 'old_snapshots', 'disk_space')
$$;
\pset format unaligned
\pset footer off

-- good data
SELECT * FROM connections_precheck() WHERE check_name NOT IN ('ownership', 'locks', 'old_snapshots', 'disk_space');
SELECT * FROM pg_temp.report(1);
SELECT * FROM pg_temp.report(0);
SELECT connections_migrate(1);
SELECT * FROM pg_temp.report(4);
SELECT * FROM pg_temp.report(0);
SELECT connections_migrate(2);
SELECT * FROM pg_temp.report(4);
SELECT * FROM pg_temp.report(0);
SELECT connections_migrate(3);
SELECT * FROM pg_temp.report(4);
SELECT * FROM pg_temp.report(2);
SELECT connections_migrate(4);
SELECT * FROM pg_temp.report(4);
SELECT * FROM pg_temp.report(3);
SELECT * FROM pg_temp.report(0);
SELECT connections_rollback(0);
-- the same checks every time, in the same order; those of the machine as well
SELECT DISTINCT (SELECT string_agg(check_name, ' ' ORDER BY n)
	FROM (SELECT check_name, min(n) AS n FROM connections_precheck(step) WITH ORDINALITY AS c (check_name, status, found, expected, hint, n)
		GROUP BY check_name) AS checks) AS checks
FROM generate_series(1, 4) AS step;
SELECT check_name, bool_and(status IN ('ok', 'warning')) FROM connections_precheck(4)
WHERE check_name IN ('ownership', 'locks', 'old_snapshots', 'disk_space') GROUP BY 1 ORDER BY 1;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT status, found, hint FROM connections_precheck() WHERE check_name = 'isolation';
ROLLBACK;

-- bad data: what the report says beside warnings, what migrate says, and whether all is as before
CREATE FUNCTION pg_temp.bad(only_check text) RETURNS TABLE (check_name text, found text, expected text, hint text) LANGUAGE sql AS $$
SELECT check_name, found, expected, hint FROM connections_precheck(4) WHERE status = 'error' AND check_name = only_check
$$;
\set refused ':remember SELECT * FROM pg_temp.bad(:''check''); SAVEPOINT refused; SELECT connections_migrate(4); ROLLBACK TO refused; :unchanged'

-- the catalog: four entries, six, one in other letters, without a name, twice
\set check available_connections
BEGIN;
DELETE FROM connections.available_connections WHERE name = 'smtp';
:refused
ROLLBACK;
BEGIN;
INSERT INTO connections.available_connections (id, name) VALUES ('0c0a1e9d-0000-4000-8000-000000000006', 'slack');
:refused
ROLLBACK;
BEGIN;
UPDATE connections.available_connections SET name = 'Gmail' WHERE name = 'gmail';
:refused
UPDATE connections.available_connections SET name = ' gmail' WHERE name = 'Gmail';
:refused
ROLLBACK;
BEGIN;
ALTER TABLE connections.available_connections ALTER name DROP NOT NULL;
UPDATE connections.available_connections SET name = NULL WHERE name = 'gmail';
:refused
ROLLBACK;
BEGIN;
ALTER TABLE connections.available_connections DROP CONSTRAINT "UQ_cbb3156f141ac53833c59bb309e";
INSERT INTO connections.available_connections (id, name) VALUES ('0c0a1e9d-0000-4000-8000-000000000006', 'gmail');
:refused
ROLLBACK;

-- connections: each way in which a google_workspace row can say no capability, or another one
\set check mapping
BEGIN;
ALTER TABLE connections.connections ALTER config DROP NOT NULL, ALTER provider DROP NOT NULL;
INSERT INTO connections.connections (id, user_id, provider, type, name, config)
SELECT md5('bad ' || n)::uuid, md5('user')::uuid, provider, 'oauth2', 'bad', config::jsonb
FROM (VALUES
	(1, 'google_workspace', NULL),
	(2, 'google_workspace', '{}'),
	(3, 'google_workspace', '{"Capability": "sheets"}'),
	(4, 'google_workspace', '{"capability": null}'),
	(5, 'google_workspace', '{"capability": "drive"}'),
	(6, 'google_workspace', '{"capability": "Sheets"}'),
	(7, 'google_workspace', '{"capability": " sheets"}'),
	(8, 'google_workspace', '{"capability": 7}'),
	(9, 'google_workspace', '{"capability": ["sheets"]}'),
	(10, 'google_workspace', '"sheets"'),
	(11, 'google_workspace', '{"capability": ""}'),
	(12, 'google_workspace', '{"nested": {"capability": "sheets"}}'),
	(13, 'GMAIL', '{}'),
	(14, 'google', '{"capability": "sheets"}'),
	(15, NULL, '{"capability": "sheets"}'),
	(16, 'sheets', '{"capability": "sheets"}'),
	(17, '', '{}'),
	(18, 'google_workspace', NULL)
) AS bad (n, provider, config);
:refused
-- more than ten lines are cut in the error, not in the report
SELECT count(*) FROM pg_temp.bad('mapping');
-- one row of them is enough
DELETE FROM connections.connections WHERE name = 'bad' AND id <> md5('bad 1')::uuid;
:refused
UPDATE connections.connections SET config = '{"capability": "sheets"}' WHERE name = 'bad';
SELECT connections_migrate(4);
ROLLBACK;
-- step 2 alone refuses them as well
BEGIN;
SELECT connections_migrate(1);
UPDATE connections.connections SET provider = 'Smtp' WHERE provider = 'smtp';
:remember
SAVEPOINT refused;
SELECT connections_migrate(2);
ROLLBACK TO refused;
:unchanged
ROLLBACK;

-- a capability where none is needed, and other keys, do not matter
BEGIN;
UPDATE connections.connections SET config = '{"capability": "drive", "a": 1}' WHERE provider = 'gmail';
UPDATE connections.connections SET config = '[1, 2]' WHERE provider = 'smtp';
SELECT * FROM pg_temp.bad('mapping');
SELECT connections_migrate(4);
ROLLBACK;

-- no connections at all
BEGIN;
DELETE FROM connections.connections;
SELECT * FROM pg_temp.report(4) WHERE check_name = 'mapping';
SELECT connections_migrate(4);
SELECT connections_rollback(0);
ROLLBACK;
\set ECHO none
\i :fixtures/drop.sql
