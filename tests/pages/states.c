/*
 * Every way out of docs/guide/states.md happens: from where, for which reason, counted where. Each
 * is printed as the page's table has it, and tests/guide.rs compares the two.
 */
#include "check.h"
#include "fake_pthread_create.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int reasons[VCP_CLOSE_FOREIGN_FD + 1]; /* guarded by it */

static void note(void *user, const vcp_event *event)
{
    (void)user;
    pthread_mutex_lock(&lock);
    if (event->kind == VCP_EVENT_CLOSED)
        reasons[event->reason]++;
    pthread_mutex_unlock(&lock);
}

static int has_seen(int reason)
{
    int count;
    pthread_mutex_lock(&lock);
    count = reasons[reason];
    pthread_mutex_unlock(&lock);
    return count > 0;
}

static fixture begin(vcp_pool_options *options)
{
    memset(reasons, 0, sizeof reasons);
    options->on_event = note;
    return fixture_new(options);
}

/* That reason was told, and this counter grew. */
#define SEE(f, from, reason, counter)                  \
    do {                                               \
        EVENTUALLY(has_seen(reason), 5000);            \
        CHECK(stats_of((f)->pool).counter > 0);        \
        printf("%s %s %s\n", from, #reason, #counter); \
    } while (0)

/* The same, and all is well at the end. (Not by SEE, which would be given numbers for names.) */
#define PROVE(f, from, reason, counter)                \
    do {                                               \
        EVENTUALLY(has_seen(reason), 5000);            \
        CHECK(stats_of((f)->pool).counter > 0);        \
        printf("%s %s %s\n", from, #reason, #counter); \
        FIXTURE_END(f);                                \
    } while (0)

/* Borrows and gives back. */
static int once(fixture *f)
{
    vcp_conn *conn = borrow(f->pool, &f->s);
    int fd = vcp_conn_raw_fd(conn);
    give_back(conn);
    return fd;
}

static int refuse(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    (void)fd;
    return 1;
}

/* The first of all tests: the library has no thread yet, and gets none, so that nothing but the
 * dial looks at the time. */
TEST(a_dial_ends_those_whose_time_is_over, "docs/guide/states.md: A dial looks at times, too")
{
    vcp_pool_options options = pool_options();
    fixture f;
    CHECK(CAN_FAKE_THREADS);
    before_thread = refuses;
    options.idle_timeout_ms = 20;
    f = begin(&options);
    once(&f);
    let_pass(50);
    CHECK(!has_seen(VCP_CLOSE_IDLE_TIMEOUT));
    once(&f);
    PROVE(&f, "borrow", VCP_CLOSE_IDLE_TIMEOUT, closed_idle_timeout);
    options = pool_options();
    options.max_lifetime_ms = 20;
    f = begin(&options);
    once(&f);
    let_pass(50);
    CHECK(!has_seen(VCP_CLOSE_LIFETIME));
    once(&f);
    PROVE(&f, "borrow", VCP_CLOSE_LIFETIME, closed_lifetime);
    before_thread = NULL;
}

TEST(idle_ones_end_by_time, "docs/guide/states.md: An idle connection ends by its time")
{
    vcp_pool_options options = pool_options();
    fixture f;
    options.idle_timeout_ms = 20;
    f = begin(&options);
    once(&f);
    PROVE(&f, "idle", VCP_CLOSE_IDLE_TIMEOUT, closed_idle_timeout);
    options = pool_options();
    options.max_lifetime_ms = 100;
    f = begin(&options);
    once(&f);
    PROVE(&f, "idle", VCP_CLOSE_LIFETIME, closed_lifetime);
}

TEST(idle_ones_end_by_their_peer, "docs/guide/states.md: An idle connection ends by its peer")
{
    vcp_pool_options options = pool_options();
    fixture f = begin(&options);
    int peer;
    once(&f);
    peer = server_accept(&f.s);
    close(peer);
    PROVE(&f, "idle", VCP_CLOSE_PEER_CLOSED, closed_while_idle);
    f = begin(&options);
    once(&f);
    peer = server_accept(&f.s);
    CHECK_EQ(send(peer, "x", 1, MSG_NOSIGNAL), 1);
    SEE(&f, "idle", VCP_CLOSE_DIRTY, closed_while_idle);
    close(peer);
    FIXTURE_END(&f);
}

TEST(idle_ones_end_by_the_program, "docs/guide/states.md: An idle connection ends by the program")
{
    vcp_pool_options options = pool_options();
    fixture f = begin(&options);
    once(&f);
    CHECK_EQ(vcp_pool_close_idle(f.pool), VCP_OK);
    PROVE(&f, "idle", VCP_CLOSE_EVICTED, closed_evicted);
    f = begin(&options);
    once(&f);
    options.max_uses = 1;
    CHECK_EQ(vcp_pool_set_limits(f.pool, &options), VCP_OK);
    PROVE(&f, "idle", VCP_CLOSE_MAX_USES, closed_max_uses);
    options.max_uses = 0;
    f = begin(&options);
    once(&f);
    CHECK_EQ(vcp_pool_drain(f.pool, 0), 0);
    PROVE(&f, "idle", VCP_CLOSE_POOL_CLOSED, closed_evicted);
    f = begin(&options);
    close(once(&f));
    CHECK_EQ(vcp_pool_close_idle(f.pool), VCP_OK);
    PROVE(&f, "idle", VCP_CLOSE_FOREIGN_FD, closed_foreign_fd);
    options.on_idle = refuse;
    options.on_idle_ms = 10;
    f = begin(&options);
    once(&f);
    PROVE(&f, "idle", VCP_CLOSE_HOOK, closed_hook);
}

TEST(a_look_at_the_borrow_ends_them, "docs/guide/states.md: The check at a borrow ends connections")
{
    vcp_pool_options options = pool_options();
    fixture f = begin(&options);
    int fd, peer;
    while (stats_of(f.pool).stale_at_borrow == 0) { /* the watch may be faster */
        once(&f);
        close(server_accept(&f.s));
        once(&f);
        close(server_accept(&f.s));
    }
    PROVE(&f, "borrow", VCP_CLOSE_PEER_CLOSED, stale_at_borrow);
    f = begin(&options);
    fd = once(&f);
    peer = server_accept(&f.s);
    CHECK_EQ(send(peer, "x", 1, MSG_NOSIGNAL), 1);
    await_arrival(fd);
    once(&f);
    SEE(&f, "borrow", VCP_CLOSE_DIRTY, dirty_at_borrow);
    close(peer);
    FIXTURE_END(&f);
    f = begin(&options);
    close(once(&f));
    once(&f);
    PROVE(&f, "borrow", VCP_CLOSE_FOREIGN_FD, closed_foreign_fd);
    options.on_reuse = refuse;
    f = begin(&options);
    once(&f);
    once(&f);
    PROVE(&f, "borrow", VCP_CLOSE_HOOK, closed_hook);
}

TEST(borrowers_end_them, "docs/guide/states.md: A borrower ends its connection")
{
    vcp_pool_options options = pool_options();
    fixture f = begin(&options);
    vcp_conn *conn = borrow(f.pool, &f.s);
    char byte;
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    PROVE(&f, "return", VCP_CLOSE_DISCARDED, closed_discarded);
    f = begin(&options);
    conn = borrow(f.pool, &f.s);
    close(server_accept(&f.s));
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 0);
    give_back(conn);
    PROVE(&f, "return", VCP_CLOSE_FAILED, closed_discarded);
    options.verify_release = 1;
    f = begin(&options);
    conn = borrow(f.pool, &f.s);
    close(vcp_conn_raw_fd(conn));
    give_back(conn);
    PROVE(&f, "return", VCP_CLOSE_FOREIGN_FD, closed_foreign_fd);
    options.verify_release = 0;
    f = begin(&options);
    do { /* until the watch is faster than the return */
        conn = borrow(f.pool, &f.s);
        close(server_accept(&f.s));
        let_pass(1);
        give_back(conn);
    } while (stats_of(f.pool).closed_discarded == 0);
    PROVE(&f, "return", VCP_CLOSE_PEER_CLOSED, closed_discarded);
}

TEST(the_pool_does_not_keep_them, "docs/guide/states.md: The pool does not keep every connection")
{
    vcp_pool_options options = pool_options();
    fixture f = begin(&options);
    vcp_conn *conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_pool_evict(f.pool, NULL, NULL), VCP_OK);
    give_back(conn);
    PROVE(&f, "return", VCP_CLOSE_EVICTED, closed_evicted);
    f = begin(&options);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_pool_drain(f.pool, 0), 1);
    give_back(conn);
    PROVE(&f, "return", VCP_CLOSE_POOL_CLOSED, closed_discarded);
    options.max_idle_per_address = 0;
    f = begin(&options);
    once(&f);
    PROVE(&f, "return", VCP_CLOSE_IDLE_FULL, closed_idle_full);
    options = pool_options();
    options.max_uses = 1;
    f = begin(&options);
    once(&f);
    PROVE(&f, "return", VCP_CLOSE_MAX_USES, closed_max_uses);
    options = pool_options();
    options.max_lifetime_ms = 20;
    f = begin(&options);
    conn = borrow(f.pool, &f.s);
    let_pass(50);
    give_back(conn);
    PROVE(&f, "return", VCP_CLOSE_LIFETIME, closed_lifetime);
    options = pool_options();
    options.on_release = refuse;
    f = begin(&options);
    once(&f);
    PROVE(&f, "return", VCP_CLOSE_HOOK, closed_hook);
}

/* A session that loses its socket inside a hook, while its driver goes on. */
typedef struct lost_session {
    int fd;
    int is_lost;
} lost_session;

static int lost_fd(void *data)
{
    lost_session *session = (lost_session *)data;
    return session->is_lost ? -1 : session->fd;
}

static void lost_end(void *data)
{
    close(((lost_session *)data)->fd);
    free(data);
}

static int lost_open(void *user, const vcp_session_request *request, vcp_session *session)
{
    lost_session *opened = (lost_session *)calloc(1, sizeof *opened);
    (void)request;
    CHECK(opened != NULL);
    opened->fd = client_of((server *)user);
    session->data = opened;
    session->free_data = lost_end;
    session->fd = lost_fd;
    return 0;
}

static int lose(void *user, vcp_conn *conn, int fd)
{
    lost_session *session = (lost_session *)vcp_conn_data(conn);
    (void)user;
    (void)fd;
    shutdown(session->fd, SHUT_RDWR);
    session->is_lost = 1;
    return 0;
}

TEST(lost_sessions_fail, "docs/guide/states.md: A session that lost its socket has failed")
{
    vcp_pool_options options = pool_options();
    fixture f;
    server s = tcp_server();
    options.user = &s;
    options.open_session = lost_open;
    options.on_reuse = lose;
    f = begin(&options);
    once(&f);
    once(&f);
    PROVE(&f, "borrow", VCP_CLOSE_FAILED, closed_discarded);
    options.on_reuse = NULL;
    options.on_idle = lose;
    options.on_idle_ms = 10;
    f = begin(&options);
    once(&f);
    PROVE(&f, "idle", VCP_CLOSE_FAILED, closed_discarded);
    server_close(&s);
}
