/*-------------------------------------------------------------------------
 *
 * check_dependents.c
 *	  Checks of the objects that depend on the columns that are dropped, and of
 *	  the names of the objects that are restored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/value.h"
#include "utils/builtins.h"

#include "base/sql_exec.h"
#include "checks/checks_internal.h"
#include "schema/dependents.h"

static void report_column_dependents(CrdReport *report);
static void report_replica_identities(CrdReport *report);
static void report_across_steps(CrdReport *report);
static void report_saved_state(CrdReport *report);
static void report_row_type_users(CrdReport *report);
static CrdSavedDdl *not_null_ddl(const char *relation, const char *name);

void
crd_check_dependent_objects(CrdReport *report)
{
	report_column_dependents(report);
	report_replica_identities(report);
	report_across_steps(report);
	report_saved_state(report);
	report_row_type_users(report);
}

/* Report the objects that DROP COLUMN drops or that prevent it, each once. */
static void
report_column_dependents(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;
	List	   *seen = NIL;
	ListCell   *lc;

	for (int i = 0; i < CRD_NDROPPED_COLUMNS; i++)
	{
		const CrdDroppedColumn *drop = &crd_dropped_columns[i];

		if (drop->renamed || !crd_report_drops(report, drop))
			continue;
		foreach(lc, crd_dependents(schema, drop->column))
		{
			CrdDependent *dependent = lfirst(lc);
			Node	   *description = (Node *) makeString(unconstify(char *, dependent->description));
			const char *found = psprintf("%s, on column %s", dependent->description, schema->column[drop->column].name);

			if (list_member(seen, description))
				continue;
			seen = lappend(seen, description);
			if (dependent->restorable)
				crd_report_put_expected(report, CRD_WARNING, found, "an object that is dropped with the column",
										"It is restored when the migration is reversed.");
			else
				crd_report_put_expected(report, CRD_ERROR, found, "no object that DROP COLUMN would refuse or lose",
										"Drop the object before the migration, or change it so that it does not use the column; nothing is dropped with CASCADE.");
		}
	}
}

/*
 * Report the indexes that cannot remain the replica identity of a table: those
 * on a column that becomes nullable, which PostgreSQL does not allow, and those
 * that are dropped with a column, after which published updates and deletes would
 * fail.  For a partitioned table, the replica identities of its partitions
 * count.
 */
static void
report_replica_identities(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;
	bool		up = report->direction == CRD_UP;
	bool		becomes_nullable = crd_context_includes_step(report->context, up ? 4 : 3);
	bool		only_online = !up && report->context->target < 2 && !report->context->online;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		StringInfoData dropped;
		CrdResult  *rows;

		initStringInfo(&dropped);
		for (int i = 0; i < CRD_NDROPPED_COLUMNS; i++)
			if (crd_report_drops(report, &crd_dropped_columns[i]) && !crd_dropped_columns[i].renamed &&
				schema->column[crd_dropped_columns[i].column].table == table)
				appendStringInfo(&dropped, "%s%s", dropped.len ? "," : "",
								 schema->column[crd_dropped_columns[i].column].name);
		rows = crd_query(CRD_CALLER,
						 "SELECT format('index %s, replica identity of table %s%s', indexrelid::regclass, indrelid::regclass, ' in publication ' || p.names),"
						 " dropped AND relkind = 'r' AND p.names IS NOT NULL, nullable"
						 " FROM (SELECT i.indexrelid, i.indrelid, c.relkind, bool_or(a.attname = ANY ($2::text[])) AS dropped,"
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
						 "  WHERE dropped AND (p.pubupdate OR p.pubdelete)"
						 "  AND c.oid IN (SELECT indrelid UNION SELECT relid FROM pg_partition_ancestors(indrelid))) p"
						 " ORDER BY 1", 3,
						 psprintf("%u", schema->relation[table].relid), psprintf("{%s}", dropped.data),
						 table == CRD_AVAILABLE_CONNECTIONS || !becomes_nullable ? NULL : up ? "name" : "available_connection_id");
		for (int i = 0; i < rows->nrows; i++)
		{
			const char *const *row = rows->row[i];

			if (crd_is_true(row[1]))
				crd_report_put_expected(report, CRD_ERROR, row[0], "an index that is not dropped, as updates or deletes are published",
										"Set another REPLICA IDENTITY before the migration.");
			else if (crd_is_true(row[2]))
				crd_report_put_expected(report, only_online ? CRD_WARNING : CRD_ERROR, row[0],
										psprintf("an index without column %s, which becomes nullable", up ? "name" : "available_connection_id"),
										only_online ? "Only the atomic mode can roll back." :
										"Set another REPLICA IDENTITY before the migration.");
		}
	}
}

/*
 * Report the objects that use columns of both step 2 and step 4, if the atomic
 * mode applies both in one call: it builds its plan beforehand, when such an
 * object does not yet exist as the later step will find it.
 */
static void
report_across_steps(CrdReport *report)
{
	const CrdSavedState *saved = report->context->saved;
	bool		up = report->direction == CRD_UP;
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
		crd_report_put_expected(report, CRD_ERROR, psprintf("columns of steps 2 and 4 in: %s", (char *) lfirst(lc)),
								"no object that uses columns of both, as one call of the atomic mode migrates both steps",
								"Migrate to version 3 first, or use the online mode.");
}

/* Report saved state that cannot be restored. */
static void
report_saved_state(CrdReport *report)
{
	const CrdSavedState *saved = report->context->saved;
	ListCell   *lc;

	for (int step = 1; step <= CRD_LAST_STEP; step++)
		foreach(lc, crd_context_includes_step(report->context, step) ? saved->unrestorable[step] : NIL)
			crd_report_put_expected(report, CRD_WARNING, lfirst(lc), "existing roles and partitions",
									"It will not be restored, unless the role, or a partition of that name, is created before.");
	if (report->direction == CRD_UP && crd_context_includes_step(report->context, 4) && saved->has_null_labels)
	{
		crd_report_foreign_keys(report, CRD_NAME);
		if (crd_saved_by_other_key(report->context->schema, saved))
			crd_report_put_expected(report, CRD_WARNING, psprintf("primary key %s", report->context->schema->pk_text_expr),
									psprintf("primary key %s, by which NULL labels were saved", saved->pk_text_expr),
									"Labels that were NULL stay empty, unless that primary key is restored.");
	}
}

/* Report uses of the row type of a table that is rewritten. */
static void
report_row_type_users(CrdReport *report)
{
	const CrdContext *context = report->context;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		bool		rewritten = table == CRD_AVAILABLE_CONNECTIONS ? crd_context_includes_step(context, 1) :
		crd_context_includes_step(context, 2) || crd_context_includes_step(context, 4);
		ListCell   *lc;

		foreach(lc, rewritten ? crd_row_type_users(context->schema, table) : NIL)
			crd_report_put_expected(report, CRD_ERROR,
									psprintf("%s, which uses the row type of %s",
											 ((CrdDependent *) lfirst(lc))->description,
											 context->schema->relation[table].name),
									"no use of the row type, which prevents a rewrite of the table",
									"Drop it before the migration, or change its type.");
	}
}

void
crd_check_function_bodies(CrdReport *report)
{
	CrdColumnId columns[CRD_NDROPPED_COLUMNS];
	int			ncolumns = 0;

	for (int i = 0; i < CRD_NDROPPED_COLUMNS; i++)
		if (crd_report_drops(report, &crd_dropped_columns[i]))
			columns[ncolumns++] = crd_dropped_columns[i].column;
	if (ncolumns > 0)
		crd_report_dependents(report, CRD_WARNING, crd_functions_mentioning(report->context->schema, columns, ncolumns), NULL,
							  "The function may fail after the migration: review it, and change it together with the application.");
}

/*
 * The steps choose names that are free.  Only the sync trigger and the objects
 * that are restored have given names.
 */
void
crd_check_name_conflicts(CrdReport *report)
{
	const CrdContext *context = report->context;
	const CrdSchema *schema = context->schema;
	List	   *ddl = NIL;
	ListCell   *lc;

	for (int step = 1; step <= CRD_LAST_STEP; step++)
	{
		const char *table = schema->relation[step == 1 ? CRD_AVAILABLE_CONNECTIONS : CRD_CONNECTIONS].name;
		bool		crosses = crd_context_includes_step(context, step);

		/* the columns are restored already, and their saved DDL is not */
		bool		rest = step == schema->partial_step && schema->partial_direction == CRD_DOWN &&
		crd_past_point_of_no_return(schema);

		foreach(lc, crosses && !rest ? context->saved->columns[step] : NIL)
		{
			CrdSavedColumn *column = lfirst(lc);

			if (column->not_null_conname)
				ddl = lappend(ddl, not_null_ddl(table, column->not_null_conname));
		}
		if (crosses && !rest)
			ddl = list_concat(ddl, context->saved->partition_not_nulls[step]);
		if (crosses || rest)
			ddl = list_concat(ddl, context->saved->ddl[step]);
	}
	crd_report_dependents(report, CRD_ERROR, crd_name_conflicts(ddl), NULL,
						  "Rename or drop the object before the migration.");
	if (report->direction == CRD_UP && schema->version < 2 && schema->has_sync_trigger &&
		schema->partial_step != 2)
		crd_report_put(report, CRD_ERROR, psprintf("trigger %s on connections", CRD_SYNC_TRIGGER),
					   "Drop or rename the trigger.");
}

/* The saved DDL of a NOT NULL constraint, as far as its name matters */
static CrdSavedDdl *
not_null_ddl(const char *relation, const char *name)
{
	CrdSavedDdl *ddl = palloc0(sizeof(CrdSavedDdl));

	ddl->kind = CRD_DDL_NOT_NULL;
	ddl->relation = relation;
	ddl->name = name;
	return ddl;
}
