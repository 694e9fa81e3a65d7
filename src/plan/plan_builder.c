/*-------------------------------------------------------------------------
 *
 * plan_builder.c
 *	  Builds a plan.  See plan_builder.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "data/sync_trigger.h"
#include "plan/plan_builder.h"

static void save_column(CrdPlanBuilder *builder, StringInfo values, CrdDirection direction,
						CrdColumnId id);

void
crd_plan_builder_init(CrdPlanBuilder *builder, CrdContext *context, bool online)
{
	memset(builder, 0, sizeof(CrdPlanBuilder));
	builder->context = context;
	builder->schema = context->schema;
	builder->saved = context->saved;
	builder->online = online;
	builder->plan = palloc0(sizeof(CrdPlan));
	initStringInfo(&builder->filled);
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		initStringInfo(&builder->clauses[table]);
		initStringInfo(&builder->purposes[table]);
	}
}

CrdAction *
crd_plan_action(int step, CrdActionKind kind, CrdTable table, LOCKMODE lock_mode,
				const char *purpose, const char *statement)
{
	CrdAction  *action = palloc0(sizeof(CrdAction));

	action->step = step;
	action->kind = kind;
	action->table = table;
	action->lock_mode = lock_mode;
	action->purpose = purpose;
	action->statement = statement;
	return action;
}

List *
crd_plan_collect(CrdPlanBuilder *builder, CrdDirection direction)
{
	List	   *actions = NIL;

	for (int i = 0; i < CRD_NTABLES; i++)
	{
		CrdTable	table = (direction == CRD_UP) == (i == 0) ? CRD_AVAILABLE_CONNECTIONS : CRD_CONNECTIONS;
		StringInfo	clauses = &builder->clauses[table];

		if (clauses->len > 0)
			builder->sections[table][CRD_REWRITE] =
				list_make1(crd_plan_action(builder->clauses_step[table], CRD_AS_TABLE_OWNER, table,
										   AccessExclusiveLock,
										   pstrdup(builder->purposes[table].data),
										   psprintf("ALTER TABLE %s %s",
													builder->schema->relation[table].name,
													clauses->data)));
		resetStringInfo(clauses);
		builder->clauses_step[table] = 0;
		resetStringInfo(&builder->purposes[table]);
		for (CrdPlanSection section = 0; section < CRD_NSECTIONS; section++)
		{
			actions = list_concat(actions, builder->sections[table][section]);
			builder->sections[table][section] = NIL;
		}
	}
	return actions;
}

/* appendStringInfo() with the arguments of a variadic caller */
#define APPEND_FORMATTED(buf, format) \
	do { \
		va_list		args; \
		int			needed; \
\
		va_start(args, format); \
		needed = appendStringInfoVA(buf, format, args); \
		va_end(args); \
		if (needed == 0) \
			break; \
		enlargeStringInfo(buf, needed); \
	} while (true)

CrdAction *
crd_plan_add(CrdPlanBuilder *builder, CrdPlanSection section, CrdActionKind kind, CrdTable table,
			 LOCKMODE lock_mode, const char *purpose, const char *format,...)
{
	StringInfoData buf;
	CrdAction  *action;

	initStringInfo(&buf);
	APPEND_FORMATTED(&buf, format);
	action = crd_plan_action(builder->step, kind, table, lock_mode, purpose, buf.data);
	builder->sections[table][section] = lappend(builder->sections[table][section], action);
	return action;
}

void
crd_plan_restore(CrdPlanBuilder *builder, CrdPlanSection section, CrdTable table,
				 LOCKMODE lock_mode, const CrdSavedDdl *ddl,
				 const char *statement)
{
	crd_plan_add(builder, section, CRD_AS_TABLE_OWNER, table, lock_mode,
				 "restore what was dropped together with the column", "%s", statement)->role = ddl->grantor;
}

void
crd_plan_alter(CrdPlanBuilder *builder, CrdTable table, const char *purpose,
			   const char *format,...)
{
	StringInfo	buf = &builder->clauses[table];

	if (buf->len)
		appendStringInfoString(buf, ", ");
	APPEND_FORMATTED(buf, format);
	appendStringInfo(&builder->purposes[table], "%s%s",
					 builder->purposes[table].len ? "; " : "", purpose);
	builder->clauses_step[table] = Max(builder->clauses_step[table], builder->step);
}

void
crd_plan_save_columns(CrdPlanBuilder *builder, CrdDirection direction)
{
	const CrdSchema *schema = builder->schema;
	CrdColumnId columns[CRD_NCOLUMNS];
	int			ncolumns = 0;
	CrdTable	table;
	List	   *ddl = NIL;
	StringInfoData values;
	int			seq = 0;
	ListCell   *lc;

	crd_plan_delete_saved_columns(builder, CRD_SAVE);
	initStringInfo(&values);
	for (int i = 0; i < CRD_NDROPPED_COLUMNS; i++)
	{
		const CrdDroppedColumn *drop = &crd_dropped_columns[i];

		if (drop->step != builder->step || drop->direction != direction)
			continue;
		save_column(builder, &values, direction, drop->column);
		if (drop->renamed)
			ddl = crd_partition_not_nulls(schema, drop->column);
		else
			columns[ncolumns++] = drop->column;
	}
	Assert(ncolumns > 0);
	table = schema->column[columns[0]].table;
	ddl = list_concat(ddl, crd_ddl_to_save(schema, columns, ncolumns));
	crd_plan_add(builder, CRD_SAVE, CRD_AS_EXTENSION_OWNER, table,
				 RowExclusiveLock, "save the type and NOT NULL of the columns",
				 "INSERT INTO connections_redesign.saved_column"
				 " (step, direction, name, type, not_null, not_null_conname) VALUES %s",
				 values.data);

	resetStringInfo(&values);
	foreach(lc, ddl)
	{
		CrdSavedDdl *one = lfirst(lc);

		/* NOT NULL on available_connection_id belongs to step 3 */
		if (one->kind == CRD_DDL_NOT_NULL && builder->step == 2)
			continue;
		appendStringInfo(&values, "%s(%d, %s, %d", values.len ? ", " : "",
						 builder->step, quote_literal_cstr(crd_direction_names[direction]), ++seq);
		for (int i = 0; i < CRD_SAVED_DDL_NCOLUMNS; i++)
			appendStringInfo(&values, ", %s", crd_quote_nullable(one->values[i]));
		appendStringInfoChar(&values, ')');
	}
	if (values.len)
		crd_plan_add(builder, CRD_SAVE, CRD_AS_EXTENSION_OWNER, table,
					 RowExclusiveLock, "save the objects that are dropped with them",
					 "INSERT INTO connections_redesign.saved_ddl (step, direction, seq, " CRD_SAVED_DDL_COLUMNS ") VALUES %s",
					 values.data);
}

/* NOT NULL on available_connection_id belongs to step 3. */
static void
save_column(CrdPlanBuilder *builder, StringInfo values, CrdDirection direction, CrdColumnId id)
{
	const CrdColumn *column = &builder->schema->column[id];
	bool		not_null = column->not_null && id != CRD_AVAILABLE_CONNECTION_ID;

	appendStringInfo(values, "%s(%d, %s, %s, %s, %s, %s)",
					 values->len ? ", " : "", builder->step,
					 quote_literal_cstr(crd_direction_names[direction]),
					 crd_quote_nullable(column->name), crd_quote_nullable(column->type),
					 not_null ? "true" : "false",
					 crd_quote_nullable(not_null ? column->not_null_conname : NULL));
}

void
crd_plan_save_index(CrdPlanBuilder *builder)
{
	Oid			index = builder->schema->step3_index;

	crd_plan_delete_saved(builder, CRD_SAVE, "saved_index", builder->saved->index_predates);
	if (OidIsValid(index))
		crd_plan_add(builder, CRD_SAVE, CRD_AS_EXTENSION_OWNER, CRD_CONNECTIONS, RowExclusiveLock,
					 "remember that the index existed before step 3",
					 "INSERT INTO connections_redesign.saved_index (name) VALUES (%s)",
					 quote_literal_cstr(get_rel_name(index)));
}

void
crd_plan_save_entry_types(CrdPlanBuilder *builder)
{
	StringInfoData values;
	ListCell   *lc;

	crd_plan_delete_saved_types(builder, CRD_SAVE);
	initStringInfo(&values);
	foreach(lc, crd_context_entry_types(builder->context))
	{
		CrdEntryType *entry_type = lfirst(lc);

		appendStringInfo(&values, "%s(%s, %s)", values.len ? ", " : "",
						 crd_quote_nullable(entry_type->id), crd_quote_nullable(entry_type->type));
	}
	if (values.len)
		crd_plan_add(builder, CRD_SAVE, CRD_AS_EXTENSION_OWNER, CRD_CONNECTIONS, RowExclusiveLock,
					 "save the type that most connections of each entry have",
					 "INSERT INTO connections_redesign.saved_entry_type (available_connection_id, type) VALUES %s",
					 values.data);
}

void
crd_plan_save_key_expression(CrdPlanBuilder *builder)
{
	const char *known = builder->saved->pk_text_expr;

	if (known && strcmp(known, builder->schema->pk_text_expr) == 0)
		return;
	crd_plan_delete_saved(builder, CRD_SAVE, "saved_key_expression", known != NULL);
	crd_plan_add(builder, CRD_SAVE, CRD_AS_EXTENSION_OWNER, CRD_CONNECTIONS, RowExclusiveLock,
				 "save the key by which these connections are identified",
				 "INSERT INTO connections_redesign.saved_key_expression (expression) VALUES (%s)",
				 quote_literal_cstr(builder->schema->pk_text_expr));
}

void
crd_plan_delete_saved(CrdPlanBuilder *builder, CrdPlanSection section, const char *from, bool exists)
{
	if (!exists)
		return;
	crd_plan_add(builder, section, CRD_AS_EXTENSION_OWNER,
				 builder->step == 1 ? CRD_AVAILABLE_CONNECTIONS : CRD_CONNECTIONS, RowExclusiveLock,
				 "delete saved state that was used",
				 "DELETE FROM connections_redesign.%s", from);
}

void
crd_plan_delete_saved_columns(CrdPlanBuilder *builder, CrdPlanSection section)
{
	crd_plan_delete_saved(builder, section, psprintf("saved_column WHERE step = %d", builder->step),
						  builder->saved->has_columns[builder->step]);
	crd_plan_delete_saved(builder, section, psprintf("saved_ddl WHERE step = %d", builder->step),
						  builder->saved->has_ddl[builder->step]);
}

void
crd_plan_delete_saved_types(CrdPlanBuilder *builder, CrdPlanSection section)
{
	crd_plan_delete_saved(builder, section, "saved_entry_type", builder->saved->entry_types != NIL);
	crd_plan_delete_saved(builder, section, "saved_connection_type", builder->saved->has_connection_types);
}

void
crd_plan_drop_partition_not_nulls(CrdPlanBuilder *builder, CrdPlanSection section)
{
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "SELECT n.conrelid::regclass FROM " CRD_RELATION_TREE("$1::oid") " t"
					 " JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = 'name'"
					 " JOIN pg_constraint n ON n.conrelid = t.relid AND n.contype = 'n' AND n.conislocal"
					 "  AND n.conkey = ARRAY[a.attnum]"
					 " WHERE t.level > 0 ORDER BY t.level, t.relid", 1,
					 builder->schema->relation[CRD_CONNECTIONS].relid_text);
	for (int i = 0; i < rows->nrows; i++)
		crd_plan_add(builder, section, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
					 "allow NULL in label of the partition",
					 "ALTER TABLE %s ALTER COLUMN name DROP NOT NULL", rows->row[i][0]);
}

void
crd_plan_create_sync_trigger(CrdPlanBuilder *builder)
{
	/* another tool may have applied step 4 without dropping it */
	crd_plan_drop_trigger(builder, builder->schema->has_sync_trigger, CRD_SYNC_TRIGGER,
						  "drop the old sync trigger");
	crd_plan_create_trigger(builder, CRD_SYNC_TRIGGER,
							"keep available_connection_id in sync with provider and config",
							crd_sync_trigger_ddl(builder->schema));
}

void
crd_plan_create_trigger(CrdPlanBuilder *builder, const char *trigger,
						const char *purpose, const char *ddl)
{
	crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, ShareRowExclusiveLock,
				 purpose, "%s", ddl);
	crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, ShareRowExclusiveLock,
				 "fire it also for rows that replication or a restore writes",
				 "ALTER TABLE connections.connections ENABLE ALWAYS TRIGGER %s",
				 quote_identifier(trigger));
}

void
crd_plan_drop_trigger(CrdPlanBuilder *builder, bool there, const char *trigger,
					  const char *purpose)
{
	if (there)
		crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS,
					 AccessExclusiveLock, purpose,
					 "DROP TRIGGER %s ON connections.connections",
					 quote_identifier(trigger));
}

const char *
crd_plan_saved_type(CrdPlanBuilder *builder, const char *column)
{
	const CrdSavedColumn *saved_column = crd_saved_column(builder->saved, builder->step,
														  column);

	return saved_column ? saved_column->type : "text";
}

void
crd_plan_set_not_null(CrdPlanBuilder *builder, CrdTable table, const char *column,
					  const char *now)
{
	const CrdSavedColumn *saved_column = crd_saved_column(builder->saved, builder->step,
														  column);
	const char *purpose = psprintf("set %s NOT NULL", now);
	const char *clause = psprintf("ALTER COLUMN %s SET NOT NULL", now);
	bool		own = false;
	ListCell   *lc;

	if (saved_column && saved_column->not_null_conname)
		clause = psprintf("ADD CONSTRAINT %s NOT NULL %s", quote_identifier(saved_column->not_null_conname), now);
	foreach(lc, builder->saved->partition_not_nulls[builder->step])
	{
		CrdSavedDdl *not_null = lfirst(lc);

		/* a text[] of one column, which needs no quotes */
		if (strcmp(not_null->columns, psprintf("{%s}", column)) != 0)
			continue;
		own = true;
		crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, table, AccessExclusiveLock, purpose,
					 "ALTER TABLE %s ADD CONSTRAINT %s NOT NULL %s",
					 not_null->relation, quote_identifier(not_null->name), now);
	}

	/*
	 * constraints of partitions are merged with the table's, and keep their
	 * names
	 */
	if (own)
		crd_plan_add(builder, CRD_FINISH, CRD_AS_TABLE_OWNER, table, AccessExclusiveLock, purpose,
					 "ALTER TABLE %s %s", builder->schema->relation[table].name, clause);
	else
		crd_plan_alter(builder, table, purpose, "%s", clause);
}

bool
crd_plan_saved_not_null(CrdPlanBuilder *builder, const char *column)
{
	return crd_saved_not_null(builder->saved, builder->step, column);
}

void
crd_finish_step4_up(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	const char *condition = psprintf("label::text = '' AND connections_redesign.saved_label_was_null(%s)",
									 schema->pk_text_expr);
	const char *update = psprintf("UPDATE connections.connections SET label = NULL WHERE %s", condition);

	if (!builder->saved->has_null_labels)
		return;
	if (builder->online)
	{
		crd_plan_backfill(builder, CRD_FIX_NULL_LABELS,
						  "set labels to NULL again that were NULL before the rollback and are still empty", update);
		crd_plan_verify_rows(builder, "verify that no such label remains", condition);
	}
	else
		crd_plan_add(builder, CRD_FINISH, CRD_RUN_AS_REPLICA, CRD_CONNECTIONS, RowExclusiveLock,
					 "set labels to NULL again that were NULL before the rollback and are still empty",
					 "%s", update);
	crd_plan_delete_saved(builder, CRD_FINISH, "saved_null_label", true);
	crd_plan_end_phase(builder, "null_labels");
}

void
crd_plan_end_phase(CrdPlanBuilder *builder, const char *name)
{
	CrdPhase   *phase;

	if (!builder->online)
		return;
	phase = palloc0(sizeof(CrdPhase));
	phase->name = name;
	phase->step = builder->step;
	phase->direction = builder->direction;
	phase->rows = builder->plan->rows[builder->step];
	phase->actions = crd_plan_collect(builder, phase->direction);
	if (phase->actions != NIL)
		builder->plan->phases = lappend(builder->plan->phases, phase);
}

void
crd_plan_backfill(CrdPlanBuilder *builder, CrdRowFix fix, const char *purpose,
				  const char *statement)
{
	crd_plan_add(builder, CRD_SAVE, CRD_BACKFILL, CRD_CONNECTIONS, RowExclusiveLock,
				 psprintf("%s, in short transactions and without firing triggers", purpose),
				 "%s", statement)->fix = fix;
}

void
crd_plan_verify_rows(CrdPlanBuilder *builder, const char *purpose, const char *condition)
{
	crd_plan_add(builder, CRD_SAVE, CRD_VERIFY_ROWS, CRD_CONNECTIONS, AccessShareLock, purpose,
				 "SELECT count(*), count(*) FILTER (WHERE %s) FROM connections.connections",
				 condition);
}
