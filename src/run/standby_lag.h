/*-------------------------------------------------------------------------
 *
 * standby_lag.h
 *	  How far the standbys are behind, in time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_STANDBY_LAG_H
#define CRD_STANDBY_LAG_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"

/* How many ends of WAL are remembered */
#define CRD_LAG_SAMPLES 64

/* Ends of WAL, the oldest first, that some standby has not replayed */
typedef struct CrdLagSamples
{
	int			nsamples;
	struct
	{
		XLogRecPtr	lsn;
		TimestampTz at;
	}			samples[CRD_LAG_SAMPLES];
} CrdLagSamples;

/*
 * Return for how long, in milliseconds, WAL has existed that the standby which is
 * furthest behind has not replayed; 0 without a standby.  The samples, zero at
 * first, belong to the caller, who must call again soon.  *standby is set to its
 * application_name, in the current memory context.
 */
extern long crd_standby_lag(CrdLagSamples *lag, const char **standby);

#endif							/* CRD_STANDBY_LAG_H */
