/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  The steps, and the list of actions that takes a database from where it is
 *	  to a version, forward or back.
 *
 * The drivers execute that list, connections_plan() prints it; no third place
 * knows any DDL of the steps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_PLAN_H
#define CRD_PLAN_H

#include "plan/plan_builder.h"

typedef struct CrdStep
{
	const char *name;
	void		(*up) (CrdPlanBuilder *builder);
	void		(*down) (CrdPlanBuilder *builder);
	void		(*up_online) (CrdPlanBuilder *builder);
	void		(*down_online) (CrdPlanBuilder *builder);
} CrdStep;

/* By step, from 1 on. */
extern const CrdStep crd_steps[CRD_LAST_STEP + 1];

/*
 * What comes before the data is read: locks, and FORCE ROW LEVEL SECURITY
 * lifted where it would hide rows from the owner.
 */
extern List *crd_plan_preface(const CrdSchema *schema, int target);

/*
 * The atomic plan.  Steps that meet in one plan share the rewrite of a table;
 * the shared statement belongs to the highest of them.
 */
extern CrdPlan *crd_plan(CrdContext *context);

/*
 * The online plan: what is not done yet of the step that was begun, or what
 * undoes it, then the steps to the target.  It depends on nothing but what is
 * there, so the driver plans anew for each phase and runs the first; the rows
 * are read only where what they say goes into the plan.
 */
extern CrdPlan *crd_plan_online(CrdContext *context);

/*
 * What brings a step that an online run has begun to schema->version, whole, in
 * the caller's transaction; and the schema as it will be then.
 */
extern List *crd_plan_resolve_partial(CrdContext *context);

/*
 * What to say when the plan has been executed, of the rows that an undone step 4
 * has changed and of what could not come back: List of char *.
 */
extern List *crd_plan_warnings(const CrdContext *context);

#endif							/* CRD_PLAN_H */
