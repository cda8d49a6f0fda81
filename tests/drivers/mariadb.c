/*
 * mariadb.c - <vconnpool/mariadb.h> with a real server: mariadb.sh starts it, builds and runs this.
 */
#include "mariadb.h"
#include "child_processes.h"
#include "completions.h"

/* ---- limits and tags ---- */

#define SHARERS 8
#define TRANSACTIONS 20000

typedef struct sharer {
    pthread_t thread;
    vcp_pool *pool;
    int number;
    int *running;
} sharer;

/* Moves one from its own account to another, again and again. */
static void *transfers(void *argument)
{
    sharer *s = (sharer *)argument;
    char take[128], put[128];
    int i;
    snprintf(take, sizeof take, "UPDATE accounts SET balance = balance - 1 WHERE id = %d",
             s->number);
    snprintf(put, sizeof put, "UPDATE accounts SET balance = balance + 1 WHERE id = %d",
             s->number + 50);
    for (i = 0; i < TRANSACTIONS / SHARERS; i++) {
        vcp_conn *conn = borrow_session(s->pool);
        MYSQL *mysql = vcp_mariadb_session(conn);
        run(mysql, "START TRANSACTION");
        run(mysql, take);
        run(mysql, put);
        run(mysql, "COMMIT");
        give_back(conn);
    }
    __sync_sub_and_fetch(s->running, 1);
    return NULL;
}

TEST(eight_threads_share_three_mariadb_sessions,
     "mariadb: 20,000 transactions of eight threads use three sessions, and never more")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    MYSQL *observer = observer_new();
    sharer sharers[SHARERS];
    int64_t most = 0, samples = 0, start = now_ms();
    int i, running = SHARERS;
    options.max_conns = 3;
    options.wait_timeout_ms = VCP_FOREVER;
    pool = session_pool(&alice, &options);
    for (i = 0; i < SHARERS; i++) {
        sharers[i].pool = pool;
        sharers[i].number = i;
        sharers[i].running = &running;
        CHECK_EQ(pthread_create(&sharers[i].thread, NULL, transfers, &sharers[i]), 0);
    }
    while (__sync_add_and_fetch(&running, 0) > 0) {
        int64_t now = sessions(observer);
        most = now > most ? now : most;
        samples++;
        let_pass(2);
    }
    for (i = 0; i < SHARERS; i++)
        CHECK_EQ(pthread_join(sharers[i].thread, NULL), 0);
    printf("  %d transactions in %" PRId64 " ms; %" PRId64 " sessions at most, in %" PRId64
           " samples\n",
           TRANSACTIONS, now_ms() - start, most, samples);
    CHECK_BETWEEN(most, 1, 3);
    CHECK_EQ(ask(observer, "SELECT SUM(100000 - balance) FROM accounts WHERE id < 50"),
             TRANSACTIONS);
    CHECK_EQ(ask(observer, "SELECT SUM(balance - 100000) FROM accounts WHERE id >= 50"),
             TRANSACTIONS);
    EVENTUALLY(is_at_rest(pool), 5000);
    CHECK_BETWEEN(stats_of(pool).dials, 1, 3);
    CHECK_EQ(stats_of(pool).closed_hook, 0);
    mysql_close(observer);
    end_pool(pool);
}

static void *asks_who_it_is(void *argument)
{
    sharer *s = (sharer *)argument;
    int i;
    for (i = 0; i < 250; i++) {
        int is_bob = (i + s->number) % 2;
        vcp_conn *conn = borrow_at(s->pool, "unix", socket_path(), is_bob ? BOB : NULL);
        CHECK_ANSWER(vcp_mariadb_session(conn), "SELECT CURRENT_USER()",
                     is_bob ? "bob@%" : "alice@%");
        CHECK_ANSWER(vcp_mariadb_session(conn), "SELECT DATABASE()", "shop");
        give_back(conn);
    }
    return NULL;
}

TEST(two_users_never_mix, "mariadb: A reuse tag overrides the login, and sessions keep their user")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    sharer sharers[SHARERS];
    int i;
    options.max_conns = 4;
    options.wait_timeout_ms = VCP_FOREVER;
    pool = session_pool(&alice, &options);
    for (i = 0; i < SHARERS; i++) {
        sharers[i].pool = pool;
        sharers[i].number = i;
        CHECK_EQ(pthread_create(&sharers[i].thread, NULL, asks_who_it_is, &sharers[i]), 0);
    }
    for (i = 0; i < SHARERS; i++)
        CHECK_EQ(pthread_join(sharers[i].thread, NULL), 0);
    CHECK(stats_of(pool).reuses > 0);
    end_pool(pool);
}

TEST(each_part_of_a_tag_overrides,
     "mariadb: A reuse tag with one part leaves the others as they are")
{
    vcp_pool *pool = session_pool(&alice, NULL);
    vcp_conn *conn = borrow_at(pool, "unix", socket_path(), "database=other");
    CHECK_ANSWER(vcp_mariadb_session(conn), "SELECT CURRENT_USER()", "alice@%");
    CHECK_ANSWER(vcp_mariadb_session(conn), "SELECT DATABASE()", "other");
    CHECK(is_kept(pool, conn));
    end_pool(pool);
}

static void check_refusal(vcp_pool *pool, const char *network, const char *address, const char *tag,
                          int number, const char *text)
{
    vcp_conn *conn;
    vcp_dial_options options = dial_options(0);
    options.reuse_tag = tag;
    CHECK_EQ(vcp_dial_with(pool, network, address, &options, &conn), VCP_ERR_CALLBACK);
    CHECK_EQ(vcp_last_errno(), number);
    CHECK_HAS(vcp_last_error(), text);
}

TEST(what_cannot_be_logged_in_is_refused,
     "mariadb: A bad tag, address, network or password refuses, and the message says why")
{
    vcp_pool *pool = session_pool(&alice, NULL);
    const char *path = socket_path();
    check_refusal(pool, "unix", path, "usr=bob", 1, "the reuse tag must be user=");
    check_refusal(pool, "unix", path, "user", 1, "the reuse tag must be user=");
    check_refusal(pool, "unix", path, "user=bob;", ER_ACCESS_DENIED_ERROR, "Access denied");
    check_refusal(pool, "unix", path, "user=bob;;", 1, "the reuse tag must be user=");
    check_refusal(pool, "unix", path, "user=bob;user=root", 1, "the reuse tag must be user=");
    check_refusal(pool, "unix", path, "password=wrong", ER_ACCESS_DENIED_ERROR, "Access denied");
    check_refusal(pool, "unix", path, "database=none", ER_DBACCESS_DENIED_ERROR, "Access denied");
    check_refusal(pool, "udp", "127.0.0.1:1", NULL, 1, "must be tcp and host:port");
    check_refusal(pool, "tcp", "a=b:1", NULL, 1, "must be tcp and host:port");
    check_refusal(pool, "tcp", "a,b:1", NULL, 1, "must be tcp and host:port");
    check_refusal(pool, "tcp", "127.0.0.1:0", NULL, 1, "must be tcp and host:port");
    check_refusal(pool, "tcp", "127.0.0.1:1", NULL, CR_CONNECTION_ERROR, "Can't connect");
    check_refusal(pool, "unix", "/no/such/socket", NULL, CR_CONNECTION_ERROR, "Can't connect");
    end_pool(pool);
}

TEST(addresses_lead_to_the_server, "mariadb: tcp and unix addresses lead to the server")
{
    vcp_pool *pool = session_pool(&alice, NULL);
    char address[64];
    unsigned port;
    int fd;
    CHECK_EQ(vcp_mariadb_split_("[fe80::1%eth0]:3306", address, sizeof address, &port), 0);
    CHECK_STR(address, "fe80::1%eth0");
    CHECK_EQ(port, 3306);
    snprintf(address, sizeof address, "127.0.0.1:%d", server_port());
    give_back(borrow_at(pool, "tcp", address, NULL));
    snprintf(address, sizeof address, ":%d", server_port());
    give_back(borrow_at(pool, "tcp", address, NULL));
    /* Not the unix socket, which the connector takes for this name. */
    snprintf(address, sizeof address, "localhost:%d", server_port());
    {
        vcp_conn *conn = borrow_at(pool, "tcp", address, NULL);
        struct sockaddr_storage name;
        socklen_t length = sizeof name;
        fd = vcp_conn_raw_fd(conn);
        CHECK_EQ(getsockname(fd, (struct sockaddr *)&name, &length), 0);
        CHECK_EQ(name.ss_family, AF_INET);
        CHECK(!is_nonblocking(fd));
        CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        give_back(conn);
    }
    give_back(borrow_session(pool));
    end_pool(pool);
}

TEST(what_the_mariadb_adapter_sets_must_be_unset,
     "mariadb: Options with a callback or a user that the adapter sets are refused")
{
    vcp_pool *pool = NULL;
    vcp_pool_options options = pool_options();
    options.user = &options;
    CHECK_EQ(vcp_mariadb_pool_new(&alice, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = pool_options();
    options.free_user = free;
    CHECK_EQ(vcp_mariadb_pool_new(&alice, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = pool_options();
    options.open_session = vcp_mariadb_open_;
    CHECK_EQ(vcp_mariadb_pool_new(&alice, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = pool_options();
    options.on_release = vcp_mariadb_reset_;
    CHECK_EQ(vcp_mariadb_pool_new(&alice, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    memset(&options, 0, sizeof options);
    CHECK_EQ(vcp_mariadb_pool_new(&alice, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_mariadb_pool_new(&alice, NULL, NULL, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK(pool == NULL);
}

typedef struct heard {
    int opened, reused, rewritten, events;
} heard;

static int hears_open(void *user, vcp_conn *conn, int fd)
{
    CHECK(vcp_mariadb_session(conn) != NULL && fd >= 0);
    ((heard *)user)->opened++;
    return 0;
}

static int hears_reuse(void *user, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    ((heard *)user)->reused++;
    return 0;
}

static int hears_rewrite(void *user, const char *network, const char *address, char *out,
                         size_t size)
{
    (void)network;
    ((heard *)user)->rewritten++;
    CHECK_STR(address, "/run/elsewhere");
    return snprintf(out, size, "%s", socket_path()) < (int)size ? 0 : 1;
}

static void hears_event(void *user, const vcp_event *event)
{
    (void)event;
    __sync_add_and_fetch(&((heard *)user)->events, 1);
}

TEST(callbacks_get_their_user, "mariadb: The program's callbacks are passed its event_user")
{
    heard h = {0, 0, 0, 0};
    vcp_pool_options options = pool_options();
    vcp_pool *pool = NULL;
    options.on_open = hears_open;
    options.on_reuse = hears_reuse;
    options.rewrite = hears_rewrite;
    options.on_event = hears_event;
    CHECK_EQ(vcp_mariadb_pool_new(&alice, &options, &h, &pool), VCP_OK);
    CHECK(is_kept(pool, borrow_at(pool, "unix", "/run/elsewhere", NULL)));
    CHECK(is_kept(pool, borrow_at(pool, "unix", "/run/elsewhere", NULL)));
    end_pool(pool);
    CHECK_EQ(h.opened, 1);
    CHECK_EQ(h.reused, 1);
    CHECK_EQ(h.rewritten, 1);
    CHECK(__sync_add_and_fetch(&h.events, 0) >= 4);
}

/* ---- sessions that end ---- */

TEST(killed_while_idle, "mariadb: Sessions that the server ends while idle leave within 200 ms")
{
    vcp_pool *pool = session_pool(&alice, NULL);
    MYSQL *observer = observer_new();
    vcp_conn *conns[3];
    unsigned long ids[3];
    int64_t start;
    int i;
    for (i = 0; i < 3; i++)
        conns[i] = borrow_session(pool);
    for (i = 0; i < 3; i++) {
        ids[i] = id_of(conns[i]);
        give_back(conns[i]);
    }
    EVENTUALLY(vcp_pool_idle_count(pool, NULL, NULL) == 3, 5000);
    for (i = 0; i < 3; i++)
        end_session(observer, ids[i]);
    start = now_ms();
    EVENTUALLY(vcp_pool_conn_count(pool) == 0, 200);
    printf("  gone after %" PRId64 " ms\n", now_ms() - start);
    mysql_close(observer);
    end_pool(pool);
}

TEST(killed_ones_are_not_handed_out, "mariadb: A session that the server ended is not handed out")
{
    vcp_pool *pool = session_pool(&alice, NULL);
    MYSQL *observer = observer_new();
    int i;
    for (i = 0; i < 50; i++) {
        vcp_conn *conn = borrow_session(pool);
        unsigned long id = id_of(conn);
        CHECK(is_kept(pool, conn));
        end_session(observer, id);
        conn = borrow_session(pool);
        CHECK(id_of(conn) != id);
        CHECK_EQ(vcp_conn_is_reused(conn), 0);
        CHECK_EQ(ask(vcp_mariadb_session(conn), "SELECT 42"), 42);
        CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        give_back(conn);
    }
    mysql_close(observer);
    end_pool(pool);
}

TEST(killed_in_use, "mariadb: A session that breaks in use and is reported deserves another try")
{
    vcp_pool *pool = session_pool(&alice, NULL);
    MYSQL *observer = observer_new();
    vcp_conn *conn = borrow_session(pool);
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    end_session(observer, id_of(conn));
    CHECK(mysql_query(vcp_mariadb_session(conn), "SELECT 1") != 0);
    CHECK(mysql_errno(vcp_mariadb_session(conn)) == CR_SERVER_LOST ||
          mysql_errno(vcp_mariadb_session(conn)) == CR_SERVER_GONE_ERROR ||
          mysql_errno(vcp_mariadb_session(conn)) == ER_CONNECTION_KILLED);
    CHECK_EQ(vcp_conn_report(conn, 0, 0), VCP_OK);
    CHECK_EQ(vcp_conn_should_retry(conn), 1);
    CHECK(!is_kept(pool, conn));
    /* One that nobody reports is closed all the same: the connector has no socket any more. */
    conn = borrow_session(pool);
    end_session(observer, id_of(conn));
    CHECK(mysql_query(vcp_mariadb_session(conn), "SELECT 1") != 0);
    CHECK(!is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(ask(vcp_mariadb_session(conn), "SELECT 42"), 42);
    CHECK(is_kept(pool, conn));
    mysql_close(observer);
    end_pool(pool);
}

/* ---- time ---- */

#define LATE_THREADS 5
#define LATE_LOGINS 50

typedef struct late {
    pthread_t thread;
    vcp_pool *pool;
    const char *address;
    int64_t worst_ms;
} late;

static void *dials_too_late(void *argument)
{
    late *l = (late *)argument;
    int i;
    l->worst_ms = 0;
    for (i = 0; i < LATE_LOGINS / LATE_THREADS; i++) {
        vcp_dial_options options = dial_options(0);
        vcp_conn *conn;
        int64_t start = now_ms(), took;
        options.timeout_ms = 300;
        CHECK_EQ(vcp_dial_with(l->pool, "tcp", l->address, &options, &conn), VCP_ERR_TIMEOUT);
        took = now_ms() - start;
        CHECK_EQ(vcp_last_phase(), VCP_PHASE_OPENING);
        CHECK_BETWEEN(took, 299, at_most(300 + LATENESS_MS));
        l->worst_ms = took > l->worst_ms ? took : l->worst_ms;
    }
    return NULL;
}

TEST(logins_that_are_too_slow, "mariadb: A login that is too slow ends in time and leaves nothing")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    MYSQL *observer = observer_new();
    relay *r = relay_start(server_port());
    late threads_[LATE_THREADS];
    int64_t start, worst = 0;
    int i;
    options.max_conns = LATE_THREADS;
    pool = session_pool(&alice, &options);
    relay_set_delay(r, 1000);
    for (i = 0; i < LATE_THREADS; i++) {
        threads_[i].pool = pool;
        threads_[i].address = r->address;
        CHECK_EQ(pthread_create(&threads_[i].thread, NULL, dials_too_late, &threads_[i]), 0);
    }
    for (i = 0; i < LATE_THREADS; i++) {
        CHECK_EQ(pthread_join(threads_[i].thread, NULL), 0);
        worst = threads_[i].worst_ms > worst ? threads_[i].worst_ms : worst;
    }
    start = now_ms();
    EVENTUALLY(relay_clients(r) == 0 && sessions(observer) == 0, 3000);
    printf("  the slowest of %d took %" PRId64 " ms; %d logins at once at most; none is left after "
           "%" PRId64 " ms\n",
           LATE_LOGINS, worst, r->peak, now_ms() - start);
    CHECK_EQ(r->accepted, LATE_LOGINS);
    CHECK_BETWEEN(r->peak, 1, LATE_THREADS);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    relay_set_delay(r, 0);
    CHECK(is_kept(pool, borrow_at(pool, "tcp", r->address, NULL)));
    mysql_close(observer);
    end_pool(pool);
    relay_stop(r);
}

#define ROLLED_BACK 20

TEST(transactions_are_rolled_back_in_the_background,
     "mariadb: What is not committed is rolled back after vcp_conn_close, which does not wait")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    relay *r = relay_start(server_port());
    vcp_conn *conns[ROLLED_BACK];
    MYSQL *observer = observer_new();
    int64_t times[ROLLED_BACK];
    int64_t before = ask(observer, "SELECT SUM(balance) FROM accounts");
    int64_t start, rest_ms, middle;
    int i;
    options.max_idle_per_address = ROLLED_BACK;
    pool = session_pool(&alice, &options);
    for (i = 0; i < ROLLED_BACK; i++) {
        char sql[128];
        conns[i] = borrow_at(pool, "tcp", r->address, NULL);
        snprintf(sql, sizeof sql, "UPDATE accounts SET balance = balance + 7 WHERE id = %d", i);
        run(vcp_mariadb_session(conns[i]), "START TRANSACTION");
        run(vcp_mariadb_session(conns[i]), sql);
    }
    relay_set_delay(r, 300);
    start = now_ms();
    for (i = 0; i < ROLLED_BACK; i++) {
        int64_t begun = now_us();
        give_back(conns[i]);
        times[i] = now_us() - begun;
    }
    CHECK(stats_of(pool).releasing > 0);
    EVENTUALLY(is_at_rest(pool), 10000);
    rest_ms = now_ms() - start;
    middle = median(times, ROLLED_BACK);
    printf("  vcp_conn_close: %" PRId64 " us (median), the slowest %" PRId64
           " us; all at rest after %" PRId64 " ms\n",
           middle, times[ROLLED_BACK - 1], rest_ms);
    CHECK(rest_ms >= 299);
    CHECK(middle < at_most(1000));
    CHECK_EQ(stats_of(pool).releases, ROLLED_BACK);
    CHECK_EQ(ask(observer, "SELECT SUM(balance) FROM accounts"), before);
    relay_set_delay(r, 0);
    mysql_close(observer);
    end_pool(pool);
    relay_stop(r);
}

/* Dials that nobody answers; how long the slowest took. */
static int64_t dials_in_vain(vcp_pool *pool, const char *network, const char *address)
{
    int64_t worst = 0;
    int i;
    for (i = 0; i < 5; i++) {
        vcp_dial_options options = dial_options(VCP_DIAL_FRESH);
        vcp_conn *conn;
        int64_t start = now_ms(), took;
        options.timeout_ms = 200;
        CHECK_EQ(vcp_dial_with(pool, network, address, &options, &conn), VCP_ERR_TIMEOUT);
        took = now_ms() - start;
        CHECK_BETWEEN(took, 199, at_most(200 + LATENESS_MS));
        worst = took > worst ? took : worst;
    }
    return worst;
}

/* No more can be sent. */
static void fill_socket(int fd)
{
    static char bytes[65536];
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    CHECK_EQ(errno, EAGAIN);
}

TEST(a_stopped_server_holds_nobody_up,
     "mariadb: With a server that has stopped, dials and closes end in their time")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conns[4];
    char address[64];
    int64_t start, worst_unix, worst_tcp, took, worst_close = 0;
    int i;
    snprintf(address, sizeof address, "127.0.0.1:%d", server_port());
    options.hook_timeout_ms = 400;
    pool = session_pool(&alice, &options);
    for (i = 0; i < 4; i++)
        conns[i] = borrow_session(pool);
    give_back(borrow_at(pool, "tcp", address, NULL));
    EVENTUALLY(vcp_pool_idle_count(pool, NULL, NULL) == 1, 5000);
    signal_server(SIGSTOP);
    worst_unix = dials_in_vain(pool, "unix", socket_path());
    worst_tcp = dials_in_vain(pool, "tcp", address);
    fill_socket(vcp_conn_raw_fd(conns[0]));
    CHECK_EQ(vcp_conn_discard(conns[0]), VCP_OK); /* mysql_close would wait to say COM_QUIT */
    for (i = 0; i < 4; i++) {
        start = now_ms();
        give_back(conns[i]);
        took = now_ms() - start;
        worst_close = took > worst_close ? took : worst_close;
    }
    start = now_ms();
    EVENTUALLY(is_at_rest(pool), 400 + LATENESS_MS);
    printf("  200 ms dials took at most %" PRId64 " (unix) and %" PRId64
           " ms (tcp), closes %" PRId64 " ms; resets that take 400 ms ended after %" PRId64 "\n",
           worst_unix, worst_tcp, worst_close, now_ms() - start);
    CHECK_BETWEEN(worst_close, 0, at_most(50));
    CHECK_EQ(stats_of(pool).closed_hook, 3);
    start = now_ms();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_BETWEEN(now_ms() - start, 0, at_most(50));
    signal_server(SIGCONT);
    pool = session_pool(&alice, NULL);
    CHECK(is_kept(pool, borrow_session(pool)));
    end_pool(pool);
}

TEST(tls_keeps_the_time_too, "mariadb: A TLS handshake ends at the dial's deadline")
{
    vcp_mariadb_login login = alice;
    vcp_pool *pool;
    vcp_conn *conn;
    vcp_dial_options options = dial_options(0);
    relay *r = relay_start(server_port());
    char text[256];
    int64_t start, took;
    login.option_group = "secured";
    pool = session_pool(&login, NULL);
    conn = borrow_at(pool, "tcp", r->address, NULL);
    run(vcp_mariadb_session(conn), "SHOW STATUS LIKE 'Ssl_cipher'");
    mysql_free_result(mysql_store_result(vcp_mariadb_session(conn)));
    CHECK(mysql_get_ssl_cipher(vcp_mariadb_session(conn)) != NULL);
    ask_text(vcp_mariadb_session(conn), "SELECT CURRENT_USER()", text, sizeof text);
    CHECK_STR(text, "alice@%");
    CHECK(is_kept(pool, conn));
    conn = borrow_at(pool, "tcp", r->address, NULL);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    /* The server's second words, of the handshake, come at 400 ms; its third would at 600. */
    relay_set_delay(r, 200);
    options.timeout_ms = 500;
    options.flags = VCP_DIAL_FRESH;
    start = now_ms();
    {
        vcp_conn *none;
        CHECK_EQ(vcp_dial_with(pool, "tcp", r->address, &options, &none), VCP_ERR_TIMEOUT);
    }
    took = now_ms() - start;
    printf("  500 ms took %" PRId64 " ms\n", took);
    CHECK_BETWEEN(took, 499, at_most(500 + LATENESS_MS));
    relay_set_delay(r, 0);
    CHECK(is_kept(pool, conn));
    end_pool(pool);
    relay_stop(r);
}

/* ---- what is given back ---- */

static void store(MYSQL *mysql)
{
    mysql_free_result(mysql_store_result(mysql));
}

static void leaves_nothing(MYSQL *mysql)
{
    run(mysql, "DO 1");
}

static void leaves_a_stored_result(MYSQL *mysql)
{
    run(mysql, "SELECT 1 UNION SELECT 2");
    store(mysql);
}

/* Its last packet is number 256, which is 0 in the protocol's byte. */
static void leaves_252_rows(MYSQL *mysql)
{
    run(mysql, "SELECT seq FROM seq_1_to_252");
    store(mysql);
}

static void leaves_all_rows_fetched(MYSQL *mysql)
{
    MYSQL_RES *result;
    run(mysql, "SELECT 1 UNION SELECT 2");
    result = mysql_use_result(mysql);
    while (mysql_fetch_row(result) != NULL) {
    }
    mysql_free_result(result);
}

static void leaves_an_error(MYSQL *mysql)
{
    CHECK(mysql_query(mysql, "NONSENSE") != 0);
}

static MYSQL_STMT *executed(MYSQL *mysql)
{
    MYSQL_STMT *statement = mysql_stmt_init(mysql);
    CHECK(statement != NULL);
    CHECK_EQ(mysql_stmt_prepare(statement, "SELECT seq FROM seq_1_to_9", 26), 0);
    CHECK_EQ(mysql_stmt_execute(statement), 0);
    return statement;
}

/* COM_STMT_CLOSE has no answer. */
static void leaves_a_closed_statement(MYSQL *mysql)
{
    MYSQL_STMT *statement = executed(mysql);
    CHECK_EQ(mysql_stmt_store_result(statement), 0);
    CHECK_EQ(mysql_stmt_close(statement), 0);
}

static void leaves_all_results(MYSQL *mysql)
{
    CHECK_EQ(mysql_set_server_option(mysql, MYSQL_OPTION_MULTI_STATEMENTS_ON), 0);
    run(mysql, "SELECT 1; SELECT 2");
    do {
        store(mysql);
    } while (mysql_next_result(mysql) == 0);
}

static void leaves_an_unfetched_result(MYSQL *mysql)
{
    run(mysql, "SELECT 1");
}

static void leaves_rows_to_fetch(MYSQL *mysql)
{
    MYSQL_RES *result;
    run(mysql, "SELECT seq FROM seq_1_to_100000");
    result = mysql_use_result(mysql);
    CHECK(mysql_fetch_row(result) != NULL);
    /* mysql_free_result would read them: what is left of it goes with the session. */
    result->handle = NULL;
    mysql_free_result(result);
}

static void leaves_a_second_result(MYSQL *mysql)
{
    CHECK_EQ(mysql_set_server_option(mysql, MYSQL_OPTION_MULTI_STATEMENTS_ON), 0);
    run(mysql, "SELECT 1; SELECT 2");
    store(mysql);
}

static void leaves_no_answer(MYSQL *mysql)
{
    CHECK_EQ(mysql_send_query(mysql, "SELECT SLEEP(0.2)", 17), 0);
}

static void leaves_a_long_query_without_answer(MYSQL *mysql)
{
    static char sql[100000];
    memset(sql, ' ', sizeof sql);
    memcpy(sql, "DO 1", 4);
    CHECK_EQ(mysql_send_query(mysql, sql, sizeof sql), 0);
}

static void leaves_an_answer_unread(MYSQL *mysql)
{
    CHECK_EQ(mysql_send_query(mysql, "DO 1", 4), 0);
    await_arrival(mysql_get_socket(mysql));
}

static MYSQL_STMT *left; /* closed when its session has gone */

static void leaves_rows_of_a_statement(MYSQL *mysql)
{
    left = executed(mysql);
}

static void leaves_a_call_that_waits(MYSQL *mysql)
{
    int result;
    CHECK_EQ(mysql_options(mysql, MYSQL_OPT_NONBLOCK, 0), 0);
    CHECK(mysql_real_query_start(&result, mysql, "SELECT SLEEP(0.2)", 17) != 0);
}

static const struct {
    const char *name;
    void (*leave)(MYSQL *mysql);
    int is_kept;
} leavings[] = {
    {"nothing", leaves_nothing, 1},
    {"a stored result", leaves_a_stored_result, 1},
    {"252 rows", leaves_252_rows, 1},
    {"all rows fetched", leaves_all_rows_fetched, 1},
    {"an error", leaves_an_error, 1},
    {"a closed statement", leaves_a_closed_statement, 1},
    {"all results", leaves_all_results, 1},
    {"an unfetched result", leaves_an_unfetched_result, 0},
    {"rows to fetch", leaves_rows_to_fetch, 0},
    {"a second result", leaves_a_second_result, 0},
    {"no answer", leaves_no_answer, 0},
    {"a long query without answer", leaves_a_long_query_without_answer, 0},
    {"an answer unread", leaves_an_answer_unread, 0},
    {"rows of a statement", leaves_rows_of_a_statement, 0},
    {"a call that waits", leaves_a_call_that_waits, 0},
};

TEST(
    what_is_not_over_is_closed,
    "mariadb: A session with an unfetched result or an unanswered query is closed, others are kept")
{
    vcp_pool *pool = session_pool(&alice, NULL);
    size_t i;
    for (i = 0; i < sizeof leavings / sizeof leavings[0]; i++) {
        vcp_conn *conn = borrow_session(pool);
        unsigned long id = id_of(conn);
        leavings[i].leave(vcp_mariadb_session(conn));
        printf("  %s\n", leavings[i].name);
        CHECK_EQ(is_kept(pool, conn), leavings[i].is_kept);
        conn = borrow_session(pool);
        CHECK_EQ(id_of(conn) == id, leavings[i].is_kept);
        CHECK_EQ(ask(vcp_mariadb_session(conn), "SELECT 42"), 42);
        give_back(conn);
        EVENTUALLY(is_at_rest(pool), 5000);
        if (left != NULL)
            CHECK_EQ(mysql_stmt_close(left), 0);
        left = NULL;
    }
    end_pool(pool);
}

TEST(sessions_are_as_new, "mariadb: What a borrower set in a session is undone before the next one")
{
    vcp_pool *pool = session_pool(&alice, NULL);
    MYSQL *mysql;
    vcp_conn *conn = borrow_session(pool);
    unsigned long id = id_of(conn);
    mysql = vcp_mariadb_session(conn);
    run(mysql, "SET @mine = 1, autocommit = 0, sql_mode = 'ANSI'");
    run(mysql, "CREATE TEMPORARY TABLE mine (i INT)");
    CHECK_EQ(ask(mysql, "SELECT GET_LOCK('mine', 0)"), 1);
    run(mysql, "USE other");
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    mysql = vcp_mariadb_session(conn);
    CHECK_EQ(id_of(conn), id);
    CHECK_ANSWER(mysql, "SELECT @mine", "NULL");
    CHECK_ANSWER(mysql, "SELECT @@autocommit", "1");
    CHECK_ANSWER(mysql, "SELECT @@sql_mode = @@global.sql_mode", "1");
    CHECK_ANSWER(mysql, "SELECT IS_FREE_LOCK('mine')", "1");
    CHECK_ANSWER(mysql, "SELECT DATABASE()", "shop");
    CHECK(mysql_query(mysql, "SELECT * FROM mine") != 0);
    CHECK_EQ(mysql_errno(mysql), ER_NO_SUCH_TABLE);
    CHECK(is_kept(pool, conn));
    end_pool(pool);
}

TEST(a_database_cannot_be_left,
     "mariadb: A session that selected a database where the login has none is closed")
{
    vcp_mariadb_login login = alice;
    vcp_pool *pool;
    vcp_conn *conn;
    login.database = NULL;
    pool = session_pool(&login, NULL);
    conn = borrow_session(pool);
    CHECK_ANSWER(vcp_mariadb_session(conn), "SELECT DATABASE()", "NULL");
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    run(vcp_mariadb_session(conn), "USE other");
    CHECK(!is_kept(pool, conn));
    end_pool(pool);
}

TEST(init_commands_are_run_again, "mariadb: A reset session has run the init-commands of its group")
{
    vcp_mariadb_login login = alice;
    vcp_pool *pool;
    vcp_conn *conn;
    login.option_group = "commanded";
    pool = session_pool(&login, NULL);
    conn = borrow_session(pool);
    CHECK_ANSWER(vcp_mariadb_session(conn), "SELECT @greeting", "hello");
    run(vcp_mariadb_session(conn), "SET @greeting = 'bye'");
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_ANSWER(vcp_mariadb_session(conn), "SELECT @greeting", "hello");
    CHECK(is_kept(pool, conn));
    end_pool(pool);
}

TEST(detached_ones_are_the_callers, "mariadb: A detached session is the caller's to use and to end")
{
    vcp_pool *pool = session_pool(&alice, NULL);
    vcp_conn *conn = borrow_session(pool);
    MYSQL *mysql = vcp_mariadb_session(conn);
    CHECK_EQ(vcp_conn_detach(conn), mysql_get_socket(mysql));
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(ask(mysql, "SELECT 42"), 42);
    mysql_close(mysql);
    end_pool(pool);
}

/* ---- asynchronous dials, threads, fork ---- */

#define ASYNC_LOGINS 100

TEST(a_hundred_mariadb_logins_from_one_thread,
     "mariadb: One thread dials a hundred sessions at once")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    vcp_conn *conns[ASYNC_LOGINS];
    int64_t start = now_ms();
    int i;
    options.max_idle_per_address = ASYNC_LOGINS;
    pool = session_pool(&alice, &options);
    for (i = 0; i < ASYNC_LOGINS; i++)
        CHECK_EQ(vcp_dial_async(pool, "unix", socket_path(), NULL, queue, pool, &conns[i]),
                 VCP_ERR_IN_PROGRESS);
    for (i = 0; i < ASYNC_LOGINS; i++) {
        conns[i] = next_conn(queue, pool);
        CHECK_EQ(ask(vcp_mariadb_session(conns[i]), "SELECT 42"), 42);
    }
    printf("  %d logins in %" PRId64 " ms\n", ASYNC_LOGINS, now_ms() - start);
    for (i = 0; i < ASYNC_LOGINS; i++)
        give_back(conns[i]);
    EVENTUALLY(vcp_pool_idle_count(pool, NULL, NULL) == ASYNC_LOGINS, 10000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    end_pool(pool);
}

/* Calls of the header's code: mariadb.sh links with --wrap. */
static int begun_by_library, ended_by_library, of_program;

static int is_of_library(void)
{
    char name[16] = "";
    CHECK_EQ(pthread_getname_np(pthread_self(), name, sizeof name), 0);
    return strncmp(name, "vcp-helper", 10) == 0;
}

#ifdef __cplusplus
extern "C" {
#endif
my_bool __real_mysql_thread_init(void);
void __real_mysql_thread_end(void);
my_bool __wrap_mysql_thread_init(void);
void __wrap_mysql_thread_end(void);

my_bool __wrap_mysql_thread_init(void)
{
    __sync_add_and_fetch(is_of_library() ? &begun_by_library : &of_program, 1);
    return __real_mysql_thread_init();
}

void __wrap_mysql_thread_end(void)
{
    __sync_add_and_fetch(is_of_library() ? &ended_by_library : &of_program, 1);
    __real_mysql_thread_end();
}
#ifdef __cplusplus
}
#endif

TEST(thread_data_is_balanced,
     "mariadb: mysql_thread_init and _end come in pairs on the library's threads, on no others")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    int i;
    begun_by_library = ended_by_library = of_program = 0;
    options.idle_timeout_ms = 200;
    pool = session_pool(&alice, &options);
    for (i = 0; i < 10; i++) { /* opened on helper threads */
        CHECK_EQ(vcp_dial_async(pool, "unix", socket_path(), NULL, queue, pool, &conn),
                 VCP_ERR_IN_PROGRESS);
    }
    for (i = 0; i < 10; i++)
        give_back(next_conn(queue, pool));            /* reset on them */
    EVENTUALLY(vcp_pool_conn_count(pool) == 0, 5000); /* closed on them */
    for (i = 0; i < 10; i++) {                        /* opened and closed on this thread */
        conn = borrow_session(pool);
        CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        give_back(conn);
    }
    check_refusal(pool, "unix", "/no/such/socket", NULL, CR_CONNECTION_ERROR, "Can't connect");
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    end_pool(pool);
    printf("  %d and %d\n", begun_by_library, ended_by_library);
    CHECK_BETWEEN(begun_by_library, 10 + 10 + 8, 10 + 10 + 10); /* 2 are closed as given back */
    CHECK_EQ(begun_by_library, ended_by_library);
    CHECK_EQ(of_program, 0);
}

typedef struct family {
    vcp_pool *pool;
    vcp_conn *borrowed;
    unsigned long ids[2];
} family;

static void logs_in_anew(void *argument)
{
    family *f = (family *)argument;
    vcp_conn *conn;
    int i;
    CHECK_EQ(vcp_conn_close(f->borrowed), VCP_ERR_CONN_CLOSED);
    for (i = 0; i < 3; i++) {
        conn = borrow_session(f->pool);
        CHECK(id_of(conn) != f->ids[0] && id_of(conn) != f->ids[1]);
        CHECK_EQ(ask(vcp_mariadb_session(conn), "SELECT 42"), 42);
        CHECK_EQ(vcp_conn_is_reused(conn), i > 0);
        CHECK(is_kept(f->pool, conn));
    }
    CHECK_EQ(vcp_pool_close(f->pool), VCP_OK);
}

TEST(a_child_logs_in_to_mariadb_anew,
     "mariadb: After fork the parent's sessions go on, and the child logs in anew")
{
    family f;
    vcp_conn *idle;
    f.pool = session_pool(&alice, NULL);
    idle = borrow_session(f.pool);
    f.borrowed = borrow_session(f.pool);
    f.ids[0] = id_of(idle);
    f.ids[1] = id_of(f.borrowed);
    run(vcp_mariadb_session(f.borrowed), "SET @mine = 7");
    give_back(idle);
    EVENTUALLY(vcp_pool_idle_count(f.pool, NULL, NULL) == 1, 5000);
    IN_A_CHILD(BY_FORK, logs_in_anew, &f);
    CHECK_EQ(ask(vcp_mariadb_session(f.borrowed), "SELECT @mine"), 7);
    idle = borrow_session(f.pool);
    CHECK_EQ(id_of(idle), f.ids[0]);
    CHECK_EQ(ask(vcp_mariadb_session(idle), "SELECT 42"), 42);
    give_back(idle);
    give_back(f.borrowed);
    EVENTUALLY(vcp_pool_idle_count(f.pool, NULL, NULL) == 2, 5000);
    end_pool(f.pool);
}
