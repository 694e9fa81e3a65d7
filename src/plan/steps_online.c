/*-------------------------------------------------------------------------
 *
 * steps_online.c
 *	  The four steps, up and down, in the online mode: as phases, each a short
 *	  transaction or a backfill.
 *
 * Each phase is planned from the present state of the database, and omitted if
 * its work is done.  So the same code plans a run, the rest of an interrupted
 * run, and the phases that undo it.
 *
 * No phase rewrites a table, or scans it under a lock that blocks readers or
 * writers: constraints are added NOT VALID and validated later, indexes are built
 * CONCURRENTLY, and a backfill fills the rows that no sync trigger has filled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "data/sync_trigger.h"
#include "plan/plan.h"
#include "plan/steps.h"
#include "base/sql_exec.h"

static void undo_partial_step(CrdPlanBuilder *builder);
static void undo_on_partitions(CrdPlanBuilder *builder);
static void finish_step4_down(CrdPlanBuilder *builder);
static void drop_not_null_check(CrdPlanBuilder *builder, CrdPlanSection section, bool there,
								const char *purpose);
static void vacuum(CrdPlanBuilder *builder);
static bool is_begun(const CrdPlanBuilder *builder);

List *
crd_plan_resolve_partial(CrdContext *context)
{
	CrdPlanBuilder builder;
	CrdSchema  *schema = context->schema;

	crd_plan_builder_init(&builder, context, false);
	builder.step = schema->partial_step;
	if (!crd_past_point_of_no_return(schema))
		undo_partial_step(&builder);
	else if (schema->partial_direction == CRD_UP)
		crd_finish_step4_up(&builder);
	else
		finish_step4_down(&builder);
	crd_plan_add(&builder, CRD_FINISH, CRD_AS_EXTENSION_OWNER, CRD_CONNECTIONS, RowExclusiveLock,
				 "the step is no longer partially applied",
				 "DELETE FROM connections_redesign.online_run");

	/* the state that the next plan will find */
	schema->partial_step = 0;
	schema->backfill_verified = false;
	schema->has_reverse_sync_trigger = schema->has_type_save_trigger = schema->has_not_null_check = false;
	if (schema->version < 2)
	{
		schema->column[CRD_AVAILABLE_CONNECTION_ID].attnum = 0;
		schema->has_sync_trigger = false;
	}
	if (schema->version < 3)
	{
		schema->fk = schema->step3_index = InvalidOid;
		schema->has_fk_index = schema->has_fk_index && builder.saved->index_predates;
	}
	if (schema->version == CRD_LAST_STEP)
		schema->column[CRD_PROVIDER].attnum = schema->column[CRD_TYPE].attnum = 0;
	return crd_plan_collect(&builder, CRD_UP);
}

void
crd_plan_partial_step(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	bool		up = schema->partial_direction == CRD_UP;

	builder->step = schema->partial_step;
	builder->direction = schema->partial_direction;
	if (crd_past_point_of_no_return(schema))
	{
		if (up)
		{
			crd_finish_step4_up(builder);
			if (builder->context->target == CRD_LAST_STEP)
				vacuum(builder);
		}
		else
			finish_step4_down(builder);
	}
	else if (up ? builder->context->target < builder->step :
			 builder->context->target >= builder->step)
		undo_partial_step(builder);
}

/*
 * Undo the partial step.  Steps 1 to 3 are undone in one transaction each, so a
 * partial rollback of one of them has not done anything yet.
 */
static void
undo_partial_step(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	bool		labels = false;

	switch (schema->partial_direction == CRD_UP || builder->step == CRD_LAST_STEP ? builder->step : 0)
	{
		case 2:
			if (crd_has_column(schema, CRD_AVAILABLE_CONNECTION_ID))
				crd_step2_down(builder);
			break;
		case 3:
			drop_not_null_check(builder, CRD_PREPARE, schema->has_not_null_check, "the check is no longer needed");
			undo_on_partitions(builder);
			if (OidIsValid(schema->invalid_fk_index))
				crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
							 "drop the index, which is not complete", "DROP INDEX %s",
							 crd_qualified_name(schema->invalid_fk_index));
			crd_step3_down(builder);
			break;
		case CRD_LAST_STEP:
			crd_plan_drop_trigger(builder, schema->has_type_save_trigger, CRD_TYPE_SAVE_TRIGGER,
								  "the type will not be dropped");
			if (schema->partial_direction == CRD_UP)
			{
				crd_plan_delete_saved_types(builder, CRD_SAVE);
				break;
			}
			crd_plan_drop_trigger(builder, schema->has_reverse_sync_trigger, CRD_REVERSE_SYNC_TRIGGER,
								  "provider and type will not be used");
			drop_not_null_check(builder, CRD_PREPARE, schema->has_not_null_check, "the check is no longer needed");
			if (crd_has_column(schema, CRD_PROVIDER))
				crd_plan_alter(builder, CRD_CONNECTIONS, "drop provider and type again",
							   "DROP COLUMN provider, DROP COLUMN type");
			labels = true;
			break;
	}
	crd_plan_end_phase(builder, "undo");
	if (labels)
		crd_finish_step4_up(builder);
	if (builder->online)
	{
		ListCell   *lc;

		foreach(lc, builder->plan->phases)
			((CrdPhase *) lfirst(lc))->undoes = true;
	}
}

/* Drop objects of step 3 that partitions have and the partitioned table has not. */
static void
undo_on_partitions(CrdPlanBuilder *builder)
{
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "WITH tree AS ("
					 " SELECT t.relid, a.attnum, a.attcollation FROM " CRD_RELATION_TREE("$1::oid") " t"
					 " JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = 'available_connection_id'"
					 " WHERE t.level > 0) "
					 "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', t.relid::regclass, c.conname)"
					 " FROM tree t JOIN pg_constraint c ON c.conrelid = t.relid AND c.contype = 'f'"
					 "  AND c.confrelid = $2::oid AND c.conkey = ARRAY[t.attnum] AND c.conparentid = 0"
					 " UNION ALL "
					 "SELECT format('DROP INDEX %s', i.indexrelid::regclass)"
					 " FROM tree t JOIN pg_index i ON i.indrelid = t.relid AND " CRD_INDEX_FITS("i", "t")
					 "  AND i.indexrelid NOT IN (SELECT inhrelid FROM pg_inherits)"
					 " ORDER BY 1", 2,
					 builder->schema->relation[CRD_CONNECTIONS].relid_text,
					 builder->schema->relation[CRD_AVAILABLE_CONNECTIONS].relid_text);
	for (int i = 0; i < rows->nrows; i++)
		crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
					 "drop an object that only a partition has", "%s", rows->row[i][0]);
}


/* The steps */

void
crd_step1_up_online(CrdPlanBuilder *builder)
{
	crd_step1_up(builder);
	crd_plan_end_phase(builder, "available_connections");
}

void
crd_step1_down_online(CrdPlanBuilder *builder)
{
	crd_step1_down(builder);
	crd_plan_end_phase(builder, "available_connections");
}

void
crd_step2_up_online(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	const char *type = schema->column[CRD_ENTRY_ID].type;
	bool		current = crd_sync_trigger_is_current(schema);

	if (!crd_has_column(schema, CRD_AVAILABLE_CONNECTION_ID))
		crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
					 "add the new column",
					 "ALTER TABLE connections.connections ADD COLUMN available_connection_id %s", type);
	if (!current)
		crd_plan_create_sync_trigger(builder);
	crd_plan_end_phase(builder, "add_column");

	if (!is_begun(builder) || !schema->backfill_verified || !current)
	{
		crd_plan_backfill(builder, CRD_FIX_ENTRY_ID, "fill the existing rows",
						  psprintf("UPDATE connections.connections SET available_connection_id = (%s)::%s"
								   " WHERE available_connection_id IS NULL",
								   crd_mapping_expr(schema, crd_id_literals(schema)), type));
		crd_plan_verify_rows(builder, "verify that every row is filled", "available_connection_id IS NULL");
		crd_plan_end_phase(builder, "backfill");
	}
	crd_online_restore_remaining(builder);
	crd_plan_delete_saved_columns(builder, CRD_SAVE);
	crd_plan_end_phase(builder, "cleanup");
	if (builder->context->target == 2)
		vacuum(builder);
}

void
crd_step2_down_online(CrdPlanBuilder *builder)
{
	crd_step2_down(builder);
	crd_plan_end_phase(builder, "drop_column");
}

void
crd_step3_up_online(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;

	builder->plan->rows[3] = builder->context->verified_rows;
	if (!schema->column[CRD_AVAILABLE_CONNECTION_ID].not_null)
	{
		if (!schema->has_not_null_check)
		{
			if (schema->version == 2 && builder->context->verified_rows == 0)
				crd_plan_verify_rows(builder, "verify that no row violates it", "available_connection_id IS NULL");
			crd_plan_save_index(builder);
			/* another tool that applied step 2 has created no sync trigger */
			if (schema->version == 2 && !schema->has_sync_trigger)
				crd_plan_create_sync_trigger(builder);
			crd_plan_alter(builder, CRD_CONNECTIONS, "refuse new rows without available_connection_id",
						   "ADD CONSTRAINT %s CHECK (available_connection_id IS NOT NULL) NOT VALID",
						   quote_identifier(CRD_NOT_NULL_CHECK));
			crd_plan_end_phase(builder, "not_null");
		}
		if (!schema->not_null_check_validated)
			crd_online_validate(builder, quote_identifier(CRD_NOT_NULL_CHECK), "validate_not_null");
		crd_plan_alter(builder, CRD_CONNECTIONS, "set available_connection_id NOT NULL",
					   "ALTER COLUMN available_connection_id SET NOT NULL");
		drop_not_null_check(builder, CRD_FINISH, true, "SET NOT NULL has used it instead of a scan");
		crd_plan_end_phase(builder, "set_not_null");
	}
	if (!schema->has_fk_index)
		crd_online_create_index(builder);
	crd_online_create_foreign_key(builder);
	if (builder->context->target == 3)
		vacuum(builder);
}

void
crd_step3_down_online(CrdPlanBuilder *builder)
{
	crd_plan_add(builder, CRD_SAVE, CRD_AS_TABLE_OWNER, CRD_AVAILABLE_CONNECTIONS, AccessExclusiveLock,
				 "dropping the foreign key locks this table as well",
				 "LOCK TABLE connections.available_connections IN ACCESS EXCLUSIVE MODE");
	crd_step3_down(builder);
	crd_plan_end_phase(builder, "drop_foreign_key");
}

void
crd_step4_up_online(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	bool		again = is_begun(builder) && schema->backfill_stale;

	if (!schema->has_type_save_trigger)
	{
		crd_plan_save_entry_types(builder);
		crd_plan_save_key_expression(builder);
		crd_plan_create_trigger(builder, CRD_TYPE_SAVE_TRIGGER,
								"save the type of rows that are written from now on",
								crd_type_save_trigger_ddl(schema, crd_context_entry_types(builder->context)));
	}
	else if (again)
		crd_plan_delete_saved(builder, CRD_SAVE, "saved_connection_type", builder->saved->has_connection_types);

	/* a type that was saved may have changed without the trigger */
	if (again)
		crd_plan_add(builder, CRD_FINISH, CRD_AS_EXTENSION_OWNER, CRD_CONNECTIONS, RowExclusiveLock,
					 "read all rows again, as some were written without the trigger",
					 "UPDATE connections_redesign.online_run SET backfill_verified = false");
	crd_plan_end_phase(builder, "save_types");
	if (!is_begun(builder) || !schema->backfill_verified)
	{
		const char *type =
		crd_case_by_entry_id(schema,
							 crd_type_literals(schema, schema->has_type_save_trigger ? builder->saved->entry_types :
											   crd_context_entry_types(builder->context)));
		const char *columns = psprintf("%s, available_connection_id::text, type::text", schema->pk_text_expr);
		const char *condition = psprintf("type::text COLLATE \"C\" IS DISTINCT FROM (%s)", type);
		CrdAction  *action;

		action = crd_plan_add(builder, CRD_SAVE, CRD_BACKFILL_SAVE_TYPES, CRD_CONNECTIONS, RowShareLock,
							  "save the type of the other existing rows, in short transactions",
							  "SELECT %s FROM connections.connections WHERE %s FOR SHARE SKIP LOCKED",
							  columns, condition);
		action->columns = columns;
		action->condition = condition;
		crd_plan_verify_rows(builder, "verify that the type of every row is saved",
							 psprintf("%s AND type::text COLLATE \"C\" IS DISTINCT FROM"
									  " connections_redesign.saved_type(%s, available_connection_id::text, %s)",
									  condition, schema->pk_text_expr, type));
		crd_plan_end_phase(builder, "backfill_types");
	}

	crd_plan_save_columns(builder, CRD_UP);
	crd_plan_drop_trigger(builder, schema->has_sync_trigger || schema->version < 2, CRD_SYNC_TRIGGER,
						  "the sync trigger is no longer needed");
	crd_plan_drop_trigger(builder, true, CRD_TYPE_SAVE_TRIGGER, "every type is saved");
	if (schema->column[CRD_NAME].not_null)
		crd_plan_alter(builder, CRD_CONNECTIONS, "allow NULL in label", "ALTER COLUMN name DROP NOT NULL");
	crd_plan_alter(builder, CRD_CONNECTIONS, "drop provider and type",
				   "DROP COLUMN provider, DROP COLUMN type");
	crd_plan_drop_partition_not_nulls(builder, CRD_FINISH);
	crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
				 "rename name to label",
				 "ALTER TABLE connections.connections RENAME COLUMN name TO label");
	crd_plan_end_phase(builder, "drop_columns");
	crd_finish_step4_up(builder);
	vacuum(builder);
}

void
crd_step4_down_online(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	const CrdSavedState *saved = builder->saved;
	CrdRollbackExprs *exprs = crd_context_rollback_exprs(builder->context);
	static const CrdColumnId columns[] = {CRD_PROVIDER, CRD_TYPE, CRD_NAME};
	bool		current = crd_reverse_sync_trigger_is_current(schema, exprs, saved);
	StringInfoData required;
	ListCell   *lc;

	initStringInfo(&required);
	for (int i = 0; i < lengthof(columns); i++)
		if (crd_plan_saved_not_null(builder, schema->column[columns[i]].name))
			appendStringInfo(&required, "%s%s IS NOT NULL", required.len ? " AND " : "",
							 columns[i] == CRD_NAME ? "label" : schema->column[columns[i]].name);

	if (!crd_has_column(schema, CRD_PROVIDER))
	{
		crd_plan_delete_saved(builder, CRD_SAVE, "saved_null_label", saved->has_null_labels);
		crd_plan_save_key_expression(builder);
		crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
					 "add provider and type",
					 "ALTER TABLE connections.connections ADD COLUMN provider %s, ADD COLUMN type %s",
					 crd_plan_saved_type(builder, "provider"), crd_plan_saved_type(builder, "type"));
		crd_plan_create_trigger(builder, CRD_REVERSE_SYNC_TRIGGER, "keep provider and type in sync with available_connection_id",
								crd_reverse_sync_trigger_ddl(schema, exprs, saved));
		crd_plan_end_phase(builder, "add_columns");
	}
	else if (!current)
	{
		crd_plan_drop_trigger(builder, schema->has_reverse_sync_trigger, CRD_REVERSE_SYNC_TRIGGER,
							  "replace a trigger that does not know all entries");
		crd_plan_create_trigger(builder, CRD_REVERSE_SYNC_TRIGGER, "keep provider and type in sync with available_connection_id",
								crd_reverse_sync_trigger_ddl(schema, exprs, saved));
		crd_plan_end_phase(builder, "sync_trigger");
	}
	if (!is_begun(builder) || !schema->backfill_verified || !current)
	{
		crd_plan_backfill(builder, CRD_FIX_LEGACY_COLUMNS, "fill the existing rows",
						  psprintf("UPDATE connections.connections SET provider = %s, type = %s, label = %s, config = %s"
								   " WHERE provider IS NULL OR %s OR %s",
								   exprs->provider, exprs->type, exprs->label, exprs->config, exprs->label_changes, exprs->config_changes));
		crd_plan_verify_rows(builder, "verify that every row is filled",
							 psprintf("provider IS NULL OR %s OR %s", exprs->label_changes, exprs->config_changes));
		crd_plan_end_phase(builder, "backfill");
	}
	if (required.len)
	{
		if (!schema->has_not_null_check)
			crd_plan_alter(builder, CRD_CONNECTIONS, "refuse new rows without them",
						   "ADD CONSTRAINT %s CHECK (%s) NOT VALID",
						   quote_identifier(CRD_NOT_NULL_CHECK), required.data);
		crd_plan_end_phase(builder, "not_null");
		if (!schema->not_null_check_validated)
			crd_online_validate(builder, quote_identifier(CRD_NOT_NULL_CHECK), "validate_not_null");
		for (int i = 0; i < lengthof(columns); i++)
			if (crd_plan_saved_not_null(builder, schema->column[columns[i]].name))
			{
				const char *name = schema->column[columns[i]].name;

				crd_plan_set_not_null(builder, CRD_CONNECTIONS, name,
									  columns[i] == CRD_NAME ? "label" : name);
			}
		drop_not_null_check(builder, CRD_FINISH, true, "SET NOT NULL has used it instead of a scan");
	}
	crd_plan_drop_trigger(builder, true, CRD_REVERSE_SYNC_TRIGGER, "the old application writes these columns");
	crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
				 "rename label to name",
				 "ALTER TABLE connections.connections RENAME COLUMN label TO name");
	crd_plan_create_sync_trigger(builder);

	/* these take no time, and hold for all rows that are written next */
	foreach(lc, saved->ddl[4])
	{
		const CrdSavedDdl *ddl = lfirst(lc);
		CrdOnlineDdl online_ddl = crd_online_ddl(ddl);

		if (online_ddl.at_switchover)
			crd_online_restore(builder, ddl, online_ddl.create, AccessExclusiveLock, online_ddl.finish);
	}
	crd_plan_end_phase(builder, "switchover");
	finish_step4_down(builder);
}

/* Restore the rest when the old application has its columns. */
static void
finish_step4_down(CrdPlanBuilder *builder)
{
	crd_online_restore_remaining(builder);
	crd_plan_delete_saved_columns(builder, CRD_FINISH);
	crd_plan_delete_saved_types(builder, CRD_FINISH);
	crd_plan_end_phase(builder, "cleanup");
	if (builder->online)
		vacuum(builder);
}


static void
drop_not_null_check(CrdPlanBuilder *builder, CrdPlanSection section, bool there,
					const char *purpose)
{
	if (there)
		crd_plan_add(builder, section, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock, purpose,
					 "ALTER TABLE connections.connections DROP CONSTRAINT %s",
					 quote_identifier(CRD_NOT_NULL_CHECK));
}

/*
 * Remove the row versions that backfills left behind, and gather statistics of
 * the new columns.  The atomic mode leaves none behind.
 */
static void
vacuum(CrdPlanBuilder *builder)
{
	crd_plan_add(builder, CRD_PREPARE, CRD_RUN_IN_WORKER, CRD_CONNECTIONS, ShareUpdateExclusiveLock,
				 "remove dead rows, and gather statistics",
				 "VACUUM (ANALYZE) connections.connections");
	crd_plan_end_phase(builder, "vacuum");
}

/* Whether the recorded backfill belongs to this step, in this direction. */
static bool
is_begun(const CrdPlanBuilder *builder)
{
	return builder->schema->partial_step == builder->step &&
		builder->schema->partial_direction == builder->direction;
}
