/*
 * What a pool holds: warm, put, add, get, evict, limits, reports, abort, drain, detach.
 */
#include "torture_test.h"

static const int put_errors[] = {VCP_ERR_NOT_REUSABLE, VCP_ERR_SYSTEM, VCP_ERR_NO_MEMORY, 0};
static const int get_errors[] = {VCP_ERR_NOT_AVAILABLE, VCP_ERR_NO_MEMORY, 0};

TEST(connections_are_dialed_ahead,
     "torture: warm and min_idle dial ahead, whatever fails below them")
{
    vcp_pool_options options = scene_options();
    scene s;
    options.min_idle_per_address = 2;
    s = scene_new(&options);
    s.fills = NULL;
    if (s.pool != NULL) {
        const server *where = &peers[UNIX];
        MAY(vcp_pool_warm(s.pool, where->network, where->address, NULL, 2), DIAL_MS, dial_errors);
        gives_back(dials(&s, where, VCP_DIAL_FRESH));
        uses(&s, where);
        EVENTUALLY(idle_at(s.pool, where) >= 2 || faults() > 0, 2000);
    }
    scene_end(&s);
}

/* On success it is the pool's, else the program's still. */
static void puts_socket(const scene *s, const server *where, int adds)
{
    int fd = client_of(where);
    int64_t status =
        adds ? MAY(vcp_pool_add(s->pool, fd), 0, put_errors)
             : MAY(vcp_pool_put(s->pool, fd, where->network, where->address, NULL), 0, put_errors);
    if (status < 0) {
        CHECK(is_open(fd));
        close(fd);
    }
}

TEST(sockets_are_put_and_taken,
     "torture: put, add and get: a descriptor is the pool's or the program's, never both or "
     "neither, whatever fails below")
{
    scene s = scene_new(NULL);
    if (s.pool != NULL) {
        const server *where = &peers[TCP4];
        int64_t fd;
        puts_socket(&s, where, 0);
        puts_socket(&s, where, 1);
        uses(&s, where);
        fd = MAY(vcp_pool_get(s.pool, where->network, where->address, NULL), 0, get_errors);
        if (fd >= 0) {
            disowns(owns((int)fd));
            close((int)fd);
        }
        COMES_TO(vcp_pool_put(s.pool, 1000, where->network, where->address, NULL), 0,
                 VCP_ERR_NOT_REUSABLE, put_errors);
    }
    scene_end(&s);
}

TEST(reports_are_made, "torture: A pool describes itself in every form, whatever fails below")
{
    vcp_pool_options options = scene_options();
    static char text[65536];
    scene s;
    int32_t format;
    options.leak_threshold_ms = 1;
    options.name = "reported";
    s = scene_new(&options);
    if (s.pool != NULL) {
        vcp_conn *conn = dials(&s, &peers[UNIX], 0);
        vcp_stats stats;
        let_pass(2);
        for (format = VCP_FORMAT_TEXT; format <= VCP_FORMAT_OPENMETRICS_BODY; format++) {
            int64_t size =
                MAY(vcp_pool_describe(s.pool, format, text, sizeof text), 0, memory_errors);
            CHECK(size < 0 || size == (int64_t)strlen(text));
        }
        MUST(vcp_pool_stats(s.pool, &stats, sizeof stats), 0);
        CHECK_EQ(MUST(vcp_pool_conn_count(s.pool), 0), conn != NULL);
        gives_back(conn);
    }
    scene_end(&s);
}

TEST(connections_are_evicted,
     "torture: evict, close_idle and lowered limits close what they name, whatever fails below")
{
    scene s = scene_new(NULL);
    if (s.pool != NULL) {
        vcp_pool_options fewer = s.options;
        vcp_conn *one = dials(&s, &peers[UNIX], 0);
        vcp_conn *other = dials(&s, &peers[TCP4], 0);
        gives_back(one);
        MAY(vcp_pool_evict(s.pool, "tcp", peers[TCP4].address), 0, memory_errors);
        gives_back(other);
        MUST(vcp_pool_evict(s.pool, NULL, NULL), 0);
        CHECK_EQ(MUST(vcp_pool_idle_count(s.pool, NULL, NULL), 0), 0);
        uses(&s, &peers[UNIX]);
        uses(&s, &peers[TCP4]);
        fewer.max_idle = 1;
        fewer.max_conns_per_address = 1;
        if (MAY(vcp_pool_set_limits(s.pool, &fewer), 0, memory_errors) >= 0) {
            CHECK(vcp_pool_idle_count(s.pool, NULL, NULL) <= 1);
            s.fills = NULL;
        }
        MUST(vcp_pool_close_idle(s.pool), 0);
        CHECK_EQ(vcp_pool_conn_count(s.pool), 0);
    }
    scene_end(&s);
}

static const int closed_errors[] = {VCP_ERR_POOL_CLOSED, VCP_ERR_IO,        VCP_ERR_TIMEOUT,
                                    VCP_ERR_SYSTEM,      VCP_ERR_NO_MEMORY, 0};

TEST(a_pool_is_aborted_and_drained,
     "torture: abort ends the I/O of the borrowed, drain counts them, whatever fails below")
{
    scene s = scene_new(NULL);
    s.fills = NULL;
    if (s.pool != NULL) {
        vcp_conn *conn = dials(&s, &peers[UNIX], 0);
        vcp_conn *idle = dials(&s, &peers[TCP4], 0);
        char byte;
        gives_back(idle);
        MUST(vcp_pool_abort(s.pool), 0);
        if (conn != NULL && MAY(vcp_conn_set_deadline(conn, 100), 0, memory_errors) >= 0) {
            COMES_TO(vcp_conn_read(conn, &byte, 1), 100, VCP_ERR_POOL_CLOSED, closed_errors);
        }
        CHECK(MUST(vcp_pool_drain(s.pool, 1), 1) == 1 || conn == NULL);
        gives_back(conn);
        CHECK_EQ(MUST(vcp_pool_drain(s.pool, 100), 100), 0);
    }
    scene_end(&s);
}

TEST(connections_are_detached,
     "torture: A detached descriptor is the program's, whatever fails below")
{
    scene s = scene_new(NULL);
    if (s.pool != NULL) {
        vcp_conn *conn = dials(&s, &peers[UNIX], 0);
        if (conn != NULL) {
            int fd = (int)MUST(vcp_conn_detach(conn), 0);
            disowns(owns(fd));
            close(fd);
        }
    }
    scene_end(&s);
}

TEST(failures_are_remembered,
     "torture: A dial that failed makes the next ones fail at once, whatever fails below")
{
    vcp_pool_options options = scene_options();
    scene s;
    options.fail_fast_ms = 50;
    s = scene_new(&options);
    if (s.pool != NULL) {
        vcp_conn *conn = NULL;
        server nobody = refusing_server();
        COMES_TO(vcp_dial(s.pool, "tcp", nobody.address, &conn), DIAL_MS, VCP_ERR_CONNECT,
                 dial_errors);
        COMES_TO(vcp_dial(s.pool, "tcp", nobody.address, &conn), DIAL_MS, VCP_ERR_CONNECT,
                 dial_errors);
        CHECK(conn == NULL);
    }
    scene_end(&s);
}
