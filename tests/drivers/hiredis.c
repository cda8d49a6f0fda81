/*
 * <vconnpool/hiredis.h> against a redis-server, whose own answers are the proof. hiredis.sh builds
 * and runs it: VCP_REDIS is host:port of the server, VCP_REDIS_SOCKET its unix socket,
 * VCP_REDIS_PID its process. The default user's password is "secret", that of the user alice
 * "wonder"; the user mute may do nothing.
 */
#include "check.h"

#include <vconnpool/hiredis.h>

static const char *address(void)
{
    const char *text = getenv("VCP_REDIS");
    CHECK(text != NULL);
    return text;
}

/* A command whose answer is a text; the text, until the next call. */
static const char *ask(redisContext *context, const char *command)
{
    static char text[4096];
    redisReply *reply = (redisReply *)redisCommand(context, command);
    CHECK(reply != NULL);
    if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(text, sizeof text, "%lld", reply->integer);
    else
        snprintf(text, sizeof text, "%s", reply->str == NULL ? "(nil)" : reply->str);
    freeReplyObject(reply);
    return text;
}

/* A connection of the test's own, outside of any pool. */
static redisContext *admin_new(void)
{
    redisContext *admin = redisConnect("127.0.0.1", atoi(strrchr(address(), ':') + 1));
    CHECK(admin != NULL && admin->err == 0);
    CHECK_STR(ask(admin, "AUTH secret"), "OK");
    return admin;
}

/* One number of INFO. */
static long info(redisContext *admin, const char *name)
{
    const char *text = ask(admin, "INFO clients");
    const char *found = strstr(text, name);
    CHECK(found != NULL);
    return atol(found + strlen(name) + 1);
}

static vcp_pool *redis_pool(const vcp_pool_options *options)
{
    vcp_pool *pool = NULL;
    CHECK_EQ(vcp_hiredis_pool_new(NULL, "secret", options, NULL, &pool), VCP_OK);
    return pool;
}

static vcp_conn *borrow_tag(vcp_pool *pool, const char *tag, redisContext **context)
{
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn = NULL;
    options.reuse_tag = tag;
    options.wait_timeout_ms = VCP_FOREVER;
    CHECK(vcp_dial_with(pool, "tcp", address(), &options, &conn) >= 0);
    *context = vcp_hiredis_session(conn);
    CHECK(*context != NULL);
    return conn;
}

static vcp_conn *borrow_redis(vcp_pool *pool, redisContext **context)
{
    return borrow_tag(pool, NULL, context);
}

static int is_at_rest(vcp_pool *pool)
{
    return stats_of(pool).borrowed == 0;
}

/* Given back, and looked at. */
static void give_back_and_wait(vcp_pool *pool, vcp_conn *conn)
{
    give_back(conn);
    EVENTUALLY(is_at_rest(pool), 5000);
}

static void end(vcp_pool *pool)
{
    EVENTUALLY(is_at_rest(pool), 5000);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* What the borrower left behind made the adapter close the connection. */
static void check_closed(vcp_pool *pool, vcp_conn *conn)
{
    uint64_t before = stats_of(pool).closed_hook;
    give_back_and_wait(pool, conn);
    CHECK_EQ(idle_in(pool), 0);
    CHECK_EQ(stats_of(pool).closed_hook, before + 1);
}

static void check_refused(vcp_pool *pool, const char *tag, const char *why)
{
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn = NULL;
    options.reuse_tag = tag;
    CHECK_EQ(vcp_dial_with(pool, "tcp", address(), &options, &conn), VCP_ERR_CALLBACK);
    CHECK_HAS(vcp_last_error(), why);
    end(pool);
}

TEST(a_context_rides_along, "hiredis: The context of a connection serves every borrow of it")
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *first, *second;
    vcp_conn *conn = borrow_redis(pool, &first);
    CHECK_STR(ask(first, "SET greeting hello"), "OK");
    CHECK(vcp_conn_data(conn) == first);
    give_back_and_wait(pool, conn);
    conn = borrow_redis(pool, &second);
    CHECK(second == first);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_STR(ask(second, "GET greeting"), "hello");
    give_back(conn);
    end(pool);
}

TEST(unix_sockets_too, "hiredis: A server's unix socket can be dialed")
{
    vcp_pool *pool = redis_pool(NULL);
    vcp_conn *conn = NULL;
    CHECK(vcp_dial(pool, "unix", getenv("VCP_REDIS_SOCKET"), &conn) >= 0);
    CHECK_STR(ask(vcp_hiredis_session(conn), "PING"), "PONG");
    give_back(conn);
    end(pool);
}

TEST(a_wrong_password_is_the_server_s_to_say, "hiredis: A login that the server refuses fails the "
                                              "dial with the server's text")
{
    vcp_pool *pool = NULL;
    CHECK_EQ(vcp_hiredis_pool_new(NULL, "wrong", NULL, NULL, &pool), VCP_OK);
    check_refused(pool, NULL, "on_open callback refused: 1: WRONGPASS");
    CHECK_EQ(vcp_hiredis_pool_new("alice", "secret", NULL, NULL, &pool), VCP_OK);
    check_refused(pool, NULL, "WRONGPASS");
}

TEST(no_password_is_the_server_s_to_say,
     "hiredis: A server that wants a password fails the dial of "
     "a pool without one")
{
    vcp_pool *pool = NULL;
    CHECK_EQ(vcp_hiredis_pool_new(NULL, NULL, NULL, NULL, &pool), VCP_OK);
    check_refused(pool, NULL, "NOAUTH");
}

TEST(a_user_without_rights_is_told_at_once, "hiredis: A user who may not run what each give-back "
                                            "runs is refused at the opening")
{
    vcp_pool *pool = NULL;
    CHECK_EQ(vcp_hiredis_pool_new("mute", "wonder", NULL, NULL, &pool), VCP_OK);
    check_refused(pool, NULL, "NOPERM");
}

TEST(a_user_logs_in, "hiredis: AUTH is done as the user of the pool")
{
    vcp_pool *pool = NULL;
    redisContext *context;
    vcp_conn *conn;
    CHECK_EQ(vcp_hiredis_pool_new("alice", "wonder", NULL, NULL, &pool), VCP_OK);
    conn = borrow_redis(pool, &context);
    CHECK_STR(ask(context, "ACL WHOAMI"), "alice");
    give_back(conn);
    end(pool);
}

TEST(clients_have_the_pool_s_name, "hiredis: CLIENT SETNAME is done with the pool's name, or "
                                   "vconnpool")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool = redis_pool(NULL);
    redisContext *context;
    vcp_conn *conn = borrow_redis(pool, &context);
    CHECK_STR(ask(context, "CLIENT GETNAME"), "vconnpool");
    give_back(conn);
    end(pool);
    options.name = "web shop\xc3\xa9";
    pool = redis_pool(&options);
    conn = borrow_redis(pool, &context);
    CHECK_STR(ask(context, "CLIENT GETNAME"), "web-shop--");
    give_back(conn);
    end(pool);
}

TEST(a_tag_selects, "hiredis: The reuse tag db=N selects database N")
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *context;
    vcp_conn *conn = borrow_tag(pool, "db=3", &context);
    CHECK_HAS(ask(context, "CLIENT INFO"), " db=3 ");
    give_back(conn);
    conn = borrow_redis(pool, &context);
    CHECK_HAS(ask(context, "CLIENT INFO"), " db=0 ");
    give_back(conn);
    end(pool);
}

TEST(other_tags_are_refused, "hiredis: A reuse tag that is no db=N, or of a database that the "
                             "server does not have, fails the dial")
{
    check_refused(redis_pool(NULL), "user=alice", "the reuse tag is not db=N");
    check_refused(redis_pool(NULL), "db=", "the reuse tag is not db=N");
    check_refused(redis_pool(NULL), "db=1x", "the reuse tag is not db=N");
    check_refused(redis_pool(NULL), "db=11111111111111111111111111111111111111111111",
                  "the reuse tag is not db=N");
    check_refused(redis_pool(NULL), "db=99", "ERR DB index is out of range");
}

typedef struct mixing {
    vcp_pool *pool;
    unsigned seed;
    int rounds;
} mixing;

static void *use_databases(void *argument)
{
    mixing *m = (mixing *)argument;
    int i;
    for (i = 0; i < m->rounds; i++) {
        redisContext *context;
        redisReply *reply;
        char tag[16];
        char wanted[16];
        int database = (int)((m->seed = m->seed * 1103515245 + 12345) >> 16) % 4;
        vcp_conn *conn;
        snprintf(tag, sizeof tag, "db=%d", database);
        snprintf(wanted, sizeof wanted, " db=%d ", database);
        conn = borrow_tag(m->pool, tag, &context);
        reply = (redisReply *)redisCommand(context, "CLIENT INFO");
        CHECK(reply != NULL);
        CHECK_HAS(reply->str, wanted);
        freeReplyObject(reply);
        if (i % 5 == 0) /* a borrower who does not clean up */
            freeReplyObject(redisCommand(context, "SELECT %d", 7));
        if (i % 7 == 0)
            freeReplyObject(redisCommand(context, "MULTI"));
        give_back(conn);
    }
    return NULL;
}

TEST(databases_are_never_mixed, "hiredis: Eight threads over four databases and three connections "
                                "each meet their own database, whatever others left behind")
{
    vcp_pool_options options = pool_options();
    redisContext *admin = admin_new();
    mixing m[8];
    pthread_t threads[8];
    int64_t start = now_ms();
    long peak = 0;
    int i;
    long before = info(admin, "connected_clients");
    options.max_conns = 3;
    m[0].pool = redis_pool(&options);
    for (i = 0; i < 8; i++) {
        m[i].pool = m[0].pool;
        m[i].seed = (unsigned)i + 1;
        m[i].rounds = 300;
        CHECK_EQ(pthread_create(&threads[i], NULL, use_databases, &m[i]), 0);
    }
    for (i = 0; i < 100; i++) {
        long now = info(admin, "connected_clients") - before;
        peak = now > peak ? now : peak;
        let_pass(2);
    }
    for (i = 0; i < 8; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    /* The server may learn of a close after the next connect. */
    CHECK_BETWEEN(peak, 1, 3 + 3);
    printf("  2,400 borrows in %d ms, at most %ld clients\n", (int)(now_ms() - start), peak);
    CHECK_EQ(stats_of(m[0].pool).dial_failures, 0);
    end(m[0].pool);
    redisFree(admin);
}

TEST(another_database_is_undone, "hiredis: A connection on which another database was selected is "
                                 "kept, and back in its own")
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *context;
    vcp_conn *conn = borrow_tag(pool, "db=1", &context);
    CHECK_STR(ask(context, "SELECT 5"), "OK");
    give_back_and_wait(pool, conn);
    conn = borrow_tag(pool, "db=1", &context);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_HAS(ask(context, "CLIENT INFO"), " db=1 ");
    give_back(conn);
    end(pool);
}

TEST(watched_keys_are_let_go, "hiredis: Keys that a borrower watched do not fail the next one's "
                              "transaction")
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *admin = admin_new();
    redisContext *context;
    redisReply *reply;
    vcp_conn *conn = borrow_redis(pool, &context);
    CHECK_STR(ask(context, "WATCH watched"), "OK");
    give_back_and_wait(pool, conn);
    CHECK_STR(ask(admin, "SET watched 1"), "OK");
    conn = borrow_redis(pool, &context);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_STR(ask(context, "MULTI"), "OK");
    CHECK_STR(ask(context, "PING"), "QUEUED");
    reply = (redisReply *)redisCommand(context, "EXEC");
    CHECK(reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1);
    freeReplyObject(reply);
    give_back(conn);
    end(pool);
    redisFree(admin);
}

static void check_left_behind(const char *command)
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *context;
    vcp_conn *conn = borrow_redis(pool, &context);
    freeReplyObject(redisCommand(context, command));
    CHECK_EQ(context->err, 0);
    check_closed(pool, conn);
    conn = borrow_redis(pool, &context);
    CHECK_STR(ask(context, "PING"), "PONG");
    give_back(conn);
    end(pool);
}

TEST(multi_closes, "hiredis: A connection that is given back in MULTI is closed")
{
    check_left_behind("MULTI");
}

TEST(subscriptions_close, "hiredis: A connection that is given back subscribed is closed")
{
    check_left_behind("SUBSCRIBE news");
    check_left_behind("PSUBSCRIBE news*");
}

TEST(monitor_closes, "hiredis: A connection that is given back in MONITOR is closed")
{
    check_left_behind("MONITOR");
}

TEST(unread_replies_close, "hiredis: A connection is closed if a reply that came was not read")
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *context;
    vcp_conn *conn = borrow_redis(pool, &context);
    void *reply = NULL;
    CHECK_EQ(redisAppendCommand(context, "SET a 1"), REDIS_OK);
    CHECK_EQ(redisAppendCommand(context, "SET b 2"), REDIS_OK);
    CHECK_EQ(redisGetReply(context, &reply), REDIS_OK);
    freeReplyObject(reply);
    check_closed(pool, conn);
    end(pool);
}

TEST(unsent_commands_close, "hiredis: A connection is closed if a command was not sent")
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *context;
    vcp_conn *conn = borrow_redis(pool, &context);
    CHECK_EQ(redisAppendCommand(context, "SET a 1"), REDIS_OK);
    check_closed(pool, conn);
    end(pool);
}

TEST(replies_on_their_way_close,
     "hiredis: A connection is closed if a reply is still to come, also "
     "one that is OK")
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *context;
    int is_sent = 0;
    vcp_conn *conn = borrow_redis(pool, &context);
    CHECK_EQ(redisAppendCommand(context, "SET a 1"), REDIS_OK);
    CHECK_EQ(redisBufferWrite(context, &is_sent), REDIS_OK);
    CHECK_EQ(is_sent, 1);
    check_closed(pool, conn);
    end(pool);
}

TEST(a_blocking_command_holds_nobody_up,
     "hiredis: A connection whose command does not end is "
     "closed after hook_timeout_ms, and its close does not wait")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    redisContext *context;
    int is_sent = 0;
    int64_t start;
    vcp_conn *conn;
    options.hook_timeout_ms = 300;
    pool = redis_pool(&options);
    conn = borrow_redis(pool, &context);
    CHECK_EQ(redisAppendCommand(context, "BLPOP nothing 30"), REDIS_OK);
    CHECK_EQ(redisBufferWrite(context, &is_sent), REDIS_OK);
    start = now_ms();
    give_back(conn);
    CHECK_BETWEEN(now_ms() - start, 0, at_most(100));
    EVENTUALLY(is_at_rest(pool), 300 + LATENESS_MS);
    CHECK_BETWEEN(now_ms() - start, 299, at_most(300 + LATENESS_MS));
    CHECK_EQ(idle_in(pool), 0);
    end(pool);
}

static pid_t server_process(void)
{
    const char *text = getenv("VCP_REDIS_PID");
    CHECK(text != NULL && atoi(text) > 1);
    return (pid_t)atoi(text);
}

TEST(a_login_that_hangs_is_ended, "hiredis: The opening ends at the dial's deadline")
{
    vcp_pool *pool = redis_pool(NULL);
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn = NULL;
    int64_t start;
    CHECK_EQ(kill(server_process(), SIGSTOP), 0);
    options.timeout_ms = 300;
    start = now_ms();
    CHECK_EQ(vcp_dial_with(pool, "tcp", address(), &options, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(kill(server_process(), SIGCONT), 0);
    CHECK_TOOK(start, 300);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_OPENING);
    end(pool);
}

TEST(a_stopped_server_holds_no_close_up, "hiredis: vcp_conn_close does not wait for the server")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    redisContext *context;
    vcp_conn *conn;
    int64_t start;
    options.hook_timeout_ms = 300;
    pool = redis_pool(&options);
    conn = borrow_redis(pool, &context);
    CHECK_STR(ask(context, "PING"), "PONG");
    CHECK_EQ(kill(server_process(), SIGSTOP), 0);
    start = now_ms();
    give_back(conn);
    CHECK_BETWEEN(now_ms() - start, 0, at_most(100));
    EVENTUALLY(is_at_rest(pool), 300 + LATENESS_MS);
    CHECK_EQ(kill(server_process(), SIGCONT), 0);
    CHECK_EQ(idle_in(pool), 0);
    end(pool);
}

TEST(redis_kills_an_idle_one,
     "hiredis: A connection that the server kills while it is idle leaves the "
     "pool, and is never handed out")
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *admin = admin_new();
    redisContext *context;
    char kill_it[64];
    vcp_conn *conn = borrow_redis(pool, &context);
    snprintf(kill_it, sizeof kill_it, "CLIENT KILL ID %s", ask(context, "CLIENT ID"));
    give_back_and_wait(pool, conn);
    CHECK_EQ(idle_in(pool), 1);
    CHECK_STR(ask(admin, kill_it), "1");
    EVENTUALLY(idle_in(pool) == 0, 1000);
    conn = borrow_redis(pool, &context);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_STR(ask(context, "PING"), "PONG");
    give_back(conn);
    end(pool);
    redisFree(admin);
}

TEST(redis_kills_in_use,
     "hiredis: A context with an error is not kept, and vcp_conn_should_retry knows "
     "what vcp_conn_report told")
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *admin = admin_new();
    redisContext *context;
    char kill_it[64];
    int is_told;
    for (is_told = 0; is_told <= 1; is_told++) {
        vcp_conn *conn = borrow_redis(pool, &context);
        give_back_and_wait(pool, conn);
        conn = borrow_redis(pool, &context);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        snprintf(kill_it, sizeof kill_it, "CLIENT KILL ID %s", ask(context, "CLIENT ID"));
        CHECK_STR(ask(admin, kill_it), "1");
        CHECK(redisCommand(context, "PING") == NULL);
        CHECK(context->err != 0);
        if (is_told) {
            int64_t result = context->err == REDIS_ERR_EOF ? 0 : -1;
            CHECK_EQ(vcp_conn_report(conn, result, ECONNRESET), VCP_OK);
        }
        CHECK_EQ(vcp_conn_should_retry(conn), is_told);
        give_back_and_wait(pool, conn);
        CHECK_EQ(idle_in(pool), 0);
    }
    end(pool);
    redisFree(admin);
}

TEST(modes_are_followed, "hiredis: A descriptor that was borrowed in non-blocking mode makes the "
                         "context non-blocking, for that borrow")
{
    vcp_pool *pool = redis_pool(NULL);
    vcp_dial_options options = dial_options(VCP_DIAL_NONBLOCKING);
    redisContext *context;
    vcp_conn *conn = NULL;
    void *reply = NULL;
    int is_sent = 0;
    CHECK(vcp_dial_with(pool, "tcp", address(), &options, &conn) >= 0);
    context = vcp_hiredis_session(conn);
    CHECK_EQ(redisAppendCommand(context, "PING"), REDIS_OK);
    CHECK_EQ(redisBufferWrite(context, &is_sent), REDIS_OK);
    while (reply == NULL) {
        CHECK_EQ(vcp_conn_wait(conn, VCP_READABLE), VCP_READABLE);
        CHECK_EQ(redisBufferRead(context), REDIS_OK);
        CHECK_EQ(redisGetReply(context, &reply), REDIS_OK);
    }
    CHECK_STR(((redisReply *)reply)->str, "PONG");
    freeReplyObject(reply);
    CHECK_EQ(redisBufferRead(context), REDIS_OK); /* nothing there, and no error */
    give_back_and_wait(pool, conn);
    conn = borrow_redis(pool, &context);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_STR(ask(context, "PING"), "PONG");
    give_back(conn);
    end(pool);
}

TEST(detached_with_its_context, "hiredis: After detach context and descriptor are the caller's")
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *context;
    vcp_conn *conn = borrow_redis(pool, &context);
    CHECK(vcp_conn_detach(conn) >= 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_STR(ask(context, "PING"), "PONG");
    redisFree(context);
}

TEST(nothing_is_left_at_the_server, "hiredis: After vcp_pool_close the server has no client of the "
                                    "pool, and the process no socket")
{
    redisContext *admin = admin_new();
    long before = info(admin, "connected_clients");
    int sockets = open_sockets();
    vcp_pool *pool = redis_pool(NULL);
    vcp_conn *conns[8];
    redisContext *context;
    int i;
    for (i = 0; i < 8; i++)
        conns[i] = borrow_redis(pool, &context);
    CHECK_EQ(info(admin, "connected_clients"), before + 8);
    for (i = 0; i < 8; i++)
        give_back(conns[i]);
    end(pool);
    EVENTUALLY(info(admin, "connected_clients") == before, 1000);
    CHECK_EQ(open_sockets(), sockets);
    redisFree(admin);
}

static int never_called(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    (void)fd;
    return 0;
}

static int never_opened(void *user, const vcp_session_request *request, vcp_session *session)
{
    (void)user;
    (void)request;
    (void)session;
    return 1;
}

TEST(what_the_redis_adapter_sets_is_refused,
     "hiredis: user and the callbacks that the adapter sets must "
     "be unset, and a user needs a password")
{
    vcp_pool_options good = pool_options();
    vcp_pool_options options;
    vcp_pool *pool = NULL;
    options = good, options.user = &good;
    CHECK_EQ(vcp_hiredis_pool_new(NULL, NULL, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.free_user = free;
    CHECK_EQ(vcp_hiredis_pool_new(NULL, NULL, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.on_open = never_called;
    CHECK_EQ(vcp_hiredis_pool_new(NULL, NULL, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.on_release = never_called;
    CHECK_EQ(vcp_hiredis_pool_new(NULL, NULL, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.open_session = never_opened;
    CHECK_EQ(vcp_hiredis_pool_new(NULL, NULL, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.size = 0;
    CHECK_EQ(vcp_hiredis_pool_new(NULL, NULL, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.lifetime_jitter_percent = 101;
    CHECK_EQ(vcp_hiredis_pool_new(NULL, NULL, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_hiredis_pool_new("alice", NULL, NULL, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK(pool == NULL);
}

typedef struct called {
    int on_reuse, on_event;
    int on_idle; /* on a helper thread: atomic */
} called;

static int called_on_reuse(void *user, vcp_conn *conn, int fd)
{
    (void)fd;
    CHECK(vcp_hiredis_session(conn) != NULL);
    ((called *)user)->on_reuse++;
    return 0;
}

/* A ping, as a program would. */
static int called_on_idle(void *user, vcp_conn *conn, int fd)
{
    (void)fd;
    __atomic_add_fetch(&((called *)user)->on_idle, 1, __ATOMIC_SEQ_CST);
    return strcmp(ask(vcp_hiredis_session(conn), "PING"), "PONG") != 0;
}

static void called_on_event(void *user, const vcp_event *event)
{
    if (event->kind == VCP_EVENT_REUSED)
        ((called *)user)->on_event++;
}

TEST(redis_callbacks_get_event_user, "hiredis: The program's own callbacks are passed event_user")
{
    vcp_pool_options options = pool_options();
    called c = {0, 0, 0};
    redisContext *context;
    vcp_pool *pool = NULL;
    options.on_reuse = called_on_reuse;
    options.on_event = called_on_event;
    options.on_idle = called_on_idle;
    options.on_idle_ms = 50;
    CHECK_EQ(vcp_hiredis_pool_new(NULL, "secret", &options, &c, &pool), VCP_OK);
    give_back_and_wait(pool, borrow_redis(pool, &context));
    give_back_and_wait(pool, borrow_redis(pool, &context));
    CHECK_EQ(c.on_reuse, 1);
    CHECK_EQ(c.on_event, 1);
    EVENTUALLY(__atomic_load_n(&c.on_idle, __ATOMIC_SEQ_CST) > 2, 5000);
    EVENTUALLY(idle_in(pool) == 1, 5000);
    end(pool);
}

TEST(logins_from_an_event_loop, "hiredis: Fifty asynchronous dials of one thread log in side by "
                                "side, and each context is ready")
{
    enum { MANY = 50 };
    vcp_pool *pool = redis_pool(NULL);
    vcp_queue *queue = NULL;
    vcp_dial_options options = dial_options(VCP_DIAL_QUEUED | VCP_DIAL_FRESH);
    vcp_conn *conn;
    int i;
    CHECK_EQ(vcp_queue_new(&queue), VCP_OK);
    for (i = 0; i < MANY; i++)
        CHECK_EQ(vcp_dial_async(pool, "tcp", address(), &options, queue, NULL, &conn), VCP_OK);
    for (i = 0; i < MANY; i++) {
        vcp_completion answer;
        CHECK(readable_within(vcp_queue_fd(queue), 5000));
        CHECK_EQ(vcp_queue_next(queue, &answer, sizeof answer), 1);
        CHECK(answer.status >= 0);
        CHECK_STR(ask(vcp_hiredis_session(answer.conn), "PING"), "PONG");
        give_back(answer.conn);
    }
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    end(pool);
}

TEST(a_child_has_contexts_of_its_own, "hiredis: After fork the parent's context goes on, and the "
                                      "child logs in anew")
{
    vcp_pool *pool = redis_pool(NULL);
    redisContext *context;
    vcp_conn *conn = borrow_redis(pool, &context);
    int status = -1;
    pid_t child;
    give_back_and_wait(pool, conn);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        conn = borrow_redis(pool, &context);
        CHECK_EQ(vcp_conn_is_reused(conn), 0);
        CHECK_STR(ask(context, "PING"), "PONG");
        give_back(conn);
        end(pool);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    conn = borrow_redis(pool, &context);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_STR(ask(context, "PING"), "PONG");
    give_back(conn);
    end(pool);
}
