/*-------------------------------------------------------------------------
 *
 * sync_trigger.c
 *	  The triggers that keep both shapes of a row right while two versions of
 *	  the application are in use.
 *
 * A trigger finds all that it needs in its arguments, so it reads no table of the
 * user and works with the privileges of any writer.  The triggers are ENABLE
 * ALWAYS, because replication and restores write rows as well.  They raise no
 * errors of their own: on a table that they do not understand, they leave the row
 * as it is.
 *
 * The sync trigger, BEFORE INSERT OR UPDATE, without a column list, exists from
 * step 2 to step 4.  It sets available_connection_id if it is NULL, or on UPDATE
 * if the mapping of the row has changed and the id has not.  A value that the
 * writer gives stays.  A row that maps to no entry gets NULL, which version 2
 * allows and NOT NULL refuses from version 3 on.  Its arguments are three for each
 * entry: provider, capability or empty, id.
 *
 * The reverse sync trigger is its inverse, while step 4 is undone online.  Its
 * first two arguments are whether connection types are saved, and whether a NULL
 * label becomes the empty string, each a word or empty; then four for each entry:
 * id, provider, capability or empty, and the entry type preceded by '=', or
 * empty for NULL.
 *
 * The type save trigger, AFTER INSERT OR UPDATE OR DELETE, saves connection types
 * while step 4 is applied online.  Its arguments are two for each entry: id, and
 * the entry type preceded by '=', or empty.  It is an AFTER trigger, because a row
 * that a BEFORE trigger sees may not be inserted (ON CONFLICT DO NOTHING).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/sql_exec.h"
#include "data/row_fill.h"
#include "data/sync_trigger.h"

PG_FUNCTION_INFO_V1(crd_sync_to_new);
PG_FUNCTION_INFO_V1(crd_sync_to_legacy);
PG_FUNCTION_INFO_V1(crd_save_type);

static Datum fire_sync_trigger(FunctionCallInfo fcinfo, CrdRowFix fix);
static CrdRowFill *row_fill_of_trigger(FunctionCallInfo fcinfo, CrdRowFix fix,
									   int timing);


/* The triggers' DDL */

/*
 * The statement for a trigger that fires on this, and calls that function with
 * a List of char * as arguments.
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

static List *
sync_to_new_args(const CrdSchema *schema)
{
	List	   *args = NIL;

	for (int i = 0; i < schema->nentries; i++)
	{
		const CrdEntryRow *entry = &schema->entries[i];

		args = lappend(args, pstrdup(entry->provider));
		args = lappend(args, pstrdup(entry->capability ? entry->capability : ""));
		args = lappend(args, pstrdup(entry->id));
	}
	return args;
}

char *
crd_sync_trigger_ddl(const CrdSchema *schema)
{
	return trigger_ddl(CRD_SYNC_TRIGGER, "BEFORE INSERT OR UPDATE", "sync_to_new",
					   sync_to_new_args(schema));
}

bool
crd_sync_trigger_is_current(const CrdSchema *schema)
{
	return has_args(schema, CRD_SYNC_TRIGGER, sync_to_new_args(schema));
}

/* A type as an argument, which cannot be NULL. */
static char *
type_argument(const char *type)
{
	return type ? psprintf("=%s", type) : pstrdup("");
}

static List *
sync_to_legacy_args(const CrdSchema *schema, const CrdRollbackExprs *exprs,
					const CrdSavedState *saved)
{
	List	   *args = list_make2(pstrdup(saved->has_connection_types ? "exceptions" : ""),
								  pstrdup(crd_saved_not_null(saved, 4, "name") ? "names" : ""));

	for (int i = 0; i < schema->nentries; i++)
	{
		const CrdEntryRow *entry = &schema->entries[i];

		args = lappend(args, pstrdup(entry->id));
		args = lappend(args, pstrdup(entry->provider));
		args = lappend(args, pstrdup(entry->capability ? entry->capability : ""));
		args = lappend(args, type_argument(exprs->types[i]));
	}
	return args;
}

char *
crd_reverse_sync_trigger_ddl(const CrdSchema *schema, const CrdRollbackExprs *exprs,
							 const CrdSavedState *saved)
{
	return trigger_ddl(CRD_REVERSE_SYNC_TRIGGER, "BEFORE INSERT OR UPDATE", "sync_to_legacy",
					   sync_to_legacy_args(schema, exprs, saved));
}

bool
crd_reverse_sync_trigger_is_current(const CrdSchema *schema, const CrdRollbackExprs *exprs,
									const CrdSavedState *saved)
{
	return has_args(schema, CRD_REVERSE_SYNC_TRIGGER,
					sync_to_legacy_args(schema, exprs, saved));
}

char *
crd_type_save_trigger_ddl(const CrdSchema *schema, const List *entry_types)
{
	List	   *args = NIL;
	ListCell   *lc;

	foreach(lc, entry_types)
	{
		const CrdEntryType *entry_type = lfirst(lc);

		args = lappend(args, pstrdup(entry_type->id));
		args = lappend(args, type_argument(entry_type->type));
	}
	return trigger_ddl(CRD_TYPE_SAVE_TRIGGER, "AFTER INSERT OR UPDATE OR DELETE", "save_type",
					   args);
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
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	CrdRowFill *fill = row_fill_of_trigger(fcinfo, fix, TRIGGER_EVENT_BEFORE);
	bool		update = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event);
	HeapTuple	tuple = update ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	CrdFilledRow filled = {NULL, NULL};

	if (fill->nentries > 0)
		filled = crd_row_fill(fill, tuple, update ? trigdata->tg_trigtuple : NULL,
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
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	CrdRowFill *fill = row_fill_of_trigger(fcinfo, CRD_SAVE_TYPE, TRIGGER_EVENT_AFTER);
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	HeapTuple	old = TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? NULL : trigdata->tg_trigtuple;
	HeapTuple	new = TRIGGER_FIRED_BY_DELETE(trigdata->tg_event) ? NULL :
	old ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	char	   *key = NULL;

	if (!fill->usable)
		return PointerGetDatum(NULL);

	if (new && crd_row_has_own_type(fill, new, desc))
	{
		const char *values[3];
		const char *const *row = values;
		CrdResult	rows = {1, &row};

		key = crd_row_key_text(fill, new, desc);
		values[0] = key;
		values[1] = crd_row_saved_text(fill, &fill->id, new, desc);
		values[2] = crd_row_column_text(&fill->type, new, desc);
		crd_save_connection_types(&rows, NULL);
	}
	if (old && crd_row_has_own_type(fill, old, desc) &&
		(key == NULL || strcmp(key, crd_row_key_text(fill, old, desc)) != 0))
		crd_delete_connection_type(crd_row_key_text(fill, old, desc));
	return PointerGetDatum(NULL);
}

/* The fill of the trigger that is fired, made once for a statement. */
static CrdRowFill *
row_fill_of_trigger(FunctionCallInfo fcinfo, CrdRowFix fix, int timing)
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
	if (fcinfo->flinfo->fn_extra == NULL)
	{
		CrdRowFill *fill = crd_row_fill_of_trigger(trigdata->tg_relation,
												   trigdata->tg_trigger, fix,
												   fcinfo->flinfo->fn_mcxt);

		/* unlike in a backfill, the settings are the writer's */
		fill->enter_settings = fill->id.by_settings;
		for (int i = 0; i < fill->nkeys; i++)
			fill->enter_settings |= fill->keys[i].by_settings;
		fcinfo->flinfo->fn_extra = fill;
	}
	return fcinfo->flinfo->fn_extra;
}
