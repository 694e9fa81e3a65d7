--
-- rollback: the rollback loses nothing, whatever the new application wrote at version 4.  Old rows come back byte for byte; every
-- other row gets legacy values that map to its entry again; what cannot be is refused, with the rows, before anything is changed.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 303
\i :abs_srcdir/fixtures/begin.sql

-- nothing written in between: all comes back, types that no slug gives included
SELECT type, provider, count(*) FROM connections.connections GROUP BY 1, 2 ORDER BY 1, 2;
:remember
CREATE TEMP TABLE legacy AS TABLE connections.connections;
SELECT connections_migrate(4);
SELECT connections_rollback(0);
:differences

-- the entry that each row maps to by the runbook's rule, without the extension
SET check_function_bodies = off;
CREATE FUNCTION pg_temp.astray() RETURNS TABLE (id uuid, provider text, capability text, slug text) LANGUAGE sql AS $$
SELECT c.id, c.provider, c.config ->> 'capability', a.slug
FROM connections.connections c JOIN connections.available_connections a ON a.id = c.available_connection_id
WHERE a.slug IS DISTINCT FROM CASE c.provider WHEN 'google_workspace' THEN c.config ->> 'capability' ELSE c.provider END
ORDER BY 1
$$;

-- the new application writes
SELECT connections_migrate(4);
CREATE TEMP TABLE picked AS
SELECT c.id, a.slug, row_number() OVER (PARTITION BY a.slug ORDER BY c.id) AS n
FROM connections.connections c JOIN connections.available_connections a ON a.id = c.available_connection_id;
INSERT INTO connections.available_connections (id, slug, display_name, auth_type)
VALUES ('0c0a1e9d-0000-4000-8000-000000000006', 'slack', 'Slack', 'oauth2');
-- NULL labels, one on a name that was empty before
UPDATE connections.connections SET label = NULL WHERE id IN (SELECT id FROM picked WHERE slug = 'smtp' AND n <= 3);
SELECT count(*) AS empty_before FROM legacy WHERE name = '';
-- re-pointed: from one capability to the other, away from a capability and towards one
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000003'
WHERE id IN (SELECT id FROM picked WHERE slug = 'calendar' AND n <= 2);
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000001'
WHERE id IN (SELECT id FROM picked WHERE slug = 'gmail' AND n = 1);
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000004'
WHERE id IN (SELECT id FROM picked WHERE slug = 'sheets' AND n = 1);
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000006'
WHERE id IN (SELECT id FROM picked WHERE slug = 'telegram' AND n = 1);
-- config changed: without the capability, with another one, as JSON null, without anything
UPDATE connections.connections SET config = config - 'capability' WHERE id IN (SELECT id FROM picked WHERE slug = 'sheets' AND n = 2);
UPDATE connections.connections SET config = config || '{"capability": "drive"}' WHERE id IN (SELECT id FROM picked WHERE slug = 'sheets' AND n = 3);
UPDATE connections.connections SET config = config || '{"capability": null}' WHERE id IN (SELECT id FROM picked WHERE slug = 'sheets' AND n = 4);
UPDATE connections.connections SET config = '{}' WHERE id IN (SELECT id FROM picked WHERE slug = 'sheets' AND n = 5);
-- deleted and inserted
DELETE FROM connections.connections WHERE id IN (SELECT id FROM picked WHERE slug = 'gmail' AND n IN (2, 3));
INSERT INTO connections.connections (id, user_id, available_connection_id, label, config, created_at, updated_at)
SELECT md5('new ' || a.slug)::uuid, md5('user')::uuid, a.id, nullif(a.slug, 'gmail'), '{"new": true}', '2025-01-01', '2025-01-01'
FROM connections.available_connections a;
CREATE TEMP TABLE touched AS
SELECT id FROM connections.connections c
WHERE NOT EXISTS (SELECT FROM legacy l JOIN picked p USING (id) JOIN connections.available_connections a USING (slug)
	WHERE l.id = c.id AND (l.name, l.config, a.id) = (c.label, c.config, c.available_connection_id));
SELECT count(*) FROM touched;
CREATE TEMP TABLE version_4 AS TABLE connections.connections;

SELECT check_name, status, found, expected, hint FROM connections_precheck(3)
WHERE check_name IN ('available_connections', 'rollback_rows', 'rollback_constraints');
SELECT connections_rollback(3);

-- rows that the new application left alone are what they were, to the last byte
SELECT count(*) FROM connections.connections c JOIN legacy l USING (id)
WHERE id NOT IN (SELECT id FROM touched) AND (l.*)::text = ROW(c.id, c.user_id, c.provider, c.type, c.name, c.config, c.created_at, c.updated_at)::text;
SELECT count(*) FROM connections.connections WHERE id NOT IN (SELECT id FROM touched);
-- the others: the entry that they point to, and the legacy values for it
SELECT CASE WHEN l.id IS NULL THEN 'new' ELSE 'old' END AS row, p.slug AS was, a.slug, c.provider, c.type, l.type AS old_type, c.name = '' AS no_name,
	c.config ->> 'capability' AS capability, v.label IS NULL AS has_null_label, c.config - 'capability' = v.config - 'capability' AS rest_is_same,
	c.updated_at = v.updated_at AS not_moved
FROM touched t
JOIN connections.connections c ON c.id = t.id
JOIN version_4 v ON v.id = t.id
JOIN connections.available_connections a ON a.id = c.available_connection_id
LEFT JOIN legacy l ON l.id = t.id
LEFT JOIN picked p ON p.id = t.id
ORDER BY 1 DESC, 2, p.n, 3;
-- configs that had to change are those that did not give the entry, and no others
SELECT count(*) FROM connections.connections c JOIN version_4 v USING (id) WHERE c.config::text <> v.config::text;
SELECT * FROM pg_temp.astray();
SELECT id FROM version_4 v FULL JOIN connections.connections c USING (id) WHERE v.available_connection_id IS DISTINCT FROM c.available_connection_id;

-- forward again: NULL labels that are still empty are NULL, one that was given a name keeps it, one that was emptied is not NULL
UPDATE connections.connections SET name = 'renamed' WHERE id = (SELECT id FROM picked WHERE slug = 'smtp' AND n = 1);
SELECT connections_migrate(4);
SELECT p.slug, p.n, c.label FROM connections.connections c JOIN picked p USING (id)
WHERE c.label IS NULL OR (p.slug = 'smtp' AND n <= 3) ORDER BY 1, 2;
SELECT count(*) FILTER (WHERE label IS NULL) AS null_labels, count(*) FILTER (WHERE label = '') AS empty_labels FROM connections.connections;
SELECT id FROM version_4 v FULL JOIN connections.connections c USING (id) WHERE v.available_connection_id IS DISTINCT FROM c.available_connection_id;

-- all the rollback and forth: the mapping of every row gives its entry again, also of those of the sixth one
SELECT connections_rollback(0);
SELECT a.name, count(c.id) FROM connections.available_connections a
LEFT JOIN connections.connections c ON a.name = CASE c.provider WHEN 'google_workspace' THEN c.config ->> 'capability' ELSE c.provider END
GROUP BY 1 ORDER BY 1;
SELECT status, found FROM connections_precheck(4) WHERE check_name IN ('available_connections', 'mapping');
SELECT connections_migrate(3);
SELECT * FROM pg_temp.astray();
SELECT connections_migrate(4);
SELECT id FROM version_4 v FULL JOIN connections.connections c USING (id) WHERE v.available_connection_id IS DISTINCT FROM c.available_connection_id;
SELECT slug, display_name, auth_type FROM connections.available_connections ORDER BY 1;
-- what was kept of an entry is not given to another one that has its id, or its name, when step 1 is applied again
UPDATE connections.available_connections SET display_name = initcap(slug), auth_type = 'none';
SELECT connections_rollback(0);
DELETE FROM connections.connections WHERE provider = 'slack';
DELETE FROM connections.available_connections WHERE name = 'telegram';
UPDATE connections.available_connections SET name = 'telegram' WHERE name = 'slack';
UPDATE connections.available_connections SET id = md5(name)::uuid WHERE name = 'gmail';
SELECT connections_migrate(1);
SELECT slug, display_name, auth_type FROM connections.available_connections ORDER BY 1;
-- a type that was kept is that of a connection to this entry, and of no other
CREATE TEMP TABLE imap AS SELECT id, row_number() OVER (ORDER BY id) AS n FROM connections.connections WHERE provider = 'smtp' ORDER BY id LIMIT 2;
UPDATE connections.connections SET type = 'imap' WHERE id IN (SELECT id FROM imap);
SELECT connections_migrate(4);
UPDATE connections.connections SET available_connection_id = '0c0a1e9d-0000-4000-8000-000000000001' WHERE id = (SELECT id FROM imap WHERE n = 1);
SELECT connections_rollback(3);
SELECT n, provider, type FROM connections.connections JOIN imap USING (id) ORDER BY n;
\set ECHO none
\i :fixtures/drop.sql
