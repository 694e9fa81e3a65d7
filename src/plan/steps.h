/*-------------------------------------------------------------------------
 *
 * steps.h
 *	  The four steps, up and down, in either mode, and the online DDL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_STEPS_H
#define CRD_STEPS_H

#include "plan/plan_builder.h"

/* What step 3 creates, in either mode */
#define CRD_STEP3_FOREIGN_KEY \
	"FOREIGN KEY (available_connection_id)" \
	" REFERENCES connections.available_connections (id) ON DELETE RESTRICT"
#define CRD_STEP3_FOREIGN_KEY_PURPOSE \
	"every connection has an entry, and no entry in use can be deleted"
#define CRD_STEP3_INDEX "(available_connection_id)"
#define CRD_STEP3_INDEX_PURPOSE "find the connections of an entry"

/* in steps_atomic.c: each adds the actions of a step to the builder */
extern void crd_step1_up(CrdPlanBuilder *builder);
extern void crd_step1_down(CrdPlanBuilder *builder);
extern void crd_step2_up(CrdPlanBuilder *builder);
extern void crd_step2_down(CrdPlanBuilder *builder);
extern void crd_step3_up(CrdPlanBuilder *builder);
extern void crd_step3_down(CrdPlanBuilder *builder);
extern void crd_step4_up(CrdPlanBuilder *builder);
extern void crd_step4_down(CrdPlanBuilder *builder);

/* in steps_online.c: the same, as phases */
extern void crd_step1_up_online(CrdPlanBuilder *builder);
extern void crd_step1_down_online(CrdPlanBuilder *builder);
extern void crd_step2_up_online(CrdPlanBuilder *builder);
extern void crd_step2_down_online(CrdPlanBuilder *builder);
extern void crd_step3_up_online(CrdPlanBuilder *builder);
extern void crd_step3_down_online(CrdPlanBuilder *builder);
extern void crd_step4_up_online(CrdPlanBuilder *builder);
extern void crd_step4_down_online(CrdPlanBuilder *builder);

/* Complete or undo the partial step, whichever leads to the target. */
extern void crd_plan_partial_step(CrdPlanBuilder *builder);

/* in online_ddl.c; a constraint's name is as DDL spells it */
extern void crd_online_validate(CrdPlanBuilder *builder, const char *constraint,
								const char *phase);
extern void crd_online_create_index(CrdPlanBuilder *builder);
extern void crd_online_create_foreign_key(CrdPlanBuilder *builder);
extern void crd_online_restore(CrdPlanBuilder *builder,
							   const CrdSavedDdl *ddl, const char *statement,
							   LOCKMODE lock_mode, const char *next);
extern void crd_online_restore_remaining(CrdPlanBuilder *builder);

#endif							/* CRD_STEPS_H */
