/*-------------------------------------------------------------------------
 *
 * atomic.h
 *	  What both drivers do: decide whether there is anything to do, and run the
 *	  actions of a plan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_ATOMIC_H
#define CRD_ATOMIC_H

#include "plan.h"

/* Whether the database is at the target or beyond; a NOTICE says so. */
extern bool crd_is_there(const CrdSchema *schema, int target, bool up);

/* The version to which a rollback of one step leads. */
extern int	crd_one_step_back(const CrdSchema *schema);

/*
 * Raise 25001 or 25006 in a transaction in which nothing can be migrated: its
 * snapshot is older than what others have committed, or it is read-only.
 */
extern void crd_check_transaction(const char *function);

/* Run actions in the current transaction, each as the owner of its table. */
extern void crd_execute(const CrdSchema *schema, const List *actions,
						const char *consequence);

#endif							/* CRD_ATOMIC_H */
