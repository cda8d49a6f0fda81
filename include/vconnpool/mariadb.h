/*
 * vconnpool/mariadb.h - pools of MariaDB and MySQL sessions, logged in by MariaDB Connector/C.
 *
 * This file is the manual and all of the code; vconnpool.h has the words. C99 or later, C++11 or
 * later, and Connector/C 3.1 or later (pkg-config libmariadb). MIT OR Apache-2.0.
 *
 *     vcp_mariadb_login login = {"alice", "secret", "shop", NULL};
 *     vcp_mariadb_pool_new(&login, NULL, NULL, &pool);
 *     if (vcp_dial(pool, "tcp", "db.local:3306", &conn) >= 0) {
 *         MYSQL *mysql = vcp_mariadb_session(conn);
 *         if (mysql_query(mysql, "START TRANSACTION") == 0)
 *             vcp_conn_report(conn, 1, 0);          after each statement that was answered
 *         ... and so on, to COMMIT ...
 *         vcp_conn_close(conn);                     gives it back; what is not committed is undone
 *     }
 *
 * WHERE. The network is tcp with host:port (a number), or unix with a path or @name; all others
 * are refused. The connector resolves the host, and tries its addresses one after another.
 *
 * WHO. The login says who; the reuse tag of a dial overrides its parts, each of which is optional:
 * "user=alice;password=secret;database=shop". A value ends at the next semicolon: look for one in
 * names that come from outside. A tag with another part, or with one part twice, is refused.
 * Sessions are reused only under their own tag, so those of two users never mix. Events and
 * descriptions show tags, with the password in them.
 *
 * LOGIN. It ends at the dial's deadline, to the millisecond: while it lasts the connector waits by
 * a function of this file (MARIADB_OPT_IO_WAIT). Two waits stay its own: getaddrinfo(3), and about
 * 1 s in which it repeats connect(2) while the queue of a unix socket is full. A TLS handshake
 * before which nothing was waited for keeps to whole seconds, rounded up. (The other way,
 * mysql_real_connect_start, runs on a stack of its own: memcheck reports errors by the thousand.)
 *
 * USE. Until it is given back the session is the borrower's; one thread at a time may use it.
 * Deadlines and tokens of vcp_conn_* do not bind mysql_query; read-timeout of an option file does.
 * MYSQL_OPT_RECONNECT is off: it loses transactions unseen.
 *
 * Report after every statement: vcp_conn_report(conn, 1, 0) if it was answered, by an error of SQL
 * too; vcp_conn_report(conn, 0, 0) if the session broke (CR_SERVER_LOST, CR_SERVER_GONE_ERROR,
 * ER_CONNECTION_KILLED), which discards it. vcp_conn_should_retry is 1 if it broke before any
 * answer: then the borrow may be done once more, if doing it twice does no harm. Without the report
 * of an answer, two statements in one borrow may be done twice.
 *
 * GIVEN BACK. Free results and close statements before. vcp_conn_close does not wait: a helper
 * thread does this within hook_timeout_ms, and closes the session if it fails (VCP_CLOSE_HOOK):
 *
 *     broken; a result not fetched to its end;            closed
 *       a query that has no answer yet
 *     else, mysql_reset_connection                        transactions are rolled back; locks,
 *                                                         temporary tables, variables, prepared
 *                                                         statements are gone
 *       then                                              the login's database is selected, and
 *                                                         the option file's init-commands are run
 *
 * The next dial may come before the session is back: set wait_timeout_ms with max_conns, or it is
 * refused; without a limit it logs in anew.
 *
 * The public fields of MYSQL and NET tell of results and answers (mysql_send_query, and a
 * mysql_..._start that was not continued to its end, included), with one exception: a query of 16
 * MB or more that was sent and not answered. Discard such a session. Servers before MariaDB 10.2
 * and MySQL 5.7 know no reset: their sessions are not kept.
 *
 * IDLE. VCP_LIVENESS_STRICT, the default, is right: what an idle server says is that it ends.
 *
 * THREADS. What runs on a thread of the library, which is known by its name, begins with
 * mysql_thread_init and ends with mysql_thread_end. On the program's own threads neither is called:
 * the data of such a thread is the program's to make and to end. Sessions end by mysql_close, on
 * the thread that closes them, and it does not wait. The first mysql_init of a process sets SIGPIPE
 * to be ignored. Names that end in _ are not for use.
 */
#ifndef VCONNPOOL_MARIADB_H
#define VCONNPOOL_MARIADB_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <mysql.h>
#include <vconnpool.h>

/**
 * Who logs in. The texts are copied; each may be NULL, and is then left to the option group.
 */
typedef struct vcp_mariadb_login {
    const char *user;
    const char *password;
    const char *database;
    /**
     * A group of the connector's option files (MYSQL_READ_DEFAULT_GROUP), for TLS, time limits and
     * the rest. NULL: no file is read.
     */
    const char *option_group;
} vcp_mariadb_login;

/* What the callbacks of a pool are given. */
typedef struct vcp_mariadb_pool_ {
    vcp_mariadb_login login;  /* its texts lie behind this struct */
    vcp_pool_options program; /* for its callbacks */
    void *event_user;
} vcp_mariadb_pool_;

/* 1: mysql_thread_end must follow. 0: it must not. -1: there is no memory. */
static inline int vcp_mariadb_thread_begin_(void)
{
    char name[17] = "";
    if (prctl(PR_GET_NAME, name) != 0 || strncmp(name, "vcp-", 4) != 0)
        return 0;
    return mysql_thread_init() == 0 ? 1 : -1;
}

static inline void vcp_mariadb_thread_end_(int begun)
{
    if (begun == 1)
        mysql_thread_end();
}

/* When this thread's waits in the connector end, on the clock of vcp_now_ms. */
static inline int64_t *vcp_mariadb_deadline_(void)
{
    static __thread int64_t at_ms;
    return &at_ms;
}

/* 0, or -1: fcntl(2) failed. */
static inline int vcp_mariadb_set_blocking_(int fd, int blocking)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -1;
    return fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/*
 * MARIADB_OPT_IO_WAIT. Returns 1: go on. 0: the time is over. -1: poll(2) failed. With a descriptor
 * that does not block TLS waits here too, where timeout_ms is 5 whatever was set; it is not used.
 */
static inline int vcp_mariadb_wait_(my_socket fd, my_bool is_read, int timeout_ms)
{
    struct pollfd one = {fd, (short)(is_read ? POLLIN : POLLOUT), 0};
    int ready = vcp_mariadb_set_blocking_(fd, 0);
    (void)timeout_ms;
    while (ready == 0) {
        int64_t left = *vcp_mariadb_deadline_() - vcp_now_ms();
        if (left <= 0) {
            errno = ETIMEDOUT;
            return 0;
        }
        ready = poll(&one, 1, left > 1000000 ? 1000000 : (int)left);
        if (ready < 0 && errno == EINTR)
            ready = 0;
    }
    return ready;
}

/* vcp_session.fd; -1 once the connector has given the session up. */
static inline int vcp_mariadb_fd_(void *data)
{
    return mysql_get_socket((MYSQL *)data);
}

/* vcp_session.free_data: sends COM_QUIT if there is room for it, and never waits. */
static inline void vcp_mariadb_close_(void *data)
{
    MYSQL *mysql = (MYSQL *)data;
    int begun = vcp_mariadb_thread_begin_();
    int fd = vcp_mariadb_fd_(mysql);
    *vcp_mariadb_deadline_() = 0;
    if (fd >= 0 && (vcp_mariadb_set_blocking_(fd, 0) != 0 ||
                    mysql_optionsv(mysql, MARIADB_OPT_IO_WAIT, vcp_mariadb_wait_) != 0))
        mariadb_cancel(mysql);
    mysql_close(mysql);
    vcp_mariadb_thread_end_(begun);
}

/* Puts the parts of a tag, which is cut up, over those of the login. 0, or -1: a bad part. */
static inline int vcp_mariadb_apply_tag_(char *tag, vcp_mariadb_login *login)
{
    static const char *const names[] = {"user", "password", "database"};
    const char **parts[] = {&login->user, &login->password, &login->database};
    while (tag != NULL && *tag != '\0') {
        char *name = tag;
        char *value;
        int i = 0;
        tag = strchr(name, ';');
        if (tag != NULL)
            *tag++ = '\0';
        value = strchr(name, '=');
        if (value == NULL)
            return -1;
        *value++ = '\0';
        while (i < 3 && strcmp(name, names[i]) != 0)
            i++;
        if (i == 3 || parts[i] == NULL)
            return -1;
        *parts[i] = value;
        parts[i] = NULL;
    }
    return 0;
}

/*
 * Takes host:port apart. 0, or -1: it is none. To the connector a comma, semicolon, equals sign or
 * slash would make a host a list of hosts, a connection string or a plugin.
 */
static inline int vcp_mariadb_split_(const char *address, char *host, size_t size, unsigned *port)
{
    const char *colon = strrchr(address, ':');
    size_t length = colon == NULL ? size : (size_t)(colon - address);
    char *end;
    if (length >= size || strpbrk(address, ",;=/") != NULL)
        return -1;
    *port = (unsigned)strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || *port == 0 || *port > 65535)
        return -1;
    if (address[0] == '[') {
        address++;
        length -= 2;
    }
    strcpy(host, "127.0.0.1");
    if (length > 0) {
        memcpy(host, address, length);
        host[length] = '\0';
    }
    return 0;
}

/* Logs in. NULL, or why it failed; that text may lie in mysql. */
static inline const char *vcp_mariadb_log_in_(MYSQL *mysql, const vcp_mariadb_login *login,
                                              const vcp_session_request *request)
{
    const char *path = strcmp(request->network, "unix") == 0 ? request->address : NULL;
    unsigned protocol = path != NULL ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    int64_t seconds = request->timeout_ms > 86400000 ? 86400 : (request->timeout_ms + 999) / 1000;
    unsigned connect_timeout = path != NULL ? 0 : (unsigned)seconds;
    unsigned port = 0;
    my_bool off = 0;
    char host[1025] = "localhost";
    if (path == NULL && (strcmp(request->network, "tcp") != 0 ||
                         vcp_mariadb_split_(request->address, host, sizeof host, &port) != 0))
        return "the destination must be tcp and host:port, or unix and a path";
    /* connect_timeout bounds EAI_AGAIN and, as SO_RCVTIMEO, TLS; it would lengthen EAGAIN. */
    if (mysql_optionsv(mysql, MARIADB_OPT_IO_WAIT, vcp_mariadb_wait_) == 0 &&
        mysql_optionsv(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_timeout) == 0 &&
        mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &protocol) == 0 &&
        (login->option_group == NULL ||
         mysql_optionsv(mysql, MYSQL_READ_DEFAULT_GROUP, login->option_group) == 0) &&
        mysql_real_connect(mysql, host, login->user, login->password, login->database, port, path,
                           0) != NULL &&
        mysql_optionsv(mysql, MARIADB_OPT_IO_WAIT, (void *)NULL) == 0 &&
        mysql_optionsv(mysql, MYSQL_OPT_RECONNECT, &off) == 0 &&
        vcp_mariadb_set_blocking_(vcp_mariadb_fd_(mysql), 1) == 0 &&
        fcntl(vcp_mariadb_fd_(mysql), F_SETFD, FD_CLOEXEC) == 0)
        return NULL;
    return mysql_error(mysql);
}

/* Says why: the server's words may be in any encoding. */
static inline int vcp_mariadb_refuse_(const char *text, unsigned number)
{
    char line[1000] = "";
    size_t i;
    strncat(line, text, sizeof line - 1);
    if (vcp_set_callback_error(line) == VCP_OK)
        return number == 0 ? 1 : (int)number;
    for (i = 0; line[i] != '\0'; i++)
        line[i] = (unsigned char)line[i] < 0x80 ? line[i] : '?';
    return vcp_set_callback_error(line) == VCP_OK && number != 0 ? (int)number : 1;
}

/* vcp_pool_options.open_session. Its number is mysql_errno's, or 1. */
static inline int vcp_mariadb_open_(void *user, const vcp_session_request *request,
                                    vcp_session *session)
{
    vcp_mariadb_login login = ((const vcp_mariadb_pool_ *)user)->login;
    int begun = vcp_mariadb_thread_begin_();
    MYSQL *mysql = begun < 0 ? NULL : mysql_init(NULL);
    const char *wrong = "there is no memory";
    int number = 1;
    char tag[1025] = "";
    /* vcp_now_ms, and what is left by it, are rounded down (timeout_ms is rounded up): 2 ms more,
     * so that a refusal comes after the deadline. */
    *vcp_mariadb_deadline_() = request->timeout_ms < 0 || request->timeout_ms > INT64_MAX / 2
                                   ? INT64_MAX
                                   : vcp_now_ms() + request->timeout_ms + 2;
    if (mysql != NULL) {
        strncat(tag, request->reuse_tag, sizeof tag - 1);
        wrong = vcp_mariadb_apply_tag_(tag, &login) != 0
                    ? "the reuse tag must be user=...;password=...;database=..."
                    : vcp_mariadb_log_in_(mysql, &login, request);
    }
    if (wrong == NULL) {
        session->data = mysql;
        session->free_data = vcp_mariadb_close_;
        session->fd = vcp_mariadb_fd_;
        number = 0;
    } else {
        number = vcp_mariadb_refuse_(wrong, mysql == NULL ? 0 : mysql_errno(mysql));
        mysql_close(mysql);
    }
    vcp_mariadb_thread_end_(begun);
    return number;
}

/*
 * The last command was answered. The number of the next packet is 1 from when a command was sent
 * until its answer begins. It is 1 also after COM_STMT_CLOSE, which has no answer, and after a
 * result that ended with packet 256: its last packet still lies in the buffer, with the status.
 */
static inline int vcp_mariadb_is_answered_(const MYSQL *mysql)
{
    const unsigned char *packet = mysql->net.buff;
    return mysql->net.pkt_nr != 1 || memcmp(packet, "\5\0\0\0\31", 5) == 0 ||
           (packet[0] == 0xfe && mysql->server_status == (unsigned)(packet[3] | packet[4] << 8));
}

/* Nothing is on its way to the session: another command may be sent. */
static inline int vcp_mariadb_is_at_rest_(MYSQL *mysql)
{
    return mysql->net.pvio != NULL && mysql->net.reading_or_writing == 0 &&
           mysql->status == MYSQL_STATUS_READY && !mysql_more_results(mysql) &&
           vcp_mariadb_is_answered_(mysql);
}

/* Runs a command and drops what it returns. 0, or -1: it failed. */
static inline int vcp_mariadb_run_(MYSQL *mysql, const char *command)
{
    int more = mysql_query(mysql, command);
    while (more == 0) {
        MYSQL_RES *result = mysql_use_result(mysql);
        mysql_free_result(result);
        more = mysql_next_result(mysql);
    }
    return mysql_errno(mysql) == 0 ? 0 : -1;
}

/* vcp_pool_options.on_release: as it was after the login. 0, or -1: it cannot be. */
static inline int vcp_mariadb_reset_(void *user, vcp_conn *conn, int fd)
{
    vcp_mariadb_login login = ((const vcp_mariadb_pool_ *)user)->login;
    MYSQL *mysql = (MYSQL *)vcp_conn_data(conn);
    int begun = vcp_mariadb_thread_begin_();
    char **commands = NULL;
    unsigned i, count = 0;
    char tag[1025];
    int failed = begun < 0 || !vcp_mariadb_is_at_rest_(mysql) || mysql_reset_connection(mysql) ||
                 vcp_conn_reuse_tag(conn, tag, sizeof tag) < 0 ||
                 vcp_mariadb_apply_tag_(tag, &login) ||
                 mysql_get_optionv(mysql, MYSQL_INIT_COMMAND, &commands, &count);
    (void)fd;
    if (!failed) {
        const char *database = login.database == NULL || login.database[0] == '\0'
                                   ? mysql->options.db
                                   : login.database;
        if (database == NULL)
            failed = mysql->db != NULL && mysql->db[0] != '\0';
        else if (mysql->db == NULL || strcmp(mysql->db, database) != 0)
            failed = mysql_select_db(mysql, database);
        for (i = 0; i < count && !failed; i++)
            failed = vcp_mariadb_run_(mysql, commands[i]);
    }
    vcp_mariadb_thread_end_(begun);
    return failed ? -1 : 0;
}

/* The program's callbacks, with the program's pointer. */
#define VCP_MARIADB_HOOK_(hook)                                                 \
    static inline int vcp_mariadb_##hook##_(void *user, vcp_conn *conn, int fd) \
    {                                                                           \
        const vcp_mariadb_pool_ *pool = (const vcp_mariadb_pool_ *)user;        \
        return pool->program.hook(pool->event_user, conn, fd);                  \
    }
VCP_MARIADB_HOOK_(on_open)
VCP_MARIADB_HOOK_(on_reuse)
VCP_MARIADB_HOOK_(on_idle)
#undef VCP_MARIADB_HOOK_

static inline int vcp_mariadb_rewrite_(void *user, const char *network, const char *address,
                                       char *out, size_t size)
{
    const vcp_mariadb_pool_ *pool = (const vcp_mariadb_pool_ *)user;
    return pool->program.rewrite(pool->event_user, network, address, out, size);
}

static inline void vcp_mariadb_on_event_(void *user, const vcp_event *event)
{
    const vcp_mariadb_pool_ *pool = (const vcp_mariadb_pool_ *)user;
    pool->program.on_event(pool->event_user, event);
}

/* What the callbacks are given, with its own copy of the login. NULL: there is no memory. */
static inline vcp_mariadb_pool_ *vcp_mariadb_copy_(const vcp_mariadb_login *login)
{
    vcp_mariadb_login copy = {NULL, NULL, NULL, NULL};
    const char **texts[] = {&copy.user, &copy.password, &copy.database, &copy.option_group};
    vcp_mariadb_pool_ *pool;
    size_t size = sizeof *pool;
    char *room;
    int i;
    if (login != NULL)
        copy = *login;
    for (i = 0; i < 4; i++)
        size += *texts[i] == NULL ? 0 : strlen(*texts[i]) + 1;
    pool = (vcp_mariadb_pool_ *)calloc(1, size);
    if (pool == NULL)
        return NULL;
    room = (char *)(pool + 1);
    for (i = 0; i < 4; i++) {
        if (*texts[i] != NULL) {
            *texts[i] = strcpy(room, *texts[i]);
            room += strlen(room) + 1;
        }
    }
    pool->login = copy;
    return pool;
}

/**
 * Makes a pool whose connections are MariaDB sessions, and writes its handle to *pool.
 *
 * login: NULL, as one with four NULLs. options: NULL, or initialised ones in which user,
 * open_session, on_release and free_user are unset. on_open, on_reuse, on_idle, on_event and
 * rewrite may be set, and get event_user, which must live as vcp_pool_options.user must.
 *
 * Errors: those of vcp_pool_new; VCP_ERR_NO_MEMORY; VCP_ERR_INVALID_ARGUMENT if one of those four
 * is set or options are not initialised. What is wrong with a login, an address or a tag, the
 * dial's VCP_ERR_CALLBACK tells, and vcp_last_errno() is mysql_errno's number.
 */
static inline int vcp_mariadb_pool_new(const vcp_mariadb_login *login,
                                       const vcp_pool_options *options, void *event_user,
                                       vcp_pool **pool)
{
    vcp_pool_options own;
    vcp_mariadb_pool_ *user;
    int status = vcp_pool_options_init(&own, sizeof own);
    if (status != VCP_OK)
        return status;
    if (options != NULL) {
        if (options->size != sizeof own || options->user != NULL || options->open_session != NULL ||
            options->on_release != NULL || options->free_user != NULL)
            return vcp_set_last_error(VCP_ERR_INVALID_ARGUMENT,
                                      "vcp_mariadb_pool_new: options that are not initialised, or "
                                      "user, open_session, on_release and free_user are not unset");
        own = *options;
    }
    user = vcp_mariadb_copy_(login);
    if (user == NULL)
        return vcp_set_last_error(VCP_ERR_NO_MEMORY, "vcp_mariadb_pool_new: memory ran out");
    user->program = own;
    user->event_user = event_user;
    own.user = user;
    own.free_user = free;
    own.open_session = vcp_mariadb_open_;
    own.on_release = vcp_mariadb_reset_;
    own.on_release_in_background = 1;
    own.rewrite = own.rewrite == NULL ? NULL : vcp_mariadb_rewrite_;
    own.on_open = own.on_open == NULL ? NULL : vcp_mariadb_on_open_;
    own.on_reuse = own.on_reuse == NULL ? NULL : vcp_mariadb_on_reuse_;
    own.on_idle = own.on_idle == NULL ? NULL : vcp_mariadb_on_idle_;
    own.on_event = own.on_event == NULL ? NULL : vcp_mariadb_on_event_;
    status = vcp_pool_new(&own, pool);
    if (status != VCP_OK)
        free(user);
    return status;
}

/**
 * The session of a borrowed connection. It is valid until vcp_conn_close; after vcp_conn_detach it
 * is the caller's, to be ended by mysql_close. NULL if conn is no live handle.
 */
static inline MYSQL *vcp_mariadb_session(vcp_conn *conn)
{
    return (MYSQL *)vcp_conn_data(conn);
}

#endif
