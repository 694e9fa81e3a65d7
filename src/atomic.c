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
 * The locks are taken as lock.h says; the plan's own statements, which may need
 * another table that a foreign key names, run under the same timeout: nothing
 * waits without a limit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "atomic.h"
#include "connections_redesign.h"
#include "ledger.h"
#include "lock.h"
#include "plan.h"
#include "sql.h"

static const char nothing_changed[] = "Nothing was changed.";

static const CrdLocks both_tables = {{AccessExclusiveLock, AccessExclusiveLock}};

PG_FUNCTION_INFO_V1(connections_migrate);
PG_FUNCTION_INFO_V1(connections_rollback);

static int	migrate_to(int target, bool up);
static void execute_action(const CrdSchema *schema, const CrdAction *action);
static ErrorData *explain_error(ErrorData *edata, const CrdAction *action,
								const char *consequence);
static CrdSchema *read_enforced(int target, CrdCheckLevel level);

/*
 * connections_migrate(step) takes the database forward to that version.
 */
Datum
connections_migrate(PG_FUNCTION_ARGS)
{
	int			target = crd_check_step(fcinfo, 0, 1, CRD_LAST_STEP);
	CrdSchema  *schema;

	crd_check_transaction("connections_migrate()");
	schema = read_enforced(target, CRD_CHECK_BASE);
	if (crd_is_there(schema, target, true))
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

	crd_check_transaction("connections_rollback()");
	schema = read_enforced(target, CRD_CHECK_BASE);
	if (one_step)
		target = crd_one_step_back(schema);
	if (crd_is_there(schema, target, false))
		PG_RETURN_INT32(schema->version);
	PG_RETURN_INT32(migrate_to(target, false));
}

bool
crd_is_there(const CrdSchema *schema, int target, bool up)
{
	if (up ? schema->version < target : schema->version > target)
		return false;

	/* a half-done step is settled, unless it leads beyond the target */
	if (schema->unfinished_step && schema->version == target &&
		!(up && schema->unfinished_up && schema->unfinished_step > target))
		return false;
	ereport(NOTICE,
			(errmsg("database is at version %d already", schema->version),
			 schema->version == target ? 0 : up ?
			 errhint("connections_rollback(%d) takes it back.", target) :
			 errhint("connections_migrate(%d) takes it forward.", target)));
	return true;
}

int
crd_one_step_back(const CrdSchema *schema)
{
	return schema->unfinished_step ? schema->unfinished_step - 1 : Max(schema->version - 1, 0);
}

/*
 * A rewrite in a transaction whose snapshot is older than what others have
 * committed would lose their rows, and the checks would not see them.
 */
void
crd_check_transaction(const char *function)
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
	run = crd_ledger_begin_run("atomic");
	before = read_enforced(target, CRD_CHECK_SCHEMA);
	crd_lock(before, &both_tables, crd_pause);

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
	if (crd_is_there(schema, target, up))
		return schema->version;
	from = schema->version;

	guc_level = NewGUCNestLevel();
	crd_limit_lock_waits();
	if (maintenance_work_mem < CRD_MAINTENANCE_WORK_MEM)
		crd_set_local("maintenance_work_mem",
					  psprintf("%d", CRD_MAINTENANCE_WORK_MEM));
	crd_execute(schema, crd_plan_preface(schema, target), nothing_changed);
	before = schema;
	if (before->unfinished_step)
	{
		int			step = before->unfinished_step;
		bool		applied = before->unfinished_up == crd_to_be_finished(before);

		findings = crd_findings(before, target, true);
		crd_schema_read_catalog(before);
		crd_execute(before, crd_plan_settle(findings), nothing_changed);
		crd_ledger_record(&run, step, applied, 0);
		schema = crd_schema_read();
	}
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		schema->relation[table].row_security_lifted = before->relation[table].row_security_binds;
		schema->relation[table].row_security_binds = false;
	}
	findings = crd_findings(schema, target, true);
	crd_checks_enforce(findings, CRD_CHECK_DATA);

	plan = crd_plan(findings);
	crd_execute(schema, plan->actions, nothing_changed);
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

void
crd_execute(const CrdSchema *schema, const List *actions, const char *consequence)
{
	ListCell   *lc;

	foreach(lc, actions)
	{
		CrdAction  *action = lfirst(lc);
		MemoryContext context = CurrentMemoryContext;

		CHECK_FOR_INTERRUPTS();
		PG_TRY();
		{
			execute_action(schema, action);
		}
		PG_CATCH();
		{
			MemoryContextSwitchTo(context);
			ReThrowError(explain_error(CopyErrorData(), action, consequence));
		}
		PG_END_TRY();
	}
}

static void
execute_action(const CrdSchema *schema, const CrdAction *action)
{
	Oid			owner = action->role ? get_role_oid(action->role, false) :
	crd_owner(schema, action->table);

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
		case CRD_FILL_ROWS:
		case CRD_WALK_EXCEPTIONS:
		case CRD_PROVE:
		case CRD_RUN_IN_WORKER:
			elog(ERROR, "action needs transactions of its own: %s", action->statement);
	}
}

/*
 * What the checks cannot foresee, such as rows that an old exclusion constraint
 * or foreign key refuses, or an object that a later server protects, still is
 * an error of the state that the tables are in.
 */
static ErrorData *
explain_error(ErrorData *edata, const CrdAction *action, const char *consequence)
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
	edata->hint = psprintf("%s  Correct what the message names, then call again.", consequence);
	return edata;
}
