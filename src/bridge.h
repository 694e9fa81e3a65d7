/*-------------------------------------------------------------------------
 *
 * bridge.h
 *	  The trigger that keeps available_connection_id right while the old
 *	  application still writes provider and type.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_BRIDGE_H
#define CRD_BRIDGE_H

#include "schema.h"

/*
 * The table's own BEFORE triggers fire first: triggers go by name, and '~' is
 * behind every letter.
 */
#define CRD_BRIDGE_TRIGGER "~connections_redesign_bridge"

/* The CREATE TRIGGER statement, with the mapping as arguments. */
extern char *crd_bridge_ddl(const CrdSchema *schema);

#endif							/* CRD_BRIDGE_H */
