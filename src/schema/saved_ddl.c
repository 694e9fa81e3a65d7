/*-------------------------------------------------------------------------
 *
 * saved_ddl.c
 *	  The DDL that restores what DROP COLUMN takes along, as data.
 *
 * The queries in saved_ddl.sql and column_ddl.sql say of each statement what
 * kind of object it restores, its name, its definition, the columns that it
 * uses, and the other objects that it needs.  The statements are composed here,
 * in one switch for each mode, and nothing takes deparsed DDL apart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "schema/dependents.h"
#include "schema/saved_ddl.h"

static const char saved_ddl_query[] =
"WITH tree AS " CRD_RELATION_TREE("$1::oid")
#include "schema/dependents.sql.h"
#include "schema/saved_ddl.sql.h"
		   ;

static const char column_ddl_query[] =
"WITH tree AS " CRD_RELATION_TREE("$1::oid")
#include "schema/column_ddl.sql.h"
		   ;

static const char name_conflicts_query[] =
#include "schema/name_conflicts.sql.h"
		   ;

static const char *const kind_names[] = {
	[CRD_DDL_COLUMN_PROPERTY] = "column property",
	[CRD_DDL_INDEX] = "index",
	[CRD_DDL_UNIQUE_INDEX] = "unique index",
	[CRD_DDL_CHECK] = "check",
	[CRD_DDL_FOREIGN_KEY] = "foreign key",
	[CRD_DDL_UNIQUE] = "unique",
	[CRD_DDL_EXCLUDE] = "exclude",
	[CRD_DDL_NOT_NULL] = "not null",
	[CRD_DDL_STATISTICS] = "statistics",
	[CRD_DDL_PROPERTY] = "property",
};

static List *column_ddl(const CrdSchema *schema, const CrdColumnId *columns,
						int ncolumns);
static const char *create_index(const CrdSavedDdl *ddl, const char *unique,
								const char *concurrently,
								const char *definition);

List *
crd_saved_ddl_list(const CrdResult *rows)
{
	List	   *result = NIL;

	for (int i = 0; i < rows->nrows; i++)
	{
		const char *const *value = rows->row[i];
		CrdSavedDdl *ddl = palloc0(sizeof(CrdSavedDdl));

		ddl->values = value;
		while (strcmp(kind_names[ddl->kind], value[0]) != 0)
			ddl->kind++;
		ddl->relation = value[1];
		ddl->schema = value[2];
		ddl->name = value[3];
		ddl->definition = value[4];
		ddl->index_definition = value[5];
		ddl->deferral = value[6];
		ddl->validated = crd_is_true(value[7]);
		ddl->has_expressions = crd_is_true(value[8]);
		ddl->columns = value[9];
		ddl->grantor = value[11];
		ddl->grantee = value[12];
		ddl->keys = value[13];
		ddl->condition = value[14];
		ddl->nulls_distinct = crd_is_true(value[15]);
		result = lappend(result, ddl);
	}
	return result;
}

List *
crd_ddl_to_save(const CrdSchema *schema, const CrdColumnId *columns,
				int ncolumns)
{
	return list_concat(column_ddl(schema, columns, ncolumns),
					   crd_saved_ddl_list(crd_query_dependents(schema, columns, ncolumns,
															   psprintf("%s ORDER BY o, n, definition", saved_ddl_query))));
}

List *
crd_partition_not_nulls(const CrdSchema *schema, CrdColumnId id)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, column_ddl(schema, &id, 1))
		if (((CrdSavedDdl *) lfirst(lc))->kind == CRD_DDL_NOT_NULL)
		result = lappend(result, lfirst(lc));
	return result;
}

List *
crd_enforced_constraints(const CrdSchema *schema, CrdColumnId id)
{
	return crd_saved_ddl_list(crd_query_dependents(schema, &id, 1,
												   psprintf("%s WHERE keys IS NOT NULL OR condition IS NOT NULL ORDER BY name",
															saved_ddl_query)));
}

bool
crd_constraint_is_validated(const CrdSavedDdl *ddl)
{
	return (ddl->keys || ddl->condition) && ddl->validated && !ddl->created;
}

const char *
crd_saved_ddl_statement(const CrdSavedDdl *ddl)
{
	switch (ddl->kind)
	{
		case CRD_DDL_INDEX:
			return create_index(ddl, "", "", ddl->definition);
		case CRD_DDL_UNIQUE_INDEX:
			return create_index(ddl, "UNIQUE ", "", ddl->definition);
		case CRD_DDL_CHECK:
		case CRD_DDL_FOREIGN_KEY:
		case CRD_DDL_UNIQUE:
		case CRD_DDL_EXCLUDE:
		case CRD_DDL_NOT_NULL:
			return psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s", ddl->relation,
							quote_identifier(ddl->name), ddl->definition);
		case CRD_DDL_COLUMN_PROPERTY:
		case CRD_DDL_STATISTICS:
		case CRD_DDL_PROPERTY:
			break;
	}
	return ddl->definition;
}

/*
 * An index of a partitioned table cannot be built CONCURRENTLY, but those of its
 * partitions are restored before it.
 */
CrdOnlineDdl
crd_online_ddl(const CrdSavedDdl *ddl)
{
	CrdOnlineDdl result = {
		.create = crd_saved_ddl_statement(ddl),
		.lock_mode = AccessExclusiveLock
	};
	const char *name = ddl->name ? quote_identifier(ddl->name) : NULL;
	const char *unique = ddl->kind == CRD_DDL_INDEX ? "" : "UNIQUE ";
	const char *index = NULL;

	switch (ddl->kind)
	{
		case CRD_DDL_INDEX:
		case CRD_DDL_UNIQUE_INDEX:
			result.lock_mode = ShareLock;
			index = ddl->definition;
			break;
		case CRD_DDL_STATISTICS:
			result.lock_mode = ShareUpdateExclusiveLock;
			break;
		case CRD_DDL_UNIQUE:
			index = ddl->index_definition;
			if (index && !ddl->partitioned)
			{
				result.finish = psprintf("ALTER TABLE %s ADD CONSTRAINT %s UNIQUE USING INDEX %s%s",
										 ddl->relation, name, name, ddl->deferral);
				result.finish_lock_mode = AccessExclusiveLock;
			}
			break;
		case CRD_DDL_CHECK:
		case CRD_DDL_FOREIGN_KEY:
			result.at_switchover = ddl->kind == CRD_DDL_CHECK && ddl->validated;
			result.partitions_first = ddl->kind == CRD_DDL_FOREIGN_KEY && ddl->validated && ddl->partitioned;
			if (!ddl->validated || result.partitions_first)
				break;
			result.create = psprintf("%s NOT VALID", result.create);
			result.finish = psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", ddl->relation, name);
			result.finish_lock_mode = ShareUpdateExclusiveLock;
			break;
		case CRD_DDL_COLUMN_PROPERTY:
			result.at_switchover = true;
			break;
		case CRD_DDL_EXCLUDE:
		case CRD_DDL_NOT_NULL:
		case CRD_DDL_PROPERTY:
			break;
	}
	if (index && !ddl->partitioned)
	{
		result.index = quote_qualified_identifier(ddl->schema, ddl->name);
		result.index_statement = create_index(ddl, unique, "", index);
		result.create = create_index(ddl, unique, "CONCURRENTLY ", index);
	}
	return result;
}

List *
crd_name_conflicts(const List *ddl)
{
	StringInfoData query;
	ListCell   *lc;

	if (ddl == NIL)
		return NIL;
	initStringInfo(&query);
	appendStringInfoString(&query, "WITH names(kind, relation, schema, name, definition, index_definition, created) AS (VALUES ");
	foreach(lc, ddl)
	{
		const CrdSavedDdl *one = lfirst(lc);

		appendStringInfo(&query, "%s(%s, %s, %s, %s, %s, %s, %s)", foreach_current_index(lc) ? ", " : "",
						 quote_literal_cstr(kind_names[one->kind]), quote_literal_cstr(one->relation),
						 crd_quote_nullable(one->schema), crd_quote_nullable(one->name),
						 crd_quote_nullable(one->definition), crd_quote_nullable(one->index_definition),
						 one->created ? "true" : "false");
	}
	appendStringInfoString(&query, ")");
	appendStringInfoString(&query, name_conflicts_query);
	return crd_make_dependents(crd_query(CRD_CALLER, query.data, 0));
}

static List *
column_ddl(const CrdSchema *schema, const CrdColumnId *columns, int ncolumns)
{
	return crd_saved_ddl_list(crd_query(CRD_CALLER, column_ddl_query, 2,
										schema->relation[schema->column[columns[0]].table].relid_text,
										crd_column_names(schema, columns, ncolumns)));
}

static const char *
create_index(const CrdSavedDdl *ddl, const char *unique,
			 const char *concurrently, const char *definition)
{
	return psprintf("CREATE %sINDEX %s%s %s", unique, concurrently,
					quote_identifier(ddl->name), definition);
}
