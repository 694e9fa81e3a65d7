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
 *	  checks		what must hold before and after; environment, way_back
 *	  plan			the steps as lists of actions
 *	  atomic		executes a plan in the caller's transaction
 *	  ledger		records what was done
 *
 * beside registry (the catalog entries), bridge (the trigger), seed (the
 * catalog's display data) and sql (the only file that calls SPI).
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
	MarkGUCPrefixReserved("connections_redesign");
}
