-- After dependents.sql: the DDL that restores the objects, in the order in which it can be run, as rows of the table saved_ddl.  The
-- indexes of partitions come before the one of the partitioned table, which takes over those that fit and creates the missing ones.
, objects AS (
	SELECT kind, classid, objid, relid, attached, index,
		-- a foreign key may refer to a UNIQUE constraint among them
		row_number() OVER (ORDER BY CASE kind WHEN 'inherited' THEN 'constraint' ELSE kind END DESC,
			classid = 'pg_constraint'::regclass AND objid IN (SELECT oid FROM pg_constraint WHERE contype = 'f'),
			kind = 'inherited',
			coalesce((SELECT a.relid FROM pg_partition_ancestors(attached) WITH ORDINALITY a ORDER BY ordinality DESC LIMIT 1), index, objid),
			level DESC, objid) AS o
	FROM dependents WHERE kind IN ('index', 'constraint', 'inherited', 'not null', 'statistics')
), indexes AS (
	SELECT o.o, x.indisunique, x.indexprs IS NOT NULL AS has_expressions, NOT x.indnullsnotdistinct AS nulls_distinct,
		i.oid, i.relname, i.relkind, i.reloptions, i.reltablespace, n.nspname, m.amname,
		pg_get_expr(x.indpred, x.indrelid) AS predicate,
		(SELECT array_agg(pg_get_indexdef(i.oid, k, true) ORDER BY k) FROM generate_series(1, x.indnkeyatts) k) AS keys,
		-- the part behind the name; ONLY belongs to one table of a tree that is complete
		regexp_replace(substr(pg_get_indexdef(i.oid),
			length(format('CREATE %sINDEX %I ', CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, i.relname)) + 1), '^ON ONLY ', 'ON ') AS definition
	FROM objects o JOIN pg_index x ON x.indexrelid = o.index
	JOIN pg_class i ON i.oid = o.index JOIN pg_namespace n ON n.oid = i.relnamespace JOIN pg_am m ON m.oid = i.relam
), created AS (
	SELECT o, CASE WHEN indisunique THEN 'unique index' ELSE 'index' END AS kind, nspname AS schema, relname AS name, i.definition,
		NULL::text AS index_definition, NULL::text AS deferral, true AS validated, has_expressions,
		CASE WHEN indisunique AND attached IS NULL THEN keys END AS keys,
		CASE WHEN indisunique AND attached IS NULL THEN predicate END AS condition, nulls_distinct
	FROM objects JOIN indexes i USING (o) WHERE kind = 'index'
	UNION ALL
	SELECT o, CASE c.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' WHEN 'u' THEN 'unique' ELSE 'exclude' END,
		n.nspname, c.conname,
		-- the parameters of a partitioned index cannot be set afterwards
		CASE WHEN i.relkind = 'I' AND i.reloptions IS NOT NULL
			THEN left(d.definition, length(d.definition) - length(d.deferral)) || format(' WITH (%s)', array_to_string(i.reloptions, ', ')) || d.deferral
			ELSE d.definition END,
		CASE WHEN c.contype = 'u' AND i.amname = 'btree' THEN i.definition END, d.deferral, c.convalidated, coalesce(i.has_expressions, false),
		CASE WHEN c.contype = 'u' AND attached IS NULL AND d.enforced THEN i.keys END,
		CASE
			WHEN attached IS NOT NULL OR NOT d.enforced THEN NULL
			WHEN c.contype = 'c' THEN pg_get_expr(c.conbin, c.conrelid)
			-- what RI_FKey_check() looks for; a foreign key to the table itself needs columns that do not exist yet
			WHEN c.contype = 'f' AND c.confrelid <> ALL (SELECT tree.relid FROM tree) THEN
				(SELECT format('%s OR EXISTS (SELECT FROM %s%s r WHERE %s)',
					string_agg(format('connections.%I IS NULL', k.attname), CASE c.confmatchtype WHEN 'f' THEN ' AND ' ELSE ' OR ' END ORDER BY n),
					CASE r.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END, r.oid::regclass,
					string_agg(format('r.%I OPERATOR(%I.%s) connections.%I', a.attname, s.nspname, e.oprname, k.attname), ' AND ' ORDER BY n))
				FROM unnest(c.conkey, c.confkey, c.conpfeqop) WITH ORDINALITY u(fk, pk, op, n)
				JOIN pg_attribute k ON k.attrelid = c.conrelid AND k.attnum = u.fk
				JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = u.pk
				JOIN pg_operator e ON e.oid = u.op JOIN pg_namespace s ON s.oid = e.oprnamespace
				JOIN pg_class r ON r.oid = c.confrelid GROUP BY r.oid, r.relkind)
		END,
		coalesce(i.nulls_distinct, true)
	FROM objects JOIN pg_constraint c ON c.oid = objid JOIN pg_namespace n ON n.oid = c.connamespace LEFT JOIN indexes i USING (o)
	CROSS JOIN LATERAL (SELECT pg_get_constraintdef(c.oid) AS definition,
		-- a column of 18 and later
		coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true) AS enforced,
		CASE WHEN c.condeferrable THEN ' DEFERRABLE' ELSE '' END || CASE WHEN c.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END AS deferral) d
	WHERE kind = 'constraint'
	UNION ALL
	SELECT o, 'statistics', n.nspname, s.stxname, pg_get_statisticsobjdef(objid), NULL, NULL, true, true, NULL, NULL, true
	FROM objects JOIN pg_statistic_ext s ON s.oid = objid JOIN pg_namespace n ON n.oid = s.stxnamespace
	WHERE kind = 'statistics'
), properties(o, n, definition, tablespace, grantee) AS (
	SELECT o, 2, format('ALTER INDEX %s SET TABLESPACE %I', x.oid::regclass, s.spcname), s.oid, NULL::oid
	FROM indexes x JOIN pg_tablespace s ON s.oid = x.reltablespace
	UNION ALL
	SELECT o, 3, format('ALTER INDEX %s SET (%s)', x.oid::regclass, array_to_string(x.reloptions, ', ')), NULL, NULL
	FROM objects JOIN indexes x USING (o) WHERE x.reloptions IS NOT NULL AND kind = 'constraint' AND x.relkind <> 'I'
	UNION ALL
	SELECT o, 4, format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', x.attrelid::regclass, x.attnum, x.attstattarget), NULL, NULL
	FROM objects JOIN pg_attribute x ON x.attrelid = index WHERE x.attstattarget >= 0
	UNION ALL
	SELECT o, 5, format('ALTER TABLE %s CLUSTER ON %I', x.indrelid::regclass, n.relname), NULL, NULL
	FROM objects JOIN pg_index x ON x.indexrelid = index JOIN pg_class n ON n.oid = index WHERE x.indisclustered
	UNION ALL
	SELECT o, 6, format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', x.indrelid::regclass, n.relname), NULL, NULL
	FROM objects JOIN pg_index x ON x.indexrelid = index JOIN pg_class n ON n.oid = index WHERE x.indisreplident
	UNION ALL
	SELECT o, 7, format('COMMENT ON INDEX %s IS %L', index::regclass, obj_description(index, 'pg_class')), NULL, NULL
	FROM objects WHERE obj_description(index, 'pg_class') IS NOT NULL
	UNION ALL
	SELECT o, 8, format('COMMENT ON CONSTRAINT %I ON %s IS %L', c.conname, c.conrelid::regclass, obj_description(c.oid, 'pg_constraint')), NULL, NULL
	FROM objects JOIN pg_constraint c ON c.oid = objid
	WHERE kind IN ('constraint', 'inherited', 'not null') AND obj_description(c.oid, 'pg_constraint') IS NOT NULL
	UNION ALL
	SELECT o, p.n, p.definition, NULL, p.grantee
	FROM objects JOIN pg_statistic_ext s ON s.oid = objid JOIN pg_namespace n ON n.oid = s.stxnamespace JOIN pg_class r ON r.oid = relid
	CROSS JOIN LATERAL (VALUES
		(2, CASE WHEN s.stxstattarget >= 0 THEN format('ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, s.stxname, s.stxstattarget) END, NULL),
		(3, format('COMMENT ON STATISTICS %I.%I IS %s', n.nspname, s.stxname, quote_literal(obj_description(objid, 'pg_statistic_ext'))), NULL),
		(4, CASE WHEN s.stxowner <> r.relowner THEN format('ALTER STATISTICS %I.%I OWNER TO %I', n.nspname, s.stxname, pg_get_userbyid(s.stxowner)) END, s.stxowner)
	) p(n, definition, grantee)
	WHERE kind = 'statistics' AND p.definition IS NOT NULL AND (p.n <> 3 OR obj_description(objid, 'pg_statistic_ext') IS NOT NULL)
)
SELECT s.kind, relid::regclass, schema, name, definition, index_definition, deferral, validated, has_expressions,
	CASE WHEN n = 1 THEN (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = relid
		AND (classid, objid, a.attnum) IN (SELECT d.classid, d.objid, d.refobjsubid FROM pg_depend d
			WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = relid AND d.refobjsubid > 0)) END,
	(SELECT jsonb_agg(jsonb_build_object('type', a.type, 'names', a.object_names, 'args', a.object_args)
		ORDER BY a.type, a.object_names, a.object_args)
	FROM (SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_depend d
			WHERE n = 1 AND (d.classid = objects.classid AND d.objid = objects.objid OR d.classid = 'pg_class'::regclass AND d.objid = objects.index)
			AND d.deptype IN ('n', 'a') AND NOT (d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT tree.relid FROM tree))
		UNION SELECT 'pg_tablespace'::regclass, tablespace, 0 WHERE tablespace IS NOT NULL) d
	CROSS JOIN pg_identify_object_as_address(d.refclassid, d.refobjid, d.refobjsubid) a),
	-- only a superuser may give an object to any role
	CASE WHEN grantee IS NOT NULL THEN (SELECT pg_get_userbyid(extowner) FROM pg_extension WHERE extname = 'connections_redesign') END,
	CASE WHEN grantee IS NOT NULL THEN pg_get_userbyid(grantee) END,
	keys, condition, nulls_distinct
FROM (
	SELECT o, 1 AS n, kind, schema, name, definition, index_definition, deferral, validated, has_expressions,
		NULL::oid AS tablespace, NULL::oid AS grantee, keys, condition, nulls_distinct
	FROM created
	UNION ALL
	SELECT o, n, 'property', NULL, NULL, definition, NULL, NULL, true, false, tablespace, grantee, NULL, NULL, true
	FROM properties
) s JOIN objects USING (o)
