/*
 * Asynchronous and blocking dials, cancels, closes and queue frees at random, over pools that
 * several threads share: every answer comes once, and nothing is left over. VCP_SEED repeats a run,
 * VCP_RANDOM_MS sets its length.
 */
#include "completions.h"

enum { THREADS = 4, POOLS = 2, MOST_TOKENS = 400000, MOST_CONNS = 32 };

/* What has become of a token. */
enum { UNUSED, PENDING, SEEN, ABANDONED };

static vcp_pool *pools[POOLS];
static server echoes;
static full_server full;
static server nobody;
static int64_t until;

typedef struct {
    uint64_t random;
    vcp_queue *queue;
    unsigned char *tokens;
    int first; /* of this queue */
    int next;
    vcp_conn *conns[MOST_CONNS];
    int held;
    vcp_cancel *cancel;
    int answers;
} actor;

static uint32_t draw(actor *me, uint32_t below)
{
    me->random = me->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(me->random >> 33) % below;
}

static void let_go(actor *me)
{
    int at = (int)draw(me, (uint32_t)me->held);
    vcp_conn *conn = me->conns[at];
    int fd;
    me->conns[at] = me->conns[--me->held];
    switch (draw(me, 8)) {
    case 0:
        CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        give_back(conn);
        break;
    case 1:
        fd = vcp_conn_detach(conn);
        CHECK(fd >= 0);
        close(fd);
        CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
        break;
    default:
        give_back(conn);
    }
}

static void keep(actor *me, vcp_conn *conn)
{
    if (me->held == MOST_CONNS) {
        let_go(me);
    }
    me->conns[me->held++] = conn;
}

static vcp_dial_options some_options(actor *me)
{
    static const uint32_t flags[] = {
        0, 0, 0, VCP_DIAL_FRESH, VCP_DIAL_REUSE_ONLY, VCP_DIAL_NONBLOCKING};
    vcp_dial_options options = dial_options(flags[draw(me, 6)]);
    options.timeout_ms = 1 + draw(me, 30);
    if (draw(me, 2)) {
        options.wait_timeout_ms = (int64_t)draw(me, 20) - 1;
    }
    if (draw(me, 3) == 0) {
        options.cancel = me->cancel;
    }
    if (draw(me, 4) == 0) {
        options.reuse_tag = "other";
    }
    return options;
}

static const server *some_server(actor *me)
{
    switch (draw(me, 8)) {
    case 0:
        return &full.s;
    case 1:
        return &nobody;
    default:
        return &echoes;
    }
}

static vcp_pool *some_pool(actor *me)
{
    return __atomic_load_n(&pools[draw(me, POOLS)], __ATOMIC_SEQ_CST);
}

static void dial_somehow(actor *me)
{
    vcp_dial_options options = some_options(me);
    const server *s = some_server(me);
    vcp_conn *conn = NULL;
    int status;
    if (draw(me, 4) == 0) {
        status = vcp_dial_with(some_pool(me), s->network, s->address, &options, &conn);
        CHECK(status != VCP_ERR_INTERNAL && status != VCP_ERR_INVALID_ARGUMENT);
    } else {
        int token = me->next;
        if (token == MOST_TOKENS) {
            return;
        }
        if (draw(me, 2)) {
            options.flags |= VCP_DIAL_QUEUED;
        }
        /* The answer may be there before the call returns, but only this thread fetches it. */
        status = vcp_dial_async(some_pool(me), s->network, s->address, &options, me->queue,
                                &me->tokens[token], &conn);
        CHECK(status != VCP_ERR_INTERNAL && status != VCP_ERR_INVALID_ARGUMENT &&
              status != VCP_ERR_INVALID_HANDLE);
        if (conn == NULL && (status == VCP_ERR_IN_PROGRESS || status == VCP_OK)) {
            CHECK_EQ(status == VCP_OK, (options.flags & VCP_DIAL_QUEUED) != 0);
            me->tokens[token] = PENDING;
            me->next++;
        }
    }
    CHECK_EQ(conn != NULL, status >= 0 && !(status == VCP_OK && conn == NULL));
    if (conn != NULL) {
        keep(me, conn);
    }
}

static int fetch(actor *me)
{
    vcp_completion completion;
    unsigned char *token;
    int filled = vcp_queue_next(me->queue, &completion, sizeof completion);
    CHECK(filled >= 0);
    if (!filled) {
        return 0;
    }
    token = (unsigned char *)completion.token;
    CHECK(token >= me->tokens + me->first && token < me->tokens + me->next);
    CHECK_EQ(*token, PENDING);
    *token = SEEN;
    me->answers++;
    CHECK((completion.status >= 0) == (completion.conn != NULL));
    CHECK(completion.status != VCP_ERR_INTERNAL);
    if (completion.conn != NULL) {
        keep(me, completion.conn);
    }
    return 1;
}

static void new_cancel(actor *me)
{
    CHECK_EQ(vcp_cancel_new(&me->cancel), VCP_OK);
}

static void free_queue(actor *me)
{
    int i;
    for (i = me->first; i < me->next; i++) {
        if (me->tokens[i] == PENDING) {
            me->tokens[i] = ABANDONED;
        }
    }
    CHECK_EQ(vcp_queue_free(me->queue), VCP_OK);
    CHECK_EQ(vcp_queue_free(me->queue), VCP_ERR_INVALID_HANDLE);
    me->queue = queue_new();
    me->first = me->next;
}

static vcp_pool *some_new_pool(actor *me)
{
    vcp_pool_options options = pool_options();
    options.max_conns = 4 + draw(me, 6);
    options.max_idle_per_address = 3;
    options.max_dials_per_address = draw(me, 3);
    options.wait_timeout_ms = draw(me, 2) ? -1 : 5;
    options.liveness = VCP_LIVENESS_WATCH;
    return pool_new(&options);
}

static void *act(void *argument)
{
    actor *me = (actor *)argument;
    while (now_ms() < until) {
        uint32_t what = draw(me, 100);
        if (what < 45) {
            dial_somehow(me);
        } else if (what < 70) {
            fetch(me);
        } else if (what < 90 && me->held > 0) {
            let_go(me);
        } else if (what < 92) {
            CHECK_EQ(vcp_cancel_fire(me->cancel), VCP_OK);
            CHECK_EQ(vcp_cancel_free(me->cancel), VCP_OK);
            new_cancel(me);
        } else if (what == 92) {
            free_queue(me);
        } else if (what == 93) {
            int status = vcp_pool_evict(some_pool(me), echoes.network, echoes.address);
            CHECK(status == VCP_OK || status == VCP_ERR_POOL_CLOSED);
        } else if (what == 94 && draw(me, 10) == 0) {
            int which = (int)draw(me, POOLS);
            vcp_pool *fresh = some_new_pool(me);
            CHECK_EQ(vcp_pool_close(__atomic_exchange_n(&pools[which], fresh, __ATOMIC_SEQ_CST)),
                     VCP_OK);
        }
    }
    while (me->held > 0) {
        let_go(me);
    }
    return NULL;
}

/* What is in flight has deadlines of at most 30 ms. */
static void settle(actor *me)
{
    int i;
    int pending = 1;
    int64_t end = now_ms() + at_most(10000);
    while (pending > 0) {
        while (fetch(me)) {
        }
        while (me->held > 0) {
            let_go(me);
        }
        pending = 0;
        for (i = me->first; i < me->next; i++) {
            pending += me->tokens[i] == PENDING;
        }
        CHECK(now_ms() < end);
        poll(NULL, 0, 1);
    }
}

TEST(every_answer_comes_once,
     "async: Async and blocking dials, cancels, closes and queue frees at random: every answer "
     "comes once, nothing is left")
{
    const char *seed = getenv("VCP_SEED");
    const char *ms = getenv("VCP_RANDOM_MS");
    static actor actors[THREADS];
    pthread_t running[THREADS];
    actor maker;
    int answers = 0;
    int i;
    memset(&maker, 0, sizeof maker);
    maker.random =
        seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)now_ms() * 1000003u + (uint64_t)getpid();
    printf("  VCP_SEED=%llu\n", (unsigned long long)maker.random);
    fflush(stdout);
    echoes = tcp_server();
    server_start_echo(&echoes);
    full = full_server_new();
    nobody = refusing_server();
    for (i = 0; i < POOLS; i++) {
        pools[i] = some_new_pool(&maker);
    }
    until = now_ms() + (ms != NULL ? atoi(ms) : at_most(1500));
    for (i = 0; i < THREADS; i++) {
        actor *one = &actors[i];
        memset(one, 0, sizeof *one);
        one->random = maker.random + (uint64_t)i * 77777;
        one->queue = queue_new();
        one->tokens = (unsigned char *)calloc(MOST_TOKENS, 1);
        CHECK(one->tokens != NULL);
        new_cancel(one);
        CHECK_EQ(pthread_create(&running[i], NULL, act, one), 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(running[i], NULL), 0);
    }
    for (i = 0; i < THREADS; i++) {
        settle(&actors[i]);
        answers += actors[i].answers;
    }
    for (i = 0; i < POOLS; i++) {
        EVENTUALLY(stats_of(pools[i]).dialing == 0 && stats_of(pools[i]).waiting == 0, 5000);
        CHECK_EQ(stats_of(pools[i]).borrowed, 0);
        CHECK_STATS_ADD_UP(pools[i]);
        CHECK_EQ(vcp_pool_close(pools[i]), VCP_OK);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(!has_completion(actors[i].queue));
        CHECK_EQ(vcp_queue_free(actors[i].queue), VCP_OK);
        CHECK_EQ(vcp_cancel_free(actors[i].cancel), VCP_OK);
        free(actors[i].tokens);
    }
    printf("  %d answers\n", answers);
    CHECK(answers > 50);
    full_server_close(&full);
    server_close(&echoes);
}
