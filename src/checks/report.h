/*-------------------------------------------------------------------------
 *
 * report.h
 *	  The report that a check writes its rows to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_REPORT_H
#define CRD_REPORT_H

#include "base/sql_exec.h"
#include "data/context.h"

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
	const char *hint;			/* NULL if no action is needed */
} CrdReportRow;

typedef struct CrdReport
{
	CrdContext *context;
	CrdDirection direction;		/* of the migration that is checked */
	bool		verify;			/* no migration: verify the current version */
	List	   *rows;			/* of CrdReportRow */
	int			nerrors;		/* rows with CRD_ERROR */
	bool		entries_read;
	bool		blocked;		/* the tables cannot be read */

	/*
	 * Of the current check.  "ok" is what the OK row says was found, if the
	 * check reports nothing; the check may replace it.
	 */
	const char *check_name;
	const char *expected;
	const char *ok;
} CrdReport;

/*
 * Add a row.  "found" and "expected" complete the error detail "Found ...;
 * expected ...".  The first form expects what the table of checks says.
 */
extern void crd_report_put(CrdReport *report, CrdStatus status,
						   const char *found, const char *hint);
extern void crd_report_put_expected(CrdReport *report, CrdStatus status,
									const char *found, const char *expected,
									const char *hint);

/*
 * Add a row for each row of a query: its first column is what was found, and,
 * if "hint" is NULL, its second column is the hint.  "expected" may be NULL for
 * what the table of checks says, here and below.
 */
extern void crd_report_rows(CrdReport *report, CrdStatus status,
							const CrdResult *result, const char *expected,
							const char *hint);

/* Add a row for each CrdDependent of a list. */
extern void crd_report_dependents(CrdReport *report, CrdStatus status,
								  const List *dependents,
								  const char *expected, const char *hint);

/* Add a warning that the errors of earlier checks prevent this check. */
extern void crd_report_not_checked(CrdReport *report);

/* Report foreign keys on a column that the migration updates as a replica. */
extern void crd_report_foreign_keys(CrdReport *report, CrdColumnId id);

/* Report a value that does not fit the type of the column that will hold it. */
extern void crd_report_unfit_value(CrdReport *report, CrdStatus status,
								   const char *value, const char *column,
								   const char *type);

/* Whether the migration drops or renames that column. */
extern bool crd_report_drops(const CrdReport *report,
							 const CrdDroppedColumn *drop);

/* "1 connection", "2 connections" */
extern const char *crd_count_text(int64 count, const char *noun);

#endif							/* CRD_REPORT_H */
