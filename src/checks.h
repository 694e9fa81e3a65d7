/*-------------------------------------------------------------------------
 *
 * checks.h
 *	  What must hold before a migration, and after it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_CHECKS_H
#define CRD_CHECKS_H

#include "fmgr.h"

#include "findings.h"

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
