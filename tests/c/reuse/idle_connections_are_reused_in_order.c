/* Which idle connection a borrow gets, and which are kept. Contract sections 1, 4 and 5. */
#include "check.h"

#include <pthread.h>

TEST(what_is_given_back_is_reused,
     "reuse: close gives back, the next dial of the destination gets the same socket")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    int peer = server_accept(&s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    give_back(conn);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(vcp_conn_uses(conn), 2);
    CHECK(server_is_quiet(&s));
    CHECK(peer_sees_life(peer));
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

/* Three borrowed, given back in order 0, 1, 2; which come out in which order. */
static void borrow_order(int32_t reuse_order, const int *wanted)
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conns[3];
    int fds[3];
    int i;
    options.reuse_order = reuse_order;
    pool = pool_new(&options);
    for (i = 0; i < 3; i++) {
        conns[i] = borrow(pool, &s);
        fds[i] = vcp_conn_raw_fd(conns[i]);
    }
    for (i = 0; i < 3; i++) {
        give_back(conns[i]);
    }
    for (i = 0; i < 3; i++) {
        conns[i] = borrow(pool, &s);
        CHECK_EQ(vcp_conn_raw_fd(conns[i]), fds[wanted[i]]);
    }
    for (i = 0; i < 3; i++) {
        give_back(conns[i]);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(lifo_hands_out_what_was_given_back_last,
     "reuse: VCP_REUSE_LIFO: last given back, first borrowed")
{
    static const int wanted[] = {2, 1, 0};
    borrow_order(VCP_REUSE_LIFO, wanted);
}

typedef struct site {
    vcp_pool *pool;
    const server *s;
} site;

static void *dial_and_give_back(void *given)
{
    const site *at = (const site *)given;
    give_back(borrow(at->pool, at->s));
    return NULL;
}

TEST(a_thread_keeps_its_order_when_another_has_made_the_destination_anew,
     "reuse: VCP_REUSE_LIFO: a thread takes first what it gave back last itself")
{
    fixture f = fixture_new(NULL);
    site at;
    pthread_t other;
    vcp_conn *first;
    vcp_conn *second;
    int fd;
    at.pool = f.pool;
    at.s = &f.s;
    give_back(borrow(f.pool, &f.s));
    CHECK_EQ(vcp_pool_close_idle(f.pool), VCP_OK);
    CHECK_EQ(pthread_create(&other, NULL, dial_and_give_back, &at), 0);
    CHECK_EQ(pthread_join(other, NULL), 0);
    first = borrow(f.pool, &f.s);
    second = borrow(f.pool, &f.s);
    fd = vcp_conn_raw_fd(first);
    give_back(second);
    give_back(first);
    first = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_raw_fd(first), fd);
    give_back(first);
    FIXTURE_END(&f);
}

TEST(fifo_hands_out_what_is_idle_for_longest, "reuse: VCP_REUSE_FIFO: longest idle, first borrowed")
{
    static const int wanted[] = {0, 1, 2};
    borrow_order(VCP_REUSE_FIFO, wanted);
}

TEST(fresh_never_reuses, "reuse: VCP_DIAL_FRESH never reuses")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    give_back(borrow(f.pool, &f.s));
    conn = borrow_fresh(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    CHECK_EQ(idle_at(f.pool, &f.s), 1);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 2);
    give_back(conn);
    CHECK_EQ(idle_at(f.pool, &f.s), 2);
    FIXTURE_END(&f);
}

TEST(reuse_only_never_dials, "reuse: VCP_DIAL_REUSE_ONLY never dials: NOT_AVAILABLE")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    CHECK_EQ(dial_flags(f.pool, &f.s, VCP_DIAL_REUSE_ONLY, &conn), VCP_ERR_NOT_AVAILABLE);
    CHECK(server_is_quiet(&f.s));
    CHECK_EQ(vcp_pool_conn_count(f.pool), 0);
    give_back(borrow(f.pool, &f.s));
    CHECK(dial_flags(f.pool, &f.s, VCP_DIAL_REUSE_ONLY, &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    give_back(conn);
    CHECK_EQ(stats_of(f.pool).dials, 1);
    FIXTURE_END(&f);
}

static vcp_conn *borrow_tagged(vcp_pool *pool, const server *s, const char *tag, uint32_t flags)
{
    vcp_dial_options options = dial_options(flags);
    vcp_conn *conn;
    options.reuse_tag = tag;
    return vcp_dial_with(pool, s->network, s->address, &options, &conn) >= 0 ? conn : NULL;
}

TEST(tags_keep_connections_apart, "reuse: Connections are reused only within one reuse tag")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    give_back(borrow_tagged(f.pool, &f.s, "alice", 0));
    CHECK(borrow_tagged(f.pool, &f.s, "bob", VCP_DIAL_REUSE_ONLY) == NULL);
    CHECK(borrow_tagged(f.pool, &f.s, NULL, VCP_DIAL_REUSE_ONLY) == NULL);
    CHECK(borrow_tagged(f.pool, &f.s, "alic", VCP_DIAL_REUSE_ONLY) == NULL);
    conn = borrow_tagged(f.pool, &f.s, "alice", VCP_DIAL_REUSE_ONLY);
    CHECK(conn != NULL);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(no_tag_is_the_empty_tag, "reuse: A NULL tag and the empty tag are one")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    char text[8] = "x";
    give_back(borrow_tagged(f.pool, &f.s, "", 0));
    conn = borrow_tagged(f.pool, &f.s, NULL, VCP_DIAL_REUSE_ONLY);
    CHECK(conn != NULL);
    CHECK_EQ(vcp_conn_reuse_tag(conn, text, sizeof text), 0);
    CHECK_STR(text, "");
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(idle_count_is_of_all_tags_of_an_address,
     "reuse: idle_count of an address counts all its tags; NULL, NULL counts all")
{
    server s = tcp_server();
    server other = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    give_back(borrow_tagged(pool, &s, "alice", 0));
    give_back(borrow_tagged(pool, &s, "bob", 0));
    give_back(borrow(pool, &s));
    give_back(borrow(pool, &other));
    CHECK_EQ(idle_at(pool, &s), 3);
    CHECK_EQ(idle_at(pool, &other), 1);
    CHECK_EQ(idle_in(pool), 4);
    CHECK_EQ(vcp_pool_idle_count(pool, "tcp", "127.0.0.1:1"), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&other);
    server_close(&s);
}

TEST(idle_count_never_resolves_a_name, "reuse: idle_count and get never resolve a name")
{
    vcp_pool *pool = pool_new(NULL);
    CHECK_EQ(vcp_pool_idle_count(pool, "tcp", "no..such:80"), 0);
    CHECK_EQ(vcp_pool_get(pool, "tcp", "no..such:80", NULL), VCP_ERR_NOT_AVAILABLE);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(networks_keep_connections_apart,
     "reuse: Connections are reused only within one network: tcp and tcp4 are two destinations")
{
    fixture f = fixture_new(NULL);
    vcp_dial_options reuse = dial_options(VCP_DIAL_REUSE_ONLY);
    vcp_conn *conn;
    give_back(borrow(f.pool, &f.s));
    CHECK_EQ(vcp_pool_idle_count(f.pool, "tcp4", f.s.address), 0);
    CHECK_EQ(vcp_dial_with(f.pool, "tcp4", f.s.address, &reuse, &conn), VCP_ERR_NOT_AVAILABLE);
    CHECK_EQ(idle_at(f.pool, &f.s), 1);
    FIXTURE_END(&f);
}

TEST(two_spellings_of_a_literal_are_one_destination,
     "reuse: Two spellings of one literal IP and port are one destination")
{
    server s = tcp6_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options reuse = dial_options(VCP_DIAL_REUSE_ONLY);
    vcp_conn *conn;
    char spelled[64];
    give_back(borrow(pool, &s));
    snprintf(spelled, sizeof spelled, "[0:0::1]:%d", s.port);
    CHECK_EQ(vcp_pool_idle_count(pool, "tcp", spelled), 1);
    snprintf(spelled, sizeof spelled, "[0:0:0:0:0:0:0:1]:0%d", s.port);
    CHECK(vcp_dial_with(pool, "tcp", spelled, &reuse, &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_service_name_and_its_number_are_one_destination, "reuse: :http and :80 are one destination")
{
    fixture f = fixture_new(NULL);
    if (getservbyname("http", "tcp") == NULL) {
        SKIP("no http in services(5)");
    }
    CHECK_EQ(vcp_pool_put(f.pool, client_of(&f.s), "tcp", ":80", NULL), VCP_OK);
    CHECK_EQ(vcp_pool_idle_count(f.pool, "tcp", ":http"), 1);
    CHECK_EQ(vcp_pool_idle_count(f.pool, "tcp", "127.0.0.1:http"), 1);
    FIXTURE_END(&f);
}

TEST(a_host_name_is_a_destination_of_its_own,
     "reuse: A host name is one destination, apart from the addresses it resolves to")
{
    fixture f = fixture_new(NULL);
    vcp_dial_options reuse = dial_options(VCP_DIAL_REUSE_ONLY);
    vcp_conn *conn;
    char name[64];
    char text[64];
    snprintf(name, sizeof name, "localhost:%d", f.s.port);
    CHECK(vcp_dial(f.pool, "tcp4", name, &conn) >= 0);
    CHECK(vcp_conn_remote_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, f.s.address);
    CHECK(vcp_conn_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, name);
    give_back(conn);
    CHECK_EQ(vcp_pool_idle_count(f.pool, "tcp4", name), 1);
    CHECK_EQ(vcp_pool_idle_count(f.pool, "tcp4", f.s.address), 0);
    CHECK(vcp_dial_with(f.pool, "tcp4", name, &reuse, &conn) >= 0);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(a_full_shelf_closes_what_is_being_given_back,
     "reuse: With the shelf full, the connection being given back is the one closed")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conns[3];
    int peers[3];
    int i;
    options.max_idle_per_address = 2;
    pool = pool_new(&options);
    for (i = 0; i < 3; i++) {
        conns[i] = borrow(pool, &s);
        peers[i] = server_accept(&s);
    }
    for (i = 0; i < 3; i++) {
        give_back(conns[i]);
    }
    CHECK_EQ(idle_at(pool, &s), 2);
    CHECK(peer_sees_end(peers[2]));
    CHECK(peer_sees_life(peers[0]));
    CHECK(peer_sees_life(peers[1]));
    CHECK_EQ(stats_of(pool).closed_idle_full, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    for (i = 0; i < 3; i++) {
        close(peers[i]);
    }
    server_close(&s);
}

TEST(eight_are_kept_per_address_by_default,
     "reuse: max_idle_per_address is 8 by default, per destination")
{
    server s = tcp_server();
    server other = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conns[10];
    int i;
    for (i = 0; i < 10; i++) {
        conns[i] = borrow(pool, &s);
    }
    for (i = 0; i < 10; i++) {
        give_back(conns[i]);
    }
    CHECK_EQ(idle_at(pool, &s), 8);
    give_back(borrow(pool, &other));
    CHECK_EQ(idle_in(pool), 9);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&other);
    server_close(&s);
}

TEST(room_is_counted_per_destination_tags_apart,
     "reuse: max_idle_per_address counts per destination, tags apart")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    options.max_idle_per_address = 1;
    pool = pool_new(&options);
    give_back(borrow_tagged(pool, &s, "alice", 0));
    give_back(borrow_tagged(pool, &s, "bob", 0));
    CHECK_EQ(idle_at(pool, &s), 2);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(with_no_idle_room_every_give_back_closes,
     "reuse: max_idle_per_address 0: every give-back closes")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    int peer;
    options.max_idle_per_address = 0;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    peer = server_accept(&s);
    CHECK(peer_sees_end(peer));
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

TEST(max_idle_bounds_all_addresses_together, "reuse: max_idle bounds all destinations together")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *first;
    vcp_conn *second;
    options.max_idle = 1;
    pool = pool_new(&options);
    first = borrow(pool, &a);
    second = borrow(pool, &b);
    give_back(first);
    give_back(second);
    CHECK_EQ(idle_in(pool), 1);
    CHECK_EQ(idle_at(pool, &a), 1);
    CHECK_EQ(stats_of(pool).closed_idle_full, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&b);
    server_close(&a);
}

TEST(discarded_connections_are_really_closed,
     "reuse: vcp_conn_discard: close will really close, not before")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    CHECK(peer_sees_life(peer));
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK(peer_sees_end(peer));
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(stats_of(pool).closed_discarded, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

TEST(close_idle_closes_the_idle_and_only_them,
     "reuse: close_idle closes the idle; what is borrowed lives and is kept when given back")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *borrowed = borrow(pool, &s);
    int peer_of_borrowed = server_accept(&s);
    int peer_of_idle;
    give_back(borrow(pool, &s));
    peer_of_idle = server_accept(&s);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    CHECK(peer_sees_end(peer_of_idle));
    CHECK(peer_sees_life(peer_of_borrowed));
    CHECK_EQ(idle_in(pool), 0);
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    give_back(borrowed);
    CHECK_EQ(idle_in(pool), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer_of_idle);
    close(peer_of_borrowed);
    server_close(&s);
}

TEST(a_reused_connection_tells_its_destination,
     "reuse: network, address, tag, local and remote address of a reused connection")
{
    server s = tcp6_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    char text[64];
    give_back(borrow_tagged(pool, &s, "tag", 0));
    conn = borrow_tagged(pool, &s, "tag", VCP_DIAL_REUSE_ONLY);
    CHECK(conn != NULL);
    CHECK_EQ(vcp_conn_network(conn, text, sizeof text), 3);
    CHECK_STR(text, "tcp");
    CHECK(vcp_conn_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, s.address);
    CHECK(vcp_conn_remote_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, s.address);
    CHECK(vcp_conn_local_address(conn, text, sizeof text) > 0);
    CHECK_HAS(text, "[::1]:");
    CHECK_EQ(vcp_conn_reuse_tag(conn, text, sizeof text), 3);
    CHECK_STR(text, "tag");
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
