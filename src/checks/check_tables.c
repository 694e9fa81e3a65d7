/*-------------------------------------------------------------------------
 *
 * check_tables.c
 *	  Checks of the tables themselves: existence, kind, version, owner, columns
 *	  and keys.
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

static const char *unfit_kind(const CrdRelation *rel, CrdTable table);
static void report_unfit_partitions(CrdReport *report, const CrdRelation *rel);
static void report_legacy_column(CrdReport *report, const CrdColumn *column);
static void report_not_valid(CrdReport *report);

void
crd_check_tables(CrdReport *report)
{
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		const CrdRelation *rel = &report->context->schema->relation[table];

		if (rel->exists)
			crd_report_put_expected(report, CRD_OK, rel->name, rel->name, NULL);
		else
			crd_report_put_expected(report, CRD_ERROR, "nothing", psprintf("table %s", rel->name),
									"Connect to the database that contains the tables.");
	}
}

void
crd_check_table_kinds(CrdReport *report)
{
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		const CrdRelation *rel = &report->context->schema->relation[table];
		const char *unfit = unfit_kind(rel, table);
		int			nerrors = report->nerrors;

		if (unfit)
			crd_report_put(report, CRD_ERROR, psprintf("%s is %s", rel->name, unfit),
						   "Replace it with an ordinary table before the migration.");
		else if (rel->relkind == RELKIND_PARTITIONED_TABLE)
			report_unfit_partitions(report, rel);
		if (report->nerrors == nerrors)
			crd_report_put(report, CRD_OK, psprintf("%s is %s", rel->name,
													rel->relkind == RELKIND_RELATION ? "an ordinary table" : "a partitioned table"),
						   NULL);
	}
}

/* The kind of a table that cannot be migrated, or NULL */
static const char *
unfit_kind(const CrdRelation *rel, CrdTable table)
{
	switch (rel->relkind)
	{
		case RELKIND_RELATION:
			break;
		case RELKIND_PARTITIONED_TABLE:
			if (table == CRD_AVAILABLE_CONNECTIONS)
				return "a partitioned table";
			break;
		case RELKIND_VIEW:
			return "a view";
		case RELKIND_MATVIEW:
			return "a materialized view";
		case RELKIND_FOREIGN_TABLE:
			return "a foreign table";
		default:
			return "not a table";
	}
	return rel->is_partition ? "a partition" :
		rel->inherits ? "a table with inheritance" :
		rel->is_typed ? "a table of a composite type" :
		!rel->is_heap ? "a table with an access method other than heap" : NULL;
}

static void
report_unfit_partitions(CrdReport *report, const CrdRelation *rel)
{
	crd_report_rows(report, CRD_ERROR,
					crd_query(CRD_CALLER,
							  "SELECT 'partition ' || c.oid::regclass || CASE WHEN c.relkind = 'f' THEN ' is a foreign table'"
							  "  WHEN c.relowner <> $2::oid THEN ' has another owner'"
							  "  ELSE ' has an access method other than heap' END,"
							  " CASE WHEN c.relkind <> 'f' AND c.relowner <> $2::oid"
							  "  THEN format('ALTER TABLE %s OWNER TO %s;', c.oid::regclass, $2::oid::regrole)"
							  "  ELSE 'Detach the partition before the migration, or replace it with an ordinary table.' END"
							  " FROM pg_partition_tree($1::oid) t JOIN pg_class c ON c.oid = t.relid"
							  " LEFT JOIN pg_am a ON a.oid = c.relam"
							  " WHERE c.relkind = 'f' OR c.relowner <> $2::oid"
							  "  OR (c.relkind = 'r' AND a.amname <> 'heap') ORDER BY 1", 2,
							  psprintf("%u", rel->relid), psprintf("%u", rel->owner)),
					"partitions that are ordinary tables of the same owner", NULL);
}

void
crd_check_version(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	report->ok = psprintf("version %d", schema->version);
	if (schema->version == CRD_NO_VERSION)
		crd_report_put(report, CRD_ERROR, schema->mismatch,
					   "Change the tables so that they match one of the versions, for example by undoing an incomplete migration.");
	else if (schema->partial_step)
		crd_report_put(report, CRD_WARNING,
					   psprintf("version %d, with step %d partially %s", schema->version, schema->partial_step,
								schema->partial_direction == CRD_UP ? "applied" : "undone"),
					   "An online run did not complete this step.  Run it again to complete the step, or in the other direction to undo it.");
}

void
crd_check_ownership(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;
	const char *owner[CRD_NTABLES];

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		const CrdRelation *rel = &schema->relation[table];

		owner[table] = GetUserNameFromId(rel->owner, false);
		if (!rel->owner_may_create)
			crd_report_put_expected(report, CRD_ERROR,
									psprintf("owner \"%s\" of %s without USAGE and CREATE on schema connections",
											 owner[table], rel->name),
									"an owner who may create indexes",
									psprintf("GRANT USAGE, CREATE ON SCHEMA connections TO %s;",
											 quote_identifier(owner[table])));
	}
	if (!crd_schema_owned(schema))
		crd_report_put_expected(report, CRD_ERROR, psprintf("role \"%s\"", GetUserNameFromId(GetUserId(), false)),
								psprintf("the privileges of \"%s\", owner of connections, and \"%s\", owner of available_connections",
										 owner[CRD_CONNECTIONS], owner[CRD_AVAILABLE_CONNECTIONS]),
								"Connect as the owner of the tables, or as a member of that role.");
	/* the background worker connects as the session's user, and sets the role */
	else if (!report->verify &&
			 !member_can_set_role(GetSessionUserId(), crd_owner(schema, CRD_CONNECTIONS)))
		crd_report_put_expected(report, report->context->online ? CRD_ERROR : CRD_WARNING,
								psprintf("role \"%s\", which may not SET ROLE",
										 GetUserNameFromId(GetSessionUserId(), false)),
								psprintf("a role that may SET ROLE to \"%s\", owner of connections", owner[CRD_CONNECTIONS]),
								"Grant membership in the owner role WITH SET TRUE; without it, only the atomic mode can be used.");
	else
		crd_report_put(report, CRD_OK, psprintf("role \"%s\"", GetUserNameFromId(GetUserId(), false)), NULL);
}

void
crd_check_column_types(CrdReport *report)
{
	static const CrdColumnId legacy[] = {CRD_ENTRY_NAME, CRD_PROVIDER, CRD_TYPE, CRD_NAME};
	const CrdSchema *schema = report->context->schema;
	const CrdColumn *config = &schema->column[CRD_CONFIG];

	if (!crd_has_column(schema, CRD_ENTRY_ID))
		crd_report_put_expected(report, CRD_ERROR, "no column available_connections.id",
								"the primary key of available_connections",
								"Add the column, and make it the primary key.");
	if (config->base_type != JSONOID && config->base_type != JSONBOID)
		crd_report_put_expected(report, CRD_ERROR,
								config->attnum ? psprintf("connections.config of type %s", config->type) : "no column connections.config",
								"a column of type json or jsonb", "Change the type of the column to jsonb.");
	for (int i = 0; i < lengthof(legacy); i++)
		if (crd_has_column(schema, legacy[i]))
			report_legacy_column(report, &schema->column[legacy[i]]);
	if (report->direction == CRD_UP && crd_context_includes_step(report->context, 4) && !schema->column[CRD_NAME].not_null)
		crd_report_rows(report, CRD_ERROR,
						crd_query(CRD_CALLER,
								  "SELECT format('NOT NULL on column %s.name, which connections does not have', a.attrelid::regclass)"
								  " FROM pg_partition_tree($1::oid) t JOIN pg_attribute a ON a.attrelid = t.relid"
								  " WHERE t.level > 0 AND a.attname = 'name' AND a.attnotnull ORDER BY t.level, 1", 1,
								  psprintf("%u", schema->relation[CRD_CONNECTIONS].relid)),
						"a label that may be NULL in every partition",
						"Drop NOT NULL from the partition's column before the migration.");
	report_not_valid(report);
}

static void
report_legacy_column(CrdReport *report, const CrdColumn *column)
{
	CrdResult  *rows = crd_query(CRD_CALLER, "SELECT typcategory FROM pg_type WHERE oid = $1::oid", 1,
								 psprintf("%u", column->base_type));
	char		category = rows->row[0][0][0];

	if (category != TYPCATEGORY_STRING && category != TYPCATEGORY_ENUM)
		crd_report_put_expected(report, CRD_ERROR,
								psprintf("column %s of type %s", column->name, column->type),
								"a string or an enum", "Change the type of the column to text.");
	if (column->is_generated_or_identity || column->is_partition_key)
		crd_report_put_expected(report, CRD_ERROR,
								psprintf("column %s is %s", column->name,
										 column->is_generated_or_identity ? "generated" : "part of the partition key"),
								"an ordinary column", "Make it an ordinary column before the migration.");
}

/*
 * Report NOT NULL constraints that are NOT VALID, which exist from PostgreSQL 18
 * on, of columns that the migration drops or makes nullable.  Such a constraint
 * is enforced for new rows but not verified for existing ones, so the column can
 * be treated neither as nullable nor as NOT NULL.
 */
static void
report_not_valid(CrdReport *report)
{
	for (int i = 0; i < CRD_NDROPPED_COLUMNS; i++)
	{
		const CrdDroppedColumn *drop = &crd_dropped_columns[i];
		const CrdColumn *column = &report->context->schema->column[drop->column];

		/*
		 * NOT NULL of available_connection_id belongs to step 3.  NOT NULL of
		 * label must be dropped: validated, it would not match version 4.
		 */
		if (drop->column == CRD_AVAILABLE_CONNECTION_ID || !crd_report_drops(report, drop))
			continue;
		crd_report_rows(report, CRD_ERROR,
						crd_query(CRD_CALLER,
								  "SELECT format('NOT NULL on %s.%I, which is NOT VALID', n.conrelid::regclass, a.attname),"
								  " format(CASE a.attname WHEN 'label' THEN 'ALTER TABLE %s DROP CONSTRAINT %I;'"
								  "  ELSE 'ALTER TABLE %s VALIDATE CONSTRAINT %I;' END, n.conrelid::regclass, n.conname)"
								  " FROM (SELECT $1::oid AS relid UNION SELECT relid FROM pg_partition_tree($1::oid)) t"
								  " JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = $2 AND NOT a.attisdropped"
								  " JOIN pg_constraint n ON n.contype = 'n' AND n.conrelid = t.relid AND n.conkey = ARRAY[a.attnum]"
								  "  AND NOT n.convalidated AND n.coninhcount = 0 ORDER BY 1", 2,
								  psprintf("%u", report->context->schema->relation[column->table].relid), column->name),
						"a NOT NULL constraint that is valid for all rows, or none", NULL);
	}
}

void
crd_check_primary_key(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	if (schema->pk_text_expr == NULL)
		crd_report_put(report, CRD_ERROR, "connections has no primary key",
					   "Add a primary key: a rollback identifies each connection by it.");
	else if (schema->pk_uses_legacy_columns)
		crd_report_put(report, CRD_ERROR, psprintf("primary key of connections on %s", schema->pk_text_expr),
					   "Create a primary key on other columns before the migration.");
}

void
crd_check_foreign_key(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;
	const CrdRelation *connections = &schema->relation[CRD_CONNECTIONS];
	const CrdRelation *available = &schema->relation[CRD_AVAILABLE_CONNECTIONS];
	CrdResult  *rows;

	if (!crd_context_includes_step(report->context, 3))
	{
		report->ok = "the migration does not include step 3";
		return;
	}
	if (!schema->entry_id_unique)
	{
		/* the column may not exist, which the query below would not accept */
		crd_report_put_expected(report, CRD_ERROR, "no unique index on available_connections.id alone",
								"a primary key or UNIQUE constraint, not deferrable",
								"Make id the primary key of available_connections.");
		return;
	}
	rows = crd_query(CRD_CALLER, "SELECT has_table_privilege($1::oid, $2::oid, 'REFERENCES')"
					 " OR has_column_privilege($1::oid, $2::oid, 'id', 'REFERENCES')", 2,
					 psprintf("%u", connections->owner), psprintf("%u", available->relid));
	if (connections->relpersistence == RELPERSISTENCE_PERMANENT &&
		available->relpersistence != RELPERSISTENCE_PERMANENT)
		crd_report_put_expected(report, CRD_ERROR, "available_connections is unlogged, connections is not",
								"a logged table available_connections",
								"ALTER TABLE connections.available_connections SET LOGGED;");
	else if (!crd_is_true(rows->row[0][0]))
		crd_report_put_expected(report, CRD_ERROR, "the owner of connections may not reference available_connections",
								"the privilege REFERENCES on it",
								psprintf("GRANT REFERENCES ON connections.available_connections TO %s;",
										 quote_identifier(GetUserNameFromId(connections->owner, false))));
}

/*
 * PostgreSQL adds a column without reading the table only if the type has no
 * constraint that it would have to check for the NULL in each row.
 */
void
crd_check_new_column_types(CrdReport *report)
{
	CrdContext *context = report->context;
	const CrdSchema *schema = context->schema;
	List	   *types = NIL;
	ListCell   *lc;

	if (report->direction == CRD_UP && crd_context_includes_step(context, 2))
		types = list_make1(unconstify(char *, schema->column[CRD_ENTRY_ID].type));
	for (int step = 1; step <= CRD_LAST_STEP; step++)
	{
		foreach(lc, crd_context_includes_step(context, step) ? context->saved->columns[step] : NIL)
		{
			CrdSavedColumn *column = lfirst(lc);

			/* step 4 renames name */
			if (step < 4 || strcmp(column->name, schema->column[CRD_NAME].name) != 0)
				types = lappend(types, unconstify(char *, column->type));
		}
	}
	foreach(lc, types)
		crd_report_rows(report, context->online ? CRD_ERROR : CRD_WARNING,
						crd_query(CRD_CALLER,
								  "WITH RECURSIVE domains(oid, base, not_null) AS ("
								  " SELECT oid, typbasetype, typnotnull FROM pg_type"
								  "  WHERE oid = to_regtype(split_part($1, ' COLLATE ', 1)) AND typtype = 'd'"
								  " UNION ALL SELECT t.oid, t.typbasetype, t.typnotnull FROM domains d"
								  "  JOIN pg_type t ON t.oid = d.base AND t.typtype = 'd') "
								  "SELECT format('a new column of the domain %s, which has constraints', $1) WHERE EXISTS"
								  " (SELECT FROM domains d WHERE not_null"
								  "  OR EXISTS (SELECT FROM pg_constraint c WHERE c.contypid = d.oid))", 1,
								  lfirst(lc)),
						NULL, "Only the atomic mode can add such a column.");
}

/* The foreign key and the index belong to the version, which was matched. */
void
crd_verify_foreign_key(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	report->ok = schema->version < 3 ? "no foreign key before step 3" :
		psprintf("foreign key \"%s\"", schema->fk_name);
}

void
crd_verify_index(CrdReport *report)
{
	report->ok = report->context->schema->version < 3 ? "no index before step 3" :
		"an index on available_connection_id";
}
