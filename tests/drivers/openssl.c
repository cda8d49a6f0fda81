/*
 * <vconnpool/openssl.h> against a server of OpenSSL's in this process, which misbehaves as it is
 * told, and against nginx (VCP_NGINX). openssl.sh builds and runs it.
 */
#include "tls_server.h"

#include <vconnpool/openssl.h>

/* A client's context: verifies by that authority. */
static SSL_CTX *context_of(const char *authority)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    CHECK(context != NULL);
    CHECK_EQ(SSL_CTX_load_verify_locations(context, tls_file(authority), NULL), 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

/* NULL options: defaults. The program keeps no reference to the context. */
static vcp_pool *tls_pool(const vcp_pool_options *options)
{
    vcp_pool *pool = NULL;
    SSL_CTX *context = context_of("ca.pem");
    CHECK_EQ(vcp_openssl_pool_new(context, options, NULL, &pool), VCP_OK);
    SSL_CTX_free(context);
    return pool;
}

typedef struct fixture_tls {
    tls_server *t;
    vcp_pool *pool;
    int sockets;
} fixture_tls;

static fixture_tls begin_with(int version, const vcp_pool_options *options)
{
    fixture_tls f;
    f.sockets = open_sockets();
    f.t = tls_server_new(version);
    f.pool = tls_pool(options);
    return f;
}

static fixture_tls begin(void)
{
    return begin_with(0, NULL);
}

static void end(fixture_tls *f)
{
    CHECK_STATS_ADD_UP(f->pool);
    CHECK_EQ(stats_of(f->pool).borrowed, 0);
    CHECK_EQ(vcp_pool_close(f->pool), VCP_OK);
    tls_server_close(f->t);
    EVENTUALLY(open_sockets() == f->sockets, 1000);
}

static vcp_conn *borrow_tls(fixture_tls *f, SSL **session)
{
    vcp_conn *conn = NULL;
    CHECK(vcp_dial(f->pool, "tcp", f->t->address, &conn) >= 0);
    *session = vcp_openssl_session(conn);
    CHECK(*session != NULL);
    return conn;
}

/* The client says text, the server hears it and answers, and the client hears that. */
static void exchange(SSL *session, SSL *peer, const char *text)
{
    char bytes[256];
    CHECK_EQ(SSL_write(session, text, (int)strlen(text)), (int)strlen(text));
    peer_hears(peer, text);
    peer_says(peer, text);
    CHECK_EQ(SSL_read(session, bytes, sizeof bytes), (int)strlen(text));
    CHECK(memcmp(bytes, text, strlen(text)) == 0);
}

/* The pool has closed what was given back, because the adapter refused it. */
static void check_refused(fixture_tls *f)
{
    CHECK_EQ(idle_in(f->pool), 0);
    CHECK_EQ(stats_of(f->pool).closed_hook, 1);
}

static int dial_for(vcp_pool *pool, const char *address, int64_t timeout_ms)
{
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn = NULL;
    int status;
    options.timeout_ms = timeout_ms;
    status = vcp_dial_with(pool, "tcp", address, &options, &conn);
    if (status >= 0)
        give_back(conn);
    return status;
}

TEST(a_session_rides_along, "openssl: One handshake serves every borrow of a connection")
{
    fixture_tls f = begin();
    SSL *first, *second;
    vcp_conn *conn = borrow_tls(&f, &first);
    exchange(first, peer_of(f.t, 0), "one");
    CHECK(vcp_conn_data(conn) == first);
    give_back(conn);
    conn = borrow_tls(&f, &second);
    CHECK(second == first);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    exchange(second, peer_of(f.t, 0), "two");
    give_back(conn);
    CHECK_EQ(handshakes(f.t), 1);
    end(&f);
}

TEST(tls_1_2_rides_along_too, "openssl: A TLS 1.2 session is kept as one of TLS 1.3 is")
{
    fixture_tls f = begin_with(TLS1_2_VERSION, NULL);
    SSL *session;
    int i;
    for (i = 0; i < 3; i++) {
        vcp_conn *conn = borrow_tls(&f, &session);
        CHECK_EQ(SSL_version(session), TLS1_2_VERSION);
        exchange(session, peer_of(f.t, 0), "hello");
        give_back(conn);
    }
    CHECK_EQ(handshakes(f.t), 1);
    end(&f);
}

TEST(the_name_is_asked_for, "openssl: SNI is the host of the address that is dialed")
{
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    CHECK_STR(SSL_get_servername(peer_of(f.t, 0), TLSEXT_NAMETYPE_host_name), "localhost");
    CHECK_EQ(SSL_get_verify_result(session), X509_V_OK);
    give_back(conn);
    end(&f);
}

TEST(an_ip_is_verified_as_an_ip, "openssl: For an IP literal the certificate must have that IP, "
                                 "and no SNI is sent")
{
    fixture_tls f = begin();
    vcp_conn *conn = borrow(f.pool, &f.t->s);
    CHECK(SSL_get_servername(peer_of(f.t, 0), TLSEXT_NAMETYPE_host_name) == NULL);
    CHECK_EQ(SSL_get_verify_result(vcp_openssl_session(conn)), X509_V_OK);
    give_back(conn);
    end(&f);
}

TEST(an_ipv6_address_is_verified, "openssl: The brackets of an IPv6 address are no part of its "
                                  "name")
{
    vcp_pool *pool = tls_pool(NULL);
    tls_server *t = tls_server_on(tcp6_server(), 0);
    vcp_conn *conn = borrow(pool, &t->s);
    CHECK_EQ(SSL_get_verify_result(vcp_openssl_session(conn)), X509_V_OK);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    tls_server_close(t);
}

/* Whatever is dialed leads to the server whose address event_user is. */
static int to_the_server(void *user, const char *network, const char *address, char *out,
                         size_t size)
{
    (void)network;
    (void)address;
    CHECK(snprintf(out, size, "%s", (const char *)user) < (int)size);
    return 0;
}

static vcp_pool *rewriting_pool(tls_server *t, const char *authority)
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool = NULL;
    SSL_CTX *context = context_of(authority);
    options.rewrite = to_the_server;
    CHECK_EQ(vcp_openssl_pool_new(context, &options, t->s.address, &pool), VCP_OK);
    SSL_CTX_free(context);
    return pool;
}

TEST(another_name_is_refused, "openssl: A certificate of another name than the one dialed, before "
                              "rewrite, is refused, and the message says so")
{
    tls_server *t = tls_server_new(0);
    vcp_pool *pool = rewriting_pool(t, "ca.pem");
    CHECK(dial_for(pool, "localhost:1", VCP_FOREVER) >= 0);
    CHECK(dial_for(pool, "localhost.:1", VCP_FOREVER) >= 0);
    CHECK_EQ(dial_for(pool, "other.example:1", VCP_FOREVER), VCP_ERR_CALLBACK);
    CHECK_HAS(vcp_last_error(), "hostname mismatch");
    CHECK_EQ(dial_for(pool, "10.0.0.5:1", VCP_FOREVER), VCP_ERR_CALLBACK);
    CHECK_HAS(vcp_last_error(), "IP address mismatch");
    CHECK_EQ(dial_for(pool, "[fd00::5]:1", VCP_FOREVER), VCP_ERR_CALLBACK);
    CHECK_HAS(vcp_last_error(), "IP address mismatch");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    tls_server_close(t);
}

TEST(another_authority_is_refused, "openssl: A certificate of an authority that the context does "
                                   "not trust is refused, and the message says so")
{
    tls_server *t = tls_server_new(0);
    vcp_pool *pool = rewriting_pool(t, "other.pem");
    CHECK_EQ(dial_for(pool, "localhost:1", VCP_FOREVER), VCP_ERR_CALLBACK);
    CHECK_HAS(vcp_last_error(), "on_open callback refused: 1: unable to get local issuer");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    tls_server_close(t);
}

TEST(the_context_decides_whether_to_verify, "openssl: A context without SSL_VERIFY_PEER lets every "
                                            "certificate pass")
{
    fixture_tls f = begin();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    CHECK_EQ(vcp_pool_close(f.pool), VCP_OK);
    CHECK_EQ(vcp_openssl_pool_new(context, NULL, NULL, &f.pool), VCP_OK);
    SSL_CTX_free(context);
    CHECK(dial_for(f.pool, f.t->address, VCP_FOREVER) >= 0);
    end(&f);
}

TEST(protocols_are_the_context_s, "openssl: ALPN offers what the context has")
{
    static const unsigned char offered[] = {2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    fixture_tls f = begin();
    SSL_CTX *context = context_of("ca.pem");
    const unsigned char *taken;
    unsigned int length;
    SSL *session;
    vcp_conn *conn;
    CHECK_EQ(SSL_CTX_set_alpn_protos(context, offered, sizeof offered), 0);
    CHECK_EQ(vcp_pool_close(f.pool), VCP_OK);
    CHECK_EQ(vcp_openssl_pool_new(context, NULL, NULL, &f.pool), VCP_OK);
    SSL_CTX_free(context);
    conn = borrow_tls(&f, &session);
    SSL_get0_alpn_selected(session, &taken, &length);
    CHECK(length == 2 && memcmp(taken, "h2", 2) == 0);
    give_back(conn);
    end(&f);
}

TEST(a_handshake_that_hangs_is_ended, "openssl: A handshake that the server does not answer ends "
                                      "at the dial's deadline, in both modes")
{
    int32_t nonblocking;
    for (nonblocking = 0; nonblocking <= 1; nonblocking++) {
        server silent = tcp_server();
        vcp_pool_options options = pool_options();
        vcp_pool *pool;
        int64_t start = now_ms();
        options.nonblocking = nonblocking;
        pool = tls_pool(&options);
        CHECK_EQ(dial_for(pool, silent.address, 300), VCP_ERR_TIMEOUT);
        CHECK_TOOK(start, 300);
        CHECK_EQ(vcp_last_phase(), VCP_PHASE_OPENING);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        server_close(&silent);
    }
}

TEST(a_server_that_hangs_up_is_named, "openssl: A server that ends the connection during the "
                                      "handshake fails the dial, and the message says so")
{
    server s = tcp_server();
    vcp_pool *pool = tls_pool(NULL);
    vcp_queue *queue = NULL;
    vcp_completion answer;
    vcp_conn *conn;
    CHECK_EQ(vcp_queue_new(&queue), VCP_OK);
    CHECK_EQ(vcp_dial_async(pool, "tcp", s.address, NULL, queue, NULL, &conn), VCP_ERR_IN_PROGRESS);
    close(server_accept(&s));
    CHECK(readable_within(vcp_queue_fd(queue), 5000));
    CHECK_EQ(vcp_queue_next(queue, &answer, sizeof answer), 1);
    CHECK_EQ(answer.status, VCP_ERR_CALLBACK);
    CHECK_HAS(vcp_last_error(), "on_open callback refused: 1: ");
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(asynchronous_dials_make_the_handshake, "openssl: An asynchronous dial answers when the "
                                            "handshake is made, and its session is ready")
{
    fixture_tls f = begin();
    vcp_queue *queue = NULL;
    vcp_dial_options options = dial_options(VCP_DIAL_NONBLOCKING | VCP_DIAL_QUEUED);
    vcp_completion answer;
    vcp_conn *conn;
    int i;
    CHECK_EQ(vcp_queue_new(&queue), VCP_OK);
    for (i = 0; i < 2; i++) {
        SSL *session;
        char byte;
        CHECK_EQ(vcp_dial_async(f.pool, "tcp", f.t->address, &options, queue, NULL, &conn), VCP_OK);
        CHECK(readable_within(vcp_queue_fd(queue), 5000));
        CHECK_EQ(vcp_queue_next(queue, &answer, sizeof answer), 1);
        CHECK(answer.status >= 0);
        CHECK_EQ(vcp_conn_is_reused(answer.conn), i);
        session = vcp_openssl_session(answer.conn);
        CHECK_EQ(SSL_write(session, "hello", 5), 5);
        peer_hears(peer_of(f.t, 0), "hello");
        CHECK_EQ(SSL_get_error(session, SSL_read(session, &byte, 1)), SSL_ERROR_WANT_READ);
        give_back(answer.conn);
        CHECK_EQ(idle_in(f.pool), 1);
    }
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    end(&f);
}

TEST(tickets_close_nothing, "openssl: Session tickets that arrive while a connection is idle are "
                            "no reason to close it")
{
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    int fd = vcp_conn_raw_fd(conn);
    exchange(session, peer_of(f.t, 0), "one");
    give_back(conn);
    peer_sends_ticket(peer_of(f.t, 0));
    peer_sends_ticket(peer_of(f.t, 0));
    await_arrival(fd);
    STAYS(idle_in(f.pool) == 1, 1500);
    conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    exchange(session, peer_of(f.t, 0), "two");
    peer_sends_ticket(peer_of(f.t, 0));
    await_arrival(fd);
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 1);
    end(&f);
}

TEST(the_watch_alone_may_decide, "openssl: Under VCP_LIVENESS_WATCH tickets close nothing, and a "
                                 "good-bye is seen before the next borrow")
{
    vcp_pool_options options = pool_options();
    fixture_tls f;
    SSL *session;
    vcp_conn *conn;
    int fd;
    options.liveness = VCP_LIVENESS_WATCH;
    f = begin_with(0, &options);
    conn = borrow_tls(&f, &session);
    fd = vcp_conn_raw_fd(conn);
    exchange(session, peer_of(f.t, 0), "one");
    give_back(conn);
    peer_sends_ticket(peer_of(f.t, 0));
    await_arrival(fd);
    conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    exchange(session, peer_of(f.t, 0), "two");
    give_back(conn);
    SSL_shutdown(peer_of(f.t, 0));
    await_arrival(fd);
    conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    end(&f);
}

TEST(tickets_close_nothing_without_auto_retry, "openssl: Several tickets are read also without "
                                               "SSL_MODE_AUTO_RETRY")
{
    fixture_tls f = begin();
    SSL_CTX *context = context_of("ca.pem");
    SSL *session;
    vcp_conn *conn;
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    CHECK_EQ(vcp_pool_close(f.pool), VCP_OK);
    CHECK_EQ(vcp_openssl_pool_new(context, NULL, NULL, &f.pool), VCP_OK);
    SSL_CTX_free(context);
    conn = borrow_tls(&f, &session);
    peer_sends_ticket(peer_of(f.t, 0));
    peer_says(peer_of(f.t, 0), "an answer behind tickets");
    /* Three tickets, two of them the handshake's, and the answer. */
    EVENTUALLY(unread_bytes(vcp_conn_raw_fd(conn)) > 3 * 200 + 24, 1000);
    give_back(conn);
    check_refused(&f);
    end(&f);
}

TEST(unread_plaintext_closes, "openssl: An answer that was not read, or read in part, closes the "
                              "connection at its give-back")
{
    int is_read;
    for (is_read = 0; is_read <= 1; is_read++) {
        fixture_tls f = begin();
        SSL *session;
        vcp_conn *conn = borrow_tls(&f, &session);
        char byte;
        exchange(session, peer_of(f.t, 0), "one");
        peer_says(peer_of(f.t, 0), "two");
        await_arrival(vcp_conn_raw_fd(conn));
        if (is_read)
            CHECK_EQ(SSL_read(session, &byte, 1), 1);
        give_back(conn);
        check_refused(&f);
        end(&f);
    }
}

TEST(a_late_answer_reaches_nobody, "openssl: Plaintext that arrives while a connection is idle "
                                   "never reaches the next borrower")
{
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    int fd = vcp_conn_raw_fd(conn);
    exchange(session, peer_of(f.t, 0), "one");
    give_back(conn);
    peer_sends_ticket(peer_of(f.t, 0));
    peer_says(peer_of(f.t, 0), "late");
    EVENTUALLY(unread_bytes(fd) > 200 + 4, 1000);
    conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    exchange(session, peer_of(f.t, 1), "two");
    give_back(conn);
    CHECK_EQ(stats_of(f.pool).closed_hook, 1);
    end(&f);
}

TEST(a_record_in_part_closes, "openssl: A record of which only a part has arrived makes the "
                              "connection unfit")
{
    static const unsigned char start[] = {23, 3, 3, 0, 40, 1, 2, 3};
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    exchange(session, peer_of(f.t, 0), "one");
    CHECK_EQ(write(SSL_get_fd(peer_of(f.t, 0)), start, sizeof start), (ssize_t)sizeof start);
    await_arrival(vcp_conn_raw_fd(conn));
    give_back(conn);
    check_refused(&f);
    end(&f);
}

TEST(a_record_that_went_in_part_closes, "openssl: A connection with a record that was written in "
                                        "part is not kept")
{
    static char much[1 << 20];
    fixture_tls f = begin();
    vcp_dial_options options = dial_options(VCP_DIAL_NONBLOCKING);
    vcp_conn *conn = NULL;
    SSL *session;
    int count;
    CHECK(vcp_dial_with(f.pool, "tcp", f.t->address, &options, &conn) >= 0);
    session = vcp_openssl_session(conn);
    do {
        count = SSL_write(session, much, sizeof much);
    } while (count > 0);
    CHECK_EQ(SSL_get_error(session, count), SSL_ERROR_WANT_WRITE);
    give_back(conn);
    check_refused(&f);
    end(&f);
}

TEST(a_fatal_error_closes, "openssl: A connection whose session met a fatal error is not kept")
{
    static const unsigned char garbage[] = {23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8,
                                            9,  1, 2, 3, 4,  5, 6, 7, 8, 9, 0, 1};
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    char byte;
    exchange(session, peer_of(f.t, 0), "one");
    CHECK_EQ(write(SSL_get_fd(peer_of(f.t, 0)), garbage, sizeof garbage), (ssize_t)sizeof garbage);
    CHECK_EQ(SSL_get_error(session, SSL_read(session, &byte, 1)), SSL_ERROR_SSL);
    ERR_clear_error();
    give_back(conn);
    check_refused(&f);
    end(&f);
}

TEST(a_good_bye_closes, "openssl: A connection on which close_notify was sent or has come is not "
                        "kept")
{
    int is_own;
    for (is_own = 0; is_own <= 1; is_own++) {
        fixture_tls f = begin();
        SSL *session;
        vcp_conn *conn = borrow_tls(&f, &session);
        exchange(session, peer_of(f.t, 0), "one");
        SSL_shutdown(is_own ? session : peer_of(f.t, 0));
        if (!is_own)
            await_arrival(vcp_conn_raw_fd(conn));
        give_back(conn);
        check_refused(&f);
        end(&f);
    }
}

TEST(a_good_bye_while_idle_is_seen, "openssl: A connection on which close_notify came while it was "
                                    "idle is not handed out")
{
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    int fd = vcp_conn_raw_fd(conn);
    exchange(session, peer_of(f.t, 0), "one");
    give_back(conn);
    SSL_shutdown(peer_of(f.t, 0));
    await_arrival(fd);
    conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    exchange(session, peer_of(f.t, 1), "two");
    give_back(conn);
    end(&f);
}

TEST(a_server_that_went_away_is_noticed, "openssl: A connection whose server hung up while it was "
                                         "idle leaves the pool, though tickets lie before the end")
{
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    give_back(conn);
    peer_sends_ticket(peer_of(f.t, 0));
    peer_hangs_up(peer_of(f.t, 0), 0);
    EVENTUALLY(idle_in(f.pool) == 0, 1000);
    end(&f);
}

TEST(a_reset_raises_no_sigpipe, "openssl: Neither SSL_write, nor the good-bye at the end, to a "
                                "server that has gone raises SIGPIPE")
{
    int is_written;
    for (is_written = 0; is_written <= 1; is_written++) {
        fixture_tls f = begin();
        SSL *session;
        vcp_conn *conn = borrow_tls(&f, &session);
        exchange(session, peer_of(f.t, 0), "one");
        peer_hangs_up(peer_of(f.t, 0), 1);
        await_arrival(vcp_conn_raw_fd(conn));
        if (is_written) {
            CHECK_EQ(SSL_get_error(session, SSL_write(session, "two", 3)), SSL_ERROR_SYSCALL);
            CHECK_EQ(SSL_get_error(session, SSL_write(session, "two", 3)), SSL_ERROR_SYSCALL);
        }
        CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        give_back(conn);
        end(&f);
    }
}

TEST(the_end_of_the_pool_raises_no_sigpipe, "openssl: Closing a pool with an idle connection whose "
                                            "server has reset it raises no SIGPIPE")
{
    vcp_pool_options options = pool_options();
    fixture_tls f = begin_with(0, &options);
    SSL *session;
    int i;
    vcp_conn *conns[8];
    for (i = 0; i < 8; i++)
        conns[i] = borrow_tls(&f, &session);
    for (i = 0; i < 8; i++)
        give_back(conns[i]);
    for (i = 0; i < 8; i++)
        peer_hangs_up(peer_of(f.t, i), 1);
    end(&f);
}

TEST(the_server_is_told_of_the_end, "openssl: A connection that is closed says close_notify")
{
    fixture_tls f = begin();
    SSL *session;
    SSL *peer;
    vcp_conn *conn = borrow_tls(&f, &session);
    char byte;
    peer = peer_of(f.t, 0);
    exchange(session, peer, "one");
    give_back(conn);
    CHECK_EQ(vcp_pool_close_idle(f.pool), VCP_OK);
    CHECK_EQ(SSL_get_error(peer, SSL_read(peer, &byte, 1)), SSL_ERROR_ZERO_RETURN);
    end(&f);
}

TEST(the_good_bye_never_waits, "openssl: Closing a connection that has no room for close_notify "
                               "does not wait")
{
    static char much[1 << 20];
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    int64_t start;
    int fd = vcp_conn_raw_fd(conn);
    exchange(session, peer_of(f.t, 0), "one");
    while (send(fd, much, sizeof much, MSG_DONTWAIT) > 0)
        ;
    start = now_ms();
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_BETWEEN(now_ms() - start, 0, at_most(LATENESS_MS));
    end(&f);
}

TEST(a_number_that_changed_hands_gets_no_good_bye, "openssl: No close_notify is written to a "
                                                   "descriptor that is not the session's socket")
{
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    int fd = vcp_conn_raw_fd(conn);
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_EQ(dup2(pair[0], fd), fd); /* as if the borrower had closed it, and another opened one */
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK(peer_sees_life(pair[1]));
    CHECK_EQ(stats_of(f.pool).closed_foreign_fd, 1);
    close(fd);
    close(pair[0]);
    close(pair[1]);
    end(&f);
}

TEST(deadlines_hold_for_ssl_read, "openssl: The deadline of a borrow ends SSL_read, and the "
                                  "connection is not kept")
{
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    int64_t start = now_ms();
    char byte;
    exchange(session, peer_of(f.t, 0), "one");
    CHECK_EQ(vcp_conn_set_deadline(conn, 200), VCP_OK);
    CHECK_EQ(SSL_get_error(session, SSL_read(session, &byte, 1)), SSL_ERROR_SYSCALL);
    CHECK_TOOK(start, 200);
    CHECK_HAS(vcp_last_error(), "deadline");
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_READING);
    CHECK_EQ(vcp_conn_should_retry(conn), 0);
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 0);
    end(&f);
}

TEST(deadlines_hold_for_ssl_write, "openssl: The deadline of a borrow ends SSL_write to a server "
                                   "that does not read")
{
    static char much[1 << 24];
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    int64_t start = now_ms();
    CHECK_EQ(vcp_conn_set_deadline(conn, 300), VCP_OK);
    CHECK_EQ(SSL_get_error(session, SSL_write(session, much, sizeof much)), SSL_ERROR_SYSCALL);
    CHECK_TOOK(start, 300);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_WRITING);
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 0);
    end(&f);
}

typedef struct reading {
    SSL *session;
    int error;
    char message[256];
} reading;

static void *read_one(void *argument)
{
    reading *r = (reading *)argument;
    char byte;
    r->error = SSL_get_error(r->session, SSL_read(r->session, &byte, 1));
    snprintf(r->message, sizeof r->message, "%s", vcp_last_error());
    return NULL;
}

TEST(abort_ends_ssl_read, "openssl: vcp_pool_abort ends an SSL_read that waits, and it is no end "
                          "of stream")
{
    fixture_tls f = begin();
    reading r;
    vcp_conn *conn = borrow_tls(&f, &r.session);
    pthread_t thread;
    exchange(r.session, peer_of(f.t, 0), "one");
    CHECK_EQ(pthread_create(&thread, NULL, read_one, &r), 0);
    CHECK_EQ(vcp_pool_abort(f.pool), VCP_OK);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(r.error, SSL_ERROR_SYSCALL);
    CHECK_HAS(r.message, "aborted");
    give_back(conn);
    end(&f);
}

TEST(a_token_ends_ssl_read, "openssl: The token of a borrow ends an SSL_read that waits")
{
    fixture_tls f = begin();
    reading r;
    vcp_conn *conn = borrow_tls(&f, &r.session);
    pthread_t thread;
    vcp_cancel *token = NULL;
    CHECK_EQ(vcp_cancel_new(&token), VCP_OK);
    CHECK_EQ(vcp_conn_set_cancel(conn, token), VCP_OK);
    CHECK_EQ(pthread_create(&thread, NULL, read_one, &r), 0);
    CHECK_EQ(vcp_cancel_fire(token), VCP_OK);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(r.error, SSL_ERROR_SYSCALL);
    CHECK_HAS(r.message, "cancel");
    CHECK_EQ(vcp_cancel_free(token), VCP_OK);
    give_back(conn);
    end(&f);
}

TEST(a_stale_connection_deserves_one_more_try, "openssl: vcp_conn_should_retry knows what SSL_read "
                                               "and SSL_write met")
{
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    char byte;
    exchange(session, peer_of(f.t, 0), "one");
    give_back(conn);
    conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    peer_hangs_up(peer_of(f.t, 0), 0);
    await_arrival(vcp_conn_raw_fd(conn));
    SSL_write(session, "two", 3); /* it may still go */
    CHECK(SSL_read(session, &byte, 1) <= 0);
    ERR_clear_error();
    CHECK_EQ(vcp_conn_should_retry(conn), 1);
    give_back(conn);
    end(&f);
}

static char echoed[1 << 20];

static void *echo_all(void *peer)
{
    size_t have = 0;
    while (have < sizeof echoed) {
        int count = SSL_read((SSL *)peer, echoed + have, (int)(sizeof echoed - have));
        CHECK(count > 0);
        have += (size_t)count;
    }
    CHECK_EQ(SSL_write((SSL *)peer, echoed, sizeof echoed), (int)sizeof echoed);
    return NULL;
}

TEST(a_megabyte_goes_there_and_back, "openssl: In blocking mode SSL_write takes all, and what it "
                                     "took arrives")
{
    static char sent[sizeof echoed], seen[sizeof echoed];
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    pthread_t thread;
    size_t i;
    for (i = 0; i < sizeof sent; i++)
        sent[i] = (char)(i * 7 + i / 251);
    CHECK_EQ(pthread_create(&thread, NULL, echo_all, peer_of(f.t, 0)), 0);
    CHECK_EQ(SSL_write(session, sent, sizeof sent), (int)sizeof sent);
    for (i = 0; i < sizeof seen;) {
        int count = SSL_read(session, seen + i, (int)(sizeof seen - i));
        CHECK(count > 0);
        i += (size_t)count;
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(memcmp(sent, seen, sizeof sent) == 0);
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 1);
    end(&f);
}

TEST(a_detached_session_is_the_caller_s,
     "openssl: After detach and SSL_set_fd the session outlives "
     "the pool")
{
    fixture_tls f = begin();
    tls_server *t = f.t;
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    int fd;
    exchange(session, peer_of(t, 0), "one");
    fd = vcp_conn_detach(conn);
    CHECK(fd >= 0);
    CHECK_EQ(SSL_set_fd(session, fd), 1);
    CHECK_EQ(vcp_pool_close(f.pool), VCP_OK);
    exchange(session, peer_of(t, 0), "two");
    SSL_free(session);
    close(fd);
    tls_server_close(t);
}

TEST(a_closed_pool_s_borrower_goes_on,
     "openssl: A session that is borrowed when its pool is closed "
     "works until it is given back")
{
    fixture_tls f = begin();
    tls_server *t = f.t;
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_pool_close(f.pool), VCP_OK);
    exchange(session, peer_of(t, 0), "one");
    give_back(conn);
    tls_server_close(t);
}

TEST(a_socket_without_session_is_not_lent, "openssl: A socket that was put, and has no session, is "
                                           "not handed out")
{
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn;
    int fd = client_of(&f.t->s);
    CHECK_EQ(vcp_pool_put(f.pool, fd, "tcp", f.t->address, NULL), VCP_OK);
    conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    end(&f);
}

static int never_called(void *user, const vcp_session_request *request, vcp_session *session)
{
    (void)user;
    (void)request;
    (void)session;
    return 1;
}

TEST(what_the_tls_adapter_sets_is_refused,
     "openssl: user and the callbacks that the adapter sets must "
     "be unset")
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    vcp_pool_options good = pool_options();
    vcp_pool_options options;
    vcp_pool *pool = NULL;
    options = good, options.user = &good;
    CHECK_EQ(vcp_openssl_pool_new(context, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.free_user = vcp_openssl_free_;
    CHECK_EQ(vcp_openssl_pool_new(context, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.on_open = vcp_openssl_on_open_;
    CHECK_EQ(vcp_openssl_pool_new(context, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.on_release = vcp_openssl_on_release_;
    CHECK_EQ(vcp_openssl_pool_new(context, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.open_session = never_called;
    CHECK_EQ(vcp_openssl_pool_new(context, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.size = 0;
    CHECK_EQ(vcp_openssl_pool_new(context, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    options = good, options.lifetime_jitter_percent = 101;
    CHECK_EQ(vcp_openssl_pool_new(context, &options, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_openssl_pool_new(NULL, &good, NULL, &pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_openssl_pool_new(context, &good, NULL, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK(pool == NULL);
    SSL_CTX_free(context);
}

typedef struct called {
    int rewrite, control, on_reuse, on_event;
    int on_idle; /* on a helper thread: atomic */
} called;

static int called_rewrite(void *user, const char *network, const char *address, char *out,
                          size_t size)
{
    (void)network;
    ((called *)user)->rewrite++;
    return snprintf(out, size, "%s", address) < (int)size ? 0 : 1;
}

static int called_control(void *user, const char *network, const char *address, int fd)
{
    (void)network;
    (void)address;
    (void)fd;
    ((called *)user)->control++;
    return 0;
}

static int called_on_reuse(void *user, vcp_conn *conn, int fd)
{
    (void)fd;
    CHECK(vcp_openssl_session(conn) != NULL);
    ((called *)user)->on_reuse++;
    return 0;
}

static int called_on_idle(void *user, vcp_conn *conn, int fd)
{
    (void)fd;
    CHECK(vcp_openssl_session(conn) != NULL);
    __atomic_add_fetch(&((called *)user)->on_idle, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static void called_on_event(void *user, const vcp_event *event)
{
    (void)event;
    ((called *)user)->on_event++;
}

TEST(tls_callbacks_get_event_user, "openssl: The program's own callbacks are passed event_user")
{
    fixture_tls f = begin();
    SSL_CTX *context = context_of("ca.pem");
    vcp_pool_options options = pool_options();
    called c;
    memset(&c, 0, sizeof c);
    options.rewrite = called_rewrite;
    options.control = called_control;
    options.on_reuse = called_on_reuse;
    options.on_event = called_on_event;
    options.on_idle = called_on_idle;
    options.on_idle_ms = 50;
    CHECK_EQ(vcp_pool_close(f.pool), VCP_OK);
    CHECK_EQ(vcp_openssl_pool_new(context, &options, &c, &f.pool), VCP_OK);
    SSL_CTX_free(context);
    CHECK(dial_for(f.pool, f.t->s.address, VCP_FOREVER) >= 0);
    CHECK(dial_for(f.pool, f.t->s.address, VCP_FOREVER) >= 0);
    CHECK_EQ(c.rewrite, 1);
    CHECK_EQ(c.control, 1);
    CHECK_EQ(c.on_reuse, 1);
    CHECK(c.on_event > 0);
    EVENTUALLY(__atomic_load_n(&c.on_idle, __ATOMIC_SEQ_CST) > 0, 5000);
    end(&f);
}

TEST(the_error_queue_is_left_alone, "openssl: A handshake that fails leaves nothing in OpenSSL's "
                                    "error queue; a reuse, a give-back and a close leave it alone")
{
    fixture_tls f = begin();
    vcp_pool *strict = rewriting_pool(f.t, "other.pem");
    SSL *session;
    vcp_conn *conn;
    CHECK_EQ(dial_for(strict, "localhost:1", VCP_FOREVER), VCP_ERR_CALLBACK);
    CHECK(ERR_peek_error() == 0);
    conn = borrow_tls(&f, &session);
    exchange(session, peer_of(f.t, 0), "one"); /* and the tickets are read */
    give_back(conn);
    ERR_raise(ERR_LIB_USER, 7);
    conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    SSL_shutdown(peer_of(f.t, 0)); /* the give-back finds it unfit */
    await_arrival(vcp_conn_raw_fd(conn));
    give_back(conn);
    check_refused(&f);
    CHECK_EQ(ERR_GET_REASON(ERR_peek_error()), 7);
    CHECK(ERR_peek_last_error() == ERR_peek_error());
    ERR_clear_error();
    CHECK_EQ(vcp_pool_close(strict), VCP_OK);
    end(&f);
}

TEST(plaintext_is_found_in_the_background_too, "openssl: With on_release_in_background unread "
                                               "plaintext closes the connection as well")
{
    vcp_pool_options options = pool_options();
    fixture_tls f;
    SSL *session;
    vcp_conn *conn;
    options.on_release_in_background = 1;
    f = begin_with(0, &options);
    conn = borrow_tls(&f, &session);
    exchange(session, peer_of(f.t, 0), "one");
    give_back(conn);
    EVENTUALLY(stats_of(f.pool).borrowed == 0, 5000);
    CHECK_EQ(idle_in(f.pool), 1);
    conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    peer_says(peer_of(f.t, 0), "two");
    await_arrival(vcp_conn_raw_fd(conn));
    give_back(conn);
    EVENTUALLY(stats_of(f.pool).borrowed == 0, 5000);
    check_refused(&f);
    end(&f);
}

TEST(what_has_not_rested_is_not_looked_at,
     "openssl: With on_reuse_after_ms a session that was idle "
     "for less is handed out ready for its borrow")
{
    vcp_pool_options options = pool_options();
    fixture_tls f;
    SSL *session;
    int i;
    options.on_reuse_after_ms = 60000;
    f = begin_with(0, &options);
    for (i = 0; i < 3; i++) {
        vcp_conn *conn = borrow_tls(&f, &session);
        exchange(session, peer_of(f.t, 0), "hello");
        give_back(conn);
    }
    CHECK_EQ(handshakes(f.t), 1);
    end(&f);
}

TEST(warmed_sessions_are_ready, "openssl: vcp_pool_warm makes the handshakes ahead")
{
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn;
    CHECK_EQ(vcp_pool_warm(f.pool, "tcp", f.t->address, NULL, 3), 3);
    EVENTUALLY(handshakes(f.t) == 3, 5000);
    conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(vcp_conn_set_deadline(conn, at_most(5000)), VCP_OK);
    CHECK_EQ(SSL_write(session, "hello", 5), 5);
    give_back(conn);
    end(&f);
}

TEST(a_child_makes_its_own_handshake, "openssl: After fork the parent's session goes on, and the "
                                      "child makes a handshake of its own")
{
    fixture_tls f = begin();
    SSL *session;
    vcp_conn *conn = borrow_tls(&f, &session);
    int status = -1;
    pid_t child;
    exchange(session, peer_of(f.t, 0), "one");
    give_back(conn);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        vcp_conn *own = NULL;
        int well = vcp_dial(f.pool, "tcp", f.t->address, &own) >= 0 &&
                   vcp_conn_is_reused(own) == 0 &&
                   SSL_write(vcp_openssl_session(own), "child", 5) == 5 &&
                   vcp_conn_close(own) == VCP_OK && vcp_pool_close(f.pool) == VCP_OK;
        _exit(well ? 0 : 1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    peer_hears(peer_of(f.t, 1), "child");
    conn = borrow_tls(&f, &session);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    exchange(session, peer_of(f.t, 0), "two");
    give_back(conn);
    end(&f);
}

/* ---- nginx ---- */

typedef struct asking {
    vcp_pool *pool;
    const char *address;
    int requests;
} asking;

static void ask_once(SSL *session)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char text[4096];
    int got = 0;
    CHECK_EQ(SSL_write(session, request, sizeof request - 1), (int)sizeof request - 1);
    do {
        int count = SSL_read(session, text + got, (int)sizeof text - 1 - got);
        CHECK(count > 0);
        got += count;
        text[got] = '\0';
    } while (strstr(text, "\r\n\r\nhello from nginx\n") == NULL);
    CHECK(strncmp(text, "HTTP/1.1 200 ", 13) == 0);
}

static void *ask_often(void *argument)
{
    asking *a = (asking *)argument;
    int i;
    for (i = 0; i < a->requests; i++) {
        vcp_conn *conn = NULL;
        CHECK(vcp_dial(a->pool, "tcp", a->address, &conn) >= 0);
        CHECK_EQ(vcp_conn_set_deadline(conn, at_most(5000)), VCP_OK);
        ask_once(vcp_openssl_session(conn));
        give_back(conn);
    }
    return NULL;
}

TEST(eight_threads_ask_nginx, "openssl: Eight threads over three connections to nginx make three "
                              "handshakes")
{
    vcp_pool_options options = pool_options();
    pthread_t threads[8];
    asking a;
    vcp_stats stats;
    int i;
    a.address = getenv("VCP_NGINX");
    if (a.address == NULL)
        SKIP("no nginx: VCP_NGINX");
    options.max_conns = 3;
    options.wait_timeout_ms = VCP_FOREVER;
    a.pool = tls_pool(&options);
    a.requests = 500;
    for (i = 0; i < 8; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, ask_often, &a), 0);
    for (i = 0; i < 8; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    stats = stats_of(a.pool);
    CHECK_BETWEEN(stats.dials, 1, 3);
    CHECK_EQ(stats.dial_failures, 0);
    CHECK_EQ(stats.closed_hook, 0);
    CHECK_EQ(stats.reuses + stats.dials, 8 * 500);
    CHECK_EQ(vcp_pool_close(a.pool), VCP_OK);
}
