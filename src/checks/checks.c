/*-------------------------------------------------------------------------
 *
 * checks.c
 *	  The table of checks, from which connections_precheck() and
 *	  connections_verify() report, and crd_checks_enforce() raises errors.
 *
 * To add a check, write its function (see checks_internal.h) and add one row to
 * the table below.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"

#include "base/sql_exec.h"
#include "checks/checks.h"
#include "checks/checks_internal.h"

/* Limit for the rows of a check that an error lists */
#define DETAIL_LINES 10

/* Short, for the table of checks */
#define NOT_READY ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE

/* Operations that a check belongs to; a set */
typedef enum CheckWhen
{
	UP = 1 << CRD_UP,
	DOWN = 1 << CRD_DOWN,
	UP_DOWN = UP | DOWN,
	VERIFY = 0x04,
	ALWAYS = UP | DOWN | VERIFY
} CheckWhen;

/* Requirements of the check itself, without which it is reported as not made */
typedef enum CheckNeeds
{
	NOTHING,
	TABLES,						/* both tables exist */
	READABLE_TABLES,			/* and no check has blocked reading them */
	VERSION,					/* both tables exist at a known version */
	DATA						/* all of that, and the owner's privileges, to
								 * read the rows */
} CheckNeeds;

typedef enum CheckSeverity
{
	REPORTS,					/* never stops a migration */
	RAISES,						/* its errors stop a migration */
	PREREQUISITE				/* so do they, and it runs at every level */
} CheckSeverity;

typedef struct CrdCheck
{
	const char *name;
	CheckWhen	when;
	CheckNeeds	needs;
	CheckSeverity severity;
	bool		blocks_readers; /* after an error, the tables are not read */
	const char *expected;		/* of each row that names nothing more precise */
	const char *ok;				/* found by a check that reports no row; NULL
								 * if the check sets it */
	int			sqlstate;		/* of the error, unless it only reports ... */
	const char *message;		/* ... and its message */
	void		(*run) (CrdReport *report);
} CrdCheck;

/* The checks, in the order of the report */
static const CrdCheck checks[] = {
	{"tables", ALWAYS, NOTHING, PREREQUISITE, true,
		"both tables", NULL,
	ERRCODE_UNDEFINED_TABLE, "tables of the migration do not exist", crd_check_tables},
	{"table_kinds", ALWAYS, TABLES, PREREQUISITE, true,
		"ordinary tables, of which only connections may be partitioned", NULL,
	NOT_READY, "tables of the migration are not of a kind that can be migrated", crd_check_table_kinds},
	{"version", ALWAYS, TABLES, PREREQUISITE, false,
		"one of the versions 0 to 4, complete", NULL,
	NOT_READY, "tables match no version of the redesign", crd_check_version},
	{"ownership", ALWAYS, TABLES, PREREQUISITE, true,
		"the privileges of the owner of both tables", NULL,
	ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of the tables of the migration", crd_check_ownership},
	{"column_types", ALWAYS, VERSION, RAISES, true,
		"strings or enums, and json or jsonb for config", "columns of types that can be migrated",
	NOT_READY, "columns cannot be migrated as they are", crd_check_column_types},
	{"primary_key", UP_DOWN, TABLES, RAISES, false,
		"a primary key without provider, type and name", "connections has a primary key",
	NOT_READY, "primary key of connections cannot be used", crd_check_primary_key},
	{"dependent_objects", UP_DOWN, VERSION, RAISES, false,
		"no object that depends on the columns", "nothing",
	NOT_READY, "other objects depend on columns that are dropped", crd_check_dependent_objects},
	{"function_bodies", UP_DOWN, VERSION, REPORTS, false,
		"no function that mentions a column that is dropped or renamed", "nothing",
	0, NULL, crd_check_function_bodies},
	{"name_conflicts", UP_DOWN, VERSION, RAISES, false,
		"no other object with a name that the migration needs", "nothing",
	NOT_READY, "a name that the migration needs is already in use", crd_check_name_conflicts},
	{"foreign_key", UP, VERSION, RAISES, false,
		"a unique id, and the privilege REFERENCES on available_connections", "a foreign key to available_connections can be created",
	NOT_READY, "foreign key to available_connections cannot be created", crd_check_foreign_key},
	{"citus", UP_DOWN, TABLES, RAISES, false,
		"local tables", "local tables",
	NOT_READY, "tables of the migration are distributed", crd_check_citus},
	{"row_level_security", UP_DOWN, TABLES, RAISES, false,
		"an owner who sees every row", NULL,
	NOT_READY, "row-level security hides rows from the owner of the tables", crd_check_row_level_security},
	{"new_column_types", UP_DOWN, VERSION, RAISES, false,
		"types without constraints, which PostgreSQL would check for each row", "columns that can be added without reading the table",
	NOT_READY, "new columns cannot be added without a rewrite of the table", crd_check_new_column_types},
	{"available_connections", ALWAYS, DATA, RAISES, false,
		"each entry exactly once", NULL,
	NOT_READY, "available_connections does not contain exactly the entries of the registry", crd_check_available_connections},
	{"mapping", ALWAYS, DATA, RAISES, false,
		"connections that map to an available connection", "no connections",
	NOT_READY, "some connections do not map to an available connection", crd_check_mapping},
	{"rollback_rows", DOWN, DATA, RAISES, false,
		"known legacy values for every connection", NULL,
	NOT_READY, "legacy columns of some connections cannot be restored", crd_check_rollback_rows},
	{"rollback_constraints", DOWN, DATA, RAISES, false,
		"rows that the restored constraints allow", "no violation",
	NOT_READY, "some connections would violate constraints after the rollback", crd_check_rollback_constraints},
	{"isolation", UP_DOWN, NOTHING, REPORTS, false,
		"READ COMMITTED", "READ COMMITTED",
	0, NULL, crd_check_isolation},
	{"statement_timeout", UP_DOWN, NOTHING, REPORTS, false,
		"no statement_timeout, for the online mode", "none",
	0, NULL, crd_check_statement_timeout},
	{"publications", UP_DOWN, TABLES, REPORTS, false,
		"no publication of the tables", "none",
	0, NULL, crd_check_publications},
	{"locks", UP_DOWN, TABLES, REPORTS, false,
		"no transaction that delays the migration's locks", "none",
	0, NULL, crd_check_locks},
	{"old_snapshots", UP_DOWN, NOTHING, REPORTS, false,
		"no old snapshots, and nothing that retains WAL", "none",
	0, NULL, crd_check_old_snapshots},
	{"disk_space", UP_DOWN, READABLE_TABLES, REPORTS, false,
		"room for a second copy of the table and its indexes, and for their WAL", "enough",
	0, NULL, crd_check_disk_space},
	{"foreign_key_valid", VERIFY, VERSION, REPORTS, false,
		"a validated foreign key ON DELETE RESTRICT", NULL,
	0, NULL, crd_verify_foreign_key},
	{"index_valid", VERIFY, VERSION, REPORTS, false,
		"a valid index", NULL,
	0, NULL, crd_verify_index},
	{"display_names", VERIFY, DATA, REPORTS, false,
		"the display names of the registry", "every entry has its display name",
	0, NULL, crd_verify_display_names},
};

static const char *const status_names[] = {
	[CRD_OK] = "ok",
	[CRD_WARNING] = "warning",
	[CRD_ERROR] = "error",
};

PG_FUNCTION_INFO_V1(connections_precheck);
PG_FUNCTION_INFO_V1(connections_verify);

static void report_all(FunctionCallInfo fcinfo, CrdReport *report);
static CrdReport migration_report(CrdContext *context);
static CrdCheckLevel check_level(const CrdCheck *check);
static void raise_errors(const CrdReport *report, const CrdCheck *check);
static bool is_due(const CrdReport *report, const CrdCheck *check);
static void run_check(CrdReport *report, const CrdCheck *check);
static bool needs_met(const CrdReport *report, CheckNeeds needs);
static bool read_entries(CrdReport *report);


/*
 * connections_precheck(step) reports whether the database can be migrated to
 * that version.
 */
Datum
connections_precheck(PG_FUNCTION_ARGS)
{
	int			target = crd_check_step(fcinfo, 0, 0, CRD_LAST_STEP);
	CrdReport	report = migration_report(crd_context_create(crd_schema_read(), target, false));

	report_all(fcinfo, &report);
	return (Datum) 0;
}

/*
 * connections_verify() reports whether the database is completely at its
 * current version.
 */
Datum
connections_verify(PG_FUNCTION_ARGS)
{
	CrdSchema  *schema = crd_schema_read();
	CrdReport	report = {.context = crd_context_create(schema, schema->version, false),.verify = true};

	report_all(fcinfo, &report);
	return (Datum) 0;
}

static void
report_all(FunctionCallInfo fcinfo, CrdReport *report)
{
	CrdResultSet *set = crd_srf_open(fcinfo);
	ListCell   *lc;

	for (int i = 0; i < lengthof(checks); i++)
		if (is_due(report, &checks[i]))
			run_check(report, &checks[i]);
	foreach(lc, report->rows)
	{
		CrdReportRow *row = lfirst(lc);
		const char *values[] = {
			row->check_name, status_names[row->status], row->found,
			row->expected, row->hint
		};

		crd_srf_put_row(set, values);
	}
}

static CrdReport
migration_report(CrdContext *context)
{
	CrdReport	report = {.context = context};

	report.direction = context->target < context->schema->last_complete_step ? CRD_DOWN : CRD_UP;
	return report;
}

void
crd_checks_enforce(CrdContext *context, CrdCheckLevel level)
{
	CrdReport	report = migration_report(context);

	for (int i = 0; i < lengthof(checks); i++)
	{
		const CrdCheck *check = &checks[i];

		if (!is_due(&report, check) || check->severity == REPORTS || check_level(check) > level)
			continue;
		report.rows = NIL;
		run_check(&report, check);
		raise_errors(&report, check);
	}
}

static CrdCheckLevel
check_level(const CrdCheck *check)
{
	return check->severity == PREREQUISITE ? CRD_CHECK_BASE :
		check->needs == DATA ? CRD_CHECK_DATA : CRD_CHECK_SCHEMA;
}

static void
raise_errors(const CrdReport *report, const CrdCheck *check)
{
	StringInfoData detail;
	const char *hint = NULL;
	int			nerrors = 0;
	ListCell   *lc;

	initStringInfo(&detail);
	foreach(lc, report->rows)
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
	if (nerrors == 0)
		return;
	if (nerrors > DETAIL_LINES)
		appendStringInfo(&detail, "\nAnd %d more, see connections_precheck(%d).",
						 nerrors - DETAIL_LINES, report->context->target);
	ereport(ERROR,
			(errcode(check->sqlstate),
			 errmsg_internal("%s", check->message),
			 errdetail_internal("%s", detail.data),
			 hint ? errhint("%s", hint) : 0));
}

static bool
is_due(const CrdReport *report, const CrdCheck *check)
{
	return check->when & (report->verify ? VERIFY : 1 << report->direction);
}

static void
run_check(CrdReport *report, const CrdCheck *check)
{
	int			nrows = list_length(report->rows);
	int			nerrors = report->nerrors;

	report->check_name = check->name;
	report->expected = check->expected;
	report->ok = check->ok;
	if (!needs_met(report, check->needs))
	{
		crd_report_not_checked(report);
		return;
	}
	if (check->needs == DATA && !read_entries(report))
		return;
	check->run(report);
	if (list_length(report->rows) == nrows)
		crd_report_put(report, CRD_OK, report->ok, NULL);
	if (check->blocks_readers && report->nerrors > nerrors)
		report->blocked = true;
}

static bool
needs_met(const CrdReport *report, CheckNeeds needs)
{
	const CrdSchema *schema = report->context->schema;
	bool		exist = schema->relation[CRD_CONNECTIONS].exists &&
	schema->relation[CRD_AVAILABLE_CONNECTIONS].exists;
	bool		has_version = exist && schema->version != CRD_NO_VERSION;

	switch (needs)
	{
		case NOTHING:
			return true;
		case TABLES:
			return exist;
		case READABLE_TABLES:
			return exist && !report->blocked;
		case VERSION:
			return has_version;
		case DATA:
			return has_version && !report->blocked && crd_schema_owned(schema);
	}
	return false;
}

/* Read the entries once; if the owner cannot see every row, report that. */
static bool
read_entries(CrdReport *report)
{
	CrdSchema  *schema = report->context->schema;

	if (report->entries_read)
		return true;
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (schema->relation[table].rls_forced_on_owner)
		{
			crd_report_put(report, CRD_WARNING, "not checked: row-level security is forced on the owner",
						   report->verify ?
						   "Lift FORCE ROW LEVEL SECURITY during the verification." :
						   "The migration lifts FORCE under its lock, runs this check, and restores FORCE.");
			return false;
		}
	crd_read_entries(schema);
	report->entries_read = true;
	return true;
}
