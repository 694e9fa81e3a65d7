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

#include "data/context.h"

/* What a check looks at */
typedef enum CrdCheckLevel
{
	CRD_CHECK_BASE,				/* tables, their version, their owner */
	CRD_CHECK_SCHEMA,			/* the system catalogs */
	CRD_CHECK_DATA				/* the rows */
} CrdCheckLevel;

/*
 * Raise the first error that a migration from where the schema is to
 * context->target must not meet, looking no further than "level".
 */
extern void crd_checks_enforce(CrdContext *context, CrdCheckLevel level);

#endif							/* CRD_CHECKS_H */
