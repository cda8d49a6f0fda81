/*
 * mysql_mariadb - transactions of four threads on at most two sessions of MariaDB; a session that
 * is killed in the middle of its transaction, which another one repeats; sessions of two users.
 *
 *     mysql_mariadb address user password database [reuse tag of another user]
 *
 * The address is host:port or the path of a unix socket, the tag as "user=bob;password=secret". It
 * makes and drops a table vcp_example.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include <vconnpool/mariadb.h>

#include <errmsg.h>
#include <mysqld_error.h>

#define THREADS 4
#define TRANSACTIONS 250

static vcp_pool *pool;
static const char *address;

static vcp_conn *dial(const char *tag)
{
    vcp_conn *conn = NULL;
    vcp_dial_options options;
    if (vcp_dial_options_init(&options, sizeof options) != VCP_OK)
        return NULL;
    options.reuse_tag = tag;
    if (vcp_dial_with(pool, address[0] == '/' ? "unix" : "tcp", address, &options, &conn) < 0)
        fprintf(stderr, "mysql_mariadb: %s\n", vcp_last_error());
    return conn;
}

/* Runs a statement and tells the pool what it came to, an answer or the end. 0; 1 if the session
 * broke; -1 after an error of SQL. */
static int run(vcp_conn *conn, const char *statement)
{
    MYSQL *mysql = vcp_mariadb_session(conn);
    int outcome = 0;
    if (mysql_query(mysql, statement) != 0) {
        unsigned number = mysql_errno(mysql);
        int is_broken = number == CR_SERVER_GONE_ERROR || number == CR_SERVER_LOST ||
                        number == ER_CONNECTION_KILLED;
        fprintf(stderr, "mysql_mariadb: %s\n", mysql_error(mysql));
        outcome = is_broken ? 1 : -1;
    }
    return vcp_conn_report(conn, outcome == 1 ? 0 : 1, 0) == VCP_OK ? outcome : -1;
}

/* 0; or 1 if the session broke before it was told to commit; or -1, and what was done is undone at
 * the give-back. */
static int add_one(vcp_conn *conn, const char *in_between)
{
    int outcome = run(conn, "START TRANSACTION");
    if (outcome == 0)
        outcome = run(conn, "UPDATE vcp_example SET n = n + 1");
    if (outcome == 0 && in_between != NULL)
        outcome = run(conn, in_between);
    if (outcome == 0)
        outcome = run(conn, "COMMIT") == 0 ? 0 : -1;
    return outcome;
}

/* A transaction. Nothing is done before COMMIT, so one whose reused session broke before is begun
 * again on another. (For a single statement vcp_conn_should_retry says that.) */
static int transact(const char *in_between)
{
    int retries = 1;
    for (;;) {
        vcp_conn *conn = dial(NULL);
        int outcome, again;
        if (conn == NULL)
            return -1;
        outcome = add_one(conn, in_between);
        again = outcome == 1 && retries-- > 0 && vcp_conn_is_reused(conn) == 1;
        if (vcp_conn_close(conn) != VCP_OK)
            return -1;
        if (!again)
            return outcome == 0 ? 0 : -1;
        in_between = NULL;
    }
}

static void *transact_often(void *failures)
{
    int i;
    for (i = 0; i < TRANSACTIONS; i++)
        *(int *)failures += transact(NULL) != 0;
    return NULL;
}

/* Runs a query and prints the first value of its result. */
static int show(const char *tag, const char *query)
{
    vcp_conn *conn = dial(tag);
    MYSQL *mysql = vcp_mariadb_session(conn);
    MYSQL_RES *result;
    MYSQL_ROW row;
    if (conn == NULL)
        return -1;
    result = run(conn, query) == 0 ? mysql_store_result(mysql) : NULL;
    row = result != NULL ? mysql_fetch_row(result) : NULL;
    printf("%s: %s\n", query, row != NULL && row[0] != NULL ? row[0] : mysql_error(mysql));
    mysql_free_result(result);
    return vcp_conn_close(conn) == VCP_OK && row != NULL ? 0 : -1;
}

static int execute(const char *statement)
{
    vcp_conn *conn = dial(NULL);
    int failed = conn == NULL || run(conn, statement) != 0;
    return conn != NULL && vcp_conn_close(conn) == VCP_OK && !failed ? 0 : -1;
}

static int use_pool(const char *other_tag)
{
    pthread_t threads[THREADS];
    int failures[THREADS] = {0};
    int failed = 0;
    int i;
    if (execute("CREATE TABLE IF NOT EXISTS vcp_example (n INT NOT NULL)") != 0 ||
        execute("INSERT INTO vcp_example VALUES (0)") != 0)
        return -1;
    for (i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, transact_often, &failures[i]) != 0)
            return -1;
    for (i = 0; i < THREADS; i++)
        failed |= pthread_join(threads[i], NULL) != 0 || failures[i] != 0;
    failed |= transact("KILL CONNECTION_ID()") != 0;
    failed |= show(NULL, "SELECT n FROM vcp_example") != 0;
    failed |= show(NULL, "SELECT CURRENT_USER()") != 0;
    if (other_tag != NULL)
        failed |= show(other_tag, "SELECT CURRENT_USER()") != 0;
    failed |= execute("DROP TABLE vcp_example") != 0;
    return failed ? -1 : 0;
}

int main(int argc, char **argv)
{
    vcp_mariadb_login login = {NULL, NULL, NULL, NULL};
    vcp_pool_options options;
    vcp_stats stats;
    int failed;
    if (argc < 5) {
        fprintf(stderr, "usage: mysql_mariadb address user password database [tag]\n");
        return 2;
    }
    address = argv[1];
    login.user = argv[2];
    login.password = argv[3];
    login.database = argv[4];
    if (vcp_pool_options_init(&options, sizeof options) != VCP_OK)
        return 1;
    options.max_conns_per_address = 2;
    options.wait_timeout_ms = VCP_FOREVER;
    if (vcp_mariadb_pool_new(&login, &options, NULL, &pool) != VCP_OK) {
        fprintf(stderr, "mysql_mariadb: %s\n", vcp_last_error());
        return 1;
    }
    failed = use_pool(argc > 5 ? argv[5] : NULL) != 0;
    if (vcp_pool_stats(pool, &stats, sizeof stats) != VCP_OK || vcp_pool_close(pool) != VCP_OK)
        return 1;
    printf("%" PRIu64 " logins\n", stats.dials - stats.dial_failures);
    return failed;
}
