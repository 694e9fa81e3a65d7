/*-------------------------------------------------------------------------
 *
 * schema.c
 *	  The two tables as the system catalogs describe them.  See schema.h.
 *
 * The version is derived from the schema: step_effects[] lists what each step
 * creates and drops, and the version is the highest step of which, and of all
 * steps before it, every effect is present.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "schema/schema.h"
#include "base/sql_exec.h"

static const char *const table_names[CRD_NTABLES] = {
	[CRD_CONNECTIONS] = "connections.connections",
	[CRD_AVAILABLE_CONNECTIONS] = "connections.available_connections",
};

static const struct
{
	CrdTable	table;
	const char *name;
}			columns[CRD_NCOLUMNS] = {
	[CRD_ENTRY_ID] = {CRD_AVAILABLE_CONNECTIONS, "id"},
	[CRD_ENTRY_NAME] = {CRD_AVAILABLE_CONNECTIONS, "name"},
	[CRD_SLUG] = {CRD_AVAILABLE_CONNECTIONS, "slug"},
	[CRD_DISPLAY_NAME] = {CRD_AVAILABLE_CONNECTIONS, "display_name"},
	[CRD_AUTH_TYPE] = {CRD_AVAILABLE_CONNECTIONS, "auth_type"},
	[CRD_PROVIDER] = {CRD_CONNECTIONS, "provider"},
	[CRD_TYPE] = {CRD_CONNECTIONS, "type"},
	[CRD_NAME] = {CRD_CONNECTIONS, "name"},
	[CRD_CONFIG] = {CRD_CONNECTIONS, "config"},
	[CRD_AVAILABLE_CONNECTION_ID] = {CRD_CONNECTIONS, "available_connection_id"},
	[CRD_LABEL] = {CRD_CONNECTIONS, "label"},
};

const char *const crd_direction_names[] = {
	[CRD_UP] = "up",
	[CRD_DOWN] = "down",
};

/* What a step does to a column */
typedef enum EffectKind
{
	PRESENT,
	ABSENT,
	NOT_NULL,
	NULLABLE,
	UNIQUE_SLUG,
	FOREIGN_KEY,
	INDEX						/* may exist before its step */
} EffectKind;

/* The effects of each step.  A fifth step adds its rows here. */
static const struct
{
	int			step;
	EffectKind	kind;
	CrdColumnId column;
}			step_effects[] = {
	{1, PRESENT, CRD_SLUG},
	{1, PRESENT, CRD_DISPLAY_NAME},
	{1, PRESENT, CRD_AUTH_TYPE},
	{1, NOT_NULL, CRD_SLUG},
	{1, UNIQUE_SLUG, CRD_SLUG},
	{1, NOT_NULL, CRD_AUTH_TYPE},
	{1, ABSENT, CRD_ENTRY_NAME},
	{2, PRESENT, CRD_AVAILABLE_CONNECTION_ID},
	{3, NOT_NULL, CRD_AVAILABLE_CONNECTION_ID},
	{3, FOREIGN_KEY, CRD_AVAILABLE_CONNECTION_ID},
	{3, INDEX, CRD_AVAILABLE_CONNECTION_ID},
	{4, ABSENT, CRD_PROVIDER},
	{4, ABSENT, CRD_TYPE},
	{4, ABSENT, CRD_NAME},
	{4, PRESENT, CRD_LABEL},
	{4, NULLABLE, CRD_LABEL},
};

const CrdDroppedColumn crd_dropped_columns[CRD_NDROPPED_COLUMNS] = {
	{1, CRD_UP, CRD_ENTRY_NAME, false},
	{1, CRD_DOWN, CRD_SLUG, false},
	{1, CRD_DOWN, CRD_DISPLAY_NAME, false},
	{1, CRD_DOWN, CRD_AUTH_TYPE, false},
	{2, CRD_DOWN, CRD_AVAILABLE_CONNECTION_ID, false},
	{4, CRD_UP, CRD_PROVIDER, false},
	{4, CRD_UP, CRD_TYPE, false},
	{4, CRD_UP, CRD_NAME, true},
	{4, CRD_DOWN, CRD_LABEL, true},
};

static void read_relation(CrdSchema *schema, CrdTable table);
static void read_columns(CrdSchema *schema, CrdTable table);
static void read_primary_key(CrdSchema *schema);
static void read_catalog_indexes(CrdSchema *schema);
static void read_connections_objects(CrdSchema *schema);
static void read_version(CrdSchema *schema);
static void read_partial_step(CrdSchema *schema);
static bool effect_present(const CrdSchema *schema, EffectKind kind, CrdColumnId id);
static char *effect_text(const CrdSchema *schema, EffectKind kind, CrdColumnId id);

CrdSchema *
crd_schema_read(void)
{
	CrdSchema  *schema = palloc0(sizeof(CrdSchema));

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		schema->relation[table].name = table_names[table];
		schema->relation[table].relid_text = "0";
	}
	for (CrdColumnId id = 0; id < CRD_NCOLUMNS; id++)
	{
		schema->column[id].table = columns[id].table;
		schema->column[id].name = columns[id].name;
	}
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		read_relation(schema, table);
		read_columns(schema, table);
	}
	read_primary_key(schema);
	read_catalog_indexes(schema);
	read_connections_objects(schema);
	read_partial_step(schema);
	read_version(schema);
	return schema;
}

bool
crd_has_column(const CrdSchema *schema, CrdColumnId id)
{
	return schema->column[id].attnum != 0;
}

bool
crd_has_filled_ids(const CrdSchema *schema)
{
	return crd_has_column(schema, CRD_AVAILABLE_CONNECTION_ID) &&
		schema->version >= 2;
}

const char *
crd_sync_trigger_oids(const CrdSchema *schema, int step, CrdDirection direction)
{
	return crd_query(CRD_CALLER,
					 "SELECT ARRAY(SELECT t.oid FROM pg_trigger t WHERE t.tgname = $2"
					 " AND t.tgrelid IN (SELECT relid FROM " CRD_RELATION_TREE("$1::oid") " tree) ORDER BY 1)", 2,
					 schema->relation[CRD_CONNECTIONS].relid_text,
					 step < CRD_LAST_STEP ? CRD_SYNC_TRIGGER :
					 direction == CRD_UP ? CRD_TYPE_SAVE_TRIGGER : CRD_REVERSE_SYNC_TRIGGER)->row[0][0];
}

bool
crd_past_point_of_no_return(const CrdSchema *schema)
{
	return schema->partial_step == CRD_LAST_STEP &&
		schema->version == (schema->partial_direction == CRD_UP ? CRD_LAST_STEP : CRD_LAST_STEP - 1);
}

bool
crd_schema_owned(const CrdSchema *schema)
{
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (!schema->relation[table].exists ||
			!has_privs_of_role(GetUserId(), schema->relation[table].owner))
			return false;
	return true;
}

Oid
crd_owner(const CrdSchema *schema, CrdTable table)
{
	return schema->relation[table].owner;
}

void
crd_read_entries(CrdSchema *schema)
{
	bool		redesigned = crd_has_column(schema, CRD_SLUG) &&
	!crd_has_column(schema, CRD_ENTRY_NAME);
	CrdResult  *rows;

	rows = crd_query(crd_owner(schema, CRD_AVAILABLE_CONNECTIONS),
					 psprintf("SELECT id::text COLLATE \"C\", %s FROM connections.available_connections ORDER BY 2, 1",
							  redesigned ? "slug::text COLLATE \"C\", auth_type::text, display_name::text"
							  : "name::text COLLATE \"C\", NULL, NULL"), 0);
	schema->nentries = schema->nnull_slugs = 0;
	schema->entries = palloc0(sizeof(CrdEntryRow) * Max(rows->nrows, 1));
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdEntryRow *entry = &schema->entries[schema->nentries];

		if (rows->row[i][1] == NULL)
		{
			schema->nnull_slugs++;
			continue;
		}
		schema->nentries++;
		entry->id = rows->row[i][0];
		entry->slug = rows->row[i][1];
		entry->auth_type = rows->row[i][2];
		entry->display_name = rows->row[i][3];
		entry->registered = crd_registry_find(entry->slug);
		entry->provider = entry->registered ? entry->registered->provider : entry->slug;
		entry->capability = entry->registered ? entry->registered->capability : NULL;
	}
}

static void
read_relation(CrdSchema *schema, CrdTable table)
{
	CrdRelation *rel = &schema->relation[table];
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "SELECT c.oid, c.relowner, c.relkind, c.relpersistence,"
					 " coalesce(am.amname = 'heap', c.relkind = 'p'),"
					 " c.reloftype <> 0, c.relispartition,"
					 " EXISTS (SELECT FROM pg_inherits i"
					 "  WHERE i.inhrelid = c.oid AND NOT c.relispartition"
					 "  OR i.inhparent = c.oid AND c.relkind <> 'p'),"
					 " c.relrowsecurity AND c.relforcerowsecurity"
					 "  AND NOT r.rolbypassrls AND NOT r.rolsuper,"
					 " has_schema_privilege(c.relowner, n.oid, 'USAGE')"
					 "  AND has_schema_privilege(c.relowner, n.oid, 'CREATE')"
					 " FROM pg_class c"
					 " JOIN pg_namespace n ON n.oid = c.relnamespace"
					 " JOIN pg_roles r ON r.oid = c.relowner"
					 " LEFT JOIN pg_am am ON am.oid = c.relam"
					 " WHERE n.nspname || '.' || c.relname = $1", 1, rel->name);
	if (rows->nrows == 0)
		return;
	rel->exists = true;
	rel->relid_text = rows->row[0][0];
	rel->relid = atooid(rel->relid_text);
	rel->owner = atooid(rows->row[0][1]);
	rel->relkind = rows->row[0][2][0];
	rel->relpersistence = rows->row[0][3][0];
	rel->is_heap = crd_is_true(rows->row[0][4]);
	rel->is_typed = crd_is_true(rows->row[0][5]);
	rel->is_partition = crd_is_true(rows->row[0][6]);
	rel->inherits = crd_is_true(rows->row[0][7]);
	rel->rls_forced_on_owner = crd_is_true(rows->row[0][8]);
	rel->owner_may_create = crd_is_true(rows->row[0][9]);
}

static void
read_columns(CrdSchema *schema, CrdTable table)
{
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "WITH RECURSIVE base(attnum, typid) AS ("
					 " SELECT attnum, atttypid FROM pg_attribute"
					 "  WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped"
					 " UNION ALL"
					 " SELECT b.attnum, t.typbasetype FROM base b"
					 "  JOIN pg_type t ON t.oid = b.typid WHERE t.typtype = 'd')"
					 "SELECT a.attname, a.attnum, b.typid,"
					 " format_type(a.atttypid, a.atttypmod)"
					 "  || CASE WHEN a.attcollation <> d.typcollation"
					 "   THEN ' COLLATE ' || a.attcollation::regcollation::text ELSE '' END,"
					 " a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint n"
					 "  WHERE n.contype = 'n' AND n.conrelid = a.attrelid"
					 "  AND n.conkey = ARRAY[a.attnum] AND NOT n.convalidated),"
					 " a.attgenerated <> '' OR a.attidentity <> '',"
					 " EXISTS (SELECT FROM pg_partitioned_table p"
					 "  WHERE p.partrelid = a.attrelid"
					 "  AND (a.attnum = ANY (p.partattrs::int2[]) OR EXISTS (SELECT FROM pg_depend d"
					 "   WHERE d.classid = 'pg_class'::regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum"
					 "   AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = 0"
					 "   AND d.deptype = 'i'))),"
					 " (SELECT conname FROM pg_constraint n WHERE n.contype = 'n'"
					 "  AND n.conrelid = a.attrelid AND n.conkey = ARRAY[a.attnum])"
					 " FROM pg_attribute a"
					 " JOIN base b ON b.attnum = a.attnum"
					 " JOIN pg_type t ON t.oid = b.typid AND t.typtype <> 'd'"
					 " JOIN pg_type d ON d.oid = a.atttypid"
					 " WHERE a.attrelid = $1::oid", 1,
					 schema->relation[table].relid_text);
	for (int i = 0; i < rows->nrows; i++)
		for (CrdColumnId id = 0; id < CRD_NCOLUMNS; id++)
		{
			CrdColumn  *column = &schema->column[id];

			if (column->table != table ||
				strcmp(column->name, rows->row[i][0]) != 0)
				continue;
			column->attnum = pg_strtoint32(rows->row[i][1]);
			column->base_type = atooid(rows->row[i][2]);
			column->type = rows->row[i][3];
			column->not_null = crd_is_true(rows->row[i][4]);
			column->is_generated_or_identity = crd_is_true(rows->row[i][5]);
			column->is_partition_key = crd_is_true(rows->row[i][6]);
			column->not_null_conname = rows->row[i][7];
		}
}

static void
read_primary_key(CrdSchema *schema)
{
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "SELECT CASE count(*) WHEN 1 THEN min(format('%I::text', a.attname))"
					 " ELSE format('ROW(%s)::text', string_agg(quote_ident(a.attname), ', ' ORDER BY k.n)) END,"
					 " bool_or(a.attname IN ('provider', 'type', 'name'))"
					 " FROM pg_constraint p"
					 " CROSS JOIN unnest(p.conkey) WITH ORDINALITY k(attnum, n)"
					 " JOIN pg_attribute a ON a.attrelid = p.conrelid AND a.attnum = k.attnum"
					 " WHERE p.conrelid = $1::oid AND p.contype = 'p'"
					 " GROUP BY p.oid", 1,
					 schema->relation[CRD_CONNECTIONS].relid_text);
	if (rows->nrows == 0)
		return;
	schema->pk_text_expr = rows->row[0][0];
	schema->pk_uses_legacy_columns = crd_is_true(rows->row[0][1]);
}

static void
read_catalog_indexes(CrdSchema *schema)
{
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "SELECT i.indexrelid, a.attname FROM pg_index i"
					 " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
					 " WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid"
					 " AND i.indimmediate AND i.indpred IS NULL AND i.indnkeyatts = 1"
					 " AND a.attname IN ('id', 'slug') ORDER BY 1", 1,
					 schema->relation[CRD_AVAILABLE_CONNECTIONS].relid_text);
	for (int i = 0; i < rows->nrows; i++)
	{
		if (strcmp(rows->row[i][1], "id") == 0)
			schema->entry_id_unique = true;
		else
			schema->slug_index = atooid(rows->row[i][0]);
	}
}

/*
 * Read the other objects of connections: the foreign key to available_connections,
 * the index on its column, our triggers, extended statistics.
 */
static void
read_connections_objects(CrdSchema *schema)
{
	const char *connections = schema->relation[CRD_CONNECTIONS].relid_text;
	const char *attnum = psprintf("%d", schema->column[CRD_AVAILABLE_CONNECTION_ID].attnum);
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "SELECT oid, conname, confdeltype = 'r' AND convalidated,"
					 " confdeltype = 'r' AND " CRD_CONSTRAINT_ENFORCED("c") " FROM pg_constraint c"
					 " WHERE contype = 'f' AND conrelid = $1::oid AND confrelid = $2::oid"
					 " AND conkey = ARRAY[$3::int2] AND confkey = ARRAY[$4::int2] AND conparentid = 0"
					 " ORDER BY 3 DESC, 4 DESC, 1 LIMIT 1", 4, connections,
					 schema->relation[CRD_AVAILABLE_CONNECTIONS].relid_text, attnum,
					 psprintf("%d", schema->column[CRD_ENTRY_ID].attnum));
	if (rows->nrows > 0)
	{
		schema->fk = atooid(rows->row[0][0]);
		schema->fk_name = rows->row[0][1];
		schema->fk_is_valid_restrict = crd_is_true(rows->row[0][2]);
		schema->fk_needs_validation = crd_is_true(rows->row[0][3]) &&
			!schema->fk_is_valid_restrict;
	}

	rows = crd_query(CRD_CALLER,
					 "SELECT indexrelid, " CRD_INDEX_FITS("i", "a") " AND NOT indisexclusion"
					 " FROM pg_attribute a JOIN pg_index i ON indrelid = attrelid"
					 " WHERE attrelid = $1::oid AND attnum = $2::int2 AND attnum > 0"
					 " AND indisvalid AND indisready AND " CRD_INDEX_LEADS("i", "a")
					 " ORDER BY 2 DESC, 1 LIMIT 1", 2, connections, attnum);
	if (rows->nrows > 0)
	{
		schema->has_fk_index = true;
		if (crd_is_true(rows->row[0][1]))
			schema->step3_index = atooid(rows->row[0][0]);
	}

	rows = crd_query(CRD_CALLER,
					 "SELECT indexrelid FROM pg_attribute a JOIN pg_index i ON indrelid = attrelid"
					 " WHERE attrelid = $1::oid AND attnum = $2::int2 AND attnum > 0"
					 " AND NOT indisvalid AND " CRD_INDEX_FITS("i", "a")
					 " ORDER BY 1 LIMIT 1", 2, connections, attnum);
	if (rows->nrows > 0)
		schema->invalid_fk_index = atooid(rows->row[0][0]);

	rows = crd_query(CRD_CALLER,
					 "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1::oid AND tgname = $2),"
					 " EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1::oid AND tgname = $3),"
					 " EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1::oid AND tgname = $4),"
					 " EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = $1::oid),"
					 " (SELECT convalidated FROM pg_constraint WHERE conrelid = $1::oid AND contype = 'c' AND conname = $5)", 5,
					 connections, CRD_SYNC_TRIGGER, CRD_REVERSE_SYNC_TRIGGER,
					 CRD_TYPE_SAVE_TRIGGER, CRD_NOT_NULL_CHECK);
	schema->has_sync_trigger = crd_is_true(rows->row[0][0]);
	schema->has_reverse_sync_trigger = crd_is_true(rows->row[0][1]);
	schema->has_type_save_trigger = crd_is_true(rows->row[0][2]);
	schema->has_extended_statistics = crd_is_true(rows->row[0][3]);
	schema->has_not_null_check = rows->row[0][4] != NULL;
	schema->not_null_check_validated = crd_is_true(rows->row[0][4]);
}

/*
 * Read the step that an online run has begun.  Another tool may have completed or
 * undone it since then, so read_version() compares it with the schema.
 */
static void
read_partial_step(CrdSchema *schema)
{
	CrdResult  *rows = crd_query(crd_extension_owner(),
								 "SELECT step, direction, backfill_verified, verified_triggers FROM connections_redesign.online_run", 0);

	if (rows->nrows == 0)
		return;
	schema->partial_step = pg_strtoint32(rows->row[0][0]);
	schema->partial_direction = strcmp(rows->row[0][1], crd_direction_names[CRD_UP]) == 0 ? CRD_UP : CRD_DOWN;
	if (crd_is_true(rows->row[0][2]))
	{
		const char *triggers = crd_sync_trigger_oids(schema, schema->partial_step,
													 schema->partial_direction);

		schema->backfill_verified = rows->row[0][3] && strcmp(rows->row[0][3], triggers) == 0;
		schema->backfill_stale = !schema->backfill_verified;
	}
}

/*
 * The version of tables with a partial step, or CRD_NO_VERSION if the step cannot
 * have left them as they are.  Step 4 can no longer be undone, on its way up, when
 * provider is dropped; on its way down, when label is renamed.
 */
static int
version_of_partial_step(const CrdSchema *schema)
{
	int			step = schema->partial_step;
	int			version = schema->partial_direction == CRD_UP ? step - 1 : step;

	if (step == CRD_LAST_STEP && schema->last_complete_step == CRD_LAST_STEP)
		return CRD_LAST_STEP;
	if (step == CRD_LAST_STEP && schema->partial_direction == CRD_DOWN &&
		crd_has_column(schema, CRD_NAME))
		version = CRD_LAST_STEP - 1;
	if (schema->last_complete_step < Min(version, CRD_LAST_STEP - 1) ||
		schema->last_complete_step > step)
		return CRD_NO_VERSION;
	return version;
}

/* Find the version, or describe why the schema matches none. */
static void
read_version(CrdSchema *schema)
{
	int			step = 0;
	StringInfoData present;
	StringInfoData missing;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (!schema->relation[table].exists)
		{
			schema->version = CRD_NO_VERSION;
			schema->mismatch = psprintf("no table %s",
										schema->relation[table].name);
			return;
		}

	/* the last step that is complete, with all steps before it */
	for (step = 1; step <= CRD_LAST_STEP; step++)
	{
		bool		complete = true;

		for (int i = 0; i < lengthof(step_effects); i++)
			if (step_effects[i].step == step &&
				!effect_present(schema, step_effects[i].kind, step_effects[i].column))
				complete = false;
		if (!complete)
			break;
	}
	schema->last_complete_step = schema->version = step - 1;
	if (schema->partial_step)
	{
		int			version = version_of_partial_step(schema);

		if (version != CRD_NO_VERSION)
		{
			schema->last_complete_step = schema->version = version;
			return;
		}
		schema->partial_step = 0;
	}

	/* no effect of a later step may be present */
	initStringInfo(&present);
	initStringInfo(&missing);
	for (int i = 0; i < lengthof(step_effects); i++)
	{
		bool		holds = effect_present(schema, step_effects[i].kind, step_effects[i].column);

		if (step_effects[i].step < step)
			continue;
		if (holds && step_effects[i].kind != INDEX)
			appendStringInfo(&present, "%s%s", present.len ? ", " : "",
							 effect_text(schema, step_effects[i].kind, step_effects[i].column));
		if (!holds && step_effects[i].step == step)
			appendStringInfo(&missing, "%s%s", missing.len ? ", " : "",
							 effect_text(schema, step_effects[i].kind, step_effects[i].column));
	}
	if (present.len == 0)
		return;
	schema->version = CRD_NO_VERSION;
	schema->mismatch = psprintf("version %d with %s of later steps, but without %s",
								schema->last_complete_step, present.data,
								missing.len ? missing.data : "the rest");
}

static bool
effect_present(const CrdSchema *schema, EffectKind kind, CrdColumnId id)
{
	const CrdColumn *column = &schema->column[id];

	switch (kind)
	{
		case PRESENT:
			return column->attnum != 0;
		case ABSENT:
			return column->attnum == 0;
		case NOT_NULL:
			return column->attnum != 0 && column->not_null;
		case NULLABLE:
			return column->attnum != 0 && !column->not_null;
		case UNIQUE_SLUG:
			return OidIsValid(schema->slug_index);
		case FOREIGN_KEY:
			return schema->fk_is_valid_restrict;
		case INDEX:
			return schema->has_fk_index;
	}
	return false;
}

static char *
effect_text(const CrdSchema *schema, EffectKind kind, CrdColumnId id)
{
	static const char *const form[] = {
		[PRESENT] = "column %s",
		[ABSENT] = "column %s dropped",
		[NOT_NULL] = "NOT NULL on %s",
		[NULLABLE] = "nullable %s",
		[UNIQUE_SLUG] = "UNIQUE on %s",
		[FOREIGN_KEY] = "a validated foreign key ON DELETE RESTRICT on %s",
		[INDEX] = "an index on %s",
	};
	const CrdColumn *column = &schema->column[id];
	const char *table = strchr(table_names[column->table], '.') + 1;

	return psprintf(form[kind], psprintf("%s.%s", table, column->name));
}
