/*-------------------------------------------------------------------------
 *
 * saved_ddl.h
 *	  The DDL that restores what DROP COLUMN takes along, as data: saved by one
 *	  step, run by the step that reverses it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_SAVED_DDL_H
#define CRD_SAVED_DDL_H

#include "storage/lockdefs.h"

#include "base/sql_exec.h"
#include "schema/schema.h"

/* The values of saved_ddl.kind, in the order of kind_names in saved_ddl.c */
typedef enum CrdDdlKind
{
	CRD_DDL_COLUMN_PROPERTY,	/* restored together with the column */
	CRD_DDL_INDEX,
	CRD_DDL_UNIQUE_INDEX,
	CRD_DDL_CHECK,
	CRD_DDL_FOREIGN_KEY,
	CRD_DDL_UNIQUE,
	CRD_DDL_EXCLUDE,
	CRD_DDL_NOT_NULL,			/* of a partition, with a name of its own */
	CRD_DDL_STATISTICS,
	CRD_DDL_PROPERTY			/* of one of the objects above */
} CrdDdlKind;

/*
 * The columns of the table saved_ddl that say what to restore, in the order in
 * which the queries return them and in which CrdSavedDdl.values has them.
 */
#define CRD_SAVED_DDL_COLUMNS \
	"kind, relation, schema, name, definition, index_definition, deferral," \
	" validated, has_expressions, columns, needs, grantor, grantee, keys," \
	" condition, nulls_distinct"
#define CRD_SAVED_DDL_NCOLUMNS 16

typedef struct CrdSavedDdl
{
	const char *const *values;	/* of CRD_SAVED_DDL_COLUMNS */

	CrdDdlKind	kind;
	const char *relation;		/* the table, or a partition of it, as DDL
								 * spells it */
	const char *schema;			/* of the object; NULL for properties */
	const char *name;			/* likewise; neither is quoted */
	const char *definition;		/* of an index or a constraint, the part
								 * behind the name; else the whole statement */
	const char *index_definition;	/* of the index of a UNIQUE constraint
									 * that can be built CONCURRENTLY, or NULL */
	const char *deferral;		/* of a constraint: " DEFERRABLE ...", or "" */
	bool		validated;
	bool		has_expressions;	/* ANALYZE computes statistics of them */
	const char *columns;		/* text[], of the table */
	const char *grantor;		/* role that runs it, NULL for the owner */
	const char *grantee;		/* role that gets a privilege or the object */

	/* of an enforced object, for a search for rows that violate it */
	const char *keys;			/* text[] of unique key expressions */
	const char *condition;		/* that each row must meet, or the predicate
								 * of the index */
	bool		nulls_distinct;

	/* when read from saved_ddl */
	int			seq;
	bool		created;		/* only CrdOnlineDdl.finish remains */
	bool		partitioned;	/* the relation is */
} CrdSavedDdl;

/* List of the rows of such a query, in the current memory context. */
extern List *crd_saved_ddl_list(const CrdResult *rows);

/*
 * List of CrdSavedDdl that restores all that DROP COLUMN takes along with the
 * columns, which are of one table, in the order in which it can be run.
 */
extern List *crd_ddl_to_save(const CrdSchema *schema,
							 const CrdColumnId *columns, int ncolumns);

/* List of those of kind CRD_DDL_NOT_NULL only. */
extern List *crd_partition_not_nulls(const CrdSchema *schema, CrdColumnId id);

/*
 * List of CrdSavedDdl of the constraints and unique indexes that use a column
 * and are enforced when the column is updated.
 */
extern List *crd_enforced_constraints(const CrdSchema *schema, CrdColumnId id);

/* Whether existing rows are checked when the object is restored. */
extern bool crd_constraint_is_validated(const CrdSavedDdl *ddl);

/* The statement that restores it in one transaction. */
extern const char *crd_saved_ddl_statement(const CrdSavedDdl *ddl);

/*
 * How it is restored online, where no statement may scan the table under a lock
 * that blocks writers: by one statement or by two.
 */
typedef struct CrdOnlineDdl
{
	const char *create;
	LOCKMODE	lock_mode;		/* of create, on the table */
	const char *index;			/* that create builds CONCURRENTLY, or NULL
								 * ... */
	const char *index_statement;	/* ... as pg_get_indexdef() deparses it */
	const char *finish;			/* or NULL */
	LOCKMODE	finish_lock_mode;
	bool		partitions_first;	/* a foreign key that each partition needs
									 * before */
	bool		at_switchover;	/* it takes no time, and must hold for all
								 * that the application writes from then on */
} CrdOnlineDdl;

extern CrdOnlineDdl crd_online_ddl(const CrdSavedDdl *ddl);

/*
 * List of CrdDependent for the objects that have the name of one to be restored
 * and are something else.
 */
extern List *crd_name_conflicts(const List *ddl);

#endif							/* CRD_SAVED_DDL_H */
