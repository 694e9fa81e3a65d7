/*-------------------------------------------------------------------------
 *
 * findings.h
 *	  What is known of a database and of where it is to go.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_FINDINGS_H
#define CRD_FINDINGS_H

#include "keepsake.h"
#include "mapping.h"
#include "schema.h"

/*
 * What is known of a database and of where it is to go.  The rows are read when
 * they are first asked for, so that the big table is read no more often than
 * needed.
 */
typedef struct CrdFindings
{
	CrdSchema  *schema;
	int			target;			/* version to reach */
	bool		to_plan;		/* the census is to count types, too */
	bool		online;			/* beside the application */
	bool		one_step;		/* plan no further than the next step */
	int64		proven_rows;	/* that this run has filled in step 2 */

	CrdKeepsake *keepsake;		/* for that way */

	CrdCensus  *census;
	List	   *dictionary;
	CrdWayBack *way_back;
	CrdWayBackCounts *way_back_counts;
} CrdFindings;

extern CrdFindings *crd_findings(CrdSchema *schema, int target, bool to_plan);

/* Whether the way leads over that step. */
extern bool crd_findings_cross(const CrdFindings *findings, int step);

/* Read now, or return what has been read. */
extern CrdCensus *crd_findings_census(CrdFindings *findings);
extern List *crd_findings_dictionary(CrdFindings *findings);
extern CrdWayBack *crd_findings_way_back(CrdFindings *findings);
extern CrdWayBackCounts *crd_findings_way_back_counts(CrdFindings *findings);

#endif							/* CRD_FINDINGS_H */
