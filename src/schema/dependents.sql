-- After "WITH tree AS" (the table $1 and its partitions), common table expressions for describe_dependents.sql and saved_ddl.sql: the
-- objects that depend on the columns $2 (text[]), one row each.  The kind is NULL where an object cannot be restored.  An object that a
-- partition has because the partitioned table has it is "attached"; an inherited constraint is restored with the one of the
-- partitioned table.  $3 (oid[]) are the indexes and $4 is the foreign key that the steps themselves create and drop.
, columns AS (
	SELECT t.relid, t.level, a.attnum
	FROM tree t JOIN pg_attribute a ON a.attrelid = t.relid
	WHERE a.attname = ANY ($2::text[]) AND NOT a.attisdropped
), own AS (
	SELECT oid FROM unnest($3::oid[]) AS oid
	UNION
	SELECT t.relid FROM unnest($3::oid[]) AS oid CROSS JOIN pg_partition_tree(oid) t
), direct AS (
	SELECT d.classid, d.objid, d.objsubid, a.relid, a.level, min(d.refobjsubid) AS attnum,
		bool_or(d.deptype <> 'n') AS automatic
	FROM pg_depend d JOIN columns a ON d.refobjid = a.relid AND d.refobjsubid = a.attnum
	WHERE d.refclassid = 'pg_class'::regclass
	GROUP BY 1, 2, 3, 4, 5
), kinds AS (
	SELECT d.*, CASE
		WHEN d.classid = 'pg_class'::regclass AND i.indrelid = d.relid AND automatic
			-- DROP COLUMN refuses to drop the exclusion constraint of an index
			AND NOT EXISTS (SELECT FROM pg_constraint e WHERE e.conindid = d.objid AND e.contype = 'x') THEN 'index'
		WHEN d.classid = 'pg_constraint'::regclass AND automatic AND c.conrelid = d.relid AND NOT c.conislocal AND c.contype = 'c'
			THEN 'inherited'
		WHEN d.classid = 'pg_constraint'::regclass AND automatic
			AND c.conrelid = d.relid AND c.contype IN ('c', 'f', 'u', 'x')
			AND NOT (c.contype = 'x' AND EXISTS (SELECT FROM pg_index e WHERE e.indexrelid = c.conindid
				AND (e.indpred IS NOT NULL OR e.indexprs IS NOT NULL))) THEN 'constraint'
		WHEN d.classid = 'pg_constraint'::regclass AND c.contype = 'n' THEN 'not null'
		WHEN d.classid = 'pg_attrdef'::regclass AND f.adrelid = d.relid
			AND f.adnum IN (SELECT attnum FROM columns WHERE relid = d.relid) AND f.adnum = d.attnum THEN 'default'
		WHEN d.classid = 'pg_statistic_ext'::regclass THEN 'statistics'
		END AS kind, index, r.ev_class, (SELECT inhparent FROM pg_inherits WHERE inhrelid = index) AS attached
	FROM direct d
	LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
	LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
	LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
	LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN'
	LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
	-- the index of a foreign key belongs to the referenced table
	CROSS JOIN LATERAL (SELECT coalesce(i.indexrelid, CASE WHEN c.contype <> 'f' THEN nullif(c.conindid, 0) END) AS index) x
	-- triggers and foreign keys of partitions are parts of another object
	WHERE coalesce(g.tgparentid, 0) = 0 AND NOT coalesce(c.contype = 'f' AND c.conparentid <> 0, false)
		AND NOT coalesce(c.contype = 'f' AND d.objid = $4::oid, false)
		AND (index IS NULL OR index NOT IN (SELECT oid FROM own))
), dependents AS (
	SELECT kind, classid, objid, objsubid, relid, level, index, ev_class, attached FROM kinds
	UNION
	-- objects that depend on a constraint or an index that is dropped
	SELECT NULL, d.classid, d.objid, d.objsubid, k.relid, k.level, NULL, r.ev_class, NULL
	FROM kinds k
	JOIN pg_depend d ON d.deptype = 'n' AND k.kind IN ('index', 'constraint')
		AND (d.refclassid = k.classid AND d.refobjid = k.objid
			OR d.refclassid = 'pg_class'::regclass AND d.refobjid = k.index)
	LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN'
	LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
	WHERE (d.classid, d.objid) NOT IN (SELECT classid, objid FROM kinds WHERE kind IS NOT NULL)
		AND coalesce(c.conparentid, 0) = 0
)
