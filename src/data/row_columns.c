/*-------------------------------------------------------------------------
 *
 * row_columns.c
 *	  Reads the columns of a row of connections in C, as SQL would read them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "base/sql_exec.h"
#include "compat.h"
#include "data/config_capability.h"
#include "data/row_columns.h"

/* The first letters of the fields of an entry that are arguments, in order */
static const char *const entry_fields[] = {
	[CRD_TRIGGER_SYNC] = "pci",
	[CRD_TRIGGER_REVERSE_SYNC] = "ipct",
	[CRD_TRIGGER_TYPE_SAVE] = "it"
};

static void read_trigger_args(CrdRowColumns *columns, TupleDesc desc,
							  CrdTriggerKind kind, const Trigger *trigger);
static const char **entry_field(CrdTriggerEntry *entry, char field);
static bool is_connections(Relation rel);
static void open_column(CrdRowColumn *column, Relation rel, int attnum);
static void open_key(CrdRowColumns *columns, Relation rel);
static bool depends_on_settings(const CrdRowColumn *column);

CrdRowColumns *
crd_row_columns_open(Relation rel, CrdTriggerKind kind, const Trigger *trigger,
					 MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TupleDesc	desc = RelationGetDescr(rel);
	CrdRowColumns *columns = palloc0(sizeof(CrdRowColumns));

	open_column(&columns->provider, rel, SPI_fnumber(desc, "provider"));
	open_column(&columns->type, rel, SPI_fnumber(desc, "type"));
	open_column(&columns->label, rel, SPI_fnumber(desc, "label"));
	open_column(&columns->id, rel, SPI_fnumber(desc, "available_connection_id"));
	columns->config = SPI_fnumber(desc, "config");
	if (columns->config > 0)
		columns->config_type = getBaseType(SPI_gettypeid(desc, columns->config));
	if (kind != CRD_TRIGGER_SYNC)
		open_key(columns, rel);
	columns->enter_settings |= depends_on_settings(&columns->id);

	columns->usable = columns->id.attnum > 0 &&
		(columns->config_type == JSONOID || columns->config_type == JSONBOID) &&
		(columns->provider.attnum > 0 || kind == CRD_TRIGGER_TYPE_SAVE) &&
		(kind == CRD_TRIGGER_SYNC ||
		 (is_connections(rel) && columns->type.attnum > 0 && columns->nkeys > 0));
	if (trigger && columns->usable)
		read_trigger_args(columns, desc, kind, trigger);
	MemoryContextSwitchTo(old);
	return columns;
}

List *
crd_write_trigger_args(CrdTriggerKind kind, int nentries, const CrdTriggerEntry *entries,
					   bool has_connection_types, bool empty_labels)
{
	List	   *args = NIL;

	if (kind == CRD_TRIGGER_REVERSE_SYNC)
		args = list_make2(has_connection_types ? "types" : "", empty_labels ? "names" : "");
	for (int i = 0; i < nentries; i++)
		for (const char *field = entry_fields[kind]; *field; field++)
		{
			CrdTriggerEntry entry = entries[i];
			const char *value = *entry_field(&entry, *field);

			args = lappend(args, value && *field == 't' ? psprintf("=%s", value) :
						   pstrdup(value ? value : ""));
		}
	return args;
}

/* Any user can create a trigger, with incomplete arguments: those are no entry. */
static void
read_trigger_args(CrdRowColumns *columns, TupleDesc desc, CrdTriggerKind kind,
				  const Trigger *trigger)
{
	char	  **arg = trigger->tgargs;
	int			nargs = trigger->tgnargs;

	if (kind == CRD_TRIGGER_REVERSE_SYNC && nargs >= 2)
	{
		columns->has_connection_types = (*arg++)[0];
		columns->empty_labels = (*arg++)[0];
		nargs -= 2;
	}
	columns->nentries = nargs / strlen(entry_fields[kind]);
	columns->entries = palloc0(sizeof(CrdTriggerEntry) * (columns->nentries + 1));
	for (int i = 0; i < columns->nentries; i++)
	{
		CrdTriggerEntry *entry = &columns->entries[i];

		for (const char *field = entry_fields[kind]; *field; field++, arg++)
		{
			bool		isnull = (*arg)[0] == '\0' && strchr("ct", *field);

			*entry_field(entry, *field) = isnull ? NULL : pstrdup(*arg + (*field == 't'));
		}
		entry->id_value = crd_row_value(desc, columns->id.attnum, entry->id);
	}
}

static const char **
entry_field(CrdTriggerEntry *entry, char field)
{
	return field == 'i' ? &entry->id : field == 'p' ? &entry->provider :
		field == 'c' ? &entry->capability : &entry->type;
}

/*
 * Whether it is connections.connections or a partition of it.  A trigger must not
 * read or write saved state for a table that another role has created.
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
 * The table's owner must have the EXECUTE privilege on a cast function, as on the
 * functions of its triggers; PostgreSQL does not check it here.  Otherwise use the
 * output function.
 */
static void
open_column(CrdRowColumn *column, Relation rel, int attnum)
{
	Oid			function = InvalidOid;
	CoercionPathType path;
	bool		is_varlena;

	if (attnum <= 0)
		return;
	column->attnum = attnum;
	column->type = getBaseType(SPI_gettypeid(RelationGetDescr(rel), attnum));
	path = find_coercion_pathway(TEXTOID, column->type, COERCION_EXPLICIT, &function);
	column->is_text = path == COERCION_PATH_RELABELTYPE;
	if (column->is_text)
		return;
	column->cast = path == COERCION_PATH_FUNC && get_func_nargs(function) == 1 &&
		object_aclcheck(ProcedureRelationId, function,
						rel->rd_rel->relowner, ACL_EXECUTE) == ACLCHECK_OK;
	if (!column->cast)
		getTypeOutputInfo(column->type, &function, &is_varlena);
	fmgr_info(function, &column->to_text);
}

/*
 * The columns of the primary key, by which saved state identifies a row; also of a
 * deferrable one, which RelationGetPrimaryKeyIndex() omits in some versions.
 */
static void
open_key(CrdRowColumns *columns, Relation rel)
{
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_index->indisprimary)
		{
			columns->nkeys = IndexRelationGetNumberOfKeyAttributes(index);
			columns->keys = palloc0(sizeof(CrdRowColumn) * columns->nkeys);
			columns->key_desc = CreateTemplateTupleDesc(columns->nkeys);
			for (int i = 0; i < columns->nkeys; i++)
			{
				int			attnum = index->rd_index->indkey.values[i];
				Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attnum - 1);

				open_column(&columns->keys[i], rel, attnum);
				columns->enter_settings |= depends_on_settings(&columns->keys[i]);
				TupleDescInitEntry(columns->key_desc, i + 1, NULL, att->atttypid,
								   att->atttypmod, 0);
			}
		}
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	if (columns->nkeys > 1)
		columns->key_desc = BlessTupleDesc(columns->key_desc);
}

/*
 * Whether the column's text may depend on settings.  The volatility of the output
 * function does not tell: bytea's is immutable.  So only the types that keys
 * usually have are known not to depend on them.
 */
static bool
depends_on_settings(const CrdRowColumn *column)
{
	static const Oid independent[] = {
		BOOLOID, BPCHAROID, CHAROID, INT2OID, INT4OID, INT8OID, NAMEOID,
		NUMERICOID, TEXTOID, UUIDOID, VARCHAROID
	};

	for (size_t i = 0; i < lengthof(independent); i++)
		if (column->type == independent[i])
			return false;
	return !column->is_text && get_typtype(column->type) != TYPTYPE_ENUM;
}

char *
crd_row_text(CrdRowColumn *column, HeapTuple tuple, TupleDesc desc)
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

char *
crd_row_id_text(CrdRowColumns *columns, HeapTuple tuple, TupleDesc desc)
{
	int			guc_level = columns->enter_settings ? crd_settings_enter() : 0;
	char	   *id = crd_row_text(&columns->id, tuple, desc);

	if (columns->enter_settings)
		crd_settings_leave(guc_level);
	return id;
}

/* The key as the expression pk_text_expr of CrdSchema returns it. */
char *
crd_row_key_text(CrdRowColumns *columns, HeapTuple tuple, TupleDesc desc)
{
	int			guc_level = columns->enter_settings ? crd_settings_enter() : 0;
	char	   *key;

	if (columns->nkeys == 1)
		key = crd_row_text(&columns->keys[0], tuple, desc);
	else
	{
		Datum	   *values = palloc(sizeof(Datum) * columns->nkeys);
		bool	   *nulls = palloc(sizeof(bool) * columns->nkeys);

		for (int i = 0; i < columns->nkeys; i++)
			values[i] = heap_getattr(tuple, columns->keys[i].attnum, desc, &nulls[i]);
		key = OidOutputFunctionCall(F_RECORD_OUT,
									HeapTupleGetDatum(heap_form_tuple(columns->key_desc, values, nulls)));
	}
	if (columns->enter_settings)
		crd_settings_leave(guc_level);
	return key;
}

Datum
crd_row_value(TupleDesc desc, int attnum, const char *value)
{
	Oid			function;
	Oid			ioparam;

	getTypeInputInfo(SPI_gettypeid(desc, attnum), &function, &ioparam);
	return OidInputFunctionCall(function, unconstify(char *, value), ioparam,
								TupleDescAttr(desc, attnum - 1)->atttypmod);
}

char *
crd_row_capability(CrdRowColumns *columns, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		config = heap_getattr(tuple, columns->config, desc, &isnull);

	return isnull ? NULL : crd_capability(columns->config_type, config);
}

const CrdTriggerEntry *
crd_row_entry_of_legacy(CrdRowColumns *columns, HeapTuple tuple, TupleDesc desc)
{
	char	   *provider = crd_row_text(&columns->provider, tuple, desc);
	char	   *capability = NULL;
	bool		read = false;	/* capability has been read */

	for (int i = 0; provider && i < columns->nentries; i++)
	{
		const CrdTriggerEntry *entry = &columns->entries[i];

		if (strcmp(entry->provider, provider) != 0)
			continue;
		if (entry->capability == NULL)
			return entry;
		if (!read)
			capability = crd_row_capability(columns, tuple, desc);
		read = true;
		if (capability && strcmp(entry->capability, capability) == 0)
			return entry;
	}
	return NULL;
}

const CrdTriggerEntry *
crd_row_entry_of_id(CrdRowColumns *columns, HeapTuple tuple, TupleDesc desc)
{
	Form_pg_attribute att = TupleDescAttr(desc, columns->id.attnum - 1);
	bool		isnull;
	Datum		id = heap_getattr(tuple, columns->id.attnum, desc, &isnull);

	for (int i = 0; !isnull && i < columns->nentries; i++)
		if (datum_image_eq(columns->entries[i].id_value, id, att->attbyval, att->attlen))
			return &columns->entries[i];
	return NULL;
}

bool
crd_row_same_id(CrdRowColumns *columns, HeapTuple a, HeapTuple b, TupleDesc desc)
{
	Form_pg_attribute att = TupleDescAttr(desc, columns->id.attnum - 1);
	bool		a_isnull;
	bool		b_isnull;
	Datum		a_id = heap_getattr(a, columns->id.attnum, desc, &a_isnull);
	Datum		b_id = heap_getattr(b, columns->id.attnum, desc, &b_isnull);

	return a_isnull == b_isnull &&
		(a_isnull || datum_image_eq(a_id, b_id, att->attbyval, att->attlen));
}
