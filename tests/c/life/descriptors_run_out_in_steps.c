/*
 * RLIMIT_NOFILE is lowered step by step to what is open, while everything that needs a descriptor
 * is tried: each call works, or is VCP_ERR_SYSTEM with EMFILE; nothing is lost, and all works again
 * when the limit is raised. (out_of_descriptors shows single calls.) getrlimit(2).
 */
#include "completions.h"
#include "draws.h"
#include "nonces.h"

enum { HELD = 4, IDLE = 6, STEPS = 24, TAKEN_MOST = 16 };

typedef struct ground {
    nonce_server served;
    vcp_pool *pool;
    vcp_conn *held[HELD];
    uint32_t nonces[HELD];
    vcp_conn *taken[TAKEN_MOST]; /* in this step */
    int taken_count;
    vcp_queue *queue;
    int64_t worked;
    int64_t refused;
} ground;

static int hoard[1024]; /* fill the numbers that are free below those in use */
static int hoarded;

/* The highest number that is open, and one more. */
static int descriptors_needed(void)
{
    int fd;
    int most = 0;
    for (fd = 0; fd < 1024; fd++) {
        most = is_open(fd) ? fd + 1 : most;
    }
    return most;
}

/* So many more descriptors can be had from now on. */
static void leave_descriptors(int count)
{
    struct rlimit limit;
    int needed = descriptors_needed();
    int fd;
    while ((fd = fcntl(0, F_DUPFD_CLOEXEC, 0)) < needed) {
        CHECK(fd >= 0);
        hoard[hoarded++] = fd;
    }
    close(fd);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)(needed + count);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void release_descriptors(const struct rlimit *before)
{
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, before), 0);
    while (hoarded > 0) {
        close(hoard[--hoarded]);
    }
}

/* It works, or there was no descriptor. */
static int works(ground *g, int64_t result)
{
    if (result >= 0) {
        g->worked++;
        return 1;
    }
    CHECK_EQ(result, VCP_ERR_SYSTEM);
    CHECK_EQ(vcp_last_errno(), EMFILE);
    g->refused++;
    return 0;
}

/* On the bare descriptor, which needs no other one. */
static uint32_t ask_bare(vcp_conn *conn, uint32_t serial)
{
    uint32_t nonce = ask_raw(vcp_conn_raw_fd(conn), serial);
    CHECK(nonce != 0);
    disown_nonce(nonce);
    return nonce;
}

/* A connection that works, kept until the step ends: the descriptors become fewer. */
static void take(ground *g, vcp_conn *conn)
{
    ask_bare(conn, 1);
    CHECK(g->taken_count < TAKEN_MOST);
    g->taken[g->taken_count++] = conn;
}

static void give_back_what_was_taken(ground *g)
{
    while (g->taken_count > 0) {
        give_back(g->taken[--g->taken_count]);
    }
}

static void try_to_dial(ground *g, uint32_t flags, const char *tag, const char *host)
{
    vcp_dial_options d = dial_options(flags);
    char address[64];
    vcp_conn *conn = NULL;
    snprintf(address, sizeof address, "%s:%d", host, g->served.at[0].port);
    d.reuse_tag = tag;
    d.timeout_ms = at_most(5000);
    if (works(g, vcp_dial_with(g->pool, "tcp", address, &d, &conn))) {
        take(g, conn);
    } else {
        CHECK(conn == NULL);
    }
}

static void try_to_dial_async(ground *g)
{
    vcp_dial_options d = dial_options(VCP_DIAL_FRESH | VCP_DIAL_QUEUED);
    const server *s = &g->served.at[0];
    vcp_completion completion;
    vcp_conn *conn;
    d.timeout_ms = at_most(5000);
    if (!works(g, vcp_dial_async(g->pool, s->network, s->address, &d, g->queue, g, &conn))) {
        return;
    }
    completion = next_completion(g->queue);
    if (works(g, completion.status)) {
        take(g, completion.conn);
    }
}

static void try_objects(ground *g)
{
    vcp_queue *queue = NULL;
    vcp_cancel *cancel = NULL;
    vcp_pool *pool = NULL;
    works(g, vcp_queue_new(&queue));
    works(g, vcp_cancel_new(&cancel));
    works(g, vcp_pool_new(NULL, &pool));
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* A read that has to sleep needs a descriptor; without one the connection is as before. */
static void try_to_read(ground *g)
{
    question asked = question_of(3, WISH_ANSWER);
    answer heard;
    vcp_conn *conn = g->held[1];
    CHECK_EQ(vcp_conn_write(conn, &asked, sizeof asked), (int64_t)sizeof asked);
    while (!works(g, vcp_conn_read_full(conn, &heard, sizeof heard))) {
        CHECK(readable_within(vcp_conn_raw_fd(conn), 5000));
    }
    CHECK_EQ(heard.nonce, g->nonces[1]);
}

/* A wait that sleeps with a token needs descriptors; if there are none the borrow is as before. */
static void try_to_wait(ground *g)
{
    vcp_conn *conn = g->held[0];
    vcp_cancel *cancel = NULL;
    int result;
    if (!works(g, vcp_cancel_new(&cancel))) {
        return;
    }
    if (works(g, vcp_conn_set_cancel(conn, cancel))) {
        CHECK_EQ(vcp_cancel_fire(cancel), VCP_OK);
        result = vcp_conn_wait(conn, VCP_READABLE);
        CHECK(result == VCP_ERR_CANCELED || works(g, result) == 0);
        CHECK_EQ(vcp_conn_set_cancel(conn, NULL), VCP_OK);
    }
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
}

/* What needs no new descriptor never fails. */
static void check_the_held_work(ground *g)
{
    int i;
    for (i = 1; i < HELD; i++) {
        CHECK_EQ(ask_bare(g->held[i], (uint32_t)i), g->nonces[i]);
    }
}

static void try_everything(ground *g)
{
    static const char *const tags[] = {"a", "b", "c"};
    int i;
    check_the_held_work(g);
    try_to_dial(g, 0, "a", "127.0.0.1");
    try_to_dial(g, VCP_DIAL_FRESH, "b", "127.0.0.1");
    try_to_dial(g, 0, "d", "localhost");
    try_to_dial_async(g);
    try_objects(g);
    try_to_wait(g);
    try_to_read(g);
    for (i = 0; i < 3; i++) {
        try_to_dial(g, 0, tags[i], "127.0.0.1");
    }
    works(g, vcp_pool_warm(g->pool, "tcp", g->served.at[0].address, NULL, 2));
    check_the_held_work(g);
    give_back_what_was_taken(g);
    EVENTUALLY(stats_of(g->pool).dialing == 0, 5000);
    CHECK_EQ(stats_of(g->pool).borrowed, HELD);
    CHECK_EQ(stats_of(g->pool).waiting, 0);
    CHECK_STATS_ADD_UP(g->pool);
}

static void prepare(ground *g)
{
    vcp_conn *conns[IDLE];
    int i;
    memset(g, 0, sizeof *g);
    g->served = nonce_server_new();
    g->pool = pool_new(NULL);
    g->queue = queue_new();
    for (i = 0; i < HELD; i++) {
        g->held[i] = borrow_fresh(g->pool, &g->served.at[0]);
        g->nonces[i] = ask(g->held[i], (uint32_t)i);
    }
    for (i = 0; i < IDLE; i++) {
        conns[i] = borrow_fresh(g->pool, &g->served.at[0]);
    }
    for (i = 0; i < IDLE; i++) {
        give_back(conns[i]);
    }
}

static void finish(ground *g)
{
    int i;
    for (i = 0; i < HELD; i++) {
        give_back(g->held[i]);
    }
    CHECK_EQ(vcp_queue_free(g->queue), VCP_OK);
    CHECK_STATS_ADD_UP(g->pool);
    CHECK_EQ(vcp_pool_close(g->pool), VCP_OK);
    EVENTUALLY(nonce_server_open(&g->served) == 0, 5000);
    nonce_server_close(&g->served);
}

TEST(descriptors_run_out_in_steps_and_nothing_is_lost,
     "descriptors: RLIMIT_NOFILE lowered in steps to what is open: every call works or is SYSTEM "
     "with EMFILE, nothing is lost, and all works again when it is raised")
{
    struct rlimit before;
    ground g;
    int fds = open_fds();
    int step;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    prepare(&g);
    for (step = STEPS; step >= 0; step--) {
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
        CHECK_EQ(vcp_pool_close_idle(g.pool), VCP_OK);
        leave_descriptors(step);
        try_everything(&g);
    }
    CHECK(g.refused > 0 && g.worked > 0);
    printf("  %d steps: %lld calls worked, %lld were refused with EMFILE\n", STEPS + 1,
           (long long)g.worked, (long long)g.refused);
    release_descriptors(&before);
    g.refused = 0;
    try_everything(&g);
    CHECK_EQ(g.refused, 0);
    finish(&g);
    CHECK_BASELINE(fds, 1 + TOOL_THREADS);
}
