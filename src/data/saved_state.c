/*-------------------------------------------------------------------------
 *
 * saved_state.c
 *	  The state that a rollback needs: columns and DDL, the type of each
 *	  connection, the labels that were NULL, the entries.
 *
 * Types are saved as one entry type for each entry, and one connection type by key
 * for each connection that differs.  The tables belong to the extension's owner,
 * and no other role can read or write them.  A rewrite of connections looks up
 * the connection type of a row with connections_redesign.saved_type(), which
 * answers only roles that have the privileges of the owner of connections.
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
#include "data/saved_state.h"
#include "data/mapping.h"
#include "base/sql_exec.h"

PG_FUNCTION_INFO_V1(crd_saved_type);
PG_FUNCTION_INFO_V1(crd_saved_label_was_null);

static void read_columns(CrdSavedState *saved, CrdDirection direction);
static void read_ddl(CrdSavedState *saved, CrdDirection direction);
static List *entry_types_of_summary(const CrdMappingSummary *summary);
static Relation open_saved(CrdSavedKind rows);
static bool lacks(bloom_filter *filter, const char *key);
static HeapTuple probe(Relation rel, const char *key, SysScanDesc *scan);
static void check_may_read(FunctionCallInfo fcinfo);
static char *text_array(const CrdResult *rows, int column);

CrdSavedState *
crd_saved_state_read(CrdDirection direction)
{
	CrdSavedState *saved = palloc0(sizeof(CrdSavedState));
	Oid			owner = crd_extension_owner();
	CrdResult  *rows;

	read_columns(saved, direction);
	read_ddl(saved, direction);

	rows = crd_query(owner, "SELECT id, slug, display_name, auth_type"
					 " FROM connections_redesign.saved_entry ORDER BY slug", 0);
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdSavedEntry *entry_type = palloc(sizeof(CrdSavedEntry));

		entry_type->id = rows->row[i][0];
		entry_type->slug = rows->row[i][1];
		entry_type->display_name = rows->row[i][2];
		entry_type->auth_type = rows->row[i][3];
		saved->entries = lappend(saved->entries, entry_type);
	}

	rows = crd_query(owner, "SELECT available_connection_id, type"
					 " FROM connections_redesign.saved_entry_type ORDER BY 1", 0);
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdEntryType *entry_type = palloc0(sizeof(CrdEntryType));

		entry_type->id = rows->row[i][0];
		entry_type->type = rows->row[i][1];
		saved->entry_types = lappend(saved->entry_types, entry_type);
	}

	rows = crd_query(owner, "SELECT EXISTS (SELECT FROM connections_redesign.saved_connection_type),"
					 " EXISTS (SELECT FROM connections_redesign.saved_null_label),"
					 " EXISTS (SELECT FROM connections_redesign.saved_index),"
					 " (SELECT min(expression) FROM connections_redesign.saved_key_expression)", 0);
	saved->has_connection_types = crd_is_true(rows->row[0][0]);
	saved->has_null_labels = crd_is_true(rows->row[0][1]);
	saved->index_predates = crd_is_true(rows->row[0][2]);
	saved->pk_text_expr = rows->row[0][3];
	return saved;
}

static void
read_columns(CrdSavedState *saved, CrdDirection direction)
{
	CrdResult  *rows = crd_query(crd_extension_owner(),
								 "SELECT step, direction <> $1, name, type, not_null, not_null_conname"
								 " FROM connections_redesign.saved_column ORDER BY step, name", 1,
								 crd_direction_names[direction]);

	for (int i = 0; i < rows->nrows; i++)
	{
		const char *const *row = rows->row[i];
		int			step = pg_strtoint32(row[0]);
		CrdSavedColumn *column = palloc(sizeof(CrdSavedColumn));

		saved->has_columns[step] = true;
		if (!crd_is_true(row[1]))
			continue;
		column->name = row[2];
		column->type = row[3];
		column->not_null = crd_is_true(row[4]);
		column->not_null_conname = row[5];
		saved->columns[step] = lappend(saved->columns[step], column);
	}
}

/*
 * A statement for a partition that was dropped or renamed, or with a role that
 * was, cannot be run.
 */
static void
read_ddl(CrdSavedState *saved, CrdDirection direction)
{
	CrdResult  *rows = crd_query(crd_extension_owner(),
								 "WITH tables AS ("
								 " SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
								 " WHERE n.nspname = 'connections' AND c.relname IN ('connections', 'available_connections')), "
								 "tree AS ("
								 " SELECT c.oid::regclass::text AS rel, c.relkind = 'p' AS partitioned"
								 " FROM (SELECT oid FROM tables UNION SELECT p.relid FROM tables CROSS JOIN pg_partition_tree(oid) p) t"
								 " JOIN pg_class c ON c.oid = t.oid) "
								 "SELECT " CRD_SAVED_DDL_COLUMNS ", step, direction <> $1, seq, created, rel IS NOT NULL, partitioned,"
								 " (SELECT min(role) FROM unnest(ARRAY[grantor, grantee]) role WHERE role NOT IN (SELECT rolname FROM pg_roles))"
								 " FROM connections_redesign.saved_ddl LEFT JOIN tree ON rel = relation ORDER BY step, seq", 1,
								 crd_direction_names[direction]);
	ListCell   *lc;

	foreach(lc, crd_saved_ddl_list(rows))
	{
		CrdSavedDdl *ddl = lfirst(lc);
		const char *const *row = ddl->values + CRD_SAVED_DDL_NCOLUMNS;
		int			step = pg_strtoint32(row[0]);

		saved->has_ddl[step] = true;
		if (!crd_is_true(row[1]))
			continue;
		ddl->seq = pg_strtoint32(row[2]);
		ddl->created = crd_is_true(row[3]);
		ddl->partitioned = crd_is_true(row[5]);
		if (!crd_is_true(row[4]))
			saved->unrestorable[step] =
				lappend(saved->unrestorable[step],
						psprintf("%s, as there is no partition %s", crd_saved_ddl_statement(ddl), ddl->relation));
		else if (row[6])
			saved->unrestorable[step] =
				lappend(saved->unrestorable[step],
						psprintf("%s, as role \"%s\" does not exist", crd_saved_ddl_statement(ddl), row[6]));
		else if (ddl->kind == CRD_DDL_NOT_NULL)
			saved->partition_not_nulls[step] = lappend(saved->partition_not_nulls[step], ddl);
		else
			saved->ddl[step] = lappend(saved->ddl[step], ddl);
	}
}

bool
crd_saved_by_other_key(const CrdSchema *schema, const CrdSavedState *saved)
{
	return (saved->has_connection_types || saved->has_null_labels) &&
		saved->pk_text_expr && schema->pk_text_expr && strcmp(saved->pk_text_expr, schema->pk_text_expr) != 0;
}

const CrdSavedColumn *
crd_saved_column(const CrdSavedState *saved, int step, const char *name)
{
	ListCell   *lc;

	foreach(lc, saved->columns[step])
	{
		CrdSavedColumn *column = lfirst(lc);

		if (strcmp(column->name, name) == 0)
			return column;
	}
	return NULL;
}

bool
crd_saved_not_null(const CrdSavedState *saved, int step, const char *name)
{
	const CrdSavedColumn *saved_column = crd_saved_column(saved, step, name);

	return saved_column == NULL || saved_column->not_null;
}

const CrdSavedEntry *
crd_saved_entry(const CrdSavedState *saved, const CrdEntryRow *entry)
{
	ListCell   *lc;

	foreach(lc, saved->entries)
	{
		CrdSavedEntry *saved_entry = lfirst(lc);

		if (strcmp(saved_entry->id, entry->id) == 0 && entry->slug &&
			strcmp(saved_entry->slug, entry->slug) == 0)
			return saved_entry;
	}
	return NULL;
}

List *
crd_entry_types(const CrdSchema *schema, const CrdMappingSummary *summary)
{
	List	   *result = NIL;
	CrdResult  *rows;

	if (!crd_has_filled_ids(schema))
		return entry_types_of_summary(summary);
	rows = crd_query(crd_owner(schema, CRD_CONNECTIONS),
					 "SELECT id::text COLLATE \"C\", sum(n), (array_agg(type ORDER BY n DESC, type))[1], count(*) > 1"
					 " FROM (SELECT available_connection_id AS id, type::text COLLATE \"C\" AS type, count(*) AS n"
					 "  FROM connections.connections WHERE available_connection_id IS NOT NULL GROUP BY 1, 2) t"
					 " GROUP BY 1 ORDER BY 1", 0);
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdEntryType *entry_type = palloc(sizeof(CrdEntryType));

		entry_type->id = rows->row[i][0];
		entry_type->count = pg_strtoint64(rows->row[i][1]);
		entry_type->type = rows->row[i][2];
		entry_type->has_connection_types = crd_is_true(rows->row[i][3]);
		result = lappend(result, entry_type);
	}
	return result;
}

/* By entry, then type, NULL last. */
static int
compare_types(const void *a, const void *b)
{
	const CrdTypeCount *x = a;
	const CrdTypeCount *y = b;

	if (x->entry != y->entry)
		return x->entry < y->entry ? -1 : 1;
	if (x->type == NULL || y->type == NULL)
		return (x->type == NULL) - (y->type == NULL);
	return strcmp(x->type, y->type);
}

static List *
entry_types_of_summary(const CrdMappingSummary *summary)
{
	List	   *result = NIL;
	CrdEntryType *entry_type = NULL;
	int64		most = 0;

	qsort(summary->types, summary->ntypes, sizeof(CrdTypeCount), compare_types);
	for (int i = 0; i < summary->ntypes;)
	{
		const CrdTypeCount *first = &summary->types[i];
		int64		count = 0;

		for (; i < summary->ntypes && compare_types(first, &summary->types[i]) == 0; i++)
			count += summary->types[i].count;
		if (first->entry == NULL)
			continue;
		if (entry_type == NULL || entry_type->id != first->entry->id)
		{
			entry_type = palloc0(sizeof(CrdEntryType));
			entry_type->id = first->entry->id;
			result = lappend(result, entry_type);
			most = 0;
		}
		entry_type->has_connection_types = entry_type->count > 0;
		entry_type->count += count;
		if (count > most)
		{
			most = count;
			entry_type->type = first->type;
		}
	}
	return result;
}

const CrdEntryType *
crd_find_entry_type(const List *types, const char *id)
{
	ListCell   *lc;

	foreach(lc, types)
	{
		CrdEntryType *entry_type = lfirst(lc);

		if (strcmp(entry_type->id, id) == 0)
			return entry_type;
	}
	return NULL;
}

const char **
crd_type_literals(const CrdSchema *schema, const List *types)
{
	const char **literals = palloc(sizeof(char *) * (schema->nentries + 1));

	for (int i = 0; i < schema->nentries; i++)
	{
		const CrdEntryType *entry_type = crd_find_entry_type(types, schema->entries[i].id);

		literals[i] = crd_quote_nullable(entry_type ? entry_type->type : NULL);
	}
	return literals;
}


/*
 * Saving rows that queries or triggers return.  Their transactions may be REPEATABLE
 * READ, with snapshots older than the rows that a backfill has saved.
 */

void
crd_save_connection_types(const CrdResult *rows, void *arg)
{
	crd_exec_latest_snapshot(crd_extension_owner(),
							 "INSERT INTO connections_redesign.saved_connection_type (key, available_connection_id, type)"
							 " SELECT * FROM unnest($1::text[], $2::text[], $3::text[])"
							 " ON CONFLICT (key) DO UPDATE SET available_connection_id = excluded.available_connection_id, type = excluded.type", 3,
							 text_array(rows, 0), text_array(rows, 1), text_array(rows, 2));
}

void
crd_save_null_labels(const CrdResult *rows, void *arg)
{
	crd_exec_latest_snapshot(crd_extension_owner(),
							 "INSERT INTO connections_redesign.saved_null_label (key)"
							 " SELECT * FROM unnest($1::text[]) ON CONFLICT DO NOTHING", 1,
							 text_array(rows, 0));
}

void
crd_delete_connection_type(const char *key)
{
	crd_exec_latest_snapshot(crd_extension_owner(),
							 "DELETE FROM connections_redesign.saved_connection_type WHERE key = $1", 1,
							 key);
}

/* A column of the rows, as a text[] reads. */
static char *
text_array(const CrdResult *rows, int column)
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

static const char *const saved_tables[] = {
	[CRD_CONNECTION_TYPES] = "saved_connection_type",
	[CRD_NULL_LABELS] = "saved_null_label",
};

/*
 * connections_redesign.saved_type(key, available_connection_id, otherwise) is
 * the type that a connection had when step 4 was applied, if that was saved by key
 * and the connection still points to the same entry; else "otherwise".
 */
Datum
crd_saved_type(PG_FUNCTION_ARGS)
{
	const char *type;

	if (fcinfo->flinfo->fn_extra == NULL)
	{
		check_may_read(fcinfo);
		fcinfo->flinfo->fn_extra = crd_saved_filter(CRD_CONNECTION_TYPES,
													fcinfo->flinfo->fn_mcxt);
	}
	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1) &&
		crd_find_connection_type(fcinfo->flinfo->fn_extra,
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
 * connections_redesign.saved_label_was_null(key) is whether the connection's label
 * was NULL when step 4 was undone.
 */
Datum
crd_saved_label_was_null(PG_FUNCTION_ARGS)
{
	if (fcinfo->flinfo->fn_extra == NULL)
	{
		check_may_read(fcinfo);
		fcinfo->flinfo->fn_extra = crd_saved_filter(CRD_NULL_LABELS,
													fcinfo->flinfo->fn_mcxt);
	}
	PG_RETURN_BOOL(crd_find_null_label(fcinfo->flinfo->fn_extra,
									   text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

bloom_filter *
crd_saved_filter(CrdSavedKind rows, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rel = open_saved(rows);
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
crd_find_connection_type(bloom_filter *filter, const char *key, const char *id,
						 const char **type)
{
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	if (lacks(filter, key))
		return false;
	rel = open_saved(CRD_CONNECTION_TYPES);
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
	rel = open_saved(CRD_NULL_LABELS);
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
open_saved(CrdSavedKind rows)
{
	return table_open(get_relname_relid(saved_tables[rows],
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

/* Saved state contains data of connections, so only its owner may read it. */
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
				 errdetail("Only the owner of table connections.connections can read its saved state.")));
}
