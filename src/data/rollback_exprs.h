/*-------------------------------------------------------------------------
 *
 * rollback_exprs.h
 *	  What the rows of version 4 become when step 4 is undone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_ROLLBACK_EXPRS_H
#define CRD_ROLLBACK_EXPRS_H

#include "data/saved_state.h"

/*
 * What the rows of version 4 become when step 4 is undone, as expressions over
 * connections.
 */
typedef struct CrdRollbackExprs
{
	const char *provider;
	const char *type;
	const char *label;
	const char *config;
	const char *config_changes; /* condition: config must say the capability */
	const char *label_changes;	/* condition: the name must not be NULL */
	const char *type_unknown;	/* condition: its type is made up */
	const char **types;			/* by index of schema->entries */
} CrdRollbackExprs;

extern CrdRollbackExprs *crd_rollback_exprs(const CrdSchema *schema,
											const CrdSavedState *saved);

/* How many rows that concerns */
typedef struct CrdRollbackCounts
{
	int64		total;
	int64		null_labels;	/* that become empty */
	int64		config_changes;
	int64		config_refuses; /* config is no object that could say it */
	const char *config_samples; /* keys of those */
	int64		type_unknown;
} CrdRollbackCounts;

extern CrdRollbackCounts *crd_rollback_counts(const CrdSchema *schema,
											  const CrdRollbackExprs *exprs);

/*
 * The keys of rows that a constraint or unique index would refuse after step 4
 * is undone; NULL where there is none.  A CHECK that is there now looks only at
 * the rows that the rollback updates.  False where that cannot be told, such as
 * of a foreign key to a table that the owner may not read.
 */
extern bool crd_rollback_violations(const CrdSchema *schema,
									const CrdSavedState *saved,
									const CrdRollbackExprs *exprs,
									const CrdSavedDdl *enforced,
									bool there_now, const char **violations);

/*
 * Whether a CHECK or foreign key would refuse some connection if it had no label,
 * as far as those tell that come first.
 */
extern bool crd_refuses_empty_name(const CrdSchema *schema,
								   const CrdSavedState *saved,
								   const CrdRollbackExprs *exprs,
								   const CrdSavedDdl *enforced);

/*
 * Whether a value, cast to a type, is the same value again: not cut, and allowed
 * by the domain or enum.  Never fails.
 */
extern bool crd_value_fits(const CrdSchema *schema, CrdTable table,
						   const char *value, const char *type);

#endif							/* CRD_ROLLBACK_EXPRS_H */
