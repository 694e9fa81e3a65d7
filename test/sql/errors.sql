--
-- errors: what bad input and bad transactions get, from migrate, rollback, plan and precheck.  Every error has its SQLSTATE and leaves
-- each row and everything that the system catalogs say of both tables as it was.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set rows 50
\i :abs_srcdir/fixtures/begin.sql
:remember

-- arguments
SELECT connections_migrate(0);
:unchanged
SELECT connections_migrate(5);
:unchanged
SELECT connections_migrate(-1);
:unchanged
SELECT connections_migrate(NULL);
:unchanged
SELECT connections_rollback(-1);
:unchanged
SELECT connections_rollback(4);
:unchanged
SELECT * FROM connections_plan(-1);
:unchanged
SELECT * FROM connections_plan(5);
:unchanged
SELECT * FROM connections_plan(NULL);
:unchanged
SELECT * FROM connections_plan(4, NULL);
:unchanged
SELECT * FROM connections_precheck(-1);
:unchanged
SELECT * FROM connections_precheck(5);
:unchanged
SELECT * FROM connections_precheck(NULL);
:unchanged

-- the isolation level and the mode of the transaction, even where there is nothing to do
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT connections_migrate(4);
ROLLBACK;
:unchanged
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT connections_migrate(4);
ROLLBACK;
:unchanged
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT connections_rollback();
ROLLBACK;
:unchanged
BEGIN READ ONLY;
SELECT connections_migrate(4);
ROLLBACK;
:unchanged
BEGIN READ ONLY;
SELECT connections_rollback();
ROLLBACK;
:unchanged
BEGIN READ ONLY;
SELECT check_name, status FROM connections_precheck() WHERE status = 'error';
SELECT count(*) > 0 AS planned FROM connections_plan();
SELECT count(*) FROM connections_status();
ROLLBACK;

-- trigger events of the same transaction are still pending, or a query is still open: core's own refusal
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON connections.connections DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION connections.touch_updated_at();
:remember
BEGIN;
UPDATE connections.connections SET name = name;
SELECT connections_migrate(4);
ROLLBACK;
:unchanged
DROP TRIGGER later ON connections.connections;
:remember
BEGIN;
DECLARE open CURSOR FOR SELECT FROM connections.connections;
FETCH open;
SELECT connections_migrate(4);
ROLLBACK;
:unchanged

-- before step 1 there is no catalog to seed or to show
SELECT * FROM connections_seed_catalog();
:unchanged
SELECT * FROM connections_available();
:unchanged

-- an error in one call undoes the call, not what the transaction did before
BEGIN;
SELECT connections_migrate(1);
SAVEPOINT one;
UPDATE connections.connections SET provider = 'gopher' WHERE id = (SELECT min(id::text)::uuid FROM connections.connections);
SELECT connections_migrate(4);
ROLLBACK TO one;
SELECT connections_migrate(2);
SELECT step, state FROM connections_status();
ROLLBACK;
:unchanged

-- overrides of the seed
SELECT connections_migrate(1);
:remember
SELECT * FROM connections_seed_catalog('{"slug": "gmail"}');
:unchanged
SELECT * FROM connections_seed_catalog('"gmail"');
:unchanged
SELECT * FROM connections_seed_catalog('null');
:unchanged
SELECT * FROM connections_seed_catalog('["gmail"]');
:unchanged
SELECT * FROM connections_seed_catalog('[[]]');
:unchanged
SELECT * FROM connections_seed_catalog('[null]');
:unchanged
SELECT * FROM connections_seed_catalog('[{}]');
:unchanged
SELECT * FROM connections_seed_catalog('[{"slug": "gmail"}, {"icon": "a.svg"}]');
:unchanged
SELECT * FROM connections_seed_catalog('[{"slug": null}]');
:unchanged
SELECT * FROM connections_seed_catalog('[{"slug": 1}]');
:unchanged
SELECT * FROM connections_seed_catalog('[{"slug": "Gmail"}]');
:unchanged
SELECT * FROM connections_seed_catalog('[{"slug": "gmail"}, {"slug": "smtp"}, {"slug": "gmail", "icon": "a.svg"}]');
:unchanged
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "auth_type": "basic"}]');
:unchanged
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "Icon": "a.svg"}]');
:unchanged
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "icon": 1}]');
:unchanged
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "cover": {"url": "a.png"}}]');
:unchanged
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "description": true}]');
:unchanged
BEGIN READ ONLY;
SELECT * FROM connections_seed_catalog();
ROLLBACK;
:unchanged
-- these are good
BEGIN;
SELECT * FROM connections_seed_catalog('[]');
SELECT * FROM connections_seed_catalog('[{"slug": "gmail"}]');
SELECT * FROM connections_seed_catalog('[{"slug": "gmail", "icon": null}, {"slug": "smtp", "cover": "x"}]');
ROLLBACK;
:differences

\set ECHO none
\i :fixtures/drop.sql
