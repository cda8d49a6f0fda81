/*
 * pthread_cancel(3) of threads that are inside the library: it takes effect after the call, and
 * nothing is lost. (signals_and_cancellation shows it for a read and for a dial that connects.)
 * VCP_CANCELS says how many threads are canceled at random moments (200).
 */
#include "completions.h"
#include "draws.h"
#include "nonces.h"

/* ---- one thread, canceled inside one call ---- */

typedef struct victim {
    pthread_t thread;
    server s;
    int peer; /* the server's end of conn */
    vcp_pool *pool;
    vcp_conn *conn; /* what the call works on, or gets */
    vcp_conn *kept; /* of the main thread */
    int64_t (*call)(struct victim *v);
    int64_t result;
    int32_t inside; /* of a callback */
    int32_t may_go;
    int32_t began;
    int32_t returned;
    int32_t went_on;
} victim;

static char many_bytes[16 << 20];

static void *is_canceled(void *argument)
{
    victim *v = (victim *)argument;
    count_one(&v->began);
    v->result = v->call(v);
    count_one(&v->returned);
    pthread_testcancel();
    count_one(&v->went_on);
    return NULL;
}

/* Waits at cancellation points, in a callback. */
static int waits_inside(void *user)
{
    victim *v = (victim *)user;
    count_one(&v->inside);
    while (!load(&v->may_go)) {
        poll(NULL, 0, 1);
        pthread_testcancel();
    }
    return 0;
}

static int victim_resolves(void *user, const char *network, const char *host, int64_t timeout_ms,
                           vcp_resolved *out)
{
    (void)network;
    (void)host;
    (void)timeout_ms;
    return waits_inside(user) + vcp_resolved_add(out, "127.0.0.1");
}

static int victim_dials(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    (void)network;
    (void)address;
    (void)timeout_ms;
    return waits_inside(user) + client_of(&((victim *)user)->s);
}

static int victim_hook(void *user, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    return waits_inside(user);
}

static int victim_opens(void *user, const vcp_session_request *request, vcp_session *session)
{
    (void)request;
    session->data = many_bytes;
    return waits_inside(user);
}

/* ---- the calls ---- */

static int64_t writes(victim *v)
{
    return vcp_conn_write(v->conn, many_bytes, sizeof many_bytes);
}

static int64_t waits(victim *v)
{
    return vcp_conn_wait(v->conn, VCP_READABLE);
}

static int64_t reads_whole(victim *v)
{
    char bytes[4];
    return vcp_conn_read_full(v->conn, bytes, sizeof bytes);
}

static int64_t dials(victim *v)
{
    return vcp_dial(v->pool, "tcp", v->s.address, &v->conn);
}

static int64_t dials_a_name(victim *v)
{
    char name[32];
    snprintf(name, sizeof name, "name.test:%d", v->s.port);
    return vcp_dial(v->pool, "tcp", name, &v->conn);
}

static int64_t drains(victim *v)
{
    return vcp_pool_drain(v->pool, VCP_FOREVER);
}

static int64_t gives_back(victim *v)
{
    return vcp_conn_close(v->conn);
}

/* ---- what ends each call ---- */

static void server_reads_all(victim *v)
{
    static char bytes[1 << 16];
    size_t total = 0;
    while (total < sizeof many_bytes) {
        ssize_t got = recv(v->peer, bytes, sizeof bytes, 0);
        CHECK(got > 0);
        total += (size_t)got;
    }
}

static void server_sends(victim *v)
{
    CHECK_EQ(send(v->peer, "four", 4, 0), 4);
}

static void other_gives_back(victim *v)
{
    give_back(v->kept);
    v->kept = NULL;
}

static void callback_goes(victim *v)
{
    count_one(&v->may_go);
}

typedef struct scene {
    const char *name;
    int64_t (*call)(victim *v);
    void (*ends)(victim *v);
    int borrows;     /* the call works on a connection */
    int is_full;     /* the main thread has the only one that the limit allows */
    int in_callback; /* it is canceled there */
    int64_t result;  /* or 1: it gets a connection */
} scene;

static const scene scenes[] = {
    {"write", writes, server_reads_all, 1, 0, 0, sizeof many_bytes},
    {"wait", waits, server_sends, 1, 0, 0, VCP_READABLE},
    {"read_full", reads_whole, server_sends, 1, 0, 0, 4},
    {"a dial that waits", dials, other_gives_back, 0, 1, 0, 1},
    {"drain", drains, other_gives_back, 0, 1, 0, 0},
    {"resolve", dials_a_name, callback_goes, 0, 0, 1, 1},
    {"dial callback", dials, callback_goes, 0, 0, 1, 1},
    {"on_open", dials, callback_goes, 0, 0, 1, 1},
    {"on_reuse", dials, callback_goes, 0, 0, 1, 1},
    {"on_release", gives_back, callback_goes, 1, 0, 1, VCP_OK},
    {"open_session", dials, callback_goes, 0, 0, 1, 1},
};

static vcp_pool_options options_for(const scene *s, victim *v)
{
    vcp_pool_options o = pool_options();
    o.user = v;
    o.max_conns = 1;
    o.wait_timeout_ms = VCP_FOREVER;
    o.dial_timeout_ms = VCP_FOREVER; /* so that resolve runs on the dialing thread */
    o.hook_timeout_ms = VCP_FOREVER;
    o.resolve = strcmp(s->name, "resolve") == 0 ? victim_resolves : NULL;
    o.dial = strcmp(s->name, "dial callback") == 0 ? victim_dials : NULL;
    o.on_open = strcmp(s->name, "on_open") == 0 ? victim_hook : NULL;
    o.on_reuse = strcmp(s->name, "on_reuse") == 0 ? victim_hook : NULL;
    o.on_release = strcmp(s->name, "on_release") == 0 ? victim_hook : NULL;
    o.open_session = strcmp(s->name, "open_session") == 0 ? victim_opens : NULL;
    return o;
}

static void prepare(const scene *s, victim *v)
{
    vcp_pool_options o = options_for(s, v);
    memset(v, 0, sizeof *v);
    v->s = tcp_server();
    v->peer = -1;
    v->call = s->call;
    v->pool = pool_new(&o);
    if (s->borrows) {
        v->conn = borrow(v->pool, &v->s);
        v->peer = server_accept(&v->s);
    } else if (s->is_full) {
        v->kept = borrow(v->pool, &v->s);
    } else if (o.on_reuse) {
        give_back(borrow(v->pool, &v->s));
    }
}

static void check_nothing_is_lost(const scene *s, victim *v)
{
    if (s->result == 1 && s->call != waits) {
        CHECK(v->result >= 0);
        give_back(v->conn);
    } else {
        CHECK_EQ(v->result, s->result);
        if (s->borrows && s->call != gives_back) {
            give_back(v->conn);
        }
    }
    CHECK_EQ(stats_of(v->pool).borrowed + stats_of(v->pool).waiting, 0);
    CHECK_EQ(idle_in(v->pool), s->call == drains ? 0 : 1);
    CHECK_STATS_ADD_UP(v->pool);
    CHECK_EQ(vcp_pool_close(v->pool), VCP_OK);
    close(v->peer);
    server_close(&v->s);
}

static void cancel_inside(const scene *s)
{
    static victim v;
    void *how = NULL;
    prepare(s, &v);
    CHECK_EQ(pthread_create(&v.thread, NULL, is_canceled, &v), 0);
    EVENTUALLY(load(&v.began), 5000);
    if (s->in_callback) {
        EVENTUALLY(load(&v.inside), 5000);
    }
    let_pass(20);
    CHECK_EQ(pthread_cancel(v.thread), 0);
    STAYS(!load(&v.returned) && pthread_tryjoin_np(v.thread, &how) == EBUSY, 50);
    s->ends(&v);
    CHECK_EQ(pthread_join(v.thread, &how), 0);
    CHECK(how == PTHREAD_CANCELED);
    CHECK(load(&v.returned) && !load(&v.went_on));
    check_nothing_is_lost(s, &v);
}

TEST(a_thread_canceled_in_any_call_or_callback_finishes_the_call,
     "cancellation: pthread_cancel inside write, wait, drain, a wait at a limit and every callback "
     "takes effect after the call; nothing is lost")
{
    size_t i;
    int fds = open_fds();
    for (i = 0; i < sizeof scenes / sizeof *scenes; i++) {
        printf("  %s\n", scenes[i].name);
        fflush(stdout);
        cancel_inside(&scenes[i]);
    }
    CHECK_BASELINE(fds, 1 + TOOL_THREADS);
}

/* ---- many threads, canceled anywhere ---- */

enum { AT_ONCE = 6, LIMIT = 4 };

typedef struct borrower {
    pthread_t thread;
    uint64_t random;
    vcp_conn *conn; /* in its hands: vcp_dial_with writes it, before the thread can be canceled */
    int64_t rounds;
    int is_joined; /* by the main thread */
} borrower;

static nonce_server served;
static vcp_pool *contested;

/* Between the calls are no cancellation points but those that are written here. */
static void *borrows_until_canceled(void *argument)
{
    borrower *b = (borrower *)argument;
    for (;;) {
        vcp_dial_options d = dial_options(draw(&b->random, 8) ? 0 : VCP_DIAL_FRESH);
        int fd;
        d.timeout_ms = draw(&b->random, 4) ? VCP_POOL_DEFAULT : 2;
        fd = vcp_dial_with(contested, "tcp", served.at[0].address, &d, &b->conn);
        pthread_testcancel();
        if (fd >= 0) {
            b->rounds++;
            ask(b->conn, (uint32_t)b->rounds);
            pthread_testcancel();
            CHECK_EQ(vcp_conn_close(b->conn), VCP_OK);
            b->conn = NULL;
        } else {
            CHECK_EQ(fd, VCP_ERR_TIMEOUT);
        }
    }
    return NULL;
}

/* Has ended: what it had in its hands goes back, for those that still wait for it. */
static int has_ended(borrower *b, int64_t *rounds)
{
    void *how = NULL;
    if (b->is_joined || pthread_tryjoin_np(b->thread, &how) != 0) {
        return b->is_joined;
    }
    CHECK(how == PTHREAD_CANCELED);
    if (b->conn != NULL) {
        give_back(b->conn);
    }
    *rounds += b->rounds;
    b->is_joined = 1;
    return 1;
}

static int have_ended(borrower *all, int64_t *rounds)
{
    int ended = 0;
    int i;
    for (i = 0; i < AT_ONCE; i++) {
        ended += has_ended(&all[i], rounds);
    }
    return ended == AT_ONCE;
}

static void cancel_at_random(uint64_t *random, int64_t *rounds)
{
    borrower all[AT_ONCE];
    int i;
    for (i = 0; i < AT_ONCE; i++) {
        memset(&all[i], 0, sizeof all[i]);
        all[i].random = *random + (uint64_t)i;
        CHECK_EQ(pthread_create(&all[i].thread, NULL, borrows_until_canceled, &all[i]), 0);
    }
    poll(NULL, 0, (int)draw(random, 4));
    for (i = 0; i < AT_ONCE; i++) {
        CHECK_EQ(pthread_cancel(all[i].thread), 0);
    }
    EVENTUALLY(have_ended(all, rounds), 10000);
}

TEST(threads_canceled_at_random_lose_no_connection,
     "cancellation: Threads that borrow are canceled at random moments: no connection, permit or "
     "waiter is lost")
{
    vcp_pool_options options = pool_options();
    int64_t count = rounds_of("VCP_CANCELS", 200);
    int64_t rounds = 0;
    int64_t i;
    uint64_t random = seed_of_run();
    int fds = open_fds();
    served = nonce_server_new();
    options.max_conns = LIMIT;
    options.wait_timeout_ms = VCP_FOREVER;
    contested = pool_new(&options);
    for (i = 0; i < count; i += AT_ONCE) {
        cancel_at_random(&random, &rounds);
        EVENTUALLY(stats_of(contested).dialing == 0, 5000);
        CHECK_EQ(stats_of(contested).borrowed + stats_of(contested).waiting, 0);
        CHECK_STATS_ADD_UP(contested);
    }
    CHECK_EQ(vcp_pool_close(contested), VCP_OK);
    nonce_server_close(&served);
    CHECK_BASELINE(fds, 1 + TOOL_THREADS);
    printf("  %lld threads canceled after %lld borrows: nothing lost\n", (long long)i,
           (long long)rounds);
}
