/* Whatever value is passed as a handle, the worst is an error. Contract section 2. */
#include "check.h"

/* Calls every function that takes a connection; each must answer `first` or `second`. */
static void every_conn_function_answers(vcp_conn *conn, int first, int second)
{
    char text[64];
    long long results[32];
    int count = 0;
    int i;
    results[count++] = vcp_conn_raw_fd(conn);
    results[count++] = vcp_conn_detach(conn);
    results[count++] = vcp_conn_discard(conn);
    results[count++] = vcp_conn_is_reused(conn);
    results[count++] = vcp_conn_uses(conn);
    results[count++] = vcp_conn_should_retry(conn);
    results[count++] = vcp_conn_set_liveness(conn, VCP_LIVENESS_STRICT);
    results[count++] = vcp_conn_set_cancel(conn, NULL);
    results[count++] = vcp_conn_wait(conn, VCP_READABLE);
    results[count++] = vcp_conn_try_read(conn, text, sizeof text);
    results[count++] = vcp_conn_try_write(conn, text, 1);
    results[count++] = vcp_conn_read(conn, text, sizeof text);
    results[count++] = vcp_conn_write(conn, text, 1);
    results[count++] = vcp_conn_set_deadline(conn, 1);
    results[count++] = vcp_conn_set_read_deadline(conn, 1);
    results[count++] = vcp_conn_set_write_deadline(conn, 1);
    results[count++] = vcp_conn_set_deadline_at(conn, 1);
    results[count++] = vcp_conn_age_ms(conn);
    results[count++] = vcp_conn_idle_ms(conn);
    results[count++] = vcp_conn_read_full(conn, text, sizeof text);
    results[count++] = vcp_conn_shutdown(conn, SHUT_RDWR);
    results[count++] = vcp_conn_report(conn, 1, 0);
    results[count++] = vcp_conn_local_address(conn, text, sizeof text);
    results[count++] = vcp_conn_remote_address(conn, text, sizeof text);
    results[count++] = vcp_conn_network(conn, text, sizeof text);
    results[count++] = vcp_conn_address(conn, text, sizeof text);
    results[count++] = vcp_conn_reuse_tag(conn, text, sizeof text);
    results[count++] = vcp_conn_set_data(conn, text, NULL);
    if (conn != NULL) {
        results[count++] = vcp_conn_close(conn);
    }
    for (i = 0; i < count; i++) {
        if (results[i] != first && results[i] != second) {
            fprintf(stderr, "  function number %d on %p answered %lld\n", i, (void *)conn,
                    results[i]);
        }
        CHECK(results[i] == first || results[i] == second);
    }
    CHECK(vcp_conn_data(conn) == NULL);
}

static void every_pool_function_answers(vcp_pool *pool, int first, int second)
{
    char text[64];
    long long results[16];
    int count = 0;
    int i;
    vcp_stats stats;
    vcp_pool_options options = pool_options();
    vcp_conn *conn = (vcp_conn *)text;
    results[count++] = vcp_pool_set_limits(pool, &options);
    results[count++] = vcp_pool_close_idle(pool);
    results[count++] = vcp_pool_conn_count(pool);
    results[count++] = vcp_pool_idle_count(pool, NULL, NULL);
    results[count++] = vcp_pool_idle_count(pool, "tcp", "127.0.0.1:1");
    results[count++] = vcp_pool_put(pool, 0, "tcp", "127.0.0.1:1", NULL);
    results[count++] = vcp_pool_add(pool, 0);
    results[count++] = vcp_pool_get(pool, "tcp", "127.0.0.1:1", NULL);
    results[count++] = vcp_pool_stats(pool, &stats, sizeof stats);
    results[count++] = vcp_pool_drain(pool, 0);
    results[count++] = vcp_pool_abort(pool);
    results[count++] = vcp_pool_evict(pool, NULL, NULL);
    results[count++] = vcp_pool_warm(pool, "tcp", "127.0.0.1:1", NULL, 1);
    results[count++] = vcp_pool_describe(pool, VCP_FORMAT_TEXT, text, sizeof text);
    results[count++] = vcp_dial(pool, "tcp", "127.0.0.1:1", &conn);
    CHECK(conn == NULL);
    if (pool != NULL) {
        results[count++] = vcp_pool_close(pool);
    }
    for (i = 0; i < count; i++) {
        if (results[i] != first && results[i] != second) {
            fprintf(stderr, "  function number %d on %p answered %lld\n", i, (void *)pool,
                    results[i]);
        }
        CHECK(results[i] == first || results[i] == second);
    }
}

TEST(null_is_no_handle, "handles: NULL is INVALID_HANDLE, in every function")
{
    vcp_completion completion;
    every_conn_function_answers(NULL, VCP_ERR_INVALID_HANDLE, VCP_ERR_INVALID_HANDLE);
    every_pool_function_answers(NULL, VCP_ERR_INVALID_HANDLE, VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_queue_fd(NULL), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_queue_next(NULL, &completion, sizeof completion), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_cancel_fire(NULL), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_resolved_add(NULL, "127.0.0.1"), VCP_ERR_INVALID_HANDLE);
}

TEST(closing_and_freeing_null_is_ok, "handles: vcp_*_close(NULL) and vcp_*_free(NULL) are OK")
{
    CHECK_EQ(vcp_pool_close(NULL), VCP_OK);
    CHECK_EQ(vcp_conn_close(NULL), VCP_OK);
    CHECK_EQ(vcp_queue_free(NULL), VCP_OK);
    CHECK_EQ(vcp_cancel_free(NULL), VCP_OK);
}

TEST(garbage_is_an_error_and_nothing_worse,
     "handles: 64 garbage values in every function: an error code, no crash")
{
    int local = 0;
    char *heap = (char *)malloc(64);
    uintptr_t values[64];
    int count = 0;
    int i;
    values[count++] = 1;
    values[count++] = (uintptr_t)&local;
    values[count++] = (uintptr_t)heap;
    values[count++] = (uintptr_t)heap + 1;
    values[count++] = (uintptr_t)garbage_is_an_error_and_nothing_worse;
    values[count++] = UINTPTR_MAX;
    values[count++] = UINTPTR_MAX >> 1;
    for (i = 0; i < 56; i++) {
        values[count++] = (uintptr_t)1 << (i + 8);
    }
    for (i = 0; i < count; i++) {
        every_conn_function_answers((vcp_conn *)values[i], VCP_ERR_INVALID_HANDLE,
                                    VCP_ERR_CONN_CLOSED);
        every_pool_function_answers((vcp_pool *)values[i], VCP_ERR_INVALID_HANDLE,
                                    VCP_ERR_POOL_CLOSED);
        CHECK(vcp_queue_fd((vcp_queue *)values[i]) == VCP_ERR_INVALID_HANDLE);
        CHECK(vcp_cancel_fire((vcp_cancel *)values[i]) == VCP_ERR_INVALID_HANDLE);
        CHECK(vcp_cancel_free((vcp_cancel *)values[i]) == VCP_ERR_INVALID_HANDLE);
        CHECK(vcp_queue_free((vcp_queue *)values[i]) == VCP_ERR_INVALID_HANDLE);
    }
    free(heap);
}

TEST(random_values_never_hit_a_live_handle_of_others,
     "handles: 200,000 random values reach no live handle")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    uint64_t seed = 88172645463325252u;
    int round;
    int rounds = slowness() > 1 ? 20000 : 200000;
    for (round = 0; round < rounds; round++) {
        int result;
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        if ((uintptr_t)seed == (uintptr_t)conn || (uintptr_t)seed == (uintptr_t)f.pool) {
            continue;
        }
        result = vcp_conn_discard((vcp_conn *)(uintptr_t)seed);
        CHECK(result == VCP_ERR_INVALID_HANDLE || result == VCP_ERR_CONN_CLOSED);
        result = vcp_pool_close((vcp_pool *)(uintptr_t)seed);
        CHECK(result == VCP_ERR_INVALID_HANDLE || result == VCP_ERR_POOL_CLOSED);
    }
    CHECK_EQ(vcp_conn_uses(conn), 1);
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 1);
    FIXTURE_END(&f);
}

TEST(a_handle_of_another_kind_is_not_taken,
     "handles: A live handle of another kind is INVALID_HANDLE")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    every_conn_function_answers((vcp_conn *)f.pool, VCP_ERR_INVALID_HANDLE, VCP_ERR_INVALID_HANDLE);
    every_pool_function_answers((vcp_pool *)conn, VCP_ERR_INVALID_HANDLE, VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_queue_free((vcp_queue *)f.pool), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_cancel_free((vcp_cancel *)conn), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 1);
    CHECK_EQ(vcp_conn_close(conn), VCP_OK);
    FIXTURE_END(&f);
}

TEST(a_closed_pool_is_told_as_closed, "handles: A closed pool is POOL_CLOSED, in every function")
{
    vcp_pool *pool = pool_new(NULL);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    every_pool_function_answers(pool, VCP_ERR_POOL_CLOSED, VCP_ERR_POOL_CLOSED);
}

TEST(a_closed_connection_is_told_as_closed,
     "handles: A closed connection is CONN_CLOSED in every function, kept or discarded; "
     "vcp_conn_data is NULL")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *kept = borrow(pool, &s);
    vcp_conn *discarded = borrow(pool, &s);
    CHECK_EQ(vcp_conn_discard(discarded), VCP_OK);
    give_back(kept);
    give_back(discarded);
    every_conn_function_answers(kept, VCP_ERR_CONN_CLOSED, VCP_ERR_CONN_CLOSED);
    every_conn_function_answers(discarded, VCP_ERR_CONN_CLOSED, VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    every_conn_function_answers(kept, VCP_ERR_CONN_CLOSED, VCP_ERR_CONN_CLOSED);
    server_close(&s);
}

TEST(a_detached_connection_is_told_as_closed,
     "handles: A detached connection is CONN_CLOSED in every function")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    int fd = vcp_conn_detach(conn);
    CHECK(fd >= 0);
    every_conn_function_answers(conn, VCP_ERR_CONN_CLOSED, VCP_ERR_CONN_CLOSED);
    CHECK(is_open(fd));
    close(fd);
    FIXTURE_END(&f);
}

/*
 * Hundreds of borrows of one socket: each has a handle of its own, and none of the old ones works.
 */
TEST(a_stale_handle_never_reaches_the_next_borrower,
     "handles: 500 stale handles of one socket: none reaches its present borrower")
{
    enum { ROUNDS = 500 };
    static vcp_conn *old[ROUNDS];
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    int round;
    int i;
    for (round = 0; round < ROUNDS; round++) {
        old[round] = borrow(f.pool, &f.s);
        CHECK_EQ(vcp_conn_uses(old[round]), round + 1);
        give_back(old[round]);
    }
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_uses(conn), ROUNDS + 1);
    for (i = 0; i < ROUNDS; i++) {
        CHECK(old[i] != conn);
        CHECK_EQ(vcp_conn_discard(old[i]), VCP_ERR_CONN_CLOSED);
        CHECK_EQ(vcp_conn_write(old[i], "x", 1), VCP_ERR_CONN_CLOSED);
        CHECK_EQ(vcp_conn_close(old[i]), VCP_ERR_CONN_CLOSED);
    }
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 1);
    FIXTURE_END(&f);
}

TEST(a_stale_pool_never_reaches_the_next_pool,
     "handles: 500 stale pool handles: none reaches a later pool")
{
    enum { ROUNDS = 500 };
    static vcp_pool *old[ROUNDS];
    vcp_pool *pool;
    int i;
    for (i = 0; i < ROUNDS; i++) {
        old[i] = pool_new(NULL);
        CHECK_EQ(vcp_pool_close(old[i]), VCP_OK);
    }
    pool = pool_new(NULL);
    for (i = 0; i < ROUNDS; i++) {
        CHECK(old[i] != pool);
        CHECK_EQ(vcp_pool_close(old[i]), VCP_ERR_POOL_CLOSED);
    }
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(out_parameters_stay_as_they_were_on_failure,
     "handles: Out parameters are written only on success")
{
    char untouched[16];
    vcp_pool *pool = (vcp_pool *)untouched;
    vcp_pool_options options = pool_options();
    vcp_stats stats;
    char text[16] = "before";
    options.liveness = 99;
    CHECK_EQ(vcp_pool_new(&options, &pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK(pool == (vcp_pool *)untouched);
    memset(&stats, 0x5a, sizeof stats);
    CHECK_EQ(vcp_pool_stats(NULL, &stats, sizeof stats), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(stats.dials, 0x5a5a5a5a5a5a5a5aLL);
    CHECK_EQ(vcp_conn_address(NULL, text, sizeof text), VCP_ERR_INVALID_HANDLE);
    CHECK_STR(text, "before");
}

TEST(a_failing_dial_sets_conn_to_null, "handles: A failing vcp_dial* sets *conn to NULL")
{
    char some[16];
    server refusing = refusing_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = (vcp_conn *)some;
    vcp_dial_options options = dial_options(0x80000000u);
    CHECK_EQ(vcp_dial(pool, "tcp", refusing.address, &conn), VCP_ERR_CONNECT);
    CHECK(conn == NULL);
    conn = (vcp_conn *)some;
    CHECK_EQ(vcp_dial(pool, "tcp", "no port", &conn), VCP_ERR_INVALID_ADDRESS);
    CHECK(conn == NULL);
    conn = (vcp_conn *)some;
    CHECK_EQ(vcp_dial_with(pool, "tcp", refusing.address, &options, &conn),
             VCP_ERR_INVALID_ARGUMENT);
    CHECK(conn == NULL);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    conn = (vcp_conn *)some;
    CHECK_EQ(vcp_dial(pool, "tcp", refusing.address, &conn), VCP_ERR_POOL_CLOSED);
    CHECK(conn == NULL);
}
