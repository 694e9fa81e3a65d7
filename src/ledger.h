/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  History and status, and the lock that lets one migration run at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_LEDGER_H
#define CRD_LEDGER_H

#include "backfill.h"
#include "plan.h"

/*
 * The migration lock lets one session migrate at a time.  It is an advisory lock
 * that SQL cannot reach, visible in pg_locks.  Taking it raises 55006 with the
 * pid of the session that has it; crd_ledger_lock() holds it until the end of
 * the transaction, crd_ledger_hold() until crd_ledger_release() or the end of
 * the session.
 */
extern void crd_ledger_lock(void);
extern void crd_ledger_hold(void);
extern void crd_ledger_release(void);

/* A call of migrate or rollback, in which several steps may be done */
typedef struct CrdRun
{
	const char *id;
	const char *started_at;
	const char *mode;			/* "atomic", "online" */
} CrdRun;

/*
 * Begin a run, in the current memory context, under the migration lock.  If an
 * online run before it was interrupted, it is recorded now that this is known;
 * if it was paused, that is over.
 */
extern CrdRun crd_ledger_begin_run(const char *mode);

/*
 * Record that a step was applied (up) or undone in this transaction; rows is
 * how many it went through.
 */
extern void crd_ledger_record(const CrdRun *run, int step, bool up, int64 rows);


/* The step that an online run is at */

/*
 * The run comes to a phase: of the step that was begun, or of a new one.  What
 * is known of an earlier run of the same step stays.
 */
extern void crd_ledger_enter(const CrdRun *run, const CrdPhase *phase);

/* The walk as it was last recorded, to be continued. */
extern CrdWalk *crd_ledger_walk(const CrdSchema *schema, CrdFill fill);

/*
 * Record where the walk is, in the transaction of its batch, and what slows it
 * down, if anything; return whether the run is to pause.
 */
extern bool crd_ledger_checkpoint(const CrdWalk *walk, const char *slow);

/* The rows of the step have been proven to be right, beside these triggers. */
extern void crd_ledger_walked(int64 rows, const char *triggers);

/* What the run waits for, NULL for nothing; on whom, for a worker. */
extern void crd_ledger_waiting(const char *what, int worker_pid);

/* Whether connections_pause() was called. */
extern bool crd_ledger_paused(void);

/* The progress view's row as a notice says it, or NULL. */
extern const char *crd_ledger_progress(void);

/* The step is done, or undone: record it and forget where it was. */
extern void crd_ledger_finish(const CrdRun *run, const CrdPhase *phase);

/* There is nothing left to do of a step that was begun. */
extern void crd_ledger_forget(void);

/* The run ends with an error, which the step that it is at survives. */
extern void crd_ledger_fail(const CrdRun *run, const ErrorData *error);

#endif							/* CRD_LEDGER_H */
