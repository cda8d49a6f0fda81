/*
 * Names: one getaddrinfo for all who ask at once, none where nothing is to be asked, and what is
 * remembered of it.
 */
#include "check.h"
#include "dialing_threads.h"
#include "fake_getaddrinfo.h"

static void name_at(char *out, size_t size, const char *host, const server *s)
{
    snprintf(out, size, "%s:%d", host, s->port);
}

/* A pool that keeps nothing: each dial is a fresh one. */
static vcp_pool *forgetful_pool(int64_t dns_cache_ms)
{
    vcp_pool_options options = pool_options();
    options.max_idle_per_address = 0;
    options.dns_cache_ms = dns_cache_ms;
    return pool_new(&options);
}

static void dial_and_give_back(vcp_pool *pool, const char *network, const char *address)
{
    vcp_conn *conn;
    CHECK(vcp_dial(pool, network, address, &conn) >= 0);
    give_back(conn);
}

TEST(sixty_four_dials_of_one_slow_name_ask_once,
     "names: 64 dials of one slow name at once: one getaddrinfo, and all get a connection")
{
    fixture f = fixture_new(NULL);
    dialer like;
    dialers c;
    char address[64];
    int i;
    name_is("slow.test", "127.0.0.1");
    name_is_slow("slow.test");
    name_at(address, sizeof address, "slow.test", &f.s);
    like = dialer_of(f.pool, address);
    dialers_start(&c, 64, &like, 0);
    EVENTUALLY(dialers_sleep(&c), 5000);
    CHECK_EQ(calls_for("slow.test"), 1);
    names_let_go();
    dialers_join(&c);
    CHECK_EQ(calls_for("slow.test"), 1);
    for (i = 0; i < 64; i++) {
        CHECK(c.all[i].status >= 0);
        CHECK_EQ(vcp_conn_is_reused(c.all[i].conn), 0);
        give_back(c.all[i].conn);
    }
    FIXTURE_END(&f);
}

/* One AF_UNSPEC call asks A and AAAA side by side and orders them; its list is freed. */
TEST(each_fresh_dial_of_a_name_asks_once_for_both_families,
     "names: A fresh dial of a name is one getaddrinfo(AF_UNSPEC), for tcp4, tcp6 and udp too")
{
    server s = tcp_server();
    server six = tcp6_server();
    server u = udp_server();
    const char *networks[] = {"tcp", "tcp4", "tcp6", "udp", "udp4"};
    const server *servers[5];
    vcp_pool *pool = forgetful_pool(0);
    int i;
    servers[0] = servers[1] = &s;
    servers[2] = &six;
    servers[3] = servers[4] = &u;
    for (i = 0; i < 5; i++) {
        char address[64];
        name_is("both.test", "127.0.0.1 ::1");
        name_at(address, sizeof address, "both.test", servers[i]);
        dial_and_give_back(pool, networks[i], address);
        CHECK_EQ(calls_for("both.test"), 1);
        CHECK_EQ(names_number(&names.had_hints), 1);
        CHECK_EQ(names_number(&names.hints.ai_family), AF_UNSPEC);
        CHECK_EQ(names_number(&names.hints.ai_flags) & AI_PASSIVE, 0);
        CHECK_EQ(names_number(&names.had_service), 0);
        dial_and_give_back(pool, networks[i], address);
        CHECK_EQ(calls_for("both.test"), 2);
    }
    CHECK_EQ(names_number(&names.lists), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    server_close(&six);
    server_close(&u);
}

TEST(a_literal_ip_is_never_looked_up,
     "names: A literal IP, a unix path and :port are never looked up")
{
    server s = tcp_server();
    server six = tcp6_server();
    server u = unix_server(SOCK_STREAM, 0);
    vcp_pool *pool = forgetful_pool(0);
    vcp_conn *conn;
    char text[160];
    int before = all_calls();
    dial_and_give_back(pool, "tcp", s.address);
    dial_and_give_back(pool, "tcp", six.address);
    dial_and_give_back(pool, "unix", u.address);
    snprintf(text, sizeof text, ":%d", s.port);
    dial_and_give_back(pool, "tcp", text);
    snprintf(text, sizeof text, "[::ffff:127.0.0.1]:%d", s.port);
    dial_and_give_back(pool, "tcp", text);
    snprintf(text, sizeof text, "[::1%%lo]:%d", six.port);
    dial_and_give_back(pool, "tcp", text);
    CHECK_EQ(vcp_dial(pool, "tcp6", s.address, &conn), VCP_ERR_RESOLVE);
    CHECK_EQ(all_calls(), before);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    server_close(&six);
    server_close(&u);
}

TEST(a_hit_asks_nobody, "names: A hit, idle_count and get never look a name up")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    char address[64];
    int i;
    name_is("hit.test", "127.0.0.1");
    name_at(address, sizeof address, "hit.test", &f.s);
    dial_and_give_back(f.pool, "tcp", address);
    for (i = 0; i < 5; i++) {
        CHECK(vcp_dial(f.pool, "tcp", address, &conn) >= 0);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        give_back(conn);
    }
    CHECK_EQ(vcp_pool_idle_count(f.pool, "tcp", address), 1);
    CHECK(close(vcp_pool_get(f.pool, "tcp", address, NULL)) == 0);
    CHECK_EQ(calls_for("hit.test"), 1);
    FIXTURE_END(&f);
}

/* How long after `start` the host is asked for once more, if it is dialed all the time. */
static int64_t asked_anew_after(vcp_pool *pool, const char *host, const char *address,
                                int64_t start, int64_t most)
{
    int before = calls_for(host);
    while (calls_for(host) == before) {
        vcp_conn *conn = NULL;
        CHECK(now_ms() - start <= at_most(most));
        vcp_dial(pool, "tcp", address, &conn);
        give_back(conn);
        poll(NULL, 0, 2);
    }
    return now_ms() - start;
}

TEST(an_answer_serves_all_ports_and_networks_for_dns_cache_ms,
     "names: dns_cache_ms: a name's addresses serve all its ports and networks for so long, then "
     "it is asked again")
{
    server s = tcp_server();
    server u = udp_server();
    vcp_pool *pool = forgetful_pool(400);
    char address[64], other[64];
    int64_t start = now_ms();
    name_is("cached.test", "127.0.0.1");
    name_at(address, sizeof address, "cached.test", &s);
    name_at(other, sizeof other, "cached.test", &u);
    dial_and_give_back(pool, "tcp", address);
    dial_and_give_back(pool, "tcp4", address);
    dial_and_give_back(pool, "udp", other);
    if (now_ms() - start < 400)
        CHECK_EQ(calls_for("cached.test"), 1);
    CHECK_BETWEEN(asked_anew_after(pool, "cached.test", address, start, 5000), 400,
                  at_most(400 + LATENESS_MS));
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    server_close(&u);
}

static void check_remembered(int code, int64_t dns_cache_ms, int64_t wanted_ms)
{
    vcp_pool *pool = forgetful_pool(dns_cache_ms);
    vcp_conn *conn;
    int64_t start = now_ms();
    name_fails("none.test", code, 0);
    CHECK_EQ(vcp_dial(pool, "tcp", "none.test:1", &conn), VCP_ERR_RESOLVE);
    CHECK_BETWEEN(asked_anew_after(pool, "none.test", "none.test:1", start, wanted_ms + 5000),
                  wanted_ms, at_most(wanted_ms + LATENESS_MS));
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(that_there_is_no_such_name_serves_for_dns_cache_ms,
     "names: dns_cache_ms: that a name does not exist (EAI_NONAME, EAI_NODATA) is remembered too, "
     "with its number")
{
    vcp_pool *pool = forgetful_pool(60000);
    vcp_conn *conn;
    int i;
    check_remembered(EAI_NONAME, 400, 400);
    check_remembered(EAI_NODATA, 400, 400);

    /* Each time with its own number, as if it had been asked. */
    name_fails("none.test", EAI_NONAME, 0);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(vcp_dial(pool, "tcp", "none.test:1", &conn), VCP_ERR_RESOLVE);
        CHECK_EQ(vcp_last_errno(), EAI_NONAME);
        CHECK_HAS(vcp_last_error(), "none.test");
    }
    CHECK_EQ(calls_for("none.test"), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(that_there_is_no_such_name_serves_for_five_seconds_at_the_most,
     "names: That a name does not exist is remembered for 5 s at the most")
{
    vcp_pool *pool = forgetful_pool(60000);
    vcp_conn *conn;
    int64_t start = now_ms();
    name_fails("gone.test", EAI_NONAME, 0);
    CHECK_EQ(vcp_dial(pool, "tcp", "gone.test:1", &conn), VCP_ERR_RESOLVE);
    CHECK(asked_anew_after(pool, "gone.test", "gone.test:1", start, 10000) <=
          at_most(5000 + LATENESS_MS));
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(other_failures_are_never_remembered,
     "names: Other failures of the resolver are never remembered")
{
    const int codes[] = {EAI_AGAIN, EAI_FAIL, EAI_SYSTEM, EAI_MEMORY};
    vcp_pool *pool = forgetful_pool(60000);
    size_t i;
    int round;
    for (i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        name_fails("shaky.test", codes[i], EIO);
        for (round = 1; round <= 3; round++) {
            vcp_conn *conn;
            CHECK_EQ(vcp_dial(pool, "tcp", "shaky.test:1", &conn),
                     codes[i] == EAI_MEMORY ? VCP_ERR_NO_MEMORY : VCP_ERR_RESOLVE);
            CHECK_EQ(calls_for("shaky.test"), round);
        }
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(without_dns_cache_ms_nothing_is_remembered, "names: dns_cache_ms 0: every fresh dial asks")
{
    vcp_pool *pool = forgetful_pool(0);
    vcp_conn *conn;
    int round;
    name_fails("never.test", EAI_NONAME, 0);
    for (round = 1; round <= 3; round++) {
        CHECK_EQ(vcp_dial(pool, "tcp", "never.test:1", &conn), VCP_ERR_RESOLVE);
        CHECK_EQ(calls_for("never.test"), round);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/*
 * The dial that began it is gone; whoever dials meanwhile shares the lookup, and whoever dials
 * later gets an answer.
 */
TEST(a_late_answer_serves_those_who_still_want_it,
     "names: A lookup whose dial timed out serves those who ask meanwhile; a late answer does no "
     "harm")
{
    server s = tcp_server();
    vcp_pool *pool = forgetful_pool(60000);
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn;
    dialer later;
    char address[64];
    int calls;
    name_is("late.test", "127.0.0.1");
    name_is_slow("late.test");
    name_at(address, sizeof address, "late.test", &s);
    d.timeout_ms = 50;
    CHECK_EQ(vcp_dial_with(pool, "tcp", address, &d, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_RESOLVING);
    later = dialer_of(pool, address);
    dialer_start(&later);
    EVENTUALLY(dialer_sleeps(&later), 5000);
    CHECK_EQ(calls_for("late.test"), 1);
    names_let_go();
    dialer_join(&later);
    CHECK(later.status >= 0);
    give_back(later.conn);
    CHECK_EQ(calls_for("late.test"), 1);

    /* The answer came while nobody waited: kept for the next dial, or asked for once more. */
    name_is("later.test", "127.0.0.1");
    name_is_slow("later.test");
    name_at(address, sizeof address, "later.test", &s);
    CHECK_EQ(vcp_dial_with(pool, "tcp", address, &d, &conn), VCP_ERR_TIMEOUT);
    names_let_go();
    EVENTUALLY(lookups() == 0, 5000);
    dial_and_give_back(pool, "tcp", address);
    calls = calls_for("later.test");
    CHECK_BETWEEN(calls, 1, 2);
    dial_and_give_back(pool, "tcp", address);
    CHECK_EQ(calls_for("later.test"), calls);
    CHECK_EQ(names_number(&names.lists), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_failed_lookup_tells_its_eai_number,
     "names: RESOLVE: vcp_last_errno is the EAI_* value, EAI_SYSTEM too, and the message names "
     "the host")
{
    const int codes[] = {EAI_NONAME, EAI_NODATA, EAI_ADDRFAMILY, EAI_AGAIN, EAI_FAIL, EAI_SYSTEM};
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    size_t i;
    for (i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        conn = (vcp_conn *)&pool;
        name_fails("fails.test", codes[i], EIO);
        CHECK_EQ(vcp_dial(pool, "tcp", "fails.test:1", &conn), VCP_ERR_RESOLVE);
        CHECK(conn == NULL);
        CHECK_EQ(vcp_last_errno(), codes[i]);
        CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
        CHECK_HAS(vcp_last_error(), "dial tcp fails.test:1: ");
        CHECK_HAS(vcp_last_error(), "resolving fails.test: ");
        if (codes[i] == EAI_SYSTEM)
            CHECK_HAS(vcp_last_error(), "nput/output error");
    }
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_resolver_without_memory_is_no_memory,
     "memory: EAI_MEMORY of getaddrinfo(3) is VCP_ERR_NO_MEMORY")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    name_fails("fails.test", EAI_MEMORY, 0);
    CHECK_EQ(vcp_dial(pool, "tcp", "fails.test:1", &conn), VCP_ERR_NO_MEMORY);
    CHECK_HAS(vcp_last_error(), "dial tcp fails.test:1: out of memory");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* Of the other family only, or none at all. */
TEST(a_name_without_a_fitting_address_does_not_resolve,
     "names: A name without an address of the network's family, or without any, is RESOLVE")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    name_is("six.test", "::1 ::2");
    CHECK_EQ(vcp_dial(pool, "tcp4", "six.test:1", &conn), VCP_ERR_RESOLVE);
    CHECK(vcp_last_errno() < 0);
    CHECK_HAS(vcp_last_error(), "six.test");
    name_is("empty.test", "");
    CHECK_EQ(vcp_dial(pool, "tcp", "empty.test:1", &conn), VCP_ERR_RESOLVE);
    CHECK(vcp_last_errno() < 0);
    CHECK_EQ(names_number(&names.lists), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}
