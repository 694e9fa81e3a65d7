/*-------------------------------------------------------------------------
 *
 * execute.h
 *	  What both modes share: whether the target is reached, and the execution of
 *	  actions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_EXECUTE_H
#define CRD_EXECUTE_H

#include "plan/plan.h"

/* Whether the database is at the target or beyond; a NOTICE says so. */
extern bool crd_target_reached(const CrdSchema *schema, int target, CrdDirection direction);

/* The version to which a rollback of one step leads. */
extern int	crd_previous_version(const CrdSchema *schema);

/*
 * Raise 25001 or 25006 in a transaction in which nothing can be migrated: its
 * snapshot does not see rows that other sessions commit, or it is read-only.
 */
extern void crd_check_transaction(const char *function);

/*
 * Set what a plan runs with: short waits for locks, memory for indexes.  Returns
 * the GUC nest level that ends it.
 */
extern int	crd_set_run_limits(void);

/* Run actions in the current transaction, each as the owner of its table. */
extern void crd_execute_actions(const CrdSchema *schema, const List *actions,
								const char *consequence);

#endif							/* CRD_EXECUTE_H */
