/*-------------------------------------------------------------------------
 *
 * connections_redesign.h
 *	  The settings, connections_redesign.*
 *
 *-------------------------------------------------------------------------
 */
#ifndef CONNECTIONS_REDESIGN_H
#define CONNECTIONS_REDESIGN_H

/* Limit of one queued attempt to lock the tables, in milliseconds */
extern int	crd_lock_timeout;

/* How often that is tried */
extern int	crd_lock_attempts;

#endif							/* CONNECTIONS_REDESIGN_H */
