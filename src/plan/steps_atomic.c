/*-------------------------------------------------------------------------
 *
 * steps_atomic.c
 *	  The four steps, up and down, as lists of actions.
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
 * Step 1: the catalog gets slug (from name), display_name and auth_type, and
 * loses name.
 */
void
crd_step1_up(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	StringInfoData auth_type;
	StringInfoData display_name;

	builder->plan->rows[1] = schema->nentries;
	crd_plan_save_columns(builder, true);
	crd_plan_delete_saved(builder, CRD_SAVE, "saved_entry", builder->saved->entries != NIL);

	crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_AVAILABLE_CONNECTIONS, AccessExclusiveLock,
				 "add the new columns, without values yet",
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
	crd_plan_save_columns(builder, false);
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
					 "keep the entries for when step 1 is applied again",
					 "INSERT INTO connections_redesign.saved_entry (id, slug, display_name, auth_type) VALUES %s",
					 rows.data);

	crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_AVAILABLE_CONNECTIONS, AccessExclusiveLock,
				 "bring name back, without values yet",
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
 * the bridge that keeps it right until step 4.
 */
void
crd_step2_up(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	const char *type = schema->column[CRD_ENTRY_ID].type;

	builder->plan->rows[2] = crd_context_mapping(builder->context)->total;
	crd_plan_delete_saved_columns(builder, CRD_SAVE);
	crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
				 "add the new column, without values yet",
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
	crd_plan_save_columns(builder, false);
	crd_plan_drop_trigger(builder, builder->schema->has_sync_trigger, CRD_SYNC_TRIGGER,
						  "the bridge has nothing to fill any more");
	crd_plan_alter(builder, CRD_CONNECTIONS, "drop available_connection_id",
				   "DROP COLUMN available_connection_id");
}

/*
 * Step 3: available_connection_id becomes NOT NULL, a foreign key ON DELETE
 * RESTRICT, and indexed.  An index that is already there serves, and stays when
 * the step is undone; saved_ddl has its name, as a marker only.
 */
void
crd_step3_up(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;

	builder->plan->rows[3] = crd_context_mapping(builder->context)->total;
	crd_plan_save_index(builder);
	crd_plan_alter(builder, CRD_CONNECTIONS, "available_connection_id is required",
				   "ALTER COLUMN available_connection_id SET NOT NULL");
	crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, ShareRowExclusiveLock,
				 "every connection is of an available kind, and no kind in use can be deleted",
				 "ALTER TABLE connections.connections ADD FOREIGN KEY (available_connection_id)"
				 " REFERENCES connections.available_connections (id) ON DELETE RESTRICT");
	if (!schema->has_fk_index)
		crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, ShareLock,
					 "find the connections of a kind",
					 "CREATE INDEX ON connections.connections (available_connection_id)");
	/* others who applied step 2 had no bridge; NOT NULL makes it necessary */
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
		crd_plan_alter(builder, CRD_CONNECTIONS, "available_connection_id may be NULL",
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
	List	   *dictionary = crd_context_entry_types(builder->context);
	const char **types = crd_type_literals(schema, dictionary);
	const char **ids = crd_id_literals(schema);
	bool		exceptions = false;
	ListCell   *lc;

	foreach(lc, dictionary)
	{
		CrdEntryType *entry_type = lfirst(lc);

		builder->plan->rows[4] += entry_type->count;
		exceptions |= entry_type->exceptions;
	}

	crd_plan_save_columns(builder, true);
	crd_plan_save_entry_types(builder);
	if (exceptions)
		crd_plan_add(builder, CRD_SAVE, CRD_SAVE_CONNECTION_TYPES, CRD_CONNECTIONS, AccessShareLock,
					 "keep the type of the other connections",
					 "SELECT %s, (%s)::text, type::text FROM connections.connections"
					 " WHERE type::text COLLATE \"C\" IS DISTINCT FROM (%s)",
					 schema->pk_text_expr,
					 has_id ? "available_connection_id" : crd_mapping_expr(schema, ids),
					 has_id ? crd_case_by_entry_id(schema, types) : crd_mapping_expr(schema, types));
	if (exceptions)
		crd_plan_save_key_expression(builder);

	crd_plan_drop_trigger(builder, schema->has_sync_trigger, CRD_SYNC_TRIGGER,
						  "the bridge has nothing to read any more");
	if (schema->column[CRD_NAME].not_null)
		crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
					 "label may be NULL",
					 "ALTER TABLE connections.connections ALTER COLUMN name DROP NOT NULL");
	crd_plan_drop_partition_not_nulls(builder, CRD_PREPARE);
	crd_plan_alter(builder, CRD_CONNECTIONS, "drop provider and type",
				   "DROP COLUMN provider, DROP COLUMN type");
	crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
				 "name becomes label",
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
					 "remember which labels are NULL, for when step 4 is applied again",
					 "SELECT %s FROM connections.connections WHERE label IS NULL",
					 builder->schema->pk_text_expr);
	if (counts->null_labels > 0)
		crd_plan_save_key_expression(builder);
	if (counts->null_labels > 0 || counts->config_changes > 0)
		crd_plan_add(builder, CRD_PREPARE, CRD_RUN_AS_REPLICA, CRD_CONNECTIONS, RowExclusiveLock,
					 "NULL labels become empty names, and config tells the capability",
					 "UPDATE connections.connections SET label = %s, config = %s"
					 " WHERE %s OR %s",
					 exprs->label, exprs->config, exprs->label_changes, exprs->config_changes);
	crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
				 "bring provider and type back, without values yet",
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
				 "label becomes name",
				 "ALTER TABLE connections.connections RENAME COLUMN label TO name");
	recreate_dropped(builder, CRD_CONNECTIONS);
	if (builder->context->target >= 2)
		crd_plan_create_sync_trigger(builder);
	crd_plan_delete_saved_columns(builder, CRD_FINISH);
	crd_plan_delete_saved_types(builder, CRD_FINISH);
}

/* What the steps need */

/*
 * Give a new column its type and, in the rewrite, its values.  OnlineRun nothing is
 * rewritten, which is not MVCC-safe: the few rows of the catalog are updated.
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
 * The type to add a column with: a rewrite changes it when it gives the values,
 * so that one that has to be filled can be a domain that is NOT NULL.
 */
static const char *
new_type(CrdPlanBuilder *builder, const char *column)
{
	return builder->online ? crd_plan_saved_type(builder, column) : "text";
}

/* Run again what was kept when the columns were dropped. */
static void
recreate_dropped(CrdPlanBuilder *builder, CrdTable table)
{
	ListCell   *lc;

	foreach(lc, builder->saved->ddl[builder->step])
		crd_plan_restore(builder, CRD_FINISH, table, AccessExclusiveLock, lfirst(lc),
						 crd_saved_ddl_statement(lfirst(lc)));
}
