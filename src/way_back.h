/*-------------------------------------------------------------------------
 *
 * way_back.h
 *	  Checks of what a rollback makes of the rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_WAY_BACK_H
#define CRD_WAY_BACK_H

#include "report.h"

extern void crd_check_way_back_rows(CrdReport *report);
extern void crd_check_way_back_constraints(CrdReport *report);

/*
 * Report foreign keys on a column that is updated as replication would; whether
 * there is any.
 */
extern bool crd_report_foreign_keys(CrdReport *report, CrdColumnId id);

/*
 * Report a value that is to go to a column and does not fit its type; whether
 * that is so.
 */
extern bool crd_report_misfit(CrdReport *report, CrdTable table,
							  const char *value, const char *column,
							  const char *type);

#endif							/* CRD_WAY_BACK_H */
