/*-------------------------------------------------------------------------
 *
 * backfill.h
 *	  Scans the rows of connections and fixes them in short transactions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_BACKFILL_H
#define CRD_BACKFILL_H

#include "storage/block.h"

#include "data/row_fill.h"

/*
 * A backfill goes through the partitions by oid, in windows of heap blocks, up to
 * the block where each partition ended when the backfill came to it.  The sync
 * trigger fills later rows.
 */
typedef struct CrdBackfill
{
	/* what to do: fix rows, or hand what a query finds to a callback */
	CrdRowFix	fix;
	const char *columns;		/* of the query; NULL to fix */
	const char *condition;
	CrdResultCallback on_rows;

	List	   *partitions;		/* of Oid */
	int			partition;		/* index of the current one */
	Oid			filenode;		/* of that one, when it was begun */
	BlockNumber end;			/* of that one */
	BlockNumber window;			/* first block of the window; all before is
								 * done */
	BlockNumber window_end;
	BlockNumber cursor;			/* next block of this pass over the window */
	bool	   *pending;		/* by block of the window: needs another pass */
	int			npending;
	bool		finished;

	int64		blocks_before;	/* in partitions that are finished */
	int64		blocks_total;
	int64		rows;			/* changed or found since the checkpoint ... */
	int64		hot_rows;		/* ... and that stayed on their page */
	int64		window_rows;	/* the same, in this window */
	int64		pass_rows;		/* in this pass over the window */

	bool		saw_locked_row; /* a row was locked */
	bool		no_progress;	/* this pass could do nothing, for old
								 * snapshots */
	bool		allow_non_hot;	/* do not wait for them, in this window */

	MemoryContext context;		/* lasts as long as the backfill */
	MemoryContext partition_context;
	CrdRowFill *row_fill;
} CrdBackfill;

/*
 * Begin a backfill, in the current memory context, at a block of a partition where
 * an earlier one has stopped, or from the start with InvalidOid.
 */
extern CrdBackfill *crd_backfill_open(const CrdSchema *schema, CrdRowFix fix,
									  Oid leaf, Oid filenode, BlockNumber block);

/*
 * The next batch, for at most connections_redesign.batch_time, in the caller's
 * transaction and as the owner of the table; what it wrote can make room for
 * the next one when it is committed.
 */
extern void crd_backfill_batch(const CrdSchema *schema, CrdBackfill *backfill);

/* Blocks that are done, of backfill->blocks_total. */
extern int64 crd_backfill_blocks_done(const CrdBackfill *backfill);

#endif							/* CRD_BACKFILL_H */
