--
-- status: connections_status() has a row for each of the four steps, always: applied, pending or interrupted as the schema says; mode, rows,
-- time and name for the steps that the extension applied, NULL for those of another tool; and the history that this comes from.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 20
\i :abs_srcdir/fixtures/begin.sql
SET client_min_messages = warning;
\pset null NULL
CREATE VIEW pg_temp.status AS
SELECT step, migration, state, mode, row_count, applied_at BETWEEN now() - interval '1 hour' AND clock_timestamp() AS just_now,
	applied_by = session_user AS by_me
FROM connections_status();
CREATE VIEW pg_temp.history AS
SELECT step, direction, mode, state, row_count, started_at <= finished_at AS in_order, applied_by = session_user AS by_me, sqlstate, message
FROM connections_redesign.history ORDER BY id;

-- no step, one, three, all; then back
TABLE pg_temp.status;
SELECT connections_migrate(1);
TABLE pg_temp.status;
SELECT connections_migrate(3);
TABLE pg_temp.status;
CALL connections_migrate_online(4);
TABLE pg_temp.status;
SELECT connections_rollback(2);
TABLE pg_temp.status;
CALL connections_rollback_online(0);
TABLE pg_temp.status;
TABLE pg_temp.history;

-- a failed atomic run leaves no row, as it leaves nothing else
INSERT INTO connections.connections (id, user_id, provider, type, name) VALUES (md5('id')::uuid, md5('user')::uuid, 'nobody', 'oauth2', 'unmapped');
SELECT connections_migrate(4);
SELECT count(*) FROM pg_temp.history WHERE state <> 'applied';
TABLE pg_temp.status;
DELETE FROM connections.connections WHERE provider = 'nobody';

-- applied by another tool: nothing is known of when and by whom; also where the extension had applied the step once
\i :typeorm/1.up.sql
\i :typeorm/2.up.sql
TABLE pg_temp.status;
SELECT connections_migrate(3);
TABLE pg_temp.status;
SELECT connections_rollback(0);

-- an online run that fails on the way: the step is interrupted, history says why; then it is completed
CREATE FUNCTION pg_temp.no_index() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'no index today';
END
$$;
CREATE EVENT TRIGGER regress_crd_no_index ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION pg_temp.no_index();
CALL connections_migrate_online(2);
TABLE pg_temp.status;
DROP EVENT TRIGGER regress_crd_no_index;
SELECT step, direction, mode, state, sqlstate, message FROM pg_temp.history WHERE state <> 'applied';
CALL connections_migrate_online(2);
TABLE pg_temp.status;

-- without tables every step is pending
BEGIN;
DROP TABLE connections.connections;
SELECT step, state, mode FROM connections_status();
ROLLBACK;
