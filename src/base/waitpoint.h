/*-------------------------------------------------------------------------
 *
 * waitpoint.h
 *	  Named points at which a test can stop a run, to cancel, kill or crash it
 *	  there.
 *
 * In the atomic mode: before each statement of the plan ("statement 1", as
 * connections_plan() numbers them), and when all is done and recorded, but not
 * committed ("end").  Online: before each phase ("backfill", as connections_plan()
 * and the progress view name them), and in its last transaction, or each of its
 * batches, before that is committed ("in backfill").
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_GATE_H
#define CRD_GATE_H

/*
 * If connections_redesign.debug_waitpoint names this point, wait for its lock,
 * pg_advisory_lock(63726472), and release it.
 */
extern void crd_waitpoint(const char *prefix, const char *point);

#endif							/* CRD_GATE_H */
