/*-------------------------------------------------------------------------
 *
 * steps.h
 *	  The four steps, up and down, in either form.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_STEPS_H
#define CRD_STEPS_H

#include "plan/plan_builder.h"

/*
 * Each adds its actions to the builder.  in steps_atomic.c: the transaction that
 * the caller runs them in has no phases.
 */
extern void crd_step1_up(CrdPlanBuilder *builder);
extern void crd_step1_down(CrdPlanBuilder *builder);
extern void crd_step2_up(CrdPlanBuilder *builder);
extern void crd_step2_down(CrdPlanBuilder *builder);
extern void crd_step3_up(CrdPlanBuilder *builder);
extern void crd_step3_down(CrdPlanBuilder *builder);
extern void crd_step4_up(CrdPlanBuilder *builder);
extern void crd_step4_down(CrdPlanBuilder *builder);

/* in steps_online.c: the same as phases */
extern void crd_step1_up_online(CrdPlanBuilder *builder);
extern void crd_step1_down_online(CrdPlanBuilder *builder);
extern void crd_step2_up_online(CrdPlanBuilder *builder);
extern void crd_step2_down_online(CrdPlanBuilder *builder);
extern void crd_step3_up_online(CrdPlanBuilder *builder);
extern void crd_step3_down_online(CrdPlanBuilder *builder);
extern void crd_step4_up_online(CrdPlanBuilder *builder);
extern void crd_step4_down_online(CrdPlanBuilder *builder);

/* What is to be done with the partial step, before any other. */
extern void crd_plan_partial_step(CrdPlanBuilder *builder);

/* in online_ddl.c */
extern void crd_online_validate(CrdPlanBuilder *builder, const char *constraint,
								const char *phase);
extern void crd_online_create_index(CrdPlanBuilder *builder);
extern void crd_online_create_foreign_key(CrdPlanBuilder *builder);
extern void crd_online_restore(CrdPlanBuilder *builder,
							   const CrdSavedDdl *ddl, const char *statement,
							   LOCKMODE lock_mode, const char *next);
extern void crd_online_restore_remaining(CrdPlanBuilder *builder);

#endif							/* CRD_STEPS_H */
