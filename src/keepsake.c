/*-------------------------------------------------------------------------
 *
 * keepsake.c
 *	  What the way back needs: the shape of dropped columns as DDL, the type
 *	  of each connection as a dictionary with exceptions, the labels that were
 *	  NULL, the catalog's rows.
 *
 * The keepsake's tables belong to the extension's owner, and nobody else can
 * read or write them.  A rewrite of connections looks up a row's exception
 * through connections_redesign.kept_type(), which reads the keepsake directly
 * and answers only those who may act as the owner of connections.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/bloomfilter.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "compat.h"
#include "keepsake.h"
#include "mapping.h"
#include "sql.h"

PG_FUNCTION_INFO_V1(crd_kept_type);
PG_FUNCTION_INFO_V1(crd_label_was_null);

static List *dictionary_of_census(const CrdCensus *census);
static char *rolled_back_rows(const CrdSchema *schema,
							  const CrdKeepsake *keepsake,
							  const CrdWayBack *way,
							  const char *relation);
static Relation open_kept(CrdKeptRows rows);
static bool lacks(bloom_filter *filter, const char *key);
static HeapTuple probe(Relation rel, const char *key, SysScanDesc *scan);
static void check_may_read(FunctionCallInfo fcinfo);
static char *text_array(const CrdRows *rows, int column);

CrdKeepsake *
crd_keepsake_read(bool up)
{
	CrdKeepsake *keepsake = palloc0(sizeof(CrdKeepsake));
	Oid			owner = crd_extension_owner();
	CrdRows    *rows;

	/* what a partition had that is gone, or goes by another name, is lost */
	rows = crd_fetch(owner, "WITH tables AS ("
					 " SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
					 " WHERE n.nspname = 'connections' AND c.relname IN ('connections', 'available_connections')), "
					 "tree AS ("
					 " SELECT c.oid::regclass::text AS relation, quote_ident(n.nspname) AS schema, c.relkind = 'p' AS partitioned"
					 " FROM (SELECT oid FROM tables UNION SELECT p.relid FROM tables CROSS JOIN pg_partition_tree(oid) p) t"
					 " JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace) "
					 "SELECT step, direction <> $1, seq, name, type, not_null, not_null_name, statement, k.relation, schema, partitioned,"
					 "  of_column, grantor, grantee, keys, condition, nulls_distinct,"
					 "  (SELECT min(role) FROM unnest(ARRAY[grantor, grantee]) role WHERE role NOT IN (SELECT rolname FROM pg_roles))"
					 " FROM connections_redesign.kept_ddl k LEFT JOIN tree t ON t.relation = k.relation"
					 " WHERE k.relation IS NULL OR t.relation IS NOT NULL OR statement IS NOT NULL ORDER BY step, seq", 1,
					 up ? "up" : "down");
	for (int i = 0; i < rows->nrows; i++)
	{
		const char *const *row = rows->row[i];
		int			step = atoi(row[0]);

		keepsake->has_ddl[step] = true;
		if (!crd_is_true(row[1]))
			continue;
		if (row[7] == NULL && row[8])
		{
			CrdNotNull *not_null = palloc(sizeof(CrdNotNull));

			not_null->relation = row[8];
			not_null->name = row[6];
			not_null->column = row[3];
			keepsake->own_not_null[step] = lappend(keepsake->own_not_null[step], not_null);
		}
		else if (row[7] == NULL)
		{
			CrdKeptColumn *column = palloc(sizeof(CrdKeptColumn));

			column->name = row[3];
			column->type = row[4];
			column->not_null = crd_is_true(row[5]);
			column->not_null_name = row[6];
			keepsake->columns[step] = lappend(keepsake->columns[step], column);
		}
		else if (row[8] && row[9] == NULL)
			keepsake->lost[step] =
				lappend(keepsake->lost[step],
						psprintf("%s, as there is no partition %s", row[7], row[8]));
		else if (row[17])
			keepsake->lost[step] =
				lappend(keepsake->lost[step],
						psprintf("%s, as role \"%s\" does not exist", row[7], row[17]));
		else
		{
			CrdKeptStatement *kept = palloc0(sizeof(CrdKeptStatement));

			kept->seq = pg_strtoint32(row[2]);
			kept->constraint = row[3];
			kept->statement = row[7];
			kept->relation = row[8];
			kept->schema = row[9];
			kept->partitioned = crd_is_true(row[10]);
			kept->of_column = crd_is_true(row[11]);
			kept->grantor = row[12];
			kept->grantee = row[13];
			kept->keys = row[14];
			kept->condition = row[15];
			kept->nulls_distinct = crd_is_true(row[16]);
			keepsake->statements[step] = lappend(keepsake->statements[step], kept);
		}
	}

	rows = crd_fetch(owner, "SELECT id, slug, display_name, auth_type"
					 " FROM connections_redesign.kept_catalog ORDER BY slug", 0);
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdKeptRow *kept = palloc(sizeof(CrdKeptRow));

		kept->id = rows->row[i][0];
		kept->slug = rows->row[i][1];
		kept->display_name = rows->row[i][2];
		kept->auth_type = rows->row[i][3];
		keepsake->rows = lappend(keepsake->rows, kept);
	}

	rows = crd_fetch(owner, "SELECT available_connection_id, type"
					 " FROM connections_redesign.kept_type_dictionary ORDER BY 1", 0);
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdKeptType *kept = palloc0(sizeof(CrdKeptType));

		kept->id = rows->row[i][0];
		kept->type = rows->row[i][1];
		keepsake->types = lappend(keepsake->types, kept);
	}

	rows = crd_fetch(owner, "SELECT EXISTS (SELECT FROM connections_redesign.kept_type_exception),"
					 " EXISTS (SELECT FROM connections_redesign.kept_null_label),"
					 " (SELECT min(expression) FROM connections_redesign.kept_key)", 0);
	keepsake->has_exceptions = crd_is_true(rows->row[0][0]);
	keepsake->has_null_labels = crd_is_true(rows->row[0][1]);
	keepsake->key = rows->row[0][2];
	return keepsake;
}

bool
crd_kept_by_other_key(const CrdSchema *schema, const CrdKeepsake *keepsake)
{
	return (keepsake->has_exceptions || keepsake->has_null_labels) &&
		keepsake->key && schema->key && strcmp(keepsake->key, schema->key) != 0;
}

const CrdKeptColumn *
crd_kept_column(const CrdKeepsake *keepsake, int step, const char *name)
{
	ListCell   *lc;

	foreach(lc, keepsake->columns[step])
	{
		CrdKeptColumn *column = lfirst(lc);

		if (strcmp(column->name, name) == 0)
			return column;
	}
	return NULL;
}

bool
crd_kept_not_null(const CrdKeepsake *keepsake, int step, const char *name)
{
	const CrdKeptColumn *kept = crd_kept_column(keepsake, step, name);

	return kept == NULL || kept->not_null;
}

const CrdKeptRow *
crd_kept_row(const CrdKeepsake *keepsake, const CrdCatalogRow *row)
{
	ListCell   *lc;

	foreach(lc, keepsake->rows)
	{
		CrdKeptRow *kept = lfirst(lc);

		if (strcmp(kept->id, row->id) == 0 && row->slug &&
			strcmp(kept->slug, row->slug) == 0)
			return kept;
	}
	return NULL;
}

List *
crd_dictionary(const CrdSchema *schema, const CrdCensus *census)
{
	List	   *result = NIL;
	CrdRows    *rows;

	if (!crd_ids_filled(schema))
		return dictionary_of_census(census);
	rows = crd_fetch(crd_owner(schema, CRD_CONNECTIONS),
					 "SELECT id::text COLLATE \"C\", sum(n), (array_agg(type ORDER BY n DESC, type))[1], count(*) > 1"
					 " FROM (SELECT available_connection_id AS id, type::text COLLATE \"C\" AS type, count(*) AS n"
					 "  FROM connections.connections WHERE available_connection_id IS NOT NULL GROUP BY 1, 2) t"
					 " GROUP BY 1 ORDER BY 1", 0);
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdKeptType *kept = palloc(sizeof(CrdKeptType));

		kept->id = rows->row[i][0];
		kept->count = pg_strtoint64(rows->row[i][1]);
		kept->type = rows->row[i][2];
		kept->exceptions = crd_is_true(rows->row[i][3]);
		result = lappend(result, kept);
	}
	return result;
}

/* By catalog row, then type, NULL last. */
static int
compare_types(const void *a, const void *b)
{
	const CrdTypeCount *x = a;
	const CrdTypeCount *y = b;

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	if (x->type == NULL || y->type == NULL)
		return (x->type == NULL) - (y->type == NULL);
	return strcmp(x->type, y->type);
}

static List *
dictionary_of_census(const CrdCensus *census)
{
	List	   *result = NIL;
	CrdKeptType *kept = NULL;
	int64		most = 0;

	qsort(census->types, census->ntypes, sizeof(CrdTypeCount), compare_types);
	for (int i = 0; i < census->ntypes;)
	{
		const CrdTypeCount *first = &census->types[i];
		int64		count = 0;

		for (; i < census->ntypes && compare_types(first, &census->types[i]) == 0; i++)
			count += census->types[i].count;
		if (first->row == NULL)
			continue;
		if (kept == NULL || kept->id != first->row->id)
		{
			kept = palloc0(sizeof(CrdKeptType));
			kept->id = first->row->id;
			result = lappend(result, kept);
			most = 0;
		}
		kept->exceptions = kept->count > 0;
		kept->count += count;
		if (count > most)
		{
			most = count;
			kept->type = first->type;
		}
	}
	return result;
}

const CrdKeptType *
crd_kept_type_of(const List *types, const char *id)
{
	ListCell   *lc;

	foreach(lc, types)
	{
		CrdKeptType *kept = lfirst(lc);

		if (strcmp(kept->id, id) == 0)
			return kept;
	}
	return NULL;
}

const char **
crd_type_literals(const CrdSchema *schema, const List *types)
{
	const char **literals = palloc(sizeof(char *) * (schema->nrows + 1));

	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdKeptType *kept = crd_kept_type_of(types, schema->rows[i].id);

		literals[i] = crd_literal(kept ? kept->type : NULL);
	}
	return literals;
}


/* The way back over step 4 */

CrdWayBack *
crd_way_back(const CrdSchema *schema, const CrdKeepsake *keepsake)
{
	CrdWayBack *way = palloc(sizeof(CrdWayBack));
	const char **providers = palloc(sizeof(char *) * (schema->nrows + 1));
	const char **types = palloc(sizeof(char *) * (schema->nrows + 1));
	const char **type_literals = palloc(sizeof(char *) * (schema->nrows + 1));
	const char **ids = palloc(sizeof(char *) * (schema->nrows + 1));
	const char **capabilities = palloc(sizeof(char *) * (schema->nrows + 1));
	const char *capability;
	StringInfoData unknown;

	initStringInfo(&unknown);
	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdCatalogRow *row = &schema->rows[i];
		const CrdKeptType *kept = crd_kept_type_of(keepsake->types, row->id);

		providers[i] = quote_literal_cstr(row->provider);
		ids[i] = quote_literal_cstr(row->id);
		capabilities[i] = crd_literal(row->capability);
		types[i] = kept ? kept->type : row->auth_type;
		type_literals[i] = crd_literal(types[i]);
		if (!kept)
			appendStringInfo(&unknown, "%s%s", unknown.len ? ", " : "",
							 crd_id_literals(schema)[i]);
	}
	way->provider = crd_by_id_expr(schema, providers);
	way->types = types;
	way->type = crd_by_id_expr(schema, type_literals);
	if (keepsake->has_exceptions)
		way->type = psprintf("connections_redesign.kept_type(%s, %s, %s)",
							 schema->key, crd_by_id_expr(schema, ids), way->type);
	way->type_unknown = unknown.len ?
		psprintf("available_connection_id IN (%s)", unknown.data) : "false";
	if (unknown.len && keepsake->has_exceptions)
		way->type_unknown = psprintf("%s AND connections_redesign.kept_type(%s, %s, E'\\x01') = E'\\x01'",
									 way->type_unknown, schema->key,
									 crd_by_id_expr(schema, ids));

	if (crd_kept_not_null(keepsake, 4, "name"))
	{
		way->label_changes = "label IS NULL";
		way->label = psprintf("coalesce(label::text, '')::%s",
							  schema->column[CRD_LABEL].type);
	}
	else
	{
		way->label_changes = "false";
		way->label = "label";
	}

	capability = psprintf("(%s)", crd_by_id_expr(schema, capabilities));
	way->config_changes = psprintf("%s <> coalesce(%s, '')", capability,
								   crd_capability_expr(schema));
	if (schema->column[CRD_CONFIG].base_type == JSONBOID)
		way->config = psprintf("CASE WHEN %s THEN jsonb_set(coalesce(config, '{}'), '{capability}', to_jsonb(%s)) ELSE config END",
							   way->config_changes, capability);
	else
		way->config = psprintf("CASE WHEN %s THEN connections_redesign.set_capability(coalesce(config, '{}'), %s) ELSE config END",
							   way->config_changes, capability);
	return way;
}

CrdWayBackCounts *
crd_way_back_counts(const CrdSchema *schema, const CrdWayBack *way)
{
	CrdWayBackCounts *counts = palloc(sizeof(CrdWayBackCounts));
	const char *type_of = schema->column[CRD_CONFIG].base_type == JSONBOID ?
	"jsonb_typeof(config)" : "json_typeof(config)";
	const char *refuses = psprintf("%s AND %s <> 'object'",
								   way->config_changes, type_of);
	CrdRows    *rows;

	rows = crd_fetch(crd_owner(schema, CRD_CONNECTIONS),
					 psprintf("SELECT count(*), count(*) FILTER (WHERE %s),"
							  " count(*) FILTER (WHERE %s), count(*) FILTER (WHERE %s),"
							  " array_to_string(connections_redesign.least_keys(%s) FILTER (WHERE %s), ', '),"
							  " count(*) FILTER (WHERE %s)"
							  " FROM connections.connections",
							  way->label_changes, way->config_changes, refuses, schema->key,
							  refuses, way->type_unknown), 0);
	counts->total = pg_strtoint64(rows->row[0][0]);
	counts->null_labels = pg_strtoint64(rows->row[0][1]);
	counts->config_changes = pg_strtoint64(rows->row[0][2]);
	counts->config_refuses = pg_strtoint64(rows->row[0][3]);
	counts->config_samples = rows->row[0][4];
	counts->type_unknown = pg_strtoint64(rows->row[0][5]);
	return counts;
}

bool
crd_way_back_violations(const CrdSchema *schema, const CrdKeepsake *keepsake,
						const CrdWayBack *way, const CrdKeptStatement *enforced,
						bool there_now, const char **violations)
{
	char	   *rows = rolled_back_rows(schema, keepsake, way, enforced->relation);
	StringInfoData keys;
	char	   *query;
	CrdRows    *found;

	if (enforced->keys == NULL)
		query = psprintf("SELECT array_to_string(connections_redesign.least_keys(%s), ', ')"
						 " FROM (%s%s) connections WHERE NOT (%s)",
						 schema->key, rows, there_now ?
						 psprintf(" WHERE %s OR %s", way->label_changes, way->config_changes) : "",
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
		query = psprintf("SELECT array_to_string(connections_redesign.least_keys(key), ', ') FROM ("
						 "SELECT min((%s) COLLATE \"C\") AS key FROM (%s) connections WHERE (%s)%s"
						 " GROUP BY %s HAVING count(*) > 1"
						 " UNION ALL "
						 "SELECT max((%s) COLLATE \"C\") FROM (%s) connections WHERE (%s)%s"
						 " GROUP BY %s HAVING count(*) > 1) t",
						 schema->key, rows,
						 enforced->condition ? enforced->condition : "true",
						 not_null.data, keys.data,
						 schema->key, rows,
						 enforced->condition ? enforced->condition : "true",
						 not_null.data, keys.data);
	}
	if (!crd_try_fetch(crd_owner(schema, CRD_CONNECTIONS), query, NULL, &found))
		return false;
	*violations = found->nrows > 0 ? found->row[0][0] : NULL;
	return true;
}

bool
crd_value_fits(const CrdSchema *schema, CrdTable table, const char *value,
			   const char *type)
{
	CrdRows    *rows;

	return crd_try_fetch(crd_owner(schema, table),
						 psprintf("SELECT rtrim(($1::%s)::text) = rtrim($1)", type),
						 value, &rows) &&
		crd_is_true(rows->row[0][0]);
}

/*
 * What refuses the connection as it is, such as one that breaks a constraint which
 * is NOT VALID, does not count.
 */
bool
crd_refuses_empty_name(const CrdSchema *schema, const CrdKeepsake *keepsake,
					   const CrdWayBack *way, const CrdKeptStatement *enforced)
{
	CrdWayBack	empty = *way;
	CrdRows    *rows;

	if (enforced->keys)
		return false;
	empty.label = psprintf("''::%s", schema->column[CRD_LABEL].type);
	return crd_try_fetch(crd_owner(schema, CRD_CONNECTIONS),
						 psprintf("WITH first AS MATERIALIZED (SELECT * FROM %s LIMIT 1000)"
								  " SELECT EXISTS (SELECT %s FROM (%s) connections WHERE NOT (%s)"
								  " EXCEPT SELECT %s FROM (%s) connections WHERE NOT (%s))",
								  enforced->relation,
								  schema->key, rolled_back_rows(schema, keepsake, &empty, "first"),
								  enforced->condition,
								  schema->key, rolled_back_rows(schema, keepsake, way, "first"),
								  enforced->condition),
						 NULL, &rows) &&
		crd_is_true(rows->row[0][0]);
}

/*
 * The table, or a partition, as a subquery, as it will be when step 4 is undone:
 * constraints that were kept use the legacy names, those that are there the new
 * ones.
 */
static char *
rolled_back_rows(const CrdSchema *schema, const CrdKeepsake *keepsake,
				 const CrdWayBack *way, const char *relation)
{
	const CrdKeptColumn *provider = crd_kept_column(keepsake, 4, "provider");
	const CrdKeptColumn *type = crd_kept_column(keepsake, 4, "type");
	CrdRows    *others;

	others = crd_fetch(CRD_CALLER,
					   "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
					   " WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped"
					   " AND attname NOT IN ('label', 'config', 'provider', 'type')", 1,
					   psprintf("%u", schema->relation[CRD_CONNECTIONS].relid));
	return psprintf("SELECT %s, %s AS label, %s AS name, %s AS config,"
					" (%s)::%s AS provider, (%s)::%s AS type FROM %s connections",
					others->row[0][0], way->label, way->label, way->config,
					way->provider, provider ? provider->type : "text",
					way->type, type ? type->type : "text", relation);
}


/*
 * Rows that the plan's queries keep, or triggers, in transactions that may be
 * REPEATABLE READ and older than what the walk has kept.
 */

void
crd_keep_exceptions(const CrdRows *rows, void *arg)
{
	crd_run_latest(crd_extension_owner(),
				   "INSERT INTO connections_redesign.kept_type_exception (key, available_connection_id, type)"
				   " SELECT * FROM unnest($1::text[], $2::text[], $3::text[])"
				   " ON CONFLICT (key) DO UPDATE SET available_connection_id = excluded.available_connection_id, type = excluded.type", 3,
				   text_array(rows, 0), text_array(rows, 1), text_array(rows, 2));
}

void
crd_keep_null_labels(const CrdRows *rows, void *arg)
{
	crd_run_latest(crd_extension_owner(),
				   "INSERT INTO connections_redesign.kept_null_label (key)"
				   " SELECT * FROM unnest($1::text[]) ON CONFLICT DO NOTHING", 1,
				   text_array(rows, 0));
}

void
crd_forget_exception(const char *key)
{
	crd_run_latest(crd_extension_owner(),
				   "DELETE FROM connections_redesign.kept_type_exception WHERE key = $1", 1,
				   key);
}

/* A column of the rows, as a text[] reads. */
static char *
text_array(const CrdRows *rows, int column)
{
	Datum	   *values = palloc(sizeof(Datum) * rows->nrows);
	bool	   *nulls = palloc(sizeof(bool) * rows->nrows);
	int			lower = 1;
	ArrayType  *array;

	for (int i = 0; i < rows->nrows; i++)
	{
		const char *value = rows->row[i][column];

		nulls[i] = value == NULL;
		values[i] = value ? CStringGetTextDatum(value) : (Datum) 0;
	}
	array = construct_md_array(values, nulls, 1, unconstify(int *, &rows->nrows),
							   &lower, TEXTOID, -1, false, TYPALIGN_INT);
	return OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(array));
}


/* Looking rows up while many are written */

static const char *const kept_tables[] = {
	[CRD_EXCEPTIONS] = "kept_type_exception",
	[CRD_NULL_LABELS] = "kept_null_label",
};

/*
 * connections_redesign.kept_type(key, available_connection_id, otherwise) is
 * the type that a connection had when step 4 was applied, if it is an exception
 * to the dictionary and still points where it did; else "otherwise".
 */
Datum
crd_kept_type(PG_FUNCTION_ARGS)
{
	const char *type;

	if (fcinfo->flinfo->fn_extra == NULL)
	{
		check_may_read(fcinfo);
		fcinfo->flinfo->fn_extra = crd_kept_filter(CRD_EXCEPTIONS,
												   fcinfo->flinfo->fn_mcxt);
	}
	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1) &&
		crd_find_exception(fcinfo->flinfo->fn_extra,
						   text_to_cstring(PG_GETARG_TEXT_PP(0)),
						   text_to_cstring(PG_GETARG_TEXT_PP(1)), &type))
	{
		if (type == NULL)
			PG_RETURN_NULL();
		PG_RETURN_TEXT_P(cstring_to_text(type));
	}
	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	return PG_GETARG_DATUM(2);
}

/*
 * connections_redesign.label_was_null(key) is whether the connection's label
 * was NULL when step 4 was undone.
 */
Datum
crd_label_was_null(PG_FUNCTION_ARGS)
{
	if (fcinfo->flinfo->fn_extra == NULL)
	{
		check_may_read(fcinfo);
		fcinfo->flinfo->fn_extra = crd_kept_filter(CRD_NULL_LABELS,
												   fcinfo->flinfo->fn_mcxt);
	}
	PG_RETURN_BOOL(crd_find_null_label(fcinfo->flinfo->fn_extra,
									   text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

bloom_filter *
crd_kept_filter(CrdKeptRows rows, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rel = open_kept(rows);
	bloom_filter *filter;
	SysScanDesc scan;
	HeapTuple	tuple;

	/* rows are 60 bytes or more; a wrong guess only costs accuracy */
	filter = bloom_create((int64) RelationGetNumberOfBlocks(rel) * (BLCKSZ / 60) + 1,
						  work_mem, 0);
	scan = systable_beginscan(rel, InvalidOid, false, GetActiveSnapshot(), 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		text	   *key = DatumGetTextPP(heap_getattr(tuple, 1, RelationGetDescr(rel),
													  &isnull));

		CHECK_FOR_INTERRUPTS();
		bloom_add_element(filter, (unsigned char *) VARDATA_ANY(key),
						  VARSIZE_ANY_EXHDR(key));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	MemoryContextSwitchTo(old);
	return filter;
}

bool
crd_find_exception(bloom_filter *filter, const char *key, const char *id,
				   const char **type)
{
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	if (lacks(filter, key))
		return false;
	rel = open_kept(CRD_EXCEPTIONS);
	tuple = probe(rel, key, &scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, 2, RelationGetDescr(rel), &isnull);

		found = strcmp(TextDatumGetCString(value), id) == 0;
		if (found)
		{
			value = heap_getattr(tuple, 3, RelationGetDescr(rel), &isnull);
			*type = isnull ? NULL : TextDatumGetCString(value);
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

bool
crd_find_null_label(bloom_filter *filter, const char *key)
{
	Relation	rel;
	SysScanDesc scan;
	bool		found;

	if (lacks(filter, key))
		return false;
	rel = open_kept(CRD_NULL_LABELS);
	found = HeapTupleIsValid(probe(rel, key, &scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static bool
lacks(bloom_filter *filter, const char *key)
{
	return filter && bloom_lacks_element(filter, (unsigned char *) key, strlen(key));
}

static Relation
open_kept(CrdKeptRows rows)
{
	return table_open(get_relname_relid(kept_tables[rows],
										get_namespace_oid("connections_redesign", false)),
					  AccessShareLock);
}

/* Find the row with that key by the primary key, its first column. */
static HeapTuple
probe(Relation rel, const char *key, SysScanDesc *scan)
{
	ScanKeyData scankey;

	ScanKeyInit(&scankey, 1, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(key));
	*scan = systable_beginscan(rel, RelationGetPrimaryKeyIndex(rel, false), true,
							   GetActiveSnapshot(), 1, &scankey);
	return systable_getnext(*scan);
}

/*
 * The keepsake says what connections held: only who may act as its owner may
 * ask.
 */
static void
check_may_read(FunctionCallInfo fcinfo)
{
	HeapTuple	tuple;
	bool		may;

	tuple = SearchSysCache2(RELNAMENSP, CStringGetDatum("connections"),
							ObjectIdGetDatum(get_namespace_oid("connections", true)));
	may = HeapTupleIsValid(tuple) &&
		has_privs_of_role(GetUserId(),
						  ((Form_pg_class) GETSTRUCT(tuple))->relowner);
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (!may)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s",
						get_func_name(fcinfo->flinfo->fn_oid)),
				 errdetail("Only the owner of the tables may ask what was kept of them.")));
}
