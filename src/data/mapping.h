/*-------------------------------------------------------------------------
 *
 * mapping.h
 *	  Which entry a legacy connection belongs to: as an SQL expression, and
 *	  summarized for the table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_MAPPING_H
#define CRD_MAPPING_H

#include "schema/schema.h"

/*
 * What config says of the capability of a pair whose provider needs one.
 * Tells apart what config ->> 'capability' does not.
 */
typedef enum CrdCapabilityState
{
	CRD_CAPABILITY_GIVEN,
	CRD_CAPABILITY_NULL,		/* JSON null */
	CRD_CAPABILITY_ABSENT,
	CRD_CONFIG_NULL
} CrdCapabilityState;

/* A (provider, capability) pair with its connections */
typedef struct CrdMappingGroup
{
	const char *provider;
	const char *capability;
	CrdCapabilityState state;
	int64		count;
	int64		mismatched;		/* available_connection_id is not the
								 * mapping's */
	const char *samples;		/* keys of unmapped or differing ones */
	const CrdEntryRow *entry;	/* NULL where it does not map */
} CrdMappingGroup;

/* A type that connections of an entry have */
typedef struct CrdTypeCount
{
	const CrdEntryRow *entry;	/* NULL for those that do not map */
	const char *type;			/* may be NULL */
	int64		count;
} CrdTypeCount;

typedef struct CrdMappingSummary
{
	int			ngroups;
	CrdMappingGroup *groups;	/* by provider, then capability */
	int64		total;
	int64		unmapped;
	int64		mismatched;

	/* if it was asked for, in no order; some may be there several times */
	int			ntypes;
	CrdTypeCount *types;
} CrdMappingSummary;

/*
 * Count the pairs as the runbook's second query does, in one pass over
 * connections; the entries must have been read.  Where
 * available_connection_id is there, compare it with the mapping, too.  With
 * "types", count those, too.
 */
extern CrdMappingSummary *crd_summarize_mapping(const CrdSchema *schema, bool types);

/*
 * The expression that maps a legacy connection to values[i], an SQL literal
 * for schema->entries[i]; NULL where nothing maps.
 */
extern char *crd_mapping_expr(const CrdSchema *schema,
							  const char *const *values);

/* The ids of the entries as SQL literals, for crd_mapping_expr(). */
extern const char **crd_id_literals(const CrdSchema *schema);

/*
 * The expression that gives values[i] where available_connection_id names
 * schema->entries[i].
 */
extern char *crd_case_by_entry_id(const CrdSchema *schema, const char *const *values);

/* config ->> 'capability' that never fails, for the type that config has. */
extern const char *crd_capability_expr(const CrdSchema *schema);

/* "provider, capability" as messages name a group. */
extern char *crd_group_text(const CrdMappingGroup *group);

/* What the group should have been, and which near miss it is, if any. */
extern char *crd_group_expected(const CrdMappingGroup *group);
extern char *crd_group_hint(const CrdMappingGroup *group);

/* Lower case, without white space around it: what near misses have alike. */
extern char *crd_fold_for_comparison(const char *value);

#endif							/* CRD_MAPPING_H */
