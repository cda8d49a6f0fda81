/* rewrite, resolve, dial and control: what each is told, what each may do, and how each refuses. */
#include "completions.h"
#include "dialing_threads.h"
#include "scripted_callbacks.h"

#include <arpa/inet.h>

typedef struct {
    int calls;
    char network[64];
    char text[2048];
    int64_t timeout_ms;
    pthread_t thread;
    int answer;
    const char *say;
    const char *rewrite_to;
    const char *addresses[4];
    vcp_resolved *kept;
    int dial_fd;
    int fd;
    int add_status;
    int nap_ms;
} seen;

static void note(seen *s, const char *network, const char *text)
{
    s->calls++;
    s->thread = pthread_self();
    snprintf(s->network, sizeof s->network, "%s", network);
    snprintf(s->text, sizeof s->text, "%s", text);
    if (s->say != NULL)
        CHECK_EQ(vcp_set_callback_error(s->say), VCP_OK);
}

static int on_rewrite(void *user, const char *network, const char *address, char *out, size_t size)
{
    seen *s = (seen *)user;
    note(s, network, address);
    snprintf(out, size, "%s", s->rewrite_to != NULL ? s->rewrite_to : address);
    return s->answer;
}

static int on_resolve(void *user, const char *network, const char *host, int64_t timeout_ms,
                      vcp_resolved *out)
{
    seen *s = (seen *)user;
    int answer;
    int i;
    note(s, network, host);
    s->timeout_ms = timeout_ms;
    s->kept = out;
    let_pass(s->nap_ms);
    for (i = 0; i < 4 && s->addresses[i] != NULL; i++)
        CHECK_EQ(vcp_resolved_add(out, s->addresses[i]), VCP_OK);
    answer = s->answer;
    __atomic_store_n(&s->add_status, vcp_resolved_add(out, "not-an-ip"), __ATOMIC_SEQ_CST);
    return answer;
}

static int on_dial(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    seen *s = (seen *)user;
    note(s, network, address);
    s->timeout_ms = timeout_ms;
    return s->answer < 0 ? s->answer : s->dial_fd;
}

static int on_control(void *user, const char *network, const char *address, int fd)
{
    seen *s = (seen *)user;
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    note(s, network, address);
    s->fd = fd;
    CHECK_EQ(getpeername(fd, (struct sockaddr *)&name, &length), -1);
    return s->answer;
}

static seen nothing_seen(void)
{
    seen s;
    memset(&s, 0, sizeof s);
    return s;
}

static void name_at(char *out, size_t size, const char *host, const server *s)
{
    snprintf(out, size, "%s%s", host, strrchr(s->address, ':'));
}

TEST(rewrite_says_where_to_dial_and_the_destination_keeps_its_name,
     "callbacks: rewrite says where a fresh dial goes; the destination keeps its name")
{
    server s = tcp_server();
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    char text[128];
    vcp_pool *pool;
    o.rewrite = on_rewrite;
    o.user = &heard;
    heard.rewrite_to = s.address;
    pool = pool_new(&o);
    CHECK(vcp_dial(pool, "tcp", "db.example:5432", &conn) >= 0);
    CHECK_STR(heard.network, "tcp");
    CHECK_STR(heard.text, "db.example:5432");
    vcp_conn_address(conn, text, sizeof text);
    CHECK_STR(text, "db.example:5432");
    vcp_conn_remote_address(conn, text, sizeof text);
    CHECK_STR(text, s.address);
    give_back(conn);
    CHECK_EQ(vcp_pool_idle_count(pool, "tcp", "db.example:5432"), 1);
    CHECK(vcp_dial(pool, "tcp", "db.example:5432", &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(heard.calls, 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(rewrite_to_a_bad_address_is_an_error,
     "callbacks: A rewrite to a bad address is an error that names the callback")
{
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    vcp_pool *pool;
    o.rewrite = on_rewrite;
    o.user = &heard;
    heard.rewrite_to = "no-port";
    pool = pool_new(&o);
    CHECK_EQ(vcp_dial(pool, "tcp", "127.0.0.1:1", &conn), VCP_ERR_INVALID_ADDRESS);
    CHECK_HAS(vcp_last_error(), "rewrite");
    heard.rewrite_to = "no-utf-8-\xff:80";
    CHECK_EQ(vcp_dial(pool, "tcp", "127.0.0.1:1", &conn), VCP_ERR_INVALID_ADDRESS);
    CHECK_HAS(vcp_last_error(), "rewrite");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(resolve_replaces_the_systems_resolver, "callbacks: resolve replaces getaddrinfo")
{
    server s = tcp_server();
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    char name[128];
    vcp_pool *pool;
    o.resolve = on_resolve;
    o.user = &heard;
    heard.addresses[0] = "127.0.0.1";
    pool = pool_new(&o);
    name_at(name, sizeof name, "somewhere.invalid", &s);
    CHECK(vcp_dial(pool, "tcp", name, &conn) >= 0);
    CHECK_STR(heard.network, "tcp");
    CHECK_STR(heard.text, "somewhere.invalid");
    CHECK_BETWEEN(heard.timeout_ms, 25000, 30000);
    CHECK_EQ(heard.add_status, VCP_ERR_INVALID_ADDRESS);
    give_back(conn);
    CHECK(vcp_dial(pool, "tcp", name, &conn) >= 0);
    CHECK_EQ(heard.calls, 1);
    give_back(conn);
    CHECK_EQ(vcp_dial(pool, "tcp", s.address, &conn) >= 0, 1);
    CHECK_EQ(heard.calls, 1);
    give_back(conn);
    CHECK_EQ(vcp_resolved_add(heard.kept, "127.0.0.1"), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_resolved_add(NULL, "127.0.0.1"), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(resolve_without_a_deadline_runs_on_the_dialing_thread_with_minus_one,
     "callbacks: resolve without a deadline or token runs on the dialing thread, with timeout -1")
{
    server s = tcp_server();
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    char name[128];
    vcp_pool *pool;
    o.resolve = on_resolve;
    o.dial_timeout_ms = 0;
    o.user = &heard;
    heard.addresses[0] = "127.0.0.1";
    pool = pool_new(&o);
    name_at(name, sizeof name, "x", &s);
    CHECK(vcp_dial(pool, "tcp", name, &conn) >= 0);
    CHECK_EQ(heard.timeout_ms, -1);
    CHECK(pthread_equal(heard.thread, pthread_self()));
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* The dial cannot leave the callback: what it was given would be nobody's until that returns. */
TEST(a_dial_inside_its_resolve_takes_nothing_that_is_given_back,
     "callbacks: A dial that is inside resolve on its own thread takes nothing that is given back")
{
    server s = tcp_server();
    script how;
    vcp_pool_options o = pool_options();
    vcp_dial_options reuse = dial_options(VCP_DIAL_REUSE_ONLY);
    vcp_conn *conn = NULL;
    char address[128];
    vcp_pool *pool;
    dialer slow;
    script_init(&how);
    script_says(&how, "127.0.0.1");
    o.resolve = script_resolve;
    o.user = &how;
    pool = pool_new(&o);
    name_at(address, sizeof address, "db.test", &s);
    CHECK(vcp_dial(pool, "tcp", address, &conn) >= 0);
    script_holds(&how, &how.resolve_holds, 1);
    slow = dialer_of(pool, address);
    slow.timeout_ms = VCP_FOREVER;
    dialer_start(&slow);
    EVENTUALLY(script_number(&how, &how.resolving) == 1, 5000);
    give_back(conn);
    CHECK(vcp_dial_with(pool, "tcp", address, &reuse, &conn) >= 0);
    give_back(conn);
    script_holds(&how, &how.resolve_holds, 0);
    dialer_join(&slow);
    CHECK(slow.status >= 0);
    give_back(slow.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(resolve_that_finds_nothing_is_a_resolve_error,
     "callbacks: resolve that adds nothing is RESOLVE")
{
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    vcp_pool *pool;
    o.resolve = on_resolve;
    o.user = &heard;
    pool = pool_new(&o);
    CHECK_EQ(vcp_dial(pool, "tcp", "x:1", &conn), VCP_ERR_RESOLVE);
    heard.addresses[0] = "::1";
    CHECK_EQ(vcp_dial(pool, "tcp4", "x:1", &conn), VCP_ERR_RESOLVE);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_slow_resolve_does_not_outlive_the_deadline,
     "callbacks: A slow resolve callback ends with the deadline: TIMEOUT, resolving")
{
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn = NULL;
    vcp_pool *pool;
    int64_t start;
    o.resolve = on_resolve;
    o.user = &heard;
    heard.nap_ms = 600;
    d.timeout_ms = 100;
    pool = pool_new(&o);
    start = now_ms();
    CHECK_EQ(vcp_dial_with(pool, "tcp", "x:1", &d, &conn), VCP_ERR_TIMEOUT);
    CHECK_BETWEEN(now_ms() - start, 99, at_most(150));
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_RESOLVING);
    CHECK_HAS(vcp_last_error(), "resolving");
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    /* `heard` must outlive the callback. */
    EVENTUALLY(__atomic_load_n(&heard.add_status, __ATOMIC_SEQ_CST) != 0, 5000);
}

TEST(dial_hands_over_a_connected_descriptor,
     "callbacks: dial hands over a connected descriptor, which the pool owns")
{
    server s = tcp_server();
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    char text[128];
    vcp_pool *pool;
    int fds;
    o.dial = on_dial;
    o.user = &heard;
    pool = pool_new(&o);
    heard.dial_fd = client_of(&s);
    CHECK_EQ(vcp_dial(pool, "tcp", "anything:1", &conn), heard.dial_fd);
    CHECK_STR(heard.text, "anything:1");
    CHECK_BETWEEN(heard.timeout_ms, 25000, 30000);
    CHECK((fcntl(heard.dial_fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    vcp_conn_remote_address(conn, text, sizeof text);
    CHECK_STR(text, s.address);
    give_back(conn);
    CHECK_EQ(vcp_dial(pool, "tcp", "anything:1", &conn), heard.dial_fd);
    CHECK_EQ(heard.calls, 1);

    /* The same number again belongs to the pool already. */
    {
        vcp_conn *other = NULL;
        CHECK_EQ(vcp_dial(pool, "tcp", "other:1", &other), VCP_ERR_CALLBACK);
        CHECK(other == NULL);
        CHECK(is_open(heard.dial_fd));
    }
    give_back(conn);
    fds = open_fds();
    heard.dial_fd = open("/dev/null", O_RDONLY);
    CHECK_EQ(vcp_dial(pool, "tcp", "other:2", &conn), VCP_ERR_CALLBACK);
    CHECK_EQ(open_fds(), fds);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static int refused_fd(vcp_pool *pool, seen *heard, int fd, const char *why)
{
    vcp_conn *conn = NULL;
    heard->dial_fd = fd;
    CHECK(is_open(fd));
    CHECK_EQ(vcp_dial(pool, "tcp", "some.service:1", &conn), VCP_ERR_CALLBACK);
    CHECK_HAS(vcp_last_error(), why);
    return is_open(fd);
}

TEST(what_a_dial_callback_returns_is_closed_unless_a_pool_has_it,
     "callbacks: What a dial callback returns is the pool's: what is no connected socket is "
     "closed, what a pool has already is left alone")
{
    server s = tcp_server();
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_pool *other = pool_new(NULL);
    vcp_conn *conn = borrow(other, &s);
    vcp_pool *pool;
    int pipe_fds[2];
    o.dial = on_dial;
    o.user = &heard;
    pool = pool_new(&o);
    CHECK_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
    CHECK_EQ(refused_fd(pool, &heard, pipe_fds[0], "not a socket"), 0);
    CHECK_EQ(
        refused_fd(pool, &heard, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "not connected"),
        0);
    CHECK_EQ(refused_fd(pool, &heard, vcp_conn_raw_fd(conn), "has already"), 1);
    close(pipe_fds[1]);
    give_back(conn);
    CHECK_EQ(idle_in(other), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_pool_close(other), VCP_OK);
    server_close(&s);
}

TEST(control_sees_the_socket_before_it_connects,
     "callbacks: control sees the socket after socket(), before bind and connect, as tcp4 or tcp6")
{
    server s = tcp_server();
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    vcp_pool *pool;
    int fd;
    o.control = on_control;
    o.user = &heard;
    pool = pool_new(&o);
    fd = vcp_dial(pool, "tcp", s.address, &conn);
    CHECK(fd >= 0);
    CHECK_STR(heard.network, "tcp4");
    CHECK_STR(heard.text, s.address);
    CHECK_EQ(heard.fd, fd);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static void check_refusal(vcp_pool_options o, seen *heard, const char *name, int number)
{
    server s = tcp_server();
    vcp_conn *conn = (vcp_conn *)&s;
    char expected[64];
    vcp_pool *pool;
    int fds;
    o.user = heard;
    heard->answer = number;
    heard->say = "because of the moon";
    heard->dial_fd = -1;
    pool = pool_new(&o);
    fds = open_fds();
    CHECK_EQ(vcp_dial(pool, "tcp", o.resolve != NULL ? "some.name:80" : s.address, &conn),
             VCP_ERR_CALLBACK);
    CHECK(conn == NULL);
    CHECK_EQ(vcp_last_errno(), number);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
    snprintf(expected, sizeof expected, "%d", number);
    CHECK_HAS(vcp_last_error(), name);
    CHECK_HAS(vcp_last_error(), expected);
    CHECK_HAS(vcp_last_error(), "because of the moon");
    CHECK_EQ(open_fds(), fds);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(each_callbacks_refusal_is_told_with_its_number_and_leaves_nothing_open,
     "callbacks: Each callback's refusal is CALLBACK with its number in the message and leaves no "
     "descriptor open")
{
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    o.rewrite = on_rewrite;
    check_refusal(o, &heard, "rewrite", 41);
    o = pool_options();
    o.resolve = on_resolve;
    check_refusal(o, &heard, "resolve", -42);
    o = pool_options();
    o.dial = on_dial;
    check_refusal(o, &heard, "dial", -43);
    o = pool_options();
    o.control = on_control;
    check_refusal(o, &heard, "control", 44);
}

TEST(a_callbacks_text_is_refused_outside_of_one,
     "callbacks: vcp_set_callback_error outside of a callback, or with NULL, is INVALID_ARGUMENT")
{
    CHECK_EQ(vcp_set_callback_error("x"), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_set_callback_error(NULL), VCP_ERR_INVALID_ARGUMENT);
}

TEST(an_answer_serves_for_dns_cache_ms, "callbacks: dns_cache_ms: for so long an answer serves")
{
    server s = tcp_server();
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    char name[128];
    vcp_pool *pool;
    int i;
    o.resolve = on_resolve;
    o.dns_cache_ms = 300;
    o.max_idle_per_address = 0;
    o.user = &heard;
    heard.addresses[0] = "127.0.0.1";
    pool = pool_new(&o);
    name_at(name, sizeof name, "x", &s);
    for (i = 0; i < 3; i++) {
        CHECK(vcp_dial(pool, "tcp", name, &conn) >= 0);
        give_back(conn);
    }
    CHECK_EQ(heard.calls, 1);
    let_pass(350);
    CHECK(vcp_dial(pool, "tcp", name, &conn) >= 0);
    give_back(conn);
    CHECK_EQ(heard.calls, 2);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(an_answer_that_comes_too_late_serves_the_next_dial,
     "callbacks: A late answer of the resolver is cached")
{
    server s = tcp_server();
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn = NULL;
    char name[128];
    vcp_pool *pool;
    o.resolve = on_resolve;
    o.dns_cache_ms = 60000;
    o.user = &heard;
    heard.addresses[0] = "127.0.0.1";
    heard.nap_ms = 300;
    pool = pool_new(&o);
    name_at(name, sizeof name, "x", &s);
    d.timeout_ms = 100;
    CHECK_EQ(vcp_dial_with(pool, "tcp", name, &d, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_RESOLVING);
    EVENTUALLY(vcp_dial_with(pool, "tcp", name, &d, &conn) >= 0, 5000);
    CHECK_EQ(heard.calls, 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* Sleeps as long as it was given and refuses, as a resolver with a timeout of its own does. */
static int gives_up_in_time(void *user, const char *network, const char *host, int64_t timeout_ms,
                            vcp_resolved *out)
{
    (void)network;
    (void)host;
    __sync_add_and_fetch((int *)user, 1);
    if (timeout_ms >= 0 && timeout_ms < 1000) {
        let_pass(timeout_ms);
        return 7;
    }
    return vcp_resolved_add(out, "127.0.0.1");
}

typedef struct {
    vcp_pool *pool;
    const char *name;
} hasty;

static void *dials_for_300_ms(void *argument)
{
    hasty *h = (hasty *)argument;
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn = NULL;
    d.timeout_ms = 300;
    CHECK(vcp_dial_with(h->pool, "tcp", h->name, &d, &conn) < 0);
    return NULL;
}

TEST(who_shares_a_lookup_does_not_fail_by_the_others_deadline,
     "callbacks: A dial that shares a lookup does not fail by the deadline of the one that asked")
{
    server s = tcp_server();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    char name[128];
    pthread_t thread;
    hasty h;
    int calls = 0;
    o.resolve = gives_up_in_time;
    o.user = &calls;
    h.pool = pool_new(&o);
    h.name = name;
    name_at(name, sizeof name, "x", &s);
    CHECK_EQ(pthread_create(&thread, NULL, dials_for_300_ms, &h), 0);
    EVENTUALLY(__sync_add_and_fetch(&calls, 0) == 1, 5000);
    CHECK(vcp_dial(h.pool, "tcp", name, &conn) >= 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(calls, 2);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(h.pool), VCP_OK);
    server_close(&s);
}

TEST(the_error_of_a_rewritten_dial_says_where_it_went,
     "callbacks: The message of a rewritten dial names the address that was tried")
{
    server refusing = refusing_server();
    seen heard = nothing_seen();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    vcp_pool *pool;
    o.rewrite = on_rewrite;
    o.user = &heard;
    heard.rewrite_to = refusing.address;
    pool = pool_new(&o);
    CHECK_EQ(vcp_dial(pool, "tcp", "db.local:5432", &conn), VCP_ERR_CONNECT);
    CHECK_HAS(vcp_last_error(), "db.local:5432");
    CHECK_HAS(vcp_last_error(), refusing.address);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

typedef struct {
    vcp_pool *observed;
    const server *s;
    int said;
} loud;

static void says_too_much(void *user, const vcp_event *event)
{
    (void)event;
    ((loud *)user)->said = vcp_set_callback_error("on_event says so");
}

static int dials_and_refuses(void *user, const char *network, const char *address, char *out,
                             size_t size)
{
    const loud *l = (const loud *)user;
    (void)network;
    (void)address;
    (void)out;
    (void)size;
    give_back(borrow(l->observed, l->s));
    return 3;
}

/*
 * on_event refuses nothing: what it said became the text of the callback that had caused the event.
 */
TEST(on_event_has_no_say_in_the_callback_that_causes_it,
     "callbacks: vcp_set_callback_error inside on_event is INVALID_ARGUMENT, also where a "
     "callback of another pool causes the event")
{
    server s = tcp_server();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    vcp_pool *pool;
    loud l;
    memset(&l, 0, sizeof l);
    l.s = &s;
    o.user = &l;
    o.on_event = says_too_much;
    l.observed = pool_new(&o);
    o.on_event = NULL;
    o.rewrite = dials_and_refuses;
    pool = pool_new(&o);
    CHECK_EQ(vcp_dial(pool, s.network, s.address, &conn), VCP_ERR_CALLBACK);
    CHECK(strstr(vcp_last_error(), "on_event") == NULL);
    CHECK_EQ(l.said, VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_pool_close(l.observed), VCP_OK);
    server_close(&s);
}

/* Refuses as soon as the pool is closed, or the token has fired. */
typedef struct {
    vcp_pool *pool;
    int is_inside;
    int may_return;
} late;

static int refuses_late(void *user)
{
    late *l = (late *)user;
    __sync_add_and_fetch(&l->is_inside, 1);
    EVENTUALLY(__sync_add_and_fetch(&l->may_return, 0) != 0 ||
                   vcp_pool_conn_count(l->pool) == VCP_ERR_POOL_CLOSED,
               10000);
    return -7;
}

static int late_rewrite(void *user, const char *network, const char *address, char *out,
                        size_t size)
{
    (void)network;
    (void)address;
    (void)out;
    (void)size;
    return refuses_late(user);
}

static int late_resolve(void *user, const char *network, const char *host, int64_t timeout_ms,
                        vcp_resolved *out)
{
    (void)network;
    (void)host;
    (void)timeout_ms;
    (void)out;
    return refuses_late(user);
}

static int late_dial(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    (void)network;
    (void)address;
    (void)timeout_ms;
    return refuses_late(user);
}

static int late_control(void *user, const char *network, const char *address, int fd)
{
    (void)network;
    (void)address;
    (void)fd;
    return refuses_late(user);
}

static void *close_when_inside(void *user)
{
    late *l = (late *)user;
    EVENTUALLY(__sync_add_and_fetch(&l->is_inside, 0) == 1, 5000);
    CHECK_EQ(vcp_pool_close(l->pool), VCP_OK);
    return NULL;
}

static void set_late_callback(vcp_pool_options *o, int which)
{
    o->rewrite = which == 0 ? late_rewrite : NULL;
    o->resolve = which == 1 ? late_resolve : NULL;
    o->dial = which == 2 ? late_dial : NULL;
    o->control = which == 3 ? late_control : NULL;
}

/* Its own refusal came first, and hid why it had given up. */
TEST(a_callback_that_refuses_after_the_pools_close_does_not_hide_it,
     "callbacks: A rewrite, resolve, dial or control callback that refuses after the pool's "
     "close: POOL_CLOSED")
{
    /* A callback may return after its dial: each has one of its own. */
    static late of_each[8];
    server s = tcp_server();
    char named[128];
    int i;
    snprintf(named, sizeof named, "localhost:%d", s.port);
    for (i = 0; i < 8; i++) {
        vcp_pool_options o = pool_options();
        vcp_queue *queue = queue_new();
        vcp_conn *conn = NULL;
        pthread_t thread;
        late *l = &of_each[i];
        int is_async = i >= 4;
        set_late_callback(&o, i % 4);
        o.user = l;
        o.dial_timeout_ms = 0;
        l->pool = pool_new(&o);
        CHECK_EQ(pthread_create(&thread, NULL, close_when_inside, l), 0);
        if (is_async) {
            CHECK_EQ(vcp_dial_async(l->pool, "tcp", named, NULL, queue, l, &conn),
                     VCP_ERR_IN_PROGRESS);
            next_fails(queue, l, VCP_ERR_POOL_CLOSED);
        } else {
            CHECK_EQ(vcp_dial(l->pool, "tcp", named, &conn), VCP_ERR_POOL_CLOSED);
        }
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    }
    server_close(&s);
}

/* Refuses in the very moment in which the handle is dead. */
static int refuses_at_once(void *user, const char *network, const char *address, char *out,
                           size_t size)
{
    late *l = (late *)user;
    (void)network;
    (void)address;
    (void)out;
    (void)size;
    __sync_add_and_fetch(&l->is_inside, 1);
    while (vcp_pool_conn_count(l->pool) != VCP_ERR_POOL_CLOSED) {
    }
    return -7;
}

static void *close_at_once(void *user)
{
    late *l = (late *)user;
    while (__sync_add_and_fetch(&l->is_inside, 0) == 0) {
    }
    CHECK_EQ(vcp_pool_close(l->pool), VCP_OK);
    return NULL;
}

/* The handle was dead before the dials were told. */
TEST(where_the_handle_is_dead_the_dials_have_ended,
     "callbacks: One that refuses in the moment of the pool's close: POOL_CLOSED")
{
    int i;
    for (i = 0; i < 500; i++) {
        late l;
        vcp_pool_options o = pool_options();
        vcp_conn *conn = NULL;
        pthread_t thread;
        memset(&l, 0, sizeof l);
        o.rewrite = refuses_at_once;
        o.user = &l;
        l.pool = pool_new(&o);
        CHECK_EQ(pthread_create(&thread, NULL, close_at_once, &l), 0);
        CHECK_EQ(vcp_dial(l.pool, "tcp", "127.0.0.1:1", &conn), VCP_ERR_POOL_CLOSED);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
}

typedef struct {
    late *l;
    vcp_cancel *cancel;
} late_token;

static void *fire_when_inside(void *argument)
{
    late_token *t = (late_token *)argument;
    EVENTUALLY(__sync_add_and_fetch(&t->l->is_inside, 0) == 1, 5000);
    CHECK_EQ(vcp_cancel_fire(t->cancel), VCP_OK);
    __sync_add_and_fetch(&t->l->may_return, 1);
    return NULL;
}

TEST(a_callback_that_refuses_after_the_token_fired_does_not_hide_it,
     "callbacks: One that refuses after the token fired: CANCELED")
{
    static late of_each[4];
    server s = tcp_server();
    int i;
    for (i = 0; i < 4; i++) {
        vcp_pool_options o = pool_options();
        vcp_dial_options dial = dial_options(0);
        vcp_conn *conn = NULL;
        late_token token;
        pthread_t thread;
        late *l = &of_each[i];
        set_late_callback(&o, i);
        o.user = l;
        l->pool = pool_new(&o);
        token.l = l;
        CHECK_EQ(vcp_cancel_new(&token.cancel), VCP_OK);
        dial.cancel = token.cancel;
        CHECK_EQ(pthread_create(&thread, NULL, fire_when_inside, &token), 0);
        CHECK_EQ(vcp_dial_with(l->pool, "tcp", i == 1 ? "some.service:1" : s.address, &dial, &conn),
                 VCP_ERR_CANCELED);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(vcp_cancel_free(token.cancel), VCP_OK);
        CHECK_EQ(vcp_pool_close(l->pool), VCP_OK);
    }
    server_close(&s);
}

typedef struct held {
    server s;
    int is_inside;
    int may_return;
    int fd; /* what it has returned */
} held;

static int held_dial(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    held *h = (held *)user;
    int fd;
    (void)network;
    (void)address;
    (void)timeout_ms;
    __sync_add_and_fetch(&h->is_inside, 1);
    EVENTUALLY(__sync_add_and_fetch(&h->may_return, 0) != 0, 10000);
    fd = client_of(&h->s);
    __sync_add_and_fetch(&h->fd, fd);
    return fd;
}

TEST(
    an_asynchronous_dial_ends_in_time_whatever_its_dial_callback_does,
    "callbacks: An asynchronous dial whose dial callback takes too long is TIMEOUT (connecting) at "
    "its deadline; what the callback then returns is closed")
{
    vcp_pool_options o = pool_options();
    vcp_dial_options dial = dial_options(0);
    vcp_queue *queue = queue_new();
    vcp_pool *pool;
    held h;
    int64_t start = now_ms();
    memset(&h, 0, sizeof h);
    h.s = tcp_server();
    o.dial = held_dial;
    o.user = &h;
    pool = pool_new(&o);
    dial.timeout_ms = at_most(100);
    begin_dial(pool, &h.s, &dial, queue, &h);
    EVENTUALLY(__sync_add_and_fetch(&h.is_inside, 0) == 1, 5000);
    next_fails(queue, &h, VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_CONNECTING);
    CHECK_TOOK(start, at_most(100));
    __sync_add_and_fetch(&h.may_return, 1);
    EVENTUALLY(__sync_add_and_fetch(&h.fd, 0) > 0, 5000);
    EVENTUALLY(!is_open(h.fd), 5000);
    EVENTUALLY(vcp_pool_conn_count(pool) == 0, 5000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&h.s);
}
