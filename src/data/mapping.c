/*-------------------------------------------------------------------------
 *
 * mapping.c
 *	  Which entry a legacy connection belongs to.
 *
 * The mapping is exact: provider and capability are compared byte by byte,
 * whatever collation or type (citext, an enum) the columns have.  A rollback
 * gives the same bytes back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "data/mapping.h"
#include "base/sql_exec.h"

/* The legacy provider, without the column's collation */
#define PROVIDER "provider::text COLLATE \"C\""

/* See capability_key(). */
static const char *const markers[] = {
	[CRD_CAPABILITY_NULL] = "\001null",
	[CRD_CAPABILITY_ABSENT] = "\001absent",
	[CRD_CONFIG_NULL] = "\001config",
};


static const CrdEntryRow *map_pair(const CrdSchema *schema,
								   const char *provider,
								   const char *capability);
static const char *capability_key(const CrdSchema *schema);
static void read_pair(CrdMappingGroup *group, const char *const *row);
static int	compare_pairs(const void *a, const void *b);


/* The expression, and the same in C */

static bool
is_first_with_capability(const CrdSchema *schema, int i)
{
	if (schema->entries[i].capability == NULL)
		return false;
	for (int j = 0; j < i; j++)
		if (schema->entries[j].capability &&
			strcmp(schema->entries[j].provider, schema->entries[i].provider) == 0)
			return false;
	return true;
}

char *
crd_mapping_expr(const CrdSchema *schema, const char *const *values)
{
	StringInfoData buf;

	if (schema->nentries == 0)
		return pstrdup("NULL");
	initStringInfo(&buf);
	appendStringInfoString(&buf, "CASE " PROVIDER);
	for (int i = 0; i < schema->nentries; i++)
	{
		const CrdEntryRow *entry = &schema->entries[i];

		if (entry->capability == NULL)
		{
			appendStringInfo(&buf, " WHEN %s THEN %s",
							 quote_literal_cstr(entry->provider), values[i]);
			continue;
		}

		/* all capabilities of a provider stand where its first entry is */
		if (!is_first_with_capability(schema, i))
			continue;
		appendStringInfo(&buf, " WHEN %s THEN CASE (%s) COLLATE \"C\"",
						 quote_literal_cstr(entry->provider),
						 crd_capability_expr(schema));
		for (int j = i; j < schema->nentries; j++)
			if (schema->entries[j].capability &&
				strcmp(schema->entries[j].provider, entry->provider) == 0)
				appendStringInfo(&buf, " WHEN %s THEN %s",
								 quote_literal_cstr(schema->entries[j].capability),
								 values[j]);
		appendStringInfoString(&buf, " END");
	}
	appendStringInfoString(&buf, " END");
	return buf.data;
}

const char **
crd_id_literals(const CrdSchema *schema)
{
	const char **values = palloc(sizeof(char *) * (schema->nentries + 1));

	for (int i = 0; i < schema->nentries; i++)
		values[i] = psprintf("%s::%s", quote_literal_cstr(schema->entries[i].id),
							 schema->column[CRD_ENTRY_ID].type);
	return values;
}

char *
crd_case_by_entry_id(const CrdSchema *schema, const char *const *values)
{
	const char **ids = crd_id_literals(schema);
	StringInfoData buf;

	if (schema->nentries == 0)
		return pstrdup("NULL");
	initStringInfo(&buf);
	appendStringInfoString(&buf, "CASE available_connection_id");
	for (int i = 0; i < schema->nentries; i++)
		appendStringInfo(&buf, " WHEN %s THEN %s", ids[i], values[i]);
	appendStringInfoString(&buf, " END");
	return buf.data;
}

const char *
crd_capability_expr(const CrdSchema *schema)
{
	return schema->column[CRD_CONFIG].base_type == JSONBOID ?
		"config ->> 'capability'" : "connections_redesign.config_capability(config)";
}

/*
 * What connections are grouped by beside the provider: the capability; where
 * the provider needs one and there is none, a marker that says why.  One
 * expression, so that config is taken apart once for a row.  A capability that
 * looks like a marker maps to nothing either way.
 */
static const char *
capability_key(const CrdSchema *schema)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "CASE WHEN false");
	for (int i = 0; i < schema->nentries; i++)
		if (is_first_with_capability(schema, i))
			appendStringInfo(&buf, " OR " PROVIDER " = %s",
							 quote_literal_cstr(schema->entries[i].provider));
	appendStringInfo(&buf, " THEN coalesce(%s, CASE WHEN config IS NULL THEN '%s' WHEN %s THEN '%s' ELSE '%s' END)"
					 " ELSE %s END",
					 crd_capability_expr(schema), markers[CRD_CONFIG_NULL],
					 schema->column[CRD_CONFIG].base_type == JSONBOID ?
					 "config -> 'capability' IS NOT NULL" :
					 "connections_redesign.config_capability_is_null(config)",
					 markers[CRD_CAPABILITY_NULL], markers[CRD_CAPABILITY_ABSENT],
					 crd_capability_expr(schema));
	return buf.data;
}

/* Make one of the pairs, in order, that differed by type. */
static void
merge_pairs(CrdMappingSummary *summary, int nrows)
{
	for (int i = 0; i < nrows; i++)
	{
		CrdMappingGroup *last = summary->ngroups ? &summary->groups[summary->ngroups - 1] : NULL;

		if (last && compare_pairs(last, &summary->groups[i]) == 0)
		{
			last->count += summary->groups[i].count;
			last->mismatched += summary->groups[i].mismatched;
		}
		else
			summary->groups[summary->ngroups++] = summary->groups[i];
	}
}

/*
 * The mapping is looked up for each group, not for each row.  Only where
 * something is wrong is the table read once more, for sample keys.
 */
CrdMappingSummary *
crd_summarize_mapping(const CrdSchema *schema, bool types)
{
	CrdMappingSummary *summary = palloc0(sizeof(CrdMappingSummary));
	const char *key = capability_key(schema);
	const char *mapping = crd_mapping_expr(schema, crd_id_literals(schema));
	bool		compare = crd_has_filled_ids(schema);
	const char *differing;
	CrdResult  *rows;

	differing = compare ?
		psprintf("count(*) FILTER (WHERE available_connection_id IS DISTINCT FROM (%s))",
				 mapping) : "0";
	rows = crd_query(crd_owner(schema, CRD_CONNECTIONS),
					 psprintf("SELECT " PROVIDER ", (%s) COLLATE \"C\", count(*), %s, %s"
							  " FROM connections.connections GROUP BY 1, 2, 5",
							  key, differing, types ? "type::text COLLATE \"C\"" : "NULL"), 0);
	summary->groups = palloc0(sizeof(CrdMappingGroup) * Max(rows->nrows, 1));
	summary->ntypes = types ? rows->nrows : 0;
	summary->types = palloc(sizeof(CrdTypeCount) * Max(summary->ntypes, 1));
	for (int i = 0; i < rows->nrows; i++)
	{
		const char *const *row = rows->row[i];
		CrdMappingGroup *group = &summary->groups[i];

		read_pair(group, row);
		group->count = pg_strtoint64(row[2]);
		group->mismatched = pg_strtoint64(row[3]);
		group->entry = map_pair(schema, group->provider, group->capability);
		summary->total += group->count;
		summary->mismatched += group->mismatched;
		if (group->entry == NULL)
			summary->unmapped += group->count;
		if (types)
		{
			summary->types[i].entry = group->entry;
			summary->types[i].type = row[4];
			summary->types[i].count = group->count;
		}
	}
	qsort(summary->groups, rows->nrows, sizeof(CrdMappingGroup), compare_pairs);
	merge_pairs(summary, rows->nrows);

	if (summary->unmapped == 0 && summary->mismatched == 0)
		return summary;
	rows = crd_query(crd_owner(schema, CRD_CONNECTIONS),
					 psprintf("SELECT " PROVIDER ", (%s) COLLATE \"C\","
							  " array_to_string(connections_redesign.sample_keys(%s), ', ')"
							  " FROM connections.connections WHERE (%s) IS NULL%s GROUP BY 1, 2",
							  key, schema->pk_text_expr ? schema->pk_text_expr : "ctid::text", mapping,
							  compare ? psprintf(" OR available_connection_id IS DISTINCT FROM (%s)", mapping) : ""), 0);
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdMappingGroup group = {0};
		CrdMappingGroup *found;

		read_pair(&group, rows->row[i]);
		found = bsearch(&group, summary->groups, summary->ngroups, sizeof(CrdMappingGroup),
						compare_pairs);
		if (found)
			found->samples = rows->row[i][2];
	}
	for (int i = 0; i < summary->ngroups; i++)
		if (summary->groups[i].samples == NULL)
			summary->groups[i].samples = "some that are gone now";
	return summary;
}

/* Read what the group is from the first two columns of a row. */
static void
read_pair(CrdMappingGroup *group, const char *const *row)
{
	group->provider = row[0];
	group->capability = row[1];
	group->state = CRD_CAPABILITY_GIVEN;
	for (int i = 0; i < lengthof(markers); i++)
		if (markers[i] && row[1] && strcmp(row[1], markers[i]) == 0)
		{
			group->state = i;
			group->capability = NULL;
		}
}

static int
compare_nullable(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

/* By provider, capability, state; sorted here, so that the query can hash. */
static int
compare_pairs(const void *a, const void *b)
{
	const CrdMappingGroup *left = a;
	const CrdMappingGroup *right = b;
	int			result = compare_nullable(left->provider, right->provider);

	if (result == 0)
		result = compare_nullable(left->capability, right->capability);
	return result ? result : (int) left->state - (int) right->state;
}

static const CrdEntryRow *
map_pair(const CrdSchema *schema, const char *provider, const char *capability)
{
	if (provider == NULL)
		return NULL;
	for (int i = 0; i < schema->nentries; i++)
	{
		const CrdEntryRow *entry = &schema->entries[i];

		if (entry->provider == NULL || strcmp(entry->provider, provider) != 0)
			continue;
		if (entry->capability == NULL ||
			(capability && strcmp(entry->capability, capability) == 0))
			return entry;
	}
	return NULL;
}


/* How reports name a pair */

char *
crd_group_text(const CrdMappingGroup *group)
{
	static const char *const form[] = {
		[CRD_CAPABILITY_NULL] = "capability null",
		[CRD_CAPABILITY_ABSENT] = "capability absent",
		[CRD_CONFIG_NULL] = "config NULL",
	};
	const char *provider = group->provider ?
	psprintf("provider \"%s\"", group->provider) : "provider NULL";

	if (group->state != CRD_CAPABILITY_GIVEN)
		return psprintf("%s, %s", provider, form[group->state]);
	if (group->capability)
		return psprintf("%s, capability \"%s\"", provider, group->capability);
	return pstrdup(provider);
}

char *
crd_group_expected(const CrdMappingGroup *group)
{
	bool		needs = group->provider &&
	crd_provider_needs_capability(group->provider);
	const char *last = "";
	StringInfoData buf;

	if (group->entry)
		return psprintf("available connection \"%s\"", group->entry->slug);

	initStringInfo(&buf);
	for (const CrdRegistryEntry *entry = crd_registry; entry->slug; entry++)
	{
		const char *value = needs ? entry->capability : entry->provider;

		if (needs && strcmp(entry->provider, group->provider) != 0)
			continue;
		if (strcmp(value, last) != 0 && !strstr(buf.data, psprintf("\"%s\"", value)))
			appendStringInfo(&buf, "%s\"%s\"", buf.len ? ", " : "", value);
		last = value;
	}
	return psprintf("%s one of %s", needs ? "capability" : "provider", buf.data);
}

char *
crd_group_hint(const CrdMappingGroup *group)
{
	bool		needs = group->provider &&
	crd_provider_needs_capability(group->provider);
	const char *value = needs ? group->capability : group->provider;
	const char *column = needs ? "config's capability" : "provider";

	if (group->entry)
		return pstrdup("Set available_connection_id of these connections to what provider and config say, or the other way round.");
	if (value)
	{
		char	   *found = crd_fold_for_comparison(value);

		for (const CrdRegistryEntry *entry = crd_registry; entry->slug; entry++)
		{
			const char *candidate = needs ? entry->capability : entry->provider;

			if (candidate && strcmp(found, candidate) == 0 &&
				(!needs || strcmp(entry->provider, group->provider) == 0))
				return strcmp(value, candidate) == 0 ?
					psprintf("The catalog has no entry \"%s\": insert it first.", entry->slug) :
					psprintf("\"%s\" looks like \"%s\": correct %s of these connections.",
							 value, candidate, column);
		}
	}
	return psprintf("Correct %s of these connections, or delete them.", column);
}

/* ASCII is all that the registry has. */
char *
crd_fold_for_comparison(const char *value)
{
	char	   *result;
	size_t		length;

	while (isspace((unsigned char) *value))
		value++;
	length = strlen(value);
	while (length > 0 && isspace((unsigned char) value[length - 1]))
		length--;
	result = pnstrdup(value, length);
	for (char *p = result; *p; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	return result;
}
