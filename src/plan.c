/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  The four steps, up and down, as lists of actions.
 *
 * Each step adds its actions to parts, and for each table the parts of all
 * steps of a plan run one after the other: what is kept for the way back; what
 * prepares the rewrite; one ALTER TABLE; what needs the new rows.  So steps
 * that meet in one plan share one rewrite, and each row is written once.
 *
 * Values come by ALTER COLUMN ... TYPE ... USING, in the rewrite, never by an
 * UPDATE of every row: that would fire triggers, move updated_at, double the
 * table, and with a deferred trigger make the next ALTER TABLE fail.  USING
 * sees the row as it was, so the same ALTER TABLE can drop what it reads.  The
 * few rows whose label or config must change on the way back are updated as
 * replication would do it: ALTER COLUMN TYPE on a column that stays is refused
 * where a view or a trigger uses it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "plan.h"
#include "planner.h"
#include "report.h"
#include "sql.h"

static void step1_up(CrdPlanner *planner);
static void step1_down(CrdPlanner *planner);
static void step2_up(CrdPlanner *planner);
static void step2_down(CrdPlanner *planner);
static void step3_up(CrdPlanner *planner);
static void step3_down(CrdPlanner *planner);
static void step4_up(CrdPlanner *planner);
static void step4_down(CrdPlanner *planner);

/* A fifth step is one more row here, and its facts in schema.c. */
const CrdStep crd_steps[CRD_LAST_STEP + 1] = {
	[1] = {"add_available_connection_slug_and_auth_type",
	step1_up, step1_down, crd_step1_up_online, crd_step1_down_online},
	[2] = {"add_connection_available_connection_id",
	step2_up, step2_down, crd_step2_up_online, crd_step2_down_online},
	[3] = {"enforce_connection_available_connection_id_fk",
	step3_up, step3_down, crd_step3_up_online, crd_step3_down_online},
	[4] = {"drop_connection_provider_type_rename_name_to_label",
	step4_up, step4_down, crd_step4_up_online, crd_step4_down_online},
};

/* As the documentation spells them */
static const char *const lock_names[] = {
	[NoLock] = NULL,
	[AccessShareLock] = "ACCESS SHARE",
	[RowShareLock] = "ROW SHARE",
	[RowExclusiveLock] = "ROW EXCLUSIVE",
	[ShareUpdateExclusiveLock] = "SHARE UPDATE EXCLUSIVE",
	[ShareLock] = "SHARE",
	[ShareRowExclusiveLock] = "SHARE ROW EXCLUSIVE",
	[ExclusiveLock] = "EXCLUSIVE",
	[AccessExclusiveLock] = "ACCESS EXCLUSIVE",
};

PG_FUNCTION_INFO_V1(connections_plan);

static void fill(CrdPlanner *planner, CrdTable table, const char *column,
				 const char *type, const char *value);
static void replay(CrdPlanner *planner, CrdTable table);
static const char *new_type(CrdPlanner *planner, const char *column);
static bool analyze_new_columns(CrdPlanner *planner);


/* The plan */

CrdPlan *
crd_plan(CrdFindings *findings)
{
	CrdPlanner	planner;
	int			from = findings->schema->version;
	int			to = findings->target;
	int			last = 0;

	crd_planner_init(&planner, findings, false);
	for (planner.step = from + 1; planner.step <= to; planner.step++)
	{
		crd_steps[planner.step].up(&planner);
		last = planner.step;
	}
	for (planner.step = from; planner.step > to; planner.step--)
	{
		crd_steps[planner.step].down(&planner);
		last = Max(last, planner.step);
	}

	planner.step = last;
	if (planner.plan->rewrites)
		crd_plan_add(&planner, CRD_FINISH, CRD_RUN, CRD_CONNECTIONS,
					 ShareUpdateExclusiveLock, "new statistics for the planner",
					 "ANALYZE connections.connections%s",
					 analyze_new_columns(&planner) ?
					 psprintf(" (%s)", planner.filled.data) : "");
	planner.plan->actions = crd_plan_collect(&planner, from < to);
	planner.plan->warnings = crd_plan_warnings(findings);

	/* the validation of the foreign key reads both tables */
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
	{
		const CrdRelation *rel = &planner.schema->relation[table];

		if (rel->row_security_binds || rel->row_security_lifted)
			planner.plan->actions =
				lappend(planner.plan->actions,
						crd_plan_action(last, CRD_RUN, table, AccessExclusiveLock,
										"put FORCE ROW LEVEL SECURITY back",
										psprintf("ALTER TABLE %s FORCE ROW LEVEL SECURITY",
												 rel->name)));
	}
	return planner.plan;
}

List *
crd_plan_preface(const CrdSchema *schema, int target)
{
	List	   *actions = NIL;
	int			step = target > schema->version ? schema->version + 1 : schema->version;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		actions = lappend(actions,
						  crd_plan_action(step, CRD_RUN, table, AccessExclusiveLock,
										  "keep everybody else out until the end",
										  psprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE",
												   schema->relation[table].name)));
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (schema->relation[table].row_security_binds)
			actions = lappend(actions,
							  crd_plan_action(step, CRD_RUN, table, AccessExclusiveLock,
											  "let the owner see every row",
											  psprintf("ALTER TABLE %s NO FORCE ROW LEVEL SECURITY",
													   schema->relation[table].name)));
	return actions;
}


/*
 * Step 1: the catalog gets slug (from name), display_name and auth_type, and
 * loses name.
 */
static void
step1_up(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	StringInfoData auth_type;
	StringInfoData display_name;

	planner->plan->rows[1] = schema->nrows;
	crd_plan_keep_columns(planner, true);
	crd_plan_forget(planner, CRD_KEEP, "kept_catalog", planner->keepsake->rows != NIL);

	crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CATALOG, AccessExclusiveLock,
				 "add the new columns, without values yet",
				 "ALTER TABLE connections.available_connections"
				 " ADD COLUMN slug %s, ADD COLUMN display_name %s, ADD COLUMN auth_type %s",
				 new_type(planner, "slug"), new_type(planner, "display_name"),
				 new_type(planner, "auth_type"));

	initStringInfo(&auth_type);
	initStringInfo(&display_name);
	for (int i = 0; i < schema->nrows; i++)
	{
		const CrdCatalogRow *row = &schema->rows[i];
		const CrdKeptRow *kept = crd_kept_row(planner->keepsake, row);
		const char *id = crd_id_literals(schema)[i];

		appendStringInfo(&auth_type, " WHEN %s THEN %s", id,
						 crd_literal(kept ? kept->auth_type :
									 row->known ? row->known->auth_type : NULL));
		if (kept)
			appendStringInfo(&display_name, " WHEN %s THEN %s", id,
							 crd_literal(kept->display_name));
	}
	fill(planner, CRD_CATALOG, "slug", crd_plan_kept_type(planner, "slug"),
		 "name::text");
	if (display_name.len)
		fill(planner, CRD_CATALOG, "display_name",
			 crd_plan_kept_type(planner, "display_name"),
			 psprintf("CASE id%s END", display_name.data));
	else
		fill(planner, CRD_CATALOG, "display_name",
			 crd_plan_kept_type(planner, "display_name"), "NULL");
	fill(planner, CRD_CATALOG, "auth_type",
		 crd_plan_kept_type(planner, "auth_type"),
		 psprintf("CASE id%s END", auth_type.data));
	crd_plan_set_not_null(planner, CRD_CATALOG, "slug", "slug");
	crd_plan_set_not_null(planner, CRD_CATALOG, "auth_type", "auth_type");
	if (planner->keepsake->columns[1] && crd_plan_kept_not_null(planner, "display_name"))
		crd_plan_set_not_null(planner, CRD_CATALOG, "display_name", "display_name");
	crd_plan_alter(planner, CRD_CATALOG, "drop name", "DROP COLUMN name");
	crd_plan_add(planner, CRD_FINISH, CRD_RUN, CRD_CATALOG, AccessExclusiveLock,
				 "slug identifies an entry",
				 "ALTER TABLE connections.available_connections ADD UNIQUE (slug)");
	replay(planner, CRD_CATALOG);
}

static void
step1_down(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	StringInfoData rows;

	planner->plan->rows[1] = schema->nrows;
	crd_plan_keep_columns(planner, false);
	crd_plan_forget(planner, CRD_KEEP, "kept_catalog", planner->keepsake->rows != NIL);
	initStringInfo(&rows);
	for (int i = 0; i < schema->nrows; i++)
		appendStringInfo(&rows, "%s(%s, %s, %s, %s)", i ? ", " : "",
						 crd_literal(schema->rows[i].id),
						 crd_literal(schema->rows[i].slug),
						 crd_literal(schema->rows[i].display_name),
						 crd_literal(schema->rows[i].auth_type));
	if (rows.len)
		crd_plan_add(planner, CRD_KEEP, CRD_RUN_IN_LEDGER, CRD_CATALOG, RowExclusiveLock,
					 "keep the entries for when step 1 is applied again",
					 "INSERT INTO connections_redesign.kept_catalog (id, slug, display_name, auth_type) VALUES %s",
					 rows.data);

	crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CATALOG, AccessExclusiveLock,
				 "bring name back, without values yet",
				 "ALTER TABLE connections.available_connections ADD COLUMN name %s",
				 new_type(planner, "name"));
	fill(planner, CRD_CATALOG, "name", crd_plan_kept_type(planner, "name"),
		 "slug::text");
	if (crd_plan_kept_not_null(planner, "name"))
		crd_plan_set_not_null(planner, CRD_CATALOG, "name", "name");
	crd_plan_alter(planner, CRD_CATALOG, "drop slug, display_name and auth_type",
				   "DROP COLUMN slug, DROP COLUMN display_name, DROP COLUMN auth_type");
	if (planner->keepsake->columns[1] == NIL)
		crd_plan_add(planner, CRD_FINISH, CRD_RUN, CRD_CATALOG, AccessExclusiveLock,
					 "name identifies an entry",
					 "ALTER TABLE connections.available_connections ADD UNIQUE (name)");
	replay(planner, CRD_CATALOG);
}

/*
 * Step 2: connections gets available_connection_id, filled by the mapping, and
 * the bridge that keeps it right until step 4.
 */
static void
step2_up(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	const char *type = schema->column[CRD_CATALOG_ID].type;

	planner->plan->rows[2] = crd_findings_census(planner->findings)->total;
	crd_plan_forget(planner, CRD_KEEP, "kept_ddl", planner->keepsake->has_ddl[2]);
	crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
				 "add the new column, without values yet",
				 "ALTER TABLE connections.connections ADD COLUMN available_connection_id text");
	fill(planner, CRD_CONNECTIONS, "available_connection_id", type,
		 crd_mapping_expr(schema, crd_id_literals(schema)));
	if (planner->findings->target < 4)
		crd_plan_create_bridge(planner);
	replay(planner, CRD_CONNECTIONS);
}

static void
step2_down(CrdPlanner *planner)
{
	crd_plan_keep_columns(planner, false);
	crd_plan_drop_trigger(planner, planner->schema->has_bridge, CRD_BRIDGE_TRIGGER,
						  "the bridge has nothing to fill any more");
	crd_plan_alter(planner, CRD_CONNECTIONS, "drop available_connection_id",
				   "DROP COLUMN available_connection_id");
}

/*
 * Step 3: available_connection_id becomes NOT NULL, a foreign key ON DELETE
 * RESTRICT, and indexed.  An index that is already there serves, and stays when
 * the step is undone; kept_ddl has its name, as a marker only.
 */
static void
step3_up(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;

	planner->plan->rows[3] = crd_findings_census(planner->findings)->total;
	crd_plan_keep_index(planner);
	crd_plan_alter(planner, CRD_CONNECTIONS, "available_connection_id is required",
				   "ALTER COLUMN available_connection_id SET NOT NULL");
	crd_plan_add(planner, CRD_FINISH, CRD_RUN, CRD_CONNECTIONS, ShareRowExclusiveLock,
				 "every connection is of an available kind, and no kind in use can be deleted",
				 "ALTER TABLE connections.connections ADD FOREIGN KEY (available_connection_id)"
				 " REFERENCES connections.available_connections (id) ON DELETE RESTRICT");
	if (!schema->has_fk_index)
		crd_plan_add(planner, CRD_FINISH, CRD_RUN, CRD_CONNECTIONS, ShareLock,
					 "find the connections of a kind",
					 "CREATE INDEX ON connections.connections (available_connection_id)");
	/* others who applied step 2 had no bridge; NOT NULL makes it necessary */
	if (schema->version == 2 && !schema->has_bridge && planner->findings->target < 4)
		crd_plan_create_bridge(planner);
}

static void
step3_down(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	Oid			index = schema->own_fk_index;

	crd_plan_forget(planner, CRD_KEEP, "kept_ddl", planner->keepsake->has_ddl[3]);
	if (OidIsValid(schema->catalog_fk))
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
					 "drop the foreign key",
					 "ALTER TABLE connections.connections DROP CONSTRAINT %s",
					 quote_identifier(schema->catalog_fk_name));
	if (OidIsValid(index) && planner->keepsake->statements[3] == NIL)
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
					 "drop the index", "DROP INDEX %s", crd_qualified_name(index));
	if (planner->online || planner->findings->target >= 2)
		crd_plan_alter(planner, CRD_CONNECTIONS, "available_connection_id may be NULL",
					   "ALTER COLUMN available_connection_id DROP NOT NULL");
}

/*
 * Step 4: connections loses provider and type, and name becomes the nullable
 * label.
 */
static void
step4_up(CrdPlanner *planner)
{
	const CrdSchema *schema = planner->schema;
	bool		has_id = crd_ids_filled(schema);
	List	   *dictionary = crd_findings_dictionary(planner->findings);
	const char **types = crd_type_literals(schema, dictionary);
	const char **ids = crd_id_literals(schema);
	bool		exceptions = false;
	ListCell   *lc;

	foreach(lc, dictionary)
	{
		CrdKeptType *kept = lfirst(lc);

		planner->plan->rows[4] += kept->count;
		exceptions |= kept->exceptions;
	}

	crd_plan_keep_columns(planner, true);
	crd_plan_keep_dictionary(planner);
	if (exceptions)
		crd_plan_add(planner, CRD_KEEP, CRD_KEEP_EXCEPTIONS, CRD_CONNECTIONS, AccessShareLock,
					 "keep the type of the other connections",
					 "SELECT %s, (%s)::text, type::text FROM connections.connections"
					 " WHERE type::text COLLATE \"C\" IS DISTINCT FROM (%s)",
					 schema->key,
					 has_id ? "available_connection_id" : crd_mapping_expr(schema, ids),
					 has_id ? crd_by_id_expr(schema, types) : crd_mapping_expr(schema, types));
	if (exceptions)
		crd_plan_keep_key(planner);

	crd_plan_drop_trigger(planner, schema->has_bridge, CRD_BRIDGE_TRIGGER,
						  "the bridge has nothing to read any more");
	if (schema->column[CRD_NAME].not_null)
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
					 "label may be NULL",
					 "ALTER TABLE connections.connections ALTER COLUMN name DROP NOT NULL");
	crd_plan_drop_own_not_null(planner, CRD_PREPARE);
	crd_plan_alter(planner, CRD_CONNECTIONS, "drop provider and type",
				   "DROP COLUMN provider, DROP COLUMN type");
	crd_plan_add(planner, CRD_FINISH, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
				 "name becomes label",
				 "ALTER TABLE connections.connections RENAME COLUMN name TO label");

	/* last, as a subscriber has this shape only before or after the step */
	crd_finish_step4_up(planner);
}

static void
step4_down(CrdPlanner *planner)
{
	CrdWayBack *way = crd_findings_way_back(planner->findings);
	CrdWayBackCounts *counts = crd_findings_way_back_counts(planner->findings);
	const CrdKeepsake *keepsake = planner->keepsake;

	planner->plan->rows[4] = counts->total;
	crd_plan_forget(planner, CRD_KEEP, "kept_null_label", keepsake->has_null_labels);
	if (counts->null_labels > 0)
		crd_plan_add(planner, CRD_KEEP, CRD_KEEP_NULL_LABELS, CRD_CONNECTIONS, AccessShareLock,
					 "remember which labels are NULL, for when step 4 is applied again",
					 "SELECT %s FROM connections.connections WHERE label IS NULL",
					 planner->schema->key);
	if (counts->null_labels > 0)
		crd_plan_keep_key(planner);
	if (counts->null_labels > 0 || counts->config_changes > 0)
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN_AS_REPLICA, CRD_CONNECTIONS, RowExclusiveLock,
					 "NULL labels become empty names, and config tells the capability",
					 "UPDATE connections.connections SET label = %s, config = %s"
					 " WHERE %s OR %s",
					 way->label, way->config, way->label_changes, way->config_changes);
	crd_plan_add(planner, CRD_PREPARE, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
				 "bring provider and type back, without values yet",
				 "ALTER TABLE connections.connections ADD COLUMN provider text, ADD COLUMN type text");
	fill(planner, CRD_CONNECTIONS, "provider",
		 crd_plan_kept_type(planner, "provider"), way->provider);
	fill(planner, CRD_CONNECTIONS, "type",
		 crd_plan_kept_type(planner, "type"), way->type);
	if (crd_plan_kept_not_null(planner, "provider"))
		crd_plan_set_not_null(planner, CRD_CONNECTIONS, "provider", "provider");
	if (crd_plan_kept_not_null(planner, "type"))
		crd_plan_set_not_null(planner, CRD_CONNECTIONS, "type", "type");
	if (crd_plan_kept_not_null(planner, "name"))
		crd_plan_set_not_null(planner, CRD_CONNECTIONS, "name", "label");
	crd_plan_add(planner, CRD_FINISH, CRD_RUN, CRD_CONNECTIONS, AccessExclusiveLock,
				 "label becomes name",
				 "ALTER TABLE connections.connections RENAME COLUMN label TO name");
	replay(planner, CRD_CONNECTIONS);
	if (planner->findings->target >= 2)
		crd_plan_create_bridge(planner);
	crd_plan_forget(planner, CRD_FINISH, "kept_ddl", keepsake->has_ddl[4]);
	crd_plan_forget_types(planner, CRD_FINISH);
}

List *
crd_plan_warnings(const CrdFindings *findings)
{
	const CrdWayBackCounts *counts = findings->way_back_counts;
	List	   *warnings = NIL;

	for (int step = 1; step <= CRD_LAST_STEP; step++)
	{
		ListCell   *lc;

		if (!crd_findings_cross(findings, step))
			continue;
		foreach(lc, findings->keepsake->lost[step])
			warnings = lappend(warnings,
							   psprintf("what went with a column did not come back: %s",
										(char *) lfirst(lc)));
	}
	if (counts == NULL)
		return warnings;
	if (counts->config_changes > 0)
		warnings =
			lappend(warnings,
					psprintf("config of %s was given the capability of the available connection",
							 crd_count_text(counts->config_changes, "connection")));
	if (counts->type_unknown > 0)
		warnings =
			lappend(warnings,
					psprintf("type of %s is not known from before: it was set to the auth_type of the available connection",
							 crd_count_text(counts->type_unknown, "connection")));
	return warnings;
}


/* What the steps need */

/*
 * Give a new column its type and, in the rewrite, its values.  Online nothing is
 * rewritten, which is not MVCC-safe: the few rows of the catalog are updated.
 */
static void
fill(CrdPlanner *planner, CrdTable table, const char *column,
	 const char *type, const char *value)
{
	if (planner->online)
	{
		crd_plan_add(planner, CRD_PREPARE, CRD_RUN_AS_REPLICA, table, RowExclusiveLock,
					 psprintf("fill %s", column), "UPDATE %s SET %s = (%s)::%s",
					 planner->schema->relation[table].name, column, value, type);
		return;
	}
	crd_plan_alter(planner, table, psprintf("fill %s", column),
				   "ALTER COLUMN %s TYPE %s USING ((%s)::%s)", column, type, value, type);
	if (table == CRD_CONNECTIONS)
	{
		planner->plan->rewrites = true;
		appendStringInfo(&planner->filled, "%s%s", planner->filled.len ? ", " : "",
						 column);
	}
}

/*
 * The type to add a column with: a rewrite changes it when it gives the values,
 * so that one that has to be filled can be a domain that is NOT NULL.
 */
static const char *
new_type(CrdPlanner *planner, const char *column)
{
	return planner->online ? crd_plan_kept_type(planner, column) : "text";
}

/*
 * Whether it is enough to analyze the new columns: the statistics of the others
 * survive a rewrite.  Those of expressions, in an index that is made again or
 * in an extended statistics object, come with the whole table only.
 */
static bool
analyze_new_columns(CrdPlanner *planner)
{
	for (int step = 2; step <= CRD_LAST_STEP; step++)
	{
		ListCell   *lc;

		foreach(lc, planner->keepsake->statements[step])
		{
			const char *statement = ((CrdKeptStatement *) lfirst(lc))->statement;
			const char *paren = strchr(statement, '(');

			/* an index on columns alone has one parenthesis */
			if (strncmp(statement, "CREATE STATISTICS ", strlen("CREATE STATISTICS ")) == 0 ||
				(strncmp(statement, "CREATE ", strlen("CREATE ")) == 0 &&
				 paren && strchr(paren + 1, '(')))
				return false;
		}
	}
	return !planner->schema->has_extended_statistics;
}

/* Run again what was kept when the columns were dropped. */
static void
replay(CrdPlanner *planner, CrdTable table)
{
	ListCell   *lc;

	foreach(lc, planner->keepsake->statements[planner->step])
		crd_plan_restore(planner, CRD_FINISH, table, AccessExclusiveLock, lfirst(lc),
						 ((CrdKeptStatement *) lfirst(lc))->statement);
}

static void
print_action(CrdSet *set, int step, int *seq, const char *statement,
			 const char *lock_mode, const char *purpose)
{
	const char *values[] = {
		psprintf("%d", step), psprintf("%d", ++*seq), statement, lock_mode, purpose
	};

	crd_set_put(set, values);
}

static void
print_actions(CrdSet *set, const List *actions, int *seq)
{
	ListCell   *lc;

	foreach(lc, actions)
	{
		CrdAction  *action = lfirst(lc);

		print_action(set, action->step, seq, action->statement,
					 lock_names[action->lock_mode], action->purpose);
	}
}

/*
 * connections_plan(step, online) prints the plan.
 */
Datum
connections_plan(PG_FUNCTION_ARGS)
{
	int			target = crd_check_step(fcinfo, 0, 0, CRD_LAST_STEP);
	CrdSet	   *set;
	CrdSchema  *schema;
	CrdFindings *findings;
	bool		online;
	ListCell   *lc;
	int			seq = 0;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"online\" must not be null")));
	online = PG_GETARG_BOOL(1);
	set = crd_set_open(fcinfo);
	schema = crd_schema_read();
	findings = crd_findings(schema, target, true);
	findings->online = online;
	crd_checks_enforce(findings, CRD_CHECK_BASE);
	if (schema->version == target && schema->unfinished_step == 0)
		return (Datum) 0;
	crd_checks_enforce(findings, CRD_CHECK_SCHEMA);
	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (schema->relation[table].row_security_binds)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the plan depends on rows that row-level security hides"),
					 errdetail("FORCE ROW LEVEL SECURITY binds the owner of %s.",
							   schema->relation[table].name),
					 errhint("The migration lifts FORCE under its lock, and puts it back; only the preview needs it lifted before.")));
	crd_schema_read_catalog(schema);
	if (online)
	{
		foreach(lc, crd_plan_online(findings)->phases)
		{
			CrdPhase   *phase = lfirst(lc);

			print_actions(set, phase->actions, &seq);
			print_action(set, phase->step, &seq, "COMMIT", NULL,
						 psprintf("end of the phase %s", phase->name));
		}
		return (Datum) 0;
	}
	print_actions(set, crd_plan_preface(schema, target), &seq);
	if (schema->unfinished_step)
	{
		print_actions(set, crd_plan_settle(findings), &seq);
		findings = crd_findings(schema, target, true);
	}
	if (schema->version != target)
		print_actions(set, crd_plan(findings)->actions, &seq);
	return (Datum) 0;
}
