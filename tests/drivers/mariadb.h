/*
 * mariadb.h - the server that mariadb.sh has started, sessions of it in a pool, and an observer: a
 * session of the test's own, as root, that asks the server what it sees.
 */
#ifndef MARIADB_H
#define MARIADB_H

#include "check.h"
#include "relay.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <vconnpool/mariadb.h>

static const vcp_mariadb_login alice = {"alice", "secret of alice", "shop", NULL};

#define BOB "user=bob;password=secret of bob"

static inline const char *environment(const char *name)
{
    const char *text = getenv(name);
    if (text == NULL) {
        fprintf(stderr, "%s is not set: run tests/drivers/mariadb.sh\n", name);
        exit(2);
    }
    return text;
}

/* The path of the server's unix socket: the address to dial. */
static inline const char *socket_path(void)
{
    return environment("VCP_MARIADB_SOCKET");
}

static inline int server_port(void)
{
    return atoi(environment("VCP_MARIADB_PORT"));
}

static inline void signal_server(int number)
{
    CHECK_EQ(kill((pid_t)atoi(environment("VCP_MARIADB_PID")), number), 0);
}

/* ---- statements ---- */

static inline void run(MYSQL *mysql, const char *sql)
{
    if (mysql_query(mysql, sql) != 0) {
        fprintf(stderr, "  %s: %s\n", sql, mysql_error(mysql));
        check_failed(__FILE__, __LINE__, "the statement succeeds");
    }
}

/* Runs one and copies the first value of its result; "NULL" for that. */
static inline void ask_text(MYSQL *mysql, const char *sql, char *text, size_t size)
{
    MYSQL_RES *result;
    MYSQL_ROW row;
    run(mysql, sql);
    result = mysql_store_result(mysql);
    CHECK(result != NULL);
    row = mysql_fetch_row(result);
    CHECK(row != NULL);
    snprintf(text, size, "%s", row[0] == NULL ? "NULL" : row[0]);
    mysql_free_result(result);
}

static inline int64_t ask(MYSQL *mysql, const char *sql)
{
    char text[64];
    ask_text(mysql, sql, text, sizeof text);
    return atoll(text);
}

#define CHECK_ANSWER(mysql, sql, wanted)                         \
    do {                                                         \
        char check_answer[256];                                  \
        ask_text(mysql, sql, check_answer, sizeof check_answer); \
        CHECK_STR(check_answer, wanted);                         \
    } while (0)

/* ---- the observer ---- */

static inline MYSQL *observer_new(void)
{
    MYSQL *mysql = mysql_init(NULL);
    CHECK(mysql != NULL);
    if (mysql_real_connect(mysql, NULL, "root", "", "shop", 0, socket_path(), 0) == NULL) {
        fprintf(stderr, "  %s\n", mysql_error(mysql));
        check_failed(__FILE__, __LINE__, "the observer is connected");
    }
    return mysql;
}

/* How many sessions the server has for pools; those that log in have no user yet. */
static inline int64_t sessions(MYSQL *observer)
{
    return ask(observer,
               "SELECT COUNT(*) FROM information_schema.processlist WHERE user <> 'root'");
}

/* Ends a session; its socket is closed when this returns. */
static inline void end_session(MYSQL *observer, unsigned long id)
{
    char sql[128];
    snprintf(sql, sizeof sql, "KILL %lu", id);
    run(observer, sql);
    snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM information_schema.processlist WHERE id = %lu",
             id);
    EVENTUALLY(ask(observer, sql) == 0, 5000);
}

/* ---- the pool ---- */

/* NULL options: all defaults. */
static inline vcp_pool *session_pool(const vcp_mariadb_login *login,
                                     const vcp_pool_options *options)
{
    vcp_pool *pool = NULL;
    CHECK_EQ(vcp_mariadb_pool_new(login, options, NULL, &pool), VCP_OK);
    return pool;
}

/* Must succeed. NULL tag: the login's. */
static inline vcp_conn *borrow_at(vcp_pool *pool, const char *network, const char *address,
                                  const char *tag)
{
    vcp_conn *conn = NULL;
    vcp_dial_options options = dial_options(0);
    int fd;
    options.reuse_tag = tag;
    fd = vcp_dial_with(pool, network, address, &options, &conn);
    CHECK(fd >= 0);
    CHECK_EQ(mysql_get_socket(vcp_mariadb_session(conn)), fd);
    return conn;
}

/* By the unix socket. */
static inline vcp_conn *borrow_session(vcp_pool *pool)
{
    return borrow_at(pool, "unix", socket_path(), NULL);
}

static inline unsigned long id_of(vcp_conn *conn)
{
    return mysql_thread_id(vcp_mariadb_session(conn));
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

/* All is back, the sums are right, and the server has no session of it left. */
static inline void end_pool(vcp_pool *pool)
{
    MYSQL *observer = observer_new();
    EVENTUALLY(is_at_rest(pool), 5000);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    EVENTUALLY(sessions(observer) == 0, 5000);
    mysql_close(observer);
}

static inline int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static inline int64_t median(int64_t *times, size_t count)
{
    qsort(times, count, sizeof *times, compare_times);
    return times[count / 2];
}

#endif
