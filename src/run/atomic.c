/*-------------------------------------------------------------------------
 *
 * atomic.c
 *	  The atomic mode: connections_migrate(), connections_rollback() and
 *	  connections_rehearse(), in the caller's transaction.
 *
 * The order is: take the migration lock; lock both tables; read the schema again;
 * check it and the rows; make the plan; execute its actions; record the steps.  If
 * anything fails, the transaction rolls back; so does a rehearsal that succeeds.
 *
 * The tables are locked as lock.h describes.  Statements of the plan may lock other
 * tables, to which a foreign key refers, and run with the same lock_timeout, so
 * nothing waits without a limit.
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

#include "connections_redesign.h"
#include "base/waitpoint.h"
#include "run/run_state.h"
#include "run/execute.h"
#include "run/lock.h"
#include "plan/plan.h"
#include "base/sql_exec.h"

static const char nothing_changed[] = "Nothing was changed.";

/* Number of statements that this call has executed, for waitpoints */
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

static int	migrate_to(int target, CrdDirection direction);
static void rehearse(void *arg);
static void start_step(Rehearsal *rehearsal);
static void end_step(Rehearsal *rehearsal, int number, int64 rows);
static CrdSchema *lock_tables(int target);
static int	resolve_partial_step(const CrdRun *run, CrdSchema *schema, int target);
static CrdContext *recheck(const CrdSchema *before, int target);
static CrdPlan *apply_steps(const CrdRun *run, CrdContext *context);
static void execute_with_waitpoints(const CrdSchema *schema, const List *actions);
static CrdSchema *read_schema_checked(int target, CrdCheckLevel level);

/*
 * connections_migrate(step) takes the database forward to that version.
 */
Datum
connections_migrate(PG_FUNCTION_ARGS)
{
	int			target = crd_check_step(fcinfo, 0, 1, CRD_LAST_STEP);
	CrdSchema  *schema;

	crd_check_transaction("connections_migrate()");
	schema = read_schema_checked(target, CRD_CHECK_BASE);
	if (crd_target_reached(schema, target, CRD_UP))
		PG_RETURN_INT32(schema->version);
	PG_RETURN_INT32(migrate_to(target, CRD_UP));
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
	schema = read_schema_checked(target, CRD_CHECK_BASE);
	if (one_step)
		target = crd_previous_version(schema);
	if (crd_target_reached(schema, target, CRD_DOWN))
		PG_RETURN_INT32(schema->version);
	PG_RETURN_INT32(migrate_to(target, CRD_DOWN));
}

/* Read the schema, and raise what keeps it from reaching the target. */
static CrdSchema *
read_schema_checked(int target, CrdCheckLevel level)
{
	CrdSchema  *schema = crd_schema_read();

	crd_checks_enforce(crd_context_create(schema, target, true), level);
	return schema;
}

/*
 * Take the database to the target, forward or back, and return the version
 * reached.
 */
static int
migrate_to(int target, CrdDirection direction)
{
	CrdRun		run;
	CrdSchema  *schema;
	CrdPlan    *plan;
	int			guc_level;

	nstatements = 0;
	crd_migration_lock_xact();
	run = crd_run_begin("atomic");
	schema = lock_tables(target);
	if (crd_target_reached(schema, target, direction))
		return schema->version;

	guc_level = crd_set_run_limits();
	(void) resolve_partial_step(&run, schema, target);
	plan = apply_steps(&run, recheck(schema, target));
	AtEOXact_GUC(false, guc_level);
	if (plan->rewrites)
		ereport(NOTICE,
				(errmsg("table connections.connections was rewritten"),
				 errhint("After the commit, VACUUM connections.connections: its visibility map is empty.")));
	crd_waitpoint("", "end");
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
	CrdResultSet *set;
	ErrorData  *error;

	crd_check_transaction("connections_rehearse()");
	set = crd_srf_open(fcinfo);
	if (crd_target_reached(read_schema_checked(rehearsal.target, CRD_CHECK_BASE), rehearsal.target, CRD_UP))
		return (Datum) 0;

	error = crd_in_subxact_undone(rehearse, &rehearsal);
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

		crd_srf_put_row(set, values);
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
	crd_migration_lock_xact();
	run = crd_run_begin("atomic");
	schema = lock_tables(rehearsal->target);
	if (crd_target_reached(schema, rehearsal->target, CRD_UP))
		return;

	guc_level = crd_set_run_limits();
	start_step(rehearsal);
	settled = resolve_partial_step(&run, schema, rehearsal->target);
	if (settled)
		end_step(rehearsal, settled, 0);
	(void) recheck(schema, rehearsal->target);
	for (int step = schema->version + 1; step <= rehearsal->target; step++)
	{
		start_step(rehearsal);
		schema = crd_schema_read();
		(void) resolve_partial_step(&run, schema, step);
		end_step(rehearsal, step, apply_steps(&run, recheck(schema, step))->rows[step]);
	}
	AtEOXact_GUC(false, guc_level);
}

/*
 * The WAL is what this session has written (and its parallel workers, when they
 * have ended).  The distance in the log would include WAL of other sessions.
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
 * Lock both tables, and read the schema again, which other sessions may have
 * changed before the lock was granted.
 */
static CrdSchema *
lock_tables(int target)
{
	CrdSchema  *before = read_schema_checked(target, CRD_CHECK_SCHEMA);
	CrdSchema  *schema;

	crd_lock(before, &both_tables);
	schema = read_schema_checked(target, CRD_CHECK_BASE);
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (schema->relation[table].relid != before->relation[table].relid)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("table %s was replaced by another session",
							schema->relation[table].name),
					 errdetail("The table was replaced while this session waited for its locks."),
					 errhint("Retry the operation.")));
	return schema;
}

/*
 * Bring the tables to the version that they are at, whole, with every row to be
 * seen by their owner.  Returns the step, or 0, that this has applied.
 */
static int
resolve_partial_step(const CrdRun *run, CrdSchema *schema, int target)
{
	int			step = schema->partial_step;
	bool		applied = (schema->partial_direction == CRD_UP) == crd_past_point_of_no_return(schema);

	execute_with_waitpoints(schema, crd_plan_preface(schema, target));
	if (step == 0)
		return 0;
	crd_read_entries(schema);
	execute_with_waitpoints(schema, crd_plan_resolve_partial(crd_context_create(schema, target, true)));
	crd_history_record(run, step, applied ? CRD_UP : CRD_DOWN, 0);
	return applied ? step : 0;
}

/* Check the rows, after a partial step has been completed or undone. */
static CrdContext *
recheck(const CrdSchema *before, int target)
{
	CrdSchema  *schema = crd_schema_read();
	CrdContext *context;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		schema->relation[table].rls_force_lifted = before->relation[table].rls_forced_on_owner;
	context = crd_context_create(schema, target, true);
	crd_checks_enforce(context, CRD_CHECK_DATA);
	return context;
}

/* Take the steps to the target, and record them. */
static CrdPlan *
apply_steps(const CrdRun *run, CrdContext *context)
{
	int			from = context->schema->version;
	int			target = context->target;
	CrdPlan    *plan = crd_plan(context);
	CrdSchema  *schema;
	ListCell   *lc;

	execute_with_waitpoints(context->schema, plan->actions);

	/* what was done is what was meant, whatever else is in the database */
	schema = crd_schema_read();
	if (schema->version != target)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration to version %d did not produce the expected schema", target),
				 errdetail_internal("Found %s.", schema->mismatch ? schema->mismatch :
									psprintf("version %d", schema->version)),
				 errhint("Nothing was changed.  Drop what does not belong to that version, then call again.")));

	if (target > from)
		for (int step = from + 1; step <= target; step++)
			crd_history_record(run, step, CRD_UP, plan->rows[step]);
	else
		for (int step = from; step > target; step--)
			crd_history_record(run, step, CRD_DOWN, plan->rows[step]);

	foreach(lc, plan->warnings)
		ereport(WARNING, (errmsg_internal("%s", (char *) lfirst(lc))));
	return plan;
}

/* Execute actions, with a waitpoint before each, numbered as by connections_plan(). */
static void
execute_with_waitpoints(const CrdSchema *schema, const List *actions)
{
	ListCell   *lc;

	foreach(lc, actions)
	{
		crd_waitpoint("statement ", psprintf("%d", ++nstatements));
		crd_execute_actions(schema, list_make1(lfirst(lc)), nothing_changed);
	}
}
