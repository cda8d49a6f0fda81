/*
 * vconnpool/hiredis.h - a pool of Redis connections: hiredis' redisContext over vconnpool.
 *
 * This file is the manual of the adapter; vconnpool.h is that of the pool. Header only: C99 or
 * later, C++11 or later; hiredis 0.14 or later; link with -lvconnpool -lhiredis. MIT OR Apache-2.0.
 *
 *     vcp_dial_options options;                                       of a dial
 *     vcp_hiredis_pool_new(NULL, "password", NULL, NULL, &pool);
 *     vcp_dial_options_init(&options, sizeof options);
 *     options.reuse_tag = "db=2";
 *     if (vcp_dial_with(pool, "tcp", "cache.local:6379", &options, &conn) >= 0) {
 *         redisContext *context = vcp_hiredis_session(conn);          at each borrow
 *         redisReply *reply = (redisReply *)redisCommand(context, "GET %s", key);
 *         if (reply != NULL)
 *             vcp_conn_report(conn, 1, 0);                            after each reply
 *         else if (context->err == REDIS_ERR_EOF)
 *             vcp_conn_report(conn, 0, 0);                            for vcp_conn_should_retry
 *         else
 *             vcp_conn_discard(conn);                                 a timeout, say
 *         freeReplyObject(reply);
 *         vcp_conn_close(conn);                                       gives it back, never waits
 *     }
 *
 * OPENING. It is part of the dial, and ends with it: AUTH, if there is a password; CLIENT SETNAME,
 * with the pool's name, or vconnpool; SELECT, of the database of the reuse tag. A tag is "db=N", or
 * "", which is database 0. An error of the server fails the dial with VCP_ERR_CALLBACK, and
 * vcp_last_error() has the server's text.
 *
 * USE. Between dial and give-back the context is the borrower's. hiredis reads and writes by
 * itself: vcp_conn_set_deadline does not bind it, redisSetTimeout does, and stays set on the
 * connection. Where hiredis meets a server that has gone, it raises SIGPIPE: ignore that signal. A
 * descriptor that was borrowed in non-blocking mode makes hiredis non-blocking. Never call
 * redisFree or redisReconnect.
 *
 * Report as above, after every reply: vcp_conn_should_retry is 1 if the server ended the connection
 * before any. Without the report of a reply, two commands in one borrow may be done twice. After
 * any other failure, as a timeout of redisSetTimeout, the command may be under way still: discard.
 *
 * GIVEN BACK. This happens on a helper thread, within hook_timeout_ms; vcp_conn_close has returned.
 * The next dial may come before the connection is back: set wait_timeout_ms with max_conns, or it
 * is refused; without a limit it dials anew.
 *
 *     the context has an error, commands not sent, or replies not read              closed
 *     replies are still to come; MULTI, SUBSCRIBE, MONITOR                          closed
 *     keys are watched, another database is selected                       undone, and kept
 *
 * A client cannot see an open MULTI, and RESET would log out. So the server is asked: UNWATCH,
 * SELECT, ECHO. Any other answer than OK, OK and the echo (QUEUED, an error, a reply left unread)
 * closes the connection (VCP_CLOSE_HOOK). The user needs the right to these commands, which is
 * tried at the opening. What else a borrower sets on its connection (HELLO, AUTH, READONLY, CLIENT
 * REPLY, TRACKING) stays: vcp_conn_discard.
 *
 * IDLE. The default VCP_LIVENESS_STRICT is right: a server that is asked nothing says nothing. One
 * that ends the connection (timeout, CLIENT KILL) is noticed by the watch.
 *
 * OWNERSHIP AND THREADS. user and password are copied. event_user is the program's, and must live
 * as long as vcp_pool_options.user. One thread at a time uses a context. At its end the context is
 * freed by redisFreeKeepFd, and the pool closes the descriptor. After vcp_conn_detach both are the
 * caller's: fetch the context first. Names that end in _ are the header's own.
 */
#ifndef VCONNPOOL_HIREDIS_H
#define VCONNPOOL_HIREDIS_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>
#include <vconnpool.h>

/* What a pool's callbacks are given. */
typedef struct vcp_hiredis_pool_ {
    const char *user; /* these are in the memory behind this struct, or NULL */
    const char *password;
    char *name;
    vcp_pool_options program; /* as the program passed them, for its callbacks */
    void *event_user;
} vcp_hiredis_pool_;

/* Refuses, and says why. Without its text it is refused all the same. */
static inline int vcp_hiredis_refuse_(const char *text)
{
    return vcp_set_callback_error(text) < 0 ? 2 : 1;
}

/* The database of the reuse tag: digits, or NULL. */
static inline const char *vcp_hiredis_database_(vcp_conn *conn, char *tag, size_t size)
{
    int64_t length = vcp_conn_reuse_tag(conn, tag, size);
    if (length == 0)
        return "0";
    if (length < 4 || length >= (int64_t)size || strncmp(tag, "db=", 3) != 0 ||
        tag[3 + strspn(tag + 3, "0123456789")] != '\0')
        return NULL;
    return tag + 3;
}

/* Sends a command whose arguments end with NULL; 0, or -1. */
static inline int vcp_hiredis_send_(vcp_conn *conn, const char *const *arguments)
{
    const char *words[4];
    char *command = NULL;
    int64_t sent;
    int count = 0;
    long long length;
    for (; arguments[count] != NULL; count++)
        words[count] = arguments[count];
    length = redisFormatCommandArgv(&command, count, words, NULL);
    if (length < 0)
        return -1;
    sent = vcp_conn_write(conn, command, (size_t)length);
    redisFreeCommand(command);
    return sent < 0 ? -1 : 0;
}

/* Reads one reply and compares it: 0 if it is that one; else it is refused. */
static inline int vcp_hiredis_expect_(vcp_conn *conn, redisReader *reader, const char *text)
{
    char bytes[512];
    void *object = NULL;
    const redisReply *reply;
    int refused;
    while (redisReaderGetReply(reader, &object) == REDIS_OK && object == NULL) {
        int64_t count = vcp_conn_read(conn, bytes, sizeof bytes);
        if (count <= 0)
            return vcp_hiredis_refuse_(count < 0 ? vcp_last_error()
                                                 : "the server ended the connection");
        if (redisReaderFeed(reader, bytes, (size_t)count) != REDIS_OK)
            break;
    }
    reply = (const redisReply *)object;
    if (reply == NULL)
        return vcp_hiredis_refuse_(reader->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        refused = vcp_hiredis_refuse_(reply->str);
    else if (reply->str == NULL || strcmp(reply->str, text) != 0)
        refused = vcp_hiredis_refuse_("an unexpected reply");
    else
        refused = 0;
    freeReplyObject(object);
    return refused;
}

/* Asks whether the connection is at rest, and lets go of watched keys and another database. */
static inline int vcp_hiredis_ask_(vcp_conn *conn, redisReader *reader, const char *database)
{
    static const char unwatch[] = "*1\r\n$7\r\nUNWATCH\r\n";
    char text[256];
    char mark[64];
    int length = snprintf(mark, sizeof mark, "vconnpool %lld", (long long)vcp_conn_uses(conn));
    length = snprintf(text, sizeof text,
                      "%s*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n",
                      unwatch, (int)strlen(database), database, length, mark);
    if (length < 0 || length >= (int)sizeof text)
        return vcp_hiredis_refuse_("the reuse tag is too long");
    if (vcp_conn_write(conn, text, (size_t)length) < 0)
        return vcp_hiredis_refuse_(vcp_last_error());
    if (vcp_hiredis_expect_(conn, reader, "OK") != 0)
        return 1;
    if (vcp_hiredis_expect_(conn, reader, "OK") != 0)
        return 1;
    return vcp_hiredis_expect_(conn, reader, mark);
}

/* Logs in; 0, or it is refused. */
static inline int vcp_hiredis_log_in_(const vcp_hiredis_pool_ *pool, vcp_conn *conn,
                                      redisReader *reader)
{
    const char *auth[] = {"AUTH", pool->user, pool->password, NULL};
    const char *auth_default[] = {"AUTH", pool->password, NULL};
    const char *set_name[] = {"CLIENT", "SETNAME", pool->name, NULL};
    if (pool->password != NULL) {
        if (vcp_hiredis_send_(conn, pool->user != NULL ? auth : auth_default) != 0)
            return vcp_hiredis_refuse_("AUTH could not be sent");
        if (vcp_hiredis_expect_(conn, reader, "OK") != 0)
            return 1;
    }
    if (vcp_hiredis_send_(conn, set_name) != 0)
        return vcp_hiredis_refuse_("CLIENT SETNAME could not be sent");
    return vcp_hiredis_expect_(conn, reader, "OK");
}

/* free_data. The descriptor is the pool's to close. */
static inline void vcp_hiredis_end_(void *data)
{
    (void)redisFreeKeepFd((redisContext *)data); /* returns the descriptor */
}

static inline int vcp_hiredis_on_open_(void *user, vcp_conn *conn, int fd)
{
    const vcp_hiredis_pool_ *pool = (const vcp_hiredis_pool_ *)user;
    char tag[32];
    const char *database = vcp_hiredis_database_(conn, tag, sizeof tag);
    redisReader *reader;
    redisContext *context;
    int refused;
    if (database == NULL)
        return vcp_hiredis_refuse_("the reuse tag is not db=N");
    reader = redisReaderCreate();
    if (reader == NULL)
        return vcp_hiredis_refuse_("memory ran out");
    refused = vcp_hiredis_log_in_(pool, conn, reader);
    if (refused == 0)
        refused = vcp_hiredis_ask_(conn, reader, database);
    redisReaderFree(reader);
    if (refused != 0)
        return refused;
    context = redisConnectFd(fd);
    if (context != NULL && context->err == 0 &&
        vcp_conn_set_data(conn, context, vcp_hiredis_end_) == VCP_OK)
        return 0;
    refused = vcp_hiredis_refuse_(context == NULL     ? "memory ran out"
                                  : context->err != 0 ? context->errstr
                                                      : vcp_last_error());
    if (context != NULL)
        vcp_hiredis_end_(context);
    return refused;
}

/* The client's side of the connection is at rest: no error, all was sent, all that came was read.
 */
static inline int vcp_hiredis_is_quiet_(const redisContext *context, int fd)
{
    const redisReader *reader = context->reader;
    return context->err == 0 && context->fd == fd && context->obuf != NULL &&
           context->obuf[0] == '\0' && reader->err == 0 && reader->pos == reader->len &&
           reader->ridx == -1;
}

static inline int vcp_hiredis_on_release_(void *user, vcp_conn *conn, int fd)
{
    const redisContext *context = (const redisContext *)vcp_conn_data(conn);
    char tag[32];
    const char *database = vcp_hiredis_database_(conn, tag, sizeof tag);
    redisReader *reader; /* not the context's, whose replies the program may have shaped */
    int refused;
    (void)user;
    if (context == NULL || database == NULL || !vcp_hiredis_is_quiet_(context, fd))
        return 1;
    reader = redisReaderCreate();
    if (reader == NULL)
        return 1;
    refused = vcp_hiredis_ask_(conn, reader, database);
    refused |= reader->pos != reader->len;
    redisReaderFree(reader);
    return refused;
}

/* The program's callbacks, with the pointer that is the program's. */
static inline int vcp_hiredis_rewrite_(void *user, const char *network, const char *address,
                                       char *out, size_t size)
{
    const vcp_hiredis_pool_ *pool = (const vcp_hiredis_pool_ *)user;
    return pool->program.rewrite(pool->event_user, network, address, out, size);
}

static inline int vcp_hiredis_resolve_(void *user, const char *network, const char *host,
                                       int64_t timeout_ms, vcp_resolved *out)
{
    const vcp_hiredis_pool_ *pool = (const vcp_hiredis_pool_ *)user;
    return pool->program.resolve(pool->event_user, network, host, timeout_ms, out);
}

static inline int vcp_hiredis_dial_(void *user, const char *network, const char *address,
                                    int64_t timeout_ms)
{
    const vcp_hiredis_pool_ *pool = (const vcp_hiredis_pool_ *)user;
    return pool->program.dial(pool->event_user, network, address, timeout_ms);
}

static inline int vcp_hiredis_control_(void *user, const char *network, const char *address, int fd)
{
    const vcp_hiredis_pool_ *pool = (const vcp_hiredis_pool_ *)user;
    return pool->program.control(pool->event_user, network, address, fd);
}

static inline int vcp_hiredis_on_reuse_(void *user, vcp_conn *conn, int fd)
{
    const vcp_hiredis_pool_ *pool = (const vcp_hiredis_pool_ *)user;
    return pool->program.on_reuse(pool->event_user, conn, fd);
}

static inline int vcp_hiredis_on_idle_(void *user, vcp_conn *conn, int fd)
{
    const vcp_hiredis_pool_ *pool = (const vcp_hiredis_pool_ *)user;
    return pool->program.on_idle(pool->event_user, conn, fd);
}

static inline void vcp_hiredis_on_event_(void *user, const vcp_event *event)
{
    const vcp_hiredis_pool_ *pool = (const vcp_hiredis_pool_ *)user;
    pool->program.on_event(pool->event_user, event);
}

/* The state of a pool, with copies of these texts behind it; NULL if memory ran out. */
static inline vcp_hiredis_pool_ *vcp_hiredis_new_(const char *user, const char *password,
                                                  const char *name)
{
    size_t user_size = user == NULL ? 0 : strlen(user) + 1;
    size_t password_size = password == NULL ? 0 : strlen(password) + 1;
    size_t name_size = strlen(name) + 1;
    vcp_hiredis_pool_ *pool =
        (vcp_hiredis_pool_ *)calloc(1, sizeof *pool + user_size + password_size + name_size);
    char *place;
    if (pool == NULL)
        return NULL;
    place = (char *)(pool + 1);
    if (user != NULL)
        pool->user = (const char *)memcpy(place, user, user_size);
    if (password != NULL)
        pool->password = (const char *)memcpy(place + user_size, password, password_size);
    pool->name = (char *)memcpy(place + user_size + password_size, name, name_size);
    for (place = pool->name; *place != '\0'; place++)
        if (*place <= ' ' || *place > '~')
            *place = '-'; /* CLIENT SETNAME takes no others */
    return pool;
}

/**
 * Makes a pool of connections to Redis, and writes its handle to *pool.
 *
 * user: as whom to log in; NULL: as the default user. password: NULL: there is no AUTH. options:
 * NULL or initialised ones, where user, free_user, open_session, on_open and on_release are unset;
 * the other callbacks may be set, and are called with event_user.
 *
 * Errors: those of vcp_pool_new; VCP_ERR_NO_MEMORY; VCP_ERR_INVALID_ARGUMENT if there is a user
 * without a password, one of those five is set, or options are not initialised.
 */
static inline int vcp_hiredis_pool_new(const char *user, const char *password,
                                       const vcp_pool_options *options, void *event_user,
                                       vcp_pool **pool)
{
    vcp_pool_options own;
    vcp_hiredis_pool_ *state;
    int status = vcp_pool_options_init(&own, sizeof own);
    if (status != VCP_OK)
        return status;
    if (options != NULL) {
        if (options->size != sizeof own || options->user != NULL || options->free_user != NULL ||
            options->open_session != NULL || options->on_open != NULL ||
            options->on_release != NULL)
            return vcp_set_last_error(
                VCP_ERR_INVALID_ARGUMENT,
                "vcp_hiredis_pool_new: options that are not initialised, or "
                "user, free_user, open_session, on_open and on_release are not unset");
        own = *options;
    }
    if (user != NULL && password == NULL)
        return vcp_set_last_error(VCP_ERR_INVALID_ARGUMENT,
                                  "vcp_hiredis_pool_new: a user without a password");
    state = vcp_hiredis_new_(user, password,
                             own.name == NULL || own.name[0] == '\0' ? "vconnpool" : own.name);
    if (state == NULL)
        return vcp_set_last_error(VCP_ERR_NO_MEMORY, "vcp_hiredis_pool_new: memory ran out");
    state->program = own;
    state->event_user = event_user;
    own.user = state;
    own.free_user = free;
    own.on_open = vcp_hiredis_on_open_;
    own.on_release = vcp_hiredis_on_release_;
    own.on_release_in_background = 1;
    own.rewrite = own.rewrite == NULL ? NULL : vcp_hiredis_rewrite_;
    own.resolve = own.resolve == NULL ? NULL : vcp_hiredis_resolve_;
    own.dial = own.dial == NULL ? NULL : vcp_hiredis_dial_;
    own.control = own.control == NULL ? NULL : vcp_hiredis_control_;
    own.on_reuse = own.on_reuse == NULL ? NULL : vcp_hiredis_on_reuse_;
    own.on_idle = own.on_idle == NULL ? NULL : vcp_hiredis_on_idle_;
    own.on_event = own.on_event == NULL ? NULL : vcp_hiredis_on_event_;
    status = vcp_pool_new(&own, pool);
    if (status != VCP_OK)
        free(state);
    return status;
}

/**
 * The context of a borrowed connection, made ready for this borrow: call it at each. It is valid
 * until vcp_conn_close. NULL if conn is no live handle, or was put and has no context.
 */
static inline redisContext *vcp_hiredis_session(vcp_conn *conn)
{
    redisContext *context = (redisContext *)vcp_conn_data(conn);
    int mode = context == NULL ? -1 : fcntl(context->fd, F_GETFL);
    if (mode >= 0)
        context->flags =
            (mode & O_NONBLOCK) != 0 ? context->flags & ~REDIS_BLOCK : context->flags | REDIS_BLOCK;
    return context;
}

#endif
