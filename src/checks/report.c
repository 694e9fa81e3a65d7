/*-------------------------------------------------------------------------
 *
 * report.c
 *	  Puts rows into a report, and the texts that several checks share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "checks/report.h"
#include "data/rollback_exprs.h"
#include "schema/dependents.h"

void
crd_report_put(CrdReport *report, CrdStatus status, const char *found, const char *expected,
			   const char *hint)
{
	CrdReportRow *row = palloc(sizeof(CrdReportRow));

	row->check_name = report->check_name;
	row->status = status;
	row->found = found;
	row->expected = expected;
	row->hint = hint;
	report->rows = lappend(report->rows, row);
	report->nerrors += status == CRD_ERROR;
}

void
crd_report_not_checked(CrdReport *report)
{
	crd_report_put(report, CRD_WARNING, "not checked", "a check of this",
				   "Correct the errors above first.");
}

const char *
crd_count_text(int64 count, const char *noun)
{
	return psprintf(INT64_FORMAT " %s%s", count, noun, count == 1 ? "" : "s");
}

bool
crd_report_foreign_keys(CrdReport *report, CrdColumnId id)
{
	List	   *keys = crd_foreign_keys(report->context->schema, id);
	ListCell   *lc;

	foreach(lc, keys)
		crd_report_put(report, CRD_ERROR, ((CrdDependent *) lfirst(lc))->description,
					   psprintf("no foreign key on %s while it must change",
								report->context->schema->column[id].name),
					   "Drop the foreign key, and make it again afterwards.");
	return keys != NIL;
}

bool
crd_report_value_does_not_fit(CrdReport *report, CrdTable table, const char *value,
							  const char *column, const char *type)
{
	if (crd_value_fits(report->context->schema, table, value, type))
		return false;
	crd_report_unfit_value(report, CRD_ERROR, value, column, type);
	return true;
}

void
crd_report_unfit_value(CrdReport *report, CrdStatus status, const char *value,
					   const char *column, const char *type)
{
	crd_report_put(report, status,
				   psprintf("\"%s\" to become a %s", value, column),
				   psprintf("a value that %s can hold", type),
				   status != CRD_ERROR ?
				   "No connection needs it now, so the atomic mode can go back; the online mode refuses." :
				   value[0] != '\0' ?
				   "Point these connections to another entry, or change its slug or auth_type." :
				   report->context->online ?
				   "Use the atomic mode when every connection has a label." :
				   "Give these connections a label.");
}
