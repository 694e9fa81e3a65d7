/*-------------------------------------------------------------------------
 *
 * row_fill.h
 *	  Fixes one row: for the sync triggers, and in the same way for a backfill.
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
	CRD_FIX_NULL_LABELS			/* labels that were NULL before a rollback */
} CrdRowFix;

typedef struct CrdRowFill CrdRowFill;

/* A row as it should be, and what must be saved in the same transaction */
typedef struct CrdFilledRow
{
	HeapTuple	tuple;			/* NULL to leave the row as it is */
	char	   *null_label_key; /* key of a row whose NULL label becomes
								 * empty, or NULL */
} CrdFilledRow;

/*
 * Prepare to fix the rows of a relation: for the trigger that fires, or for a
 * backfill (NULL), which takes the arguments of the relation's trigger and works
 * under the settings of sql_exec.  The result lives in the memory context, also
 * beyond the transaction.  If the relation lacks the trigger or a column, the
 * result is NULL for a backfill, and leaves every row as it is for a trigger.
 */
extern CrdRowFill *crd_row_fill_open(Relation rel, const Trigger *trigger,
									 CrdRowFix fix, MemoryContext context);

/* Whether the row needs the fix; crd_row_fill_apply() may have none for it. */
extern bool crd_row_fill_needed(CrdRowFill *fill, HeapTuple tuple,
								TupleDesc desc);

/*
 * Fix a row, or leave it where it needs no fix or has none.  old is the row before
 * the UPDATE for which a trigger fires, or NULL.  The result lives in the current
 * memory context.  If the caller writes the row, it must also pass null_label_key
 * to crd_save_null_labels(), in the same transaction.
 */
extern CrdFilledRow crd_row_fill_apply(CrdRowFill *fill, HeapTuple tuple,
									   HeapTuple old, TupleDesc desc);

#endif							/* CRD_ROW_FILL_H */
