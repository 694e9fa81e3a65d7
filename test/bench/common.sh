# What the measurements share, beside setup.sh: the server, fresh copies of one legacy database, and a table of what was measured.
# shellcheck shell=bash

# Starts the server, and creates the database $1 with $2 connections.  The legacy table's audit triggers are dropped: they would slow
# down the plain SQL alone, whose UPDATEs fire them.
start_bench()
{
	start_server 'fsync = on' 'shared_buffers = 1GB' 'max_wal_size = 8GB' 'checkpoint_timeout = 1h' 'autovacuum = off'
	psql --quiet --dbname=postgres --command='CREATE TABLE measured (what text, side text, seconds numeric, wal numeric, size numeric)'
}

create_bench()
{
	create_legacy "$1" "$2"
	psql --quiet --dbname="$1" <<'SQL'
DROP TRIGGER connections_audit ON connections.connections;
DROP TRIGGER available_connections_audit ON connections.available_connections;
CREATE EXTENSION connections_redesign;
VACUUM (FREEZE, ANALYZE);
SELECT format('%s rows, %s MB with indexes, %s bytes a row', count(*), round(pg_total_relation_size('connections.connections') / 1e6),
	pg_relation_size('connections.connections') / count(*)) AS line
FROM connections.connections \gset
\echo :line
SQL
}

# Makes the database work a fresh copy of the database $1.
fresh_copy()
{
	dropdb --if-exists work 2> /dev/null
	createdb --template="$1" --strategy=file_copy work
}

# Prints the SQL that runs the plain SQL of the migrations named, all in one transaction.
plain_sql()
{
	printf 'BEGIN;\n'
	printf '\\i :fixtures/typeorm/%s\n' "$@"
	printf 'COMMIT;\n'
}

# Runs the SQL on stdin in the database $1 and notes what it took, as what $2 and side $3.
measure()
{
	psql --quiet --dbname="$1" --set=what="$2" --set=side="$3" --set=fixtures="$fixtures" <<SQL
SET client_min_messages = error;
CHECKPOINT;
SELECT clock_timestamp() AS began, pg_current_wal_insert_lsn() AS lsn \gset
\o /dev/null
$(cat)
\o
SELECT
	extract(epoch FROM clock_timestamp() - :'began') AS seconds,
	pg_current_wal_insert_lsn() - :'lsn' AS wal,
	pg_total_relation_size('connections.connections') AS size \gset
\connect postgres
INSERT INTO measured VALUES (:'what', :'side', :seconds, :wal, :size);
SELECT format('%-8s %-9s %8s s %8s MB WAL %8s MB table', :'what', :'side', round(:seconds, 2), round(:wal / 1e6), round(:size / 1e6)) AS line \gset
\echo :line
SQL
}
