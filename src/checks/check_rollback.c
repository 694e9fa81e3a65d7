/*-------------------------------------------------------------------------
 *
 * way_back.c
 *	  Checks of what a rollback makes of the rows: it looks first, lists the rows
 *	  that do not fit what there was, and changes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/sql_exec.h"
#include "checks/checks_internal.h"

static bool put_values_that_do_not_fit(CrdReport *report, bool empty_names);
static bool put_refusal(CrdReport *report, const CrdSavedDdl *ddl);
static bool put_violations(CrdReport *report, const CrdSavedDdl *ddl,
						   bool there_now);

/* Whether any connection points to an entry. */
static bool
is_used(const CrdSchema *schema, int row)
{
	return crd_query(crd_owner(schema, CRD_CONNECTIONS),
					 psprintf("SELECT FROM connections.connections WHERE available_connection_id = %s LIMIT 1",
							  crd_id_literals(schema)[row]), 0)->nrows > 0;
}

/*
 * Report the legacy values that the legacy columns cannot hold; whether there
 * is any.  They do no harm where no connection gets them, which nobody can say
 * beforehand while the application writes.
 */
static bool
put_values_that_do_not_fit(CrdReport *report, bool empty_names)
{
	CrdContext *context = report->context;
	const CrdSchema *schema = context->schema;
	const CrdSavedColumn *provider = crd_saved_column(context->saved, 4, "provider");
	const CrdSavedColumn *type = crd_saved_column(context->saved, 4, "type");
	bool		found = false;

	for (int i = 0; i < schema->nentries; i++)
	{
		const char *values[] = {schema->entries[i].provider, crd_context_rollback_exprs(context)->types[i]};
		const CrdSavedColumn *saved_column[] = {provider, type};

		for (int j = 0; j < lengthof(values); j++)
		{
			if (saved_column[j] == NULL || values[j] == NULL ||
				crd_value_fits(schema, CRD_CONNECTIONS, values[j], saved_column[j]->type))
				continue;
			found = true;
			crd_report_unfit_value(report, context->online || is_used(schema, i) ? CRD_ERROR : CRD_WARNING,
								   values[j], saved_column[j]->name, saved_column[j]->type);
		}
	}
	if (crd_saved_not_null(context->saved, 4, "name") &&
		!crd_value_fits(schema, CRD_CONNECTIONS, "", schema->column[CRD_LABEL].type))
	{
		found = true;
		crd_report_unfit_value(report, context->online || empty_names ? CRD_ERROR : CRD_WARNING,
							   "", "name", schema->column[CRD_LABEL].type);
	}
	return found;
}

void
crd_check_rollback_rows(CrdReport *report)
{
	CrdRollbackCounts *counts;
	bool		unfit;

	if (!crd_context_includes_step(report->context, 4))
	{
		crd_report_put(report, CRD_OK, "the legacy columns are there", "nothing to restore", NULL);
		return;
	}
	counts = crd_context_rollback_counts(report->context);
	if (counts->config_refuses > 0)
		crd_report_put(report, CRD_ERROR,
					   psprintf("%s whose config is no object, such as %s",
								crd_count_text(counts->config_refuses, "connection"), counts->config_samples),
					   "an object that can say the capability", "Make config of these connections an object.");
	unfit = put_values_that_do_not_fit(report, counts->null_labels > 0);
	if (counts->null_labels > 0)
		unfit |= crd_report_foreign_keys(report, CRD_LABEL);
	if (crd_saved_by_other_key(report->context->schema, report->context->saved))
	{
		unfit = true;
		crd_report_put(report, CRD_ERROR,
					   psprintf("primary key %s", report->context->schema->pk_text_expr),
					   psprintf("primary key %s, by which types were kept", report->context->saved->pk_text_expr),
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
	if (counts->config_changes == 0 && counts->null_labels == 0 && counts->type_unknown == 0 && !unfit)
		crd_report_put(report, CRD_OK, crd_count_text(counts->total, "connection"), "all legacy values known", NULL);
}

/*
 * Report rows that break a constraint on the way back, or that this cannot be
 * told; whether there is anything to report.
 */
static bool
put_violations(CrdReport *report, const CrdSavedDdl *ddl, bool there_now)
{
	CrdContext *context = report->context;
	const char *keys;

	if (!crd_rollback_violations(context->schema, context->saved, crd_context_rollback_exprs(context),
								 ddl, there_now, &keys))
	{
		crd_report_put(report, CRD_WARNING, psprintf("no way to tell which connections violate \"%s\"", ddl->name),
					   "rows that the constraint allows",
					   "The rollback will find out when it brings the constraint back.");
		return true;
	}
	if (keys == NULL)
		return false;
	crd_report_put(report, CRD_ERROR,
				   psprintf("connections that would violate \"%s\", such as %s", ddl->name, keys),
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
put_refusal(CrdReport *report, const CrdSavedDdl *ddl)
{
	CrdContext *context = report->context;

	if (!crd_saved_not_null(context->saved, 4, "name") ||
		!crd_refuses_empty_name(context->schema, context->saved, crd_context_rollback_exprs(context), ddl))
		return false;
	crd_report_put(report, context->online ? CRD_ERROR : CRD_WARNING,
				   psprintf("constraint \"%s\", which refuses the empty name that a NULL label becomes", ddl->name),
				   "a constraint that allows what the application may write", context->online ?
				   "Use the atomic mode, or drop the constraint before." :
				   "No connection needs it now, so the atomic mode can go back; the online mode refuses.");
	return true;
}

void
crd_check_rollback_constraints(CrdReport *report)
{
	CrdContext *context = report->context;
	CrdRollbackCounts *counts;
	ListCell   *lc;
	bool		fine = true;

	if (!crd_context_includes_step(report->context, 4))
	{
		crd_report_put(report, CRD_OK, "the legacy columns are there", "nothing to restore", NULL);
		return;
	}
	counts = crd_context_rollback_counts(context);
	foreach(lc, report->rows)
	{
		CrdReportRow *row = lfirst(lc);

		if (row->status == CRD_ERROR && strcmp(row->check_name, "rollback_rows") == 0)
		{
			crd_report_not_checked(report);
			return;
		}
	}
	foreach(lc, context->saved->ddl[4])
		if (crd_constraint_is_validated(lfirst(lc)))
		fine &= !put_violations(report, lfirst(lc), false) &&
			!put_refusal(report, lfirst(lc));
	foreach(lc, crd_enforced_constraints(context->schema, CRD_LABEL))
		fine &= !(counts->null_labels > 0 && put_violations(report, lfirst(lc), true)) &&
		!put_refusal(report, lfirst(lc));
	foreach(lc, counts->config_changes > 0 ? crd_enforced_constraints(context->schema, CRD_CONFIG) : NIL)
		fine &= !put_violations(report, lfirst(lc), true);
	if (fine)
		crd_report_put(report, CRD_OK, "no violation", "rows that the old constraints allow", NULL);
}
