/*-------------------------------------------------------------------------
 *
 * plan_builder.h
 *	  Builds a plan: actions, grouped into phases, and the actions that save and
 *	  restore state.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_PLAN_BUILDER_H
#define CRD_PLAN_BUILDER_H

#include "lib/stringinfo.h"
#include "storage/lockdefs.h"

#include "checks/checks.h"
#include "data/row_fill.h"

typedef enum CrdActionKind
{
	CRD_AS_TABLE_OWNER,			/* or as CrdAction.role */
	CRD_RUN_AS_REPLICA,			/* likewise, without firing triggers */
	CRD_AS_EXTENSION_OWNER,
	CRD_SAVE_CONNECTION_TYPES,	/* a query, as the owner of the table ... */
	CRD_SAVE_NULL_LABELS,		/* ... whose rows are saved */

	/* online mode only, each in transactions of its own */
	CRD_BACKFILL,				/* fixes rows; the other one ... */
	CRD_BACKFILL_SAVE_TYPES,	/* ... saves the rows of a query */
	CRD_VERIFY_ROWS,			/* a query: how many rows, how many wrong */
	CRD_RUN_IN_WORKER			/* at top level, as VACUUM needs it */
} CrdActionKind;

typedef struct CrdAction
{
	int			step;
	CrdActionKind kind;
	CrdTable	table;
	const char *statement;
	LOCKMODE	lock_mode;		/* on the table */
	const char *purpose;
	const char *role;			/* that runs it, NULL for the table's owner */

	/* of a backfill */
	CrdRowFix	fix;
	const char *columns;
	const char *condition;
} CrdAction;

/*
 * One transaction of the online mode, except for actions that have transactions
 * of their own.  The progress view shows its name.
 */
typedef struct CrdPhase
{
	const char *name;
	int			step;
	CrdDirection direction;		/* of the step */
	bool		undoes;			/* it undoes a partial step */
	bool		is_last;		/* it completes the step, or its undoing */
	int64		rows;			/* that its statements change */
	List	   *actions;		/* of CrdAction */
} CrdPhase;

typedef struct CrdPlan
{
	List	   *actions;		/* of CrdAction, atomic mode; or ... */
	List	   *phases;			/* ... of CrdPhase, online mode */
	int64		rows[CRD_LAST_STEP + 1];	/* that each step processes */
	List	   *warnings;		/* of char *, to raise at the end */
	bool		rewrites;		/* the table connections */
} CrdPlan;

/* The sections of a transaction run in this order, for one table at a time. */
typedef enum CrdPlanSection
{
	CRD_SAVE,					/* state for a rollback */
	CRD_PREPARE,
	CRD_REWRITE,				/* the one ALTER TABLE */
	CRD_FINISH					/* statements that need its result */
} CrdPlanSection;
#define CRD_NSECTIONS (CRD_FINISH + 1)

typedef struct CrdPlanBuilder
{
	CrdContext *context;
	const CrdSchema *schema;
	const CrdSavedState *saved;
	CrdPlan    *plan;
	bool		online;			/* each phase is a transaction of its own */
	int			step;			/* that actions are added for ... */
	CrdDirection direction;		/* ... in this direction */

	/* the transaction that is being built */
	List	   *sections[CRD_NTABLES][CRD_NSECTIONS];
	StringInfoData clauses[CRD_NTABLES];	/* of the one ALTER TABLE */
	StringInfoData purposes[CRD_NTABLES];
	int			clauses_step[CRD_NTABLES];

	StringInfoData filled;		/* columns of connections that get values */
} CrdPlanBuilder;

extern void crd_plan_builder_init(CrdPlanBuilder *builder, CrdContext *context,
								  bool online);

/* A new action, in the current memory context, that is not yet in the plan. */
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

/* Add an action that runs a statement of saved DDL, as its grantor. */
extern void crd_plan_restore(CrdPlanBuilder *builder, CrdPlanSection section, CrdTable table,
							 LOCKMODE lock_mode, const CrdSavedDdl *ddl,
							 const char *statement);

/*
 * All actions that have been added since the last call, in order.  Those of
 * available_connections come first on the way up, and last on the way down.
 */
extern List *crd_plan_collect(CrdPlanBuilder *builder, CrdDirection direction);

/*
 * Save the columns that the step drops, and the DDL that restores the objects that
 * are dropped with them.  This replaces what the step saved earlier, which this
 * plan has read.
 */
extern void crd_plan_save_columns(CrdPlanBuilder *builder, CrdDirection direction);

/*
 * Save that an index on available_connection_id existed before step 3, if one
 * did: the rollback of step 3 keeps it.
 */
extern void crd_plan_save_index(CrdPlanBuilder *builder);

/* Save the entry types. */
extern void crd_plan_save_entry_types(CrdPlanBuilder *builder);

/* Save the key by which connection types and NULL labels are identified. */
extern void crd_plan_save_key_expression(CrdPlanBuilder *builder);

/* Delete saved state: "from" is a table, with or without WHERE. */
extern void crd_plan_delete_saved(CrdPlanBuilder *builder, CrdPlanSection section,
								  const char *from, bool exists);

/* The saved columns and the saved DDL of the step. */
extern void crd_plan_delete_saved_columns(CrdPlanBuilder *builder,
										  CrdPlanSection section);

/* The entry types and the connection types. */
extern void crd_plan_delete_saved_types(CrdPlanBuilder *builder, CrdPlanSection section);

/*
 * Drop the NOT NULL constraints of name that partitions define themselves, which
 * from 18 on remain when the one of the partitioned table is dropped.
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
 * Make a column, whose present name is "now", NOT NULL, with the saved name of the
 * constraint if there is one, also in partitions.
 */
extern void crd_plan_set_not_null(CrdPlanBuilder *builder, CrdTable table,
								  const char *column, const char *now);

/*
 * Make a phase of the actions that were added since the last call, if there are
 * any.  The atomic mode has no phases.
 */
extern void crd_plan_end_phase(CrdPlanBuilder *builder, const char *name);

/*
 * Add a backfill, and the query by which the driver verifies its result: no row
 * meets the condition.
 */
extern void crd_plan_backfill(CrdPlanBuilder *builder, CrdRowFix fix,
							  const char *purpose, const char *statement);
extern void crd_plan_verify_rows(CrdPlanBuilder *builder, const char *purpose,
								 const char *condition);

/*
 * The end of step 4 in either mode: set labels to NULL that were NULL before a
 * rollback and are still empty.
 */
extern void crd_finish_step4_up(CrdPlanBuilder *builder);

#endif							/* CRD_PLAN_BUILDER_H */
