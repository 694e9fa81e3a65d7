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
 * 18 put name and version into the magic block, gave pg_noreturn its name, and
 * lets the caller choose about deferrable primary keys
 */
#if PG_VERSION_NUM < 180000
#include "utils/relcache.h"

#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC
#define pg_noreturn pg_attribute_noreturn()
#define RelationGetPrimaryKeyIndex(relation, deferrable_ok) \
	RelationGetPrimaryKeyIndex(relation)
#endif

/* 16 declares _PG_init in fmgr.h and hides all other symbols */
#if PG_VERSION_NUM < 160000
extern PGDLLEXPORT void _PG_init(void);
#endif

/* 16 moved the accessors of varlena types out of postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#endif							/* CRD_COMPAT_H */
