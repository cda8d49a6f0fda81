/*
 * Reads, writes and waits of a borrower, with deadlines, tokens and other threads.
 */
#include "torture_test.h"

static const int ended_errors[] = {VCP_ERR_IO,
                                   VCP_ERR_TIMEOUT,
                                   VCP_ERR_SYSTEM,
                                   VCP_ERR_CANCELED,
                                   VCP_ERR_CONN_CLOSED,
                                   VCP_ERR_NO_MEMORY,
                                   0};

static const int would_block_errors[] = {VCP_ERR_WOULD_BLOCK, VCP_ERR_IO,        VCP_ERR_SYSTEM,
                                         VCP_ERR_TIMEOUT,     VCP_ERR_NO_MEMORY, 0};

static vcp_conn *dials_with_deadline(const scene *s, const server *where, int64_t ms)
{
    vcp_conn *conn = s->pool == NULL ? NULL : dials(s, where, 0);
    if (conn != NULL && MAY(vcp_conn_set_deadline(conn, ms), 0, memory_errors) < 0) {
        gives_back(conn);
        conn = NULL;
    }
    return conn;
}

TEST(bytes_go_there_and_back,
     "torture: Reads and writes move their bytes or fail, whatever fails below")
{
    scene s = scene_new(NULL);
    vcp_conn *conn = dials_with_deadline(&s, &peers[TCP4], 200);
    if (conn != NULL) {
        char bytes[8];
        if (MAY(vcp_conn_write(conn, "12345678", 8), 200, io_errors) == 8 &&
            MAY(vcp_conn_read_full(conn, bytes, 8), 200, io_errors) == 8) {
            CHECK_EQ(memcmp(bytes, "12345678", 8), 0);
            MAY(vcp_conn_try_write(conn, "1", 1), 0, would_block_errors);
            if (MAY(vcp_conn_wait(conn, VCP_READABLE), 200, io_errors) == VCP_READABLE) {
                MAY(vcp_conn_try_read(conn, bytes, 8), 0, would_block_errors);
            }
            MAY(vcp_conn_wait(conn, VCP_READABLE | VCP_WRITABLE), 200, io_errors);
        }
    }
    gives_back(conn);
    scene_end(&s);
}

TEST(deadlines_end_reads, "torture: Deadlines end reads and waits in time, whatever fails below")
{
    scene s = scene_new(NULL);
    vcp_conn *conn = dials_with_deadline(&s, &peers[UNIX], VCP_FOREVER);
    if (conn != NULL) {
        char bytes[8];
        COMES_TO(vcp_conn_try_read(conn, bytes, 8), 0, VCP_ERR_WOULD_BLOCK, would_block_errors);
        if (MAY(vcp_conn_set_read_deadline(conn, 3), 0, memory_errors) >= 0) {
            COMES_TO(vcp_conn_read(conn, bytes, 8), 3, VCP_ERR_TIMEOUT, io_errors);
        }
        if (MAY(vcp_conn_set_deadline_at(conn, vcp_now_ms() + 2), 0, memory_errors) >= 0) {
            COMES_TO(vcp_conn_wait(conn, VCP_READABLE), 2, VCP_ERR_TIMEOUT, io_errors);
        }
    }
    gives_back(conn);
    scene_end(&s);
}

/* What a peer does not read fills the socket. */
TEST(deadlines_end_writes, "torture: Deadlines end writes in time, whatever fails below")
{
    static char much[4 << 20];
    scene s = scene_new(NULL);
    int ends[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    s.fills = &peers[UNIX];
    if (s.pool != NULL &&
        MAY(vcp_pool_put(s.pool, ends[0], "unix", "@put", NULL), 0,
            ((const int[]){VCP_ERR_NOT_REUSABLE, VCP_ERR_SYSTEM, VCP_ERR_NO_MEMORY, 0})) >= 0) {
        server pair = peers[UNIX];
        vcp_conn *conn = NULL;
        snprintf(pair.address, sizeof pair.address, "@put");
        COMES_TO(vcp_dial(s.pool, "unix", "@put", &conn), DIAL_MS, VCP_OK, dial_errors);
        if (conn != NULL && MAY(vcp_conn_set_write_deadline(conn, 3), 0, memory_errors) >= 0) {
            COMES_TO(vcp_conn_write(conn, much, sizeof much), 3, VCP_ERR_TIMEOUT, io_errors);
        }
        gives_back(conn);
    } else {
        close(ends[0]);
    }
    close(ends[1]);
    scene_end(&s);
}

TEST(the_end_of_a_stream_is_told,
     "torture: The end of a stream is told as such, or an error, whatever fails below")
{
    scene s = scene_new(NULL);
    vcp_conn *conn = dials_with_deadline(&s, &peers[UNIX], 200);
    if (conn != NULL) {
        char byte;
        CHECK_EQ(send(vcp_conn_raw_fd(conn), "x", 1, MSG_NOSIGNAL), 1);
        COMES_TO(vcp_conn_read(conn, &byte, 1), 200, VCP_OK, io_errors);
        MUST(vcp_conn_should_retry(conn), 0);
        MUST(vcp_conn_report(conn, -1, ECONNRESET), 0);
        MAY(vcp_conn_shutdown(conn, SHUT_RDWR), 0, io_errors);
    }
    gives_back(conn);
    scene_end(&s);
}

typedef struct reader {
    vcp_conn *conn;
    int64_t wanted;
    pthread_t thread;
} reader;

static void *reads(void *argument)
{
    reader *r = (reader *)argument;
    char byte;
    COMES_TO(vcp_conn_read(r->conn, &byte, 1), 500, r->wanted, ended_errors);
    return NULL;
}

/* It has most likely begun to wait; if not, it is told all the same. */
static void reader_starts(reader *r, vcp_conn *conn, int64_t wanted)
{
    r->conn = conn;
    r->wanted = wanted;
    CHECK_EQ(pthread_create(&r->thread, NULL, reads, r), 0);
    let_pass(2);
}

TEST(a_token_ends_a_read, "torture: A token ends a read, whatever fails below")
{
    scene s = scene_new(NULL);
    vcp_conn *conn = dials_with_deadline(&s, &peers[UNIX], 500);
    vcp_cancel *cancel = NULL;
    if (conn != NULL && MAY(vcp_cancel_new(&cancel), 0, resource_errors) >= 0 &&
        MAY(vcp_conn_set_cancel(conn, cancel), 0, resource_errors) >= 0) {
        reader r;
        reader_starts(&r, conn, VCP_ERR_CANCELED);
        MUST(vcp_cancel_fire(cancel), 0);
        CHECK_EQ(pthread_join(r.thread, NULL), 0);
    }
    MUST(vcp_cancel_free(cancel), 0);
    gives_back(conn);
    scene_end(&s);
}

TEST(a_close_ends_a_read, "torture: A close ends a read of another thread, whatever fails below")
{
    scene s = scene_new(NULL);
    vcp_conn *conn = dials_with_deadline(&s, &peers[TCP4], 500);
    if (conn != NULL) {
        reader r;
        reader_starts(&r, conn, VCP_ERR_CONN_CLOSED);
        gives_back(conn);
        CHECK_EQ(pthread_join(r.thread, NULL), 0);
    }
    scene_end(&s);
}

TEST(modes_and_addresses,
     "torture: A connection tells its addresses, and has the mode that was asked for, whatever "
     "fails below")
{
    scene s = scene_new(NULL);
    vcp_conn *conn = s.pool == NULL ? NULL : dials(&s, &peers[TCP4], VCP_DIAL_NONBLOCKING);
    if (conn != NULL) {
        char text[128];
        CHECK(is_nonblocking(vcp_conn_raw_fd(conn)));
        MAY(vcp_conn_local_address(conn, text, sizeof text), 0, io_errors);
        MAY(vcp_conn_remote_address(conn, text, sizeof text), 0, io_errors);
        if (MAY(vcp_conn_network(conn, text, sizeof text), 0, memory_errors) >= 0) {
            CHECK_STR(text, "tcp");
        }
        if (MAY(vcp_conn_address(conn, text, sizeof text), 0, memory_errors) >= 0) {
            CHECK_STR(text, peers[TCP4].address);
        }
        MAY(vcp_conn_reuse_tag(conn, text, sizeof text), 0, memory_errors);
        MAY(vcp_conn_set_liveness(conn, VCP_LIVENESS_WATCH), 0, memory_errors);
        MUST(vcp_conn_uses(conn), 0);
        MUST(vcp_conn_age_ms(conn), 0);
        MUST(vcp_conn_idle_ms(conn), 0);
        MUST(vcp_conn_is_reused(conn), 0);
    }
    gives_back(conn);
    if (s.pool != NULL) {
        uses(&s, &peers[TCP4]);
    }
    scene_end(&s);
}
