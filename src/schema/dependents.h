/*-------------------------------------------------------------------------
 *
 * dependents.h
 *	  The objects that depend on a column that a step drops.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_DEPENDENTS_H
#define CRD_DEPENDENTS_H

#include "base/sql_exec.h"
#include "schema/schema.h"

typedef struct CrdDependent
{
	bool		restorable;		/* DROP COLUMN drops it, and a rollback
								 * restores it; else DROP COLUMN fails or
								 * loses it */
	const char *description;	/* "index connections.x", not translated */
} CrdDependent;

/*
 * List of CrdDependent of a column, except for objects that the steps themselves
 * create.
 */
extern List *crd_dependents(const CrdSchema *schema, CrdColumnId id);

/*
 * List of CrdDependent for the columns of other relations that have the row type
 * of the table, and the rules that use it: PostgreSQL does not rewrite the table
 * while one of them exists.
 */
extern List *crd_row_type_users(const CrdSchema *schema, CrdTable table);

/*
 * List of CrdDependent for the functions whose source seems to mention one of the
 * columns, which pg_depend does not record.
 */
extern List *crd_functions_mentioning(const CrdSchema *schema,
									  const CrdColumnId *columns, int ncolumns);

/*
 * List of CrdDependent for the foreign keys from or to a column, which an update
 * with session_replication_role = replica does not check.
 */
extern List *crd_foreign_keys(const CrdSchema *schema, CrdColumnId id);

/* List of CrdDependent that cannot be restored, described by the first column. */
extern List *crd_make_dependents(const CrdResult *rows);

/*
 * Run a query that begins with dependents.sql over the columns, which are of one
 * table.
 */
extern CrdResult *crd_query_dependents(const CrdSchema *schema,
									   const CrdColumnId *columns,
									   int ncolumns, const char *query);

/* The names of columns as a text[]; none of them needs quotes. */
extern char *crd_column_names(const CrdSchema *schema,
							  const CrdColumnId *columns, int ncolumns);

#endif							/* CRD_DEPENDENTS_H */
