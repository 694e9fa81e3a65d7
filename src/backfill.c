/*-------------------------------------------------------------------------
 *
 * backfill.c
 *	  Walking over the rows of connections in short transactions.
 *
 * Pages are full, so an UPDATE of every row would move every row to another
 * page and touch every index.  Instead, a few rows of each page are changed,
 * then the transaction commits, and when the walk comes to the page again, the
 * versions that they left are pruned and make room for the next rows, as HOT
 * updates, which stay on their page and need no index entry.  Only as many rows
 * are moved elsewhere as the others need to grow, and one, so that there is room
 * to work in.  What is left of that room when a page is done goes to the free
 * space map, and rows that are moved later find their place there.
 *
 * Rows are changed as the apply worker of logical replication does it, one by
 * one with table_tuple_update(), not by SQL: that knows before the update
 * whether it will fit, needs no row lock in advance, and does not wait for a row
 * that the application has locked; such rows are met again in the next walk.  No
 * trigger fires.  Constraints are checked and indexes maintained as ever.
 *
 * Whatever an old snapshot can still see is not pruned.  Then rows have to be
 * moved after all, which is as large as an UPDATE but goes on.
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

#include "backfill.h"
#include "compat.h"
#include "connections_redesign.h"
#include "sql.h"

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
	CrdWalk    *walk;
	TimestampTz deadline;
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *info;
	TupleTableSlot *slot;
	TupleTableSlot *locked;
	Size		prune_below;	/* see heap_page_prune_opt() */
	MemoryContext page_context;
} Batch;

static void begin_leaf(CrdWalk *walk, Relation rel);
static void end_leaf(CrdWalk *walk);
static void end_window(CrdWalk *walk, Relation rel);
static void fill_batch(void *arg);
static void query_batch(const CrdSchema *schema, CrdWalk *walk);
static bool visit_page(Batch *batch, BlockNumber block);
static int	moves_needed(int nrows, Size room, Size old_size, Size new_size);
static void open_update(Batch *batch);
static void close_update(Batch *batch);
static bool update_row(Batch *batch, ItemPointer tid, HeapTuple new_tuple,
					   bool *hot);
static void check_deferrable(Batch *batch, Oid indexid);

CrdWalk *
crd_walk_open(const CrdSchema *schema, CrdFill fill, Oid leaf, Oid filenode,
			  BlockNumber block)
{
	CrdWalk    *walk = palloc0(sizeof(CrdWalk));
	CrdRows    *rows;

	walk->fill = fill;
	walk->context = CurrentMemoryContext;
	walk->end = InvalidBlockNumber;

	/* one relation, or its leaf partitions */
	rows = crd_fetch(CRD_CALLER,
					 "SELECT c.oid, pg_relation_size(c.oid) / current_setting('block_size')::int8, pg_relation_filenode(c.oid)"
					 " FROM pg_class c WHERE c.relkind = 'r'"
					 " AND (c.oid = $1::oid OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid) WHERE isleaf))"
					 " ORDER BY 1", 1,
					 psprintf("%u", schema->relation[CRD_CONNECTIONS].relid));
	for (int i = 0; i < rows->nrows; i++)
	{
		int64		blocks = pg_strtoint64(rows->row[i][1]);

		walk->leaves = lappend_oid(walk->leaves, atooid(rows->row[i][0]));
		walk->blocks_total += blocks;
		if (atooid(rows->row[i][0]) == leaf && atooid(rows->row[i][2]) == filenode)
		{
			walk->leaf = i;
			walk->window = block;
			walk->blocks_before = walk->blocks_total - blocks;
		}
	}
	walk->finished = walk->leaves == NIL;
	return walk;
}

int64
crd_walk_blocks_done(const CrdWalk *walk)
{
	if (walk->finished)
		return walk->blocks_total;
	return walk->blocks_before + walk->window +
		(walk->pending ? walk->window_end - walk->window - walk->npending : 0);
}

void
crd_walk_batch(const CrdSchema *schema, CrdWalk *walk)
{
	if (walk->columns)
		query_batch(schema, walk);
	else
	{
		Batch		batch = {.walk = walk};

		crd_call(crd_owner(schema, CRD_CONNECTIONS), fill_batch, &batch);
		if (walk->filler)
			crd_filler_flush(walk->filler);
	}
}

const char *
crd_oldest_snapshot(void)
{
	CrdRows    *rows = crd_fetch(CRD_CALLER,
								 "SELECT who FROM ("
								 " SELECT format('process %s', pid) AS who, greatest(age(backend_xmin), age(backend_xid)) AS age"
								 "  FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
								 " UNION ALL SELECT format('prepared transaction %L', gid), age(transaction) FROM pg_prepared_xacts"
								 " UNION ALL SELECT format('replication slot %I', slot_name), age(xmin) FROM pg_replication_slots"
								 " UNION ALL SELECT format('standby %s', application_name), age(backend_xmin) FROM pg_stat_replication) s"
								 " WHERE age IS NOT NULL ORDER BY age DESC, who LIMIT 1", 0);

	return rows->nrows > 0 ? rows->row[0][0] : NULL;
}

/* Come to a relation, or back to it in another transaction. */
static void
begin_leaf(CrdWalk *walk, Relation rel)
{
	MemoryContext old = MemoryContextSwitchTo(walk->context);
	Oid			filenode = rel->rd_rel->relfilenode;

	if (walk->end == InvalidBlockNumber || walk->filenode != filenode)
	{
		/* CLUSTER and the like give all rows new places */
		if (walk->end != InvalidBlockNumber)
			walk->window = 0;
		walk->end = RelationGetNumberOfBlocks(rel);
		walk->filenode = filenode;
		if (walk->leaf_context)
			MemoryContextReset(walk->leaf_context);
		else
			walk->leaf_context = AllocSetContextCreate(walk->context,
													   "connections_redesign leaf",
													   ALLOCSET_DEFAULT_SIZES);
		walk->pending = NULL;
		walk->filler = walk->columns ? NULL :
			crd_filler_open(rel, walk->fill, walk->leaf_context);
	}
	if (walk->pending == NULL && !walk->columns)
	{
		walk->window_end = Min(walk->window + WINDOW, walk->end);
		walk->cursor = walk->window;
		walk->npending = walk->window_end > walk->window ? walk->window_end - walk->window : 0;
		walk->pending = MemoryContextAlloc(walk->leaf_context, Max(walk->npending, 1));
		memset(walk->pending, true, walk->npending);
		walk->window_rows = walk->pass_rows = 0;
		walk->move = false;
	}
	MemoryContextSwitchTo(old);
}

static void
end_leaf(CrdWalk *walk)
{
	if (walk->end != InvalidBlockNumber)
		walk->blocks_before += walk->end;
	walk->end = InvalidBlockNumber;
	walk->filenode = InvalidOid;
	walk->window = walk->window_end = 0;
	walk->pending = NULL;
	walk->filler = NULL;
	walk->leaf++;
	if (walk->leaf == list_length(walk->leaves))
		walk->finished = true;
}

/* The window is done: what room is left in it is for others. */
static void
end_window(CrdWalk *walk, Relation rel)
{
	if (walk->window_rows > 0)
		FreeSpaceMapVacuumRange(rel, walk->window, walk->window_end);
	walk->window = walk->window_end;
	pfree(walk->pending);
	walk->pending = NULL;
	if (walk->window >= walk->end)
		end_leaf(walk);
}

/* A pass over the window, or as much of it as there is time for. */
static void
fill_batch(void *arg)
{
	Batch	   *batch = arg;
	CrdWalk    *walk = batch->walk;
	BlockNumber nblocks;

	walk->stalled = false;
	batch->deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), crd_batch_time);
	batch->rel = try_relation_open(list_nth_oid(walk->leaves, walk->leaf), RowExclusiveLock);
	if (batch->rel == NULL)
	{
		/* dropped meanwhile, with its rows */
		end_leaf(walk);
		return;
	}
	begin_leaf(walk, batch->rel);
	if (walk->filler == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the bridge is not on table \"%s\" any more",
						RelationGetRelationName(batch->rel)),
				 errhint("Call again.")));
	CheckCmdReplicaIdentity(batch->rel, CMD_UPDATE);
	open_update(batch);

	/* VACUUM may have cut off the end since the walk came to the relation */
	nblocks = RelationGetNumberOfBlocks(batch->rel);
	while (walk->cursor < walk->window_end)
	{
		bool	   *pending = &walk->pending[walk->cursor - walk->window];

		CHECK_FOR_INTERRUPTS();
		if (*pending && (walk->cursor >= nblocks || !visit_page(batch, walk->cursor)))
		{
			*pending = false;
			walk->npending--;
		}
		walk->cursor++;
		if (GetCurrentTimestamp() >= batch->deadline)
			break;
	}
	close_update(batch);
	if (walk->npending == 0)
		end_window(walk, batch->rel);
	else if (walk->cursor == walk->window_end)
	{
		/* another pass */
		walk->stalled = walk->pass_rows == 0;
		walk->cursor = walk->window;
		walk->pass_rows = 0;
	}
	table_close(batch->rel, NoLock);
}

/*
 * Change as many rows of a page as it has room for.  Whether it needs another
 * visit: for the rest, or to prune what the last of them have left.
 */
static bool
visit_page(Batch *batch, BlockNumber block)
{
	CrdWalk    *walk = batch->walk;
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
		if (!crd_filler_wants(walk->filler, tuple, desc) ||
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
		HeapTuple	filled;
		Size		size;
		bool		fits;
		bool		hot;

		/* no room for more, and the page is going to be visited again anyway */
		if (again && moves <= 0 && room < MAXALIGN(rows[i].t_len))
			break;
		filled = crd_filler_fill(walk->filler, &rows[i], desc);
		if (filled == NULL)
			continue;
		size = MAXALIGN(filled->t_len);
		fits = size <= room;
		if (!fits && moves < 0)
			moves = walk->move ? nrows : to_be_pruned || again ? 0 :
				moves_needed(nrows, room, MAXALIGN(rows[i].t_len), size);
		if (!fits && moves == 0)
		{
			again = true;
			break;
		}
		if (!update_row(batch, &rows[i].t_self, filled, &hot))
			continue;
		if (fits)
			room -= Min(size + sizeof(ItemIdData), room);
		else
			moves--;
		walk->rows++;
		walk->hot_rows += hot;
		walk->window_rows++;
		walk->pass_rows++;
		again = true;
	}
	if (!again && walk->window_rows > 0)
		RecordPageWithFreeSpace(batch->rel, block, room);
	MemoryContextSwitchTo(old);
	return again;
}

/*
 * How many of a full page's rows have to go, if they are all like this one:
 * what the others need to grow, and room to work in.
 */
static int
moves_needed(int nrows, Size room, Size old_size, Size new_size)
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
 * changed it, which is left to the next walk or has been seen to by the bridge.
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
		batch->walk->refused |= result == TM_BeingModified;
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
query_batch(const CrdSchema *schema, CrdWalk *walk)
{
	Relation	rel = try_relation_open(list_nth_oid(walk->leaves, walk->leaf), AccessShareLock);
	TimestampTz start = GetCurrentTimestamp();
	BlockNumber blocks;
	CrdRows    *rows;
	long		elapsed;

	if (rel == NULL)
	{
		end_leaf(walk);
		return;
	}
	begin_leaf(walk, rel);
	blocks = walk->window_end > walk->window ? walk->window_end - walk->window : FIRST_QUERY_WINDOW;
	rows = crd_fetch(crd_owner(schema, CRD_CONNECTIONS),
					 psprintf("SELECT %s FROM ONLY %s WHERE ctid >= $1::tid AND ctid < $2::tid AND (%s) FOR SHARE SKIP LOCKED",
							  walk->columns,
							  quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
														 RelationGetRelationName(rel)),
							  walk->condition), 2,
					 psprintf("(%u,0)", walk->window),
					 psprintf("(%u,0)", walk->window + blocks));
	table_close(rel, NoLock);
	if (rows->nrows > 0)
		walk->found(rows, NULL);
	walk->rows += rows->nrows;
	elapsed = TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
	walk->window += blocks;
	if (walk->window >= walk->end)
		end_leaf(walk);
	else
		walk->window_end = walk->window + (elapsed > crd_batch_time ? Max(blocks / 2, 1) : blocks * 2);
}
