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
#include "storage/lockdefs.h"

#include "checks/checks.h"
#include "data/row_fill.h"

typedef enum CrdActionKind
{
	CRD_AS_TABLE_OWNER,			/* as the owner of the table */
	CRD_RUN_AS_REPLICA,			/* likewise, without user triggers */
	CRD_AS_EXTENSION_OWNER,		/* as the extension's owner */
	CRD_SAVE_CONNECTION_TYPES,	/* a query, as the owner of the table ... */
	CRD_SAVE_NULL_LABELS,		/* ... whose rows go to the keepsake */

	/* online only; each in transactions of its own */
	CRD_BACKFILL,				/* a walk over the table; and the same ... */
	CRD_BACKFILL_SAVE_TYPES,	/* ... with a query over each window */
	CRD_VERIFY_ROWS,			/* a query: how many rows, how many not right */
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
	CrdRowFix	fix;
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

/* Within a table, the parts of a transaction run one after the other. */
typedef enum CrdPlanSection
{
	CRD_SAVE,					/* for the way back */
	CRD_PREPARE,
	CRD_REWRITE,				/* the one ALTER TABLE */
	CRD_FINISH					/* what needs its result */
} CrdPlanSection;
#define CRD_NSECTIONS (CRD_FINISH + 1)

typedef struct CrdPlanBuilder
{
	CrdContext *context;
	const CrdSchema *schema;
	const CrdSavedState *saved;
	CrdPlan    *plan;
	bool		online;			/* each phase is a transaction of its own */
	int			step;			/* that adds actions now ... */
	bool		up;				/* ... which way */

	/* the transaction that is being put together */
	List	   *sections[CRD_NTABLES][CRD_NSECTIONS];
	StringInfoData clauses[CRD_NTABLES];	/* of the one ALTER TABLE */
	StringInfoData purposes[CRD_NTABLES];
	int			clauses_step[CRD_NTABLES];

	StringInfoData filled;		/* columns of connections that get values */
} CrdPlanBuilder;

extern void crd_plan_builder_init(CrdPlanBuilder *builder, CrdContext *context,
								  bool online);

/* An action that is not of a part. */
extern CrdAction *crd_plan_action(int step, CrdActionKind kind, CrdTable table,
								  LOCKMODE lock_mode, const char *purpose,
								  const char *statement);

/* Add an action to a section; the lock is the one on the table. */
extern CrdAction *crd_plan_add(CrdPlanBuilder *builder, CrdPlanSection section,
							   CrdActionKind kind, CrdTable table,
							   LOCKMODE lock_mode, const char *purpose,
							   const char *format,...) pg_attribute_printf(7, 8);

/* Add a clause to the one ALTER TABLE of the table. */
extern void crd_plan_alter(CrdPlanBuilder *builder, CrdTable table,
						   const char *purpose,
						   const char *format,...) pg_attribute_printf(4, 5);

/* Add the statement, of a ddl one, that brings something back. */
extern void crd_plan_restore(CrdPlanBuilder *builder, CrdPlanSection section, CrdTable table,
							 LOCKMODE lock_mode, const CrdSavedDdl *ddl,
							 const char *statement);

/*
 * All actions that have been added, in order: forward the catalog's come first,
 * back they come last.
 */
extern List *crd_plan_collect(CrdPlanBuilder *builder, bool up);

/*
 * Keep the shape of the columns that the step drops, and what goes with them.
 * What was kept of the step before is not needed any more: this plan has read
 * it.
 */
extern void crd_plan_save_columns(CrdPlanBuilder *builder, bool up);

/*
 * Keep that step 3 found an index on available_connection_id, if it did: that
 * one stays when the step is undone.
 */
extern void crd_plan_save_index(CrdPlanBuilder *builder);

/* Keep the dictionary of types. */
extern void crd_plan_save_entry_types(CrdPlanBuilder *builder);

/* Keep by which key the queries before keep their rows. */
extern void crd_plan_save_key_expression(CrdPlanBuilder *builder);

/* Delete what was kept, if there is anything; of saved_ddl, the step's. */
extern void crd_plan_delete_saved(CrdPlanBuilder *builder, CrdPlanSection section,
								  const char *from, bool anything);

/* The saved columns and the saved DDL of the step. */
extern void crd_plan_delete_saved_columns(CrdPlanBuilder *builder,
										  CrdPlanSection section);

/* The entry types and the connection types. */
extern void crd_plan_delete_saved_types(CrdPlanBuilder *builder, CrdPlanSection section);

/*
 * Drop the NOT NULL of name that partitions have of their own, from 18 on: it
 * stays when that of the partitioned table goes.
 */
extern void crd_plan_drop_partition_not_nulls(CrdPlanBuilder *builder, CrdPlanSection section);

extern void crd_plan_create_sync_trigger(CrdPlanBuilder *builder);

/* Create a trigger that fires ALWAYS. */
extern void crd_plan_create_trigger(CrdPlanBuilder *builder, const char *trigger,
									const char *purpose, const char *ddl);
extern void crd_plan_drop_trigger(CrdPlanBuilder *builder, bool there,
								  const char *trigger, const char *purpose);

/* The type that a column had, else "text". */
extern const char *crd_plan_saved_type(CrdPlanBuilder *builder, const char *column);

/* Whether a column was NOT NULL. */
extern bool crd_plan_saved_not_null(CrdPlanBuilder *builder, const char *column);

/*
 * Make a column NOT NULL, which goes by another name now, by the constraint that
 * it had where that has a name.  So do partitions.
 */
extern void crd_plan_set_not_null(CrdPlanBuilder *builder, CrdTable table,
								  const char *column, const char *now);

/*
 * What was added since the last call becomes a phase of the online form, if
 * there is anything.  The atomic form has no phases.
 */
extern void crd_plan_end_phase(CrdPlanBuilder *builder, const char *name);

/* A walk over the table that fixes rows, and what it is over by. */
extern void crd_plan_backfill(CrdPlanBuilder *builder, CrdRowFix fix,
							  const char *purpose, const char *statement);
extern void crd_plan_verify_rows(CrdPlanBuilder *builder, const char *purpose,
								 const char *condition);

/*
 * Labels that were NULL before a rollback, and are still empty, are NULL again:
 * the end of step 4 in either mode.
 */
extern void crd_finish_step4_up(CrdPlanBuilder *builder);

#endif							/* CRD_PLANNER_H */
