/*-------------------------------------------------------------------------
 *
 * connections_redesign.c
 *	  Module magic and settings.
 *
 * The extension migrates connections.connections and
 * connections.available_connections to their new design, and back.  "crd_"
 * abbreviates "connections redesign".  The words that the code uses:
 *
 *	  version		0 (legacy) to 4: the last step that is complete
 *	  step			1 to 4: one migration, with a direction, up or down
 *	  plan			the list of actions that takes a database to a version
 *	  phase			one transaction of the online mode
 *	  action		one statement of a plan
 *	  entry			a row of available_connections
 *	  saved state	what a rollback needs: columns, DDL, types, labels, entries
 *	  sync trigger	keeps both shapes of a row right while steps are applied
 *	  backfill		the scan that fixes existing rows, in short transactions
 *	  partial step	a step that an online run has begun and not completed
 *	  migration lock	lets one session migrate at a time
 *	  waitpoint		a named point at which a test makes a run wait
 *
 * The folders, each of which uses only those before it:
 *
 *	  base			SQL execution; knows PostgreSQL, nothing of connections
 *	  schema		the system catalogs as structs: version, dependents, DDL
 *	  data			the rows: mapping, saved state, triggers
 *	  checks		connections_precheck() and connections_verify()
 *	  plan			the steps, as actions and phases
 *	  run			the atomic and the online mode, backfill, worker, history
 *
 * docs/internals.md explains how they work together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "utils/guc.h"

#include "compat.h"
#include "connections_redesign.h"

PG_MODULE_MAGIC_EXT(.name = "connections_redesign",.version = CRD_VERSION);

int			crd_lock_timeout;
int			crd_lock_attempts;
int			crd_batch_time;
int			crd_max_replication_lag;
int			crd_progress_interval;
char	   *crd_debug_waitpoint;

void
_PG_init(void)
{
	DefineCustomIntVariable("connections_redesign.lock_timeout",
							"Sets how long a migration waits in the lock queue in one attempt.",
							"Other sessions queue behind it during that time. "
							"Keep it below deadlock_timeout, or a deadlock may cancel the application.",
							&crd_lock_timeout,
							500,
							1, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("connections_redesign.lock_attempts",
							"Sets how many times a migration tries to acquire its locks.",
							NULL,
							&crd_lock_attempts,
							30,
							1, 1000000,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("connections_redesign.batch_time",
							"Sets the target duration of one backfill transaction.",
							"Sessions that write the same rows wait at most that long.",
							&crd_batch_time,
							25,
							1, 60000,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("connections_redesign.max_replication_lag",
							"Sets the replication lag at which an online run waits for standbys.",
							"Zero disables the wait.",
							&crd_max_replication_lag,
							0,
							0, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("connections_redesign.progress_interval",
							"Sets the time between progress notices of an online run.",
							NULL,
							&crd_progress_interval,
							5000,
							1, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomStringVariable("connections_redesign.debug_waitpoint",
							   "Sets the waitpoint at which a run waits for a lock, for tests.",
							   NULL,
							   &crd_debug_waitpoint,
							   "",
							   PGC_SUSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);
	MarkGUCPrefixReserved("connections_redesign");
}
