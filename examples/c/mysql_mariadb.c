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

/* 0; or 1 if the session broke before it was told to commit; or -1. */
static int add_one(MYSQL *mysql, const char *in_between)
{
    if (mysql_query(mysql, "START TRANSACTION") == 0 &&
        mysql_query(mysql, "UPDATE vcp_example SET n = n + 1") == 0 &&
        (in_between == NULL || mysql_query(mysql, in_between) == 0))
        return mysql_query(mysql, "COMMIT") == 0 ? 0 : -1;
    switch (mysql_errno(mysql)) {
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case ER_CONNECTION_KILLED:
        return 1;
    default: /* what was done is undone at the give-back */
        return -1;
    }
}

/* A transaction; a second time if the session broke that the pool had given. */
static int transact(const char *in_between)
{
    int retries = 1;
    for (;;) {
        vcp_conn *conn = dial(NULL);
        int outcome, again;
        if (conn == NULL)
            return -1;
        outcome = add_one(vcp_mariadb_session(conn), in_between);
        if (outcome != 0)
            fprintf(stderr, "mysql_mariadb: %s\n", mysql_error(vcp_mariadb_session(conn)));
        again = outcome == 1 && retries-- > 0 && vcp_conn_report(conn, 0, 0) == VCP_OK &&
                vcp_conn_should_retry(conn) == 1;
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
    result = mysql_query(mysql, query) == 0 ? mysql_store_result(mysql) : NULL;
    row = result != NULL ? mysql_fetch_row(result) : NULL;
    printf("%s: %s\n", query, row != NULL && row[0] != NULL ? row[0] : mysql_error(mysql));
    mysql_free_result(result);
    return vcp_conn_close(conn) == VCP_OK && row != NULL ? 0 : -1;
}

static int execute(const char *statement)
{
    vcp_conn *conn = dial(NULL);
    int failed = conn == NULL || mysql_query(vcp_mariadb_session(conn), statement) != 0;
    if (conn != NULL && failed)
        fprintf(stderr, "mysql_mariadb: %s\n", mysql_error(vcp_mariadb_session(conn)));
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
