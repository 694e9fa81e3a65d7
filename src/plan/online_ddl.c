/*-------------------------------------------------------------------------
 *
 * online_ddl.c
 *	  DDL that does not block the application: CONCURRENTLY, NOT VALID and
 *	  VALIDATE, one partition at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/sql_exec.h"
#include "plan/steps.h"

/* A foreign key of connections, its name and definition as DDL spells them */
typedef struct ForeignKey
{
	const char *name;
	const char *definition;
	const char *purpose;
	bool		to_catalog;
} ForeignKey;

static void validate_one(CrdPlanBuilder *builder, const char *table,
						 const char *constraint, const char *phase);
static void add_foreign_key(CrdPlanBuilder *builder, const char *table,
							const ForeignKey *key, const char *not_valid);
static void add_foreign_keys(CrdPlanBuilder *builder, const CrdResult *partitions,
							 ForeignKey *key);
static void restore_foreign_keys(CrdPlanBuilder *builder, const CrdSavedDdl *ddl);
static void delete_restored(CrdPlanBuilder *builder, const CrdSavedDdl *ddl,
							const char *next);
static bool is_partitioned(const CrdPlanBuilder *builder);

/*
 * Validate a constraint of the partitions first, one at a time, so that the
 * partitioned table has nothing to scan.
 */
void
crd_online_validate(CrdPlanBuilder *builder, const char *constraint, const char *phase)
{
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "SELECT t.relid::regclass::text FROM " CRD_RELATION_TREE("$1::oid") " t"
					 " LEFT JOIN pg_constraint c ON c.conrelid = t.relid AND quote_ident(c.conname) = $2"
					 " WHERE t.isleaf AND t.level > 0 AND c.convalidated IS NOT TRUE ORDER BY t.relid", 2,
					 builder->schema->relation[CRD_CONNECTIONS].relid_text, constraint);
	for (int i = 0; i < rows->nrows; i++)
		validate_one(builder, rows->row[i][0], constraint, phase);
	validate_one(builder, "connections.connections", constraint, phase);
}

static void
validate_one(CrdPlanBuilder *builder, const char *table, const char *constraint,
			 const char *phase)
{
	crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, ShareUpdateExclusiveLock,
				 "check the existing rows", "ALTER TABLE %s VALIDATE CONSTRAINT %s",
				 table, constraint);
	crd_plan_end_phase(builder, phase);
}

static void
drop_index(CrdPlanBuilder *builder, const char *name)
{
	crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
				 "drop an index that was left INVALID", "DROP INDEX %s", name);
	crd_plan_end_phase(builder, "drop_invalid_index");
}

/*
 * Create the index on available_connection_id.  The indexes of partitions are
 * built one at a time, and attached to the one of the partitioned table, which
 * becomes valid with the last of them.
 */
void
crd_online_create_index(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	CrdResult  *rows;
	const char **names;

	if (!is_partitioned(builder))
	{
		if (OidIsValid(schema->invalid_fk_index))
			drop_index(builder, crd_qualified_name(schema->invalid_fk_index));
		crd_plan_add(builder, CRD_PREPARE, CRD_RUN_IN_WORKER, CRD_CONNECTIONS, ShareUpdateExclusiveLock,
					 CRD_STEP3_INDEX_PURPOSE,
					 "CREATE INDEX CONCURRENTLY ON connections.connections " CRD_STEP3_INDEX);
		crd_plan_end_phase(builder, "index");
		return;
	}

	/* each table of the tree, with its own index if it has one */
	rows = crd_query(CRD_CALLER,
					 "SELECT t.relid, t.parent, t.relid::regclass, t.isleaf, i.indexrelid, i.indisvalid,"
					 " i.indexrelid IN (SELECT inhrelid FROM pg_inherits)"
					 " FROM " CRD_RELATION_TREE("$1::oid") " t"
					 " LEFT JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = 'available_connection_id'"
					 " LEFT JOIN LATERAL (SELECT x.indexrelid, x.indisvalid FROM pg_index x"
					 "  WHERE x.indrelid = t.relid AND " CRD_INDEX_FITS("x", "a")
					 "  ORDER BY x.indisvalid DESC, 1 LIMIT 1) i ON true"
					 " ORDER BY t.level, t.relid", 1,
					 schema->relation[CRD_CONNECTIONS].relid_text);
	names = palloc0(sizeof(char *) * Max(rows->nrows, 1));	/* as DDL spells them */
	for (int i = 0; i < rows->nrows; i++)
	{
		const char *const *row = rows->row[i];
		Oid			relid = atooid(row[0]);
		bool		is_leaf = crd_is_true(row[3]);
		bool		there = row[4] && (!is_leaf || crd_is_true(row[5]));
		const char *name;

		if (row[4] && !there)
			drop_index(builder, crd_qualified_name(atooid(row[4])));
		name = there ? get_rel_name(atooid(row[4])) :
			ChooseRelationName(get_rel_name(relid), "available_connection_id", "idx",
							   get_rel_namespace(relid), false);
		names[i] = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
		if (there)
			continue;
		if (is_leaf)
			crd_plan_add(builder, CRD_PREPARE, CRD_RUN_IN_WORKER, CRD_CONNECTIONS, ShareUpdateExclusiveLock,
						 CRD_STEP3_INDEX_PURPOSE,
						 "CREATE INDEX CONCURRENTLY %s ON %s " CRD_STEP3_INDEX,
						 quote_identifier(name), row[2]);
		else
			crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, ShareLock,
						 "the index that those of the partitions are attached to",
						 "CREATE INDEX %s ON ONLY %s " CRD_STEP3_INDEX,
						 quote_identifier(name), row[2]);
		crd_plan_end_phase(builder, "index");
	}
	for (int i = rows->nrows - 1; i > 0; i--)
	{
		int			parent = 0;

		if (crd_is_true(rows->row[i][6]))
			continue;
		while (strcmp(rows->row[parent][0], rows->row[i][1]) != 0)
			parent++;
		crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, AccessExclusiveLock,
					 "attach the index of a partition", "ALTER INDEX %s ATTACH PARTITION %s",
					 names[parent], names[i]);
		crd_plan_end_phase(builder, "attach_index");
	}
}

/*
 * Create the foreign key NOT VALID, then validate it.  Partitions get theirs
 * before the partitioned table, whose foreign key adopts them without a scan.
 */
void
crd_online_create_foreign_key(CrdPlanBuilder *builder)
{
	const CrdSchema *schema = builder->schema;
	ForeignKey	key = {
		.definition = CRD_STEP3_FOREIGN_KEY,
		.purpose = CRD_STEP3_FOREIGN_KEY_PURPOSE,
		.to_catalog = true
	};

	if (schema->fk_is_valid_restrict)
		return;
	key.name = quote_identifier(schema->fk_needs_validation ? schema->fk_name :
								ChooseConstraintName("connections", "available_connection_id", "fkey",
													 get_rel_namespace(schema->relation[CRD_CONNECTIONS].relid), NIL));
	if (is_partitioned(builder))
	{
		CrdResult  *rows;

		rows = crd_query(CRD_CALLER,
						 "SELECT t.relid::regclass, quote_ident(c.conname), c.convalidated FROM " CRD_RELATION_TREE("$1::oid") " t"
						 " LEFT JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = 'available_connection_id'"
						 " LEFT JOIN LATERAL (SELECT f.conname, f.convalidated FROM pg_constraint f"
						 "  WHERE f.contype = 'f' AND f.conrelid = t.relid AND f.confrelid = $2::oid"
						 "  AND f.conkey = ARRAY[a.attnum] AND f.confdeltype = 'r' AND " CRD_CONSTRAINT_ENFORCED("f") " ORDER BY f.convalidated DESC LIMIT 1) c ON true"
						 " WHERE t.isleaf AND t.level > 0 ORDER BY t.relid", 2,
						 schema->relation[CRD_CONNECTIONS].relid_text,
						 schema->relation[CRD_AVAILABLE_CONNECTIONS].relid_text);
		/* all have the same name, that of an existing one if there is one */
		for (int i = 0; i < rows->nrows; i++)
			if (rows->row[i][1])
				key.name = rows->row[i][1];
		add_foreign_keys(builder, rows, &key);
		add_foreign_key(builder, "connections.connections", &key, "");
		return;
	}
	if (!schema->fk_needs_validation)
		add_foreign_key(builder, "connections.connections", &key, " NOT VALID");
	crd_online_validate(builder, key.name, "validate_foreign_key");
}

static void
add_foreign_key(CrdPlanBuilder *builder, const char *table, const ForeignKey *key,
				const char *not_valid)
{
	if (key->to_catalog)
		crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_AVAILABLE_CONNECTIONS, ShareRowExclusiveLock,
					 "adding the foreign key locks this table as well",
					 "LOCK TABLE connections.available_connections IN SHARE ROW EXCLUSIVE MODE");
	crd_plan_add(builder, CRD_PREPARE, CRD_AS_TABLE_OWNER, CRD_CONNECTIONS, ShareRowExclusiveLock,
				 key->purpose, "ALTER TABLE %s ADD CONSTRAINT %s %s%s", table,
				 key->name, key->definition, not_valid);
	crd_plan_end_phase(builder, "foreign_key");
}

/*
 * Add the foreign keys of partitions: a row for each partition, with the name of
 * its foreign key, if it exists, and whether that is valid.
 */
static void
add_foreign_keys(CrdPlanBuilder *builder, const CrdResult *partitions,
				 ForeignKey *key)
{
	for (int i = 0; i < partitions->nrows; i++)
	{
		const char *const *row = partitions->row[i];

		if (crd_is_true(row[2]))
			continue;
		if (row[1] == NULL)
			add_foreign_key(builder, row[0], key, " NOT VALID");
		validate_one(builder, row[0], row[1] ? row[1] : key->name, "validate_foreign_key");
	}
}

/*
 * Restore the objects that take time, one by one, and delete each from the saved
 * DDL.
 */
void
crd_online_restore_remaining(CrdPlanBuilder *builder)
{
	ListCell   *lc;

	foreach(lc, builder->saved->ddl[builder->step])
	{
		const CrdSavedDdl *ddl = lfirst(lc);
		CrdOnlineDdl online_ddl = crd_online_ddl(ddl);
		bool		create = !ddl->created &&
		!(builder->online && crd_has_column(builder->schema, CRD_LABEL) && online_ddl.at_switchover);
		bool		valid = false;

		if (create && online_ddl.index)
		{
			CrdResult  *rows = crd_query(CRD_CALLER,
										 "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"
										 " AND pg_get_indexdef(indexrelid) = $2", 2,
										 online_ddl.index, online_ddl.index_statement);

			/* the checks report another index of that name */
			valid = rows->nrows > 0 && crd_is_true(rows->row[0][0]);
			if (rows->nrows > 0 && !valid)
				drop_index(builder, online_ddl.index);
		}

		/* one transaction needs no second statement */
		if (!builder->online && create && !valid)
			online_ddl = (CrdOnlineDdl)
		{
			.create = crd_saved_ddl_statement(ddl),
				.lock_mode = AccessExclusiveLock
		};
		if (create && online_ddl.index)
		{
			if (!valid)
				crd_plan_add(builder, CRD_PREPARE, CRD_RUN_IN_WORKER, CRD_CONNECTIONS,
							 ShareUpdateExclusiveLock, "restore what was dropped together with the column",
							 "%s", online_ddl.create);
			delete_restored(builder, ddl, online_ddl.finish);
		}
		else if (create)
		{
			if (online_ddl.partitions_first)
				restore_foreign_keys(builder, ddl);
			crd_online_restore(builder, ddl, online_ddl.create, online_ddl.lock_mode, online_ddl.finish);
		}
		crd_plan_end_phase(builder, "restore");
		if (online_ddl.finish)
			crd_online_restore(builder, ddl, online_ddl.finish, online_ddl.finish_lock_mode, NULL);
		crd_plan_end_phase(builder, "restore");
	}
}

/*
 * Add a saved foreign key to the partitions first.  Where something else has its
 * name in a partition, the foreign key is created with the one of the partitioned
 * table.
 */
static void
restore_foreign_keys(CrdPlanBuilder *builder, const CrdSavedDdl *ddl)
{
	ForeignKey	key = {
		.name = quote_identifier(ddl->name),
		.definition = ddl->definition,
		.purpose = "restore what was dropped together with the column",
	};

	add_foreign_keys(builder,
					 crd_query(CRD_CALLER,
							   "SELECT t.relid::regclass, quote_ident(c.conname), c.convalidated OR starts_with(pg_get_constraintdef(c.oid), $3) IS FALSE"
							   " FROM pg_partition_tree($1::regclass) t"
							   " LEFT JOIN pg_constraint c ON c.conrelid = t.relid AND c.conname = $2"
							   " WHERE t.isleaf ORDER BY t.relid", 3,
							   ddl->relation, ddl->name, key.definition),
					 &key);
}

/* Run saved DDL; "next" is the statement that remains to be run later, or NULL. */
void
crd_online_restore(CrdPlanBuilder *builder, const CrdSavedDdl *ddl,
				   const char *statement, LOCKMODE lock_mode, const char *next)
{
	crd_plan_restore(builder, CRD_FINISH, CRD_CONNECTIONS, lock_mode, ddl, statement);
	delete_restored(builder, ddl, next);
}

static void
delete_restored(CrdPlanBuilder *builder, const CrdSavedDdl *ddl, const char *next)
{
	const char *row = psprintf("WHERE step = %d AND seq = %d", builder->step, ddl->seq);

	if (next)
		crd_plan_add(builder, CRD_FINISH, CRD_AS_EXTENSION_OWNER, CRD_CONNECTIONS, RowExclusiveLock,
					 "the object exists, and must be finished later",
					 "UPDATE connections_redesign.saved_ddl SET created = true %s", row);
	else
		crd_plan_add(builder, CRD_FINISH, CRD_AS_EXTENSION_OWNER, CRD_CONNECTIONS, RowExclusiveLock,
					 "the object is restored",
					 "DELETE FROM connections_redesign.saved_ddl %s", row);
}

static bool
is_partitioned(const CrdPlanBuilder *builder)
{
	return builder->schema->relation[CRD_CONNECTIONS].relkind == RELKIND_PARTITIONED_TABLE;
}
