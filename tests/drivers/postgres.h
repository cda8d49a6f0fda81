/*
 * postgres.h - the server that postgres.sh has started, sessions of it in a pool, and an observer:
 * a session of the test's own that asks the server what it sees.
 */
#ifndef POSTGRES_H
#define POSTGRES_H

#include "check.h"
#include "relay.h"

#include <vconnpool/libpq.h>

/* What the pool's sessions are opened with. The server counts them by their application_name. */
#define SHOP "user=postgres dbname=shop application_name=pooled sslmode=disable gssencmode=disable"

static inline const char *environment(const char *name)
{
    const char *text = getenv(name);
    if (text == NULL) {
        fprintf(stderr, "%s is not set: run tests/drivers/postgres.sh\n", name);
        exit(2);
    }
    return text;
}

/* The path of the server's unix socket: the address to dial. */
static inline const char *socket_path(void)
{
    return environment("VCP_POSTGRES_SOCKET");
}

static inline int server_port(void)
{
    return atoi(environment("VCP_POSTGRES_PORT"));
}

/* ---- statements ---- */

/* Runs one on any session and copies the first value of its result. */
static inline void ask_text(PGconn *session, const char *sql, char *text, size_t size)
{
    PGresult *result = PQexec(session, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK) {
        fprintf(stderr, "  %s: %s", sql, PQerrorMessage(session));
        check_failed(__FILE__, __LINE__, "the statement succeeds");
    }
    snprintf(text, size, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
}

static inline int ask(PGconn *session, const char *sql)
{
    char text[64];
    ask_text(session, sql, text, sizeof text);
    return atoi(text);
}

#define RUN(session, sql) ((void)ask(session, sql))

static inline ExecStatusType status_of(PGconn *session, const char *sql)
{
    PGresult *result = PQexec(session, sql);
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    return status;
}

/* ---- the observer ---- */

static inline PGconn *observer_new(void)
{
    char conninfo[256];
    PGconn *observer;
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1 port=%d user=postgres dbname=shop application_name=observer "
             "sslmode=disable gssencmode=disable",
             server_port());
    observer = PQconnectdb(conninfo);
    if (PQstatus(observer) != CONNECTION_OK) {
        fprintf(stderr, "  %s", PQerrorMessage(observer));
        check_failed(__FILE__, __LINE__, "the observer is connected");
    }
    return observer;
}

/* How many backends the server has for sessions of pools. */
static inline int backends(PGconn *observer)
{
    return ask(observer, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pooled'");
}

/* The process is no more, or only waits for its parent to hear of that. */
static inline int has_ended(pid_t process)
{
    char path[64];
    char state = 'Z';
    FILE *file;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    file = fopen(path, "re");
    if (file == NULL)
        return 1;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(file);
    return state == 'Z' || state == 'X';
}

/* Ends a backend; its socket is closed when this returns. */
static inline void end_backend(PGconn *observer, int backend)
{
    char sql[64];
    snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)::int", backend);
    CHECK_EQ(ask(observer, sql), 1);
    EVENTUALLY(has_ended(backend), 5000);
}

/* SIGSTOP or SIGCONT for all processes of the server. */
static inline void signal_server(int number)
{
    pid_t postmaster = (pid_t)atoi(environment("VCP_POSTGRES_PID"));
    char path[64];
    FILE *children;
    int child;
    CHECK_EQ(kill(postmaster, number), 0);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)postmaster, (int)postmaster);
    children = fopen(path, "re");
    CHECK(children != NULL);
    while (fscanf(children, "%d", &child) == 1)
        CHECK(kill(child, number) == 0 || errno == ESRCH);
    fclose(children);
}

/* ---- the pool ---- */

/* NULL options: all defaults; no event_user. */
static inline vcp_pool *session_pool(const char *conninfo, const char *reset,
                                     const vcp_pool_options *options)
{
    vcp_pool *pool = NULL;
    CHECK_EQ(vcp_libpq_pool_new(conninfo, reset, options, NULL, &pool), VCP_OK);
    return pool;
}

static inline vcp_conn *borrow_at(vcp_pool *pool, const char *network, const char *address)
{
    vcp_conn *conn = NULL;
    int fd = vcp_dial(pool, network, address, &conn);
    CHECK(fd >= 0);
    CHECK_EQ(PQstatus(vcp_libpq_session(conn)), CONNECTION_OK);
    CHECK_EQ(PQsocket(vcp_libpq_session(conn)), fd);
    return conn;
}

/* By the unix socket; must succeed. */
static inline vcp_conn *borrow_session(vcp_pool *pool)
{
    return borrow_at(pool, "unix", socket_path());
}

static inline int backend_of(vcp_conn *conn)
{
    return PQbackendPID(vcp_libpq_session(conn));
}

/* What was given back has been looked at, and kept or closed. */
static inline int is_at_rest(vcp_pool *pool)
{
    vcp_stats stats = stats_of(pool);
    return stats.borrowed == 0 && stats.dialing == 0;
}

/* Gives it back; 1 if it was kept, 0 if it was closed. */
static inline int is_kept(vcp_pool *pool, vcp_conn *conn)
{
    uint64_t before = stats_of(pool).releases;
    give_back(conn);
    EVENTUALLY(is_at_rest(pool), 5000);
    return stats_of(pool).releases == before + 1;
}

/* All is back, the sums are right, and the server has no backend of it left. */
static inline void end_pool(vcp_pool *pool)
{
    PGconn *observer = observer_new();
    EVENTUALLY(is_at_rest(pool), 5000);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    EVENTUALLY(backends(observer) == 0, 5000);
    PQfinish(observer);
}

static inline int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif
