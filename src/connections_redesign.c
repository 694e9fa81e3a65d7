/*-------------------------------------------------------------------------
 *
 * connections_redesign.c
 *	  The door: module magic and settings.
 *
 * The redesign of connections.connections and of its catalog, from inside the
 * database.  Data flows one way through the files:
 *
 *	  schema		what the system catalogs say: the version
 *	  mapping		which catalog entry each connection belongs to
 *	  dependents	what goes with a column that is dropped
 *	  keepsake		what a rollback needs
 *	  findings		the rows, read when first asked for
 *	  checks		what must hold before and after; contents, environment,
 *					way_back
 *	  plan			the steps as lists of actions; plan_online, as transactions;
 *					planner puts either together
 *	  atomic		executes a plan in the caller's transaction
 *	  online		executes it beside the application; backfill, worker
 *	  ledger		records what was done
 *
 * beside registry (the catalog entries), bridge (the trigger), lock, gate,
 * seed (the catalog's display data) and sql (the only file that calls SPI).
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
							"Sets how long a migration queues for its locks in one attempt.",
							"Everybody who needs the tables queues behind it meanwhile. "
							"Keep it below deadlock_timeout, or the application may be the victim.",
							&crd_lock_timeout,
							500,
							1, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("connections_redesign.lock_attempts",
							"Sets how often a migration tries to get its locks before it gives up.",
							NULL,
							&crd_lock_attempts,
							30,
							1, 1000000,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("connections_redesign.batch_time",
							"Sets how long one transaction of an online run changes rows.",
							"Writers of the same rows wait that long at most.",
							&crd_batch_time,
							25,
							1, 60000,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("connections_redesign.max_replication_lag",
							"Sets how far standbys may fall behind before an online run waits for them.",
							"Zero turns it off.",
							&crd_max_replication_lag,
							0,
							0, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("connections_redesign.progress_interval",
							"Sets the time between two notices of an online run.",
							NULL,
							&crd_progress_interval,
							5000,
							1, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomStringVariable("connections_redesign.debug_waitpoint",
							   "Sets the point at which a run waits for a lock, for tests.",
							   NULL,
							   &crd_debug_waitpoint,
							   "",
							   PGC_SUSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);
	MarkGUCPrefixReserved("connections_redesign");
}
