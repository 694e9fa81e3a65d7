/*-------------------------------------------------------------------------
 *
 * rollback_exprs.c
 *	  What the rows of version 4 become when step 4 is undone, as SQL
 *	  expressions; how many rows that changes; and which rows would violate a
 *	  constraint then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "base/sql_exec.h"
#include "data/rollback_exprs.h"

static char *rolled_back_rows(const CrdSchema *schema,
							  const CrdSavedState *saved,
							  const CrdRollbackExprs *exprs,
							  const char *relation);

CrdRollbackExprs *
crd_rollback_exprs(const CrdSchema *schema, const CrdSavedState *saved)
{
	CrdRollbackExprs *exprs = palloc(sizeof(CrdRollbackExprs));
	const char **providers = palloc(sizeof(char *) * (schema->nentries + 1));
	const char **types = palloc(sizeof(char *) * (schema->nentries + 1));
	const char **type_literals = palloc(sizeof(char *) * (schema->nentries + 1));
	const char **ids = palloc(sizeof(char *) * (schema->nentries + 1));
	const char **capabilities = palloc(sizeof(char *) * (schema->nentries + 1));
	const char *capability;
	StringInfoData unknown;

	initStringInfo(&unknown);
	for (int i = 0; i < schema->nentries; i++)
	{
		const CrdEntryRow *entry = &schema->entries[i];
		const CrdEntryType *entry_type = crd_find_entry_type(saved->entry_types, entry->id);

		providers[i] = quote_literal_cstr(entry->provider);
		ids[i] = quote_literal_cstr(entry->id);
		capabilities[i] = crd_quote_nullable(entry->capability);
		types[i] = entry_type ? entry_type->type : entry->auth_type;
		type_literals[i] = crd_quote_nullable(types[i]);
		if (!entry_type)
			appendStringInfo(&unknown, "%s%s", unknown.len ? ", " : "",
							 crd_id_literals(schema)[i]);
	}
	exprs->provider = crd_case_by_entry_id(schema, providers);
	exprs->types = types;
	exprs->type = crd_case_by_entry_id(schema, type_literals);
	if (saved->has_connection_types)
		exprs->type = psprintf("connections_redesign.saved_type(%s, %s, %s)",
							   schema->pk_text_expr, crd_case_by_entry_id(schema, ids), exprs->type);
	exprs->type_unknown = unknown.len ?
		psprintf("available_connection_id IN (%s)", unknown.data) : "false";
	if (unknown.len && saved->has_connection_types)
		exprs->type_unknown = psprintf("%s AND connections_redesign.saved_type(%s, %s, E'\\x01') = E'\\x01'",
									   exprs->type_unknown, schema->pk_text_expr,
									   crd_case_by_entry_id(schema, ids));

	if (crd_saved_not_null(saved, 4, "name"))
	{
		exprs->label_changes = "label IS NULL";
		exprs->label = psprintf("coalesce(label::text, '')::%s",
								schema->column[CRD_LABEL].type);
	}
	else
	{
		exprs->label_changes = "false";
		exprs->label = "label";
	}

	capability = psprintf("(%s)", crd_case_by_entry_id(schema, capabilities));
	exprs->config_changes = psprintf("%s <> coalesce(%s, '')", capability,
									 crd_capability_expr(schema));
	if (schema->column[CRD_CONFIG].base_type == JSONBOID)
		exprs->config = psprintf("CASE WHEN %s THEN jsonb_set(coalesce(config, '{}'), '{capability}', to_jsonb(%s)) ELSE config END",
								 exprs->config_changes, capability);
	else
		exprs->config = psprintf("CASE WHEN %s THEN connections_redesign.set_config_capability(coalesce(config, '{}'), %s) ELSE config END",
								 exprs->config_changes, capability);
	return exprs;
}

CrdRollbackCounts *
crd_rollback_counts(const CrdSchema *schema, const CrdRollbackExprs *exprs)
{
	CrdRollbackCounts *counts = palloc(sizeof(CrdRollbackCounts));
	const char *type_of = schema->column[CRD_CONFIG].base_type == JSONBOID ?
	"jsonb_typeof(config)" : "json_typeof(config)";
	const char *refuses = psprintf("%s AND %s <> 'object'",
								   exprs->config_changes, type_of);
	CrdResult  *rows;

	rows = crd_query(crd_owner(schema, CRD_CONNECTIONS),
					 psprintf("SELECT count(*), count(*) FILTER (WHERE %s),"
							  " count(*) FILTER (WHERE %s), count(*) FILTER (WHERE %s),"
							  " array_to_string(connections_redesign.sample_keys(%s) FILTER (WHERE %s), ', '),"
							  " count(*) FILTER (WHERE %s)"
							  " FROM connections.connections",
							  exprs->label_changes, exprs->config_changes, refuses, schema->pk_text_expr,
							  refuses, exprs->type_unknown), 0);
	counts->total = pg_strtoint64(rows->row[0][0]);
	counts->null_labels = pg_strtoint64(rows->row[0][1]);
	counts->config_changes = pg_strtoint64(rows->row[0][2]);
	counts->config_refuses = pg_strtoint64(rows->row[0][3]);
	counts->config_samples = rows->row[0][4];
	counts->type_unknown = pg_strtoint64(rows->row[0][5]);
	return counts;
}

bool
crd_rollback_violations(const CrdSchema *schema, const CrdSavedState *saved,
						const CrdRollbackExprs *exprs, const CrdSavedDdl *enforced,
						bool there_now, const char **violations)
{
	char	   *rows = rolled_back_rows(schema, saved, exprs, enforced->relation);
	StringInfoData keys;
	char	   *query;
	CrdResult  *found;

	if (enforced->keys == NULL)
		query = psprintf("SELECT array_to_string(connections_redesign.sample_keys(%s), ', ')"
						 " FROM (%s%s) connections WHERE NOT (%s)",
						 schema->pk_text_expr, rows, there_now ?
						 psprintf(" WHERE %s OR %s", exprs->label_changes, exprs->config_changes) : "",
						 enforced->condition);
	else
	{
		Datum	   *elems;
		int			nelems;
		StringInfoData not_null;

		initStringInfo(&keys);
		initStringInfo(&not_null);
		deconstruct_array(DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN,
																  unconstify(char *, enforced->keys), TEXTOID, -1)),
						  TEXTOID, -1, false, TYPALIGN_INT, &elems, NULL, &nelems);
		for (int i = 0; i < nelems; i++)
		{
			char	   *key = TextDatumGetCString(elems[i]);

			appendStringInfo(&keys, "%s%s", i ? ", " : "", key);
			if (enforced->nulls_distinct)
				appendStringInfo(&not_null, " AND (%s) IS NOT NULL", key);
		}
		query = psprintf("SELECT array_to_string(connections_redesign.sample_keys(key), ', ') FROM ("
						 "SELECT min((%s) COLLATE \"C\") AS key FROM (%s) connections WHERE (%s)%s"
						 " GROUP BY %s HAVING count(*) > 1"
						 " UNION ALL "
						 "SELECT max((%s) COLLATE \"C\") FROM (%s) connections WHERE (%s)%s"
						 " GROUP BY %s HAVING count(*) > 1) t",
						 schema->pk_text_expr, rows,
						 enforced->condition ? enforced->condition : "true",
						 not_null.data, keys.data,
						 schema->pk_text_expr, rows,
						 enforced->condition ? enforced->condition : "true",
						 not_null.data, keys.data);
	}
	if (!crd_query_noerror(crd_owner(schema, CRD_CONNECTIONS), query, NULL, &found))
		return false;
	*violations = found->nrows > 0 ? found->row[0][0] : NULL;
	return true;
}

bool
crd_value_fits(const CrdSchema *schema, CrdTable table, const char *value,
			   const char *type)
{
	CrdResult  *rows;

	return crd_query_noerror(crd_owner(schema, table),
							 psprintf("SELECT rtrim(($1::%s)::text) = rtrim($1)", type),
							 value, &rows) &&
		crd_is_true(rows->row[0][0]);
}

/*
 * What refuses the connection as it is, such as one that breaks a constraint which
 * is NOT VALID, does not count.
 */
bool
crd_refuses_empty_name(const CrdSchema *schema, const CrdSavedState *saved,
					   const CrdRollbackExprs *exprs, const CrdSavedDdl *enforced)
{
	CrdRollbackExprs empty = *exprs;
	CrdResult  *rows;

	if (enforced->keys)
		return false;
	empty.label = psprintf("''::%s", schema->column[CRD_LABEL].type);
	return crd_query_noerror(crd_owner(schema, CRD_CONNECTIONS),
							 psprintf("WITH first AS MATERIALIZED (SELECT * FROM %s LIMIT 1000)"
									  " SELECT EXISTS (SELECT %s FROM (%s) connections WHERE NOT (%s)"
									  " EXCEPT SELECT %s FROM (%s) connections WHERE NOT (%s))",
									  enforced->relation,
									  schema->pk_text_expr, rolled_back_rows(schema, saved, &empty, "first"),
									  enforced->condition,
									  schema->pk_text_expr, rolled_back_rows(schema, saved, exprs, "first"),
									  enforced->condition),
							 NULL, &rows) &&
		crd_is_true(rows->row[0][0]);
}

/*
 * The table, or a partition, as a subquery, as it will be when step 4 is undone:
 * saved constraints use the legacy names of columns, existing ones the new names.
 */
static char *
rolled_back_rows(const CrdSchema *schema, const CrdSavedState *saved,
				 const CrdRollbackExprs *exprs, const char *relation)
{
	const CrdSavedColumn *provider = crd_saved_column(saved, 4, "provider");
	const CrdSavedColumn *type = crd_saved_column(saved, 4, "type");
	CrdResult  *others;

	others = crd_query(CRD_CALLER,
					   "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
					   " WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped"
					   " AND attname NOT IN ('label', 'config', 'provider', 'type')", 1,
					   psprintf("%u", schema->relation[CRD_CONNECTIONS].relid));
	return psprintf("SELECT %s, %s AS label, %s AS name, %s AS config,"
					" (%s)::%s AS provider, (%s)::%s AS type FROM %s connections",
					others->row[0][0], exprs->label, exprs->label, exprs->config,
					exprs->provider, provider ? provider->type : "text",
					exprs->type, type ? type->type : "text", relation);
}
