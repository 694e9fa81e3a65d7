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

#include "checks/checks.h"
#include "compat.h"
#include "checks/checks_internal.h"
#include "base/sql_exec.h"

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


/*
 * The checks, in the order of the report.  A new check is a new row.
 */
static const CrdCheck checks[] = {
	{"tables", ALWAYS | BASE | BLOCKING, ERRCODE_UNDEFINED_TABLE,
	"tables of the migration do not exist", crd_check_tables},
	{"table_kinds", ALWAYS | NEEDS_TABLES | BASE | BLOCKING, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"tables of the migration are not of a kind that can be migrated", crd_check_table_kinds},
	{"version", ALWAYS | NEEDS_TABLES | BASE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"tables fit no version of the redesign", crd_check_version},
	{"ownership", ALWAYS | NEEDS_TABLES | BASE | BLOCKING, ERRCODE_INSUFFICIENT_PRIVILEGE,
	"must be owner of the tables of the migration", crd_check_ownership},
	{"column_types", ALWAYS | NEEDS_TABLES | NEEDS_VERSION | BLOCKING, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"columns cannot be migrated as they are", crd_check_column_types},
	{"primary_key", BOTH_WAYS | NEEDS_TABLES, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"primary key of connections cannot be used", crd_check_primary_key},
	{"dependent_objects", BOTH_WAYS | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"other objects depend on columns that are dropped", crd_check_dependent_objects},
	{"function_bodies", BOTH_WAYS | NEEDS_TABLES | NEEDS_VERSION | ADVICE, 0, NULL, crd_check_function_bodies},
	{"name_conflicts", BOTH_WAYS | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"a name that the migration needs is taken", crd_check_name_conflicts},
	{"foreign_key", CRD_FORWARD | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"foreign key to the catalog cannot be made", crd_check_foreign_key},
	{"citus", BOTH_WAYS | NEEDS_TABLES, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"tables of the migration are distributed", crd_check_citus},
	{"row_level_security", BOTH_WAYS | NEEDS_TABLES, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"row-level security hides rows from the owner of the tables", crd_check_row_level_security},
	{"new_column_types", BOTH_WAYS | NEEDS_TABLES | NEEDS_VERSION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"new columns cannot be added without a rewrite of the table", crd_check_new_column_types},
	{"available_connections", ALWAYS | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"catalog does not hold exactly the entries of the registry", crd_check_available_connections},
	{"mapping", ALWAYS | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"some connections do not map to an available connection", crd_check_mapping},
	{"rollback_rows", CRD_BACK | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"some connections cannot be given back their legacy columns", crd_check_rollback_rows},
	{"rollback_constraints", CRD_BACK | NEEDS_DATA, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"some connections would violate constraints on the way back", crd_check_rollback_constraints},
	{"isolation", BOTH_WAYS | ADVICE, 0, NULL, crd_check_isolation},
	{"statement_timeout", BOTH_WAYS | ADVICE, 0, NULL, crd_check_statement_timeout},
	{"publications", BOTH_WAYS | NEEDS_TABLES | ADVICE, 0, NULL, crd_check_publications},
	{"locks", BOTH_WAYS | NEEDS_TABLES | ADVICE, 0, NULL, crd_check_locks},
	{"old_snapshots", BOTH_WAYS | ADVICE, 0, NULL, crd_check_old_snapshots},
	{"disk_space", BOTH_WAYS | NEEDS_TABLES | READS_TABLES | ADVICE, 0, NULL, crd_check_disk_space},
	{"foreign_key_valid", CRD_VERIFY | NEEDS_TABLES | NEEDS_VERSION, 0, NULL, crd_verify_foreign_key},
	{"index_valid", CRD_VERIFY | NEEDS_TABLES | NEEDS_VERSION, 0, NULL, crd_verify_index},
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


/* Reporting and enforcing */

static int
direction_to(const CrdSchema *schema, int target)
{
	return target < schema->last_complete_step ? CRD_BACK : CRD_FORWARD;
}

static void
report_all(FunctionCallInfo fcinfo, int direction, CrdContext *context)
{
	CrdResultSet *set = crd_srf_open(fcinfo);
	CrdReport	report = {.context = context,.direction = direction};
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

		crd_srf_put_row(set, values);
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

	report_all(fcinfo, direction_to(schema, target), crd_context_create(schema, target, false));
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

	report_all(fcinfo, CRD_VERIFY, crd_context_create(schema, schema->version, false));
	return (Datum) 0;
}

void
crd_checks_enforce(CrdContext *context, CrdCheckLevel level)
{
	CrdReport	report = {.context = context,
	.direction = direction_to(context->schema, context->target)};

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
							 nerrors - DETAIL_LINES, context->target);
		if (nerrors > 0)
			ereport(ERROR,
					(errcode(check->sqlstate),
					 errmsg_internal("%s", check->message),
					 errdetail_internal("%s", detail.data),
					 hint ? errhint("%s", hint) : 0));
	}
}

/* Make a check, or say why it cannot be made. */
static void
run_check(CrdReport *report, const CrdCheck *check)
{
	CrdSchema  *schema = report->context->schema;
	bool		tables = schema->relation[CRD_CONNECTIONS].exists &&
	schema->relation[CRD_AVAILABLE_CONNECTIONS].exists;
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
			if (schema->relation[table].rls_forced_on_owner)
			{
				crd_report_put(report, CRD_WARNING, "not checked: row-level security is forced upon the owner",
							   "a check of this",
							   report->direction == CRD_VERIFY ?
							   "Lift FORCE ROW LEVEL SECURITY for the time of the verification." :
							   "The migration lifts FORCE under its lock, checks this, and puts FORCE back.");
				return;
			}
		crd_read_entries(schema);
		report->catalog_read = true;
	}
	nerrors = report->nerrors;
	check->run(report);
	if ((check->flags & BLOCKING) && report->nerrors > nerrors)
		report->blocked = true;
}
