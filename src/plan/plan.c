/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Puts the steps together into a plan, and connections_plan().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "plan/plan.h"
#include "checks/report.h"
#include "plan/steps.h"
#include "base/sql_exec.h"


/* A fifth step is one more row here, with its step_effects in schema.c. */
const CrdStep crd_steps[CRD_LAST_STEP + 1] = {
	[1] = {"add_available_connection_slug_and_auth_type",
	crd_step1_up, crd_step1_down, crd_step1_up_online, crd_step1_down_online},
	[2] = {"add_connection_available_connection_id",
	crd_step2_up, crd_step2_down, crd_step2_up_online, crd_step2_down_online},
	[3] = {"enforce_connection_available_connection_id_fk",
	crd_step3_up, crd_step3_down, crd_step3_up_online, crd_step3_down_online},
	[4] = {"drop_connection_provider_type_rename_name_to_label",
	crd_step4_up, crd_step4_down, crd_step4_up_online, crd_step4_down_online},
};

/* As PostgreSQL's documentation spells them */
static const char *const lock_names[] = {
	[NoLock] = NULL,
	[AccessShareLock] = "ACCESS SHARE",
	[RowShareLock] = "ROW SHARE",
	[RowExclusiveLock] = "ROW EXCLUSIVE",
	[ShareUpdateExclusiveLock] = "SHARE UPDATE EXCLUSIVE",
	[ShareLock] = "SHARE",
	[ShareRowExclusiveLock] = "SHARE ROW EXCLUSIVE",
	[ExclusiveLock] = "EXCLUSIVE",
	[AccessExclusiveLock] = "ACCESS EXCLUSIVE",
};

PG_FUNCTION_INFO_V1(connections_plan);

static bool analyze_new_columns(CrdPlanBuilder *builder);


/* The plan */

CrdPlan *
crd_plan(CrdContext *context)
{
	CrdPlanBuilder builder;
	int			from = context->schema->version;
	int			to = context->target;
	int			last = 0;

	crd_plan_builder_init(&builder, context, false);
	for (builder.step = from + 1; builder.step <= to; builder.step++)
	{
		crd_steps[builder.step].up(&builder);
		last = builder.step;
	}
	for (builder.step = from; builder.step > to; builder.step--)
	{
		crd_steps[builder.step].down(&builder);
		last = Max(last, builder.step);
	}

	builder.step = last;
	if (builder.plan->rewrites)
		crd_plan_add(&builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS,
					 ShareUpdateExclusiveLock, "gather statistics of the new columns",
					 "ANALYZE connections.connections%s",
					 analyze_new_columns(&builder) ?
					 psprintf(" (%s)", builder.filled.data) : "");
	builder.plan->actions = crd_plan_collect(&builder, from < to ? CRD_UP : CRD_DOWN);
	builder.plan->warnings = crd_plan_warnings(context);

	/* the validation of the foreign key reads both tables */
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		const CrdRelation *rel = &builder.schema->relation[table];

		if (rel->rls_forced_on_owner || rel->rls_force_lifted)
			builder.plan->actions =
				lappend(builder.plan->actions,
						crd_plan_action(last, CRD_AS_TABLE_OWNER, table, AccessExclusiveLock,
										"enable FORCE ROW LEVEL SECURITY again",
										psprintf("ALTER TABLE %s FORCE ROW LEVEL SECURITY",
												 rel->name)));
	}
	return builder.plan;
}

CrdPlan *
crd_plan_online(CrdContext *context)
{
	const CrdSchema *schema = context->schema;
	CrdPlanBuilder builder;
	CrdPhase   *next = NULL;

	crd_plan_builder_init(&builder, context, true);
	if (schema->partial_step)
		crd_plan_partial_step(&builder);
	builder.direction = CRD_UP;
	for (builder.step = schema->version + 1; builder.step <= context->target; builder.step++)
		if (!(context->next_step_only && builder.plan->phases))
			crd_steps[builder.step].up_online(&builder);
	builder.direction = CRD_DOWN;
	for (builder.step = schema->version; builder.step > context->target; builder.step--)
		if (!(context->next_step_only && builder.plan->phases))
			crd_steps[builder.step].down_online(&builder);

	for (int i = list_length(builder.plan->phases) - 1; i >= 0; i--)
	{
		CrdPhase   *phase = list_nth(builder.plan->phases, i);

		phase->is_last = next == NULL || next->step != phase->step ||
			next->direction != phase->direction || next->undoes != phase->undoes;
		next = phase;
	}
	return builder.plan;
}

List *
crd_plan_preface(const CrdSchema *schema, int target)
{
	List	   *actions = NIL;
	int			step = target > schema->version ? schema->version + 1 : schema->version;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		actions = lappend(actions,
						  crd_plan_action(step, CRD_AS_TABLE_OWNER, table, AccessExclusiveLock,
										  "lock out other sessions until the end of the transaction",
										  psprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE",
												   schema->relation[table].name)));
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (schema->relation[table].rls_forced_on_owner)
			actions = lappend(actions,
							  crd_plan_action(step, CRD_AS_TABLE_OWNER, table, AccessExclusiveLock,
											  "let the owner see all rows",
											  psprintf("ALTER TABLE %s NO FORCE ROW LEVEL SECURITY",
													   schema->relation[table].name)));
	return actions;
}


List *
crd_plan_warnings(const CrdContext *context)
{
	const CrdRollbackCounts *counts = context->rollback_counts;
	List	   *warnings = NIL;

	for (int step = 1; step <= CRD_LAST_STEP; step++)
	{
		ListCell   *lc;

		if (!crd_context_includes_step(context, step))
			continue;
		foreach(lc, context->saved->unrestorable[step])
			warnings = lappend(warnings,
							   psprintf("could not restore: %s",
										(char *) lfirst(lc)));
	}
	if (counts == NULL)
		return warnings;
	if (counts->config_changes > 0)
		warnings =
			lappend(warnings,
					psprintf("config of %s was given the capability of the available connection",
							 crd_count_text(counts->config_changes, "connection")));
	if (counts->type_unknown > 0)
		warnings =
			lappend(warnings,
					psprintf("type of %s is not known from before: it was set to the auth_type of the available connection",
							 crd_count_text(counts->type_unknown, "connection")));
	return warnings;
}


/*
 * Whether it is enough to analyze the new columns.  A rewrite keeps the statistics
 * of the other columns, but those of expressions, in an index or in an extended
 * statistics object, are gathered only with the whole table.
 */
static bool
analyze_new_columns(CrdPlanBuilder *builder)
{
	for (int step = 2; step <= CRD_LAST_STEP; step++)
	{
		ListCell   *lc;

		foreach(lc, builder->saved->ddl[step])
			if (((CrdSavedDdl *) lfirst(lc))->has_expressions)
			return false;
	}
	return !builder->schema->has_extended_statistics;
}

static void
print_action(CrdResultSet *set, int step, int *seq, const char *statement,
			 const char *lock_mode, const char *purpose)
{
	const char *values[] = {
		psprintf("%d", step), psprintf("%d", ++*seq), statement, lock_mode, purpose
	};

	crd_srf_put_row(set, values);
}

static void
print_actions(CrdResultSet *set, const List *actions, int *seq)
{
	ListCell   *lc;

	foreach(lc, actions)
	{
		CrdAction  *action = lfirst(lc);

		print_action(set, action->step, seq, action->statement,
					 lock_names[action->lock_mode], action->purpose);
	}
}

/*
 * connections_plan(step, online) prints the plan.
 */
Datum
connections_plan(PG_FUNCTION_ARGS)
{
	int			target = crd_check_step(fcinfo, 0, 0, CRD_LAST_STEP);
	CrdResultSet *set;
	CrdSchema  *schema;
	CrdContext *context;
	bool		online;
	ListCell   *lc;
	int			seq = 0;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"online\" must not be null")));
	online = PG_GETARG_BOOL(1);
	set = crd_srf_open(fcinfo);
	schema = crd_schema_read();
	context = crd_context_create(schema, target, true);
	context->online = online;
	crd_checks_enforce(context, CRD_CHECK_BASE);
	if (schema->version == target && schema->partial_step == 0)
		return (Datum) 0;
	crd_checks_enforce(context, CRD_CHECK_SCHEMA);
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (schema->relation[table].rls_forced_on_owner)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the plan depends on rows that row-level security hides"),
					 errdetail("FORCE ROW LEVEL SECURITY binds the owner of %s.",
							   schema->relation[table].name),
					 errhint("The migration lifts FORCE under its lock, and puts it back; only the preview needs it lifted before.")));
	crd_read_entries(schema);
	if (online)
	{
		foreach(lc, crd_plan_online(context)->phases)
		{
			CrdPhase   *phase = lfirst(lc);

			print_actions(set, phase->actions, &seq);
			print_action(set, phase->step, &seq, "COMMIT", NULL,
						 psprintf("end of phase %s", phase->name));
		}
		return (Datum) 0;
	}
	print_actions(set, crd_plan_preface(schema, target), &seq);
	if (schema->partial_step)
	{
		print_actions(set, crd_plan_resolve_partial(context), &seq);
		context = crd_context_create(schema, target, true);
	}
	if (schema->version != target)
		print_actions(set, crd_plan(context)->actions, &seq);
	return (Datum) 0;
}
