/*
 * tls_openssl - TLS sessions that ride along: the handshake is made once per connection, not once
 * per request.
 *
 *     tls_openssl host:port ca.pem [requests]
 *
 * Four threads ask for "/" over HTTPS. The certificate is verified against ca.pem and the host's
 * name.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vconnpool.h>

enum { THREADS = 4 };

typedef struct {
    SSL_CTX *tls;
    vcp_pool *pool;
    const char *address;
    int requests; /* of each thread */
} client;

/* Says good-bye and frees the session. The descriptor is still open, and in non-blocking mode: this
 * never waits. */
static void free_session(void *session)
{
    SSL_shutdown((SSL *)session);
    ERR_clear_error();
    SSL_free((SSL *)session);
}

/* "db.example:443" is asked for and verified as db.example. */
static int set_name(SSL *session, vcp_conn *conn)
{
    char host[1024 + 1];
    char *name = host;
    char *colon;
    if (vcp_conn_address(conn, host, sizeof host) < 0 || (colon = strrchr(host, ':')) == NULL)
        return 0;
    *colon = '\0';
    if (*name == '[') {
        name[strlen(name) - 1] = '\0';
        name++;
    }
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), name))
        return 1;
    return SSL_set_tlsext_host_name(session, name) && SSL_set1_host(session, name);
}

/* on_open: the handshake. When the dial's time is over the library shuts the socket down, and
 * SSL_connect ends. */
static int handshake(void *user, vcp_conn *conn, int fd)
{
    SSL *session = SSL_new(((client *)user)->tls);
    int is_open = session != NULL && SSL_set_fd(session, fd) && set_name(session, conn) &&
                  SSL_connect(session) == 1;
    /* Session tickets may arrive at any time: unread bytes are no reason to close. */
    if (is_open && vcp_conn_set_liveness(conn, VCP_LIVENESS_ALLOW_DATA) == VCP_OK &&
        vcp_conn_set_data(conn, session, free_session) == VCP_OK)
        return 0;
    if (session != NULL && SSL_get_verify_result(session) != X509_V_OK)
        vcp_set_callback_error(X509_verify_cert_error_string(SSL_get_verify_result(session)));
    else
        vcp_set_callback_error(ERR_error_string(ERR_get_error(), NULL));
    ERR_clear_error();
    SSL_free(session);
    return 1;
}

/* on_release: what still has an unread answer inside must not reach the next borrower. */
static int has_no_rest(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)fd;
    return SSL_pending((SSL *)vcp_conn_data(conn)) > 0;
}

/* One request; 0, or -1. */
static int ask(SSL *session, const char *address)
{
    char text[8192];
    int got = 0;
    int count;
    const char *body;
    const char *length;
    int size = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", address);
    if (size >= (int)sizeof text || SSL_write(session, text, size) != size)
        return -1;
    for (;;) {
        if (got + 1 >= (int)sizeof text ||
            (count = SSL_read(session, text + got, (int)sizeof text - 1 - got)) <= 0)
            return -1;
        got += count;
        text[got] = '\0';
        body = strstr(text, "\r\n\r\n");
        length = strstr(text, "\r\nContent-Length: ");
        if (body != NULL && length != NULL && got >= (int)(body + 4 - text) + atoi(length + 18))
            return strncmp(text, "HTTP/1.1 200 ", 13) == 0 ? 0 : -1;
    }
}

static void *run(void *user)
{
    client *c = (client *)user;
    int i;
    for (i = 0; i < c->requests; i++) {
        vcp_conn *conn;
        int failed;
        if (vcp_dial(c->pool, "tcp", c->address, &conn) < 0) {
            fprintf(stderr, "tls_openssl: %s\n", vcp_last_error());
            return c;
        }
        failed = ask((SSL *)vcp_conn_data(conn), c->address);
        if (failed && vcp_conn_discard(conn) != VCP_OK)
            fprintf(stderr, "tls_openssl: %s\n", vcp_last_error());
        if (vcp_conn_close(conn) != VCP_OK || failed) {
            fprintf(stderr, "tls_openssl: a request failed\n");
            return c;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    client c = {NULL, NULL, argc > 1 ? argv[1] : NULL, (argc > 3 ? atoi(argv[3]) : 1000) / THREADS};
    vcp_pool_options options;
    vcp_stats stats;
    pthread_t threads[THREADS];
    int failed = 0;
    int i;
    if (argc < 3 || c.requests < 1) {
        fprintf(stderr, "usage: tls_openssl host:port ca.pem [requests]\n");
        return 2;
    }
    /* The library never raises SIGPIPE, but OpenSSL writes by itself: the good-bye to a peer that
     * has reset the connection would. */
    signal(SIGPIPE, SIG_IGN);
    c.tls = SSL_CTX_new(TLS_client_method());
    if (c.tls == NULL || SSL_CTX_load_verify_locations(c.tls, argv[2], NULL) != 1) {
        fprintf(stderr, "tls_openssl: %s: no certificates\n", argv[2]);
        return 1;
    }
    SSL_CTX_set_verify(c.tls, SSL_VERIFY_PEER, NULL);
    if (vcp_pool_options_init(&options, sizeof options) != VCP_OK)
        return 1;
    options.user = &c;
    options.on_open = handshake;
    options.on_release = has_no_rest;
    if (vcp_pool_new(&options, &c.pool) != VCP_OK) {
        fprintf(stderr, "tls_openssl: %s\n", vcp_last_error());
        return 1;
    }
    for (i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, run, &c) != 0)
            return 1;
    for (i = 0; i < THREADS; i++) {
        void *result;
        failed |= pthread_join(threads[i], &result) != 0 || result != NULL;
    }
    if (vcp_pool_stats(c.pool, &stats, sizeof stats) != VCP_OK || vcp_pool_close(c.pool) != VCP_OK)
        failed = 1;
    SSL_CTX_free(c.tls);
    printf("%d requests, %" PRIu64 " handshakes\n", THREADS * c.requests,
           stats.dials - stats.dial_failures);
    return failed;
}
