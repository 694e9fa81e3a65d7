/*-------------------------------------------------------------------------
 *
 * way_back.c
 *	  Checks of what a rollback makes of the rows: it looks first, lists the rows
 *	  that do not fit what there was, and changes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "way_back.h"

static bool put_misfits(CrdReport *report, bool empty_names);
static void put_misfit(CrdReport *report, CrdStatus status, const char *value,
					   const char *column, const char *type);
static bool put_refusal(CrdReport *report, const CrdKeptStatement *kept);
static bool put_violations(CrdReport *report, const CrdKeptStatement *kept,
						   bool there_now);

bool
crd_report_foreign_keys(CrdReport *report, CrdColumnId id)
{
	List	   *keys = crd_foreign_keys(report->findings->schema, id);
	ListCell   *lc;

	foreach(lc, keys)
		crd_report_put(report, CRD_ERROR, ((CrdDependent *) lfirst(lc))->what,
					   psprintf("no foreign key on %s while it must change",
								report->findings->schema->column[id].name),
					   "Drop the foreign key, and make it again afterwards.");
	return keys != NIL;
}

/* Whether any connection points to an entry. */
static bool
is_used(const CrdSchema *schema, int row)
{
	return crd_fetch(crd_owner(schema, CRD_CONNECTIONS),
					 psprintf("SELECT FROM connections.connections WHERE available_connection_id = %s LIMIT 1",
							  crd_id_literals(schema)[row]), 0)->nrows > 0;
}

/*
 * Report the legacy values that the legacy columns cannot hold; whether there
 * is any.  They do no harm where no connection gets them, which nobody can say
 * beforehand while the application writes.
 */
static bool
put_misfits(CrdReport *report, bool empty_names)
{
	CrdFindings *findings = report->findings;
	const CrdSchema *schema = findings->schema;
	const CrdKeptColumn *provider = crd_kept_column(findings->keepsake, 4, "provider");
	const CrdKeptColumn *type = crd_kept_column(findings->keepsake, 4, "type");
	bool		found = false;

	for (int i = 0; i < schema->nrows; i++)
	{
		const char *values[] = {schema->rows[i].provider, crd_findings_way_back(findings)->types[i]};
		const CrdKeptColumn *kept[] = {provider, type};

		for (int j = 0; j < lengthof(values); j++)
		{
			if (kept[j] == NULL || values[j] == NULL ||
				crd_value_fits(schema, CRD_CONNECTIONS, values[j], kept[j]->type))
				continue;
			found = true;
			put_misfit(report, findings->online || is_used(schema, i) ? CRD_ERROR : CRD_WARNING,
					   values[j], kept[j]->name, kept[j]->type);
		}
	}
	if (crd_kept_not_null(findings->keepsake, 4, "name") &&
		!crd_value_fits(schema, CRD_CONNECTIONS, "", schema->column[CRD_LABEL].type))
	{
		found = true;
		put_misfit(report, findings->online || empty_names ? CRD_ERROR : CRD_WARNING,
				   "", "name", schema->column[CRD_LABEL].type);
	}
	return found;
}

bool
crd_report_misfit(CrdReport *report, CrdTable table, const char *value,
				  const char *column, const char *type)
{
	if (crd_value_fits(report->findings->schema, table, value, type))
		return false;
	put_misfit(report, CRD_ERROR, value, column, type);
	return true;
}

static void
put_misfit(CrdReport *report, CrdStatus status, const char *value,
		   const char *column, const char *type)
{
	crd_report_put(report, status,
				   psprintf("\"%s\" to become a %s", value, column),
				   psprintf("a value that %s can hold", type),
				   status != CRD_ERROR ?
				   "No connection needs it now, so the atomic mode can go back; the online mode refuses." :
				   value[0] != '\0' ?
				   "Point these connections to another entry, or change its slug or auth_type." :
				   report->findings->online ?
				   "Use the atomic mode when every connection has a label." :
				   "Give these connections a label.");
}

void
crd_check_way_back_rows(CrdReport *report)
{
	CrdWayBackCounts *counts;
	bool		misfits;

	if (!crd_crosses(report, 4))
	{
		crd_report_put(report, CRD_OK, "the legacy columns are there", "nothing to restore", NULL);
		return;
	}
	counts = crd_findings_way_back_counts(report->findings);
	if (counts->config_refuses > 0)
		crd_report_put(report, CRD_ERROR,
					   psprintf("%s whose config is no object, such as %s",
								crd_count_text(counts->config_refuses, "connection"), counts->config_samples),
					   "an object that can say the capability", "Make config of these connections an object.");
	misfits = put_misfits(report, counts->null_labels > 0);
	if (counts->null_labels > 0)
		misfits |= crd_report_foreign_keys(report, CRD_LABEL);
	if (crd_kept_by_other_key(report->findings->schema, report->findings->keepsake))
	{
		misfits = true;
		crd_report_put(report, CRD_ERROR,
					   psprintf("primary key %s", report->findings->schema->key),
					   psprintf("primary key %s, by which types were kept", report->findings->keepsake->key),
					   "Put that primary key back for the time of the rollback.");
	}
	if (counts->null_labels > 0)
		crd_report_put(report, CRD_WARNING, psprintf("%s with label NULL", crd_count_text(counts->null_labels, "connection")),
					   "a name for each", "The name becomes empty, and the label NULL again when step 4 is applied again.");
	if (counts->config_changes > counts->config_refuses)
		crd_report_put(report, CRD_WARNING,
					   psprintf("%s whose config does not say the capability",
								crd_count_text(counts->config_changes - counts->config_refuses, "connection")),
					   "config that maps to the available connection", "The capability is set in config.");
	if (counts->type_unknown > 0)
		crd_report_put(report, CRD_WARNING, psprintf("%s whose type is not known", crd_count_text(counts->type_unknown, "connection")),
					   "a type from before step 4", "The type becomes the auth_type of the available connection.");
	if (counts->config_changes == 0 && counts->null_labels == 0 && counts->type_unknown == 0 && !misfits)
		crd_report_put(report, CRD_OK, crd_count_text(counts->total, "connection"), "all legacy values known", NULL);
}

/*
 * Report rows that break a constraint on the way back, or that this cannot be
 * told; whether there is anything to report.
 */
static bool
put_violations(CrdReport *report, const CrdKeptStatement *kept, bool there_now)
{
	CrdFindings *findings = report->findings;
	const char *keys;

	if (!crd_way_back_violations(findings->schema, findings->keepsake, crd_findings_way_back(findings),
								 kept, there_now, &keys))
	{
		crd_report_put(report, CRD_WARNING, psprintf("no way to tell which connections violate \"%s\"", kept->constraint),
					   "rows that the constraint allows",
					   "The rollback will find out when it brings the constraint back.");
		return true;
	}
	if (keys == NULL)
		return false;
	crd_report_put(report, CRD_ERROR,
				   psprintf("connections that would violate \"%s\", such as %s", kept->constraint, keys),
				   "rows that the constraint allows",
				   "Change these connections so that label, provider and type fit the constraint, then roll back.");
	return true;
}

/*
 * Report a constraint that refuses what a NULL label becomes; whether it does.
 * As long as there is none, that is of no concern but online: nobody can say
 * what the application writes meanwhile.
 */
static bool
put_refusal(CrdReport *report, const CrdKeptStatement *kept)
{
	CrdFindings *findings = report->findings;

	if (!crd_kept_not_null(findings->keepsake, 4, "name") ||
		!crd_refuses_empty_name(findings->schema, findings->keepsake, crd_findings_way_back(findings), kept))
		return false;
	crd_report_put(report, findings->online ? CRD_ERROR : CRD_WARNING,
				   psprintf("constraint \"%s\", which refuses the empty name that a NULL label becomes", kept->constraint),
				   "a constraint that allows what the application may write", findings->online ?
				   "Use the atomic mode, or drop the constraint before." :
				   "No connection needs it now, so the atomic mode can go back; the online mode refuses.");
	return true;
}

void
crd_check_way_back_constraints(CrdReport *report)
{
	CrdFindings *findings = report->findings;
	CrdWayBackCounts *counts;
	ListCell   *lc;
	bool		fine = true;

	if (!crd_crosses(report, 4))
	{
		crd_report_put(report, CRD_OK, "the legacy columns are there", "nothing to restore", NULL);
		return;
	}
	counts = crd_findings_way_back_counts(findings);
	foreach(lc, report->rows)
	{
		CrdReportRow *row = lfirst(lc);

		if (row->status == CRD_ERROR && strcmp(row->check_name, "rows_on_the_way_back") == 0)
		{
			crd_report_not_checked(report);
			return;
		}
	}
	foreach(lc, findings->keepsake->statements[4])
		if (crd_checks_rows(lfirst(lc)))
		fine &= !put_violations(report, lfirst(lc), false) &&
			!put_refusal(report, lfirst(lc));
	foreach(lc, crd_enforced(findings->schema, CRD_LABEL))
		fine &= !(counts->null_labels > 0 && put_violations(report, lfirst(lc), true)) &&
		!put_refusal(report, lfirst(lc));
	foreach(lc, counts->config_changes > 0 ? crd_enforced(findings->schema, CRD_CONFIG) : NIL)
		fine &= !put_violations(report, lfirst(lc), true);
	if (fine)
		crd_report_put(report, CRD_OK, "no violation", "rows that the old constraints allow", NULL);
}
