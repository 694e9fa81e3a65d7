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

#include "dependents.h"
#include "mapping.h"
#include "schema.h"
#include "sql.h"

/* A column that a step dropped */
typedef struct CrdKeptColumn
{
	const char *name;
	const char *type;			/* with modifier and collation */
	bool		not_null;
	const char *not_null_name;	/* of the constraint, from 18 on */
} CrdKeptColumn;

/* A row of the catalog as it was when step 1 was undone */
typedef struct CrdKeptRow
{
	const char *id;
	const char *slug;
	const char *display_name;
	const char *auth_type;
} CrdKeptRow;

/* The type that most connections of a catalog entry had */
typedef struct CrdKeptType
{
	const char *id;
	const char *type;			/* may be NULL */
	int64		count;			/* of connections; 0 when read back */
	bool		exceptions;		/* some may have another type */
} CrdKeptType;

typedef struct CrdKeepsake
{
	/* by step, as it was kept when the step was last taken the other way */
	List	   *columns[CRD_LAST_STEP + 1]; /* of CrdKeptColumn */
	List	   *own_not_null[CRD_LAST_STEP + 1];	/* of CrdNotNull, by seq */
	List	   *statements[CRD_LAST_STEP + 1];	/* of CrdKeptStatement, by seq */
	bool		has_ddl[CRD_LAST_STEP + 1]; /* either way */
	List	   *lost[CRD_LAST_STEP + 1];	/* of char *: statements that need
											 * what is not there any more, and
											 * why */

	List	   *rows;			/* of CrdKeptRow */
	List	   *types;			/* of CrdKeptType */
	bool		has_exceptions;
	bool		has_null_labels;
	const char *key;			/* by which those two are kept, or NULL */
} CrdKeepsake;

/*
 * Read what is kept for a way up or down; empty lists where nothing is.  What a
 * step kept the same way as it is to go now is stale: others have taken it back
 * in between.
 */
extern CrdKeepsake *crd_keepsake_read(bool up);

/* Whether exceptions or NULL labels are kept by another primary key. */
extern bool crd_kept_by_other_key(const CrdSchema *schema,
								  const CrdKeepsake *keepsake);

/*
 * Whether a column that a step dropped was NOT NULL, as it is taken to have been
 * where nothing is known.
 */
extern bool crd_kept_not_null(const CrdKeepsake *keepsake, int step,
							  const char *name);

/* A kept column of a step by its name, or NULL. */
extern const CrdKeptColumn *crd_kept_column(const CrdKeepsake *keepsake,
											int step, const char *name);

/* The kept row of a catalog entry that still goes by its slug, or NULL. */
extern const CrdKeptRow *crd_kept_row(const CrdKeepsake *keepsake,
									  const CrdCatalogRow *row);

/*
 * The dictionary for step 4, a CrdKeptType for each entry that connections
 * point to: read from the table, or from a census with types of a table that
 * has no available_connection_id yet.
 */
extern List *crd_dictionary(const CrdSchema *schema, const CrdCensus *census);

/* The type of a catalog entry's connections, NULL where nothing is known of it. */
extern const CrdKeptType *crd_kept_type_of(const List *types, const char *id);

/* By catalog row, that type as a literal. */
extern const char **crd_type_literals(const CrdSchema *schema, const List *types);

/*
 * What the rows of version 4 become when step 4 is undone, as expressions over
 * connections.
 */
typedef struct CrdWayBack
{
	const char *provider;
	const char *type;
	const char *label;
	const char *config;
	const char *config_changes; /* condition: config must say the capability */
	const char *label_changes;	/* condition: the name must not be NULL */
	const char *type_unknown;	/* condition: its type is made up */
	const char **types;			/* by catalog row; NULL for NULL */
} CrdWayBack;

extern CrdWayBack *crd_way_back(const CrdSchema *schema,
								const CrdKeepsake *keepsake);

/* How many rows that concerns */
typedef struct CrdWayBackCounts
{
	int64		total;
	int64		null_labels;	/* that become empty */
	int64		config_changes;
	int64		config_refuses; /* config is no object that could say it */
	const char *config_samples; /* keys of those */
	int64		type_unknown;
} CrdWayBackCounts;

extern CrdWayBackCounts *crd_way_back_counts(const CrdSchema *schema,
											 const CrdWayBack *way);

/*
 * The keys of rows that a constraint or unique index would refuse after step 4
 * is undone; NULL where there is none.  A CHECK that is there now looks only at
 * the rows that the rollback updates.  False where that cannot be told, such as
 * of a foreign key to a table that the owner may not read.
 */
extern bool crd_way_back_violations(const CrdSchema *schema,
									const CrdKeepsake *keepsake,
									const CrdWayBack *way,
									const CrdKeptStatement *enforced,
									bool there_now, const char **violations);

/*
 * Whether a CHECK or foreign key would refuse some connection if it had no label,
 * as far as those tell that come first.
 */
extern bool crd_refuses_empty_name(const CrdSchema *schema,
								   const CrdKeepsake *keepsake,
								   const CrdWayBack *way,
								   const CrdKeptStatement *enforced);

/*
 * Whether a value, cast to a type, is the same value again: not cut, and allowed
 * by the domain or enum.  Never fails.
 */
extern bool crd_value_fits(const CrdSchema *schema, CrdTable table,
						   const char *value, const char *type);

/*
 * Callbacks of crd_stream(): keep what the queries of the plan return.  A row
 * whose exception is kept already replaces it.
 */
extern void crd_keep_exceptions(const CrdRows *rows, void *arg);
extern void crd_keep_null_labels(const CrdRows *rows, void *arg);

/* Forget the exception that is kept by this key, if any. */
extern void crd_forget_exception(const char *key);

/*
 * What is kept by a connection's key, for C that goes through many rows.  The
 * filter, in a memory context of the caller's, spares most of them the look into
 * the index: few connections are exceptions.
 */
typedef enum CrdKeptRows
{
	CRD_EXCEPTIONS,
	CRD_NULL_LABELS
} CrdKeptRows;

extern struct bloom_filter *crd_kept_filter(CrdKeptRows rows,
											MemoryContext context);

/*
 * The type of an exception that still points to that entry (NULL for null), or
 * that a label was NULL; false if nothing is kept.  filter may be NULL.
 */
extern bool crd_find_exception(struct bloom_filter *filter, const char *key,
							   const char *id, const char **type);
extern bool crd_find_null_label(struct bloom_filter *filter, const char *key);

#endif							/* CRD_KEEPSAKE_H */
