/*-------------------------------------------------------------------------
 *
 * check_rollback.c
 *	  Checks of the rows that undoing step 4 would produce.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/sql_exec.h"
#include "checks/checks_internal.h"
#include "data/rollback_exprs.h"
#include "schema/dependents.h"

static void report_unfit_values(CrdReport *report, bool empty_names);
static bool is_used(const CrdSchema *schema, int entry);
static bool has_error(const CrdReport *report, const char *check_name);
static bool report_violations(CrdReport *report, const CrdSavedDdl *ddl,
							  bool there_now);
static void report_refusal(CrdReport *report, const CrdSavedDdl *ddl);

void
crd_check_rollback_rows(CrdReport *report)
{
	const CrdContext *context = report->context;
	CrdRollbackCounts *counts;

	if (!crd_context_includes_step(context, 4))
	{
		report->ok = "the rollback does not include step 4";
		return;
	}
	counts = crd_context_rollback_counts(report->context);
	report->ok = crd_count_text(counts->total, "connection");
	if (counts->config_refuses > 0)
		crd_report_put_expected(report, CRD_ERROR,
								psprintf("%s whose config is not an object, such as %s",
										 crd_count_text(counts->config_refuses, "connection"), counts->config_samples),
								"a JSON object, to contain the capability", "Change config of these connections to an object.");
	report_unfit_values(report, counts->null_labels > 0);
	if (counts->null_labels > 0)
		crd_report_foreign_keys(report, CRD_LABEL);
	if (crd_saved_by_other_key(context->schema, context->saved))
		crd_report_put_expected(report, CRD_ERROR,
								psprintf("primary key %s", context->schema->pk_text_expr),
								psprintf("primary key %s, by which types were saved", context->saved->pk_text_expr),
								"Restore that primary key during the rollback.");
	if (counts->null_labels > 0)
		crd_report_put_expected(report, CRD_WARNING, psprintf("%s with label NULL", crd_count_text(counts->null_labels, "connection")),
								"a name for each connection",
								"The name becomes empty.  If step 4 is applied again, the label becomes NULL again.");
	if (counts->config_changes > counts->config_refuses)
		crd_report_put_expected(report, CRD_WARNING,
								psprintf("%s whose config does not contain the capability",
										 crd_count_text(counts->config_changes - counts->config_refuses, "connection")),
								"config that maps to the available connection", "The rollback sets the capability in config.");
	if (counts->type_unknown > 0)
		crd_report_put_expected(report, CRD_WARNING,
								psprintf("%s whose type is not known", crd_count_text(counts->type_unknown, "connection")),
								"a type from before step 4", "The type becomes the auth_type of the available connection.");
}

/*
 * Report the values that the restored columns cannot hold.  A value that no
 * connection gets is no obstacle to the atomic mode; online, the application
 * may write one at any time.
 */
static void
report_unfit_values(CrdReport *report, bool empty_names)
{
	CrdContext *context = report->context;
	const CrdSchema *schema = context->schema;
	const CrdSavedColumn *columns[] = {
		crd_saved_column(context->saved, 4, "provider"),
		crd_saved_column(context->saved, 4, "type")
	};

	for (int i = 0; i < schema->nentries; i++)
	{
		const char *values[] = {schema->entries[i].provider, crd_context_rollback_exprs(context)->types[i]};

		for (int j = 0; j < lengthof(values); j++)
			if (columns[j] && values[j] &&
				!crd_value_fits(schema, CRD_CONNECTIONS, values[j], columns[j]->type))
				crd_report_unfit_value(report, context->online || is_used(schema, i) ? CRD_ERROR : CRD_WARNING,
									   values[j], columns[j]->name, columns[j]->type);
	}
	if (crd_saved_not_null(context->saved, 4, "name") &&
		!crd_value_fits(schema, CRD_CONNECTIONS, "", schema->column[CRD_LABEL].type))
		crd_report_unfit_value(report, context->online || empty_names ? CRD_ERROR : CRD_WARNING,
							   "", "name", schema->column[CRD_LABEL].type);
}

/* Whether a connection points to schema->entries[entry]. */
static bool
is_used(const CrdSchema *schema, int entry)
{
	return crd_query(crd_owner(schema, CRD_CONNECTIONS),
					 psprintf("SELECT FROM connections.connections WHERE available_connection_id = %s LIMIT 1",
							  crd_id_literals(schema)[entry]), 0)->nrows > 0;
}

void
crd_check_rollback_constraints(CrdReport *report)
{
	CrdContext *context = report->context;
	CrdRollbackCounts *counts;
	ListCell   *lc;

	if (!crd_context_includes_step(context, 4))
	{
		report->ok = "the rollback does not include step 4";
		return;
	}
	if (has_error(report, "rollback_rows"))
	{
		crd_report_not_checked(report);
		return;
	}
	counts = crd_context_rollback_counts(context);
	foreach(lc, context->saved->ddl[4])
	{
		if (crd_constraint_is_validated(lfirst(lc)) &&
			!report_violations(report, lfirst(lc), false))
			report_refusal(report, lfirst(lc));
	}
	foreach(lc, crd_enforced_constraints(context->schema, CRD_LABEL))
	{
		if (counts->null_labels == 0 || !report_violations(report, lfirst(lc), true))
			report_refusal(report, lfirst(lc));
	}
	foreach(lc, counts->config_changes > 0 ? crd_enforced_constraints(context->schema, CRD_CONFIG) : NIL)
		report_violations(report, lfirst(lc), true);
}

static bool
has_error(const CrdReport *report, const char *check_name)
{
	ListCell   *lc;

	foreach(lc, report->rows)
	{
		CrdReportRow *row = lfirst(lc);

		if (row->status == CRD_ERROR && strcmp(row->check_name, check_name) == 0)
			return true;
	}
	return false;
}

/*
 * Report rows that would violate a constraint after the rollback, or that this
 * is unknown; return whether there was anything to report.
 */
static bool
report_violations(CrdReport *report, const CrdSavedDdl *ddl, bool there_now)
{
	CrdContext *context = report->context;
	const char *keys;

	if (!crd_rollback_violations(context->schema, context->saved, crd_context_rollback_exprs(context),
								 ddl, there_now, &keys))
	{
		crd_report_put(report, CRD_WARNING, psprintf("unknown whether any connection violates \"%s\"", ddl->name),
					   "The rollback fails if it cannot restore the constraint.");
		return true;
	}
	if (keys == NULL)
		return false;
	crd_report_put(report, CRD_ERROR,
				   psprintf("connections that would violate \"%s\", such as %s", ddl->name, keys),
				   "Change these connections so that label, provider and type satisfy the constraint, then roll back.");
	return true;
}

/*
 * Report a constraint that refuses the empty name that a NULL label becomes.
 * The atomic mode is only affected if such a label exists, which
 * report_violations() reports; online, the application may write one at any
 * time.
 */
static void
report_refusal(CrdReport *report, const CrdSavedDdl *ddl)
{
	CrdContext *context = report->context;

	if (crd_saved_not_null(context->saved, 4, "name") &&
		crd_refuses_empty_name(context->schema, context->saved, crd_context_rollback_exprs(context), ddl))
		crd_report_put_expected(report, context->online ? CRD_ERROR : CRD_WARNING,
								psprintf("constraint \"%s\", which refuses the empty name that a NULL label becomes", ddl->name),
								"a constraint that allows every row that the application may write", context->online ?
								"Use the atomic mode, or drop the constraint before the rollback." :
								"No connection violates it at present.  Only the atomic mode can roll back.");
}
