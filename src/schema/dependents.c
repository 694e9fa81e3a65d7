/*-------------------------------------------------------------------------
 *
 * dependents.c
 *	  What depends on a column that a step drops, as pg_depend knows it; and the
 *	  functions that mention one, which it does not know.
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

#include "schema/dependents.h"
#include "base/sql_exec.h"

/*
 * The columns $2 (names) of the table $1 and of its partitions.
 */
#define COLUMNS \
	"WITH tree AS (" \
	" SELECT $1::oid AS relid, NULL::oid AS parent, 0 AS level" \
	" UNION ALL SELECT relid, parentrelid, level FROM pg_partition_tree($1::oid) WHERE level > 0), " \
	"columns AS (" \
	" SELECT t.*, a.*, t.relid::regclass AS rel FROM tree t JOIN pg_attribute a ON a.attrelid = t.relid" \
	" WHERE a.attname = ANY ($2::text[]) AND NOT a.attisdropped) "

/* How a constraint's definition ends, from 18 on, whose rows may break it */
#define NOT_ENFORCED " NOT ENFORCED"

/*
 * The objects that depend on the columns, a row each; kind is NULL for what
 * cannot be kept.  What a partition has because the partitioned table has it is
 * attached: a constraint is inherited, and comes back with the other one.  $3 (an
 * oid[]) are the indexes, and $4 the foreign key, that the steps themselves make
 * and drop.
 */
#define DEPENDENTS \
	COLUMNS ", " \
	"own AS (" \
	" SELECT oid FROM unnest($3::oid[]) AS oid" \
	" UNION SELECT t.relid FROM unnest($3::oid[]) AS oid CROSS JOIN pg_partition_tree(oid) t), " \
	"direct AS (" \
	" SELECT d.classid, d.objid, d.objsubid, a.relid, a.level, min(d.refobjsubid) AS attnum," \
	"  bool_or(d.deptype <> 'n') AS automatic" \
	" FROM pg_depend d JOIN columns a ON d.refobjid = a.relid AND d.refobjsubid = a.attnum" \
	" WHERE d.refclassid = 'pg_class'::regclass" \
	" GROUP BY 1, 2, 3, 4, 5), " \
	"kinds AS (" \
	" SELECT d.*, CASE" \
	"  WHEN d.classid = 'pg_class'::regclass AND i.indrelid = d.relid AND automatic" \
	/* it would take an exclusion constraint along, which DROP COLUMN refuses */ \
	"   AND NOT EXISTS (SELECT FROM pg_constraint e WHERE e.conindid = d.objid AND e.contype = 'x') THEN 'index'" \
	"  WHEN d.classid = 'pg_constraint'::regclass AND automatic AND c.conrelid = d.relid AND NOT c.conislocal AND c.contype = 'c'" \
	"   THEN 'inherited'" \
	"  WHEN d.classid = 'pg_constraint'::regclass AND automatic" \
	"   AND c.conrelid = d.relid AND c.contype IN ('c', 'f', 'u', 'x')" \
	"   AND NOT (c.contype = 'x' AND EXISTS (SELECT FROM pg_index e WHERE e.indexrelid = c.conindid" \
	"    AND (e.indpred IS NOT NULL OR e.indexprs IS NOT NULL))) THEN 'constraint'" \
	"  WHEN d.classid = 'pg_constraint'::regclass AND c.contype = 'n' THEN 'not null'" \
	"  WHEN d.classid = 'pg_attrdef'::regclass AND f.adrelid = d.relid" \
	"   AND f.adnum IN (SELECT attnum FROM columns WHERE relid = d.relid) AND f.adnum = d.attnum THEN 'default'" \
	"  WHEN d.classid = 'pg_statistic_ext'::regclass THEN 'statistics'" \
	"  END AS kind, index, r.ev_class, (SELECT inhparent FROM pg_inherits WHERE inhrelid = index) AS attached" \
	" FROM direct d" \
	" LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid" \
	" LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid" \
	" LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid" \
	" LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN'" \
	" LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid" \
	/* a foreign key's index is another table's */ \
	" CROSS JOIN LATERAL (SELECT coalesce(i.indexrelid, CASE WHEN c.contype <> 'f' THEN nullif(c.conindid, 0) END) AS index) x" \
	/* the partitions' triggers and foreign keys are parts of another object */ \
	" WHERE coalesce(g.tgparentid, 0) = 0 AND NOT coalesce(c.contype = 'f' AND c.conparentid <> 0, false)" \
	"  AND NOT coalesce(c.contype = 'f' AND d.objid = $4::oid, false)" \
	"  AND (index IS NULL OR index NOT IN (SELECT oid FROM own))), " \
	"dependents AS (" \
	" SELECT kind, classid, objid, objsubid, relid, level, index, ev_class, attached FROM kinds" \
	" UNION" \
	/* what depends on a constraint or an index that goes */ \
	" SELECT NULL, d.classid, d.objid, d.objsubid, k.relid, k.level, NULL, r.ev_class, NULL" \
	" FROM kinds k" \
	" JOIN pg_depend d ON d.deptype = 'n' AND k.kind IN ('index', 'constraint')" \
	"  AND (d.refclassid = k.classid AND d.refobjid = k.objid" \
	"   OR d.refclassid = 'pg_class'::regclass AND d.refobjid = k.index)" \
	" LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN'" \
	" LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid" \
	" WHERE (d.classid, d.objid) NOT IN (SELECT classid, objid FROM kinds WHERE kind IS NOT NULL)" \
	"  AND coalesce(c.conparentid, 0) = 0) "

/* What an index, alone or under a constraint, has beside its definition */
#define INDEX_PROPERTIES \
	" UNION ALL SELECT o, 2, format('ALTER INDEX %s SET TABLESPACE %I', x.oid::regclass, s.spcname), NULL, NULL, NULL, NULL" \
	"  FROM objects JOIN pg_class x ON x.oid = index JOIN pg_tablespace s ON s.oid = x.reltablespace" \
	" UNION ALL SELECT o, 3, format('ALTER INDEX %s SET (%s)', x.oid::regclass, array_to_string(x.reloptions, ', ')), NULL, NULL, NULL, NULL" \
	"  FROM objects JOIN pg_class x ON x.oid = index WHERE x.reloptions IS NOT NULL AND kind = 'constraint' AND x.relkind <> 'I'" \
	" UNION ALL SELECT o, 4, format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', x.attrelid::regclass, x.attnum, x.attstattarget), NULL, NULL, NULL, NULL" \
	"  FROM objects JOIN pg_attribute x ON x.attrelid = index WHERE x.attstattarget >= 0" \
	" UNION ALL SELECT o, 5, format('ALTER TABLE %s CLUSTER ON %I', x.indrelid::regclass, n.relname), NULL, NULL, NULL, NULL" \
	"  FROM objects JOIN pg_index x ON x.indexrelid = index JOIN pg_class n ON n.oid = index WHERE x.indisclustered" \
	" UNION ALL SELECT o, 6, format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', x.indrelid::regclass, n.relname), NULL, NULL, NULL, NULL" \
	"  FROM objects JOIN pg_index x ON x.indexrelid = index JOIN pg_class n ON n.oid = index WHERE x.indisreplident" \
	" UNION ALL SELECT o, 7, format('COMMENT ON INDEX %s IS %L', index::regclass, obj_description(index, 'pg_class')), NULL, NULL, NULL, NULL" \
	"  FROM objects WHERE obj_description(index, 'pg_class') IS NOT NULL"

/* name, keys, condition, nulls_distinct of an index that enforces something */
#define INDEX_ENFORCES(index) \
	" CASE WHEN x.indisunique THEN (SELECT relname FROM pg_class WHERE oid = " index ")::text END," \
	" CASE WHEN x.indisunique THEN (SELECT array_agg(pg_get_indexdef(" index ", k, true) ORDER BY k)" \
	"  FROM generate_series(1, x.indnkeyatts) k)::text END," \
	" pg_get_expr(x.indpred, x.indrelid)," \
	" NOT x.indnullsnotdistinct"

/* What a foreign key demands of a row, as RI_FKey_check() looks at it */
#define FOREIGN_KEY_CONDITION \
	" (SELECT format('%s OR EXISTS (SELECT FROM %s%s r WHERE %s)'," \
	"   string_agg(format('connections.%I IS NULL', k.attname), CASE c.confmatchtype WHEN 'f' THEN ' AND ' ELSE ' OR ' END ORDER BY n)," \
	"   CASE r.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END, r.oid::regclass," \
	"   string_agg(format('r.%I OPERATOR(%I.%s) connections.%I', a.attname, s.nspname, e.oprname, k.attname), ' AND ' ORDER BY n))" \
	"  FROM unnest(c.conkey, c.confkey, c.conpfeqop) WITH ORDINALITY u(fk, pk, op, n)" \
	"  JOIN pg_attribute k ON k.attrelid = c.conrelid AND k.attnum = u.fk" \
	"  JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = u.pk" \
	"  JOIN pg_operator e ON e.oid = u.op JOIN pg_namespace s ON s.oid = e.oprnamespace" \
	"  JOIN pg_class r ON r.oid = c.confrelid GROUP BY r.oid, r.relkind)"

/*
 * The statements that bring the dependents back.  The indexes of partitions come
 * before the one of the partitioned table, which takes over what fits, and makes
 * anew what is missing, as on a partition that came later.
 */
#define STATEMENTS \
	"objects AS (" \
	" SELECT kind, objid, relid, attached, index," \
	/* a foreign key may refer to a UNIQUE constraint among them */ \
	"  row_number() OVER (ORDER BY CASE kind WHEN 'inherited' THEN 'constraint' ELSE kind END DESC," \
	"   classid = 'pg_constraint'::regclass AND objid IN (SELECT oid FROM pg_constraint WHERE contype = 'f')," \
	"   kind = 'inherited'," \
	"   coalesce((SELECT a.relid FROM pg_partition_ancestors(attached) WITH ORDINALITY a ORDER BY ordinality DESC LIMIT 1), index, objid)," \
	"   level DESC, objid) AS o" \
	" FROM dependents WHERE kind IN ('index', 'constraint', 'inherited', 'not null', 'statistics')), " \
	"statements(o, n, statement, name, keys, condition, nulls_distinct) AS (" \
	/* the index's own name may have an ON ONLY */ \
	" SELECT o, 1, CASE p.relkind WHEN 'I' THEN regexp_replace(pg_get_indexdef(objid), '^(([^\"]|\"([^\"]|\"\")*\")*?) ON ONLY ', '\\1 ON ')" \
	"  ELSE pg_get_indexdef(objid) END," INDEX_ENFORCES("objid") \
	"  FROM objects JOIN pg_index x ON x.indexrelid = objid JOIN pg_class p ON p.oid = objid" \
	"  WHERE kind = 'index'" \
	" UNION ALL SELECT o, 1, format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname," \
	/* those of a partitioned index cannot be set afterwards */ \
	"   CASE WHEN p.relkind = 'I' AND p.reloptions IS NOT NULL THEN regexp_replace(pg_get_constraintdef(c.oid)," \
	"    '( DEFERRABLE)?( INITIALLY DEFERRED)?$', format(' WITH (%s)\\1\\2', array_to_string(p.reloptions, ', ')))" \
	"   ELSE pg_get_constraintdef(c.oid) END)," \
	/* a foreign key to the table itself needs columns that are not there yet */ \
	"  CASE WHEN c.contype IN ('c', 'u') OR c.contype = 'f' AND c.confrelid <> ALL (SELECT tree.relid FROM tree) THEN c.conname END," \
	"  CASE WHEN c.contype = 'u' THEN (SELECT array_agg(pg_get_indexdef(c.conindid, k, true) ORDER BY k)" \
	"   FROM generate_series(1, x.indnkeyatts) k)::text END," \
	"  CASE c.contype WHEN 'c' THEN pg_get_expr(c.conbin, c.conrelid) WHEN 'f' THEN" FOREIGN_KEY_CONDITION " END," \
	"  coalesce(NOT x.indnullsnotdistinct, true)" \
	"  FROM objects JOIN pg_constraint c ON c.oid = objid LEFT JOIN pg_index x ON x.indexrelid = c.conindid" \
	"  LEFT JOIN pg_class p ON p.oid = index" \
	"  WHERE kind = 'constraint'" \
	" UNION ALL SELECT o, 8, format('COMMENT ON CONSTRAINT %I ON %s IS %L', c.conname, c.conrelid::regclass, obj_description(c.oid, 'pg_constraint')), NULL, NULL, NULL, NULL" \
	"  FROM objects JOIN pg_constraint c ON c.oid = objid" \
	"  WHERE kind IN ('constraint', 'inherited', 'not null') AND obj_description(c.oid, 'pg_constraint') IS NOT NULL" \
	" UNION ALL SELECT o, 1, pg_get_statisticsobjdef(objid), NULL, NULL, NULL, NULL" \
	"  FROM objects WHERE kind = 'statistics'" \
	" UNION ALL SELECT o, 2, format('ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, s.stxname, s.stxstattarget), NULL, NULL, NULL, NULL" \
	"  FROM objects JOIN pg_statistic_ext s ON s.oid = objid JOIN pg_namespace n ON n.oid = s.stxnamespace" \
	"  WHERE kind = 'statistics' AND s.stxstattarget >= 0" \
	" UNION ALL SELECT o, 3, format('COMMENT ON STATISTICS %I.%I IS %L', n.nspname, s.stxname, obj_description(objid, 'pg_statistic_ext')), NULL, NULL, NULL, NULL" \
	"  FROM objects JOIN pg_statistic_ext s ON s.oid = objid JOIN pg_namespace n ON n.oid = s.stxnamespace" \
	"  WHERE kind = 'statistics' AND obj_description(objid, 'pg_statistic_ext') IS NOT NULL" \
	" UNION ALL SELECT o, 4, format('ALTER STATISTICS %I.%I OWNER TO %I', n.nspname, s.stxname, pg_get_userbyid(s.stxowner)), NULL, NULL, NULL, NULL" \
	"  FROM objects JOIN pg_statistic_ext s ON s.oid = objid JOIN pg_namespace n ON n.oid = s.stxnamespace JOIN pg_class r ON r.oid = relid" \
	"  WHERE kind = 'statistics' AND s.stxowner <> r.relowner" \
	INDEX_PROPERTIES ") " \
	"SELECT statement, relid::regclass, CASE WHEN attached IS NULL THEN name END, keys, condition, nulls_distinct," \
	/* only a superuser may give an object to just anyone */ \
	" CASE WHEN gives THEN (SELECT pg_get_userbyid(extowner) FROM pg_extension WHERE extname = 'connections_redesign') END," \
	" CASE WHEN gives THEN (SELECT pg_get_userbyid(stxowner) FROM pg_statistic_ext WHERE oid = objid) END" \
	" FROM statements JOIN objects USING (o) CROSS JOIN LATERAL (SELECT kind = 'statistics' AND n = 4 AS gives) g"

/*
 * What the columns themselves have beside type and NOT NULL.  What a column of
 * a partition gets with the one of the partitioned table is said only where it
 * is another.  attoptions may hold entries of the server's own, which cannot be
 * set: only the documented ones are kept.  Who was granted a privilege may have
 * granted it to others, after that.
 */
#define COLUMN_STATEMENTS \
	COLUMNS \
	"SELECT statement, rel, grantor, grantee FROM (" \
	" SELECT c.relid, c.level, c.rel, c.attnum, 1 AS n, format('ALTER TABLE %s ALTER COLUMN %I %s', c.rel, c.attname," \
	"   coalesce('SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'DROP DEFAULT')) AS statement," \
	"  NULL AS grantor, NULL AS grantee, 0::bigint AS nth" \
	"  FROM columns c LEFT JOIN pg_attrdef d ON d.adrelid = c.relid AND d.adnum = c.attnum" \
	"  LEFT JOIN columns p ON p.relid = c.parent AND p.attname = c.attname LEFT JOIN pg_attrdef e ON e.adrelid = p.relid AND e.adnum = p.attnum" \
	"  WHERE pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM pg_get_expr(e.adbin, e.adrelid)" \
	" UNION ALL SELECT c.relid, c.level, c.rel, c.attnum, 0, format('ALTER TABLE %s ' || CASE WHEN n.conname IS NULL" \
	"   THEN 'ALTER COLUMN %I SET NOT NULL' ELSE 'ADD CONSTRAINT %3$I NOT NULL %2$I' END, c.rel, c.attname, n.conname), NULL, NULL, 0" \
	"  FROM columns c JOIN columns p ON p.relid = c.parent AND p.attname = c.attname" \
	"  LEFT JOIN pg_constraint n ON n.contype = 'n' AND n.conrelid = c.relid AND n.conkey = ARRAY[c.attnum]" \
	"  WHERE c.attnotnull AND NOT p.attnotnull" \
	" UNION ALL SELECT c.relid, c.level, c.rel, c.attnum, 2, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', c.rel, c.attname," \
	"   coalesce(c.attstattarget, -1)), NULL, NULL, 0" \
	"  FROM columns c LEFT JOIN columns p ON p.relid = c.parent AND p.attname = c.attname" \
	"  WHERE coalesce(c.attstattarget, -1) <> coalesce(p.attstattarget, -1)" \
	" UNION ALL SELECT c.relid, c.level, c.rel, c.attnum, 3, format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE %s', c.rel, c.attname," \
	"   CASE c.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END), NULL, NULL, 0" \
	"  FROM columns c JOIN pg_type t ON t.oid = c.atttypid LEFT JOIN columns p ON p.relid = c.parent AND p.attname = c.attname" \
	"  WHERE c.attstorage <> coalesce(p.attstorage, t.typstorage)" \
	" UNION ALL SELECT relid, level, rel, attnum, 4, format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION %s', rel, attname," \
	"   CASE attcompression WHEN 'p' THEN 'pglz' ELSE 'lz4' END), NULL, NULL, 0" \
	"  FROM columns WHERE attcompression <> ''" \
	" UNION ALL SELECT relid, level, rel, attnum, 5, format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', rel, attname, string_agg(o, ', ')), NULL, NULL, 0" \
	"  FROM columns CROSS JOIN unnest(attoptions) o WHERE split_part(o, '=', 1) IN ('n_distinct', 'n_distinct_inherited')" \
	"  GROUP BY relid, level, rel, attnum, attname" \
	" UNION ALL SELECT relid, level, rel, attnum, 6, format('COMMENT ON COLUMN %s.%I IS %L', rel, attname, col_description(relid, attnum)), NULL, NULL, 0" \
	"  FROM columns WHERE col_description(relid, attnum) IS NOT NULL" \
	" UNION ALL SELECT relid, level, rel, attnum, 7, format('SECURITY LABEL FOR %I ON COLUMN %s.%I IS %L', s.provider, rel, attname, s.label), NULL, NULL, 0" \
	"  FROM columns JOIN pg_seclabel s ON s.classoid = 'pg_class'::regclass AND s.objoid = relid AND s.objsubid = attnum" \
	" UNION ALL SELECT relid, level, rel, attnum, CASE g.grantor WHEN relowner THEN 8 ELSE 9 END," \
	"  format('GRANT %s (%I) ON TABLE %s TO %s%s%s', g.privilege_type, attname, rel, coalesce(quote_ident(grantee.rolname), 'PUBLIC')," \
	"   CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ' GRANTED BY ' || quote_ident(grantor.rolname))," \
	"  grantor.rolname, grantee.rolname, g.nth" \
	"  FROM columns JOIN pg_class r ON r.oid = relid" \
	"  CROSS JOIN aclexplode(attacl) WITH ORDINALITY g(grantor, grantee, privilege_type, is_grantable, nth)" \
	"  LEFT JOIN pg_roles grantor ON grantor.oid = g.grantor AND g.grantor <> relowner" \
	"  LEFT JOIN pg_roles grantee ON grantee.oid = g.grantee) s " \
	"ORDER BY level, relid, attnum, n, CASE n WHEN 9 THEN nth END, statement"

static List *make_dependents(const CrdResult *rows);
static CrdResult *fetch(const CrdSchema *schema, const CrdColumnId *columns,
						int ncolumns, const char *query);
static List *append_statements(List *list, const CrdResult *rows);
static char *column_names(const CrdSchema *schema,
						  const CrdColumnId *columns, int ncolumns);

List *
crd_dependents(const CrdSchema *schema, CrdColumnId id)
{
	List	   *result = NIL;
	CrdResult  *rows;

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
				 " WHERE attached IS NULL AND (kind IS NULL OR kind NOT IN ('inherited', 'not null', 'default'))"
				 " ORDER BY 1, 2");
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdDependent *dependent = palloc(sizeof(CrdDependent));

		dependent->restorable = crd_is_true(rows->row[i][0]);
		dependent->description = rows->row[i][1];
		result = lappend(result, dependent);
	}
	return result;
}

List *
crd_partition_not_nulls(const CrdSchema *schema, CrdColumnId id)
{
	List	   *result = NIL;
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 COLUMNS
					 "SELECT c.rel, n.conname FROM columns c"
					 " JOIN columns p ON p.relid = c.parent"
					 " JOIN pg_constraint n ON n.contype = 'n' AND n.conrelid = c.relid AND n.conkey = ARRAY[c.attnum]"
					 " JOIN pg_constraint o ON o.contype = 'n' AND o.conrelid = p.relid AND o.conkey = ARRAY[p.attnum]"
					 " WHERE n.conname <> o.conname ORDER BY c.level DESC, c.relid", 2,
					 psprintf("%u", schema->relation[schema->column[id].table].relid),
					 column_names(schema, &id, 1));
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdPartitionNotNull *not_null = palloc(sizeof(CrdPartitionNotNull));

		not_null->relation = rows->row[i][0];
		not_null->name = rows->row[i][1];
		not_null->column = schema->column[id].name;
		result = lappend(result, not_null);
	}
	return result;
}

List *
crd_row_type_users(const CrdSchema *schema, CrdTable table)
{
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
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
	return make_dependents(rows);
}

/*
 * The function must mention the column and its table, unless it is a trigger
 * function of the table, which need not name it.  "connections" before a dot is
 * the schema, but where the column comes next.  What an extension brings is its
 * own business, and what is in a temporary schema goes with its session.  The
 * source of a function in C is but a symbol; one that SQL parsed has none.
 */
List *
crd_functions_mentioning(const CrdSchema *schema, const CrdColumnId *columns,
						 int ncolumns)
{
	StringInfoData relids;
	StringInfoData tables;
	CrdResult  *rows;

	initStringInfo(&relids);
	initStringInfo(&tables);
	for (int i = 0; i < ncolumns; i++)
	{
		const CrdRelation *rel = &schema->relation[schema->column[columns[i]].table];

		appendStringInfo(&relids, "%c%u", i == 0 ? '{' : ',', rel->relid);
		appendStringInfo(&tables, "%c%s", i == 0 ? '{' : ',', strchr(rel->name, '.') + 1);
	}
	appendStringInfoChar(&relids, '}');
	appendStringInfoChar(&tables, '}');
	rows = crd_query(CRD_CALLER,
					 "SELECT format('%s %s, whose source mentions %s',"
					 "  CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, p.oid::regprocedure,"
					 "  string_agg(format('%s.%s', c.relation, c.name), ', ' ORDER BY c.nth))"
					 " FROM unnest($1::oid[], $2::text[], $3::text[]) WITH ORDINALITY c(relid, relation, name, nth)"
					 " JOIN pg_proc p ON p.prosrc ~* format('\\y%s\\y', c.name)"
					 "  AND (p.prosrc ~* format('\\y%1$s\\y(?!\"?\\s*\\.)|\\y%1$s\"?\\s*\\.\\s*\"?%2$s\\y', c.relation, c.name)"
					 "   OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = p.oid AND (t.tgrelid = c.relid"
					 "    OR t.tgrelid IN (SELECT relid FROM pg_partition_tree(c.relid)))))"
					 " JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname !~ '^pg_temp_'"
					 " WHERE NOT EXISTS (SELECT FROM pg_depend d"
					 "  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')"
					 " GROUP BY p.oid, p.prokind ORDER BY p.oid::regprocedure::text COLLATE \"C\"", 3,
					 relids.data, tables.data, column_names(schema, columns, ncolumns));
	return make_dependents(rows);
}

List *
crd_foreign_keys(const CrdSchema *schema, CrdColumnId id)
{
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER,
					 "SELECT format('foreign key %I of table %s', conname, conrelid::regclass)"
					 " FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"
					 " AND pg_get_constraintdef(oid) NOT LIKE '%" NOT_ENFORCED "'"
					 " AND (conrelid = $1::oid AND $2::int2 = ANY (conkey)"
					 "  OR confrelid = $1::oid AND $2::int2 = ANY (confkey)) ORDER BY 1", 2,
					 psprintf("%u", schema->relation[schema->column[id].table].relid),
					 psprintf("%d", schema->column[id].attnum));
	return make_dependents(rows);
}

List *
crd_ddl_to_save(const CrdSchema *schema, const CrdColumnId *columns,
				int ncolumns)
{
	List	   *result = NIL;
	CrdResult  *rows;

	rows = crd_query(CRD_CALLER, COLUMN_STATEMENTS, 2,
					 psprintf("%u", schema->relation[schema->column[columns[0]].table].relid),
					 column_names(schema, columns, ncolumns));
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdSavedDdl *ddl = palloc0(sizeof(CrdSavedDdl));

		ddl->statement = rows->row[i][0];
		ddl->relation = rows->row[i][1];
		ddl->of_column = true;
		ddl->grantor = rows->row[i][2];
		ddl->grantee = rows->row[i][3];
		ddl->nulls_distinct = true;
		result = lappend(result, ddl);
	}
	rows = fetch(schema, columns, ncolumns,
				 DEPENDENTS "," STATEMENTS " ORDER BY o, n, statement");
	return append_statements(result, rows);
}

/* The server says last of a constraint that it is NOT VALID or NOT ENFORCED. */
static bool
pg_str_endswith(const char *string, const char *suffix)
{
	size_t		length = strlen(string);

	return length >= strlen(suffix) &&
		strcmp(string + length - strlen(suffix), suffix) == 0;
}

/* Whether a constraint is to be validated when it is brought back. */
static bool
is_validated(const CrdSavedDdl *ddl)
{
	return !pg_str_endswith(ddl->statement, " NOT VALID") &&
		!pg_str_endswith(ddl->statement, NOT_ENFORCED);
}

bool
crd_constraint_is_validated(const CrdSavedDdl *ddl)
{
	return ddl->constraint && is_validated(ddl);
}

/* What follows a prefix, or NULL where the string does not begin with it. */
static const char *
skip_prefix(const char *string, const char *prefix)
{
	size_t		length = strlen(prefix);

	return strncmp(string, prefix, length) == 0 ? string + length : NULL;
}

/* The identifier that a string begins with, as it is spelt. */
static char *
parse_identifier(const char *string)
{
	const char *end = string;

	if (*end == '"')
		for (end++; end[0] != '"' || end[1] == '"'; end++)
			end += end[0] == '"';
	return pnstrdup(string, strcspn(end, " ") + (end - string));
}

/*
 * The server deparsed these statements, so their form is known; what is not
 * recognised is run as it is.  An index of a partitioned table cannot be built
 * CONCURRENTLY, but those of its partitions come before it.
 */
CrdOnlineDdl
crd_online_ddl(const CrdSavedDdl *ddl)
{
	const char *alter = psprintf("ALTER TABLE %s ", ddl->relation);
	CrdOnlineDdl result = {0};
	const char *rest;

	result.create = ddl->statement;
	result.lock_mode = AccessExclusiveLock;
	if (!ddl->partitioned &&
		((rest = skip_prefix(ddl->statement, "CREATE INDEX ")) ||
		 (rest = skip_prefix(ddl->statement, "CREATE UNIQUE INDEX "))))
	{
		result.index = psprintf("%s.%s", ddl->schema, parse_identifier(rest));
		result.index_definition = ddl->statement;
		result.create = psprintf("%sCONCURRENTLY %s",
								 pnstrdup(ddl->statement, rest - ddl->statement), rest);
	}
	else if (skip_prefix(ddl->statement, "CREATE "))
		result.lock_mode = ShareLock;
	else if ((rest = skip_prefix(ddl->statement, alter)) && skip_prefix(rest, "VALIDATE "))
		result.lock_mode = ShareUpdateExclusiveLock;
	else if ((rest = skip_prefix(ddl->statement, alter)) &&
			 (rest = skip_prefix(rest, "ADD CONSTRAINT ")))
	{
		const char *name = parse_identifier(rest);
		const char *definition = rest + strlen(name) + 1;
		const char *unique = skip_prefix(definition, "UNIQUE ");
		const char *columns = unique ? skip_prefix(unique, "NULLS NOT DISTINCT ") : NULL;

		if (columns == NULL)
			columns = unique;

		if (is_validated(ddl) && skip_prefix(definition, "FOREIGN KEY ") && ddl->partitioned)
		{
			result.foreign_key = name;
			result.definition = definition;
		}
		else if (is_validated(ddl) &&
				 (skip_prefix(definition, "CHECK ") || skip_prefix(definition, "FOREIGN KEY ")))
		{
			result.create = psprintf("%s NOT VALID", ddl->statement);
			result.finish = psprintf("%sVALIDATE CONSTRAINT %s", alter, name);
			result.finish_scans = true;
			result.is_check = skip_prefix(definition, "CHECK ") != NULL;
		}
		else if (columns && columns[0] == '(' && !ddl->partitioned &&
				 strstr(columns, "WITHOUT OVERLAPS") == NULL)
		{
			const char *end = strrchr(columns, ')') + 1;

			const char *parts = psprintf("%s%s", pnstrdup(columns, end - columns),
										 columns == unique ? "" : " NULLS NOT DISTINCT");

			result.index = psprintf("%s.%s", ddl->schema, name);
			result.index_definition = psprintf("CREATE UNIQUE INDEX %s ON %s USING btree %s",
											   name, ddl->relation, parts);
			result.create = psprintf("CREATE UNIQUE INDEX CONCURRENTLY %s ON %s %s",
									 name, ddl->relation, parts);
			result.finish = psprintf("%sADD CONSTRAINT %s UNIQUE USING INDEX %s%s",
									 alter, name, name, end);
		}
	}
	return result;
}

/*
 * The index of a constraint goes by the constraint.  A CHECK is one with those
 * that the partitions have by its name, which must be the same.
 */
#define NAMES_TAKEN \
	", tables AS (" \
	" SELECT c.oid, c.relname, format('%%I.%%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace), " \
	"taken(classid, objid) AS (" \
	" SELECT CASE WHEN c.oid IS NULL THEN 'pg_class'::regclass ELSE 'pg_constraint' END, coalesce(c.oid, t.oid)" \
	"  FROM names k JOIN tables t USING (name) LEFT JOIN pg_constraint c ON c.conindid = t.oid AND c.contype IN ('p', 'u', 'x')" \
	"  WHERE kind = 'relation' AND (definition IS NULL OR pg_get_indexdef(t.oid) IS DISTINCT FROM definition)" \
	" UNION SELECT 'pg_constraint', c.oid FROM names k JOIN tables t ON t.name = k.relation" \
	"  CROSS JOIN LATERAL (SELECT t.oid AS relid, 0 AS level" \
	"   UNION ALL SELECT relid, level FROM pg_partition_tree(t.oid) WHERE level > 0 AND definition IS NOT NULL) p" \
	"  JOIN pg_constraint c ON c.conrelid = p.relid AND quote_ident(c.conname) = k.name" \
	"  WHERE kind = 'constraint' AND (level = 0" \
	"   OR replace(pg_get_constraintdef(c.oid), ' NOT VALID', '') <> replace(definition, ' NOT VALID', ''))" \
	" UNION SELECT 'pg_statistic_ext', s.oid FROM names k" \
	"  JOIN (pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace) ON starts_with(k.name, format('%%I.%%I ', n.nspname, s.stxname))" \
	"  WHERE kind = 'statistics') " \
	"SELECT o.type || ' ' || o.identity FROM taken CROSS JOIN pg_identify_object(classid, objid, 0) o ORDER BY 1"

static void
append_name(StringInfo names, const char *kind, const char *relation,
			const char *name, const char *definition)
{
	appendStringInfo(names, "%s(%s, %s, %s, %s)", names->len ? ", " : "",
					 crd_quote_nullable(kind), crd_quote_nullable(relation),
					 crd_quote_nullable(name), crd_quote_nullable(definition));
}

List *
crd_name_conflicts(const List *statements)
{
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, statements)
	{
		const CrdSavedDdl *ddl = lfirst(lc);
		const char *rest;

		if ((rest = skip_prefix(ddl->statement, "CREATE INDEX ")) ||
			(rest = skip_prefix(ddl->statement, "CREATE UNIQUE INDEX ")))
			append_name(&names, "relation", ddl->relation,
						psprintf("%s.%s", ddl->schema, parse_identifier(rest)), ddl->statement);
		else if ((rest = skip_prefix(ddl->statement, "CREATE STATISTICS ")))
			append_name(&names, "statistics", ddl->relation, rest, NULL);
		else if (ddl->relation &&
				 (rest = skip_prefix(ddl->statement, psprintf("ALTER TABLE %s ADD CONSTRAINT ", ddl->relation))))
		{
			const char *name = parse_identifier(rest);
			const char *definition = rest + strlen(name) + 1;

			append_name(&names, "constraint", ddl->relation, name,
						skip_prefix(definition, "CHECK ") ? definition : NULL);

			/* its index, too, unless that is there to become the constraint's */
			if (!skip_prefix(definition, "UNIQUE USING INDEX ") &&
				(skip_prefix(definition, "UNIQUE ") || skip_prefix(definition, "EXCLUDE ")))
				append_name(&names, "relation", ddl->relation,
							psprintf("%s.%s", ddl->schema, name),
							crd_online_ddl(ddl).index_definition);
		}
	}
	if (names.len == 0)
		return NIL;
	return make_dependents(crd_query(CRD_CALLER,
									 psprintf("WITH names(kind, relation, name, definition) AS (VALUES %s)" NAMES_TAKEN,
											  names.data), 0));
}

List *
crd_enforced_constraints(const CrdSchema *schema, CrdColumnId id)
{
	return append_statements(NIL,
							 fetch(schema, &id, 1,
								   DEPENDENTS "," STATEMENTS
								   " WHERE name IS NOT NULL AND statement NOT LIKE '%" NOT_ENFORCED "' ORDER BY name"));
}

/* The first column of the rows as a list of what cannot be kept. */
static List *
make_dependents(const CrdResult *rows)
{
	List	   *result = NIL;

	for (int i = 0; i < rows->nrows; i++)
	{
		CrdDependent *dependent = palloc0(sizeof(CrdDependent));

		dependent->description = rows->row[i][0];
		result = lappend(result, dependent);
	}
	return result;
}

/* Run one of the queries above over the columns, all of one table. */
static CrdResult *
fetch(const CrdSchema *schema, const CrdColumnId *columns, int ncolumns,
	  const char *query)
{
	bool		enforced = schema->last_complete_step >= 3;

	return crd_query(CRD_CALLER, query, 4,
					 psprintf("%u", schema->relation[schema->column[columns[0]].table].relid),
					 column_names(schema, columns, ncolumns),
					 psprintf("{%u,%u}", schema->slug_index,
							  enforced ? schema->step3_index : InvalidOid),
					 psprintf("%u", enforced ? schema->fk : InvalidOid));
}

static List *
append_statements(List *list, const CrdResult *rows)
{
	for (int i = 0; i < rows->nrows; i++)
	{
		CrdSavedDdl *ddl = palloc0(sizeof(CrdSavedDdl));

		ddl->statement = rows->row[i][0];
		ddl->relation = rows->row[i][1];
		ddl->constraint = rows->row[i][2];
		ddl->keys = rows->row[i][3];
		ddl->condition = rows->row[i][4];
		ddl->nulls_distinct = !rows->row[i][5] || crd_is_true(rows->row[i][5]);
		ddl->grantor = rows->row[i][6];
		ddl->grantee = rows->row[i][7];
		list = lappend(list, ddl);
	}
	return list;
}

/* The columns' names, none of which needs quotes, as a text[]. */
static char *
column_names(const CrdSchema *schema, const CrdColumnId *columns, int ncolumns)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < ncolumns; i++)
		appendStringInfo(&buf, "%c%s", i == 0 ? '{' : ',',
						 schema->column[columns[i]].name);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}
