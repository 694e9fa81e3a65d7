/*-------------------------------------------------------------------------
 *
 * dependents.h
 *	  What depends on a column that a step drops.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_DEPENDENTS_H
#define CRD_DEPENDENTS_H

#include "storage/lockdefs.h"

#include "schema/schema.h"

typedef struct CrdDependent
{
	bool		restorable;		/* goes with the column, and can be brought
								 * back; else DROP COLUMN would refuse */
	const char *description;	/* "index connections.x", untranslated */
} CrdDependent;

/* A NOT NULL constraint of a partition, that has a name of its own */
typedef struct CrdPartitionNotNull
{
	const char *relation;
	const char *name;
	const char *column;
} CrdPartitionNotNull;

/*
 * A statement that brings back what went with a column.  Where it enforces
 * something, the rest says what, so that rows that break it can be looked for.
 */
typedef struct CrdSavedDdl
{
	const char *statement;
	const char *relation;		/* the table, or which partition of it */
	bool		of_column;		/* a property of the column, which comes with
								 * it */
	const char *grantor;		/* role to run it, if not the owner */
	const char *grantee;		/* role that gets a privilege, or the object */

	const char *constraint;		/* name of a constraint or unique index */
	const char *keys;			/* text[] of unique key expressions */
	const char *condition;		/* what each row must meet, or the index's
								 * predicate */
	bool		nulls_distinct;

	/* when read from saved_ddl */
	int			seq;
	const char *schema;			/* of relation, as it is spelt */
	bool		partitioned;	/* relation is, now */
} CrdSavedDdl;

/*
 * List of CrdDependent of a column, but for what the steps themselves made.
 */
extern List *crd_dependents(const CrdSchema *schema, CrdColumnId id);

/*
 * List of CrdPartitionNotNull of the partitions whose NOT NULL constraint, from 18 on, has
 * another name than that of the table above, from the leaves upwards.
 */
extern List *crd_partition_not_nulls(const CrdSchema *schema, CrdColumnId id);

/*
 * List of CrdDependent for each column elsewhere that has the table's row
 * type, and each rule that uses it: no rewrite of the table is possible while
 * there is one.
 */
extern List *crd_row_type_users(const CrdSchema *schema, CrdTable table);

/*
 * List of CrdDependent for each function whose source mentions a column, as
 * far as words tell.  pg_depend does not know what is in a string.
 */
extern List *crd_functions_mentioning(const CrdSchema *schema,
									  const CrdColumnId *columns, int ncolumns);

/*
 * List of CrdDependent for each foreign key that has the column on one side:
 * an update as replication makes it would not look at them.
 */
extern List *crd_foreign_keys(const CrdSchema *schema, CrdColumnId id);

/*
 * List of CrdSavedDdl that brings back all that goes with the columns,
 * but the columns themselves, in the order in which it can be run.
 */
extern List *crd_ddl_to_save(const CrdSchema *schema,
							 const CrdColumnId *columns, int ncolumns);

/*
 * Whether rows that are there are checked when the statement is run.
 */
extern bool crd_constraint_is_validated(const CrdSavedDdl *ddl);

/*
 * How a kept statement is run beside the application, which must not wait for a
 * scan: as it is, or in two.
 */
typedef struct CrdOnlineDdl
{
	const char *create;
	LOCKMODE	lock_mode;		/* of create, on the table */
	const char *index;			/* that create builds CONCURRENTLY, or NULL
								 * ... */
	const char *index_definition;	/* ... as the server will deparse it */
	const char *finish;			/* or NULL */
	bool		finish_scans;	/* it validates */
	bool		is_check;		/* which concerns no other table */

	/* a foreign key that the partitions need before, or NULL */
	const char *foreign_key;
	const char *definition;
} CrdOnlineDdl;

extern CrdOnlineDdl crd_online_ddl(const CrdSavedDdl *ddl);

/*
 * List of CrdDependent of what has the name that one of the kept statements
 * needs, and is something else.  What a stopped run has brought back already is
 * not something else.
 */
extern List *crd_name_conflicts(const List *statements);

/*
 * List of CrdSavedDdl of the constraints and unique indexes that are
 * there now, use a column, and are enforced when it is updated.
 */
extern List *crd_enforced_constraints(const CrdSchema *schema, CrdColumnId id);

#endif							/* CRD_DEPENDENTS_H */
