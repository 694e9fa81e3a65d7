/*-------------------------------------------------------------------------
 *
 * checks.h
 *	  What must hold before a migration, and after it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_CHECKS_H
#define CRD_CHECKS_H

#include "keepsake.h"
#include "mapping.h"
#include "schema.h"

/*
 * What is known of a database and of where it is to go.  The data is read when
 * it is first asked for, so that the big table is read no more often than
 * needed.
 */
typedef struct CrdFindings
{
	CrdSchema  *schema;
	int			target;			/* version to reach */
	bool		to_plan;		/* the census is to count types, too */

	CrdKeepsake *keepsake;
	CrdCensus  *census;
	List	   *dictionary;
	CrdWayBack *way_back;
	CrdWayBackCounts *way_back_counts;
} CrdFindings;

extern CrdFindings *crd_findings(CrdSchema *schema, int target, bool to_plan);

/* Read now, or return what has been read. */
extern CrdKeepsake *crd_findings_keepsake(CrdFindings *findings);
extern CrdCensus *crd_findings_census(CrdFindings *findings);
extern List *crd_findings_dictionary(CrdFindings *findings);
extern CrdWayBack *crd_findings_way_back(CrdFindings *findings);
extern CrdWayBackCounts *crd_findings_way_back_counts(CrdFindings *findings);

/* What a check looks at */
typedef enum CrdCheckLevel
{
	CRD_CHECK_BASE,				/* tables, their version, their owner */
	CRD_CHECK_SCHEMA,			/* the system catalogs */
	CRD_CHECK_DATA				/* the rows */
} CrdCheckLevel;

/*
 * Raise the first error that a migration from where the schema is to
 * findings->target must not meet, looking no further than "level".
 */
extern void crd_checks_enforce(CrdFindings *findings, CrdCheckLevel level);

/* Raise 22004 or 22023 unless the argument "step" is from min to max. */
extern int	crd_check_step(FunctionCallInfo fcinfo, int argno, int min, int max);

#endif							/* CRD_CHECKS_H */
