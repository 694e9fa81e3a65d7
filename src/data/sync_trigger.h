/*-------------------------------------------------------------------------
 *
 * sync_trigger.h
 *	  The triggers that keep both shapes of a row right while two versions of
 *	  the application are in use, and the trigger that saves connection types.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_SYNC_TRIGGER_H
#define CRD_SYNC_TRIGGER_H

#include "data/rollback_exprs.h"
#include "schema/schema.h"

/* The CREATE TRIGGER statements, with the entries as arguments. */
extern char *crd_sync_trigger_ddl(const CrdSchema *schema);
extern char *crd_reverse_sync_trigger_ddl(const CrdSchema *schema,
										  const CrdRollbackExprs *exprs,
										  const CrdSavedState *saved);
extern char *crd_type_save_trigger_ddl(const CrdSchema *schema,
									   const List *entry_types);

/*
 * Whether the trigger exists with the arguments that it would be created with now:
 * entries may have changed since it was created.
 */
extern bool crd_sync_trigger_is_current(const CrdSchema *schema);
extern bool crd_reverse_sync_trigger_is_current(const CrdSchema *schema,
												const CrdRollbackExprs *exprs,
												const CrdSavedState *saved);

#endif							/* CRD_SYNC_TRIGGER_H */
