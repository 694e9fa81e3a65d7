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

#include "storage/lockdefs.h"

#include "bridge.h"
#include "checks.h"

typedef enum CrdActionKind
{
	CRD_RUN,					/* as the owner of the table */
	CRD_RUN_AS_REPLICA,			/* likewise, without user triggers */
	CRD_RUN_IN_LEDGER,			/* as the extension's owner */
	CRD_KEEP_EXCEPTIONS,		/* a query, as the owner of the table ... */
	CRD_KEEP_NULL_LABELS,		/* ... whose rows go to the keepsake */

	/* online only; each in transactions of its own */
	CRD_FILL_ROWS,				/* a walk over the table; and the same ... */
	CRD_WALK_EXCEPTIONS,		/* ... with a query over each window */
	CRD_PROVE,					/* a query: how many rows, how many not right */
	CRD_RUN_IN_WORKER			/* at top level */
} CrdActionKind;

typedef struct CrdAction
{
	int			step;
	CrdActionKind kind;
	CrdTable	table;
	const char *statement;
	LOCKMODE	lock_mode;		/* on the table */
	const char *purpose;
	const char *role;			/* to run it, or NULL for the owner */

	/* of a walk */
	CrdFill		fill;
	const char *columns;
	const char *condition;
} CrdAction;

/*
 * One transaction of the online form, but for the actions that have their own;
 * its name is the phase of the progress view.
 */
typedef struct CrdPhase
{
	const char *name;
	int			step;
	bool		up;				/* the way of the step that it is part of */
	bool		undoes;			/* what was done of that step */
	bool		is_last;		/* with it the step is done, or undone */
	int64		rows;			/* that its statements change */
	List	   *actions;		/* of CrdAction */
} CrdPhase;

typedef struct CrdPlan
{
	List	   *actions;		/* of CrdAction, in order; online: */
	List	   *phases;			/* of CrdPhase */
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
	void		(*up_online) (struct CrdPlanner *planner);
	void		(*down_online) (struct CrdPlanner *planner);
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

/*
 * The online plan: what is not done yet of the step that was begun, or what
 * undoes it, then the steps to the target.  It depends on nothing but what is
 * there, so the driver plans anew for each phase and runs the first; the rows
 * are read only where what they say goes into the plan.
 */
extern CrdPlan *crd_plan_online(CrdFindings *findings);

/*
 * What brings a step that an online run has begun to schema->version, whole, in
 * the caller's transaction; and the schema as it will be then.
 */
extern List *crd_plan_settle(CrdFindings *findings);

/*
 * What to say when the plan has been executed, of the rows that an undone step 4
 * has changed and of what could not come back: List of char *.
 */
extern List *crd_plan_warnings(const CrdFindings *findings);

#endif							/* CRD_PLAN_H */
