/*-------------------------------------------------------------------------
 *
 * contents.c
 *	  Checks of what is in the tables: the catalog's entries, what each
 *	  connection maps to, the display names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "contents.h"
#include "way_back.h"

void
crd_check_catalog(CrdReport *report)
{
	CrdFindings *findings = report->findings;
	const CrdSchema *schema = findings->schema;
	bool		strict = schema->version == 0;
	CrdStatus	status = strict ? CRD_ERROR : CRD_WARNING;
	const char *what = strict ? "name" : "slug";
	bool		fine = true;

	for (const CrdEntry *entry = crd_registry; entry->slug; entry++)
	{
		int			count = 0;

		for (int i = 0; i < schema->nrows; i++)
			if (strcmp(schema->rows[i].slug, entry->slug) == 0)
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
	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdCatalogRow *row = &schema->rows[i];
		const CrdEntry *near_miss = crd_registry_find(crd_normalized(row->slug));

		if (row->known || !strict || crd_kept_row(findings->keepsake, row))
			continue;
		fine = false;
		crd_report_put(report, CRD_ERROR, psprintf("an entry with name \"%s\", id %s", row->slug, row->id),
					   psprintf("only the entries %s", crd_registry_slugs()),
					   near_miss ? psprintf("\"%s\" looks like \"%s\": correct the name.", row->slug, near_miss->slug) :
					   "Delete the entry, or insert it after the migration.");
	}
	if (schema->nnull_slugs > 0)
	{
		fine = false;
		crd_report_put(report, CRD_ERROR, psprintf("%s without a %s", crd_count_text(schema->nnull_slugs, "row"), what),
					   psprintf("only the entries %s", crd_registry_slugs()), "Delete them, or give them their name.");
	}
	if (report->direction == CRD_BACK && crd_crosses(report, 1) &&
		crd_kept_column(findings->keepsake, 1, "name"))
		for (int i = 0; i < schema->nrows; i++)
			fine &= !crd_report_misfit(report, CRD_CATALOG, schema->rows[i].slug, "name",
									   crd_kept_column(findings->keepsake, 1, "name")->type);
	if (report->direction == CRD_BACK)
		for (int i = 0; i < schema->nrows; i++)
			if (schema->rows[i].known == NULL && crd_provider_needs_capability(schema->rows[i].slug))
			{
				fine = false;
				crd_report_put(report, CRD_ERROR, psprintf("an entry with slug \"%s\"", schema->rows[i].slug),
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
	CrdFindings *findings = report->findings;
	const CrdSchema *schema = findings->schema;
	bool		has_id = crd_ids_filled(schema);
	bool		id_is_lost = report->direction == CRD_BACK && crd_crosses(report, 2);
	bool		must_match = id_is_lost || (report->direction == CRD_FORWARD && crd_crosses(report, 3) && has_id);
	CrdCensus  *census;

	if (report->direction == CRD_FORWARD && findings->target == 1 && schema->version < 1)
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
	census = crd_findings_census(findings);
	for (int i = 0; i < census->npairs; i++)
	{
		CrdPair    *pair = &census->pairs[i];
		const char *count = crd_count_text(pair->count, "connection");

		if (pair->row == NULL && !id_is_lost)
			crd_report_put(report, CRD_ERROR,
						   psprintf("%s: %s, such as %s", crd_pair_text(pair), count, pair->samples),
						   crd_pair_expected(pair), crd_pair_hint(pair));
		else if (pair->differing > 0 && pair->row == NULL)
			crd_report_put(report, CRD_ERROR,
						   psprintf("%s: %s with an available_connection_id that it does not give, such as %s", crd_pair_text(pair),
									crd_count_text(pair->differing, "connection"), pair->samples),
						   "available_connection_id as the mapping says", crd_pair_hint(pair));
		else if (pair->differing > 0)
			crd_report_put(report, must_match || report->direction == CRD_VERIFY ? CRD_ERROR : CRD_WARNING,
						   psprintf("%s: %s with no or another available_connection_id, such as %s", crd_pair_text(pair),
									crd_count_text(pair->differing, "connection"), pair->samples),
						   crd_pair_expected(pair), crd_pair_hint(pair));
		else
			crd_report_put(report, CRD_OK, psprintf("%s: %s", crd_pair_text(pair), count),
						   crd_pair_expected(pair), NULL);
	}
	if (census->npairs == 0)
		crd_report_put(report, CRD_OK, "no connections", "connections that map", NULL);
}

void
crd_verify_display_names(CrdReport *report)
{
	const CrdSchema *schema = report->findings->schema;
	bool		fine = true;

	if (schema->version < 1)
	{
		crd_report_put(report, CRD_OK, "no display names before step 1", "nothing to verify", NULL);
		return;
	}
	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdCatalogRow *row = &schema->rows[i];

		if (row->display_name == NULL)
			crd_report_put(report, CRD_ERROR, psprintf("%s: no display name", row->slug),
						   row->known ? psprintf("\"%s\"", row->known->display_name) : "a display name",
						   row->known ? "Call connections_seed_catalog()." : "Set its display_name.");
		else if (row->known && strcmp(row->display_name, row->known->display_name) != 0)
			crd_report_put(report, CRD_WARNING, psprintf("%s: \"%s\"", row->slug, row->display_name),
						   psprintf("\"%s\"", row->known->display_name),
						   "Call connections_seed_catalog(), unless the name is meant to be another.");
		else
			continue;
		fine = false;
	}
	if (fine)
		crd_report_put(report, CRD_OK, "every entry has its display name", "the display names of the registry", NULL);
}
