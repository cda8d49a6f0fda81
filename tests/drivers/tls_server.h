/*
 * tls_server.h - a server that makes the handshake with each client; then the test has the server's
 * end of each session, and does with it what it likes.
 *
 * VCP_TLS names the directory of the certificates that openssl.sh makes.
 */
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include "check.h"

#include <sys/ioctl.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { PEERS_MOST = 64 };

typedef struct tls_server {
    server s;
    char address[64]; /* localhost:port; s.address is an IP */
    SSL_CTX *context;
    int stop[2];
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    SSL *peers[PEERS_MOST];
    int count;
} tls_server;

static inline const char *tls_file(const char *name)
{
    static char path[PATH_MAX];
    const char *directory = getenv("VCP_TLS");
    CHECK(directory != NULL);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* Takes the first protocol that the client offers. */
static inline int take_protocol(SSL *session, const unsigned char **taken, unsigned char *length,
                                const unsigned char *offered, unsigned int size, void *user)
{
    (void)session;
    (void)size;
    (void)user;
    *taken = offered + 1;
    *length = offered[0];
    return SSL_TLSEXT_ERR_OK;
}

static inline void *make_handshakes(void *argument)
{
    tls_server *t = (tls_server *)argument;
    struct timeval patience = {5, 0};
    sigset_t its_own;
    int on = 1;
    sigemptyset(&its_own);
    sigaddset(&its_own, SIGPIPE);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &its_own, NULL), 0); /* the server's writes may fail */
    for (;;) {
        struct pollfd polled[2];
        SSL *peer;
        int fd;
        memset(polled, 0, sizeof polled);
        polled[0].fd = t->stop[0];
        polled[1].fd = t->s.fd;
        polled[0].events = polled[1].events = POLLIN;
        CHECK(poll(polled, 2, -1) > 0);
        if (polled[0].revents != 0)
            return NULL;
        fd = accept4(t->s.fd, NULL, NULL, SOCK_CLOEXEC);
        CHECK(fd >= 0);
        CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
        CHECK_EQ(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
        peer = SSL_new(t->context);
        CHECK(peer != NULL && SSL_set_fd(peer, fd));
        if (SSL_accept(peer) != 1) {
            SSL_free(peer);
            close(fd);
            ERR_clear_error();
            continue;
        }
        pthread_mutex_lock(&t->lock);
        CHECK(t->count < PEERS_MOST);
        t->peers[t->count++] = peer;
        pthread_mutex_unlock(&t->lock);
    }
}

/*
 * Takes that listener over. version: the newest that it speaks, or 0 for any. It lives until
 * tls_server_close.
 */
static inline tls_server *tls_server_on(server s, int version)
{
    tls_server *t = (tls_server *)calloc(1, sizeof *t);
    CHECK(t != NULL);
    signal(SIGPIPE, SIG_DFL); /* whatever the shell said: the tests would die by it */
    t->s = s;
    snprintf(t->address, sizeof t->address, "localhost:%d", t->s.port);
    t->context = SSL_CTX_new(TLS_server_method());
    CHECK(t->context != NULL);
    CHECK_EQ(SSL_CTX_use_certificate_file(t->context, tls_file("cert.pem"), SSL_FILETYPE_PEM), 1);
    CHECK_EQ(SSL_CTX_use_PrivateKey_file(t->context, tls_file("key.pem"), SSL_FILETYPE_PEM), 1);
    CHECK_EQ(SSL_CTX_set_max_proto_version(t->context, version), 1);
    SSL_CTX_set_alpn_select_cb(t->context, take_protocol, NULL);
    CHECK_EQ(pipe2(t->stop, O_CLOEXEC), 0);
    CHECK_EQ(pthread_mutex_init(&t->lock, NULL), 0);
    CHECK_EQ(pthread_create(&t->thread, NULL, make_handshakes, t), 0);
    return t;
}

static inline tls_server *tls_server_new(int version)
{
    return tls_server_on(tcp_server(), version);
}

static inline int handshakes(tls_server *t)
{
    int count;
    pthread_mutex_lock(&t->lock);
    count = t->count;
    pthread_mutex_unlock(&t->lock);
    return count;
}

/* The server's end of the session that was opened as number `index`, from 0. */
static inline SSL *peer_of(tls_server *t, int index)
{
    EVENTUALLY(handshakes(t) > index, 5000);
    return t->peers[index];
}

/* Ends the socket below: by a reset, or by an end of the stream without close_notify. */
static inline void peer_hangs_up(SSL *peer, int with_reset)
{
    int fd = SSL_get_fd(peer);
    int none = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct linger hard = {1, 0};
    CHECK(none >= 0);
    if (with_reset)
        CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    CHECK(dup2(none, fd) == fd); /* closes it; the number stays the session's */
    close(none);
}

static inline void peer_says(SSL *peer, const char *text)
{
    CHECK_EQ(SSL_write(peer, text, (int)strlen(text)), (int)strlen(text));
}

static inline void peer_hears(SSL *peer, const char *text)
{
    char bytes[256];
    CHECK_EQ(SSL_read(peer, bytes, sizeof bytes), (int)strlen(text));
    CHECK(memcmp(bytes, text, strlen(text)) == 0);
}

/* A session ticket, of which TLS 1.3 lets a server send as many as it likes, when it likes. */
static inline void peer_sends_ticket(SSL *peer)
{
    CHECK_EQ(SSL_new_session_ticket(peer), 1);
    CHECK_EQ(SSL_do_handshake(peer), 1);
}

/* How many bytes wait in the socket. */
static inline int unread_bytes(int fd)
{
    int count = 0;
    CHECK_EQ(ioctl(fd, FIONREAD, &count), 0);
    return count;
}

static inline void tls_server_close(tls_server *t)
{
    int i;
    CHECK_EQ(write(t->stop[1], "", 1), 1);
    CHECK_EQ(pthread_join(t->thread, NULL), 0);
    close(t->stop[0]);
    close(t->stop[1]);
    for (i = 0; i < t->count; i++) {
        close(SSL_get_fd(t->peers[i]));
        SSL_free(t->peers[i]);
    }
    SSL_CTX_free(t->context);
    server_close(&t->s);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

#endif
