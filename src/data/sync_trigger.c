/*-------------------------------------------------------------------------
 *
 * sync_trigger.c
 *	  The triggers that keep both shapes of a row right while two versions of
 *	  the application are in use.
 *
 * A trigger finds the entries in its arguments (see row_columns.h), so it reads no
 * table of the user and works with the privileges of any writer.  The triggers are
 * ENABLE ALWAYS, because replication and restores write rows as well.  They raise
 * no errors of their own: on a table that they do not understand, they leave the
 * row as it is.
 *
 * The sync trigger, BEFORE INSERT OR UPDATE, without a column list, exists from
 * step 2 to step 4.  It sets available_connection_id if it is NULL, or on UPDATE
 * if the mapping of the row has changed and the id has not.  A value that the
 * writer gives stays.  A row that maps to no entry gets NULL, which version 2
 * allows and NOT NULL refuses from version 3 on.
 *
 * The reverse sync trigger is its inverse, while step 4 is undone online.
 *
 * The type save trigger, AFTER INSERT OR UPDATE OR DELETE, saves connection types
 * while step 4 is applied online.  It is an AFTER trigger, because a row that a
 * BEFORE trigger sees may not be inserted (ON CONFLICT DO NOTHING).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/sql_exec.h"
#include "data/row_columns.h"
#include "data/row_fill.h"
#include "data/sync_trigger.h"

PG_FUNCTION_INFO_V1(crd_sync_to_new);
PG_FUNCTION_INFO_V1(crd_sync_to_legacy);
PG_FUNCTION_INFO_V1(crd_save_type);

static List *sync_args(const CrdSchema *schema);
static List *reverse_sync_args(const CrdSchema *schema, const CrdRollbackExprs *exprs,
							   const CrdSavedState *saved);
static CrdTriggerEntry *trigger_entries(const CrdSchema *schema, const char **types);
static char *trigger_ddl(const char *name, const char *event, const char *function,
						 const List *args);
static bool has_args(const CrdSchema *schema, const char *name, const List *args);
static Datum fire_sync_trigger(FunctionCallInfo fcinfo, CrdRowFix fix);
static bool has_own_type(CrdRowColumns *columns, HeapTuple tuple, TupleDesc desc);
static TriggerData *trigger_data(FunctionCallInfo fcinfo, int timing);


/* The triggers' DDL */

char *
crd_sync_trigger_ddl(const CrdSchema *schema)
{
	return trigger_ddl(CRD_SYNC_TRIGGER, "BEFORE INSERT OR UPDATE", "sync_to_new",
					   sync_args(schema));
}

bool
crd_sync_trigger_is_current(const CrdSchema *schema)
{
	return has_args(schema, CRD_SYNC_TRIGGER, sync_args(schema));
}

static List *
sync_args(const CrdSchema *schema)
{
	return crd_write_trigger_args(CRD_TRIGGER_SYNC, schema->nentries,
								  trigger_entries(schema, NULL), false, false);
}

char *
crd_reverse_sync_trigger_ddl(const CrdSchema *schema, const CrdRollbackExprs *exprs,
							 const CrdSavedState *saved)
{
	return trigger_ddl(CRD_REVERSE_SYNC_TRIGGER, "BEFORE INSERT OR UPDATE", "sync_to_legacy",
					   reverse_sync_args(schema, exprs, saved));
}

bool
crd_reverse_sync_trigger_is_current(const CrdSchema *schema, const CrdRollbackExprs *exprs,
									const CrdSavedState *saved)
{
	return has_args(schema, CRD_REVERSE_SYNC_TRIGGER,
					reverse_sync_args(schema, exprs, saved));
}

static List *
reverse_sync_args(const CrdSchema *schema, const CrdRollbackExprs *exprs,
				  const CrdSavedState *saved)
{
	return crd_write_trigger_args(CRD_TRIGGER_REVERSE_SYNC, schema->nentries,
								  trigger_entries(schema, exprs->types),
								  saved->has_connection_types,
								  crd_saved_not_null(saved, 4, "name"));
}

/* The entries, with types by their index, or without. */
static CrdTriggerEntry *
trigger_entries(const CrdSchema *schema, const char **types)
{
	CrdTriggerEntry *entries = palloc0(sizeof(CrdTriggerEntry) * (schema->nentries + 1));

	for (int i = 0; i < schema->nentries; i++)
	{
		entries[i].id = schema->entries[i].id;
		entries[i].provider = schema->entries[i].provider;
		entries[i].capability = schema->entries[i].capability;
		entries[i].type = types ? types[i] : NULL;
	}
	return entries;
}

char *
crd_type_save_trigger_ddl(const CrdSchema *schema, const List *entry_types)
{
	int			nentries = list_length(entry_types);
	CrdTriggerEntry *entries = palloc0(sizeof(CrdTriggerEntry) * (nentries + 1));

	for (int i = 0; i < nentries; i++)
	{
		const CrdEntryType *entry_type = list_nth(entry_types, i);

		entries[i].id = entry_type->id;
		entries[i].type = entry_type->type;
	}
	return trigger_ddl(CRD_TYPE_SAVE_TRIGGER, "AFTER INSERT OR UPDATE OR DELETE", "save_type",
					   crd_write_trigger_args(CRD_TRIGGER_TYPE_SAVE, nentries, entries, false, false));
}

/*
 * The statement for a trigger that fires on the event and calls the function,
 * with a List of char * as arguments.
 */
static char *
trigger_ddl(const char *name, const char *event, const char *function,
			const List *args)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TRIGGER %s %s ON connections.connections"
					 " FOR EACH ROW EXECUTE FUNCTION connections_redesign.%s(",
					 quote_identifier(name), event, function);
	foreach(lc, args)
		appendStringInfo(&buf, "%s%s", foreach_current_index(lc) ? ", " : "",
						 quote_literal_cstr(lfirst(lc)));
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

/* Whether a trigger exists with these arguments. */
static bool
has_args(const CrdSchema *schema, const char *name, const List *args)
{
	StringInfoData buf;
	char	   *hex;
	ListCell   *lc;

	/* pg_trigger has a null byte behind each argument */
	initStringInfo(&buf);
	foreach(lc, args)
		appendBinaryStringInfo(&buf, lfirst(lc), strlen(lfirst(lc)) + 1);
	hex = palloc0(2 * buf.len + 1);
	hex_encode(buf.data, buf.len, hex);
	return crd_query(CRD_CALLER,
					 "SELECT FROM pg_trigger WHERE tgrelid = $1::oid AND tgname = $2 AND tgargs = decode($3, 'hex')", 3,
					 psprintf("%u", schema->relation[CRD_CONNECTIONS].relid), name, hex)->nrows > 0;
}


/* The triggers */

/*
 * connections_redesign.sync_to_new()
 */
Datum
crd_sync_to_new(PG_FUNCTION_ARGS)
{
	return fire_sync_trigger(fcinfo, CRD_FIX_ENTRY_ID);
}

/*
 * connections_redesign.sync_to_legacy()
 */
Datum
crd_sync_to_legacy(PG_FUNCTION_ARGS)
{
	return fire_sync_trigger(fcinfo, CRD_FIX_LEGACY_COLUMNS);
}

static Datum
fire_sync_trigger(FunctionCallInfo fcinfo, CrdRowFix fix)
{
	TriggerData *trigdata = trigger_data(fcinfo, TRIGGER_EVENT_BEFORE);
	FmgrInfo   *flinfo = fcinfo->flinfo;
	bool		update = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event);
	HeapTuple	tuple = update ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	CrdFilledRow filled;

	if (flinfo->fn_extra == NULL)
		flinfo->fn_extra = crd_row_fill_open(trigdata->tg_relation, trigdata->tg_trigger,
											 fix, flinfo->fn_mcxt);
	filled = crd_row_fill_apply(flinfo->fn_extra, tuple, update ? trigdata->tg_trigtuple : NULL,
								RelationGetDescr(trigdata->tg_relation));
	if (filled.null_label_key)
	{
		const char *key = filled.null_label_key;
		const char *const *row = &key;
		CrdResult	rows = {1, &row};

		crd_save_null_labels(&rows, NULL);
	}
	return PointerGetDatum(filled.tuple ? filled.tuple : tuple);
}

/*
 * connections_redesign.save_type()
 */
Datum
crd_save_type(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = trigger_data(fcinfo, TRIGGER_EVENT_AFTER);
	FmgrInfo   *flinfo = fcinfo->flinfo;
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	HeapTuple	old = TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? NULL : trigdata->tg_trigtuple;
	HeapTuple	new = TRIGGER_FIRED_BY_DELETE(trigdata->tg_event) ? NULL :
	old ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	CrdRowColumns *columns;
	char	   *key = NULL;

	if (flinfo->fn_extra == NULL)
		flinfo->fn_extra = crd_row_columns_open(trigdata->tg_relation, CRD_TRIGGER_TYPE_SAVE,
												trigdata->tg_trigger, flinfo->fn_mcxt);
	columns = flinfo->fn_extra;
	if (!columns->usable)
		return PointerGetDatum(NULL);

	if (new && has_own_type(columns, new, desc))
	{
		const char *values[3];
		const char *const *row = values;
		CrdResult	rows = {1, &row};

		key = crd_row_key_text(columns, new, desc);
		values[0] = key;
		values[1] = crd_row_id_text(columns, new, desc);
		values[2] = crd_row_text(&columns->type, new, desc);
		crd_save_connection_types(&rows, NULL);
	}
	if (old && has_own_type(columns, old, desc) &&
		(key == NULL || strcmp(key, crd_row_key_text(columns, old, desc)) != 0))
		crd_delete_connection_type(crd_row_key_text(columns, old, desc));
	return PointerGetDatum(NULL);
}

/* Whether the row's type differs from the type of its entry. */
static bool
has_own_type(CrdRowColumns *columns, HeapTuple tuple, TupleDesc desc)
{
	const CrdTriggerEntry *entry = crd_row_entry_of_id(columns, tuple, desc);
	char	   *type = crd_row_text(&columns->type, tuple, desc);

	if (heap_attisnull(tuple, columns->id.attnum, desc))
		return false;
	if (entry == NULL)
		return true;
	return type == NULL || entry->type == NULL ? type != entry->type :
		strcmp(type, entry->type) != 0;
}

/* The trigger that fires; an error if the function is called in another way. */
static TriggerData *
trigger_data(FunctionCallInfo fcinfo, int timing)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		(trigdata->tg_event & TRIGGER_EVENT_TIMINGMASK) != timing ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		(timing == TRIGGER_EVENT_BEFORE && TRIGGER_FIRED_BY_DELETE(trigdata->tg_event)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called as %s FOR EACH ROW trigger",
						get_func_name(fcinfo->flinfo->fn_oid),
						timing == TRIGGER_EVENT_BEFORE ? "a BEFORE INSERT OR UPDATE" :
						"an AFTER")));
	return trigdata;
}
