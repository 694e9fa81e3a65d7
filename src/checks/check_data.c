/*-------------------------------------------------------------------------
 *
 * contents.c
 *	  Checks of what is in the tables: the catalog's entries, what each
 *	  connection maps to, the display names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "checks/checks_internal.h"

void
crd_check_available_connections(CrdReport *report)
{
	CrdContext *context = report->context;
	const CrdSchema *schema = context->schema;
	bool		strict = schema->version == 0;
	CrdStatus	status = strict ? CRD_ERROR : CRD_WARNING;
	const char *what = strict ? "name" : "slug";
	bool		fine = true;

	for (const CrdRegistryEntry *entry = crd_registry; entry->slug; entry++)
	{
		int			count = 0;

		for (int i = 0; i < schema->nentries; i++)
			if (strcmp(schema->entries[i].slug, entry->slug) == 0)
				count++;
		if (count == 1)
			continue;
		fine = false;
		if (count == 0)
			crd_report_put(report, status, psprintf("no entry with %s \"%s\"", what, entry->slug),
						   "each entry exactly once",
						   psprintf("Insert the entry, or correct the %s of the one that is meant.", what));
		else
			crd_report_put(report, CRD_ERROR, psprintf("%d entries with %s \"%s\"", count, what, entry->slug),
						   "each entry exactly once",
						   "Point all connections to one of them, and delete the others.");
	}
	for (int i = 0; i < schema->nentries; i++)
	{
		const CrdEntryRow *entry = &schema->entries[i];
		const CrdRegistryEntry *near_miss = crd_registry_find(crd_fold_for_comparison(entry->slug));

		if (entry->registered || !strict || crd_saved_entry(context->saved, entry))
			continue;
		fine = false;
		crd_report_put(report, CRD_ERROR, psprintf("an entry with name \"%s\", id %s", entry->slug, entry->id),
					   psprintf("only the entries %s", crd_registry_slugs()),
					   near_miss ? psprintf("\"%s\" looks like \"%s\": correct the name.", entry->slug, near_miss->slug) :
					   "Delete the entry, or insert it after the migration.");
	}
	if (schema->nnull_slugs > 0)
	{
		fine = false;
		crd_report_put(report, CRD_ERROR, psprintf("%s without a %s", crd_count_text(schema->nnull_slugs, "row"), what),
					   psprintf("only the entries %s", crd_registry_slugs()), "Delete them, or give them their name.");
	}
	if (report->direction == CRD_BACK && crd_context_includes_step(report->context, 1) &&
		crd_saved_column(context->saved, 1, "name"))
		for (int i = 0; i < schema->nentries; i++)
			fine &= !crd_report_value_does_not_fit(report, CRD_AVAILABLE_CONNECTIONS, schema->entries[i].slug, "name",
												   crd_saved_column(context->saved, 1, "name")->type);
	if (report->direction == CRD_BACK)
		for (int i = 0; i < schema->nentries; i++)
			if (schema->entries[i].registered == NULL && crd_provider_needs_capability(schema->entries[i].slug))
			{
				fine = false;
				crd_report_put(report, CRD_ERROR, psprintf("an entry with slug \"%s\"", schema->entries[i].slug),
							   "no slug that is the provider of other entries",
							   "Change the slug: its connections could not be told apart on the way back.");
			}
	if (fine)
		crd_report_put(report, CRD_OK, psprintf("%s: %s", what, crd_registry_slugs()),
					   "each entry exactly once", NULL);
}

void
crd_check_mapping(CrdReport *report)
{
	CrdContext *context = report->context;
	const CrdSchema *schema = context->schema;
	bool		has_id = crd_has_filled_ids(schema);
	bool		id_is_lost = report->direction == CRD_BACK && crd_context_includes_step(report->context, 2);
	bool		must_match = id_is_lost || (report->direction == CRD_FORWARD && crd_context_includes_step(report->context, 3) && has_id);
	CrdMappingSummary *summary;

	if (report->direction == CRD_FORWARD && context->target == 1 && schema->version < 1)
	{
		crd_report_put(report, CRD_OK, "step 1 does not look at connections",
					   "nothing to compare", NULL);
		return;
	}
	if (schema->version == CRD_LAST_STEP ||
		(report->direction == CRD_BACK && !id_is_lost))
	{
		crd_report_put(report, CRD_OK, schema->version == CRD_LAST_STEP ?
					   "the legacy columns are gone" : "available_connection_id stays", "nothing to compare", NULL);
		return;
	}
	summary = crd_context_mapping(context);
	for (int i = 0; i < summary->ngroups; i++)
	{
		CrdMappingGroup *group = &summary->groups[i];
		const char *count = crd_count_text(group->count, "connection");

		if (group->entry == NULL && !id_is_lost)
			crd_report_put(report, CRD_ERROR,
						   psprintf("%s: %s, such as %s", crd_group_text(group), count, group->samples),
						   crd_group_expected(group), crd_group_hint(group));
		else if (group->mismatched > 0 && group->entry == NULL)
			crd_report_put(report, CRD_ERROR,
						   psprintf("%s: %s with an available_connection_id that it does not give, such as %s", crd_group_text(group),
									crd_count_text(group->mismatched, "connection"), group->samples),
						   "available_connection_id as the mapping says", crd_group_hint(group));
		else if (group->mismatched > 0)
			crd_report_put(report, must_match || report->direction == CRD_VERIFY ? CRD_ERROR : CRD_WARNING,
						   psprintf("%s: %s with no or another available_connection_id, such as %s", crd_group_text(group),
									crd_count_text(group->mismatched, "connection"), group->samples),
						   crd_group_expected(group), crd_group_hint(group));
		else
			crd_report_put(report, CRD_OK, psprintf("%s: %s", crd_group_text(group), count),
						   crd_group_expected(group), NULL);
	}
	if (summary->ngroups == 0)
		crd_report_put(report, CRD_OK, "no connections", "connections that map", NULL);
}

void
crd_verify_display_names(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;
	bool		fine = true;

	if (schema->version < 1)
	{
		crd_report_put(report, CRD_OK, "no display names before step 1", "nothing to verify", NULL);
		return;
	}
	for (int i = 0; i < schema->nentries; i++)
	{
		const CrdEntryRow *entry = &schema->entries[i];

		if (entry->display_name == NULL)
			crd_report_put(report, CRD_ERROR, psprintf("%s: no display name", entry->slug),
						   entry->registered ? psprintf("\"%s\"", entry->registered->display_name) : "a display name",
						   entry->registered ? "Call connections_seed_catalog()." : "Set its display_name.");
		else if (entry->registered && strcmp(entry->display_name, entry->registered->display_name) != 0)
			crd_report_put(report, CRD_WARNING, psprintf("%s: \"%s\"", entry->slug, entry->display_name),
						   psprintf("\"%s\"", entry->registered->display_name),
						   "Call connections_seed_catalog(), unless the name is meant to be another.");
		else
			continue;
		fine = false;
	}
	if (fine)
		crd_report_put(report, CRD_OK, "every entry has its display name", "the display names of the registry", NULL);
}
