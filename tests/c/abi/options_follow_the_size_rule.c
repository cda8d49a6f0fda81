/* Option structs, their sizes and what in them is refused. Contract sections 2, 4 and 5. */
#include "check.h"

TEST(init_fills_every_default_of_a_pool, "options: vcp_pool_options_init fills every default")
{
    vcp_pool_options o;
    memset(&o, 0x77, sizeof o);
    CHECK_EQ(vcp_pool_options_init(&o, sizeof o), VCP_OK);
    CHECK_EQ(o.size, sizeof o);
    CHECK_EQ(o.max_idle_per_address, 8);
    CHECK_EQ(o.max_idle, 0);
    CHECK_EQ(o.max_conns, 0);
    CHECK_EQ(o.max_conns_per_address, 0);
    CHECK_EQ(o.max_dials_per_address, 0);
    CHECK_EQ(o.max_waiters, 0);
    CHECK_EQ(o.wait_timeout_ms, 0);
    CHECK_EQ(o.idle_timeout_ms, 90000);
    CHECK_EQ(o.max_lifetime_ms, 0);
    CHECK_EQ(o.lifetime_jitter_percent, 10);
    CHECK_EQ(o.max_uses, 0);
    CHECK_EQ(o.min_idle_per_address, 0);
    CHECK_EQ(o.liveness, VCP_LIVENESS_STRICT);
    CHECK_EQ(o.reuse_order, VCP_REUSE_LIFO);
    CHECK_EQ(o.verify_release, 0);
    CHECK_EQ(o.dial_timeout_ms, 30000);
    CHECK_EQ(o.fallback_delay_ms, 250);
    CHECK_EQ(o.keepalive_idle_ms, 15000);
    CHECK_EQ(o.keepalive_interval_ms, 15000);
    CHECK_EQ(o.keepalive_count, 9);
    CHECK_EQ(o.user_timeout_ms, 0);
    CHECK(o.local_address == NULL);
    CHECK_EQ(o.no_delay, 1);
    CHECK_EQ(o.nonblocking, 0);
    CHECK_EQ(o.dns_cache_ms, 0);
    CHECK_EQ(o.fail_fast_ms, 0);
    CHECK_EQ(o.leak_threshold_ms, 0);
    CHECK(o.name == NULL && o.user == NULL);
    CHECK(!o.rewrite && !o.resolve && !o.dial && !o.control);
    CHECK(!o.on_open && !o.on_reuse && !o.on_release && !o.on_event && !o.free_user);
    CHECK(!o.open_session && !o.on_idle);
    CHECK_EQ(o.on_reuse_after_ms, 0);
    CHECK_EQ(o.on_release_in_background, 0);
    CHECK_EQ(o.on_idle_ms, 0);
    CHECK_EQ(o.hook_timeout_ms, 5000);
}

TEST(init_fills_every_default_of_a_dial, "options: vcp_dial_options_init fills every default")
{
    vcp_dial_options o;
    memset(&o, 0x77, sizeof o);
    CHECK_EQ(vcp_dial_options_init(&o, sizeof o), VCP_OK);
    CHECK_EQ(o.size, sizeof o);
    CHECK_EQ(o.timeout_ms, INT64_MIN);
    CHECK_EQ(o.wait_timeout_ms, INT64_MIN);
    CHECK(o.cancel == NULL && o.reuse_tag == NULL && o.label == NULL);
    CHECK_EQ(o.flags, 0);
    CHECK_EQ(o.deadline_at_ms, INT64_MAX);
}

TEST(init_fills_every_default_of_a_session, "options: vcp_session_init fills every default")
{
    vcp_session s;
    memset(&s, 0x77, sizeof s);
    CHECK_EQ(vcp_session_init(&s, sizeof s), VCP_OK);
    CHECK_EQ(s.size, sizeof s);
    CHECK(s.data == NULL && !s.free_data && !s.fd);
    CHECK_EQ(s.liveness, -1);
}

TEST(init_of_a_short_struct_writes_nothing,
     "options: _init with a size below 0.1's is INVALID_ARGUMENT and writes nothing")
{
    union {
        vcp_pool_options pool;
        vcp_dial_options dial;
        vcp_session session;
        unsigned char bytes[sizeof(vcp_pool_options)];
    } u;
    size_t sizes[] = {0, 1, 7, 8, 16};
    size_t i;
    size_t k;
    memset(&u, 0x5a, sizeof u);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        CHECK_EQ(vcp_pool_options_init(&u.pool, sizes[i]), VCP_ERR_INVALID_ARGUMENT);
        CHECK_EQ(vcp_dial_options_init(&u.dial, sizes[i]), VCP_ERR_INVALID_ARGUMENT);
        CHECK_EQ(vcp_session_init(&u.session, sizes[i]), VCP_ERR_INVALID_ARGUMENT);
    }
    CHECK_EQ(vcp_session_init(&u.session, sizeof u.session - 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_session_init(NULL, sizeof u.session), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_options_init(NULL, sizeof u.pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_dial_options_init(NULL, sizeof u.dial), VCP_ERR_INVALID_ARGUMENT);
    for (k = 0; k < sizeof u; k++) {
        CHECK_EQ(u.bytes[k], 0x5a);
    }
}

TEST(a_struct_without_init_is_refused, "options: A struct of size 0 (no _init) is INVALID_ARGUMENT")
{
    server s = tcp_server();
    vcp_pool_options options;
    vcp_dial_options dial;
    vcp_pool *pool = NULL;
    vcp_conn *conn;
    memset(&options, 0, sizeof options);
    memset(&dial, 0, sizeof dial);
    CHECK_EQ(vcp_pool_new(&options, &pool), VCP_ERR_INVALID_ARGUMENT);
    pool = pool_new(NULL);
    CHECK_EQ(vcp_dial_with(pool, s.network, s.address, &dial, &conn), VCP_ERR_INVALID_ARGUMENT);
    dial = dial_options(0);
    dial.size = 8;
    CHECK_EQ(vcp_dial_with(pool, s.network, s.address, &dial, &conn), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* What a program compiled against a later version has: more fields at the end. */
typedef struct {
    vcp_pool_options known;
    int64_t later[4];
} later_pool_options;

typedef struct {
    vcp_dial_options known;
    int64_t later[4];
} later_dial_options;

typedef struct {
    vcp_session known;
    int64_t later[4];
} later_session;

typedef struct {
    vcp_stats known;
    uint64_t later[4];
} later_stats;

TEST(a_longer_pool_struct_is_taken_if_its_tail_is_zero,
     "options: A longer vcp_pool_options is taken only if its unknown tail is zero; _init zeroes "
     "it")
{
    later_pool_options options;
    vcp_pool *pool = NULL;
    memset(&options, 0x77, sizeof options);
    CHECK_EQ(vcp_pool_options_init(&options.known, sizeof options), VCP_OK);
    CHECK_EQ(options.known.size, sizeof options);
    CHECK_EQ(options.later[0], 0);
    CHECK_EQ(options.later[3], 0);
    CHECK_EQ(vcp_pool_new(&options.known, &pool), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    options.later[3] = 1;
    CHECK_EQ(vcp_pool_new(&options.known, &pool), VCP_ERR_INVALID_ARGUMENT);
    memset(&options.later, 0, sizeof options.later);
    ((unsigned char *)&options)[sizeof options - 1] = 1;
    CHECK_EQ(vcp_pool_new(&options.known, &pool), VCP_ERR_INVALID_ARGUMENT);
}

TEST(a_longer_dial_struct_is_taken_if_its_tail_is_zero,
     "options: A longer vcp_dial_options is taken only if its unknown tail is zero")
{
    fixture f = fixture_new(NULL);
    later_dial_options options;
    vcp_conn *conn;
    CHECK_EQ(vcp_dial_options_init(&options.known, sizeof options), VCP_OK);
    CHECK_EQ(options.later[0], 0);
    CHECK(vcp_dial_with(f.pool, f.s.network, f.s.address, &options.known, &conn) >= 0);
    give_back(conn);
    options.later[0] = 1;
    CHECK_EQ(vcp_dial_with(f.pool, f.s.network, f.s.address, &options.known, &conn),
             VCP_ERR_INVALID_ARGUMENT);
    FIXTURE_END(&f);
}

TEST(a_longer_session_is_taken_if_its_tail_is_zero,
     "options: A longer vcp_session is taken only if its unknown tail is zero; _init zeroes it")
{
    vcp_pool *pool = pool_new(NULL);
    later_session s;
    int data = 0;
    memset(&s, 0x77, sizeof s);
    CHECK_EQ(vcp_session_init(&s.known, sizeof s), VCP_OK);
    CHECK_EQ(s.known.size, sizeof s);
    CHECK_EQ(s.later[0], 0);
    CHECK_EQ(s.later[3], 0);
    s.known.data = &data;
    CHECK_EQ(vcp_pool_put_session(pool, &s.known, "tcp", "a:1", NULL), VCP_OK);
    s.later[2] = 1;
    CHECK_EQ(vcp_pool_put_session(pool, &s.known, "tcp", "a:1", NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(of_stats_what_fits_is_written,
     "options: vcp_stats: what fits is written, size is the caller's, an unknown tail is zeroed")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    later_stats longer;
    vcp_stats shorter;
    size_t until_puts = offsetof(vcp_stats, puts);
    memset(&longer, 0x77, sizeof longer);
    CHECK_EQ(vcp_pool_stats(f.pool, &longer.known, sizeof longer), VCP_OK);
    CHECK_EQ(longer.known.size, sizeof longer);
    CHECK_EQ(longer.known.dials, 1);
    CHECK_EQ(longer.known.borrowed, 1);
    CHECK_EQ(longer.later[0], 0);
    CHECK_EQ(longer.later[3], 0);
    memset(&shorter, 0x77, sizeof shorter);
    CHECK_EQ(vcp_pool_stats(f.pool, &shorter, until_puts), VCP_OK);
    CHECK_EQ(shorter.size, until_puts);
    CHECK_EQ(shorter.dials, 1);
    CHECK_EQ(shorter.dial_failures, 0);
    CHECK_EQ(shorter.puts, 0x7777777777777777LL);
    CHECK_EQ(shorter.waiting, 0x7777777777777777LL);
    CHECK_EQ(vcp_pool_stats(f.pool, NULL, sizeof shorter), VCP_ERR_INVALID_ARGUMENT);
    give_back(conn);
    FIXTURE_END(&f);
}

/* Version 0.1 had no fields behind these. */
#define POOL_OPTIONS_0_1 offsetof(vcp_pool_options, open_session)
#define DIAL_OPTIONS_0_1 offsetof(vcp_dial_options, deadline_at_ms)

TEST(a_struct_of_version_0_1_gets_defaults_for_the_rest,
     "options: a struct as long as 0.1's gets defaults for the rest, whatever stands behind it; a "
     "byte less is INVALID_ARGUMENT")
{
    server s = tcp_server();
    vcp_pool_options options;
    vcp_dial_options dial;
    vcp_pool *pool = NULL;
    vcp_conn *conn = NULL;
    memset(&options, 0x77, sizeof options);
    memset(&dial, 0x77, sizeof dial);
    CHECK_EQ(vcp_pool_options_init(&options, POOL_OPTIONS_0_1), VCP_OK);
    CHECK_EQ(vcp_dial_options_init(&dial, DIAL_OPTIONS_0_1), VCP_OK);
    CHECK_EQ(options.size, POOL_OPTIONS_0_1);
    CHECK_EQ(dial.size, DIAL_OPTIONS_0_1);
    CHECK_EQ(options.hook_timeout_ms, 0x7777777777777777LL);
    CHECK_EQ(dial.deadline_at_ms, 0x7777777777777777LL);
    CHECK_EQ(vcp_pool_new(&options, &pool), VCP_OK);
    dial.deadline_at_ms = 0;
    CHECK(vcp_dial_with(pool, s.network, s.address, &dial, &conn) >= 0);
    give_back(conn);
    dial.size = DIAL_OPTIONS_0_1 - 1;
    CHECK_EQ(vcp_dial_with(pool, s.network, s.address, &dial, &conn), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    options.size = POOL_OPTIONS_0_1 - 1;
    CHECK_EQ(vcp_pool_new(&options, &pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_options_init(&options, POOL_OPTIONS_0_1 - 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_dial_options_init(&dial, DIAL_OPTIONS_0_1 - 1), VCP_ERR_INVALID_ARGUMENT);
    server_close(&s);
}

#define REFUSED(change)                                                 \
    do {                                                                \
        vcp_pool_options o = pool_options();                            \
        vcp_pool *refused = NULL;                                       \
        change;                                                         \
        CHECK_EQ(vcp_pool_new(&o, &refused), VCP_ERR_INVALID_ARGUMENT); \
        CHECK(refused == NULL);                                         \
        CHECK(vcp_last_error()[0] != '\0');                             \
    } while (0)

TEST(unknown_enum_numbers_are_refused, "options: Unknown enum numbers are refused")
{
    REFUSED(o.liveness = 3);
    REFUSED(o.liveness = -1);
    REFUSED(o.liveness = INT32_MIN);
    REFUSED(o.reuse_order = 2);
    REFUSED(o.reuse_order = -1);
    REFUSED(o.reuse_order = INT32_MAX);
}

static int opens_nothing(void *user, const vcp_session_request *request, vcp_session *session)
{
    (void)user;
    (void)request;
    (void)session;
    return -1;
}

TEST(fields_of_sessions_and_upkeep_are_judged,
     "options: fields of sessions and their upkeep that are no such thing are refused, and the "
     "message names the field")
{
    REFUSED(o.on_reuse_after_ms = -2);
    CHECK_HAS(vcp_last_error(), "on_reuse_after_ms");
    REFUSED(o.on_release_in_background = 2);
    CHECK_HAS(vcp_last_error(), "on_release_in_background");
    REFUSED(o.on_idle_ms = -2);
    CHECK_HAS(vcp_last_error(), "on_idle_ms");
    REFUSED(o.hook_timeout_ms = 0);
    CHECK_HAS(vcp_last_error(), "hook_timeout_ms");
    REFUSED(o.open_session = opens_nothing; o.nonblocking = 1);
    CHECK_HAS(vcp_last_error(), "nonblocking");
}

TEST(a_jitter_above_100_is_refused, "options: A jitter above 100 is refused")
{
    vcp_pool_options options = pool_options();
    REFUSED(o.lifetime_jitter_percent = 101);
    REFUSED(o.lifetime_jitter_percent = UINT32_MAX);
    options.lifetime_jitter_percent = 100;
    CHECK_EQ(vcp_pool_close(pool_new(&options)), VCP_OK);
    options.lifetime_jitter_percent = 0;
    CHECK_EQ(vcp_pool_close(pool_new(&options)), VCP_OK);
}

TEST(a_local_address_that_is_none_is_refused,
     "options: local_address that is no ip, ip:port or path is INVALID_ARGUMENT")
{
    REFUSED(o.local_address = "localhost");
    REFUSED(o.local_address = "300.1.1.1");
    REFUSED(o.local_address = "127.0.0.1:99999");
    REFUSED(o.local_address = "");
}

TEST(a_pool_needs_somewhere_to_be_put, "options: A NULL out parameter is INVALID_ARGUMENT")
{
    CHECK_EQ(vcp_pool_new(NULL, NULL), VCP_ERR_INVALID_ARGUMENT);
}

TEST(null_options_mean_defaults, "options: Null options mean defaults")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    CHECK(vcp_dial_with(f.pool, f.s.network, f.s.address, NULL, &conn) >= 0);
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 1);
    CHECK(vcp_dial_with(f.pool, f.s.network, f.s.address, NULL, &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(flags_that_are_unknown_or_at_odds_are_refused,
     "options: Unknown flags, FRESH with REUSE_ONLY, BLOCKING with NONBLOCKING, QUEUED in "
     "vcp_dial_with: INVALID_ARGUMENT")
{
    static const uint32_t refused[] = {
        32u,
        1u << 31,
        UINT32_MAX,
        VCP_DIAL_FRESH | VCP_DIAL_REUSE_ONLY,
        VCP_DIAL_BLOCKING | VCP_DIAL_NONBLOCKING,
        VCP_DIAL_QUEUED,
    };
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    size_t i;
    for (i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        CHECK_EQ(dial_flags(f.pool, &f.s, refused[i], &conn), VCP_ERR_INVALID_ARGUMENT);
    }
    CHECK(server_is_quiet(&f.s));
    CHECK_EQ(vcp_pool_conn_count(f.pool), 0);
    FIXTURE_END(&f);
}

TEST(text_is_copied_before_the_call_returns,
     "options: All text passed in is copied before the call returns")
{
    server s = tcp_server();
    char local[32] = "127.0.0.1";
    char network[16];
    char address[160];
    char tag[16] = "blue";
    char text[64];
    vcp_pool_options options = pool_options();
    vcp_dial_options dial = dial_options(0);
    vcp_pool *pool;
    vcp_conn *conn;
    options.local_address = local;
    pool = pool_new(&options);
    memset(local, 'x', sizeof local - 1);
    snprintf(network, sizeof network, "%s", s.network);
    snprintf(address, sizeof address, "%s", s.address);
    dial.reuse_tag = tag;
    CHECK(vcp_dial_with(pool, network, address, &dial, &conn) >= 0);
    memset(network, 'x', sizeof network - 1);
    memset(address, 'x', sizeof address - 1);
    memset(tag, 'x', sizeof tag - 1);
    CHECK_EQ(vcp_conn_reuse_tag(conn, text, sizeof text), 4);
    CHECK_STR(text, "blue");
    CHECK(vcp_conn_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, s.address);
    give_back(conn);
    CHECK_EQ(vcp_pool_get(pool, s.network, s.address, "red"), VCP_ERR_NOT_AVAILABLE);
    CHECK_EQ(idle_at(pool, &s), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(text_comes_out_as_from_snprintf,
     "options: Text out parameters work as snprintf: terminated, the full length returned, NULL "
     "with size 0")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    char text[64];
    int64_t length = (int64_t)strlen(f.s.address);
    memset(text, 'z', sizeof text);
    CHECK_EQ(vcp_conn_address(conn, NULL, 0), length);
    CHECK_EQ(vcp_conn_address(conn, text, 0), length);
    CHECK_EQ(text[0], 'z');
    CHECK_EQ(vcp_conn_address(conn, text, 1), length);
    CHECK_STR(text, "");
    CHECK_EQ(text[1], 'z');
    CHECK_EQ(vcp_conn_address(conn, text, 5), length);
    CHECK_STR(text, "127.");
    CHECK_EQ(text[5], 'z');
    CHECK_EQ(vcp_conn_address(conn, text, (size_t)length), length);
    CHECK_EQ(strlen(text), length - 1);
    CHECK_EQ(vcp_conn_address(conn, text, (size_t)length + 1), length);
    CHECK_STR(text, f.s.address);
    CHECK_EQ(vcp_conn_network(conn, text, sizeof text), 3);
    CHECK_STR(text, "tcp");
    CHECK_EQ(vcp_conn_address(conn, NULL, 5), VCP_ERR_INVALID_ARGUMENT);
    give_back(conn);
    FIXTURE_END(&f);
}
