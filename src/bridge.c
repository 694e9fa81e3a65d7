/*-------------------------------------------------------------------------
 *
 * bridge.c
 *	  The triggers that keep both shapes of a row right while two versions of
 *	  the application are in use, and the same for the rows that are there.
 *
 * All that a trigger needs stands in its arguments, so it reads no table of
 * the user's and runs with the writer's privileges whoever that is.  They are
 * ENABLE ALWAYS, as replication and restores write, too.  They never raise an
 * error of their own: where they do not understand their table, they leave the
 * row alone.
 *
 * The bridge, BEFORE INSERT OR UPDATE, without a column list, is there from
 * step 2 to step 4.  It sets available_connection_id when it is NULL, or on
 * UPDATE when what the row maps to has changed and the id has not.  A value
 * that the writer gives stands.  What maps to nothing gives NULL, which version
 * 2 allows and NOT NULL refuses from version 3 on.  Its arguments are three for
 * each entry: provider, capability or empty, id.
 *
 * The bridge back is its inverse, for the time in which step 4 is undone
 * online.  Its arguments are whether there are exceptions to the dictionary of
 * types, and whether a NULL label becomes an empty name, each a word or empty;
 * then four for each entry: id, provider, capability or empty, and the type with
 * '=' before it, or empty for NULL.
 *
 * The type keeper, AFTER INSERT OR UPDATE OR DELETE, keeps the exceptions to
 * that dictionary while step 4 is applied online; its arguments are the
 * dictionary, id and type with '=' before it or empty.  It is an AFTER trigger,
 * as what BEFORE triggers see may not come to be (ON CONFLICT DO NOTHING).
 *
 * A filler does to rows that are there what the bridge on their table does to
 * those that are written, from the same arguments.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "bridge.h"
#include "compat.h"
#include "mapping.h"
#include "sql.h"

PG_FUNCTION_INFO_V1(crd_bridge);
PG_FUNCTION_INFO_V1(crd_bridge_back);
PG_FUNCTION_INFO_V1(crd_keep_type);

/* How a column reads as text: like column::text */
typedef struct Column
{
	int			attnum;			/* 0 where it is not there */
	Oid			type;			/* below all domains */
	FmgrInfo	to_text;
	bool		is_text;		/* needs no function */
	bool		by_settings;	/* the text may depend on settings */
	bool		cast;			/* to_text gives a text, not a C string */
} Column;

/* One entry of the catalog, as the arguments tell it */
typedef struct Entry
{
	Datum		id;
	const char *id_text;
	const char *provider;
	const char *capability;		/* or NULL */
	const char *type;			/* or NULL */
} Entry;

struct CrdFiller
{
	CrdFill		fill;
	MemoryContext context;

	Column		provider;
	Column		type;
	Column		label;
	Column		id;
	int			config;
	Oid			config_type;
	int16		id_length;
	bool		id_by_value;

	int			nkeys;			/* columns of the primary key */
	Column	   *keys;
	TupleDesc	key_desc;
	bool		enter_settings; /* for texts that the keepsake has */

	bool		usable;			/* the table has all that it takes */
	bool		exceptions;		/* there are some to the dictionary */
	bool		empty_labels;	/* instead of NULL */
	struct bloom_filter *filter;
	List	   *null_labels;	/* of char *, keys to be kept */

	int			nentries;
	Entry	   *entries;
};

static CrdFiller *open_filler(Relation rel, const Trigger *trigger,
							  CrdFill fill, MemoryContext context);
static Datum fire_bridge(FunctionCallInfo fcinfo, CrdFill fill);
static CrdFiller *filler_of_trigger(FunctionCallInfo fcinfo, CrdFill fill,
									int timing);
static bool is_connections(Relation rel);
static void open_column(Column *column, Relation rel, int attnum);
static void open_key(CrdFiller *filler, Relation rel);
static char *column_text(Column *column, HeapTuple tuple, TupleDesc desc);
static bool depends_on_settings(Oid type);
static char *kept_text(CrdFiller *filler, Column *column, HeapTuple tuple,
					   TupleDesc desc);
static char *key_text(CrdFiller *filler, HeapTuple tuple, TupleDesc desc);
static Datum column_value(TupleDesc desc, int attnum, const char *value);
static const Entry *entry_of_legacy(CrdFiller *filler, HeapTuple tuple,
									TupleDesc desc);
static const Entry *entry_of_id(CrdFiller *filler, HeapTuple tuple,
								TupleDesc desc);
static bool same_id(CrdFiller *filler, HeapTuple a, HeapTuple b,
					TupleDesc desc);
static HeapTuple fill_row(CrdFiller *filler, HeapTuple tuple, HeapTuple old,
						  TupleDesc desc);
static HeapTuple fill_id(CrdFiller *filler, HeapTuple tuple, HeapTuple old,
						 TupleDesc desc);
static HeapTuple fill_legacy(CrdFiller *filler, HeapTuple tuple, HeapTuple old,
							 TupleDesc desc);
static bool null_label(CrdFiller *filler, HeapTuple tuple, TupleDesc desc);
static HeapTuple fill_null_label(CrdFiller *filler, HeapTuple tuple,
								 TupleDesc desc);
static bool is_exception(CrdFiller *filler, HeapTuple tuple, TupleDesc desc);


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

/* Whether a trigger is there and has these arguments. */
static bool
has_args(const CrdSchema *schema, const char *name, const List *args)
{
	StringInfoData buf;
	char	   *hex;
	ListCell   *lc;

	/* the catalog has each with a null byte behind it */
	initStringInfo(&buf);
	foreach(lc, args)
		appendBinaryStringInfo(&buf, lfirst(lc), strlen(lfirst(lc)) + 1);
	hex = palloc0(2 * buf.len + 1);
	hex_encode(buf.data, buf.len, hex);
	return crd_fetch(CRD_CALLER,
					 "SELECT FROM pg_trigger WHERE tgrelid = $1::oid AND tgname = $2 AND tgargs = decode($3, 'hex')", 3,
					 psprintf("%u", schema->relation[CRD_CONNECTIONS].relid), name, hex)->nrows > 0;
}

static List *
bridge_args(const CrdSchema *schema)
{
	List	   *args = NIL;

	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdCatalogRow *row = &schema->rows[i];

		args = lappend(args, pstrdup(row->provider));
		args = lappend(args, pstrdup(row->capability ? row->capability : ""));
		args = lappend(args, pstrdup(row->id));
	}
	return args;
}

char *
crd_bridge_ddl(const CrdSchema *schema)
{
	return trigger_ddl(CRD_BRIDGE_TRIGGER, "BEFORE INSERT OR UPDATE", "bridge",
					   bridge_args(schema));
}

bool
crd_bridge_is_current(const CrdSchema *schema)
{
	return has_args(schema, CRD_BRIDGE_TRIGGER, bridge_args(schema));
}

/* A type as an argument, which cannot be NULL. */
static char *
type_argument(const char *type)
{
	return type ? psprintf("=%s", type) : pstrdup("");
}

static List *
bridge_back_args(const CrdSchema *schema, const CrdWayBack *way,
				 const CrdKeepsake *keepsake)
{
	List	   *args = list_make2(pstrdup(keepsake->has_exceptions ? "exceptions" : ""),
								  pstrdup(crd_kept_not_null(keepsake, 4, "name") ? "names" : ""));

	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdCatalogRow *row = &schema->rows[i];

		args = lappend(args, pstrdup(row->id));
		args = lappend(args, pstrdup(row->provider));
		args = lappend(args, pstrdup(row->capability ? row->capability : ""));
		args = lappend(args, type_argument(way->types[i]));
	}
	return args;
}

char *
crd_bridge_back_ddl(const CrdSchema *schema, const CrdWayBack *way,
					const CrdKeepsake *keepsake)
{
	return trigger_ddl(CRD_BRIDGE_BACK_TRIGGER, "BEFORE INSERT OR UPDATE", "bridge_back",
					   bridge_back_args(schema, way, keepsake));
}

bool
crd_bridge_back_is_current(const CrdSchema *schema, const CrdWayBack *way,
						   const CrdKeepsake *keepsake)
{
	return has_args(schema, CRD_BRIDGE_BACK_TRIGGER,
					bridge_back_args(schema, way, keepsake));
}

char *
crd_type_keeper_ddl(const CrdSchema *schema, const List *dictionary)
{
	List	   *args = NIL;
	ListCell   *lc;

	foreach(lc, dictionary)
	{
		const CrdKeptType *kept = lfirst(lc);

		args = lappend(args, pstrdup(kept->id));
		args = lappend(args, type_argument(kept->type));
	}
	return trigger_ddl(CRD_TYPE_KEEPER_TRIGGER, "AFTER INSERT OR UPDATE OR DELETE", "keep_type",
					   args);
}


/* The triggers */

/*
 * connections_redesign.bridge()
 */
Datum
crd_bridge(PG_FUNCTION_ARGS)
{
	return fire_bridge(fcinfo, CRD_FILL_ID);
}

/*
 * connections_redesign.bridge_back()
 */
Datum
crd_bridge_back(PG_FUNCTION_ARGS)
{
	return fire_bridge(fcinfo, CRD_FILL_LEGACY);
}

static Datum
fire_bridge(FunctionCallInfo fcinfo, CrdFill fill)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	CrdFiller  *filler = filler_of_trigger(fcinfo, fill, TRIGGER_EVENT_BEFORE);
	bool		update = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event);
	HeapTuple	tuple = update ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	HeapTuple	filled = NULL;

	if (filler->nentries > 0)
		filled = fill_row(filler, tuple, update ? trigdata->tg_trigtuple : NULL,
						  RelationGetDescr(trigdata->tg_relation));
	crd_filler_flush(filler);
	return PointerGetDatum(filled ? filled : tuple);
}

/*
 * connections_redesign.keep_type()
 */
Datum
crd_keep_type(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	CrdFiller  *filler = filler_of_trigger(fcinfo, CRD_KEEP_TYPE, TRIGGER_EVENT_AFTER);
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	HeapTuple	old = TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? NULL : trigdata->tg_trigtuple;
	HeapTuple	new = TRIGGER_FIRED_BY_DELETE(trigdata->tg_event) ? NULL :
	old ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	char	   *key = NULL;

	if (!filler->usable)
		return PointerGetDatum(NULL);

	if (new && is_exception(filler, new, desc))
	{
		const char *values[3];
		const char *const *row = values;
		CrdRows		rows = {1, &row};

		key = key_text(filler, new, desc);
		values[0] = key;
		values[1] = kept_text(filler, &filler->id, new, desc);
		values[2] = column_text(&filler->type, new, desc);
		crd_keep_exceptions(&rows, NULL);
	}
	if (old && is_exception(filler, old, desc) &&
		(key == NULL || strcmp(key, key_text(filler, old, desc)) != 0))
		crd_forget_exception(key_text(filler, old, desc));
	return PointerGetDatum(NULL);
}

/* The filler of the trigger that is fired, made once for a statement. */
static CrdFiller *
filler_of_trigger(FunctionCallInfo fcinfo, CrdFill fill, int timing)
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
		CrdFiller  *filler = open_filler(trigdata->tg_relation,
										 trigdata->tg_trigger, fill,
										 fcinfo->flinfo->fn_mcxt);

		/* the writer's settings are not ours, as they are in a walk */
		filler->enter_settings = filler->id.by_settings;
		for (int i = 0; i < filler->nkeys; i++)
			filler->enter_settings |= filler->keys[i].by_settings;
		fcinfo->flinfo->fn_extra = filler;
	}
	return fcinfo->flinfo->fn_extra;
}


/* Filling the rows that are there */

CrdFiller *
crd_filler_open(Relation rel, CrdFill fill, MemoryContext context)
{
	const char *name = fill == CRD_FILL_ID ? CRD_BRIDGE_TRIGGER : CRD_BRIDGE_BACK_TRIGGER;
	CrdFiller  *filler;

	if (fill == CRD_FILL_NULL_LABELS)
		filler = open_filler(rel, NULL, fill, context);
	else
	{
		Trigger    *trigger = NULL;

		for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
			if (strcmp(rel->trigdesc->triggers[i].tgname, name) == 0)
				trigger = &rel->trigdesc->triggers[i];
		if (trigger == NULL)
			return NULL;
		filler = open_filler(rel, trigger, fill, context);
		if (filler->nentries == 0)
			return NULL;
	}
	if (fill == CRD_FILL_NULL_LABELS)
		filler->filter = crd_kept_filter(CRD_NULL_LABELS, context);
	else if (filler->exceptions)
		filler->filter = crd_kept_filter(CRD_EXCEPTIONS, context);
	return filler;
}

bool
crd_filler_wants(CrdFiller *filler, HeapTuple tuple, TupleDesc desc)
{
	switch (filler->fill)
	{
		case CRD_FILL_ID:
			return heap_attisnull(tuple, filler->id.attnum, desc);
		case CRD_FILL_LEGACY:
			return heap_attisnull(tuple, filler->provider.attnum, desc) ||
				null_label(filler, tuple, desc);
		case CRD_FILL_NULL_LABELS:
			return !heap_attisnull(tuple, filler->label.attnum, desc);
		case CRD_KEEP_TYPE:
			break;
	}
	return false;
}

HeapTuple
crd_filler_fill(CrdFiller *filler, HeapTuple tuple, TupleDesc desc)
{
	return fill_row(filler, tuple, NULL, desc);
}

/*
 * The row as it should be, or NULL to leave it as it is; "old" is what an UPDATE
 * found, or NULL.
 */
static HeapTuple
fill_row(CrdFiller *filler, HeapTuple tuple, HeapTuple old, TupleDesc desc)
{
	switch (filler->fill)
	{
		case CRD_FILL_ID:
			return fill_id(filler, tuple, old, desc);
		case CRD_FILL_LEGACY:
			return fill_legacy(filler, tuple, old, desc);
		case CRD_FILL_NULL_LABELS:
			return fill_null_label(filler, tuple, desc);
		case CRD_KEEP_TYPE:
			break;
	}
	return NULL;
}

void
crd_filler_flush(CrdFiller *filler)
{
	CrdRows		rows = {list_length(filler->null_labels), NULL};
	const char ***row;

	if (rows.nrows == 0)
		return;
	row = palloc(sizeof(*row) * rows.nrows);
	for (int i = 0; i < rows.nrows; i++)
	{
		row[i] = palloc(sizeof(char *));
		row[i][0] = list_nth(filler->null_labels, i);
	}
	rows.row = (const char *const *const *) row;
	crd_keep_null_labels(&rows, NULL);
	list_free_deep(filler->null_labels);
	filler->null_labels = NIL;
}


/* Reading a table's columns, and a trigger's arguments */

static CrdFiller *
open_filler(Relation rel, const Trigger *trigger, CrdFill fill,
			MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TupleDesc	desc = RelationGetDescr(rel);
	CrdFiller  *filler = palloc0(sizeof(CrdFiller));
	int			skip = fill == CRD_FILL_LEGACY ? 2 : 0;
	int			width = fill == CRD_FILL_ID ? 3 : fill == CRD_KEEP_TYPE ? 2 : 4;

	filler->fill = fill;
	filler->context = context;
	open_column(&filler->provider, rel, SPI_fnumber(desc, "provider"));
	open_column(&filler->type, rel, SPI_fnumber(desc, "type"));
	open_column(&filler->label, rel, SPI_fnumber(desc, "label"));
	filler->config = SPI_fnumber(desc, "config");
	if (filler->config > 0)
		filler->config_type = getBaseType(SPI_gettypeid(desc, filler->config));
	open_column(&filler->id, rel, SPI_fnumber(desc, "available_connection_id"));
	if (fill != CRD_FILL_ID)
		open_key(filler, rel);

	filler->usable = filler->id.attnum > 0 && (fill == CRD_FILL_ID || is_connections(rel)) &&
		(filler->config_type == JSONOID || filler->config_type == JSONBOID) &&
		(filler->provider.attnum > 0 || fill == CRD_KEEP_TYPE) &&
		(fill == CRD_FILL_ID || (filler->type.attnum > 0 && filler->nkeys > 0));
	if (trigger && filler->usable)
	{
		Oid			type = SPI_gettypeid(desc, filler->id.attnum);
		int			nentries = Max(trigger->tgnargs - skip, 0) / width;
		Oid			input;
		Oid			ioparam;

		get_typlenbyval(type, &filler->id_length, &filler->id_by_value);
		getTypeInputInfo(type, &input, &ioparam);
		filler->exceptions = skip && trigger->tgnargs >= skip && trigger->tgargs[0][0];
		filler->empty_labels = skip && trigger->tgnargs >= skip && trigger->tgargs[1][0];
		filler->entries = palloc0(sizeof(Entry) * Max(nentries, 1));
		for (int i = 0; i < nentries; i++)
		{
			char	  **args = &trigger->tgargs[skip + width * i];
			Entry	   *entry = &filler->entries[i];
			const char *capability = "";
			const char *kept_type = "";

			if (fill == CRD_FILL_ID)
			{
				entry->provider = pstrdup(args[0]);
				capability = args[1];
				entry->id_text = pstrdup(args[2]);
			}
			else
			{
				entry->id_text = pstrdup(args[0]);
				if (fill == CRD_FILL_LEGACY)
				{
					entry->provider = pstrdup(args[1]);
					capability = args[2];
				}
				kept_type = args[width - 1];
			}
			entry->id = OidInputFunctionCall(input, unconstify(char *, entry->id_text), ioparam,
											 TupleDescAttr(desc, filler->id.attnum - 1)->atttypmod);
			entry->capability = capability[0] ? pstrdup(capability) : NULL;
			entry->type = kept_type[0] ? pstrdup(kept_type + 1) : NULL;
		}
		filler->nentries = nentries;
	}
	MemoryContextSwitchTo(old);
	return filler;
}

/*
 * Whether it is connections.connections or a partition of it.  What writes the
 * keepsake, or reads it, must not do so for a table that anyone has made.
 */
static bool
is_connections(Relation rel)
{
	Oid			namespace = get_namespace_oid("connections", true);
	Oid			relid = OidIsValid(namespace) ? get_relname_relid("connections", namespace) : InvalidOid;

	return RelationGetRelid(rel) == relid ||
		(rel->rd_rel->relispartition &&
		 list_member_oid(get_partition_ancestors(RelationGetRelid(rel)), relid));
}

/*
 * The table's owner must be allowed to call a cast, as for the functions of its
 * triggers: nobody else checks that.  Else the column reads as it is sent out.
 */
static void
open_column(Column *column, Relation rel, int attnum)
{
	Oid			function = InvalidOid;
	bool		is_varlena;

	if (attnum <= 0)
		return;
	column->attnum = attnum;
	column->type = getBaseType(SPI_gettypeid(RelationGetDescr(rel), attnum));
	switch (find_coercion_pathway(TEXTOID, column->type, COERCION_EXPLICIT, &function))
	{
		case COERCION_PATH_RELABELTYPE:
			column->is_text = true;
			return;
		case COERCION_PATH_FUNC:
			column->cast = get_func_nargs(function) == 1 &&
				object_aclcheck(ProcedureRelationId, function,
								rel->rd_rel->relowner, ACL_EXECUTE) == ACLCHECK_OK;
			break;
		default:
			break;
	}
	if (!column->cast)
		getTypeOutputInfo(column->type, &function, &is_varlena);
	fmgr_info(function, &column->to_text);
	column->by_settings = depends_on_settings(column->type);
}

/*
 * Whether a value of the type may read otherwise under other settings.  The
 * volatility of its output function does not say: bytea's is immutable.  So only
 * the types that keys usually have are known not to.
 */
static bool
depends_on_settings(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case BPCHAROID:
		case CHAROID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NAMEOID:
		case NUMERICOID:
		case TEXTOID:
		case UUIDOID:
		case VARCHAROID:
			return false;
		default:
			return get_typtype(type) != TYPTYPE_ENUM;
	}
}

/*
 * The columns of the primary key, as the keepsake knows a row by them; of one
 * that is deferrable, too, which RelationGetPrimaryKeyIndex() does not have in
 * every version.
 */
static void
open_key(CrdFiller *filler, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_index->indisprimary)
		{
			filler->nkeys = IndexRelationGetNumberOfKeyAttributes(index);
			filler->keys = palloc0(sizeof(Column) * filler->nkeys);
			for (int i = 0; i < filler->nkeys; i++)
				open_column(&filler->keys[i], rel, index->rd_index->indkey.values[i]);
		}
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	if (filler->nkeys > 1)
	{
		filler->key_desc = CreateTemplateTupleDesc(filler->nkeys);
		for (int i = 0; i < filler->nkeys; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, filler->keys[i].attnum - 1);

			TupleDescInitEntry(filler->key_desc, i + 1, NULL, att->atttypid,
							   att->atttypmod, 0);
		}
		filler->key_desc = BlessTupleDesc(filler->key_desc);
	}
}

/* The column as text, or NULL. */
static char *
column_text(Column *column, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column->attnum, desc, &isnull);

	if (isnull)
		return NULL;
	if (column->is_text)
		return TextDatumGetCString(value);
	if (column->cast)
		return TextDatumGetCString(FunctionCall1(&column->to_text, value));
	return OutputFunctionCall(&column->to_text, value);
}

/* The column as a statement would read it, or NULL. */
static char *
kept_text(CrdFiller *filler, Column *column, HeapTuple tuple, TupleDesc desc)
{
	int			guc_level = filler->enter_settings ? crd_settings_enter() : 0;
	char	   *value = column_text(column, tuple, desc);

	if (filler->enter_settings)
		crd_settings_leave(guc_level);
	return value;
}

/* The row's key as schema.c's expression gives it. */
static char *
key_text(CrdFiller *filler, HeapTuple tuple, TupleDesc desc)
{
	Datum	   *values;
	bool	   *nulls;
	int			guc_level;
	char	   *key;

	if (filler->nkeys == 1)
		return kept_text(filler, &filler->keys[0], tuple, desc);
	values = palloc(sizeof(Datum) * filler->nkeys);
	nulls = palloc(sizeof(bool) * filler->nkeys);
	for (int i = 0; i < filler->nkeys; i++)
		values[i] = heap_getattr(tuple, filler->keys[i].attnum, desc, &nulls[i]);
	guc_level = filler->enter_settings ? crd_settings_enter() : 0;
	key = OidOutputFunctionCall(F_RECORD_OUT,
								HeapTupleGetDatum(heap_form_tuple(filler->key_desc, values, nulls)));
	if (filler->enter_settings)
		crd_settings_leave(guc_level);
	return key;
}

/* A text as a value of the column's type. */
static Datum
column_value(TupleDesc desc, int attnum, const char *value)
{
	Oid			function;
	Oid			ioparam;

	getTypeInputInfo(SPI_gettypeid(desc, attnum), &function, &ioparam);
	return OidInputFunctionCall(function, unconstify(char *, value), ioparam,
								TupleDescAttr(desc, attnum - 1)->atttypmod);
}


/* What a row should be */

/* The entry that a row's legacy columns map to, or NULL. */
static const Entry *
entry_of_legacy(CrdFiller *filler, HeapTuple tuple, TupleDesc desc)
{
	char	   *provider = column_text(&filler->provider, tuple, desc);
	char	   *capability = NULL;
	bool		read = false;	/* capability has been read */

	if (provider == NULL)
		return NULL;
	for (int i = 0; i < filler->nentries; i++)
	{
		const Entry *entry = &filler->entries[i];

		if (strcmp(entry->provider, provider) != 0)
			continue;
		if (entry->capability == NULL)
			return entry;
		if (!read)
		{
			bool		isnull;
			Datum		config = heap_getattr(tuple, filler->config, desc, &isnull);

			if (!isnull)
				capability = crd_capability(filler->config_type, config);
			read = true;
		}
		if (capability && strcmp(entry->capability, capability) == 0)
			return entry;
	}
	return NULL;
}

/* The entry that a row points to, or NULL. */
static const Entry *
entry_of_id(CrdFiller *filler, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		id = heap_getattr(tuple, filler->id.attnum, desc, &isnull);

	for (int i = 0; !isnull && i < filler->nentries; i++)
		if (datum_image_eq(filler->entries[i].id, id, filler->id_by_value,
						   filler->id_length))
			return &filler->entries[i];
	return NULL;
}

/* Whether two rows point to the same entry. */
static bool
same_id(CrdFiller *filler, HeapTuple a, HeapTuple b, TupleDesc desc)
{
	bool		a_isnull;
	bool		b_isnull;
	Datum		a_id = heap_getattr(a, filler->id.attnum, desc, &a_isnull);
	Datum		b_id = heap_getattr(b, filler->id.attnum, desc, &b_isnull);

	return a_isnull == b_isnull &&
		(a_isnull || datum_image_eq(a_id, b_id, filler->id_by_value, filler->id_length));
}

/* The row with its available_connection_id. */
static HeapTuple
fill_id(CrdFiller *filler, HeapTuple tuple, HeapTuple old, TupleDesc desc)
{
	const Entry *entry;
	bool		isnull;
	Datum		id;

	(void) heap_getattr(tuple, filler->id.attnum, desc, &isnull);
	if (!isnull && (old == NULL || !same_id(filler, old, tuple, desc)))
		return NULL;
	entry = entry_of_legacy(filler, tuple, desc);
	if (isnull ? entry == NULL : entry == entry_of_legacy(filler, old, desc))
		return NULL;
	isnull = entry == NULL;
	id = isnull ? (Datum) 0 : entry->id;
	return heap_modify_tuple_by_cols(tuple, desc, 1, &filler->id.attnum, &id, &isnull);
}

/* Whether a row has a NULL label that is to be empty. */
static bool
null_label(CrdFiller *filler, HeapTuple tuple, TupleDesc desc)
{
	return filler->empty_labels && filler->label.attnum > 0 &&
		heap_attisnull(tuple, filler->label.attnum, desc);
}

/*
 * The row with provider, type and a config that say what it points to, and with
 * an empty label where it must not be NULL.
 */
static HeapTuple
fill_legacy(CrdFiller *filler, HeapTuple tuple, HeapTuple old, TupleDesc desc)
{
	const Entry *entry = entry_of_id(filler, tuple, desc);
	bool		moved = old && !same_id(filler, old, tuple, desc);
	int			columns[4];
	Datum		values[4];
	bool		nulls[4] = {false};
	int			ncolumns = 0;
	bool		isnull;
	char	   *provider = column_text(&filler->provider, tuple, desc);
	char	   *type = column_text(&filler->type, tuple, desc);

	if (entry && (provider == NULL || moved))
	{
		const char *kept = entry->type;

		if (provider == NULL || strcmp(provider, entry->provider) != 0)
		{
			columns[ncolumns] = filler->provider.attnum;
			values[ncolumns++] = column_value(desc, filler->provider.attnum, entry->provider);
		}
		if (filler->exceptions)
		{
			/* the writer's snapshot may be older than what was kept */
			PushActiveSnapshot(GetLatestSnapshot());
			(void) crd_find_exception(filler->filter, key_text(filler, tuple, desc),
									  entry->id_text, &kept);
			PopActiveSnapshot();
		}
		if (type == NULL || moved)
		{
			columns[ncolumns] = filler->type.attnum;
			nulls[ncolumns] = kept == NULL;
			values[ncolumns++] = kept ? column_value(desc, filler->type.attnum, kept) : (Datum) 0;
		}
	}
	if (entry && entry->capability)
	{
		Datum		config = heap_getattr(tuple, filler->config, desc, &isnull);
		char	   *capability = isnull ? NULL : crd_capability(filler->config_type, config);

		if ((capability == NULL || strcmp(capability, entry->capability) != 0) &&
			crd_with_capability(filler->config_type, config, isnull,
								entry->capability, &values[ncolumns]))
			columns[ncolumns++] = filler->config;
	}

	/*
	 * This keeps the key of a row that may not come to be: after INSERT ...
	 * ON CONFLICT DO NOTHING, the row that was in its way will have a NULL
	 * label if its own is empty.  An AFTER trigger would know which row it
	 * is, but not that its label was NULL; and an upsert writes
	 * excluded.label, which is empty already.
	 */
	if (null_label(filler, tuple, desc))
	{
		MemoryContext context = MemoryContextSwitchTo(filler->context);

		filler->null_labels = lappend(filler->null_labels,
									  key_text(filler, tuple, desc));
		MemoryContextSwitchTo(context);
		columns[ncolumns] = filler->label.attnum;
		values[ncolumns++] = column_value(desc, filler->label.attnum, "");
	}
	if (ncolumns == 0)
		return NULL;
	return heap_modify_tuple_by_cols(tuple, desc, ncolumns, columns, values, nulls);
}

/* The row with a NULL label, where it is empty and was NULL before. */
static HeapTuple
fill_null_label(CrdFiller *filler, HeapTuple tuple, TupleDesc desc)
{
	char	   *label = column_text(&filler->label, tuple, desc);
	Datum		value = (Datum) 0;
	bool		isnull = true;

	if (label == NULL || label[0] != '\0' ||
		!crd_find_null_label(filler->filter, key_text(filler, tuple, desc)))
		return NULL;
	return heap_modify_tuple_by_cols(tuple, desc, 1, &filler->label.attnum,
									 &value, &isnull);
}

/* Whether the row's type is not the one that the dictionary gives its entry. */
static bool
is_exception(CrdFiller *filler, HeapTuple tuple, TupleDesc desc)
{
	const Entry *entry = entry_of_id(filler, tuple, desc);
	char	   *type = column_text(&filler->type, tuple, desc);

	if (heap_attisnull(tuple, filler->id.attnum, desc))
		return false;
	if (entry == NULL)
		return true;
	return type == NULL || entry->type == NULL ? type != entry->type :
		strcmp(type, entry->type) != 0;
}
