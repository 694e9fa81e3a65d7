/*-------------------------------------------------------------------------
 *
 * context.c
 *	  Reads what is known of a database when it is first asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "data/context.h"

CrdContext *
crd_context_create(CrdSchema *schema, int target, bool count_types)
{
	CrdContext *context = palloc0(sizeof(CrdContext));
	CrdDirection direction = target > schema->last_complete_step ? CRD_UP : CRD_DOWN;

	context->schema = schema;
	context->target = target;
	context->count_types = count_types;

	/*
	 * a partial rollback of step 4 restores state that step 4 saved on its
	 * way up
	 */
	if (crd_past_point_of_no_return(schema) && schema->partial_direction == CRD_DOWN)
		direction = CRD_DOWN;
	context->saved = crd_saved_state_read(direction);

	/* an index that was there before step 3 is not the step's own */
	if (schema->last_complete_step >= 3 && context->saved->index_predates)
		schema->step3_index = InvalidOid;
	return context;
}

bool
crd_context_includes_step(const CrdContext *context, int step)
{
	int			version = context->schema->version;

	return context->target < version ? step <= version && step > context->target :
		step > version && step <= context->target;
}

CrdMappingSummary *
crd_context_mapping(CrdContext *context)
{
	if (context->mapping == NULL)
		context->mapping =
			crd_summarize_mapping(context->schema,
								  context->count_types && context->target == CRD_LAST_STEP &&
								  !crd_has_filled_ids(context->schema));
	return context->mapping;
}

List *
crd_context_entry_types(CrdContext *context)
{
	if (context->entry_types == NIL)
		context->entry_types =
			crd_entry_types(context->schema,
							crd_has_filled_ids(context->schema) ?
							NULL : crd_context_mapping(context));
	return context->entry_types;
}

CrdRollbackExprs *
crd_context_rollback_exprs(CrdContext *context)
{
	if (context->rollback_exprs == NULL)
		context->rollback_exprs = crd_rollback_exprs(context->schema,
													 context->saved);
	return context->rollback_exprs;
}

CrdRollbackCounts *
crd_context_rollback_counts(CrdContext *context)
{
	if (context->rollback_counts == NULL)
		context->rollback_counts =
			crd_rollback_counts(context->schema, crd_context_rollback_exprs(context));
	return context->rollback_counts;
}
