/*-------------------------------------------------------------------------
 *
 * atomic.c
 *	  The atomic driver: connections_migrate() and connections_rollback(), in
 *	  the caller's transaction.
 *
 * The order is: the migration lock; both tables locked; the schema read again;
 * the checks; the plan; its actions; the record.  Whatever fails, the
 * transaction leaves everything as it was.
 *
 * Locks.  connections is locked before the catalog, as readers that join them
 * and foreign key checks do.  Both are first asked for without queueing, so
 * that nobody stalls behind the migration on a table that is idle now and
 * then; after that, in queued attempts that wait at most
 * connections_redesign.lock_timeout for each relation,
 * connections_redesign.lock_attempts in all.  The plan's own statements, which
 * may need another table that a foreign key names, run under that timeout, too:
 * nothing waits without a limit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#include "connections_redesign.h"
#include "ledger.h"
#include "plan.h"
#include "sql.h"

/*
 * What indexes are made with, at least, in kilobytes: that of the default
 * setting sorts the keys of a million rows on disk
 */
#define MAINTENANCE_WORK_MEM (256 * 1024)

/* Pauses between attempts, in milliseconds: doubled from first to last */
#define FIRST_PAUSE 10
#define LAST_PAUSE 1000

PG_FUNCTION_INFO_V1(connections_migrate);
PG_FUNCTION_INFO_V1(connections_rollback);

static int	migrate_to(int target, bool up);
static bool is_there(const CrdSchema *schema, int target, bool up);
static void check_transaction(const char *function);
static void lock_tables(const CrdSchema *schema);
static bool lock_without_queueing(const CrdSchema *schema);
static bool lock_with_timeout(const CrdSchema *schema);
static void pause_before_retry(int milliseconds);
static const char *blockers(const CrdSchema *schema);
static void execute(const CrdSchema *schema, const List *actions);
static void execute_action(Oid owner, const CrdAction *action);
static ErrorData *explain_error(ErrorData *edata, const CrdAction *action);
static CrdSchema *read_enforced(int target, CrdCheckLevel level);

/*
 * connections_migrate(step) takes the database forward to that version.
 */
Datum
connections_migrate(PG_FUNCTION_ARGS)
{
	int			target = crd_check_step(fcinfo, 0, 1, CRD_LAST_STEP);
	CrdSchema  *schema;

	check_transaction("connections_migrate()");
	schema = read_enforced(target, CRD_CHECK_BASE);
	if (is_there(schema, target, true))
		PG_RETURN_INT32(schema->version);
	PG_RETURN_INT32(migrate_to(target, true));
}

/*
 * connections_rollback(step) takes the database back to that version, or with
 * NULL one step back.
 */
Datum
connections_rollback(PG_FUNCTION_ARGS)
{
	bool		one_step = PG_ARGISNULL(0);
	int			target = one_step ? 0 : crd_check_step(fcinfo, 0, 0, CRD_LAST_STEP - 1);
	CrdSchema  *schema;

	check_transaction("connections_rollback()");
	schema = read_enforced(target, CRD_CHECK_BASE);
	if (one_step)
		target = Max(schema->version - 1, 0);
	if (is_there(schema, target, false))
		PG_RETURN_INT32(schema->version);
	PG_RETURN_INT32(migrate_to(target, false));
}

/* Whether the database is at the target or beyond; a NOTICE says so. */
static bool
is_there(const CrdSchema *schema, int target, bool up)
{
	if (up ? schema->version < target : schema->version > target)
		return false;
	ereport(NOTICE,
			(errmsg("database is at version %d already", schema->version),
			 schema->version == target ? 0 : up ?
			 errhint("connections_rollback(%d) takes it back.", target) :
			 errhint("connections_migrate(%d) takes it forward.", target)));
	return true;
}

/*
 * A rewrite in a transaction whose snapshot is older than what others have
 * committed would lose their rows, and the checks would not see them.
 */
static void
check_transaction(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandDuringRecovery(function);
	if (XactIsoLevel != XACT_READ_COMMITTED)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run at this isolation level", function),
				 errdetail("Its checks must see what others have committed meanwhile."),
				 errhint("Use a READ COMMITTED transaction.")));
}

/* Read the schema, and raise what keeps it from reaching the target. */
static CrdSchema *
read_enforced(int target, CrdCheckLevel level)
{
	CrdSchema  *schema = crd_schema_read();

	crd_checks_enforce(crd_findings(schema, target, true), level);
	return schema;
}

/*
 * Take the database to the target, forward or back, and return the version
 * reached.
 */
static int
migrate_to(int target, bool up)
{
	CrdFindings *findings;
	CrdSchema  *before;
	CrdSchema  *schema;
	CrdPlan    *plan;
	CrdRun		run;
	int			from;
	int			guc_level;
	ListCell   *lc;

	crd_ledger_lock();
	run = crd_ledger_begin_run();
	before = read_enforced(target, CRD_CHECK_SCHEMA);
	lock_tables(before);

	/* others may have changed what was read before the lock */
	schema = read_enforced(target, CRD_CHECK_BASE);
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (schema->relation[table].relid != before->relation[table].relid)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("table %s was replaced by another session",
							schema->relation[table].name),
					 errdetail("That happened while this one waited for its locks."),
					 errhint("Call again.")));
	if (is_there(schema, target, up))
		return schema->version;
	from = schema->version;

	guc_level = NewGUCNestLevel();
	crd_set_local("lock_timeout", psprintf("%d", crd_lock_timeout));
	if (maintenance_work_mem < MAINTENANCE_WORK_MEM)
		crd_set_local("maintenance_work_mem",
					  psprintf("%d", MAINTENANCE_WORK_MEM));
	execute(schema, crd_plan_preface(schema, target));
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		CrdRelation *rel = &schema->relation[table];

		rel->row_security_lifted = rel->row_security_binds;
		rel->row_security_binds = false;
	}
	findings = crd_findings(schema, target, true);
	crd_checks_enforce(findings, CRD_CHECK_DATA);

	plan = crd_plan(findings);
	execute(schema, plan->actions);
	AtEOXact_GUC(false, guc_level);

	/* what was done is what was meant, whatever else is in the database */
	schema = crd_schema_read();
	if (schema->version != target)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the tables would not be at version %d afterwards", target),
				 errdetail_internal("Found %s.", schema->misfit ? schema->misfit :
									psprintf("version %d", schema->version)),
				 errhint("Nothing was changed.  Drop what does not belong to that version, then call again.")));

	if (target > from)
		for (int step = from + 1; step <= target; step++)
			crd_ledger_record(&run, step, true, plan->rows[step]);
	else
		for (int step = from; step > target; step--)
			crd_ledger_record(&run, step, false, plan->rows[step]);

	foreach(lc, plan->warnings)
		ereport(WARNING, (errmsg_internal("%s", (char *) lfirst(lc))));
	if (plan->rewrites)
		ereport(NOTICE,
				(errmsg("table connections.connections was rewritten"),
				 errhint("After the commit, VACUUM connections.connections: its visibility map is empty.")));
	return target;
}

static void
execute(const CrdSchema *schema, const List *actions)
{
	ListCell   *lc;

	foreach(lc, actions)
	{
		CrdAction  *action = lfirst(lc);
		MemoryContext context = CurrentMemoryContext;

		CHECK_FOR_INTERRUPTS();
		PG_TRY();
		{
			execute_action(crd_owner(schema, action->table), action);
		}
		PG_CATCH();
		{
			MemoryContextSwitchTo(context);
			ReThrowError(explain_error(CopyErrorData(), action));
		}
		PG_END_TRY();
	}
}

static void
execute_action(Oid owner, const CrdAction *action)
{
	switch (action->kind)
	{
		case CRD_RUN:
			(void) crd_run(owner, action->statement, 0);
			break;
		case CRD_RUN_AS_REPLICA:
			(void) crd_run_as_replica(owner, action->statement);
			break;
		case CRD_RUN_IN_LEDGER:
			(void) crd_run(crd_extension_owner(), action->statement, 0);
			break;
		case CRD_KEEP_EXCEPTIONS:
			crd_stream(owner, action->statement, crd_keep_exceptions, NULL);
			break;
		case CRD_KEEP_NULL_LABELS:
			crd_stream(owner, action->statement, crd_keep_null_labels, NULL);
			break;
	}
}

/*
 * What the checks cannot foresee, such as rows that an old exclusion constraint
 * or foreign key refuses, or an object that a later server protects, still is
 * an error of the state that the tables are in.
 */
static ErrorData *
explain_error(ErrorData *edata, const CrdAction *action)
{
	int			category = ERRCODE_TO_CATEGORY(edata->sqlerrcode);

	FlushErrorState();
	if (category != ERRCODE_DATA_EXCEPTION &&
		category != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION &&
		edata->sqlerrcode != ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST &&
		edata->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED)
		return edata;
	edata->sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	edata->message = psprintf("step %d cannot be completed: %s", action->step,
							  edata->message);
	edata->hint = pstrdup("Nothing was changed.  Correct what the message names, then call again.");
	return edata;
}

/* Lock both tables ACCESS EXCLUSIVE, or raise 55P03 and name who has them. */
static void
lock_tables(const CrdSchema *schema)
{
	int			pause = FIRST_PAUSE;

	if (lock_without_queueing(schema))
		return;
	for (int attempt = 1; attempt <= crd_lock_attempts; attempt++)
	{
		if (lock_with_timeout(schema))
			return;
		if (attempt < crd_lock_attempts)
			pause_before_retry(pause);
		pause = Min(2 * pause, LAST_PAUSE);
		if (lock_without_queueing(schema))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not lock the tables of the migration in %d attempts of %d ms",
					crd_lock_attempts, crd_lock_timeout),
			 errdetail_internal("%s", blockers(schema)),
			 errhint("Let these transactions end, or raise connections_redesign.lock_attempts; nothing was changed.")));
}

/* All relations to lock, in the one order: connections, its partitions, the catalog. */
static List *
relations_to_lock(const CrdSchema *schema)
{
	List	   *relids = find_all_inheritors(schema->relation[CRD_CONNECTIONS].relid,
											 NoLock, NULL);

	return lappend_oid(relids, schema->relation[CRD_CATALOG].relid);
}

static bool
lock_without_queueing(const CrdSchema *schema)
{
	List	   *relids = relations_to_lock(schema);
	List	   *locked = NIL;
	ListCell   *lc;

	foreach(lc, relids)
	{
		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessExclusiveLock))
		{
			ListCell   *lc2;

			foreach(lc2, locked)
				UnlockRelationOid(lfirst_oid(lc2), AccessExclusiveLock);
			return false;
		}
		locked = lappend_oid(locked, lfirst_oid(lc));
	}
	return true;
}

/*
 * Queue for the locks for at most lock_timeout each.  A subtransaction gives
 * back those that it has got when the next one does not come in time, or when
 * it is the victim of a deadlock.
 */
static bool
lock_with_timeout(const CrdSchema *schema)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	List	   *relids = relations_to_lock(schema);
	volatile bool locked = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		int			guc_level = NewGUCNestLevel();
		ListCell   *lc;

		crd_set_local("lock_timeout", psprintf("%d", crd_lock_timeout));
		foreach(lc, relids)
			LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
		AtEOXact_GUC(false, guc_level);
		ReleaseCurrentSubTransaction();
		locked = true;
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (edata->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
			edata->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED)
			ReThrowError(edata);
		FreeErrorData(edata);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return locked;
}

static void
pause_before_retry(int milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Who has locks on the tables, for an error's DETAIL. */
static const char *
blockers(const CrdSchema *schema)
{
	StringInfoData relids;
	CrdRows    *rows;
	ListCell   *lc;

	initStringInfo(&relids);
	foreach(lc, relations_to_lock(schema))
		appendStringInfo(&relids, "%c%u", relids.len ? ',' : '{', lfirst_oid(lc));
	appendStringInfoChar(&relids, '}');

	/* pg_stat_activity was read before the wait, if at all */
	pgstat_clear_backend_activity_snapshot();
	rows = crd_fetch(CRD_CALLER,
					 "SELECT string_agg(format('Process %s (%s, query started %s ago) holds %s on %s.',"
					 " coalesce(l.pid::text, 'none'),"
					 " CASE WHEN l.pid IS NULL THEN 'prepared transaction' ELSE coalesce(a.state, 'state hidden') END,"
					 " coalesce(date_trunc('second', clock_timestamp() - a.query_start)::text, 'some time'),"
					 " l.mode, l.relation::regclass), E'\\n' ORDER BY l.pid, l.relation::regclass::text, l.mode)"
					 " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
					 " WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY ($1::oid[])"
					 " AND l.pid IS DISTINCT FROM pg_backend_pid()", 1, relids.data);
	return rows->row[0][0] ? rows->row[0][0] : "Those who held the locks are gone now.";
}
