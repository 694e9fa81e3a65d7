/*-------------------------------------------------------------------------
 *
 * connections_redesign.h
 *	  The settings, connections_redesign.*
 *
 *-------------------------------------------------------------------------
 */
#ifndef CONNECTIONS_REDESIGN_H
#define CONNECTIONS_REDESIGN_H

/*
 * What indexes are made with, at least, in kilobytes: that of the default
 * setting sorts the keys of a million rows on disk
 */
#define CRD_MAINTENANCE_WORK_MEM (256 * 1024)

/* Limit of one queued attempt to lock the tables, in milliseconds */
extern int	crd_lock_timeout;

/* How often that is tried */
extern int	crd_lock_attempts;

/* Limit of one batch of a backfill, in milliseconds */
extern int	crd_batch_time;

/* An online run waits while a standby is further behind, in ms; 0 is off */
extern int	crd_max_replication_lag;

/* Between two NOTICEs of an online run, in milliseconds */
extern int	crd_progress_interval;

/* The waitpoint at which a run waits for a lock; empty for none */
extern char *crd_debug_waitpoint;

#endif							/* CONNECTIONS_REDESIGN_H */
