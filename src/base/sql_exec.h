/*-------------------------------------------------------------------------
 *
 * sql_exec.h
 *	  Running statements: the only door to SPI, and the only place where the
 *	  user id and the settings are switched.
 *
 * Security model.  A statement that touches the user's tables runs as the
 * owner of the table in a security-restricted operation, as REINDEX does, so that
 * functions reachable from the table (casts, CHECK constraints, index expressions,
 * triggers) never execute with the privileges of the user who runs the migration.
 * A statement that writes the history or the saved state runs as the extension's
 * owner, and never reads a user's table.  Every statement runs with search_path =
 * pg_catalog, pg_temp and row_security = off: a query fails rather than skip rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_SQL_EXEC_H
#define CRD_SQL_EXEC_H

#include "fmgr.h"
#include "funcapi.h"

/* As "role" below: the caller itself, for what reads the system catalogs */
#define CRD_CALLER InvalidOid

/* A setting that our statements run with; a list of them ends with name NULL */
typedef struct CrdSetting
{
	const char *name;
	const char *value;
} CrdSetting;

extern const CrdSetting crd_settings[];

/*
 * A result as text, NULL for null, in the memory context of the caller of
 * crd_query().
 */
typedef struct CrdResult
{
	int			nrows;
	const char *const *const *row;	/* row[i][j] */
} CrdResult;

/* Whether a boolean of a result is true; NULL is not. */
static inline bool
crd_is_true(const char *value)
{
	return value && value[0] == 't';
}

/* Called with each batch of crd_query_batched(), which frees the rows afterwards. */
typedef void (*CrdResultCallback) (const CrdResult *rows, void *arg);

/*
 * Run one statement as "role" with nparams text parameters (const char *,
 * NULL for null), and return what it returns or how many rows it processed.
 */
extern CrdResult *crd_query(Oid role, const char *sql, int nparams,...);
extern uint64 crd_exec(Oid role, const char *sql, int nparams,...);

/*
 * crd_exec() with the latest snapshot, which also sees rows that other sessions
 * have committed since the transaction of a trigger took its snapshot.
 */
extern uint64 crd_exec_latest_snapshot(Oid role, const char *sql, int nparams,...);

/*
 * Run callback(arg) in a subtransaction.  Return NULL if it succeeded; else roll
 * it back, releasing its locks, and return its error, in the current memory
 * context.  The caller must throw every error again that it does not expect.
 */
extern ErrorData *crd_in_subxact(void (*callback) (void *arg), void *arg);

/* The same, but roll the subtransaction back even if the callback succeeded. */
extern ErrorData *crd_in_subxact_undone(void (*callback) (void *arg), void *arg);

/*
 * crd_query() with one parameter, for a query that data may make fail: false after
 * an error of the data (class 22 or 23) or of a name or type (class 42), which
 * is forgotten.
 */
extern bool crd_query_noerror(Oid role, const char *sql, const char *param,
							  CrdResult **rows);

/*
 * Run an UPDATE as "role" as replication would: only ALWAYS and REPLICA
 * triggers fire, updated_at does not move, and no trigger event stays pending
 * that would make a later ALTER TABLE fail.  Functions that are called meanwhile
 * run with the session's own session_replication_role.
 */
extern uint64 crd_exec_as_replica(Oid role, const char *sql);

/* Run a query as "role", and hand its rows to callback in batches. */
extern void crd_query_batched(Oid role, const char *sql, CrdResultCallback callback,
							  void *arg);

/*
 * Run a statement as the caller with its own row_security, as
 * connections_available() and the seed do: the table's policies apply.
 */
extern CrdResult *crd_query_as_caller(const char *sql, int nparams,...);

/*
 * Run callback(arg), which reads and writes a table without SQL, as "role" and
 * with a snapshot, as crd_exec() would.
 */
extern void crd_call_as(Oid role, void (*callback) (void *arg), void *arg);

/*
 * For a procedure that commits as it goes: connect before the first statement,
 * then end each transaction, and begin the next, with crd_commit().  A commit
 * ends all local settings, crd_set_guc_local()'s among them.
 */
extern void crd_connect_nonatomic(void);
extern void crd_commit(void);
extern void crd_disconnect(void);

/*
 * Change a setting, whoever the caller is, until the GUC nest level ends that
 * the caller has opened.
 */
extern void crd_set_guc_local(const char *name, const char *value);

/*
 * What reads values as text without SQL, for what a statement is to find again,
 * does it between these two, as statements do: then it is the same text.
 */
extern int	crd_settings_enter(void);
extern void crd_settings_leave(int guc_level);

/* A value, or NULL, as SQL writes it. */
extern const char *crd_quote_nullable(const char *value);

/* The role that owns this extension. */
extern Oid	crd_extension_owner(void);

/* The set that a set-returning function returns, written row by row as text. */
typedef struct CrdResultSet
{
	ReturnSetInfo *rsinfo;
	AttInMetadata *input;
} CrdResultSet;

extern CrdResultSet *crd_srf_open(FunctionCallInfo fcinfo);
extern void crd_srf_put_row(CrdResultSet *set, const char *const *values);

/* A relation's name, qualified and quoted where it needs it. */
extern const char *crd_qualified_name(Oid relid);

/* Raise 22004 or 22023 unless the argument "step" is from min to max. */
extern int	crd_check_step(FunctionCallInfo fcinfo, int argno, int min, int max);

#endif							/* CRD_SQL_EXEC_H */
