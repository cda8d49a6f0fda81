/*
 * max_conns and its kin, and the room that is made by closing the longest idle. Contract section 4.
 */
#include "check.h"

static vcp_pool *pool_of_at_most(uint32_t max_conns)
{
    vcp_pool_options options = pool_options();
    options.max_conns = max_conns;
    return pool_new(&options);
}

TEST(a_full_pool_fails_at_once,
     "limits: At max_conns with nothing to evict: POOL_EXHAUSTED, at once")
{
    server s = tcp_server();
    vcp_pool *pool = pool_of_at_most(2);
    vcp_conn *first = borrow(pool, &s);
    vcp_conn *second = borrow(pool, &s);
    vcp_conn *third;
    int64_t start = now_ms();
    CHECK_EQ(vcp_dial(pool, s.network, s.address, &third), VCP_ERR_POOL_EXHAUSTED);
    CHECK_TOOK(start, 0);
    CHECK_EQ(dial_flags(pool, &s, VCP_DIAL_FRESH, &third), VCP_ERR_POOL_EXHAUSTED);
    CHECK_EQ(vcp_pool_conn_count(pool), 2);
    give_back(first);
    give_back(second);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_connection_given_back_makes_room, "limits: At max_conns the own idle connection is reused")
{
    server s = tcp_server();
    vcp_pool *pool = pool_of_at_most(1);
    vcp_conn *conn = borrow(pool, &s);
    give_back(conn);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(discard_detach_and_get_make_room, "limits: discard, detach and get each give the slot back")
{
    server s = tcp_server();
    vcp_pool *pool = pool_of_at_most(1);
    vcp_conn *conn = borrow(pool, &s);
    int detached;
    int gotten;
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    conn = borrow(pool, &s);
    detached = vcp_conn_detach(conn);
    CHECK(detached >= 0);
    give_back(borrow(pool, &s));
    gotten = vcp_pool_get(pool, s.network, s.address, NULL);
    CHECK(gotten >= 0);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    conn = borrow(pool, &s);
    give_back(conn);
    close(detached);
    close(gotten);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_failed_dial_gives_its_room_back, "limits: A failed dial gives its slot back")
{
    server s = tcp_server();
    server refusing = refusing_server();
    vcp_pool *pool = pool_of_at_most(1);
    vcp_conn *conn;
    int i;
    for (i = 0; i < 5; i++) {
        CHECK_EQ(vcp_dial(pool, "tcp", refusing.address, &conn), VCP_ERR_CONNECT);
        CHECK_EQ(vcp_pool_conn_count(pool), 0);
    }
    give_back(borrow(pool, &s));
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(the_longest_idle_of_another_destination_makes_room,
     "limits: At max_conns the longest idle of another destination is closed to make room")
{
    server a = tcp_server();
    server b = tcp_server();
    server c = tcp_server();
    vcp_pool *pool = pool_of_at_most(2);
    vcp_conn *conn;
    int peer_a;
    int peer_b;
    give_back(borrow(pool, &a));
    peer_a = server_accept(&a);
    give_back(borrow(pool, &b));
    peer_b = server_accept(&b);
    conn = borrow(pool, &c);
    CHECK(peer_sees_end(peer_a));
    CHECK(peer_sees_life(peer_b));
    CHECK_EQ(idle_at(pool, &a), 0);
    CHECK_EQ(idle_at(pool, &b), 1);
    CHECK_EQ(vcp_pool_conn_count(pool), 2);
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer_a);
    close(peer_b);
    server_close(&a);
    server_close(&b);
    server_close(&c);
}

/* The age since the last give-back counts, not the age of the connection. */
TEST(longest_idle_is_by_the_last_give_back,
     "limits: Longest idle is counted from the last give-back")
{
    server a = tcp_server();
    server b = tcp_server();
    server c = tcp_server();
    vcp_pool *pool = pool_of_at_most(2);
    vcp_conn *conn;
    give_back(borrow(pool, &a));
    let_pass(20);
    give_back(borrow(pool, &b));
    let_pass(20);
    give_back(borrow(pool, &a));
    conn = borrow(pool, &c);
    CHECK_EQ(idle_at(pool, &a), 1);
    CHECK_EQ(idle_at(pool, &b), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
    server_close(&c);
}

TEST(another_tag_is_another_destination_and_makes_room,
     "limits: An idle connection of the same address under another tag makes room too")
{
    server s = tcp_server();
    vcp_pool *pool = pool_of_at_most(1);
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn;
    options.reuse_tag = "other";
    give_back(borrow(pool, &s));
    CHECK(vcp_dial_with(pool, s.network, s.address, &options, &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_fresh_dial_may_close_an_idle_one_of_its_own,
     "limits: A FRESH dial makes room by an idle one of its own destination")
{
    server s = tcp_server();
    vcp_pool *pool = pool_of_at_most(1);
    vcp_conn *conn;
    int peer;
    give_back(borrow(pool, &s));
    peer = server_accept(&s);
    conn = borrow_fresh(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK(peer_sees_end(peer));
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

TEST(a_borrowed_connection_is_never_closed_to_make_room,
     "limits: A borrowed connection is never closed to make room")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool *pool = pool_of_at_most(1);
    vcp_conn *conn = borrow(pool, &a);
    vcp_conn *other;
    int peer = server_accept(&a);
    CHECK_EQ(vcp_dial(pool, b.network, b.address, &other), VCP_ERR_POOL_EXHAUSTED);
    CHECK(peer_sees_life(peer));
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&a);
    server_close(&b);
}

TEST(reuse_only_closes_nothing_to_make_room, "limits: A REUSE_ONLY dial closes nothing")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool *pool = pool_of_at_most(1);
    vcp_conn *conn;
    give_back(borrow(pool, &a));
    CHECK_EQ(dial_flags(pool, &b, VCP_DIAL_REUSE_ONLY, &conn), VCP_ERR_NOT_AVAILABLE);
    CHECK_EQ(idle_at(pool, &a), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

TEST(a_limit_per_address_binds_that_address_only,
     "limits: max_conns_per_address binds its own destination only")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *first;
    vcp_conn *second;
    vcp_conn *third;
    options.max_conns_per_address = 1;
    pool = pool_new(&options);
    first = borrow(pool, &a);
    CHECK_EQ(vcp_dial(pool, a.network, a.address, &third), VCP_ERR_POOL_EXHAUSTED);
    second = borrow(pool, &b);
    give_back(first);
    first = borrow(pool, &a);
    CHECK_EQ(vcp_conn_is_reused(first), 1);
    give_back(first);
    give_back(second);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

TEST(limits_per_address_count_tags_apart,
     "limits: Limits named per address count per destination, tags apart")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_dial_options tagged = dial_options(0);
    vcp_pool *pool;
    vcp_conn *plain;
    vcp_conn *conn;
    vcp_conn *third;
    options.max_conns_per_address = 1;
    pool = pool_new(&options);
    tagged.reuse_tag = "tag";
    plain = borrow(pool, &s);
    CHECK(vcp_dial_with(pool, s.network, s.address, &tagged, &conn) >= 0);
    CHECK_EQ(vcp_dial_with(pool, s.network, s.address, &tagged, &third), VCP_ERR_POOL_EXHAUSTED);
    give_back(plain);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/*
 * Room at the pool's limit is of no use to a destination at its own: nobody else's connection is
 * closed for it.
 */
TEST(nothing_is_closed_for_a_destination_at_its_own_limit,
     "limits: At its own limit a destination has nothing of others closed")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    vcp_conn *second;
    options.max_conns = 2;
    options.max_conns_per_address = 1;
    pool = pool_new(&options);
    give_back(borrow(pool, &b));
    conn = borrow(pool, &a);
    CHECK_EQ(vcp_dial(pool, a.network, a.address, &second), VCP_ERR_POOL_EXHAUSTED);
    CHECK_EQ(idle_at(pool, &b), 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

TEST(put_counts_against_the_limit,
     "limits: max_conns counts what was put: put and add at the limit are POOL_EXHAUSTED, the fd "
     "stays the program's")
{
    server s = tcp_server();
    vcp_pool *pool = pool_of_at_most(1);
    vcp_conn *conn = borrow(pool, &s);
    int fd = client_of(&s);
    CHECK_EQ(vcp_pool_put(pool, fd, s.network, s.address, NULL), VCP_ERR_POOL_EXHAUSTED);
    CHECK(is_open(fd));
    CHECK_EQ(vcp_pool_add(pool, fd), VCP_ERR_POOL_EXHAUSTED);
    CHECK(is_open(fd));
    close(fd);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(put_makes_room_elsewhere_first, "limits: put at max_conns evicts elsewhere first")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool *pool = pool_of_at_most(1);
    int fd;
    give_back(borrow(pool, &a));
    fd = client_of(&b);
    CHECK_EQ(vcp_pool_put(pool, fd, b.network, b.address, NULL), VCP_OK);
    CHECK_EQ(idle_at(pool, &a), 0);
    CHECK_EQ(idle_at(pool, &b), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

/* A dial in flight counts: one hangs, the next finds the pool full. */
static void *dials_and_hangs(void *argument)
{
    void **pair = (void **)argument;
    vcp_conn *conn;
    vcp_dial_options options = dial_options(0);
    options.timeout_ms = at_most(20000);
    CHECK_EQ(vcp_dial_with((vcp_pool *)pair[0], "tcp", ((full_server *)pair[1])->s.address,
                           &options, &conn),
             VCP_ERR_POOL_CLOSED);
    CHECK(conn == NULL);
    return NULL;
}

TEST(a_dial_in_flight_counts, "limits: max_conns counts connections being dialed")
{
    full_server full = full_server_new();
    server s = tcp_server();
    vcp_pool *pool = pool_of_at_most(1);
    vcp_conn *conn;
    void *pair[2];
    pthread_t thread;
    pair[0] = pool;
    pair[1] = &full;
    CHECK_EQ(pthread_create(&thread, NULL, dials_and_hangs, pair), 0);
    EVENTUALLY(stats_of(pool).dialing == 1, 5000);
    CHECK_EQ(vcp_dial(pool, s.network, s.address, &conn), VCP_ERR_POOL_EXHAUSTED);
    CHECK_HAS(vcp_last_error(), "dialing=1");
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    server_close(&s);
    full_server_close(&full);
}

/* The server counts what is open at once; it never sees more than the limit. */
enum { LIMIT = 3, WORKERS = 8, ROUNDS = 300 };

static struct {
    vcp_pool *pool;
    const server *s;
    int out;
    int most;
    int served;
    int reused;
} workers;

static void *worker(void *unused)
{
    int round;
    (void)unused;
    for (round = 0; round < ROUNDS; round++) {
        vcp_conn *conn;
        int result =
            dial_flags(workers.pool, workers.s, round % 3 == 0 ? VCP_DIAL_FRESH : 0, &conn);
        if (result >= 0) {
            int now = __sync_add_and_fetch(&workers.out, 1);
            int seen = __atomic_load_n(&workers.most, __ATOMIC_SEQ_CST);
            while (now > seen && !__atomic_compare_exchange_n(&workers.most, &seen, now, 0,
                                                              __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
                /* `seen` holds what it is by now. */
            }
            CHECK(vcp_pool_conn_count(workers.pool) <= LIMIT);
            CHECK_ECHO(conn, "hello");
            __sync_sub_and_fetch(&workers.out, 1);
            __sync_add_and_fetch(&workers.served, 1);
            __sync_add_and_fetch(&workers.reused, vcp_conn_is_reused(conn));
            if (round % 5 == 0) {
                CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
            }
            give_back(conn);
        } else {
            CHECK_EQ(result, VCP_ERR_POOL_EXHAUSTED);
        }
    }
    return NULL;
}

/* The pool's only destination loses its only connection to the fresh dial that needs its slot. */
TEST(a_fresh_dial_replaces_the_only_connection_of_the_only_destination,
     "limits: A FRESH dial at max_conns_per_address closes an idle one of its own, also the only "
     "one")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn = NULL;
    options.max_conns_per_address = 1;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    CHECK(dial_flags(pool, &s, VCP_DIAL_FRESH, &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(the_limit_holds_among_threads,
     "limits: 8 threads, 3 connections: the limit holds at every instant, and nothing is lost")
{
    server s = tcp_server();
    pthread_t threads_of[WORKERS];
    vcp_stats stats;
    int i;
    server_start_echo(&s);
    memset(&workers, 0, sizeof workers);
    workers.pool = pool_of_at_most(LIMIT);
    workers.s = &s;
    for (i = 0; i < WORKERS; i++) {
        CHECK_EQ(pthread_create(&threads_of[i], NULL, worker, NULL), 0);
    }
    for (i = 0; i < WORKERS; i++) {
        CHECK_EQ(pthread_join(threads_of[i], NULL), 0);
    }
    CHECK_BETWEEN(workers.most, 1, LIMIT);
    CHECK(workers.served > 0);
    /*
     * A dial whose caller was served with a connection given back meanwhile goes on for the shelf.
     */
    EVENTUALLY(stats_of(workers.pool).dialing == 0, 5000);
    stats = stats_of(workers.pool);
    CHECK_EQ(stats.borrowed, 0);
    CHECK_EQ(stats.reuses, workers.reused);
    CHECK(stats.dials - stats.dial_failures + stats.reuses >= (uint64_t)workers.served);
    CHECK_STATS_ADD_UP(workers.pool);
    CHECK_EQ(vcp_pool_close(workers.pool), VCP_OK);
    server_close(&s);
}
