/*-------------------------------------------------------------------------
 *
 * saved_state.h
 *	  The state that a rollback needs: each step saves it in the extension's
 *	  tables, and it is deleted when the step has been reversed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_SAVED_STATE_H
#define CRD_SAVED_STATE_H

#include "data/mapping.h"
#include "schema/saved_ddl.h"
#include "schema/schema.h"
#include "base/sql_exec.h"

/* A column that a step dropped */
typedef struct CrdSavedColumn
{
	const char *name;
	const char *type;			/* with modifier and collation */
	bool		not_null;
	const char *not_null_conname;	/* of the constraint, from 18 on */
} CrdSavedColumn;

/* An entry as it was when step 1 was undone */
typedef struct CrdSavedEntry
{
	const char *id;
	const char *slug;
	const char *display_name;
	const char *auth_type;
} CrdSavedEntry;

/* The type that most connections of an entry had */
typedef struct CrdEntryType
{
	const char *id;
	const char *type;			/* may be NULL */
	int64		count;			/* of connections; 0 when read back */
	bool		has_connection_types;	/* some may have another type */
} CrdEntryType;

typedef struct CrdSavedState
{
	/* by step, as saved when the step was last taken in the other direction */
	List	   *columns[CRD_LAST_STEP + 1]; /* of CrdSavedColumn */
	List	   *partition_not_nulls[CRD_LAST_STEP + 1]; /* of CrdSavedDdl */
	List	   *ddl[CRD_LAST_STEP + 1]; /* of CrdSavedDdl, by seq */
	bool		has_columns[CRD_LAST_STEP + 1]; /* in either direction */
	bool		has_ddl[CRD_LAST_STEP + 1];
	List	   *unrestorable[CRD_LAST_STEP + 1];	/* of char *: statements
													 * that need what is not
													 * there any more, and why */

	List	   *entries;		/* of CrdSavedEntry */
	List	   *entry_types;	/* of CrdEntryType */
	bool		index_predates; /* the one on available_connection_id, step 3 */
	bool		has_connection_types;
	bool		has_null_labels;
	const char *pk_text_expr;	/* by which those two are identified */
} CrdSavedState;

/*
 * Read the state that was saved for steps up or down, in the current memory
 * context; lists are empty where nothing was saved.  State that a step saved in the
 * same direction is stale, because another tool has reversed that step.
 */
extern CrdSavedState *crd_saved_state_read(CrdDirection direction);

/* Whether connection types or NULL labels were saved by another primary key. */
extern bool crd_saved_by_other_key(const CrdSchema *schema,
								   const CrdSavedState *saved);

/*
 * Whether a column that a step dropped was NOT NULL, as it is taken to have been
 * where nothing is known.
 */
extern bool crd_saved_not_null(const CrdSavedState *saved, int step,
							   const char *name);

/* A saved column of a step by its name, or NULL. */
extern const CrdSavedColumn *crd_saved_column(const CrdSavedState *saved,
											  int step, const char *name);

/* The saved row of an entry that has the same id and slug, or NULL. */
extern const CrdSavedEntry *crd_saved_entry(const CrdSavedState *saved,
											const CrdEntryRow *entry);

/*
 * The entry types for step 4, for each entry that connections point to: read from
 * the table, or from a summary with types of a table that has no
 * available_connection_id yet.
 */
extern List *crd_entry_types(const CrdSchema *schema, const CrdMappingSummary *summary);

/* The entry type of an entry, or NULL. */
extern const CrdEntryType *crd_find_entry_type(const List *types, const char *id);

/* The entry types as SQL literals, by index of schema->entries. */
extern const char **crd_type_literals(const CrdSchema *schema, const List *types);

/*
 * Callbacks of crd_query_batched(): save the rows of a query of the plan.  A row
 * replaces the one that is saved by the same key.
 */
extern void crd_save_connection_types(const CrdResult *rows, void *arg);
extern void crd_save_null_labels(const CrdResult *rows, void *arg);

/* Delete the connection type of this key, if it is saved. */
extern void crd_delete_connection_type(const char *key);

/*
 * State that is saved by a connection's key, for C code that reads many rows.  The
 * filter, in the caller's memory context, avoids most index lookups, as few
 * connections have saved state.
 */
typedef enum CrdSavedKind
{
	CRD_CONNECTION_TYPES,
	CRD_NULL_LABELS
} CrdSavedKind;

extern struct bloom_filter *crd_saved_filter(CrdSavedKind rows,
											 MemoryContext context);

/*
 * The saved type (NULL for null) of a connection that still points to that entry,
 * or whether its label was NULL; false if nothing is saved.  filter may be NULL.
 */
extern bool crd_find_connection_type(struct bloom_filter *filter, const char *key,
									 const char *id, const char **type);
extern bool crd_find_null_label(struct bloom_filter *filter, const char *key);

#endif							/* CRD_SAVED_STATE_H */
