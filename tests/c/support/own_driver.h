/*
 * own_driver.h - a driver of the tests' own. As libpq, it opens its sockets itself and keeps them;
 * and it does whatever a test asks it to: opens late, refuses, reconnects, hangs up, tells no
 * socket, takes its time to end a session.
 *
 * It counts what the library does, and checks at every call what must hold at all times: no two
 * calls for one session run at once, a session ends once, and its descriptor is as it was opened.
 */
#ifndef OWN_DRIVER_H
#define OWN_DRIVER_H

#include <sys/prctl.h>

#include "completions.h"
#include "guarded_descriptors.h"

/* What may be changed of a descriptor, but by its driver only. */
typedef struct descriptor_state {
    int mode;
    int flags;
    int options[5];
} descriptor_state;

/* What a hook does, and has seen. */
typedef struct hook_script {
    int answer;
    int holds; /* it does not return before this is 0 */
    int (*does)(void *session, vcp_conn *conn, int fd);
    int calls;
    int inside;
    int most_inside;
    int on_helpers; /* calls on helper threads of the library */
    int fd;         /* of the last call */
} hook_script;

struct driver;

typedef struct session {
    struct driver *of;
    struct session *next;
    int fd;    /* its socket, or -1 */
    int peer;  /* the server's end of it */
    int tells; /* 0: fd answers -1 */
    int busy;  /* calls for it that run now */
    int frees;
    int is_callers; /* it was detached, or put_session refused it */
    int fd_calls;
    int idle_calls;
    int64_t asked_at; /* by on_idle, the last time */
    pthread_t fd_by;
    pthread_t freed_by;
    int freed_by_helper;
    descriptor_state opened;
} session;

typedef struct driver {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    server where; /* its sockets go there */
    server db;    /* the destination: its address cannot be resolved */
    int sockets;  /* of the process, before there was a driver */
    vcp_pool *pool;
    /* What it does. */
    int has_fd; /* 0: vcp_session.fd is NULL, and there is no socket */
    int tells;  /* 0: a new session tells no socket, though it has one */
    int32_t liveness;
    int refuses; /* what open_session returns */
    const char *text;
    int answers_null;
    int holds_opening;
    int let_through; /* so many openings, although it holds them */
    int holds_freeing;
    hook_script on_open;
    hook_script on_reuse;
    hook_script on_release;
    hook_script on_idle;
    /* What it has seen. */
    int asked;
    int opening; /* calls of open_session that run now */
    int opened;
    int frees;
    int freeing;
    int user_frees;
    char network[32];
    char address[128];
    char reuse_tag[64];
    char label[64];
    int64_t timeout_ms;
    pthread_t opened_by;
    int opened_by_helper;
    int kinds[10];   /* events */
    int reasons[13]; /* of CLOSED */
    int event_fd;    /* of the last one */
    int event_status;
    session *sessions;
} driver;

static inline int is_helper(void)
{
    char name[16] = "";
    CHECK_EQ(prctl(PR_GET_NAME, name), 0);
    return strcmp(name, "vcp-helper") == 0;
}

static inline int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

static inline descriptor_state descriptor_state_of(int fd)
{
    descriptor_state seen;
    memset(&seen, 0, sizeof seen);
    seen.mode = fcntl(fd, F_GETFL);
    seen.flags = fcntl(fd, F_GETFD);
    seen.options[0] = option_of(fd, SOL_SOCKET, SO_KEEPALIVE);
    seen.options[1] = option_of(fd, IPPROTO_TCP, TCP_NODELAY);
    seen.options[2] = option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE);
    seen.options[3] = option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
    seen.options[4] = option_of(fd, SOL_SOCKET, SO_LINGER);
    return seen;
}

static inline void check_descriptor(const session *s)
{
    descriptor_state seen;
    if (s->fd >= 0) {
        seen = descriptor_state_of(s->fd);
        CHECK_EQ(seen.mode, s->opened.mode);
        CHECK_EQ(seen.flags, s->opened.flags);
        CHECK_EQ(memcmp(seen.options, s->opened.options, sizeof seen.options), 0);
    }
}

static inline int driver_number(driver *d, const int *what)
{
    int number;
    pthread_mutex_lock(&d->lock);
    number = *what;
    pthread_mutex_unlock(&d->lock);
    return number;
}

static inline void driver_sets(driver *d, int *what, int number)
{
    pthread_mutex_lock(&d->lock);
    *what = number;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

/* Under the driver's lock. */
static inline void wait_while(driver *d, const int *holds)
{
    while (*holds) {
        pthread_cond_wait(&d->changed, &d->lock);
    }
}

/* ---- sessions ---- */

static inline void session_is_called(session *s)
{
    CHECK_EQ(__sync_add_and_fetch(&s->busy, 1), 1);
    CHECK_EQ(s->frees, 0);
}

static inline void session_was_called(session *s)
{
    CHECK_EQ(__sync_sub_and_fetch(&s->busy, 1), 0);
}

static inline session *session_of(vcp_conn *conn)
{
    session *s = (session *)vcp_conn_data(conn);
    CHECK(s != NULL);
    return s;
}

/* A new socket of its own; every second one is in non-blocking mode, and none looks like the
 * pool's. */
static inline void session_connects(session *s)
{
    static int serial;
    int on = 1;
    int seconds = 77;
    pthread_mutex_lock(&s->of->lock);
    s->fd = client_of(&s->of->where);
    s->peer = server_accept(&s->of->where);
    if (++serial % 2 == 0) {
        CHECK_EQ(fcntl(s->fd, F_SETFL, O_NONBLOCK), 0);
        CHECK_EQ(setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on), 0);
        CHECK_EQ(setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds), 0);
    }
    s->opened = descriptor_state_of(s->fd);
    guard(s->fd);
    pthread_mutex_unlock(&s->of->lock);
}

/* Its socket, for a test that does not have the session in its hands. */
static inline int session_socket(const session *s)
{
    return __atomic_load_n(&s->fd, __ATOMIC_SEQ_CST);
}

/* Its socket is closed, and it tells none. */
static inline void session_hangs_up(session *s)
{
    int fd = __atomic_exchange_n(&s->fd, -1, __ATOMIC_SEQ_CST);
    if (fd >= 0) {
        unguard(fd);
        CHECK_EQ(close(fd), 0);
        close(s->peer);
    }
}

/* As PQreset: another socket, under another number. */
static inline void session_reconnects(session *s)
{
    int fd = s->fd;
    int peer = s->peer;
    session_connects(s);
    unguard(fd);
    CHECK_EQ(close(fd), 0);
    close(peer);
}

/*
 * As PQreset mostly is: another socket, under the number of the one that is closed. At once, or a
 * thread of the library's could be given that number in between, and lose it.
 */
static inline void session_reconnects_under_its_number(session *s)
{
    int fd = s->fd;
    int peer = s->peer;
    session_connects(s);
    unguard(s->fd);
    CHECK_EQ(dup3(s->fd, fd, O_CLOEXEC), fd);
    CHECK_EQ(close(s->fd), 0);
    s->fd = fd;
    close(peer);
}

static inline session *session_new(driver *d)
{
    session *s = (session *)calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->of = d;
    s->fd = -1;
    s->tells = d->tells;
    if (d->has_fd) {
        session_connects(s);
    }
    pthread_mutex_lock(&d->lock);
    s->next = d->sessions;
    d->sessions = s;
    d->opened++;
    pthread_mutex_unlock(&d->lock);
    return s;
}

static inline int session_fd(void *data)
{
    session *s = (session *)data;
    int fd;
    session_is_called(s);
    s->fd_calls++;
    s->fd_by = pthread_self();
    check_descriptor(s);
    fd = s->tells ? s->fd : -1;
    session_was_called(s);
    return fd;
}

static inline void session_free(void *data)
{
    session *s = (session *)data;
    driver *d = s->of;
    session_is_called(s);
    check_descriptor(s);
    pthread_mutex_lock(&d->lock);
    d->freeing++;
    wait_while(d, &d->holds_freeing);
    s->freed_by = pthread_self();
    s->freed_by_helper = is_helper();
    s->frees++;
    d->frees++;
    d->freeing--;
    pthread_mutex_unlock(&d->lock);
    session_hangs_up(s);
    __sync_sub_and_fetch(&s->busy, 1);
}

/* The session's socket and functions, as a vcp_session. */
static inline vcp_session session_as_vcp(driver *d, session *s)
{
    vcp_session filled;
    CHECK_EQ(vcp_session_init(&filled, sizeof filled), VCP_OK);
    filled.data = s;
    filled.free_data = session_free;
    filled.fd = d->has_fd ? session_fd : NULL;
    filled.liveness = d->liveness;
    return filled;
}

/* ---- callbacks ---- */

static inline void check_request(const vcp_session_request *request, const vcp_session *session)
{
    CHECK_EQ(request->size, sizeof *request);
    CHECK_EQ(session->size, sizeof *session);
    CHECK(session->data == NULL && !session->free_data && !session->fd);
    CHECK_EQ(session->liveness, -1);
    CHECK(request->timeout_ms >= VCP_FOREVER);
}

/* Under the driver's lock. */
static inline void note_request(driver *d, const vcp_session_request *request)
{
    snprintf(d->network, sizeof d->network, "%s", request->network);
    snprintf(d->address, sizeof d->address, "%s", request->address);
    snprintf(d->reuse_tag, sizeof d->reuse_tag, "%s", request->reuse_tag);
    snprintf(d->label, sizeof d->label, "%s", request->label);
    d->timeout_ms = request->timeout_ms;
    d->opened_by = pthread_self();
    d->opened_by_helper = is_helper();
}

static inline int driver_opens(void *user, const vcp_session_request *request, vcp_session *filled)
{
    driver *d = (driver *)user;
    int answer;
    int is_null;
    check_request(request, filled);
    pthread_mutex_lock(&d->lock);
    d->asked++;
    d->opening++;
    note_request(d, request);
    while (d->holds_opening && d->let_through == 0) {
        pthread_cond_wait(&d->changed, &d->lock);
    }
    d->let_through -= d->holds_opening;
    answer = d->refuses;
    is_null = d->answers_null;
    pthread_mutex_unlock(&d->lock);
    if (answer == 0 && !is_null) {
        *filled = session_as_vcp(d, session_new(d));
    } else if (answer != 0 && d->text != NULL) {
        CHECK_EQ(vcp_set_callback_error(d->text), VCP_OK);
    }
    pthread_mutex_lock(&d->lock);
    d->opening--;
    pthread_mutex_unlock(&d->lock);
    return answer;
}

static inline int hook_runs(driver *d, hook_script *hook, vcp_conn *conn, int fd)
{
    session *s = (session *)vcp_conn_data(conn);
    int answer;
    if (s != NULL) {
        session_is_called(s);
    }
    pthread_mutex_lock(&d->lock);
    hook->calls++;
    hook->inside++;
    hook->most_inside = hook->inside > hook->most_inside ? hook->inside : hook->most_inside;
    hook->on_helpers += is_helper();
    hook->fd = fd;
    wait_while(d, &hook->holds);
    answer = hook->answer;
    pthread_mutex_unlock(&d->lock);
    if (hook->does != NULL) {
        answer = hook->does(s, conn, fd);
    }
    if (s != NULL) {
        session_was_called(s);
    }
    pthread_mutex_lock(&d->lock);
    hook->inside--;
    pthread_mutex_unlock(&d->lock);
    return answer;
}

static inline int driver_on_open(void *user, vcp_conn *conn, int fd)
{
    return hook_runs((driver *)user, &((driver *)user)->on_open, conn, fd);
}

static inline int driver_on_reuse(void *user, vcp_conn *conn, int fd)
{
    return hook_runs((driver *)user, &((driver *)user)->on_reuse, conn, fd);
}

static inline int driver_on_release(void *user, vcp_conn *conn, int fd)
{
    return hook_runs((driver *)user, &((driver *)user)->on_release, conn, fd);
}

static inline int driver_on_idle(void *user, vcp_conn *conn, int fd)
{
    return hook_runs((driver *)user, &((driver *)user)->on_idle, conn, fd);
}

static inline void driver_sees(void *user, const vcp_event *event)
{
    driver *d = (driver *)user;
    pthread_mutex_lock(&d->lock);
    d->kinds[event->kind]++;
    if (event->kind == VCP_EVENT_CLOSED) {
        d->reasons[event->reason]++;
    }
    d->event_fd = event->fd;
    d->event_status = event->status;
    pthread_mutex_unlock(&d->lock);
}

static inline void driver_user_frees(void *user)
{
    driver *d = (driver *)user;
    pthread_mutex_lock(&d->lock);
    d->user_frees++;
    pthread_mutex_unlock(&d->lock);
}

/* ---- the driver ---- */

/* It stays where it is until driver_end. */
static inline void driver_start(driver *d)
{
    memset(d, 0, sizeof *d);
    CHECK_EQ(pthread_mutex_init(&d->lock, NULL), 0);
    CHECK_EQ(pthread_cond_init(&d->changed, NULL), 0);
    d->sockets = open_sockets();
    d->where = tcp_server();
    d->db = d->where;
    snprintf(d->db.address, sizeof d->db.address, "db.invalid:5432");
    d->has_fd = 1;
    d->tells = 1;
    d->liveness = -1;
    d->event_fd = -2;
}

/* Options of a pool of its sessions. */
static inline vcp_pool_options driver_options(driver *d)
{
    vcp_pool_options options = pool_options();
    options.user = d;
    options.open_session = driver_opens;
    options.free_user = driver_user_frees;
    return options;
}

/* NULL: driver_options. */
static inline vcp_pool *driver_pool(driver *d, const vcp_pool_options *options)
{
    vcp_pool_options own = driver_options(d);
    d->pool = pool_new(options == NULL ? &own : options);
    return d->pool;
}

/* A driver and its pool. */
static inline vcp_pool *driver_with(driver *d)
{
    driver_start(d);
    return driver_pool(d, NULL);
}

/* Closes the pool, unless the test did so and set it to NULL. Every session has ended once. */
static inline void driver_end_at(const char *file, int line, driver *d)
{
    if (d->pool != NULL) {
        vcp_stats at_rest;
        if (driver_number(d, &d->on_idle.calls) > 0) {
            /* What on_idle is asked about counts as borrowed for a moment: no more of that. */
            check_equal(file, line, "still out", vcp_pool_drain(d->pool, at_most(5000)), 0);
        }
        at_rest = stats_of(d->pool);
        check_stats_add_up(file, line, d->pool);
        check_equal(file, line, "borrowed", (long long)at_rest.borrowed, 0);
        check_equal(file, line, "dialing", (long long)at_rest.dialing, 0);
        check_equal(file, line, "waiting", (long long)at_rest.waiting, 0);
        check_equal(file, line, "releasing", (long long)at_rest.releasing, 0);
        check_equal(file, line, "the pool closes", vcp_pool_close(d->pool), VCP_OK);
    }
    EVENTUALLY(driver_number(d, &d->user_frees) == 1, 5000);
    while (d->sessions != NULL) {
        session *s = d->sessions;
        d->sessions = s->next;
        check_equal(file, line, "a session ends once", s->frees, s->is_callers ? 0 : 1);
        check_equal(file, line, "no call for it runs", s->busy, 0);
        session_hangs_up(s);
        free(s);
    }
    server_close(&d->where);
    EVENTUALLY(open_sockets() == d->sockets, LATENESS_MS);
}

#define DRIVER_END(d) driver_end_at(__FILE__, __LINE__, d)

/* The pool holds so many sessions, of them so many idle. */
#define CHECK_HOLDS(d, count, idle)                      \
    do {                                                 \
        CHECK_EQ(vcp_pool_conn_count((d)->pool), count); \
        CHECK_EQ(idle_in((d)->pool), idle);              \
    } while (0)

static inline int driver_frees(driver *d)
{
    return driver_number(d, &d->frees);
}

#endif
