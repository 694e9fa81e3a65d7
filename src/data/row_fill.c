/*-------------------------------------------------------------------------
 *
 * row_fill.c
 *	  Fixes one row: for the sync triggers, and in the same way for a backfill.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/snapmgr.h"

#include "data/config_capability.h"
#include "data/row_columns.h"
#include "data/row_fill.h"

struct CrdRowFill
{
	CrdRowFix	fix;
	CrdRowColumns *columns;
	struct bloom_filter *filter;	/* of the saved state it reads, or NULL */
};

static HeapTuple fill_id(CrdRowFill *fill, HeapTuple tuple, HeapTuple old,
						 TupleDesc desc);
static CrdFilledRow fill_legacy(CrdRowFill *fill, HeapTuple tuple, HeapTuple old,
								TupleDesc desc);
static HeapTuple fill_null_label(CrdRowFill *fill, HeapTuple tuple,
								 TupleDesc desc);
static bool has_null_label(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc);

CrdRowFill *
crd_row_fill_open(Relation rel, const Trigger *trigger, CrdRowFix fix,
				  MemoryContext context)
{
	CrdTriggerKind kind = fix == CRD_FIX_ENTRY_ID ? CRD_TRIGGER_SYNC : CRD_TRIGGER_REVERSE_SYNC;
	const char *name = fix == CRD_FIX_ENTRY_ID ? CRD_SYNC_TRIGGER : CRD_REVERSE_SYNC_TRIGGER;
	bool		backfill = trigger == NULL;
	CrdRowFill *fill = MemoryContextAllocZero(context, sizeof(CrdRowFill));

	if (backfill && fix != CRD_FIX_NULL_LABELS)
		for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
			if (strcmp(rel->trigdesc->triggers[i].tgname, name) == 0)
				trigger = &rel->trigdesc->triggers[i];
	fill->fix = fix;
	fill->columns = crd_row_columns_open(rel, kind, trigger, context);
	if (!backfill)
		return fill;

	fill->columns->enter_settings = false;
	if (fix == CRD_FIX_NULL_LABELS)
		fill->filter = crd_saved_filter(CRD_NULL_LABELS, context);
	else if (fill->columns->nentries == 0)
		return NULL;
	else if (fill->columns->has_connection_types)
		fill->filter = crd_saved_filter(CRD_CONNECTION_TYPES, context);
	return fill;
}

bool
crd_row_fill_needed(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc)
{
	switch (fill->fix)
	{
		case CRD_FIX_ENTRY_ID:
			return heap_attisnull(tuple, fill->columns->id.attnum, desc);
		case CRD_FIX_LEGACY_COLUMNS:
			return heap_attisnull(tuple, fill->columns->provider.attnum, desc) ||
				has_null_label(fill, tuple, desc);
		case CRD_FIX_NULL_LABELS:
			return !heap_attisnull(tuple, fill->columns->label.attnum, desc);
	}
	return false;
}

CrdFilledRow
crd_row_fill_apply(CrdRowFill *fill, HeapTuple tuple, HeapTuple old, TupleDesc desc)
{
	CrdFilledRow filled = {NULL, NULL};

	if (fill->fix == CRD_FIX_NULL_LABELS)
		filled.tuple = fill_null_label(fill, tuple, desc);
	else if (fill->columns->nentries > 0 && fill->fix == CRD_FIX_ENTRY_ID)
		filled.tuple = fill_id(fill, tuple, old, desc);
	else if (fill->columns->nentries > 0)
		filled = fill_legacy(fill, tuple, old, desc);
	return filled;
}

/* The row with its available_connection_id. */
static HeapTuple
fill_id(CrdRowFill *fill, HeapTuple tuple, HeapTuple old, TupleDesc desc)
{
	CrdRowColumns *columns = fill->columns;
	bool		isnull = heap_attisnull(tuple, columns->id.attnum, desc);
	const CrdTriggerEntry *entry;
	Datum		id;

	if (!isnull && (old == NULL || !crd_row_same_id(columns, old, tuple, desc)))
		return NULL;
	entry = crd_row_entry_of_legacy(columns, tuple, desc);
	if (isnull ? entry == NULL : entry == crd_row_entry_of_legacy(columns, old, desc))
		return NULL;
	isnull = entry == NULL;
	id = isnull ? (Datum) 0 : entry->id_value;
	return heap_modify_tuple_by_cols(tuple, desc, 1, &columns->id.attnum, &id, &isnull);
}

/*
 * The row with the provider, type and capability of the entry that it points to,
 * and with an empty label where it must not be NULL.
 */
static CrdFilledRow
fill_legacy(CrdRowFill *fill, HeapTuple tuple, HeapTuple old, TupleDesc desc)
{
	CrdRowColumns *columns = fill->columns;
	CrdFilledRow filled = {NULL, NULL};
	const CrdTriggerEntry *entry = crd_row_entry_of_id(columns, tuple, desc);
	bool		moved = old && !crd_row_same_id(columns, old, tuple, desc);
	int			attnums[4];
	Datum		values[4];
	bool		nulls[4] = {false};
	int			nchanged = 0;
	char	   *provider = crd_row_text(&columns->provider, tuple, desc);
	char	   *type = crd_row_text(&columns->type, tuple, desc);

	if (entry && (provider == NULL || moved))
	{
		const char *saved_type = entry->type;

		if (provider == NULL || strcmp(provider, entry->provider) != 0)
		{
			attnums[nchanged] = columns->provider.attnum;
			values[nchanged++] = crd_row_value(desc, columns->provider.attnum, entry->provider);
		}
		if (columns->has_connection_types)
		{
			/* the writer's snapshot may be older than the saved types */
			PushActiveSnapshot(GetLatestSnapshot());
			(void) crd_find_connection_type(fill->filter, crd_row_key_text(columns, tuple, desc),
											entry->id, &saved_type);
			PopActiveSnapshot();
		}
		if (type == NULL || moved)
		{
			attnums[nchanged] = columns->type.attnum;
			nulls[nchanged] = saved_type == NULL;
			values[nchanged++] = saved_type ? crd_row_value(desc, columns->type.attnum, saved_type) : (Datum) 0;
		}
	}
	if (entry && entry->capability)
	{
		char	   *capability = crd_row_capability(columns, tuple, desc);
		bool		isnull;
		Datum		config = heap_getattr(tuple, columns->config, desc, &isnull);

		if ((capability == NULL || strcmp(capability, entry->capability) != 0) &&
			crd_with_capability(columns->config_type, config, isnull,
								entry->capability, &values[nchanged]))
			attnums[nchanged++] = columns->config;
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
		filled.null_label_key = crd_row_key_text(columns, tuple, desc);
		attnums[nchanged] = columns->label.attnum;
		values[nchanged++] = crd_row_value(desc, columns->label.attnum, "");
	}
	if (nchanged > 0)
		filled.tuple = heap_modify_tuple_by_cols(tuple, desc, nchanged, attnums, values, nulls);
	return filled;
}

/* The row with a NULL label, where it is empty and was NULL before. */
static HeapTuple
fill_null_label(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc)
{
	CrdRowColumns *columns = fill->columns;
	char	   *label = crd_row_text(&columns->label, tuple, desc);
	Datum		value = (Datum) 0;
	bool		isnull = true;

	if (label == NULL || label[0] != '\0' ||
		!crd_find_null_label(fill->filter, crd_row_key_text(columns, tuple, desc)))
		return NULL;
	return heap_modify_tuple_by_cols(tuple, desc, 1, &columns->label.attnum,
									 &value, &isnull);
}

/* Whether a row has a NULL label that must become empty. */
static bool
has_null_label(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc)
{
	return fill->columns->empty_labels && fill->columns->label.attnum > 0 &&
		heap_attisnull(tuple, fill->columns->label.attnum, desc);
}
