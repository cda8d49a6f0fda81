/*
 * The library as a plug-in's: loaded by dlopen(3), used, and let go by dlclose(3), again and again;
 * and two copies of it in one process. VCP_LOADS says how often (20).
 *
 * The program itself is linked with the library; what is loaded here are copies under other paths,
 * which the dynamic linker takes for other libraries (ld.so(8) tells files by device and inode).
 */
#include <dlfcn.h>

#include "draws.h"
#include "nonces.h"

/* The functions of one copy. */
typedef struct copy {
    char path[64];
    void *handle;
    int (*options_init)(vcp_pool_options *, size_t);
    int (*pool_new)(const vcp_pool_options *, vcp_pool **);
    int (*pool_close)(vcp_pool *);
    int (*dial)(vcp_pool *, const char *, const char *, vcp_conn **);
    int64_t (*idle_count)(vcp_pool *, const char *, const char *);
    int (*raw_fd)(vcp_conn *);
    int64_t (*write)(vcp_conn *, const void *, size_t);
    int64_t (*read_full)(vcp_conn *, void *, size_t);
    int (*conn_close)(vcp_conn *);
    int (*discard)(vcp_conn *);
} copy;

/* ---- copies of the library's file ---- */

static void copy_bytes(int from, int to)
{
    static char bytes[1 << 16];
    ssize_t got;
    while ((got = read(from, bytes, sizeof bytes)) > 0) {
        CHECK_EQ(write(to, bytes, (size_t)got), got);
    }
    CHECK_EQ(got, 0);
}

static copy copy_new(void)
{
    copy c;
    Dl_info library;
    void *symbol = dlsym(RTLD_DEFAULT, "vcp_version_string");
    int from, to;
    memset(&c, 0, sizeof c);
    CHECK(dladdr(symbol, &library) != 0);
    snprintf(c.path, sizeof c.path, "/tmp/libvconnpool-XXXXXX");
    from = open(library.dli_fname, O_RDONLY | O_CLOEXEC);
    to = mkostemp(c.path, O_CLOEXEC);
    CHECK(from >= 0 && to >= 0);
    copy_bytes(from, to);
    close(from);
    close(to);
    return c;
}

static void copy_remove(const copy *c)
{
    CHECK_EQ(unlink(c->path), 0);
}

#define FIND(c, member, name)                              \
    do {                                                   \
        *(void **)&(c)->member = dlsym((c)->handle, name); \
        CHECK((c)->member != NULL);                        \
    } while (0)

static void copy_load(copy *c)
{
    c->handle = dlopen(c->path, RTLD_NOW | RTLD_LOCAL);
    CHECK(c->handle != NULL);
    FIND(c, options_init, "vcp_pool_options_init");
    FIND(c, pool_new, "vcp_pool_new");
    FIND(c, pool_close, "vcp_pool_close");
    FIND(c, dial, "vcp_dial");
    FIND(c, idle_count, "vcp_pool_idle_count");
    FIND(c, raw_fd, "vcp_conn_raw_fd");
    FIND(c, write, "vcp_conn_write");
    FIND(c, read_full, "vcp_conn_read_full");
    FIND(c, conn_close, "vcp_conn_close");
    FIND(c, discard, "vcp_conn_discard");
}

/* ---- what is done with one ---- */

static uint32_t copy_asks(const copy *c, vcp_conn *conn, uint32_t serial)
{
    question asked = question_of(serial, WISH_ANSWER);
    answer heard;
    CHECK_EQ(c->write(conn, &asked, sizeof asked), (int64_t)sizeof asked);
    CHECK_EQ(c->read_full(conn, &heard, sizeof heard), (int64_t)sizeof heard);
    CHECK_EQ(memcmp(&heard.asked, &asked, sizeof asked), 0);
    own_nonce(heard.nonce);
    return heard.nonce;
}

static vcp_pool *copy_pool(const copy *c)
{
    vcp_pool_options options;
    vcp_pool *pool = NULL;
    CHECK_EQ(c->options_init(&options, sizeof options), VCP_OK);
    options.liveness = VCP_LIVENESS_WATCH;
    CHECK_EQ(c->pool_new(&options, &pool), VCP_OK);
    return pool;
}

/* A dial by name (a thread looks it up), an echo, a hit. */
static void copy_lives(const copy *c, const server *s)
{
    vcp_pool *pool = copy_pool(c);
    char name[64];
    uint32_t nonce = 0;
    int round;
    snprintf(name, sizeof name, "localhost:%d", s->port);
    for (round = 0; round < 3; round++) {
        vcp_conn *conn = NULL;
        uint32_t seen;
        CHECK(c->dial(pool, "tcp4", name, &conn) >= 0);
        seen = copy_asks(c, conn, (uint32_t)round);
        CHECK(nonce == 0 || seen == nonce);
        nonce = seen;
        disown_nonce(seen);
        CHECK_EQ(c->conn_close(conn), VCP_OK);
    }
    CHECK_EQ(c->idle_count(pool, NULL, NULL), 1);
    CHECK_EQ(c->pool_close(pool), VCP_OK);
}

/* Lines of proc(5), maps, that name the file. */
static int mappings_of(const copy *c)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    int count = 0;
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        count += strstr(line, c->path) != NULL;
    }
    fclose(maps);
    return count;
}

TEST(loaded_and_let_go_again_and_again_nothing_grows,
     "loading: dlopen, use and dlclose two hundred times: the library stays mapped once, and "
     "descriptors, threads and heap do not grow")
{
    int64_t count = rounds_of("VCP_LOADS", 20);
    nonce_server served = nonce_server_new();
    copy c = copy_new();
    int fds = open_fds();
    int mappings = 0;
    int64_t heap = 0;
    int64_t i;
    for (i = 0; i < count; i++) {
        copy_load(&c);
        copy_lives(&c, &served.at[0]);
        CHECK_EQ(dlclose(c.handle), 0);
        /* At most one engine, one helper and one resolver, from one life to the next. */
        CHECK_BETWEEN(threads(), 1, 4 + TOOL_THREADS);
        CHECK_BETWEEN(open_fds(), fds, fds + 8);
        if (i == count / 2) {
            CHECK_BASELINE(fds, 1 + TOOL_THREADS);
            mappings = mappings_of(&c);
            heap = heap_bytes();
        }
    }
    CHECK_BASELINE(fds, 1 + TOOL_THREADS);
    CHECK(mappings > 0);
    CHECK_EQ(mappings_of(&c), mappings);
    printf("  %lld loads: %d mappings, heap %+lld bytes\n", (long long)count, mappings,
           (long long)(heap_bytes() - heap));
    if (slowness() == 1) {
        CHECK_BETWEEN(heap_bytes() - heap, -(4 << 10), 4 << 10);
    }
    copy_remove(&c);
    nonce_server_close(&served);
}

/* ---- two at once ---- */

typedef struct user_of_a_copy {
    const copy *c;
    const server *s;
    vcp_pool *pool;
    uint32_t first;
    pthread_t thread;
} user_of_a_copy;

static void *uses_its_copy(void *argument)
{
    const user_of_a_copy *u = (const user_of_a_copy *)argument;
    uint32_t serial;
    for (serial = u->first; serial < u->first + 300; serial++) {
        vcp_conn *conn = NULL;
        int fd = u->c->dial(u->pool, u->s->network, u->s->address, &conn);
        uint32_t nonce;
        CHECK(fd >= 0);
        own_fd(fd);
        nonce = copy_asks(u->c, conn, serial);
        if (serial % 16 == 0) {
            CHECK_EQ(u->c->discard(conn), VCP_OK);
        }
        disown_nonce(nonce);
        disown_fd(fd);
        CHECK_EQ(u->c->conn_close(conn), VCP_OK);
    }
    return NULL;
}

static void check_handles_are_the_copys_own(const copy *one, const copy *other, const server *s)
{
    vcp_pool *pool = copy_pool(one);
    vcp_pool *others = copy_pool(other);
    vcp_conn *conn = NULL;
    CHECK(one->dial(pool, s->network, s->address, &conn) >= 0);
    /* The other copy has lent no such handle; ending it there ends nothing here. */
    CHECK(other->conn_close(conn) < 0);
    CHECK(one->raw_fd(conn) >= 0);
    disown_nonce(copy_asks(one, conn, 1));
    CHECK_EQ(one->conn_close(conn), VCP_OK);
    CHECK_EQ(one->idle_count(pool, NULL, NULL), 1);
    CHECK_EQ(other->idle_count(others, NULL, NULL), 0);
    CHECK_EQ(one->pool_close(pool), VCP_OK);
    CHECK_EQ(other->pool_close(others), VCP_OK);
}

static void use_both_at_once(const copy *copies, const server *s)
{
    user_of_a_copy users[8];
    int i;
    for (i = 0; i < 8; i++) {
        users[i].c = &copies[i % 2];
        users[i].s = s;
        users[i].pool = i < 2 ? copy_pool(&copies[i]) : users[i % 2].pool;
        users[i].first = (uint32_t)i * 1000;
        CHECK_EQ(pthread_create(&users[i].thread, NULL, uses_its_copy, &users[i]), 0);
    }
    for (i = 0; i < 8; i++) {
        CHECK_EQ(pthread_join(users[i].thread, NULL), 0);
    }
    for (i = 0; i < 2; i++) {
        CHECK_EQ(copies[i].pool_close(users[i].pool), VCP_OK);
    }
}

TEST(two_copies_in_one_process_work_beside_each_other,
     "loading: Two copies of the library in one process, each with threads and pools of its own, "
     "work beside each other")
{
    nonce_server served = nonce_server_new();
    copy copies[2];
    int fds = open_fds();
    int i;
    for (i = 0; i < 2; i++) {
        copies[i] = copy_new();
        copy_load(&copies[i]);
    }
    CHECK(copies[0].dial != copies[1].dial);
    check_handles_are_the_copys_own(&copies[0], &copies[1], &served.at[0]);
    use_both_at_once(copies, &served.at[0]);
    for (i = 0; i < 2; i++) {
        copy_lives(&copies[i], &served.at[0]);
        CHECK_EQ(dlclose(copies[i].handle), 0);
        copy_remove(&copies[i]);
    }
    CHECK_BASELINE(fds, 1 + TOOL_THREADS);
    nonce_server_close(&served);
}

BEFORE_THE_TESTS(char **argv)
{
    count_heap_exactly(argv);
}
