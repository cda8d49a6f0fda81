/*
 * http_libcurl - libcurl over pooled connections: it speaks HTTP, the pool dials and keeps.
 *
 *     http_libcurl http://host:port/ [requests]
 *
 * libcurl asks for a socket (CURLOPT_OPENSOCKETFUNCTION), is told that it is connected
 * (CURLOPT_SOCKOPTFUNCTION), and hands it back (CURLOPT_CLOSESOCKETFUNCTION) after each request,
 * because CURLOPT_FORBID_REUSE keeps it from caching it itself.
 */
#define _DEFAULT_SOURCE

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vconnpool.h>

/*
 * Needed with libcurl 7.88.0 and 7.88.1 alone (Debian 12 has 7.88.1): they call connect(2) although
 * they were told that the socket is connected, and take EISCONN for a failure (curl issue 10626,
 * mended in 8.0.0). A program's own connect comes before libc's, for libcurl too: this one has
 * nothing left to do on a connected socket.
 */
int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int result = (int)syscall(SYS_connect, fd, address, length);
    return result != 0 && errno == EISCONN ? 0 : result;
}

typedef struct {
    vcp_pool *pool;
    vcp_conn *conn;
    size_t bytes;
} request;

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    request *r = (request *)user;
    vcp_dial_options options;
    char ip[INET6_ADDRSTRLEN];
    char text[INET6_ADDRSTRLEN + 16];
    int fd;
    (void)purpose;
    if (address->family == AF_INET) {
        struct sockaddr_in name;
        memcpy(&name, &address->addr, sizeof name);
        inet_ntop(AF_INET, &name.sin_addr, ip, sizeof ip);
        snprintf(text, sizeof text, "%s:%d", ip, ntohs(name.sin_port));
    } else {
        struct sockaddr_in6 name;
        memcpy(&name, &address->addr, sizeof name);
        inet_ntop(AF_INET6, &name.sin6_addr, ip, sizeof ip);
        snprintf(text, sizeof text, "[%s]:%d", ip, ntohs(name.sin6_port));
    }
    if (vcp_dial_options_init(&options, sizeof options) != VCP_OK)
        return CURL_SOCKET_BAD;
    options.flags = VCP_DIAL_NONBLOCKING; /* as libcurl wants it */
    fd = vcp_dial_with(r->pool, "tcp", text, &options, &r->conn);
    if (fd < 0)
        fprintf(stderr, "http_libcurl: %s\n", vcp_last_error());
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int is_connected(void *user, curl_socket_t fd, curlsocktype purpose)
{
    (void)user;
    (void)fd;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

/* libcurl is done with it; whether the request went well is known a moment later. */
static int keep_socket(void *user, curl_socket_t fd)
{
    (void)user;
    (void)fd;
    return 0;
}

static size_t count(char *bytes, size_t size, size_t many, void *user)
{
    (void)bytes;
    ((request *)user)->bytes += size * many;
    return size * many;
}

static int get(CURL *curl, request *r)
{
    long status = 0;
    int is_well;
    r->conn = NULL;
    is_well = curl_easy_perform(curl) == CURLE_OK &&
              curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200;
    if (r->conn == NULL)
        return 0;
    if (!is_well && vcp_conn_discard(r->conn) != VCP_OK)
        return 0;
    return vcp_conn_close(r->conn) == VCP_OK && is_well;
}

int main(int argc, char **argv)
{
    int requests = argc > 2 ? atoi(argv[2]) : 100;
    request r = {NULL, NULL, 0};
    vcp_stats stats;
    CURL *curl;
    int i;
    if (argc < 2 || requests < 1) {
        fprintf(stderr, "usage: http_libcurl http://host:port/ [requests]\n");
        return 2;
    }
    curl = curl_easy_init();
    if (curl == NULL || vcp_pool_new(NULL, &r.pool) != VCP_OK)
        return 1;
    if (curl_easy_setopt(curl, CURLOPT_URL, argv[1]) ||
        curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L) ||
        curl_easy_setopt(curl, CURLOPT_PROXY, "") ||
        curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket) ||
        curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &r) ||
        curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, is_connected) ||
        curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, keep_socket) ||
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count) ||
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &r))
        return 1;
    for (i = 0; i < requests; i++) {
        if (!get(curl, &r)) {
            fprintf(stderr, "http_libcurl: request %d failed\n", i);
            return 1;
        }
    }
    curl_easy_cleanup(curl);
    if (vcp_pool_stats(r.pool, &stats, sizeof stats) != VCP_OK || vcp_pool_close(r.pool) != VCP_OK)
        return 1;
    printf("%d requests, %zu bytes, %" PRIu64 " connections\n", requests, r.bytes,
           stats.dials - stats.dial_failures);
    return 0;
}
