/*
 * malloc(3) fails for the library: what makes something is refused, what ends something works, and
 * everything goes on when there is memory again.
 *
 * The malloc(3) of the program comes before libc's for every library. It fails for callers inside
 * libvconnpool alone, which it tells by the return address. (Not under valgrind
 * and the sanitizers, which bring a malloc of their own.)
 */
struct test_entry;
static void run_with_faults(const struct test_entry *entry);
#define RUN_TEST(entry) run_with_faults(entry)

#include "completions.h"
#include "dialing_threads.h"

static int fails;
static int calls; /* of this malloc */
static uintptr_t library_begins;
static uintptr_t library_ends;

#ifdef __cplusplus
extern "C" {
#endif
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *place, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
#ifdef __cplusplus
}
#endif

static int must_fail(void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    return __sync_add_and_fetch(&fails, 0) != 0 && at >= library_begins && at < library_ends;
}

void *malloc(size_t size)
{
    __sync_fetch_and_add(&calls, 1);
    return must_fail(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return must_fail(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *place, size_t size)
{
    return must_fail(__builtin_return_address(0)) ? NULL : __libc_realloc(place, size);
}

int posix_memalign(void **place, size_t alignment, size_t size)
{
    void *made = must_fail(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
    if (made == NULL) {
        return ENOMEM;
    }
    *place = made;
    return 0;
}

BEFORE_THE_TESTS(char **argv)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    CHECK(argv != NULL && maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from;
        unsigned long to;
        if (strstr(line, "libvconnpool") != NULL && sscanf(line, "%lx-%lx", &from, &to) == 2) {
            library_begins = library_begins == 0 ? from : library_begins;
            library_ends = to;
        }
    }
    fclose(maps);
    CHECK(library_begins < library_ends);
}

static int malloc_is_ours(void)
{
    /* The compiler takes malloc for one that changes nothing that it sees. */
    int before = __sync_add_and_fetch(&calls, 0);
    void *volatile place = malloc(1);
    free(place);
    return __sync_add_and_fetch(&calls, 0) > before;
}

static void run_with_faults(const test_entry *entry)
{
    if (!malloc_is_ours()) {
        printf("%s\n", entry->name);
        SKIP("malloc is a tool's");
    }
    run_named(entry);
}

static void runs_out(void)
{
    __sync_lock_test_and_set(&fails, 1);
}

static void is_there_again(void)
{
    __sync_lock_release(&fails);
}

TEST(what_makes_something_is_refused_while_memory_is_out,
     "memory: While malloc fails, what makes something is VCP_ERR_NO_MEMORY, and changes nothing")
{
    fixture f = fixture_new(NULL);
    vcp_dial_options dial = dial_options(0);
    vcp_queue *queue = queue_new();
    vcp_pool *no_pool = NULL;
    vcp_queue *no_queue = NULL;
    vcp_cancel *no_cancel = NULL;
    vcp_conn *conn;
    vcp_conn *none = (vcp_conn *)&f;
    char text[64];
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_queue_new(NULL), VCP_ERR_INVALID_ARGUMENT); /* this thread has room for messages */
    runs_out();
    CHECK_EQ(vcp_pool_new(NULL, &no_pool), VCP_ERR_NO_MEMORY);
    CHECK(no_pool == NULL);
    CHECK_HAS(vcp_last_error(), "memory");
    CHECK_EQ(vcp_queue_new(&no_queue), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_cancel_new(&no_cancel), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_dial(f.pool, f.s.network, f.s.address, &none), VCP_ERR_NO_MEMORY);
    CHECK(none == NULL);
    CHECK_HAS(vcp_last_error(), "dial tcp 127.0.0.1:");
    CHECK_EQ(vcp_dial_with(f.pool, f.s.network, f.s.address, &dial, &none), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_dial_async(f.pool, f.s.network, f.s.address, &dial, queue, NULL, &none),
             VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_pool_warm(f.pool, f.s.network, f.s.address, NULL, 1), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_pool_describe(f.pool, VCP_FORMAT_TEXT, NULL, 0), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_conn_set_deadline(conn, 1000), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_conn_remote_address(conn, text, sizeof text), VCP_ERR_NO_MEMORY);
    CHECK_EQ(stats_of(f.pool).dials, 1);
    CHECK_EQ(stats_of(f.pool).dial_failures, 0);
    give_back(conn);
    is_there_again();
    give_back(borrow(f.pool, &f.s));
    CHECK_EQ(stats_of(f.pool).dials, 1);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

typedef int64_t (*text_function)(vcp_conn *, char *, size_t);

static const text_function texts_of_a_connection[] = {
    vcp_conn_local_address, vcp_conn_remote_address, vcp_conn_network,
    vcp_conn_address,       vcp_conn_reuse_tag,
};

static void texts_answer(vcp_conn *conn, char *buffer, int status)
{
    size_t i;
    for (i = 0; i < sizeof texts_of_a_connection / sizeof *texts_of_a_connection; i++)
        CHECK_EQ(texts_of_a_connection[i](conn, buffer, 64), status);
}

TEST(a_connection_is_not_changed_while_memory_is_out,
     "memory: While malloc fails, deadlines, tokens, data and texts of a connection are "
     "VCP_ERR_NO_MEMORY")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    vcp_cancel *cancel;
    char text[64];
    CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
    texts_answer(conn, NULL, VCP_ERR_INVALID_ARGUMENT);
    runs_out();
    texts_answer(conn, text, VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_conn_set_deadline_at(conn, vcp_now_ms() - 1), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_conn_set_read_deadline(conn, 0), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_conn_set_write_deadline(conn, 0), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_conn_set_cancel(conn, cancel), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_conn_set_data(conn, text, NULL), VCP_ERR_NO_MEMORY);
    CHECK(vcp_conn_data(conn) == NULL);
    is_there_again();
    CHECK_EQ(vcp_cancel_fire(cancel), VCP_OK);
    CHECK_EQ(vcp_conn_write(conn, "x", 1), 1); /* neither deadline nor token was set */
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(a_pool_takes_and_gives_nothing_while_memory_is_out,
     "memory: While malloc fails, put, add, get and set_limits are VCP_ERR_NO_MEMORY, and a "
     "socket stays the program's")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options limits = pool_options();
    int fd;
    give_back(borrow(f.pool, &f.s));
    fd = vcp_pool_get(f.pool, f.s.network, f.s.address, NULL);
    CHECK(fd >= 0);
    give_back(borrow(f.pool, &f.s));
    limits.max_idle_per_address = 0;
    runs_out();
    CHECK_EQ(vcp_pool_put(f.pool, fd, f.s.network, f.s.address, NULL), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_pool_add(f.pool, fd), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_pool_get(f.pool, f.s.network, f.s.address, NULL), VCP_ERR_NO_MEMORY);
    CHECK_EQ(vcp_pool_set_limits(f.pool, &limits), VCP_ERR_NO_MEMORY);
    CHECK_EQ(stats_of(f.pool).idle, 1);
    is_there_again();
    CHECK_EQ(vcp_pool_put(f.pool, fd, f.s.network, f.s.address, NULL), VCP_OK);
    CHECK_EQ(stats_of(f.pool).idle, 2);
    FIXTURE_END(&f);
}

TEST(a_message_without_memory_is_that_of_its_status,
     "memory: A failure whose message has no room while malloc fails is told by the text of its "
     "status, and the next one by its own again")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    char address[1020];
    memset(address, 'a', sizeof address);
    strcpy(address + sizeof address - 4, ":80");
    CHECK_EQ(vcp_queue_new(NULL), VCP_ERR_INVALID_ARGUMENT); /* this thread has room for 1,024 */
    runs_out();
    CHECK_EQ(vcp_dial(f.pool, "tcp", address, &conn), VCP_ERR_NO_MEMORY);
    CHECK_STR(vcp_last_error(), vcp_strerror(VCP_ERR_NO_MEMORY));
    CHECK_EQ(vcp_dial(f.pool, f.s.network, f.s.address, &conn), VCP_ERR_NO_MEMORY);
    CHECK_HAS(vcp_last_error(), "dial tcp 127.0.0.1:");
    is_there_again();
    FIXTURE_END(&f);
}

TEST(what_ends_something_works_while_memory_is_out,
     "memory: While malloc fails, give-back, hits, discard, close_idle, evict, drain, abort, frees "
     "and fire work")
{
    fixture f = fixture_new(NULL);
    vcp_queue *queue = queue_new();
    vcp_cancel *cancel;
    vcp_conn *conn;
    int round;
    CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
    give_back(borrow(f.pool, &f.s));
    runs_out();
    for (round = 0; round < 3; round++) {
        conn = borrow(f.pool, &f.s);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        give_back(conn);
    }
    CHECK_EQ(vcp_pool_idle_count(f.pool, f.s.network, f.s.address), 1);
    CHECK_EQ(vcp_pool_evict(f.pool, f.s.network, f.s.address), VCP_OK);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 0);
    is_there_again();
    conn = borrow(f.pool, &f.s);
    runs_out();
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    CHECK_EQ(vcp_pool_close_idle(f.pool), VCP_OK);
    CHECK_EQ(vcp_pool_abort(f.pool), VCP_OK);
    give_back(conn);
    CHECK_EQ(vcp_cancel_fire(cancel), VCP_OK);
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_drain(f.pool, 0), 0);
    FIXTURE_END(&f);
    is_there_again();
}

enum { DIALS = 50 };

TEST(asynchronous_dials_are_answered_while_memory_is_out,
     "memory: Asynchronous dials that had begun when malloc began to fail are each answered once, "
     "and nothing is lost")
{
    fixture f = fixture_new(NULL);
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    int i;
    for (i = 0; i < DIALS; i++) {
        CHECK_EQ(vcp_dial_async(f.pool, f.s.network, f.s.address, NULL, queue, NULL, &conn),
                 VCP_ERR_IN_PROGRESS);
    }
    runs_out();
    for (i = 0; i < DIALS; i++) {
        vcp_completion answer = next_completion(queue);
        CHECK(answer.status >= 0 || answer.status == VCP_ERR_NO_MEMORY);
        if (answer.status >= 0) {
            give_back(answer.conn);
        }
    }
    is_there_again();
    /* A connect whose dial was answered by another's connection goes on. */
    EVENTUALLY(stats_of(f.pool).dialing == 0 && stats_of(f.pool).borrowed == 0, 5000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

TEST(waiters_go_on_while_memory_is_out,
     "memory: A thread that waits at a limit gets what is given back while malloc fails")
{
    vcp_pool_options options = pool_options();
    fixture f;
    vcp_conn *conn;
    dialer waiter;
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    f = fixture_new(&options);
    conn = borrow(f.pool, &f.s);
    waiter = dialer_of(f.pool, f.s.address);
    dialer_start(&waiter);
    EVENTUALLY(stats_of(f.pool).waiting == 1, 5000);
    runs_out();
    give_back(conn);
    dialer_join(&waiter);
    CHECK(waiter.status >= 0);
    give_back(waiter.conn);
    is_there_again();
    FIXTURE_END(&f);
}

/* So many that they find no room in what the library has set aside. */
static int many(int count)
{
    return slowness() > 1 ? count / 10 : count;
}

/* Each answer had a text, which the program was to fetch before there was room for the next. */
TEST(a_pool_with_many_waiting_is_closed_while_memory_is_out,
     "memory: vcp_pool_close answers 10,000 asynchronous dials while malloc fails")
{
    vcp_pool_options options = pool_options();
    vcp_queue *queue = queue_new();
    int count = many(10000);
    fixture f;
    vcp_conn *held;
    vcp_conn *conn;
    int i;
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    options.dial_timeout_ms = 0;
    f = fixture_new(&options);
    held = borrow(f.pool, &f.s);
    for (i = 0; i < count; i++) {
        CHECK_EQ(vcp_dial_async(f.pool, f.s.network, f.s.address, NULL, queue, NULL, &conn),
                 VCP_ERR_IN_PROGRESS);
    }
    runs_out();
    CHECK_EQ(vcp_pool_close(f.pool), VCP_OK);
    give_back(held);
    for (i = 0; i < count; i++) {
        CHECK_EQ(next_completion(queue).status, VCP_ERR_POOL_CLOSED);
    }
    is_there_again();
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    server_close(&f.s);
}

static int opens_one(void *user, const vcp_session_request *request, vcp_session *session)
{
    (void)user;
    (void)request;
    session->data = &fails;
    return 0;
}

static int is_asked(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    return fd >= 0;
}

/* Each give-back noted when on_idle was to be asked, in memory of its own. */
TEST(many_are_given_back_while_memory_is_out,
     "memory: 20,000 connections of a pool with on_idle are given back while malloc fails")
{
    vcp_pool_options options = pool_options();
    int count = many(20000);
    vcp_conn **conns = (vcp_conn **)calloc((size_t)count, sizeof *conns);
    vcp_pool *pool;
    int i;
    CHECK(conns != NULL);
    options.open_session = opens_one;
    options.on_idle = is_asked;
    options.on_idle_ms = 30000;
    options.max_idle_per_address = (uint32_t)count;
    pool = pool_new(&options);
    for (i = 0; i < count; i++) {
        CHECK_EQ(vcp_dial(pool, "tcp", "db.invalid:1", &conns[i]), 0);
    }
    runs_out();
    for (i = 0; i < count; i++) {
        give_back(conns[i]);
    }
    CHECK_EQ(idle_in(pool), count);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    is_there_again();
    free(conns);
}
