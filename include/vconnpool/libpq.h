/*
 * vconnpool/libpq.h - a pool of PostgreSQL sessions: libpq's PGconn in vconnpool.
 *
 * This file is the adapter's manual; vconnpool.h is the pool's. Names in brackets are sections of
 * the chapter "libpq" of PostgreSQL's manual. Header only: C99 or later, C++11 or later; compile
 * and link with $(pkg-config --cflags --libs vconnpool libpq). MIT OR Apache-2.0.
 *
 *     vcp_pool *pool;
 *     vcp_conn *conn;
 *     vcp_libpq_pool_new("user=web dbname=shop", "DISCARD ALL", NULL, NULL, &pool);
 *     if (vcp_dial(pool, "tcp", "10.0.0.5:5432", &conn) >= 0) {
 *         PGconn *session = vcp_libpq_session(conn);
 *         PGresult *result = PQexec(session, "SELECT 1");
 *         vcp_conn_report(conn, PQstatus(session) == CONNECTION_OK ? 1 : 0, 0);
 *         ...
 *         vcp_conn_close(conn);                          gives it back, and never waits
 *     }
 *
 * WHERE. Network and address say where; conninfo [Connection Strings] says the rest.
 *
 *     "tcp",  "db:5432"                              host=db port=5432
 *     "tcp",  "10.0.0.5:5432" or "[::1]:5432"        hostaddr=10.0.0.5 port=5432
 *     "unix", "/run/postgresql/.s.PGSQL.5432"        host=/run/postgresql port=5432
 *
 * hostaddr and port in conninfo are refused. So is host, except where the address is an IP: there
 * it is the name that TLS verifies. A reuse tag is more conninfo, which overrides: "user=alice".
 * Quote names that come from outside, as in conninfo. Sessions are reused only under their own tag,
 * so those of two users never mix. Events and descriptions show tags: a password belongs into
 * conninfo or a passfile.
 *
 * LOGIN. It keeps the dial's deadline to the millisecond [PQconnectStartParams, PQconnectPoll].
 * One thing can hold it up: libpq looks a host name up by getaddrinfo(3), which waits as long as
 * the resolver does. An IP is not looked up. libpq tries the addresses of a name one after another;
 * a silent one uses up all the time. connect_timeout has no effect.
 *
 * USE. Until it is given back the session is the borrower's, PQreset included. Deadlines and
 * tokens of vcp_conn_* do not bind PQexec; PQsendQuery with vcp_conn_wait keeps them, until PQreset
 * makes another socket. After vcp_conn_detach the session is the caller's, to be ended by PQfinish.
 *
 * Report after every statement, as above: 1 if it was answered, by an error of SQL too; 0 if the
 * connection broke, which discards the session. vcp_conn_should_retry is 1 if it broke before any
 * answer: then the borrow may be done once more, if doing it twice does no harm. Without the report
 * of an answer, two statements in one borrow may be done twice.
 *
 * GIVEN BACK. A helper thread does this within hook_timeout_ms, after vcp_conn_close returned;
 * vcp_pool_drain waits for it:
 *
 *     broken; a query, COPY or pipeline under way;        closed
 *       results or notifications that were not read
 *     in a transaction, also a failed one                 ROLLBACK, then as below
 *     else                                                reset, if there is one; kept
 *
 * The next dial may come before the session is back: set wait_timeout_ms with max_conns, or it is
 * refused; without a limit it logs in anew.
 *
 * Rows of reset are dropped. If a command fails or takes too long, the session is closed
 * (VCP_CLOSE_HOOK). What only libpq knows stays as it is: notice processor, PQsetnonblocking. The
 * server may go on with the query of a session that is closed: PQcancel it before.
 *
 * IDLE. VCP_LIVENESS_STRICT, the default, is right, because an idle server is silent. That holds
 * over TLS too: its tickets come with the handshake, and the login has read them. What the server
 * says by itself makes a session unfit: that it ends, a notification (it would reach the wrong
 * borrower), a setting that a reload changed.
 *
 * OWNERSHIP, THREADS. conninfo, reset and options are copied. event_user is the program's and must
 * live as vcp_pool_options.user must. One thread at a time uses a session; libpq must be
 * thread-safe [PQisthreadsafe]. Sessions end by PQfinish, on the thread that closes them, and it
 * does not wait. Names that end in _ are not for use.
 */
#ifndef VCONNPOOL_LIBPQ_H
#define VCONNPOOL_LIBPQ_H

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libpq-fe.h>
#include <vconnpool.h>

/* What the callbacks of a pool are given. */
typedef struct vcp_libpq_pool_ {
    PQconninfoOption *conninfo;
    const char *reset;        /* behind this struct, or NULL */
    vcp_pool_options program; /* for its callbacks */
    void *event_user;
} vcp_libpq_pool_;

/* Refuses in libpq's words, which may be long, end a line, and not be UTF-8. */
static inline int vcp_libpq_refuse_(const char *text)
{
    char line[1000];
    size_t length = (size_t)snprintf(line, sizeof line, "%s", text);
    length = length < sizeof line ? length : sizeof line - 1;
    while (length > 0 && line[length - 1] == '\n')
        line[--length] = '\0';
    if (vcp_set_callback_error(line) == VCP_OK)
        return 1;
    while (length-- > 0)
        line[length] = (unsigned char)line[length] < 0x80 ? line[length] : '?';
    return vcp_set_callback_error(line) == VCP_OK ? 1 : 2;
}

/* Waits for the socket: 1 if an event holds, 0 at the end of the time, -1 after an error. */
static inline int vcp_libpq_wait_(PGconn *session, short events, int64_t end_ms)
{
    struct pollfd polled;
    int ready;
    polled.fd = PQsocket(session);
    polled.events = events;
    do {
        int64_t left = end_ms - vcp_now_ms();
        if (polled.fd < 0 || left <= 0)
            return polled.fd < 0 ? -1 : 0;
        ready = poll(&polled, 1, left < INT_MAX ? (int)left : INT_MAX);
    } while (ready == 0 || (ready < 0 && errno == EINTR));
    return ready;
}

/* vcp_now_ms, and what is left by it, are rounded down (timeout_ms is rounded up): 2 ms more, so
 * that a refusal comes after the deadline. */
static inline int64_t vcp_libpq_end_(int64_t timeout_ms)
{
    int is_limited = timeout_ms >= 0 && timeout_ms < INT64_MAX / 2;
    return is_limited ? vcp_now_ms() + timeout_ms + 2 : INT64_MAX;
}

/* [PQfinish] says good-bye, and waits for room to do so: where there is none it has to fail. */
static inline void vcp_libpq_finish_(void *data)
{
    struct pollfd polled;
    polled.fd = PQsocket((PGconn *)data);
    polled.events = POLLOUT;
    if (polled.fd >= 0 && poll(&polled, 1, 0) <= 0)
        (void)shutdown(polled.fd, SHUT_RDWR); /* fails where nothing can wait: not connected */
    PQfinish((PGconn *)data);
}

/* Where to connect to, as libpq wants it. */
typedef struct vcp_libpq_place_ {
    char address[1100]; /* the library's are shorter; host and port are parts of it */
    const char *host;
    const char *port;
    int is_ip;
} vcp_libpq_place_;

/* Takes an address apart: NULL, or what is wrong with it. */
static inline const char *vcp_libpq_find_(vcp_libpq_place_ *place,
                                          const vcp_session_request *request)
{
    static const char name[] = "/.s.PGSQL.";
    int is_unix = strcmp(request->network, "unix") == 0;
    size_t skipped = is_unix ? sizeof name - 1 : 1;
    char *end;
    if (!is_unix && strcmp(request->network, "tcp") != 0)
        return "PostgreSQL is dialed by tcp and unix";
    if (snprintf(place->address, sizeof place->address, "%s", request->address) < 0)
        return "the address is no text";
    end = strrchr(place->address, is_unix ? '/' : ':');
    if (end == NULL || (is_unix && strncmp(end, name, skipped) != 0))
        return "the address is no host:port, no /DIRECTORY/.s.PGSQL.PORT";
    *end = '\0';
    place->port = end + skipped;
    place->host = place->address;
    if (!is_unix && place->address[0] == '[' && end[-1] == ']') {
        end[-1] = '\0';
        place->host++;
    }
    if (place->host[0] == '\0')
        place->host = is_unix ? "/" : "127.0.0.1";
    place->is_ip = !is_unix && (strchr(place->host, ':') != NULL ||
                                place->host[strspn(place->host, "0123456789.")] == '\0');
    return NULL;
}

/* Adds conninfo and what the tag overrides: NULL, or what is wrong. Parsed, all conninfo has the
 * same words in the same order. */
static inline const char *vcp_libpq_join_(const PQconninfoOption *conninfo,
                                          const PQconninfoOption *tag, int is_ip,
                                          const char **keywords, const char **values, size_t most)
{
    size_t count = 0;
    for (; conninfo->keyword != NULL; conninfo++, tag++) {
        const char *value = tag->val != NULL ? tag->val : conninfo->val;
        if (value == NULL)
            continue;
        if (strcmp(conninfo->keyword, "hostaddr") == 0 || strcmp(conninfo->keyword, "port") == 0 ||
            (strcmp(conninfo->keyword, "host") == 0 && !is_ip))
            return "host, hostaddr and port are for the address to say";
        if (count == most)
            return "conninfo is too long";
        keywords[count] = conninfo->keyword;
        values[count++] = value;
    }
    return NULL;
}

/* [PQconnectStartParams]; NULL if it refuses. What stands later overrides. */
static inline PGconn *vcp_libpq_start_(const vcp_libpq_pool_ *pool, const PQconninfoOption *tag,
                                       const vcp_session_request *request)
{
    vcp_libpq_place_ place;
    const char *wrong = vcp_libpq_find_(&place, request);
    /* This dbname is expanded: PGHOST, PGHOSTADDR and PGPORT of the environment do not count. */
    const char *keywords[120] = {"dbname", "port", "host"};
    const char *values[120] = {"host='' hostaddr='' port=''"};
    PGconn *session = NULL;
    if (wrong == NULL)
        wrong = vcp_libpq_join_(pool->conninfo, tag, place.is_ip, keywords + 3, values + 3, 116);
    if (wrong == NULL) {
        keywords[2] = place.is_ip ? "hostaddr" : "host";
        values[2] = place.host;
        values[1] = place.port;
        session = PQconnectStartParams(keywords, values, 1);
        wrong = "memory ran out";
    }
    if (session == NULL)
        (void)vcp_libpq_refuse_(wrong);
    return session;
}

/* [PQconnectPoll], by its manual. */
static inline int vcp_libpq_log_in_(PGconn *session, int64_t end_ms)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    int ready = PQstatus(session) == CONNECTION_BAD ? -1 : 1;
    while (ready > 0 && next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED) {
        short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        ready = vcp_libpq_wait_(session, events, end_ms);
        if (ready > 0)
            next = PQconnectPoll(session);
    }
    if (next == PGRES_POLLING_OK)
        return 0;
    return vcp_libpq_refuse_(ready == 0 ? "the login took too long" : PQerrorMessage(session));
}

static inline int vcp_libpq_fd_(void *data)
{
    return PQsocket((PGconn *)data);
}

static inline int vcp_libpq_open_session_(void *user, const vcp_session_request *request,
                                          vcp_session *session)
{
    int64_t end_ms = vcp_libpq_end_(request->timeout_ms);
    char *wrong = NULL;
    PQconninfoOption *tag = PQconninfoParse(request->reuse_tag, &wrong);
    PGconn *opened = NULL;
    if (tag != NULL)
        opened = vcp_libpq_start_((const vcp_libpq_pool_ *)user, tag, request);
    else
        (void)vcp_libpq_refuse_(wrong != NULL ? wrong : "memory ran out");
    PQconninfoFree(tag);
    PQfreemem(wrong);
    if (opened == NULL)
        return 1;
    session->data = opened;
    session->free_data = vcp_libpq_finish_;
    session->fd = vcp_libpq_fd_;
    if (vcp_libpq_log_in_(opened, end_ms) == 0)
        return 0;
    session->data = NULL;
    vcp_libpq_finish_(opened);
    return 1;
}

/* [PQtransactionStatus], [PQpipelineStatus], [PQnotifies]: nothing is under way or unread. */
static inline int vcp_libpq_is_quiet_(PGconn *session)
{
    PGTransactionStatusType state = PQtransactionStatus(session);
    PGnotify *notification;
    if (state == PQTRANS_ACTIVE || state == PQTRANS_UNKNOWN)
        return 0;
#ifdef LIBPQ_HAS_PIPELINING
    if (PQpipelineStatus(session) != PQ_PIPELINE_OFF)
        return 0;
#endif
    if (!PQconsumeInput(session))
        return 0;
    notification = PQnotifies(session);
    PQfreemem(notification);
    return notification == NULL;
}

/* Runs a command and drops its rows, never waiting in libpq [Asynchronous Command Processing].
 * 1 if all is well. */
static inline int vcp_libpq_run_(PGconn *session, const char *command, int64_t end_ms)
{
    int works = PQsendQuery(session, command);
    while (works) {
        int unsent = PQflush(session);
        if (unsent == 0 && !PQisBusy(session)) {
            PGresult *result = PQgetResult(session);
            ExecStatusType status = PQresultStatus(result);
            if (result == NULL)
                return 1;
            PQclear(result);
            works = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
                    status == PGRES_EMPTY_QUERY;
        } else {
            short events = unsent > 0 ? POLLIN | POLLOUT : POLLIN;
            works = unsent >= 0 && vcp_libpq_wait_(session, events, end_ms) > 0 &&
                    PQconsumeInput(session);
        }
    }
    return 0;
}

static inline int vcp_libpq_on_release_(void *user, vcp_conn *conn, int fd)
{
    const vcp_libpq_pool_ *pool = (const vcp_libpq_pool_ *)user;
    PGconn *session = (PGconn *)vcp_conn_data(conn);
    int64_t end_ms = vcp_libpq_end_(pool->program.hook_timeout_ms);
    int mode = PQisnonblocking(session);
    int is_fit = vcp_libpq_is_quiet_(session) && PQsetnonblocking(session, 1) == 0;
    (void)fd;
    if (is_fit && PQtransactionStatus(session) != PQTRANS_IDLE)
        is_fit = vcp_libpq_run_(session, "ROLLBACK", end_ms);
    if (is_fit && pool->reset != NULL)
        is_fit = vcp_libpq_run_(session, pool->reset, end_ms);
    is_fit = is_fit && PQsetnonblocking(session, mode) == 0 && vcp_libpq_is_quiet_(session);
    return is_fit && PQtransactionStatus(session) == PQTRANS_IDLE ? 0 : 1;
}

/* The program's callbacks, with the program's pointer. */
#define VCP_LIBPQ_HOOK_(hook)                                                 \
    static inline int vcp_libpq_##hook##_(void *user, vcp_conn *conn, int fd) \
    {                                                                         \
        const vcp_libpq_pool_ *pool = (const vcp_libpq_pool_ *)user;          \
        return pool->program.hook(pool->event_user, conn, fd);                \
    }
VCP_LIBPQ_HOOK_(on_open)
VCP_LIBPQ_HOOK_(on_reuse)
VCP_LIBPQ_HOOK_(on_idle)
#undef VCP_LIBPQ_HOOK_

static inline int vcp_libpq_rewrite_(void *user, const char *network, const char *address,
                                     char *out, size_t size)
{
    const vcp_libpq_pool_ *pool = (const vcp_libpq_pool_ *)user;
    return pool->program.rewrite(pool->event_user, network, address, out, size);
}

static inline void vcp_libpq_on_event_(void *user, const vcp_event *event)
{
    const vcp_libpq_pool_ *pool = (const vcp_libpq_pool_ *)user;
    pool->program.on_event(pool->event_user, event);
}

static inline void vcp_libpq_free_(void *user)
{
    PQconninfoFree(((vcp_libpq_pool_ *)user)->conninfo);
    free(user);
}

/**
 * Makes a pool whose connections are PostgreSQL sessions, and writes its handle to *pool.
 *
 * conninfo: what every session is opened with, without its address; NULL, as "": what environment
 * and service file say. reset: a command that is run after each use, as "DISCARD ALL"; NULL: none.
 * options: NULL, or initialised ones in which user, open_session, on_release and free_user are
 * unset. on_open, on_reuse, on_idle, on_event and rewrite may be set, and get event_user.
 *
 * Errors: those of vcp_pool_new; VCP_ERR_NO_MEMORY; VCP_ERR_INVALID_ARGUMENT if conninfo is none
 * (the message is PQconninfoParse's), one of those four is set, or options are not initialised.
 * What conninfo and tag lack or must not have, the dial's VCP_ERR_CALLBACK tells.
 */
static inline int vcp_libpq_pool_new(const char *conninfo, const char *reset,
                                     const vcp_pool_options *options, void *event_user,
                                     vcp_pool **pool)
{
    size_t reset_size = reset == NULL ? 0 : strlen(reset) + 1;
    char *wrong = NULL;
    vcp_pool_options own;
    vcp_libpq_pool_ *user;
    int status = vcp_pool_options_init(&own, sizeof own);
    if (status != VCP_OK)
        return status;
    if (options != NULL) {
        if (options->size != sizeof own || options->user != NULL || options->open_session != NULL ||
            options->on_release != NULL || options->free_user != NULL)
            return vcp_set_last_error(VCP_ERR_INVALID_ARGUMENT,
                                      "vcp_libpq_pool_new: options that are not initialised, or "
                                      "user, open_session, on_release and free_user are not unset");
        own = *options;
    }
    user = (vcp_libpq_pool_ *)calloc(1, sizeof *user + reset_size);
    if (user == NULL)
        return vcp_set_last_error(VCP_ERR_NO_MEMORY, "vcp_libpq_pool_new: memory ran out");
    if (reset != NULL)
        user->reset = (const char *)memcpy(user + 1, reset, reset_size);
    user->program = own;
    user->event_user = event_user;
    user->conninfo = PQconninfoParse(conninfo == NULL ? "" : conninfo, &wrong);
    own.user = user;
    own.free_user = vcp_libpq_free_;
    own.open_session = vcp_libpq_open_session_;
    own.on_release = vcp_libpq_on_release_;
    own.on_release_in_background = 1;
    own.rewrite = own.rewrite == NULL ? NULL : vcp_libpq_rewrite_;
    own.on_open = own.on_open == NULL ? NULL : vcp_libpq_on_open_;
    own.on_reuse = own.on_reuse == NULL ? NULL : vcp_libpq_on_reuse_;
    own.on_idle = own.on_idle == NULL ? NULL : vcp_libpq_on_idle_;
    own.on_event = own.on_event == NULL ? NULL : vcp_libpq_on_event_;
    if (user->conninfo != NULL)
        status = vcp_pool_new(&own, pool);
    else
        status = vcp_set_last_error(wrong != NULL ? VCP_ERR_INVALID_ARGUMENT : VCP_ERR_NO_MEMORY,
                                    wrong != NULL ? wrong : "PQconninfoParse: memory ran out");
    PQfreemem(wrong);
    if (status != VCP_OK)
        vcp_libpq_free_(user);
    return status;
}

/**
 * The session of a borrowed connection. It is valid until vcp_conn_close; after vcp_conn_detach it
 * is the caller's. NULL if conn is no live handle.
 */
static inline PGconn *vcp_libpq_session(vcp_conn *conn)
{
    return (PGconn *)vcp_conn_data(conn);
}

#endif
