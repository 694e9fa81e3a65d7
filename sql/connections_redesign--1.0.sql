/* sql/connections_redesign--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION connections_redesign" to load this file. \quit

--
-- The extension's own schema.  Everything in it belongs to the extension's
-- owner; no other role can write or read the history and the saved state.
--

CREATE SCHEMA connections_redesign;
COMMENT ON SCHEMA connections_redesign IS 'history, saved state and helper functions of the extension connections_redesign';

-- Migrations run as the owner of the tables, and use the helper functions.
GRANT USAGE ON SCHEMA connections_redesign TO PUBLIC;

CREATE SEQUENCE connections_redesign.run_id_seq;
COMMENT ON SEQUENCE connections_redesign.run_id_seq IS 'numbers the calls that migrate or roll back';

CREATE TABLE connections_redesign.run_step (
	id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	run_id pg_catalog.int8 NOT NULL,
	step pg_catalog.int4 NOT NULL,
	migration pg_catalog.text NOT NULL,
	direction pg_catalog.text NOT NULL CHECK (direction OPERATOR(pg_catalog.=) ANY (ARRAY['up', 'down'])),
	mode pg_catalog.text NOT NULL CHECK (mode OPERATOR(pg_catalog.=) ANY (ARRAY['atomic', 'online'])),
	state pg_catalog.text NOT NULL CHECK (state OPERATOR(pg_catalog.=) ANY (ARRAY['applied', 'failed', 'canceled', 'interrupted'])),
	row_count pg_catalog.int8,
	started_at pg_catalog.timestamptz NOT NULL,
	finished_at pg_catalog.timestamptz,
	applied_by pg_catalog.text NOT NULL,
	sqlstate pg_catalog.text,
	message pg_catalog.text
);
COMMENT ON TABLE connections_redesign.run_step IS 'one row for each step of each run, append only; read it as connections_redesign.history';

CREATE TABLE connections_redesign.online_run (
	run_id pg_catalog.int8 PRIMARY KEY,
	pid pg_catalog.int4 NOT NULL,
	step pg_catalog.int4 NOT NULL,
	migration pg_catalog.text NOT NULL,
	direction pg_catalog.text NOT NULL CHECK (direction OPERATOR(pg_catalog.=) ANY (ARRAY['up', 'down'])),
	started_at pg_catalog.timestamptz NOT NULL,
	applied_by pg_catalog.text NOT NULL,
	phase pg_catalog.text,
	phase_started_at pg_catalog.timestamptz,
	updated_at pg_catalog.timestamptz,
	backfill_verified pg_catalog.bool NOT NULL DEFAULT false,
	verified_triggers pg_catalog.oid[],
	backfill_relid pg_catalog.oid,
	filenode pg_catalog.oid,
	system_identifier pg_catalog.int8,
	backfill_block pg_catalog.int8,
	blocks_done pg_catalog.int8,
	blocks_at_start pg_catalog.int8,
	blocks_total pg_catalog.int8,
	rows_done pg_catalog.int8 NOT NULL DEFAULT 0,
	rows_at_phase_start pg_catalog.int8 NOT NULL DEFAULT 0,
	hot_rows pg_catalog.int8 DEFAULT 0,
	row_count pg_catalog.int8,
	waiting_for pg_catalog.text,
	worker_pid pg_catalog.int4
);
CREATE UNIQUE INDEX online_run_singleton ON connections_redesign.online_run ((true));
COMMENT ON TABLE connections_redesign.online_run IS 'the step, phase and backfill position of the online run that is running or interrupted; at most one row';

CREATE TABLE connections_redesign.pause_request (
	run_id pg_catalog.int8 PRIMARY KEY
);
COMMENT ON TABLE connections_redesign.pause_request IS 'the online run that connections_pause() pauses';

--
-- The saved state, which a rollback needs
--

CREATE TABLE connections_redesign.saved_column (
	step pg_catalog.int4 NOT NULL,
	direction pg_catalog.text NOT NULL CHECK (direction OPERATOR(pg_catalog.=) ANY (ARRAY['up', 'down'])),
	name pg_catalog.text NOT NULL,
	type pg_catalog.text NOT NULL,
	not_null pg_catalog.bool NOT NULL,
	not_null_conname pg_catalog.text,
	PRIMARY KEY (step, name)
);
COMMENT ON TABLE connections_redesign.saved_column IS 'the columns that a step dropped or renamed on its way up or down: type with modifier and collation, and NOT NULL, with the name of its constraint from PostgreSQL 18 on';

CREATE TABLE connections_redesign.saved_ddl (
	step pg_catalog.int4 NOT NULL,
	direction pg_catalog.text NOT NULL CHECK (direction OPERATOR(pg_catalog.=) ANY (ARRAY['up', 'down'])),
	seq pg_catalog.int4 NOT NULL,
	kind pg_catalog.text NOT NULL CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY['column property', 'index', 'unique index', 'check',
		'foreign key', 'unique', 'exclude', 'not null', 'statistics', 'property'])),
	relation pg_catalog.text NOT NULL,
	schema pg_catalog.text,
	name pg_catalog.text,
	definition pg_catalog.text NOT NULL,
	index_definition pg_catalog.text,
	deferral pg_catalog.text,
	validated pg_catalog.bool NOT NULL,
	has_expressions pg_catalog.bool NOT NULL,
	columns pg_catalog.text[],
	needs pg_catalog.jsonb,
	grantor pg_catalog.text,
	grantee pg_catalog.text,
	keys pg_catalog.text[],
	condition pg_catalog.text,
	nulls_distinct pg_catalog.bool NOT NULL,
	created pg_catalog.bool NOT NULL DEFAULT false,
	PRIMARY KEY (step, seq)
);
COMMENT ON TABLE connections_redesign.saved_ddl IS 'the objects that were dropped together with columns, and their properties, in the order in which they can be restored';
COMMENT ON COLUMN connections_redesign.saved_ddl.name IS 'the object''s name, not quoted; null for a property';
COMMENT ON COLUMN connections_redesign.saved_ddl.definition IS 'of an index or a constraint, the part behind the name; of anything else, the whole statement';
COMMENT ON COLUMN connections_redesign.saved_ddl.needs IS 'the objects that it depends on, outside of the table, as an array of pg_identify_object_as_address() results: type, names, args';
COMMENT ON COLUMN connections_redesign.saved_ddl.keys IS 'key expressions that must be unique';
COMMENT ON COLUMN connections_redesign.saved_ddl.condition IS 'condition that each row must meet, or the predicate of a unique index';
COMMENT ON COLUMN connections_redesign.saved_ddl.created IS 'the object was restored online, and remains to be validated or, of an index, to become a constraint';

CREATE TABLE connections_redesign.saved_index (
	name pg_catalog.text PRIMARY KEY
);
COMMENT ON TABLE connections_redesign.saved_index IS 'the index on available_connection_id that existed before step 3, which the rollback of step 3 keeps';

CREATE TABLE connections_redesign.saved_entry (
	id pg_catalog.text PRIMARY KEY,
	slug pg_catalog.text NOT NULL,
	display_name pg_catalog.text,
	auth_type pg_catalog.text
);
COMMENT ON TABLE connections_redesign.saved_entry IS 'the entries when step 1 was undone';

CREATE TABLE connections_redesign.saved_entry_type (
	available_connection_id pg_catalog.text PRIMARY KEY,
	type pg_catalog.text
);
COMMENT ON TABLE connections_redesign.saved_entry_type IS 'the type that most connections of each entry had when step 4 was applied';

CREATE TABLE connections_redesign.saved_connection_type (
	key pg_catalog.text COLLATE pg_catalog."C" PRIMARY KEY,
	available_connection_id pg_catalog.text NOT NULL,
	type pg_catalog.text
);
COMMENT ON TABLE connections_redesign.saved_connection_type IS 'the type of each connection that differs from the type of its entry, by primary key';

CREATE TABLE connections_redesign.saved_null_label (
	key pg_catalog.text COLLATE pg_catalog."C" PRIMARY KEY
);
COMMENT ON TABLE connections_redesign.saved_null_label IS 'the connections whose label was NULL when step 4 was undone, by primary key';

CREATE TABLE connections_redesign.saved_key_expression (
	expression pg_catalog.text PRIMARY KEY
);
COMMENT ON TABLE connections_redesign.saved_key_expression IS 'the primary key of connections, by which connection types and NULL labels are saved';

-- A restored database knows what was done, and can be rolled back.
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.run_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.run_step', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.run_step_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.online_run', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.pause_request', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.saved_column', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.saved_ddl', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.saved_index', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.saved_entry', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.saved_entry_type', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.saved_connection_type', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.saved_null_label', '');
SELECT pg_catalog.pg_extension_config_dump('connections_redesign.saved_key_expression', '');

--
-- Helper functions of the views and of the statements that connections_plan() prints
--

CREATE FUNCTION connections_redesign.migration_lock_pid() RETURNS pg_catalog.int4
AS 'MODULE_PATHNAME', 'crd_migration_lock_pid'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_redesign.migration_lock_pid() IS 'the pid of the session that is migrating or rolling back, or NULL';

CREATE FUNCTION connections_redesign.sync_to_new() RETURNS trigger
AS 'MODULE_PATHNAME', 'crd_sync_to_new'
LANGUAGE C;
COMMENT ON FUNCTION connections_redesign.sync_to_new() IS 'trigger that fills available_connection_id from provider and config; the mapping is in its arguments';

CREATE FUNCTION connections_redesign.sync_to_legacy() RETURNS trigger
AS 'MODULE_PATHNAME', 'crd_sync_to_legacy'
LANGUAGE C;
COMMENT ON FUNCTION connections_redesign.sync_to_legacy() IS 'trigger that fills provider, type and config''s capability while step 4 is undone online, and makes a NULL label empty';

CREATE FUNCTION connections_redesign.save_type() RETURNS trigger
AS 'MODULE_PATHNAME', 'crd_save_type'
LANGUAGE C;
COMMENT ON FUNCTION connections_redesign.save_type() IS 'trigger that saves the type of rows written while step 4 is applied online, if it differs from the type of the entry';

CREATE FUNCTION connections_redesign.config_capability(config pg_catalog.json) RETURNS pg_catalog.text
AS 'MODULE_PATHNAME', 'crd_config_capability'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION connections_redesign.config_capability(pg_catalog.json) IS 'config ->> ''capability'', NULL where text cannot hold it';

CREATE FUNCTION connections_redesign.config_capability_is_null(config pg_catalog.json) RETURNS pg_catalog.bool
AS 'MODULE_PATHNAME', 'crd_config_capability_is_null'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION connections_redesign.config_capability_is_null(pg_catalog.json) IS 'whether the key capability exists and is JSON null';

CREATE FUNCTION connections_redesign.set_config_capability(config pg_catalog.json, capability pg_catalog.text) RETURNS pg_catalog.json
AS 'MODULE_PATHNAME', 'crd_set_config_capability'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION connections_redesign.set_config_capability(pg_catalog.json, pg_catalog.text) IS 'the object with the key capability set and every other byte unchanged; error 22023 if config is not an object';

CREATE FUNCTION connections_redesign.saved_type(key pg_catalog.text, available_connection_id pg_catalog.text, otherwise pg_catalog.text) RETURNS pg_catalog.text
AS 'MODULE_PATHNAME', 'crd_saved_type'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_redesign.saved_type(pg_catalog.text, pg_catalog.text, pg_catalog.text) IS 'the type that a connection had when step 4 was applied, else the last argument; error 42501 if not the owner of connections';

CREATE FUNCTION connections_redesign.saved_label_was_null(key pg_catalog.text) RETURNS pg_catalog.bool
AS 'MODULE_PATHNAME', 'crd_saved_label_was_null'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_redesign.saved_label_was_null(pg_catalog.text) IS 'whether a connection''s label was NULL when step 4 was undone; error 42501 if not the owner of connections';

CREATE FUNCTION connections_redesign.sample_keys_accum(state pg_catalog.text[], key pg_catalog.text) RETURNS pg_catalog.text[]
AS 'MODULE_PATHNAME', 'crd_sample_keys_accum'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION connections_redesign.sample_keys_accum(pg_catalog.text[], pg_catalog.text) IS 'transition function of sample_keys';

CREATE FUNCTION connections_redesign.sample_keys_combine(a pg_catalog.text[], b pg_catalog.text[]) RETURNS pg_catalog.text[]
AS 'MODULE_PATHNAME', 'crd_sample_keys_combine'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION connections_redesign.sample_keys_combine(pg_catalog.text[], pg_catalog.text[]) IS 'combine function of sample_keys';

CREATE AGGREGATE connections_redesign.sample_keys(pg_catalog.text) (
	SFUNC = connections_redesign.sample_keys_accum,
	STYPE = pg_catalog.text[],
	COMBINEFUNC = connections_redesign.sample_keys_combine,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE connections_redesign.sample_keys(pg_catalog.text) IS 'the three least keys, for reports';

-- The owner of the tables, which can be any role, runs these.
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA connections_redesign TO PUBLIC;

--
-- Functions and procedures for users, in the schema of CREATE EXTENSION
--

CREATE FUNCTION connections_registry()
RETURNS TABLE (slug pg_catalog.text, provider pg_catalog.text, capability pg_catalog.text, auth_type pg_catalog.text,
	display_name pg_catalog.text, icon pg_catalog.text, cover pg_catalog.text, description pg_catalog.text)
AS 'MODULE_PATHNAME', 'connections_registry'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION connections_registry() IS 'the built-in entries, by slug';

CREATE FUNCTION connections_precheck(step pg_catalog.int4 DEFAULT 4)
RETURNS TABLE (check_name pg_catalog.text, status pg_catalog.text, found pg_catalog.text, expected pg_catalog.text, hint pg_catalog.text)
AS 'MODULE_PATHNAME', 'connections_precheck'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_precheck(pg_catalog.int4) IS 'whether the database can be taken to that version, forward or back: at least a row for each check, status ok, warning or error; only reads, also on a standby; errors 22004, 22023';

CREATE FUNCTION connections_plan(step pg_catalog.int4 DEFAULT 4, online pg_catalog.bool DEFAULT false)
RETURNS TABLE (step pg_catalog.int4, seq pg_catalog.int4, statement pg_catalog.text, lock_mode pg_catalog.text, purpose pg_catalog.text)
AS 'MODULE_PATHNAME', 'connections_plan'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_plan(pg_catalog.int4, pg_catalog.bool) IS 'the statements that take the database to that version, forward or back, in the order of seq; no rows if the database is at that version; errors 22004, 22023, 42P01, 42501, 55000';

CREATE FUNCTION connections_status()
RETURNS TABLE (step pg_catalog.int4, migration pg_catalog.text, state pg_catalog.text, mode pg_catalog.text, row_count pg_catalog.int8,
	applied_at pg_catalog.timestamptz, applied_by pg_catalog.text)
AS 'MODULE_PATHNAME', 'connections_status'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_status() IS 'the state of each step: applied, pending, running or interrupted; applied_at and applied_by are NULL for a step that another tool applied';

CREATE FUNCTION connections_migrate(step pg_catalog.int4) RETURNS pg_catalog.int4
AS 'MODULE_PATHNAME', 'connections_migrate'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_migrate(pg_catalog.int4) IS 'takes the database forward to that version in the caller''s transaction, and returns the version reached; errors 22004, 22023, 25001, 25006, 42P01, 42501, 55000, 55006, 55P03';

CREATE FUNCTION connections_rollback(step pg_catalog.int4 DEFAULT NULL) RETURNS pg_catalog.int4
AS 'MODULE_PATHNAME', 'connections_rollback'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_rollback(pg_catalog.int4) IS 'takes the database back to that version, or with NULL one step, in the caller''s transaction, and returns the version reached; errors 22023, 25001, 25006, 42P01, 42501, 55000, 55006, 55P03';

CREATE FUNCTION connections_rehearse(step pg_catalog.int4)
RETURNS TABLE (step pg_catalog.int4, migration pg_catalog.text, row_count pg_catalog.int8, duration pg_catalog.interval, wal_bytes pg_catalog.int8)
AS 'MODULE_PATHNAME', 'connections_rehearse'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_rehearse(pg_catalog.int4) IS 'takes the database forward to that version in the caller''s transaction and undoes it: for each step, taken by itself, the rows that it goes through, how long it took, and the bytes of WAL that this session wrote; other sessions cannot use the tables until it returns; no rows if the database is at that version; errors 22004, 22023, 25001, 25006, 42P01, 42501, 55000, 55006, 55P03';

CREATE PROCEDURE connections_migrate_online(step pg_catalog.int4)
AS 'MODULE_PATHNAME', 'connections_migrate_online'
LANGUAGE C;
COMMENT ON PROCEDURE connections_migrate_online(pg_catalog.int4) IS 'takes the database forward to that version while the application keeps writing; commits as it goes, and continues where an earlier call stopped; errors 22004, 22023, 25001, 25006, 42P01, 42501, 53000, 55000, 55006, 55P03';

CREATE PROCEDURE connections_rollback_online(step pg_catalog.int4 DEFAULT NULL)
AS 'MODULE_PATHNAME', 'connections_rollback_online'
LANGUAGE C;
COMMENT ON PROCEDURE connections_rollback_online(pg_catalog.int4) IS 'takes the database back to that version, or with NULL one step, or undoes a partial step, while the application keeps writing; commits as it goes; errors 22023, 25001, 25006, 42P01, 42501, 53000, 55000, 55006, 55P03';

CREATE FUNCTION connections_pause() RETURNS pg_catalog.bool
AS 'MODULE_PATHNAME', 'connections_pause'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_pause() IS 'stops the online run between two of its transactions, until connections_resume(); true if there is a run; error 25006';

CREATE FUNCTION connections_resume() RETURNS pg_catalog.bool
AS 'MODULE_PATHNAME', 'connections_resume'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_resume() IS 'lets the online run go on; true if there is a run; error 25006';

CREATE FUNCTION connections_seed_catalog(overrides pg_catalog.jsonb DEFAULT NULL)
RETURNS TABLE (slug pg_catalog.text, action pg_catalog.text)
AS 'MODULE_PATHNAME', 'connections_seed_catalog'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_seed_catalog(pg_catalog.jsonb) IS 'writes display_name, icon, cover and description of the registry to available_connections, by slug: inserted, updated or unchanged; overrides is an array of objects with a slug and any of these; errors 22023, 25006, 42P01, 42501, 55000';

CREATE FUNCTION connections_available()
RETURNS TABLE (id pg_catalog.text, slug pg_catalog.text, display_name pg_catalog.text, auth_type pg_catalog.text,
	icon pg_catalog.text, cover pg_catalog.text, description pg_catalog.text)
AS 'MODULE_PATHNAME', 'connections_available'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_available() IS 'the entries by slug, as the application shows them; errors 42P01, 42501, 55000';

CREATE FUNCTION connections_verify()
RETURNS TABLE (check_name pg_catalog.text, status pg_catalog.text, found pg_catalog.text, expected pg_catalog.text, hint pg_catalog.text)
AS 'MODULE_PATHNAME', 'connections_verify'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION connections_verify() IS 'whether the database is completely at its version, as a report like that of connections_precheck()';

-- Don't want these to be available to public.
REVOKE ALL ON FUNCTION connections_migrate(pg_catalog.int4) FROM PUBLIC;
REVOKE ALL ON FUNCTION connections_rollback(pg_catalog.int4) FROM PUBLIC;
REVOKE ALL ON FUNCTION connections_rehearse(pg_catalog.int4) FROM PUBLIC;
REVOKE ALL ON PROCEDURE connections_migrate_online(pg_catalog.int4) FROM PUBLIC;
REVOKE ALL ON PROCEDURE connections_rollback_online(pg_catalog.int4) FROM PUBLIC;
REVOKE ALL ON FUNCTION connections_pause() FROM PUBLIC;
REVOKE ALL ON FUNCTION connections_resume() FROM PUBLIC;
REVOKE ALL ON FUNCTION connections_seed_catalog(pg_catalog.jsonb) FROM PUBLIC;

CREATE VIEW connections_redesign.history AS
SELECT id, run_id, step, migration, direction, mode, state, row_count,
	started_at, finished_at, applied_by, sqlstate, message
FROM connections_redesign.run_step;
COMMENT ON VIEW connections_redesign.history IS 'the steps that were applied or undone, in the order of id; a failed atomic run leaves no row';
GRANT SELECT ON connections_redesign.history TO PUBLIC;

-- A session that waits cannot write, so the view looks up its blockers.  It must use nothing from the schema of CREATE EXTENSION, where
-- another role may have created operators; NULLIF, too, looks up an = operator.
CREATE VIEW connections_redesign.progress AS
SELECT r.run_id, r.pid, r.step, r.migration, r.direction, r.phase, r.blocks_done, r.blocks_total, r.rows_done,
	pg_catalog.round((r.rows OPERATOR(pg_catalog./) nullif(r.seconds, 0::pg_catalog.float8))::pg_catalog.numeric, 1) AS rows_per_second,
	pg_catalog.round(r.hot_rows::pg_catalog.numeric OPERATOR(pg_catalog./) nullif(r.rows_done, 0::pg_catalog.int8), 3) AS hot_share,
	pg_catalog.make_interval(secs => pg_catalog.ceil(r.seconds OPERATOR(pg_catalog.*) (r.blocks_total OPERATOR(pg_catalog.-) r.blocks_done)
		OPERATOR(pg_catalog./) nullif(r.blocks, 0::pg_catalog.float8))) AS eta,
	coalesce(r.waiting_for, CASE WHEN pg_catalog.cardinality(r.blockers) OPERATOR(pg_catalog.>) 0 THEN 'a lock' END) AS waiting_for,
	CASE WHEN pg_catalog.cardinality(r.blockers) OPERATOR(pg_catalog.>) 0 THEN r.blockers END AS waiting_on,
	CASE WHEN r.share OPERATOR(pg_catalog.>=) 0 THEN
		pg_catalog.format('[%s] %s %%', pg_catalog.rpad(pg_catalog.repeat('#', pg_catalog.floor(30 OPERATOR(pg_catalog.*) r.share)::pg_catalog.int4), 30, '.'),
			pg_catalog.floor(100 OPERATOR(pg_catalog.*) r.share))
	END AS bar,
	r.started_at, r.updated_at
FROM (
	SELECT o.run_id, o.pid, o.step, o.migration, o.direction, o.phase, o.rows_done, o.hot_rows, o.waiting_for, o.started_at, o.updated_at,
		b.done AS blocks_done, b.total AS blocks_total,
		o.rows_done OPERATOR(pg_catalog.-) o.rows_at_phase_start AS rows,
		(b.done OPERATOR(pg_catalog.-) b.before)::pg_catalog.float8 AS blocks,
		CASE WHEN b.total OPERATOR(pg_catalog.>) 0 THEN least(b.done::pg_catalog.float8 OPERATOR(pg_catalog./) b.total, 1) END AS share,
		extract(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) o.phase_started_at)::pg_catalog.float8 AS seconds,
		pg_catalog.pg_blocking_pids(o.pid) OPERATOR(pg_catalog.||) coalesce(pg_catalog.pg_blocking_pids(o.worker_pid), '{}') AS blockers
	FROM connections_redesign.online_run o
	LEFT JOIN pg_catalog.pg_stat_progress_create_index i ON i.pid OPERATOR(pg_catalog.=) o.worker_pid
	LEFT JOIN pg_catalog.pg_stat_progress_vacuum v ON v.pid OPERATOR(pg_catalog.=) o.worker_pid
	CROSS JOIN LATERAL (
		SELECT coalesce(i.blocks_done, v.heap_blks_scanned, o.blocks_done) AS done,
			coalesce(i.blocks_total, v.heap_blks_total, o.blocks_total) AS total,
			coalesce(o.blocks_at_start, 0) AS before
	) b
	WHERE o.pid OPERATOR(pg_catalog.=) connections_redesign.migration_lock_pid()
) r;
COMMENT ON VIEW connections_redesign.progress IS 'the online run in progress: its position and speed, and the event and sessions that it waits for; rows_per_second, eta and bar are of the phase; no row without a run';
GRANT SELECT ON connections_redesign.progress TO PUBLIC;
