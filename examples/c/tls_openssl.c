/*
 * tls_openssl - TLS sessions that ride along: the handshake is made once per connection, not once
 * per request.
 *
 *     tls_openssl host:port ca.pem [requests]
 *
 * Four threads ask for "/" over HTTPS. The certificate is verified against ca.pem and the host's
 * name: vconnpool/openssl.h does it.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vconnpool/openssl.h>

enum { THREADS = 4, ANSWER_WITHIN_MS = 5000 };

typedef struct {
    vcp_pool *pool;
    const char *address;
    int requests; /* of each thread */
} client;

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
        failed = vcp_conn_set_deadline(conn, ANSWER_WITHIN_MS) != VCP_OK ||
                 ask(vcp_openssl_session(conn), c->address) != 0;
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
    client c = {NULL, argc > 1 ? argv[1] : NULL, (argc > 3 ? atoi(argv[3]) : 1000) / THREADS};
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    vcp_stats stats;
    pthread_t threads[THREADS];
    int failed = 0;
    int i;
    if (argc < 3 || c.requests < 1) {
        fprintf(stderr, "usage: tls_openssl host:port ca.pem [requests]\n");
        return 2;
    }
    if (tls == NULL || SSL_CTX_load_verify_locations(tls, argv[2], NULL) != 1) {
        fprintf(stderr, "tls_openssl: %s: no certificates\n", argv[2]);
        return 1;
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    if (vcp_openssl_pool_new(tls, NULL, NULL, &c.pool) != VCP_OK) {
        fprintf(stderr, "tls_openssl: %s\n", vcp_last_error());
        return 1;
    }
    SSL_CTX_free(tls);
    for (i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, run, &c) != 0)
            return 1;
    for (i = 0; i < THREADS; i++) {
        void *result;
        failed |= pthread_join(threads[i], &result) != 0 || result != NULL;
    }
    if (vcp_pool_stats(c.pool, &stats, sizeof stats) != VCP_OK || vcp_pool_close(c.pool) != VCP_OK)
        failed = 1;
    printf("%d requests, %" PRIu64 " handshakes\n", THREADS * c.requests,
           stats.dials - stats.dial_failures);
    return failed;
}
