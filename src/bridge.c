/*-------------------------------------------------------------------------
 *
 * bridge.c
 *	  The trigger that keeps available_connection_id right while the old
 *	  application still writes provider and type.
 *
 * BEFORE INSERT OR UPDATE FOR EACH ROW, without a column list, ENABLE ALWAYS.
 * It sets available_connection_id when it is NULL, or on UPDATE when what the
 * row maps to has changed and the id has not.  A value that the writer gives
 * stands.  What maps to nothing gives NULL, which version 2 allows and NOT
 * NULL refuses from version 3 on.
 *
 * The mapping stands in the trigger's arguments, three for each entry
 * (provider, capability or empty, id), so it reads no table and runs with the
 * writer's privileges whoever that is.  It never raises an error of its own in
 * a trigger: where it does not understand its table, it leaves the row alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "bridge.h"
#include "mapping.h"

PG_FUNCTION_INFO_V1(crd_bridge);

/* What the arguments say, for the table that the trigger is on */
typedef struct Bridge
{
	int			provider;		/* attribute numbers */
	int			config;
	int			id;
	FmgrInfo	provider_out;
	bool		provider_blank_padded;
	Oid			config_type;
	int16		id_length;
	bool		id_by_value;
	int			nentries;
	struct
	{
		const char *provider;
		const char *capability; /* or NULL */
		Datum		id;
	}			entries[FLEXIBLE_ARRAY_MEMBER];
} Bridge;

static Bridge *bridge_open(FunctionCallInfo fcinfo);
static Datum map_row(Bridge *bridge, HeapTuple tuple, TupleDesc desc,
					 bool *isnull);

char *
crd_bridge_ddl(const CrdSchema *schema)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON connections.connections"
					 " FOR EACH ROW EXECUTE FUNCTION connections_redesign.bridge(",
					 quote_identifier(CRD_BRIDGE_TRIGGER));
	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdCatalogRow *row = &schema->rows[i];

		appendStringInfo(&buf, "%s%s, %s, %s", i ? ", " : "",
						 quote_literal_cstr(row->provider),
						 quote_literal_cstr(row->capability ? row->capability : ""),
						 quote_literal_cstr(row->id));
	}
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

/*
 * The trigger function.
 */
Datum
crd_bridge(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	tuple;
	Bridge	   *bridge;
	Datum		id;
	Datum		new_id;
	bool		isnull;
	bool		new_isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"bridge\" was not called as a BEFORE INSERT OR UPDATE FOR EACH ROW trigger")));

	desc = RelationGetDescr(trigdata->tg_relation);
	tuple = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	bridge = bridge_open(fcinfo);
	if (bridge->nentries == 0)
		return PointerGetDatum(tuple);

	new_id = map_row(bridge, tuple, desc, &new_isnull);
	id = heap_getattr(tuple, bridge->id, desc, &isnull);
	if (!isnull)
	{
		HeapTuple	old = trigdata->tg_trigtuple;
		Datum		old_id;
		bool		old_isnull;

		if (!TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
			return PointerGetDatum(tuple);
		old_id = heap_getattr(old, bridge->id, desc, &old_isnull);
		if (old_isnull || !datumIsEqual(id, old_id, bridge->id_by_value,
										bridge->id_length))
			return PointerGetDatum(tuple);
		old_id = map_row(bridge, old, desc, &old_isnull);
		if (old_isnull == new_isnull &&
			(old_isnull || datumIsEqual(old_id, new_id, bridge->id_by_value,
										bridge->id_length)))
			return PointerGetDatum(tuple);
	}
	else if (new_isnull)
		return PointerGetDatum(tuple);

	return PointerGetDatum(heap_modify_tuple_by_cols(tuple, desc, 1, &bridge->id,
													 &new_id, &new_isnull));
}

/*
 * Read the arguments, once for a statement.  No entries where the table has not
 * the columns.
 */
static Bridge *
bridge_open(FunctionCallInfo fcinfo)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Trigger    *trigger = trigdata->tg_trigger;
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	MemoryContext old;
	Bridge	   *bridge = fcinfo->flinfo->fn_extra;
	int			nentries = trigger->tgnargs / 3;
	Oid			type;
	Oid			function;
	Oid			ioparam;
	bool		varlena;

	if (bridge)
		return bridge;

	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	bridge = palloc0(offsetof(Bridge, entries) + sizeof(bridge->entries[0]) * nentries);
	fcinfo->flinfo->fn_extra = bridge;
	bridge->provider = SPI_fnumber(desc, "provider");
	bridge->config = SPI_fnumber(desc, "config");
	bridge->id = SPI_fnumber(desc, "available_connection_id");
	if (bridge->config > 0)
		bridge->config_type = getBaseType(SPI_gettypeid(desc, bridge->config));
	if (bridge->provider > 0 && bridge->id > 0 &&
		(bridge->config_type == JSONOID || bridge->config_type == JSONBOID))
	{
		type = getBaseType(SPI_gettypeid(desc, bridge->provider));
		getTypeOutputInfo(type, &function, &varlena);
		fmgr_info_cxt(function, &bridge->provider_out, fcinfo->flinfo->fn_mcxt);
		bridge->provider_blank_padded = type == BPCHAROID;
		type = SPI_gettypeid(desc, bridge->id);
		get_typlenbyval(type, &bridge->id_length, &bridge->id_by_value);
		getTypeInputInfo(type, &function, &ioparam);
		for (int i = 0; i < nentries; i++)
		{
			char	  **args = &trigger->tgargs[3 * i];

			bridge->entries[i].provider = pstrdup(args[0]);
			bridge->entries[i].capability = args[1][0] ? pstrdup(args[1]) : NULL;
			bridge->entries[i].id = OidInputFunctionCall(function, args[2], ioparam,
														 TupleDescAttr(desc, bridge->id - 1)->atttypmod);
		}
		bridge->nentries = nentries;
	}
	MemoryContextSwitchTo(old);
	return bridge;
}

/* The id that a row's legacy columns map to. */
static Datum
map_row(Bridge *bridge, HeapTuple tuple, TupleDesc desc, bool *isnull)
{
	Datum		value;
	char	   *provider;
	char	   *capability = NULL;
	bool		read = false;	/* capability has been read */

	value = heap_getattr(tuple, bridge->provider, desc, isnull);
	if (*isnull)
		return (Datum) 0;
	provider = OutputFunctionCall(&bridge->provider_out, value);
	if (bridge->provider_blank_padded)
		for (char *p = provider + strlen(provider); p > provider && p[-1] == ' '; p--)
			p[-1] = '\0';

	*isnull = false;
	for (int i = 0; i < bridge->nentries; i++)
	{
		if (strcmp(bridge->entries[i].provider, provider) != 0)
			continue;
		if (bridge->entries[i].capability == NULL)
			return bridge->entries[i].id;
		if (!read)
		{
			bool		config_isnull;

			value = heap_getattr(tuple, bridge->config, desc, &config_isnull);
			if (!config_isnull)
				capability = crd_capability(bridge->config_type, value);
			read = true;
		}
		if (capability && strcmp(bridge->entries[i].capability, capability) == 0)
			return bridge->entries[i].id;
	}
	*isnull = true;
	return (Datum) 0;
}
