/*-------------------------------------------------------------------------
 *
 * row_fill.h
 *	  One row from one shape to the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_ROW_FILL_H
#define CRD_ROW_FILL_H

#include "access/htup.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "data/saved_state.h"

/* How a row is fixed */
typedef enum CrdRowFix
{
	CRD_FIX_ENTRY_ID,			/* available_connection_id, as the sync
								 * trigger */
	CRD_FIX_LEGACY_COLUMNS,		/* as the reverse sync trigger */
	CRD_FIX_NULL_LABELS,		/* labels that were NULL before a rollback */
	CRD_SAVE_TYPE				/* no fix: for the type save trigger */
} CrdRowFix;

/* How a column reads as text: like column::text */
typedef struct CrdRowColumn
{
	int			attnum;			/* 0 where it is not there */
	Oid			type;			/* below all domains */
	FmgrInfo	to_text;
	bool		is_text;		/* needs no function */
	bool		by_settings;	/* the text may depend on settings */
	bool		cast;			/* to_text gives a text, not a C string */
} CrdRowColumn;

/* An entry, from the arguments of a trigger */
typedef struct CrdRowEntry
{
	Datum		id;
	const char *id_text;
	const char *provider;
	const char *capability;		/* or NULL */
	const char *type;			/* or NULL */
} CrdRowEntry;

typedef struct CrdRowFill
{
	CrdRowFix	fix;

	CrdRowColumn provider;
	CrdRowColumn type;
	CrdRowColumn label;
	CrdRowColumn id;
	int			config;
	Oid			config_type;
	int16		id_length;
	bool		id_by_value;

	int			nkeys;			/* columns of the primary key */
	CrdRowColumn *keys;
	TupleDesc	key_desc;
	bool		enter_settings; /* for texts that identify saved state */

	bool		usable;			/* the table has all that it takes */
	bool		has_connection_types;	/* some are saved */
	bool		empty_labels;	/* instead of NULL */
	struct bloom_filter *filter;

	int			nentries;
	CrdRowEntry *entries;
} CrdRowFill;

/* A row as it should be, and what must be saved in the same transaction */
typedef struct CrdFilledRow
{
	HeapTuple	tuple;			/* NULL to leave the row as it is */
	char	   *null_label_key; /* key of a row whose NULL label becomes
								 * empty, or NULL */
} CrdFilledRow;

/*
 * Prepare to fix the rows of a relation, with the arguments of its trigger.  The
 * result lives in the memory context, also beyond the transaction; NULL if the
 * relation lacks the trigger or a column.
 */
extern CrdRowFill *crd_row_fill_open(Relation rel, CrdRowFix fix,
									 MemoryContext context);

/* Whether the row needs the fix; crd_row_fill_apply() may have none for it. */
extern bool crd_row_fill_needed(CrdRowFill *fill, HeapTuple tuple,
								TupleDesc desc);

/*
 * Fix a row, or leave it where it needs no fix or has none.  The result lives in
 * the current memory context.  If the caller writes the row, it must also pass
 * null_label_key to crd_save_null_labels(), in the same transaction.
 */
extern CrdFilledRow crd_row_fill_apply(CrdRowFill *fill, HeapTuple tuple,
									   TupleDesc desc);

extern CrdRowFill *crd_row_fill_of_trigger(Relation rel, const Trigger *trigger,
										   CrdRowFix fix, MemoryContext context);
extern char *crd_row_saved_text(CrdRowFill *fill, CrdRowColumn *column, HeapTuple tuple,
								TupleDesc desc);
extern char *crd_row_column_text(CrdRowColumn *column, HeapTuple tuple, TupleDesc desc);
extern char *crd_row_key_text(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc);
extern bool crd_row_has_own_type(CrdRowFill *fill, HeapTuple tuple, TupleDesc desc);

/* The same for a trigger: "old" is the row before an UPDATE, or NULL. */
extern CrdFilledRow crd_row_fill(CrdRowFill *fill, HeapTuple tuple,
								 HeapTuple old, TupleDesc desc);

#endif							/* CRD_ROW_FILL_H */
