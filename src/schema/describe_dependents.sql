-- After dependents.sql: whether each object can be restored, and its description for reports.
SELECT DISTINCT kind IS NOT NULL,
	CASE
		WHEN d.classid = 'pg_constraint'::regclass AND kind IS NULL AND c.contype = 'f'
			THEN format('foreign key %I of table %s', c.conname, c.conrelid::regclass)
		WHEN d.classid = 'pg_constraint'::regclass AND kind IS NULL AND c.contype = 'p'
			THEN format('primary key of table %s', c.conrelid::regclass)
		ELSE (SELECT o.type || ' ' || o.identity FROM pg_identify_object(
			CASE WHEN ev_class IS NULL THEN d.classid ELSE 'pg_class'::regclass END,
			coalesce(ev_class, d.objid),
			CASE WHEN ev_class IS NULL THEN d.objsubid ELSE 0 END) o)
	END
FROM dependents d
LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
WHERE attached IS NULL AND (kind IS NULL OR kind NOT IN ('inherited', 'not null', 'default'))
ORDER BY 1, 2
