/*-------------------------------------------------------------------------
 *
 * gate.c
 *	  Named points at which a test can stop a run.  See gate.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/guc.h"

#include "connections_redesign.h"
#include "gate.h"
#include "sql.h"

/* The gate's lock: pg_advisory_lock(63726472) */
#define GATE_KEY 63726472

void
crd_gate(const char *prefix, const char *point)
{
	LOCKTAG		tag;
	int			guc_level;

	if (crd_gate_name[0] == '\0' ||
		strcmp(crd_gate_name, psprintf("%s%s", prefix, point)) != 0)
		return;
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, GATE_KEY, 1);
	guc_level = NewGUCNestLevel();
	crd_set_local("lock_timeout", "0");
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	(void) LockRelease(&tag, ExclusiveLock, false);
	AtEOXact_GUC(false, guc_level);
}
