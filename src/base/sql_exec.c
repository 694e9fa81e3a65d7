/*-------------------------------------------------------------------------
 *
 * sql_exec.c
 *	  Running statements: the only door to SPI, and the only place where the
 *	  user id and the settings are switched.  See sql_exec.h for the security model.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "base/sql_exec.h"

/* How many rows crd_query_batched() hands over at a time */
#define STREAM_BATCH 10000

/*
 * Settings that change what a statement does or how values read as text.
 * What was deparsed under them (constraints, literals) reads back the same.
 */
const CrdSetting crd_settings[] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"row_security", "off"},
	{"standard_conforming_strings", "on"},
	{"quote_all_identifiers", "off"},
	{"transform_null_equals", "off"},
	{"default_tablespace", ""},
	{"TimeZone", "UTC"},
	{"DateStyle", "ISO, YMD"},
	{"IntervalStyle", "postgres"},
	{"extra_float_digits", "1"},
	{"bytea_output", "hex"},
	{"xmloption", "content"},
	{"array_nulls", "on"},

	/*
	 * The planner takes an expression over JSON to have far more values than
	 * it has.  Without these it would sort the big table on disk where it can
	 * hash it, do without the parallel workers that the settings allow, and
	 * compile what runs for less than a second.
	 */
	{"enable_sort", "off"},
	{"parallel_setup_cost", "0"},
	{"parallel_tuple_cost", "0"},
	{"jit", "off"},
	{NULL, NULL}
};

/* What scope_leave() puts back; after an error, the abort does. */
typedef struct Scope
{
	Oid			userid;
	int			sec_context;
	int			guc_level;
} Scope;

void
crd_set_guc_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

int
crd_settings_enter(void)
{
	int			guc_level = NewGUCNestLevel();

	for (const CrdSetting *setting = crd_settings; setting->name; setting++)
		crd_set_guc_local(setting->name, setting->value);
	return guc_level;
}

void
crd_settings_leave(int guc_level)
{
	AtEOXact_GUC(false, guc_level);
}

static void
scope_enter(Scope *scope, Oid role)
{
	GetUserIdAndSecContext(&scope->userid, &scope->sec_context);
	scope->guc_level = crd_settings_enter();
	if (OidIsValid(role))
		SetUserIdAndSecContext(role, scope->sec_context |
							   SECURITY_RESTRICTED_OPERATION);
}

static void
scope_leave(Scope *scope)
{
	crd_settings_leave(scope->guc_level);
	SetUserIdAndSecContext(scope->userid, scope->sec_context);
}

/* Connect to SPI; a failure can only be a mistake of ours. */
static void
connect(void)
{
	int			rc = SPI_connect();

	if (rc != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed: %s", SPI_result_code_string(rc));
}

static void
finish(void)
{
	int			rc = SPI_finish();

	if (rc != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed: %s", SPI_result_code_string(rc));
}

/*
 * Execute between connect() and finish(), with the latest snapshot or that of
 * the transaction, and check the result code.
 */
static void
execute(const char *sql, bool latest, int nparams, va_list params)
{
	Oid			types[FUNC_MAX_ARGS] = {0};
	Datum		values[FUNC_MAX_ARGS] = {0};
	char		nulls[FUNC_MAX_ARGS] = {0};
	int			rc;

	for (int i = 0; i < nparams; i++)
	{
		const char *value = va_arg(params, const char *);

		types[i] = TEXTOID;
		values[i] = value ? CStringGetTextDatum(value) : (Datum) 0;
		nulls[i] = value ? ' ' : 'n';
	}
	if (latest)
	{
		SPIPlanPtr	plan = SPI_prepare(sql, nparams, types);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s: %s",
				 SPI_result_code_string(SPI_result), sql);
		rc = SPI_execute_snapshot(plan, values, nulls, GetLatestSnapshot(),
								  InvalidSnapshot, false, true, 0);
	}
	else
		rc = SPI_execute_with_args(sql, nparams, types, values, nulls, false, 0);
	if (rc < 0)
		elog(ERROR, "execution by SPI failed: %s: %s",
			 SPI_result_code_string(rc), sql);
}

/* Copy SPI's result as text into "target". */
static CrdResult *
copy_rows(MemoryContext target)
{
	MemoryContext old = MemoryContextSwitchTo(target);
	CrdResult  *rows = palloc(sizeof(CrdResult));
	int			natts = SPI_tuptable ? SPI_tuptable->tupdesc->natts : 0;
	const char ***row;

	rows->nrows = SPI_tuptable ? (int) SPI_processed : 0;
	row = palloc(sizeof(*row) * Max(rows->nrows, 1));
	for (int i = 0; i < rows->nrows; i++)
	{
		row[i] = palloc(sizeof(char *) * Max(natts, 1));
		for (int j = 0; j < natts; j++)
			row[i][j] = SPI_getvalue(SPI_tuptable->vals[i],
									 SPI_tuptable->tupdesc, j + 1);
	}
	rows->row = (const char *const *const *) row;
	MemoryContextSwitchTo(old);
	return rows;
}

CrdResult *
crd_query(Oid role, const char *sql, int nparams,...)
{
	MemoryContext caller = CurrentMemoryContext;
	Scope		scope;
	CrdResult  *rows;
	va_list		params;

	connect();
	scope_enter(&scope, role);
	va_start(params, nparams);
	execute(sql, false, nparams, params);
	va_end(params);
	rows = copy_rows(caller);
	scope_leave(&scope);
	finish();
	return rows;
}

/* crd_in_subxact(), or, not to keep what was done, crd_in_subxact_undone() */
static ErrorData *
in_subtransaction(void (*callback) (void *arg), void *arg, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		callback(arg);
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

ErrorData *
crd_in_subxact(void (*callback) (void *arg), void *arg)
{
	return in_subtransaction(callback, arg, true);
}

ErrorData *
crd_in_subxact_undone(void (*callback) (void *arg), void *arg)
{
	return in_subtransaction(callback, arg, false);
}

/* What crd_query_noerror() hands to crd_in_subxact() */
typedef struct TryFetch
{
	Oid			role;
	const char *sql;
	const char *param;
	CrdResult  *rows;
} TryFetch;

static void
try_fetch(void *arg)
{
	TryFetch   *fetch = arg;

	fetch->rows = crd_query(fetch->role, fetch->sql, 1, fetch->param);
}

bool
crd_query_noerror(Oid role, const char *sql, const char *param, CrdResult **rows)
{
	TryFetch	fetch = {role, sql, param, NULL};
	ErrorData  *error = crd_in_subxact(try_fetch, &fetch);
	int			category;

	*rows = fetch.rows;
	if (error == NULL)
		return true;
	category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
	if (category != ERRCODE_DATA_EXCEPTION &&
		category != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION &&
		category != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

static uint64
run(Oid role, const char *sql, bool latest, int nparams, va_list params)
{
	Scope		scope;
	uint64		processed;

	connect();
	scope_enter(&scope, role);
	execute(sql, latest, nparams, params);
	processed = SPI_processed;
	scope_leave(&scope);
	finish();
	return processed;
}

uint64
crd_exec(Oid role, const char *sql, int nparams,...)
{
	uint64		processed;
	va_list		params;

	va_start(params, nparams);
	processed = run(role, sql, false, nparams, params);
	va_end(params);
	return processed;
}

uint64
crd_exec_latest_snapshot(Oid role, const char *sql, int nparams,...)
{
	uint64		processed;
	va_list		params;

	va_start(params, nparams);
	processed = run(role, sql, true, nparams, params);
	va_end(params);
	return processed;
}

/*
 * An UPDATE as replication would do it must not let the owner's functions, which
 * CHECK constraints, index expressions and ALWAYS triggers call, write other
 * tables like that: it would pass by the triggers and foreign keys of others,
 * for which one has to be a superuser.  So while a function runs that did not
 * come with the server, session_replication_role is what it was.
 */
typedef struct AsReplica
{
	bool		installed;		/* the hooks, for as long as the session lasts */
	bool		running;		/* such an UPDATE */
	int			depth;			/* of functions in it */
	int			role;			/* that they run with */
} AsReplica;

static AsReplica as_replica;

static needs_fmgr_hook_type prev_needs_fmgr_hook;
static fmgr_hook_type prev_fmgr_hook;

static bool
function_needs_role(Oid function)
{
	return (as_replica.running && function >= FirstNormalObjectId) ||
		(prev_needs_fmgr_hook && prev_needs_fmgr_hook(function));
}

/* An error sees to it that the function is left, too. */
static void
switch_role_of_function(FmgrHookEventType event, FmgrInfo *flinfo, Datum *arg)
{
	if (prev_fmgr_hook)
		prev_fmgr_hook(event, flinfo, arg);
	if (!as_replica.running)
		return;
	if (event == FHET_START && as_replica.depth++ == 0)
		SessionReplicationRole = as_replica.role;
	else if (event != FHET_START && --as_replica.depth == 0)
		SessionReplicationRole = SESSION_REPLICATION_ROLE_REPLICA;
}

uint64
crd_exec_as_replica(Oid role, const char *sql)
{
	int			guc_level = NewGUCNestLevel();
	uint64		processed;
	bool		was_running = as_replica.running;
	int			was_depth = as_replica.depth;
	int			was_role = as_replica.role;

	if (!as_replica.installed)
	{
		prev_needs_fmgr_hook = needs_fmgr_hook;
		needs_fmgr_hook = function_needs_role;
		prev_fmgr_hook = fmgr_hook;
		fmgr_hook = switch_role_of_function;
		as_replica.installed = true;
	}
	as_replica.role = SessionReplicationRole;
	as_replica.depth = 0;
	as_replica.running = true;
	PG_TRY();
	{
		crd_set_guc_local("session_replication_role", "replica");
		processed = crd_exec(role, sql, 0);
	}
	PG_FINALLY();
	{
		as_replica.running = was_running;
		as_replica.depth = was_depth;
		as_replica.role = was_role;
	}
	PG_END_TRY();
	AtEOXact_GUC(false, guc_level);
	return processed;
}

void
crd_query_batched(Oid role, const char *sql, CrdResultCallback callback, void *arg)
{
	MemoryContext batch;
	Scope		scope;
	Portal		portal;

	connect();
	batch = AllocSetContextCreate(CurrentMemoryContext,
								  "connections_redesign stream",
								  ALLOCSET_DEFAULT_SIZES);
	scope_enter(&scope, role);
	portal = SPI_cursor_open_with_args(NULL, sql, 0, NULL, NULL, NULL, false,
									   CURSOR_OPT_NO_SCROLL);
	scope_leave(&scope);
	for (;;)
	{
		MemoryContext old;
		CrdResult  *rows;

		CHECK_FOR_INTERRUPTS();
		scope_enter(&scope, role);
		SPI_cursor_fetch(portal, true, STREAM_BATCH);
		rows = copy_rows(batch);
		scope_leave(&scope);
		SPI_freetuptable(SPI_tuptable);
		if (rows->nrows == 0)
			break;
		old = MemoryContextSwitchTo(batch);
		callback(rows, arg);
		MemoryContextSwitchTo(old);
		MemoryContextReset(batch);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(batch);
	finish();
}

void
crd_call_as(Oid role, void (*callback) (void *arg), void *arg)
{
	Scope		scope;

	scope_enter(&scope, role);
	PushActiveSnapshot(GetTransactionSnapshot());
	callback(arg);
	PopActiveSnapshot();
	scope_leave(&scope);
}

void
crd_connect_nonatomic(void)
{
	int			rc = SPI_connect_ext(SPI_OPT_NONATOMIC);

	if (rc != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect_ext failed: %s", SPI_result_code_string(rc));
}

void
crd_commit(void)
{
	SPI_commit();
}

void
crd_disconnect(void)
{
	finish();
}

CrdResult *
crd_query_as_caller(const char *sql, int nparams,...)
{
	MemoryContext caller = CurrentMemoryContext;
	int			guc_level = NewGUCNestLevel();
	CrdResult  *rows;
	va_list		params;

	connect();
	crd_set_guc_local("search_path", "pg_catalog, pg_temp");
	va_start(params, nparams);
	execute(sql, false, nparams, params);
	va_end(params);
	rows = copy_rows(caller);
	AtEOXact_GUC(false, guc_level);
	finish();
	return rows;
}

const char *
crd_quote_nullable(const char *value)
{
	return value ? quote_literal_cstr(value) : "NULL";
}

Oid
crd_extension_owner(void)
{
	Oid			extension = get_extension_oid("connections_redesign", false);
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "could not find extension %u", extension);
	owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return owner;
}

const char *
crd_qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
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

CrdResultSet *
crd_srf_open(FunctionCallInfo fcinfo)
{
	CrdResultSet *set = palloc(sizeof(CrdResultSet));

	InitMaterializedSRF(fcinfo, 0);
	set->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	set->input = TupleDescGetAttInMetadata(set->rsinfo->setDesc);
	return set;
}

/*
 * Add a row to the set: a text for each column, NULL for null.
 */
void
crd_srf_put_row(CrdResultSet *set, const char *const *values)
{
	HeapTuple	tuple = BuildTupleFromCStrings(set->input,
											   (char **) values);

	tuplestore_puttuple(set->rsinfo->setResult, tuple);
	heap_freetuple(tuple);
}
