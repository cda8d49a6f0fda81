/* When the process has no descriptor left. Contract section 3, VCP_ERR_SYSTEM. */
#include "completions.h"

static int hoard[1024];
static int hoarded;

/* Takes every number below a low limit, so that the next socket is EMFILE. */
static void leave_no_descriptor(void)
{
    struct rlimit limit;
    int fd;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 256;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    hoarded = 0;
    while ((fd = fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0) {
        hoard[hoarded++] = fd;
    }
    CHECK_EQ(errno, EMFILE);
}

static void release_descriptors(void)
{
    while (hoarded > 0) {
        close(hoard[--hoarded]);
    }
}

/*
 * The library could not even start its background work: the first dial of all, with no descriptor
 * left.
 */
TEST(a_first_dial_without_descriptors_fails_and_the_next_works,
     "descriptors: The first dial of all without a descriptor is SYSTEM; the next one works, and "
     "so does its watch")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = NULL;
    int result;
    EVENTUALLY(threads() == 1 + TOOL_THREADS, 5000 + LATENESS_MS);
    leave_no_descriptor();
    result = vcp_dial(f.pool, f.s.network, f.s.address, &conn);
    release_descriptors();
    CHECK_EQ(result, VCP_ERR_SYSTEM);
    CHECK(conn == NULL);
    conn = borrow(f.pool, &f.s);
    give_back(conn);
    close(server_accept(&f.s));
    EVENTUALLY(idle_in(f.pool) == 0, 1000);
    FIXTURE_END(&f);
}

/* Idle connections to two servers; the older one's descriptor is what the dial to a third needs. */
TEST(the_longest_idle_is_closed_to_get_a_descriptor,
     "descriptors: On EMFILE the longest idle connection of the pool is closed and the dial tries "
     "once more")
{
    server a = tcp_server();
    server b = tcp_server();
    server c = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = NULL;
    int result;
    give_back(borrow(pool, &a));
    let_pass(20);
    give_back(borrow(pool, &b));
    leave_no_descriptor();
    result = vcp_dial(pool, c.network, c.address, &conn);
    release_descriptors();
    CHECK(result >= 0);
    CHECK_EQ(idle_at(pool, &a), 0);
    CHECK_EQ(idle_at(pool, &b), 1);
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    CHECK_STATS_ADD_UP(pool);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
    server_close(&c);
}

TEST(with_nothing_idle_the_dial_is_a_system_error,
     "descriptors: EMFILE with nothing idle: SYSTEM with its errno, and the slot comes back")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *held;
    vcp_conn *conn = NULL;
    int result;
    int number;
    options.max_conns = 2;
    pool = pool_new(&options);
    held = borrow(pool, &s);
    leave_no_descriptor();
    result = vcp_dial(pool, s.network, s.address, &conn);
    number = vcp_last_errno();
    release_descriptors();
    CHECK_EQ(result, VCP_ERR_SYSTEM);
    CHECK_EQ(number, EMFILE);
    CHECK(conn == NULL);
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    /* The slot came back. */
    conn = borrow(pool, &s);
    give_back(conn);
    give_back(held);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* One number is left for the socket; the dial then has to sleep, and sleeping takes another one. */
TEST(a_dial_that_sleeps_makes_room_too,
     "descriptors: EMFILE: a dial that has to sleep makes room too")
{
    server s = tcp_server();
    full_server full = full_server_new();
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn = NULL;
    int result;
    d.timeout_ms = 200;
    give_back(borrow(pool, &s));
    leave_no_descriptor();
    close(hoard[--hoarded]);
    result = vcp_dial_with(pool, full.s.network, full.s.address, &d, &conn);
    release_descriptors();
    CHECK_EQ(result, VCP_ERR_TIMEOUT);
    CHECK_EQ(idle_in(pool), 0);
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
    server_close(&s);
}

/*
 * What had been asked may still be answered, and what had been written may be half a question:
 * neither must reach the next borrower.
 */
TEST(a_read_or_write_without_a_descriptor_to_wait_with_discards,
     "descriptors: A read or a write that has to wait and finds no descriptor is SYSTEM, and its "
     "connection is not kept")
{
    static char many[16 << 20];
    fixture f = fixture_new(NULL);
    vcp_conn *reader = borrow(f.pool, &f.s);
    vcp_conn *writer = borrow(f.pool, &f.s);
    int64_t read, written;
    leave_no_descriptor();
    read = vcp_conn_read(reader, many, 1);
    written = vcp_conn_write(writer, many, sizeof many);
    release_descriptors();
    CHECK_EQ(read, VCP_ERR_SYSTEM);
    CHECK_EQ(written, VCP_ERR_SYSTEM);
    give_back(reader);
    give_back(writer);
    CHECK_EQ(idle_in(f.pool), 0);
    CHECK_EQ(stats_of(f.pool).closed_discarded, 2);
    FIXTURE_END(&f);
}

TEST(a_hit_needs_no_descriptor, "descriptors: A hit needs no descriptor")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = NULL;
    int result;
    give_back(borrow(f.pool, &f.s));
    leave_no_descriptor();
    result = vcp_dial(f.pool, f.s.network, f.s.address, &conn);
    release_descriptors();
    CHECK(result >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(a_token_of_an_asynchronous_dial_makes_room_too,
     "descriptors: EMFILE: the token of an asynchronous dial, which takes a descriptor, makes room "
     "too")
{
    server servers[3];
    vcp_pool *pool = pool_new(NULL);
    vcp_queue *queue = queue_new();
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn;
    int i;
    for (i = 0; i < 3; i++) {
        servers[i] = tcp_server();
        if (i < 2) {
            give_back(borrow(pool, &servers[i]));
        }
    }
    CHECK_EQ(vcp_cancel_new(&d.cancel), VCP_OK);
    CHECK(vcp_queue_fd(queue) >= 0);
    leave_no_descriptor();
    begin_dial(pool, &servers[2], &d, queue, &d);
    conn = next_conn(queue, &d);
    release_descriptors();
    CHECK_EQ(stats_of(pool).closed_evicted, 2);
    give_back(conn);
    CHECK_EQ(vcp_cancel_free(d.cancel), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    for (i = 0; i < 3; i++) {
        server_close(&servers[i]);
    }
}
