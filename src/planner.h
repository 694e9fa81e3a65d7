/*-------------------------------------------------------------------------
 *
 * planner.h
 *	  What the atomic and the online form of the steps are planned with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_PLANNER_H
#define CRD_PLANNER_H

#include "lib/stringinfo.h"

#include "plan.h"

/* Within a table, the parts of a transaction run one after the other. */
typedef enum CrdPart
{
	CRD_KEEP,					/* for the way back */
	CRD_PREPARE,
	CRD_REWRITE,				/* the one ALTER TABLE */
	CRD_FINISH					/* what needs its result */
} CrdPart;
#define CRD_NPARTS (CRD_FINISH + 1)

typedef struct CrdPlanner
{
	CrdFindings *findings;
	const CrdSchema *schema;
	const CrdKeepsake *keepsake;
	CrdPlan    *plan;
	bool		online;			/* each phase is a transaction of its own */
	int			step;			/* that adds actions now ... */
	bool		up;				/* ... which way */

	/* the transaction that is being put together */
	List	   *parts[CRD_NTABLES][CRD_NPARTS];
	StringInfoData clauses[CRD_NTABLES];	/* of the one ALTER TABLE */
	StringInfoData purposes[CRD_NTABLES];
	int			clauses_step[CRD_NTABLES];

	StringInfoData filled;		/* columns of connections that get values */
} CrdPlanner;

extern void crd_planner_init(CrdPlanner *planner, CrdFindings *findings,
							 bool online);

/* An action that is not of a part. */
extern CrdAction *crd_plan_action(int step, CrdActionKind kind, CrdTable table,
								  LOCKMODE lock_mode, const char *purpose,
								  const char *statement);

/* Add an action to a part; the lock is the one on the table. */
extern CrdAction *crd_plan_add(CrdPlanner *planner, CrdPart part,
							   CrdActionKind kind, CrdTable table,
							   LOCKMODE lock_mode, const char *purpose,
							   const char *format,...) pg_attribute_printf(7, 8);

/* Add a clause to the one ALTER TABLE of the table. */
extern void crd_plan_alter(CrdPlanner *planner, CrdTable table,
						   const char *purpose,
						   const char *format,...) pg_attribute_printf(4, 5);

/* Add the statement, of a kept one, that brings something back. */
extern void crd_plan_restore(CrdPlanner *planner, CrdPart part, CrdTable table,
							 LOCKMODE lock_mode, const CrdKeptStatement *kept,
							 const char *statement);

/*
 * All actions that have been added, in order: forward the catalog's come first,
 * back they come last.
 */
extern List *crd_plan_collect(CrdPlanner *planner, bool up);

/*
 * Keep the shape of the columns that the step drops, and what goes with them.
 * What was kept of the step before is not needed any more: this plan has read
 * it.
 */
extern void crd_plan_keep_columns(CrdPlanner *planner, bool up);

/*
 * Keep that step 3 found an index on available_connection_id, if it did: that
 * one stays when the step is undone.
 */
extern void crd_plan_keep_index(CrdPlanner *planner);

/* Keep the dictionary of types. */
extern void crd_plan_keep_dictionary(CrdPlanner *planner);

/* Keep by which key the queries before keep their rows. */
extern void crd_plan_keep_key(CrdPlanner *planner);

/* Delete what was kept, if there is anything; of kept_ddl, the step's. */
extern void crd_plan_forget(CrdPlanner *planner, CrdPart part,
							const char *from, bool anything);

/* The dictionary of types and its exceptions. */
extern void crd_plan_forget_types(CrdPlanner *planner, CrdPart part);

/*
 * Drop the NOT NULL of name that partitions have of their own, from 18 on: it
 * stays when that of the partitioned table goes.
 */
extern void crd_plan_drop_own_not_null(CrdPlanner *planner, CrdPart part);

extern void crd_plan_create_bridge(CrdPlanner *planner);

/* Create a trigger that fires ALWAYS. */
extern void crd_plan_create_trigger(CrdPlanner *planner, const char *trigger,
									const char *purpose, const char *ddl);
extern void crd_plan_drop_trigger(CrdPlanner *planner, bool there,
								  const char *trigger, const char *purpose);

/* The type that a column had, else "text". */
extern const char *crd_plan_kept_type(CrdPlanner *planner, const char *column);

/* Whether a column was NOT NULL. */
extern bool crd_plan_kept_not_null(CrdPlanner *planner, const char *column);

/*
 * Make a column NOT NULL, which goes by another name now, by the constraint that
 * it had where that has a name.  So do partitions.
 */
extern void crd_plan_set_not_null(CrdPlanner *planner, CrdTable table,
								  const char *column, const char *now);

/* The online form of the steps: phases, not actions. */
extern void crd_step1_up_online(CrdPlanner *planner);
extern void crd_step1_down_online(CrdPlanner *planner);
extern void crd_step2_up_online(CrdPlanner *planner);
extern void crd_step2_down_online(CrdPlanner *planner);
extern void crd_step3_up_online(CrdPlanner *planner);
extern void crd_step3_down_online(CrdPlanner *planner);
extern void crd_step4_up_online(CrdPlanner *planner);
extern void crd_step4_down_online(CrdPlanner *planner);

/*
 * Labels that were NULL before a rollback, and are still empty, are NULL again:
 * the end of step 4 in either mode.
 */
extern void crd_finish_step4_up(CrdPlanner *planner);

extern const char *crd_qualified_name(Oid relid);

#endif							/* CRD_PLANNER_H */
