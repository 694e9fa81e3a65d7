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

#include "checks.h"

typedef enum CrdActionKind
{
	CRD_RUN,					/* as the owner of the table */
	CRD_RUN_AS_REPLICA,			/* likewise, without user triggers */
	CRD_RUN_IN_LEDGER,			/* as the extension's owner */
	CRD_KEEP_EXCEPTIONS,		/* a query, as the owner of the table ... */
	CRD_KEEP_NULL_LABELS		/* ... whose rows go to the keepsake */
} CrdActionKind;

typedef struct CrdAction
{
	int			step;
	CrdActionKind kind;
	CrdTable	table;
	const char *statement;
	const char *lock_mode;		/* on the table, as the documentation spells
								 * it */
	const char *purpose;
} CrdAction;

typedef struct CrdPlan
{
	List	   *actions;		/* of CrdAction, in order */
	int64		rows[CRD_LAST_STEP + 1];	/* that each step goes through */
	List	   *warnings;		/* of char *, for when it is done */
	bool		rewrites;		/* connections is written anew */
} CrdPlan;

struct CrdPlanner;

typedef struct CrdStep
{
	const char *name;
	void		(*up) (struct CrdPlanner *planner);
	void		(*down) (struct CrdPlanner *planner);
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
extern CrdPlan *crd_plan(CrdFindings *findings);

#endif							/* CRD_PLAN_H */
