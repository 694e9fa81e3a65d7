/*-------------------------------------------------------------------------
 *
 * check_environment.c
 *	  Checks of the environment of the tables: settings, other sessions,
 *	  publications, the disk.
 *
 * Most of them only warn: the situation may change at any time, and a migration
 * that it affects waits or fails by itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/statvfs.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"

#include "base/sql_exec.h"
#include "checks/checks_internal.h"

/* Minimum age of a transaction that is reported */
#define OLD_TRANSACTION "interval '1 second'"

static int64 free_bytes(const char *path);

void
crd_check_citus(CrdReport *report)
{
	CrdResult  *rows = crd_query(CRD_CALLER, "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
								 " WHERE c.relname = 'pg_dist_partition' AND n.nspname = 'pg_catalog'", 0);

	if (rows->nrows > 0)
		rows = crd_query(CRD_CALLER, "SELECT logicalrelid FROM pg_dist_partition"
						 " WHERE logicalrelid IN ($1::oid, $2::oid)", 2,
						 psprintf("%u", report->context->schema->relation[CRD_CONNECTIONS].relid),
						 psprintf("%u", report->context->schema->relation[CRD_AVAILABLE_CONNECTIONS].relid));
	if (rows->nrows > 0)
		crd_report_put(report, CRD_ERROR, psprintf("%s is a Citus table", rows->row[0][0]),
					   "Undistribute the tables before the migration: undistribute_table().");
}

void
crd_check_row_level_security(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (schema->relation[table].rls_forced_on_owner)
			crd_report_put(report, report->context->online ? CRD_ERROR : CRD_WARNING,
						   psprintf("FORCE ROW LEVEL SECURITY on %s", schema->relation[table].name),
						   report->context->online ?
						   "Lift FORCE during the run, or use the atomic mode, which lifts it under its lock." :
						   "Only the atomic mode can be used: it lifts FORCE under its lock, and restores it.");
		else
			crd_report_put(report, CRD_OK, psprintf("the owner of %s sees every row", schema->relation[table].name), NULL);

	/* a query of the partitioned table does not apply a partition's policies */
	crd_report_rows(report, CRD_WARNING,
					crd_query(CRD_CALLER,
							  "SELECT format('FORCE ROW LEVEL SECURITY on the partition %s', c.oid::regclass)"
							  " FROM pg_partition_tree($1::oid) t JOIN pg_class c ON c.oid = t.relid"
							  " JOIN pg_roles r ON r.oid = c.relowner"
							  " WHERE t.level > 0 AND c.relrowsecurity AND c.relforcerowsecurity AND NOT r.rolbypassrls AND NOT r.rolsuper"
							  " ORDER BY t.level, c.oid::regclass", 1,
							  psprintf("%u", schema->relation[CRD_CONNECTIONS].relid)),
					NULL, "Lift FORCE during the run, which fails where it has to read the partition itself.");
}

void
crd_check_isolation(CrdReport *report)
{
	if (XactIsoLevel != XACT_READ_COMMITTED)
		crd_report_put(report, CRD_WARNING, XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ or other",
					   "Migrate in a READ COMMITTED transaction.");
}

/* The atomic mode is not affected: it rolls back with the statement. */
void
crd_check_statement_timeout(CrdReport *report)
{
	if (StatementTimeout != 0)
		crd_report_put(report, CRD_WARNING, psprintf("statement_timeout = %d ms", StatementTimeout),
					   "An online run is one statement: SET statement_timeout = 0, or repeat the call until it completes.");
}

void
crd_check_publications(CrdReport *report)
{
	crd_report_rows(report, CRD_WARNING,
					crd_query(CRD_CALLER, "SELECT format('publication %I of table %s', pubname, tablename)"
							  " FROM pg_publication_tables WHERE schemaname = 'connections'"
							  " AND tablename IN ('connections', 'available_connections') ORDER BY 1", 0),
					NULL, "Logical replication includes neither DDL nor a table rewrite: migrate the subscribers as well, in the order given in docs/replication.md.");
}

void
crd_check_locks(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	crd_report_rows(report, CRD_WARNING,
					crd_query(CRD_CALLER,
							  "SELECT format('process %s (%s, transaction open for %s) has a lock on %s', coalesce(l.pid::text, 'none'),"
							  "  CASE WHEN a.backend_type = 'autovacuum worker' AND a.query LIKE '%to prevent wraparound%'"
							  "   THEN 'anti-wraparound autovacuum, which does not yield'"
							  "   WHEN l.pid IS NULL THEN 'prepared transaction'"
							  "   ELSE coalesce(a.state, a.backend_type, 'state hidden') END,"
							  "  coalesce(date_trunc('second', clock_timestamp() - a.xact_start)::text, 'unknown time'),"
							  "  string_agg(DISTINCT l.relation::regclass::text, ', '))"
							  " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
							  " WHERE l.locktype = 'relation' AND l.granted AND l.relation IN ($1::oid, $2::oid)"
							  " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
							  " AND l.pid IS DISTINCT FROM pg_backend_pid()"
							  " AND (a.xact_start IS NULL OR a.xact_start < clock_timestamp() - " OLD_TRANSACTION ")"
							  " GROUP BY l.pid, a.backend_type, a.query, a.state, a.xact_start ORDER BY l.pid", 2,
							  psprintf("%u", schema->relation[CRD_CONNECTIONS].relid),
							  psprintf("%u", schema->relation[CRD_AVAILABLE_CONNECTIONS].relid)),
					NULL, "The migration waits for its lock as long as lock_timeout and lock_attempts allow: let the transaction end first.");
}

void
crd_check_old_snapshots(CrdReport *report)
{
	crd_report_rows(report, CRD_WARNING,
					crd_query(CRD_CALLER,
							  "SELECT format('process %s (%s) has had a transaction open for %s', pid, coalesce(state, backend_type),"
							  "  date_trunc('second', clock_timestamp() - xact_start))"
							  " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
							  " AND backend_xmin IS NOT NULL AND xact_start < clock_timestamp() - " OLD_TRANSACTION
							  " AND backend_type <> 'autovacuum worker'"
							  " UNION ALL"
							  " SELECT format('prepared transaction %L of %s', gid, owner) FROM pg_prepared_xacts"
							  " WHERE database = current_database()"
							  " UNION ALL"
							  " SELECT format('inactive replication slot %I keeps WAL from %s on', slot_name, restart_lsn)"
							  " FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL"
							  " ORDER BY 1", 0),
					NULL, "To a snapshot taken before a rewrite, the table appears empty afterwards: let backups and reports end first.");
}

/* A rewrite creates a second copy of the table and its indexes, and as much WAL. */
void
crd_check_disk_space(CrdReport *report)
{
	CrdResult  *rows = crd_query(CRD_CALLER,
								 "SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0)::int8,"
								 " pg_size_pretty(2 * coalesce(sum(pg_total_relation_size(t.relid)), 0))"
								 " FROM pg_partition_tree($1::oid) t"
								 " UNION ALL SELECT pg_total_relation_size($1::oid), pg_size_pretty(2 * pg_total_relation_size($1::oid))"
								 " ORDER BY 1 DESC LIMIT 1", 1,
								 psprintf("%u", report->context->schema->relation[CRD_CONNECTIONS].relid));
	int64		needed = pg_strtoint64(rows->row[0][0]);
	int64		data = free_bytes(DataDir);
	int64		wal = free_bytes("pg_wal");

	if (data >= 0 && wal >= 0 && (data < 2 * needed || wal < 2 * needed))
		crd_report_put_expected(report, CRD_WARNING,
								psprintf("%lld MB free for data, %lld MB for WAL",
										 (long long) data / (1024 * 1024), (long long) wal / (1024 * 1024)),
								psprintf("%s for a second copy of the table and its indexes, and for their WAL", rows->row[0][1]),
								"Free disk space before the migration.");
}

/* Free space in bytes, or -1 if unknown */
static int64
free_bytes(const char *path)
{
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		return -1;
	return (int64) fs.f_bavail * fs.f_frsize;
}
