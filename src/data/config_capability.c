/*-------------------------------------------------------------------------
 *
 * config_capability.c
 *	  The capability that connections.config names, in json and jsonb.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

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
#include "data/config_capability.h"

PG_FUNCTION_INFO_V1(crd_config_capability);
PG_FUNCTION_INFO_V1(crd_config_capability_is_null);
PG_FUNCTION_INFO_V1(crd_set_config_capability);

static const char *skip_space(const char *p, const char *end);
static bool find_capability(text *json, const char **token, int *length);
static char *read_string(const char *token, int length);
static bool is_readable(const char *token, int length);


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
 * connections_redesign.config_capability(json) is config ->> 'capability', but for
 * what the operator fails on: an escape such as \u0000 that text cannot hold
 * makes the operator fail wherever it stands; here, only a capability that has
 * one counts as absent.
 */
Datum
crd_config_capability(PG_FUNCTION_ARGS)
{
	char	   *capability = crd_capability(JSONOID, PG_GETARG_DATUM(0));

	if (capability == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(capability));
}

/*
 * connections_redesign.config_capability_is_null(json) tells a capability that is the
 * JSON null from one that is absent.
 */
Datum
crd_config_capability_is_null(PG_FUNCTION_ARGS)
{
	const char *token;
	int			length;

	PG_RETURN_BOOL(find_capability(PG_GETARG_TEXT_PP(0), &token, &length) &&
				   *token == 'n');
}

/*
 * connections_redesign.set_config_capability(json, capability) is the object with that
 * one key set; every other byte stays.
 */
Datum
crd_set_config_capability(PG_FUNCTION_ARGS)
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
		*result = DirectFunctionCall2(crd_set_config_capability, PointerGetDatum(json),
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
