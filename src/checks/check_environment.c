/*-------------------------------------------------------------------------
 *
 * environment.c
 *	  Checks of what is around the tables: other sessions, the server, the disk.
 *
 * Most of this is advice: it changes from one moment to the next, and a
 * migration that meets it waits or fails by itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/statvfs.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"

#include "checks/checks_internal.h"
#include "base/sql_exec.h"

/* Transactions younger than this are not worth a warning */
#define OLD_TRANSACTION "interval '1 second'"

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
					   "local tables", "Undistribute the tables first: undistribute_table().");
	else
		crd_report_put(report, CRD_OK, "local tables", "local tables", NULL);
}

void
crd_check_row_level_security(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;
	CrdResult  *rows;

	for (CrdTable table = 0; table < CRD_NTABLES; table++)
		if (schema->relation[table].rls_forced_on_owner)
			crd_report_put(report, report->context->online ? CRD_ERROR : CRD_WARNING,
						   psprintf("FORCE ROW LEVEL SECURITY on %s", schema->relation[table].name),
						   "an owner who sees every row",
						   report->context->online ?
						   "Lift FORCE for the time of the run, or use the atomic mode, which lifts it under its lock." :
						   "The atomic mode lifts FORCE under its lock, and puts it back; the online mode refuses.");
		else
			crd_report_put(report, CRD_OK, psprintf("the owner of %s sees every row", schema->relation[table].name),
						   "an owner who sees every row", NULL);

	/* through the partitioned table, a partition's own do not count */
	rows = crd_query(CRD_CALLER,
					 "SELECT c.oid::regclass FROM pg_partition_tree($1::oid) t JOIN pg_class c ON c.oid = t.relid"
					 " JOIN pg_roles r ON r.oid = c.relowner"
					 " WHERE t.level > 0 AND c.relrowsecurity AND c.relforcerowsecurity AND NOT r.rolbypassrls AND NOT r.rolsuper"
					 " ORDER BY t.level, 1", 1,
					 psprintf("%u", schema->relation[CRD_CONNECTIONS].relid));
	for (int i = 0; i < rows->nrows; i++)
		crd_report_put(report, CRD_WARNING, psprintf("FORCE ROW LEVEL SECURITY on the partition %s", rows->row[i][0]),
					   "an owner who sees every row",
					   "Lift FORCE for the time of the run: it fails where it has to read the partition by itself.");
}

void
crd_check_isolation(CrdReport *report)
{
	if (XactIsoLevel == XACT_READ_COMMITTED)
		crd_report_put(report, CRD_OK, "READ COMMITTED", "READ COMMITTED", NULL);
	else
		crd_report_put(report, CRD_WARNING, XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ or other",
					   "READ COMMITTED", "Migrate in a READ COMMITTED transaction.");
}

/* Of no concern to the atomic mode, which ends with the statement anyway. */
void
crd_check_statement_timeout(CrdReport *report)
{
	if (StatementTimeout == 0)
		crd_report_put(report, CRD_OK, "none", "no statement_timeout, for the online mode", NULL);
	else
		crd_report_put(report, CRD_WARNING, psprintf("statement_timeout = %d ms", StatementTimeout),
					   "no statement_timeout, for the online mode",
					   "An online run is one statement: SET statement_timeout = 0, or call again until it is done.");
}

/* Report each row of a query as a warning, or that there is none. */
static void
put_warnings(CrdReport *report, CrdResult *rows, const char *none, const char *expected,
			 const char *hint)
{
	for (int i = 0; i < rows->nrows; i++)
		crd_report_put(report, CRD_WARNING, rows->row[i][0], expected, hint);
	if (rows->nrows == 0)
		crd_report_put(report, CRD_OK, none, expected, NULL);
}

void
crd_check_publications(CrdReport *report)
{
	put_warnings(report,
				 crd_query(CRD_CALLER, "SELECT format('publication %I of table %s', pubname, tablename)"
						   " FROM pg_publication_tables WHERE schemaname = 'connections'"
						   " AND tablename IN ('connections', 'available_connections') ORDER BY 1", 0),
				 "none", "no publication of the tables",
				 "Neither DDL nor a rewrite is replicated: migrate the subscribers, too, in the order that docs/replication.md says.");
}

void
crd_check_locks(CrdReport *report)
{
	const CrdSchema *schema = report->context->schema;

	put_warnings(report,
				 crd_query(CRD_CALLER,
						   "SELECT format('process %s (%s, transaction open for %s) has a lock on %s', coalesce(l.pid::text, 'none'),"
						   "  CASE WHEN a.backend_type = 'autovacuum worker' AND a.query LIKE '%to prevent wraparound%'"
						   "   THEN 'anti-wraparound autovacuum, which does not give way'"
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
				 "none", "nobody who would hold up the lock",
				 "The migration waits for its lock, for as long as lock_timeout and lock_attempts allow: let the transaction end first.");
}

void
crd_check_old_snapshots(CrdReport *report)
{
	put_warnings(report,
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
				 "none", "no old snapshots and nothing that retains WAL",
				 "A snapshot from before a rewrite sees the table as empty afterwards: let backups and reports end first.");
}

static int64
free_bytes(const char *path)
{
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		return -1;
	return (int64) fs.f_bavail * fs.f_frsize;
}

/*
 * A rewrite takes the table and its indexes once more, and as much WAL.
 */
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
		crd_report_put(report, CRD_WARNING,
					   psprintf("%lld MB free for data, %lld MB for WAL",
								(long long) data / (1024 * 1024), (long long) wal / (1024 * 1024)),
					   psprintf("%s: table and indexes once more, and their WAL", rows->row[0][1]),
					   "Make room before the migration.");
	else
		crd_report_put(report, CRD_OK, "enough", "room for the table and its indexes once more, and their WAL", NULL);
}
