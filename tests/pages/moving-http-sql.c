/*
 * The pieces of docs/guide/moving-http-sql.md at work: libcurl over its cache and over a pool,
 * libzdb with SQLite. libpq has no server here, so that its piece but fails as it should;
 * tests/drivers/postgres.sh runs the adapter with one.
 */
#include "check.h"

#include <curl/curl.h>
#include <sys/syscall.h>
#include <vconnpool/libpq.h>
#include <zdb.h>

#include "moving-http-sql.h"

/* libcurl 7.88 takes EISCONN for a failure (examples/c/http_libcurl.c says more). The name is given
 * to the linker alone, because glibc's prototype has no ISO C type. */
int connect_once(int fd, const struct sockaddr *address, socklen_t length) __asm__("connect");
int connect_once(int fd, const struct sockaddr *address, socklen_t length)
{
    int result = (int)syscall(SYS_connect, fd, address, length);
    return result != 0 && errno == EISCONN ? 0 : result;
}

/* Answers whatever comes, on one connection after another. */
static void *answer(void *argument)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    server *s = (server *)argument;
    char request[4096];
    int fd;
    while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        while (recv(fd, request, sizeof request, 0) > 0)
            CHECK_EQ(send(fd, text, sizeof text - 1, MSG_NOSIGNAL), sizeof text - 1);
        close(fd);
    }
    return NULL;
}

TEST(libcurl_works_over_a_pool, "docs/guide/moving-http-sql.md: libcurl dials through a pool")
{
    fixture f = fixture_new(NULL);
    pthread_t thread;
    char url[256];
    transfer t;
    CURL *curl = curl_easy_init();
    int i;
    CHECK(curl != NULL);
    CHECK_EQ(pthread_create(&thread, NULL, answer, &f.s), 0);
    snprintf(url, sizeof url, "http://%s/", f.s.address);
    CHECK_EQ(curl_easy_setopt(curl, CURLOPT_PROXY, ""), CURLE_OK);
    CHECK_EQ(get_by_cache(curl, url), CURLE_OK);
    curl_easy_cleanup(curl);
    t.pool = f.pool;
    t.address = f.s.address;
    t.conn = NULL;
    curl = curl_easy_init();
    CHECK_EQ(curl_easy_setopt(curl, CURLOPT_PROXY, ""), CURLE_OK);
    CHECK_EQ(curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L), CURLE_OK);
    CHECK_EQ(curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket), CURLE_OK);
    CHECK_EQ(curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &t), CURLE_OK);
    CHECK_EQ(curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, is_connected), CURLE_OK);
    CHECK_EQ(curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, leave_open), CURLE_OK);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(get_by_cache(curl, url), CURLE_OK);
        give_back(t.conn);
    }
    curl_easy_cleanup(curl);
    CHECK_EQ(stats_of(f.pool).dials, 1);
    CHECK_EQ(stats_of(f.pool).reuses, 2);
    CHECK_EQ(vcp_pool_close_idle(f.pool), VCP_OK);
    CHECK_EQ(shutdown(f.s.fd, SHUT_RDWR), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    FIXTURE_END(&f);
}

TEST(libzdb_counts, "docs/guide/moving-http-sql.md: The piece for libzdb works")
{
    URL_T url = URL_new("sqlite:///:memory:");
    ConnectionPool_T pool = ConnectionPool_new(url);
    ConnectionPool_start(pool);
    CHECK_EQ(count_by_libzdb(pool), 1);
    ConnectionPool_stop(pool);
    ConnectionPool_free(&pool);
    URL_free(&url);
}

TEST(libpq_says_that_there_is_no_server, "docs/guide/moving-http-sql.md: No session, no count")
{
    server s = refusing_server();
    vcp_pool *pool;
    CHECK_EQ(vcp_libpq_pool_new("dbname=shop", NULL, NULL, NULL, &pool), VCP_OK);
    CHECK_EQ(count_by_pool(pool, s.address), -1);
    CHECK_HAS(vcp_last_error(), "onnection refused");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}
