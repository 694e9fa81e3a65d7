/*-------------------------------------------------------------------------
 *
 * plan_online.c
 *	  The online form of the steps: as phases, each a short transaction or a walk
 *	  over the table, after which the application can write as before.
 *
 * Each phase is planned from what is there, and left out where its work is
 * done.  So the same code plans a run, what is left of one that was stopped
 * anywhere, and what undoes it.
 *
 * Nothing is rewritten, and nothing is scanned under a lock that keeps readers
 * or writers out: constraints are added NOT VALID and validated later, indexes
 * built CONCURRENTLY, rows filled by walks beside the bridges.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "planner.h"
#include "sql.h"

/* A foreign key of connections, its name and definition as DDL spells them */
typedef struct ForeignKey
{
	const char *name;
	const char *definition;
	const char *purpose;
	bool		to_catalog;
} ForeignKey;

static void plan_unfinished(CrdPlanner *planner);
static void undo(CrdPlanner *planner);
static void undo_on_partitions(CrdPlanner *planner);
static void finish_step4_down(CrdPlanner *planner);
static void end_phase(CrdPlanner *planner, const char *name);
static void fill_rows(CrdPlanner *planner, CrdFill fill, const char *purpose,
					  const char *statement);
static void prove(CrdPlanner *planner, const char *purpose,
				  const char *condition);
static void drop_not_null_check(CrdPlanner *planner, CrdPart part, bool there,
								const char *purpose);
static void validate(CrdPlanner *planner, const char *constraint,
					 const char *phase);
static void validate_one(CrdPlanner *planner, const char *table,
						 const char *constraint, const char *phase);
static void make_index(CrdPlanner *planner);
static void make_foreign_key(CrdPlanner *planner);
static void add_foreign_key(CrdPlanner *planner, const char *table,
							const ForeignKey *key, const char *not_valid);
static void add_foreign_keys(CrdPlanner *planner, const CrdRows *partitions,
							 ForeignKey *key);
static void restore_later(CrdPlanner *planner);
static void restore_foreign_keys(CrdPlanner *planner,
								 const CrdKeptStatement *kept,
								 const CrdRestoring *restoring);
static bool comes_with_exchange(const CrdKeptStatement *kept,
								const CrdRestoring *restoring);
static void restore(CrdPlanner *planner, const CrdKeptStatement *kept,
					const char *statement, LOCKMODE lock_mode,
					const char *next);
static void is_back(CrdPlanner *planner, const CrdKeptStatement *kept,
					const char *next);
static void vacuum(CrdPlanner *planner);
static bool is_begun(const CrdPlanner *planner);
static bool is_partitioned(const CrdPlanner *planner);

CrdPlan *
crd_plan_online(CrdFindings *findings)
{
	const CrdSchema *schema = findings->schema;
	CrdPlanner	planner;
	CrdPhase   *next = NULL;

	crd_planner_init(&planner, findings, true);
	if (schema->unfinished_step)
		plan_unfinished(&planner);
	planner.up = true;
	for (planner.step = schema->version + 1; planner.step <= findings->target; planner.step++)
		if (!(findings->one_step && planner.plan->phases))
			crd_steps[planner.step].up_online(&planner);
	planner.up = false;
	for (planner.step = schema->version; planner.step > findings->target; planner.step--)
		if (!(findings->one_step && planner.plan->phases))
			crd_steps[planner.step].down_online(&planner);

	for (int i = list_length(planner.plan->phases) - 1; i >= 0; i--)
	{
		CrdPhase   *phase = list_nth(planner.plan->phases, i);

		phase->is_last = next == NULL || next->step != phase->step ||
			next->up != phase->up || next->undoes != phase->undoes;
		next = phase;
	}
	return planner.plan;
}

List *
crd_plan_settle(CrdFindings *findings)
{
	CrdPlanner	planner;
	CrdSchema  *schema = findings->schema;

	crd_planner_init(&planner, findings, false);
	planner.step = schema->unfinished_step;
	if (!crd_to_be_finished(schema))
		undo(&planner);
	else if (schema->unfinished_up)
		crd_finish_step4_up(&planner);
	else
		finish_step4_down(&planner);
	crd_plan_add(&planner, CRD_FINISH, CRD_RUN_IN_LEDGER, CRD_CONNECTIONS, RowExclusiveLock,
				 "the step is not half done any more",
				 "DELETE FROM connections_redesign.online_run");

	/* what the plan after it will find */
	schema->unfinished_step = 0;
	schema->walked = false;
	schema->has_bridge_back = schema->has_type_keeper = schema->has_not_null_check = false;
	if (schema->version < 2)
	{
		schema->column[CRD_AVAILABLE_CONNECTION_ID].attnum = 0;
		schema->has_bridge = false;
	}
	if (schema->version < 3)
	{
		schema->catalog_fk = schema->own_fk_index = InvalidOid;
		schema->has_fk_index = schema->has_fk_index && planner.keepsake->statements[3] != NIL;
	}
	if (schema->version == CRD_LAST_STEP)
		schema->column[CRD_PROVIDER].attnum = schema->column[CRD_TYPE].attnum = 0;
	return crd_plan_collect(&planner, true);
}

/* What to do with the step that was begun, before any other. */
static void
plan_unfinished(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	bool		up = schema->unfinished_up;

	planner->step = schema->unfinished_step;
	planner->up = up;
	if (crd_to_be_finished(schema))
	{
		if (up)
		{
			crd_finish_step4_up(planner);
			if (planner->findings->target == CRD_LAST_STEP)
				vacuum(planner);
		}
		else
			finish_step4_down(planner);
	}
	else if (up ? planner->findings->target < planner->step :
			 planner->findings->target >= planner->step)
		undo(planner);
}

/*
 * Undo what was done of the unfinished step.  Steps 1 to 3 are taken back in one
 * transaction each: a way back that was begun there has done nothing yet.
 */
static void
undo(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	bool		labels = false;

	switch (schema->unfinished_up || planner->step == CRD_LAST_STEP ? planner->step : 0)
	{
		case 2:
			if (crd_has_column(schema, CRD_AVAILABLE_CONNECTION_ID))
				crd_steps[2].down(planner);
			break;
		case 3:
			drop_not_null_check(planner, CRD_PREPARE, schema->has_not_null_check, "nothing is to be proven");
			undo_on_partitions(planner);
			if (OidIsValid(schema->invalid_fk_index))
				crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
							 "drop what is there of the index", "DROP INDEX %s",
							 crd_qualified_name(schema->invalid_fk_index));
			crd_steps[3].down(planner);
			break;
		case CRD_LAST_STEP:
			crd_plan_drop_trigger(planner, schema->has_type_keeper, CRD_TYPE_KEEPER_TRIGGER,
								  "the type is not going to be dropped");
			if (schema->unfinished_up)
			{
				crd_plan_forget_types(planner, CRD_KEEP);
				break;
			}
			crd_plan_drop_trigger(planner, schema->has_bridge_back, CRD_BRIDGE_BACK_TRIGGER,
								  "provider and type are not going to be used");
			drop_not_null_check(planner, CRD_PREPARE, schema->has_not_null_check, "nothing is to be proven");
			if (crd_has_column(schema, CRD_PROVIDER))
				crd_plan_alter(planner, CRD_CONNECTIONS, "drop provider and type again",
							   "DROP COLUMN provider, DROP COLUMN type");
			labels = true;
			break;
	}
	end_phase(planner, "undo");
	if (labels)
		crd_finish_step4_up(planner);
	if (planner->online)
	{
		ListCell   *lc;

		foreach(lc, planner->plan->phases)
			((CrdPhase *) lfirst(lc))->undoes = true;
	}
}

/* Drop what partitions have got of step 3 and the partitioned table has not. */
static void
undo_on_partitions(CrdPlanner *planner)
{
	CrdRows    *rows;

	rows = crd_fetch(CRD_CALLER,
					 "WITH tree AS ("
					 " SELECT t.relid, a.attnum, a.attcollation FROM pg_partition_tree($1::oid) t"
					 " JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = 'available_connection_id'"
					 " WHERE t.level > 0) "
					 "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', t.relid, c.conname)"
					 " FROM tree t JOIN pg_constraint c ON c.conrelid = t.relid AND c.contype = 'f'"
					 "  AND c.confrelid = $2::oid AND c.conkey = ARRAY[t.attnum] AND c.conparentid = 0"
					 " UNION ALL "
					 "SELECT format('DROP INDEX %s', i.indexrelid::regclass)"
					 " FROM tree t JOIN pg_index i ON i.indrelid = t.relid AND " CRD_INDEX_FITS("i", "t")
					 "  AND i.indexrelid NOT IN (SELECT inhrelid FROM pg_inherits)"
					 " ORDER BY 1", 2,
					 psprintf("%u", planner->schema->relation[CRD_CONNECTIONS].relid),
					 psprintf("%u", planner->schema->relation[CRD_CATALOG].relid));
	for (int i = 0; i < rows->nrows; i++)
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
					 "drop what a partition has got already", "%s", rows->row[i][0]);
}


/* The steps */

void
crd_step1_up_online(CrdPlanner *planner)
{
	crd_steps[1].up(planner);
	end_phase(planner, "catalog");
}

void
crd_step1_down_online(CrdPlanner *planner)
{
	crd_steps[1].down(planner);
	end_phase(planner, "catalog");
}

void
crd_step2_up_online(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	const char *type = schema->column[CRD_CATALOG_ID].type;
	bool		current = crd_bridge_is_current(schema);

	if (!crd_has_column(schema, CRD_AVAILABLE_CONNECTION_ID))
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
					 "add the new column",
					 "ALTER TABLE connections.connections ADD COLUMN available_connection_id %s", type);
	if (!current)
		crd_plan_create_bridge(planner);
	end_phase(planner, "add_column");

	if (!is_begun(planner) || !schema->walked || !current)
	{
		fill_rows(planner, CRD_FILL_ID, "fill the rows that are there, as the bridge does",
				  psprintf("UPDATE connections.connections SET available_connection_id = (%s)::%s"
						   " WHERE available_connection_id IS NULL",
						   crd_mapping_expr(schema, crd_id_literals(schema)), type));
		prove(planner, "every row is filled", "available_connection_id IS NULL");
		end_phase(planner, "backfill");
	}
	restore_later(planner);
	crd_plan_forget(planner, CRD_KEEP, "kept_ddl", planner->keepsake->has_ddl[2]);
	end_phase(planner, "forget");
	if (planner->findings->target == 2)
		vacuum(planner);
}

void
crd_step2_down_online(CrdPlanner *planner)
{
	crd_steps[2].down(planner);
	end_phase(planner, "drop_column");
}

void
crd_step3_up_online(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;

	planner->plan->rows[3] = planner->findings->proven_rows;
	if (!schema->column[CRD_AVAILABLE_CONNECTION_ID].not_null)
	{
		if (!schema->has_not_null_check)
		{
			if (schema->version == 2 && planner->findings->proven_rows == 0)
				prove(planner, "no row would violate it", "available_connection_id IS NULL");
			crd_plan_keep_index(planner);
			/* others who applied step 2 had no bridge */
			if (schema->version == 2 && !schema->has_bridge)
				crd_plan_create_bridge(planner);
			crd_plan_alter(planner, CRD_CONNECTIONS, "no new row without available_connection_id",
						   "ADD CONSTRAINT %s CHECK (available_connection_id IS NOT NULL) NOT VALID",
						   quote_identifier(CRD_NOT_NULL_CHECK));
			end_phase(planner, "not_null");
		}
		if (!schema->not_null_check_validated)
			validate(planner, quote_identifier(CRD_NOT_NULL_CHECK), "validate_not_null");
		crd_plan_alter(planner, CRD_CONNECTIONS, "available_connection_id is required",
					   "ALTER COLUMN available_connection_id SET NOT NULL");
		drop_not_null_check(planner, CRD_FINISH, true, "it has proven NOT NULL without a scan");
		end_phase(planner, "set_not_null");
	}
	if (!schema->has_fk_index)
		make_index(planner);
	make_foreign_key(planner);
	if (planner->findings->target == 3)
		vacuum(planner);
}

void
crd_step3_down_online(CrdPlanner *planner)
{
	crd_plan_add(planner, CRD_KEEP, CRD_RUN, CRD_CATALOG, AccessExclusiveLock,
				 "the foreign key watches this table, too",
				 "LOCK TABLE connections.available_connections IN ACCESS EXCLUSIVE MODE");
	crd_steps[3].down(planner);
	end_phase(planner, "drop_foreign_key");
}

void
crd_step4_up_online(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	bool		again = is_begun(planner) && schema->walk_outdated;

	if (!schema->has_type_keeper)
	{
		crd_plan_keep_dictionary(planner);
		crd_plan_keep_key(planner);
		crd_plan_create_trigger(planner, CRD_TYPE_KEEPER_TRIGGER,
								"keep the type of what is written from now on, where it is another",
								crd_type_keeper_ddl(schema, crd_findings_dictionary(planner->findings)));
	}
	else if (again)
		crd_plan_forget(planner, CRD_KEEP, "kept_type_exception", planner->keepsake->has_exceptions);

	/* a row of which nobody kept the type may be an exception no more */
	if (again)
		crd_plan_add(planner, CRD_FINISH, CRD_RUN_IN_LEDGER, CRD_CONNECTIONS, RowExclusiveLock,
					 "rows were written without the trigger, or have come with a partition",
					 "UPDATE connections_redesign.online_run SET walked = false");
	end_phase(planner, "keep_types");
	if (!is_begun(planner) || !schema->walked)
	{
		const char *type =
		crd_by_id_expr(schema,
					   crd_type_literals(schema, schema->has_type_keeper ? planner->keepsake->types :
										 crd_findings_dictionary(planner->findings)));
		const char *columns = psprintf("%s, available_connection_id::text, type::text", schema->key);
		const char *condition = psprintf("type::text COLLATE \"C\" IS DISTINCT FROM (%s)", type);
		CrdAction  *action;

		action = crd_plan_add(planner, CRD_KEEP, CRD_WALK_EXCEPTIONS, CRD_CONNECTIONS, RowShareLock,
							  "keep the type of the other rows that are there, in short transactions",
							  "SELECT %s FROM connections.connections WHERE %s FOR SHARE SKIP LOCKED",
							  columns, condition);
		action->columns = columns;
		action->condition = condition;
		prove(planner, "the type of every row is known",
			  psprintf("%s AND type::text COLLATE \"C\" IS DISTINCT FROM"
					   " connections_redesign.kept_type(%s, available_connection_id::text, %s)",
					   condition, schema->key, type));
		end_phase(planner, "keep_exceptions");
	}

	crd_plan_keep_columns(planner, true);
	crd_plan_drop_trigger(planner, schema->has_bridge || schema->version < 2, CRD_BRIDGE_TRIGGER,
						  "the bridge has nothing to read any more");
	crd_plan_drop_trigger(planner, true, CRD_TYPE_KEEPER_TRIGGER, "every type is kept");
	if (schema->column[CRD_NAME].not_null)
		crd_plan_alter(planner, CRD_CONNECTIONS, "label may be NULL", "ALTER COLUMN name DROP NOT NULL");
	crd_plan_alter(planner, CRD_CONNECTIONS, "drop provider and type",
				   "DROP COLUMN provider, DROP COLUMN type");
	crd_plan_drop_own_not_null(planner, CRD_FINISH);
	crd_plan_add(planner, CRD_FINISH, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
				 "name becomes label",
				 "ALTER TABLE connections.connections RENAME COLUMN name TO label");
	end_phase(planner, "drop_columns");
	crd_finish_step4_up(planner);
	vacuum(planner);
}

void
crd_finish_step4_up(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	const char *condition = psprintf("label::text = '' AND connections_redesign.label_was_null(%s)",
									 schema->key);
	const char *update = psprintf("UPDATE connections.connections SET label = NULL WHERE %s", condition);

	if (!planner->keepsake->has_null_labels)
		return;
	if (planner->online)
	{
		fill_rows(planner, CRD_FILL_NULL_LABELS,
				  "labels that were NULL before the rollback, and are still empty, are NULL again", update);
		prove(planner, "all of them are", condition);
	}
	else
		crd_plan_add(planner, CRD_FINISH, CRD_RUN_AS_REPLICA, CRD_CONNECTIONS, RowExclusiveLock,
					 "labels that were NULL before the rollback, and are still empty, are NULL again",
					 "%s", update);
	crd_plan_forget(planner, CRD_FINISH, "kept_null_label", true);
	end_phase(planner, "null_labels");
}

void
crd_step4_down_online(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	const CrdKeepsake *keepsake = planner->keepsake;
	CrdWayBack *way = crd_findings_way_back(planner->findings);
	static const CrdColumnId columns[] = {CRD_PROVIDER, CRD_TYPE, CRD_NAME};
	bool		current = crd_bridge_back_is_current(schema, way, keepsake);
	StringInfoData required;
	ListCell   *lc;

	initStringInfo(&required);
	for (int i = 0; i < lengthof(columns); i++)
		if (crd_plan_kept_not_null(planner, schema->column[columns[i]].name))
			appendStringInfo(&required, "%s%s IS NOT NULL", required.len ? " AND " : "",
							 columns[i] == CRD_NAME ? "label" : schema->column[columns[i]].name);

	if (!crd_has_column(schema, CRD_PROVIDER))
	{
		crd_plan_forget(planner, CRD_KEEP, "kept_null_label", keepsake->has_null_labels);
		crd_plan_keep_key(planner);
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
					 "bring provider and type back",
					 "ALTER TABLE connections.connections ADD COLUMN provider %s, ADD COLUMN type %s",
					 crd_plan_kept_type(planner, "provider"), crd_plan_kept_type(planner, "type"));
		crd_plan_create_trigger(planner, CRD_BRIDGE_BACK_TRIGGER, "fill them when a row is written",
								crd_bridge_back_ddl(schema, way, keepsake));
		end_phase(planner, "add_columns");
	}
	else if (!current)
	{
		crd_plan_drop_trigger(planner, schema->has_bridge_back, CRD_BRIDGE_BACK_TRIGGER,
							  "make room for one that knows the catalog as it is now");
		crd_plan_create_trigger(planner, CRD_BRIDGE_BACK_TRIGGER, "fill them when a row is written",
								crd_bridge_back_ddl(schema, way, keepsake));
		end_phase(planner, "bridge_back");
	}
	if (!is_begun(planner) || !schema->walked || !current)
	{
		fill_rows(planner, CRD_FILL_LEGACY, "fill the rows that are there, as the bridge back does",
				  psprintf("UPDATE connections.connections SET provider = %s, type = %s, label = %s, config = %s"
						   " WHERE provider IS NULL OR %s OR %s",
						   way->provider, way->type, way->label, way->config, way->label_changes, way->config_changes));
		prove(planner, "every row is filled",
			  psprintf("provider IS NULL OR %s OR %s", way->label_changes, way->config_changes));
		end_phase(planner, "backfill");
	}
	if (required.len)
	{
		if (!schema->has_not_null_check)
			crd_plan_alter(planner, CRD_CONNECTIONS, "no new row without them",
						   "ADD CONSTRAINT %s CHECK (%s) NOT VALID",
						   quote_identifier(CRD_NOT_NULL_CHECK), required.data);
		end_phase(planner, "not_null");
		if (!schema->not_null_check_validated)
			validate(planner, quote_identifier(CRD_NOT_NULL_CHECK), "validate_not_null");
		for (int i = 0; i < lengthof(columns); i++)
			if (crd_plan_kept_not_null(planner, schema->column[columns[i]].name))
			{
				const char *name = schema->column[columns[i]].name;

				crd_plan_set_not_null(planner, CRD_CONNECTIONS, name,
									  columns[i] == CRD_NAME ? "label" : name);
			}
		drop_not_null_check(planner, CRD_FINISH, true, "it has proven NOT NULL without a scan");
	}
	crd_plan_drop_trigger(planner, true, CRD_BRIDGE_BACK_TRIGGER, "the old application writes them itself");
	crd_plan_add(planner, CRD_FINISH, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
				 "label becomes name",
				 "ALTER TABLE connections.connections RENAME COLUMN label TO name");
	crd_plan_create_bridge(planner);

	/*
	 * what takes no time comes at once, and holds for all that is written
	 * next
	 */
	foreach(lc, keepsake->statements[4])
	{
		const CrdKeptStatement *kept = lfirst(lc);
		CrdRestoring restoring = crd_restoring(kept);

		if (comes_with_exchange(kept, &restoring))
			restore(planner, kept, restoring.first, AccessExclusiveLock, restoring.second);
	}
	end_phase(planner, "exchange");
	finish_step4_down(planner);
}

/* What can come back when the old application has its columns. */
static void
finish_step4_down(CrdPlanner *planner)
{
	const CrdKeepsake *keepsake = planner->keepsake;

	restore_later(planner);
	crd_plan_forget(planner, CRD_FINISH, "kept_ddl", keepsake->has_ddl[4]);
	crd_plan_forget_types(planner, CRD_FINISH);
	end_phase(planner, "forget");
	if (planner->online)
		vacuum(planner);
}


/* Phases, and what several of them need */

/*
 * What was added since the last call becomes a phase, if there is anything.  In
 * one transaction, there are no phases.
 */
static void
end_phase(CrdPlanner *planner, const char *name)
{
	CrdPhase   *phase;

	if (!planner->online)
		return;
	phase = palloc0(sizeof(CrdPhase));
	phase->name = name;
	phase->step = planner->step;
	phase->up = planner->up;
	phase->rows = planner->plan->rows[planner->step];
	phase->actions = crd_plan_collect(planner, phase->up);
	if (phase->actions != NIL)
		planner->plan->phases = lappend(planner->plan->phases, phase);
}

static void
fill_rows(CrdPlanner *planner, CrdFill fill, const char *purpose,
		  const char *statement)
{
	crd_plan_add(planner, CRD_KEEP, CRD_FILL_ROWS, CRD_CONNECTIONS, RowExclusiveLock,
				 psprintf("%s, in short transactions and without triggers", purpose),
				 "%s", statement)->fill = fill;
}

/* The walk before it is over when no row meets the condition any more. */
static void
prove(CrdPlanner *planner, const char *purpose, const char *condition)
{
	crd_plan_add(planner, CRD_KEEP, CRD_PROVE, CRD_CONNECTIONS, AccessShareLock, purpose,
				 "SELECT count(*), count(*) FILTER (WHERE %s) FROM connections.connections",
				 condition);
}

static void
drop_not_null_check(CrdPlanner *planner, CrdPart part, bool there,
					const char *purpose)
{
	if (there)
		crd_plan_add(planner, part, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock, purpose,
					 "ALTER TABLE connections.connections DROP CONSTRAINT %s",
					 quote_identifier(CRD_NOT_NULL_CHECK));
}

/*
 * Names of constraints, here and below, are as DDL spells them.
 *
 * Partitions first, one by one: then the partitioned table has nothing to scan.
 */
static void
validate(CrdPlanner *planner, const char *constraint, const char *phase)
{
	CrdRows    *rows;

	rows = crd_fetch(CRD_CALLER,
					 "SELECT t.relid::regclass::text FROM pg_partition_tree($1::oid) t"
					 " LEFT JOIN pg_constraint c ON c.conrelid = t.relid AND quote_ident(c.conname) = $2"
					 " WHERE t.isleaf AND t.level > 0 AND c.convalidated IS NOT TRUE ORDER BY t.relid", 2,
					 psprintf("%u", planner->schema->relation[CRD_CONNECTIONS].relid), constraint);
	for (int i = 0; i < rows->nrows; i++)
		validate_one(planner, rows->row[i][0], constraint, phase);
	validate_one(planner, "connections.connections", constraint, phase);
}

static void
validate_one(CrdPlanner *planner, const char *table, const char *constraint,
			 const char *phase)
{
	crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, ShareUpdateExclusiveLock,
				 "check the rows that are there", "ALTER TABLE %s VALIDATE CONSTRAINT %s",
				 table, constraint);
	end_phase(planner, phase);
}

static void
drop_index(CrdPlanner *planner, const char *name)
{
	crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
				 "make room for an index that was left INVALID", "DROP INDEX %s", name);
	end_phase(planner, "drop_invalid_index");
}

/*
 * The index on available_connection_id.  On partitions it is built one by one,
 * and attached to one on the partitioned table that is valid when all are.
 */
static void
make_index(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	CrdRows    *rows;
	const char **names;

	if (!is_partitioned(planner))
	{
		if (OidIsValid(schema->invalid_fk_index))
			drop_index(planner, crd_qualified_name(schema->invalid_fk_index));
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN_IN_WORKER, CRD_CONNECTIONS, ShareUpdateExclusiveLock,
					 "find the connections of a kind",
					 "CREATE INDEX CONCURRENTLY ON connections.connections (available_connection_id)");
		end_phase(planner, "index");
		return;
	}

	/* each relation of the tree, with its own index if it has one */
	rows = crd_fetch(CRD_CALLER,
					 "SELECT t.relid::oid, t.parentrelid::oid, t.relid, t.isleaf, i.indexrelid, i.indisvalid,"
					 " i.indexrelid IN (SELECT inhrelid FROM pg_inherits)"
					 " FROM pg_partition_tree($1::oid) t"
					 " LEFT JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = 'available_connection_id'"
					 " LEFT JOIN LATERAL (SELECT x.indexrelid, x.indisvalid FROM pg_index x"
					 "  WHERE x.indrelid = t.relid AND " CRD_INDEX_FITS("x", "a")
					 "  ORDER BY x.indisvalid DESC, 1 LIMIT 1) i ON true"
					 " ORDER BY t.level, t.relid", 1,
					 psprintf("%u", schema->relation[CRD_CONNECTIONS].relid));
	names = palloc0(sizeof(char *) * Max(rows->nrows, 1));	/* as DDL spells them */
	for (int i = 0; i < rows->nrows; i++)
	{
		const char *const *row = rows->row[i];
		Oid			relid = atooid(row[0]);
		bool		leaf = crd_is_true(row[3]);
		bool		there = row[4] && (!leaf || crd_is_true(row[5]));
		const char *name;

		if (row[4] && !there)
			drop_index(planner, crd_qualified_name(atooid(row[4])));
		name = there ? get_rel_name(atooid(row[4])) :
			ChooseRelationName(get_rel_name(relid), "available_connection_id", "idx",
							   get_rel_namespace(relid), false);
		names[i] = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
		if (there)
			continue;
		if (leaf)
			crd_plan_add(planner, CRD_PREPARE, CRD_RUN_IN_WORKER, CRD_CONNECTIONS, ShareUpdateExclusiveLock,
						 "find the connections of a kind",
						 "CREATE INDEX CONCURRENTLY %s ON %s (available_connection_id)",
						 quote_identifier(name), row[2]);
		else
			crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, ShareLock,
						 "an index to attach those of the partitions to",
						 "CREATE INDEX %s ON ONLY %s (available_connection_id)",
						 quote_identifier(name), row[2]);
		end_phase(planner, "index");
	}
	for (int i = rows->nrows - 1; i > 0; i--)
	{
		int			parent = 0;

		if (crd_is_true(rows->row[i][6]))
			continue;
		while (strcmp(rows->row[parent][0], rows->row[i][1]) != 0)
			parent++;
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
					 "one of its parts", "ALTER INDEX %s ATTACH PARTITION %s",
					 names[parent], names[i]);
		end_phase(planner, "attach_index");
	}
}

/*
 * The foreign key, not valid at first.  Partitions get theirs before, which the
 * one of the partitioned table then takes over without a scan.
 */
static void
make_foreign_key(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	ForeignKey	key = {
		.definition = "FOREIGN KEY (available_connection_id)"
		" REFERENCES connections.available_connections (id) ON DELETE RESTRICT",
		.purpose = "every connection is of an available kind, and no kind in use can be deleted",
		.to_catalog = true
	};

	if (schema->catalog_fk_restricts)
		return;
	key.name = quote_identifier(schema->catalog_fk_to_validate ? schema->catalog_fk_name :
								ChooseConstraintName("connections", "available_connection_id", "fkey",
													 get_rel_namespace(schema->relation[CRD_CONNECTIONS].relid), NIL));
	if (is_partitioned(planner))
	{
		CrdRows    *rows;

		rows = crd_fetch(CRD_CALLER,
						 "SELECT t.relid::regclass, quote_ident(c.conname), c.convalidated FROM pg_partition_tree($1::oid) t"
						 " LEFT JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = 'available_connection_id'"
						 " LEFT JOIN LATERAL (SELECT f.conname, f.convalidated FROM pg_constraint f"
						 "  WHERE f.contype = 'f' AND f.conrelid = t.relid AND f.confrelid = $2::oid"
						 "  AND f.conkey = ARRAY[a.attnum] AND f.confdeltype = 'r' AND pg_get_constraintdef(f.oid) NOT LIKE '% NOT ENFORCED' ORDER BY f.convalidated DESC LIMIT 1) c ON true"
						 " WHERE t.isleaf AND t.level > 0 ORDER BY t.relid", 2,
						 psprintf("%u", schema->relation[CRD_CONNECTIONS].relid),
						 psprintf("%u", schema->relation[CRD_CATALOG].relid));
		/* all have the same name, also those that are there already */
		for (int i = 0; i < rows->nrows; i++)
			if (rows->row[i][1])
				key.name = rows->row[i][1];
		add_foreign_keys(planner, rows, &key);
		add_foreign_key(planner, "connections.connections", &key, "");
		return;
	}
	if (!schema->catalog_fk_to_validate)
		add_foreign_key(planner, "connections.connections", &key, " NOT VALID");
	validate(planner, key.name, "validate_foreign_key");
}

static void
add_foreign_key(CrdPlanner *planner, const char *table, const ForeignKey *key,
				const char *not_valid)
{
	if (key->to_catalog)
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CATALOG, ShareRowExclusiveLock,
					 "the foreign key will watch this table, too",
					 "LOCK TABLE connections.available_connections IN SHARE ROW EXCLUSIVE MODE");
	crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, ShareRowExclusiveLock,
				 key->purpose, "ALTER TABLE %s ADD CONSTRAINT %s %s%s", table,
				 key->name, key->definition, not_valid);
	end_phase(planner, "foreign_key");
}

/*
 * The foreign keys of partitions, before the one of the partitioned table: a row
 * for each, with the name of its own and whether that is valid.
 */
static void
add_foreign_keys(CrdPlanner *planner, const CrdRows *partitions,
				 ForeignKey *key)
{
	for (int i = 0; i < partitions->nrows; i++)
	{
		const char *const *row = partitions->row[i];

		if (crd_is_true(row[2]))
			continue;
		if (row[1] == NULL)
			add_foreign_key(planner, row[0], key, " NOT VALID");
		validate_one(planner, row[0], row[1] ? row[1] : key->name, "validate_foreign_key");
	}
}

/*
 * Bring back what went with the columns and takes time, one by one; what is back
 * is deleted from the keepsake.
 */
static void
restore_later(CrdPlanner *planner)
{
	ListCell   *lc;

	foreach(lc, planner->keepsake->statements[planner->step])
	{
		const CrdKeptStatement *kept = lfirst(lc);
		CrdRestoring restoring = crd_restoring(kept);
		bool		first = !(planner->online && crd_has_column(planner->schema, CRD_LABEL) &&
							  comes_with_exchange(kept, &restoring));
		bool		valid = false;

		if (first && restoring.index)
		{
			CrdRows    *rows = crd_fetch(CRD_CALLER,
										 "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"
										 " AND pg_get_indexdef(indexrelid) = $2", 2,
										 restoring.index, restoring.index_definition);

			/* another's of that name is in the way of ours, as the checks say */
			valid = rows->nrows > 0 && crd_is_true(rows->row[0][0]);
			if (rows->nrows > 0 && !valid)
				drop_index(planner, restoring.index);
		}

		/* in one transaction, it need not come in parts */
		if (!planner->online && !valid)
		{
			restoring.first = kept->statement;
			restoring.second = restoring.index = restoring.foreign_key = NULL;
			restoring.lock_mode = AccessExclusiveLock;
		}
		if (first && restoring.index)
		{
			if (!valid)
				crd_plan_add(planner, CRD_PREPARE, CRD_RUN_IN_WORKER, CRD_CONNECTIONS,
							 ShareUpdateExclusiveLock, "bring back what went with the column",
							 "%s", restoring.first);
			is_back(planner, kept, restoring.second);
		}
		else if (first)
		{
			if (restoring.foreign_key)
				restore_foreign_keys(planner, kept, &restoring);
			restore(planner, kept, restoring.first, restoring.lock_mode, restoring.second);
		}
		end_phase(planner, "restore");
		if (restoring.second)
			restore(planner, kept, restoring.second, restoring.second_scans ?
					ShareUpdateExclusiveLock : AccessExclusiveLock, NULL);
		end_phase(planner, "restore");
	}
}

/*
 * What the partitions need of a foreign key before the partitioned table.  Where
 * something else has its name there, it comes with that of the partitioned table.
 */
static void
restore_foreign_keys(CrdPlanner *planner, const CrdKeptStatement *kept,
					 const CrdRestoring *restoring)
{
	ForeignKey	key = {
		.name = restoring->foreign_key,
		.definition = restoring->definition,
		.purpose = "bring back what went with the column",
	};

	add_foreign_keys(planner,
					 crd_fetch(CRD_CALLER,
							   "SELECT t.relid::regclass, quote_ident(c.conname), c.convalidated OR starts_with(pg_get_constraintdef(c.oid), $3) IS FALSE"
							   " FROM pg_partition_tree($1::regclass) t"
							   " LEFT JOIN pg_constraint c ON c.conrelid = t.relid AND quote_ident(c.conname) = $2"
							   " WHERE t.isleaf ORDER BY t.relid", 3,
							   kept->relation, key.name, key.definition),
					 &key);
}

/*
 * Whether it takes no time and should hold for all that the old application
 * writes.
 */
static bool
comes_with_exchange(const CrdKeptStatement *kept, const CrdRestoring *restoring)
{
	return kept->of_column ||
		restoring->is_check;
}

/* Run a kept statement; "next" is what is left of it to be run later, or NULL. */
static void
restore(CrdPlanner *planner, const CrdKeptStatement *kept,
		const char *statement, LOCKMODE lock_mode, const char *next)
{
	crd_plan_restore(planner, CRD_FINISH, CRD_CONNECTIONS, lock_mode, kept, statement);
	is_back(planner, kept, next);
}

static void
is_back(CrdPlanner *planner, const CrdKeptStatement *kept, const char *next)
{
	if (next)
		crd_plan_add(planner, CRD_FINISH, CRD_RUN_IN_LEDGER, CRD_CONNECTIONS, RowExclusiveLock,
					 "the rest of it comes later",
					 "UPDATE connections_redesign.kept_ddl SET statement = %s, name = NULL WHERE step = %d AND seq = %d",
					 quote_literal_cstr(next), planner->step, kept->seq);
	else
		crd_plan_add(planner, CRD_FINISH, CRD_RUN_IN_LEDGER, CRD_CONNECTIONS, RowExclusiveLock,
					 "it is back",
					 "DELETE FROM connections_redesign.kept_ddl WHERE step = %d AND seq = %d",
					 planner->step, kept->seq);
}

/*
 * Row versions that the walks left, and statistics of the new columns.  Not
 * without an online run: the atomic mode leaves none.
 */
static void
vacuum(CrdPlanner *planner)
{
	crd_plan_add(planner, CRD_PREPARE, CRD_RUN_IN_WORKER, CRD_CONNECTIONS, ShareUpdateExclusiveLock,
				 "remove what the walks left, and gather statistics",
				 "VACUUM (ANALYZE) connections.connections");
	end_phase(planner, "vacuum");
}

/* Whether what the ledger knows of a walk is of this step, this way. */
static bool
is_begun(const CrdPlanner *planner)
{
	return planner->schema->unfinished_step == planner->step &&
		planner->schema->unfinished_up == planner->up;
}

static bool
is_partitioned(const CrdPlanner *planner)
{
	return planner->schema->relation[CRD_CONNECTIONS].kind == RELKIND_PARTITIONED_TABLE;
}
