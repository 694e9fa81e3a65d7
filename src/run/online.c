/*-------------------------------------------------------------------------
 *
 * online.c
 *	  The online mode: CALL connections_migrate_online() and
 *	  connections_rollback_online(), without blocking the application.
 *
 * The driver makes a plan from the present state, runs its first phase, and makes a
 * new plan, until the plan is empty.  Every phase and every batch of a backfill
 * commits together with its record in online_run, so a run can end at any point:
 * the next call continues from there, or undoes it.
 *
 * Transactions.  Each does its work in a subtransaction, so that an error leaves a
 * transaction in which it can be recorded.  Between transactions, the driver holds
 * the migration lock for the session, and no snapshot.  Only there does it pause,
 * or wait for a standby or for the background worker.
 *
 * Locks.  A phase asks for its locks first, as lock.h describes.  A phase that gets
 * ACCESS EXCLUSIVE makes the plan once more, because the owner may have changed the
 * tables before the lock was granted.  No phase reads rows under such a lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "run/execute.h"
#include "compat.h"
#include "connections_redesign.h"
#include "base/waitpoint.h"
#include "run/run_state.h"
#include "run/standby_lag.h"
#include "run/lock.h"
#include "base/sql_exec.h"
#include "run/worker.h"

/* How many times in a row the same statement may begin the plan */
#define MAX_REPEATS 10

/* How often a backfill waits for old snapshots: 1 ms, then twice as long */
#define MAX_STALLS 9

/* How often the driver looks what has changed while it waits, in milliseconds */
#define POLL 200

/* A run, in a memory context that lasts as long */
typedef struct OnlineRun
{
	int			target;
	CrdDirection direction;
	CrdRun		call;
	MemoryContext phase_context;
	MemoryContext transaction_context;
	TimestampTz noticed_at;
	TimestampTz checkpoint_at;
	bool		phase_recorded; /* a phase */
	bool		paused;
	int			stalls;			/* in a row */
	char		oldest_snapshot_note[200];	/* snapshot that keeps rows from
											 * staying on their page, as the
											 * progress view says it */

	/* this phase */
	CrdSchema  *schema;
	CrdPhase   *phase;
	const CrdAction *action;
	CrdBackfill *backfill;
	int64		nunverified;	/* rows that a query has found wrong */
	bool		phase_changed;	/* another phase is to be run now */
	bool		worker_done;
	CrdWorker  *worker;
	bool		lock_failure_is_fatal;	/* a lock that cannot be had now is an
										 * error */
	int64		verified_rows;	/* that have available_connection_id */
	List	   *warnings;		/* for when it is done */
	char		last_statement[200];	/* statement of this phase, or its
										 * beginning */
	int			nrepeats;		/* how often it was the same */

	CrdLagSamples lag_samples;
	long		lag;			/* of the standbys, in milliseconds */
} OnlineRun;

/* What is done in a transaction; arg belongs to the caller */
typedef void (*TxnFunction) (OnlineRun *run, void *arg);

/* A call of such a function, as the argument of crd_in_subxact() */
typedef struct TxnCall
{
	TxnFunction function;
	OnlineRun  *run;
	void	   *arg;
} TxnCall;

/* The reason why a lock could not be had, and the locks that were needed */
typedef struct LockTimeout
{
	const char *detail;
	const CrdLocks *locks;
} LockTimeout;

/* Whose holders are in the way of queries, of batches, of their rows, of DDL */
static const CrdLocks to_read = {{AccessShareLock, AccessShareLock}};
static const CrdLocks to_write = {{RowExclusiveLock, NoLock}};
static const CrdLocks to_lock_rows = {{ExclusiveLock, NoLock}};
static const CrdLocks to_change = {{AccessExclusiveLock, AccessExclusiveLock}};

PG_FUNCTION_INFO_V1(connections_migrate_online);
PG_FUNCTION_INFO_V1(connections_rollback_online);

static void run_online(FunctionCallInfo fcinfo, const char *function,
					   int target, bool one_step, CrdDirection direction);
static void begin(OnlineRun *run, bool one_step);
static CrdContext *online_context(OnlineRun *run, CrdSchema *schema);
static void run_phases(OnlineRun *run);
static void run_phase(OnlineRun *run);
static bool run_backfill(OnlineRun *run, const CrdAction *proof);
static void run_verification(OnlineRun *run);
static void run_in_worker(OnlineRun *run);
static void run_statements(OnlineRun *run);
static void retry_in_transaction(OnlineRun *run, TxnFunction function, void *arg);
static void retry_in_transaction_for(OnlineRun *run, TxnFunction function, void *arg,
									 const char *detail, const CrdLocks *locks);
static bool run_in_transaction(OnlineRun *run, TxnFunction function, void *arg);
static ErrorData *call_in_subxact(OnlineRun *run, TxnFunction function, void *arg);
static void sleep_in_transaction(OnlineRun *run, int milliseconds);
static void raise_lock_timeout(OnlineRun *run, const char *detail, const CrdLocks *locks);
static void raise_unverified(OnlineRun *run);
static void between_transactions(OnlineRun *run);
static void wait_for_snapshots(OnlineRun *run);
static void notice_progress(OnlineRun *run);
static bool has_own_transaction(const CrdAction *action);
static CrdLocks locks_of(const CrdPhase *phase);

static void txn_plan(OnlineRun *run, void *arg);
static void txn_enter(OnlineRun *run, void *arg);
static void txn_waitpoint(OnlineRun *run, void *arg);
static void txn_statements(OnlineRun *run, void *arg);
static void txn_finish(OnlineRun *run, void *arg);
static void txn_open_backfill(OnlineRun *run, void *arg);
static void txn_batch(OnlineRun *run, void *arg);
static void txn_verify(OnlineRun *run, void *arg);
static void txn_report_bad_rows(OnlineRun *run, void *arg);
static void txn_check_phase_changed(OnlineRun *run, void *arg);
static void txn_start_worker(OnlineRun *run, void *arg);
static void txn_wait_for_worker(OnlineRun *run, void *arg);
static void txn_waiting(OnlineRun *run, void *arg);
static void txn_progress(OnlineRun *run, void *arg);
static void txn_sleep(OnlineRun *run, void *arg);
static void txn_check_paused(OnlineRun *run, void *arg);
static void txn_name_oldest_snapshot(OnlineRun *run, void *arg);
static void txn_measure_lag(OnlineRun *run, void *arg);
static void txn_raise_lock_timeout(OnlineRun *run, void *arg);
static void txn_record_failure(OnlineRun *run, void *arg);

/*
 * connections_migrate_online(step) takes the database forward to that version.
 */
Datum
connections_migrate_online(PG_FUNCTION_ARGS)
{
	int			target = crd_check_step(fcinfo, 0, 1, CRD_LAST_STEP);

	run_online(fcinfo, "connections_migrate_online()", target, false, CRD_UP);
	return (Datum) 0;
}

/*
 * connections_rollback_online(step) takes the database back to that version, or
 * with NULL one step back.
 */
Datum
connections_rollback_online(PG_FUNCTION_ARGS)
{
	bool		one_step = PG_ARGISNULL(0);
	int			target = one_step ? 0 : crd_check_step(fcinfo, 0, 0, CRD_LAST_STEP - 1);

	run_online(fcinfo, "connections_rollback_online()", target, one_step, CRD_DOWN);
	return (Datum) 0;
}

static void
run_online(FunctionCallInfo fcinfo, const char *function, int target,
		   bool one_step, CrdDirection direction)
{
	OnlineRun	run = {0};

	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block", function),
				 errdetail("The procedure commits transactions."),
				 errhint("Call it outside of a transaction block, or use %s, which runs in the current transaction.",
						 direction == CRD_UP ? "connections_migrate()" : "connections_rollback()")));
	crd_check_transaction(function);

	run.target = target;
	run.direction = direction;
	crd_connect_nonatomic();
	run.phase_context = AllocSetContextCreate(CurrentMemoryContext, "connections_redesign phase",
											  ALLOCSET_DEFAULT_SIZES);
	run.transaction_context = AllocSetContextCreate(CurrentMemoryContext, "connections_redesign transaction",
													ALLOCSET_DEFAULT_SIZES);
	crd_migration_lock_session();
	PG_TRY();
	{
		begin(&run, one_step);
		if (run.call.id)
			run_phases(&run);
	}
	PG_FINALLY();
	{
		crd_migration_lock_release();
	}
	PG_END_TRY();
	crd_disconnect();
}

/*
 * See whether there is anything to do, and what keeps it from being done; that
 * is not part of the run yet.
 */
static void
begin(OnlineRun *run, bool one_step)
{
	CrdSchema  *schema = crd_schema_read();
	CrdContext *context = online_context(run, schema);

	crd_checks_enforce(context, CRD_CHECK_BASE);
	if (one_step)
		run->target = crd_previous_version(schema);
	if (crd_target_reached(schema, run->target, run->direction))
		return;
	if (crd_max_replication_lag > 0 &&
		!has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to see how far standbys are behind"),
				 errdetail("connections_redesign.max_replication_lag is set."),
				 errhint("Set it to 0, or grant pg_read_all_stats to the role.")));
	context = online_context(run, schema);
	crd_checks_enforce(context, schema->version == run->target ? CRD_CHECK_SCHEMA : CRD_CHECK_DATA);
	run->warnings = crd_plan_warnings(context);
	run->call = crd_run_begin("online");
	run->noticed_at = GetCurrentTimestamp();
	crd_commit();
}

static CrdContext *
online_context(OnlineRun *run, CrdSchema *schema)
{
	CrdContext *context = crd_context_create(schema, run->target, false);

	context->online = true;
	return context;
}

static void
run_phases(OnlineRun *run)
{
	ListCell   *lc;

	for (;;)
	{
		MemoryContextReset(run->phase_context);
		retry_in_transaction(run, txn_plan, NULL);
		if (run->phase == NULL)
			break;
		run_phase(run);

		/* a backfill checks by itself whether the run must pause */
		run->paused = true;
		between_transactions(run);
	}
	foreach(lc, run->warnings)
		ereport(WARNING, (errmsg_internal("%s", (char *) lfirst(lc))));
}

/*
 * Run the actions of the phase: those that have transactions of their own one
 * by one, all others in one.
 */
static void
run_phase(OnlineRun *run)
{
	CrdPhase   *phase = run->phase;
	int			i;

	retry_in_transaction(run, txn_enter, NULL);
	if (!run->phase_recorded)
	{
		/* a crash must not lose the record that the run has begun */
		XLogFlush(XactLastCommitEnd);
		run->phase_recorded = true;
	}
	retry_in_transaction(run, txn_waitpoint, NULL);
	for (i = 0; i < list_length(phase->actions); i++)
	{
		run->action = list_nth(phase->actions, i);
		if (!has_own_transaction(run->action))
			break;
		if (run->action->kind == CRD_RUN_IN_WORKER)
			run_in_worker(run);
		else if (run->action->kind == CRD_VERIFY_ROWS)
			run_verification(run);
		else if (!run_backfill(run, list_nth(phase->actions, ++i)))
			return;
	}
	if (i < list_length(phase->actions))
		run_statements(run);
	else if (phase->is_last)
		retry_in_transaction(run, txn_finish, NULL);
	if (phase->is_last)
		XLogFlush(XactLastCommitEnd);
}

/*
 * Repeat the backfill until a query finds no wrong row.  The next backfill fixes
 * rows that another session has locked.  False if another phase must run first.
 */
static bool
run_backfill(OnlineRun *run, const CrdAction *proof)
{
	const CrdAction *action = run->action;

	for (int attempt = 1;; attempt++)
	{
		int			failures = 0;

		/* a query does not say which rows it has skipped */
		bool		refused = action->kind == CRD_BACKFILL_SAVE_TYPES;

		run->action = action;
		retry_in_transaction(run, txn_open_backfill, NULL);
		while (!run->backfill->finished)
		{
			if (run_in_transaction(run, txn_batch, NULL))
			{
				failures = 0;
				refused |= run->backfill->saw_locked_row;
			}
			else if (++failures > crd_lock_attempts)
				raise_lock_timeout(run, "The table was locked whenever a batch began.",
								   &to_write);
			else
			{
				/* what the batch did in memory is not what is in the table */
				sleep_in_transaction(run, crd_backoff(failures));
				retry_in_transaction(run, txn_open_backfill, NULL);
				continue;
			}
			if (run->backfill->no_progress)
				wait_for_snapshots(run);
			else
				run->stalls = 0;
			between_transactions(run);
		}
		run->action = proof;
		retry_in_transaction(run, txn_verify, NULL);
		if (run->nunverified == 0)
			return true;
		retry_in_transaction(run, txn_report_bad_rows, NULL);
		retry_in_transaction(run, txn_check_phase_changed, NULL);
		if (run->phase_changed)
			return false;
		if (attempt >= crd_lock_attempts && !refused)
			raise_unverified(run);
		if (attempt >= crd_lock_attempts)
			raise_lock_timeout(run, psprintf(INT64_FORMAT " connections were locked in every attempt to fix them.",
											 run->nunverified), &to_lock_rows);
		sleep_in_transaction(run, crd_backoff(attempt));
		retry_in_transaction(run, txn_enter, NULL);
	}
}

/* Verify rows without a backfill: a wrong row is an error. */
static void
run_verification(OnlineRun *run)
{
	retry_in_transaction(run, txn_verify, NULL);
	if (run->nunverified == 0)
		return;
	retry_in_transaction(run, txn_report_bad_rows, NULL);
	raise_unverified(run);
}

/* Run a statement that has to be at top level. */
static void
run_in_worker(OnlineRun *run)
{
	run->worker = NULL;
	run->worker_done = false;
	PG_TRY();
	{
		int			pid = 0;

		retry_in_transaction(run, txn_start_worker, NULL);

		/* an error of the worker's is the end of it */
		run->lock_failure_is_fatal = true;
		while (!run->worker_done)
		{
			run_in_transaction(run, txn_wait_for_worker, NULL);
			if (!run->worker_done && crd_worker_pid(run->worker) != pid)
			{
				pid = crd_worker_pid(run->worker);
				retry_in_transaction(run, txn_waiting, NULL);
			}
			notice_progress(run);
		}
		run->lock_failure_is_fatal = false;
	}
	PG_CATCH();
	{
		if (run->worker && !run->worker_done)
			crd_worker_stop(run->worker);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * Run the statements of the phase that share a transaction.  Another lock than
 * those it knows of may not be had in time: then all of it is tried again.
 */
static void
run_statements(OnlineRun *run)
{
	retry_in_transaction_for(run, txn_statements, NULL,
							 "Other sessions have locked what its statements need.", &to_change);
}


/* Transactions */

/* Run a function in a transaction, again while a lock cannot be had. */
static void
retry_in_transaction(OnlineRun *run, TxnFunction function, void *arg)
{
	retry_in_transaction_for(run, function, arg, "Other sessions have locked the tables.", &to_read);
}

/* The same, with the reason for the error that ends the last attempt. */
static void
retry_in_transaction_for(OnlineRun *run, TxnFunction function, void *arg,
						 const char *detail, const CrdLocks *locks)
{
	for (int attempt = 1; !run_in_transaction(run, function, arg); attempt++)
	{
		if (attempt >= crd_lock_attempts)
			raise_lock_timeout(run, detail, locks);
		sleep_in_transaction(run, crd_backoff(attempt));
	}
}

/*
 * Run a function in a transaction, and commit it.  The commit does not wait for
 * the disk, which would make all sessions wait that need its locks: a crash may
 * lose it together with all later ones.  False if a lock could not be had, and
 * nothing was done.  Any other error ends the run, and is recorded.
 */
static bool
run_in_transaction(OnlineRun *run, TxnFunction function, void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(run->transaction_context);
	ErrorData  *error;

	(void) crd_set_run_limits();
	crd_set_guc_local("synchronous_commit", "off");
	error = call_in_subxact(run, function, arg);

	/* rows that violate a constraint are reported as the checks report them */
	if (error && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
	{
		ErrorData  *explained = call_in_subxact(run, txn_report_bad_rows, NULL);

		if (explained)
			error = explained;
	}
	if (error && (run->lock_failure_is_fatal || !crd_is_lock_failure(error)))
	{
		if (error->hint == NULL)
			error->hint = psprintf("Completed work is kept.  Repeat the call to continue, or undo the step: %s",
								   run->direction == CRD_UP ? "CALL connections_rollback_online();" : "CALL connections_migrate_online(4);");
		if (call_in_subxact(run, txn_record_failure, error) == NULL)
			crd_commit();
		MemoryContextSwitchTo(old);
		ReThrowError(error);
	}
	crd_commit();
	MemoryContextSwitchTo(old);
	MemoryContextReset(run->transaction_context);
	return error == NULL;
}

static void
call_function(void *arg)
{
	TxnCall    *call = arg;

	call->function(call->run, call->arg);
}

static ErrorData *
call_in_subxact(OnlineRun *run, TxnFunction function, void *arg)
{
	TxnCall		call = {function, run, arg};

	return crd_in_subxact(call_function, &call);
}

static void
sleep_in_transaction(OnlineRun *run, int milliseconds)
{
	run_in_transaction(run, txn_sleep, &milliseconds);
}

static void
raise_lock_timeout(OnlineRun *run, const char *detail, const CrdLocks *locks)
{
	LockTimeout timeout = {detail, locks};

	run->lock_failure_is_fatal = true;
	run_in_transaction(run, txn_raise_lock_timeout, &timeout);
}

static void
raise_unverified(OnlineRun *run)
{
	raise_lock_timeout(run, psprintf(INT64_FORMAT " connections are not ready: %s",
									 run->nunverified, run->action->statement), &to_lock_rows);
}

/*
 * What there is, and the first phase of what is to be done with it; NULL when
 * nothing is left.
 */
static CrdPhase *
next_phase(OnlineRun *run, CrdCheckLevel level, CrdSchema **schema)
{
	CrdContext *context;
	List	   *phases;

	*schema = crd_schema_read();
	context = online_context(run, *schema);
	context->next_step_only = true;
	context->verified_rows = run->verified_rows;
	crd_checks_enforce(context, level);
	crd_read_entries(*schema);
	phases = crd_plan_online(context)->phases;
	return phases == NIL ? NULL : linitial(phases);
}

/* Plan, and choose the first phase; NULL when nothing is left. */
static void
txn_plan(OnlineRun *run, void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(run->phase_context);
	const char *first;

	run->phase = next_phase(run, CRD_CHECK_BASE, &run->schema);
	MemoryContextSwitchTo(old);
	if (run->phase == NULL)
	{
		crd_run_clear();
		if (run->schema->version != run->target)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("tables are at version %d, not at %d", run->schema->version, run->target),
					 errhint("Other sessions have changed them meanwhile.  Look at connections_precheck().")));
		return;
	}

	first = ((CrdAction *) linitial(run->phase->actions))->statement;
	run->nrepeats = strcmp(first, run->last_statement) == 0 ? run->nrepeats + 1 : 0;
	if (run->nrepeats > MAX_REPEATS)
		elog(ERROR, "phase %s leads nowhere: %s", run->phase->name, first);
	strlcpy(run->last_statement, first, sizeof(run->last_statement));
}

static void
txn_enter(OnlineRun *run, void *arg)
{
	ereport(DEBUG1,
			(errmsg_internal("step %d, phase %s", run->phase->step, run->phase->name)));
	crd_run_enter_phase(&run->call, run->phase);
}

static void
txn_waitpoint(OnlineRun *run, void *arg)
{
	crd_waitpoint("", run->phase->name);
}

/*
 * Lock what the phase needs, and run its statements.  Who has the table for
 * himself plans again.
 */
static void
txn_statements(OnlineRun *run, void *arg)
{
	CrdPhase   *phase = run->phase;
	CrdLocks	locks = locks_of(phase);
	List	   *actions = NIL;
	ListCell   *lc;

	/* this tries as often as it may */
	run->lock_failure_is_fatal = true;
	crd_lock(run->schema, &locks);
	run->lock_failure_is_fatal = false;
	if (locks.mode[CRD_CONNECTIONS] == AccessExclusiveLock ||
		locks.mode[CRD_AVAILABLE_CONNECTIONS] == AccessExclusiveLock)
	{
		CrdSchema  *schema;

		phase = next_phase(run, CRD_CHECK_SCHEMA, &schema);
		if (phase == NULL || strcmp(phase->name, run->phase->name) != 0)
			return;
	}
	foreach(lc, phase->actions)
		if (!has_own_transaction(lfirst(lc)))
		actions = lappend(actions, lfirst(lc));
	crd_execute_actions(run->schema, actions, "What was done before stays.");
	if (phase->is_last)
		crd_run_finish(&run->call, phase);
	crd_waitpoint("in ", phase->name);
}

static void
txn_finish(OnlineRun *run, void *arg)
{
	crd_run_finish(&run->call, run->phase);
}

static void
txn_open_backfill(OnlineRun *run, void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(run->phase_context);
	const CrdAction *action = run->action;

	run->backfill = crd_run_open_backfill(run->schema, action->fix);
	run->backfill->columns = action->columns;
	run->backfill->condition = action->condition;
	run->backfill->on_rows = crd_save_connection_types;
	run->stalls = 0;
	MemoryContextSwitchTo(old);
}

static void
txn_batch(OnlineRun *run, void *arg)
{
	BlockNumber window = run->backfill->window;
	int			leaf = run->backfill->partition;
	bool		moves = run->backfill->allow_non_hot;
	TimestampTz now;

	crd_set_guc_local("wal_compression", CRD_WAL_COMPRESSION);
	crd_backfill_batch(run->schema, run->backfill);

	/* where it is to be continued is another place only after a window */
	now = GetCurrentTimestamp();
	if (run->backfill->window != window || run->backfill->partition != leaf ||
		TimestampDifferenceExceeds(run->checkpoint_at, now, POLL))
	{
		if (run->backfill->window != window && !moves)
			run->oldest_snapshot_note[0] = '\0';
		run->paused = crd_run_checkpoint(run->backfill, run->oldest_snapshot_note[0] ? run->oldest_snapshot_note : NULL);
		run->backfill->rows = run->backfill->hot_rows = 0;
		run->checkpoint_at = now;
	}
	crd_waitpoint("in ", run->phase->name);
}

static void
txn_verify(OnlineRun *run, void *arg)
{
	/* read before the rows, so that a change in between is noticed */
	const char *triggers = crd_sync_trigger_oids(run->schema, run->phase->step, run->phase->direction);
	CrdResult  *rows = crd_query(crd_owner(run->schema, CRD_CONNECTIONS),
								 run->action->statement, 0);
	int64		nrows = pg_strtoint64(rows->row[0][0]);

	run->nunverified = pg_strtoint64(rows->row[0][1]);
	if (run->nunverified > 0)
		return;
	crd_run_mark_verified(nrows, triggers);
	if (run->phase->step == 2)
		run->verified_rows = nrows;
}

/* Say of rows that are not right what the precheck says, if it is that. */
static void
txn_report_bad_rows(OnlineRun *run, void *arg)
{
	crd_checks_enforce(online_context(run, run->schema), CRD_CHECK_DATA);
}

/* Wrong rows may need another phase first: a sync trigger with a new entry. */
static void
txn_check_phase_changed(OnlineRun *run, void *arg)
{
	CrdSchema  *schema;
	CrdPhase   *phase = next_phase(run, CRD_CHECK_BASE, &schema);

	run->phase_changed = phase == NULL || strcmp(phase->name, run->phase->name) != 0;
}

static void
txn_start_worker(OnlineRun *run, void *arg)
{
	run->worker = crd_worker_start(crd_owner(run->schema, CRD_CONNECTIONS),
								   run->action->statement);
}

/* In a transaction that does nothing else, and has no snapshot */
static void
txn_wait_for_worker(OnlineRun *run, void *arg)
{
	run->worker_done = crd_worker_wait(run->worker, POLL);
}

static void
txn_waiting(OnlineRun *run, void *arg)
{
	crd_run_set_wait("the background worker", crd_worker_pid(run->worker));
}

static void
txn_progress(OnlineRun *run, void *arg)
{
	const char *progress = crd_run_progress();

	if (progress)
		ereport(NOTICE, (errmsg_internal("%s", progress)));
}

static void
txn_sleep(OnlineRun *run, void *arg)
{
	crd_sleep(*(int *) arg);
}

static void
txn_check_paused(OnlineRun *run, void *arg)
{
	run->paused = crd_run_paused();
	if (run->paused)
		crd_run_set_wait("connections_resume()", 0);
}

static void
txn_raise_lock_timeout(OnlineRun *run, void *arg)
{
	LockTimeout *timeout = arg;

	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not complete phase %s of step %d in %d attempts",
					run->phase->name, run->phase->step, crd_lock_attempts),
			 errdetail_internal("%s\n%s", timeout->detail,
								crd_lock_holders(run->schema, timeout->locks)),
			 errhint("Let these transactions end, or raise connections_redesign.lock_attempts; then call again.")));
}

static void
txn_record_failure(OnlineRun *run, void *arg)
{
	crd_run_record_failure(&run->call, arg);
}


/* Between transactions */

static void
between_transactions(OnlineRun *run)
{
	notice_progress(run);
	while (run->paused)
	{
		retry_in_transaction(run, txn_check_paused, NULL);
		if (run->paused)
			sleep_in_transaction(run, POLL);
		notice_progress(run);
	}
	if (crd_max_replication_lag > 0)
		for (;;)
		{
			retry_in_transaction(run, txn_measure_lag, NULL);
			if (run->lag <= crd_max_replication_lag)
				break;
			sleep_in_transaction(run, POLL);
			notice_progress(run);
		}
}

/*
 * The last pass over the window could not prune what the one before it left, as
 * someone's snapshot can still see it.  Most go soon; where one stays, rows have
 * to be moved.
 */
static void
wait_for_snapshots(OnlineRun *run)
{
	if (run->stalls < (run->oldest_snapshot_note[0] ? 1 : MAX_STALLS))
	{
		sleep_in_transaction(run, 1 << run->stalls);
		run->stalls++;
		return;
	}
	run->backfill->allow_non_hot = true;
	run->stalls = 0;
	if (run->oldest_snapshot_note[0] == '\0')
		retry_in_transaction(run, txn_name_oldest_snapshot, NULL);
}

static void
txn_name_oldest_snapshot(OnlineRun *run, void *arg)
{
	const char *oldest = crd_oldest_snapshot();

	snprintf(run->oldest_snapshot_note, sizeof(run->oldest_snapshot_note), "nothing, but rows have to be moved: old snapshot of %s",
			 oldest ? oldest : "a session that has ended");
	ereport(NOTICE,
			(errmsg("rows are moved, and the table grows, as old row versions cannot be removed"),
			 oldest ? errdetail_internal("The oldest snapshot is that of %s.", oldest) : 0,
			 errhint("It is faster, and takes less room, when that has ended.")));
}

static void
txn_measure_lag(OnlineRun *run, void *arg)
{
	const char *standby;

	run->lag = crd_standby_lag(&run->lag_samples, &standby);
	if (run->lag > crd_max_replication_lag)
		crd_run_set_wait(psprintf("standby %s, %ld ms behind", standby, run->lag), 0);
}

static void
notice_progress(OnlineRun *run)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(run->noticed_at, now, crd_progress_interval))
		return;
	retry_in_transaction(run, txn_progress, NULL);
	run->noticed_at = now;
}


/* Phases and points */

static bool
has_own_transaction(const CrdAction *action)
{
	return action->kind == CRD_BACKFILL || action->kind == CRD_BACKFILL_SAVE_TYPES ||
		action->kind == CRD_VERIFY_ROWS || action->kind == CRD_RUN_IN_WORKER;
}

/* The strongest lock on each table that the statements of a phase take. */
static CrdLocks
locks_of(const CrdPhase *phase)
{
	CrdLocks	locks = {{NoLock, NoLock}};
	ListCell   *lc;

	foreach(lc, phase->actions)
	{
		const CrdAction *action = lfirst(lc);

		if (action->kind == CRD_AS_TABLE_OWNER || action->kind == CRD_RUN_AS_REPLICA)
			locks.mode[action->table] = Max(locks.mode[action->table], action->lock_mode);
	}
	return locks;
}
