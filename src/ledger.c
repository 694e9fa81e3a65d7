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

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"

#include "ledger.h"
#include "plan.h"
#include "schema.h"
#include "sql.h"

/*
 * The migration lock.  SQL's advisory locks have 1 or 2 in the fourth field,
 * so nobody can take this one by accident or out of malice.
 */
#define LOCK_KEY 0x63726472		/* "crdr" */
#define LOCK_CLASS 3

PG_FUNCTION_INFO_V1(connections_status);

static const char *lock_holder(void);

void
crd_ledger_lock(void)
{
	LOCKTAG		tag;
	const char *holder;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, LOCK_KEY, LOCK_CLASS);
	if (LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
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

CrdRun
crd_ledger_begin_run(void)
{
	CrdRows    *rows = crd_fetch(crd_extension_owner(),
								 "SELECT nextval('connections_redesign.run_id'), clock_timestamp()", 0);
	CrdRun		run;

	run.id = rows->row[0][0];
	run.started_at = rows->row[0][1];
	return run;
}

void
crd_ledger_record(const CrdRun *run, int step, bool up, int64 rows)
{
	crd_run(crd_extension_owner(),
			"INSERT INTO connections_redesign.ledger"
			" (run_id, step, migration, direction, mode, state, row_count, started_at, finished_at, applied_by)"
			" VALUES ($1::int8, $2::int4, $3, $4, 'atomic', 'applied', $5::int8, $6::timestamptz, clock_timestamp(), $7)", 7,
			run->id, psprintf("%d", step), crd_steps[step].name, up ? "up" : "down",
			psprintf(INT64_FORMAT, rows), run->started_at,
			GetUserNameFromId(GetSessionUserId(), false));
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
		bool		applied = step <= schema->highest_whole;
		const char *state = applied ? "applied" :
		running && step == schema->highest_whole + 1 ? "running" : "pending";
		const char *values[] = {
			row[0], crd_steps[step].name, state,
			applied ? row[1] : NULL, applied ? row[2] : NULL,
			applied ? row[3] : NULL, applied ? row[4] : NULL
		};

		crd_set_put(set, values);
	}
	return (Datum) 0;
}
