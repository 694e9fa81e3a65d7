/*-------------------------------------------------------------------------
 *
 * checks.h
 *	  The conditions of a migration, as far as the drivers raise them as errors.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_CHECKS_H
#define CRD_CHECKS_H

#include "data/context.h"

/* What a check reads */
typedef enum CrdCheckLevel
{
	CRD_CHECK_BASE,				/* that the tables exist, their kind, version
								 * and owner */
	CRD_CHECK_SCHEMA,			/* the system catalogs */
	CRD_CHECK_DATA				/* the rows */
} CrdCheckLevel;

/*
 * Run the checks of the migration from the current version to context->target,
 * up to that level, and raise the errors of the first check that reports any.
 */
extern void crd_checks_enforce(CrdContext *context, CrdCheckLevel level);

#endif							/* CRD_CHECKS_H */
