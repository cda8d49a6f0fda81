/*
 * libcurl's connection cache. It is reached by whole transfers alone (a CONNECT_ONLY handle keeps
 * its connection and gives it back to nobody), so a cycle is the time of one HTTP request over the
 * cached connection less that of the same bytes sent and received bare. What remains is the cache
 * with its own look at the connection, and libcurl's work on a request: no figure of the cache
 * alone.
 *
 * Client and server are the two ends of one TCP connection in one thread, and the answer is there
 * when it is read: nothing ever waits.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_A_TIME = 16 };

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static CURL *curl;
static long opened;
static int listener, client, server;
static char request[1024];
static size_t request_size;

static void must(CURLcode code)
{
    if (code != CURLE_OK)
        fail(curl_easy_strerror(code));
}

static void put_answer(void)
{
    if (write(server, answer, sizeof answer - 1) != sizeof answer - 1)
        fail("write");
}

/* Called when the connection has been chosen and looked at, before the request is sent. */
static int answer_ahead(void *context, char *remote, char *local, int remote_port, int local_port)
{
    (void)context, (void)remote, (void)local, (void)remote_port, (void)local_port;
    if (server == 0)
        server = accept(listener, NULL, NULL);
    put_answer();
    return CURL_PREREQFUNC_OK;
}

static void take_request(void)
{
    ssize_t count = read(server, request, sizeof request);
    if (count <= 0)
        fail("read");
    request_size = (size_t)count;
}

static void requests(uint64_t count)
{
    while (count-- > 0) {
        long connects;
        must(curl_easy_perform(curl));
        must(curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connects));
        opened += connects;
        take_request();
    }
}

static void bare(uint64_t count)
{
    char bytes[sizeof answer];
    while (count-- > 0) {
        put_answer();
        if (write(client, request, request_size) != (ssize_t)request_size ||
            read(client, bytes, sizeof bytes) != sizeof answer - 1)
            fail("bare request");
        take_request();
    }
}

/* In turn, a few of each at a time: what drifts on the machine meets both alike. */
static uint64_t cycles(uint64_t count)
{
    uint64_t whole = 0, least = 0;
    for (uint64_t done = 0; done < count; done += AT_A_TIME) {
        uint64_t now = count - done < AT_A_TIME ? count - done : AT_A_TIME;
        whole += time_of(requests, now);
        least += time_of(bare, now);
    }
    if (opened != 0)
        fail("a connection was opened");
    return whole > least ? whole - least : 0;
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"request", NULL};
    struct sockaddr_in name = {0};
    char url[32];
    variant_of(argc, argv, variants);
    curl = curl_easy_init();
    if (curl == NULL)
        fail("curl_easy_init");
    listener = listen_on_loopback(&name, 1);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(name.sin_port));
    must(curl_easy_setopt(curl, CURLOPT_URL, url));
    must(curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L));
    must(curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, answer_ahead));
    requests(1);
    opened = 0;
    must(curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &client));
    return answer_timed_runs(cycles);
}
