--
-- interface: every function, view and table of the extension: signatures, results, who may use them, comments, what a dump takes along;
-- and the registry.  What is not listed here does not exist.
--
SELECT p.proname, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'connections_redesign' AND p.pronamespace = e.extnamespace
ORDER BY 1, 2;
SELECT p.proname, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result, p.prokind AS kind,
	p.provolatile AS volatile, p.proparallel AS parallel, p.proisstrict AS strict
FROM pg_proc p WHERE pronamespace = 'connections_redesign'::regnamespace ORDER BY 1, 2;
-- none runs as its owner, none has settings of its own
SELECT p.oid::regprocedure FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'connections_redesign' AND (p.prosecdef OR p.proconfig IS NOT NULL);

SELECT c.relname, c.relkind, attname, format_type(atttypid, atttypmod) FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
WHERE relnamespace = 'connections_redesign'::regnamespace AND relkind = 'v' ORDER BY relname, attnum;
SELECT relname, relkind FROM pg_class WHERE relnamespace = 'connections_redesign'::regnamespace AND relkind IN ('r', 'S') ORDER BY 1;

-- who may call what writes, and read what is kept: the owner only
SELECT p.proname FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'connections_redesign'
	AND NOT EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) WHERE grantee = 0)
ORDER BY 1;
SELECT relname, relkind, privilege_type FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl)
WHERE relnamespace = 'connections_redesign'::regnamespace AND relkind IN ('r', 'v', 'S') AND grantee <> relowner ORDER BY 1, 3;
SELECT privilege_type FROM pg_namespace CROSS JOIN LATERAL aclexplode(nspacl) WHERE nspname = 'connections_redesign' AND grantee = 0;

-- everything has a comment
SELECT d.classid::regclass, pg_describe_object(d.classid, d.objid, 0)
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'connections_redesign' AND d.deptype = 'e'
	AND coalesce(obj_description(d.objid, d.classid::regclass::name), '') = ''
	AND (d.classid <> 'pg_class'::regclass OR d.objid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'i'))
	AND d.classid <> 'pg_type'::regclass
ORDER BY 2;
SELECT obj_description(oid, 'pg_extension') <> '' AS commented FROM pg_extension WHERE extname = 'connections_redesign';

-- a dump takes the contents of every table and sequence along
SELECT relname FROM pg_class WHERE relnamespace = 'connections_redesign'::regnamespace AND relkind IN ('r', 'S')
	AND oid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'connections_redesign')::oid[])
ORDER BY 1;

\pset format unaligned
\pset null NULL
SELECT * FROM connections_registry();
-- the runbook's provider, capability and auth_type of each
SELECT string_agg(DISTINCT provider, ', ' ORDER BY provider), count(*), count(DISTINCT slug), count(capability) FROM connections_registry();

-- settings
SELECT name, setting, unit, vartype, context, min_val, max_val, short_desc FROM pg_settings WHERE name LIKE 'connections_redesign.%' ORDER BY 1;
SET connections_redesign.lock_attempts = 0;
\set VERBOSITY sqlstate
SET connections_redesign.lock_timeout = 0;
\set VERBOSITY default
SET connections_redesign.no_such_setting = 1;

-- helper functions
SELECT connections_redesign.config_capability('{"capability": "a"}'), connections_redesign.config_capability('{}'), connections_redesign.config_capability(NULL),
	connections_redesign.config_capability_is_null('{"capability": null}'), connections_redesign.config_capability_is_null('{}');
SELECT connections_redesign.set_config_capability('{"capability": 1}', E'a"b\\c\u00fc'), connections_redesign.set_config_capability('{}', NULL);
SELECT connections_redesign.set_config_capability('[]', 'a');
\echo :LAST_ERROR_SQLSTATE
SELECT connections_redesign.set_config_capability('"capability"', 'a');
SELECT connections_redesign.sample_keys(n::text) FROM generate_series(1, 20) AS n;
SELECT connections_redesign.sample_keys(key) FROM (VALUES ('b'), (NULL), ('B'), ('ä'), ('b')) AS keys (key);
SELECT connections_redesign.sample_keys(key) FROM (VALUES (NULL::text)) AS keys (key);
SELECT connections_redesign.sample_keys(n::text) FROM generate_series(1, 0) AS n;
