/*
 * Asynchronous dials: each is answered once, in time.
 */
#include "torture_test.h"

#include "completions.h"

static const int async_errors[] = {
    VCP_ERR_CONNECT,   VCP_ERR_RESOLVE,     VCP_ERR_TIMEOUT,  VCP_ERR_SYSTEM,
    VCP_ERR_NO_MEMORY, VCP_ERR_IN_PROGRESS, VCP_ERR_CALLBACK, 0};

static vcp_queue *makes_queue(void)
{
    vcp_queue *queue = NULL;
    MAY(vcp_queue_new(&queue), 0, resource_errors);
    return queue;
}

/* The answer, which must come: `wanted`, or a failure by what was made to fail. */
static vcp_conn *answer_of(vcp_queue *queue, void *token, int wanted)
{
    vcp_completion completion;
    int fd = (int)MUST(vcp_queue_fd(queue), 0);
    memset(&completion, 0, sizeof completion);
    if (!readable_within(fd, DIAL_MS + LATE_MS)) {
        is_late(__FILE__, __LINE__, "the answer", DIAL_MS + LATE_MS, DIAL_MS);
    }
    CHECK_EQ(MUST(vcp_queue_next(queue, &completion, sizeof completion), 0), 1);
    CHECK(completion.token == token);
    CHECK_EQ(completion.conn != NULL, completion.status >= 0);
    check_wanted(__FILE__, __LINE__, "the answer", completion.status, wanted, async_errors);
    return completion.conn;
}

/* Begins a dial; what is known at once is taken, too. */
static vcp_conn *dials_async(const scene *s, const server *where, uint32_t flags, vcp_queue *queue,
                             int wanted)
{
    vcp_dial_options options = dial_options(flags);
    vcp_conn *conn = NULL;
    int token;
    int status;
    begins_call();
    status =
        vcp_dial_async(s->pool, where->network, where->address, &options, queue, &token, &conn);
    check_in_time(__FILE__, __LINE__, "vcp_dial_async", began_at[--calls_inside], 0);
    if (status == VCP_ERR_IN_PROGRESS || (status == VCP_OK && (flags & VCP_DIAL_QUEUED) != 0)) {
        CHECK(conn == NULL);
        return answer_of(queue, &token, wanted);
    }
    check_wanted(__FILE__, __LINE__, "vcp_dial_async", status, wanted, async_errors);
    return conn;
}

static void has_and_gives_back(vcp_conn *conn)
{
    if (conn != NULL) {
        disowns(owns(vcp_conn_raw_fd(conn)));
    }
    gives_back(conn);
}

TEST(answers_come_through_the_queue,
     "torture: Asynchronous dials and hits are answered once, whatever fails below them")
{
    scene s = scene_new(NULL);
    vcp_queue *queue = makes_queue();
    if (s.pool != NULL && queue != NULL) {
        has_and_gives_back(dials_async(&s, &peers[UNIX], 0, queue, VCP_OK));
        has_and_gives_back(dials_async(&s, &peers[UNIX], 0, queue, VCP_OK));
        /* A thread remembers what it has given back, or dialed itself. */
        has_and_gives_back(dials(&s, &peers[UNIX], 0));
        has_and_gives_back(dials_async(&s, &peers[UNIX], 0, queue, VCP_OK));
        has_and_gives_back(dials_async(&s, &peers[UNIX], VCP_DIAL_BLOCKING, queue, VCP_OK));
        has_and_gives_back(dials_async(&s, &peers[UNIX], VCP_DIAL_QUEUED, queue, VCP_OK));
        has_and_gives_back(dials_async(&s, &peers[TCP4], VCP_DIAL_QUEUED, queue, VCP_OK));
    }
    MUST(vcp_queue_free(queue), 0);
    scene_end(&s);
}

TEST(names_are_resolved_for_asynchronous_dials,
     "torture: An asynchronous dial of a name is answered once, whatever fails below it")
{
    vcp_pool_options options = scene_options();
    vcp_queue *queue = makes_queue();
    server named = peers[TCP4];
    scene s;
    /* Where no thread can be had, it is tried again until the deadline. */
    options.dial_timeout_ms = 100;
    s = scene_new(&options);
    s.fds -= queue != NULL;
    snprintf(named.address, sizeof named.address, "localhost:%d", named.port);
    if (s.pool != NULL && queue != NULL) {
        has_and_gives_back(dials_async(&s, &named, 0, queue, VCP_OK));
        snprintf(named.address, sizeof named.address, "127.0.0.1:ssh");
        gives_back(dials_async(&s, &named, VCP_DIAL_REUSE_ONLY, queue, VCP_ERR_NOT_AVAILABLE));
    }
    MUST(vcp_queue_free(queue), 0);
    scene_end(&s);
}

static int agrees(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    return fd >= 0 ? 0 : 1;
}

TEST(hooks_of_asynchronous_dials,
     "torture: Asynchronous dials with hooks are answered once, whatever fails below them")
{
    vcp_pool_options options = scene_options();
    vcp_queue *queue = makes_queue();
    scene s;
    options.on_open = agrees;
    options.on_reuse = agrees;
    options.on_release = agrees;
    s = scene_new(&options);
    s.fds -= queue != NULL;
    if (s.pool != NULL && queue != NULL) {
        has_and_gives_back(dials_async(&s, &peers[UNIX], 0, queue, VCP_OK));
        has_and_gives_back(dials_async(&s, &peers[UNIX], 0, queue, VCP_OK));
    }
    MUST(vcp_queue_free(queue), 0);
    scene_end(&s);
}

TEST(a_token_ends_an_asynchronous_dial,
     "torture: A fired token answers the dials that carry it, whatever fails meanwhile")
{
    scene s = scene_new(NULL);
    vcp_queue *queue = makes_queue();
    vcp_cancel *cancel = NULL;
    if (s.pool != NULL && queue != NULL && MAY(vcp_cancel_new(&cancel), 0, resource_errors) >= 0) {
        vcp_dial_options options = dial_options(0);
        vcp_conn *conn = NULL;
        int status;
        options.cancel = cancel;
        status = vcp_dial_async(s.pool, "tcp", silent.s.address, &options, queue, NULL, &conn);
        check_wanted(__FILE__, __LINE__, "vcp_dial_async", status, VCP_ERR_IN_PROGRESS,
                     async_errors);
        MUST(vcp_cancel_fire(cancel), 0);
        if (status == VCP_ERR_IN_PROGRESS) {
            gives_back(answer_of(queue, NULL, VCP_ERR_CANCELED));
        }
        MUST(vcp_cancel_free(cancel), 0);
    }
    MUST(vcp_queue_free(queue), 0);
    scene_end(&s);
}

TEST(a_queue_is_freed_before_its_answers,
     "torture: A freed queue gives back what was dialed for it, whatever fails meanwhile")
{
    scene s = scene_new(NULL);
    vcp_queue *queue = makes_queue();
    if (s.pool != NULL && queue != NULL) {
        vcp_conn *conn = NULL;
        int i;
        for (i = 0; i < 2; i++) {
            vcp_dial_options options = dial_options(VCP_DIAL_QUEUED | VCP_DIAL_FRESH);
            int kind = i == 0 ? UNIX : TCP4;
            int status = vcp_dial_async(s.pool, peers[kind].network, peers[kind].address, &options,
                                        queue, NULL, &conn);
            check_outcome(__FILE__, __LINE__, "vcp_dial_async", status, async_errors);
        }
    }
    MUST(vcp_queue_free(queue), 0);
    scene_end(&s);
}
