/*
 * What a forked child finds in the pools that it inherited, and what of it the parent notices:
 * nothing. Contract section 7.
 */
#include "child_processes.h"

#define IDLE 3

/* A pool with three idle connections and one borrowed, and their other ends. */
typedef struct home {
    server s;
    vcp_pool *pool;
    vcp_conn *borrowed;
    int idle[IDLE];
    int borrowed_fd;
    int peers[IDLE + 1];
} home;

static home home_with(const vcp_pool_options *options)
{
    home h;
    vcp_conn *conns[IDLE];
    int i;
    memset(&h, 0, sizeof h);
    h.s = tcp_server();
    h.pool = pool_new(options);
    for (i = 0; i < IDLE; i++) {
        conns[i] = borrow_fresh(h.pool, &h.s);
        h.idle[i] = vcp_conn_raw_fd(conns[i]);
        h.peers[i] = server_accept(&h.s);
    }
    h.borrowed = borrow_fresh(h.pool, &h.s);
    h.borrowed_fd = vcp_conn_raw_fd(h.borrowed);
    h.peers[IDLE] = server_accept(&h.s);
    for (i = 0; i < IDLE; i++)
        give_back(conns[i]);
    return h;
}

static home home_new(void)
{
    return home_with(NULL);
}

/* Nobody has said a word to the peers, and the connections still carry what the parent sends. */
static void check_nothing_was_noticed(home *h)
{
    char bytes[8];
    int i;
    for (i = 0; i <= IDLE; i++)
        CHECK(peer_sees_life(h->peers[i]));
    CHECK_EQ(idle_in(h->pool), IDLE);
    CHECK_EQ(vcp_pool_conn_count(h->pool), IDLE + 1);
    CHECK_EQ(vcp_conn_write(h->borrowed, "parent", 6), 6);
    CHECK_EQ(recv(h->peers[IDLE], bytes, sizeof bytes, 0), 6);
    CHECK_EQ(send(h->peers[IDLE], "server", 6, 0), 6);
    CHECK_EQ(vcp_conn_read(h->borrowed, bytes, sizeof bytes), 6);
    for (i = 0; i < IDLE; i++) {
        vcp_conn *conn = borrow(h->pool, &h->s);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        CHECK_EQ(vcp_conn_write(conn, "parent", 6), 6);
        CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        give_back(conn);
    }
    for (i = 0; i < IDLE; i++)
        CHECK_EQ(recv(h->peers[i], bytes, sizeof bytes, 0), 6);
    CHECK_STATS_ADD_UP(h->pool);
}

static void home_close(home *h)
{
    int i;
    give_back(h->borrowed);
    CHECK_EQ(vcp_pool_close(h->pool), VCP_OK);
    for (i = 0; i <= IDLE; i++)
        close(h->peers[i]);
    server_close(&h->s);
}

/* ---- the pool ---- */

static void finds_an_empty_pool_that_works(void *argument)
{
    home *h = (home *)argument;
    vcp_conn *conn;
    int peer;
    int fd;
    char bytes[8];
    CHECK_EQ(vcp_pool_conn_count(h->pool), 0);
    CHECK_EQ(idle_in(h->pool), 0);
    conn = borrow(h->pool, &h->s);
    peer = server_accept(&h->s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(vcp_conn_write(conn, "child", 5), 5);
    CHECK_EQ(recv(peer, bytes, sizeof bytes, 0), 5);
    fd = vcp_conn_raw_fd(conn);
    give_back(conn);
    conn = borrow(h->pool, &h->s);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    give_back(conn);
    CHECK_EQ(idle_in(h->pool), 1);
    CHECK_STATS_ADD_UP(h->pool);
    CHECK_EQ(vcp_pool_close(h->pool), VCP_OK);
    CHECK(peer_sees_end(peer));
    CHECK_EQ(vcp_pool_close(h->pool), VCP_ERR_POOL_CLOSED);
}

static void works_after(fork_kind how)
{
    home h = home_new();
    IN_A_CHILD(how, finds_an_empty_pool_that_works, &h);
    check_nothing_was_noticed(&h);
    home_close(&h);
}

TEST(after_fork_an_inherited_pool_is_empty_and_works,
     "fork: In a child every pool starts empty and works, under the same handle, for fork")
{
    works_after(BY_FORK);
}

/* Not by child_ends: a leak checker is to look. */
static void leaves(void *argument)
{
    home *h = (home *)argument;
    CHECK_EQ(vcp_pool_close(h->pool), VCP_OK);
    _exit(0);
}

TEST(what_a_child_keeps_is_not_lost,
     "fork: A leak checker finds a pointer to what a child keeps of its parent's library")
{
    home h = home_new();
    IN_A_CHILD(BY_FORK, leaves, &h);
    home_close(&h);
}

TEST(after_underscore_fork_too, "fork: After _Fork pools start empty in the child and work")
{
    works_after(BY_UNDERSCORE_FORK);
}

TEST(after_clone_too, "fork: After clone pools start empty in the child and work")
{
    works_after(BY_CLONE);
}

static void has_a_child_before_its_first_call(void *argument)
{
    home *h = (home *)argument;
    IN_A_CHILD(BY_FORK, finds_an_empty_pool_that_works, h);
    finds_an_empty_pool_that_works(h);
}

static void has_a_child_after_its_first_call(void *argument)
{
    home *h = (home *)argument;
    vcp_conn *conn = borrow(h->pool, &h->s);
    int peer = server_accept(&h->s);
    vcp_conn *kept = borrow(h->pool, &h->s);
    int kept_peer = server_accept(&h->s);
    int fd = vcp_conn_raw_fd(conn);
    give_back(conn);
    IN_A_CHILD(BY_FORK, finds_an_empty_pool_that_works, h);
    IN_A_CHILD(BY_CLONE, finds_an_empty_pool_that_works, h);
    /* Of this the grandchildren have closed copies only. */
    CHECK(peer_sees_life(peer));
    CHECK(peer_sees_life(kept_peer));
    conn = borrow(h->pool, &h->s);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_write(kept, "x", 1), 1);
    give_back(kept);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(h->pool), VCP_OK);
}

TEST(grandchildren_have_pools_of_their_own_too, "fork: In a grandchild pools start empty and work, "
                                                "whether the child has called the library or not")
{
    home h = home_new();
    IN_A_CHILD(BY_FORK, has_a_child_before_its_first_call, &h);
    IN_A_CHILD(BY_FORK, has_a_child_after_its_first_call, &h);
    IN_A_CHILD(BY_CLONE, has_a_child_before_its_first_call, &h);
    check_nothing_was_noticed(&h);
    home_close(&h);
}

static void is_held_by_its_limits(void *argument)
{
    home *h = (home *)argument;
    vcp_conn *conns[IDLE + 2];
    int i;
    for (i = 0; i <= IDLE; i++)
        conns[i] = borrow(h->pool, &h->s);
    CHECK_EQ(vcp_dial(h->pool, h->s.network, h->s.address, &conns[IDLE + 1]),
             VCP_ERR_POOL_EXHAUSTED);
    CHECK_EQ(vcp_pool_new(NULL, &h->pool), VCP_OK);
    for (i = 0; i <= IDLE + 1; i++)
        conns[i] = borrow(h->pool, &h->s);
}

TEST(the_options_are_the_inherited_ones, "fork: The child's pool has the inherited options")
{
    vcp_pool_options options = pool_options();
    home h;
    options.max_conns = IDLE + 1;
    h = home_with(&options);
    IN_A_CHILD(BY_FORK, is_held_by_its_limits, &h);
    home_close(&h);
}

static void counts_from_nothing(void *argument)
{
    home *h = (home *)argument;
    vcp_stats s = stats_of(h->pool);
    vcp_stats nothing;
    memset(&nothing, 0, sizeof nothing);
    nothing.size = sizeof nothing;
    CHECK_EQ(memcmp(&s, &nothing, sizeof s), 0);
    give_back(borrow(h->pool, &h->s));
    CHECK_EQ(stats_of(h->pool).dials, 1);
}

TEST(the_statistics_start_at_nothing,
     "fork: In a forked child all counters of vcp_stats start at 0")
{
    home h = home_new();
    IN_A_CHILD(BY_FORK, counts_from_nothing, &h);
    CHECK_EQ(stats_of(h.pool).dials, IDLE + 1);
    home_close(&h);
}

static void is_refused(void *argument)
{
    home *h = (home *)argument;
    vcp_conn *conn;
    CHECK_EQ(vcp_dial(h->pool, h->s.network, h->s.address, &conn), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_pool_close(h->pool), VCP_OK);
}

TEST(a_drained_pool_stays_drained, "fork: A pool that was drained stays so in the child")
{
    home h = home_new();
    CHECK_EQ(vcp_pool_drain(h.pool, 0), 1);
    IN_A_CHILD(BY_FORK, is_refused, &h);
    home_close(&h);
}

/* ---- idle connections ---- */

typedef struct two_homes {
    home a;
    home b;
} two_homes;

static int open_among(const home *h)
{
    int i;
    int count = 0;
    for (i = 0; i < IDLE; i++)
        count += is_open(h->idle[i]);
    return count;
}

static void calls_one_after_the_other(void *argument)
{
    two_homes *both = (two_homes *)argument;
    vcp_pool *third;
    int fds = open_fds();
    CHECK_EQ(open_among(&both->a), IDLE);
    vcp_version_number();
    third = pool_new(NULL);
    CHECK_EQ(vcp_pool_close(third), VCP_OK);
    CHECK_EQ(vcp_conn_raw_fd(both->a.borrowed), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(open_among(&both->a), IDLE);
    CHECK_EQ(open_among(&both->b), IDLE);
    CHECK_EQ(vcp_pool_conn_count(both->b.pool), 0);
    CHECK_EQ(open_among(&both->a), IDLE);
    CHECK_EQ(open_among(&both->b), 0);
    CHECK_EQ(vcp_pool_close(both->a.pool), VCP_OK);
    CHECK_EQ(open_among(&both->a), 0);
    CHECK(is_open(both->a.borrowed_fd));
    CHECK(is_open(both->b.borrowed_fd));
    CHECK_EQ(open_fds(), fds - 2 * IDLE);
}

TEST(the_first_call_on_a_pool_closes_its_idle_sockets_and_no_other,
     "fork: The child's first call on a pool closes that pool's idle sockets, and no other; the "
     "parent notices nothing")
{
    two_homes both;
    both.a = home_new();
    both.b = home_new();
    IN_A_CHILD(BY_FORK, calls_one_after_the_other, &both);
    check_nothing_was_noticed(&both.a);
    check_nothing_was_noticed(&both.b);
    home_close(&both.a);
    home_close(&both.b);
}

/* What daemons do: all descriptors are closed, and new ones get their numbers. */
static void has_other_files_under_the_numbers(void *argument)
{
    home *h = (home *)argument;
    int other = open("/dev/null", O_RDWR | O_CLOEXEC);
    int another = client_of(&h->s);
    struct stat before;
    struct stat after;
    CHECK_EQ(dup2(other, h->idle[0]), h->idle[0]);
    CHECK_EQ(dup2(another, h->idle[1]), h->idle[1]);
    CHECK_EQ(dup2(other, h->borrowed_fd), h->borrowed_fd);
    CHECK_EQ(vcp_pool_conn_count(h->pool), 0);
    CHECK(is_open(h->idle[0]));
    CHECK_EQ(fstat(another, &before), 0);
    CHECK_EQ(fstat(h->idle[1], &after), 0);
    CHECK_EQ(before.st_ino, after.st_ino);
    CHECK(!is_open(h->idle[2]));
    CHECK_EQ(vcp_conn_close(h->borrowed), VCP_ERR_CONN_CLOSED);
    CHECK(is_open(h->borrowed_fd));
    /* The numbers are the program's: a pool of the child takes them. */
    CHECK_EQ(vcp_pool_put(h->pool, h->idle[1], h->s.network, h->s.address, NULL), VCP_OK);
    CHECK_EQ(idle_in(h->pool), 1);
}

TEST(a_number_that_stands_for_another_file_is_left_alone,
     "fork: A number that stands for another file in the child is not closed, and can be put")
{
    home h = home_new();
    IN_A_CHILD(BY_FORK, has_other_files_under_the_numbers, &h);
    check_nothing_was_noticed(&h);
    home_close(&h);
}

static void calls(void *argument)
{
    home *h = (home *)argument;
    CHECK_EQ(vcp_pool_conn_count(h->pool), 0);
    CHECK_EQ(vcp_conn_close(h->borrowed), VCP_ERR_CONN_CLOSED);
}

TEST(the_parents_watch_goes_on,
     "fork: The parent's watch goes on after its children have closed their copies")
{
    home h = home_new();
    IN_A_CHILD(BY_FORK, finds_an_empty_pool_that_works, &h);
    IN_A_CHILD(BY_FORK, calls, &h);
    CHECK_EQ(shutdown(h.peers[0], SHUT_RDWR), 0);
    EVENTUALLY(idle_in(h.pool) == IDLE - 1, 1000);
    CHECK_EQ(send(h.peers[1], "dirt", 4, 0), 4);
    EVENTUALLY(idle_in(h.pool) == IDLE - 2, 1000 + LATENESS_MS);
    home_close(&h);
}

/* ---- borrowed connections ---- */

static void tries_everything(void *argument)
{
    home *h = (home *)argument;
    vcp_conn *conn = h->borrowed;
    char text[64];
    CHECK_EQ(vcp_conn_read(conn, text, sizeof text), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_write(conn, "x", 1), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_try_read(conn, text, sizeof text), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_try_write(conn, "x", 1), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_wait(conn, VCP_WRITABLE), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_raw_fd(conn), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_detach(conn), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_discard(conn), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_is_reused(conn), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_uses(conn), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_should_retry(conn), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_set_liveness(conn, VCP_LIVENESS_STRICT), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_set_cancel(conn, NULL), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_set_deadline(conn, -1), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_remote_address(conn, text, sizeof text), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_set_data(conn, text, NULL), VCP_ERR_CONN_CLOSED);
    CHECK(vcp_conn_data(conn) == NULL);
    CHECK(is_open(h->borrowed_fd));
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
    CHECK(!is_open(h->borrowed_fd));
    /* A second close does not touch what has the number now. */
    CHECK_EQ(dup2(h->s.fd, h->borrowed_fd), h->borrowed_fd);
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
    CHECK(is_open(h->borrowed_fd));
}

TEST(an_inherited_handle_is_closed_and_its_close_closes_the_copy,
     "fork: An inherited borrowed handle is CONN_CLOSED in every function; vcp_conn_close closes "
     "the child's copy, once")
{
    home h = home_new();
    IN_A_CHILD(BY_FORK, tries_everything, &h);
    check_nothing_was_noticed(&h);
    home_close(&h);
}

static void closes_what_its_parent_left(void *argument)
{
    home *h = (home *)argument;
    CHECK_EQ(vcp_conn_close(h->borrowed), VCP_ERR_CONN_CLOSED);
    CHECK(!is_open(h->borrowed_fd));
}

static void leaves_it_to_its_child(void *argument)
{
    home *h = (home *)argument;
    CHECK_EQ(vcp_pool_conn_count(h->pool), 0);
    IN_A_CHILD(BY_FORK, closes_what_its_parent_left, h);
    CHECK(is_open(h->borrowed_fd));
    closes_what_its_parent_left(h);
}

TEST(a_grandchild_closes_its_own_copy,
     "fork: A grandchild's vcp_conn_close closes the grandchild's copy alone")
{
    home h = home_new();
    IN_A_CHILD(BY_FORK, leaves_it_to_its_child, &h);
    check_nothing_was_noticed(&h);
    home_close(&h);
}

/* ---- what the program gave along ---- */

static int number_of_frees;

static void counts_frees(void *data)
{
    (void)data;
    number_of_frees++;
}

static void ends_everything(void *argument)
{
    home *h = (home *)argument;
    vcp_conn *conn;
    CHECK_EQ(vcp_conn_close(h->borrowed), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(idle_in(h->pool), 0);
    CHECK_EQ(vcp_pool_close_idle(h->pool), VCP_OK);
    CHECK_EQ(vcp_pool_evict(h->pool, NULL, NULL), VCP_OK);
    CHECK_EQ(vcp_pool_abort(h->pool), VCP_OK);
    CHECK_EQ(number_of_frees, 0);
    conn = borrow(h->pool, &h->s);
    CHECK_EQ(vcp_conn_set_data(conn, conn, counts_frees), VCP_OK);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(h->pool), VCP_OK);
    CHECK_EQ(number_of_frees, 1);
}

TEST(inherited_user_data_is_not_freed_in_a_child,
     "fork: free_data does not run in a forked child for what was inherited")
{
    home h = home_new();
    vcp_conn *conn = borrow(h.pool, &h.s);
    number_of_frees = 0;
    CHECK_EQ(vcp_conn_set_data(conn, &h, counts_frees), VCP_OK);
    CHECK_EQ(vcp_conn_set_data(h.borrowed, &h, counts_frees), VCP_OK);
    give_back(conn);
    IN_A_CHILD(BY_FORK, ends_everything, &h);
    CHECK_EQ(number_of_frees, 0);
    home_close(&h);
    CHECK_EQ(number_of_frees, 2);
}

/* ---- threads ---- */

static void needs_threads_one_by_one(void *argument)
{
    home *h = (home *)argument;
    vcp_conn *conn;
    char name[64];
    int peer;
    CHECK_EQ(threads(), 1);
    CHECK_EQ(vcp_pool_conn_count(h->pool), 0);
    CHECK_EQ(threads(), 1);
    snprintf(name, sizeof name, "localhost:%d", h->s.port);
    CHECK(vcp_dial(h->pool, "tcp4", name, &conn) >= 0);
    peer = server_accept(&h->s);
    CHECK(threads() > 1);
    give_back(conn);
    /* The watch is the child's own. */
    CHECK_EQ(idle_in(h->pool), 1);
    close(peer);
    EVENTUALLY(idle_in(h->pool) == 0, 1000);
    CHECK_EQ(vcp_pool_close(h->pool), VCP_OK);
    EVENTUALLY(threads() == 1, 5000 + LATENESS_MS);
}

TEST(background_threads_start_anew_on_first_need,
     "fork: Background threads start anew in the child, on first need")
{
    home h = home_new();
    char name[64];
    vcp_conn *conn;
    snprintf(name, sizeof name, "localhost:%d", h.s.port);
    CHECK(vcp_dial(h.pool, "tcp4", name, &conn) >= 0);
    close(server_accept(&h.s));
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK(threads() > 1);
    IN_A_CHILD(BY_FORK, needs_threads_one_by_one, &h);
    IN_A_CHILD(BY_CLONE, needs_threads_one_by_one, &h);
    check_nothing_was_noticed(&h);
    home_close(&h);
}

/* ---- what was under way ---- */

typedef struct under_way {
    home h;
    full_server full;
    vcp_cancel *token;
    pthread_t reader;
    pthread_t dialer;
    int read_status;
    int dial_status;
    int ended;
    gate child_is_ready;
    gate child_may_go_on;
} under_way;

static void *reads(void *argument)
{
    under_way *u = (under_way *)argument;
    char byte;
    CHECK_EQ(vcp_conn_set_cancel(u->h.borrowed, u->token), VCP_OK);
    u->read_status = (int)vcp_conn_read(u->h.borrowed, &byte, 1);
    __sync_add_and_fetch(&u->ended, 1);
    return NULL;
}

static void *dials(void *argument)
{
    under_way *u = (under_way *)argument;
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn;
    d.cancel = u->token;
    d.timeout_ms = -1;
    u->dial_status = vcp_dial_with(u->h.pool, "tcp", u->full.s.address, &d, &conn);
    __sync_add_and_fetch(&u->ended, 1);
    return NULL;
}

/* Threads other than this one, the engine among them, that sleep in poll(2). */
static int sleepers(void)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        char path[300];
        FILE *file;
        long call = -1;
        snprintf(path, sizeof path, "/proc/self/task/%s/syscall", entry->d_name);
        file = fopen(path, "re");
        if (file == NULL)
            continue;
        if (fscanf(file, "%ld", &call) == 1 && call == SYS_ppoll)
            count++;
        fclose(file);
    }
    closedir(directory);
    return count;
}

/*
 * Nothing ends, and nobody is awake either: a shared eventfd that somebody wrote to would keep its
 * readers spinning.
 */
static void check_nobody_was_disturbed(under_way *u)
{
    clock_t before = clock();
    STAYS(__sync_add_and_fetch(&u->ended, 0) == 0, 200);
    CHECK_BETWEEN((clock() - before) * 1000 / CLOCKS_PER_SEC, 0, at_most(100));
}

static void under_way_begins(under_way *u)
{
    memset(u, 0, sizeof *u);
    u->h = home_new();
    u->full = full_server_new();
    u->child_is_ready = gate_new();
    u->child_may_go_on = gate_new();
    CHECK_EQ(vcp_cancel_new(&u->token), VCP_OK);
    CHECK_EQ(pthread_create(&u->reader, NULL, reads, u), 0);
    CHECK_EQ(pthread_create(&u->dialer, NULL, dials, u), 0);
    if (slowness() == 1)
        EVENTUALLY(sleepers() == 2, 5000);
    else
        let_pass(2000);
}

static void under_way_ends(under_way *u)
{
    CHECK_EQ(vcp_cancel_fire(u->token), VCP_OK);
    CHECK_EQ(pthread_join(u->reader, NULL), 0);
    CHECK_EQ(pthread_join(u->dialer, NULL), 0);
    CHECK_EQ(u->read_status, VCP_ERR_CANCELED);
    CHECK_EQ(u->dial_status, VCP_ERR_CANCELED);
    CHECK_EQ(vcp_cancel_free(u->token), VCP_OK);
    gate_close(&u->child_is_ready);
    gate_close(&u->child_may_go_on);
    full_server_close(&u->full);
    home_close(&u->h);
}

static void fires(void *argument)
{
    under_way *u = (under_way *)argument;
    vcp_conn *conn = borrow(u->h.pool, &u->h.s);
    vcp_dial_options d = dial_options(0);
    char byte;
    CHECK_EQ(vcp_cancel_fire(u->token), VCP_OK);
    CHECK_EQ(vcp_conn_set_cancel(conn, u->token), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_CANCELED);
    give_back(conn);
    close(server_accept(&u->h.s));
    d.cancel = u->token;
    CHECK_EQ(vcp_dial_with(u->h.pool, u->h.s.network, u->h.s.address, &d, &conn), VCP_ERR_CANCELED);
    CHECK_EQ(vcp_cancel_free(u->token), VCP_OK);
}

TEST(a_token_fired_in_a_child_ends_nothing_in_the_parent,
     "fork: A token fired in a child ends nothing in the parent")
{
    under_way u;
    under_way_begins(&u);
    IN_A_CHILD(BY_FORK, fires, &u);
    IN_A_CHILD(BY_UNDERSCORE_FORK, fires, &u);
    check_nobody_was_disturbed(&u);
    under_way_ends(&u);
}

static under_way *of_the_child;

/* The first call in the child is the one of a signal handler. */
static void fires_in_a_handler(int number)
{
    (void)number;
    CHECK_EQ(vcp_cancel_fire(of_the_child->token), VCP_OK);
}

static void fires_first_of_all_in_a_handler(void *argument)
{
    of_the_child = (under_way *)argument;
    CHECK(signal(SIGUSR1, fires_in_a_handler) != SIG_ERR);
    CHECK_EQ(raise(SIGUSR1), 0);
    fires(argument);
    finds_an_empty_pool_that_works(&of_the_child->h);
}

TEST(a_childs_first_call_may_be_a_signal_handlers,
     "fork: The child's first call may be vcp_cancel_fire in a signal handler")
{
    under_way u;
    under_way_begins(&u);
    IN_A_CHILD(BY_FORK, fires_first_of_all_in_a_handler, &u);
    check_nobody_was_disturbed(&u);
    under_way_ends(&u);
}

static void waits_with_the_token_for_its_own_fire(void *argument)
{
    under_way *u = (under_way *)argument;
    pthread_t reader;
    u->ended = 0;
    u->h.borrowed = borrow(u->h.pool, &u->h.s);
    CHECK_EQ(pthread_create(&reader, NULL, reads, u), 0);
    if (slowness() == 1)
        EVENTUALLY(sleepers() == 1, 5000);
    gate_open(&u->child_is_ready);
    gate_pass(&u->child_may_go_on);
    check_nobody_was_disturbed(u);
    CHECK_EQ(vcp_cancel_fire(u->token), VCP_OK);
    CHECK_EQ(pthread_join(reader, NULL), 0);
    CHECK_EQ(u->read_status, VCP_ERR_CANCELED);
}

TEST(a_token_fired_in_the_parent_ends_nothing_in_a_child,
     "fork: A token fired in the parent ends nothing in a child, where it can still be fired")
{
    under_way u;
    pid_t child;
    under_way_begins(&u);
    child = child_that(BY_FORK, 10, waits_with_the_token_for_its_own_fire, &u);
    gate_pass(&u.child_is_ready);
    CHECK_EQ(vcp_cancel_fire(u.token), VCP_OK);
    gate_open(&u.child_may_go_on);
    CHECK_CHILD(child);
    under_way_ends(&u);
}

static void finds_the_token_fired(void *argument)
{
    under_way *u = (under_way *)argument;
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn;
    d.cancel = u->token;
    CHECK_EQ(vcp_dial_with(u->h.pool, u->h.s.network, u->h.s.address, &d, &conn), VCP_ERR_CANCELED);
}

TEST(a_token_that_fired_before_has_fired_in_the_child,
     "fork: A token that fired before the fork has fired in the child")
{
    under_way u;
    under_way_begins(&u);
    CHECK_EQ(vcp_cancel_fire(u.token), VCP_OK);
    IN_A_CHILD(BY_FORK, finds_the_token_fired, &u);
    under_way_ends(&u);
}

static int sockets_open(void)
{
    int count = 0;
    int fd;
    for (fd = 0; fd < 1024; fd++) {
        struct stat s;
        if (fstat(fd, &s) == 0 && S_ISSOCK(s.st_mode))
            count++;
    }
    return count;
}

/*
 * Of the library's sockets one is left, the borrowed one: the one that was being connected is gone.
 */
static void has_no_dial_in_flight(void *argument)
{
    under_way *u = (under_way *)argument;
    int before = sockets_open();
    CHECK_EQ(stats_of(u->h.pool).dialing, 0);
    CHECK_EQ(sockets_open(), before - IDLE - 1);
}

TEST(dials_in_flight_are_gone,
     "fork: Dials in flight are gone in the child, with their sockets; in the parent they go on")
{
    under_way u;
    under_way_begins(&u);
    IN_A_CHILD(BY_FORK, has_no_dial_in_flight, &u);
    CHECK_EQ(__sync_add_and_fetch(&u.ended, 0), 0);
    CHECK_EQ(stats_of(u.h.pool).dialing, 1);
    under_way_ends(&u);
}

/* ---- the parent closes ---- */

typedef struct holder {
    home h;
    gate may_go;
} holder;

/* Lives, with copies of all sockets, and calls nothing. */
static void holds_its_copies(void *argument)
{
    holder *one = (holder *)argument;
    gate_pass(&one->may_go);
}

TEST(a_parents_close_reaches_the_peer_while_a_child_holds_a_copy,
     "fork: After a fork the parent's close reaches the peer although a child holds a copy; get "
     "and detach do not shut down")
{
    holder one;
    pid_t child;
    vcp_conn *conn;
    int given;
    int detached;
    int i;
    one.h = home_new();
    one.may_go = gate_new();
    child = child_that(BY_FORK, 30, holds_its_copies, &one);
    /*
     * What the program takes is not shut down: it is the last one dialed, the first one handed out.
     */
    given = vcp_pool_get(one.h.pool, one.h.s.network, one.h.s.address, NULL);
    CHECK_EQ(given, one.h.idle[IDLE - 1]);
    conn = borrow(one.h.pool, &one.h.s);
    detached = vcp_conn_detach(conn);
    CHECK_EQ(detached, one.h.idle[IDLE - 2]);
    CHECK_EQ(vcp_conn_discard(one.h.borrowed), VCP_OK);
    give_back(one.h.borrowed);
    CHECK(peer_sees_end(one.h.peers[IDLE]));
    CHECK_EQ(vcp_pool_close(one.h.pool), VCP_OK);
    for (i = 0; i < IDLE - 2; i++)
        CHECK(peer_sees_end(one.h.peers[i]));
    for (i = IDLE - 2; i < IDLE; i++)
        CHECK(peer_sees_life(one.h.peers[i]));
    CHECK_EQ(send(given, "x", 1, 0), 1);
    CHECK_EQ(send(detached, "x", 1, 0), 1);
    gate_open(&one.may_go);
    CHECK_CHILD(child);
    close(given);
    close(detached);
    for (i = 0; i <= IDLE; i++)
        close(one.h.peers[i]);
    gate_close(&one.may_go);
    server_close(&one.h.s);
}

/* What the number stands for by now is neither shut down nor closed. */
TEST(a_foreign_file_is_not_shut_down,
     "fork: What verify_release finds to be another file is not shut down")
{
    vcp_pool_options options = pool_options();
    holder one;
    pid_t child;
    int mine;
    int peer;
    options.verify_release = 1;
    one.h = home_with(&options);
    one.may_go = gate_new();
    child = child_that(BY_FORK, 30, holds_its_copies, &one);
    mine = client_of(&one.h.s);
    peer = server_accept(&one.h.s);
    CHECK_EQ(dup2(mine, one.h.borrowed_fd), one.h.borrowed_fd);
    give_back(one.h.borrowed);
    CHECK(is_open(one.h.borrowed_fd));
    CHECK(peer_sees_life(peer));
    CHECK_EQ(send(one.h.borrowed_fd, "x", 1, 0), 1);
    gate_open(&one.may_go);
    CHECK_CHILD(child);
    close(one.h.borrowed_fd);
    close(mine);
    close(peer);
    one.h.borrowed = NULL;
    gate_close(&one.may_go);
    home_close(&one.h);
}

/* ---- fork inside a callback ---- */

typedef struct forker {
    server s;
    pid_t child;
    int in_child;
} forker;

static int dial_that_forks(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    forker *f = (forker *)user;
    (void)network;
    (void)address;
    (void)timeout_ms;
    f->child = fork_by(BY_FORK);
    CHECK(f->child >= 0);
    f->in_child = f->child == 0;
    return client_of(&f->s);
}

TEST(a_dial_whose_callback_forks_fails_in_the_child,
     "fork: A fork inside a dial callback: the dial fails in the child, and goes on in the parent")
{
    vcp_pool_options options = pool_options();
    forker f;
    vcp_pool *pool;
    vcp_conn *conn = NULL;
    int fd;
    memset(&f, 0, sizeof f);
    f.s = tcp_server();
    options.dial = dial_that_forks;
    options.user = &f;
    pool = pool_new(&options);
    fd = vcp_dial(pool, f.s.network, f.s.address, &conn);
    if (f.in_child) {
        alarm((unsigned)at_most(10));
        CHECK_EQ(fd, VCP_ERR_CALLBACK);
        CHECK(conn == NULL);
        CHECK_EQ(vcp_pool_conn_count(pool), 0);
        CHECK_EQ(stats_of(pool).dials, 0);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        child_ends();
    }
    CHECK(fd >= 0);
    CHECK_CHILD(f.child);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&f.s);
}

typedef struct event_forker {
    int kind; /* at which it forks, once */
    pid_t child;
    int in_child;
} event_forker;

static void event_that_forks(void *user, const vcp_event *event)
{
    event_forker *f = (event_forker *)user;
    if (event->kind != f->kind)
        return;
    f->kind = -1;
    f->child = fork_by(BY_FORK);
    CHECK(f->child >= 0);
    f->in_child = f->child == 0;
}

static void an_event_forks(int kind)
{
    vcp_pool_options options = pool_options();
    event_forker f;
    server s = tcp_server();
    vcp_pool *pool;
    vcp_conn *conn;
    int fd;
    memset(&f, 0, sizeof f);
    f.kind = -1;
    options.on_event = event_that_forks;
    options.user = &f;
    pool = pool_new(&options);
    if (kind == VCP_EVENT_REUSED)
        give_back(borrow(pool, &s));
    f.kind = kind;
    fd = vcp_dial(pool, s.network, s.address, &conn);
    if (f.in_child) {
        alarm((unsigned)at_most(10));
        CHECK_EQ(fd, VCP_ERR_CALLBACK);
        CHECK(conn == NULL);
        CHECK_EQ(vcp_pool_conn_count(pool), 0);
        give_back(borrow(pool, &s));
        CHECK_EQ(idle_in(pool), 1);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        child_ends();
    }
    CHECK(fd >= 0);
    CHECK_CHILD(f.child);
    CHECK_EQ(vcp_conn_write(conn, "x", 1), 1);
    give_back(conn);
    CHECK_EQ(idle_in(pool), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_dial_whose_event_forks_fails_in_the_child,
     "fork: A fork inside on_event: the dial that tells it fails in the child, and goes on in the "
     "parent")
{
    an_event_forks(VCP_EVENT_DIAL_START);
    an_event_forks(VCP_EVENT_DIAL_DONE);
    an_event_forks(VCP_EVENT_REUSED);
}

/* A pool with one connection borrowed and two idle, the latest of them dirty. */
typedef struct forked_call {
    server s;
    vcp_pool *pool;
    vcp_conn *out;
    int dirty;
    int clean;
} forked_call;

static int64_t call_get(forked_call *c)
{
    return vcp_pool_get(c->pool, c->s.network, c->s.address, NULL);
}

static int64_t call_drain(forked_call *c)
{
    return vcp_pool_drain(c->pool, 50);
}

static int64_t call_close_idle(forked_call *c)
{
    return vcp_pool_close_idle(c->pool);
}

static int64_t call_evict(forked_call *c)
{
    return vcp_pool_evict(c->pool, c->s.network, c->s.address);
}

static int64_t call_close(forked_call *c)
{
    return vcp_pool_close(c->pool);
}

static int64_t call_dial(forked_call *c)
{
    vcp_conn *conn = NULL;
    int fd = vcp_dial(c->pool, c->s.network, c->s.address, &conn);
    CHECK((fd >= 0) == (conn != NULL));
    if (fd >= 0)
        give_back(conn);
    return fd;
}

static int64_t call_wait(forked_call *c)
{
    vcp_dial_options options = dial_options(VCP_DIAL_FRESH);
    vcp_conn *conn = NULL;
    vcp_conn *one = borrow_fresh(c->pool, &c->s);
    vcp_conn *other = borrow_fresh(c->pool, &c->s);
    int result;
    options.wait_timeout_ms = 20;
    result = vcp_dial_with(c->pool, c->s.network, c->s.address, &options, &conn);
    CHECK(result == VCP_ERR_CALLBACK || result == VCP_ERR_TIMEOUT);
    if (result == VCP_ERR_CALLBACK)
        return result;
    give_back(one);
    give_back(other);
    return VCP_OK;
}

static int64_t call_warm(forked_call *c)
{
    CHECK_EQ(vcp_pool_close_idle(c->pool), VCP_OK);
    return vcp_pool_warm(c->pool, c->s.network, c->s.address, NULL, 2);
}

static int64_t call_conn_close(forked_call *c)
{
    CHECK_EQ(vcp_conn_discard(c->out), VCP_OK);
    return vcp_conn_close(c->out);
}

static void *counts(void *argument)
{
    while (vcp_pool_conn_count(((forked_call *)argument)->pool) >= 0) {
    }
    return NULL;
}

static int64_t call_give_back(forked_call *c)
{
    return vcp_conn_close(c->out);
}

/* The call's event of that kind forks, while another thread is in and out of the pool's lock. */
static void a_call_forks(int kind, int64_t (*call)(forked_call *), int closes)
{
    vcp_pool_options options = pool_options();
    event_forker f;
    forked_call c;
    pthread_t other;
    int64_t result;
    int i;
    int fds[3];
    vcp_conn *conns[3];
    memset(&f, 0, sizeof f);
    f.kind = -1;
    c.s = tcp_server();
    options.on_event = event_that_forks;
    options.user = &f;
    options.max_conns_per_address = 3;
    options.max_conns = 3;
    c.pool = pool_new(&options);
    for (i = 0; i < 3; i++) {
        conns[i] = borrow(c.pool, &c.s);
        fds[i] = server_accept(&c.s);
    }
    c.out = conns[0];
    give_back(conns[1]);
    give_back(conns[2]);
    CHECK_EQ(send(fds[2], "dirt", 4, MSG_NOSIGNAL), 4);
    CHECK_EQ(pthread_create(&other, NULL, counts, &c), 0);
    f.kind = kind;
    result = call(&c);
    if (f.in_child) {
        alarm((unsigned)at_most(10));
        CHECK_EQ(result, VCP_ERR_CALLBACK);
        if (call != call_close) {
            CHECK_EQ(vcp_pool_conn_count(c.pool), 0);
            CHECK_EQ(vcp_pool_close(c.pool), VCP_OK);
        }
        child_ends();
    }
    CHECK(f.child > 0);
    CHECK(result >= 0);
    CHECK_CHILD(f.child);
    /* The parent's connection is as it was. */
    if (call != call_conn_close && call != call_give_back) {
        CHECK(peer_sees_life(fds[0]));
        CHECK_EQ(vcp_conn_write(c.out, "x", 1), 1);
        give_back(c.out);
    }
    if (call == call_get)
        close((int)result);
    if (!closes)
        CHECK_EQ(vcp_pool_close(c.pool), VCP_OK);
    CHECK_EQ(pthread_join(other, NULL), 0);
    for (i = 0; i < 3; i++)
        close(fds[i]);
    server_close(&c.s);
}

TEST(whatever_call_a_callback_forks_in_fails_in_the_child,
     "fork: Whatever call a callback forks in (get, drain, close, evict, dial, wait, warm, "
     "conn_close), it "
     "fails in the child and the parent keeps its connections")
{
    int round;
    for (round = 0; round < (slowness() == 1 ? 10 : 1); round++) {
        a_call_forks(VCP_EVENT_CLOSED, call_get, 0);
        a_call_forks(VCP_EVENT_CLOSED, call_drain, 0);
        a_call_forks(VCP_EVENT_CLOSED, call_close_idle, 0);
        a_call_forks(VCP_EVENT_CLOSED, call_evict, 0);
        a_call_forks(VCP_EVENT_CLOSED, call_close, 1);
        a_call_forks(VCP_EVENT_CLOSED, call_dial, 0);
        a_call_forks(VCP_EVENT_CLOSED, call_conn_close, 0);
        a_call_forks(VCP_EVENT_RELEASED, call_give_back, 0);
        a_call_forks(VCP_EVENT_WAIT_DONE, call_wait, 0);
        a_call_forks(VCP_EVENT_DIAL_START, call_warm, 0);
    }
}

static void data_that_forks(void *data)
{
    forker *f = (forker *)data;
    pid_t child = fork_by(BY_FORK);
    CHECK(child >= 0);
    f->in_child = child == 0;
    f->child = child;
}

/* On the fast path, which takes no lock. */
TEST(a_dial_that_finds_an_unfit_one_whose_data_forks_fails_in_the_child,
     "fork: A dial that closes an unfit connection, whose free_data forks, fails in the child")
{
    forker f;
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    int result;
    int peer;
    int fd;
    int i;
    memset(&f, 0, sizeof f);
    f.s = tcp_server();
    conn = borrow(pool, &f.s);
    peer = server_accept(&f.s);
    CHECK_EQ(vcp_conn_set_data(conn, &f, data_that_forks), VCP_OK);
    for (i = 0; i < 3; i++) {
        give_back(conn);
        conn = borrow(pool, &f.s);
    }
    /*
     * While it is borrowed, so that the watch, which looks for bytes after half a second of rest,
     * does not find it first.
     */
    fd = vcp_conn_raw_fd(conn);
    CHECK_EQ(send(peer, "!", 1, MSG_NOSIGNAL), 1);
    CHECK(readable_within(fd, 5000));
    give_back(conn);
    result = vcp_dial(pool, f.s.network, f.s.address, &conn);
    if (f.in_child) {
        alarm((unsigned)at_most(10));
        CHECK_EQ(result, VCP_ERR_CALLBACK);
        CHECK(conn == NULL);
        CHECK_EQ(vcp_pool_conn_count(pool), 0);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        child_ends();
    }
    CHECK(f.child > 0);
    CHECK(result >= 0);
    CHECK_CHILD(f.child);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&f.s);
}

static int resolve_that_forks(void *user, const char *network, const char *host, int64_t timeout_ms,
                              vcp_resolved *out)
{
    forker *f = (forker *)user;
    pid_t child = fork_by(BY_FORK);
    (void)network;
    (void)host;
    (void)timeout_ms;
    CHECK(child >= 0);
    if (child == 0) {
        alarm((unsigned)at_most(10));
        CHECK_EQ(vcp_resolved_add(out, "127.0.0.1"), VCP_ERR_INVALID_HANDLE);
        return 0;
    }
    f->child = child;
    return vcp_resolved_add(out, "127.0.0.1");
}

/* The child's only thread is one of the library's: it ends, and with it the child. */
TEST(a_child_that_returns_from_a_callback_on_a_librarys_thread_ends,
     "fork: A child that returns from a callback on a thread of the library ends with it")
{
    vcp_pool_options options = pool_options();
    forker f;
    vcp_pool *pool;
    vcp_conn *conn = NULL;
    char name[64];
    if (getenv("VCP_C_PREFIX") != NULL)
        SKIP("valgrind reports what is left at the end of such a child");
    memset(&f, 0, sizeof f);
    f.s = tcp_server();
    options.resolve = resolve_that_forks;
    options.user = &f;
    pool = pool_new(&options);
    snprintf(name, sizeof name, "somewhere.test:%d", f.s.port);
    CHECK(vcp_dial(pool, "tcp", name, &conn) >= 0);
    CHECK_CHILD(f.child);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&f.s);
}
