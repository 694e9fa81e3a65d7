/*-------------------------------------------------------------------------
 *
 * run_state.h
 *	  The state of the online run: its phase, its progress, whether it is paused.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_RUN_STATE_H
#define CRD_RUN_STATE_H

#include "run/backfill.h"
#include "run/history.h"

/*
 * Begin a run, in the current memory context, under the migration lock.  If an
 * online run before it was interrupted, it is recorded now that this is known;
 * if it was paused, that is over.
 */
extern CrdRun crd_run_begin(const char *mode);

/*
 * Record that the run begins a phase, of the partial step or of a new one.  The
 * record of an earlier run of the same step is continued.
 */
extern void crd_run_enter_phase(const CrdRun *run, const CrdPhase *phase);

/* A backfill that continues where the last recorded one was. */
extern CrdBackfill *crd_run_open_backfill(const CrdSchema *schema, CrdRowFix fix);

/*
 * Record where the backfill is, in the transaction of its batch, and what slows it
 * down, if anything; return whether the run is to pause.
 */
extern bool crd_run_checkpoint(const CrdBackfill *backfill, const char *slow);

/* Record that the rows of the step are verified, while these triggers exist. */
extern void crd_run_mark_verified(int64 rows, const char *triggers);

/* What the run waits for, NULL for nothing; on whom, for a worker. */
extern void crd_run_set_wait(const char *what, int worker_pid);

/* Whether connections_pause() was called. */
extern bool crd_run_paused(void);

/* The progress view's row as a notice says it, or NULL. */
extern const char *crd_run_progress(void);

/* The step is done, or undone: record it and forget where it was. */
extern void crd_run_finish(const CrdRun *run, const CrdPhase *phase);

/* There is nothing left to do of a step that was begun. */
extern void crd_run_clear(void);

/* The run ends with an error, which the step that it is at survives. */
extern void crd_run_record_failure(const CrdRun *run, const ErrorData *error);

#endif							/* CRD_RUN_STATE_H */
