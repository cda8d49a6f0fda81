/* Contract section 3: names, texts, numbers and phases of failures, each thread its own. */
#include "check.h"
#include "completions.h"

TEST(every_number_has_a_name_and_a_text,
     "errors: vcp_status_name and vcp_strerror are never NULL, for unknown numbers either")
{
    int status;
    for (status = -200; status <= 5; status++) {
        CHECK(vcp_status_name(status) != NULL && vcp_status_name(status)[0] != '\0');
        CHECK(vcp_strerror(status) != NULL && vcp_strerror(status)[0] != '\0');
    }
    CHECK(vcp_status_name(INT_MIN) != NULL && vcp_strerror(INT_MAX) != NULL);
    CHECK_STR(vcp_status_name(VCP_ERR_TIMEOUT), "VCP_ERR_TIMEOUT");
    CHECK(strcmp(vcp_strerror(VCP_ERR_TIMEOUT), vcp_strerror(VCP_ERR_CONNECT)) != 0);
}

static void *first_words(void *unused)
{
    (void)unused;
    CHECK_STR(vcp_last_error(), "");
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
    return NULL;
}

TEST(the_last_error_is_empty_before_the_first,
     "errors: vcp_last_error is \"\" before a thread's first failure")
{
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, first_words, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void *fails_otherwise(void *pool)
{
    vcp_conn *conn;
    CHECK_EQ(vcp_dial((vcp_pool *)pool, "carrier-pigeon", "x", &conn), VCP_ERR_UNKNOWN_NETWORK);
    CHECK_HAS(vcp_last_error(), "carrier-pigeon");
    return NULL;
}

TEST(each_thread_has_its_own_last_error, "errors: vcp_last_error is the calling thread's own")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    pthread_t thread;
    char before[256];
    CHECK_EQ(vcp_dial(pool, "tcp", "portless", &conn), VCP_ERR_INVALID_ADDRESS);
    snprintf(before, sizeof before, "%s", vcp_last_error());
    CHECK_HAS(before, "portless");
    CHECK_EQ(pthread_create(&thread, NULL, fails_otherwise, pool), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_STR(vcp_last_error(), before);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(the_last_error_outlives_successes,
     "errors: vcp_last_error is valid until the thread's next failing call")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    const char *text;
    char before[256];
    CHECK_EQ(vcp_dial(pool, "tcp", "portless", &conn), VCP_ERR_INVALID_ADDRESS);
    text = vcp_last_error();
    snprintf(before, sizeof before, "%s", text);
    give_back(borrow(pool, &s));
    give_back(borrow(pool, &s));
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_STR(text, before);
    CHECK_STR(vcp_last_error(), before);
    server_close(&s);
}

TEST(a_refused_connect_names_destination_address_and_errno,
     "errors: CONNECT: the message names the destination and the cause, vcp_last_errno is "
     "ECONNREFUSED")
{
    server refusing = refusing_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    char wanted[512];
    CHECK_EQ(vcp_dial(pool, "tcp", refusing.address, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(vcp_last_errno(), ECONNREFUSED);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
    snprintf(wanted, sizeof wanted, "dial tcp %s: ", refusing.address);
    CHECK_EQ(strncmp(vcp_last_error(), wanted, strlen(wanted)), 0);
    CHECK_HAS(vcp_last_error(), "connection refused");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_name_that_refuses_names_its_address_too,
     "errors: CONNECT by name: the message lists each address with its cause")
{
    server refusing = refusing_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    char name[64];
    char wanted[512];
    snprintf(name, sizeof name, "localhost:%d", refusing.port);
    CHECK_EQ(vcp_dial(pool, "tcp4", name, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(vcp_last_errno(), ECONNREFUSED);
    snprintf(wanted, sizeof wanted, "dial tcp4 %s: %s: connection refused", name, refusing.address);
    CHECK_STR(vcp_last_error(), wanted);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_missing_unix_socket_tells_its_errno, "errors: CONNECT on unix: vcp_last_errno is ENOENT")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    CHECK_EQ(vcp_dial(pool, "unix", "/nonexistent/socket", &conn), VCP_ERR_CONNECT);
    CHECK_EQ(vcp_last_errno(), ENOENT);
    CHECK_HAS(vcp_last_error(), "dial unix /nonexistent/socket: ");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_limit_tells_its_numbers,
     "errors: POOL_EXHAUSTED: the message gives limit, idle, borrowed, dialing and waiting")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    vcp_conn *second;
    char wanted[512];
    options.max_conns = 1;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_dial(pool, "tcp", s.address, &second), VCP_ERR_POOL_EXHAUSTED);
    snprintf(wanted, sizeof wanted,
             "dial tcp %s: pool exhausted: max_conns=1 idle=0 borrowed=1 dialing=0 waiting=0 "
             "(wait_timeout_ms=0: not waiting)",
             s.address);
    CHECK_STR(vcp_last_error(), wanted);
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_limit_per_address_names_itself,
     "errors: POOL_EXHAUSTED at max_conns_per_address: the message names that limit")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    vcp_conn *second;
    options.max_conns_per_address = 1;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_dial(pool, "tcp", s.address, &second), VCP_ERR_POOL_EXHAUSTED);
    CHECK_HAS(vcp_last_error(), "max_conns_per_address=1");
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(arguments_are_judged_before_limits, "errors: Arguments are judged before limits")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_dial_options unknown = dial_options(1u << 20);
    vcp_pool *pool;
    vcp_conn *conn;
    vcp_conn *second;
    options.max_conns = 1;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_dial(pool, "tcp", "portless", &second), VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(vcp_dial(pool, "tpc", s.address, &second), VCP_ERR_UNKNOWN_NETWORK);
    CHECK_EQ(vcp_dial_with(pool, "tcp", s.address, &unknown, &second), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_dial(pool, "tcp", s.address, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_dial(pool, NULL, s.address, &second), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_dial(pool, "tcp", NULL, &second), VCP_ERR_INVALID_ARGUMENT);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_timeout_while_connecting_names_its_phase,
     "errors: TIMEOUT while connecting: on time, phase CONNECTING, errno 0")
{
    full_server full = full_server_new();
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn;
    int64_t start = now_ms();
    options.timeout_ms = 100;
    CHECK_EQ(vcp_dial_with(pool, "tcp", full.s.address, &options, &conn), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 100);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_CONNECTING);
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_HAS(vcp_last_error(), "connecting");
    CHECK_HAS(vcp_last_error(), full.s.address);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
}

TEST(a_timeout_while_reading_names_its_phase,
     "errors: TIMEOUT while reading: phase READING, errno 0")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    char byte;
    CHECK_EQ(vcp_conn_set_deadline(conn, 10), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_READING);
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_HAS(vcp_last_error(), "reading");
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(the_phase_of_anything_but_a_timeout_is_none,
     "errors: The phase of anything but a timeout is none")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    char byte;
    CHECK_EQ(vcp_conn_set_deadline(conn, 0), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
    CHECK(vcp_last_phase() != VCP_PHASE_NONE);
    CHECK_EQ(vcp_conn_read(NULL, &byte, 1), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(a_name_without_an_address_tells_the_eai_number,
     "errors: RESOLVE: vcp_last_errno is the EAI_* value")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    /* An empty label: the resolver refuses it without asking anybody. */
    CHECK_EQ(vcp_dial(pool, "tcp", "no..such:80", &conn), VCP_ERR_RESOLVE);
    CHECK_EQ(vcp_last_errno(), EAI_NONAME);
    CHECK_HAS(vcp_last_error(), "dial tcp no..such:80: ");
    CHECK_EQ(vcp_dial(pool, "tcp4", "[::1]:80", &conn), VCP_ERR_RESOLVE);
    CHECK_HAS(vcp_last_error(), "dial tcp4 [::1]:80: ");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_failed_write_tells_its_errno, "errors: IO: vcp_last_errno is that of the system call")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    int fd = vcp_conn_raw_fd(conn);
    close_with_reset(server_accept(&f.s));
    await_arrival(fd);
    CHECK_EQ(vcp_conn_write(conn, "x", 1), VCP_ERR_IO);
    CHECK(vcp_last_errno() == ECONNRESET || vcp_last_errno() == EPIPE);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(an_adapter_tells_a_failure_as_the_library_does,
     "errors: vcp_set_last_error sets vcp_last_error, on one line and cut at 1,000 bytes, and "
     "returns the status; a status that is none, and NULL, are INVALID_ARGUMENT")
{
    char text[2000];
    CHECK_EQ(vcp_set_last_error(VCP_ERR_NO_MEMORY, "adapter:\nno memory"), VCP_ERR_NO_MEMORY);
    CHECK_STR(vcp_last_error(), "adapter: no memory");
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    CHECK_EQ(vcp_set_last_error(VCP_ERR_IO, text), VCP_ERR_IO);
    CHECK_EQ(strlen(vcp_last_error()), 1000);
    CHECK_EQ(vcp_set_last_error(VCP_ERR_IO, "\xff\xfe"), VCP_ERR_IO);
    CHECK(strlen(vcp_last_error()) > 0);
    CHECK_EQ(vcp_set_last_error(VCP_OK, "fine"), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_set_last_error(-50, "unknown"), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_set_last_error(VCP_ERR_IO, NULL), VCP_ERR_INVALID_ARGUMENT);
}

TEST(a_callback_error_belongs_inside_a_callback,
     "errors: vcp_set_callback_error outside a callback, or with NULL, is INVALID_ARGUMENT")
{
    CHECK_EQ(vcp_set_callback_error("text"), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_set_callback_error(NULL), VCP_ERR_INVALID_ARGUMENT);
}

TEST(text_that_is_not_utf8_is_refused,
     "errors: Invalid UTF-8 is INVALID_ADDRESS in an address, UNKNOWN_NETWORK in a network")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    CHECK_EQ(vcp_dial(pool, "tcp", "\xff\xfe:80", &conn), VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(vcp_dial(pool, "unix", "/tmp/\xc3", &conn), VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(vcp_dial(pool, "t\xff", "127.0.0.1:80", &conn), VCP_ERR_UNKNOWN_NETWORK);
    CHECK_EQ(vcp_pool_idle_count(pool, "tcp", "\xff:80"), VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_long_message_is_whole_and_terminated,
     "errors: A message with a 1,024 byte address in it is not cut")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    char address[1025];
    memset(address, 'a', sizeof address);
    address[1024] = '\0';
    CHECK_EQ(vcp_dial(pool, "tcp", address, &conn), VCP_ERR_INVALID_ADDRESS);
    CHECK(strlen(vcp_last_error()) >= 1024);
    CHECK_HAS(vcp_last_error(), address);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* What `call` was asked for stands first in the message, and what is wrong with it after that. */
static void names_first(const char *call, const char *network, const char *address,
                        const char *wrong)
{
    char wanted[512];
    snprintf(wanted, sizeof wanted, "%s %s %s: %s", call, network, address, wrong);
    CHECK_STR(vcp_last_error(), wanted);
}

TEST(what_was_asked_for_is_named_even_where_it_is_what_was_wrong,
     "errors: a bad network or address is named first, by dial, put, get, warm, evict and "
     "idle_count")
{
    static const struct {
        const char *network;
        const char *address;
        const char *wrong;
    } bad[] = {
        {"tcp", "localhost", "invalid address: no port"},
        {"tcp5", "a:1", "unknown network"},
        {"ip4", "127.0.0.1", "unknown network: a raw network needs its protocol, as in ip4:icmp"},
        {"unix", "", "invalid address: an empty path"},
        {"tcp", "[::g]:80", "invalid address: \"::g\" is no IPv6 address"},
    };
    vcp_pool *pool = pool_new(NULL);
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *network = bad[i].network;
        const char *address = bad[i].address;
        vcp_conn *conn;
        CHECK(vcp_dial(pool, network, address, &conn) < 0);
        names_first("dial", network, address, bad[i].wrong);
        CHECK(vcp_pool_put(pool, 0, network, address, NULL) < 0);
        names_first("put", network, address, bad[i].wrong);
        CHECK(vcp_pool_get(pool, network, address, NULL) < 0);
        names_first("get", network, address, bad[i].wrong);
        CHECK(vcp_pool_warm(pool, network, address, NULL, 1) < 0);
        names_first("warm", network, address, bad[i].wrong);
        CHECK(vcp_pool_evict(pool, network, address) < 0);
        names_first("evict", network, address, bad[i].wrong);
        CHECK(vcp_pool_idle_count(pool, network, address) < 0);
        names_first("idle_count", network, address, bad[i].wrong);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(bad_options_are_named_after_what_was_asked_for,
     "errors: a bad option of a dial is named after the destination that was asked for")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options options = dial_options(1u << 20);
    vcp_conn *conn;
    CHECK_EQ(vcp_dial_with(pool, "tcp", "a:1", &options, &conn), VCP_ERR_INVALID_ARGUMENT);
    CHECK_STR(vcp_last_error(), "dial tcp a:1: flags: unknown bits 0x100000");
    CHECK_EQ(vcp_pool_warm(pool, "tcp", "a:1", &options, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_STR(vcp_last_error(), "warm tcp a:1: flags: unknown bits 0x100000");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_dial(pool, "tcp", "a:1", &conn), VCP_ERR_POOL_CLOSED);
    CHECK_STR(vcp_last_error(), "dial tcp a:1: the pool is closed");
}

/* The message was "conn is NULL": of which dial, in a log, nobody could tell. */
TEST(a_missing_out_parameter_is_named_after_what_was_asked_for,
     "errors: a NULL out parameter of a dial is named after the destination that was asked for")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_queue *queue = queue_new();
    CHECK_EQ(vcp_dial(pool, "tcp", "a:1", NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_STR(vcp_last_error(), "dial tcp a:1: conn is NULL");
    CHECK_EQ(vcp_dial_async(pool, "tcp", "b:1", NULL, queue, NULL, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_STR(vcp_last_error(), "dial tcp b:1: conn is NULL");
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(an_unknown_service_is_named_by_a_dial_that_reads_it_later,
     "errors: an asynchronous dial that looks a service name up later names what was asked for")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    CHECK_EQ(vcp_dial_async(pool, "tcp", "a:no-such-service", NULL, queue, NULL, &conn),
             VCP_ERR_IN_PROGRESS);
    next_fails(queue, NULL, VCP_ERR_INVALID_ADDRESS);
    CHECK_STR(vcp_last_error(),
              "dial tcp a:no-such-service: invalid address: \"no-such-service\" is neither a port "
              "(0 to 65535) nor a known service");
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

static int refuses_on_many_lines(void *user, const char *network, const char *address,
                                 int64_t timeout_ms)
{
    (void)user;
    (void)network;
    (void)address;
    (void)timeout_ms;
    CHECK_EQ(vcp_set_callback_error("one\ntwo\tthree\x7f"
                                    "four\r"),
             VCP_OK);
    return -3;
}

TEST(control_characters_of_a_callback_become_spaces,
     "errors: control characters of a callback's text become spaces: the message is one line")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.dial = refuses_on_many_lines;
    pool = pool_new(&options);
    CHECK_EQ(vcp_dial(pool, "tcp", "a:1", &conn), VCP_ERR_CALLBACK);
    CHECK_STR(vcp_last_error(), "dial tcp a:1: dial callback refused: -3: one two three four ");
    CHECK_EQ(vcp_dial(pool, "tcp", "a\nb", &conn), VCP_ERR_INVALID_ADDRESS);
    CHECK_STR(vcp_last_error(), "dial tcp a b: invalid address: no port");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}
