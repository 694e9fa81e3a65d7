/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  The plan: the list of actions that takes a database from its present state
 *	  to a version, forward or back.
 *
 * Both drivers execute that list, and connections_plan() prints it.  No other
 * place contains DDL of the steps.
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

/* Indexed by step, from 1 on */
extern const CrdStep crd_steps[CRD_LAST_STEP + 1];

/*
 * The actions of the atomic mode that come before any row is read: they lock both
 * tables, and lift FORCE ROW LEVEL SECURITY where it hides rows from the owner.
 */
extern List *crd_plan_preface(const CrdSchema *schema, int target);

/*
 * The plan of the atomic mode.  All steps of a plan share one rewrite of each
 * table; the shared statement is numbered as the highest of these steps.
 */
extern CrdPlan *crd_plan(CrdContext *context);

/*
 * The plan of the online mode: the rest of a partial step, or the phases that
 * undo it, then the steps to the target.  It depends only on the present state of
 * the database, so the driver makes a new plan for each phase and runs the first
 * phase of it.  Rows are read only where their values are part of the plan.
 */
extern CrdPlan *crd_plan_online(CrdContext *context);

/*
 * The actions of the atomic mode that complete or undo a partial step, so that
 * the tables are at schema->version.  Changes *context->schema to what it will be
 * then.
 */
extern List *crd_plan_resolve_partial(CrdContext *context);

/*
 * The warnings to raise after the plan has been executed, about rows that a
 * rollback of step 4 has changed and saved DDL that cannot be restored: List of
 * char *.
 */
extern List *crd_plan_warnings(const CrdContext *context);

#endif							/* CRD_PLAN_H */
