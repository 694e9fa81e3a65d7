/*-------------------------------------------------------------------------
 *
 * check_dependents.c
 *	  Checks of what depends on the columns that go, and of the names of what
 *	  comes back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "base/sql_exec.h"
#include "checks/checks_internal.h"
#include "schema/dependents.h"

/*
 * Report the indexes that cannot stay what they are, the replica identity of a
 * table: one of a column that may be NULL afterwards, which PostgreSQL refuses,
 * or that goes with a column, after which no update or delete is possible where
 * they are published.  Of a partitioned table, it is the partitions' that count.
 */
static void
report_replica_identities(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;
	bool		up = report->direction == CRD_FORWARD;
	bool		becomes_nullable = crd_context_includes_step(report->context, up ? 4 : 3);
	bool		only_online = !up && report->context->target < 2 && !report->context->online;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		StringInfoData dropped;
		CrdResult  *rows;

		initStringInfo(&dropped);
		for (int i = 0; i < CRD_NDROPPED_COLUMNS; i++)
			if (crd_dropped_columns[i].up == up && crd_context_includes_step(report->context, crd_dropped_columns[i].step) &&
				schema->column[crd_dropped_columns[i].column].table == table)
				appendStringInfo(&dropped, "%s%s", dropped.len ? "," : "",
								 schema->column[crd_dropped_columns[i].column].name);
		rows = crd_query(CRD_CALLER,
						 "SELECT format('index %s, replica identity of table %s%s', indexrelid::regclass, indrelid::regclass, ' in publication ' || p.names),"
						 " goes AND relkind = 'r' AND p.names IS NOT NULL, nullable"
						 " FROM (SELECT i.indexrelid, i.indrelid, c.relkind, bool_or(a.attname = ANY ($2::text[])) AS goes,"
						 "   bool_or(a.attname = $3 AND a.attnum = ANY ((i.indkey::int2[])[:i.indnkeyatts - 1])) AS nullable"
						 "  FROM (SELECT $1::oid AS relid UNION SELECT relid FROM pg_partition_tree($1::oid)) t"
						 "  JOIN pg_index i ON i.indrelid = t.relid AND i.indisreplident"
						 "  JOIN pg_class c ON c.oid = i.indrelid"
						 "  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
						 "  GROUP BY 1, 2, 3) i"
						 " CROSS JOIN LATERAL (SELECT string_agg(DISTINCT quote_ident(p.pubname), ', ') AS names"
						 "  FROM pg_publication p JOIN pg_publication_tables t USING (pubname)"
						 "  JOIN pg_namespace n ON n.nspname = t.schemaname"
						 "  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename"
						 "  WHERE goes AND (p.pubupdate OR p.pubdelete)"
						 "  AND c.oid IN (SELECT indrelid UNION SELECT relid FROM pg_partition_ancestors(indrelid))) p"
						 " ORDER BY 1", 3,
						 psprintf("%u", schema->relation[table].relid), psprintf("{%s}", dropped.data),
						 table == CRD_AVAILABLE_CONNECTIONS || !becomes_nullable ? NULL : up ? "name" : "available_connection_id");
		for (int i = 0; i < rows->nrows; i++)
		{
			const char *const *row = rows->row[i];

			if (crd_is_true(row[1]))
				crd_report_put(report, CRD_ERROR, row[0], "one that stays, as updates or deletes are published",
							   "Set another REPLICA IDENTITY before the migration.");
			else if (crd_is_true(row[2]))
				crd_report_put(report, only_online ? CRD_WARNING : CRD_ERROR, row[0],
							   psprintf("one without %s, which may be NULL afterwards", up ? "name" : "available_connection_id"),
							   only_online ? "The atomic mode can go back; the online mode refuses." :
							   "Set another REPLICA IDENTITY before the migration.");
		}
	}
}

/*
 * Report what uses columns of steps 2 and 4, where the atomic mode is to take both
 * at once: its plan is made beforehand, when that is not yet as the later of them
 * will find it.
 */
static void
report_across_steps(CrdReport *report)
{
	const CrdSavedState *saved = report->context->saved;
	bool		up = report->direction == CRD_FORWARD;
	List	   *across = NIL;
	List	   *of_label = NIL;
	ListCell   *lc;

	if (report->context->online || !crd_context_includes_step(report->context, 2) || !crd_context_includes_step(report->context, 4))
		return;
	foreach(lc, up ? saved->ddl[2] : saved->ddl[4])
	{
		CrdSavedDdl *ddl = lfirst(lc);

		if (ddl->kind != CRD_DDL_COLUMN_PROPERTY && ddl->columns &&
			crd_query(CRD_CALLER, "SELECT WHERE $1::text[] && $2::text[]", 2, ddl->columns,
					  up ? "{provider,type,name}" : "{available_connection_id}")->nrows > 0)
			across = lappend(across, unconstify(char *, crd_saved_ddl_statement(ddl)));
	}
	if (!up)
		of_label = crd_dependents(report->context->schema, CRD_LABEL);
	foreach(lc, up ? NIL : crd_dependents(report->context->schema, CRD_AVAILABLE_CONNECTION_ID))
	{
		CrdDependent *dependent = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, of_label)
		{
			if (dependent->restorable && strcmp(((CrdDependent *) lfirst(lc2))->description, dependent->description) == 0)
				across = lappend(across, unconstify(char *, dependent->description));
		}
	}
	foreach(lc, across)
		crd_report_put(report, CRD_ERROR, psprintf("columns of steps 2 and 4 in: %s", (char *) lfirst(lc)),
					   "none, where both steps are taken at once",
					   "Go to version 3 first, and then on; or use the online mode.");
}

void
crd_check_dependent_objects(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;
	List	   *seen = NIL;
	ListCell   *lc;

	for (int i = 0; i < CRD_NDROPPED_COLUMNS; i++)
	{
		const CrdDroppedColumn *drop = &crd_dropped_columns[i];
		const CrdColumn *column = &schema->column[drop->column];

		if (drop->up != (report->direction == CRD_FORWARD) || !crd_context_includes_step(report->context, drop->step))
			continue;
		foreach(lc, crd_dependents(schema, drop->column))
		{
			CrdDependent *dependent = lfirst(lc);
			bool		known = false;
			ListCell   *lc2;

			foreach(lc2, seen)
				if (strcmp(lfirst(lc2), dependent->description) == 0)
				known = true;
			if (known)
				continue;
			seen = lappend(seen, unconstify(char *, dependent->description));
			if (dependent->restorable)
				crd_report_put(report, CRD_WARNING, psprintf("%s, on column %s", dependent->description, column->name),
							   "it goes with the column", "The way back restores it.");
			else
				crd_report_put(report, CRD_ERROR, psprintf("%s, on column %s", dependent->description, column->name),
							   "nothing that DROP COLUMN would refuse or lose",
							   "Drop the object before the migration, or make it do without the column; nothing is dropped with CASCADE.");
		}
	}
	report_replica_identities(report);
	report_across_steps(report);
	for (int step = 1; step <= CRD_LAST_STEP; step++)
		foreach(lc, crd_context_includes_step(report->context, step) ? report->context->saved->unrestorable[step] : NIL)
			crd_report_put(report, CRD_WARNING, lfirst(lc), "roles and partitions that are there",
						   "It will not come back; create the role, or give the partition that name again before, if it should.");
	if (report->direction == CRD_FORWARD && crd_context_includes_step(report->context, 4) &&
		report->context->saved->has_null_labels)
	{
		crd_report_foreign_keys(report, CRD_NAME);
		if (crd_saved_by_other_key(schema, report->context->saved))
			crd_report_put(report, CRD_WARNING, psprintf("primary key %s", schema->pk_text_expr),
						   psprintf("primary key %s, by which NULL labels were kept", report->context->saved->pk_text_expr),
						   "Labels that were NULL stay empty, unless that primary key is put back.");
	}
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		bool		rewritten = table == CRD_AVAILABLE_CONNECTIONS ? crd_context_includes_step(report->context, 1) :
		crd_context_includes_step(report->context, 2) || crd_context_includes_step(report->context, 4);

		foreach(lc, rewritten ? crd_row_type_users(schema, table) : NIL)
			crd_report_put(report, CRD_ERROR,
						   psprintf("%s, which uses the row type of %s",
									((CrdDependent *) lfirst(lc))->description,
									schema->relation[table].name),
						   "nothing that keeps the table from being rewritten",
						   "Drop it before the migration, or change its type.");
	}
	if (report->rows == NIL ||
		((CrdReportRow *) llast(report->rows))->check_name != report->check_name)
		crd_report_put(report, CRD_OK, "nothing", "nothing that depends on the columns", NULL);
}

/* Functions whose body is a string, and the columns that they mention. */
void
crd_check_function_bodies(CrdReport *report)
{
	/* step 4 and its way back drop these, too, for whoever uses the name */
	static const CrdDroppedColumn renames[] = {{4, true, CRD_NAME}, {4, false, CRD_LABEL}};
	CrdColumnId columns[CRD_NDROPPED_COLUMNS + lengthof(renames)];
	List	   *functions = NIL;
	int			ncolumns = 0;
	ListCell   *lc;

	for (int i = 0; i < lengthof(columns); i++)
	{
		const CrdDroppedColumn *drop = i < CRD_NDROPPED_COLUMNS ? &crd_dropped_columns[i] : &renames[i - CRD_NDROPPED_COLUMNS];

		if (drop->up == (report->direction == CRD_FORWARD) && crd_context_includes_step(report->context, drop->step))
			columns[ncolumns++] = drop->column;
	}
	if (ncolumns > 0)
		functions = crd_functions_mentioning(report->context->schema, columns, ncolumns);
	foreach(lc, functions)
		crd_report_put(report, CRD_WARNING, ((CrdDependent *) lfirst(lc))->description,
					   "no function that uses what is dropped or renamed",
					   "It may stop working afterwards: look at it, and change it together with the application.");
	if (functions == NIL)
		crd_report_put(report, CRD_OK, "nothing", "no function that uses what is dropped or renamed", NULL);
}

/* What brings a NOT NULL back that has a name, as far as that goes. */
static CrdSavedDdl *
not_null_statement(const char *relation, const char *name)
{
	CrdSavedDdl *ddl = palloc0(sizeof(CrdSavedDdl));

	ddl->kind = CRD_DDL_NOT_NULL;
	ddl->relation = relation;
	ddl->name = name;
	return ddl;
}

/*
 * The names that the steps choose are free; given are those of the bridge, and of
 * what comes back.
 */
void
crd_check_name_conflicts(CrdReport *report)
{
	const CrdContext *context = report->context;
	const CrdSchema *schema = context->schema;
	List	   *statements = NIL;
	List	   *taken;
	ListCell   *lc;

	for (int step = 1; step <= CRD_LAST_STEP; step++)
	{
		const char *table = schema->relation[step == 1 ? CRD_AVAILABLE_CONNECTIONS : CRD_CONNECTIONS].name;
		bool		crosses = crd_context_includes_step(report->context, step);

		/* the columns are there again, and what goes with them is to come */
		bool		rest = step == schema->partial_step && !schema->partial_up &&
		crd_past_point_of_no_return(schema);

		foreach(lc, crosses && !rest ? context->saved->columns[step] : NIL)
		{
			CrdSavedColumn *column = lfirst(lc);

			if (column->not_null_conname)
				statements = lappend(statements, not_null_statement(table, column->not_null_conname));
		}
		if (crosses && !rest)
			statements = list_concat(statements, context->saved->partition_not_nulls[step]);
		if (crosses || rest)
			statements = list_concat(statements, context->saved->ddl[step]);
	}
	taken = crd_name_conflicts(statements);
	foreach(lc, taken)
		crd_report_put(report, CRD_ERROR, ((CrdDependent *) lfirst(lc))->description,
					   "no other object by the name of one that comes back",
					   "Rename or drop the object before.");
	if (report->direction == CRD_FORWARD && schema->version < 2 && schema->has_sync_trigger &&
		schema->partial_step != 2)
		crd_report_put(report, CRD_ERROR, psprintf("a trigger %s on connections", CRD_SYNC_TRIGGER),
					   "no trigger of that name", "Drop or rename the trigger.");
	else if (taken == NIL)
		crd_report_put(report, CRD_OK, "no name is taken", "names that the migration needs are free", NULL);
}
