-- After WITH names(kind, relation, schema, name, definition, index_definition, created): the objects that have the name of one that is to
-- be restored and are something else.  An index that an interrupted run has built is not something else.  The index of a constraint is
-- reported as the constraint.  A CHECK of a partition is merged with the one of the partitioned table, which must be the same.
, wanted AS (
	SELECT kind, relation::regclass::oid AS relid, schema, name, definition,
		CASE
			WHEN kind IN ('index', 'unique index') THEN format('CREATE %sINDEX %I %s', CASE kind WHEN 'index' THEN '' ELSE 'UNIQUE ' END, name, definition)
			WHEN kind = 'unique' THEN format('CREATE UNIQUE INDEX %I %s', name, index_definition)
		END AS index_statement,
		kind IN ('index', 'unique index', 'unique', 'exclude') AND NOT created AS is_relation,
		kind IN ('check', 'foreign key', 'unique', 'exclude', 'not null') AND (NOT created OR kind = 'unique') AS is_constraint
	FROM names WHERE to_regclass(relation) IS NOT NULL
), taken(classid, objid) AS (
	SELECT CASE WHEN c.oid IS NULL THEN 'pg_class'::regclass ELSE 'pg_constraint' END, coalesce(c.oid, t.oid)
	FROM wanted w JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class t ON t.relnamespace = n.oid AND t.relname = w.name
	LEFT JOIN pg_constraint c ON c.conindid = t.oid AND c.contype IN ('p', 'u', 'x')
	WHERE is_relation AND (index_statement IS NULL OR pg_get_indexdef(t.oid) IS DISTINCT FROM index_statement)
	UNION
	SELECT 'pg_constraint', c.oid
	FROM wanted w
	CROSS JOIN LATERAL (SELECT w.relid, 0 AS level
		UNION ALL SELECT relid, level FROM pg_partition_tree(w.relid) WHERE level > 0 AND kind = 'check') p
	JOIN pg_constraint c ON c.conrelid = p.relid AND c.conname = w.name
	WHERE is_constraint AND (level = 0
		OR replace(pg_get_constraintdef(c.oid), ' NOT VALID', '') <> replace(definition, ' NOT VALID', ''))
	UNION
	SELECT 'pg_statistic_ext', s.oid
	FROM wanted w JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_statistic_ext s ON s.stxnamespace = n.oid AND s.stxname = w.name
	WHERE kind = 'statistics'
)
SELECT o.type || ' ' || o.identity FROM taken CROSS JOIN pg_identify_object(classid, objid, 0) o ORDER BY 1
