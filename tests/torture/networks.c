/*
 * Dials over every network, by name and by address, in races and by callbacks.
 */
#include "torture_test.h"

/* Names of this program's own: "both.test" has two addresses, of which the first refuses. */
static int resolves(void *user, const char *network, const char *host, int64_t timeout_ms,
                    vcp_resolved *out)
{
    (void)user;
    (void)network;
    (void)timeout_ms;
    if (strcmp(host, "both.test") == 0 && vcp_resolved_add(out, "127.0.0.2") == VCP_ERR_NO_MEMORY) {
        return 1;
    }
    return vcp_resolved_add(out, "127.0.0.1") == VCP_OK ? 0 : 1;
}

static int controls(void *user, const char *network, const char *address, int fd)
{
    (void)user;
    (void)network;
    (void)address;
    return fd >= 0 ? 0 : 1;
}

static server at_name(enum peer_kind kind, const char *host)
{
    server named = peers[kind];
    snprintf(named.address, sizeof named.address, "%s:%d", host, peers[kind].port);
    return named;
}

TEST(every_network_is_dialed,
     "torture: A dial of each network, and a hit of it, whatever fails below them")
{
    scene s = scene_new(NULL);
    int kind;
    for (kind = 0; s.pool != NULL && kind < PEERS; kind++) {
        uses(&s, &peers[kind]);
        uses(&s, &peers[kind]);
    }
    scene_end(&s);
}

TEST(a_raw_socket_is_dialed, "torture: A dial of ip4:icmp, whatever fails below it")
{
    server raw = peers[UDP4];
    scene s = scene_new(NULL);
    snprintf(raw.network, sizeof raw.network, "ip4:icmp");
    snprintf(raw.address, sizeof raw.address, "127.0.0.1");
    if (s.pool != NULL && geteuid() == 0) {
        gives_back(dials(&s, &raw, 0));
        gives_back(dials(&s, &raw, 0));
    }
    scene_end(&s);
}

TEST(names_are_resolved_by_a_callback,
     "torture: A dial of a name that the program resolves, whatever fails below it")
{
    vcp_pool_options options = scene_options();
    server one = at_name(TCP4, "one.test");
    server both = at_name(TCP4, "both.test");
    scene s;
    options.resolve = resolves;
    options.control = controls;
    options.dns_cache_ms = 1000;
    options.fallback_delay_ms = 0;
    s = scene_new(&options);
    s.may_fail_by = callback_errors;
    if (s.pool != NULL) {
        uses(&s, &one);
        gives_back(dials(&s, &one, VCP_DIAL_FRESH));
        uses(&s, &both);
    }
    scene_end(&s);
}

TEST(addresses_are_tried_one_after_another,
     "torture: A dial that tries one address after another from a bound socket, whatever fails "
     "below it")
{
    vcp_pool_options options = scene_options();
    server both = at_name(TCP4, "both.test");
    scene s;
    options.resolve = resolves;
    options.fallback_delay_ms = VCP_FOREVER;
    options.local_address = "127.0.0.1";
    options.user_timeout_ms = 10000;
    options.no_delay = 0;
    options.dial_timeout_ms = VCP_FOREVER;
    s = scene_new(&options);
    s.may_fail_by = callback_errors;
    if (s.pool != NULL) {
        uses(&s, &both);
        uses(&s, &both);
    }
    s.fills = &both;
    scene_end(&s);
}

TEST(names_are_resolved_by_the_system,
     "torture: A dial of a name that the system resolves, on the dialing thread and on another, "
     "whatever fails below it")
{
    server named = at_name(TCP4, "localhost");
    scene s = scene_new(NULL);
    if (s.pool != NULL) {
        vcp_dial_options options = dial_options(VCP_DIAL_FRESH);
        vcp_conn *conn = NULL;
        uses(&s, &named);
        options.timeout_ms = VCP_FOREVER;
        MAY(vcp_dial_with(s.pool, "tcp4", named.address, &options, &conn), DIAL_MS, dial_errors);
        gives_back(conn);
    }
    scene_end(&s);
}

static const int refusals[] = {VCP_ERR_INVALID_ADDRESS,
                               VCP_ERR_CONNECT,
                               VCP_ERR_RESOLVE,
                               VCP_ERR_TIMEOUT,
                               VCP_ERR_SYSTEM,
                               VCP_ERR_NO_MEMORY,
                               0};

TEST(services_and_zones_have_numbers,
     "torture: Services and zones are looked up, whatever fails below them")
{
    scene s = scene_new(NULL);
    if (s.pool != NULL) {
        vcp_conn *conn = NULL;
        char address[64];
        snprintf(address, sizeof address, "[::1%%lo]:%d", peers[TCP6].port);
        MAY(vcp_dial(s.pool, "tcp6", address, &conn), DIAL_MS, refusals);
        gives_back(conn);
        conn = NULL;
        COMES_TO(vcp_dial(s.pool, "tcp4", "127.0.0.1:https", &conn), DIAL_MS, VCP_ERR_CONNECT,
                 refusals);
        COMES_TO(vcp_dial(s.pool, "tcp4", "127.0.0.1:no-such-service", &conn), DIAL_MS,
                 VCP_ERR_INVALID_ADDRESS, refusals);
        CHECK(conn == NULL);
    }
    scene_end(&s);
}

static int dials_itself(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    struct sockaddr_un name;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)user;
    (void)network;
    (void)timeout_ms;
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    memcpy(name.sun_path + 1, address + 1, strlen(address + 1));
    CHECK(fd >= 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&name,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address))),
             0);
    return fd;
}

static int rewrites(void *user, const char *network, const char *address, char *out, size_t size)
{
    (void)user;
    (void)network;
    (void)address;
    return snprintf(out, size, "%s", peers[UNIX].address) < (int)size ? 0 : 1;
}

TEST(the_program_dials, "torture: A dial by the program's rewrite and dial, whatever fails below")
{
    vcp_pool_options options = scene_options();
    server named = peers[UNIX];
    scene s;
    options.dial = dials_itself;
    options.rewrite = rewrites;
    s = scene_new(&options);
    snprintf(named.address, sizeof named.address, "@elsewhere");
    if (s.pool != NULL) {
        vcp_conn *conn = NULL;
        if (MAY(vcp_dial(s.pool, "unix", named.address, &conn), DIAL_MS, callback_errors) >= 0) {
            disowns(owns(vcp_conn_raw_fd(conn)));
        }
        gives_back(conn);
        conn = NULL;
        MAY(vcp_dial(s.pool, "unix", named.address, &conn), DIAL_MS, callback_errors);
        gives_back(conn);
    }
    scene_end(&s);
}
