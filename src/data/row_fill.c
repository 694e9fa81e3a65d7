/*-------------------------------------------------------------------------
 *
 * row_fill.c
 *	  One row from one shape to the other, as a sync trigger or a backfill needs it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/sql_exec.h"
#include "compat.h"
#include "data/config_capability.h"
#include "data/row_fill.h"

static bool is_connections(Relation rel);
static void open_column(CrdRowColumn *column, Relation rel, int attnum);
static void open_key(CrdRowFill *fill, Relation rel);
static bool depends_on_settings(Oid type);
static Datum column_value(TupleDesc desc, int attnum, const char *value);
static const CrdRowEntry *entry_of_legacy(CrdRowFill *fill, HeapTuple tuple,
										  TupleDesc desc);
static const CrdRowEntry *entry_of_id(CrdRowFill *fill, HeapTuple tuple,
									  TupleDesc desc);
static bool points_to_same_entry(CrdRowFill *fill, HeapTuple a, HeapTuple b,
								 TupleDesc desc);
static HeapTuple fill_id(CrdRowFill *fill, HeapTuple tuple, HeapTuple old,
						 TupleDesc desc);
static CrdFilledRow fill_legacy(CrdRowFill *fill, HeapTuple tuple, HeapTuple old,
								TupleDesc desc);
static bool has_null_label(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc);
static HeapTuple fill_null_label(CrdRowFill *fill, HeapTuple tuple,
								 TupleDesc desc);


/* Filling the rows that are there */

CrdRowFill *
crd_row_fill_open(Relation rel, CrdRowFix fix, MemoryContext context)
{
	const char *name = fix == CRD_FIX_ENTRY_ID ? CRD_SYNC_TRIGGER : CRD_REVERSE_SYNC_TRIGGER;
	CrdRowFill *fill;

	if (fix == CRD_FIX_NULL_LABELS)
		fill = crd_row_fill_of_trigger(rel, NULL, fix, context);
	else
	{
		Trigger    *trigger = NULL;

		for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
			if (strcmp(rel->trigdesc->triggers[i].tgname, name) == 0)
				trigger = &rel->trigdesc->triggers[i];
		if (trigger == NULL)
			return NULL;
		fill = crd_row_fill_of_trigger(rel, trigger, fix, context);
		if (fill->nentries == 0)
			return NULL;
	}
	if (fix == CRD_FIX_NULL_LABELS)
		fill->filter = crd_saved_filter(CRD_NULL_LABELS, context);
	else if (fill->has_connection_types)
		fill->filter = crd_saved_filter(CRD_CONNECTION_TYPES, context);
	return fill;
}

bool
crd_row_fill_needed(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc)
{
	switch (fill->fix)
	{
		case CRD_FIX_ENTRY_ID:
			return heap_attisnull(tuple, fill->id.attnum, desc);
		case CRD_FIX_LEGACY_COLUMNS:
			return heap_attisnull(tuple, fill->provider.attnum, desc) ||
				has_null_label(fill, tuple, desc);
		case CRD_FIX_NULL_LABELS:
			return !heap_attisnull(tuple, fill->label.attnum, desc);
		case CRD_SAVE_TYPE:
			break;
	}
	return false;
}

CrdFilledRow
crd_row_fill_apply(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc)
{
	return crd_row_fill(fill, tuple, NULL, desc);
}

CrdFilledRow
crd_row_fill(CrdRowFill *fill, HeapTuple tuple, HeapTuple old, TupleDesc desc)
{
	CrdFilledRow filled = {NULL, NULL};

	switch (fill->fix)
	{
		case CRD_FIX_ENTRY_ID:
			filled.tuple = fill_id(fill, tuple, old, desc);
			break;
		case CRD_FIX_LEGACY_COLUMNS:
			filled = fill_legacy(fill, tuple, old, desc);
			break;
		case CRD_FIX_NULL_LABELS:
			filled.tuple = fill_null_label(fill, tuple, desc);
			break;
		case CRD_SAVE_TYPE:
			break;
	}
	return filled;
}


/* Reading a table's columns, and a trigger's arguments */

CrdRowFill *
crd_row_fill_of_trigger(Relation rel, const Trigger *trigger, CrdRowFix fix,
						MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TupleDesc	desc = RelationGetDescr(rel);
	CrdRowFill *fill = palloc0(sizeof(CrdRowFill));
	int			skip = fix == CRD_FIX_LEGACY_COLUMNS ? 2 : 0;
	int			width = fix == CRD_FIX_ENTRY_ID ? 3 : fix == CRD_SAVE_TYPE ? 2 : 4;

	fill->fix = fix;
	open_column(&fill->provider, rel, SPI_fnumber(desc, "provider"));
	open_column(&fill->type, rel, SPI_fnumber(desc, "type"));
	open_column(&fill->label, rel, SPI_fnumber(desc, "label"));
	fill->config = SPI_fnumber(desc, "config");
	if (fill->config > 0)
		fill->config_type = getBaseType(SPI_gettypeid(desc, fill->config));
	open_column(&fill->id, rel, SPI_fnumber(desc, "available_connection_id"));
	if (fix != CRD_FIX_ENTRY_ID)
		open_key(fill, rel);

	fill->usable = fill->id.attnum > 0 && (fix == CRD_FIX_ENTRY_ID || is_connections(rel)) &&
		(fill->config_type == JSONOID || fill->config_type == JSONBOID) &&
		(fill->provider.attnum > 0 || fix == CRD_SAVE_TYPE) &&
		(fix == CRD_FIX_ENTRY_ID || (fill->type.attnum > 0 && fill->nkeys > 0));
	if (trigger && fill->usable)
	{
		Oid			type = SPI_gettypeid(desc, fill->id.attnum);
		int			nentries = Max(trigger->tgnargs - skip, 0) / width;
		Oid			input;
		Oid			ioparam;

		get_typlenbyval(type, &fill->id_length, &fill->id_by_value);
		getTypeInputInfo(type, &input, &ioparam);
		fill->has_connection_types = skip && trigger->tgnargs >= skip && trigger->tgargs[0][0];
		fill->empty_labels = skip && trigger->tgnargs >= skip && trigger->tgargs[1][0];
		fill->entries = palloc0(sizeof(CrdRowEntry) * Max(nentries, 1));
		for (int i = 0; i < nentries; i++)
		{
			char	  **args = &trigger->tgargs[skip + width * i];
			CrdRowEntry *entry = &fill->entries[i];
			const char *capability = "";
			const char *type_arg = "";

			if (fix == CRD_FIX_ENTRY_ID)
			{
				entry->provider = pstrdup(args[0]);
				capability = args[1];
				entry->id_text = pstrdup(args[2]);
			}
			else
			{
				entry->id_text = pstrdup(args[0]);
				if (fix == CRD_FIX_LEGACY_COLUMNS)
				{
					entry->provider = pstrdup(args[1]);
					capability = args[2];
				}
				type_arg = args[width - 1];
			}
			entry->id = OidInputFunctionCall(input, unconstify(char *, entry->id_text), ioparam,
											 TupleDescAttr(desc, fill->id.attnum - 1)->atttypmod);
			entry->capability = capability[0] ? pstrdup(capability) : NULL;
			entry->type = type_arg[0] ? pstrdup(type_arg + 1) : NULL;
		}
		fill->nentries = nentries;
	}
	MemoryContextSwitchTo(old);
	return fill;
}

/*
 * Whether it is connections.connections or a partition of it.  A trigger must not
 * read or write saved state for a table that another role has created.
 */
static bool
is_connections(Relation rel)
{
	Oid			namespace = get_namespace_oid("connections", true);
	Oid			relid = OidIsValid(namespace) ? get_relname_relid("connections", namespace) : InvalidOid;

	return RelationGetRelid(rel) == relid ||
		(rel->rd_rel->relispartition &&
		 list_member_oid(get_partition_ancestors(RelationGetRelid(rel)), relid));
}

/*
 * The table's owner must be allowed to call a cast, as for the functions of its
 * triggers: no other code checks that.  Otherwise use the output function.
 */
static void
open_column(CrdRowColumn *column, Relation rel, int attnum)
{
	Oid			function = InvalidOid;
	bool		is_varlena;

	if (attnum <= 0)
		return;
	column->attnum = attnum;
	column->type = getBaseType(SPI_gettypeid(RelationGetDescr(rel), attnum));
	switch (find_coercion_pathway(TEXTOID, column->type, COERCION_EXPLICIT, &function))
	{
		case COERCION_PATH_RELABELTYPE:
			column->is_text = true;
			return;
		case COERCION_PATH_FUNC:
			column->cast = get_func_nargs(function) == 1 &&
				object_aclcheck(ProcedureRelationId, function,
								rel->rd_rel->relowner, ACL_EXECUTE) == ACLCHECK_OK;
			break;
		default:
			break;
	}
	if (!column->cast)
		getTypeOutputInfo(column->type, &function, &is_varlena);
	fmgr_info(function, &column->to_text);
	column->by_settings = depends_on_settings(column->type);
}

/*
 * Whether a value of the type may read otherwise under other settings.  The
 * volatility of its output function does not say: bytea's is immutable.  So only
 * the types that keys usually have are known not to.
 */
static bool
depends_on_settings(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case BPCHAROID:
		case CHAROID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NAMEOID:
		case NUMERICOID:
		case TEXTOID:
		case UUIDOID:
		case VARCHAROID:
			return false;
		default:
			return get_typtype(type) != TYPTYPE_ENUM;
	}
}

/*
 * The columns of the primary key, by which saved state identifies a row; of one
 * that is deferrable, too, which RelationGetPrimaryKeyIndex() does not have in
 * every version.
 */
static void
open_key(CrdRowFill *fill, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_index->indisprimary)
		{
			fill->nkeys = IndexRelationGetNumberOfKeyAttributes(index);
			fill->keys = palloc0(sizeof(CrdRowColumn) * fill->nkeys);
			for (int i = 0; i < fill->nkeys; i++)
				open_column(&fill->keys[i], rel, index->rd_index->indkey.values[i]);
		}
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	if (fill->nkeys > 1)
	{
		fill->key_desc = CreateTemplateTupleDesc(fill->nkeys);
		for (int i = 0; i < fill->nkeys; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, fill->keys[i].attnum - 1);

			TupleDescInitEntry(fill->key_desc, i + 1, NULL, att->atttypid,
							   att->atttypmod, 0);
		}
		fill->key_desc = BlessTupleDesc(fill->key_desc);
	}
}

/* The column as text, or NULL. */
char *
crd_row_column_text(CrdRowColumn *column, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column->attnum, desc, &isnull);

	if (isnull)
		return NULL;
	if (column->is_text)
		return TextDatumGetCString(value);
	if (column->cast)
		return TextDatumGetCString(FunctionCall1(&column->to_text, value));
	return OutputFunctionCall(&column->to_text, value);
}

/* The column as a statement would read it, or NULL. */
char *
crd_row_saved_text(CrdRowFill *fill, CrdRowColumn *column, HeapTuple tuple, TupleDesc desc)
{
	int			guc_level = fill->enter_settings ? crd_settings_enter() : 0;
	char	   *value = crd_row_column_text(column, tuple, desc);

	if (fill->enter_settings)
		crd_settings_leave(guc_level);
	return value;
}

/* The row's key as schema.c's expression gives it. */
char *
crd_row_key_text(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc)
{
	Datum	   *values;
	bool	   *nulls;
	int			guc_level;
	char	   *key;

	if (fill->nkeys == 1)
		return crd_row_saved_text(fill, &fill->keys[0], tuple, desc);
	values = palloc(sizeof(Datum) * fill->nkeys);
	nulls = palloc(sizeof(bool) * fill->nkeys);
	for (int i = 0; i < fill->nkeys; i++)
		values[i] = heap_getattr(tuple, fill->keys[i].attnum, desc, &nulls[i]);
	guc_level = fill->enter_settings ? crd_settings_enter() : 0;
	key = OidOutputFunctionCall(F_RECORD_OUT,
								HeapTupleGetDatum(heap_form_tuple(fill->key_desc, values, nulls)));
	if (fill->enter_settings)
		crd_settings_leave(guc_level);
	return key;
}

/* A text as a value of the column's type. */
static Datum
column_value(TupleDesc desc, int attnum, const char *value)
{
	Oid			function;
	Oid			ioparam;

	getTypeInputInfo(SPI_gettypeid(desc, attnum), &function, &ioparam);
	return OidInputFunctionCall(function, unconstify(char *, value), ioparam,
								TupleDescAttr(desc, attnum - 1)->atttypmod);
}


/* What a row should be */

/* The entry that a row's legacy columns map to, or NULL. */
static const CrdRowEntry *
entry_of_legacy(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc)
{
	char	   *provider = crd_row_column_text(&fill->provider, tuple, desc);
	char	   *capability = NULL;
	bool		read = false;	/* capability has been read */

	if (provider == NULL)
		return NULL;
	for (int i = 0; i < fill->nentries; i++)
	{
		const CrdRowEntry *entry = &fill->entries[i];

		if (strcmp(entry->provider, provider) != 0)
			continue;
		if (entry->capability == NULL)
			return entry;
		if (!read)
		{
			bool		isnull;
			Datum		config = heap_getattr(tuple, fill->config, desc, &isnull);

			if (!isnull)
				capability = crd_capability(fill->config_type, config);
			read = true;
		}
		if (capability && strcmp(entry->capability, capability) == 0)
			return entry;
	}
	return NULL;
}

/* The entry that a row points to, or NULL. */
static const CrdRowEntry *
entry_of_id(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		id = heap_getattr(tuple, fill->id.attnum, desc, &isnull);

	for (int i = 0; !isnull && i < fill->nentries; i++)
		if (datum_image_eq(fill->entries[i].id, id, fill->id_by_value,
						   fill->id_length))
			return &fill->entries[i];
	return NULL;
}

/* Whether two rows point to the same entry. */
static bool
points_to_same_entry(CrdRowFill *fill, HeapTuple a, HeapTuple b, TupleDesc desc)
{
	bool		a_isnull;
	bool		b_isnull;
	Datum		a_id = heap_getattr(a, fill->id.attnum, desc, &a_isnull);
	Datum		b_id = heap_getattr(b, fill->id.attnum, desc, &b_isnull);

	return a_isnull == b_isnull &&
		(a_isnull || datum_image_eq(a_id, b_id, fill->id_by_value, fill->id_length));
}

/* The row with its available_connection_id. */
static HeapTuple
fill_id(CrdRowFill *fill, HeapTuple tuple, HeapTuple old, TupleDesc desc)
{
	const CrdRowEntry *entry;
	bool		isnull;
	Datum		id;

	(void) heap_getattr(tuple, fill->id.attnum, desc, &isnull);
	if (!isnull && (old == NULL || !points_to_same_entry(fill, old, tuple, desc)))
		return NULL;
	entry = entry_of_legacy(fill, tuple, desc);
	if (isnull ? entry == NULL : entry == entry_of_legacy(fill, old, desc))
		return NULL;
	isnull = entry == NULL;
	id = isnull ? (Datum) 0 : entry->id;
	return heap_modify_tuple_by_cols(tuple, desc, 1, &fill->id.attnum, &id, &isnull);
}

/* Whether a row has a NULL label that must become empty. */
static bool
has_null_label(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc)
{
	return fill->empty_labels && fill->label.attnum > 0 &&
		heap_attisnull(tuple, fill->label.attnum, desc);
}

/*
 * The row with provider, type and a config that say what it points to, and with
 * an empty label where it must not be NULL.
 */
static CrdFilledRow
fill_legacy(CrdRowFill *fill, HeapTuple tuple, HeapTuple old, TupleDesc desc)
{
	CrdFilledRow filled = {NULL, NULL};
	const CrdRowEntry *entry = entry_of_id(fill, tuple, desc);
	bool		moved = old && !points_to_same_entry(fill, old, tuple, desc);
	int			columns[4];
	Datum		values[4];
	bool		nulls[4] = {false};
	int			ncolumns = 0;
	bool		isnull;
	char	   *provider = crd_row_column_text(&fill->provider, tuple, desc);
	char	   *type = crd_row_column_text(&fill->type, tuple, desc);

	if (entry && (provider == NULL || moved))
	{
		const char *saved_type = entry->type;

		if (provider == NULL || strcmp(provider, entry->provider) != 0)
		{
			columns[ncolumns] = fill->provider.attnum;
			values[ncolumns++] = column_value(desc, fill->provider.attnum, entry->provider);
		}
		if (fill->has_connection_types)
		{
			/* the writer's snapshot may be older than the saved types */
			PushActiveSnapshot(GetLatestSnapshot());
			(void) crd_find_connection_type(fill->filter, crd_row_key_text(fill, tuple, desc),
											entry->id_text, &saved_type);
			PopActiveSnapshot();
		}
		if (type == NULL || moved)
		{
			columns[ncolumns] = fill->type.attnum;
			nulls[ncolumns] = saved_type == NULL;
			values[ncolumns++] = saved_type ? column_value(desc, fill->type.attnum, saved_type) : (Datum) 0;
		}
	}
	if (entry && entry->capability)
	{
		Datum		config = heap_getattr(tuple, fill->config, desc, &isnull);
		char	   *capability = isnull ? NULL : crd_capability(fill->config_type, config);

		if ((capability == NULL || strcmp(capability, entry->capability) != 0) &&
			crd_with_capability(fill->config_type, config, isnull,
								entry->capability, &values[ncolumns]))
			columns[ncolumns++] = fill->config;
	}

	/*
	 * A trigger saves the key of a row that may not be inserted: after INSERT
	 * ... ON CONFLICT DO NOTHING, the row that was in its way will have a
	 * NULL label if its own is empty.  An AFTER trigger would know which row
	 * it is, but not that its label was NULL; and an upsert writes
	 * excluded.label, which is empty already.
	 */
	if (has_null_label(fill, tuple, desc))
	{
		filled.null_label_key = crd_row_key_text(fill, tuple, desc);
		columns[ncolumns] = fill->label.attnum;
		values[ncolumns++] = column_value(desc, fill->label.attnum, "");
	}
	if (ncolumns > 0)
		filled.tuple = heap_modify_tuple_by_cols(tuple, desc, ncolumns, columns, values, nulls);
	return filled;
}

/* The row with a NULL label, where it is empty and was NULL before. */
static HeapTuple
fill_null_label(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc)
{
	char	   *label = crd_row_column_text(&fill->label, tuple, desc);
	Datum		value = (Datum) 0;
	bool		isnull = true;

	if (label == NULL || label[0] != '\0' ||
		!crd_find_null_label(fill->filter, crd_row_key_text(fill, tuple, desc)))
		return NULL;
	return heap_modify_tuple_by_cols(tuple, desc, 1, &fill->label.attnum,
									 &value, &isnull);
}

/* Whether the row's type differs from the type of its entry. */
bool
crd_row_has_own_type(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc)
{
	const CrdRowEntry *entry = entry_of_id(fill, tuple, desc);
	char	   *type = crd_row_column_text(&fill->type, tuple, desc);

	if (heap_attisnull(tuple, fill->id.attnum, desc))
		return false;
	if (entry == NULL)
		return true;
	return type == NULL || entry->type == NULL ? type != entry->type :
		strcmp(type, entry->type) != 0;
}
