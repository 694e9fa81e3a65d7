/*-------------------------------------------------------------------------
 *
 * report.h
 *	  What a check is given, and how it says what it found.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_REPORT_H
#define CRD_REPORT_H

#include "findings.h"

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
	CrdFindings *findings;
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

/* Whether the migration applies or undoes that step. */
extern bool crd_crosses(const CrdReport *report, int step);

/* "1 connection", "2 connections" */
extern const char *crd_count_text(int64 count, const char *noun);

#endif							/* CRD_REPORT_H */
