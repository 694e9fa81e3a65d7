/*-------------------------------------------------------------------------
 *
 * lock.h
 *	  Locks that nobody stalls behind: first asked for without queueing, then in
 *	  short queued attempts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_LOCK_H
#define CRD_LOCK_H

#include "storage/lockdefs.h"

#include "schema/schema.h"

/*
 * What a transaction needs, NoLock for nothing.  connections is locked with its
 * partitions, and before available_connections, as readers that join them and foreign key
 * checks do.
 */
typedef struct CrdLocks
{
	LOCKMODE	mode[CRD_NTABLES];
} CrdLocks;

/*
 * Get the locks in the caller's transaction, or raise 55P03, naming who has
 * them, after connections_redesign.lock_attempts of
 * connections_redesign.lock_timeout each.
 */
extern void crd_lock(const CrdSchema *schema, const CrdLocks *locks);

/* Wait, in or between transactions; a cancel ends it. */
extern void crd_sleep(int milliseconds);

/* How long to pause after an attempt, the first being 1, in milliseconds. */
extern int	crd_backoff(int attempt);

/* Until the GUC nest level ends: no statement waits longer for a lock. */
extern void crd_limit_lock_waits(void);

/* Whether an error says that a lock was not to be had, so that a retry helps. */
extern bool crd_is_lock_failure(const ErrorData *error);

/* Who holds locks on the tables that conflict with these, for a DETAIL. */
extern const char *crd_lock_holders(const CrdSchema *schema,
									const CrdLocks *locks);

/*
 * Whose snapshot keeps row versions from being removed, for a message; NULL if
 * nobody's.
 */
extern const char *crd_oldest_snapshot(void);

#endif							/* CRD_LOCK_H */
