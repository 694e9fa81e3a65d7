/*-------------------------------------------------------------------------
 *
 * waitpoint.c
 *	  Named points at which a test can stop a run.  See waitpoint.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/guc.h"

#include "connections_redesign.h"
#include "base/waitpoint.h"
#include "base/sql_exec.h"

/* The lock that a waitpoint waits for: pg_advisory_lock(63726472) */
#define WAITPOINT_KEY 63726472

void
crd_waitpoint(const char *prefix, const char *point)
{
	LOCKTAG		tag;
	int			guc_level;

	if (crd_debug_waitpoint[0] == '\0' ||
		strcmp(crd_debug_waitpoint, psprintf("%s%s", prefix, point)) != 0)
		return;
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, WAITPOINT_KEY, 1);
	guc_level = NewGUCNestLevel();
	crd_set_guc_local("lock_timeout", "0");
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	(void) LockRelease(&tag, ExclusiveLock, false);
	AtEOXact_GUC(false, guc_level);
}
