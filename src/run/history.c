/*-------------------------------------------------------------------------
 *
 * history.c
 *	  The migration lock, the history, and connections_status().
 *
 * The history never overrides the schema: connections_status() calls a step
 * applied if the schema says so, and adds who applied it and when, if the last
 * entry for the step in the history is an application of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"

#include "run/history.h"
#include "base/sql_exec.h"

/*
 * The migration lock.  SQL's advisory locks have 1 or 2 in the fourth field,
 * so nobody can take this one by accident or out of malice.
 */
#define LOCK_KEY 0x63726472		/* "crdr" */
#define LOCK_CLASS 3

PG_FUNCTION_INFO_V1(connections_status);
PG_FUNCTION_INFO_V1(crd_migration_lock_pid);

static void take_lock(bool for_session);
static const char *migration_lock_pid(void);

void
crd_migration_lock_xact(void)
{
	take_lock(false);
}

void
crd_migration_lock_session(void)
{
	take_lock(true);
}

void
crd_migration_lock_release(void)
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
	holder = migration_lock_pid();
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("another migration of this database is in progress"),
			 holder ? errdetail("Process %s is running it.", holder) : 0,
			 errhint("Wait for it to end, and look at connections_status().")));
}

/* The pid of the session that holds the migration lock, or NULL. */
static const char *
migration_lock_pid(void)
{
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
					 " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
					 " AND classid = 0 AND objid = $1::int8 AND objsubid = $2::int2", 2,
					 psprintf("%d", LOCK_KEY), psprintf("%d", LOCK_CLASS));
	return rows->nrows ? rows->row[0][0] : NULL;
}

/*
 * connections_redesign.migration_lock_pid() is the pid of the session that has the
 * migration lock, for the progress view.
 */
Datum
crd_migration_lock_pid(PG_FUNCTION_ARGS)
{
	const char *holder = migration_lock_pid();

	if (holder == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32(pg_strtoint32(holder));
}

void
crd_history_record(const CrdRun *run, int step, CrdDirection direction, int64 rows)
{
	crd_exec(crd_extension_owner(),
			 "INSERT INTO connections_redesign.run_step"
			 " (run_id, step, migration, direction, mode, state, row_count, started_at, finished_at, applied_by)"
			 " VALUES ($1::int8, $2::int4, $3, $4, $8, 'applied', $5::int8, $6::timestamptz, clock_timestamp(), $7)", 8,
			 run->id, psprintf("%d", step), crd_steps[step].name, crd_direction_names[direction],
			 psprintf(INT64_FORMAT, rows), run->started_at,
			 GetUserNameFromId(GetSessionUserId(), false), run->mode);
}


/*
 * connections_status() returns a row for each step: the state as the schema
 * says, and for applied steps the last entry of the history.
 */
Datum
connections_status(PG_FUNCTION_ARGS)
{
	CrdResultSet *set = crd_srf_open(fcinfo);
	CrdSchema  *schema = crd_schema_read();
	const char *holder = migration_lock_pid();
	bool		running = holder && atoi(holder) != MyProcPid;
	CrdResult  *known;

	known = crd_query(crd_extension_owner(),
					  "SELECT s.step, l.mode, l.row_count, l.finished_at, l.applied_by"
					  " FROM generate_series(1, $1::int4) s(step)"
					  " LEFT JOIN LATERAL (SELECT * FROM connections_redesign.run_step l"
					  "  WHERE l.step = s.step AND l.state = 'applied' ORDER BY l.id DESC LIMIT 1) l"
					  "  ON l.direction = 'up'"
					  " ORDER BY 1", 1, psprintf("%d", CRD_LAST_STEP));
	for (int step = 1; step <= CRD_LAST_STEP; step++)
	{
		const char *const *row = known->row[step - 1];
		bool		unfinished = step == schema->partial_step;
		bool		applied = step <= schema->last_complete_step && !unfinished;
		const char *state = unfinished ? (holder ? "running" : "interrupted") :
		applied ? "applied" :
		running && !schema->partial_step && step == schema->last_complete_step + 1 ? "running" : "pending";
		const char *values[] = {
			row[0], crd_steps[step].name, state,
			applied ? row[1] : NULL, applied ? row[2] : NULL,
			applied ? row[3] : NULL, applied ? row[4] : NULL
		};

		crd_srf_put_row(set, values);
	}
	return (Datum) 0;
}
