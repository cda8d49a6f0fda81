/* vcp_conn_read, write, try_read, try_write, wait and their deadlines. Contract section 6. */
#include "check.h"

static struct {
    server s;
    vcp_pool *pool;
    vcp_conn *conn;
    int fd;
    int peer;
} t;

static void set_up_with(uint32_t flags)
{
    t.s = tcp_server();
    t.pool = pool_new(NULL);
    t.fd = dial_flags(t.pool, &t.s, flags, &t.conn);
    CHECK(t.fd >= 0);
    t.peer = server_accept(&t.s);
}

static void set_up(void)
{
    set_up_with(0);
}

static void tear_down(void)
{
    CHECK_EQ(vcp_pool_close(t.pool), VCP_OK);
    close(t.peer);
    server_close(&t.s);
}

/* Given back and not kept. */
static void expect_discarded(void)
{
    give_back(t.conn);
    CHECK_EQ(idle_in(t.pool), 0);
    CHECK_EQ(vcp_pool_conn_count(t.pool), 0);
    CHECK_EQ(stats_of(t.pool).closed_discarded, 1);
}

static void expect_kept(void)
{
    give_back(t.conn);
    CHECK_EQ(idle_in(t.pool), 1);
}

/* An acknowledgement may be late by so much (TCP_DELACK_MAX). */
#define LATE_ACK_MS 200

/*
 * Writes until the kernel takes no more, and no acknowledgement that is still under way makes room
 * again.
 */
static void fill_up(void)
{
    static char bytes[65536];
    int has_moved;
    do {
        int64_t count;
        has_moved = 0;
        while ((count = vcp_conn_try_write(t.conn, bytes, sizeof bytes)) > 0) {
            has_moved = 1;
        }
        CHECK_EQ(count, VCP_ERR_WOULD_BLOCK);
        let_pass(at_most(LATE_ACK_MS));
    } while (has_moved);
}

TEST(a_read_ends_at_its_deadline,
     "I/O: vcp_conn_read ends at its deadline, in both modes, and discards")
{
    uint32_t modes[] = {VCP_DIAL_BLOCKING, VCP_DIAL_NONBLOCKING};
    int i;
    for (i = 0; i < 2; i++) {
        int64_t start;
        char byte;
        set_up_with(modes[i]);
        start = now_ms();
        CHECK_EQ(vcp_conn_set_read_deadline(t.conn, 100), VCP_OK);
        CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), VCP_ERR_TIMEOUT);
        CHECK_TOOK(start, 100);
        CHECK_EQ(vcp_last_phase(), VCP_PHASE_READING);
        expect_discarded();
        tear_down();
    }
}

TEST(a_write_ends_at_its_deadline,
     "I/O: vcp_conn_write ends at its deadline, in both modes, and discards")
{
    uint32_t modes[] = {VCP_DIAL_BLOCKING, VCP_DIAL_NONBLOCKING};
    int i;
    for (i = 0; i < 2; i++) {
        int64_t start;
        set_up_with(modes[i]);
        fill_up();
        start = now_ms();
        CHECK_EQ(vcp_conn_set_write_deadline(t.conn, 100), VCP_OK);
        CHECK_EQ(vcp_conn_write(t.conn, "x", 1), VCP_ERR_TIMEOUT);
        CHECK_TOOK(start, 100);
        CHECK_EQ(vcp_last_phase(), VCP_PHASE_WRITING);
        CHECK_HAS(vcp_last_error(), "writing");
        expect_discarded();
        tear_down();
    }
}

TEST(a_deadline_of_zero_has_passed_already,
     "I/O: A deadline of 0 has passed already: read, write and wait fail though they could go on")
{
    char byte;
    set_up();
    CHECK_EQ(send(t.peer, "x", 1, 0), 1);
    await_arrival(t.fd);
    CHECK_EQ(vcp_conn_set_deadline(t.conn, 0), VCP_OK);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_conn_write(t.conn, "x", 1), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_conn_wait(t.conn, VCP_READABLE), VCP_ERR_TIMEOUT);
    expect_discarded();
    tear_down();
}

TEST(a_deadline_of_forever_is_none,
     "I/O: a deadline of VCP_FOREVER is none, and INT64_MAX is far away")
{
    char byte;
    set_up();
    CHECK_EQ(vcp_conn_set_deadline(t.conn, 0), VCP_OK);
    CHECK_EQ(vcp_conn_set_deadline(t.conn, VCP_FOREVER), VCP_OK);
    CHECK_EQ(send(t.peer, "x", 1, 0), 1);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 1);
    CHECK_EQ(vcp_conn_set_deadline(t.conn, INT64_MAX), VCP_OK);
    CHECK_EQ(vcp_conn_write(t.conn, "x", 1), 1);
    expect_kept();
    tear_down();
}

TEST(a_read_deadline_does_not_bind_writes, "I/O: A read deadline does not bind writes")
{
    set_up();
    CHECK_EQ(vcp_conn_set_read_deadline(t.conn, 0), VCP_OK);
    CHECK_EQ(vcp_conn_write(t.conn, "x", 1), 1);
    CHECK_EQ(vcp_conn_wait(t.conn, VCP_WRITABLE), VCP_WRITABLE);
    expect_kept();
    tear_down();
}

TEST(a_write_deadline_does_not_bind_reads, "I/O: A write deadline does not bind reads")
{
    char byte;
    set_up();
    CHECK_EQ(vcp_conn_set_write_deadline(t.conn, 0), VCP_OK);
    CHECK_EQ(send(t.peer, "x", 1, 0), 1);
    CHECK_EQ(vcp_conn_wait(t.conn, VCP_READABLE), VCP_READABLE);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 1);
    expect_kept();
    tear_down();
}

TEST(deadlines_end_with_the_borrow, "I/O: Deadlines end with the borrow")
{
    char byte;
    set_up();
    CHECK_EQ(vcp_conn_set_deadline(t.conn, 0), VCP_OK);
    give_back(t.conn);
    t.conn = borrow(t.pool, &t.s);
    CHECK_EQ(vcp_conn_is_reused(t.conn), 1);
    CHECK_EQ(vcp_conn_write(t.conn, "x", 1), 1);
    CHECK_EQ(send(t.peer, "y", 1, 0), 1);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 1);
    expect_kept();
    tear_down();
}

TEST(deadlines_do_not_bind_the_raw_fd, "I/O: Deadlines bind vcp_conn_* only, not I/O on the raw fd")
{
    char byte;
    set_up();
    CHECK_EQ(vcp_conn_set_deadline(t.conn, 0), VCP_OK);
    CHECK_EQ(write(t.fd, "x", 1), 1);
    CHECK_EQ(send(t.peer, "y", 1, 0), 1);
    CHECK_EQ(read(t.fd, &byte, 1), 1);
    expect_kept();
    tear_down();
}

TEST(a_read_returns_what_there_is, "I/O: vcp_conn_read is as read(2)")
{
    char bytes[64];
    set_up();
    CHECK_EQ(send(t.peer, "hello", 5, 0), 5);
    CHECK_EQ(vcp_conn_read(t.conn, bytes, 2), 2);
    CHECK_EQ(vcp_conn_read(t.conn, bytes, sizeof bytes), 3);
    CHECK_EQ(memcmp(bytes, "llo", 3), 0);
    expect_kept();
    tear_down();
}

TEST(an_end_of_stream_is_zero_and_discards, "I/O: End of stream is 0 and discards")
{
    char byte;
    set_up();
    CHECK_EQ(shutdown(t.peer, SHUT_WR), 0);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 0);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 0);
    expect_discarded();
    tear_down();
}

static void *reads_all(void *argument)
{
    static char bytes[65536];
    size_t *total = (size_t *)argument;
    ssize_t count;
    while ((count = recv(t.peer, bytes, sizeof bytes, 0)) > 0) {
        *total += (size_t)count;
    }
    return NULL;
}

TEST(no_object_is_that_large, "I/O: A write of more bytes than any object has is INVALID_ARGUMENT")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    char byte = 0;
    CHECK_EQ(vcp_conn_write(conn, &byte, (size_t)INTPTR_MAX + 1), VCP_ERR_INVALID_ARGUMENT);
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 1);
    FIXTURE_END(&f);
}

TEST(a_write_moves_all_of_it, "I/O: vcp_conn_write moves all of it, in both modes")
{
    uint32_t modes[] = {VCP_DIAL_BLOCKING, VCP_DIAL_NONBLOCKING};
    size_t size = 16u << 20;
    char *bytes = (char *)malloc(size);
    int i;
    memset(bytes, 'v', size);
    for (i = 0; i < 2; i++) {
        pthread_t reader;
        size_t total = 0;
        set_up_with(modes[i]);
        CHECK_EQ(pthread_create(&reader, NULL, reads_all, &total), 0);
        CHECK_EQ(vcp_conn_write(t.conn, bytes, size), (int64_t)size);
        CHECK_EQ(vcp_conn_discard(t.conn), VCP_OK);
        give_back(t.conn);
        CHECK_EQ(pthread_join(reader, NULL), 0);
        CHECK_EQ(total, size);
        tear_down();
    }
    free(bytes);
}

TEST(reads_and_writes_wait_though_the_fd_is_non_blocking,
     "I/O: Reads and writes wait though the fd is non blocking")
{
    char byte;
    int64_t start;
    set_up_with(VCP_DIAL_NONBLOCKING);
    CHECK(is_nonblocking(t.fd));
    start = now_ms();
    CHECK_EQ(vcp_conn_set_deadline(t.conn, 50), VCP_OK);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 50);
    expect_discarded();
    tear_down();
}

TEST(nothing_to_move_moves_nothing, "I/O: Reading or writing 0 bytes is 0 and discards nothing")
{
    char byte;
    set_up();
    CHECK_EQ(vcp_conn_write(t.conn, "", 0), 0);
    CHECK_EQ(vcp_conn_write(t.conn, NULL, 0), 0);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 0), 0);
    CHECK_EQ(vcp_conn_read(t.conn, NULL, 0), 0);
    expect_kept();
    tear_down();
}

TEST(null_buffers_are_refused_and_harm_nothing,
     "I/O: A NULL buffer is INVALID_ARGUMENT and discards nothing")
{
    set_up();
    CHECK_EQ(vcp_conn_read(t.conn, NULL, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_write(t.conn, NULL, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_try_read(t.conn, NULL, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_try_write(t.conn, NULL, 1), VCP_ERR_INVALID_ARGUMENT);
    expect_kept();
    tear_down();
}

TEST(try_read_never_waits_and_stays_fit,
     "I/O: vcp_conn_try_read never waits, whatever the mode; WOULD_BLOCK stays fit")
{
    uint32_t modes[] = {VCP_DIAL_BLOCKING, VCP_DIAL_NONBLOCKING};
    int i;
    for (i = 0; i < 2; i++) {
        char byte;
        int64_t start;
        set_up_with(modes[i]);
        start = now_ms();
        CHECK_EQ(vcp_conn_try_read(t.conn, &byte, 1), VCP_ERR_WOULD_BLOCK);
        CHECK_TOOK(start, 0);
        CHECK_EQ(is_nonblocking(t.fd), modes[i] == VCP_DIAL_NONBLOCKING);
        CHECK_EQ(send(t.peer, "x", 1, 0), 1);
        await_arrival(t.fd);
        CHECK_EQ(vcp_conn_try_read(t.conn, &byte, 1), 1);
        expect_kept();
        tear_down();
    }
}

TEST(try_read_tells_the_end_of_stream, "I/O: vcp_conn_try_read: 0 at end of stream, and discards")
{
    char byte;
    set_up();
    CHECK_EQ(shutdown(t.peer, SHUT_WR), 0);
    await_arrival(t.fd);
    CHECK_EQ(vcp_conn_try_read(t.conn, &byte, 1), 0);
    expect_discarded();
    tear_down();
}

TEST(try_write_never_waits_and_stays_fit,
     "I/O: vcp_conn_try_write never waits, whatever the mode; WOULD_BLOCK stays fit")
{
    uint32_t modes[] = {VCP_DIAL_BLOCKING, VCP_DIAL_NONBLOCKING};
    int i;
    for (i = 0; i < 2; i++) {
        int64_t start;
        set_up_with(modes[i]);
        fill_up();
        start = now_ms();
        CHECK_EQ(vcp_conn_try_write(t.conn, "x", 1), VCP_ERR_WOULD_BLOCK);
        CHECK_TOOK(start, 0);
        CHECK_EQ(is_nonblocking(t.fd), modes[i] == VCP_DIAL_NONBLOCKING);
        expect_kept();
        tear_down();
    }
}

TEST(wait_returns_the_events_that_hold, "I/O: vcp_conn_wait returns those of the events that hold")
{
    set_up();
    CHECK_EQ(vcp_conn_wait(t.conn, VCP_WRITABLE), VCP_WRITABLE);
    CHECK_EQ(vcp_conn_wait(t.conn, VCP_READABLE | VCP_WRITABLE), VCP_WRITABLE);
    CHECK_EQ(send(t.peer, "x", 1, 0), 1);
    await_arrival(t.fd);
    CHECK_EQ(vcp_conn_wait(t.conn, VCP_READABLE), VCP_READABLE);
    CHECK_EQ(vcp_conn_wait(t.conn, VCP_READABLE | VCP_WRITABLE), VCP_READABLE | VCP_WRITABLE);
    give_back(t.conn);
    tear_down();
}

TEST(wait_sees_an_end_of_stream_as_readable, "I/O: vcp_conn_wait: end of stream is readable")
{
    char byte;
    set_up();
    CHECK_EQ(shutdown(t.peer, SHUT_WR), 0);
    CHECK_EQ(vcp_conn_wait(t.conn, VCP_READABLE), VCP_READABLE);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 0);
    expect_discarded();
    tear_down();
}

TEST(wait_ends_at_the_deadline_and_discards_as_a_read_would,
     "I/O: vcp_conn_wait ends at the deadline and discards as a failed read would")
{
    int64_t start;
    set_up();
    start = now_ms();
    CHECK_EQ(vcp_conn_set_deadline(t.conn, 50), VCP_OK);
    CHECK_EQ(vcp_conn_wait(t.conn, VCP_READABLE), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 50);
    expect_discarded();
    tear_down();
}

TEST(wait_takes_the_earlier_of_the_deadlines_asked_for,
     "I/O: vcp_conn_wait takes the earlier of the deadlines asked for")
{
    int64_t start;
    set_up();
    fill_up();
    CHECK_EQ(vcp_conn_set_read_deadline(t.conn, at_most(20000)), VCP_OK);
    start = now_ms();
    CHECK_EQ(vcp_conn_set_write_deadline(t.conn, 50), VCP_OK);
    CHECK_EQ(vcp_conn_wait(t.conn, VCP_READABLE | VCP_WRITABLE), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 50);
    give_back(t.conn);
    tear_down();
}

TEST(wait_for_nothing_or_the_unknown_is_refused,
     "I/O: vcp_conn_wait for no or unknown events is INVALID_ARGUMENT")
{
    set_up();
    CHECK_EQ(vcp_conn_wait(t.conn, 0), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_wait(t.conn, 4), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_wait(t.conn, -1), VCP_ERR_INVALID_ARGUMENT);
    expect_kept();
    tear_down();
}

TEST(a_retry_is_due_when_a_reused_one_ended_before_any_byte,
     "I/O: should_retry: 1 if reused and ended by end of stream before any byte")
{
    char byte;
    set_up();
    give_back(t.conn);
    t.conn = borrow(t.pool, &t.s);
    CHECK_EQ(vcp_conn_should_retry(t.conn), 0);
    CHECK_EQ(vcp_conn_write(t.conn, "request", 7), 7);
    CHECK_EQ(shutdown(t.peer, SHUT_WR), 0);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 0);
    CHECK_EQ(vcp_conn_should_retry(t.conn), 1);
    give_back(t.conn);
    tear_down();
}

TEST(a_retry_is_due_after_an_io_error_of_a_reused_one,
     "I/O: should_retry: 1 if reused and ended by an I/O error")
{
    char byte;
    set_up();
    give_back(t.conn);
    t.conn = borrow(t.pool, &t.s);
    close_with_reset(t.peer);
    t.peer = -1;
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), VCP_ERR_IO);
    CHECK_EQ(vcp_last_errno(), ECONNRESET);
    CHECK_EQ(vcp_conn_should_retry(t.conn), 1);
    give_back(t.conn);
    tear_down();
}

TEST(no_retry_is_due_for_a_fresh_one, "I/O: should_retry: 0 for a fresh connection")
{
    char byte;
    set_up();
    CHECK_EQ(shutdown(t.peer, SHUT_WR), 0);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 0);
    CHECK_EQ(vcp_conn_should_retry(t.conn), 0);
    give_back(t.conn);
    tear_down();
}

TEST(no_retry_is_due_once_a_byte_was_read,
     "I/O: should_retry: 0 once a byte was read in this borrow")
{
    char byte;
    set_up();
    give_back(t.conn);
    t.conn = borrow(t.pool, &t.s);
    CHECK_EQ(send(t.peer, "x", 1, 0), 1);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 1);
    CHECK_EQ(shutdown(t.peer, SHUT_WR), 0);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 0);
    CHECK_EQ(vcp_conn_should_retry(t.conn), 0);
    give_back(t.conn);
    tear_down();
}

/* Bytes of an earlier borrow do not count. */
TEST(a_retry_looks_at_this_borrow_only, "I/O: should_retry: bytes of earlier borrows do not count")
{
    char byte;
    set_up();
    CHECK_EQ(send(t.peer, "x", 1, 0), 1);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 1);
    give_back(t.conn);
    t.conn = borrow(t.pool, &t.s);
    CHECK_EQ(vcp_conn_is_reused(t.conn), 1);
    CHECK_EQ(shutdown(t.peer, SHUT_WR), 0);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), 0);
    CHECK_EQ(vcp_conn_should_retry(t.conn), 1);
    give_back(t.conn);
    tear_down();
}

TEST(no_retry_is_due_after_a_timeout, "I/O: should_retry: 0 after a timeout")
{
    char byte;
    set_up();
    give_back(t.conn);
    t.conn = borrow(t.pool, &t.s);
    CHECK_EQ(vcp_conn_set_deadline(t.conn, 0), VCP_OK);
    CHECK_EQ(vcp_conn_read(t.conn, &byte, 1), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_conn_should_retry(t.conn), 0);
    give_back(t.conn);
    tear_down();
}

TEST(a_datagram_is_moved_as_one, "I/O: On a datagram socket read and write move one datagram")
{
    server s = udp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    struct sockaddr_in to;
    socklen_t length = sizeof to;
    char bytes[64];
    CHECK_EQ(vcp_conn_write(conn, "first", 5), 5);
    CHECK_EQ(vcp_conn_write(conn, "second", 6), 6);
    CHECK_EQ(recvfrom(s.fd, bytes, sizeof bytes, 0, (struct sockaddr *)&to, &length), 5);
    CHECK_EQ(recv(s.fd, bytes, sizeof bytes, 0), 6);
    CHECK_EQ(sendto(s.fd, "answer", 6, 0, (struct sockaddr *)&to, length), 6);
    CHECK_EQ(sendto(s.fd, "more", 4, 0, (struct sockaddr *)&to, length), 4);
    CHECK_EQ(vcp_conn_read(conn, bytes, 3), 3);
    CHECK_EQ(memcmp(bytes, "ans", 3), 0);
    CHECK_EQ(vcp_conn_read(conn, bytes, sizeof bytes), 4);
    CHECK_EQ(memcmp(bytes, "more", 4), 0);
    give_back(conn);
    CHECK_EQ(idle_in(pool), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* On a datagram socket 0 is an empty datagram, not the end of anything. */
TEST(an_empty_datagram_is_no_end_of_stream,
     "I/O: An empty datagram is no end of stream: the connection is kept")
{
    server s = udp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    struct sockaddr_in to;
    socklen_t length = sizeof to;
    char bytes[64];
    CHECK_EQ(vcp_conn_write(conn, "", 0), 0);
    CHECK(readable_within(s.fd, 1000));
    CHECK_EQ(recvfrom(s.fd, bytes, sizeof bytes, 0, (struct sockaddr *)&to, &length), 0);
    CHECK_EQ(sendto(s.fd, "", 0, 0, (struct sockaddr *)&to, length), 0);
    CHECK_EQ(vcp_conn_read(conn, bytes, sizeof bytes), 0);
    give_back(conn);
    CHECK_EQ(idle_in(pool), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_datagram_too_large_is_an_io_error,
     "I/O: A datagram that is too large is IO with EMSGSIZE, and discards")
{
    static char bytes[70000];
    server s = udp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_write(conn, bytes, sizeof bytes), VCP_ERR_IO);
    CHECK_EQ(vcp_last_errno(), EMSGSIZE);
    give_back(conn);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_dial_may_have_a_timeout_of_its_own,
     "I/O: A dial's timeout_ms replaces the pool's dial_timeout_ms")
{
    full_server full = full_server_new();
    vcp_pool_options options = pool_options();
    vcp_dial_options none = dial_options(0);
    vcp_pool *pool;
    vcp_conn *conn;
    int64_t start;
    options.dial_timeout_ms = 80;
    pool = pool_new(&options);
    start = now_ms();
    CHECK_EQ(vcp_dial(pool, "tcp", full.s.address, &conn), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 80);
    none.timeout_ms = 160;
    start = now_ms();
    CHECK_EQ(vcp_dial_with(pool, "tcp", full.s.address, &none, &conn), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 160);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
}

TEST(a_dial_timeout_of_zero_has_passed_already,
     "I/O: A dial timeout of 0 has passed already; a negative one is none")
{
    fixture f = fixture_new(NULL);
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn;
    options.timeout_ms = 0;
    CHECK_EQ(vcp_dial_with(f.pool, f.s.network, f.s.address, &options, &conn), VCP_ERR_TIMEOUT);
    CHECK(vcp_last_phase() != VCP_PHASE_NONE);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 0);
    options.timeout_ms = -1;
    CHECK(vcp_dial_with(f.pool, f.s.network, f.s.address, &options, &conn) >= 0);
    give_back(conn);
    FIXTURE_END(&f);
}
