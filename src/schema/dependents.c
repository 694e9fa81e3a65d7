/*-------------------------------------------------------------------------
 *
 * dependents.c
 *	  The objects that depend on a column that a step drops, from pg_depend; and
 *	  the functions that mention one, which pg_depend does not record.
 *
 * An object is restorable only if a rollback restores it completely: indexes,
 * table constraints, the column's default, extended statistics.  DROP COLUMN
 * fails because of any other object, or loses it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"

#include "schema/dependents.h"
#include "base/sql_exec.h"

static const char describe_query[] =
"WITH tree AS " CRD_RELATION_TREE("$1::oid")
#include "schema/dependents.sql.h"
#include "schema/describe_dependents.sql.h"
		   ;

List *
crd_dependents(const CrdSchema *schema, CrdColumnId id)
{
	List	   *result = NIL;
	CrdResult  *rows = crd_query_dependents(schema, &id, 1, describe_query);

	for (int i = 0; i < rows->nrows; i++)
	{
		CrdDependent *dependent = palloc(sizeof(CrdDependent));

		dependent->restorable = crd_is_true(rows->row[i][0]);
		dependent->description = rows->row[i][1];
		result = lappend(result, dependent);
	}
	return result;
}

List *
crd_row_type_users(const CrdSchema *schema, CrdTable table)
{
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "WITH RECURSIVE types(oid) AS ("
					 " SELECT reltype FROM pg_class WHERE oid = $1::oid AND reltype <> 0"
					 " UNION SELECT u.oid FROM types b CROSS JOIN LATERAL ("
					 "  SELECT t.oid FROM pg_type t WHERE t.typbasetype = b.oid"
					 "   OR t.typelem = b.oid AND t.typsubscript = 'array_subscript_handler'::regproc"
					 "  UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngsubtype = b.oid"
					 "  UNION ALL SELECT c.reltype FROM pg_attribute a"
					 "   JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'c'"
					 "   WHERE a.atttypid = b.oid AND NOT a.attisdropped) u) "
					 "SELECT format('column %s.%I', c.oid::regclass, a.attname)"
					 " FROM types b JOIN pg_attribute a ON a.atttypid = b.oid AND NOT a.attisdropped"
					 " JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm', 'f')"
					 " UNION SELECT CASE r.rulename WHEN '_RETURN' THEN 'view ' || r.ev_class::regclass"
					 "  ELSE format('rule %I on %s', r.rulename, r.ev_class::regclass) END"
					 " FROM types b JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = b.oid"
					 " JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid"
					 " ORDER BY 1", 1,
					 schema->relation[table].relid_text);
	return crd_make_dependents(rows);
}

/*
 * A function must mention the column and its table.  A trigger function of the
 * table need not mention the table.  "connections" before a dot is the schema,
 * unless the column follows.  Functions of extensions and of temporary schemas do
 * not count.  The source of a C function is only a symbol, and a function with a
 * parsed SQL body has none.
 */
List *
crd_functions_mentioning(const CrdSchema *schema, const CrdColumnId *columns,
						 int ncolumns)
{
	StringInfoData relids;
	StringInfoData tables;
	CrdResult  *rows;

	initStringInfo(&relids);
	initStringInfo(&tables);
	for (int i = 0; i < ncolumns; i++)
	{
		const CrdRelation *rel = &schema->relation[schema->column[columns[i]].table];

		appendStringInfo(&relids, "%c%u", i == 0 ? '{' : ',', rel->relid);
		appendStringInfo(&tables, "%c%s", i == 0 ? '{' : ',', strchr(rel->name, '.') + 1);
	}
	appendStringInfoChar(&relids, '}');
	appendStringInfoChar(&tables, '}');
	rows = crd_query(CRD_CALLER,
					 "SELECT format('%s %s, whose source mentions %s',"
					 "  CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, p.oid::regprocedure,"
					 "  string_agg(format('%s.%s', c.relation, c.name), ', ' ORDER BY c.nth))"
					 " FROM unnest($1::oid[], $2::text[], $3::text[]) WITH ORDINALITY c(relid, relation, name, nth)"
					 " JOIN pg_proc p ON p.prosrc ~* format('\\y%s\\y', c.name)"
					 "  AND (p.prosrc ~* format('\\y%1$s\\y(?!\"?\\s*\\.)|\\y%1$s\"?\\s*\\.\\s*\"?%2$s\\y', c.relation, c.name)"
					 "   OR EXISTS (SELECT FROM pg_trigger t JOIN " CRD_RELATION_TREE("c.relid") " tree ON t.tgrelid = tree.relid"
					 "    WHERE t.tgfoid = p.oid))"
					 " JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname !~ '^pg_temp_'"
					 " WHERE NOT EXISTS (SELECT FROM pg_depend d"
					 "  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')"
					 " GROUP BY p.oid, p.prokind ORDER BY p.oid::regprocedure::text COLLATE \"C\"", 3,
					 relids.data, tables.data, crd_column_names(schema, columns, ncolumns));
	return crd_make_dependents(rows);
}

List *
crd_foreign_keys(const CrdSchema *schema, CrdColumnId id)
{
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "SELECT format('foreign key %I of table %s', conname, conrelid::regclass)"
					 " FROM pg_constraint k WHERE contype = 'f' AND conparentid = 0"
					 " AND " CRD_CONSTRAINT_ENFORCED("k")
					 " AND (conrelid = $1::oid AND $2::int2 = ANY (conkey)"
					 "  OR confrelid = $1::oid AND $2::int2 = ANY (confkey)) ORDER BY 1", 2,
					 schema->relation[schema->column[id].table].relid_text,
					 psprintf("%d", schema->column[id].attnum));
	return crd_make_dependents(rows);
}

List *
crd_make_dependents(const CrdResult *rows)
{
	List	   *result = NIL;

	for (int i = 0; i < rows->nrows; i++)
	{
		CrdDependent *dependent = palloc0(sizeof(CrdDependent));

		dependent->description = rows->row[i][0];
		result = lappend(result, dependent);
	}
	return result;
}

CrdResult *
crd_query_dependents(const CrdSchema *schema, const CrdColumnId *columns,
					 int ncolumns, const char *query)
{
	bool		step3_done = schema->last_complete_step >= 3;

	return crd_query(CRD_CALLER, query, 4,
					 schema->relation[schema->column[columns[0]].table].relid_text,
					 crd_column_names(schema, columns, ncolumns),
					 psprintf("{%u,%u}", schema->slug_index,
							  step3_done ? schema->step3_index : InvalidOid),
					 psprintf("%u", step3_done ? schema->fk : InvalidOid));
}

char *
crd_column_names(const CrdSchema *schema, const CrdColumnId *columns,
				 int ncolumns)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < ncolumns; i++)
		appendStringInfo(&buf, "%c%s", i == 0 ? '{' : ',',
						 schema->column[columns[i]].name);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}
