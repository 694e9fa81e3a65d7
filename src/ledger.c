/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  History and status, and the lock that lets one migration run at a time.
 *
 * The ledger never overrides the schema: what connections_status() calls
 * applied is what the schema says; the ledger adds who and when, where the
 * latest that it knows of the step fits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"

#include "ledger.h"
#include "sql.h"

/*
 * The migration lock.  SQL's advisory locks have 1 or 2 in the fourth field,
 * so nobody can take this one by accident or out of malice.
 */
#define LOCK_KEY 0x63726472		/* "crdr" */
#define LOCK_CLASS 3

PG_FUNCTION_INFO_V1(connections_status);
PG_FUNCTION_INFO_V1(connections_pause);
PG_FUNCTION_INFO_V1(connections_resume);
PG_FUNCTION_INFO_V1(crd_lock_holder);

static void take_lock(bool for_session);
static const char *lock_holder(void);
static void record_end(const char *run_id, const char *state,
					   const ErrorData *error);
static bool is_running(void);

void
crd_ledger_lock(void)
{
	take_lock(false);
}

void
crd_ledger_hold(void)
{
	take_lock(true);
}

void
crd_ledger_release(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, LOCK_KEY, LOCK_CLASS);
	(void) LockRelease(&tag, ExclusiveLock, true);
}

static void
take_lock(bool for_session)
{
	LOCKTAG		tag;
	const char *holder;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, LOCK_KEY, LOCK_CLASS);
	if (LockAcquire(&tag, ExclusiveLock, for_session, true) != LOCKACQUIRE_NOT_AVAIL)
		return;
	holder = lock_holder();
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("another migration of this database is in progress"),
			 holder ? errdetail("Process %s is running it.", holder) : 0,
			 errhint("Wait for it to end, and look at connections_status().")));
}

/* The pid of the session that holds the migration lock, or NULL. */
static const char *
lock_holder(void)
{
	CrdRows    *rows;

	rows = crd_fetch(CRD_CALLER,
					 "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
					 " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
					 " AND classid = 0 AND objid = $1::int8 AND objsubid = $2::int2", 2,
					 psprintf("%d", LOCK_KEY), psprintf("%d", LOCK_CLASS));
	return rows->nrows ? rows->row[0][0] : NULL;
}

/*
 * connections_redesign.lock_holder() is the pid of the session that has the
 * migration lock, for the progress view.
 */
Datum
crd_lock_holder(PG_FUNCTION_ARGS)
{
	const char *holder = lock_holder();

	if (holder == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32(pg_strtoint32(holder));
}

CrdRun
crd_ledger_begin_run(const char *mode)
{
	CrdRows    *rows = crd_fetch(crd_extension_owner(),
								 "SELECT nextval('connections_redesign.run_id'), clock_timestamp()", 0);
	CrdRun		run;

	run.id = rows->row[0][0];
	run.started_at = rows->row[0][1];
	run.mode = mode;

	record_end(NULL, "interrupted", NULL);
	crd_run(crd_extension_owner(), "DELETE FROM connections_redesign.paused", 0);
	return run;
}

/*
 * Record in the history that an online run ended where it is, and leave its step
 * to whoever comes next: the run with that id by an error, or (NULL) one that
 * ended without a word, as it has left its pid behind.
 */
static void
record_end(const char *run_id, const char *state, const ErrorData *error)
{
	Oid			owner = crd_extension_owner();

	crd_run(owner,
			"INSERT INTO connections_redesign.ledger"
			" (run_id, step, migration, direction, mode, state, row_count, started_at, finished_at, applied_by, sqlstate, message)"
			" SELECT run_id, step, migration, direction, 'online', $2, rows_done, started_at,"
			"  CASE WHEN $1 IS NULL THEN updated_at ELSE clock_timestamp() END, applied_by,"
			"  $3, coalesce($4, 'ended without a word in phase ' || phase)"
			" FROM connections_redesign.online_run WHERE CASE WHEN $1 IS NULL THEN pid <> 0 ELSE run_id = $1::int8 END", 4,
			run_id, state, error ? unpack_sql_state(error->sqlerrcode) : NULL,
			error ? error->message : NULL);
	crd_run(owner, "UPDATE connections_redesign.online_run SET pid = 0, waiting_for = NULL, worker_pid = NULL", 0);
}

void
crd_ledger_record(const CrdRun *run, int step, bool up, int64 rows)
{
	crd_run(crd_extension_owner(),
			"INSERT INTO connections_redesign.ledger"
			" (run_id, step, migration, direction, mode, state, row_count, started_at, finished_at, applied_by)"
			" VALUES ($1::int8, $2::int4, $3, $4, $8, 'applied', $5::int8, $6::timestamptz, clock_timestamp(), $7)", 8,
			run->id, psprintf("%d", step), crd_steps[step].name, up ? "up" : "down",
			psprintf(INT64_FORMAT, rows), run->started_at,
			GetUserNameFromId(GetSessionUserId(), false), run->mode);
}


/* The step that an online run is at */

void
crd_ledger_enter(const CrdRun *run, const CrdPhase *phase)
{
	Oid			owner = crd_extension_owner();

	/* another step, or the same one the other way */
	crd_run(owner,
			"DELETE FROM connections_redesign.online_run WHERE step <> $1::int4 OR direction <> $2", 2,
			psprintf("%d", phase->step), phase->up ? "up" : "down");
	crd_run(owner,
			"INSERT INTO connections_redesign.online_run (run_id, pid, step, migration, direction, started_at, applied_by)"
			" SELECT $1::int8, $2::int4, $3::int4, $4, $5, clock_timestamp(), $6"
			" WHERE NOT EXISTS (SELECT FROM connections_redesign.online_run)", 6,
			run->id, psprintf("%d", MyProcPid), psprintf("%d", phase->step),
			crd_steps[phase->step].name, phase->up ? "up" : "down",
			GetUserNameFromId(GetSessionUserId(), false));
	crd_run(owner,
			"UPDATE connections_redesign.online_run SET run_id = $1::int8, pid = $2::int4,"
			" started_at = CASE WHEN run_id = $1::int8 THEN started_at ELSE clock_timestamp() END, applied_by = $3,"
			" phase = $4, phase_started_at = clock_timestamp(), updated_at = clock_timestamp(),"
			" rows_done = CASE WHEN phase = $4 THEN rows_done ELSE 0 END, hot_rows = CASE WHEN phase = $4 THEN hot_rows ELSE 0 END,"
			" rows_before = CASE WHEN phase = $4 THEN rows_done ELSE 0 END, waiting_for = NULL, worker_pid = NULL,"
			" blocks_before = NULL, blocks_done = NULL, blocks_total = NULL", 4,
			run->id, psprintf("%d", MyProcPid),
			GetUserNameFromId(GetSessionUserId(), false), phase->name);
}

CrdWalk *
crd_ledger_walk(const CrdSchema *schema, CrdFill fill)
{
	CrdRows    *rows;
	CrdWalk    *walk;

	rows = crd_fetch(crd_extension_owner(),
					 "SELECT relation, filenode, block FROM connections_redesign.online_run"
					 " WHERE relation IS NOT NULL AND system_identifier = $1::int8", 1,
					 psprintf(INT64_FORMAT, (int64) GetSystemIdentifier()));
	if (rows->nrows > 0)
		walk = crd_walk_open(schema, fill, atooid(rows->row[0][0]), atooid(rows->row[0][1]),
							 (BlockNumber) pg_strtoint64(rows->row[0][2]));
	else
		walk = crd_walk_open(schema, fill, InvalidOid, InvalidOid, 0);
	return walk;
}

bool
crd_ledger_checkpoint(const CrdWalk *walk, const char *slow)
{
	CrdRows    *rows;
	const char *done = psprintf(INT64_FORMAT, crd_walk_blocks_done(walk));

	rows = crd_fetch(crd_extension_owner(),
					 "UPDATE connections_redesign.online_run SET relation = $1::oid, filenode = $2::oid, block = $3::int8,"
					 " system_identifier = $8::int8,"
					 " blocks_before = coalesce(blocks_before, $4::int8), blocks_done = $4::int8, blocks_total = greatest($5::int8, $4::int8),"
					 " rows_done = rows_done + $6::int8, hot_rows = hot_rows + $7::int8, updated_at = clock_timestamp(), waiting_for = $9"
					 " RETURNING run_id IN (SELECT run_id FROM connections_redesign.paused)", 9,
					 walk->finished ? NULL : psprintf("%u", list_nth_oid(walk->leaves, walk->leaf)),
					 psprintf("%u", walk->filenode), psprintf("%u", walk->window), done,
					 psprintf(INT64_FORMAT, walk->blocks_total),
					 psprintf(INT64_FORMAT, walk->rows),
					 walk->columns ? NULL : psprintf(INT64_FORMAT, walk->hot_rows),
					 psprintf(INT64_FORMAT, (int64) GetSystemIdentifier()), slow);
	return rows->nrows > 0 && crd_is_true(rows->row[0][0]);
}

void
crd_ledger_walked(int64 rows, const char *triggers)
{
	crd_run(crd_extension_owner(),
			"UPDATE connections_redesign.online_run SET walked = true, triggers = $2::oid[], row_count = $1::int8,"
			" relation = NULL, filenode = NULL, block = NULL, updated_at = clock_timestamp()", 2,
			psprintf(INT64_FORMAT, rows), triggers);
}

void
crd_ledger_waiting(const char *what, int worker_pid)
{
	crd_run(crd_extension_owner(),
			"UPDATE connections_redesign.online_run SET waiting_for = $1, worker_pid = nullif($2::int4, 0), updated_at = clock_timestamp()", 2,
			what, psprintf("%d", worker_pid));
}

bool
crd_ledger_paused(void)
{
	return crd_fetch(crd_extension_owner(),
					 "SELECT FROM connections_redesign.paused JOIN connections_redesign.online_run USING (run_id)", 0)->nrows > 0;
}

const char *
crd_ledger_progress(void)
{
	CrdRows    *rows = crd_fetch(crd_extension_owner(),
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
crd_ledger_finish(const CrdRun *run, const CrdPhase *phase)
{
	CrdRows    *rows = crd_fetch(crd_extension_owner(),
								 "DELETE FROM connections_redesign.online_run RETURNING coalesce(row_count, nullif(rows_done, 0), $1::int8)", 1,
								 psprintf(INT64_FORMAT, phase->rows));

	crd_ledger_record(run, phase->step, phase->up != phase->undoes,
					  rows->nrows > 0 ? pg_strtoint64(rows->row[0][0]) : 0);
}

void
crd_ledger_forget(void)
{
	crd_run(crd_extension_owner(), "DELETE FROM connections_redesign.online_run", 0);
}

void
crd_ledger_fail(const CrdRun *run, const ErrorData *error)
{
	record_end(run->id, error->sqlerrcode == ERRCODE_QUERY_CANCELED ? "cancelled" : "failed",
			   error);
	crd_run(crd_extension_owner(), "DELETE FROM connections_redesign.paused", 0);
}

/* Whether there is an online run in flight. */
static bool
is_running(void)
{
	return crd_fetch(crd_extension_owner(), "SELECT FROM connections_redesign.progress", 0)->nrows > 0;
}

/*
 * connections_pause() and connections_resume(): whether there is a run.
 */
Datum
connections_pause(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("connections_pause()");
	PreventCommandDuringRecovery("connections_pause()");
	(void) crd_run(crd_extension_owner(),
				   "INSERT INTO connections_redesign.paused SELECT run_id FROM connections_redesign.progress ON CONFLICT DO NOTHING", 0);
	PG_RETURN_BOOL(is_running());
}

Datum
connections_resume(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("connections_resume()");
	PreventCommandDuringRecovery("connections_resume()");
	(void) crd_run(crd_extension_owner(), "DELETE FROM connections_redesign.paused", 0);
	PG_RETURN_BOOL(is_running());
}

/*
 * connections_status() returns a row for each step: the state as the schema
 * says, and of applied ones what the ledger knows.
 */
Datum
connections_status(PG_FUNCTION_ARGS)
{
	CrdSet	   *set = crd_set_open(fcinfo);
	CrdSchema  *schema = crd_schema_read();
	const char *holder = lock_holder();
	bool		running = holder && atoi(holder) != MyProcPid;
	CrdRows    *known;

	known = crd_fetch(crd_extension_owner(),
					  "SELECT s.step, l.mode, l.row_count, l.finished_at, l.applied_by"
					  " FROM generate_series(1, $1::int4) s(step)"
					  " LEFT JOIN LATERAL (SELECT * FROM connections_redesign.ledger l"
					  "  WHERE l.step = s.step AND l.state = 'applied' ORDER BY l.id DESC LIMIT 1) l"
					  "  ON l.direction = 'up'"
					  " ORDER BY 1", 1, psprintf("%d", CRD_LAST_STEP));
	for (int step = 1; step <= CRD_LAST_STEP; step++)
	{
		const char *const *row = known->row[step - 1];
		bool		unfinished = step == schema->unfinished_step;
		bool		applied = step <= schema->highest_whole && !unfinished;
		const char *state = unfinished ? (holder ? "running" : "interrupted") :
		applied ? "applied" :
		running && !schema->unfinished_step && step == schema->highest_whole + 1 ? "running" : "pending";
		const char *values[] = {
			row[0], crd_steps[step].name, state,
			applied ? row[1] : NULL, applied ? row[2] : NULL,
			applied ? row[3] : NULL, applied ? row[4] : NULL
		};

		crd_set_put(set, values);
	}
	return (Datum) 0;
}
