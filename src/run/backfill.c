/*-------------------------------------------------------------------------
 *
 * backfill.c
 *	  Scans the rows of connections and fixes them in short transactions.
 *
 * Pages are full, so an UPDATE of every row would move every row to another page
 * and insert into every index.  Instead, a batch updates a few rows of each page
 * and commits.  When the next pass comes to the page, it prunes the old row
 * versions, which makes room for the next rows, as HOT updates, which stay on the
 * page and need no index entry.  Only as many rows are moved to other pages as the
 * others need to grow, plus one for room to work in.  When a page is finished, its
 * free space is recorded in the free space map, for rows that are moved later.
 *
 * Rows are updated as the apply worker of logical replication does it, one by one
 * with table_tuple_update(), not by SQL.  So the code knows beforehand whether the
 * new version fits, needs no row lock in advance, and skips a row that the
 * application has locked, which the next backfill fixes.  No trigger fires.
 * Constraints are checked and indexes maintained.
 *
 * Row versions that an old snapshot can see are not pruned.  Then rows are moved
 * after all, which takes as much space as an UPDATE of all rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "run/backfill.h"
#include "compat.h"
#include "connections_redesign.h"
#include "base/sql_exec.h"

/*
 * Blocks between two visits of a page: far enough apart that the snapshots of a
 * busy server's short transactions have gone, few enough to stay in cache
 */
#define WINDOW 2048

/*
 * Rows that a page has room to change at a time.  With more of it, fewer visits
 * are needed, but more rows have to be moved.
 */
#define WORKING_ROOM 2

/* Blocks of the first window of a query; then steered to batch_time */
#define FIRST_QUERY_WINDOW 256

/* One batch, and what it works with */
typedef struct Batch
{
	CrdBackfill *backfill;
	TimestampTz deadline;
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *info;
	TupleTableSlot *slot;
	TupleTableSlot *locked;
	Size		prune_below;	/* see heap_page_prune_opt() */
	MemoryContext page_context;
	MemoryContext context;		/* of the caller, for null_label_keys */
	List	   *null_label_keys;	/* of char *, to save with the batch */
} Batch;

static void begin_partition(CrdBackfill *backfill, Relation rel);
static void end_partition(CrdBackfill *backfill);
static void end_window(CrdBackfill *backfill, Relation rel);
static void fill_batch(void *arg);
static void scan_batch(const CrdSchema *schema, CrdBackfill *backfill);
static void save_null_labels(const List *keys);
static bool fill_page(Batch *batch, BlockNumber block);
static int	rows_to_move(int nrows, Size room, Size old_size, Size new_size);
static void open_update(Batch *batch);
static void close_update(Batch *batch);
static bool update_row(Batch *batch, ItemPointer tid, HeapTuple new_tuple,
					   bool *hot);
static void check_deferrable(Batch *batch, Oid indexid);

CrdBackfill *
crd_backfill_open(const CrdSchema *schema, CrdRowFix fix, Oid leaf, Oid filenode,
				  BlockNumber block)
{
	CrdBackfill *backfill = palloc0(sizeof(CrdBackfill));
	CrdResult  *rows;

	backfill->fix = fix;
	backfill->context = CurrentMemoryContext;
	backfill->end = InvalidBlockNumber;

	/* the table, or its partitions that have rows */
	rows = crd_query(CRD_CALLER,
					 "SELECT c.oid, pg_relation_size(c.oid) / current_setting('block_size')::int8, pg_relation_filenode(c.oid)"
					 " FROM pg_class c WHERE c.relkind = 'r'"
					 " AND (c.oid = $1::oid OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid) WHERE isleaf))"
					 " ORDER BY 1", 1,
					 psprintf("%u", schema->relation[CRD_CONNECTIONS].relid));
	for (int i = 0; i < rows->nrows; i++)
	{
		int64		blocks = pg_strtoint64(rows->row[i][1]);

		backfill->partitions = lappend_oid(backfill->partitions, atooid(rows->row[i][0]));
		backfill->blocks_total += blocks;
		if (atooid(rows->row[i][0]) == leaf && atooid(rows->row[i][2]) == filenode)
		{
			backfill->partition = i;
			backfill->window = block;
			backfill->blocks_before = backfill->blocks_total - blocks;
		}
	}
	backfill->finished = backfill->partitions == NIL;
	return backfill;
}

int64
crd_backfill_blocks_done(const CrdBackfill *backfill)
{
	if (backfill->finished)
		return backfill->blocks_total;
	return backfill->blocks_before + backfill->window +
		(backfill->pending ? backfill->window_end - backfill->window - backfill->npending : 0);
}

void
crd_backfill_batch(const CrdSchema *schema, CrdBackfill *backfill)
{
	if (backfill->columns)
		scan_batch(schema, backfill);
	else
	{
		Batch		batch = {.backfill = backfill,.context = CurrentMemoryContext};

		crd_call_as(crd_owner(schema, CRD_CONNECTIONS), fill_batch, &batch);
		if (batch.null_label_keys)
			save_null_labels(batch.null_label_keys);
		list_free_deep(batch.null_label_keys);
	}
}

/* Begin a partition, or continue it in another transaction. */
static void
begin_partition(CrdBackfill *backfill, Relation rel)
{
	MemoryContext old = MemoryContextSwitchTo(backfill->context);
	Oid			filenode = rel->rd_rel->relfilenode;

	if (backfill->end == InvalidBlockNumber || backfill->filenode != filenode)
	{
		/* CLUSTER and the like give all rows new places */
		if (backfill->end != InvalidBlockNumber)
			backfill->window = 0;
		backfill->end = RelationGetNumberOfBlocks(rel);
		backfill->filenode = filenode;
		if (backfill->partition_context)
			MemoryContextReset(backfill->partition_context);
		else
			backfill->partition_context = AllocSetContextCreate(backfill->context,
																"connections_redesign leaf",
																ALLOCSET_DEFAULT_SIZES);
		backfill->pending = NULL;
		backfill->row_fill = backfill->columns ? NULL :
			crd_row_fill_open(rel, NULL, backfill->fix, backfill->partition_context);
	}
	if (backfill->pending == NULL && !backfill->columns)
	{
		backfill->window_end = Min(backfill->window + WINDOW, backfill->end);
		backfill->cursor = backfill->window;
		backfill->npending = backfill->window_end > backfill->window ? backfill->window_end - backfill->window : 0;
		backfill->pending = MemoryContextAlloc(backfill->partition_context, Max(backfill->npending, 1));
		memset(backfill->pending, true, backfill->npending);
		backfill->window_rows = backfill->pass_rows = 0;
		backfill->allow_non_hot = false;
	}
	MemoryContextSwitchTo(old);
}

static void
end_partition(CrdBackfill *backfill)
{
	if (backfill->end != InvalidBlockNumber)
		backfill->blocks_before += backfill->end;
	backfill->end = InvalidBlockNumber;
	backfill->filenode = InvalidOid;
	backfill->window = backfill->window_end = 0;
	backfill->pending = NULL;
	backfill->row_fill = NULL;
	backfill->partition++;
	if (backfill->partition == list_length(backfill->partitions))
		backfill->finished = true;
}

/* The window is finished; make its remaining free space available to other backends. */
static void
end_window(CrdBackfill *backfill, Relation rel)
{
	if (backfill->window_rows > 0)
		FreeSpaceMapVacuumRange(rel, backfill->window, backfill->window_end);
	backfill->window = backfill->window_end;
	pfree(backfill->pending);
	backfill->pending = NULL;
	if (backfill->window >= backfill->end)
		end_partition(backfill);
}

/* A pass over the window, or as much of it as there is time for. */
static void
fill_batch(void *arg)
{
	Batch	   *batch = arg;
	CrdBackfill *backfill = batch->backfill;
	BlockNumber nblocks;

	backfill->no_progress = false;
	batch->deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), crd_batch_time);
	batch->rel = try_relation_open(list_nth_oid(backfill->partitions, backfill->partition), RowExclusiveLock);
	if (batch->rel == NULL)
	{
		/* dropped, with its rows */
		end_partition(backfill);
		return;
	}
	begin_partition(backfill, batch->rel);
	if (backfill->row_fill == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" does not have the sync trigger anymore",
						RelationGetRelationName(batch->rel)),
				 errhint("Retry the operation, which creates the trigger again.")));
	CheckCmdReplicaIdentity(batch->rel, CMD_UPDATE);
	open_update(batch);

	/* VACUUM may have cut off the end since the backfill came to the relation */
	nblocks = RelationGetNumberOfBlocks(batch->rel);
	while (backfill->cursor < backfill->window_end)
	{
		bool	   *pending = &backfill->pending[backfill->cursor - backfill->window];

		CHECK_FOR_INTERRUPTS();
		if (*pending && (backfill->cursor >= nblocks || !fill_page(batch, backfill->cursor)))
		{
			*pending = false;
			backfill->npending--;
		}
		backfill->cursor++;
		if (GetCurrentTimestamp() >= batch->deadline)
			break;
	}
	close_update(batch);
	if (backfill->npending == 0)
		end_window(backfill, batch->rel);
	else if (backfill->cursor == backfill->window_end)
	{
		/* another pass */
		backfill->no_progress = backfill->pass_rows == 0;
		backfill->cursor = backfill->window;
		backfill->pass_rows = 0;
	}
	table_close(batch->rel, NoLock);
}

/* Save the keys of the rows whose NULL label the batch has made empty. */
static void
save_null_labels(const List *keys)
{
	CrdResult	rows = {list_length(keys), NULL};
	const char *const **row = palloc(sizeof(*row) * rows.nrows);

	for (int i = 0; i < rows.nrows; i++)
	{
		const char **column = palloc(sizeof(*column));

		column[0] = list_nth(keys, i);
		row[i] = column;
	}
	rows.row = row;
	crd_save_null_labels(&rows, NULL);
}

/*
 * Change as many rows of a page as it has room for.  Whether it needs another
 * visit: for the rest, or to prune what the last of them have left.
 */
static bool
fill_page(Batch *batch, BlockNumber block)
{
	CrdBackfill *backfill = batch->backfill;
	TupleDesc	desc = RelationGetDescr(batch->rel);
	Snapshot	snapshot = GetActiveSnapshot();
	MemoryContext old = MemoryContextSwitchTo(batch->page_context);
	Buffer		buffer;
	Buffer		vmbuffer = InvalidBuffer;
	Page		page;
	OffsetNumber max_off;
	bool		to_be_pruned;
	Size		room;
	PGAlignedBlock copy;
	HeapTupleData rows[MaxHeapTuplesPerPage];
	int			nrows = 0;
	int			moves = -1;		/* not known yet */
	bool		again = false;

	MemoryContextReset(batch->page_context);
	buffer = ReadBuffer(batch->rel, block);
	heap_page_prune_opt(batch->rel, buffer, &vmbuffer, false);
	if (BufferIsValid(vmbuffer))
		ReleaseBuffer(vmbuffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	max_off = PageGetMaxOffsetNumber(page);
	room = PageGetHeapFreeSpace(page);
	to_be_pruned = TransactionIdIsValid(((PageHeader) page)->pd_prune_xid) &&
		(PageIsFull(page) || room < batch->prune_below);
	for (OffsetNumber off = FirstOffsetNumber; off <= max_off; off++)
	{
		ItemId		lp = PageGetItemId(page, off);
		HeapTuple	tuple = &rows[nrows];

		if (!ItemIdIsNormal(lp))
			continue;
		tuple->t_data = (HeapTupleHeader) PageGetItem(page, lp);
		tuple->t_len = ItemIdGetLength(lp);
		tuple->t_tableOid = RelationGetRelid(batch->rel);
		ItemPointerSet(&tuple->t_self, block, off);
		if (!crd_row_fill_needed(backfill->row_fill, tuple, desc) ||
			!HeapTupleSatisfiesVisibility(tuple, snapshot, buffer))
			continue;

		/* the page is copied when all of them are known */
		tuple->t_data = (HeapTupleHeader) (copy.data + ((char *) tuple->t_data - (char *) page));
		nrows++;
	}
	if (nrows > 0)
		memcpy(copy.data, page, BLCKSZ);
	UnlockReleaseBuffer(buffer);

	for (int i = 0; i < nrows; i++)
	{
		CrdFilledRow filled;
		Size		size;
		bool		fits;
		bool		hot;

		/* no room for more, and the page is going to be visited again anyway */
		if (again && moves <= 0 && room < MAXALIGN(rows[i].t_len))
			break;
		filled = crd_row_fill_apply(backfill->row_fill, &rows[i], NULL, desc);
		if (filled.tuple == NULL)
			continue;
		size = MAXALIGN(filled.tuple->t_len);
		fits = size <= room;
		if (!fits && moves < 0)
			moves = backfill->allow_non_hot ? nrows : to_be_pruned || again ? 0 :
				rows_to_move(nrows, room, MAXALIGN(rows[i].t_len), size);
		if (!fits && moves == 0)
		{
			again = true;
			break;
		}
		if (!update_row(batch, &rows[i].t_self, filled.tuple, &hot))
			continue;
		if (filled.null_label_key)
		{
			MemoryContextSwitchTo(batch->context);
			batch->null_label_keys = lappend(batch->null_label_keys,
											 pstrdup(filled.null_label_key));
			MemoryContextSwitchTo(batch->page_context);
		}
		if (fits)
			room -= Min(size + sizeof(ItemIdData), room);
		else
			moves--;
		backfill->rows++;
		backfill->hot_rows += hot;
		backfill->window_rows++;
		backfill->pass_rows++;
		again = true;
	}
	if (!again && backfill->window_rows > 0)
		RecordPageWithFreeSpace(batch->rel, block, room);
	MemoryContextSwitchTo(old);
	return again;
}

/*
 * How many of a full page's rows have to go, if they are all like this one:
 * what the others need to grow, and room to work in.
 */
static int
rows_to_move(int nrows, Size room, Size old_size, Size new_size)
{
	Size		growth = new_size > old_size ? (new_size - old_size) * nrows : 0;
	Size		needed = growth + WORKING_ROOM * new_size;

	return needed > room ? (needed - room + new_size - 1) / new_size : 1;
}

static void
open_update(Batch *batch)
{
	batch->estate = CreateExecutorState();
	batch->info = makeNode(ResultRelInfo);
	InitResultRelInfo(batch->info, batch->rel, 0, NULL, 0);
	ExecOpenIndices(batch->info, false);
	batch->slot = MakeSingleTupleTableSlot(RelationGetDescr(batch->rel), &TTSOpsHeapTuple);
	batch->prune_below = Max(RelationGetTargetPageFreeSpace(batch->rel, HEAP_DEFAULT_FILLFACTOR),
							 BLCKSZ / 10);
	batch->locked = table_slot_create(batch->rel, NULL);
	batch->page_context = AllocSetContextCreate(CurrentMemoryContext,
												"connections_redesign page",
												ALLOCSET_DEFAULT_SIZES);
}

static void
close_update(Batch *batch)
{
	ExecDropSingleTupleTableSlot(batch->slot);
	ExecDropSingleTupleTableSlot(batch->locked);
	ExecCloseIndices(batch->info);
	FreeExecutorState(batch->estate);
	MemoryContextDelete(batch->page_context);
}

/*
 * Replace a row by its new version; false where another session has locked or
 * changed it: the next backfill or the sync trigger fixes that row.
 */
static bool
update_row(Batch *batch, ItemPointer tid, HeapTuple new_tuple, bool *hot)
{
	TupleConstr *constr = RelationGetDescr(batch->rel)->constr;
	TM_FailureData failure;
	LockTupleMode lock_mode;
	CrdIndexUpdate index_update;
	TM_Result	result;

	ExecStoreHeapTuple(new_tuple, batch->slot, false);
	if (constr && constr->has_generated_stored)
		ExecComputeStoredGenerated(batch->info, batch->estate, batch->slot, CMD_UPDATE);
	if (constr && constr->num_check > 0)
		ExecConstraints(batch->info, batch->slot, batch->estate);
	result = table_tuple_update(batch->rel, tid, batch->slot, GetCurrentCommandId(true),
								0, GetActiveSnapshot(), InvalidSnapshot, false,
								&failure, &lock_mode, &index_update);

	/* perhaps the row is locked in a way that an update may share */
	if (result == TM_BeingModified &&
		table_tuple_lock(batch->rel, tid, GetActiveSnapshot(), batch->locked,
						 GetCurrentCommandId(true), LockTupleNoKeyExclusive,
						 LockWaitSkip, 0, &failure) == TM_Ok)
		result = table_tuple_update(batch->rel, tid, batch->slot, GetCurrentCommandId(true),
									0, GetActiveSnapshot(), InvalidSnapshot, true,
									&failure, &lock_mode, &index_update);
	if (result != TM_Ok)
	{
		batch->backfill->saw_locked_row |= result == TM_BeingModified;
		return false;
	}
	*hot = !crd_index_update_needed(index_update);
	if (!*hot)
	{
		List	   *to_check = crd_insert_index_tuples(batch->info, batch->slot, batch->estate,
													   index_update);
		ListCell   *lc;

		foreach(lc, to_check)
			check_deferrable(batch, lfirst_oid(lc));
	}
	ResetPerTupleExprContext(batch->estate);
	return true;
}

/*
 * A row may violate a constraint that is deferrable.  The trigger that would see
 * to it later does not fire, as none does here.  So do what it does, at once: an
 * error if it does violate it; if that depends on a transaction that has not
 * ended, wait for that, as at other constraints, and try the batch again when it
 * takes too long.  It is not too early: no row makes room for another by being
 * filled.
 */
static void
check_deferrable(Batch *batch, Oid indexid)
{
	for (int i = 0; i < batch->info->ri_NumIndices; i++)
	{
		Relation	index = batch->info->ri_IndexRelationDescs[i];
		IndexInfo  *info = batch->info->ri_IndexRelationInfo[i];
		Datum		values[INDEX_MAX_KEYS];
		bool		isnull[INDEX_MAX_KEYS];

		if (RelationGetRelid(index) != indexid)
			continue;
		GetPerTupleExprContext(batch->estate)->ecxt_scantuple = batch->slot;
		FormIndexDatum(info, batch->slot, batch->estate, values, isnull);
		if (info->ii_ExclusionOps)
			check_exclusion_constraint(batch->rel, index, info, &batch->slot->tts_tid,
									   values, isnull, batch->estate, false);
		else
			index_insert(index, values, isnull, &batch->slot->tts_tid, batch->rel,
						 UNIQUE_CHECK_EXISTING, false, info);
	}
}

/* Hand the rows that a query finds in the next window to the callback. */
static void
scan_batch(const CrdSchema *schema, CrdBackfill *backfill)
{
	Relation	rel = try_relation_open(list_nth_oid(backfill->partitions, backfill->partition), AccessShareLock);
	TimestampTz start = GetCurrentTimestamp();
	BlockNumber blocks;
	CrdResult  *rows;
	long		elapsed;

	if (rel == NULL)
	{
		end_partition(backfill);
		return;
	}
	begin_partition(backfill, rel);
	blocks = backfill->window_end > backfill->window ? backfill->window_end - backfill->window : FIRST_QUERY_WINDOW;
	rows = crd_query(crd_owner(schema, CRD_CONNECTIONS),
					 psprintf("SELECT %s FROM ONLY %s WHERE ctid >= $1::tid AND ctid < $2::tid AND (%s) FOR SHARE SKIP LOCKED",
							  backfill->columns,
							  quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
														 RelationGetRelationName(rel)),
							  backfill->condition), 2,
					 psprintf("(%u,0)", backfill->window),
					 psprintf("(%u,0)", backfill->window + blocks));
	table_close(rel, NoLock);
	if (rows->nrows > 0)
		backfill->on_rows(rows, NULL);
	backfill->rows += rows->nrows;
	elapsed = TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
	backfill->window += blocks;
	if (backfill->window >= backfill->end)
		end_partition(backfill);
	else
		backfill->window_end = backfill->window + (elapsed > crd_batch_time ? Max(blocks / 2, 1) : blocks * 2);
}
