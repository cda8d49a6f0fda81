/*
 * names.c - what a resolver may do to a dial: answer, deny, change its mind, be slow, be silent, be
 * absent. The library asks as every program does, so /etc/hosts, nsswitch.conf and search domains
 * count.
 *
 * A name under hanging.test is one that the DNS server passes on to a server that never answers.
 */
#include "network.h"

/* One look-up and one connect, of which each costs a round trip and little more. */
#define QUICK_MS (NEAR_MS + SOON_MS)

/* `run`'s resolver far_dns. */
#define FAR_DNS_MS 300

#define CROWD 64

static void name_reaches(const char *network, const char *name, const char *remote)
{
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options options = dial_options(0);
    outcome o = dial_with(pool, network, name, &options);
    CHECK_REACHED(o, remote, 0, QUICK_MS);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

static void name_fails(const char *network, const char *name, int error)
{
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options options = dial_options(0);
    outcome o = dial_with(pool, network, name, &options);
    CHECK_FAILURE(o, VCP_ERR_RESOLVE, error, SOON_MS);
    CHECK_HAS(o.message, name);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* How often the DNS server was asked. It writes its log before it answers. */
static int questions(const char *type, const char *name)
{
    char line[256];
    char wanted[128];
    int count = 0;
    FILE *log;
    snprintf(line, sizeof line, "%s/dns.log", getenv("NETWORK_ROOM"));
    snprintf(wanted, sizeof wanted, "query[%s] %s from ", type, name);
    log = fopen(line, "r");
    CHECK(log != NULL);
    while (fgets(line, sizeof line, log) != NULL) {
        count += strstr(line, wanted) != NULL;
    }
    fclose(log);
    return count;
}

/* ---- a resolver that answers ---- */

NETWORK_TEST(dns, a_name_with_both_families,
             "names: A name with both families is dialed over the first of them")
{
    name_reaches("tcp", "both.test:7", "[2001:db8:1::7]:7");
}

NETWORK_TEST(dns, a_name_with_ipv4_only,
             "names: A name with IPv4 addresses only is dialed over IPv4")
{
    name_reaches("tcp", "only4.test:7", "198.18.1.7:7");
}

NETWORK_TEST(dns, a_name_with_ipv6_only,
             "names: A name with IPv6 addresses only is dialed over IPv6")
{
    name_reaches("tcp", "only6.test:7", "[2001:db8:1::7]:7");
}

NETWORK_TEST(dns, a_name_that_does_not_exist,
             "names: A name that does not exist is RESOLVE, at once")
{
    name_fails("tcp", "absent.test:7", EAI_NONAME);
}

NETWORK_TEST(dns, a_name_without_an_address,
             "names: A name that exists and has no address is RESOLVE")
{
    name_fails("tcp", "nothing.test:7", EAI_NODATA);
}

NETWORK_TEST(dns, a_name_without_an_address_of_the_networks_family,
             "names: A name without an address of the network's family is RESOLVE")
{
    name_fails("tcp6", "only4.test:7", EAI_ADDRFAMILY);
}

/* dnsmasq refuses what it knows nobody for. */
NETWORK_TEST(dns, a_name_that_the_server_refuses_to_answer,
             "names: A name that the server refuses to answer is RESOLVE")
{
    name_fails("tcp", "refused.example:7", EAI_AGAIN);
}

/* More than fits a datagram: the resolver asks again over TCP. */
NETWORK_TEST(dns, a_name_with_forty_addresses, "names: A name with forty addresses can be dialed")
{
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, "many.test:7", 5000);
    CHECK(o.status >= 0);
    CHECK_HAS(o.remote, "198.18.1.1");
    CHECK_BETWEEN(o.took, NEAR_MS - 1, within(QUICK_MS));
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* The server knows another address for it. */
NETWORK_TEST(dns, hosts_comes_before_dns, "names: The hosts file comes before the name server")
{
    name_reaches("tcp4", "in-hosts.test:7", "198.18.1.7:7");
    CHECK_EQ(questions("A", "in-hosts.test"), 0);
}

NETWORK_TEST(silent, hosts_works_while_dns_is_silent,
             "names: The hosts file serves while the name server is silent")
{
    name_reaches("tcp", "in-hosts.test:7", "[2001:db8:1::7]:7");
}

/* host.a.test has IPv6 only and host.b.test IPv4 only: two hosts, of which the first was meant. */
NETWORK_TEST(search, a_search_list_ends_at_the_first_host,
             "names: A search list ends at the first host")
{
    name_reaches("tcp", "host:7", "[2001:db8:1::7]:7");
    name_fails("tcp4", "host:7", EAI_ADDRFAMILY);
    CHECK_EQ(questions("AAAA", "host.a.test"), 2);
    CHECK_EQ(questions("A", "host.b.test"), 0);
}

/* ---- answers that change ---- */

/* Whether a plain look-up answers `ip` alone. */
static int resolves_to(const char *name, const char *ip)
{
    struct addrinfo hints;
    struct addrinfo *list = NULL;
    struct in_addr wanted;
    int is_it;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    CHECK_EQ(getaddrinfo(name, NULL, &hints, &list), 0);
    CHECK_EQ(inet_pton(AF_INET, ip, &wanted), 1);
    is_it = list->ai_next == NULL &&
            ((struct sockaddr_in *)list->ai_addr)->sin_addr.s_addr == wanted.s_addr;
    freeaddrinfo(list);
    return is_it;
}

static void moves_to(const char *name, const char *ip)
{
    const char *room = getenv("NETWORK_ROOM");
    command("echo %s %s >%s/moving && kill -HUP $(cat %s/dns.pid)", ip, name, room, room);
    EVENTUALLY(resolves_to(name, ip), 5000);
}

static vcp_pool *pool_with_dns_cache(int64_t ms)
{
    vcp_pool_options options = pool_options();
    options.dns_cache_ms = ms;
    return pool_new(&options);
}

static void redial(vcp_pool *pool, const char *remote)
{
    outcome o = dial(pool, "moving.test:7", 5000);
    CHECK_REACHED(o, remote, 0, QUICK_MS);
    give_back(o.conn);
}

NETWORK_TEST(dns, a_changed_answer_is_followed,
             "names: A changed answer of the name server is followed by the next dial")
{
    vcp_pool *pool = pool_new(NULL);
    moves_to("moving.test", "198.18.1.7");
    redial(pool, "198.18.1.7:7");
    moves_to("moving.test", "198.18.1.8");
    redial(pool, "198.18.1.8:7");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, a_changed_answer_is_not_followed_while_the_cache_serves,
             "names: dns_cache_ms: a changed answer is not followed while the cache serves")
{
    vcp_pool *pool = pool_with_dns_cache(60000);
    moves_to("moving.test", "198.18.1.7");
    redial(pool, "198.18.1.7:7");
    moves_to("moving.test", "198.18.1.8");
    redial(pool, "198.18.1.7:7");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, a_changed_answer_is_followed_once_the_cache_has_expired,
             "names: dns_cache_ms: a changed answer is followed once the cache has expired")
{
    vcp_pool *pool = pool_with_dns_cache(500);
    moves_to("moving.test", "198.18.1.7");
    redial(pool, "198.18.1.7:7");
    moves_to("moving.test", "198.18.1.8");
    let_pass(501); /* The age of an answer is what is tested. */
    redial(pool, "198.18.1.8:7");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* ---- a resolver that does not answer ---- */

NETWORK_TEST(silent, a_silent_server_times_out_at_the_deadline,
             "names: A silent server times out at the deadline")
{
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, "both.test:7", 500);
    CHECK_TIMED_OUT(o, VCP_PHASE_RESOLVING, 500);
    CHECK_HAS(o.message, "both.test:7");
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* The resolver itself gives up after 1 s (see `run`). */
NETWORK_TEST(silent, a_silent_server_is_a_failure_when_the_resolver_gives_up,
             "names: A silent server is a failure when the resolver gives up")
{
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, "both.test:7", 5000);
    CHECK_FAILURE(o, VCP_ERR_RESOLVE, EAI_AGAIN, 5000 - 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(silent_first, a_silent_server_is_passed_over_for_the_second_one,
             "names: A silent server is passed over for the second one")
{
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, "only4.test:7", 5000);
    CHECK_REACHED(o, "198.18.1.7:7", 1000, 5000 - 1);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(nobody, no_server_at_all_is_a_failure_at_once,
             "names: No server at all is a failure at once")
{
    name_fails("tcp", "both.test:7", EAI_AGAIN);
}

NETWORK_TEST(far_dns, a_slow_server_costs_its_round_trip,
             "names: A slow name server costs its round trip once, and no more")
{
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, "only4.test:7", 5000);
    CHECK_REACHED(o, "198.18.1.7:7", FAR_DNS_MS + NEAR_MS, FAR_DNS_MS + NEAR_MS + SOON_MS);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* ---- many callers ---- */

static uint64_t dials_begun(vcp_pool *pool)
{
    vcp_stats stats = stats_of(pool);
    return stats.dials + stats.dialing;
}

typedef struct caller {
    pthread_t thread;
    vcp_pool *pool;
    char address[64];
    int64_t timeout_ms;
    outcome came;
} caller;

static void *calls(void *argument)
{
    caller *one = (caller *)argument;
    vcp_dial_options options = dial_options(VCP_DIAL_FRESH);
    options.timeout_ms = one->timeout_ms;
    one->came = dial_unmeasured(one->pool, "tcp", one->address, &options);
    if (one->came.conn != NULL) {
        give_back(one->came.conn);
    }
    return NULL;
}

/* `names` is a format with one number in it. When this returns, all of them have begun to dial. */
static void crowd_starts(caller *crowd, int count, vcp_pool *pool, const char *names,
                         int64_t timeout_ms)
{
    uint64_t before = dials_begun(pool);
    int i;
    for (i = 0; i < count; i++) {
        crowd[i].pool = pool;
        snprintf(crowd[i].address, sizeof crowd[i].address, names, i + 1);
        crowd[i].timeout_ms = timeout_ms;
        CHECK_EQ(pthread_create(&crowd[i].thread, NULL, calls, &crowd[i]), 0);
    }
    EVENTUALLY(dials_begun(pool) - before >= (uint64_t)count, LATENESS_MS);
}

/* Waits for all; the longest that one took. */
static int64_t crowd_ends(caller *crowd, int count)
{
    int64_t longest = 0;
    int i;
    for (i = 0; i < count; i++) {
        CHECK_EQ(pthread_join(crowd[i].thread, NULL), 0);
        longest = crowd[i].came.took > longest ? crowd[i].came.took : longest;
    }
    return longest;
}

NETWORK_TEST(dns, while_one_name_hangs_forty_others_are_dialed,
             "names: While one name hangs forty others are dialed")
{
    static caller hanging[1];
    static caller healthy[40];
    vcp_pool *pool = pool_new(NULL);
    int64_t longest;
    int i;
    crowd_starts(hanging, 1, pool, "one-%d.hanging.test:7", 800);
    crowd_starts(healthy, 40, pool, "healthy-%d.test:7", 5000);
    longest = crowd_ends(healthy, 40);
    measured("slowest of the healthy", longest);
    for (i = 0; i < 40; i++) {
        CHECK_REACHED(healthy[i].came, "198.18.1.7:7", 0, NEAR_MS + LATENESS_MS);
    }
    crowd_ends(hanging, 1);
    CHECK_TIMED_OUT(hanging[0].came, VCP_PHASE_RESOLVING, 800);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/*
 * 64 names hang, all with 200 ms; meanwhile one that does not is dialed, which took the given
 * name's share of the crowd.
 */
static void sixty_four_hang(const char *names, vcp_pool *pool, const char *healthy, int64_t most)
{
    static caller hanging[CROWD];
    outcome o;
    int64_t longest;
    int i;
    crowd_starts(hanging, CROWD, pool, names, 200);
    o = dial(pool, healthy, 5000);
    longest = crowd_ends(hanging, CROWD);
    measured("slowest of the hanging", longest);
    CHECK_REACHED(o, "198.18.1.7:7", 0, most);
    give_back(o.conn);
    for (i = 0; i < CROWD; i++) {
        CHECK_EQ(hanging[i].came.status, VCP_ERR_TIMEOUT);
        CHECK_EQ(hanging[i].came.phase, VCP_PHASE_RESOLVING);
    }
    CHECK_BETWEEN(longest, 200 - 1, within(300));
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, sixty_four_hanging_names_keep_their_deadlines_and_a_new_name_resolves,
             "names: Sixty four hanging names keep their deadlines and a new name resolves")
{
    sixty_four_hang("a-%d.hanging.test:7", pool_new(NULL), "healthy.test:7", 300);
}

NETWORK_TEST(dns, sixty_four_hanging_names_do_not_hold_up_one_that_answered_before,
             "names: Sixty four hanging names do not hold up one that answered before")
{
    vcp_pool *pool = pool_new(NULL);
    outcome before = dial(pool, "healthy.test:7", 5000);
    CHECK_REACHED(before, "198.18.1.7:7", 0, QUICK_MS);
    vcp_conn_discard(before.conn);
    give_back(before.conn);
    sixty_four_hang("b-%d.hanging.test:7", pool, "healthy.test:7", QUICK_MS);
}

/*
 * As above, but nobody gives up: the callers and the resolver would wait for 3 s, a whole second
 * longer than the new name may take.
 */
NETWORK_TEST(patient_dns, sixty_four_hanging_names_that_nobody_gives_up_leave_room_for_a_new_one,
             "names: Sixty four hanging names that nobody gives up leave room for a new one")
{
    static caller hanging[CROWD];
    vcp_pool *pool = pool_new(NULL);
    outcome o;
    crowd_starts(hanging, CROWD, pool, "c-%d.hanging.test:7", 3000);
    o = dial(pool, "healthy.test:7", 2000);
    crowd_ends(hanging, CROWD);
    CHECK_REACHED(o, "198.18.1.7:7", NEAR_MS, 2000 - 1);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* All ask while the first answer is on its way. */
NETWORK_TEST(far_dns, sixty_four_callers_of_one_name_ask_once,
             "names: Sixty four callers of one name ask once")
{
    static caller crowd[CROWD];
    vcp_pool *pool = pool_new(NULL);
    int i;
    crowd_starts(crowd, CROWD, pool, "shared.test:7", 5000);
    measured("slowest", crowd_ends(crowd, CROWD));
    for (i = 0; i < CROWD; i++) {
        CHECK_REACHED(crowd[i].came, "198.18.1.7:7", NEAR_MS, FAR_DNS_MS + NEAR_MS + LATENESS_MS);
    }
    CHECK_EQ(questions("A", "shared.test"), 1);
    CHECK_EQ(questions("AAAA", "shared.test"), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* dns_cache_ms is 0: what was shared was the look-up, not its answer. */
NETWORK_TEST(dns, the_next_caller_of_a_name_asks_again,
             "names: The next caller of a name asks again")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn_close(dial(pool, "asked-twice.test:7", 5000).conn);
    vcp_conn_close(dial(pool, "asked-twice.test:7", 5000).conn);
    CHECK_EQ(questions("A", "asked-twice.test"), 2);
    CHECK_EQ(questions("AAAA", "asked-twice.test"), 2);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}
