-- After "WITH tree AS" (the table $1 and its partitions): the properties of the columns $2 (text[]) beside type and NOT NULL, and the
-- NOT NULL constraints of partitions that have a name of their own, as rows of the table saved_ddl, in the order in which they can
-- be run.  A property that the column of a partition gets with the one of the partitioned table is listed only where it differs.
-- attoptions may hold entries of the server's own, which cannot be set, so only the documented ones are listed.  A role can grant
-- a privilege only after another role has granted it that privilege.
, columns AS (
	SELECT t.*, a.*, t.relid::regclass AS rel FROM tree t JOIN pg_attribute a ON a.attrelid = t.relid
	WHERE a.attname = ANY ($2::text[]) AND NOT a.attisdropped
), pairs AS (
	-- each column with the one of the table above it
	SELECT c.*, p.relid AS above, p.attnum AS above_attnum, p.attnotnull AS above_attnotnull,
		p.attstattarget AS above_attstattarget, p.attstorage AS above_attstorage
	FROM columns c LEFT JOIN columns p ON p.relid = c.parent AND p.attname = c.attname
), properties(relid, level, rel, attnum, attname, n, nth, definition, needed_class, needed_by, grantor, grantee) AS (
	SELECT c.relid, c.level, c.rel, c.attnum, c.attname, 0, 0::bigint, format('ALTER TABLE %s ' || CASE WHEN n.conname IS NULL
		THEN 'ALTER COLUMN %I SET NOT NULL' ELSE 'ADD CONSTRAINT %3$I NOT NULL %2$I' END, c.rel, c.attname, n.conname),
		NULL::oid, NULL::oid, NULL::name, NULL::name
	FROM pairs c LEFT JOIN pg_constraint n ON n.contype = 'n' AND n.conrelid = c.relid AND n.conkey = ARRAY[c.attnum]
	WHERE c.attnotnull AND NOT c.above_attnotnull
	UNION ALL
	SELECT c.relid, c.level, c.rel, c.attnum, c.attname, 1, 0, format('ALTER TABLE %s ALTER COLUMN %I %s', c.rel, c.attname,
		coalesce('SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'DROP DEFAULT')), 'pg_attrdef'::regclass, d.oid, NULL, NULL
	FROM pairs c LEFT JOIN pg_attrdef d ON d.adrelid = c.relid AND d.adnum = c.attnum
	LEFT JOIN pg_attrdef e ON e.adrelid = c.above AND e.adnum = c.above_attnum
	WHERE pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM pg_get_expr(e.adbin, e.adrelid)
	UNION ALL
	SELECT relid, level, rel, attnum, attname, 2, 0, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', rel, attname,
		coalesce(attstattarget, -1)), NULL, NULL, NULL, NULL
	FROM pairs WHERE coalesce(attstattarget, -1) <> coalesce(above_attstattarget, -1)
	UNION ALL
	SELECT relid, level, rel, attnum, attname, 3, 0, format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE %s', rel, attname,
		CASE attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END), NULL, NULL, NULL, NULL
	FROM pairs JOIN pg_type t ON t.oid = atttypid WHERE attstorage <> coalesce(above_attstorage, t.typstorage)
	UNION ALL
	SELECT relid, level, rel, attnum, attname, 4, 0, format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION %s', rel, attname,
		CASE attcompression WHEN 'p' THEN 'pglz' ELSE 'lz4' END), NULL, NULL, NULL, NULL
	FROM columns WHERE attcompression <> ''
	UNION ALL
	SELECT relid, level, rel, attnum, attname, 5, 0, format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', rel, attname, string_agg(o, ', ')),
		NULL, NULL, NULL, NULL
	FROM columns CROSS JOIN unnest(attoptions) o WHERE split_part(o, '=', 1) IN ('n_distinct', 'n_distinct_inherited')
	GROUP BY relid, level, rel, attnum, attname
	UNION ALL
	SELECT relid, level, rel, attnum, attname, 6, 0, format('COMMENT ON COLUMN %s.%I IS %L', rel, attname, col_description(relid, attnum)),
		NULL, NULL, NULL, NULL
	FROM columns WHERE col_description(relid, attnum) IS NOT NULL
	UNION ALL
	SELECT relid, level, rel, attnum, attname, 7, 0, format('SECURITY LABEL FOR %I ON COLUMN %s.%I IS %L', s.provider, rel, attname, s.label),
		NULL, NULL, NULL, NULL
	FROM columns JOIN pg_seclabel s ON s.classoid = 'pg_class'::regclass AND s.objoid = relid AND s.objsubid = attnum
	UNION ALL
	SELECT relid, level, rel, attnum, attname, CASE g.grantor WHEN relowner THEN 8 ELSE 9 END, CASE g.grantor WHEN relowner THEN 0 ELSE g.nth END,
		format('GRANT %s (%I) ON TABLE %s TO %s%s%s', g.privilege_type, attname, rel, coalesce(quote_ident(grantee.rolname), 'PUBLIC'),
		CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ' GRANTED BY ' || quote_ident(grantor.rolname)),
		NULL, NULL, grantor.rolname, grantee.rolname
	FROM columns JOIN pg_class r ON r.oid = relid
	CROSS JOIN aclexplode(attacl) WITH ORDINALITY g(grantor, grantee, privilege_type, is_grantable, nth)
	LEFT JOIN pg_roles grantor ON grantor.oid = g.grantor AND g.grantor <> relowner
	LEFT JOIN pg_roles grantee ON grantee.oid = g.grantee
)
SELECT kind, rel, NULL, name, definition, NULL, NULL, true, false, ARRAY[attname],
	(SELECT jsonb_agg(jsonb_build_object('type', a.type, 'names', a.object_names, 'args', a.object_args)
		ORDER BY a.type, a.object_names, a.object_args)
	FROM pg_depend d CROSS JOIN pg_identify_object_as_address(d.refclassid, d.refobjid, d.refobjsubid) a
	WHERE d.classid = needed_class AND d.objid = needed_by AND d.deptype = 'n'
		AND NOT (d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT tree.relid FROM tree))),
	grantor, grantee, NULL, NULL, true
FROM (
	-- from the partitions upward, before anything else
	SELECT 'not null' AS kind, c.relid, -c.level AS place, c.rel, c.attnum, c.attname, n.conname AS name, 0 AS n, 0::bigint AS nth,
		'NOT NULL ' || quote_ident(c.attname) AS definition,
		NULL::oid AS needed_class, NULL::oid AS needed_by, NULL::name AS grantor, NULL::name AS grantee
	FROM pairs c
	JOIN pg_constraint n ON n.contype = 'n' AND n.conrelid = c.relid AND n.conkey = ARRAY[c.attnum]
	JOIN pg_constraint o ON o.contype = 'n' AND o.conrelid = c.above AND o.conkey = ARRAY[c.above_attnum]
	WHERE n.conname <> o.conname
	UNION ALL
	SELECT 'column property', relid, level, rel, attnum, attname, NULL, n, nth, definition, needed_class, needed_by, grantor, grantee
	FROM properties
) s
ORDER BY kind DESC, place, relid, attnum, n, nth, definition
