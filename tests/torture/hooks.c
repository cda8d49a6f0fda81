/*
 * Hooks, on the borrower's thread and in the background, that speak on the connection; events; user
 * data. What was given to the library is freed once.
 */
#include "torture_test.h"

typedef struct seen {
    int hooks;
    int kinds[10];
    int data;  /* user data that lives */
    int users; /* frees of the user pointer */
    int refuses;
} seen;

/* A word there and back, by the library's calls, or a refusal. */
static int greets(void *user, vcp_conn *conn, int fd)
{
    seen *what = (seen *)user;
    char answer[5];
    (void)fd;
    __sync_add_and_fetch(&what->hooks, 1);
    if (what->refuses) {
        MAY(vcp_set_callback_error("not today"), 0, memory_errors);
        return 1;
    }
    if (vcp_conn_write(conn, "hello", 5) != 5) {
        return 2;
    }
    return vcp_conn_read_full(conn, answer, 5) == 5 && memcmp(answer, "hello", 5) == 0 ? 0 : 3;
}

static void frees_data(void *data)
{
    CHECK(__sync_sub_and_fetch((int *)data, 1) >= 0);
}

static int opens(void *user, vcp_conn *conn, int fd)
{
    seen *what = (seen *)user;
    int answer = greets(user, conn, fd);
    if (answer == 0) {
        __sync_add_and_fetch(&what->data, 1);
        if (MAY(vcp_conn_set_data(conn, &what->data, frees_data), 0, memory_errors) < 0) {
            __sync_sub_and_fetch(&what->data, 1);
        }
    }
    return answer;
}

static void sees(void *user, const vcp_event *event)
{
    seen *what = (seen *)user;
    CHECK_BETWEEN(event->kind, 0, 9);
    CHECK(event->network != NULL && event->address != NULL && event->message != NULL);
    __sync_add_and_fetch(&what->kinds[event->kind], 1);
}

static void frees_user(void *user)
{
    __sync_add_and_fetch(&((seen *)user)->users, 1);
}

static vcp_pool_options options_for(seen *what)
{
    vcp_pool_options options = scene_options();
    memset(what, 0, sizeof *what);
    options.user = what;
    options.free_user = frees_user;
    return options;
}

/* Everything that was given to the pool is freed. */
static void ends(scene *s, seen *what)
{
    scene_end(s);
    EVENTUALLY(__sync_add_and_fetch(&what->users, 0) == 1, 2000);
    CHECK_EQ(what->data, 0);
}

static const int hook_errors[] = {VCP_ERR_CONNECT,
                                  VCP_ERR_TIMEOUT,
                                  VCP_ERR_SYSTEM,
                                  VCP_ERR_RESOLVE,
                                  VCP_ERR_CALLBACK,
                                  VCP_ERR_NO_MEMORY,
                                  0};

static void borrows(const scene *s, enum peer_kind kind, int64_t wanted)
{
    vcp_conn *conn = NULL;
    int64_t fd = COMES_TO(vcp_dial(s->pool, peers[kind].network, peers[kind].address, &conn),
                          DIAL_MS, wanted, hook_errors);
    CHECK_EQ(conn != NULL, fd >= 0);
    if (conn != NULL) {
        disowns(owns((int)fd));
    }
    gives_back(conn);
}

TEST(hooks_speak,
     "torture: Hooks on the borrower's thread read and write, whatever fails below them")
{
    seen what;
    vcp_pool_options options = options_for(&what);
    scene s;
    options.on_open = opens;
    options.on_reuse = greets;
    options.on_release = greets;
    s = scene_new(&options);
    if (s.pool != NULL) {
        borrows(&s, UNIX, VCP_OK);
        borrows(&s, UNIX, VCP_OK);
        borrows(&s, TCP4, VCP_OK);
    }
    ends(&s, &what);
}

TEST(hooks_refuse, "torture: Hooks refuse, whatever fails below them")
{
    seen what;
    vcp_pool_options options = options_for(&what);
    scene s;
    options.on_open = opens;
    options.on_release = greets;
    s = scene_new(&options);
    if (s.pool != NULL) {
        what.refuses = 1;
        borrows(&s, UNIX, VCP_ERR_CALLBACK);
        what.refuses = 0;
        borrows(&s, UNIX, VCP_OK);
        what.refuses = 1;
        borrows(&s, UNIX, VCP_OK);
        what.refuses = 0;
    }
    ends(&s, &what);
}

TEST(on_release_speaks_in_the_background,
     "torture: on_release in the background reads and writes, whatever fails below it")
{
    seen what;
    vcp_pool_options options = options_for(&what);
    scene s;
    options.on_release = greets;
    options.on_release_in_background = 1;
    s = scene_new(&options);
    if (s.pool != NULL) {
        borrows(&s, UNIX, VCP_OK);
        borrows(&s, UNIX, VCP_OK);
        EVENTUALLY(is_at_rest(s.pool), 2000);
        borrows(&s, UNIX, VCP_OK);
    }
    ends(&s, &what);
}

/* Asked twice, or something has failed. */
static void await_on_idle(seen *what)
{
    EVENTUALLY(__sync_add_and_fetch(&what->hooks, 0) >= 2 || faults() > 0, 5000);
}

TEST(on_idle_speaks, "torture: on_idle reads and writes, whatever fails below it")
{
    seen what;
    vcp_pool_options options = options_for(&what);
    scene s;
    options.on_idle = greets;
    options.on_idle_ms = 10;
    s = scene_new(&options);
    s.fills = NULL;
    if (s.pool != NULL) {
        borrows(&s, UNIX, VCP_OK);
        await_on_idle(&what);
        borrows(&s, UNIX, VCP_OK);
        /* Nothing is asked about any more while the sums are looked at. */
        MUST(vcp_pool_close_idle(s.pool), 0);
        EVENTUALLY(vcp_pool_conn_count(s.pool) == 0, 2000);
    }
    ends(&s, &what);
}

TEST(events_are_told,
     "torture: Events are told of all that happens, whatever fails: as many connections are closed "
     "as were opened")
{
    seen what;
    vcp_pool_options options = options_for(&what);
    scene s;
    options.on_event = sees;
    options.leak_threshold_ms = 1;
    options.name = "watched";
    s = scene_new(&options);
    if (s.pool != NULL) {
        vcp_conn *conn = dials(&s, &peers[UNIX], 0);
        borrows(&s, TCP4, VCP_OK);
        let_pass(4);
        gives_back(conn);
        borrows(&s, UNIX, VCP_OK);
    }
    ends(&s, &what);
    CHECK_EQ(what.kinds[VCP_EVENT_DIAL_START],
             what.kinds[VCP_EVENT_DIAL_DONE] + what.kinds[VCP_EVENT_DIAL_FAILED]);
    CHECK_EQ(what.kinds[VCP_EVENT_DIAL_DONE], what.kinds[VCP_EVENT_CLOSED]);
    CHECK(what.kinds[VCP_EVENT_LEAK_RETURNED] <= what.kinds[VCP_EVENT_LEAKED]);
}
