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

#include <sys/statvfs.h>

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "bridge.h"
#include "checks.h"
#include "sql.h"

/* How many rows of a check an error lists */
#define DETAIL_LINES 10

/* Transactions younger than this are not worth a warning */
#define OLD_TRANSACTION "interval '1 second'"

typedef enum Status
{
	OK,
	WARNING_STATUS,
	ERROR_STATUS
} Status;

static const char *const status_names[] = {
	[OK] = "ok",
	[WARNING_STATUS] = "warning",
	[ERROR_STATUS] = "error",
};

typedef struct ReportRow
{
	const char *check_name;
	Status		status;
	const char *found;
	const char *expected;
	const char *hint;
} ReportRow;

/* When a check is made ... */
#define FORWARD		0x01
#define BACK		0x02
#define VERIFY		0x04
#define BOTH_WAYS	(FORWARD | BACK)
#define ALWAYS		(BOTH_WAYS | VERIFY)
/* ... what it needs to look at ... */
#define NEEDS_TABLES	0x10
#define NEEDS_VERSION	0x20
#define NEEDS_OWNER		0x40
#define NEEDS_DATA		(NEEDS_TABLES | NEEDS_VERSION | NEEDS_OWNER)
/* ... and whether it only advises, or is among the first to be enforced */
#define ADVICE		0x100
#define BASE		0x200

typedef struct Report
{
	CrdFindings *findings;
	int			direction;		/* FORWARD, BACK or VERIFY */
	List	   *rows;			/* of ReportRow */
	struct CrdCheck *check;		/* being made */
	bool		catalog_read;
} Report;

typedef struct CrdCheck
{
	const char *name;
	int			flags;
	int			sqlstate;
	const char *message;		/* of the error that it raises */
	void		(*run) (Report *report);
} CrdCheck;

static void check_tables(Report *report);
static void check_table_kinds(Report *report);
static void check_version(Report *report);
static void check_ownership(Report *report);
static void check_columns(Report *report);
static void check_primary_key(Report *report);
static void check_catalog(Report *report);
static void check_mapping(Report *report);
static void check_dependents(Report *report);
static void check_names(Report *report);
static void check_foreign_key(Report *report);
static void check_way_back_rows(Report *report);
static void check_way_back_constraints(Report *report);
static void check_row_security(Report *report);
static void check_citus(Report *report);
static void check_isolation(Report *report);
static void check_publications(Report *report);
static void check_locks(Report *report);
static void check_snapshots(Report *report);
static void check_disk(Report *report);
static void verify_foreign_key(Report *report);
static void verify_index(Report *report);
static void verify_display_names(Report *report);

/*
 * The checks, in the order of the report.  A new check is a new row.
 */
static CrdCheck checks[] = {
	{"tables", ALWAYS | BASE, ERRCODE_UNDEFINED_TABLE,
	"tables of the migration do not exist", check_tables},
	{"table_kinds", BOTH_WAYS | NEEDS_TABLES | BASE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"tables of the migration are not of a kind that can be migrated", check_table_kinds},
	{"version", ALWAYS | NEEDS_TABLES | BASE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"tables fit no version of the redesign", check_version},
	{"ownership", ALWAYS | NEEDS_TABLES | BASE, ERRCODE_INSUFFICIENT_PRIVILEGE,
	"must be owner of the tables of the migration", check_ownership},
	{"columns", BOTH_WAYS | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"columns are not of a type that can be migrated", check_columns},
	{"primary_key", BOTH_WAYS | NEEDS_TABLES, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"primary key of connections cannot be used", check_primary_key},
	{"dependents", BOTH_WAYS | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"other objects depend on columns that are dropped", check_dependents},
	{"names", FORWARD | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"a name that the migration needs is taken", check_names},
	{"foreign_key", FORWARD | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"foreign key to the catalog cannot be made", check_foreign_key},
	{"citus", BOTH_WAYS | NEEDS_TABLES, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"tables of the migration are distributed", check_citus},
	{"row_level_security", BOTH_WAYS | NEEDS_TABLES | ADVICE, 0, NULL, check_row_security},
	{"catalog", ALWAYS | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"catalog does not hold exactly the entries of the registry", check_catalog},
	{"mapping", ALWAYS | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"some connections do not map to an available connection", check_mapping},
	{"rows_on_the_way_back", BACK | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"some connections cannot be given back their legacy columns", check_way_back_rows},
	{"constraints_on_the_way_back", BACK | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"some connections would violate constraints on the way back", check_way_back_constraints},
	{"isolation", BOTH_WAYS | ADVICE, 0, NULL, check_isolation},
	{"publications", BOTH_WAYS | NEEDS_TABLES | ADVICE, 0, NULL, check_publications},
	{"locks", BOTH_WAYS | NEEDS_TABLES | ADVICE, 0, NULL, check_locks},
	{"snapshots", BOTH_WAYS | ADVICE, 0, NULL, check_snapshots},
	{"disk_space", BOTH_WAYS | NEEDS_TABLES | ADVICE, 0, NULL, check_disk},
	{"foreign_key_valid", VERIFY | NEEDS_TABLES | NEEDS_VERSION, 0, NULL, verify_foreign_key},
	{"index_valid", VERIFY | NEEDS_TABLES | NEEDS_VERSION, 0, NULL, verify_index},
	{"display_names", VERIFY | NEEDS_DATA, 0, NULL, verify_display_names},
};

PG_FUNCTION_INFO_V1(connections_precheck);
PG_FUNCTION_INFO_V1(connections_verify);

static void run_check(Report *report, CrdCheck *check);
static void put(Report *report, Status status, const char *found,
				const char *expected, const char *hint);
static bool crosses(Report *report, int step);
static const char *count_text(int64 count, const char *noun);


/* What is known */

CrdFindings *
crd_findings(CrdSchema *schema, int target, bool to_plan)
{
	CrdFindings *findings = palloc0(sizeof(CrdFindings));

	findings->schema = schema;
	findings->target = target;
	findings->to_plan = to_plan;
	return findings;
}

CrdKeepsake *
crd_findings_keepsake(CrdFindings *findings)
{
	if (findings->keepsake == NULL)
		findings->keepsake = crd_keepsake_read();
	return findings->keepsake;
}

CrdCensus *
crd_findings_census(CrdFindings *findings)
{
	if (findings->census == NULL)
		findings->census =
			crd_census(findings->schema,
					   findings->to_plan && findings->target == CRD_LAST_STEP &&
					   !crd_has_column(findings->schema, CRD_AVAILABLE_CONNECTION_ID));
	return findings->census;
}

List *
crd_findings_dictionary(CrdFindings *findings)
{
	if (findings->dictionary == NIL)
		findings->dictionary =
			crd_dictionary(findings->schema,
						   crd_has_column(findings->schema, CRD_AVAILABLE_CONNECTION_ID) ?
						   NULL : crd_findings_census(findings));
	return findings->dictionary;
}

CrdWayBack *
crd_findings_way_back(CrdFindings *findings)
{
	if (findings->way_back == NULL)
		findings->way_back = crd_way_back(findings->schema,
										  crd_findings_keepsake(findings));
	return findings->way_back;
}

CrdWayBackCounts *
crd_findings_way_back_counts(CrdFindings *findings)
{
	if (findings->way_back_counts == NULL)
		findings->way_back_counts =
			crd_way_back_counts(findings->schema, crd_findings_way_back(findings));
	return findings->way_back_counts;
}


/* Reporting and enforcing */

static int
direction_to(const CrdSchema *schema, int target)
{
	return target < schema->highest_whole ? BACK : FORWARD;
}

static void
report_all(FunctionCallInfo fcinfo, int direction, CrdFindings *findings)
{
	CrdSet	   *set = crd_set_open(fcinfo);
	Report		report = {.findings = findings,.direction = direction};
	ListCell   *lc;

	for (int i = 0; i < lengthof(checks); i++)
		if (checks[i].flags & direction)
			run_check(&report, &checks[i]);
	foreach(lc, report.rows)
	{
		ReportRow  *row = lfirst(lc);
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

	report_all(fcinfo, VERIFY, crd_findings(schema, schema->version, false));
	return (Datum) 0;
}

void
crd_checks_enforce(CrdFindings *findings, CrdCheckLevel level)
{
	Report		report = {.findings = findings,
	.direction = direction_to(findings->schema, findings->target)};

	for (int i = 0; i < lengthof(checks); i++)
	{
		CrdCheck   *check = &checks[i];
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
			ReportRow  *row = lfirst(lc);

			if (row->status != ERROR_STATUS)
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
run_check(Report *report, CrdCheck *check)
{
	CrdSchema  *schema = report->findings->schema;
	bool		tables = schema->relation[CRD_CONNECTIONS].exists &&
	schema->relation[CRD_CATALOG].exists;
	bool		owned = crd_schema_owned(schema);

	report->check = check;
	if (((check->flags & NEEDS_TABLES) && !tables) ||
		((check->flags & NEEDS_VERSION) && schema->version == CRD_NO_VERSION) ||
		((check->flags & NEEDS_OWNER) && !owned))
	{
		put(report, WARNING_STATUS, "not checked", "a check of this",
			"Correct the errors above first.");
		return;
	}
	if ((check->flags & NEEDS_OWNER) && !report->catalog_read)
	{
		for (CrdTable table = 0; table < CRD_NTABLES; table++)
			if (schema->relation[table].row_security_binds)
			{
				put(report, WARNING_STATUS, "not checked: row-level security is forced upon the owner",
					"a check of this",
					"The migration lifts FORCE under its lock, checks this, and puts FORCE back.");
				return;
			}
		crd_schema_read_catalog(schema);
		report->catalog_read = true;
	}
	check->run(report);
}

static void
put(Report *report, Status status, const char *found, const char *expected,
	const char *hint)
{
	ReportRow  *row = palloc(sizeof(ReportRow));

	row->check_name = report->check->name;
	row->status = status;
	row->found = found;
	row->expected = expected;
	row->hint = hint;
	report->rows = lappend(report->rows, row);
}

/* Whether the migration applies or undoes that step. */
static bool
crosses(Report *report, int step)
{
	int			version = report->findings->schema->version;
	int			target = report->findings->target;

	return report->direction == BACK ? step <= version && step > target :
		step > version && step <= target;
}

static const char *
count_text(int64 count, const char *noun)
{
	return psprintf(INT64_FORMAT " %s%s", count, noun, count == 1 ? "" : "s");
}


/* The checks */

static void
check_tables(Report *report)
{
	const CrdSchema *schema = report->findings->schema;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		const CrdRelation *rel = &schema->relation[table];

		if (rel->exists)
			put(report, OK, rel->name, rel->name, NULL);
		else
			put(report, ERROR_STATUS, "nothing", psprintf("table %s", rel->name),
				"Connect to the database that has the tables.");
	}
}

static void
check_table_kinds(Report *report)
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
			put(report, ERROR_STATUS, psprintf("%s is %s", rel->name, found),
				table == CRD_CATALOG ? "an ordinary table" : "an ordinary or partitioned table",
				"Put an ordinary table in its place before the migration.");
		else
			put(report, OK, psprintf("%s is %s", rel->name,
									 rel->kind == RELKIND_RELATION ? "an ordinary table" : "a partitioned table"),
				"a table that can be migrated", NULL);
	}
}

static void
check_version(Report *report)
{
	const CrdSchema *schema = report->findings->schema;

	if (schema->version == CRD_NO_VERSION)
		put(report, ERROR_STATUS, schema->misfit, "one of the versions 0 to 4, whole",
			"Bring the tables to one of the versions by hand, for example by undoing what was begun.");
	else
		put(report, OK, psprintf("version %d", schema->version),
			"one of the versions 0 to 4, whole", NULL);
}

static void
check_ownership(Report *report)
{
	const CrdSchema *schema = report->findings->schema;
	const char *user = GetUserNameFromId(GetUserId(), false);

	if (crd_schema_owned(schema))
		put(report, OK, psprintf("role \"%s\"", user), "the privileges of the owner of both tables", NULL);
	else
		put(report, ERROR_STATUS, psprintf("role \"%s\"", user),
			psprintf("the privileges of \"%s\", owner of connections, and \"%s\", owner of available_connections",
					 GetUserNameFromId(crd_owner(schema, CRD_CONNECTIONS), false),
					 GetUserNameFromId(crd_owner(schema, CRD_CATALOG), false)),
			"Connect as the owner of the tables, or as a member of that role.");
}

static void
check_columns(Report *report)
{
	static const CrdColumnId legacy[] = {CRD_CATALOG_NAME, CRD_PROVIDER, CRD_TYPE, CRD_NAME};
	const CrdSchema *schema = report->findings->schema;
	const CrdColumn *config = &schema->column[CRD_CONFIG];
	bool		fine = true;

	if (!crd_has_column(schema, CRD_CATALOG_ID))
	{
		put(report, ERROR_STATUS, "no column available_connections.id", "the catalog's key",
			"Add the column, and make it the primary key.");
		fine = false;
	}
	if (config->attnum == 0 ||
		(config->base_type != JSONOID && config->base_type != JSONBOID))
	{
		put(report, ERROR_STATUS,
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
			put(report, ERROR_STATUS,
				psprintf("column %s of type %s", column->name, column->type),
				"a string or an enum", "Change the type of the column to text.");
			fine = false;
		}
		if (column->is_computed || column->is_partition_key)
		{
			put(report, ERROR_STATUS,
				psprintf("column %s is %s", column->name,
						 column->is_computed ? "generated" : "part of the partition key"),
				"an ordinary column", "Make it an ordinary column before the migration.");
			fine = false;
		}
	}
	if (fine)
		put(report, OK, "columns of types that can be migrated",
			"strings or enums, and json or jsonb for config", NULL);
}

static void
check_primary_key(Report *report)
{
	const CrdSchema *schema = report->findings->schema;

	if (schema->key == NULL)
		put(report, ERROR_STATUS, "connections has no primary key", "a primary key",
			"Add a primary key: the way back knows each connection by it.");
	else if (schema->key_uses_legacy)
		put(report, ERROR_STATUS, psprintf("primary key of connections on %s", schema->key),
			"a primary key without provider, type and name",
			"Make another primary key before the migration.");
	else
		put(report, OK, "connections has a primary key", "a primary key", NULL);
}

static void
check_dependents(Report *report)
{
	const CrdSchema *schema = report->findings->schema;
	List	   *seen = NIL;
	ListCell   *lc;

	for (int i = 0; i < CRD_NDROPS; i++)
	{
		const CrdDrop *drop = &crd_drops[i];
		const CrdColumn *column = &schema->column[drop->column];

		if (drop->up != (report->direction == FORWARD) || !crosses(report, drop->step))
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
				put(report, WARNING_STATUS, psprintf("%s, on column %s", dependent->what, column->name),
					"it goes with the column", "The way back restores it.");
			else
				put(report, ERROR_STATUS, psprintf("%s, on column %s", dependent->what, column->name),
					"nothing that DROP COLUMN would refuse or lose",
					"Drop the object before the migration, or make it do without the column; nothing is dropped with CASCADE.");
		}
	}
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		foreach(lc, crd_row_type_users(schema, table))
			put(report, ERROR_STATUS,
				psprintf("%s, of the row type of %s", ((CrdDependent *) lfirst(lc))->what,
						 schema->relation[table].name),
				"no column that keeps the table from being rewritten",
				"Drop the column before the migration, or change its type.");
	if (report->rows == NIL ||
		((ReportRow *) llast(report->rows))->check_name != report->check->name)
		put(report, OK, "nothing", "nothing that depends on the columns", NULL);
}

static void
check_names(Report *report)
{
	const CrdSchema *schema = report->findings->schema;

	if (schema->version < 2 && schema->has_bridge)
		put(report, ERROR_STATUS, psprintf("a trigger %s on connections", CRD_BRIDGE_TRIGGER),
			"no trigger of that name", "Drop or rename the trigger.");
	else
		put(report, OK, "no name is taken", "names that the migration needs are free", NULL);
}

static void
check_foreign_key(Report *report)
{
	const CrdSchema *schema = report->findings->schema;
	const CrdRelation *connections = &schema->relation[CRD_CONNECTIONS];
	const CrdRelation *catalog = &schema->relation[CRD_CATALOG];
	CrdRows    *rows;

	rows = crd_fetch(CRD_CALLER, "SELECT has_table_privilege($1::oid, $2::oid, 'REFERENCES')"
					 " OR has_column_privilege($1::oid, $2::oid, 'id', 'REFERENCES')", 2,
					 psprintf("%u", connections->owner), psprintf("%u", catalog->relid));
	if (!schema->catalog_id_unique)
		put(report, ERROR_STATUS, "no unique index on available_connections.id alone",
			"a primary key or UNIQUE constraint, not deferrable",
			"Make id the primary key of the catalog.");
	else if (connections->persistence == RELPERSISTENCE_PERMANENT &&
			 catalog->persistence != RELPERSISTENCE_PERMANENT)
		put(report, ERROR_STATUS, "available_connections is unlogged, connections is not",
			"a logged catalog", "ALTER TABLE connections.available_connections SET LOGGED.");
	else if (!crd_is_true(rows->row[0][0]))
		put(report, ERROR_STATUS, "the owner of connections may not reference available_connections",
			"the privilege REFERENCES on it",
			psprintf("GRANT REFERENCES ON connections.available_connections TO %s.",
					 quote_identifier(GetUserNameFromId(connections->owner, false))));
	else
		put(report, OK, "a foreign key to the catalog can be made", "the same", NULL);
}

static void
check_citus(Report *report)
{
	CrdRows    *rows = crd_fetch(CRD_CALLER, "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
								 " WHERE c.relname = 'pg_dist_partition' AND n.nspname = 'pg_catalog'", 0);

	if (rows->nrows > 0)
		rows = crd_fetch(CRD_CALLER, "SELECT logicalrelid FROM pg_dist_partition"
						 " WHERE logicalrelid IN ($1::oid, $2::oid)", 2,
						 psprintf("%u", report->findings->schema->relation[CRD_CONNECTIONS].relid),
						 psprintf("%u", report->findings->schema->relation[CRD_CATALOG].relid));
	if (rows->nrows > 0)
		put(report, ERROR_STATUS, psprintf("%s is a Citus table", rows->row[0][0]),
			"local tables", "Undistribute the tables first: undistribute_table().");
	else
		put(report, OK, "local tables", "local tables", NULL);
}

static void
check_row_security(Report *report)
{
	const CrdSchema *schema = report->findings->schema;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (schema->relation[table].row_security_binds)
			put(report, WARNING_STATUS,
				psprintf("FORCE ROW LEVEL SECURITY on %s", schema->relation[table].name),
				"an owner who sees every row",
				"The atomic mode lifts FORCE under its lock, and puts it back.");
		else
			put(report, OK, psprintf("the owner of %s sees every row", schema->relation[table].name),
				"an owner who sees every row", NULL);
}

static void
check_catalog(Report *report)
{
	CrdFindings *findings = report->findings;
	const CrdSchema *schema = findings->schema;
	bool		strict = schema->version == 0;
	Status		status = strict ? ERROR_STATUS : WARNING_STATUS;
	const char *what = strict ? "name" : "slug";
	bool		fine = true;

	for (const CrdEntry *entry = crd_registry; entry->slug; entry++)
	{
		int			count = 0;

		for (int i = 0; i < schema->nrows; i++)
			if (strcmp(schema->rows[i].slug, entry->slug) == 0)
				count++;
		if (count == 1)
			continue;
		fine = false;
		if (count == 0)
			put(report, status, psprintf("no entry with %s \"%s\"", what, entry->slug),
				"each entry exactly once",
				psprintf("Insert the entry, or correct the %s of the one that is meant.", what));
		else
			put(report, ERROR_STATUS, psprintf("%d entries with %s \"%s\"", count, what, entry->slug),
				"each entry exactly once",
				"Point all connections to one of them, and delete the others.");
	}
	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdCatalogRow *row = &schema->rows[i];
		const CrdEntry *near_miss = crd_registry_find(crd_normalized(row->slug));

		if (row->known || !strict || crd_kept_row(crd_findings_keepsake(findings), row))
			continue;
		fine = false;
		put(report, ERROR_STATUS, psprintf("an entry with name \"%s\", id %s", row->slug, row->id),
			psprintf("only the entries %s", crd_registry_slugs()),
			near_miss ? psprintf("\"%s\" looks like \"%s\": correct the name.", row->slug, near_miss->slug) :
			"Delete the entry, or insert it after the migration.");
	}
	if (schema->nnull_slugs > 0)
	{
		fine = false;
		put(report, ERROR_STATUS, psprintf("%s without a %s", count_text(schema->nnull_slugs, "row"), what),
			psprintf("only the entries %s", crd_registry_slugs()), "Delete them, or give them their name.");
	}
	if (report->direction == BACK)
		for (int i = 0; i < schema->nrows; i++)
			if (schema->rows[i].known == NULL && crd_provider_needs_capability(schema->rows[i].slug))
			{
				fine = false;
				put(report, ERROR_STATUS, psprintf("an entry with slug \"%s\"", schema->rows[i].slug),
					"no slug that is the provider of other entries",
					"Change the slug: its connections could not be told apart on the way back.");
			}
	if (fine)
		put(report, OK, psprintf("%s: %s", what, crd_registry_slugs()),
			"each entry exactly once", NULL);
}

static void
check_mapping(Report *report)
{
	CrdFindings *findings = report->findings;
	const CrdSchema *schema = findings->schema;
	bool		has_id = crd_has_column(schema, CRD_AVAILABLE_CONNECTION_ID);
	bool		id_is_lost = report->direction == BACK && crosses(report, 2);
	bool		must_match = id_is_lost || (report->direction == FORWARD && crosses(report, 3) && has_id);
	CrdCensus  *census;

	if (schema->version == CRD_LAST_STEP ||
		(report->direction == BACK && !id_is_lost))
	{
		put(report, OK, schema->version == CRD_LAST_STEP ?
			"the legacy columns are gone" : "available_connection_id stays", "nothing to compare", NULL);
		return;
	}
	census = crd_findings_census(findings);
	for (int i = 0; i < census->npairs; i++)
	{
		CrdPair    *pair = &census->pairs[i];
		const char *count = count_text(pair->count, "connection");

		if (pair->row == NULL && !id_is_lost)
			put(report, ERROR_STATUS,
				psprintf("%s: %s, such as %s", crd_pair_text(pair), count, pair->samples),
				crd_pair_expected(pair), crd_pair_hint(pair));
		else if (pair->differing > 0 && pair->row == NULL)
			put(report, ERROR_STATUS,
				psprintf("%s: %s with an available_connection_id that it does not give, such as %s", crd_pair_text(pair),
						 count_text(pair->differing, "connection"), pair->samples),
				"available_connection_id as the mapping says", crd_pair_hint(pair));
		else if (pair->differing > 0)
			put(report, must_match || report->direction == VERIFY ? ERROR_STATUS : WARNING_STATUS,
				psprintf("%s: %s with another available_connection_id, such as %s", crd_pair_text(pair),
						 count_text(pair->differing, "connection"), pair->samples),
				crd_pair_expected(pair), crd_pair_hint(pair));
		else
			put(report, OK, psprintf("%s: %s", crd_pair_text(pair), count),
				crd_pair_expected(pair), NULL);
	}
	if (census->npairs == 0)
		put(report, OK, "no connections", "connections that map", NULL);
}

static void
check_way_back_rows(Report *report)
{
	CrdWayBackCounts *counts;

	if (!crosses(report, 4))
	{
		put(report, OK, "the legacy columns are there", "nothing to restore", NULL);
		return;
	}
	counts = crd_findings_way_back_counts(report->findings);
	if (counts->config_refuses > 0)
		put(report, ERROR_STATUS,
			psprintf("%s whose config is no object, such as %s",
					 count_text(counts->config_refuses, "connection"), counts->config_samples),
			"an object that can say the capability", "Make config of these connections an object.");
	if (counts->null_labels > 0)
		put(report, WARNING_STATUS, psprintf("%s with label NULL", count_text(counts->null_labels, "connection")),
			"a name for each", "The name becomes empty, and the label NULL again when step 4 is applied again.");
	if (counts->config_changes > counts->config_refuses)
		put(report, WARNING_STATUS,
			psprintf("%s whose config does not say the capability",
					 count_text(counts->config_changes - counts->config_refuses, "connection")),
			"config that maps to the available connection", "The capability is set in config.");
	if (counts->type_unknown > 0)
		put(report, WARNING_STATUS, psprintf("%s whose type is not known", count_text(counts->type_unknown, "connection")),
			"a type from before step 4", "The type becomes the auth_type of the available connection.");
	if (counts->config_changes == 0 && counts->null_labels == 0 && counts->type_unknown == 0)
		put(report, OK, count_text(counts->total, "connection"), "all legacy values known", NULL);
}

static void
check_way_back_constraints(Report *report)
{
	CrdFindings *findings = report->findings;
	CrdWayBackCounts *counts;
	List	   *enforced;
	ListCell   *lc;
	bool		fine = true;

	if (!crosses(report, 4))
	{
		put(report, OK, "the legacy columns are there", "nothing to restore", NULL);
		return;
	}
	counts = crd_findings_way_back_counts(findings);
	if (counts->config_refuses > 0)
	{
		put(report, WARNING_STATUS, "not checked", "a check of this", "Correct the errors above first.");
		return;
	}
	enforced = list_copy(crd_findings_keepsake(findings)->statements[4]);
	if (counts->null_labels > 0)
		enforced = list_concat(enforced, crd_enforced(findings->schema, CRD_LABEL));
	if (counts->config_changes > 0)
		enforced = list_concat(enforced, crd_enforced(findings->schema, CRD_CONFIG));
	foreach(lc, enforced)
	{
		CrdKeptStatement *kept = lfirst(lc);
		const char *keys;

		if (kept->constraint == NULL)
			continue;
		keys = crd_way_back_violations(findings->schema, crd_findings_keepsake(findings),
									   crd_findings_way_back(findings), kept);
		if (keys == NULL)
			continue;
		fine = false;
		put(report, ERROR_STATUS,
			psprintf("connections that would violate \"%s\", such as %s", kept->constraint, keys),
			"rows that the constraint allows",
			"Change these connections so that label, provider and type fit the constraint, then roll back.");
	}
	if (fine)
		put(report, OK, "no violation", "rows that the old constraints allow", NULL);
}

static void
check_isolation(Report *report)
{
	if (XactIsoLevel == XACT_READ_COMMITTED)
		put(report, OK, "READ COMMITTED", "READ COMMITTED", NULL);
	else
		put(report, WARNING_STATUS, XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ or other",
			"READ COMMITTED", "Migrate in a READ COMMITTED transaction.");
}

/* Report each row of a query as a warning, or that there is none. */
static void
put_warnings(Report *report, CrdRows *rows, const char *none, const char *expected,
			 const char *hint)
{
	for (int i = 0; i < rows->nrows; i++)
		put(report, WARNING_STATUS, rows->row[i][0], expected, hint);
	if (rows->nrows == 0)
		put(report, OK, none, expected, NULL);
}

static void
check_publications(Report *report)
{
	put_warnings(report,
				 crd_fetch(CRD_CALLER, "SELECT format('publication %I of table %s', pubname, tablename)"
						   " FROM pg_publication_tables WHERE schemaname = 'connections'"
						   " AND tablename IN ('connections', 'available_connections') ORDER BY 1", 0),
				 "none", "no publication of the tables",
				 "A rewrite is not replicated: migrate the subscriber, too, before it is written to.");
}

static void
check_locks(Report *report)
{
	const CrdSchema *schema = report->findings->schema;

	put_warnings(report,
				 crd_fetch(CRD_CALLER,
						   "SELECT format('process %s (%s, transaction open for %s) has a lock on %s', l.pid,"
						   "  CASE WHEN a.backend_type = 'autovacuum worker' AND a.query LIKE '%to prevent wraparound%'"
						   "   THEN 'anti-wraparound autovacuum, which does not give way'"
						   "   ELSE coalesce(a.state, a.backend_type, 'prepared transaction') END,"
						   "  coalesce(date_trunc('second', clock_timestamp() - a.xact_start)::text, 'unknown time'),"
						   "  string_agg(DISTINCT l.relation::regclass::text, ', '))"
						   " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
						   " WHERE l.locktype = 'relation' AND l.granted AND l.relation IN ($1::oid, $2::oid)"
						   " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
						   " AND l.pid IS DISTINCT FROM pg_backend_pid()"
						   " AND (a.pid IS NULL OR a.xact_start < clock_timestamp() - " OLD_TRANSACTION ")"
						   " GROUP BY l.pid, a.backend_type, a.query, a.state, a.xact_start ORDER BY l.pid", 2,
						   psprintf("%u", schema->relation[CRD_CONNECTIONS].relid),
						   psprintf("%u", schema->relation[CRD_CATALOG].relid)),
				 "none", "nobody who would hold up the lock",
				 "The migration waits for its lock, for as long as lock_timeout and lock_attempts allow: let the transaction end first.");
}

static void
check_snapshots(Report *report)
{
	put_warnings(report,
				 crd_fetch(CRD_CALLER,
						   "SELECT format('process %s (%s) has had a transaction open for %s', pid, coalesce(state, backend_type),"
						   "  date_trunc('second', clock_timestamp() - xact_start))"
						   " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
						   " AND backend_xmin IS NOT NULL AND xact_start < clock_timestamp() - " OLD_TRANSACTION
						   " AND backend_type <> 'autovacuum worker'"
						   " UNION ALL"
						   " SELECT format('prepared transaction %L of %s', gid, owner) FROM pg_prepared_xacts"
						   " WHERE database = current_database()"
						   " UNION ALL"
						   " SELECT format('inactive replication slot %I keeps WAL from %s on', slot_name, restart_lsn)"
						   " FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL"
						   " ORDER BY 1", 0),
				 "none", "no old snapshots and nothing that retains WAL",
				 "A snapshot from before a rewrite sees the table as empty afterwards: let backups and reports end first.");
}

static int64
free_bytes(const char *path)
{
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		return -1;
	return (int64) fs.f_bavail * fs.f_frsize;
}

/*
 * A rewrite takes the table and its indexes once more, and as much WAL.
 */
static void
check_disk(Report *report)
{
	CrdRows    *rows = crd_fetch(CRD_CALLER,
								 "SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0)::int8,"
								 " pg_size_pretty(2 * coalesce(sum(pg_total_relation_size(t.relid)), 0))"
								 " FROM pg_partition_tree($1::oid) t"
								 " UNION ALL SELECT pg_total_relation_size($1::oid), pg_size_pretty(2 * pg_total_relation_size($1::oid))"
								 " ORDER BY 1 DESC LIMIT 1", 1,
								 psprintf("%u", report->findings->schema->relation[CRD_CONNECTIONS].relid));
	int64		needed = pg_strtoint64(rows->row[0][0]);
	int64		data = free_bytes(DataDir);
	int64		wal = free_bytes("pg_wal");

	if (data >= 0 && wal >= 0 && (data < 2 * needed || wal < 2 * needed))
		put(report, WARNING_STATUS,
			psprintf("%lld MB free for data, %lld MB for WAL",
					 (long long) data / (1024 * 1024), (long long) wal / (1024 * 1024)),
			psprintf("%s: table and indexes once more, and their WAL", rows->row[0][1]),
			"Make room before the migration.");
	else
		put(report, OK, "enough", "room for the table and its indexes once more, and their WAL", NULL);
}

static void
verify_foreign_key(Report *report)
{
	const CrdSchema *schema = report->findings->schema;

	if (schema->version < 3)
		put(report, OK, "no foreign key before step 3", "nothing to verify", NULL);
	else
		put(report, OK, psprintf("foreign key \"%s\"", schema->catalog_fk_name),
			"a validated foreign key ON DELETE RESTRICT", NULL);
}

static void
verify_index(Report *report)
{
	const CrdSchema *schema = report->findings->schema;

	if (schema->version < 3)
		put(report, OK, "no index before step 3", "nothing to verify", NULL);
	else
		put(report, OK, "an index on available_connection_id", "a valid index", NULL);
}

static void
verify_display_names(Report *report)
{
	const CrdSchema *schema = report->findings->schema;
	bool		fine = true;

	if (schema->version < 1)
	{
		put(report, OK, "no display names before step 1", "nothing to verify", NULL);
		return;
	}
	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdCatalogRow *row = &schema->rows[i];

		if (row->display_name == NULL)
			put(report, ERROR_STATUS, psprintf("%s: no display name", row->slug),
				row->known ? psprintf("\"%s\"", row->known->display_name) : "a display name",
				row->known ? "Call connections_seed_catalog()." : "Set its display_name.");
		else if (row->known && strcmp(row->display_name, row->known->display_name) != 0)
			put(report, WARNING_STATUS, psprintf("%s: \"%s\"", row->slug, row->display_name),
				psprintf("\"%s\"", row->known->display_name),
				"Call connections_seed_catalog(), unless the name is meant to be another.");
		else
			continue;
		fine = false;
	}
	if (fine)
		put(report, OK, "every entry has its display name", "the display names of the registry", NULL);
}
