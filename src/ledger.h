/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  History and status, and the lock that lets one migration run at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_LEDGER_H
#define CRD_LEDGER_H

/*
 * Take the migration lock until the end of the transaction.  It is an advisory
 * lock that SQL cannot reach, visible in pg_locks.  Raises 55006 with the pid
 * of the session that has it.
 */
extern void crd_ledger_lock(void);

/* A call of migrate or rollback, in which several steps may be done */
typedef struct CrdRun
{
	const char *id;
	const char *started_at;
} CrdRun;

extern CrdRun crd_ledger_begin_run(void);

/*
 * Record that a step was applied (up) or undone in this transaction; rows is
 * how many it went through.
 */
extern void crd_ledger_record(const CrdRun *run, int step, bool up, int64 rows);

#endif							/* CRD_LEDGER_H */
