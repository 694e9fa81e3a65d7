/*-------------------------------------------------------------------------
 *
 * standby_lag.c
 *	  How far the standbys are behind, in time.
 *
 * pg_stat_replication has positions, and times that do not advance while a
 * standby does not replay.  So we sample the end of WAL, and a standby is as far
 * behind as the oldest sample that it has not reached is old.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "base/sql_exec.h"
#include "connections_redesign.h"
#include "run/standby_lag.h"

long
crd_standby_lag(CrdLagSamples *lag, const char **standby)
{
	CrdResult  *rows;
	TimestampTz now = GetCurrentTimestamp();
	XLogRecPtr	end = GetXLogInsertRecPtr();
	XLogRecPtr	replayed = end;

	/* samples are taken often enough to measure max_replication_lag */
	if (lag->nsamples == 0 ||
		TimestampDifferenceExceeds(lag->samples[lag->nsamples - 1].at, now,
								   Max(crd_max_replication_lag / (CRD_LAG_SAMPLES / 2), 1)))
	{
		if (lag->nsamples == CRD_LAG_SAMPLES)
			memmove(&lag->samples[1], &lag->samples[2],
					sizeof(lag->samples[0]) * (CRD_LAG_SAMPLES - 2));
		else
			lag->nsamples++;
		lag->samples[lag->nsamples - 1].lsn = end;
		lag->samples[lag->nsamples - 1].at = now;
	}

	/* pg_stat_replication also lists standbys that have no position yet */
	rows = crd_query(CRD_CALLER,
					 "SELECT replay_lsn, application_name FROM pg_stat_replication"
					 " WHERE replay_lsn IS NOT NULL ORDER BY 1 LIMIT 1", 0);
	*standby = rows->nrows > 0 ? rows->row[0][1] : NULL;
	if (rows->nrows > 0)
		replayed = DatumGetLSN(DirectFunctionCall1(pg_lsn_in, CStringGetDatum(rows->row[0][0])));
	while (lag->nsamples > 0 && lag->samples[0].lsn <= replayed)
		memmove(&lag->samples[0], &lag->samples[1],
				sizeof(lag->samples[0]) * --lag->nsamples);
	return lag->nsamples == 0 ? 0 :
		TimestampDifferenceMilliseconds(lag->samples[0].at, now);
}
