/*
 * vcp_conn_report and vcp_conn_shutdown: what the program does to the descriptor itself. Contract
 * section 6.
 */
#include "check.h"

/* A connection that was given back once, so that it is reused, and the server's end of it. */
typedef struct {
    fixture f;
    vcp_conn *conn;
    int peer;
} reused_link;

static reused_link link_up(void)
{
    reused_link l;
    l.f = fixture_new(NULL);
    give_back(borrow(l.f.pool, &l.f.s));
    l.conn = borrow(l.f.pool, &l.f.s);
    CHECK_EQ(vcp_conn_is_reused(l.conn), 1);
    l.peer = server_accept(&l.f.s);
    return l;
}

static void link_down(reused_link *l, int kept)
{
    give_back(l->conn);
    CHECK_EQ(idle_in(l->f.pool), kept);
    CHECK_EQ(stats_of(l->f.pool).closed_discarded, kept ? 0 : 1);
    close(l->peer);
    if (kept) {
        EVENTUALLY(idle_in(l->f.pool) == 0, 2000);
    }
    FIXTURE_END(&l->f);
}

/* What is told, in order, and what has to come of it. */
static const struct {
    int64_t results[2];
    int numbers[2];
    int count;
    int should_retry;
    int kept;
} told[] = {
    {{1, 0}, {0, 0}, 1, 0, 1},            /* bytes */
    {{1 << 20, 0}, {0, 0}, 1, 0, 1},      /* many */
    {{0, 0}, {0, 0}, 1, 1, 0},            /* end of stream */
    {{-1, 0}, {ECONNRESET, 0}, 1, 1, 0},  /* a failure */
    {{-1, 0}, {ETIMEDOUT, 0}, 1, 1, 0},   /* one of the kernel's, as vcp_conn_read sees it */
    {{1, 0}, {0, 0}, 2, 0, 0},            /* bytes, then the end: no retry */
    {{1, -1}, {0, EPIPE}, 2, 0, 0},       /* bytes, then a failure: no retry */
    {{-1, 0}, {EAGAIN, 0}, 1, 0, 1},      /* nothing */
    {{-1, -1}, {EINTR, EAGAIN}, 2, 0, 1}, /* nothing, twice */
};

TEST(what_is_told_counts_as_what_was_seen,
     "I/O: vcp_conn_report drives discard and should_retry as vcp_conn_read does: bytes, end of "
     "stream, failures; EAGAIN and EINTR change nothing")
{
    size_t i;
    for (i = 0; i < sizeof told / sizeof told[0]; i++) {
        reused_link l = link_up();
        int k;
        for (k = 0; k < told[i].count; k++) {
            CHECK_EQ(vcp_conn_report(l.conn, told[i].results[k], told[i].numbers[k]), VCP_OK);
        }
        if (vcp_conn_should_retry(l.conn) != told[i].should_retry) {
            fprintf(stderr, "  row %d\n", (int)i);
        }
        CHECK_EQ(vcp_conn_should_retry(l.conn), told[i].should_retry);
        link_down(&l, told[i].kept);
    }
}

TEST(no_retry_is_due_for_a_fresh_one_whatever_is_told,
     "I/O: vcp_conn_report: no retry is due for a fresh connection")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_report(conn, 0, 0), VCP_OK);
    CHECK_EQ(vcp_conn_should_retry(conn), 0);
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 0);
    FIXTURE_END(&f);
}

TEST(what_was_told_ends_with_the_borrow,
     "I/O: vcp_conn_report: bytes of an earlier borrow do not count")
{
    reused_link l = link_up();
    CHECK_EQ(vcp_conn_report(l.conn, 7, 0), VCP_OK);
    give_back(l.conn);
    l.conn = borrow(l.f.pool, &l.f.s);
    CHECK_EQ(vcp_conn_report(l.conn, 0, 0), VCP_OK);
    CHECK_EQ(vcp_conn_should_retry(l.conn), 1);
    link_down(&l, 0);
}

TEST(what_recv_never_tells_is_refused,
     "I/O: vcp_conn_report: a result below -1, or -1 without a number, is INVALID_ARGUMENT and "
     "changes nothing")
{
    reused_link l = link_up();
    CHECK_EQ(vcp_conn_report(l.conn, -2, ECONNRESET), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_report(l.conn, INT64_MIN, ECONNRESET), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_report(l.conn, -1, 0), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_report(l.conn, -1, -5), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_should_retry(l.conn), 0);
    link_down(&l, 1);
}

TEST(after_an_abort_no_retry_is_due_whatever_is_told,
     "I/O: vcp_conn_report: what an abort ended deserves no retry")
{
    reused_link l = link_up();
    char byte;
    CHECK_EQ(vcp_pool_abort(l.f.pool), VCP_OK);
    CHECK_EQ(recv(vcp_conn_raw_fd(l.conn), &byte, 1, 0), 0);
    CHECK_EQ(vcp_conn_report(l.conn, 0, 0), VCP_OK);
    CHECK_EQ(vcp_conn_should_retry(l.conn), 0);
    link_down(&l, 0);
}

TEST(an_empty_datagram_that_is_told_is_no_end_of_stream,
     "I/O: vcp_conn_report: 0 on a datagram socket is an empty datagram")
{
    server s = udp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_report(conn, 0, 0), VCP_OK);
    give_back(conn);
    CHECK_EQ(idle_in(pool), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_shutdown_reaches_the_peer_and_is_not_kept,
     "I/O: vcp_conn_shutdown ends the directions that it names, and the connection is not kept")
{
    static const int ways[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
    int i;
    for (i = 0; i < 3; i++) {
        reused_link l = link_up();
        int fd = vcp_conn_raw_fd(l.conn);
        char byte;
        CHECK_EQ(vcp_conn_shutdown(l.conn, ways[i]), VCP_OK);
        if (ways[i] == SHUT_RD) {
            CHECK(peer_sees_life(l.peer));
            CHECK_EQ(recv(fd, &byte, 1, 0), 0);
        } else {
            CHECK(peer_sees_end(l.peer));
        }
        if (ways[i] == SHUT_WR) {
            CHECK_EQ(send(l.peer, "x", 1, MSG_NOSIGNAL), 1);
            CHECK_EQ(vcp_conn_read(l.conn, &byte, 1), 1);
        } else {
            CHECK_EQ(vcp_conn_read(l.conn, &byte, 1), 0);
        }
        if (ways[i] != SHUT_RD) {
            CHECK_EQ(vcp_conn_write(l.conn, "x", 1), VCP_ERR_IO);
            CHECK_EQ(vcp_last_errno(), EPIPE);
        }
        link_down(&l, 0);
    }
}

static void *reads_until_the_end(void *conn)
{
    char byte;
    CHECK_EQ(vcp_conn_read((vcp_conn *)conn, &byte, 1), 0);
    return NULL;
}

TEST(a_shutdown_ends_a_read_that_runs, "I/O: vcp_conn_shutdown ends a read that runs: 0")
{
    reused_link l = link_up();
    pthread_t reader;
    CHECK_EQ(pthread_create(&reader, NULL, reads_until_the_end, l.conn), 0);
    let_pass(20);
    CHECK_EQ(vcp_conn_shutdown(l.conn, SHUT_RD), VCP_OK);
    CHECK_EQ(pthread_join(reader, NULL), 0);
    link_down(&l, 0);
}

TEST(a_shutdown_of_the_unknown_is_refused,
     "I/O: vcp_conn_shutdown: another how is INVALID_ARGUMENT, and the connection is kept")
{
    reused_link l = link_up();
    CHECK_EQ(vcp_conn_shutdown(l.conn, 3), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_shutdown(l.conn, -1), VCP_ERR_INVALID_ARGUMENT);
    link_down(&l, 1);
}

TEST(a_shutdown_that_the_kernel_refuses_is_an_io_error,
     "I/O: vcp_conn_shutdown fails with IO and the errno, and the connection is not kept")
{
    reused_link l = link_up();
    close_with_reset(l.peer);
    await_arrival(vcp_conn_raw_fd(l.conn));
    CHECK_EQ(vcp_conn_shutdown(l.conn, SHUT_RDWR), VCP_ERR_IO);
    CHECK_EQ(vcp_last_errno(), ENOTCONN);
    CHECK_HAS(vcp_last_error(), "shutdown tcp ");
    l.peer = -1;
    link_down(&l, 0);
}
