/*
 * Every exported function is there and can be called. What each one promises is tested in the other
 * files.
 */
#include "check.h"

TEST(every_function_of_a_connection_can_be_called,
     "functions: Every vcp_conn_ function is exported and answers")
{
    fixture f = fixture_new(NULL);
    vcp_dial_options options;
    vcp_conn *conn = NULL;
    char text[128];
    int fd;
    server_start_echo(&f.s);
    CHECK_EQ(vcp_dial_options_init(&options, sizeof options), VCP_OK);
    fd = vcp_dial_with(f.pool, f.s.network, f.s.address, &options, &conn);
    CHECK(fd >= 0);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    CHECK_EQ(vcp_conn_should_retry(conn), 0);
    CHECK_EQ(vcp_conn_set_liveness(conn, VCP_LIVENESS_ALLOW_DATA), VCP_OK);
    CHECK_EQ(vcp_conn_set_cancel(conn, NULL), VCP_OK);
    CHECK_EQ(vcp_conn_set_deadline(conn, at_most(5000)), VCP_OK);
    CHECK_EQ(vcp_conn_set_read_deadline(conn, at_most(5000)), VCP_OK);
    CHECK_EQ(vcp_conn_set_write_deadline(conn, at_most(5000)), VCP_OK);
    CHECK_EQ(vcp_conn_set_deadline_at(conn, vcp_now_ms() + at_most(5000)), VCP_OK);
    CHECK(vcp_conn_age_ms(conn) >= 0);
    CHECK_EQ(vcp_conn_idle_ms(conn), 0);
    CHECK_EQ(vcp_conn_wait(conn, VCP_WRITABLE), VCP_WRITABLE);
    CHECK_EQ(vcp_conn_try_read(conn, text, sizeof text), VCP_ERR_WOULD_BLOCK);
    CHECK_EQ(vcp_conn_try_write(conn, "abc", 3), 3);
    CHECK_EQ(vcp_conn_wait(conn, VCP_READABLE), VCP_READABLE);
    CHECK(vcp_conn_read(conn, text, sizeof text) > 0);
    CHECK_EQ(vcp_conn_write(conn, "abc", 3), 3);
    CHECK_EQ(vcp_conn_read_full(conn, text, 3), 3);
    CHECK_EQ(vcp_conn_report(conn, 3, 0), VCP_OK);
    CHECK_EQ(vcp_conn_shutdown(conn, SHUT_WR), VCP_OK);
    CHECK(vcp_conn_local_address(conn, text, sizeof text) > 0);
    CHECK(vcp_conn_remote_address(conn, text, sizeof text) > 0);
    CHECK(vcp_conn_network(conn, text, sizeof text) > 0);
    CHECK(vcp_conn_address(conn, text, sizeof text) > 0);
    CHECK_EQ(vcp_conn_reuse_tag(conn, text, sizeof text), 0);
    CHECK_EQ(vcp_conn_set_data(conn, text, NULL), VCP_OK);
    CHECK(vcp_conn_data(conn) == text);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    CHECK_EQ(vcp_conn_close(conn), VCP_OK);
    conn = borrow(f.pool, &f.s);
    fd = vcp_conn_detach(conn);
    CHECK(fd >= 0);
    close(fd);
    FIXTURE_END(&f);
}

TEST(every_function_of_a_pool_can_be_called,
     "functions: Every vcp_pool_ function is exported and answers")
{
    server s = tcp_server();
    vcp_pool_options options;
    vcp_pool *pool = NULL;
    vcp_session session;
    vcp_stats stats;
    char text[64];
    int fd;
    CHECK_EQ(vcp_pool_options_init(&options, sizeof options), VCP_OK);
    CHECK_EQ(vcp_session_init(&session, sizeof session), VCP_OK);
    CHECK_EQ(vcp_pool_new(&options, &pool), VCP_OK);
    fd = client_of(&s);
    CHECK_EQ(vcp_pool_add(pool, fd), VCP_OK);
    CHECK_EQ(vcp_pool_get(pool, s.network, s.address, NULL), fd);
    CHECK_EQ(vcp_pool_put(pool, fd, s.network, s.address, "tag"), VCP_OK);
    session.data = text;
    CHECK_EQ(vcp_pool_put_session(pool, &session, s.network, s.address, NULL), VCP_OK);
    CHECK_EQ(vcp_pool_conn_count(pool), 2);
    CHECK_EQ(vcp_pool_idle_count(pool, s.network, s.address), 2);
    CHECK_EQ(vcp_pool_set_limits(pool, &options), VCP_OK);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    CHECK_EQ(vcp_pool_stats(pool, &stats, sizeof stats), VCP_OK);
    CHECK(vcp_pool_describe(NULL, VCP_FORMAT_TEXT, text, sizeof text) < 0);
    CHECK(vcp_pool_evict(NULL, NULL, NULL) < 0);
    CHECK(vcp_pool_warm(NULL, s.network, s.address, NULL, 1) < 0);
    CHECK(vcp_pool_drain(NULL, 0) < 0);
    CHECK(vcp_pool_abort(NULL) < 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(every_function_beside_them_can_be_called,
     "functions: Every other function is exported and answers")
{
    vcp_completion completion;
    vcp_conn *conn = NULL;
    vcp_queue *queue = NULL;
    vcp_cancel *cancel = NULL;
    CHECK(vcp_now_ms() > 0);
    CHECK(vcp_version_number() > 0);
    CHECK(vcp_version_string()[0] != '\0');
    CHECK(vcp_status_name(VCP_OK)[0] != '\0');
    CHECK(vcp_strerror(VCP_OK)[0] != '\0');
    CHECK_EQ(vcp_set_callback_error("outside of any callback"), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_set_last_error(VCP_ERR_IO, "an adapter's"), VCP_ERR_IO);
    CHECK(vcp_last_error()[0] != '\0');
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
    CHECK(vcp_resolved_add(NULL, "127.0.0.1") < 0);
    CHECK(vcp_dial(NULL, "tcp", "127.0.0.1:1", &conn) < 0);
    CHECK(vcp_dial_async(NULL, "tcp", "127.0.0.1:1", NULL, NULL, NULL, &conn) < 0);
    if (vcp_queue_new(&queue) == VCP_OK) {
        CHECK(vcp_queue_fd(queue) >= 0);
        CHECK_EQ(vcp_queue_next(queue, &completion, sizeof completion), 0);
    } else {
        CHECK(vcp_queue_fd(queue) < 0);
        CHECK(vcp_queue_next(queue, &completion, sizeof completion) < 0);
    }
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    if (vcp_cancel_new(&cancel) == VCP_OK) {
        CHECK_EQ(vcp_cancel_fire(cancel), VCP_OK);
    } else {
        CHECK_EQ(vcp_cancel_fire(cancel), VCP_ERR_INVALID_HANDLE);
    }
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
}
