/*-------------------------------------------------------------------------
 *
 * dependents.h
 *	  What depends on a column that a step drops.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_DEPENDENTS_H
#define CRD_DEPENDENTS_H

#include "base/sql_exec.h"
#include "schema/schema.h"

typedef struct CrdDependent
{
	bool		restorable;		/* goes with the column, and can be brought
								 * back; else DROP COLUMN would refuse */
	const char *description;	/* "index connections.x", untranslated */
} CrdDependent;

/*
 * List of CrdDependent of a column, but for what the steps themselves made.
 */
extern List *crd_dependents(const CrdSchema *schema, CrdColumnId id);

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
