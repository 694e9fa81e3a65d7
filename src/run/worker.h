/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  A background worker that runs one statement at top level: what may not
 *	  run in a transaction block (CREATE INDEX CONCURRENTLY, VACUUM) can run in
 *	  no function or procedure either.
 *
 * The caller is a procedure that has committed, and that holds neither a
 * snapshot nor a lock on what the statement works on while the worker runs:
 * the worker would wait for the one that waits for it, and the deadlock
 * detector cannot see that.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_WORKER_H
#define CRD_WORKER_H

typedef struct CrdWorker CrdWorker;

/*
 * Start a worker that runs the statement as "role", which the session user must
 * be able to become with SET ROLE.  It survives the end of the transaction:
 * after an error, the caller has to stop it.  Without a free slot this raises
 * ERRCODE_INSUFFICIENT_RESOURCES.
 */
extern CrdWorker *crd_worker_start(Oid role, const char *sql);

/* Its process, 0 before that has started and after it has ended. */
extern int	crd_worker_pid(CrdWorker *worker);

/*
 * Wait for the worker for at most so many milliseconds, pass on its notices and
 * warnings, and return whether it has finished; then it is released.  Raises
 * the worker's error, or one of its own when the worker ended without finishing
 * the statement.
 */
extern bool crd_worker_wait(CrdWorker *worker, long timeout);

/*
 * Terminate the worker unless it has ended, wait until it is gone, and release
 * it; for use after an error.
 */
extern void crd_worker_stop(CrdWorker *worker);

/* Where the worker's process starts */
extern PGDLLEXPORT void crd_worker_main(Datum arg);

#endif							/* CRD_WORKER_H */
