/*
 * The C of three pages of docs/guide at work, with a driver and a server that stand for any: an
 * adapter of your own, adapters of other kinds, recipes for sessions.
 */
#include "check.h"

#include "acme.h"

#include "own-adapter.h"
#include "other-adapters.h"
#include "session-recipes.h"

/* Answers each line with OK, until told to stop. */
static void *answer(void *argument)
{
    server *s = (server *)argument;
    struct pollfd polled[SERVER_MOST];
    int count = 2;
    int i;
    memset(polled, 0, sizeof polled);
    polled[0].fd = s->stop[0];
    polled[1].fd = s->fd;
    polled[0].events = polled[1].events = POLLIN;
    while (poll(polled, (nfds_t)count, -1) > 0 && polled[0].revents == 0) {
        for (i = count - 1; i >= 2; i--) {
            char bytes[256];
            ssize_t got = polled[i].revents == 0 ? 0 : recv(polled[i].fd, bytes, sizeof bytes, 0);
            if (polled[i].revents == 0)
                continue;
            if (got > 0 && memcmp(bytes, "BYE", 3) != 0) {
                CHECK_EQ(send(polled[i].fd, "OK\n", 3, MSG_NOSIGNAL), 3);
            } else {
                close(polled[i].fd);
                polled[i] = polled[--count];
            }
        }
        if (polled[1].revents != 0) {
            CHECK(count < SERVER_MOST);
            polled[count].events = POLLIN;
            polled[count].revents = 0;
            polled[count++].fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        }
    }
    for (i = 2; i < count; i++)
        close(polled[i].fd);
    return NULL;
}

static server acme_server(void)
{
    return tcp_server();
}

static void start_answers(server *s)
{
    CHECK_EQ(pipe2(s->stop, O_CLOEXEC), 0);
    s->echoes = 1; /* server_close ends the thread */
    CHECK_EQ(pthread_create(&s->thread, NULL, answer, s), 0);
}

static int is_at_rest(vcp_pool *pool)
{
    return stats_of(pool).borrowed == 0;
}

static void end(vcp_pool *pool, server *s)
{
    EVENTUALLY(is_at_rest(pool), 5000);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(s);
}

TEST(the_page_s_adapter_works,
     "docs/guide/own-adapter.md: Its adapter opens, lends and ends sessions")
{
    static const acme_login login = {"app", "secret"};
    static const acme_login nobody = {NULL, NULL};
    server s = acme_server();
    vcp_pool *pool = NULL;
    vcp_conn *conn;
    start_answers(&s);
    CHECK_EQ(acme_pool_new(&login, &pool), VCP_OK);
    CHECK_EQ(pay_order(pool, s.address), 0);
    EVENTUALLY(is_at_rest(pool), 5000);
    CHECK_EQ(pay_order(pool, s.address), 0);
    EVENTUALLY(is_at_rest(pool), 5000);
    CHECK_EQ(stats_of(pool).dials, 1);
    CHECK_EQ(stats_of(pool).reuses, 1);
    CHECK(dial_as(pool, s.address, "alice", &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    on_read_only(pool, conn, s.address);
    CHECK_EQ(idle_in(pool), 0);
    give_back(conn);
    CHECK_EQ(dial_as(pool, s.address, "x dbname=other", &conn), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(dial_as(pool, s.address, "x;database=other", &conn), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    pool = NULL;
    CHECK_EQ(acme_pool_new(&nobody, &pool), VCP_OK);
    CHECK_EQ(pay_order(pool, s.address), -1);
    CHECK_HAS(vcp_last_error(), "open_session callback refused: 1: the server does not know you");
    end(pool, &s);
}

TEST(the_page_s_borrower_tries_again,
     "docs/guide/own-adapter.md: Its borrower survives sessions that ended "
     "while they were idle")
{
    static const acme_login login = {"app", "secret"};
    server s = acme_server();
    server other;
    vcp_pool *pool = NULL;
    int port = s.port;
    start_answers(&s);
    CHECK_EQ(acme_pool_new(&login, &pool), VCP_OK);
    CHECK_EQ(pay_order(pool, s.address), 0);
    EVENTUALLY(is_at_rest(pool), 5000);
    server_close(&s);
    other = server_on(AF_INET, SOCK_STREAM, port, 16);
    start_answers(&other);
    CHECK_EQ(pay_order(pool, other.address), 0);
    end(pool, &other);
}

TEST(the_page_s_adopted_sockets_work,
     "docs/guide/other-adapters.md: A socket that a second pool dialed becomes "
     "the driver's")
{
    server s = acme_server();
    vcp_pool_options options = pool_options();
    vcp_pool *dialer;
    vcp_pool *pool;
    int sockets = open_sockets();
    start_answers(&s);
    options.max_idle_per_address = 0;
    dialer = pool_new(&options);
    options = pool_options();
    options.user = dialer;
    options.open_session = adopting_open_session;
    pool = pool_new(&options);
    CHECK_EQ(pay_order(pool, s.address), 0);
    CHECK_EQ(pay_order(pool, s.address), 0);
    CHECK_EQ(stats_of(pool).reuses, 1);
    CHECK_EQ(stats_of(dialer).detached, 1);
    CHECK_EQ(vcp_pool_close(dialer), VCP_OK);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    EVENTUALLY(open_sockets() == sockets, 1000);
    end(pool, &s);
}

TEST(the_page_s_rotation_works,
     "docs/guide/session-recipes.md: After a rotation each session has the new secret")
{
    server s = acme_server();
    vcp_pool_options options = pool_options();
    secret_store secrets = {"first", 0};
    vcp_pool *pool;
    start_answers(&s);
    options.user = &secrets;
    options.open_session = rotating_open_session;
    pool = pool_new(&options);
    CHECK_EQ(pay_order(pool, s.address), 0);
    CHECK_EQ(pay_order(pool, s.address), 0);
    CHECK_EQ(secrets.fetched, 1);
    secrets.secret = "second";
    on_rotation(pool);
    CHECK_EQ(pay_order(pool, s.address), 0);
    CHECK_EQ(secrets.fetched, 2);
    end(pool, &s);
}

TEST(the_page_s_options_are_taken,
     "docs/guide/session-recipes.md: The options of its recipes are valid, and what "
     "has not rested is not pinged")
{
    static const acme_login login = {"app", "secret"};
    server s = acme_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    start_answers(&s);
    options.user = (void *)&login;
    options.open_session = acme_open_session;
    ping_only_what_rested(&options);
    size_for_a_server(&options);
    pool = pool_new(&options);
    CHECK_EQ(pay_order(pool, s.address), 0);
    CHECK_EQ(pay_order(pool, s.address), 0);
    CHECK_EQ(stats_of(pool).reuses, 1);
    end(pool, &s);
}
