/*-------------------------------------------------------------------------
 *
 * history.h
 *	  The migration lock, and the history.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_HISTORY_H
#define CRD_HISTORY_H

#include "plan/plan.h"

/*
 * The migration lock lets one session migrate at a time.  It is an advisory lock
 * that SQL cannot reach, visible in pg_locks.  Taking it raises 55006 with the
 * pid of the session that has it; crd_migration_lock_xact() holds it until the end of
 * the transaction, crd_migration_lock_session() until crd_migration_lock_release() or the end of
 * the session.
 */
extern void crd_migration_lock_xact(void);
extern void crd_migration_lock_session(void);
extern void crd_migration_lock_release(void);

/* A call of migrate or rollback, in which several steps may be done */
typedef struct CrdRun
{
	const char *id;
	const char *started_at;
	const char *mode;			/* "atomic", "online" */
} CrdRun;

/*
 * Record that a step was applied (CRD_UP) or undone in this transaction; rows is
 * how many it went through.
 */
extern void crd_history_record(const CrdRun *run, int step, CrdDirection direction, int64 rows);

#endif							/* CRD_HISTORY_H */
