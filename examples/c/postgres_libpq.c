/*
 * postgres_libpq - PostgreSQL sessions in a pool: a transaction per thread, a backend that ends, a
 * transaction that is rolled back, and sessions of two users.
 *
 *     postgres_libpq NETWORK ADDRESS CONNINFO USER OTHER_USER
 *     postgres_libpq unix /run/postgresql/.s.PGSQL.5432 "dbname=shop" alice bob
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <vconnpool/libpq.h>

enum { THREADS = 8, TRANSACTIONS = 100, MAX_SESSIONS = 3, DRAIN_MS = 5000 };

/* Where the program dials, and as whom. */
typedef struct place {
    vcp_pool *pool;
    const char *network;
    const char *address;
    const char *tag; /* more conninfo */
} place;

/* Borrows a session; NULL if there is none to be had. */
static vcp_conn *borrow(const place *where, uint32_t flags)
{
    vcp_dial_options options;
    vcp_conn *conn;
    if (vcp_dial_options_init(&options, sizeof options) != VCP_OK)
        return NULL;
    options.reuse_tag = where->tag;
    options.flags = flags;
    if (vcp_dial_with(where->pool, where->network, where->address, &options, &conn) < 0)
        fprintf(stderr, "postgres_libpq: %s\n", vcp_last_error());
    return conn;
}

/* Runs a statement, prints what it returns, and tells the pool what libpq met: bytes or the end.
 * 1 if the statement succeeded. */
static int run(vcp_conn *conn, const char *sql, const char *label)
{
    PGconn *session = vcp_libpq_session(conn);
    PGresult *result = PQexec(session, sql);
    ExecStatusType status = PQresultStatus(result);
    if (label != NULL && status == PGRES_TUPLES_OK && PQntuples(result) > 0)
        printf("%s%s\n", label, PQgetvalue(result, 0, 0));
    PQclear(result);
    if (vcp_conn_report(conn, PQstatus(session) == CONNECTION_OK ? 1 : 0, 0) != VCP_OK)
        return 0;
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* A transaction. Nothing is done before COMMIT, so one whose reused session ends before is begun
 * again on another. (For a single statement vcp_conn_should_retry says that.) 1 if committed. */
static int transact(const place *where)
{
    int committed;
    int again;
    do {
        vcp_conn *conn = borrow(where, 0);
        int ready;
        if (conn == NULL)
            return 0;
        ready = run(conn, "BEGIN", NULL) && run(conn, "SELECT txid_current()", NULL);
        committed = ready && run(conn, "COMMIT", NULL);
        again = !ready && PQstatus(vcp_libpq_session(conn)) == CONNECTION_BAD &&
                vcp_conn_is_reused(conn) == 1;
        if (vcp_conn_close(conn) != VCP_OK)
            return 0;
    } while (again);
    return committed;
}

static void *transactions(void *argument)
{
    const place *where = (const place *)argument;
    int i = 0;
    while (i < TRANSACTIONS && transact(where))
        i++;
    return i == TRANSACTIONS ? NULL : argument;
}

/* Eight threads share three sessions. */
static int from_many_threads(place *where)
{
    pthread_t threads[THREADS];
    int begun = 0;
    int done = 1;
    while (begun < THREADS && pthread_create(&threads[begun], NULL, transactions, where) == 0)
        begun++;
    done = begun == THREADS;
    while (begun > 0) {
        void *failed = NULL;
        done = pthread_join(threads[--begun], &failed) == 0 && failed == NULL && done;
    }
    return done;
}

/* Every session ends on the server; the next transaction gets a new one. */
static int after_backends_end(const place *where)
{
    vcp_conn *conn = borrow(where, VCP_DIAL_FRESH);
    int done;
    if (conn == NULL)
        return 0;
    done = run(conn,
               "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
               "WHERE usename = current_user AND pid <> pg_backend_pid()",
               "backends ended: ");
    return vcp_conn_close(conn) == VCP_OK && done && transact(where);
}

/* What is given back in a transaction is rolled back. */
static int without_commit(const place *where)
{
    vcp_conn *conn = borrow(where, 0);
    int done;
    if (conn == NULL)
        return 0;
    done = run(conn, "BEGIN", NULL) && run(conn, "CREATE TABLE forgotten (id int)", NULL);
    if (vcp_conn_close(conn) != VCP_OK || !done)
        return 0;
    conn = borrow(where, 0);
    done = conn != NULL && run(conn, "SELECT coalesce(to_regclass('forgotten')::text, 'no table')",
                               "after a rollback: ");
    return vcp_conn_close(conn) == VCP_OK && done;
}

/* Each user's sessions are reused for that user alone. */
static int as_user(place *where, const char *user)
{
    char tag[64];
    vcp_conn *conn;
    int done;
    if (snprintf(tag, sizeof tag, "user=%s", user) >= (int)sizeof tag)
        return 0;
    where->tag = tag;
    conn = borrow(where, 0);
    where->tag = NULL;
    done = conn != NULL && run(conn, "SELECT current_user", "logged in as ");
    return vcp_conn_close(conn) == VCP_OK && done;
}

int main(int argc, char **argv)
{
    place where = {NULL, NULL, NULL, NULL};
    vcp_pool_options options;
    vcp_stats stats;
    int done;
    if (argc != 6) {
        fprintf(stderr, "usage: postgres_libpq NETWORK ADDRESS CONNINFO USER OTHER_USER\n");
        return 2;
    }
    where.network = argv[1];
    where.address = argv[2];
    if (vcp_pool_options_init(&options, sizeof options) != VCP_OK)
        return 1;
    options.max_conns = MAX_SESSIONS;
    options.wait_timeout_ms = VCP_FOREVER;
    if (vcp_libpq_pool_new(argv[3], "DISCARD ALL", &options, NULL, &where.pool) != VCP_OK) {
        fprintf(stderr, "postgres_libpq: no pool of \"%s\"\n", argv[3]);
        return 1;
    }
    done = from_many_threads(&where) && after_backends_end(&where) && without_commit(&where) &&
           as_user(&where, argv[4]) && as_user(&where, argv[5]) && as_user(&where, argv[4]);
    /* Sessions that were given back are still looked at in the background: the drain waits. */
    if (vcp_pool_drain(where.pool, DRAIN_MS) != 0 ||
        vcp_pool_stats(where.pool, &stats, sizeof stats) != VCP_OK ||
        vcp_pool_close(where.pool) != VCP_OK || !done)
        return 1;
    printf("%d transactions from %d threads; %" PRIu64 " logins, %" PRIu64 " reuses\n",
           THREADS * TRANSACTIONS, THREADS, stats.dials, stats.reuses);
    return 0;
}
