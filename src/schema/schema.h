/*-------------------------------------------------------------------------
 *
 * schema.h
 *	  What the system catalogs say of the two tables: relations, columns, the
 *	  version they are at, and what is there of the next one.
 *
 * Reading it takes no lock on the tables.  Shapes are matched by structure,
 * never by the name of an index or constraint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_SCHEMA_H
#define CRD_SCHEMA_H

#include "nodes/pg_list.h"

#include "schema/registry.h"

#define CRD_LAST_STEP 4

/*
 * The names of what the steps put on the tables for a time.  '~' is behind every
 * letter, and triggers go by name: the table's own fire first.
 */
#define CRD_SYNC_TRIGGER "~connections_redesign_sync_new"
#define CRD_REVERSE_SYNC_TRIGGER "~connections_redesign_sync_legacy"
#define CRD_TYPE_SAVE_TRIGGER "~connections_redesign_save_type"
#define CRD_NOT_NULL_CHECK "~connections_redesign_not_null"

/*
 * SQL: whether the index i (of pg_index) finds rows by the column a (of
 * pg_attribute), as a B-tree does, and, below, whether it is one like step 3
 * makes, so that a partitioned index takes it for its part.
 */
#define CRD_INDEX_LEADS(i, a) \
	i ".indkey[0] = " a ".attnum AND " i ".indpred IS NULL" \
	" AND (SELECT relam FROM pg_class WHERE oid = " i ".indexrelid) = (SELECT oid FROM pg_am WHERE amname = 'btree')"
#define CRD_INDEX_FITS(i, a) \
	CRD_INDEX_LEADS(i, a) " AND " i ".indnatts = 1 AND NOT " i ".indisunique" \
	" AND " i ".indoption[0] = 0 AND " i ".indcollation[0] = " a ".attcollation" \
	" AND (SELECT opcdefault FROM pg_opclass WHERE oid = " i ".indclass[0])"

/*
 * SQL: whether a constraint c (of pg_constraint) is enforced; it always is before
 * 18, which has no such column.
 */
#define CRD_CONSTRAINT_ENFORCED(c) \
	"coalesce((to_jsonb(" c ") ->> 'conenforced')::bool, true)"

/*
 * SQL: a table with its partitions, as a subquery (relid, parent, level, isleaf)
 * in FROM; pg_partition_tree() has no row for a table without partitions.
 */
#define CRD_RELATION_TREE(relid) \
	"(SELECT " relid " AS relid, NULL::oid AS parent, 0 AS level, NOT EXISTS" \
	" (SELECT FROM pg_inherits WHERE inhparent = " relid ") AS isleaf" \
	" UNION ALL SELECT relid, parentrelid, level, isleaf" \
	" FROM pg_partition_tree(" relid ") WHERE level > 0)"

/* The version of a pair of tables that fits no version */
#define CRD_NO_VERSION (-1)

typedef enum CrdTable
{
	CRD_CONNECTIONS,			/* locked first, see lock.h */
	CRD_AVAILABLE_CONNECTIONS
} CrdTable;
#define CRD_NTABLES 2

typedef struct CrdRelation
{
	const char *name;			/* qualified */
	bool		exists;
	Oid			relid;
	const char *relid_text;		/* as a parameter of crd_query() */
	Oid			owner;
	char		relkind;
	char		relpersistence;
	bool		is_heap;
	bool		is_typed;
	bool		is_partition;
	bool		inherits;		/* has parents or children, not partitions */
	bool		owner_may_create;	/* in the schema, as indexes need it */
	bool		rls_forced_on_owner;	/* FORCE, and the owner does not
										 * bypass */
	bool		rls_force_lifted;	/* it did, before this migration */
} CrdRelation;

/* The columns that the runbook names, in the order of columns in schema.c */
typedef enum CrdColumnId
{
	CRD_ENTRY_ID,
	CRD_ENTRY_NAME,
	CRD_SLUG,
	CRD_DISPLAY_NAME,
	CRD_AUTH_TYPE,
	CRD_PROVIDER,
	CRD_TYPE,
	CRD_NAME,
	CRD_CONFIG,
	CRD_AVAILABLE_CONNECTION_ID,
	CRD_LABEL
} CrdColumnId;
#define CRD_NCOLUMNS (CRD_LABEL + 1)

/* The columns that a step drops on its way up or down */
typedef struct CrdDroppedColumn
{
	int			step;
	bool		up;
	CrdColumnId column;
} CrdDroppedColumn;

#define CRD_NDROPPED_COLUMNS 7
extern const CrdDroppedColumn crd_dropped_columns[CRD_NDROPPED_COLUMNS];

typedef struct CrdColumn
{
	CrdTable	table;
	const char *name;
	int			attnum;			/* 0 where the column is not there */
	Oid			base_type;		/* below all domains */
	const char *type;			/* with modifier and collation, as DDL spells
								 * it */
	bool		not_null;
	const char *not_null_conname;	/* of the constraint, from 18 on */
	bool		is_generated_or_identity;	/* generated, or an identity */
	bool		is_partition_key;
} CrdColumn;

/*
 * A catalog row, with what the registry knows of it.  An entry that the
 * registry does not know is its own provider: that is what a rollback makes
 * of it.
 */
typedef struct CrdEntryRow
{
	const char *id;
	const char *slug;			/* or the legacy name, below version 1 */
	const char *auth_type;		/* NULL below version 1 */
	const char *display_name;
	const CrdRegistryEntry *registered; /* or NULL */
	const char *provider;
	const char *capability;
} CrdEntryRow;

typedef struct CrdSchema
{
	CrdRelation relation[CRD_NTABLES];
	CrdColumn	column[CRD_NCOLUMNS];

	int			version;		/* CRD_NO_VERSION where it fits none */
	int			last_complete_step; /* the last step that is wholly there */
	const char *mismatch;		/* what was found instead, or NULL */

	/*
	 * An online run has begun this step and not ended it; 0 for none. version
	 * is then the whole version on the near side of it, from which nothing is
	 * lost: the one before it, until the new columns are the only ones.
	 */
	int			partial_step;
	bool		partial_up;
	bool		backfill_verified;	/* every row is filled, which was proven */
	bool		backfill_stale; /* it was, beside triggers that are gone */

	const char *pk_text_expr;	/* expression of the primary key as text, or
								 * NULL */
	bool		pk_uses_legacy_columns; /* it has a column that step 4 drops */
	bool		entry_id_unique;

	Oid			slug_index;		/* a UNIQUE index on slug alone */
	Oid			fk;				/* FK to the catalog, of any kind */
	const char *fk_name;
	bool		fk_is_valid_restrict;	/* ON DELETE RESTRICT and validated */
	bool		fk_needs_validation;	/* ON DELETE RESTRICT, not validated */
	bool		has_fk_index;	/* an index that leads with the column */
	Oid			step3_index;	/* a plain one on that column alone */
	Oid			invalid_fk_index;	/* left over by a failed CONCURRENTLY */
	bool		has_sync_trigger;
	bool		has_reverse_sync_trigger;	/* the triggers of step 4, down
											 * and up */
	bool		has_type_save_trigger;
	bool		has_not_null_check; /* what SET NOT NULL is proven by */
	bool		not_null_check_validated;
	bool		has_extended_statistics;	/* connections */

	/* filled by crd_read_entries() */
	int			nentries;
	CrdEntryRow *entries;		/* by slug */
	int			nnull_slugs;	/* further rows, without slug or name */
} CrdSchema;

/* Read the system catalogs; never fails for what it finds. */
extern CrdSchema *crd_schema_read(void);

/*
 * Read the catalog's rows, as its owner.  Takes ACCESS SHARE.
 */
extern void crd_read_entries(CrdSchema *schema);

/* Whether a column is there. */
extern bool crd_has_column(const CrdSchema *schema, CrdColumnId id);

/* Whether available_connection_id is there, and not yet to be filled. */
extern bool crd_has_filled_ids(const CrdSchema *schema);

/*
 * The triggers beside which the rows of a step are walked over, as an oid[]: the
 * table's and its partitions'.  Where they are others than they were then, one
 * was dropped for a time, or a partition has come with rows that were not there.
 */
extern const char *crd_sync_trigger_oids(const CrdSchema *schema, int step,
										 bool up);

/*
 * Whether the unfinished step is past the point from which it is only to be
 * finished, never undone.
 */
extern bool crd_past_point_of_no_return(const CrdSchema *schema);

/* Whether both tables exist and the current user may act as their owners. */
extern bool crd_schema_owned(const CrdSchema *schema);

/* The role that owns a table of the migration. */
extern Oid	crd_owner(const CrdSchema *schema, CrdTable table);

#endif							/* CRD_SCHEMA_H */
