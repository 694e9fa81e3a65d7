/*-------------------------------------------------------------------------
 *
 * atomic.c
 *	  The atomic driver: connections_migrate(), connections_rollback() and
 *	  connections_rehearse(), in the caller's transaction.
 *
 * The order is: the migration lock; both tables locked; the schema read again;
 * the checks; the plan; its actions; the record.  Whatever fails, the
 * transaction leaves everything as it was; so does a rehearsal that succeeds.
 *
 * The locks are taken as lock.h says; the plan's own statements, which may need
 * another table that a foreign key names, run under the same timeout: nothing
 * waits without a limit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/instrument.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "atomic.h"
#include "connections_redesign.h"
#include "gate.h"
#include "ledger.h"
#include "lock.h"
#include "plan.h"
#include "sql.h"

static const char nothing_changed[] = "Nothing was changed.";

/* How many statements of a plan this call has come to, for the gates */
static int	nstatements;

static const CrdLocks both_tables = {{AccessExclusiveLock, AccessExclusiveLock}};

/* What connections_rehearse() finds out of a step */
typedef struct Rehearsed
{
	int			step;
	int64		rows;
	instr_time	duration;		/* until its end: when it began ... */
	uint64		wal_bytes;		/* ... and what had been written before */
} Rehearsed;

/* What rehearse() is told and what it tells */
typedef struct Rehearsal
{
	int			target;
	int			nsteps;
	Rehearsed	steps[CRD_LAST_STEP];
} Rehearsal;

PG_FUNCTION_INFO_V1(connections_migrate);
PG_FUNCTION_INFO_V1(connections_rollback);
PG_FUNCTION_INFO_V1(connections_rehearse);

static int	migrate_to(int target, bool up);
static void rehearse(void *arg);
static void start_step(Rehearsal *rehearsal);
static void end_step(Rehearsal *rehearsal, int number, int64 rows);
static CrdSchema *lock_tables(int target);
static int	set_limits(void);
static int	settle(const CrdRun *run, CrdSchema *schema, int target);
static CrdFindings *check_rows(const CrdSchema *before, int target);
static CrdPlan *take_steps(const CrdRun *run, CrdFindings *findings);
static void execute(const CrdSchema *schema, const List *actions);
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
	CrdRun		run;
	CrdSchema  *schema;
	CrdPlan    *plan;
	int			guc_level;

	nstatements = 0;
	crd_ledger_lock();
	run = crd_ledger_begin_run("atomic");
	schema = lock_tables(target);
	if (crd_is_there(schema, target, up))
		return schema->version;

	guc_level = set_limits();
	(void) settle(&run, schema, target);
	plan = take_steps(&run, check_rows(schema, target));
	AtEOXact_GUC(false, guc_level);
	if (plan->rewrites)
		ereport(NOTICE,
				(errmsg("table connections.connections was rewritten"),
				 errhint("After the commit, VACUUM connections.connections: its visibility map is empty.")));
	crd_gate("", "end");
	return target;
}

/*
 * connections_rehearse(step) takes the database forward to that version, undoes
 * it, and returns what each step took.
 */
Datum
connections_rehearse(PG_FUNCTION_ARGS)
{
	Rehearsal	rehearsal = {.target = crd_check_step(fcinfo, 0, 1, CRD_LAST_STEP)};
	CrdSet	   *set;
	ErrorData  *error;

	crd_check_transaction("connections_rehearse()");
	set = crd_set_open(fcinfo);
	if (crd_is_there(read_enforced(rehearsal.target, CRD_CHECK_BASE), rehearsal.target, true))
		return (Datum) 0;

	error = crd_try_and_undo(rehearse, &rehearsal);
	if (error)
		ReThrowError(error);
	for (int i = 0; i < rehearsal.nsteps; i++)
	{
		const Rehearsed *step = &rehearsal.steps[i];
		const char *values[] = {
			psprintf("%d", step->step), crd_steps[step->step].name,
			psprintf(INT64_FORMAT, step->rows),
			psprintf(INT64_FORMAT " microseconds", (int64) INSTR_TIME_GET_MICROSEC(step->duration)),
			psprintf(UINT64_FORMAT, step->wal_bytes)
		};

		crd_set_put(set, values);
	}
	return (Datum) 0;
}

/*
 * What connections_rehearse() undoes.  The errors are those of one migration to
 * the target, so that is what is checked first; then each step is taken by
 * itself, or steps that share a rewrite could not be told apart.
 */
static void
rehearse(void *arg)
{
	Rehearsal  *rehearsal = arg;
	CrdRun		run;
	CrdSchema  *schema;
	int			settled;
	int			guc_level;

	nstatements = 0;
	crd_ledger_lock();
	run = crd_ledger_begin_run("atomic");
	schema = lock_tables(rehearsal->target);
	if (crd_is_there(schema, rehearsal->target, true))
		return;

	guc_level = set_limits();
	start_step(rehearsal);
	settled = settle(&run, schema, rehearsal->target);
	if (settled)
		end_step(rehearsal, settled, 0);
	(void) check_rows(schema, rehearsal->target);
	for (int step = schema->version + 1; step <= rehearsal->target; step++)
	{
		start_step(rehearsal);
		schema = crd_schema_read();
		(void) settle(&run, schema, step);
		end_step(rehearsal, step, take_steps(&run, check_rows(schema, step))->rows[step]);
	}
	AtEOXact_GUC(false, guc_level);
}

/*
 * The WAL is what this session has written (and its parallel workers, when they
 * have ended): the distance in the log would count what others write meanwhile.
 */
static void
start_step(Rehearsal *rehearsal)
{
	Rehearsed  *step = &rehearsal->steps[rehearsal->nsteps];

	step->wal_bytes = pgWalUsage.wal_bytes;
	INSTR_TIME_SET_CURRENT(step->duration);
}

static void
end_step(Rehearsal *rehearsal, int number, int64 rows)
{
	Rehearsed  *step = &rehearsal->steps[rehearsal->nsteps++];
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, step->duration);
	step->duration = now;
	step->wal_bytes = pgWalUsage.wal_bytes - step->wal_bytes;
	step->step = number;
	step->rows = rows;
}

/*
 * Lock both tables, and read the schema again, which others may have changed
 * meanwhile.
 */
static CrdSchema *
lock_tables(int target)
{
	CrdSchema  *before = read_enforced(target, CRD_CHECK_SCHEMA);
	CrdSchema  *schema;

	crd_lock(before, &both_tables);
	schema = read_enforced(target, CRD_CHECK_BASE);
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (schema->relation[table].relid != before->relation[table].relid)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("table %s was replaced by another session",
							schema->relation[table].name),
					 errdetail("That happened while this one waited for its locks."),
					 errhint("Call again.")));
	return schema;
}

/* Set what a plan is run with, and return the GUC nest level that ends it. */
static int
set_limits(void)
{
	int			guc_level = NewGUCNestLevel();

	crd_limit_lock_waits();
	if (maintenance_work_mem < CRD_MAINTENANCE_WORK_MEM)
		crd_set_local("maintenance_work_mem",
					  psprintf("%d", CRD_MAINTENANCE_WORK_MEM));
	return guc_level;
}

/*
 * Bring the tables to the version that they are at, whole, with every row to be
 * seen by their owner.  Returns the step, or 0, that this has applied.
 */
static int
settle(const CrdRun *run, CrdSchema *schema, int target)
{
	int			step = schema->unfinished_step;
	bool		applied = schema->unfinished_up == crd_to_be_finished(schema);

	execute(schema, crd_plan_preface(schema, target));
	if (step == 0)
		return 0;
	crd_schema_read_catalog(schema);
	execute(schema, crd_plan_settle(crd_findings(schema, target, true)));
	crd_ledger_record(run, step, applied, 0);
	return applied ? step : 0;
}

/* Raise what is wrong with the rows of tables that have been settled. */
static CrdFindings *
check_rows(const CrdSchema *before, int target)
{
	CrdSchema  *schema = crd_schema_read();
	CrdFindings *findings;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		schema->relation[table].row_security_lifted = before->relation[table].row_security_binds;
	findings = crd_findings(schema, target, true);
	crd_checks_enforce(findings, CRD_CHECK_DATA);
	return findings;
}

/* Take the steps to the target, and record them. */
static CrdPlan *
take_steps(const CrdRun *run, CrdFindings *findings)
{
	int			from = findings->schema->version;
	int			target = findings->target;
	CrdPlan    *plan = crd_plan(findings);
	CrdSchema  *schema;
	ListCell   *lc;

	execute(findings->schema, plan->actions);

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
			crd_ledger_record(run, step, true, plan->rows[step]);
	else
		for (int step = from; step > target; step--)
			crd_ledger_record(run, step, false, plan->rows[step]);

	foreach(lc, plan->warnings)
		ereport(WARNING, (errmsg_internal("%s", (char *) lfirst(lc))));
	return plan;
}

/* Run actions with a gate before each, numbered as connections_plan() does it. */
static void
execute(const CrdSchema *schema, const List *actions)
{
	ListCell   *lc;

	foreach(lc, actions)
	{
		crd_gate("statement ", psprintf("%d", ++nstatements));
		crd_execute(schema, list_make1(lfirst(lc)), nothing_changed);
	}
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
