/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The newest spelling of server interfaces for older servers.
 *
 * The only file that asks for the server's version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_COMPAT_H
#define CRD_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "connections_redesign needs PostgreSQL 15 or later"
#endif

/*
 * 19 lets the caller of heap_page_prune_opt keep the page of the visibility map
 * pinned, and gives table_tuple_update options
 */
#if PG_VERSION_NUM < 190000
#include "access/heapam.h"
#include "access/tableam.h"

#define heap_page_prune_opt(relation, buffer, vmbuffer, rel_read_only) \
	heap_page_prune_opt(relation, buffer)
#define table_tuple_update(rel, otid, slot, cid, options, snapshot, crosscheck, \
						   wait, tmfd, lockmode, update_indexes) \
	table_tuple_update(rel, otid, slot, cid, snapshot, crosscheck, \
					   wait, tmfd, lockmode, update_indexes)
#endif

/*
 * 18 put name and version into the magic block, gave pg_noreturn its name, lets
 * the caller choose about deferrable primary keys, and dropped PortalRun's
 * run_once
 */
#if PG_VERSION_NUM < 180000
#include "tcop/pquery.h"
#include "utils/relcache.h"

#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC
#define pg_noreturn pg_attribute_noreturn()
#define RelationGetPrimaryKeyIndex(relation, deferrable_ok) \
	RelationGetPrimaryKeyIndex(relation)
#define PortalRun(portal, count, is_top_level, dest, altdest, qc) \
	PortalRun(portal, count, is_top_level, true, dest, altdest, qc)
#endif

/*
 * 17 named the messages of the protocol, and lets a background worker connect
 * as a role that may not log in
 */
#if PG_VERSION_NUM < 170000
#define PqMsg_ErrorResponse 'E'
#define PqMsg_NoticeResponse 'N'
#define BGWORKER_BYPASS_ROLELOGINCHECK 0
#else
#include "libpq/protocol.h"
#endif

/* 15 compresses full-page images with LZ4 where it was built with it */
#ifdef USE_LZ4
#define CRD_WAL_COMPRESSION "lz4"
#else
#define CRD_WAL_COMPRESSION "on"
#endif

/*
 * 16 declares _PG_init in fmgr.h and hides all other symbols, has one function
 * for the privileges on all kinds of objects, and tells a role that one may
 * become from one whose privileges one has
 */
#if PG_VERSION_NUM < 160000
extern PGDLLEXPORT void _PG_init(void);

#define object_aclcheck(classid, objectid, roleid, mode) \
	pg_proc_aclcheck(objectid, roleid, mode)
#define member_can_set_role(member, role) is_member_of_role(member, role)
#endif

/*
 * 16 tells apart which indexes an update concerns, and lets ExecInsertIndexTuples
 * know.  We do not call it an update: each row is moved once, so that it does
 * not help to look for older versions of it in the index.  19 says it by flags.
 */
#if PG_VERSION_NUM >= 190000
#define CrdIndexUpdate TU_UpdateIndexes
#define crd_index_update_needed(update) ((update) != TU_None)
#define crd_insert_index_tuples(info, slot, estate, index_update) \
	ExecInsertIndexTuples(info, estate, \
						  (index_update) == TU_Summarizing ? EIIT_ONLY_SUMMARIZING : 0, \
						  slot, NIL, NULL)
#elif PG_VERSION_NUM >= 160000
#define CrdIndexUpdate TU_UpdateIndexes
#define crd_index_update_needed(update) ((update) != TU_None)
#define crd_insert_index_tuples(info, slot, estate, index_update) \
	ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL, \
						  (index_update) == TU_Summarizing)
#else
#define CrdIndexUpdate bool
#define crd_index_update_needed(update) (update)
#define crd_insert_index_tuples(info, slot, estate, index_update) \
	ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL)
#endif

/* 16 moved the accessors of varlena types out of postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#endif							/* CRD_COMPAT_H */
