/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  A background worker that runs one statement at top level.  See worker.h
 *	  for when.
 *
 * Protocol.  The leader puts a job and a queue into a segment of dynamic shared
 * memory, and registers a worker that gets the segment's handle.  The worker
 * attaches to the queue before it connects to the database, so that whatever it
 * reports reaches the leader with all its fields.  When the statement's last
 * transaction has committed, the worker marks the job as finished and exits,
 * which detaches the queue.  A queue that is detached says nothing by itself: it
 * looks the same when the worker could not be started.
 *
 * Security.  The worker connects as the leader's session user, since the owner
 * of a table may not be allowed to log in, and then becomes the role by SET
 * ROLE, with the server's own check.  It is not in a security-restricted
 * operation, which cannot outlast a transaction; building an index and VACUUM
 * put themselves into one before they run an owner's code.
 *
 * Cleanup.  The leader commits while the worker runs, and may catch errors in
 * subtransactions.  So what it keeps belongs neither to a transaction nor to a
 * resource owner, but lives until crd_worker_wait() has returned true or
 * crd_worker_stop() was called.  If the leader exits before that, the segment's
 * on_dsm_detach callback terminates the worker.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "connections_redesign.h"
#include "base/sql_exec.h"
#include "run/worker.h"

#define WORKER_TYPE "connections_redesign worker"

/* The segment's table of contents */
#define WORKER_MAGIC UINT64CONST(0x43524457)
#define KEY_JOB 1
#define KEY_SQL 2
#define KEY_QUEUE 3

/* As a parallel worker's; a longer message is sent in pieces */
#define QUEUE_SIZE 16384

/* What KEY_JOB names; the statement is the string at KEY_SQL */
typedef struct Job
{
	/* Written by the leader before it registers the worker, then constant */
	Oid			database;
	Oid			session_user;	/* whom the worker connects as */
	Oid			role;			/* whom it runs the statement as */
	int			maintenance_work_mem;	/* in kilobytes */

	/*
	 * Written by the worker before it detaches the queue, read by the leader
	 * after it has seen the queue detached, which is a barrier for both.
	 */
	bool		finished;
} Job;

/* What the leader keeps, in a context of its own below TopMemoryContext */
struct CrdWorker
{
	MemoryContext context;
	MemoryContext message_context;	/* reset with each message */
	dsm_segment *segment;		/* its mapping is pinned */
	const Job  *job;			/* these two are in the segment */
	const char *sql;
	BackgroundWorkerHandle *handle; /* NULL before it is registered */
	shm_mq_handle *queue;
};

/*
 * What the statement runs with beside what sql.c sets for every statement,
 * whatever the database and the session user have set.
 */
static const CrdSetting settings[] = {
	{"application_name", WORKER_TYPE},

	/* nobody but the leader decides how long it may take */
	{"lock_timeout", "0"},
	{"statement_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"transaction_timeout", "0"},

	/* the leader has checked that it may write */
	{"default_transaction_read_only", "off"},
	{"default_transaction_isolation", "read committed"},

	/* the leader sends on what its own client wants */
	{"client_min_messages", "notice"},
	{NULL, NULL}
};

static void create_segment(CrdWorker *worker, Oid role, const char *sql);
static void register_worker(CrdWorker *worker);
static void terminate(dsm_segment *segment, Datum arg);
static void release(CrdWorker *worker);
static bool relay_messages(CrdWorker *worker);
static void relay(CrdWorker *worker, const void *data, Size nbytes);
static const char *describe(CrdWorker *worker);
static void apply(const CrdSetting *setting);
static void apply_settings(const Job *job);
static void run_statement(const char *sql);

/*
 * The leader's side
 */

CrdWorker *
crd_worker_start(Oid role, const char *sql)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "connections_redesign worker",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CrdWorker  *worker = palloc0(sizeof(CrdWorker));

	worker->context = context;
	worker->message_context = AllocSetContextCreate(context,
													"connections_redesign worker message",
													ALLOCSET_SMALL_SIZES);
	create_segment(worker, role, sql);
	register_worker(worker);
	shm_mq_set_handle(worker->queue, worker->handle);
	MemoryContextSwitchTo(old);

	/* until here, an error would have made the abort release everything */
	dsm_pin_mapping(worker->segment);
	MemoryContextSetParent(context, TopMemoryContext);
	return worker;
}

/*
 * Create the segment with the job, the statement and the queue, in the current
 * transaction, and have the worker terminated when the segment is detached.
 */
static void
create_segment(CrdWorker *worker, Oid role, const char *sql)
{
	Size		sql_size = strlen(sql) + 1;
	shm_toc_estimator estimator;
	Size		size;
	shm_toc    *toc;
	Job		   *job;
	char	   *statement;
	shm_mq	   *mq;

	shm_toc_initialize_estimator(&estimator);
	shm_toc_estimate_chunk(&estimator, sizeof(Job));
	shm_toc_estimate_chunk(&estimator, sql_size);
	shm_toc_estimate_chunk(&estimator, QUEUE_SIZE);
	shm_toc_estimate_keys(&estimator, 3);
	size = shm_toc_estimate(&estimator);
	worker->segment = dsm_create(size, 0);
	on_dsm_detach(worker->segment, terminate, PointerGetDatum(worker));
	toc = shm_toc_create(WORKER_MAGIC, dsm_segment_address(worker->segment),
						 size);

	job = shm_toc_allocate(toc, sizeof(Job));
	job->database = MyDatabaseId;
	job->session_user = GetSessionUserId();
	job->role = role;
	job->maintenance_work_mem = Max(maintenance_work_mem, CRD_MAINTENANCE_WORK_MEM);
	job->finished = false;
	shm_toc_insert(toc, KEY_JOB, job);
	worker->job = job;

	statement = shm_toc_allocate(toc, sql_size);
	memcpy(statement, sql, sql_size);
	shm_toc_insert(toc, KEY_SQL, statement);
	worker->sql = statement;

	mq = shm_mq_create(shm_toc_allocate(toc, QUEUE_SIZE), QUEUE_SIZE);
	shm_toc_insert(toc, KEY_QUEUE, mq);
	shm_mq_set_receiver(mq, MyProc);
	worker->queue = shm_mq_attach(mq, worker->segment, NULL);
}

static void
register_worker(CrdWorker *worker)
{
	BackgroundWorker entry;

	memset(&entry, 0, sizeof(entry));
	snprintf(entry.bgw_name, BGW_MAXLEN, WORKER_TYPE " for PID %d", MyProcPid);
	strlcpy(entry.bgw_type, WORKER_TYPE, BGW_MAXLEN);
	entry.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	entry.bgw_start_time = BgWorkerStart_RecoveryFinished;
	entry.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(entry.bgw_library_name, "connections_redesign",
			sizeof(entry.bgw_library_name));
	strlcpy(entry.bgw_function_name, "crd_worker_main", BGW_MAXLEN);
	entry.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(worker->segment));
	entry.bgw_notify_pid = MyProcPid;
	if (!RegisterDynamicBackgroundWorker(&entry, &worker->handle))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not register background worker"),
				 errdetail("All background worker slots are in use; max_worker_processes is %d.",
						   max_worker_processes),
				 errhint("Increase max_worker_processes, or wait until another worker has ended.  Calling again continues from here.")));
}

/* on_dsm_detach callback: for a worker that has ended, it does nothing. */
static void
terminate(dsm_segment *segment, Datum arg)
{
	CrdWorker  *worker = (CrdWorker *) DatumGetPointer(arg);

	if (worker->handle)
		TerminateBackgroundWorker(worker->handle);
}

int
crd_worker_pid(CrdWorker *worker)
{
	pid_t		pid;

	return GetBackgroundWorkerPid(worker->handle, &pid) == BGWH_STARTED ? pid : 0;
}

bool
crd_worker_wait(CrdWorker *worker, long timeout)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   timeout);
	pid_t		pid;

	/*
	 * CREATE INDEX CONCURRENTLY waits for all older snapshots.  The one of
	 * the catalog stays behind after a lookup, and nobody needs it now.
	 */
	if (HaveRegisteredOrActiveSnapshot())
		elog(ERROR, "cannot wait for a background worker with a snapshot");
	InvalidateCatalogSnapshot();

	/* also wait until its slot is free for the next one */
	while (relay_messages(worker) ||
		   GetBackgroundWorkerPid(worker->handle, &pid) != BGWH_STOPPED)
	{
		long		remaining = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
																deadline);

		if (remaining <= 0)
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 remaining, WAIT_EVENT_BGWORKER_SHUTDOWN);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	if (!worker->job->finished)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_EXCEPTION),
				 errmsg("background worker ended unexpectedly"),
				 errdetail("It did not finish its statement, and left no error message."),
				 errhint("The server log may have the reason.  Calling again continues from here."),
				 errcontext("%s", describe(worker))));
	release(worker);
	return true;
}

void
crd_worker_stop(CrdWorker *worker)
{
	TerminateBackgroundWorker(worker->handle);

	/* it need not wait for room in the queue */
	shm_mq_detach(worker->queue);

	/* as with parallel workers, nothing may go on before it is gone */
	HOLD_INTERRUPTS();
	if (WaitForBackgroundWorkerShutdown(worker->handle) == BGWH_POSTMASTER_DIED)
		proc_exit(1);
	RESUME_INTERRUPTS();
	release(worker);
}

/* Free all that the leader has; detaching the segment detaches the queue. */
static void
release(CrdWorker *worker)
{
	cancel_on_dsm_detach(worker->segment, terminate, PointerGetDatum(worker));
	dsm_detach(worker->segment);
	MemoryContextDelete(worker->context);
}

/*
 * Pass on what the worker has sent so far, and return whether more may come.
 */
static bool
relay_messages(CrdWorker *worker)
{
	for (;;)
	{
		Size		nbytes;
		void	   *data;
		shm_mq_result result = shm_mq_receive(worker->queue, &nbytes, &data,
											  true);

		if (result != SHM_MQ_SUCCESS)
			return result == SHM_MQ_WOULD_BLOCK;
		relay(worker, data, nbytes);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Report an error or a notice of the worker as the leader's own. */
static void
relay(CrdWorker *worker, const void *data, Size nbytes)
{
	MemoryContext old;
	StringInfoData message;
	ErrorData	edata;
	char		type;

	MemoryContextReset(worker->message_context);
	old = MemoryContextSwitchTo(worker->message_context);
	initStringInfo(&message);
	appendBinaryStringInfo(&message, data, nbytes);
	type = pq_getmsgbyte(&message);
	if (type != PqMsg_ErrorResponse && type != PqMsg_NoticeResponse)
		elog(ERROR, "unexpected message type \"%c\" from background worker", type);
	pq_parse_errornotice(&message, &edata);

	/* what ends the worker need not end the leader */
	edata.elevel = Min(edata.elevel, ERROR);
	if (edata.sqlerrcode == ERRCODE_ADMIN_SHUTDOWN && !edata.hint)
		edata.hint = pstrdup("Calling again continues from here.");

	/* the client sent another statement than the one that it points into */
	if (edata.cursorpos > 0)
	{
		edata.internalpos = edata.cursorpos;
		edata.internalquery = pstrdup(worker->sql);
		edata.cursorpos = 0;
	}
	edata.context = edata.context ?
		psprintf("%s\n%s", edata.context, describe(worker)) :
		pstrdup(describe(worker));
	MemoryContextSwitchTo(old);
	ThrowErrorData(&edata);
}

/* A line for an error's context */
static const char *
describe(CrdWorker *worker)
{
	return psprintf("background worker for statement \"%s\"", worker->sql);
}

/*
 * The worker's side
 */

/*
 * The server has set up SIGINT, which cancels the statement, and on an error it
 * reports that, and ends the process, which rolls back.
 */
void
crd_worker_main(Datum arg)
{
	dsm_segment *segment;
	shm_toc    *toc;
	Job		   *job;
	const char *sql;
	shm_mq	   *mq;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	/* without a resource owner, the mapping lasts until the process ends */
	segment = dsm_attach(DatumGetUInt32(arg));
	if (!segment)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not map dynamic shared memory segment"),
				 errdetail("The session that started the worker has ended.")));
	toc = shm_toc_attach(WORKER_MAGIC, dsm_segment_address(segment));
	if (!toc)
		elog(ERROR, "bad magic number in dynamic shared memory segment");
	job = shm_toc_lookup(toc, KEY_JOB, false);
	sql = shm_toc_lookup(toc, KEY_SQL, false);
	mq = shm_toc_lookup(toc, KEY_QUEUE, false);
	shm_mq_set_sender(mq, MyProc);
	pq_redirect_to_shm_mq(segment, shm_mq_attach(mq, segment, NULL));

	BackgroundWorkerInitializeConnectionByOid(job->database, job->session_user,
											  BGWORKER_BYPASS_ROLELOGINCHECK);

	/* the leader takes messages in no other encoding */
	SetClientEncoding(GetDatabaseEncoding());

	apply_settings(job);
	run_statement(sql);
	job->finished = true;
}

/* Some settings came with later servers. */
static void
apply(const CrdSetting *setting)
{
	for (; setting->name; setting++)
		if (GetConfigOption(setting->name, true, false))
			SetConfigOption(setting->name, setting->value, PGC_SUSET, PGC_S_SESSION);
}

/*
 * Apply the settings for as long as the session lasts, and become the job's
 * role.
 */
static void
apply_settings(const Job *job)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	apply(crd_settings);
	apply(settings);
	SetConfigOption("maintenance_work_mem",
					psprintf("%d", job->maintenance_work_mem), PGC_SUSET,
					PGC_S_SESSION);
	SetConfigOption("role", GetUserNameFromId(job->role, false), PGC_USERSET,
					PGC_S_SESSION);
	CommitTransactionCommand();
}

/*
 * Run the statement as if a client had sent it alone: a utility statement that
 * starts and commits transactions of its own, the last of which is committed
 * when this returns.
 */
static void
run_statement(const char *sql)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "connections_redesign worker statement",
												  ALLOCSET_DEFAULT_SIZES);
	List	   *parsed;
	RawStmt    *statement;
	List	   *plans;
	Portal		portal;

	debug_query_string = sql;
	pgstat_report_activity(STATE_RUNNING, sql);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();

	/* what the portal refers to must outlive those transactions */
	MemoryContextSwitchTo(context);
	parsed = pg_parse_query(sql);
	statement = linitial_node(RawStmt, parsed);
	if (list_length(parsed) != 1 || analyze_requires_snapshot(statement))
		elog(ERROR, "not one utility statement: %s", sql);
	plans = pg_plan_queries(pg_analyze_and_rewrite_fixedparams(statement, sql,
															   NULL, 0, NULL),
							sql, CURSOR_OPT_PARALLEL_OK, NULL);

	portal = CreatePortal("", true, true);
	portal->visible = false;
	PortalDefineQuery(portal, NULL, sql, CreateCommandTag(statement->stmt),
					  plans, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	(void) PortalRun(portal, FETCH_ALL, true, None_Receiver, None_Receiver, NULL);
	PortalDrop(portal, false);
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
}
