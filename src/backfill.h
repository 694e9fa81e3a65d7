/*-------------------------------------------------------------------------
 *
 * backfill.h
 *	  Walking over the rows of connections in short transactions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_BACKFILL_H
#define CRD_BACKFILL_H

#include "storage/block.h"

#include "bridge.h"

/*
 * Where a walk is.  It goes through the leaf partitions by oid, in windows of
 * heap blocks, up to where each relation ended when the walk came to it: rows
 * beyond are the bridge's.
 */
typedef struct CrdWalk
{
	/* what to do: fill rows, or hand what a query finds to a callback */
	CrdFill		fill;
	const char *columns;		/* of the query; NULL to fill */
	const char *condition;
	CrdRowsCallback found;

	List	   *leaves;			/* of Oid */
	int			leaf;			/* index of the one it is at */
	Oid			filenode;		/* of that one, when it was begun */
	BlockNumber end;			/* of that one */
	BlockNumber window;			/* first block of the window; all before is
								 * done */
	BlockNumber window_end;
	BlockNumber cursor;			/* next block of this pass over the window */
	bool	   *pending;		/* by block of the window: needs another pass */
	int			npending;
	bool		finished;

	int64		blocks_before;	/* in leaves that are done */
	int64		blocks_total;
	int64		rows;			/* changed or found since the checkpoint ... */
	int64		hot_rows;		/* ... and that stayed on their page */
	int64		window_rows;	/* the same, in this window */
	int64		pass_rows;		/* in this pass over the window */

	bool		refused;		/* a row was locked, since the walk was opened */
	bool		stalled;		/* this pass could do nothing, for old
								 * snapshots */
	bool		move;			/* do not wait for them, in this window */

	MemoryContext context;		/* lasts as long as the walk */
	MemoryContext leaf_context;
	CrdFiller  *filler;
} CrdWalk;

/*
 * Begin a walk, at a block of a leaf where an earlier one has come, or from the
 * start with InvalidOid.  Allocated in the current memory context.
 */
extern CrdWalk *crd_walk_open(const CrdSchema *schema, CrdFill fill,
							  Oid leaf, Oid filenode, BlockNumber block);

/*
 * The next batch, for at most connections_redesign.batch_time, in the caller's
 * transaction and as the owner of the table; what it wrote can make room for
 * the next one when it is committed.
 */
extern void crd_walk_batch(const CrdSchema *schema, CrdWalk *walk);

/* Blocks that are done, of walk->blocks_total. */
extern int64 crd_walk_blocks_done(const CrdWalk *walk);

/*
 * Whose snapshot keeps row versions from being removed, for a message; NULL if
 * nobody's.
 */
extern const char *crd_oldest_snapshot(void);

#endif							/* CRD_BACKFILL_H */
