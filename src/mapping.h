/*-------------------------------------------------------------------------
 *
 * mapping.h
 *	  Which catalog entry a legacy connection belongs to: as an SQL expression,
 *	  and counted over the table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_MAPPING_H
#define CRD_MAPPING_H

#include "schema.h"

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
typedef struct CrdPair
{
	const char *provider;
	const char *capability;
	CrdCapabilityState state;
	int64		count;
	int64		differing;		/* available_connection_id is not the
								 * mapping's */
	const char *samples;		/* keys of unmapped or differing ones */
	const CrdCatalogRow *row;	/* NULL where it does not map */
} CrdPair;

/* A type that connections of a catalog entry have */
typedef struct CrdTypeCount
{
	const CrdCatalogRow *row;	/* NULL for those that do not map */
	const char *type;			/* may be NULL */
	int64		count;
} CrdTypeCount;

typedef struct CrdCensus
{
	int			npairs;
	CrdPair    *pairs;			/* by provider, then capability */
	int64		total;
	int64		unmapped;
	int64		differing;

	/* if it was asked for, in no order; some may be there several times */
	int			ntypes;
	CrdTypeCount *types;
} CrdCensus;

/*
 * Count the pairs as the runbook's second query does, in one pass over
 * connections; the catalog's rows must have been read.  Where
 * available_connection_id is there, compare it with the mapping, too.  With
 * "types", count those, too.
 */
extern CrdCensus *crd_census(const CrdSchema *schema, bool types);

/*
 * The expression that maps a legacy connection to values[i], an SQL literal
 * for schema->rows[i]; NULL where nothing maps.
 */
extern char *crd_mapping_expr(const CrdSchema *schema,
							  const char *const *values);

/* The ids of the catalog's rows as SQL literals, for crd_mapping_expr(). */
extern const char **crd_id_literals(const CrdSchema *schema);

/*
 * The expression that gives values[i] where available_connection_id names
 * schema->rows[i].
 */
extern char *crd_by_id_expr(const CrdSchema *schema, const char *const *values);

/* config ->> 'capability' that never fails, for the type that config has. */
extern const char *crd_capability_expr(const CrdSchema *schema);

/* The same in C: palloc'd, or NULL. */
extern char *crd_capability(Oid config_type, Datum config);

/*
 * config with that capability set, as the rollback's SQL sets it; a NULL config
 * becomes an object.  False where config is something else than an object.
 */
extern bool crd_with_capability(Oid config_type, Datum config, bool isnull,
								const char *capability, Datum *result);

/* "provider, capability" as messages name a pair. */
extern char *crd_pair_text(const CrdPair *pair);

/* What the pair should have been, and which near miss it is, if any. */
extern char *crd_pair_expected(const CrdPair *pair);
extern char *crd_pair_hint(const CrdPair *pair);

/* Lower case, without white space around it: what near misses have alike. */
extern char *crd_normalized(const char *value);

#endif							/* CRD_MAPPING_H */
