/*-------------------------------------------------------------------------
 *
 * dependents.c
 *	  What depends on a column that a step drops, as pg_depend knows it.
 *
 * Only what is known to be brought back in full counts as kept: indexes,
 * table constraints, the column's default, extended statistics.  All else
 * would be refused by DROP COLUMN, or lost by it, and is refused here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"

#include "dependents.h"
#include "sql.h"

/*
 * The objects that depend on the columns $2 (an int2[]) of the table $1, a row
 * each; kind is NULL for what cannot be kept.  $3 (an oid[]) are the indexes and
 * the foreign key that the steps themselves make and drop.
 */
#define DEPENDENTS \
	"WITH direct AS (" \
	" SELECT d.classid, d.objid, d.objsubid, min(d.refobjsubid) AS attnum," \
	"  bool_or(d.deptype <> 'n') AS automatic" \
	" FROM pg_depend d" \
	" WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid" \
	"  AND d.refobjsubid = ANY ($2::int2[])" \
	" GROUP BY 1, 2, 3), " \
	"kinds AS (" \
	" SELECT d.*, CASE" \
	"  WHEN d.classid = 'pg_class'::regclass AND i.indexrelid IS NOT NULL AND automatic THEN 'index'" \
	"  WHEN d.classid = 'pg_constraint'::regclass AND automatic" \
	"   AND c.conrelid = $1::oid AND c.contype IN ('c', 'f', 'u', 'x')" \
	"   AND NOT (c.contype = 'x' AND EXISTS (SELECT FROM pg_index e WHERE e.indexrelid = c.conindid" \
	"    AND (e.indpred IS NOT NULL OR e.indexprs IS NOT NULL))) THEN 'constraint'" \
	"  WHEN d.classid = 'pg_constraint'::regclass AND c.contype = 'n' THEN 'not null'" \
	"  WHEN d.classid = 'pg_attrdef'::regclass AND f.adrelid = $1::oid" \
	"   AND f.adnum = ANY ($2::int2[]) AND f.adnum = d.attnum THEN 'default'" \
	"  WHEN d.classid = 'pg_statistic_ext'::regclass THEN 'statistics'" \
	"  END AS kind, c.conindid, r.ev_class" \
	" FROM direct d" \
	" LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid" \
	" LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid" \
	" LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid" \
	" LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN'" \
	" WHERE d.objid <> ALL ($3::oid[])" \
	"  AND coalesce(nullif(c.conindid, 0) <> ALL ($3::oid[]), true)), " \
	"dependents AS (" \
	" SELECT kind, classid, objid, objsubid, conindid, ev_class FROM kinds" \
	" UNION" \
	/* what depends on a constraint or an index that goes */ \
	" SELECT NULL, d.classid, d.objid, d.objsubid, NULL, r.ev_class" \
	" FROM kinds k" \
	" JOIN pg_depend d ON d.deptype = 'n' AND k.kind IN ('index', 'constraint')" \
	"  AND (d.refclassid = k.classid AND d.refobjid = k.objid" \
	"   OR d.refclassid = 'pg_class'::regclass AND d.refobjid = k.conindid)" \
	" LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN'" \
	" WHERE (d.classid, d.objid) NOT IN (SELECT classid, objid FROM kinds WHERE kind IS NOT NULL)) "

/* What an index, alone or under a constraint, has beside its definition */
#define INDEX_PROPERTIES \
	" UNION ALL SELECT o, 2, format('ALTER INDEX %s SET TABLESPACE %I', x.oid::regclass, s.spcname), NULL, NULL, NULL, NULL, x.oid" \
	"  FROM objects JOIN pg_class x ON x.oid = index JOIN pg_tablespace s ON s.oid = x.reltablespace" \
	" UNION ALL SELECT o, 3, format('ALTER INDEX %s SET (%s)', x.oid::regclass, array_to_string(x.reloptions, ', ')), NULL, NULL, NULL, NULL, x.oid" \
	"  FROM objects JOIN pg_class x ON x.oid = index WHERE x.reloptions IS NOT NULL AND kind = 'constraint'" \
	" UNION ALL SELECT o, 4, format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', x.attrelid::regclass, x.attnum, x.attstattarget), NULL, NULL, NULL, NULL, x.attrelid" \
	"  FROM objects JOIN pg_attribute x ON x.attrelid = index WHERE x.attstattarget >= 0" \
	" UNION ALL SELECT o, 5, format('ALTER TABLE %s CLUSTER ON %I', x.indrelid::regclass, n.relname), NULL, NULL, NULL, NULL, x.indexrelid" \
	"  FROM objects JOIN pg_index x ON x.indexrelid = index JOIN pg_class n ON n.oid = index WHERE x.indisclustered" \
	" UNION ALL SELECT o, 6, format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', x.indrelid::regclass, n.relname), NULL, NULL, NULL, NULL, x.indexrelid" \
	"  FROM objects JOIN pg_index x ON x.indexrelid = index JOIN pg_class n ON n.oid = index WHERE x.indisreplident" \
	" UNION ALL SELECT o, 7, format('COMMENT ON INDEX %s IS %L', index::regclass, obj_description(index, 'pg_class')), NULL, NULL, NULL, NULL, index" \
	"  FROM objects WHERE obj_description(index, 'pg_class') IS NOT NULL"

/* name, keys, condition, nulls_distinct of an index that enforces something */
#define INDEX_ENFORCES(index) \
	" CASE WHEN x.indisunique THEN (SELECT relname FROM pg_class WHERE oid = " index ")::text END," \
	" CASE WHEN x.indisunique THEN (SELECT array_agg(pg_get_indexdef(" index ", k, true) ORDER BY k)" \
	"  FROM generate_series(1, x.indnkeyatts) k)::text END," \
	" pg_get_expr(x.indpred, x.indrelid)," \
	" NOT x.indnullsnotdistinct"

/* The statements that bring the dependents back */
#define STATEMENTS \
	"objects AS (" \
	" SELECT kind, objid, coalesce(conindid, objid) AS index," \
	/* a foreign key may refer to a UNIQUE constraint among them */ \
	"  row_number() OVER (ORDER BY kind DESC, classid = 'pg_constraint'::regclass AND objid IN" \
	"   (SELECT oid FROM pg_constraint WHERE contype = 'f'), objid) AS o" \
	" FROM dependents WHERE kind IN ('index', 'constraint', 'statistics')), " \
	"statements(o, n, statement, name, keys, condition, nulls_distinct, tiebreak) AS (" \
	" SELECT o, 1, CASE p.relkind WHEN 'I' THEN regexp_replace(pg_get_indexdef(objid), ' ON ONLY ', ' ON ')" \
	"  ELSE pg_get_indexdef(objid) END," INDEX_ENFORCES("objid") ", objid" \
	"  FROM objects JOIN pg_index x ON x.indexrelid = objid JOIN pg_class p ON p.oid = objid" \
	"  WHERE kind = 'index'" \
	" UNION ALL SELECT o, 1, format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))," \
	"  CASE WHEN c.contype IN ('c', 'u') THEN c.conname END," \
	"  CASE WHEN c.contype = 'u' THEN (SELECT array_agg(pg_get_indexdef(c.conindid, k, true) ORDER BY k)" \
	"   FROM generate_series(1, x.indnkeyatts) k)::text END," \
	"  CASE WHEN c.contype = 'c' THEN pg_get_expr(c.conbin, c.conrelid) END," \
	"  coalesce(NOT x.indnullsnotdistinct, true), objid" \
	"  FROM objects JOIN pg_constraint c ON c.oid = objid LEFT JOIN pg_index x ON x.indexrelid = c.conindid" \
	"  WHERE kind = 'constraint'" \
	" UNION ALL SELECT o, 8, format('COMMENT ON CONSTRAINT %I ON %s IS %L', c.conname, c.conrelid::regclass, obj_description(c.oid, 'pg_constraint')), NULL, NULL, NULL, NULL, objid" \
	"  FROM objects JOIN pg_constraint c ON c.oid = objid WHERE kind = 'constraint' AND obj_description(c.oid, 'pg_constraint') IS NOT NULL" \
	" UNION ALL SELECT o, 1, pg_get_statisticsobjdef(objid), NULL, NULL, NULL, NULL, objid" \
	"  FROM objects WHERE kind = 'statistics'" \
	" UNION ALL SELECT o, 2, format('ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, s.stxname, s.stxstattarget), NULL, NULL, NULL, NULL, objid" \
	"  FROM objects JOIN pg_statistic_ext s ON s.oid = objid JOIN pg_namespace n ON n.oid = s.stxnamespace" \
	"  WHERE kind = 'statistics' AND s.stxstattarget >= 0" \
	" UNION ALL SELECT o, 3, format('COMMENT ON STATISTICS %I.%I IS %L', n.nspname, s.stxname, obj_description(objid, 'pg_statistic_ext')), NULL, NULL, NULL, NULL, objid" \
	"  FROM objects JOIN pg_statistic_ext s ON s.oid = objid JOIN pg_namespace n ON n.oid = s.stxnamespace" \
	"  WHERE kind = 'statistics' AND obj_description(objid, 'pg_statistic_ext') IS NOT NULL" \
	INDEX_PROPERTIES ") " \
	"SELECT statement, name, keys, condition, nulls_distinct FROM statements"

/*
 * What the columns themselves have beside type and NOT NULL.  attoptions may
 * hold entries of the server's own, which cannot be set: only the documented
 * ones are kept.
 */
#define COLUMN_STATEMENTS \
	"WITH c AS (" \
	" SELECT a.*, a.attrelid::regclass AS rel FROM pg_attribute a" \
	" WHERE a.attrelid = $1::oid AND a.attnum = ANY ($2::int2[]) AND a.attnum > 0) " \
	"SELECT statement FROM (" \
	" SELECT attnum, 1 AS n, format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', rel, attname, pg_get_expr(d.adbin, d.adrelid)) AS statement" \
	"  FROM c JOIN pg_attrdef d ON d.adrelid = c.attrelid AND d.adnum = c.attnum" \
	" UNION ALL SELECT attnum, 2, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', rel, attname, attstattarget)" \
	"  FROM c WHERE attstattarget >= 0" \
	" UNION ALL SELECT attnum, 3, format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE %s', rel, attname," \
	"   CASE attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END)" \
	"  FROM c JOIN pg_type t ON t.oid = c.atttypid WHERE attstorage <> t.typstorage" \
	" UNION ALL SELECT attnum, 4, format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION %s', rel, attname," \
	"   CASE attcompression WHEN 'p' THEN 'pglz' ELSE 'lz4' END)" \
	"  FROM c WHERE attcompression <> ''" \
	" UNION ALL SELECT attnum, 5, format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', rel, attname, string_agg(o, ', '))" \
	"  FROM c CROSS JOIN unnest(attoptions) o WHERE split_part(o, '=', 1) IN ('n_distinct', 'n_distinct_inherited')" \
	"  GROUP BY attnum, rel, attname" \
	" UNION ALL SELECT attnum, 6, format('COMMENT ON COLUMN %s.%I IS %L', rel, attname, col_description(attrelid, attnum))" \
	"  FROM c WHERE col_description(attrelid, attnum) IS NOT NULL" \
	" UNION ALL SELECT attnum, 7, format('SECURITY LABEL FOR %I ON COLUMN %s.%I IS %L', s.provider, rel, attname, s.label)" \
	"  FROM c JOIN pg_seclabel s ON s.classoid = 'pg_class'::regclass AND s.objoid = c.attrelid AND s.objsubid = c.attnum" \
	" UNION ALL SELECT attnum, 8, format('GRANT %s (%I) ON TABLE %s TO %s%s', g.privilege_type, attname, rel," \
	"   CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END," \
	"   CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)" \
	"  FROM c CROSS JOIN aclexplode(c.attacl) g) s " \
	"ORDER BY attnum, n, statement"

static List *partition_dependents(const CrdSchema *schema, CrdColumnId id);
static List *refused(const CrdRows *rows);
static CrdRows *fetch(const CrdSchema *schema, const CrdColumnId *columns,
					  int ncolumns, const char *query);
static List *append_statements(List *list, const CrdRows *rows);
static char *column_numbers(const CrdSchema *schema,
							const CrdColumnId *columns, int ncolumns);

List *
crd_dependents(const CrdSchema *schema, CrdColumnId id)
{
	List	   *result = NIL;
	CrdRows    *rows;

	rows = fetch(schema, &id, 1,
				 DEPENDENTS
				 "SELECT DISTINCT kind IS NOT NULL,"
				 " CASE WHEN d.classid = 'pg_constraint'::regclass AND kind IS NULL AND c.contype = 'f'"
				 "  THEN format('foreign key %I of table %s', c.conname, c.conrelid::regclass)"
				 " WHEN d.classid = 'pg_constraint'::regclass AND kind IS NULL AND c.contype = 'p'"
				 "  THEN format('primary key of table %s', c.conrelid::regclass)"
				 " ELSE (SELECT o.type || ' ' || o.identity FROM pg_identify_object("
				 "  CASE WHEN ev_class IS NULL THEN d.classid ELSE 'pg_class'::regclass END,"
				 "  coalesce(ev_class, d.objid),"
				 "  CASE WHEN ev_class IS NULL THEN d.objsubid ELSE 0 END) o) END"
				 " FROM dependents d"
				 " LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid"
				 " WHERE kind IS NULL OR kind NOT IN ('not null', 'default')"
				 " ORDER BY 1, 2");
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdDependent *dependent = palloc(sizeof(CrdDependent));

		dependent->kept = crd_is_true(rows->row[i][0]);
		dependent->what = rows->row[i][1];
		result = lappend(result, dependent);
	}
	return schema->relation[schema->column[id].table].kind == RELKIND_PARTITIONED_TABLE ?
		list_concat(result, partition_dependents(schema, id)) : result;
}

/*
 * What depends on the column of a partition and has no counterpart on the
 * partitioned table: it would not come back with the column.
 */
static List *
partition_dependents(const CrdSchema *schema, CrdColumnId id)
{
	CrdRows    *rows;

	rows = crd_fetch(CRD_CALLER,
					 "SELECT DISTINCT o.type || ' ' || o.identity"
					 " FROM pg_partition_tree($1::oid) t"
					 " JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = $2 AND NOT a.attisdropped"
					 " JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass"
					 "  AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum"
					 " LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid"
					 " LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN'"
					 " CROSS JOIN LATERAL pg_identify_object("
					 "  CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END,"
					 "  coalesce(r.ev_class, d.objid),"
					 "  CASE WHEN r.oid IS NULL THEN d.objsubid ELSE 0 END) o"
					 " WHERE t.level > 0 AND d.classid <> 'pg_attrdef'::regclass"
					 " AND NOT EXISTS (SELECT FROM pg_inherits i WHERE d.classid = 'pg_class'::regclass AND i.inhrelid = d.objid)"
					 " AND coalesce(c.contype <> 'n' AND c.conparentid = 0 AND c.coninhcount = 0, true)"
					 " AND NOT EXISTS (SELECT FROM pg_trigger g WHERE d.classid = 'pg_trigger'::regclass AND g.oid = d.objid AND g.tgparentid <> 0)"
					 " ORDER BY 1", 2,
					 psprintf("%u", schema->relation[schema->column[id].table].relid),
					 schema->column[id].name);
	return refused(rows);
}

List *
crd_row_type_users(const CrdSchema *schema, CrdTable table)
{
	CrdRows    *rows;

	rows = crd_fetch(CRD_CALLER,
					 "WITH RECURSIVE types(oid) AS ("
					 " SELECT reltype FROM pg_class WHERE oid = $1::oid AND reltype <> 0"
					 " UNION SELECT u.oid FROM types b CROSS JOIN LATERAL ("
					 "  SELECT t.oid FROM pg_type t WHERE t.typbasetype = b.oid"
					 "   OR t.typelem = b.oid AND t.typsubscript = 'array_subscript_handler'::regproc"
					 "  UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngsubtype = b.oid"
					 "  UNION ALL SELECT c.reltype FROM pg_attribute a"
					 "   JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'c'"
					 "   WHERE a.atttypid = b.oid AND NOT a.attisdropped) u) "
					 "SELECT format('column %s.%I', c.oid::regclass, a.attname)"
					 " FROM types b JOIN pg_attribute a ON a.atttypid = b.oid AND NOT a.attisdropped"
					 " JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm', 'f')"
					 " UNION SELECT CASE r.rulename WHEN '_RETURN' THEN 'view ' || r.ev_class::regclass"
					 "  ELSE format('rule %I on %s', r.rulename, r.ev_class::regclass) END"
					 " FROM types b JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = b.oid"
					 " JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid"
					 " ORDER BY 1", 1,
					 psprintf("%u", schema->relation[table].relid));
	return refused(rows);
}

List *
crd_foreign_keys(const CrdSchema *schema, CrdColumnId id)
{
	CrdRows    *rows;

	rows = crd_fetch(CRD_CALLER,
					 "SELECT format('foreign key %I of table %s', conname, conrelid::regclass)"
					 " FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"
					 " AND (conrelid = $1::oid AND $2::int2 = ANY (conkey)"
					 "  OR confrelid = $1::oid AND $2::int2 = ANY (confkey)) ORDER BY 1", 2,
					 psprintf("%u", schema->relation[schema->column[id].table].relid),
					 psprintf("%d", schema->column[id].attnum));
	return refused(rows);
}

List *
crd_kept_statements(const CrdSchema *schema, const CrdColumnId *columns,
					int ncolumns)
{
	List	   *result = NIL;
	CrdRows    *rows;

	rows = crd_fetch(CRD_CALLER, COLUMN_STATEMENTS, 2,
					 psprintf("%u", schema->relation[schema->column[columns[0]].table].relid),
					 column_numbers(schema, columns, ncolumns));
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdKeptStatement *kept = palloc0(sizeof(CrdKeptStatement));

		kept->statement = rows->row[i][0];
		result = lappend(result, kept);
	}
	rows = fetch(schema, columns, ncolumns,
				 DEPENDENTS "," STATEMENTS " ORDER BY o, n, tiebreak, statement");
	return append_statements(result, rows);
}

/* Whether a constraint is to be validated when it is brought back. */
static bool
is_validated(const CrdKeptStatement *kept)
{
	static const char not_valid[] = " NOT VALID";
	size_t		length = strlen(kept->statement);

	return length < strlen(not_valid) ||
		strcmp(kept->statement + length - strlen(not_valid), not_valid) != 0;
}

bool
crd_checks_rows(const CrdKeptStatement *kept)
{
	return kept->constraint && is_validated(kept);
}

/* What follows a prefix, or NULL where the string does not begin with it. */
static const char *
after(const char *string, const char *prefix)
{
	size_t		length = strlen(prefix);

	return strncmp(string, prefix, length) == 0 ? string + length : NULL;
}

/* The identifier that a string begins with, as it is spelt. */
static char *
identifier(const char *string)
{
	const char *end = string;

	if (*end == '"')
		for (end++; end[0] != '"' || end[1] == '"'; end++)
			end += end[0] == '"';
	return pnstrdup(string, strcspn(end, " ") + (end - string));
}

/*
 * The server deparsed these statements, so their form is known; what is not
 * recognised is run as it is.  Indexes of a partitioned table cannot be built
 * CONCURRENTLY, nor can its foreign keys be NOT VALID before 18.
 */
CrdRestoring
crd_restoring(const CrdKeptStatement *kept, bool partitioned)
{
	static const char alter[] = "ALTER TABLE connections.connections ";
	CrdRestoring result = {0};
	const char *rest;

	result.first = kept->statement;
	result.of_column = after(kept->statement, "GRANT ") ||
		after(kept->statement, "COMMENT ON COLUMN ") ||
		after(kept->statement, "SECURITY LABEL ") ||
		((rest = after(kept->statement, alter)) && after(rest, "ALTER COLUMN "));

	if (!partitioned &&
		((rest = after(kept->statement, "CREATE INDEX ")) ||
		 (rest = after(kept->statement, "CREATE UNIQUE INDEX "))))
	{
		result.index = psprintf("connections.%s", identifier(rest));
		result.first = psprintf("%sCONCURRENTLY %s",
								pnstrdup(kept->statement, rest - kept->statement), rest);
	}
	else if ((rest = after(kept->statement, alter)) &&
			 (rest = after(rest, "ADD CONSTRAINT ")))
	{
		const char *name = identifier(rest);
		const char *definition = rest + strlen(name) + 1;
		const char *unique = after(definition, "UNIQUE ");
		const char *columns = unique ? after(unique, "NULLS NOT DISTINCT ") : NULL;

		if (columns == NULL)
			columns = unique;

		if (is_validated(kept) &&
			(after(definition, "CHECK ") ||
			 (after(definition, "FOREIGN KEY ") && !partitioned)))
		{
			result.first = psprintf("%s NOT VALID", kept->statement);
			result.second = psprintf("%sVALIDATE CONSTRAINT %s", alter, name);
			result.second_scans = true;
		}
		else if (columns && columns[0] == '(' && !partitioned &&
				 strstr(columns, "WITHOUT OVERLAPS") == NULL)
		{
			const char *end = strrchr(columns, ')') + 1;

			result.index = psprintf("connections.%s", name);
			result.first = psprintf("CREATE UNIQUE INDEX CONCURRENTLY %s ON connections.connections %s%s",
									name, pnstrdup(columns, end - columns),
									columns == unique ? "" : " NULLS NOT DISTINCT");
			result.second = psprintf("%sADD CONSTRAINT %s UNIQUE USING INDEX %s%s",
									 alter, name, name, end);
		}
	}
	return result;
}

List *
crd_enforced(const CrdSchema *schema, CrdColumnId id)
{
	return append_statements(NIL,
							 fetch(schema, &id, 1,
								   DEPENDENTS "," STATEMENTS " WHERE name IS NOT NULL ORDER BY name"));
}

/* The first column of the rows as a list of what cannot be kept. */
static List *
refused(const CrdRows *rows)
{
	List	   *result = NIL;

	for (int i = 0; i < rows->nrows; i++)
	{
		CrdDependent *dependent = palloc0(sizeof(CrdDependent));

		dependent->what = rows->row[i][0];
		result = lappend(result, dependent);
	}
	return result;
}

/* Run one of the queries above over the columns, all of one table. */
static CrdRows *
fetch(const CrdSchema *schema, const CrdColumnId *columns, int ncolumns,
	  const char *query)
{
	bool		enforced = schema->highest_whole >= 3;

	return crd_fetch(CRD_CALLER, query, 3,
					 psprintf("%u", schema->relation[schema->column[columns[0]].table].relid),
					 column_numbers(schema, columns, ncolumns),
					 psprintf("{%u,%u,%u}", schema->slug_index,
							  enforced ? schema->own_fk_index : InvalidOid,
							  enforced ? schema->catalog_fk : InvalidOid));
}

static List *
append_statements(List *list, const CrdRows *rows)
{
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdKeptStatement *kept = palloc(sizeof(CrdKeptStatement));

		kept->statement = rows->row[i][0];
		kept->constraint = rows->row[i][1];
		kept->keys = rows->row[i][2];
		kept->condition = rows->row[i][3];
		kept->nulls_distinct = !rows->row[i][4] || crd_is_true(rows->row[i][4]);
		list = lappend(list, kept);
	}
	return list;
}

/* The columns' numbers as an int2[]. */
static char *
column_numbers(const CrdSchema *schema, const CrdColumnId *columns,
			   int ncolumns)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < ncolumns; i++)
		appendStringInfo(&buf, "%c%d", i == 0 ? '{' : ',',
						 schema->column[columns[i]].attnum);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}
