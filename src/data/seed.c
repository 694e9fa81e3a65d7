/*-------------------------------------------------------------------------
 *
 * seed.c
 *	  The display data of the entries: connections_seed_catalog() and
 *	  connections_available().
 *
 * Both run as their caller, under the policies of the table: who may seed is
 * whom the DBA grants EXECUTE on the function, and SELECT, INSERT and UPDATE
 * on the catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "schema/schema.h"
#include "base/sql_exec.h"

PG_FUNCTION_INFO_V1(connections_seed_catalog);
PG_FUNCTION_INFO_V1(connections_available);

/* The columns that the seed refreshes; never slug or auth_type. */
static const struct
{
	const char *name;
	size_t		offset;			/* in CrdRegistryEntry */
}			seeded[] = {
	{"display_name", offsetof(CrdRegistryEntry, display_name)},
	{"icon", offsetof(CrdRegistryEntry, icon)},
	{"cover", offsetof(CrdRegistryEntry, cover)},
	{"description", offsetof(CrdRegistryEntry, description)},
};
#define NSEEDED lengthof(seeded)

/*
 * A key of an object of the overrides, as read_overrides() returns it: object
 * number, key, type and text of its value, and the object's slug.
 */
enum
{
	OVERRIDE_NUMBER,
	OVERRIDE_OBJECT_TYPE,
	OVERRIDE_KEY,
	OVERRIDE_VALUE_TYPE,
	OVERRIDE_VALUE,
	OVERRIDE_SLUG
};

static CrdResult *read_overrides(Jsonb *overrides);
static const char *const *find_override(const CrdResult *overrides,
										const char *slug, const char *key);
pg_noreturn static void refuse_overrides(const char *detail);
static const char *seed_entry(const CrdSchema *schema, const CrdRegistryEntry *entry,
							  const CrdResult *overrides);
static CrdSchema *read_redesigned(const char *function);

/*
 * connections_seed_catalog(overrides) writes the registry's display data to the
 * catalog, and says what that did to each entry.
 */
Datum
connections_seed_catalog(PG_FUNCTION_ARGS)
{
	CrdResultSet *set = crd_srf_open(fcinfo);
	Jsonb	   *overrides = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);
	CrdResult  *rows = overrides ? read_overrides(overrides) : NULL;
	CrdSchema  *schema = read_redesigned("connections_seed_catalog()");

	for (const CrdRegistryEntry *entry = crd_registry; entry->slug; entry++)
	{
		const char *values[] = {entry->slug, seed_entry(schema, entry, rows)};

		crd_srf_put_row(set, values);
	}
	return (Datum) 0;
}

/*
 * connections_available() is the catalog as the application's GET shows it.
 */
Datum
connections_available(PG_FUNCTION_ARGS)
{
	CrdResultSet *set = crd_srf_open(fcinfo);
	CrdResult  *rows;

	(void) read_redesigned("connections_available()");
	rows = crd_query_as_caller("SELECT id::text, slug::text, display_name::text, auth_type::text,"
							   " icon::text, cover::text, description::text"
							   " FROM connections.available_connections"
							   " ORDER BY slug::text COLLATE \"C\"", 0);
	for (int i = 0; i < rows->nrows; i++)
		crd_srf_put_row(set, rows->row[i]);
	return (Datum) 0;
}

/* The schema, which must be at version 1 or later. */
static CrdSchema *
read_redesigned(const char *function)
{
	CrdSchema  *schema = crd_schema_read();

	if (!schema->relation[CRD_AVAILABLE_CONNECTIONS].exists)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table connections.available_connections does not exist"),
				 errhint("Connect to the database that has the tables.")));
	if (schema->last_complete_step < 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s needs the catalog of version 1 or later", function),
				 schema->mismatch ? errdetail_internal("Found %s.", schema->mismatch) :
				 errdetail("The database is at version 0."),
				 errhint("Call connections_migrate() first.")));
	return schema;
}

/*
 * Insert or refresh an entry, and return which of these it was.  An entry that
 * is right already is not touched.  There is an UPDATE first because INSERT ...
 * ON CONFLICT needs a value for every required column even where the entry
 * exists, and the catalog's id may have no default.
 */
static const char *
seed_entry(const CrdSchema *schema, const CrdRegistryEntry *entry,
		   const CrdResult *overrides)
{
	const char *values[NSEEDED];
	StringInfoData set;
	StringInfoData changed;

	initStringInfo(&set);
	initStringInfo(&changed);
	for (int i = 0; i < NSEEDED; i++)
	{
		const char *const *given = find_override(overrides, entry->slug,
												 seeded[i].name);

		values[i] = given && given[OVERRIDE_VALUE] ? given[OVERRIDE_VALUE] :
			*(const char *const *) ((const char *) entry + seeded[i].offset);
		if (given && given[OVERRIDE_VALUE] == NULL)
			continue;			/* null leaves the column as it is */
		appendStringInfo(&set, "%s%s = $%d", set.len ? ", " : "",
						 seeded[i].name, i + 2);
		appendStringInfo(&changed, "%s%s::text IS DISTINCT FROM $%d",
						 changed.len ? " OR " : "", seeded[i].name, i + 2);
	}

	if (set.len > 0 &&
		crd_query_as_caller(psprintf("UPDATE connections.available_connections SET %s"
									 " WHERE slug::text = $1 AND (%s) RETURNING 1",
									 set.data, changed.data), 1 + NSEEDED,
							entry->slug, values[0], values[1], values[2], values[3])->nrows > 0)
		return "updated";
	if (crd_query_as_caller("SELECT FROM connections.available_connections WHERE slug::text = $1",
							1, entry->slug)->nrows > 0)
		return "unchanged";
	if (crd_query_as_caller(psprintf("INSERT INTO connections.available_connections"
									 " (slug, display_name, icon, cover, description, auth_type)"
									 " VALUES ($1, $2, $3, $4, $5, $6::%s)"
									 " ON CONFLICT (slug) DO NOTHING RETURNING 1",
									 schema->column[CRD_AUTH_TYPE].type), 2 + NSEEDED,
							entry->slug, values[0], values[1], values[2], values[3],
							entry->auth_type)->nrows > 0)
		return "inserted";
	return "unchanged";			/* a concurrent transaction has inserted it */
}

/*
 * Take the overrides apart, a row for each key; raise 22023 for what is not an
 * array of objects that each name a slug once and give strings or null for
 * seeded columns.
 */
static CrdResult *
read_overrides(Jsonb *overrides)
{
	CrdResult  *rows;
	const char *object = NULL;

	if (!JB_ROOT_IS_ARRAY(overrides) || JB_ROOT_IS_SCALAR(overrides))
		refuse_overrides("Found a JSON value that is not an array.");
	rows = crd_query_as_caller("SELECT e.n, jsonb_typeof(e.value), k.key, jsonb_typeof(k.value),"
							   " k.value #>> '{}', e.value ->> 'slug'"
							   " FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY e(value, n)"
							   " LEFT JOIN LATERAL jsonb_each(CASE jsonb_typeof(e.value)"
							   "  WHEN 'object' THEN e.value ELSE '{}' END) k ON true"
							   " ORDER BY e.n, k.key COLLATE \"C\"", 1,
							   JsonbToCString(NULL, &overrides->root, VARSIZE(overrides)));
	for (int i = 0; i < rows->nrows; i++)
	{
		const char *const *row = rows->row[i];
		bool		is_slug;
		bool		is_seeded = false;

		if (strcmp(row[OVERRIDE_OBJECT_TYPE], "object") != 0)
			refuse_overrides(psprintf("Element %s is of JSON type %s.", row[OVERRIDE_NUMBER], row[OVERRIDE_OBJECT_TYPE]));
		if (row[OVERRIDE_SLUG] == NULL)
			refuse_overrides(psprintf("Element %s has no slug.", row[OVERRIDE_NUMBER]));
		if (crd_registry_find(row[OVERRIDE_SLUG]) == NULL)
			refuse_overrides(psprintf("Element %s has slug \"%s\"; the registry has %s.",
									  row[OVERRIDE_NUMBER], row[OVERRIDE_SLUG], crd_registry_slugs()));
		if (object == NULL || strcmp(object, row[OVERRIDE_NUMBER]) != 0)
		{
			for (int j = 0; j < i; j++)
				if (strcmp(rows->row[j][OVERRIDE_SLUG], row[OVERRIDE_SLUG]) == 0)
					refuse_overrides(psprintf("Elements %s and %s both have slug \"%s\".",
											  rows->row[j][OVERRIDE_NUMBER], row[OVERRIDE_NUMBER], row[OVERRIDE_SLUG]));
			object = row[OVERRIDE_NUMBER];
		}
		is_slug = strcmp(row[OVERRIDE_KEY], "slug") == 0;
		for (int j = 0; j < NSEEDED; j++)
			if (strcmp(row[OVERRIDE_KEY], seeded[j].name) == 0)
				is_seeded = true;
		if (!is_slug && !is_seeded)
			refuse_overrides(psprintf("Element %s has the key \"%s\".", row[OVERRIDE_NUMBER], row[OVERRIDE_KEY]));
		if (strcmp(row[OVERRIDE_VALUE_TYPE], "string") != 0 &&
			(is_slug || strcmp(row[OVERRIDE_VALUE_TYPE], "null") != 0))
			refuse_overrides(psprintf("Element %s has \"%s\" of JSON type %s.",
									  row[OVERRIDE_NUMBER], row[OVERRIDE_KEY], row[OVERRIDE_VALUE_TYPE]));
	}
	return rows;
}

static void
refuse_overrides(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid overrides"),
			 errdetail_internal("%s", detail),
			 errhint("Give an array of objects such as {\"slug\": \"gmail\", \"display_name\": \"Google Mail\"}; "
					 "other keys are icon, cover and description, and null leaves a column as it is.")));
}

/* What the overrides give for a column of an entry, or NULL. */
static const char *const *
find_override(const CrdResult *overrides, const char *slug, const char *key)
{
	if (overrides)
		for (int i = 0; i < overrides->nrows; i++)
			if (strcmp(overrides->row[i][OVERRIDE_SLUG], slug) == 0 &&
				strcmp(overrides->row[i][OVERRIDE_KEY], key) == 0)
				return overrides->row[i];
	return NULL;
}
