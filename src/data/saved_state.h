/*-------------------------------------------------------------------------
 *
 * keepsake.h
 *	  What the way back needs: kept by each step in the extension's tables, and
 *	  used up when the step is undone (or, for a step that was undone, done
 *	  again).
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_KEEPSAKE_H
#define CRD_KEEPSAKE_H

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

/* A row of the catalog as it was when step 1 was undone */
typedef struct CrdSavedEntry
{
	const char *id;
	const char *slug;
	const char *display_name;
	const char *auth_type;
} CrdSavedEntry;

/* The type that most connections of a catalog entry had */
typedef struct CrdEntryType
{
	const char *id;
	const char *type;			/* may be NULL */
	int64		count;			/* of connections; 0 when read back */
	bool		exceptions;		/* some may have another type */
} CrdEntryType;

typedef struct CrdSavedState
{
	/* by step, as it was kept when the step was last taken the other way */
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
	const char *pk_text_expr;	/* by which those two are kept, or NULL */
} CrdSavedState;

/*
 * Read what is kept for a way up or down; empty lists where nothing is.  What a
 * step kept the same way as it is to go now is stale: others have taken it back
 * in between.
 */
extern CrdSavedState *crd_saved_state_read(bool up);

/* Whether exceptions or NULL labels are kept by another primary key. */
extern bool crd_saved_by_other_key(const CrdSchema *schema,
								   const CrdSavedState *saved);

/*
 * Whether a column that a step dropped was NOT NULL, as it is taken to have been
 * where nothing is known.
 */
extern bool crd_saved_not_null(const CrdSavedState *saved, int step,
							   const char *name);

/* A kept column of a step by its name, or NULL. */
extern const CrdSavedColumn *crd_saved_column(const CrdSavedState *saved,
											  int step, const char *name);

/* The kept entry of a catalog entry that still goes by its slug, or NULL. */
extern const CrdSavedEntry *crd_saved_entry(const CrdSavedState *saved,
											const CrdEntryRow *entry);

/*
 * The dictionary for step 4, a CrdEntryType for each entry that connections
 * point to: read from the table, or from a summary with types of a table that
 * has no available_connection_id yet.
 */
extern List *crd_entry_types(const CrdSchema *schema, const CrdMappingSummary *summary);

/* The type of a catalog entry's connections, NULL where nothing is known of it. */
extern const CrdEntryType *crd_find_entry_type(const List *types, const char *id);

/* By catalog row, that type as a literal. */
extern const char **crd_type_literals(const CrdSchema *schema, const List *types);

/*
 * Callbacks of crd_query_batched(): keep what the queries of the plan return.  A row
 * whose exception is kept already replaces it.
 */
extern void crd_save_connection_types(const CrdResult *rows, void *arg);
extern void crd_save_null_labels(const CrdResult *rows, void *arg);

/* Forget the exception that is kept by this key, if any. */
extern void crd_delete_connection_type(const char *key);

/*
 * What is kept by a connection's key, for C that goes through many rows.  The
 * filter, in a memory context of the caller's, spares most of them the look into
 * the index: few connections are exceptions.
 */
typedef enum CrdSavedKind
{
	CRD_CONNECTION_TYPES,
	CRD_NULL_LABELS
} CrdSavedKind;

extern struct bloom_filter *crd_saved_filter(CrdSavedKind rows,
											 MemoryContext context);

/*
 * The type of an exception that still points to that entry (NULL for null), or
 * that a label was NULL; false if nothing is kept.  filter may be NULL.
 */
extern bool crd_find_connection_type(struct bloom_filter *filter, const char *key,
									 const char *id, const char **type);
extern bool crd_find_null_label(struct bloom_filter *filter, const char *key);

#endif							/* CRD_KEEPSAKE_H */
