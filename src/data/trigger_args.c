/*-------------------------------------------------------------------------
 *
 * trigger_args.c
 *	  Writes and reads the arguments of the three triggers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "data/trigger_args.h"

static char *text_arg(const char *value);

List *
crd_write_trigger_args(CrdTriggerKind kind, const CrdTriggerArgs *args)
{
	List	   *list = NIL;

	if (kind == CRD_TRIGGER_REVERSE_SYNC)
		list = list_make2(pstrdup(args->has_connection_types ? "types" : ""),
						  pstrdup(args->empty_labels ? "names" : ""));
	for (int i = 0; i < args->nentries; i++)
	{
		const CrdTriggerEntry *entry = &args->entries[i];
		char	   *id = pstrdup(entry->id);
		char	   *provider = text_arg(entry->provider);
		char	   *capability = text_arg(entry->capability);
		char	   *type = entry->type ? psprintf("=%s", entry->type) : pstrdup("");

		switch (kind)
		{
			case CRD_TRIGGER_SYNC:
				list = list_concat(list, list_make3(provider, capability, id));
				break;
			case CRD_TRIGGER_REVERSE_SYNC:
				list = list_concat(list, list_make4(id, provider, capability, type));
				break;
			case CRD_TRIGGER_TYPE_SAVE:
				list = list_concat(list, list_make2(id, type));
				break;
		}
	}
	return list;
}

/* An argument cannot be NULL. */
static char *
text_arg(const char *value)
{
	return pstrdup(value ? value : "");
}

void
crd_read_trigger_args(CrdTriggerKind kind, const Trigger *trigger, CrdTriggerArgs *args)
{
	static const int width[] = {3, 4, 2};
	int			skip = kind == CRD_TRIGGER_REVERSE_SYNC ? 2 : 0;

	args->nentries = Max(trigger->tgnargs - skip, 0) / width[kind];
	args->entries = palloc0(sizeof(CrdTriggerEntry) * Max(args->nentries, 1));
	args->has_connection_types = args->nentries > 0 && skip && trigger->tgargs[0][0];
	args->empty_labels = args->nentries > 0 && skip && trigger->tgargs[1][0];
	for (int i = 0; i < args->nentries; i++)
	{
		CrdTriggerEntry *entry = &args->entries[i];
		char	  **arg = &trigger->tgargs[skip + width[kind] * i];
		const char *capability = "";
		const char *type = "";

		switch (kind)
		{
			case CRD_TRIGGER_SYNC:
				entry->provider = pstrdup(arg[0]);
				capability = arg[1];
				entry->id = pstrdup(arg[2]);
				break;
			case CRD_TRIGGER_REVERSE_SYNC:
				entry->id = pstrdup(arg[0]);
				entry->provider = pstrdup(arg[1]);
				capability = arg[2];
				type = arg[3];
				break;
			case CRD_TRIGGER_TYPE_SAVE:
				entry->id = pstrdup(arg[0]);
				type = arg[1];
				break;
		}
		entry->capability = capability[0] ? pstrdup(capability) : NULL;
		entry->type = type[0] ? pstrdup(type + 1) : NULL;
	}
}
