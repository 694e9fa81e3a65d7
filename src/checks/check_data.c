/*-------------------------------------------------------------------------
 *
 * check_data.c
 *	  Checks of the rows: the entries, the mapping of the connections to them,
 *	  and the display names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "checks/checks_internal.h"

static void report_wrong_count(CrdReport *report, const CrdRegistryEntry *entry,
							   const char *column);

void
crd_check_available_connections(CrdReport *report)
{
	CrdContext *context = report->context;
	const CrdSchema *schema = context->schema;
	bool		strict = schema->version == 0;
	const char *column = strict ? "name" : "slug";
	const char *only_registered = psprintf("only the entries %s", crd_registry_slugs());
	const CrdSavedColumn *name = NULL;

	report->ok = psprintf("%s: %s", column, crd_registry_slugs());
	for (const CrdRegistryEntry *entry = crd_registry; entry->slug; entry++)
		report_wrong_count(report, entry, column);
	for (int i = 0; strict && i < schema->nentries; i++)
	{
		const CrdEntryRow *entry = &schema->entries[i];
		const CrdRegistryEntry *near_miss = crd_registry_find(crd_fold_for_comparison(entry->slug));

		if (!entry->registered && !crd_saved_entry(context->saved, entry))
			crd_report_put_expected(report, CRD_ERROR, psprintf("an entry with name \"%s\", id %s", entry->slug, entry->id),
									only_registered,
									near_miss ? psprintf("\"%s\" looks like \"%s\": correct the name.", entry->slug, near_miss->slug) :
									"Delete the entry, or insert it after the migration.");
	}
	if (schema->nnull_slugs > 0)
		crd_report_put_expected(report, CRD_ERROR, psprintf("%s without a %s", crd_count_text(schema->nnull_slugs, "row"), column),
								only_registered, psprintf("Delete these rows, or set their %s.", column));
	if (report->direction == CRD_UP)
		return;
	if (crd_context_includes_step(context, 1))
		name = crd_saved_column(context->saved, 1, "name");
	for (int i = 0; name && i < schema->nentries; i++)
		if (!crd_value_fits(schema, CRD_AVAILABLE_CONNECTIONS, schema->entries[i].slug, name->type))
			crd_report_unfit_value(report, CRD_ERROR, schema->entries[i].slug, "name", name->type);
	for (int i = 0; i < schema->nentries; i++)
		if (schema->entries[i].registered == NULL && crd_provider_needs_capability(schema->entries[i].slug))
			crd_report_put_expected(report, CRD_ERROR, psprintf("an entry with slug \"%s\"", schema->entries[i].slug),
									"no slug that is the provider of other entries",
									"Change the slug: after a rollback, its connections could not be told from theirs.");
}

static void
report_wrong_count(CrdReport *report, const CrdRegistryEntry *entry,
				   const char *column)
{
	const CrdSchema *schema = report->context->schema;
	int			count = 0;

	for (int i = 0; i < schema->nentries; i++)
		if (strcmp(schema->entries[i].slug, entry->slug) == 0)
			count++;
	if (count == 0)
		crd_report_put(report, schema->version == 0 ? CRD_ERROR : CRD_WARNING,
					   psprintf("no entry with %s \"%s\"", column, entry->slug),
					   psprintf("Insert the entry, or correct the %s of an existing one.", column));
	else if (count > 1)
		crd_report_put(report, CRD_ERROR, psprintf("%d entries with %s \"%s\"", count, column, entry->slug),
					   "Point all connections to one of them, and delete the others.");
}

void
crd_check_mapping(CrdReport *report)
{
	CrdContext *context = report->context;
	const CrdSchema *schema = context->schema;
	bool		has_id = crd_has_filled_ids(schema);
	bool		id_is_lost = report->direction == CRD_DOWN && crd_context_includes_step(report->context, 2);
	bool		must_match = id_is_lost || (report->direction == CRD_UP && crd_context_includes_step(report->context, 3) && has_id);
	CrdMappingSummary *summary;

	if (report->direction == CRD_UP && context->target == 1 && schema->version < 1)
	{
		report->ok = "step 1 does not read connections";
		return;
	}
	if (schema->version == CRD_LAST_STEP ||
		(report->direction == CRD_DOWN && !id_is_lost))
	{
		report->ok = schema->version == CRD_LAST_STEP ?
			"no legacy columns to compare" : "available_connection_id is not dropped";
		return;
	}
	summary = crd_context_mapping(context);
	for (int i = 0; i < summary->ngroups; i++)
	{
		CrdMappingGroup *group = &summary->groups[i];
		const char *count = crd_count_text(group->count, "connection");

		if (group->entry == NULL && !id_is_lost)
			crd_report_put_expected(report, CRD_ERROR,
									psprintf("%s: %s, such as %s", crd_group_text(group), count, group->samples),
									crd_group_expected(group), crd_group_hint(group));
		else if (group->mismatched > 0 && group->entry == NULL)
			crd_report_put_expected(report, CRD_ERROR,
									psprintf("%s: %s with an available_connection_id that does not match, such as %s", crd_group_text(group),
											 crd_count_text(group->mismatched, "connection"), group->samples),
									"the available_connection_id of the mapping", crd_group_hint(group));
		else if (group->mismatched > 0)
			crd_report_put_expected(report, must_match || report->verify ? CRD_ERROR : CRD_WARNING,
									psprintf("%s: %s with no or a different available_connection_id, such as %s", crd_group_text(group),
											 crd_count_text(group->mismatched, "connection"), group->samples),
									crd_group_expected(group), crd_group_hint(group));
		else
			crd_report_put_expected(report, CRD_OK, psprintf("%s: %s", crd_group_text(group), count),
									crd_group_expected(group), NULL);
	}
}

void
crd_verify_display_names(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	if (schema->version < 1)
	{
		report->ok = "no display names before step 1";
		return;
	}
	for (int i = 0; i < schema->nentries; i++)
	{
		const CrdEntryRow *entry = &schema->entries[i];

		if (entry->display_name == NULL)
			crd_report_put_expected(report, CRD_ERROR, psprintf("%s: no display name", entry->slug),
									entry->registered ? psprintf("\"%s\"", entry->registered->display_name) : "a display name",
									entry->registered ? "Call connections_seed_catalog()." : "Set its display_name.");
		else if (entry->registered && strcmp(entry->display_name, entry->registered->display_name) != 0)
			crd_report_put_expected(report, CRD_WARNING, psprintf("%s: \"%s\"", entry->slug, entry->display_name),
									psprintf("\"%s\"", entry->registered->display_name),
									"Call connections_seed_catalog(), unless the different name is intended.");
	}
}
