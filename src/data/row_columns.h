/*-------------------------------------------------------------------------
 *
 * row_columns.h
 *	  Reads the columns of a row of connections in C, as SQL would read them, and
 *	  finds the row's entry among the arguments of a trigger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_ROW_COLUMNS_H
#define CRD_ROW_COLUMNS_H

#include "access/htup.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

/*
 * The triggers, by their arguments.  A trigger has these for each entry:
 *
 *	sync trigger			provider, capability, id
 *	reverse sync trigger	id, provider, capability, entry type
 *	type save trigger		id, entry type
 *
 * A capability that is NULL is empty.  An entry type is preceded by '=', or empty
 * if it is NULL.  Two arguments of the reverse sync trigger come first: "types" if
 * connection types are saved, and "names" if a NULL label must become the empty
 * string; otherwise they are empty.
 */
typedef enum CrdTriggerKind
{
	CRD_TRIGGER_SYNC,
	CRD_TRIGGER_REVERSE_SYNC,
	CRD_TRIGGER_TYPE_SAVE
} CrdTriggerKind;

/* An entry, as far as the trigger has it */
typedef struct CrdTriggerEntry
{
	const char *id;
	const char *provider;
	const char *capability;		/* or NULL */
	const char *type;			/* or NULL */
	Datum		id_value;		/* when read */
} CrdTriggerEntry;

/* A column that is read as text: like column::text */
typedef struct CrdRowColumn
{
	int			attnum;			/* not positive if it does not exist */
	Oid			type;			/* below all domains */
	FmgrInfo	to_text;
	bool		is_text;		/* needs no function */
	bool		cast;			/* to_text returns a text, not a C string */
} CrdRowColumn;

typedef struct CrdRowColumns
{
	bool		usable;			/* the table has all that the trigger needs */

	CrdRowColumn provider;
	CrdRowColumn type;
	CrdRowColumn label;
	CrdRowColumn id;			/* available_connection_id */
	int			config;			/* attnum */
	Oid			config_type;

	int			nkeys;			/* columns of the primary key */
	CrdRowColumn *keys;
	TupleDesc	key_desc;		/* of a row of them */
	bool		enter_settings; /* to read keys and ids, whose text may depend
								 * on the session's settings */

	/* the arguments of the trigger, if the table is usable */
	bool		has_connection_types;	/* some are saved */
	bool		empty_labels;	/* instead of NULL */
	int			nentries;
	CrdTriggerEntry *entries;
} CrdRowColumns;

/* The arguments of a trigger, as a List of char *. */
extern List *crd_write_trigger_args(CrdTriggerKind kind, int nentries,
									const CrdTriggerEntry *entries,
									bool has_connection_types, bool empty_labels);

/*
 * The columns that a trigger of this kind needs, and its arguments unless trigger
 * is NULL.  The result lives in the memory context, also beyond the transaction.
 */
extern CrdRowColumns *crd_row_columns_open(Relation rel, CrdTriggerKind kind,
										   const Trigger *trigger,
										   MemoryContext context);

/* A column as text, under the session's settings; or NULL. */
extern char *crd_row_text(CrdRowColumn *column, HeapTuple tuple, TupleDesc desc);

/*
 * The available_connection_id (or NULL) and the primary key, as text that
 * identifies saved state.
 */
extern char *crd_row_id_text(CrdRowColumns *columns, HeapTuple tuple, TupleDesc desc);
extern char *crd_row_key_text(CrdRowColumns *columns, HeapTuple tuple, TupleDesc desc);

/* A text as a value of a column's type. */
extern Datum crd_row_value(TupleDesc desc, int attnum, const char *value);

/* The capability that the row's config names, or NULL. */
extern char *crd_row_capability(CrdRowColumns *columns, HeapTuple tuple, TupleDesc desc);

/* The entry to which the row's legacy columns map or its id points, or NULL. */
extern const CrdTriggerEntry *crd_row_entry_of_legacy(CrdRowColumns *columns,
													  HeapTuple tuple, TupleDesc desc);
extern const CrdTriggerEntry *crd_row_entry_of_id(CrdRowColumns *columns,
												  HeapTuple tuple, TupleDesc desc);

/* Whether two rows have the same available_connection_id. */
extern bool crd_row_same_id(CrdRowColumns *columns, HeapTuple a, HeapTuple b,
							TupleDesc desc);

#endif							/* CRD_ROW_COLUMNS_H */
