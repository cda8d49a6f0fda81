/*
 * vconnpool/openssl.h - a pool of TLS sessions: OpenSSL's SSL over the connections of vconnpool.
 *
 * This file is the manual of the adapter; vconnpool.h is that of the pool. Header only: C99 or
 * later, C++11 or later; OpenSSL 3.0 or later; link with -lvconnpool -lssl -lcrypto. MIT OR
 * Apache-2.0.
 *
 *     SSL_CTX *context = SSL_CTX_new(TLS_client_method());
 *     SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
 *     SSL_CTX_set_default_verify_paths(context);
 *     vcp_openssl_pool_new(context, NULL, NULL, &pool);
 *     if (vcp_dial(pool, "tcp", "db.example:443", &conn) >= 0) {
 *         SSL *session = vcp_openssl_session(conn);          at each borrow
 *         vcp_conn_set_deadline(conn, 2000);                 holds for SSL_read and SSL_write
 *         ... SSL_write(session, ...), SSL_read(session, ...) ...
 *         vcp_conn_close(conn);                              gives it back
 *     }
 *
 * HANDSHAKE. It is part of the dial, and ends with it: VCP_ERR_TIMEOUT has VCP_PHASE_OPENING then.
 * The name comes from the address that is dialed, before rewrite: "db.example:443" is asked for as
 * db.example (SNI, RFC 6066, section 3), and the certificate must be db.example's (SSL_set1_host).
 * "10.0.0.5:443" needs a certificate of that IP, and SNI is not sent. Unix sockets have no name.
 * Everything else is the context's: authorities, versions, ALPN, client certificates. Without
 * SSL_VERIFY_PEER, which is OpenSSL's default, it lets every certificate pass. A handshake that
 * fails is VCP_ERR_CALLBACK with OpenSSL's reason in vcp_last_error().
 *
 * USE. vcp_openssl_session gives the session to one borrow. Its bytes are moved by vcp_conn_*: the
 * deadlines and the token of the borrow end SSL_read and SSL_write, vcp_pool_abort too; SIGPIPE is
 * never raised; a failure discards the connection, and vcp_conn_should_retry knows of it. After
 * SSL_ERROR_SYSCALL vcp_last_error() says what happened. A blocking descriptor makes them wait; a
 * non-blocking one makes them return SSL_ERROR_WANT_READ or _WRITE, for vcp_conn_wait or an event
 * loop. One thread at a time uses a session. After SSL_shutdown, or SSL_ERROR_SSL, which is fatal
 * (SSL_get_error(3)), the connection is not kept.
 *
 * GIVEN BACK. The session is looked at, without waiting (VCP_CLOSE_HOOK if it is unfit):
 *
 *     plaintext that was not read, a record that was read or written in part,       closed
 *       a fatal error, close_notify
 *     session tickets and key updates that have arrived                             read, and kept
 *
 * IDLE. A server may send session tickets at any time (RFC 8446, section 4.6.1), so bytes that
 * arrive are no reason to close: VCP_LIVENESS_ALLOW_DATA takes the place of VCP_LIVENESS_STRICT.
 * Whether they are a ticket or an answer that came too late only the session can tell, so it is
 * looked at once more before it is handed out (on_reuse): the next borrower never reads what
 * another one asked for. A pool with on_reuse hands idle connections to vcp_dial_async through the
 * queue. With on_reuse_after_ms, connections that have been idle for less are handed out without
 * this look.
 *
 * END. The server is told by close_notify (RFC 8446, section 6.1), if there is room to say it, but
 * not after a failure; its answer is not awaited. This neither waits nor raises SIGPIPE. A
 * descriptor that the borrower has closed is left alone.
 *
 * DETACH. Fetch the session first, then vcp_conn_detach, then SSL_set_fd(session, fd), all before
 * the pool is closed: the session's BIO belongs to the pool. From then on both are yours.
 *
 * OWNERSHIP AND THREADS. The pool keeps a reference to the context until its last connection is
 * closed: you may free yours at once. event_user is the program's, and must live as long as
 * vcp_pool_options.user. The adapter leaves nothing of its own in the thread's error queue of
 * OpenSSL (ERR_get_error(3)); OpenSSL itself empties it at handshakes and tickets. Names that end
 * in _ are the header's own.
 */
#ifndef VCONNPOOL_OPENSSL_H
#define VCONNPOOL_OPENSSL_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <vconnpool.h>

/* What a pool's callbacks are given. */
typedef struct vcp_openssl_pool_ {
    SSL_CTX *context;
    BIO_METHOD *method;
    vcp_pool_options program; /* as the program passed them, for its callbacks */
    void *event_user;
} vcp_openssl_pool_;

enum { VCP_OPENSSL_AS_FD_, VCP_OPENSSL_WAITS_, VCP_OPENSSL_NEVER_WAITS_ };

/* What a session's BIO knows: how its bytes are moved, and what became of them. */
typedef struct vcp_openssl_io_ {
    vcp_conn *conn; /* the borrow; NULL: the connection is being closed */
    int fd;
    struct stat socket; /* to know it again */
    int waiting;
    int is_empty;  /* the last read found nothing */
    int has_ended; /* it found the end of the stream */
    int has_rest;  /* the last write moved a part */
    int has_failed;
} vcp_openssl_io_;

/* NULL: the program has given the session another BIO. */
static inline vcp_openssl_io_ *vcp_openssl_io_of_(const SSL *session)
{
    BIO *bio = SSL_get_rbio(session);
    int is_own =
        bio != NULL && BIO_method_type(bio) == (BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR);
    return is_own ? (vcp_openssl_io_ *)BIO_get_data(bio) : NULL;
}

/* The socket is not ready: 1 if it is by now, 0 if the caller is to try later, -1 if it failed. */
static inline int vcp_openssl_wait_(vcp_openssl_io_ *io, int32_t events)
{
    int mode;
    if (io->waiting == VCP_OPENSSL_NEVER_WAITS_)
        return 0;
    if (io->waiting == VCP_OPENSSL_AS_FD_) {
        mode = fcntl(io->fd, F_GETFL);
        if (mode < 0 || (mode & O_NONBLOCK) != 0)
            return mode < 0 ? -1 : 0;
    }
    return vcp_conn_wait(io->conn, events) > 0 ? 1 : -1;
}

static inline int vcp_openssl_read_(BIO *bio, char *bytes, int size)
{
    vcp_openssl_io_ *io = (vcp_openssl_io_ *)BIO_get_data(bio);
    int64_t count;
    int ready = 1;
    BIO_clear_retry_flags(bio);
    do {
        count = vcp_conn_try_read(io->conn, bytes, (size_t)size);
        io->is_empty = count == VCP_ERR_WOULD_BLOCK;
    } while (io->is_empty && (ready = vcp_openssl_wait_(io, VCP_READABLE)) > 0);
    if (io->is_empty && ready == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    io->has_ended = count == 0;
    io->has_failed |= count <= 0;
    return count < 0 ? -1 : (int)count;
}

static inline int vcp_openssl_write_(BIO *bio, const char *bytes, int size)
{
    vcp_openssl_io_ *io = (vcp_openssl_io_ *)BIO_get_data(bio);
    int64_t count;
    int ready = 1;
    BIO_clear_retry_flags(bio);
    if (io->conn == NULL)
        return (int)send(io->fd, bytes, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    do {
        count = vcp_conn_try_write(io->conn, bytes, (size_t)size);
        io->has_rest = count < size;
    } while (count == VCP_ERR_WOULD_BLOCK && (ready = vcp_openssl_wait_(io, VCP_WRITABLE)) > 0);
    if (count == VCP_ERR_WOULD_BLOCK && ready == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    io->has_failed |= count < 0;
    return count < 0 ? -1 : (int)count;
}

static inline long vcp_openssl_control_(BIO *bio, int command, long number, void *pointer)
{
    const vcp_openssl_io_ *io = (const vcp_openssl_io_ *)BIO_get_data(bio);
    (void)number;
    if (command == BIO_C_GET_FD && pointer != NULL)
        *(int *)pointer = io->fd;
    return command == BIO_C_GET_FD     ? io->fd
           : command == BIO_CTRL_EOF   ? io->has_ended
           : command == BIO_CTRL_FLUSH ? 1
                                       : 0;
}

static inline int vcp_openssl_free_io_(BIO *bio)
{
    free(BIO_get_data(bio));
    return 1;
}

/* A session over that connection; NULL if memory ran out. */
static inline SSL *vcp_openssl_new_session_(const vcp_openssl_pool_ *pool, vcp_conn *conn, int fd)
{
    vcp_openssl_io_ *io = (vcp_openssl_io_ *)calloc(1, sizeof *io);
    SSL *session = SSL_new(pool->context);
    BIO *bio = BIO_new(pool->method);
    if (io == NULL || session == NULL || bio == NULL || fstat(fd, &io->socket) != 0) {
        free(io);
        SSL_free(session);
        (void)BIO_free(bio); /* 0 for NULL */
        return NULL;
    }
    io->conn = conn;
    io->fd = fd;
    BIO_set_data(bio, io);
    BIO_set_init(bio, 1);
    SSL_set_bio(session, bio, bio);
    return session;
}

/* Whom to ask for and to verify: 1, or 0 if OpenSSL refuses the name. */
static inline int vcp_openssl_set_name_(SSL *session, vcp_conn *conn)
{
    char network[32];
    char text[1100];
    char *name = text;
    char *end;
    if (vcp_conn_network(conn, network, sizeof network) < 0 ||
        vcp_conn_address(conn, text, sizeof text) < 0)
        return 0;
    end = strrchr(text, ':');
    if (strncmp(network, "tcp", 3) != 0 || end == NULL)
        return 1;
    *end = '\0';
    if (*name == '[') {
        name++;
        name[strcspn(name, "%]")] = '\0'; /* fe80::1 of [fe80::1%eth0] */
    }
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), name))
        return 1;
    if (end > name && end[-1] == '.')
        end[-1] = '\0'; /* RFC 6066: without the dot of the root */
    return SSL_set_tlsext_host_name(session, name) && SSL_set1_host(session, name);
}

/* Refuses the dial, and says why. */
static inline int vcp_openssl_refuse_(const SSL *session)
{
    const vcp_openssl_io_ *io = session == NULL ? NULL : vcp_openssl_io_of_(session);
    long verified = session == NULL ? X509_V_OK : SSL_get_verify_result(session);
    unsigned long error = ERR_peek_last_error();
    const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);
    if (verified != X509_V_OK && SSL_get_verify_mode(session) != SSL_VERIFY_NONE)
        reason = X509_verify_cert_error_string(verified);
    else if (io != NULL && io->has_failed)
        reason = io->has_ended ? "the server ended the connection" : vcp_last_error();
    /* Without its text it is refused all the same. */
    return vcp_set_callback_error(reason != NULL ? reason : "OpenSSL says no reason") < 0 ? 2 : 1;
}

/* free_data. */
static inline void vcp_openssl_end_(void *data)
{
    SSL *session = (SSL *)data;
    vcp_openssl_io_ *io = vcp_openssl_io_of_(session);
    struct stat now;
    (void)ERR_set_mark(); /* 0: the queue was empty; pop_to_mark empties it again */
    if (io != NULL && !io->has_failed && !io->has_rest && SSL_is_init_finished(session) &&
        fstat(io->fd, &now) == 0 && now.st_dev == io->socket.st_dev &&
        now.st_ino == io->socket.st_ino) {
        io->conn = NULL;
        (void)SSL_shutdown(session); /* the good-bye is a courtesy */
    }
    SSL_free(session);
    (void)ERR_pop_to_mark();
}

static inline int vcp_openssl_on_open_(void *user, vcp_conn *conn, int fd)
{
    const vcp_openssl_pool_ *pool = (const vcp_openssl_pool_ *)user;
    SSL *session;
    int refused = 0;
    (void)ERR_set_mark();
    session = vcp_openssl_new_session_(pool, conn, fd);
    if (session != NULL)
        vcp_openssl_io_of_(session)->waiting = VCP_OPENSSL_WAITS_;
    if (session == NULL || !vcp_openssl_set_name_(session, conn) || SSL_connect(session) != 1 ||
        (pool->program.liveness == VCP_LIVENESS_STRICT &&
         vcp_conn_set_liveness(conn, VCP_LIVENESS_ALLOW_DATA) != VCP_OK) ||
        vcp_conn_set_data(conn, session, vcp_openssl_end_) != VCP_OK) {
        refused = vcp_openssl_refuse_(session);
        SSL_free(session);
    } else {
        vcp_openssl_io_of_(session)->waiting = VCP_OPENSSL_AS_FD_;
    }
    (void)ERR_pop_to_mark();
    return refused;
}

/* Reads the tickets that have arrived; 1 if then nothing is left that a borrower would read. */
static inline int vcp_openssl_is_clean_(SSL *session, vcp_conn *conn)
{
    vcp_openssl_io_ *io = session == NULL ? NULL : vcp_openssl_io_of_(session);
    char byte;
    int found;
    if (io == NULL || io->has_rest || io->has_failed || !SSL_is_init_finished(session) ||
        SSL_get_shutdown(session) != 0)
        return 0;
    io->conn = conn;
    io->waiting = VCP_OPENSSL_NEVER_WAITS_;
    (void)ERR_set_mark();
    do {
        /* Without SSL_MODE_AUTO_RETRY it returns after each ticket. */
        io->is_empty = 0;
        found = SSL_peek(session, &byte, 1);
    } while (found <= 0 && !io->is_empty && BIO_should_retry(SSL_get_rbio(session)));
    (void)ERR_pop_to_mark();
    io->waiting = VCP_OPENSSL_AS_FD_;
    return found <= 0 && io->is_empty && !io->has_rest && SSL_is_init_finished(session) &&
           !SSL_has_pending(session);
}

static inline int vcp_openssl_on_release_(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)fd;
    return !vcp_openssl_is_clean_((SSL *)vcp_conn_data(conn), conn);
}

static inline int vcp_openssl_on_reuse_(void *user, vcp_conn *conn, int fd)
{
    const vcp_openssl_pool_ *pool = (const vcp_openssl_pool_ *)user;
    if (!vcp_openssl_is_clean_((SSL *)vcp_conn_data(conn), conn))
        return 1;
    return pool->program.on_reuse == NULL ? 0 : pool->program.on_reuse(pool->event_user, conn, fd);
}

/* The program's callbacks, with the pointer that is the program's. */
static inline int vcp_openssl_rewrite_(void *user, const char *network, const char *address,
                                       char *out, size_t size)
{
    const vcp_openssl_pool_ *pool = (const vcp_openssl_pool_ *)user;
    return pool->program.rewrite(pool->event_user, network, address, out, size);
}

static inline int vcp_openssl_resolve_(void *user, const char *network, const char *host,
                                       int64_t timeout_ms, vcp_resolved *out)
{
    const vcp_openssl_pool_ *pool = (const vcp_openssl_pool_ *)user;
    return pool->program.resolve(pool->event_user, network, host, timeout_ms, out);
}

static inline int vcp_openssl_dial_(void *user, const char *network, const char *address,
                                    int64_t timeout_ms)
{
    const vcp_openssl_pool_ *pool = (const vcp_openssl_pool_ *)user;
    return pool->program.dial(pool->event_user, network, address, timeout_ms);
}

static inline int vcp_openssl_control_socket_(void *user, const char *network, const char *address,
                                              int fd)
{
    const vcp_openssl_pool_ *pool = (const vcp_openssl_pool_ *)user;
    return pool->program.control(pool->event_user, network, address, fd);
}

static inline int vcp_openssl_on_idle_(void *user, vcp_conn *conn, int fd)
{
    const vcp_openssl_pool_ *pool = (const vcp_openssl_pool_ *)user;
    return pool->program.on_idle(pool->event_user, conn, fd);
}

static inline void vcp_openssl_on_event_(void *user, const vcp_event *event)
{
    const vcp_openssl_pool_ *pool = (const vcp_openssl_pool_ *)user;
    pool->program.on_event(pool->event_user, event);
}

static inline void vcp_openssl_free_(void *user)
{
    vcp_openssl_pool_ *pool = (vcp_openssl_pool_ *)user;
    SSL_CTX_free(pool->context);
    BIO_meth_free(pool->method);
    free(pool);
}

/* The state of a pool; NULL if memory ran out. */
static inline vcp_openssl_pool_ *vcp_openssl_new_(SSL_CTX *context)
{
    vcp_openssl_pool_ *pool = (vcp_openssl_pool_ *)calloc(1, sizeof *pool);
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "vconnpool");
    if (pool == NULL || method == NULL || !BIO_meth_set_read(method, vcp_openssl_read_) ||
        !BIO_meth_set_write(method, vcp_openssl_write_) ||
        !BIO_meth_set_ctrl(method, vcp_openssl_control_) ||
        !BIO_meth_set_destroy(method, vcp_openssl_free_io_) || !SSL_CTX_up_ref(context)) {
        BIO_meth_free(method);
        free(pool);
        return NULL;
    }
    pool->context = context;
    pool->method = method;
    return pool;
}

/**
 * Makes a pool whose connections carry TLS sessions, and writes its handle to *pool.
 *
 * context: a client's context, which the pool shares; what is changed in it later holds for later
 * handshakes. options: NULL or initialised ones, where user, free_user, open_session, on_open and
 * on_release are unset; the other callbacks may be set, on_reuse too, and are called with
 * event_user.
 *
 * Errors: those of vcp_pool_new; VCP_ERR_NO_MEMORY; VCP_ERR_INVALID_ARGUMENT if context is NULL,
 * one of those five is set, or options are not initialised.
 */
static inline int vcp_openssl_pool_new(SSL_CTX *context, const vcp_pool_options *options,
                                       void *event_user, vcp_pool **pool)
{
    vcp_pool_options own;
    vcp_openssl_pool_ *user;
    int status = vcp_pool_options_init(&own, sizeof own);
    if (status != VCP_OK)
        return status;
    if (options != NULL) {
        if (options->size != sizeof own || options->user != NULL || options->free_user != NULL ||
            options->open_session != NULL || options->on_open != NULL ||
            options->on_release != NULL)
            return vcp_set_last_error(
                VCP_ERR_INVALID_ARGUMENT,
                "vcp_openssl_pool_new: options that are not initialised, or "
                "user, free_user, open_session, on_open and on_release are not unset");
        own = *options;
    }
    if (context == NULL)
        return vcp_set_last_error(VCP_ERR_INVALID_ARGUMENT,
                                  "vcp_openssl_pool_new: context is NULL");
    user = vcp_openssl_new_(context);
    if (user == NULL)
        return vcp_set_last_error(VCP_ERR_NO_MEMORY, "vcp_openssl_pool_new: memory ran out");
    user->program = own;
    user->event_user = event_user;
    own.user = user;
    own.free_user = vcp_openssl_free_;
    own.on_open = vcp_openssl_on_open_;
    own.on_release = vcp_openssl_on_release_;
    own.on_reuse = vcp_openssl_on_reuse_;
    own.rewrite = own.rewrite == NULL ? NULL : vcp_openssl_rewrite_;
    own.resolve = own.resolve == NULL ? NULL : vcp_openssl_resolve_;
    own.dial = own.dial == NULL ? NULL : vcp_openssl_dial_;
    own.control = own.control == NULL ? NULL : vcp_openssl_control_socket_;
    own.on_idle = own.on_idle == NULL ? NULL : vcp_openssl_on_idle_;
    own.on_event = own.on_event == NULL ? NULL : vcp_openssl_on_event_;
    status = vcp_pool_new(&own, pool);
    if (status != VCP_OK)
        vcp_openssl_free_(user);
    return status;
}

/**
 * The session of a borrowed connection, made ready for this borrow: call it at each. It is valid
 * until vcp_conn_close. NULL if conn is no live handle.
 */
static inline SSL *vcp_openssl_session(vcp_conn *conn)
{
    SSL *session = (SSL *)vcp_conn_data(conn);
    vcp_openssl_io_ *io = session == NULL ? NULL : vcp_openssl_io_of_(session);
    if (io != NULL)
        io->conn = conn;
    return session;
}

#endif
