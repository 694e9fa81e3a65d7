/*-------------------------------------------------------------------------
 *
 * online.c
 *	  The online driver: CALL connections_migrate_online() and
 *	  connections_rollback_online(), beside the application.
 *
 * It plans from what is there, runs the first phase of the plan, and plans
 * again, until nothing is left.  Every phase and every batch of a walk commits
 * together with the record of it, so a run can end anywhere: the next call
 * goes on from there, or takes it back.
 *
 * Transactions.  Each works in a subtransaction, so that an error leaves one in
 * which it can be recorded.  Between transactions the driver holds the migration
 * lock, for the session, and no snapshot: only there it pauses for long, waits
 * for a standby, or for the worker.
 *
 * Locks.  What a phase needs is asked for as lock.h says, before anything else.
 * When a phase has the table for itself, it plans once more: what the
 * application's owner has changed meanwhile must not go lost.  No phase reads
 * rows under such a lock.
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
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "atomic.h"
#include "compat.h"
#include "connections_redesign.h"
#include "gate.h"
#include "ledger.h"
#include "lock.h"
#include "sql.h"
#include "worker.h"

/* How often a phase may turn out to be another under its lock */
#define MAX_REPEATS 10

/* How often a walk waits for old snapshots, 1 ms and doubled, before it goes on */
#define MAX_STALLS 9

/* How often the driver looks what has changed while it waits, in milliseconds */
#define POLL 200

/* How long we remember where WAL ended, to know how far a standby is behind */
#define LAG_SAMPLES 64

/* A run, in a memory context that lasts as long */
typedef struct Online
{
	int			target;
	bool		up;
	CrdRun		run;
	MemoryContext phase_context;
	MemoryContext transaction_context;
	TimestampTz noticed_at;
	TimestampTz checkpoint_at;
	bool		entered;		/* a phase */
	bool		paused;
	int			stalls;			/* in a row */
	char		oldest[200];	/* snapshot that keeps rows from staying on
								 * their page, as the progress view says it */

	/* this phase */
	CrdSchema  *schema;
	CrdPhase   *phase;
	const CrdAction *action;
	CrdWalk    *walk;
	int64		nbad;			/* rows that a proof has found not right */
	bool		turned;			/* another phase is to be run now */
	bool		done;
	CrdWorker  *worker;
	bool		exhausted;		/* a lock that cannot be had now is an error */
	int64		proven_rows;	/* that have available_connection_id */
	List	   *warnings;		/* for when it is done */
	char		first[200];		/* statement of this phase, or its beginning */
	int			repeats;		/* how often it was the same */

	/* what the work functions are told, beside */
	void		(*work) (struct Online *online);
	int			milliseconds;
	const char *detail;
	const CrdLocks *locks;
	ErrorData  *error;

	/* ends of WAL, the oldest first, that a standby has not replayed */
	int			nsamples;
	struct
	{
		XLogRecPtr	lsn;
		TimestampTz at;
	}			samples[LAG_SAMPLES];
	long		lag;			/* in milliseconds */
} Online;

/* Whose holders are in the way of queries, of batches, of their rows, of DDL */
static const CrdLocks to_read = {{AccessShareLock, AccessShareLock}};
static const CrdLocks to_write = {{RowExclusiveLock, NoLock}};
static const CrdLocks to_lock_rows = {{ExclusiveLock, NoLock}};
static const CrdLocks to_change = {{AccessExclusiveLock, AccessExclusiveLock}};

PG_FUNCTION_INFO_V1(connections_migrate_online);
PG_FUNCTION_INFO_V1(connections_rollback_online);

static void run_online(FunctionCallInfo fcinfo, const char *function,
					   int target, bool one_step, bool up);
static void begin(Online *online, bool one_step);
static CrdFindings *findings_of(Online *online, CrdSchema *schema);
static void run_phases(Online *online);
static void run_phase(Online *online);
static bool run_walk(Online *online, const CrdAction *proof);
static void run_proof(Online *online);
static void run_in_worker(Online *online);
static void run_statements(Online *online);
static void insist(Online *online, void (*work) (Online *online));
static void keep_trying(Online *online, void (*work) (Online *online),
						const char *detail, const CrdLocks *locks);
static bool transaction(Online *online, void (*work) (Online *online));
static void wait_a_while(Online *online, int milliseconds);
static void give_up(Online *online, const char *detail, const CrdLocks *locks);
static void give_up_proof(Online *online);
static void between_transactions(Online *online);
static void wait_for_snapshots(Online *online);
static void notice_progress(Online *online);
static bool has_own_transaction(const CrdAction *action);
static CrdLocks locks_of(const CrdPhase *phase);

static void work_plan(Online *online);
static void work_enter(Online *online);
static void work_gate(Online *online);
static void work_statements(Online *online);
static void work_finish(Online *online);
static void work_open_walk(Online *online);
static void work_batch(Online *online);
static void work_prove(Online *online);
static void work_explain(Online *online);
static void work_look_whether_turned(Online *online);
static void work_start_worker(Online *online);
static void work_wait_for_worker(Online *online);
static void work_waiting(Online *online);
static void work_progress(Online *online);
static void work_pause(Online *online);
static void work_look_whether_paused(Online *online);
static void work_name_oldest_snapshot(Online *online);
static void work_measure_lag(Online *online);
static void work_give_up(Online *online);
static void work_record_failure(Online *online);

/*
 * connections_migrate_online(step) takes the database forward to that version.
 */
Datum
connections_migrate_online(PG_FUNCTION_ARGS)
{
	int			target = crd_check_step(fcinfo, 0, 1, CRD_LAST_STEP);

	run_online(fcinfo, "connections_migrate_online()", target, false, true);
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

	run_online(fcinfo, "connections_rollback_online()", target, one_step, false);
	return (Datum) 0;
}

static void
run_online(FunctionCallInfo fcinfo, const char *function, int target,
		   bool one_step, bool up)
{
	Online		online = {0};

	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block", function),
				 errdetail("It commits as it goes."),
				 errhint("Call it outside, or use %s, which is part of your transaction.",
						 up ? "connections_migrate()" : "connections_rollback()")));
	crd_check_transaction(function);

	online.target = target;
	online.up = up;
	crd_connect_nonatomic();
	online.phase_context = AllocSetContextCreate(CurrentMemoryContext, "connections_redesign phase",
												 ALLOCSET_DEFAULT_SIZES);
	online.transaction_context = AllocSetContextCreate(CurrentMemoryContext, "connections_redesign transaction",
													   ALLOCSET_DEFAULT_SIZES);
	crd_ledger_hold();
	PG_TRY();
	{
		begin(&online, one_step);
		if (online.run.id)
			run_phases(&online);
	}
	PG_FINALLY();
	{
		crd_ledger_release();
	}
	PG_END_TRY();
	crd_disconnect();
}

/*
 * See whether there is anything to do, and what keeps it from being done; that
 * is not part of the run yet.
 */
static void
begin(Online *online, bool one_step)
{
	CrdSchema  *schema = crd_schema_read();
	CrdFindings *findings = findings_of(online, schema);

	crd_checks_enforce(findings, CRD_CHECK_BASE);
	if (one_step)
		online->target = crd_one_step_back(schema);
	if (crd_is_there(schema, online->target, online->up))
		return;
	if (crd_max_replication_lag > 0 &&
		!has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to see how far standbys are behind"),
				 errdetail("connections_redesign.max_replication_lag is set."),
				 errhint("Set it to 0, or grant pg_read_all_stats to the role.")));
	findings = findings_of(online, schema);
	crd_checks_enforce(findings, schema->version == online->target ? CRD_CHECK_SCHEMA : CRD_CHECK_DATA);
	online->warnings = crd_plan_warnings(findings);
	online->run = crd_ledger_begin_run("online");
	online->noticed_at = GetCurrentTimestamp();
	crd_commit();
}

static CrdFindings *
findings_of(Online *online, CrdSchema *schema)
{
	CrdFindings *findings = crd_findings(schema, online->target, false);

	findings->online = true;
	return findings;
}

static void
run_phases(Online *online)
{
	ListCell   *lc;

	for (;;)
	{
		MemoryContextReset(online->phase_context);
		insist(online, work_plan);
		if (online->phase == NULL)
			break;
		run_phase(online);

		/* a walk looks itself whether the run is to pause */
		online->paused = true;
		between_transactions(online);
	}
	foreach(lc, online->warnings)
		ereport(WARNING, (errmsg_internal("%s", (char *) lfirst(lc))));
}

/*
 * Run the actions of the phase: those that have transactions of their own one
 * by one, all others in one.
 */
static void
run_phase(Online *online)
{
	CrdPhase   *phase = online->phase;
	int			i;

	insist(online, work_enter);
	if (!online->entered)
	{
		/* a crash may come at once, and history is to know of the run */
		XLogFlush(XactLastCommitEnd);
		online->entered = true;
	}
	insist(online, work_gate);
	for (i = 0; i < list_length(phase->actions); i++)
	{
		online->action = list_nth(phase->actions, i);
		if (!has_own_transaction(online->action))
			break;
		if (online->action->kind == CRD_RUN_IN_WORKER)
			run_in_worker(online);
		else if (online->action->kind == CRD_PROVE)
			run_proof(online);
		else if (!run_walk(online, list_nth(phase->actions, ++i)))
			return;
	}
	if (i < list_length(phase->actions))
		run_statements(online);
	else if (phase->is_last)
		insist(online, work_finish);
	if (phase->is_last)
		XLogFlush(XactLastCommitEnd);
}

/*
 * Walk over the table until the proof finds no row that is not right.  Rows that
 * another session has locked are met again in the next walk.  False if that
 * would lead nowhere, as there is something else to be done first.
 */
static bool
run_walk(Online *online, const CrdAction *proof)
{
	const CrdAction *action = online->action;

	for (int walks = 1;; walks++)
	{
		int			failures = 0;

		/* a query does not say which rows it has skipped */
		bool		refused = action->kind == CRD_WALK_EXCEPTIONS;

		online->action = action;
		insist(online, work_open_walk);
		while (!online->walk->finished)
		{
			if (transaction(online, work_batch))
			{
				failures = 0;
				refused |= online->walk->refused;
			}
			else if (++failures > crd_lock_attempts)
				give_up(online, "The table was locked whenever a batch began.",
						&to_write);
			else
			{
				/* what the batch did in memory is not what is in the table */
				wait_a_while(online, crd_backoff(failures));
				insist(online, work_open_walk);
				continue;
			}
			if (online->walk->stalled)
				wait_for_snapshots(online);
			else
				online->stalls = 0;
			between_transactions(online);
		}
		online->action = proof;
		insist(online, work_prove);
		if (online->nbad == 0)
			return true;
		insist(online, work_explain);
		insist(online, work_look_whether_turned);
		if (online->turned)
			return false;
		if (walks >= crd_lock_attempts && !refused)
			give_up_proof(online);
		if (walks >= crd_lock_attempts)
			give_up(online, psprintf(INT64_FORMAT " connections were locked whenever a walk came to them.",
									 online->nbad), &to_lock_rows);
		wait_a_while(online, crd_backoff(walks));
		insist(online, work_enter);
	}
}

/* A proof without a walk before it: what is not right is an error. */
static void
run_proof(Online *online)
{
	insist(online, work_prove);
	if (online->nbad == 0)
		return;
	insist(online, work_explain);
	give_up_proof(online);
}

/* Run a statement that has to be at top level. */
static void
run_in_worker(Online *online)
{
	online->worker = NULL;
	online->done = false;
	PG_TRY();
	{
		int			pid = 0;

		insist(online, work_start_worker);

		/* an error of the worker's is the end of it */
		online->exhausted = true;
		while (!online->done)
		{
			transaction(online, work_wait_for_worker);
			if (!online->done && crd_worker_pid(online->worker) != pid)
			{
				pid = crd_worker_pid(online->worker);
				insist(online, work_waiting);
			}
			notice_progress(online);
		}
		online->exhausted = false;
	}
	PG_CATCH();
	{
		if (online->worker && !online->done)
			crd_worker_stop(online->worker);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * Run the statements of the phase that share a transaction.  Another lock than
 * those it knows of may not be had in time: then all of it is tried again.
 */
static void
run_statements(Online *online)
{
	keep_trying(online, work_statements,
				"Other sessions have locked what its statements need.", &to_change);
}


/* Transactions */

static void
call_work(void *arg)
{
	Online	   *online = arg;

	online->work(online);
}

/* Do some work in a transaction, again if a lock was not to be had. */
static void
insist(Online *online, void (*work) (Online *online))
{
	keep_trying(online, work, "Other sessions have locked the tables.", &to_read);
}

/* The same, saying what was in the way if it never was to be had. */
static void
keep_trying(Online *online, void (*work) (Online *online), const char *detail,
			const CrdLocks *locks)
{
	for (int attempt = 1; !transaction(online, work); attempt++)
	{
		if (attempt >= crd_lock_attempts)
			give_up(online, detail, locks);
		wait_a_while(online, crd_backoff(attempt));
	}
}

/*
 * Do some work in a transaction, and commit it.  It does not wait for the disk,
 * which would keep everybody waiting for its locks: a crash may lose it with all
 * that follows.  False if a lock was not to be had, and nothing was done; any
 * other error ends the run, and is recorded.
 */
static bool
transaction(Online *online, void (*work) (Online *online))
{
	MemoryContext old = MemoryContextSwitchTo(online->transaction_context);
	ErrorData  *error;

	crd_limit_lock_waits();
	if (maintenance_work_mem < CRD_MAINTENANCE_WORK_MEM)
		crd_set_local("maintenance_work_mem", psprintf("%d", CRD_MAINTENANCE_WORK_MEM));
	crd_set_local("synchronous_commit", "off");
	online->work = work;
	error = crd_try(call_work, online);

	/* rows that a constraint refuses are reported as the checks do it */
	if (error && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
	{
		ErrorData  *explained;

		online->work = work_explain;
		explained = crd_try(call_work, online);
		if (explained)
			error = explained;
	}
	if (error && (online->exhausted || !crd_is_lock_failure(error)))
	{
		if (error->hint == NULL)
			error->hint = psprintf("What is done stays.  Call again to go on, or %s to go back.",
								   online->up ? "connections_rollback_online()" : "connections_migrate_online()");
		online->error = error;
		online->work = work_record_failure;
		if (crd_try(call_work, online) == NULL)
			crd_commit();
		MemoryContextSwitchTo(old);
		ReThrowError(error);
	}
	crd_commit();
	MemoryContextSwitchTo(old);
	MemoryContextReset(online->transaction_context);
	return error == NULL;
}

static void
wait_a_while(Online *online, int milliseconds)
{
	online->milliseconds = milliseconds;
	transaction(online, work_pause);
}

static void
give_up(Online *online, const char *detail, const CrdLocks *locks)
{
	online->detail = detail;
	online->locks = locks;
	online->exhausted = true;
	transaction(online, work_give_up);
}

static void
give_up_proof(Online *online)
{
	give_up(online, psprintf(INT64_FORMAT " connections are not ready: %s",
							 online->nbad, online->action->statement), &to_lock_rows);
}

/*
 * What there is, and the first phase of what is to be done with it; NULL when
 * nothing is left.
 */
static CrdPhase *
next_phase(Online *online, CrdCheckLevel level, CrdSchema **schema)
{
	CrdFindings *findings;
	List	   *phases;

	*schema = crd_schema_read();
	findings = findings_of(online, *schema);
	findings->one_step = true;
	findings->proven_rows = online->proven_rows;
	crd_checks_enforce(findings, level);
	crd_schema_read_catalog(*schema);
	phases = crd_plan_online(findings)->phases;
	return phases == NIL ? NULL : linitial(phases);
}

/* Plan, and choose the first phase; NULL when nothing is left. */
static void
work_plan(Online *online)
{
	MemoryContext old = MemoryContextSwitchTo(online->phase_context);
	const char *first;

	online->phase = next_phase(online, CRD_CHECK_BASE, &online->schema);
	MemoryContextSwitchTo(old);
	if (online->phase == NULL)
	{
		crd_ledger_forget();
		if (online->schema->version != online->target)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("tables are at version %d, not at %d", online->schema->version, online->target),
					 errhint("Other sessions have changed them meanwhile.  Look at connections_precheck().")));
		return;
	}

	first = ((CrdAction *) linitial(online->phase->actions))->statement;
	online->repeats = strcmp(first, online->first) == 0 ? online->repeats + 1 : 0;
	if (online->repeats > MAX_REPEATS)
		elog(ERROR, "phase %s leads nowhere: %s", online->phase->name, first);
	strlcpy(online->first, first, sizeof(online->first));
}

static void
work_enter(Online *online)
{
	ereport(DEBUG1,
			(errmsg_internal("step %d, phase %s", online->phase->step, online->phase->name)));
	crd_ledger_enter(&online->run, online->phase);
}

static void
work_gate(Online *online)
{
	crd_gate("", online->phase->name);
}

/*
 * Lock what the phase needs, and run its statements.  Who has the table for
 * himself plans again.
 */
static void
work_statements(Online *online)
{
	CrdPhase   *phase = online->phase;
	CrdLocks	locks = locks_of(phase);
	List	   *actions = NIL;
	ListCell   *lc;

	/* this tries as often as it may */
	online->exhausted = true;
	crd_lock(online->schema, &locks);
	online->exhausted = false;
	if (locks.mode[CRD_CONNECTIONS] == AccessExclusiveLock ||
		locks.mode[CRD_CATALOG] == AccessExclusiveLock)
	{
		CrdSchema  *schema;

		phase = next_phase(online, CRD_CHECK_SCHEMA, &schema);
		if (phase == NULL || strcmp(phase->name, online->phase->name) != 0)
			return;
	}
	foreach(lc, phase->actions)
		if (!has_own_transaction(lfirst(lc)))
		actions = lappend(actions, lfirst(lc));
	crd_execute(online->schema, actions, "What was done before stays.");
	if (phase->is_last)
		crd_ledger_finish(&online->run, phase);
	crd_gate("in ", phase->name);
}

static void
work_finish(Online *online)
{
	crd_ledger_finish(&online->run, online->phase);
}

static void
work_open_walk(Online *online)
{
	MemoryContext old = MemoryContextSwitchTo(online->phase_context);
	const CrdAction *action = online->action;

	online->walk = crd_ledger_walk(online->schema, action->fill);
	online->walk->columns = action->columns;
	online->walk->condition = action->condition;
	online->walk->found = crd_keep_exceptions;
	online->stalls = 0;
	MemoryContextSwitchTo(old);
}

static void
work_batch(Online *online)
{
	BlockNumber window = online->walk->window;
	int			leaf = online->walk->leaf;
	bool		moves = online->walk->move;
	TimestampTz now;

	crd_set_local("wal_compression", CRD_WAL_COMPRESSION);
	crd_walk_batch(online->schema, online->walk);

	/* where it is to be continued is another place only after a window */
	now = GetCurrentTimestamp();
	if (online->walk->window != window || online->walk->leaf != leaf ||
		TimestampDifferenceExceeds(online->checkpoint_at, now, POLL))
	{
		if (online->walk->window != window && !moves)
			online->oldest[0] = '\0';
		online->paused = crd_ledger_checkpoint(online->walk, online->oldest[0] ? online->oldest : NULL);
		online->walk->rows = online->walk->hot_rows = 0;
		online->checkpoint_at = now;
	}
	crd_gate("in ", online->phase->name);
}

static void
work_prove(Online *online)
{
	/* before the rows: what comes in between is then not taken for proven */
	const char *triggers = crd_triggers_beside(online->schema, online->phase->step, online->phase->up);
	CrdRows    *rows = crd_fetch(crd_owner(online->schema, CRD_CONNECTIONS),
								 online->action->statement, 0);
	int64		nrows = pg_strtoint64(rows->row[0][0]);

	online->nbad = pg_strtoint64(rows->row[0][1]);
	if (online->nbad > 0)
		return;
	crd_ledger_walked(nrows, triggers);
	if (online->phase->step == 2)
		online->proven_rows = nrows;
}

/* Say of rows that are not right what the precheck says, if it is that. */
static void
work_explain(Online *online)
{
	crd_checks_enforce(findings_of(online, online->schema), CRD_CHECK_DATA);
}

/* What the rows wait for may be another phase: a bridge that knows their kind. */
static void
work_look_whether_turned(Online *online)
{
	CrdSchema  *schema;
	CrdPhase   *phase = next_phase(online, CRD_CHECK_BASE, &schema);

	online->turned = phase == NULL || strcmp(phase->name, online->phase->name) != 0;
}

static void
work_start_worker(Online *online)
{
	online->worker = crd_worker_start(crd_owner(online->schema, CRD_CONNECTIONS),
									  online->action->statement);
}

/* In a transaction that does nothing else, and has no snapshot */
static void
work_wait_for_worker(Online *online)
{
	online->done = crd_worker_wait(online->worker, POLL);
}

static void
work_waiting(Online *online)
{
	crd_ledger_waiting("the background worker", crd_worker_pid(online->worker));
}

static void
work_progress(Online *online)
{
	const char *progress = crd_ledger_progress();

	if (progress)
		ereport(NOTICE, (errmsg_internal("%s", progress)));
}

static void
work_pause(Online *online)
{
	crd_pause(online->milliseconds);
}

static void
work_look_whether_paused(Online *online)
{
	online->paused = crd_ledger_paused();
	if (online->paused)
		crd_ledger_waiting("connections_resume()", 0);
}

static void
work_give_up(Online *online)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not complete phase %s of step %d in %d attempts",
					online->phase->name, online->phase->step, crd_lock_attempts),
			 errdetail_internal("%s\n%s", online->detail,
								crd_lock_holders(online->schema, online->locks)),
			 errhint("Let these transactions end, or raise connections_redesign.lock_attempts; then call again.")));
}

static void
work_record_failure(Online *online)
{
	crd_ledger_fail(&online->run, online->error);
}


/* Between transactions */

static void
between_transactions(Online *online)
{
	notice_progress(online);
	while (online->paused)
	{
		insist(online, work_look_whether_paused);
		if (online->paused)
			wait_a_while(online, POLL);
		notice_progress(online);
	}
	if (crd_max_replication_lag > 0)
		for (;;)
		{
			insist(online, work_measure_lag);
			if (online->lag <= crd_max_replication_lag)
				break;
			wait_a_while(online, POLL);
			notice_progress(online);
		}
}

/*
 * The last pass over the window could not prune what the one before it left, as
 * someone's snapshot can still see it.  Most go soon; where one stays, rows have
 * to be moved.
 */
static void
wait_for_snapshots(Online *online)
{
	if (online->stalls < (online->oldest[0] ? 1 : MAX_STALLS))
	{
		wait_a_while(online, 1 << online->stalls);
		online->stalls++;
		return;
	}
	online->walk->move = true;
	online->stalls = 0;
	if (online->oldest[0] == '\0')
		insist(online, work_name_oldest_snapshot);
}

static void
work_name_oldest_snapshot(Online *online)
{
	const char *oldest = crd_oldest_snapshot();

	snprintf(online->oldest, sizeof(online->oldest), "nothing, but rows have to be moved: old snapshot of %s",
			 oldest ? oldest : "a session that has ended");
	ereport(NOTICE,
			(errmsg("rows are moved, and the table grows, as old row versions cannot be removed"),
			 oldest ? errdetail_internal("The oldest snapshot is that of %s.", oldest) : 0,
			 errhint("It is faster, and takes less room, when that has ended.")));
}

/*
 * How far the standby that is furthest behind has yet to go, in time: since when
 * WAL that it has not replayed has been there.  The server's own figures stand
 * still with a standby that does.
 */
static void
work_measure_lag(Online *online)
{
	CrdRows    *rows;
	TimestampTz now = GetCurrentTimestamp();
	XLogRecPtr	end = GetXLogInsertRecPtr();
	XLogRecPtr	replayed = end;

	if (online->nsamples == 0 ||
		TimestampDifferenceExceeds(online->samples[online->nsamples - 1].at, now,
								   Max(crd_max_replication_lag / (LAG_SAMPLES / 2), 1)))
	{
		if (online->nsamples == LAG_SAMPLES)
			memmove(&online->samples[1], &online->samples[2],
					sizeof(online->samples[0]) * (LAG_SAMPLES - 2));
		else
			online->nsamples++;
		online->samples[online->nsamples - 1].lsn = end;
		online->samples[online->nsamples - 1].at = now;
	}

	/* pg_stat_replication also lists who has no position yet */
	rows = crd_fetch(CRD_CALLER,
					 "SELECT replay_lsn, application_name FROM pg_stat_replication"
					 " WHERE replay_lsn IS NOT NULL ORDER BY 1 LIMIT 1", 0);
	if (rows->nrows > 0)
		replayed = DatumGetLSN(DirectFunctionCall1(pg_lsn_in, CStringGetDatum(rows->row[0][0])));
	while (online->nsamples > 0 && online->samples[0].lsn <= replayed)
		memmove(&online->samples[0], &online->samples[1],
				sizeof(online->samples[0]) * --online->nsamples);
	online->lag = online->nsamples == 0 ? 0 :
		TimestampDifferenceMilliseconds(online->samples[0].at, now);
	if (online->lag > crd_max_replication_lag)
		crd_ledger_waiting(psprintf("standby %s, %ld ms behind", rows->row[0][1], online->lag), 0);
}

static void
notice_progress(Online *online)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(online->noticed_at, now, crd_progress_interval))
		return;
	insist(online, work_progress);
	online->noticed_at = now;
}


/* Phases and points */

static bool
has_own_transaction(const CrdAction *action)
{
	return action->kind == CRD_FILL_ROWS || action->kind == CRD_WALK_EXCEPTIONS ||
		action->kind == CRD_PROVE || action->kind == CRD_RUN_IN_WORKER;
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

		if (action->kind == CRD_RUN || action->kind == CRD_RUN_AS_REPLICA)
			locks.mode[action->table] = Max(locks.mode[action->table], action->lock_mode);
	}
	return locks;
}
