/*-------------------------------------------------------------------------
 *
 * report.h
 *	  What a check is given, and how it says what it found.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_REPORT_H
#define CRD_REPORT_H

#include "data/context.h"

/* What a report looks at: the way forward or back, or what has been done */
#define CRD_FORWARD		0x01
#define CRD_BACK		0x02
#define CRD_VERIFY		0x04

typedef enum CrdStatus
{
	CRD_OK,
	CRD_WARNING,
	CRD_ERROR
} CrdStatus;

typedef struct CrdReportRow
{
	const char *check_name;
	CrdStatus	status;
	const char *found;
	const char *expected;
	const char *hint;			/* NULL where there is nothing to do */
} CrdReportRow;

typedef struct CrdReport
{
	CrdContext *context;
	int			direction;		/* one of the above */
	List	   *rows;			/* of CrdReportRow */
	const char *check_name;		/* of the check that is being made */
	int			nerrors;		/* so far */
	bool		catalog_read;
	bool		blocked;		/* the tables cannot be read */
} CrdReport;

/* Add a row; found and expected continue "Found" and "expected" in an error. */
extern void crd_report_put(CrdReport *report, CrdStatus status,
						   const char *found, const char *expected,
						   const char *hint);

/* Say that the check could not be made, for errors of others. */
extern void crd_report_not_checked(CrdReport *report);

/*
 * Report foreign keys on a column that is updated as replication would; whether
 * there is any.
 */
extern bool crd_report_foreign_keys(CrdReport *report, CrdColumnId id);

/*
 * Report a value that is to go to a column and does not fit its type; whether
 * that is so.
 */
extern bool crd_report_value_does_not_fit(CrdReport *report, CrdTable table,
										  const char *value, const char *column,
										  const char *type);

/* The same, with the status and the hint that the caller chooses. */
extern void crd_report_unfit_value(CrdReport *report, CrdStatus status,
								   const char *value, const char *column,
								   const char *type);

/* "1 connection", "2 connections" */
extern const char *crd_count_text(int64 count, const char *noun);

#endif							/* CRD_REPORT_H */
