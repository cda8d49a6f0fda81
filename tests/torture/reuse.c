/*
 * Hits, and what decides whether there is one.
 */
#include "torture_test.h"

TEST(a_hit_after_a_dial, "torture: A dial and a hit, whatever fails below them")
{
    scene s = scene_new(NULL);
    if (s.pool != NULL) {
        uses(&s, &peers[UNIX]);
        uses(&s, &peers[UNIX]);
        uses(&s, &peers[TCP4]);
        uses(&s, &peers[TCP4]);
    }
    scene_end(&s);
}

static void hits_with(int32_t liveness, int32_t order, int32_t verifies)
{
    vcp_pool_options options = scene_options();
    scene s;
    options.liveness = liveness;
    options.reuse_order = order;
    options.verify_release = verifies;
    s = scene_new(&options);
    if (s.pool != NULL) {
        vcp_conn *one = dials(&s, &peers[UNIX], 0);
        vcp_conn *other = dials(&s, &peers[UNIX], 0);
        gives_back(one);
        gives_back(other);
        uses(&s, &peers[UNIX]);
        uses(&s, &peers[UNIX]);
    }
    scene_end(&s);
}

TEST(hits_under_watch, "torture: Hits under WATCH, whatever fails below them")
{
    hits_with(VCP_LIVENESS_WATCH, VCP_REUSE_LIFO, 0);
}

TEST(hits_in_the_other_order,
     "torture: Hits first in first out, verified at each give-back, whatever fails below them")
{
    hits_with(VCP_LIVENESS_ALLOW_DATA, VCP_REUSE_FIFO, 1);
}

/* Sends the question on a connection that is idle, and waits until its answer has come. */
static void idles_with(const scene *s, const server *where, const char *question)
{
    vcp_conn *conn = dials(s, where, 0);
    if (conn != NULL) {
        int fd = vcp_conn_raw_fd(conn);
        disowns(owns(fd));
        gives_back(conn);
        if (is_open(fd)) {
            (void)send(fd, question, strlen(question), MSG_NOSIGNAL);
            EVENTUALLY(!is_open(fd) || readable_within(fd, 0), 2000);
        }
    }
}

TEST(the_dead_and_the_dirty_are_passed_over,
     "torture: A connection that its peer has closed, or sent something, reaches nobody, whatever "
     "fails below")
{
    scene s = scene_new(NULL);
    if (s.pool != NULL) {
        idles_with(&s, &peers[UNIX], "x");
        uses(&s, &peers[UNIX]);
        idles_with(&s, &peers[TCP4], "x");
        uses(&s, &peers[TCP4]);
        idles_with(&s, &peers[UNIX], "dirty");
        uses(&s, &peers[UNIX]);
    }
    scene_end(&s);
}

TEST(connections_grow_old,
     "torture: Connections end by age, by uses and by idleness, whatever fails below")
{
    vcp_pool_options options = scene_options();
    scene s;
    options.max_uses = 2;
    options.idle_timeout_ms = 1;
    options.max_lifetime_ms = 5;
    options.max_idle_per_address = 1;
    s = scene_new(&options);
    if (s.pool != NULL) {
        vcp_conn *one = dials(&s, &peers[UNIX], 0);
        vcp_conn *other = dials(&s, &peers[UNIX], 0);
        gives_back(one);
        gives_back(other);
        let_pass(2);
        uses(&s, &peers[UNIX]);
        uses(&s, &peers[UNIX]);
        uses(&s, &peers[UNIX]);
    }
    scene_end(&s);
}
