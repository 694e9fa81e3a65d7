/*-------------------------------------------------------------------------
 *
 * run_state.c
 *	  The state of the online run.  See run_state.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/sql_exec.h"
#include "run/run_state.h"

PG_FUNCTION_INFO_V1(connections_pause);
PG_FUNCTION_INFO_V1(connections_resume);

static void record_end(const char *run_id, const char *state,
					   const ErrorData *error);
static bool is_running(void);

CrdRun
crd_run_begin(const char *mode)
{
	CrdResult  *rows = crd_query(crd_extension_owner(),
								 "SELECT nextval('connections_redesign.run_id_seq'), clock_timestamp()", 0);
	CrdRun		run;

	run.id = rows->row[0][0];
	run.started_at = rows->row[0][1];
	run.mode = mode;

	record_end(NULL, "interrupted", NULL);
	crd_exec(crd_extension_owner(), "DELETE FROM connections_redesign.pause_request", 0);
	return run;
}

/*
 * Record in the history that an online run has ended within a step: the run with
 * that id, by an error, or (NULL) an earlier run that has left its pid behind.
 */
static void
record_end(const char *run_id, const char *state, const ErrorData *error)
{
	Oid			owner = crd_extension_owner();

	crd_exec(owner,
			 "INSERT INTO connections_redesign.run_step"
			 " (run_id, step, migration, direction, mode, state, row_count, started_at, finished_at, applied_by, sqlstate, message)"
			 " SELECT run_id, step, migration, direction, 'online', $2, rows_done, started_at,"
			 "  CASE WHEN $1 IS NULL THEN updated_at ELSE clock_timestamp() END, applied_by,"
			 "  $3, coalesce($4, 'ended unexpectedly in phase ' || phase)"
			 " FROM connections_redesign.online_run WHERE CASE WHEN $1 IS NULL THEN pid <> 0 ELSE run_id = $1::int8 END", 4,
			 run_id, state, error ? unpack_sql_state(error->sqlerrcode) : NULL,
			 error ? error->message : NULL);
	crd_exec(owner, "UPDATE connections_redesign.online_run SET pid = 0, waiting_for = NULL, worker_pid = NULL", 0);
}

void
crd_run_enter_phase(const CrdRun *run, const CrdPhase *phase)
{
	Oid			owner = crd_extension_owner();

	/* another step, or the same one the other way */
	crd_exec(owner,
			 "DELETE FROM connections_redesign.online_run WHERE step <> $1::int4 OR direction <> $2", 2,
			 psprintf("%d", phase->step), crd_direction_names[phase->direction]);
	crd_exec(owner,
			 "INSERT INTO connections_redesign.online_run (run_id, pid, step, migration, direction, started_at, applied_by)"
			 " SELECT $1::int8, $2::int4, $3::int4, $4, $5, clock_timestamp(), $6"
			 " WHERE NOT EXISTS (SELECT FROM connections_redesign.online_run)", 6,
			 run->id, psprintf("%d", MyProcPid), psprintf("%d", phase->step),
			 crd_steps[phase->step].name, crd_direction_names[phase->direction],
			 GetUserNameFromId(GetSessionUserId(), false));
	crd_exec(owner,
			 "UPDATE connections_redesign.online_run SET run_id = $1::int8, pid = $2::int4,"
			 " started_at = CASE WHEN run_id = $1::int8 THEN started_at ELSE clock_timestamp() END, applied_by = $3,"
			 " phase = $4, phase_started_at = clock_timestamp(), updated_at = clock_timestamp(),"
			 " rows_done = CASE WHEN phase = $4 THEN rows_done ELSE 0 END, hot_rows = CASE WHEN phase = $4 THEN hot_rows ELSE 0 END,"
			 " rows_at_phase_start = CASE WHEN phase = $4 THEN rows_done ELSE 0 END, waiting_for = NULL, worker_pid = NULL,"
			 " blocks_at_start = NULL, blocks_done = NULL, blocks_total = NULL", 4,
			 run->id, psprintf("%d", MyProcPid),
			 GetUserNameFromId(GetSessionUserId(), false), phase->name);
}

CrdBackfill *
crd_run_open_backfill(const CrdSchema *schema, CrdRowFix fix)
{
	CrdResult  *rows;
	CrdBackfill *backfill;

	rows = crd_query(crd_extension_owner(),
					 "SELECT backfill_relid, filenode, backfill_block FROM connections_redesign.online_run"
					 " WHERE backfill_relid IS NOT NULL AND system_identifier = $1::int8", 1,
					 psprintf(INT64_FORMAT, (int64) GetSystemIdentifier()));
	if (rows->nrows > 0)
		backfill = crd_backfill_open(schema, fix, atooid(rows->row[0][0]), atooid(rows->row[0][1]),
									 (BlockNumber) pg_strtoint64(rows->row[0][2]));
	else
		backfill = crd_backfill_open(schema, fix, InvalidOid, InvalidOid, 0);
	return backfill;
}

bool
crd_run_checkpoint(const CrdBackfill *backfill, const char *slow)
{
	CrdResult  *rows;
	const char *done = psprintf(INT64_FORMAT, crd_backfill_blocks_done(backfill));

	rows = crd_query(crd_extension_owner(),
					 "UPDATE connections_redesign.online_run SET backfill_relid = $1::oid, filenode = $2::oid, backfill_block = $3::int8,"
					 " system_identifier = $8::int8,"
					 " blocks_at_start = coalesce(blocks_at_start, $4::int8), blocks_done = $4::int8, blocks_total = greatest($5::int8, $4::int8),"
					 " rows_done = rows_done + $6::int8, hot_rows = hot_rows + $7::int8, updated_at = clock_timestamp(), waiting_for = $9"
					 " RETURNING run_id IN (SELECT run_id FROM connections_redesign.pause_request)", 9,
					 backfill->finished ? NULL : psprintf("%u", list_nth_oid(backfill->partitions, backfill->partition)),
					 psprintf("%u", backfill->filenode), psprintf("%u", backfill->window), done,
					 psprintf(INT64_FORMAT, backfill->blocks_total),
					 psprintf(INT64_FORMAT, backfill->rows),
					 backfill->columns ? NULL : psprintf(INT64_FORMAT, backfill->hot_rows),
					 psprintf(INT64_FORMAT, (int64) GetSystemIdentifier()), slow);
	return rows->nrows > 0 && crd_is_true(rows->row[0][0]);
}

void
crd_run_mark_verified(int64 rows, const char *triggers)
{
	crd_exec(crd_extension_owner(),
			 "UPDATE connections_redesign.online_run SET backfill_verified = true, verified_triggers = $2::oid[], row_count = $1::int8,"
			 " backfill_relid = NULL, filenode = NULL, backfill_block = NULL, updated_at = clock_timestamp()", 2,
			 psprintf(INT64_FORMAT, rows), triggers);
}

void
crd_run_set_wait(const char *what, int worker_pid)
{
	crd_exec(crd_extension_owner(),
			 "UPDATE connections_redesign.online_run SET waiting_for = $1, worker_pid = nullif($2::int4, 0), updated_at = clock_timestamp()", 2,
			 what, psprintf("%d", worker_pid));
}

bool
crd_run_paused(void)
{
	return crd_query(crd_extension_owner(),
					 "SELECT FROM connections_redesign.pause_request JOIN connections_redesign.online_run USING (run_id)", 0)->nrows > 0;
}

const char *
crd_run_progress(void)
{
	CrdResult  *rows = crd_query(crd_extension_owner(),
								 "SELECT concat_ws(', ', format('step %s, %s', step, phase), bar,"
								 " CASE WHEN rows_done > 0 THEN format('%s rows', rows_done) END,"
								 " CASE WHEN rows_per_second > 0 THEN format('%s rows per second', rows_per_second) END,"
								 " CASE WHEN hot_share IS NOT NULL THEN format('%s %% HOT', round(100 * hot_share)) END,"
								 " CASE WHEN eta IS NOT NULL THEN format('%s to go', eta) END,"
								 " CASE WHEN waiting_for IS NOT NULL THEN 'waiting for ' || waiting_for END,"
								 " CASE WHEN waiting_on IS NOT NULL THEN 'on process ' || array_to_string(waiting_on, ', ') END)"
								 " FROM connections_redesign.progress", 0);

	return rows->nrows > 0 ? rows->row[0][0] : NULL;
}

void
crd_run_finish(const CrdRun *run, const CrdPhase *phase)
{
	CrdResult  *rows = crd_query(crd_extension_owner(),
								 "DELETE FROM connections_redesign.online_run RETURNING coalesce(row_count, nullif(rows_done, 0), $1::int8)", 1,
								 psprintf(INT64_FORMAT, phase->rows));

	crd_history_record(run, phase->step, (phase->direction == CRD_UP) != phase->undoes ? CRD_UP : CRD_DOWN,
					   rows->nrows > 0 ? pg_strtoint64(rows->row[0][0]) : 0);
}

void
crd_run_clear(void)
{
	crd_exec(crd_extension_owner(), "DELETE FROM connections_redesign.online_run", 0);
}

void
crd_run_record_failure(const CrdRun *run, const ErrorData *error)
{
	record_end(run->id, error->sqlerrcode == ERRCODE_QUERY_CANCELED ? "canceled" : "failed",
			   error);
	crd_exec(crd_extension_owner(), "DELETE FROM connections_redesign.pause_request", 0);
}

/* Whether there is an online run in flight. */
static bool
is_running(void)
{
	return crd_query(crd_extension_owner(), "SELECT FROM connections_redesign.progress", 0)->nrows > 0;
}

/*
 * connections_pause() and connections_resume(): whether there is a run.
 */
Datum
connections_pause(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("connections_pause()");
	PreventCommandDuringRecovery("connections_pause()");
	(void) crd_exec(crd_extension_owner(),
					"INSERT INTO connections_redesign.pause_request SELECT run_id FROM connections_redesign.progress ON CONFLICT DO NOTHING", 0);
	PG_RETURN_BOOL(is_running());
}

Datum
connections_resume(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("connections_resume()");
	PreventCommandDuringRecovery("connections_resume()");
	(void) crd_exec(crd_extension_owner(), "DELETE FROM connections_redesign.pause_request", 0);
	PG_RETURN_BOOL(is_running());
}
