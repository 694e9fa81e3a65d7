/*-------------------------------------------------------------------------
 *
 * report.c
 *	  Adds rows to a report, and builds the texts that several checks share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "checks/report.h"
#include "schema/dependents.h"

void
crd_report_put(CrdReport *report, CrdStatus status, const char *found, const char *hint)
{
	crd_report_put_expected(report, status, found, report->expected, hint);
}

void
crd_report_put_expected(CrdReport *report, CrdStatus status, const char *found, const char *expected,
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
crd_report_rows(CrdReport *report, CrdStatus status, const CrdResult *result, const char *expected,
				const char *hint)
{
	for (int i = 0; i < result->nrows; i++)
		crd_report_put_expected(report, status, result->row[i][0],
								expected ? expected : report->expected,
								hint ? hint : result->row[i][1]);
}

void
crd_report_dependents(CrdReport *report, CrdStatus status, const List *dependents, const char *expected,
					  const char *hint)
{
	ListCell   *lc;

	foreach(lc, dependents)
		crd_report_put_expected(report, status, ((CrdDependent *) lfirst(lc))->description,
								expected ? expected : report->expected, hint);
}

void
crd_report_not_checked(CrdReport *report)
{
	crd_report_put(report, CRD_WARNING, "not checked", "Correct the errors above first.");
}

void
crd_report_foreign_keys(CrdReport *report, CrdColumnId id)
{
	const CrdSchema *schema = report->context->schema;

	crd_report_dependents(report, CRD_ERROR, crd_foreign_keys(schema, id),
						  psprintf("no foreign key on %s, which the migration updates", schema->column[id].name),
						  "Drop the foreign key before the migration, and create it again afterwards.");
}

void
crd_report_unfit_value(CrdReport *report, CrdStatus status, const char *value,
					   const char *column, const char *type)
{
	crd_report_put_expected(report, status,
							psprintf("value \"%s\" for column %s", value, column),
							psprintf("a value that fits type %s", type),
							status != CRD_ERROR ?
							"No connection has this value at present.  Only the atomic mode can roll back." :
							value[0] != '\0' ?
							"Point these connections to another entry, or change its slug or auth_type." :
							report->context->online ?
							"Use the atomic mode when every connection has a label." :
							"Give these connections a label.");
}

bool
crd_report_drops(const CrdReport *report, const CrdDroppedColumn *drop)
{
	return drop->direction == report->direction &&
		crd_context_includes_step(report->context, drop->step);
}

const char *
crd_count_text(int64 count, const char *noun)
{
	return psprintf(INT64_FORMAT " %s%s", count, noun, count == 1 ? "" : "s");
}
