/* vconnpool/libpq.h against a real PostgreSQL; postgres.sh starts it and this. */
#include "postgres.h"

#include "child_processes.h"
#include "completions.h"

/* ---- where, and with what ---- */

static int answers_at(vcp_pool *pool, const char *network, const char *address)
{
    vcp_conn *conn = borrow_at(pool, network, address);
    int answer = ask(vcp_libpq_session(conn), "SELECT 42");
    give_back(conn);
    return answer == 42;
}

TEST(a_path_an_ip_and_a_name_lead_to_the_server, "libpq: Network and address say where to dial")
{
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    char address[64];
    CHECK(answers_at(pool, "unix", socket_path()));
    snprintf(address, sizeof address, "127.0.0.1:%d", server_port());
    CHECK(answers_at(pool, "tcp", address));
    snprintf(address, sizeof address, "localhost:%d", server_port());
    CHECK(answers_at(pool, "tcp", address));
    snprintf(address, sizeof address, ":%d", server_port());
    CHECK(answers_at(pool, "tcp", address));
    end_pool(pool);
}

TEST(the_environment_does_not_say_where, "libpq: PGHOST, PGHOSTADDR and PGPORT have no effect")
{
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    char address[64];
    snprintf(address, sizeof address, "localhost:%d", server_port());
    CHECK_EQ(setenv("PGHOST", "/nowhere", 1), 0);
    CHECK_EQ(setenv("PGHOSTADDR", "127.0.0.9", 1), 0);
    CHECK_EQ(setenv("PGPORT", "1", 1), 0);
    CHECK(answers_at(pool, "unix", socket_path()));
    CHECK(answers_at(pool, "tcp", address));
    unsetenv("PGHOST");
    unsetenv("PGHOSTADDR");
    unsetenv("PGPORT");
    end_pool(pool);
}

/* A dial that open_session refuses, and what it says. */
static void refuses(const char *conninfo, const char *network, const char *address, const char *tag,
                    const char *text)
{
    vcp_pool *pool = session_pool(conninfo, NULL, NULL);
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn;
    options.reuse_tag = tag;
    CHECK_EQ(vcp_dial_with(pool, network, address, &options, &conn), VCP_ERR_CALLBACK);
    CHECK_HAS(vcp_last_error(), text);
    end_pool(pool);
}

TEST(conninfo_that_says_where_is_refused,
     "libpq: host, hostaddr and port in conninfo or tag are refused, host not for an IP")
{
    vcp_pool *pool = session_pool(SHOP " host=db.example", NULL, NULL);
    const char *says_where = "host, hostaddr and port are for the address to say";
    char address[64];
    refuses(SHOP " port=5432", "unix", socket_path(), NULL, says_where);
    refuses(SHOP " hostaddr=127.0.0.1", "unix", socket_path(), NULL, says_where);
    refuses(SHOP " host=db.example", "unix", socket_path(), NULL, says_where);
    refuses(SHOP, "unix", socket_path(), "port=5432", says_where);
    snprintf(address, sizeof address, "127.0.0.1:%d", server_port());
    CHECK(answers_at(pool, "tcp", address));
    end_pool(pool);
}

TEST(an_address_that_is_no_servers_is_refused,
     "libpq: Networks other than tcp and unix, and paths that are no server's, are refused")
{
    refuses(SHOP, "udp", "127.0.0.1:5432", NULL, "dialed by tcp and unix");
    refuses(SHOP, "unix", "/run/postgresql", NULL, ".s.PGSQL.PORT");
    refuses(SHOP, "unix", "/run/.s.PGSQLX5432", NULL, ".s.PGSQL.PORT");
}

TEST(the_message_has_what_the_server_said,
     "libpq: A dial that the server refuses fails with its message")
{
    refuses("user=nobody dbname=shop", "unix", socket_path(), NULL,
            "role \"nobody\" does not exist");
    refuses("user=alice dbname=missing", "unix", socket_path(), NULL,
            "database \"missing\" does not exist");
    refuses(SHOP, "tcp", "127.0.0.1:1", NULL, "onnection refused");
    refuses(SHOP, "unix", socket_path(), "user", "missing \"=\"");
    refuses(SHOP, "unix", socket_path(), "colour=red", "invalid connection option");
}

static int hook_that_must_not_be_set(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    return fd;
}

static int session_that_must_not_be_set(void *user, const vcp_session_request *request,
                                        vcp_session *session)
{
    (void)user;
    (void)request;
    (void)session;
    return 1;
}

static int new_fails(const char *conninfo, const vcp_pool_options *options)
{
    vcp_pool *pool = NULL;
    int status = vcp_libpq_pool_new(conninfo, NULL, options, NULL, &pool);
    CHECK(pool == NULL);
    return status == VCP_ERR_INVALID_ARGUMENT;
}

TEST(
    what_the_adapter_sets_must_be_unset,
    "libpq: Options with user, open_session, on_release or free_user, and a conninfo that is none, "
    "make no pool")
{
    vcp_pool_options options = pool_options();
    options.user = &options;
    CHECK(new_fails(SHOP, &options));
    options = pool_options();
    options.open_session = session_that_must_not_be_set;
    CHECK(new_fails(SHOP, &options));
    options = pool_options();
    options.on_release = hook_that_must_not_be_set;
    CHECK(new_fails(SHOP, &options));
    options = pool_options();
    options.free_user = free;
    CHECK(new_fails(SHOP, &options));
    options = pool_options();
    options.nonblocking = 1;
    CHECK(new_fails(SHOP, &options));
    memset(&options, 0, sizeof options);
    CHECK(new_fails(SHOP, &options));
    CHECK(new_fails("dbname", NULL));
    CHECK_EQ(vcp_libpq_pool_new(SHOP, NULL, NULL, NULL, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK(vcp_libpq_session(NULL) == NULL);
}

/* What the program's callbacks were given, counted where it is the program's. */
typedef struct heard {
    int opened;
    int reused;
    int asked;
    int rewritten;
    int events;
} heard;

static int count_open(void *user, vcp_conn *conn, int fd)
{
    CHECK_EQ(PQsocket(vcp_libpq_session(conn)), fd);
    __atomic_add_fetch(&((heard *)user)->opened, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int count_reuse(void *user, vcp_conn *conn, int fd)
{
    CHECK_EQ(PQsocket(vcp_libpq_session(conn)), fd);
    __atomic_add_fetch(&((heard *)user)->reused, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int count_idle(void *user, vcp_conn *conn, int fd)
{
    CHECK_EQ(PQsocket(vcp_libpq_session(conn)), fd);
    CHECK_EQ(ask(vcp_libpq_session(conn), "SELECT 1"), 1);
    __atomic_add_fetch(&((heard *)user)->asked, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int to_the_server(void *user, const char *network, const char *address, char *out,
                         size_t size)
{
    CHECK_STR(network, "unix");
    CHECK_STR(address, "/somewhere/.s.PGSQL.1");
    __atomic_add_fetch(&((heard *)user)->rewritten, 1, __ATOMIC_SEQ_CST);
    return snprintf(out, size, "%s", socket_path()) < (int)size ? 0 : 1;
}

static void count_event(void *user, const vcp_event *event)
{
    CHECK_STR(event->address, "/somewhere/.s.PGSQL.1");
    __atomic_add_fetch(&((heard *)user)->events, 1, __ATOMIC_SEQ_CST);
}

TEST(the_programs_callbacks_get_event_user,
     "libpq: on_open, on_reuse, on_idle, rewrite and on_event are given event_user")
{
    vcp_pool_options options = pool_options();
    heard program;
    vcp_pool *pool;
    int i;
    memset(&program, 0, sizeof program);
    options.on_open = count_open;
    options.on_reuse = count_reuse;
    options.on_idle = count_idle;
    options.on_idle_ms = 20;
    options.rewrite = to_the_server;
    options.on_event = count_event;
    CHECK_EQ(vcp_libpq_pool_new(SHOP, NULL, &options, &program, &pool), VCP_OK);
    for (i = 0; i < 2; i++) {
        vcp_conn *conn = borrow_at(pool, "unix", "/somewhere/.s.PGSQL.1");
        CHECK_EQ(vcp_conn_is_reused(conn), i);
        CHECK(is_kept(pool, conn));
    }
    EVENTUALLY(__atomic_load_n(&program.asked, __ATOMIC_SEQ_CST) >= 1, 1000);
    end_pool(pool);
    CHECK_EQ(program.opened, 1);
    CHECK_EQ(program.reused, 1);
    CHECK_EQ(program.rewritten, 1);
    CHECK(program.events >= 6); /* start, done, released, reused, released, closed */
}

/* ---- sessions of users ---- */

typedef struct user_thread {
    vcp_pool *pool;
    pthread_t thread;
    unsigned seed;
} user_thread;

static void *borrows_as_two_users(void *argument)
{
    static const char *const users[] = {"alice", "bob"};
    user_thread *self = (user_thread *)argument;
    int i;
    for (i = 0; i < 250; i++) {
        const char *user = users[rand_r(&self->seed) % 2];
        vcp_dial_options options = dial_options(0);
        char tag[32];
        char seen[32];
        vcp_conn *conn;
        snprintf(tag, sizeof tag, "user=%s", user);
        options.reuse_tag = tag;
        CHECK(vcp_dial_with(self->pool, "unix", socket_path(), &options, &conn) >= 0);
        ask_text(vcp_libpq_session(conn), "SELECT current_user", seen, sizeof seen);
        CHECK_STR(seen, user);
        give_back(conn);
    }
    return NULL;
}

TEST(sessions_of_two_users_never_mix,
     "libpq: A reuse tag overrides conninfo, and its sessions are never reused under another")
{
    enum { THREADS = 4 };
    vcp_pool_options options = pool_options();
    user_thread all[THREADS];
    vcp_pool *pool;
    vcp_stats stats;
    int i;
    options.max_conns = 3;
    options.wait_timeout_ms = VCP_FOREVER;
    pool = session_pool(SHOP, NULL, &options);
    for (i = 0; i < THREADS; i++) {
        all[i].pool = pool;
        all[i].seed = (unsigned)i + 1;
        CHECK_EQ(pthread_create(&all[i].thread, NULL, borrows_as_two_users, &all[i]), 0);
    }
    for (i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(all[i].thread, NULL), 0);
    EVENTUALLY(is_at_rest(pool), 5000);
    stats = stats_of(pool);
    printf("  1000 borrows as two users, 3 sessions at most: %" PRIu64 " logins, %" PRIu64
           " reuses\n",
           stats.dials, stats.reuses);
    CHECK_EQ(stats.dial_failures, 0);
    CHECK(stats.reuses > 0);
    end_pool(pool);
}

/* ---- given back ---- */

TEST(a_session_in_no_transaction_is_kept, "libpq: A session that is idle is kept when given back")
{
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    vcp_conn *conn = borrow_session(pool);
    int backend = backend_of(conn);
    CHECK_EQ(ask(vcp_libpq_session(conn), "SELECT 7"), 7);
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(backend_of(conn), backend);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    give_back(conn);
    end_pool(pool);
}

TEST(a_transaction_is_rolled_back,
     "libpq: A session given back in a transaction is rolled back and "
     "kept, one whose transaction failed too")
{
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    vcp_conn *conn = borrow_session(pool);
    int backend = backend_of(conn);
    RUN(vcp_libpq_session(conn), "BEGIN");
    RUN(vcp_libpq_session(conn), "INSERT INTO notes VALUES ('open')");
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(backend_of(conn), backend);
    CHECK_EQ(PQtransactionStatus(vcp_libpq_session(conn)), PQTRANS_IDLE);
    CHECK_EQ(ask(vcp_libpq_session(conn), "SELECT count(*) FROM notes"), 0);
    RUN(vcp_libpq_session(conn), "BEGIN");
    CHECK_EQ(status_of(vcp_libpq_session(conn), "SELECT 1/0"), PGRES_FATAL_ERROR);
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(backend_of(conn), backend);
    CHECK_EQ(ask(vcp_libpq_session(conn), "SELECT 7"), 7);
    give_back(conn);
    end_pool(pool);
}

TEST(a_mode_that_the_borrower_chose_stays, "libpq: PQsetnonblocking stays as the borrower set it")
{
    vcp_pool *pool = session_pool(SHOP, "SELECT 1", NULL);
    vcp_conn *conn = borrow_session(pool);
    CHECK_EQ(PQsetnonblocking(vcp_libpq_session(conn), 1), 0);
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(PQisnonblocking(vcp_libpq_session(conn)), 1);
    CHECK_EQ(PQsetnonblocking(vcp_libpq_session(conn), 0), 0);
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(PQisnonblocking(vcp_libpq_session(conn)), 0);
    give_back(conn);
    end_pool(pool);
}

static int compare(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one;
    int64_t b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

TEST(a_rollback_holds_no_borrower_up,
     "libpq: vcp_conn_close does not wait for the rollback of a transaction")
{
    enum { SESSIONS = 11, SERVER_TAKES_MS = 300 };
    relay *r = relay_start(server_port());
    vcp_pool_options options = pool_options();
    vcp_conn *conns[SESSIONS];
    int64_t took_us[SESSIONS];
    int64_t begun;
    vcp_pool *pool;
    int i;
    options.max_idle_per_address = SESSIONS;
    pool = session_pool(SHOP, NULL, &options);
    for (i = 0; i < SESSIONS; i++) {
        conns[i] = borrow_at(pool, "tcp", r->address);
        RUN(vcp_libpq_session(conns[i]), "BEGIN");
        RUN(vcp_libpq_session(conns[i]), "INSERT INTO notes VALUES ('late')");
    }
    relay_set_delay(r, SERVER_TAKES_MS);
    begun = now_ms();
    for (i = 0; i < SESSIONS; i++) {
        int64_t start_us = now_us();
        give_back(conns[i]);
        took_us[i] = now_us() - start_us;
    }
    CHECK_EQ(stats_of(pool).releasing, SESSIONS);
    EVENTUALLY(is_at_rest(pool), 5000);
    CHECK(now_ms() - begun >= SERVER_TAKES_MS);
    relay_set_delay(r, 0);
    qsort(took_us, SESSIONS, sizeof took_us[0], compare);
    printf("  vcp_conn_close: %" PRId64 " us median, %" PRId64 " us at most\n",
           took_us[SESSIONS / 2], took_us[SESSIONS - 1]);
    CHECK_BETWEEN(took_us[SESSIONS / 2], 0, at_most(1000));
    CHECK_EQ(idle_in(pool), SESSIONS);
    conns[0] = borrow_at(pool, "tcp", r->address);
    CHECK_EQ(ask(vcp_libpq_session(conns[0]), "SELECT count(*) FROM notes"), 0);
    give_back(conns[0]);
    end_pool(pool);
    relay_stop(r);
}

TEST(a_rollback_that_takes_too_long_ends_the_session,
     "libpq: A rollback that is not done within hook_timeout_ms closes the session, under another "
     "descriptor too")
{
    relay *r = relay_start(server_port());
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int64_t start;
    int lower;
    options.hook_timeout_ms = 300;
    pool = session_pool(SHOP, NULL, &options);
    conn = borrow_at(pool, "tcp", r->address);
    RUN(vcp_libpq_session(conn), "BEGIN");
    relay_set_delay(r, 60000);
    start = now_ms();
    CHECK(!is_kept(pool, conn));
    CHECK_TOOK(start, 300);
    CHECK_EQ(stats_of(pool).closed_hook, 1);
    relay_set_delay(r, 0);
    lower = open("/dev/null", O_RDONLY | O_CLOEXEC);
    conn = borrow_at(pool, "tcp", r->address);
    CHECK(lower >= 0 && lower < vcp_conn_raw_fd(conn));
    close(lower);
    PQreset(vcp_libpq_session(conn));
    CHECK_EQ(PQsocket(vcp_libpq_session(conn)), lower);
    RUN(vcp_libpq_session(conn), "BEGIN");
    relay_set_delay(r, 60000);
    start = now_ms();
    CHECK(!is_kept(pool, conn));
    CHECK_TOOK(start, 300);
    end_pool(pool);
    relay_stop(r);
}

TEST(a_query_that_still_runs_ends_the_session, "libpq: A query, COPY or pipeline under way, and "
                                               "results that were not read, close the session")
{
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    vcp_conn *conn = borrow_session(pool);
    CHECK_EQ(PQsendQuery(vcp_libpq_session(conn), "SELECT pg_sleep(0.2)"), 1);
    CHECK(!is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(status_of(vcp_libpq_session(conn), "COPY notes FROM STDIN"), PGRES_COPY_IN);
    CHECK(!is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(PQsendQuery(vcp_libpq_session(conn), "SELECT 1"), 1);
    PQclear(PQgetResult(vcp_libpq_session(conn))); /* not the NULL that ends it */
    CHECK(!is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(PQenterPipelineMode(vcp_libpq_session(conn)), 1);
    CHECK(!is_kept(pool, conn));
    CHECK_EQ(stats_of(pool).dials, 4);
    end_pool(pool);
}

TEST(an_unread_notification_ends_the_session,
     "libpq: A notification that was not read closes the session, while it is idle too")
{
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    PGconn *observer = observer_new();
    vcp_conn *conn = borrow_session(pool);
    RUN(vcp_libpq_session(conn), "LISTEN news");
    RUN(observer, "NOTIFY news");
    await_arrival(vcp_conn_raw_fd(conn));
    CHECK(!is_kept(pool, conn));
    conn = borrow_session(pool);
    RUN(vcp_libpq_session(conn), "LISTEN news");
    CHECK(is_kept(pool, conn));
    RUN(observer, "NOTIFY news");
    EVENTUALLY(idle_in(pool) == 0, 1000);
    PQfinish(observer);
    end_pool(pool);
}

TEST(reset_runs_after_each_use, "libpq: reset runs after each use, and its rows are dropped")
{
    vcp_pool *pool = session_pool(SHOP, "DISCARD ALL", NULL);
    vcp_conn *conn = borrow_session(pool);
    int backend = backend_of(conn);
    char path[64];
    RUN(vcp_libpq_session(conn), "SET search_path = 'elsewhere'");
    RUN(vcp_libpq_session(conn), "BEGIN");
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(backend_of(conn), backend);
    ask_text(vcp_libpq_session(conn), "SHOW search_path", path, sizeof path);
    CHECK_STR(path, "\"$user\", public");
    give_back(conn);
    end_pool(pool);
    pool = session_pool(SHOP, "SELECT generate_series(1, 20000)", NULL);
    conn = borrow_session(pool);
    backend = backend_of(conn);
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    CHECK_EQ(backend_of(conn), backend);
    CHECK_EQ(ask(vcp_libpq_session(conn), "SELECT 7"), 7);
    give_back(conn);
    end_pool(pool);
}

static void reset_fails(const char *reset)
{
    vcp_pool *pool = session_pool(SHOP, reset, NULL);
    CHECK(!is_kept(pool, borrow_session(pool)));
    CHECK_EQ(stats_of(pool).closed_hook, 1);
    end_pool(pool);
}

TEST(a_reset_that_fails_ends_the_session,
     "libpq: A reset that fails, copies or begins a transaction closes the session")
{
    reset_fails("SELECT 1/0");
    reset_fails("NONSENSE");
    reset_fails("COPY notes FROM STDIN");
    reset_fails("COPY accounts TO STDOUT");
    reset_fails("BEGIN");
}

TEST(a_session_can_be_taken_away, "libpq: A session that is detached is the caller's")
{
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    vcp_conn *conn = borrow_session(pool);
    PGconn *session = vcp_libpq_session(conn);
    PGconn *observer = observer_new();
    CHECK_EQ(vcp_conn_detach(conn), PQsocket(session));
    CHECK(vcp_libpq_session(conn) == NULL);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(ask(session, "SELECT 7"), 7);
    PQfinish(session);
    EVENTUALLY(backends(observer) == 0, 5000);
    PQfinish(observer);
}

/* ---- many at once ---- */

enum { TRADERS = 8, TRANSACTIONS = 20000, MOST_BACKENDS = 3, ACCOUNTS = 100 };

typedef struct trade {
    vcp_pool *pool;
    int left; /* transactions to begin */
    int failed;
    int ended;
    int samples;
    int most_backends;
} trade;

/* Moves 1 from an account to another: two round trips in one transaction. The accounts are locked
 * in one order, so that no two transactions deadlock. */
static int transfer(PGconn *session, unsigned *seed)
{
    int from = rand_r(seed) % ACCOUNTS;
    int to = rand_r(seed) % ACCOUNTS;
    char sql[160];
    int low = from < to ? from : to;
    int high = from < to ? to : from;
    snprintf(sql, sizeof sql, "BEGIN; UPDATE accounts SET balance = balance + %d WHERE id = %d",
             low == from ? -1 : 1, low);
    if (status_of(session, sql) != PGRES_COMMAND_OK)
        return 0;
    snprintf(sql, sizeof sql, "UPDATE accounts SET balance = balance + %d WHERE id = %d; COMMIT",
             low == from ? 1 : -1, high);
    return status_of(session, sql) == PGRES_COMMAND_OK &&
           PQtransactionStatus(session) == PQTRANS_IDLE;
}

static void *trades(void *argument)
{
    trade *t = (trade *)argument;
    unsigned seed = (unsigned)(uintptr_t)pthread_self();
    while (__atomic_fetch_sub(&t->left, 1, __ATOMIC_SEQ_CST) > 0) {
        vcp_conn *conn;
        if (vcp_dial(t->pool, "unix", socket_path(), &conn) < 0) {
            fprintf(stderr, "  %s\n", vcp_last_error());
            __atomic_add_fetch(&t->failed, 1, __ATOMIC_SEQ_CST);
            continue;
        }
        if (!transfer(vcp_libpq_session(conn), &seed))
            __atomic_add_fetch(&t->failed, 1, __ATOMIC_SEQ_CST);
        give_back(conn);
    }
    return NULL;
}

static void *samples(void *argument)
{
    trade *t = (trade *)argument;
    PGconn *observer = observer_new();
    while (!__atomic_load_n(&t->ended, __ATOMIC_SEQ_CST)) {
        int now = backends(observer);
        t->most_backends = now > t->most_backends ? now : t->most_backends;
        t->samples++;
        let_pass(2);
    }
    PQfinish(observer);
    return NULL;
}

TEST(three_backends_serve_eight_threads,
     "libpq: The server never has more backends than max_conns, and no transaction fails")
{
    vcp_pool_options options = pool_options();
    pthread_t threads_of[TRADERS];
    pthread_t sampler;
    PGconn *observer = observer_new();
    int64_t start = now_ms();
    trade t;
    int i;
    memset(&t, 0, sizeof t);
    t.left = TRANSACTIONS;
    options.max_conns = MOST_BACKENDS;
    options.wait_timeout_ms = VCP_FOREVER;
    t.pool = session_pool(SHOP, NULL, &options);
    CHECK_EQ(pthread_create(&sampler, NULL, samples, &t), 0);
    for (i = 0; i < TRADERS; i++)
        CHECK_EQ(pthread_create(&threads_of[i], NULL, trades, &t), 0);
    for (i = 0; i < TRADERS; i++)
        CHECK_EQ(pthread_join(threads_of[i], NULL), 0);
    __atomic_store_n(&t.ended, 1, __ATOMIC_SEQ_CST);
    CHECK_EQ(pthread_join(sampler, NULL), 0);
    printf("  %d transactions in %" PRId64 " ms, %d samples: at most %d backends; %" PRIu64
           " logins\n",
           TRANSACTIONS, now_ms() - start, t.samples, t.most_backends, stats_of(t.pool).dials);
    CHECK_EQ(t.failed, 0);
    CHECK_BETWEEN(t.most_backends, 1, MOST_BACKENDS);
    CHECK_EQ(ask(observer, "SELECT sum(balance) FROM accounts"), ACCOUNTS * 1000);
    EVENTUALLY(is_at_rest(t.pool), 5000);
    CHECK_EQ(stats_of(t.pool).dials, MOST_BACKENDS);
    PQfinish(observer);
    end_pool(t.pool);
}

TEST(a_hundred_logins_from_one_thread,
     "libpq: One thread opens a hundred sessions by asynchronous dials")
{
    enum { SESSIONS = 100 };
    static vcp_conn *conns[SESSIONS];
    vcp_pool_options options = pool_options();
    PGconn *observer = observer_new();
    vcp_queue *queue = queue_new();
    int64_t start = now_ms();
    vcp_pool *pool;
    int64_t began;
    int i;
    options.max_idle_per_address = SESSIONS;
    pool = session_pool(SHOP, NULL, &options);
    for (i = 0; i < SESSIONS; i++) {
        vcp_conn *conn;
        CHECK_EQ(vcp_dial_async(pool, "unix", socket_path(), NULL, queue, &conns[i], &conn),
                 VCP_ERR_IN_PROGRESS);
    }
    began = now_ms() - start;
    for (i = 0; i < SESSIONS; i++) {
        vcp_completion completion = next_completion(queue);
        CHECK(completion.status >= 0);
        *(vcp_conn **)completion.token = completion.conn;
    }
    printf("  %d logins: begun in %" PRId64 " ms, done in %" PRId64 " ms\n", SESSIONS, began,
           now_ms() - start);
    CHECK_EQ(backends(observer), SESSIONS);
    for (i = 0; i < SESSIONS; i++) {
        CHECK_EQ(ask(vcp_libpq_session(conns[i]), "SELECT 7"), 7);
        give_back(conns[i]);
    }
    EVENTUALLY(idle_in(pool) == SESSIONS, 5000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    PQfinish(observer);
    end_pool(pool);
}

/* ---- servers that fail ---- */

static void fill(vcp_pool *pool, int *backends_of, int count)
{
    vcp_conn *conns[8];
    int i;
    CHECK(count <= 8);
    for (i = 0; i < count; i++) {
        conns[i] = borrow_session(pool);
        backends_of[i] = backend_of(conns[i]);
    }
    for (i = 0; i < count; i++)
        give_back(conns[i]);
    EVENTUALLY(idle_in(pool) == count, 5000);
}

TEST(a_backend_that_ends_takes_its_idle_session_along,
     "libpq: Idle sessions whose backends end are gone within 200 ms")
{
    enum { SESSIONS = 8, ROUNDS = 5 };
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    PGconn *observer = observer_new();
    int64_t slowest = 0;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        int backends_of[SESSIONS];
        int64_t start;
        fill(pool, backends_of, SESSIONS);
        start = now_ms();
        CHECK_EQ(ask(observer, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                               "WHERE application_name = 'pooled'"),
                 SESSIONS);
        EVENTUALLY(idle_in(pool) == 0, 2000);
        slowest = now_ms() - start > slowest ? now_ms() - start : slowest;
    }
    printf("  %d sessions gone %" PRId64 " ms after they were ended, at most\n", SESSIONS, slowest);
    CHECK_BETWEEN(slowest, 0, at_most(200));
    PQfinish(observer);
    end_pool(pool);
}

TEST(a_session_whose_backend_has_ended_is_never_handed_out,
     "libpq: A session whose backend has ended is never handed out")
{
    enum { SESSIONS = 4, ROUNDS = 20 };
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    PGconn *observer = observer_new();
    int round;
    for (round = 0; round < ROUNDS; round++) {
        int backends_of[SESSIONS];
        int survivor = round % SESSIONS;
        vcp_conn *conn;
        int i;
        fill(pool, backends_of, SESSIONS);
        for (i = 0; i < SESSIONS; i++)
            if (i != survivor)
                end_backend(observer, backends_of[i]);
        conn = borrow_session(pool);
        CHECK_EQ(backend_of(conn), backends_of[survivor]);
        CHECK_EQ(ask(vcp_libpq_session(conn), "SELECT 7"), 7);
        give_back(conn);
        EVENTUALLY(is_at_rest(pool), 5000);
        CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    }
    PQfinish(observer);
    end_pool(pool);
}

TEST(a_session_lost_in_use_deserves_another_try,
     "libpq: A reused session that is lost in use is worth a retry, once it is reported")
{
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    PGconn *observer = observer_new();
    vcp_conn *conn = borrow_session(pool);
    CHECK(is_kept(pool, conn));
    conn = borrow_session(pool);
    end_backend(observer, backend_of(conn));
    CHECK_EQ(status_of(vcp_libpq_session(conn), "SELECT 7"), PGRES_FATAL_ERROR);
    CHECK_EQ(PQstatus(vcp_libpq_session(conn)), CONNECTION_BAD);
    CHECK_EQ(vcp_conn_should_retry(conn), 0);
    CHECK_EQ(vcp_conn_report(conn, 0, 0), VCP_OK);
    CHECK_EQ(vcp_conn_should_retry(conn), 1);
    CHECK(!is_kept(pool, conn));
    CHECK_EQ(stats_of(pool).closed_discarded, 1);
    conn = borrow_session(pool);
    CHECK_EQ(ask(vcp_libpq_session(conn), "SELECT 7"), 7);
    end_backend(observer, backend_of(conn));
    CHECK_EQ(vcp_conn_report(conn, 0, 0), VCP_OK);
    CHECK_EQ(vcp_conn_should_retry(conn), 0); /* it was fresh */
    give_back(conn);
    PQfinish(observer);
    end_pool(pool);
}

enum { LOGINS = 50, LOGIN_TAKES_MS = 1000, BUDGET_MS = 300 };

typedef struct impatience {
    vcp_pool *pool;
    relay *r;
    int64_t slowest;
    pthread_mutex_t lock;
} impatience;

static void *logs_in_too_slowly(void *argument)
{
    impatience *all = (impatience *)argument;
    while (relay_accepted(all->r) < LOGINS) {
        vcp_dial_options options = dial_options(0);
        int64_t start = now_ms();
        int64_t took;
        vcp_conn *conn;
        options.timeout_ms = BUDGET_MS;
        CHECK_EQ(vcp_dial_with(all->pool, "tcp", all->r->address, &options, &conn),
                 VCP_ERR_TIMEOUT);
        CHECK(vcp_last_phase() == VCP_PHASE_OPENING || vcp_last_phase() == VCP_PHASE_WAITING);
        took = now_ms() - start;
        pthread_mutex_lock(&all->lock);
        all->slowest = took > all->slowest ? took : all->slowest;
        pthread_mutex_unlock(&all->lock);
    }
    return NULL;
}

TEST(a_login_that_takes_too_long_leaves_no_backend,
     "libpq: A login keeps the dial's deadline, counts against max_conns until it has ended, and "
     "leaves no backend")
{
    enum { THREADS = 5 };
    vcp_pool_options options = pool_options();
    PGconn *observer = observer_new();
    pthread_t threads_of[THREADS];
    impatience all;
    int i;
    memset(&all, 0, sizeof all);
    CHECK_EQ(pthread_mutex_init(&all.lock, NULL), 0);
    options.max_conns = MOST_BACKENDS;
    options.wait_timeout_ms = VCP_FOREVER;
    all.pool = session_pool(SHOP, NULL, &options);
    all.r = relay_start(server_port());
    relay_set_delay(all.r, LOGIN_TAKES_MS);
    for (i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads_of[i], NULL, logs_in_too_slowly, &all), 0);
    for (i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(threads_of[i], NULL), 0);
    CHECK_EQ(relay_clients(all.r), 0);
    EVENTUALLY(backends(observer) == 0, 3000);
    printf("  %d logins, at most %d at once; the slowest dial took %" PRId64 " ms of %d\n",
           relay_accepted(all.r), all.r->peak, all.slowest, BUDGET_MS);
    CHECK_BETWEEN(all.r->peak, 1, MOST_BACKENDS);
    CHECK_BETWEEN(all.slowest, BUDGET_MS, at_most(BUDGET_MS + LATENESS_MS));
    CHECK_EQ(vcp_pool_conn_count(all.pool), 0);
    CHECK(is_at_rest(all.pool));
    PQfinish(observer);
    end_pool(all.pool);
    relay_stop(all.r);
    pthread_mutex_destroy(&all.lock);
}

TEST(a_login_in_the_background_holds_nobody_up, "libpq: An asynchronous login is answered at its "
                                                "deadline, and vcp_pool_close does not wait for "
                                                "one")
{
    relay *r = relay_start(server_port());
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    vcp_dial_options options = dial_options(0);
    PGconn *observer = observer_new();
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    int64_t start = now_ms();
    relay_set_delay(r, LOGIN_TAKES_MS);
    options.timeout_ms = BUDGET_MS;
    CHECK_EQ(vcp_dial_async(pool, "tcp", r->address, &options, queue, &start, &conn),
             VCP_ERR_IN_PROGRESS);
    next_fails(queue, &start, VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, BUDGET_MS);
    options.timeout_ms = VCP_FOREVER;
    CHECK_EQ(vcp_dial_async(pool, "tcp", r->address, &options, queue, &start, &conn),
             VCP_ERR_IN_PROGRESS);
    EVENTUALLY(relay_accepted(r) == 2, 5000);
    start = now_ms();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_BETWEEN(now_ms() - start, 0, at_most(50));
    next_fails(queue, &start, VCP_ERR_POOL_CLOSED);
    EVENTUALLY(backends(observer) == 0 && relay_clients(r) == 0, 3000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    PQfinish(observer);
    relay_stop(r);
}

/* Gives back, and tells how long that took. */
static int64_t close_takes_us(vcp_conn *conn)
{
    int64_t start = now_us();
    give_back(conn);
    return now_us() - start;
}

/* Tells how long a fresh dial to a stopped server takes, which must time out. */
static int64_t dial_takes_ms(vcp_pool *pool, const char *network, const char *address)
{
    vcp_dial_options options = dial_options(VCP_DIAL_FRESH);
    int64_t start = now_ms();
    vcp_conn *conn;
    options.timeout_ms = BUDGET_MS;
    CHECK_EQ(vcp_dial_with(pool, network, address, &options, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_OPENING);
    return now_ms() - start;
}

/* More than the sockets' buffers hold: a part of it stays with libpq. */
static void send_more_than_fits(PGconn *session)
{
    enum { SIZE = 64 * 1024 * 1024 };
    char *sql = (char *)malloc(SIZE);
    CHECK(sql != NULL);
    memset(sql, ' ', SIZE);
    memcpy(sql, "SELECT 1", 8);
    sql[SIZE - 1] = '\0';
    CHECK_EQ(PQsetnonblocking(session, 1), 0);
    CHECK_EQ(PQsendQuery(session, sql), 1);
    CHECK_EQ(PQflush(session), 1);
    free(sql);
}

TEST(a_good_bye_without_room_is_not_said,
     "libpq: A session ends without waiting for room to say good-bye")
{
    static char bytes[65536];
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    vcp_conn *conn = borrow_session(pool);
    signal_server(SIGSTOP);
    while (send(vcp_conn_raw_fd(conn), bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    CHECK_EQ(errno, EAGAIN);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    CHECK_BETWEEN(close_takes_us(conn), 0, at_most(50000));
    signal_server(SIGCONT);
    end_pool(pool);
}

TEST(a_server_that_is_stopped_holds_nobody_up,
     "libpq: Dials and closes keep their time while the server is stopped")
{
    enum { DIALS = 7 };
    vcp_pool_options options = pool_options();
    PGconn *observer = observer_new();
    vcp_conn *conns[4];
    vcp_pool *pool;
    char address[64];
    int64_t dials_ms[DIALS];
    int64_t close_us = 0;
    int64_t start;
    int i;
    snprintf(address, sizeof address, "127.0.0.1:%d", server_port());
    options.hook_timeout_ms = 200;
    pool = session_pool(SHOP, NULL, &options);
    for (i = 0; i < 4; i++)
        conns[i] = borrow_session(pool);
    RUN(vcp_libpq_session(conns[1]), "BEGIN");
    signal_server(SIGSTOP);
    CHECK_EQ(PQsendQuery(vcp_libpq_session(conns[2]), "SELECT 1"), 1);
    send_more_than_fits(vcp_libpq_session(conns[3]));
    for (i = 0; i < DIALS; i++)
        dials_ms[i] = i % 2 ? dial_takes_ms(pool, "tcp", address)
                            : dial_takes_ms(pool, "unix", socket_path());
    qsort(dials_ms, DIALS, sizeof dials_ms[0], compare);
    for (i = 0; i < 4; i++) {
        int64_t took = close_takes_us(conns[i]);
        close_us = took > close_us ? took : close_us;
    }
    start = now_ms();
    EVENTUALLY(is_at_rest(pool), 200 + LATENESS_MS);
    printf("  dial of %d ms: %" PRId64 " to %" PRId64 " ms; close: %" PRId64
           " us; rollback given up after %" PRId64 " ms\n",
           BUDGET_MS, dials_ms[0], dials_ms[DIALS - 1], close_us, now_ms() - start);
    CHECK_EQ(idle_in(pool), 1); /* the one that was idle */
    CHECK(dials_ms[0] >= BUDGET_MS);
    CHECK_BETWEEN(dials_ms[DIALS / 2], BUDGET_MS, at_most(BUDGET_MS + 50));
    CHECK_BETWEEN(dials_ms[DIALS - 1], BUDGET_MS, at_most(BUDGET_MS + LATENESS_MS));
    CHECK_BETWEEN(close_us, 0, at_most(50000));
    start = now_ms();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_BETWEEN(now_ms() - start, 0, at_most(50));
    signal_server(SIGCONT);
    EVENTUALLY(backends(observer) == 0, 5000);
    PQfinish(observer);
}

/* ---- sockets that change under the pool ---- */

/* The session that was given back is idle, watched by its new socket, and lent out by it. */
static void is_watched_anew(vcp_pool *pool, PGconn *observer, int backend)
{
    vcp_conn *conn = borrow_session(pool);
    int64_t start;
    CHECK_EQ(backend_of(conn), backend);
    CHECK_EQ(vcp_conn_raw_fd(conn), PQsocket(vcp_libpq_session(conn)));
    CHECK_EQ(ask(vcp_libpq_session(conn), "SELECT 7"), 7);
    CHECK(is_kept(pool, conn));
    start = now_ms();
    end_backend(observer, backend);
    EVENTUALLY(idle_in(pool) == 0, 1000);
    CHECK_BETWEEN(now_ms() - start, 0, at_most(200));
}

TEST(a_reset_socket_is_noticed, "libpq: PQreset during a borrow is noticed, under the same number "
                                "and under another, and the old number is left alone")
{
    vcp_pool *pool = session_pool(SHOP, NULL, NULL);
    PGconn *observer = observer_new();
    vcp_conn *conn = borrow_session(pool);
    int old = vcp_conn_raw_fd(conn);
    int lower, taken, backend;
    PQreset(vcp_libpq_session(conn));
    CHECK_EQ(PQsocket(vcp_libpq_session(conn)), old);
    backend = backend_of(conn);
    CHECK(is_kept(pool, conn));
    is_watched_anew(pool, observer, backend);
    EVENTUALLY(!is_open(old), 5000); /* PQfinish runs on a helper thread */
    lower = open("/dev/null", O_RDONLY | O_CLOEXEC);
    conn = borrow_session(pool);
    old = vcp_conn_raw_fd(conn);
    CHECK(lower >= 0 && lower < old);
    close(lower);
    PQreset(vcp_libpq_session(conn));
    CHECK_EQ(PQsocket(vcp_libpq_session(conn)), lower);
    taken = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK_EQ(taken, old);
    backend = backend_of(conn);
    RUN(vcp_libpq_session(conn), "BEGIN");
    CHECK(is_kept(pool, conn));
    is_watched_anew(pool, observer, backend);
    CHECK(is_open(taken));
    close(taken);
    PQfinish(observer);
    end_pool(pool);
}

TEST(a_session_without_its_socket_is_closed,
     "libpq: A session that PQreset could not connect again is closed")
{
    vcp_pool *pool = session_pool("user=bob dbname=shop application_name=pooled", NULL, NULL);
    PGconn *observer = observer_new();
    vcp_conn *conn = borrow_session(pool);
    RUN(observer, "ALTER ROLE bob NOLOGIN");
    PQreset(vcp_libpq_session(conn));
    CHECK_EQ(PQstatus(vcp_libpq_session(conn)), CONNECTION_BAD);
    CHECK(!is_kept(pool, conn));
    RUN(observer, "ALTER ROLE bob LOGIN");
    PQfinish(observer);
    end_pool(pool);
}

TEST(a_session_over_tls_is_silent_while_idle,
     "libpq: Session tickets of TLS do not make an idle session unfit")
{
    vcp_pool *pool = session_pool(
        "user=postgres dbname=shop application_name=pooled sslmode=require", NULL, NULL);
    char address[64];
    vcp_conn *conn;
    int backend;
    snprintf(address, sizeof address, "127.0.0.1:%d", server_port());
    conn = borrow_at(pool, "tcp", address);
    CHECK_EQ(PQsslInUse(vcp_libpq_session(conn)), 1);
    CHECK_STR(PQsslAttribute(vcp_libpq_session(conn), "protocol"), "TLSv1.3");
    backend = backend_of(conn);
    CHECK(is_kept(pool, conn));
    STAYS(idle_in(pool) == 1, 700);
    conn = borrow_at(pool, "tcp", address);
    CHECK_EQ(backend_of(conn), backend);
    RUN(vcp_libpq_session(conn), "BEGIN");
    CHECK(is_kept(pool, conn));
    end_pool(pool);
}

TEST(host_is_the_name_that_tls_verifies,
     "libpq: Where the address is an IP, host in conninfo is the name that TLS verifies")
{
    char conninfo[256];
    char address[64];
    vcp_pool *pool;
    snprintf(address, sizeof address, "127.0.0.1:%d", server_port());
    snprintf(conninfo, sizeof conninfo,
             "user=postgres dbname=shop application_name=pooled sslmode=verify-full sslrootcert=%s",
             environment("VCP_POSTGRES_CERTIFICATE"));
    refuses(conninfo, "tcp", address, "host=db.example", "does not match host name");
    strcat(conninfo, " host=localhost");
    pool = session_pool(conninfo, NULL, NULL);
    CHECK(answers_at(pool, "tcp", address));
    end_pool(pool);
}

/* ---- fork ---- */

typedef struct inheritance {
    vcp_pool *pool;
    vcp_conn *borrowed;
    int backends_of[3];
} inheritance;

static void child_logs_in_anew(void *argument)
{
    inheritance *from = (inheritance *)argument;
    vcp_conn *conn;
    int i;
    CHECK_EQ(vcp_conn_close(from->borrowed), VCP_ERR_CONN_CLOSED);
    conn = borrow_session(from->pool);
    for (i = 0; i < 3; i++)
        CHECK(backend_of(conn) != from->backends_of[i]);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(ask(vcp_libpq_session(conn), "SELECT 7"), 7);
    RUN(vcp_libpq_session(conn), "BEGIN");
    CHECK(is_kept(from->pool, conn));
    CHECK_EQ(idle_in(from->pool), 1);
    CHECK_EQ(vcp_pool_close(from->pool), VCP_OK);
}

TEST(a_child_logs_in_anew,
     "libpq: After a fork the parent's sessions go on, and the child opens its own")
{
    inheritance parent;
    int i;
    parent.pool = session_pool(SHOP, NULL, NULL);
    fill(parent.pool, parent.backends_of, 3);
    parent.borrowed = borrow_session(parent.pool);
    RUN(vcp_libpq_session(parent.borrowed), "BEGIN");
    RUN(vcp_libpq_session(parent.borrowed), "INSERT INTO notes VALUES ('kept')");
    IN_A_CHILD(BY_FORK, child_logs_in_anew, &parent);
    RUN(vcp_libpq_session(parent.borrowed), "COMMIT");
    CHECK_EQ(ask(vcp_libpq_session(parent.borrowed), "SELECT count(*) FROM notes"), 1);
    RUN(vcp_libpq_session(parent.borrowed), "TRUNCATE notes");
    give_back(parent.borrowed);
    EVENTUALLY(idle_in(parent.pool) == 3, 5000);
    for (i = 0; i < 3; i++) {
        vcp_conn *conn = borrow_session(parent.pool);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        CHECK_EQ(ask(vcp_libpq_session(conn), "SELECT 7"), 7);
        CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        give_back(conn);
    }
    CHECK_EQ(stats_of(parent.pool).dials, 3);
    end_pool(parent.pool);
}
