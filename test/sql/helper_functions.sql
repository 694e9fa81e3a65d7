--
-- The helper functions are for everybody to call: whatever they are given, they answer or refuse, and the server stays up.
--
DROP EXTENSION connections_redesign;
CREATE EXTENSION connections_redesign;
CREATE ROLE regress_crd_guest;
CREATE SCHEMA guest AUTHORIZATION regress_crd_guest;
SET ROLE regress_crd_guest;

-- a state that the aggregate never makes
SELECT connections_redesign.sample_keys_accum(array_fill('x'::text, ARRAY[100000]), 'a');
SELECT connections_redesign.sample_keys_accum(ARRAY['b', NULL, 'a', 'd', 'c'], NULL);
SELECT connections_redesign.sample_keys_accum(NULL, NULL) IS NULL AS nothing;
SELECT connections_redesign.sample_keys_combine(array_fill(NULL::text, ARRAY[10]), array_fill('x'::text, ARRAY[10, 10]));
SELECT connections_redesign.sample_keys(k) FROM unnest(ARRAY['b', NULL, 'a', 'd', 'c', 'a']) k;

-- JSON of all kinds
SELECT j, connections_redesign.config_capability(j::json), connections_redesign.config_capability_is_null(j::json)
FROM unnest(ARRAY['{}', ' { } ', '[]', 'null', '1', '"capability"', '{"capability":null}', '{"capability":"a","capability":"b"}',
	'{"a":{"capability":"deep"}}', '{"a":"}","b":[{"x":"]"}],"capability" : "c" }', '{"capability":{"x":[1,2]}}', '{"capability":-1.5e3}',
	'{"cap\u0061bility":"\u0073heets"}', '{"x":"\u0000","capability":"read"}', '{"capability":"\ud83d\ude00"}', '{"capability":"\ud83d"}',
	'{"capability":"\"\\"}', '{"capability":""}']) j;
SELECT j, connections_redesign.set_config_capability(j::json, 'a"b')
FROM unnest(ARRAY['{}', ' { } ', '{"x" : 1}', '{"capability":null , "x":"\u0000"}', '{"x":1,"capability":{"y":2}}']) j;
SELECT connections_redesign.set_config_capability('[]', 'a');

-- the sync trigger on tables that it does not understand leaves rows alone
CREATE TABLE guest.odd (provider text, config int, available_connection_id int);
CREATE TRIGGER b BEFORE INSERT OR UPDATE ON guest.odd FOR EACH ROW
	EXECUTE FUNCTION connections_redesign.sync_to_new('google_workspace', 'sheets', '1');
INSERT INTO guest.odd VALUES ('google_workspace', 5, NULL), (NULL, NULL, NULL) RETURNING *;
ALTER TABLE guest.odd ALTER config TYPE text;
UPDATE guest.odd SET config = '{"capability' RETURNING *;
ALTER TABLE guest.odd DROP COLUMN config;
INSERT INTO guest.odd VALUES ('google_workspace', NULL) RETURNING *;
CREATE TABLE guest.bare (x int);
CREATE TRIGGER b BEFORE INSERT ON guest.bare FOR EACH ROW EXECUTE FUNCTION connections_redesign.sync_to_new();
INSERT INTO guest.bare VALUES (1) RETURNING *;
CREATE TRIGGER d BEFORE DELETE ON guest.bare FOR EACH ROW EXECUTE FUNCTION connections_redesign.sync_to_new();
DELETE FROM guest.bare;

-- a cast that he may not call, the sync trigger does not call for him
RESET ROLE;
CREATE TYPE public.regress_crd_secret AS ENUM ('gmail');
CREATE FUNCTION public.regress_crd_reveal(public.regress_crd_secret) RETURNS text SECURITY DEFINER LANGUAGE plpgsql AS
	$$ BEGIN RAISE NOTICE 'called for %', session_user = current_user; RETURN enum_out($1)::text; END $$;
CREATE CAST (public.regress_crd_secret AS text) WITH FUNCTION public.regress_crd_reveal;
REVOKE EXECUTE ON FUNCTION public.regress_crd_reveal FROM PUBLIC;
SET ROLE regress_crd_guest;
SELECT public.regress_crd_reveal('gmail');
CREATE TABLE guest.caller (provider public.regress_crd_secret, config jsonb, available_connection_id int);
CREATE TRIGGER b BEFORE INSERT ON guest.caller FOR EACH ROW EXECUTE FUNCTION connections_redesign.sync_to_new('gmail', '', '1');
INSERT INTO guest.caller VALUES ('gmail', '{}', NULL) RETURNING *;
RESET ROLE;
GRANT EXECUTE ON FUNCTION public.regress_crd_reveal TO regress_crd_guest;
SET ROLE regress_crd_guest;
INSERT INTO guest.caller VALUES ('gmail', '{}', NULL) RETURNING *;
\c -
DROP TABLE guest.caller;
DROP TYPE public.regress_crd_secret CASCADE;
SET ROLE regress_crd_guest;

-- those that write the saved state, or read it, do so for the table of connections only
CREATE TABLE guest.connections (id int PRIMARY KEY, provider text, type text, label text, config jsonb, available_connection_id int);
CREATE TRIGGER k AFTER INSERT OR UPDATE OR DELETE ON guest.connections FOR EACH ROW
	EXECUTE FUNCTION connections_redesign.save_type('1', '=oauth2');
CREATE TRIGGER z BEFORE INSERT OR UPDATE ON guest.connections FOR EACH ROW
	EXECUTE FUNCTION connections_redesign.sync_to_legacy('types', '1', 'gmail', '', '=oauth2');
INSERT INTO guest.connections VALUES (1, NULL, NULL, NULL, '{}', 1), (2, 'gmail', 'forged', '', '{}', 1) RETURNING *;
UPDATE guest.connections SET type = 'forged';
DELETE FROM guest.connections WHERE id = 1;
CREATE TRIGGER z BEFORE INSERT ON guest.bare FOR EACH ROW EXECUTE FUNCTION connections_redesign.sync_to_legacy();
CREATE TRIGGER k AFTER INSERT ON guest.bare FOR EACH ROW EXECUTE FUNCTION connections_redesign.save_type();
INSERT INTO guest.bare VALUES (1) RETURNING *;
CREATE TRIGGER s AFTER INSERT ON guest.bare FOR EACH STATEMENT EXECUTE FUNCTION connections_redesign.save_type();
INSERT INTO guest.bare VALUES (1) RETURNING *;
RESET ROLE;
SELECT (SELECT count(*) FROM connections_redesign.saved_connection_type) AS types, (SELECT count(*) FROM connections_redesign.saved_null_label) AS null_labels;
SET ROLE regress_crd_guest;

-- the saved state answers only those who own the tables, and there are none
SELECT connections_redesign.saved_type(NULL, NULL, NULL);
SELECT connections_redesign.saved_label_was_null('x');

RESET ROLE;
DROP SCHEMA guest CASCADE;
DROP ROLE regress_crd_guest;
