/*-------------------------------------------------------------------------
 *
 * context.h
 *	  What is known of a database and of where it is to go.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_FINDINGS_H
#define CRD_FINDINGS_H

#include "data/rollback_exprs.h"
#include "data/saved_state.h"
#include "data/mapping.h"
#include "schema/schema.h"

/*
 * What is known of a database and of where it is to go.  The rows are read when
 * they are first asked for, so that the big table is read no more often than
 * needed.
 */
typedef struct CrdContext
{
	CrdSchema  *schema;
	int			target;			/* version to reach */
	bool		count_types;	/* the summary is to count types, too */
	bool		online;			/* beside the application */
	bool		next_step_only; /* plan no further than the next step */
	int64		verified_rows;	/* that this run has filled in step 2 */

	CrdSavedState *saved;		/* for that way */

	CrdMappingSummary *mapping;
	List	   *entry_types;
	CrdRollbackExprs *rollback_exprs;
	CrdRollbackCounts *rollback_counts;
} CrdContext;

extern CrdContext *crd_context_create(CrdSchema *schema, int target, bool count_types);

/* Whether the way leads over that step. */
extern bool crd_context_includes_step(const CrdContext *context, int step);

/* Read now, or return what has been read. */
extern CrdMappingSummary *crd_context_mapping(CrdContext *context);
extern List *crd_context_entry_types(CrdContext *context);
extern CrdRollbackExprs *crd_context_rollback_exprs(CrdContext *context);
extern CrdRollbackCounts *crd_context_rollback_counts(CrdContext *context);

#endif							/* CRD_FINDINGS_H */
