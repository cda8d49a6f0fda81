/* vcp_conn_read_full. Contract section 6. */
#include "check.h"

#include <sys/ioctl.h>

/* A connection that was borrowed, and the server's end of it. */
typedef struct link {
    fixture f;
    vcp_conn *conn;
    int peer;
} link_of_both;

static link_of_both link_up(uint32_t flags)
{
    link_of_both l;
    l.f = fixture_new(NULL);
    CHECK(dial_flags(l.f.pool, &l.f.s, flags, &l.conn) >= 0);
    l.peer = server_accept(&l.f.s);
    return l;
}

/* Gives back; `kept`: whether it must have been kept. */
static void link_down(link_of_both *l, int kept)
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

static void *sends_in_pieces(void *fd)
{
    const char *pieces[] = {"ab", "c", "defgh", "ij"};
    int i;
    for (i = 0; i < 4; i++) {
        let_pass(5);
        CHECK_EQ(send(*(int *)fd, pieces[i], strlen(pieces[i]), 0), (ssize_t)strlen(pieces[i]));
    }
    return NULL;
}

TEST(a_full_read_waits_for_every_byte,
     "I/O: vcp_conn_read_full reads exactly size bytes, however they come, in both modes")
{
    uint32_t modes[] = {VCP_DIAL_BLOCKING, VCP_DIAL_NONBLOCKING};
    int i;
    for (i = 0; i < 2; i++) {
        link_of_both l = link_up(modes[i]);
        pthread_t sender;
        char bytes[9];
        char last;
        CHECK_EQ(pthread_create(&sender, NULL, sends_in_pieces, &l.peer), 0);
        memset(bytes, 0, sizeof bytes);
        CHECK_EQ(vcp_conn_read_full(l.conn, bytes, sizeof bytes), sizeof bytes);
        CHECK_EQ(memcmp(bytes, "abcdefghi", sizeof bytes), 0);
        CHECK_EQ(vcp_conn_read_full(l.conn, &last, 1), 1);
        CHECK_EQ(last, 'j');
        CHECK_EQ(pthread_join(sender, NULL), 0);
        link_down(&l, 1);
    }
}

TEST(a_full_read_of_nothing_is_zero, "I/O: vcp_conn_read_full of 0 bytes is 0, and stays fit")
{
    link_of_both l = link_up(0);
    CHECK_EQ(vcp_conn_read_full(l.conn, NULL, 0), 0);
    CHECK_EQ(vcp_conn_read_full(l.conn, NULL, 1), VCP_ERR_INVALID_ARGUMENT);
    link_down(&l, 1);
}

TEST(the_end_before_the_first_byte_of_a_full_read_is_zero,
     "I/O: vcp_conn_read_full: 0 at end of stream before the first byte, and discards")
{
    link_of_both l = link_up(0);
    char bytes[4];
    CHECK_EQ(shutdown(l.peer, SHUT_WR), 0);
    CHECK_EQ(vcp_conn_read_full(l.conn, bytes, sizeof bytes), 0);
    link_down(&l, 0);
}

TEST(
    the_end_between_the_bytes_of_a_full_read_is_an_io_error,
    "I/O: vcp_conn_read_full: IO with errno 0 at end of stream between, the message tells how many "
    "bytes came")
{
    link_of_both l = link_up(0);
    char bytes[10];
    char wanted[256];
    CHECK_EQ(send(l.peer, "abc", 3, 0), 3);
    CHECK_EQ(shutdown(l.peer, SHUT_WR), 0);
    CHECK_EQ(vcp_conn_read_full(l.conn, bytes, sizeof bytes), VCP_ERR_IO);
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
    snprintf(wanted, sizeof wanted, "read tcp %s: end of stream after 3 of 10 bytes",
             l.f.s.address);
    CHECK_STR(vcp_last_error(), wanted);
    link_down(&l, 0);
}

TEST(a_full_read_ends_at_its_deadline,
     "I/O: vcp_conn_read_full has one deadline for all of its bytes, and discards when it passes")
{
    link_of_both l = link_up(0);
    char bytes[10];
    int64_t start = now_ms();
    CHECK_EQ(send(l.peer, "abc", 3, 0), 3);
    CHECK_EQ(vcp_conn_set_read_deadline(l.conn, 100), VCP_OK);
    CHECK_EQ(vcp_conn_read_full(l.conn, bytes, sizeof bytes), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 100);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_READING);
    link_down(&l, 0);
}

TEST(a_full_read_of_messages_is_refused,
     "I/O: vcp_conn_read_full on a socket of messages (udp, unixgram, unixpacket) is "
     "INVALID_ARGUMENT")
{
    server servers[3];
    int i;
    servers[0] = udp_server();
    servers[1] = unix_server(SOCK_DGRAM, 1);
    servers[2] = unix_server(SOCK_SEQPACKET, 1);
    for (i = 0; i < 3; i++) {
        vcp_pool *pool = pool_new(NULL);
        vcp_conn *conn = borrow(pool, &servers[i]);
        char bytes[4];
        CHECK_EQ(vcp_conn_read_full(conn, bytes, sizeof bytes), VCP_ERR_INVALID_ARGUMENT);
        give_back(conn);
        CHECK_EQ(idle_in(pool), 1);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        server_close(&servers[i]);
    }
}

TEST(a_full_read_of_nothing_tells_of_an_abort,
     "I/O: vcp_conn_read_full after vcp_pool_abort is POOL_CLOSED, for 0 bytes too")
{
    link_of_both l = link_up(0);
    char byte;
    CHECK_EQ(vcp_pool_abort(l.f.pool), VCP_OK);
    CHECK_EQ(vcp_conn_read_full(l.conn, &byte, 0), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_conn_read_full(l.conn, &byte, 1), VCP_ERR_POOL_CLOSED);
    link_down(&l, 0);
}

/* A reader of many bytes, and the server's thread that sends them one by one. */
static struct {
    vcp_conn *conn;
    int peer;
    int64_t result;
    int is_over;
} trickle;

static int unread_bytes(int fd)
{
    int count = -1;
    CHECK_EQ(ioctl(fd, FIONREAD, &count), 0);
    return count;
}

static void *reads_all(void *unused)
{
    static char bytes[200000];
    trickle.result = vcp_conn_read_full(trickle.conn, bytes, sizeof bytes);
    __atomic_store_n(&trickle.is_over, 1, __ATOMIC_SEQ_CST);
    return unused;
}

static void *sends_one_by_one(void *unused)
{
    while (!__atomic_load_n(&trickle.is_over, __ATOMIC_SEQ_CST) &&
           send(trickle.peer, "x", 1, MSG_NOSIGNAL) == 1) {
    }
    return unused;
}

TEST(a_full_read_runs_between_its_bytes_too,
     "I/O: detach while vcp_conn_read_full runs is INVALID_ARGUMENT, between two of its reads too")
{
    link_of_both l = link_up(0);
    pthread_t reader, sender;
    int refused = 0;
    trickle.conn = l.conn;
    trickle.peer = l.peer;
    trickle.is_over = 0;
    CHECK_EQ(send(l.peer, "x", 1, MSG_NOSIGNAL), 1);
    EVENTUALLY(unread_bytes(vcp_conn_raw_fd(l.conn)) == 1, 5000);
    CHECK_EQ(pthread_create(&reader, NULL, reads_all, NULL), 0);
    /* The read takes the first byte, and from then on it runs until all are there. */
    EVENTUALLY(unread_bytes(vcp_conn_raw_fd(l.conn)) == 0, 5000);
    CHECK_EQ(pthread_create(&sender, NULL, sends_one_by_one, NULL), 0);
    while (!__atomic_load_n(&trickle.is_over, __ATOMIC_SEQ_CST) && refused < 2000) {
        if (vcp_conn_detach(l.conn) != VCP_ERR_INVALID_ARGUMENT) {
            break;
        }
        refused++;
    }
    CHECK(refused == 2000 || __atomic_load_n(&trickle.is_over, __ATOMIC_SEQ_CST));
    CHECK_EQ(vcp_conn_shutdown(l.conn, SHUT_RDWR), VCP_OK);
    CHECK_EQ(pthread_join(reader, NULL), 0);
    CHECK_EQ(pthread_join(sender, NULL), 0);
    link_down(&l, 0);
}
