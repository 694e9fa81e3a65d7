/*-------------------------------------------------------------------------
 *
 * schema.h
 *	  The two tables as the system catalogs describe them: relations, columns,
 *	  the version, and a partial step.
 *
 * Reading the schema takes no lock on the tables.  Objects are identified by
 * their structure, never by the name of an index or constraint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_SCHEMA_H
#define CRD_SCHEMA_H

#include "nodes/pg_list.h"

#include "schema/registry.h"

#define CRD_LAST_STEP 4

/* The direction of a step or migration */
typedef enum CrdDirection
{
	CRD_UP,
	CRD_DOWN
} CrdDirection;

/* As the tables and the views have it, by CrdDirection */
extern const char *const crd_direction_names[];

/*
 * Names of triggers and of a constraint that steps create temporarily.  Triggers
 * fire in the order of their names, and '~' sorts behind all ASCII letters, so
 * the table's own triggers fire first.
 */
#define CRD_SYNC_TRIGGER "~connections_redesign_sync_new"
#define CRD_REVERSE_SYNC_TRIGGER "~connections_redesign_sync_legacy"
#define CRD_TYPE_SAVE_TRIGGER "~connections_redesign_save_type"
#define CRD_NOT_NULL_CHECK "~connections_redesign_not_null"

/*
 * SQL: whether the index i (of pg_index) is a B-tree without a predicate whose
 * first column is a (of pg_attribute); and, below, whether it is equal to the
 * index that step 3 creates, so that it can be attached to a partitioned one.
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
	"(SELECT " relid " AS relid, NULL::oid AS parent, 0 AS level," \
	" (SELECT relkind <> 'p' FROM pg_class WHERE oid = " relid ") AS isleaf" \
	" UNION ALL SELECT relid, parentrelid, level, isleaf" \
	" FROM pg_partition_tree(" relid ") WHERE level > 0)"

/* schema->version of tables whose schema matches no version */
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
	bool		rls_force_lifted;	/* it was, before this migration lifted it */
} CrdRelation;

/* The columns that the steps use, in the order of columns[] in schema.c */
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

/* The columns that a step drops or renames, by direction */
typedef struct CrdDroppedColumn
{
	int			step;
	CrdDirection direction;
	CrdColumnId column;
	bool		renamed;		/* not dropped; only its NOT NULL is */
} CrdDroppedColumn;

#define CRD_NDROPPED_COLUMNS 9
extern const CrdDroppedColumn crd_dropped_columns[CRD_NDROPPED_COLUMNS];

typedef struct CrdColumn
{
	CrdTable	table;
	const char *name;
	int			attnum;			/* 0 if the column does not exist */
	Oid			base_type;		/* below all domains */
	const char *type;			/* with modifier and collation, as DDL spells
								 * it */
	bool		not_null;
	const char *not_null_conname;	/* of the constraint, from 18 on */
	bool		is_generated_or_identity;	/* generated, or an identity */
	bool		is_partition_key;
} CrdColumn;

/*
 * An entry: a row of available_connections.  The provider of an entry that is not
 * in the registry is its slug, to which a rollback sets connections.provider.
 */
typedef struct CrdEntryRow
{
	const char *id;
	const char *slug;			/* the legacy name, before version 1 */
	const char *auth_type;		/* NULL before version 1 */
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
	int			last_complete_step; /* with all steps before it */
	const char *mismatch;		/* why it is CRD_NO_VERSION, or NULL */

	/*
	 * The step that an online run has begun and not completed, or 0.  Then
	 * version is the one that an atomic run returns to without losing data:
	 * the version before the step, until the legacy columns are dropped.
	 */
	int			partial_step;
	CrdDirection partial_direction;
	bool		backfill_verified;	/* every row is filled */
	bool		backfill_stale; /* it was, with triggers that were dropped */

	const char *pk_text_expr;	/* SQL expression of the primary key as text,
								 * or NULL */
	bool		pk_uses_legacy_columns; /* the key has a column that step 4
										 * drops */
	bool		entry_id_unique;

	Oid			slug_index;		/* a UNIQUE index on slug only */
	Oid			fk;				/* to available_connections, of any kind */
	const char *fk_name;
	bool		fk_is_valid_restrict;	/* ON DELETE RESTRICT, validated */
	bool		fk_needs_validation;	/* ON DELETE RESTRICT, not validated */
	bool		has_fk_index;	/* with available_connection_id first */
	Oid			step3_index;	/* the one that step 3 creates */
	Oid			invalid_fk_index;	/* left INVALID by CONCURRENTLY */
	bool		has_sync_trigger;
	bool		has_reverse_sync_trigger;	/* the triggers of step 4, down
											 * and up */
	bool		has_type_save_trigger;
	bool		has_not_null_check; /* that SET NOT NULL uses */
	bool		not_null_check_validated;
	bool		has_extended_statistics;	/* connections */

	/* set by crd_read_entries() */
	int			nentries;
	CrdEntryRow *entries;		/* by slug */
	int			nnull_slugs;	/* further rows, whose slug is NULL */
} CrdSchema;

/*
 * Read the system catalogs, in the current memory context.  Never fails for what
 * it finds.
 */
extern CrdSchema *crd_schema_read(void);

/* Read the entries, as the owner of their table.  Takes ACCESS SHARE. */
extern void crd_read_entries(CrdSchema *schema);

/* Whether a column exists. */
extern bool crd_has_column(const CrdSchema *schema, CrdColumnId id);

/* Whether available_connection_id exists and every row has been filled. */
extern bool crd_has_filled_ids(const CrdSchema *schema);

/*
 * The triggers, of the table and of its partitions, that maintain the rows during
 * a backfill of the step, as an oid[].  If they change, a trigger was dropped and
 * created again, or a partition was attached whose rows are not filled.
 */
extern const char *crd_sync_trigger_oids(const CrdSchema *schema, int step,
										 CrdDirection direction);

/*
 * Whether the partial step can only be completed, not undone, because it has
 * dropped columns.
 */
extern bool crd_past_point_of_no_return(const CrdSchema *schema);

/* Whether both tables exist and the current user may act as their owners. */
extern bool crd_schema_owned(const CrdSchema *schema);

/* The owner of a table. */
extern Oid	crd_owner(const CrdSchema *schema, CrdTable table);

#endif							/* CRD_SCHEMA_H */
