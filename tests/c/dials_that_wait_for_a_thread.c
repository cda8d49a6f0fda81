/* Asynchronous dials whose callbacks have to wait until a helper thread of the library is free. Contract sections 4 and 5. */
#include "crew.h"

static int a; /* a token */

/* What the callbacks of a pool saw. */
typedef struct {
    pthread_t closer;
    const server *s;
    int calls;
    int on_closer;
    int events;
} witness;


static void note(void *user)
{
    witness *w = (witness *)user;
    __sync_add_and_fetch(&w->calls, 1);
    if (pthread_equal(pthread_self(), w->closer)) {
        __sync_add_and_fetch(&w->on_closer, 1);
    }
}

static int rewrites(void *user, const char *network, const char *address, char *out, size_t size)
{
    note(user);
    (void)network;
    snprintf(out, size, "%s", address);
    return 0;
}

static int dials(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    note(user);
    (void)network;
    (void)address;
    (void)timeout_ms;
    return client_of(((witness *)user)->s);
}

static int controls(void *user, const char *network, const char *address, int fd)
{
    note(user);
    (void)network;
    (void)address;
    return fd < 0;
}

static int hooks(void *user, vcp_conn *conn, int fd)
{
    note(user);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    return 0;
}

static void sees(void *user, const vcp_event *event)
{
    (void)event;
    __sync_add_and_fetch(&((witness *)user)->events, 1);
}

/* What a dial may wait for a thread with. */
enum { REWRITE, DIAL, CONTROL, OPEN, REUSE, EVENT, WAYS };

/* A pool whose next dial waits for a thread; the crew begins in between. */
static vcp_pool *pool_that_needs_a_thread(int way, const server *s, crew *busy, witness *w)
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    memset(w, 0, sizeof *w);
    w->closer = pthread_self();
    w->s = s;
    options.user = w;
    options.rewrite = way == REWRITE ? rewrites : NULL;
    options.dial = way == DIAL ? dials : NULL;
    options.control = way == CONTROL ? controls : NULL;
    options.on_open = way == OPEN ? hooks : NULL;
    options.on_reuse = way == REUSE ? hooks : NULL;
    options.on_event = way == EVENT ? sees : NULL;
    pool = pool_new(&options);
    if (way == REUSE) {
        give_back(borrow(pool, s));
    }
    crew_begins(busy);
    return pool;
}

TEST(a_close_runs_no_callback_on_its_own_thread)
{
    server s = tcp_server();
    int way;
    for (way = 0; way < WAYS; way++) {
        vcp_queue *queue = queue_new();
        crew busy;
        witness w;
        vcp_pool *pool = pool_that_needs_a_thread(way, &s, &busy, &w);
        begin_dial(pool, &s, NULL, queue, &a);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        next_fails(queue, &a, VCP_ERR_POOL_CLOSED);
        CHECK_EQ(w.calls, 0);
        crew_ends(&busy);
        CHECK_EQ(w.calls, 0);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    }
    server_close(&s);
}

/* The file of services is read on a thread that may block, and a close has no need of it. */
TEST(a_close_reads_no_file_of_services)
{
    vcp_queue *queue = queue_new();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    crew busy;
    crew_begins(&busy);
    CHECK_EQ(vcp_dial_async(pool, "tcp", "127.0.0.1:no-such-service", NULL, queue, &a, &conn), VCP_ERR_IN_PROGRESS);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    next_fails(queue, &a, VCP_ERR_POOL_CLOSED);
    crew_ends(&busy);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
}

/* It stuck there: nobody fetched it, and nobody else could have it. */
TEST(what_is_given_back_serves_a_dial_that_waits_for_on_open)
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    crew busy;
    witness w;
    memset(&w, 0, sizeof w);
    options.user = &w;
    options.on_open = hooks;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    close(server_accept(&s));
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    crew_begins(&busy);
    begin_dial(pool, &s, NULL, queue, &a);
    close(server_accept(&s)); /* it is connected; whether the engine has seen it by the time of the put does not matter */
    let_pass(50);
    CHECK_EQ(vcp_pool_put(pool, client_of(&s), s.network, s.address, NULL), VCP_OK);
    conn = next_conn(queue, &a);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(w.calls, 1);
    CHECK_EQ(stats_of(pool).dialing, 1);
    crew_ends(&busy);
    EVENTUALLY(stats_of(pool).dialing == 0, 5000);
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

int main(void)
{
    RUN(a_close_runs_no_callback_on_its_own_thread);
    RUN(a_close_reads_no_file_of_services);
    RUN(what_is_given_back_serves_a_dial_that_waits_for_on_open);
    return finished();
}
