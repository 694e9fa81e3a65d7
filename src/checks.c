/*-------------------------------------------------------------------------
 *
 * checks.c
 *	  What must hold before a migration, and after it: one table of checks, from
 *	  which connections_precheck() and connections_verify() report and
 *	  crd_checks_enforce() raises.
 *
 * A check only reads, also on a standby.  It reports at least one row, and
 * never fails for what it finds in the data.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "bridge.h"
#include "checks.h"
#include "compat.h"
#include "contents.h"
#include "environment.h"
#include "report.h"
#include "sql.h"
#include "way_back.h"

/* How many rows of a check an error lists */
#define DETAIL_LINES 10

/* When a check is made ... */
#define BOTH_WAYS	(CRD_FORWARD | CRD_BACK)
#define ALWAYS		(BOTH_WAYS | CRD_VERIFY)
/* ... what it needs to look at ... */
#define NEEDS_TABLES	0x10
#define NEEDS_VERSION	0x20
#define NEEDS_OWNER		0x40
#define READS_TABLES	0x80
#define NEEDS_DATA		(NEEDS_TABLES | NEEDS_VERSION | NEEDS_OWNER | READS_TABLES)
/* ... and whether it only advises, is among the first, or blocks readers */
#define ADVICE		0x100
#define BASE		0x200
#define BLOCKING	0x400

typedef struct CrdCheck
{
	const char *name;
	int			flags;
	int			sqlstate;
	const char *message;		/* of the error that it raises */
	void		(*run) (CrdReport *report);
} CrdCheck;

static void check_tables(CrdReport *report);
static void check_table_kinds(CrdReport *report);
static void check_version(CrdReport *report);
static void check_ownership(CrdReport *report);
static void check_columns(CrdReport *report);
static void check_primary_key(CrdReport *report);
static void check_dependents(CrdReport *report);
static void check_functions(CrdReport *report);
static void check_names(CrdReport *report);
static void check_foreign_key(CrdReport *report);
static void check_new_columns(CrdReport *report);
static void verify_foreign_key(CrdReport *report);
static void verify_index(CrdReport *report);

/*
 * The checks, in the order of the report.  A new check is a new row.
 */
static const CrdCheck checks[] = {
	{"tables", ALWAYS | BASE | BLOCKING, ERRCODE_UNDEFINED_TABLE,
	"tables of the migration do not exist", check_tables},
	{"table_kinds", ALWAYS | NEEDS_TABLES | BASE | BLOCKING, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"tables of the migration are not of a kind that can be migrated", check_table_kinds},
	{"version", ALWAYS | NEEDS_TABLES | BASE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"tables fit no version of the redesign", check_version},
	{"ownership", ALWAYS | NEEDS_TABLES | BASE | BLOCKING, ERRCODE_INSUFFICIENT_PRIVILEGE,
	"must be owner of the tables of the migration", check_ownership},
	{"columns", ALWAYS | NEEDS_TABLES | NEEDS_VERSION | BLOCKING, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"columns cannot be migrated as they are", check_columns},
	{"primary_key", BOTH_WAYS | NEEDS_TABLES, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"primary key of connections cannot be used", check_primary_key},
	{"dependents", BOTH_WAYS | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"other objects depend on columns that are dropped", check_dependents},
	{"functions", BOTH_WAYS | NEEDS_TABLES | NEEDS_VERSION | ADVICE, 0, NULL, check_functions},
	{"names", BOTH_WAYS | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"a name that the migration needs is taken", check_names},
	{"foreign_key", CRD_FORWARD | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"foreign key to the catalog cannot be made", check_foreign_key},
	{"citus", BOTH_WAYS | NEEDS_TABLES, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"tables of the migration are distributed", crd_check_citus},
	{"row_level_security", BOTH_WAYS | NEEDS_TABLES, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"row-level security hides rows from the owner of the tables", crd_check_row_security},
	{"new_columns", BOTH_WAYS | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"new columns cannot be added without a rewrite of the table", check_new_columns},
	{"catalog", ALWAYS | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"catalog does not hold exactly the entries of the registry", crd_check_catalog},
	{"mapping", ALWAYS | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"some connections do not map to an available connection", crd_check_mapping},
	{"rows_on_the_way_back", CRD_BACK | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"some connections cannot be given back their legacy columns", crd_check_way_back_rows},
	{"constraints_on_the_way_back", CRD_BACK | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"some connections would violate constraints on the way back", crd_check_way_back_constraints},
	{"isolation", BOTH_WAYS | ADVICE, 0, NULL, crd_check_isolation},
	{"statement_timeout", BOTH_WAYS | ADVICE, 0, NULL, crd_check_statement_timeout},
	{"publications", BOTH_WAYS | NEEDS_TABLES | ADVICE, 0, NULL, crd_check_publications},
	{"locks", BOTH_WAYS | NEEDS_TABLES | ADVICE, 0, NULL, crd_check_locks},
	{"snapshots", BOTH_WAYS | ADVICE, 0, NULL, crd_check_snapshots},
	{"disk_space", BOTH_WAYS | NEEDS_TABLES | READS_TABLES | ADVICE, 0, NULL, crd_check_disk},
	{"foreign_key_valid", CRD_VERIFY | NEEDS_TABLES | NEEDS_VERSION, 0, NULL, verify_foreign_key},
	{"index_valid", CRD_VERIFY | NEEDS_TABLES | NEEDS_VERSION, 0, NULL, verify_index},
	{"display_names", CRD_VERIFY | NEEDS_DATA, 0, NULL, crd_verify_display_names},
};

PG_FUNCTION_INFO_V1(connections_precheck);
PG_FUNCTION_INFO_V1(connections_verify);

static const char *const status_names[] = {
	[CRD_OK] = "ok",
	[CRD_WARNING] = "warning",
	[CRD_ERROR] = "error",
};

static void run_check(CrdReport *report, const CrdCheck *check);
static bool report_unfit_partitions(CrdReport *report, const CrdRelation *rel);


/* Reporting and enforcing */

static int
direction_to(const CrdSchema *schema, int target)
{
	return target < schema->highest_whole ? CRD_BACK : CRD_FORWARD;
}

static void
report_all(FunctionCallInfo fcinfo, int direction, CrdFindings *findings)
{
	CrdSet	   *set = crd_set_open(fcinfo);
	CrdReport	report = {.findings = findings,.direction = direction};
	ListCell   *lc;

	for (int i = 0; i < lengthof(checks); i++)
		if (checks[i].flags & direction)
			run_check(&report, &checks[i]);
	foreach(lc, report.rows)
	{
		CrdReportRow *row = lfirst(lc);
		const char *values[] = {
			row->check_name, status_names[row->status], row->found,
			row->expected, row->hint
		};

		crd_set_put(set, values);
	}
}

/*
 * connections_precheck(step) reports whether the database can be taken to that
 * version.
 */
Datum
connections_precheck(PG_FUNCTION_ARGS)
{
	int			target = crd_check_step(fcinfo, 0, 0, CRD_LAST_STEP);
	CrdSchema  *schema = crd_schema_read();

	report_all(fcinfo, direction_to(schema, target), crd_findings(schema, target, false));
	return (Datum) 0;
}

/*
 * connections_verify() reports whether the version that the database is at is
 * whole.
 */
Datum
connections_verify(PG_FUNCTION_ARGS)
{
	CrdSchema  *schema = crd_schema_read();

	report_all(fcinfo, CRD_VERIFY, crd_findings(schema, schema->version, false));
	return (Datum) 0;
}

void
crd_checks_enforce(CrdFindings *findings, CrdCheckLevel level)
{
	CrdReport	report = {.findings = findings,
	.direction = direction_to(findings->schema, findings->target)};

	for (int i = 0; i < lengthof(checks); i++)
	{
		const CrdCheck *check = &checks[i];
		CrdCheckLevel its_level = check->flags & BASE ? CRD_CHECK_BASE :
		check->flags & NEEDS_OWNER ? CRD_CHECK_DATA : CRD_CHECK_SCHEMA;
		StringInfoData detail;
		const char *hint = NULL;
		int			nerrors = 0;
		ListCell   *lc;

		if (!(check->flags & report.direction) || (check->flags & ADVICE) ||
			its_level > level)
			continue;
		report.rows = NIL;
		run_check(&report, check);

		initStringInfo(&detail);
		foreach(lc, report.rows)
		{
			CrdReportRow *row = lfirst(lc);

			if (row->status != CRD_ERROR)
				continue;
			nerrors++;
			if (hint == NULL)
				hint = row->hint;
			if (nerrors <= DETAIL_LINES)
				appendStringInfo(&detail, "%sFound %s; expected %s.",
								 nerrors > 1 ? "\n" : "", row->found, row->expected);
		}
		if (nerrors > DETAIL_LINES)
			appendStringInfo(&detail, "\nAnd %d more, see connections_precheck(%d).",
							 nerrors - DETAIL_LINES, findings->target);
		if (nerrors > 0)
			ereport(ERROR,
					(errcode(check->sqlstate),
					 errmsg_internal("%s", check->message),
					 errdetail_internal("%s", detail.data),
					 hint ? errhint("%s", hint) : 0));
	}
}

int
crd_check_step(FunctionCallInfo fcinfo, int argno, int min, int max)
{
	int			step;

	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"step\" must not be null")));
	step = PG_GETARG_INT32(argno);
	if (step < min || step > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step %d is out of range", step),
				 errhint("Valid steps are %d to %d.", min, max)));
	return step;
}

/* Make a check, or say why it cannot be made. */
static void
run_check(CrdReport *report, const CrdCheck *check)
{
	CrdSchema  *schema = report->findings->schema;
	bool		tables = schema->relation[CRD_CONNECTIONS].exists &&
	schema->relation[CRD_CATALOG].exists;
	bool		owned = crd_schema_owned(schema);
	int			nerrors;

	report->check_name = check->name;
	if (((check->flags & NEEDS_TABLES) && !tables) ||
		((check->flags & READS_TABLES) && report->blocked) ||
		((check->flags & NEEDS_VERSION) && schema->version == CRD_NO_VERSION) ||
		((check->flags & NEEDS_OWNER) && !owned))
	{
		crd_report_not_checked(report);
		return;
	}
	if ((check->flags & NEEDS_OWNER) && !report->catalog_read)
	{
		for (CrdTable table = 0; table < CRD_NTABLES; table++)
			if (schema->relation[table].row_security_binds)
			{
				crd_report_put(report, CRD_WARNING, "not checked: row-level security is forced upon the owner",
							   "a check of this",
							   report->direction == CRD_VERIFY ?
							   "Lift FORCE ROW LEVEL SECURITY for the time of the verification." :
							   "The migration lifts FORCE under its lock, checks this, and puts FORCE back.");
				return;
			}
		crd_schema_read_catalog(schema);
		report->catalog_read = true;
	}
	nerrors = report->nerrors;
	check->run(report);
	if ((check->flags & BLOCKING) && report->nerrors > nerrors)
		report->blocked = true;
}

void
crd_report_put(CrdReport *report, CrdStatus status, const char *found, const char *expected,
			   const char *hint)
{
	CrdReportRow *row = palloc(sizeof(CrdReportRow));

	row->check_name = report->check_name;
	row->status = status;
	row->found = found;
	row->expected = expected;
	row->hint = hint;
	report->rows = lappend(report->rows, row);
	report->nerrors += status == CRD_ERROR;
}

bool
crd_crosses(const CrdReport *report, int step)
{
	return crd_findings_cross(report->findings, step);
}

void
crd_report_not_checked(CrdReport *report)
{
	crd_report_put(report, CRD_WARNING, "not checked", "a check of this",
				   "Correct the errors above first.");
}

const char *
crd_count_text(int64 count, const char *noun)
{
	return psprintf(INT64_FORMAT " %s%s", count, noun, count == 1 ? "" : "s");
}


/* The checks */

static void
check_tables(CrdReport *report)
{
	const CrdSchema *schema = report->findings->schema;

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

static void
check_table_kinds(CrdReport *report)
{
	const CrdSchema *schema = report->findings->schema;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		const CrdRelation *rel = &schema->relation[table];
		const char *found = NULL;

		switch (rel->kind)
		{
			case RELKIND_RELATION:
				break;
			case RELKIND_PARTITIONED_TABLE:
				if (table == CRD_CATALOG)
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
						   table == CRD_CATALOG ? "an ordinary table" : "an ordinary or partitioned table",
						   "Put an ordinary table in its place before the migration.");
		else if (rel->kind == RELKIND_RELATION || !report_unfit_partitions(report, rel))
			crd_report_put(report, CRD_OK, psprintf("%s is %s", rel->name,
													rel->kind == RELKIND_RELATION ? "an ordinary table" : "a partitioned table"),
						   "a table that can be migrated", NULL);
	}
}

/* Report the partitions that cannot be migrated; whether there is one. */
static bool
report_unfit_partitions(CrdReport *report, const CrdRelation *rel)
{
	CrdRows    *unfit;

	unfit = crd_fetch(CRD_CALLER,
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

static void
check_version(CrdReport *report)
{
	const CrdSchema *schema = report->findings->schema;

	if (schema->version == CRD_NO_VERSION)
		crd_report_put(report, CRD_ERROR, schema->misfit, "one of the versions 0 to 4, whole",
					   "Bring the tables to one of the versions by hand, for example by undoing what was begun.");
	else if (schema->unfinished_step)
		crd_report_put(report, CRD_WARNING,
					   psprintf("version %d, and step %d half %s", schema->version, schema->unfinished_step,
								schema->unfinished_up ? "applied" : "undone"),
					   "one of the versions 0 to 4, whole",
					   "An online run has begun that step: call again to end it, or the other way to undo it.");
	else
		crd_report_put(report, CRD_OK, psprintf("version %d", schema->version),
					   "one of the versions 0 to 4, whole", NULL);
}

static void
check_ownership(CrdReport *report)
{
	const CrdSchema *schema = report->findings->schema;
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
		crd_report_put(report, report->findings->online ? CRD_ERROR : CRD_WARNING,
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
								GetUserNameFromId(crd_owner(schema, CRD_CATALOG), false)),
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
	static const CrdDrop renames[] = {{4, true, CRD_NAME}, {4, false, CRD_LABEL}};
	const CrdSchema *schema = report->findings->schema;
	bool		found = false;

	for (int i = 0; i < CRD_NDROPS + lengthof(renames); i++)
	{
		const CrdDrop *drop = i < CRD_NDROPS ? &crd_drops[i] : &renames[i - CRD_NDROPS];
		const CrdColumn *column = &schema->column[drop->column];
		CrdRows    *rows;

		/*
		 * that of available_connection_id is step 3's; that of label would
		 * not fit version 4 if it were validated
		 */
		if (drop->column == CRD_AVAILABLE_CONNECTION_ID || report->direction == CRD_VERIFY ||
			drop->up != (report->direction == CRD_FORWARD) || !crd_crosses(report, drop->step))
			continue;
		rows = crd_fetch(CRD_CALLER,
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

static void
check_columns(CrdReport *report)
{
	static const CrdColumnId legacy[] = {CRD_CATALOG_NAME, CRD_PROVIDER, CRD_TYPE, CRD_NAME};
	const CrdSchema *schema = report->findings->schema;
	const CrdColumn *config = &schema->column[CRD_CONFIG];
	bool		fine = true;

	if (!crd_has_column(schema, CRD_CATALOG_ID))
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
		CrdRows    *rows;

		if (column->attnum == 0)
			continue;
		rows = crd_fetch(CRD_CALLER, "SELECT typcategory FROM pg_type WHERE oid = $1::oid", 1,
						 psprintf("%u", column->base_type));
		category = rows->row[0][0];
		if (category[0] != TYPCATEGORY_STRING && category[0] != TYPCATEGORY_ENUM)
		{
			crd_report_put(report, CRD_ERROR,
						   psprintf("column %s of type %s", column->name, column->type),
						   "a string or an enum", "Change the type of the column to text.");
			fine = false;
		}
		if (column->is_computed || column->is_partition_key)
		{
			crd_report_put(report, CRD_ERROR,
						   psprintf("column %s is %s", column->name,
									column->is_computed ? "generated" : "part of the partition key"),
						   "an ordinary column", "Make it an ordinary column before the migration.");
			fine = false;
		}
	}
	if (report->direction == CRD_FORWARD && crd_crosses(report, 4) && !schema->column[CRD_NAME].not_null)
	{
		CrdRows    *rows;

		rows = crd_fetch(CRD_CALLER,
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

static void
check_primary_key(CrdReport *report)
{
	const CrdSchema *schema = report->findings->schema;

	if (schema->key == NULL)
		crd_report_put(report, CRD_ERROR, "connections has no primary key", "a primary key",
					   "Add a primary key: the way back knows each connection by it.");
	else if (schema->key_uses_legacy)
		crd_report_put(report, CRD_ERROR, psprintf("primary key of connections on %s", schema->key),
					   "a primary key without provider, type and name",
					   "Make another primary key before the migration.");
	else
		crd_report_put(report, CRD_OK, "connections has a primary key", "a primary key", NULL);
}

/*
 * Report the indexes that cannot stay what they are, the replica identity of a
 * table: one of a column that may be NULL afterwards, which PostgreSQL refuses,
 * or that goes with a column, after which no update or delete is possible where
 * they are published.  Of a partitioned table, it is the partitions' that count.
 */
static void
report_replica_identities(CrdReport *report)
{
	const CrdSchema *schema = report->findings->schema;
	bool		up = report->direction == CRD_FORWARD;
	bool		becomes_nullable = crd_crosses(report, up ? 4 : 3);
	bool		only_online = !up && report->findings->target < 2 && !report->findings->online;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		StringInfoData dropped;
		CrdRows    *rows;

		initStringInfo(&dropped);
		for (int i = 0; i < CRD_NDROPS; i++)
			if (crd_drops[i].up == up && crd_crosses(report, crd_drops[i].step) &&
				schema->column[crd_drops[i].column].table == table)
				appendStringInfo(&dropped, "%s%s", dropped.len ? "," : "",
								 schema->column[crd_drops[i].column].name);
		rows = crd_fetch(CRD_CALLER,
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
						 table == CRD_CATALOG || !becomes_nullable ? NULL : up ? "name" : "available_connection_id");
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
	const CrdKeepsake *keepsake = report->findings->keepsake;
	bool		up = report->direction == CRD_FORWARD;
	List	   *across = NIL;
	List	   *of_label = NIL;
	ListCell   *lc;

	if (report->findings->online || !crd_crosses(report, 2) || !crd_crosses(report, 4))
		return;
	foreach(lc, up ? keepsake->statements[2] : keepsake->statements[4])
	{
		CrdKeptStatement *kept = lfirst(lc);

		if (!kept->of_column &&
			crd_fetch(CRD_CALLER, "SELECT WHERE $1 ~ $2", 2, kept->statement,
					  up ? "\\y(provider|type|name)\\y" : "\\yavailable_connection_id\\y")->nrows > 0)
			across = lappend(across, unconstify(char *, kept->statement));
	}
	if (!up)
		of_label = crd_dependents(report->findings->schema, CRD_LABEL);
	foreach(lc, up ? NIL : crd_dependents(report->findings->schema, CRD_AVAILABLE_CONNECTION_ID))
	{
		CrdDependent *dependent = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, of_label)
		{
			if (dependent->kept && strcmp(((CrdDependent *) lfirst(lc2))->what, dependent->what) == 0)
				across = lappend(across, unconstify(char *, dependent->what));
		}
	}
	foreach(lc, across)
		crd_report_put(report, CRD_ERROR, psprintf("columns of steps 2 and 4 in: %s", (char *) lfirst(lc)),
					   "none, where both steps are taken at once",
					   "Go to version 3 first, and then on; or use the online mode.");
}

static void
check_dependents(CrdReport *report)
{
	const CrdSchema *schema = report->findings->schema;
	List	   *seen = NIL;
	ListCell   *lc;

	for (int i = 0; i < CRD_NDROPS; i++)
	{
		const CrdDrop *drop = &crd_drops[i];
		const CrdColumn *column = &schema->column[drop->column];

		if (drop->up != (report->direction == CRD_FORWARD) || !crd_crosses(report, drop->step))
			continue;
		foreach(lc, crd_dependents(schema, drop->column))
		{
			CrdDependent *dependent = lfirst(lc);
			bool		known = false;
			ListCell   *lc2;

			foreach(lc2, seen)
				if (strcmp(lfirst(lc2), dependent->what) == 0)
				known = true;
			if (known)
				continue;
			seen = lappend(seen, unconstify(char *, dependent->what));
			if (dependent->kept)
				crd_report_put(report, CRD_WARNING, psprintf("%s, on column %s", dependent->what, column->name),
							   "it goes with the column", "The way back restores it.");
			else
				crd_report_put(report, CRD_ERROR, psprintf("%s, on column %s", dependent->what, column->name),
							   "nothing that DROP COLUMN would refuse or lose",
							   "Drop the object before the migration, or make it do without the column; nothing is dropped with CASCADE.");
		}
	}
	report_replica_identities(report);
	report_across_steps(report);
	for (int step = 1; step <= CRD_LAST_STEP; step++)
		foreach(lc, crd_crosses(report, step) ? report->findings->keepsake->lost[step] : NIL)
			crd_report_put(report, CRD_WARNING, lfirst(lc), "roles and partitions that are there",
						   "It will not come back; create the role, or give the partition that name again before, if it should.");
	if (report->direction == CRD_FORWARD && crd_crosses(report, 4) &&
		report->findings->keepsake->has_null_labels)
	{
		crd_report_foreign_keys(report, CRD_NAME);
		if (crd_kept_by_other_key(schema, report->findings->keepsake))
			crd_report_put(report, CRD_WARNING, psprintf("primary key %s", schema->key),
						   psprintf("primary key %s, by which NULL labels were kept", report->findings->keepsake->key),
						   "Labels that were NULL stay empty, unless that primary key is put back.");
	}
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		bool		rewritten = table == CRD_CATALOG ? crd_crosses(report, 1) :
		crd_crosses(report, 2) || crd_crosses(report, 4);

		foreach(lc, rewritten ? crd_row_type_users(schema, table) : NIL)
			crd_report_put(report, CRD_ERROR,
						   psprintf("%s, which uses the row type of %s",
									((CrdDependent *) lfirst(lc))->what,
									schema->relation[table].name),
						   "nothing that keeps the table from being rewritten",
						   "Drop it before the migration, or change its type.");
	}
	if (report->rows == NIL ||
		((CrdReportRow *) llast(report->rows))->check_name != report->check_name)
		crd_report_put(report, CRD_OK, "nothing", "nothing that depends on the columns", NULL);
}

/* Functions whose body is a string, and the columns that they mention. */
static void
check_functions(CrdReport *report)
{
	/* step 4 and its way back drop these, too, for whoever uses the name */
	static const CrdDrop renames[] = {{4, true, CRD_NAME}, {4, false, CRD_LABEL}};
	CrdColumnId columns[CRD_NDROPS + lengthof(renames)];
	List	   *functions = NIL;
	int			ncolumns = 0;
	ListCell   *lc;

	for (int i = 0; i < lengthof(columns); i++)
	{
		const CrdDrop *drop = i < CRD_NDROPS ? &crd_drops[i] : &renames[i - CRD_NDROPS];

		if (drop->up == (report->direction == CRD_FORWARD) && crd_crosses(report, drop->step))
			columns[ncolumns++] = drop->column;
	}
	if (ncolumns > 0)
		functions = crd_mentioning_functions(report->findings->schema, columns, ncolumns);
	foreach(lc, functions)
		crd_report_put(report, CRD_WARNING, ((CrdDependent *) lfirst(lc))->what,
					   "no function that uses what is dropped or renamed",
					   "It may stop working afterwards: look at it, and change it together with the application.");
	if (functions == NIL)
		crd_report_put(report, CRD_OK, "nothing", "no function that uses what is dropped or renamed", NULL);
}

/* What brings a NOT NULL back that has a name, as far as that goes. */
static CrdKeptStatement *
not_null_statement(const char *relation, const char *name, const char *column)
{
	CrdKeptStatement *kept = palloc0(sizeof(CrdKeptStatement));

	kept->relation = relation;
	kept->statement = psprintf("ALTER TABLE %s ADD CONSTRAINT %s NOT NULL %s",
							   relation, quote_identifier(name), column);
	return kept;
}

/*
 * The names that the steps choose are free; given are those of the bridge, and of
 * what comes back.
 */
static void
check_names(CrdReport *report)
{
	const CrdFindings *findings = report->findings;
	const CrdSchema *schema = findings->schema;
	List	   *statements = NIL;
	List	   *taken;
	ListCell   *lc;

	for (int step = 1; step <= CRD_LAST_STEP; step++)
	{
		const char *table = schema->relation[step == 1 ? CRD_CATALOG : CRD_CONNECTIONS].name;
		bool		crosses = crd_crosses(report, step);

		/* the columns are there again, and what goes with them is to come */
		bool		rest = step == schema->unfinished_step && !schema->unfinished_up &&
		crd_to_be_finished(schema);

		foreach(lc, crosses && !rest ? findings->keepsake->columns[step] : NIL)
		{
			CrdKeptColumn *column = lfirst(lc);

			if (column->not_null_name)
				statements = lappend(statements, not_null_statement(table, column->not_null_name, column->name));
		}
		foreach(lc, crosses && !rest ? findings->keepsake->own_not_null[step] : NIL)
		{
			CrdNotNull *own = lfirst(lc);

			statements = lappend(statements, not_null_statement(own->relation, own->name, own->column));
		}
		if (crosses || rest)
			statements = list_concat(statements, findings->keepsake->statements[step]);
	}
	taken = crd_names_taken(statements);
	foreach(lc, taken)
		crd_report_put(report, CRD_ERROR, ((CrdDependent *) lfirst(lc))->what,
					   "no other object by the name of one that comes back",
					   "Rename or drop the object before.");
	if (report->direction == CRD_FORWARD && schema->version < 2 && schema->has_bridge &&
		schema->unfinished_step != 2)
		crd_report_put(report, CRD_ERROR, psprintf("a trigger %s on connections", CRD_BRIDGE_TRIGGER),
					   "no trigger of that name", "Drop or rename the trigger.");
	else if (taken == NIL)
		crd_report_put(report, CRD_OK, "no name is taken", "names that the migration needs are free", NULL);
}

static void
check_foreign_key(CrdReport *report)
{
	const CrdSchema *schema = report->findings->schema;
	const CrdRelation *connections = &schema->relation[CRD_CONNECTIONS];
	const CrdRelation *catalog = &schema->relation[CRD_CATALOG];
	CrdRows    *rows;

	if (!crd_crosses(report, 3))
	{
		crd_report_put(report, CRD_OK, "step 3 is not taken", "a foreign key with step 3", NULL);
		return;
	}
	if (!schema->catalog_id_unique)
	{
		/* there may be no such column at all */
		crd_report_put(report, CRD_ERROR, "no unique index on available_connections.id alone",
					   "a primary key or UNIQUE constraint, not deferrable",
					   "Make id the primary key of the catalog.");
		return;
	}
	rows = crd_fetch(CRD_CALLER, "SELECT has_table_privilege($1::oid, $2::oid, 'REFERENCES')"
					 " OR has_column_privilege($1::oid, $2::oid, 'id', 'REFERENCES')", 2,
					 psprintf("%u", connections->owner), psprintf("%u", catalog->relid));
	if (connections->persistence == RELPERSISTENCE_PERMANENT &&
		catalog->persistence != RELPERSISTENCE_PERMANENT)
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
static void
check_new_columns(CrdReport *report)
{
	CrdFindings *findings = report->findings;
	const CrdSchema *schema = findings->schema;
	List	   *types = NIL;
	bool		fine = true;
	ListCell   *lc;

	if (report->direction == CRD_FORWARD && crd_crosses(report, 2))
		types = list_make1(unconstify(char *, schema->column[CRD_CATALOG_ID].type));
	for (int step = 1; step <= CRD_LAST_STEP; step++)
	{
		foreach(lc, crd_crosses(report, step) ? findings->keepsake->columns[step] : NIL)
		{
			CrdKeptColumn *kept = lfirst(lc);

			/* step 4 renames name */
			if (step < 4 || strcmp(kept->name, schema->column[CRD_NAME].name) != 0)
				types = lappend(types, unconstify(char *, kept->type));
		}
	}
	foreach(lc, types)
	{
		CrdRows    *rows;

		rows = crd_fetch(CRD_CALLER,
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
		crd_report_put(report, findings->online ? CRD_ERROR : CRD_WARNING,
					   psprintf("a new column of the domain %s, which has constraints", (char *) lfirst(lc)),
					   "a type that needs no look at the rows",
					   "Only the atomic mode can add such a column; the online mode refuses.");
	}
	if (fine)
		crd_report_put(report, CRD_OK, "columns that can be added in no time", "the same", NULL);
}

static void
verify_foreign_key(CrdReport *report)
{
	const CrdSchema *schema = report->findings->schema;

	if (schema->version < 3)
		crd_report_put(report, CRD_OK, "no foreign key before step 3", "nothing to verify", NULL);
	else
		crd_report_put(report, CRD_OK, psprintf("foreign key \"%s\"", schema->catalog_fk_name),
					   "a validated foreign key ON DELETE RESTRICT", NULL);
}

static void
verify_index(CrdReport *report)
{
	const CrdSchema *schema = report->findings->schema;

	if (schema->version < 3)
		crd_report_put(report, CRD_OK, "no index before step 3", "nothing to verify", NULL);
	else
		crd_report_put(report, CRD_OK, "an index on available_connection_id", "a valid index", NULL);
}
