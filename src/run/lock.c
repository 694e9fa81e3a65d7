/*-------------------------------------------------------------------------
 *
 * lock.c
 *	  Locks that nobody stalls behind.  See lock.h.
 *
 * Whoever queues for a strong lock makes everybody wait who comes after.  So a
 * table that is idle now and then is locked in such a moment, without queueing;
 * only after that fails do we queue, for at most lock_timeout for each relation,
 * and step back in between.
 *
 * In a queued attempt our own deadlock check runs early: in a deadlock we are
 * the victim, not the application, and an autovacuum in the way is canceled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_inherits.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

#include "connections_redesign.h"
#include "run/lock.h"
#include "base/sql_exec.h"

/* Pauses between attempts, in milliseconds: doubled from first to last */
#define FIRST_PAUSE 10
#define LAST_PAUSE 1000

/* One relation to lock */
typedef struct RelationLock
{
	Oid			relid;
	LOCKMODE	mode;
} RelationLock;

static List *relations_to_lock(const CrdSchema *schema, const CrdLocks *locks);
static bool lock_without_queueing(const List *wanted);
static bool lock_with_timeout(List *wanted);
static void lock_all(void *arg);

void
crd_lock(const CrdSchema *schema, const CrdLocks *locks)
{
	if (lock_without_queueing(relations_to_lock(schema, locks)))
		return;
	for (int attempt = 1; attempt <= crd_lock_attempts; attempt++)
	{
		if (lock_with_timeout(relations_to_lock(schema, locks)))
			return;
		if (attempt < crd_lock_attempts)
			crd_sleep(crd_backoff(attempt));
		if (lock_without_queueing(relations_to_lock(schema, locks)))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not lock the tables of the migration in %d attempts of %d ms",
					crd_lock_attempts, crd_lock_timeout),
			 errdetail_internal("%s", crd_lock_holders(schema, locks)),
			 errhint("Let these transactions end, or raise connections_redesign.lock_attempts; then call again.")));
}

void
crd_sleep(int milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

int
crd_backoff(int attempt)
{
	return Min(FIRST_PAUSE << Min(attempt - 1, 10), LAST_PAUSE);
}

void
crd_limit_lock_waits(void)
{
	crd_set_guc_local("lock_timeout", psprintf("%d", crd_lock_timeout));
	crd_set_guc_local("deadlock_timeout",
					  psprintf("%d", Max(Min(DeadlockTimeout, crd_lock_timeout / 2), 1)));
}

bool
crd_is_lock_failure(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

/* List of RelationLock, in order: connections, its partitions, available_connections. */
static List *
relations_to_lock(const CrdSchema *schema, const CrdLocks *locks)
{
	List	   *wanted = NIL;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		ListCell   *lc;

		if (locks->mode[table] == NoLock)
			continue;
		foreach(lc, find_all_inheritors(schema->relation[table].relid, NoLock, NULL))
		{
			RelationLock *one = palloc(sizeof(RelationLock));

			one->relid = lfirst_oid(lc);
			one->mode = locks->mode[table];
			wanted = lappend(wanted, one);
		}
	}
	return wanted;
}

static bool
lock_without_queueing(const List *wanted)
{
	ListCell   *lc;

	foreach(lc, wanted)
	{
		RelationLock *one = lfirst(lc);

		if (!ConditionalLockRelationOid(one->relid, one->mode))
		{
			for (int i = 0; i < foreach_current_index(lc); i++)
			{
				RelationLock *had = list_nth(wanted, i);

				UnlockRelationOid(had->relid, had->mode);
			}
			return false;
		}
	}
	return true;
}

/*
 * Queue for the locks.  The subtransaction releases those that were granted when
 * another one times out, or when this session is the victim of a deadlock.
 */
static bool
lock_with_timeout(List *wanted)
{
	ErrorData  *error = crd_in_subxact(lock_all, wanted);

	if (error == NULL)
		return true;
	if (!crd_is_lock_failure(error))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

static void
lock_all(void *arg)
{
	int			guc_level = NewGUCNestLevel();
	ListCell   *lc;

	crd_limit_lock_waits();
	foreach(lc, (List *) arg)
	{
		RelationLock *one = lfirst(lc);

		LockRelationOid(one->relid, one->mode);
	}
	AtEOXact_GUC(false, guc_level);
}

const char *
crd_lock_holders(const CrdSchema *schema, const CrdLocks *locks)
{
	StringInfoData relids;
	StringInfoData modes;
	CrdResult  *rows;
	ListCell   *lc;

	/* each relation with each mode that conflicts */
	initStringInfo(&relids);
	initStringInfo(&modes);
	foreach(lc, relations_to_lock(schema, locks))
	{
		RelationLock *one = lfirst(lc);

		for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
			if (DoLockModesConflict(mode, one->mode))
			{
				appendStringInfo(&relids, "%c%u", relids.len ? ',' : '{', one->relid);
				appendStringInfo(&modes, "%c%s", modes.len ? ',' : '{',
								 GetLockmodeName(DEFAULT_LOCKMETHOD, mode));
			}
	}
	appendStringInfoChar(&relids, '}');
	appendStringInfoChar(&modes, '}');

	/* pg_stat_activity was read before the wait, if at all */
	pgstat_clear_backend_activity_snapshot();
	rows = crd_query(CRD_CALLER,
					 "SELECT string_agg(format('Process %s (%s, query started %s ago) holds %s on %s.',"
					 " coalesce(l.pid::text, 'none'),"
					 " CASE WHEN l.pid IS NULL THEN 'prepared transaction' ELSE coalesce(a.state, a.backend_type, 'state hidden') END,"
					 " coalesce(date_trunc('second', clock_timestamp() - a.query_start)::text, 'some time'),"
					 " l.mode, l.relation::regclass), E'\\n' ORDER BY l.pid, l.relation::regclass::text, l.mode)"
					 " FROM unnest($1::oid[], $2::text[]) w(relation, mode)"
					 " JOIN pg_locks l ON l.locktype = 'relation' AND l.granted AND l.relation = w.relation AND l.mode = w.mode"
					 " LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
					 " WHERE l.pid IS DISTINCT FROM pg_backend_pid()", 2, relids.data, modes.data);
	return rows->row[0][0] ? rows->row[0][0] : "The conflicting locks have been released in the meantime.";
}

const char *
crd_oldest_snapshot(void)
{
	CrdResult  *rows = crd_query(CRD_CALLER,
								 "SELECT who FROM ("
								 " SELECT format('process %s', pid) AS who, greatest(age(backend_xmin), age(backend_xid)) AS age"
								 "  FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
								 " UNION ALL SELECT format('prepared transaction %L', gid), age(transaction) FROM pg_prepared_xacts"
								 " UNION ALL SELECT format('replication slot %I', slot_name), age(xmin) FROM pg_replication_slots"
								 " UNION ALL SELECT format('standby %s', application_name), age(backend_xmin) FROM pg_stat_replication) s"
								 " WHERE age IS NOT NULL ORDER BY age DESC, who LIMIT 1", 0);

	return rows->nrows > 0 ? rows->row[0][0] : NULL;
}
