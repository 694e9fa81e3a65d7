/*-------------------------------------------------------------------------
 *
 * execute.c
 *	  What both modes share.  See execute.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"

#include "base/sql_exec.h"
#include "connections_redesign.h"
#include "run/execute.h"
#include "run/lock.h"

static void execute_one(const CrdSchema *schema, const CrdAction *action);
static ErrorData *explain_error(ErrorData *edata, const CrdAction *action,
								const char *consequence);

bool
crd_target_reached(const CrdSchema *schema, int target, CrdDirection direction)
{
	bool		up = direction == CRD_UP;

	if (up ? schema->version < target : schema->version > target)
		return false;

	/*
	 * a partial step is completed or undone, unless it leads beyond the
	 * target
	 */
	if (schema->partial_step && schema->version == target &&
		!(up && schema->partial_direction == CRD_UP && schema->partial_step > target))
		return false;
	ereport(NOTICE,
			(errmsg("database is at version %d already", schema->version),
			 schema->version == target ? 0 : up ?
			 errhint("connections_rollback(%d) takes it back.", target) :
			 errhint("connections_migrate(%d) takes it forward.", target)));
	return true;
}

int
crd_previous_version(const CrdSchema *schema)
{
	return schema->partial_step ? schema->partial_step - 1 : Max(schema->version - 1, 0);
}

/*
 * A rewrite in a transaction whose snapshot is older than what others have
 * committed would lose their rows, and the checks would not see them.
 */
void
crd_check_transaction(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandDuringRecovery(function);
	if (XactIsoLevel != XACT_READ_COMMITTED)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run at this isolation level", function),
				 errdetail("Its checks must see rows that other sessions commit while it runs."),
				 errhint("Use a READ COMMITTED transaction.")));
}

int
crd_set_run_limits(void)
{
	int			guc_level = NewGUCNestLevel();

	crd_limit_lock_waits();
	if (maintenance_work_mem < CRD_MAINTENANCE_WORK_MEM)
		crd_set_guc_local("maintenance_work_mem",
						  psprintf("%d", CRD_MAINTENANCE_WORK_MEM));
	return guc_level;
}

void
crd_execute_actions(const CrdSchema *schema, const List *actions, const char *consequence)
{
	ListCell   *lc;

	foreach(lc, actions)
	{
		CrdAction  *action = lfirst(lc);
		MemoryContext context = CurrentMemoryContext;

		CHECK_FOR_INTERRUPTS();
		PG_TRY();
		{
			execute_one(schema, action);
		}
		PG_CATCH();
		{
			MemoryContextSwitchTo(context);
			ReThrowError(explain_error(CopyErrorData(), action, consequence));
		}
		PG_END_TRY();
	}
}

static void
execute_one(const CrdSchema *schema, const CrdAction *action)
{
	Oid			owner = action->role ? get_role_oid(action->role, false) :
	crd_owner(schema, action->table);

	switch (action->kind)
	{
		case CRD_AS_TABLE_OWNER:
			(void) crd_exec(owner, action->statement, 0);
			break;
		case CRD_RUN_AS_REPLICA:
			(void) crd_exec_as_replica(owner, action->statement);
			break;
		case CRD_AS_EXTENSION_OWNER:
			(void) crd_exec(crd_extension_owner(), action->statement, 0);
			break;
		case CRD_SAVE_CONNECTION_TYPES:
			crd_query_batched(owner, action->statement, crd_save_connection_types, NULL);
			break;
		case CRD_SAVE_NULL_LABELS:
			crd_query_batched(owner, action->statement, crd_save_null_labels, NULL);
			break;
		case CRD_BACKFILL:
		case CRD_BACKFILL_SAVE_TYPES:
		case CRD_VERIFY_ROWS:
		case CRD_RUN_IN_WORKER:
			elog(ERROR, "action needs transactions of its own: %s", action->statement);
	}
}

/*
 * What the checks cannot foresee, such as rows that an old exclusion constraint
 * or foreign key refuses, or an object that a later server protects, still is
 * an error of the state that the tables are in.
 */
static ErrorData *
explain_error(ErrorData *edata, const CrdAction *action, const char *consequence)
{
	int			category = ERRCODE_TO_CATEGORY(edata->sqlerrcode);

	FlushErrorState();
	if (category != ERRCODE_DATA_EXCEPTION &&
		category != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION &&
		edata->sqlerrcode != ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST &&
		edata->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED)
		return edata;
	edata->sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	edata->message = psprintf("step %d cannot be completed: %s", action->step,
							  edata->message);
	edata->hint = psprintf("%s  Correct what the message names, then call again.", consequence);
	return edata;
}
