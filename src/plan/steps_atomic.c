/*-------------------------------------------------------------------------
 *
 * steps_atomic.c
 *	  The four steps, up and down, in the atomic mode.
 *
 * Each step adds its actions to sections.  For each table, the sections of all
 * steps of a plan run one after the other: save state for a rollback; prepare the
 * rewrite; one ALTER TABLE; statements that need the new rows.  So all steps of
 * a plan share one rewrite, and each row is written once.
 *
 * ALTER COLUMN ... TYPE ... USING sets the values during the rewrite.  An UPDATE
 * of every row would fire triggers, change updated_at, double the size of the
 * table, and with a deferred trigger make the next ALTER TABLE fail.  USING sees
 * the old row, so the same ALTER TABLE can drop the columns that it reads.  The
 * few rows whose label or config must change during a rollback are updated
 * as replication does it, because ALTER COLUMN TYPE fails for a column that a
 * view or a trigger uses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "base/sql_exec.h"
#include "plan/steps.h"

static void fill(CrdPlanBuilder *builder, CrdTable table, const char *column,
				 const char *type, const char *value);
static void recreate_dropped(CrdPlanBuilder *builder, CrdTable table);
static const char *new_type(CrdPlanBuilder *builder, const char *column);

/*
 * Step 1: available_connections gets slug (from name), display_name and
 * auth_type, and loses name.
 */
void
crd_step1_up(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	StringInfoData auth_type;
	StringInfoData display_name;

	builder->plan->rows[1] = schema->nentries;
	crd_plan_save_columns(builder, CRD_UP);
	crd_plan_delete_saved(builder, CRD_SAVE, "saved_entry", builder->saved->entries != NIL);

	crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_AVAILABLE_CONNECTIONS, AccessExclusiveLock,
				 "add the new columns, without values",
				 "ALTER TABLE connections.available_connections"
				 " ADD COLUMN slug %s, ADD COLUMN display_name %s, ADD COLUMN auth_type %s",
				 new_type(builder, "slug"), new_type(builder, "display_name"),
				 new_type(builder, "auth_type"));

	initStringInfo(&auth_type);
	initStringInfo(&display_name);
	for (int i = 0; i < schema->nentries; i++)
	{
		const CrdEntryRow *entry = &schema->entries[i];
		const CrdSavedEntry *saved_entry = crd_saved_entry(builder->saved, entry);
		const char *id = crd_id_literals(schema)[i];

		appendStringInfo(&auth_type, " WHEN %s THEN %s", id,
						 crd_quote_nullable(saved_entry ? saved_entry->auth_type :
											entry->registered ? entry->registered->auth_type : NULL));
		if (saved_entry)
			appendStringInfo(&display_name, " WHEN %s THEN %s", id,
							 crd_quote_nullable(saved_entry->display_name));
	}
	fill(builder, CRD_AVAILABLE_CONNECTIONS, "slug", crd_plan_saved_type(builder, "slug"),
		 "name::text");
	if (display_name.len)
		fill(builder, CRD_AVAILABLE_CONNECTIONS, "display_name",
			 crd_plan_saved_type(builder, "display_name"),
			 psprintf("CASE id%s END", display_name.data));
	else
		fill(builder, CRD_AVAILABLE_CONNECTIONS, "display_name",
			 crd_plan_saved_type(builder, "display_name"), "NULL");
	fill(builder, CRD_AVAILABLE_CONNECTIONS, "auth_type",
		 crd_plan_saved_type(builder, "auth_type"),
		 psprintf("CASE id%s END", auth_type.data));
	crd_plan_set_not_null(builder, CRD_AVAILABLE_CONNECTIONS, "slug", "slug");
	crd_plan_set_not_null(builder, CRD_AVAILABLE_CONNECTIONS, "auth_type", "auth_type");
	if (builder->saved->columns[1] && crd_plan_saved_not_null(builder, "display_name"))
		crd_plan_set_not_null(builder, CRD_AVAILABLE_CONNECTIONS, "display_name", "display_name");
	crd_plan_alter(builder, CRD_AVAILABLE_CONNECTIONS, "drop name", "DROP COLUMN name");
	crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_AVAILABLE_CONNECTIONS, AccessExclusiveLock,
				 "slug identifies an entry",
				 "ALTER TABLE connections.available_connections ADD UNIQUE (slug)");
	recreate_dropped(builder, CRD_AVAILABLE_CONNECTIONS);
}

void
crd_step1_down(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	StringInfoData rows;

	builder->plan->rows[1] = schema->nentries;
	crd_plan_save_columns(builder, CRD_DOWN);
	crd_plan_delete_saved(builder, CRD_SAVE, "saved_entry", builder->saved->entries != NIL);
	initStringInfo(&rows);
	for (int i = 0; i < schema->nentries; i++)
		appendStringInfo(&rows, "%s(%s, %s, %s, %s)", i ? ", " : "",
						 crd_quote_nullable(schema->entries[i].id),
						 crd_quote_nullable(schema->entries[i].slug),
						 crd_quote_nullable(schema->entries[i].display_name),
						 crd_quote_nullable(schema->entries[i].auth_type));
	if (rows.len)
		crd_plan_add(builder, CRD_SAVE, CRD_AS_EXTENSION_OWNER, CRD_AVAILABLE_CONNECTIONS, RowExclusiveLock,
					 "save the entries for when step 1 is applied again",
					 "INSERT INTO connections_redesign.saved_entry (id, slug, display_name, auth_type) VALUES %s",
					 rows.data);

	crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_AVAILABLE_CONNECTIONS, AccessExclusiveLock,
				 "add name, without values",
				 "ALTER TABLE connections.available_connections ADD COLUMN name %s",
				 new_type(builder, "name"));
	fill(builder, CRD_AVAILABLE_CONNECTIONS, "name", crd_plan_saved_type(builder, "name"),
		 "slug::text");
	if (crd_plan_saved_not_null(builder, "name"))
		crd_plan_set_not_null(builder, CRD_AVAILABLE_CONNECTIONS, "name", "name");
	crd_plan_alter(builder, CRD_AVAILABLE_CONNECTIONS, "drop slug, display_name and auth_type",
				   "DROP COLUMN slug, DROP COLUMN display_name, DROP COLUMN auth_type");
	if (builder->saved->columns[1] == NIL)
		crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_AVAILABLE_CONNECTIONS, AccessExclusiveLock,
					 "name identifies an entry",
					 "ALTER TABLE connections.available_connections ADD UNIQUE (name)");
	recreate_dropped(builder, CRD_AVAILABLE_CONNECTIONS);
}

/*
 * Step 2: connections gets available_connection_id, filled by the mapping, and
 * the sync trigger, which maintains it until step 4.
 */
void
crd_step2_up(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	const char *type = schema->column[CRD_ENTRY_ID].type;

	builder->plan->rows[2] = crd_context_mapping(builder->context)->total;
	crd_plan_delete_saved_columns(builder, CRD_SAVE);
	crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
				 "add the new column, without values",
				 "ALTER TABLE connections.connections ADD COLUMN available_connection_id text");
	fill(builder, CRD_CONNECTIONS, "available_connection_id", type,
		 crd_mapping_expr(schema, crd_id_literals(schema)));
	if (builder->context->target < 4)
		crd_plan_create_sync_trigger(builder);
	recreate_dropped(builder, CRD_CONNECTIONS);
}

void
crd_step2_down(CrdPlanBuilder *builder)
{
	crd_plan_save_columns(builder, CRD_DOWN);
	crd_plan_drop_trigger(builder, builder->schema->has_sync_trigger, CRD_SYNC_TRIGGER,
						  "the sync trigger is no longer needed");
	crd_plan_alter(builder, CRD_CONNECTIONS, "drop available_connection_id",
				   "DROP COLUMN available_connection_id");
}

/*
 * Step 3: available_connection_id becomes NOT NULL, gets a foreign key ON DELETE
 * RESTRICT, and an index.  An existing index is used, and saved_index has its
 * name, so that a rollback keeps it.
 */
void
crd_step3_up(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;

	builder->plan->rows[3] = crd_context_mapping(builder->context)->total;
	crd_plan_save_index(builder);
	crd_plan_alter(builder, CRD_CONNECTIONS, "set available_connection_id NOT NULL",
				   "ALTER COLUMN available_connection_id SET NOT NULL");
	crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, ShareRowExclusiveLock,
				 CRD_STEP3_FOREIGN_KEY_PURPOSE,
				 "ALTER TABLE connections.connections ADD " CRD_STEP3_FOREIGN_KEY);
	if (!schema->has_fk_index)
		crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, ShareLock,
					 CRD_STEP3_INDEX_PURPOSE,
					 "CREATE INDEX ON connections.connections " CRD_STEP3_INDEX);
	/* another tool that applied step 2 has created no sync trigger */
	if (schema->version == 2 && !schema->has_sync_trigger && builder->context->target < 4)
		crd_plan_create_sync_trigger(builder);
}

void
crd_step3_down(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	Oid			index = schema->step3_index;

	crd_plan_delete_saved(builder, CRD_SAVE, "saved_index", builder->saved->index_predates);
	if (OidIsValid(schema->fk))
		crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
					 "drop the foreign key",
					 "ALTER TABLE connections.connections DROP CONSTRAINT %s",
					 quote_identifier(schema->fk_name));
	if (OidIsValid(index) && !builder->saved->index_predates)
		crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
					 "drop the index", "DROP INDEX %s", crd_qualified_name(index));
	if (builder->online || builder->context->target >= 2)
		crd_plan_alter(builder, CRD_CONNECTIONS, "allow NULL in available_connection_id",
					   "ALTER COLUMN available_connection_id DROP NOT NULL");
}

/*
 * Step 4: connections loses provider and type, and name becomes the nullable
 * label.
 */
void
crd_step4_up(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	bool		has_id = crd_has_filled_ids(schema);
	List	   *entry_types = crd_context_entry_types(builder->context);
	const char **types = crd_type_literals(schema, entry_types);
	const char **ids = crd_id_literals(schema);
	bool		connection_types = false;
	ListCell   *lc;

	foreach(lc, entry_types)
	{
		CrdEntryType *entry_type = lfirst(lc);

		builder->plan->rows[4] += entry_type->count;
		connection_types |= entry_type->has_connection_types;
	}

	crd_plan_save_columns(builder, CRD_UP);
	crd_plan_save_entry_types(builder);
	if (connection_types)
		crd_plan_add(builder, CRD_SAVE, CRD_SAVE_CONNECTION_TYPES, CRD_CONNECTIONS, AccessShareLock,
					 "save the type of the other connections",
					 "SELECT %s, (%s)::text, type::text FROM connections.connections"
					 " WHERE type::text COLLATE \"C\" IS DISTINCT FROM (%s)",
					 schema->pk_text_expr,
					 has_id ? "available_connection_id" : crd_mapping_expr(schema, ids),
					 has_id ? crd_case_by_entry_id(schema, types) : crd_mapping_expr(schema, types));
	if (connection_types)
		crd_plan_save_key_expression(builder);

	crd_plan_drop_trigger(builder, schema->has_sync_trigger, CRD_SYNC_TRIGGER,
						  "the sync trigger is no longer needed");
	if (schema->column[CRD_NAME].not_null)
		crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
					 "allow NULL in label",
					 "ALTER TABLE connections.connections ALTER COLUMN name DROP NOT NULL");
	crd_plan_drop_partition_not_nulls(builder, CRD_PREPARE);
	crd_plan_alter(builder, CRD_CONNECTIONS, "drop provider and type",
				   "DROP COLUMN provider, DROP COLUMN type");
	crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
				 "rename name to label",
				 "ALTER TABLE connections.connections RENAME COLUMN name TO label");

	/* last, as a subscriber has this shape only before or after the step */
	crd_finish_step4_up(builder);
}

void
crd_step4_down(CrdPlanBuilder *builder)
{
	CrdRollbackExprs *exprs = crd_context_rollback_exprs(builder->context);
	CrdRollbackCounts *counts = crd_context_rollback_counts(builder->context);
	const CrdSavedState *saved = builder->saved;

	builder->plan->rows[4] = counts->total;
	crd_plan_delete_saved(builder, CRD_SAVE, "saved_null_label", saved->has_null_labels);
	if (counts->null_labels > 0)
		crd_plan_add(builder, CRD_SAVE, CRD_SAVE_NULL_LABELS, CRD_CONNECTIONS, AccessShareLock,
					 "save which labels are NULL, for when step 4 is applied again",
					 "SELECT %s FROM connections.connections WHERE label IS NULL",
					 builder->schema->pk_text_expr);
	if (counts->null_labels > 0)
		crd_plan_save_key_expression(builder);
	if (counts->null_labels > 0 || counts->config_changes > 0)
		crd_plan_add(builder, CRD_PREPARE, CRD_RUN_AS_REPLICA, CRD_CONNECTIONS, RowExclusiveLock,
					 "set NULL labels to the empty string, and the capability in config",
					 "UPDATE connections.connections SET label = %s, config = %s"
					 " WHERE %s OR %s",
					 exprs->label, exprs->config, exprs->label_changes, exprs->config_changes);
	crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
				 "add provider and type, without values",
				 "ALTER TABLE connections.connections ADD COLUMN provider text, ADD COLUMN type text");
	fill(builder, CRD_CONNECTIONS, "provider",
		 crd_plan_saved_type(builder, "provider"), exprs->provider);
	fill(builder, CRD_CONNECTIONS, "type",
		 crd_plan_saved_type(builder, "type"), exprs->type);
	if (crd_plan_saved_not_null(builder, "provider"))
		crd_plan_set_not_null(builder, CRD_CONNECTIONS, "provider", "provider");
	if (crd_plan_saved_not_null(builder, "type"))
		crd_plan_set_not_null(builder, CRD_CONNECTIONS, "type", "type");
	if (crd_plan_saved_not_null(builder, "name"))
		crd_plan_set_not_null(builder, CRD_CONNECTIONS, "name", "label");
	crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
				 "rename label to name",
				 "ALTER TABLE connections.connections RENAME COLUMN label TO name");
	recreate_dropped(builder, CRD_CONNECTIONS);
	if (builder->context->target >= 2)
		crd_plan_create_sync_trigger(builder);
	crd_plan_delete_saved_columns(builder, CRD_FINISH);
	crd_plan_delete_saved_types(builder, CRD_FINISH);
}

/*
 * Give a new column its type and, in the rewrite, its values.  The online mode
 * rewrites nothing, as a rewrite is not MVCC-safe; it updates the few entries.
 */
static void
fill(CrdPlanBuilder *builder, CrdTable table, const char *column,
	 const char *type, const char *value)
{
	if (builder->online)
	{
		crd_plan_add(builder, CRD_PREPARE, CRD_RUN_AS_REPLICA, table, RowExclusiveLock,
					 psprintf("fill %s", column), "UPDATE %s SET %s = (%s)::%s",
					 builder->schema->relation[table].name, column, value, type);
		return;
	}
	crd_plan_alter(builder, table, psprintf("fill %s", column),
				   "ALTER COLUMN %s TYPE %s USING ((%s)::%s)", column, type, value, type);
	if (table == CRD_CONNECTIONS)
	{
		builder->plan->rewrites = true;
		appendStringInfo(&builder->filled, "%s%s", builder->filled.len ? ", " : "",
						 column);
	}
}

/*
 * The type with which a column is added.  A rewrite changes it when it sets the
 * values, so that the type can be a domain that is NOT NULL.
 */
static const char *
new_type(CrdPlanBuilder *builder, const char *column)
{
	return builder->online ? crd_plan_saved_type(builder, column) : "text";
}

/* Restore the objects that were dropped together with the columns. */
static void
recreate_dropped(CrdPlanBuilder *builder, CrdTable table)
{
	ListCell   *lc;

	foreach(lc, builder->saved->ddl[builder->step])
		crd_plan_restore(builder, CRD_FINISH, table, AccessExclusiveLock, lfirst(lc),
						 crd_saved_ddl_statement(lfirst(lc)));
}
