/*-------------------------------------------------------------------------
 *
 * trigger_args.h
 *	  The arguments of the three triggers, in which they find the entries.
 *
 * Each entry takes some of these arguments:
 *
 *	id
 *	provider
 *	capability		empty for NULL
 *	entry type		preceded by '=', or empty for NULL
 *
 *	sync trigger			provider, capability, id
 *	reverse sync trigger	id, provider, capability, entry type
 *	type save trigger		id, entry type
 *
 * Two arguments of the reverse sync trigger precede them: "types" if connection
 * types are saved, and "names" if a NULL label becomes the empty string; both are
 * empty otherwise.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_TRIGGER_ARGS_H
#define CRD_TRIGGER_ARGS_H

#include "nodes/pg_list.h"
#include "utils/reltrigger.h"

typedef enum CrdTriggerKind
{
	CRD_TRIGGER_SYNC,
	CRD_TRIGGER_REVERSE_SYNC,
	CRD_TRIGGER_TYPE_SAVE
} CrdTriggerKind;

/* An entry, as far as the trigger has it */
typedef struct CrdTriggerEntry
{
	const char *id;
	Datum		id_value;		/* see crd_row_columns_open() */
	const char *provider;
	const char *capability;		/* or NULL */
	const char *type;			/* or NULL */
} CrdTriggerEntry;

typedef struct CrdTriggerArgs
{
	bool		has_connection_types;	/* some are saved */
	bool		empty_labels;	/* instead of NULL */
	int			nentries;
	CrdTriggerEntry *entries;
} CrdTriggerArgs;

/*
 * The arguments as a List of char *, and the reverse, both in the current memory
 * context.  Any user can create a trigger: incomplete arguments are no entries.
 */
extern List *crd_write_trigger_args(CrdTriggerKind kind, const CrdTriggerArgs *args);
extern void crd_read_trigger_args(CrdTriggerKind kind, const Trigger *trigger,
								  CrdTriggerArgs *args);

#endif							/* CRD_TRIGGER_ARGS_H */
