/*-------------------------------------------------------------------------
 *
 * planner.c
 *	  What the atomic and the online form of the steps are planned with: putting
 *	  actions together, and the keepsake's part in them.  See planner.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "bridge.h"
#include "planner.h"

static void keep_column(CrdPlanner *planner, StringInfo values, bool up,
						int *seq, CrdColumnId id);

void
crd_planner_init(CrdPlanner *planner, CrdFindings *findings, bool online)
{
	memset(planner, 0, sizeof(CrdPlanner));
	planner->findings = findings;
	planner->schema = findings->schema;
	planner->keepsake = findings->keepsake;
	planner->online = online;
	planner->plan = palloc0(sizeof(CrdPlan));
	initStringInfo(&planner->filled);
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		initStringInfo(&planner->clauses[table]);
		initStringInfo(&planner->purposes[table]);
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
crd_plan_collect(CrdPlanner *planner, bool up)
{
	List	   *actions = NIL;

	for (int i = 0; i < CRD_NTABLES; i++)
	{
		CrdTable	table = up == (i == 0) ? CRD_CATALOG : CRD_CONNECTIONS;
		StringInfo	clauses = &planner->clauses[table];

		if (clauses->len > 0)
			planner->parts[table][CRD_REWRITE] =
				list_make1(crd_plan_action(planner->clauses_step[table], CRD_RUN, table,
										   AccessExclusiveLock,
										   pstrdup(planner->purposes[table].data),
										   psprintf("ALTER TABLE %s %s",
													planner->schema->relation[table].name,
													clauses->data)));
		resetStringInfo(clauses);
		planner->clauses_step[table] = 0;
		resetStringInfo(&planner->purposes[table]);
		for (CrdPart part = 0; part < CRD_NPARTS; part++)
		{
			actions = list_concat(actions, planner->parts[table][part]);
			planner->parts[table][part] = NIL;
		}
	}
	return actions;
}

CrdAction *
crd_plan_add(CrdPlanner *planner, CrdPart part, CrdActionKind kind, CrdTable table,
			 LOCKMODE lock_mode, const char *purpose, const char *format,...)
{
	StringInfoData buf;
	CrdAction  *action;
	int			needed;

	initStringInfo(&buf);
	do
	{
		va_list		args;

		va_start(args, format);
		needed = appendStringInfoVA(&buf, format, args);
		va_end(args);
		if (needed)
			enlargeStringInfo(&buf, needed);
	} while (needed);
	action = crd_plan_action(planner->step, kind, table, lock_mode, purpose, buf.data);
	planner->parts[table][part] = lappend(planner->parts[table][part], action);
	return action;
}

void
crd_plan_restore(CrdPlanner *planner, CrdPart part, CrdTable table,
				 LOCKMODE lock_mode, const CrdKeptStatement *kept,
				 const char *statement)
{
	crd_plan_add(planner, part, CRD_RUN, table, lock_mode,
				 "bring back what went with the column", "%s", statement)->role = kept->grantor;
}

void
crd_plan_alter(CrdPlanner *planner, CrdTable table, const char *purpose,
			   const char *format,...)
{
	StringInfo	buf = &planner->clauses[table];
	int			needed;

	if (buf->len)
		appendStringInfoString(buf, ", ");
	do
	{
		va_list		args;

		va_start(args, format);
		needed = appendStringInfoVA(buf, format, args);
		va_end(args);
		if (needed)
			enlargeStringInfo(buf, needed);
	} while (needed);
	appendStringInfo(&planner->purposes[table], "%s%s",
					 planner->purposes[table].len ? "; " : "", purpose);
	planner->clauses_step[table] = Max(planner->clauses_step[table], planner->step);
}

void
crd_plan_keep_columns(CrdPlanner *planner, bool up)
{
	const CrdSchema *schema = planner->schema;
	CrdColumnId columns[CRD_NCOLUMNS];
	int			ncolumns = 0;
	CrdTable	table;
	StringInfoData values;
	int			seq = 0;
	ListCell   *lc;

	for (int i = 0; i < CRD_NDROPS; i++)
		if (crd_drops[i].step == planner->step && crd_drops[i].up == up)
			columns[ncolumns++] = crd_drops[i].column;
	Assert(ncolumns > 0);
	table = schema->column[columns[0]].table;

	crd_plan_forget(planner, CRD_KEEP, "kept_ddl", planner->keepsake->has_ddl[planner->step]);
	initStringInfo(&values);
	for (int i = 0; i < ncolumns; i++)
		keep_column(planner, &values, up, &seq, columns[i]);
	/* name is not dropped but renamed; only its NOT NULL goes */
	if (planner->step == 4)
		keep_column(planner, &values, up, &seq, CRD_NAME);
	crd_plan_add(planner, CRD_KEEP, CRD_RUN_IN_LEDGER, table,
				 RowExclusiveLock, "keep what the dropped columns were, for the way back",
				 "INSERT INTO connections_redesign.kept_ddl"
				 " (step, direction, seq, name, type, not_null, not_null_name, relation) VALUES %s",
				 values.data);

	resetStringInfo(&values);
	foreach(lc, crd_kept_statements(schema, columns, ncolumns))
	{
		CrdKeptStatement *kept = lfirst(lc);

		appendStringInfo(&values, "%s(%d, %s, %d, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
						 values.len ? ", " : "", planner->step, up ? "'up'" : "'down'", ++seq,
						 crd_literal(kept->statement), crd_literal(kept->relation),
						 kept->of_column ? "true" : "false",
						 crd_literal(kept->grantor), crd_literal(kept->grantee),
						 crd_literal(kept->constraint), crd_literal(kept->keys),
						 crd_literal(kept->condition),
						 kept->nulls_distinct ? "true" : "false");
	}
	if (values.len)
		crd_plan_add(planner, CRD_KEEP, CRD_RUN_IN_LEDGER, table,
					 RowExclusiveLock, "keep what goes with them",
					 "INSERT INTO connections_redesign.kept_ddl (step, direction, seq, statement, relation,"
					 " of_column, grantor, grantee, name, keys, condition, nulls_distinct) VALUES %s",
					 values.data);
}

/* NOT NULL on available_connection_id is step 3's, which is undone before. */
static void
keep_column(CrdPlanner *planner, StringInfo values, bool up, int *seq,
			CrdColumnId id)
{
	const CrdColumn *column = &planner->schema->column[id];
	bool		not_null = column->not_null && id != CRD_AVAILABLE_CONNECTION_ID;
	ListCell   *lc;

	appendStringInfo(values, "%s(%d, %s, %d, %s, %s, %s, %s, NULL)",
					 values->len ? ", " : "", planner->step,
					 up ? "'up'" : "'down'", ++*seq,
					 crd_literal(column->name), crd_literal(column->type),
					 not_null ? "true" : "false",
					 crd_literal(not_null ? column->not_null_name : NULL));
	if (!not_null)
		return;
	foreach(lc, crd_own_not_null(planner->schema, id))
	{
		CrdNotNull *own = lfirst(lc);

		appendStringInfo(values, ", (%d, %s, %d, %s, NULL, true, %s, %s)",
						 planner->step, up ? "'up'" : "'down'", ++*seq,
						 crd_literal(own->column), crd_literal(own->name),
						 crd_literal(own->relation));
	}
}

void
crd_plan_keep_index(CrdPlanner *planner)
{
	Oid			index = planner->schema->own_fk_index;

	crd_plan_forget(planner, CRD_KEEP, "kept_ddl", planner->keepsake->has_ddl[3]);
	if (OidIsValid(index))
		crd_plan_add(planner, CRD_KEEP, CRD_RUN_IN_LEDGER, CRD_CONNECTIONS, RowExclusiveLock,
					 "remember that the index was there before",
					 "INSERT INTO connections_redesign.kept_ddl (step, direction, seq, statement) VALUES (3, 'up', 1, %s)",
					 quote_literal_cstr(get_rel_name(index)));
}

void
crd_plan_keep_dictionary(CrdPlanner *planner)
{
	StringInfoData values;
	ListCell   *lc;

	crd_plan_forget_types(planner, CRD_KEEP);
	initStringInfo(&values);
	foreach(lc, crd_findings_dictionary(planner->findings))
	{
		CrdKeptType *kept = lfirst(lc);

		appendStringInfo(&values, "%s(%s, %s)", values.len ? ", " : "",
						 crd_literal(kept->id), crd_literal(kept->type));
	}
	if (values.len)
		crd_plan_add(planner, CRD_KEEP, CRD_RUN_IN_LEDGER, CRD_CONNECTIONS, RowExclusiveLock,
					 "keep the type that most connections of each kind have",
					 "INSERT INTO connections_redesign.kept_type_dictionary (available_connection_id, type) VALUES %s",
					 values.data);
}

void
crd_plan_keep_key(CrdPlanner *planner)
{
	const char *known = planner->keepsake->key;

	if (known && strcmp(known, planner->schema->key) == 0)
		return;
	crd_plan_forget(planner, CRD_KEEP, "kept_key", known != NULL);
	crd_plan_add(planner, CRD_KEEP, CRD_RUN_IN_LEDGER, CRD_CONNECTIONS, RowExclusiveLock,
				 "remember by which key these connections are kept",
				 "INSERT INTO connections_redesign.kept_key (expression) VALUES (%s)",
				 quote_literal_cstr(planner->schema->key));
}

void
crd_plan_forget(CrdPlanner *planner, CrdPart part, const char *from, bool anything)
{
	if (!anything)
		return;
	if (strcmp(from, "kept_ddl") == 0)
		from = psprintf("kept_ddl WHERE step = %d", planner->step);
	crd_plan_add(planner, part, CRD_RUN_IN_LEDGER,
				 planner->step == 1 ? CRD_CATALOG : CRD_CONNECTIONS, RowExclusiveLock,
				 "what was kept has been used",
				 "DELETE FROM connections_redesign.%s", from);
}

void
crd_plan_forget_types(CrdPlanner *planner, CrdPart part)
{
	crd_plan_forget(planner, part, "kept_type_dictionary", planner->keepsake->types != NIL);
	crd_plan_forget(planner, part, "kept_type_exception", planner->keepsake->has_exceptions);
}

void
crd_plan_drop_own_not_null(CrdPlanner *planner, CrdPart part)
{
	CrdRows    *rows;

	rows = crd_fetch(CRD_CALLER,
					 "SELECT n.conrelid::regclass FROM pg_partition_tree($1::oid) t"
					 " JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = 'name'"
					 " JOIN pg_constraint n ON n.conrelid = t.relid AND n.contype = 'n' AND n.conislocal"
					 "  AND n.conkey = ARRAY[a.attnum]"
					 " WHERE t.level > 0 ORDER BY t.level, t.relid", 1,
					 psprintf("%u", planner->schema->relation[CRD_CONNECTIONS].relid));
	for (int i = 0; i < rows->nrows; i++)
		crd_plan_add(planner, part, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
					 "label may be NULL in the partition, too",
					 "ALTER TABLE %s ALTER COLUMN name DROP NOT NULL", rows->row[i][0]);
}

void
crd_plan_create_bridge(CrdPlanner *planner)
{
	/* others may have applied step 4 without dropping it */
	crd_plan_drop_trigger(planner, planner->schema->has_bridge, CRD_BRIDGE_TRIGGER,
						  "make room for the bridge");
	crd_plan_create_trigger(planner, CRD_BRIDGE_TRIGGER,
							"keep available_connection_id right while provider and type are written",
							crd_bridge_ddl(planner->schema));
}

void
crd_plan_create_trigger(CrdPlanner *planner, const char *trigger,
						const char *purpose, const char *ddl)
{
	crd_plan_add(planner, CRD_FINISH, CRD_RUN, CRD_CONNECTIONS, ShareRowExclusiveLock,
				 purpose, "%s", ddl);
	crd_plan_add(planner, CRD_FINISH, CRD_RUN, CRD_CONNECTIONS, ShareRowExclusiveLock,
				 "also for rows that replication or a restore writes",
				 "ALTER TABLE connections.connections ENABLE ALWAYS TRIGGER %s",
				 quote_identifier(trigger));
}

void
crd_plan_drop_trigger(CrdPlanner *planner, bool there, const char *trigger,
					  const char *purpose)
{
	if (there)
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS,
					 AccessExclusiveLock, purpose,
					 "DROP TRIGGER %s ON connections.connections",
					 quote_identifier(trigger));
}

const char *
crd_plan_kept_type(CrdPlanner *planner, const char *column)
{
	const CrdKeptColumn *kept = crd_kept_column(planner->keepsake, planner->step,
												column);

	return kept ? kept->type : "text";
}

void
crd_plan_set_not_null(CrdPlanner *planner, CrdTable table, const char *column,
					  const char *now)
{
	const CrdKeptColumn *kept = crd_kept_column(planner->keepsake, planner->step,
												column);
	const char *purpose = psprintf("%s is required", now);
	const char *clause = psprintf("ALTER COLUMN %s SET NOT NULL", now);
	bool		own = false;
	ListCell   *lc;

	if (kept && kept->not_null_name)
		clause = psprintf("ADD CONSTRAINT %s NOT NULL %s", quote_identifier(kept->not_null_name), now);
	foreach(lc, planner->keepsake->own_not_null[planner->step])
	{
		CrdNotNull *not_null = lfirst(lc);

		if (strcmp(not_null->column, column) != 0)
			continue;
		own = true;
		crd_plan_add(planner, CRD_FINISH, CRD_RUN, table, AccessExclusiveLock, purpose,
					 "ALTER TABLE %s ADD CONSTRAINT %s NOT NULL %s",
					 not_null->relation, quote_identifier(not_null->name), now);
	}

	/* what a partition has becomes part of the table's, and keeps its name */
	if (own)
		crd_plan_add(planner, CRD_FINISH, CRD_RUN, table, AccessExclusiveLock, purpose,
					 "ALTER TABLE %s %s", planner->schema->relation[table].name, clause);
	else
		crd_plan_alter(planner, table, purpose, "%s", clause);
}

bool
crd_plan_kept_not_null(CrdPlanner *planner, const char *column)
{
	return crd_kept_not_null(planner->keepsake, planner->step, column);
}

const char *
crd_qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}
