/*-------------------------------------------------------------------------
 *
 * mapping.c
 *	  Which catalog entry a legacy connection belongs to.
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
#include "mapping.h"
#include "sql.h"

/* How many sample keys a report names for each pair */
#define SAMPLES 3

/* The legacy provider, without the column's collation */
#define PROVIDER "provider::text COLLATE \"C\""

/* See capability_key(). */
static const char *const markers[] = {
	[CRD_CAPABILITY_NULL] = "\001null",
	[CRD_CAPABILITY_ABSENT] = "\001absent",
	[CRD_CONFIG_NULL] = "\001config",
};

PG_FUNCTION_INFO_V1(crd_capability_of_json);
PG_FUNCTION_INFO_V1(crd_capability_is_null);
PG_FUNCTION_INFO_V1(crd_set_capability);
PG_FUNCTION_INFO_V1(crd_least_keys_accum);
PG_FUNCTION_INFO_V1(crd_least_keys_combine);

static const CrdCatalogRow *map_pair(const CrdSchema *schema,
									 const char *provider,
									 const char *capability);
static const char *capability_key(const CrdSchema *schema);
static void read_pair(CrdPair *pair, const char *const *row);
static int	compare_pairs(const void *a, const void *b);
static const char *skip_space(const char *p, const char *end);
static bool find_capability(text *json, const char **token, int *length);
static char *read_string(const char *token, int length);
static bool is_readable(const char *token, int length);


/* The expression, and the same in C */

static bool
is_first_with_capability(const CrdSchema *schema, int i)
{
	if (schema->rows[i].capability == NULL)
		return false;
	for (int j = 0; j < i; j++)
		if (schema->rows[j].capability &&
			strcmp(schema->rows[j].provider, schema->rows[i].provider) == 0)
			return false;
	return true;
}

char *
crd_mapping_expr(const CrdSchema *schema, const char *const *values)
{
	StringInfoData buf;

	if (schema->nrows == 0)
		return pstrdup("NULL");
	initStringInfo(&buf);
	appendStringInfoString(&buf, "CASE " PROVIDER);
	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdCatalogRow *row = &schema->rows[i];

		if (row->capability == NULL)
		{
			appendStringInfo(&buf, " WHEN %s THEN %s",
							 quote_literal_cstr(row->provider), values[i]);
			continue;
		}

		/* all capabilities of a provider stand where its first row is */
		if (!is_first_with_capability(schema, i))
			continue;
		appendStringInfo(&buf, " WHEN %s THEN CASE (%s) COLLATE \"C\"",
						 quote_literal_cstr(row->provider),
						 crd_capability_expr(schema));
		for (int j = i; j < schema->nrows; j++)
			if (schema->rows[j].capability &&
				strcmp(schema->rows[j].provider, row->provider) == 0)
				appendStringInfo(&buf, " WHEN %s THEN %s",
								 quote_literal_cstr(schema->rows[j].capability),
								 values[j]);
		appendStringInfoString(&buf, " END");
	}
	appendStringInfoString(&buf, " END");
	return buf.data;
}

const char **
crd_id_literals(const CrdSchema *schema)
{
	const char **values = palloc(sizeof(char *) * (schema->nrows + 1));

	for (int i = 0; i < schema->nrows; i++)
		values[i] = psprintf("%s::%s", quote_literal_cstr(schema->rows[i].id),
							 schema->column[CRD_CATALOG_ID].type);
	return values;
}

char *
crd_by_id_expr(const CrdSchema *schema, const char *const *values)
{
	const char **ids = crd_id_literals(schema);
	StringInfoData buf;

	if (schema->nrows == 0)
		return pstrdup("NULL");
	initStringInfo(&buf);
	appendStringInfoString(&buf, "CASE available_connection_id");
	for (int i = 0; i < schema->nrows; i++)
		appendStringInfo(&buf, " WHEN %s THEN %s", ids[i], values[i]);
	appendStringInfoString(&buf, " END");
	return buf.data;
}

const char *
crd_capability_expr(const CrdSchema *schema)
{
	return schema->column[CRD_CONFIG].base_type == JSONBOID ?
		"config ->> 'capability'" : "connections_redesign.capability(config)";
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
	for (int i = 0; i < schema->nrows; i++)
		if (is_first_with_capability(schema, i))
			appendStringInfo(&buf, " OR " PROVIDER " = %s",
							 quote_literal_cstr(schema->rows[i].provider));
	appendStringInfo(&buf, " THEN coalesce(%s, CASE WHEN config IS NULL THEN '%s' WHEN %s THEN '%s' ELSE '%s' END)"
					 " ELSE %s END",
					 crd_capability_expr(schema), markers[CRD_CONFIG_NULL],
					 schema->column[CRD_CONFIG].base_type == JSONBOID ?
					 "config -> 'capability' IS NOT NULL" :
					 "connections_redesign.capability_is_null(config)",
					 markers[CRD_CAPABILITY_NULL], markers[CRD_CAPABILITY_ABSENT],
					 crd_capability_expr(schema));
	return buf.data;
}

/* Make one of the pairs, in order, that differed by type. */
static void
merge_pairs(CrdCensus *census, int nrows)
{
	for (int i = 0; i < nrows; i++)
	{
		CrdPair    *last = census->npairs ? &census->pairs[census->npairs - 1] : NULL;

		if (last && compare_pairs(last, &census->pairs[i]) == 0)
		{
			last->count += census->pairs[i].count;
			last->differing += census->pairs[i].differing;
		}
		else
			census->pairs[census->npairs++] = census->pairs[i];
	}
}

/*
 * The mapping is looked up for each pair, not for each row.  Only where
 * something is wrong is the table read once more, for sample keys.
 */
CrdCensus *
crd_census(const CrdSchema *schema, bool types)
{
	CrdCensus  *census = palloc0(sizeof(CrdCensus));
	const char *key = capability_key(schema);
	const char *mapping = crd_mapping_expr(schema, crd_id_literals(schema));
	bool		compare = crd_ids_filled(schema);
	const char *differing;
	CrdRows    *rows;

	differing = compare ?
		psprintf("count(*) FILTER (WHERE available_connection_id IS DISTINCT FROM (%s))",
				 mapping) : "0";
	rows = crd_fetch(crd_owner(schema, CRD_CONNECTIONS),
					 psprintf("SELECT " PROVIDER ", (%s) COLLATE \"C\", count(*), %s, %s"
							  " FROM connections.connections GROUP BY 1, 2, 5",
							  key, differing, types ? "type::text COLLATE \"C\"" : "NULL"), 0);
	census->pairs = palloc0(sizeof(CrdPair) * Max(rows->nrows, 1));
	census->ntypes = types ? rows->nrows : 0;
	census->types = palloc(sizeof(CrdTypeCount) * Max(census->ntypes, 1));
	for (int i = 0; i < rows->nrows; i++)
	{
		const char *const *row = rows->row[i];
		CrdPair    *pair = &census->pairs[i];

		read_pair(pair, row);
		pair->count = pg_strtoint64(row[2]);
		pair->differing = pg_strtoint64(row[3]);
		pair->row = map_pair(schema, pair->provider, pair->capability);
		census->total += pair->count;
		census->differing += pair->differing;
		if (pair->row == NULL)
			census->unmapped += pair->count;
		if (types)
		{
			census->types[i].row = pair->row;
			census->types[i].type = row[4];
			census->types[i].count = pair->count;
		}
	}
	qsort(census->pairs, rows->nrows, sizeof(CrdPair), compare_pairs);
	merge_pairs(census, rows->nrows);

	if (census->unmapped == 0 && census->differing == 0)
		return census;
	rows = crd_fetch(crd_owner(schema, CRD_CONNECTIONS),
					 psprintf("SELECT " PROVIDER ", (%s) COLLATE \"C\","
							  " array_to_string(connections_redesign.least_keys(%s), ', ')"
							  " FROM connections.connections WHERE (%s) IS NULL%s GROUP BY 1, 2",
							  key, schema->key ? schema->key : "ctid::text", mapping,
							  compare ? psprintf(" OR available_connection_id IS DISTINCT FROM (%s)", mapping) : ""), 0);
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdPair		pair = {0};
		CrdPair    *found;

		read_pair(&pair, rows->row[i]);
		found = bsearch(&pair, census->pairs, census->npairs, sizeof(CrdPair),
						compare_pairs);
		if (found)
			found->samples = rows->row[i][2];
	}
	for (int i = 0; i < census->npairs; i++)
		if (census->pairs[i].samples == NULL)
			census->pairs[i].samples = "some that are gone now";
	return census;
}

/* Read what the pair is from the first two columns of a row. */
static void
read_pair(CrdPair *pair, const char *const *row)
{
	pair->provider = row[0];
	pair->capability = row[1];
	pair->state = CRD_CAPABILITY_GIVEN;
	for (int i = 0; i < lengthof(markers); i++)
		if (markers[i] && row[1] && strcmp(row[1], markers[i]) == 0)
		{
			pair->state = i;
			pair->capability = NULL;
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
	const CrdPair *left = a;
	const CrdPair *right = b;
	int			result = compare_nullable(left->provider, right->provider);

	if (result == 0)
		result = compare_nullable(left->capability, right->capability);
	return result ? result : (int) left->state - (int) right->state;
}

static const CrdCatalogRow *
map_pair(const CrdSchema *schema, const char *provider, const char *capability)
{
	if (provider == NULL)
		return NULL;
	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdCatalogRow *row = &schema->rows[i];

		if (row->provider == NULL || strcmp(row->provider, provider) != 0)
			continue;
		if (row->capability == NULL ||
			(capability && strcmp(row->capability, capability) == 0))
			return row;
	}
	return NULL;
}


/* How reports name a pair */

char *
crd_pair_text(const CrdPair *pair)
{
	static const char *const form[] = {
		[CRD_CAPABILITY_NULL] = "capability null",
		[CRD_CAPABILITY_ABSENT] = "capability absent",
		[CRD_CONFIG_NULL] = "config NULL",
	};
	const char *provider = pair->provider ?
	psprintf("provider \"%s\"", pair->provider) : "provider NULL";

	if (pair->state != CRD_CAPABILITY_GIVEN)
		return psprintf("%s, %s", provider, form[pair->state]);
	if (pair->capability)
		return psprintf("%s, capability \"%s\"", provider, pair->capability);
	return pstrdup(provider);
}

char *
crd_pair_expected(const CrdPair *pair)
{
	bool		needs = pair->provider &&
	crd_provider_needs_capability(pair->provider);
	const char *last = "";
	StringInfoData buf;

	if (pair->row)
		return psprintf("available connection \"%s\"", pair->row->slug);

	initStringInfo(&buf);
	for (const CrdEntry *entry = crd_registry; entry->slug; entry++)
	{
		const char *value = needs ? entry->capability : entry->provider;

		if (needs && strcmp(entry->provider, pair->provider) != 0)
			continue;
		if (strcmp(value, last) != 0 && !strstr(buf.data, psprintf("\"%s\"", value)))
			appendStringInfo(&buf, "%s\"%s\"", buf.len ? ", " : "", value);
		last = value;
	}
	return psprintf("%s one of %s", needs ? "capability" : "provider", buf.data);
}

char *
crd_pair_hint(const CrdPair *pair)
{
	bool		needs = pair->provider &&
	crd_provider_needs_capability(pair->provider);
	const char *value = needs ? pair->capability : pair->provider;
	const char *column = needs ? "config's capability" : "provider";

	if (pair->row)
		return pstrdup("Set available_connection_id of these connections to what provider and config say, or the other way round.");
	if (value)
	{
		char	   *found = crd_normalized(value);

		for (const CrdEntry *entry = crd_registry; entry->slug; entry++)
		{
			const char *candidate = needs ? entry->capability : entry->provider;

			if (candidate && strcmp(found, candidate) == 0 &&
				(!needs || strcmp(entry->provider, pair->provider) == 0))
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
crd_normalized(const char *value)
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


/* Reading the capability */

char *
crd_capability(Oid config_type, Datum config)
{
	LOCAL_FCINFO(fcinfo, 2);
	const char *token;
	int			length;
	Datum		result;

	if (config_type != JSONBOID)
	{
		if (!find_capability(DatumGetTextPP(config), &token, &length))
			return NULL;
		if (*token == '"')
			return read_string(token, length);
		if (length == 4 && memcmp(token, "null", 4) == 0)
			return NULL;
		return pnstrdup(token, length);
	}

	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = config;
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = CStringGetTextDatum("capability");
	fcinfo->args[1].isnull = false;
	result = jsonb_object_field_text(fcinfo);
	return fcinfo->isnull ? NULL : TextDatumGetCString(result);
}

/*
 * connections_redesign.capability(json) is config ->> 'capability', but for
 * what the operator fails on: an escape such as \u0000 that text cannot hold
 * makes the operator fail wherever it stands; here, only a capability that has
 * one counts as absent.
 */
Datum
crd_capability_of_json(PG_FUNCTION_ARGS)
{
	char	   *capability = crd_capability(JSONOID, PG_GETARG_DATUM(0));

	if (capability == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(capability));
}

/*
 * connections_redesign.capability_is_null(json) tells a capability that is the
 * JSON null from one that is absent.
 */
Datum
crd_capability_is_null(PG_FUNCTION_ARGS)
{
	const char *token;
	int			length;

	PG_RETURN_BOOL(find_capability(PG_GETARG_TEXT_PP(0), &token, &length) &&
				   *token == 'n');
}

/*
 * connections_redesign.set_capability(json, capability) is the object with that
 * one key set; every other byte stays.
 */
Datum
crd_set_capability(PG_FUNCTION_ARGS)
{
	text	   *json = PG_GETARG_TEXT_PP(0);
	const char *start = VARDATA_ANY(json);
	const char *end = start + VARSIZE_ANY_EXHDR(json);
	const char *token;
	int			length;
	StringInfoData buf;

	initStringInfo(&buf);
	if (find_capability(json, &token, &length))
	{
		appendBinaryStringInfo(&buf, start, token - start);
		escape_json(&buf, text_to_cstring(PG_GETARG_TEXT_PP(1)));
		token += length;
	}
	else
	{
		token = skip_space(start, end);
		if (token >= end || *token != '{')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cannot set the capability of a JSON value that is not an object")));
		token++;
		appendBinaryStringInfo(&buf, start, token - start);
		appendStringInfoString(&buf, "\"capability\": ");
		escape_json(&buf, text_to_cstring(PG_GETARG_TEXT_PP(1)));
		if (*skip_space(token, end) != '}')
			appendStringInfoString(&buf, ", ");
	}
	appendBinaryStringInfo(&buf, token, end - token);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}

bool
crd_with_capability(Oid config_type, Datum config, bool isnull,
					const char *capability, Datum *result)
{
	if (config_type == JSONOID)
	{
		text	   *json = isnull ? cstring_to_text("{}") : DatumGetTextPP(config);
		const char *start = VARDATA_ANY(json);
		const char *end = start + VARSIZE_ANY_EXHDR(json);
		const char *token = skip_space(start, end);

		if (token >= end || *token != '{')
			return false;
		*result = DirectFunctionCall2(crd_set_capability, PointerGetDatum(json),
									  CStringGetTextDatum(capability));
	}
	else
	{
		Datum		path = CStringGetTextDatum("capability");
		StringInfoData value;

		if (isnull)
			config = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
		if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(config)))
			return false;
		initStringInfo(&value);
		escape_json(&value, capability);
		*result = DirectFunctionCall4(jsonb_set, config,
									  PointerGetDatum(construct_array(&path, 1, TEXTOID, -1, false, TYPALIGN_INT)),
									  DirectFunctionCall1(jsonb_in, CStringGetDatum(value.data)),
									  BoolGetDatum(true));
	}
	return true;
}

/* The end of the string that begins at p, with its quotes. */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\')
			p++;
	return Min(p + 1, end);
}

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && strchr(" \t\r\n", *p))
		p++;
	return p;
}

/* The end of the value that begins at p. */
static const char *
skip_value(const char *p, const char *end)
{
	int			depth = 0;

	while (p < end && (depth > 0 || !strchr(",}] \t\r\n", *p)))
	{
		if (*p == '"')
		{
			p = skip_string(p, end);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		p++;
	}
	return p;
}

/*
 * Find the value of the top-level key "capability", the last one if there are
 * several, in a document that json's input function has found to be valid.
 */
static bool
find_capability(text *json, const char **token, int *length)
{
	const char *p = VARDATA_ANY(json);
	const char *end = p + VARSIZE_ANY_EXHDR(json);
	bool		found = false;

	p = skip_space(p, end);
	if (p >= end || *p != '{')
		return false;
	for (;;)
	{
		const char *key = skip_space(p + 1, end);
		const char *value;
		char	   *name;

		if (key >= end || *key != '"')
			break;
		p = skip_string(key, end);
		name = read_string(key, p - key);
		p = skip_space(p, end); /* at the colon */
		value = skip_space(p + 1, end);
		p = skip_value(value, end);
		if (name && strcmp(name, "capability") == 0)
		{
			*token = value;
			*length = p - value;
			found = true;
		}
		p = skip_space(p, end); /* at the comma, or the end */
	}
	return found;
}

/* What a JSON string says, or NULL where text cannot hold it. */
static char *
read_string(const char *token, int length)
{
	char	   *json;

	if (memchr(token, '\\', length) == NULL)
		return pnstrdup(token + 1, length - 2);
	if (!is_readable(token, length))
		return NULL;
	json = psprintf("[%.*s]", length, token);
	return TextDatumGetCString(DirectFunctionCall2(json_array_element_text,
												   CStringGetTextDatum(json),
												   Int32GetDatum(0)));
}

/*
 * Whether all \u escapes can be read: none is zero, surrogates come in pairs,
 * and only UTF8 is sure to have a character beyond ASCII.
 */
static bool
is_readable(const char *token, int length)
{
	bool		high = false;	/* a high surrogate came just before */

	for (const char *p = token; p < token + length; p++)
	{
		unsigned	code;

		if (*p != '\\' || p[1] != 'u')
		{
			if (high)
				return false;
			if (*p == '\\')
				p++;
			continue;
		}
		code = strtoul(pnstrdup(p + 2, 4), NULL, 16);
		if (code == 0 || (code > 0x7F && GetDatabaseEncoding() != PG_UTF8))
			return false;
		if ((code >= 0xDC00 && code <= 0xDFFF) != high)
			return false;
		high = code >= 0xD800 && code <= 0xDBFF;
		p += 5;
	}
	return !high;
}


/* The least keys of a group, for reports */

/* Add keys to the sorted ones, in place; return how many there are then. */
static int
add_key(Datum *keys, int nkeys, Datum key)
{
	int			i = nkeys;

	while (i > 0 && DatumGetInt32(DirectFunctionCall2Coll(bttextcmp, C_COLLATION_OID,
														  key, keys[i - 1])) < 0)
		i--;
	if (i >= SAMPLES)
		return nkeys;
	nkeys = Min(nkeys + 1, SAMPLES);
	memmove(&keys[i + 1], &keys[i], sizeof(Datum) * (nkeys - i - 1));
	keys[i] = key;
	return nkeys;
}

/* Add the keys of a state, which may be NULL, to the sorted ones. */
static int
add_state(Datum *keys, int nkeys, FunctionCallInfo fcinfo, int arg)
{
	Datum	   *elems;
	bool	   *nulls;
	int			nelems;

	if (PG_ARGISNULL(arg))
		return nkeys;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), TEXTOID, -1, false,
					  TYPALIGN_INT, &elems, &nulls, &nelems);
	for (int i = 0; i < nelems; i++)
		if (!nulls[i])
			nkeys = add_key(keys, nkeys, elems[i]);
	return nkeys;
}

/*
 * State transition of the aggregate connections_redesign.least_keys(text).
 */
Datum
crd_least_keys_accum(PG_FUNCTION_ARGS)
{
	Datum		keys[SAMPLES];
	int			nkeys = add_state(keys, 0, fcinfo, 0);

	if (!PG_ARGISNULL(1))
		nkeys = add_key(keys, nkeys, PG_GETARG_DATUM(1));
	if (nkeys == 0)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(construct_array(keys, nkeys, TEXTOID, -1, false,
										  TYPALIGN_INT));
}

/*
 * Combine two states of least_keys, as parallel workers give them.
 */
Datum
crd_least_keys_combine(PG_FUNCTION_ARGS)
{
	Datum		keys[SAMPLES];
	int			nkeys = add_state(keys, 0, fcinfo, 0);

	nkeys = add_state(keys, nkeys, fcinfo, 1);
	if (nkeys == 0)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(construct_array(keys, nkeys, TEXTOID, -1, false,
										  TYPALIGN_INT));
}
