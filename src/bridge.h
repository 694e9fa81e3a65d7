/*-------------------------------------------------------------------------
 *
 * bridge.h
 *	  The triggers that keep both shapes of a row right while two versions of
 *	  the application are in use, and the same for the rows that are there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_BRIDGE_H
#define CRD_BRIDGE_H

#include "access/htup.h"
#include "utils/relcache.h"

#include "keepsake.h"
#include "schema.h"

/* The CREATE TRIGGER statements, with all that they need as arguments. */
extern char *crd_bridge_ddl(const CrdSchema *schema);
extern char *crd_bridge_back_ddl(const CrdSchema *schema,
								 const CrdWayBack *way,
								 const CrdKeepsake *keepsake);
extern char *crd_type_keeper_ddl(const CrdSchema *schema,
								 const List *dictionary);

/*
 * Whether the bridge is there, and would be created with the same arguments: the
 * catalog may have got other entries since.
 */
extern bool crd_bridge_is_current(const CrdSchema *schema);
extern bool crd_bridge_back_is_current(const CrdSchema *schema,
									   const CrdWayBack *way,
									   const CrdKeepsake *keepsake);

/* What makes a row that is there right, as a trigger does one that is written */
typedef enum CrdFill
{
	CRD_FILL_ID,				/* available_connection_id, as the bridge */
	CRD_FILL_LEGACY,			/* provider, type and so on, as the bridge
								 * back */
	CRD_FILL_NULL_LABELS,		/* labels that were NULL before a rollback */
	CRD_KEEP_TYPE				/* nothing: what the type keeper looks at */
} CrdFill;

typedef struct CrdFiller CrdFiller;

/*
 * Prepare to fill the rows of a relation that has the bridge.  It lasts as long
 * as the memory context, also beyond the transaction; NULL where the relation
 * has not what it takes.
 */
extern CrdFiller *crd_filler_open(Relation rel, CrdFill fill,
								  MemoryContext context);

/* Whether the row is to be filled; crd_filler_fill() may find that it cannot. */
extern bool crd_filler_wants(CrdFiller *filler, HeapTuple tuple,
							 TupleDesc desc);

/* The row as it should be, or NULL where it is or cannot be made right. */
extern HeapTuple crd_filler_fill(CrdFiller *filler, HeapTuple tuple,
								 TupleDesc desc);

/*
 * Keep what was learnt of the rows that were filled, in their transaction.
 */
extern void crd_filler_flush(CrdFiller *filler);

#endif							/* CRD_BRIDGE_H */
