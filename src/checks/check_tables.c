/*-------------------------------------------------------------------------
 *
 * check_tables.c
 *	  Checks of the tables themselves: that they exist, their kind, version,
 *	  owner, columns and keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/sql_exec.h"
#include "checks/checks_internal.h"
#include "compat.h"

static bool report_unfit_partitions(CrdReport *report, const CrdRelation *rel);

void
crd_check_tables(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		const CrdRelation *rel = &schema->relation[table];

		if (rel->exists)
			crd_report_put(report, CRD_OK, rel->name, rel->name, NULL);
		else
			crd_report_put(report, CRD_ERROR, "nothing", psprintf("table %s", rel->name),
						   "Connect to the database that has the tables.");
	}
}

void
crd_check_table_kinds(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		const CrdRelation *rel = &schema->relation[table];
		const char *found = NULL;

		switch (rel->relkind)
		{
			case RELKIND_RELATION:
				break;
			case RELKIND_PARTITIONED_TABLE:
				if (table == CRD_AVAILABLE_CONNECTIONS)
					found = "a partitioned table";
				break;
			case RELKIND_VIEW:
				found = "a view";
				break;
			case RELKIND_MATVIEW:
				found = "a materialized view";
				break;
			case RELKIND_FOREIGN_TABLE:
				found = "a foreign table";
				break;
			default:
				found = "no table";
				break;
		}
		if (found == NULL && rel->is_partition)
			found = "a partition";
		else if (found == NULL && rel->inherits)
			found = "a table with inheritance";
		else if (found == NULL && rel->is_typed)
			found = "a table of a composite type";
		else if (found == NULL && !rel->is_heap)
			found = "a table of another access method than heap";

		if (found)
			crd_report_put(report, CRD_ERROR, psprintf("%s is %s", rel->name, found),
						   table == CRD_AVAILABLE_CONNECTIONS ? "an ordinary table" : "an ordinary or partitioned table",
						   "Put an ordinary table in its place before the migration.");
		else if (rel->relkind == RELKIND_RELATION || !report_unfit_partitions(report, rel))
			crd_report_put(report, CRD_OK, psprintf("%s is %s", rel->name,
													rel->relkind == RELKIND_RELATION ? "an ordinary table" : "a partitioned table"),
						   "a table that can be migrated", NULL);
	}
}

/* Report the partitions that cannot be migrated; whether there is one. */
static bool
report_unfit_partitions(CrdReport *report, const CrdRelation *rel)
{
	CrdResult  *unfit;

	unfit = crd_query(CRD_CALLER,
					  "SELECT 'partition ' || c.oid::regclass || CASE WHEN c.relkind = 'f' THEN ' is a foreign table'"
					  "  WHEN c.relowner <> $2::oid THEN ' is of another owner'"
					  "  ELSE ' is of another access method than heap' END,"
					  " CASE WHEN c.relkind <> 'f' AND c.relowner <> $2::oid"
					  "  THEN format('ALTER TABLE %s OWNER TO %s.', c.oid::regclass, $2::oid::regrole)"
					  "  ELSE 'Detach the partition before the migration, or put an ordinary table in its place.' END"
					  " FROM pg_partition_tree($1::oid) t JOIN pg_class c ON c.oid = t.relid"
					  " LEFT JOIN pg_am a ON a.oid = c.relam"
					  " WHERE c.relkind = 'f' OR c.relowner <> $2::oid"
					  "  OR (c.relkind = 'r' AND a.amname <> 'heap') ORDER BY 1", 2,
					  psprintf("%u", rel->relid), psprintf("%u", rel->owner));
	for (int i = 0; i < unfit->nrows; i++)
		crd_report_put(report, CRD_ERROR, unfit->row[i][0],
					   "partitions that are ordinary tables of the same owner", unfit->row[i][1]);
	return unfit->nrows > 0;
}

void
crd_check_version(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	if (schema->version == CRD_NO_VERSION)
		crd_report_put(report, CRD_ERROR, schema->mismatch, "one of the versions 0 to 4, whole",
					   "Bring the tables to one of the versions by hand, for example by undoing what was begun.");
	else if (schema->partial_step)
		crd_report_put(report, CRD_WARNING,
					   psprintf("version %d, and step %d half %s", schema->version, schema->partial_step,
								schema->partial_up ? "applied" : "undone"),
					   "one of the versions 0 to 4, whole",
					   "An online run has begun that step: call again to end it, or the other way to undo it.");
	else
		crd_report_put(report, CRD_OK, psprintf("version %d", schema->version),
					   "one of the versions 0 to 4, whole", NULL);
}

void
crd_check_ownership(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;
	const char *user = GetUserNameFromId(GetUserId(), false);

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		const CrdRelation *rel = &schema->relation[table];

		if (!rel->owner_may_create)
			crd_report_put(report, CRD_ERROR,
						   psprintf("owner \"%s\" of %s without USAGE and CREATE on schema connections",
									GetUserNameFromId(rel->owner, false), rel->name),
						   "an owner who may create indexes",
						   psprintf("GRANT USAGE, CREATE ON SCHEMA connections TO %s.",
									quote_identifier(GetUserNameFromId(rel->owner, false))));
	}
	/* the background worker has the session's user, and sets the role */
	if (report->direction != CRD_VERIFY && crd_schema_owned(schema) &&
		!member_can_set_role(GetSessionUserId(), crd_owner(schema, CRD_CONNECTIONS)))
	{
		crd_report_put(report, report->context->online ? CRD_ERROR : CRD_WARNING,
					   psprintf("role \"%s\", who may not SET ROLE",
								GetUserNameFromId(GetSessionUserId(), false)),
					   psprintf("a role that may become \"%s\", owner of connections",
								GetUserNameFromId(crd_owner(schema, CRD_CONNECTIONS), false)),
					   "Grant the owner WITH SET TRUE; the atomic mode can do without, the online mode refuses.");
		return;
	}
	if (crd_schema_owned(schema))
		crd_report_put(report, CRD_OK, psprintf("role \"%s\"", user), "the privileges of the owner of both tables", NULL);
	else
		crd_report_put(report, CRD_ERROR, psprintf("role \"%s\"", user),
					   psprintf("the privileges of \"%s\", owner of connections, and \"%s\", owner of available_connections",
								GetUserNameFromId(crd_owner(schema, CRD_CONNECTIONS), false),
								GetUserNameFromId(crd_owner(schema, CRD_AVAILABLE_CONNECTIONS), false)),
					   "Connect as the owner of the tables, or as a member of that role.");
}

/*
 * Report NOT NULL constraints that are NOT VALID, as 18 and later has them, of
 * columns that a step drops or makes nullable; whether there is any.  They hold
 * for what the application writes, and yet say nothing of the rows: such a column
 * is neither one that may be NULL nor one that is not.
 */
static bool
report_not_valid(CrdReport *report)
{
	static const CrdDroppedColumn renames[] = {{4, true, CRD_NAME}, {4, false, CRD_LABEL}};
	const CrdSchema *schema = report->context->schema;
	bool		found = false;

	for (int i = 0; i < CRD_NDROPPED_COLUMNS + lengthof(renames); i++)
	{
		const CrdDroppedColumn *drop = i < CRD_NDROPPED_COLUMNS ? &crd_dropped_columns[i] : &renames[i - CRD_NDROPPED_COLUMNS];
		const CrdColumn *column = &schema->column[drop->column];
		CrdResult  *rows;

		/*
		 * that of available_connection_id is step 3's; that of label would
		 * not fit version 4 if it were validated
		 */
		if (drop->column == CRD_AVAILABLE_CONNECTION_ID || report->direction == CRD_VERIFY ||
			drop->up != (report->direction == CRD_FORWARD) || !crd_context_includes_step(report->context, drop->step))
			continue;
		rows = crd_query(CRD_CALLER,
						 "SELECT format('NOT NULL on %s.%I, which is NOT VALID', n.conrelid::regclass, a.attname),"
						 " format(CASE a.attname WHEN 'label' THEN 'ALTER TABLE %s DROP CONSTRAINT %I.'"
						 "  ELSE 'ALTER TABLE %s VALIDATE CONSTRAINT %I.' END, n.conrelid::regclass, n.conname)"
						 " FROM (SELECT $1::oid AS relid UNION SELECT relid FROM pg_partition_tree($1::oid)) t"
						 " JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = $2 AND NOT a.attisdropped"
						 " JOIN pg_constraint n ON n.contype = 'n' AND n.conrelid = t.relid AND n.conkey = ARRAY[a.attnum]"
						 "  AND NOT n.convalidated AND n.coninhcount = 0 ORDER BY 1", 2,
						 psprintf("%u", schema->relation[column->table].relid), column->name);
		for (int j = 0; j < rows->nrows; j++)
			crd_report_put(report, CRD_ERROR, rows->row[j][0], "NOT NULL for all rows, or none", rows->row[j][1]);
		found |= rows->nrows > 0;
	}
	return found;
}

void
crd_check_column_types(CrdReport *report)
{
	static const CrdColumnId legacy[] = {CRD_ENTRY_NAME, CRD_PROVIDER, CRD_TYPE, CRD_NAME};
	const CrdSchema *schema = report->context->schema;
	const CrdColumn *config = &schema->column[CRD_CONFIG];
	bool		fine = true;

	if (!crd_has_column(schema, CRD_ENTRY_ID))
	{
		crd_report_put(report, CRD_ERROR, "no column available_connections.id", "the catalog's key",
					   "Add the column, and make it the primary key.");
		fine = false;
	}
	if (config->attnum == 0 ||
		(config->base_type != JSONOID && config->base_type != JSONBOID))
	{
		crd_report_put(report, CRD_ERROR,
					   config->attnum ? psprintf("connections.config of type %s", config->type) : "no column connections.config",
					   "a column of type json or jsonb", "Change the type of the column to jsonb.");
		fine = false;
	}
	for (int i = 0; i < lengthof(legacy); i++)
	{
		const CrdColumn *column = &schema->column[legacy[i]];
		const char *category;
		CrdResult  *rows;

		if (column->attnum == 0)
			continue;
		rows = crd_query(CRD_CALLER, "SELECT typcategory FROM pg_type WHERE oid = $1::oid", 1,
						 psprintf("%u", column->base_type));
		category = rows->row[0][0];
		if (category[0] != TYPCATEGORY_STRING && category[0] != TYPCATEGORY_ENUM)
		{
			crd_report_put(report, CRD_ERROR,
						   psprintf("column %s of type %s", column->name, column->type),
						   "a string or an enum", "Change the type of the column to text.");
			fine = false;
		}
		if (column->is_generated_or_identity || column->is_partition_key)
		{
			crd_report_put(report, CRD_ERROR,
						   psprintf("column %s is %s", column->name,
									column->is_generated_or_identity ? "generated" : "part of the partition key"),
						   "an ordinary column", "Make it an ordinary column before the migration.");
			fine = false;
		}
	}
	if (report->direction == CRD_FORWARD && crd_context_includes_step(report->context, 4) && !schema->column[CRD_NAME].not_null)
	{
		CrdResult  *rows;

		rows = crd_query(CRD_CALLER,
						 "SELECT format('NOT NULL on column %s.name, which connections does not have', a.attrelid::regclass)"
						 " FROM pg_partition_tree($1::oid) t JOIN pg_attribute a ON a.attrelid = t.relid"
						 " WHERE t.level > 0 AND a.attname = 'name' AND a.attnotnull ORDER BY t.level, 1", 1,
						 psprintf("%u", schema->relation[CRD_CONNECTIONS].relid));
		for (int i = 0; i < rows->nrows; i++)
			crd_report_put(report, CRD_ERROR, rows->row[i][0], "a label that may be NULL in every partition",
						   "Drop NOT NULL of the partition's column before the migration.");
		fine = fine && rows->nrows == 0;
	}
	fine &= !report_not_valid(report);
	if (fine)
		crd_report_put(report, CRD_OK, "columns of types that can be migrated",
					   "strings or enums, and json or jsonb for config", NULL);
}

void
crd_check_primary_key(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	if (schema->pk_text_expr == NULL)
		crd_report_put(report, CRD_ERROR, "connections has no primary key", "a primary key",
					   "Add a primary key: the way back knows each connection by it.");
	else if (schema->pk_uses_legacy_columns)
		crd_report_put(report, CRD_ERROR, psprintf("primary key of connections on %s", schema->pk_text_expr),
					   "a primary key without provider, type and name",
					   "Make another primary key before the migration.");
	else
		crd_report_put(report, CRD_OK, "connections has a primary key", "a primary key", NULL);
}

void
crd_check_foreign_key(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;
	const CrdRelation *connections = &schema->relation[CRD_CONNECTIONS];
	const CrdRelation *catalog = &schema->relation[CRD_AVAILABLE_CONNECTIONS];
	CrdResult  *rows;

	if (!crd_context_includes_step(report->context, 3))
	{
		crd_report_put(report, CRD_OK, "step 3 is not taken", "a foreign key with step 3", NULL);
		return;
	}
	if (!schema->entry_id_unique)
	{
		/* there may be no such column at all */
		crd_report_put(report, CRD_ERROR, "no unique index on available_connections.id alone",
					   "a primary key or UNIQUE constraint, not deferrable",
					   "Make id the primary key of the catalog.");
		return;
	}
	rows = crd_query(CRD_CALLER, "SELECT has_table_privilege($1::oid, $2::oid, 'REFERENCES')"
					 " OR has_column_privilege($1::oid, $2::oid, 'id', 'REFERENCES')", 2,
					 psprintf("%u", connections->owner), psprintf("%u", catalog->relid));
	if (connections->relpersistence == RELPERSISTENCE_PERMANENT &&
		catalog->relpersistence != RELPERSISTENCE_PERMANENT)
		crd_report_put(report, CRD_ERROR, "available_connections is unlogged, connections is not",
					   "a logged catalog", "ALTER TABLE connections.available_connections SET LOGGED.");
	else if (!crd_is_true(rows->row[0][0]))
		crd_report_put(report, CRD_ERROR, "the owner of connections may not reference available_connections",
					   "the privilege REFERENCES on it",
					   psprintf("GRANT REFERENCES ON connections.available_connections TO %s.",
								quote_identifier(GetUserNameFromId(connections->owner, false))));
	else
		crd_report_put(report, CRD_OK, "a foreign key to the catalog can be made", "the same", NULL);
}

/*
 * Without a rewrite, a column can be added only if its type lets NULL be, for
 * the time until it is filled, and PostgreSQL does not want to look.
 */
void
crd_check_new_column_types(CrdReport *report)
{
	CrdContext *context = report->context;
	const CrdSchema *schema = context->schema;
	List	   *types = NIL;
	bool		fine = true;
	ListCell   *lc;

	if (report->direction == CRD_FORWARD && crd_context_includes_step(report->context, 2))
		types = list_make1(unconstify(char *, schema->column[CRD_ENTRY_ID].type));
	for (int step = 1; step <= CRD_LAST_STEP; step++)
	{
		foreach(lc, crd_context_includes_step(report->context, step) ? context->saved->columns[step] : NIL)
		{
			CrdSavedColumn *saved_column = lfirst(lc);

			/* step 4 renames name */
			if (step < 4 || strcmp(saved_column->name, schema->column[CRD_NAME].name) != 0)
				types = lappend(types, unconstify(char *, saved_column->type));
		}
	}
	foreach(lc, types)
	{
		CrdResult  *rows;

		rows = crd_query(CRD_CALLER,
						 "WITH RECURSIVE domains(oid, base, not_null) AS ("
						 " SELECT oid, typbasetype, typnotnull FROM pg_type"
						 "  WHERE oid = to_regtype(split_part($1, ' COLLATE ', 1)) AND typtype = 'd'"
						 " UNION ALL SELECT t.oid, t.typbasetype, t.typnotnull FROM domains d"
						 "  JOIN pg_type t ON t.oid = d.base AND t.typtype = 'd') "
						 "SELECT FROM domains d WHERE not_null"
						 " OR EXISTS (SELECT FROM pg_constraint c WHERE c.contypid = d.oid)", 1,
						 lfirst(lc));
		if (rows->nrows == 0)
			continue;
		fine = false;
		crd_report_put(report, context->online ? CRD_ERROR : CRD_WARNING,
					   psprintf("a new column of the domain %s, which has constraints", (char *) lfirst(lc)),
					   "a type that needs no look at the rows",
					   "Only the atomic mode can add such a column; the online mode refuses.");
	}
	if (fine)
		crd_report_put(report, CRD_OK, "columns that can be added in no time", "the same", NULL);
}

void
crd_verify_foreign_key(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	if (schema->version < 3)
		crd_report_put(report, CRD_OK, "no foreign key before step 3", "nothing to verify", NULL);
	else
		crd_report_put(report, CRD_OK, psprintf("foreign key \"%s\"", schema->fk_name),
					   "a validated foreign key ON DELETE RESTRICT", NULL);
}

void
crd_verify_index(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	if (schema->version < 3)
		crd_report_put(report, CRD_OK, "no index before step 3", "nothing to verify", NULL);
	else
		crd_report_put(report, CRD_OK, "an index on available_connection_id", "a valid index", NULL);
}
