/*
 * What an installed library must do: a dial of a listener of the program's own, and a second dial
 * that gets the connection of the first.
 *
 * Built in every way that a program can be linked. With OTHER_RUST_LIBRARY it also calls one.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vconnpool.h>

#ifdef OTHER_RUST_LIBRARY
int other_library_works(void);
#else
static int other_library_works(void)
{
    return 1;
}
#endif

/* A connection is complete once it is in the backlog: nobody has to accept it. */
static int listen_on_a_free_port(char *address, size_t size)
{
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(&name, 0, sizeof name);
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, length) != 0 || listen(fd, 8) != 0 ||
        getsockname(fd, (struct sockaddr *)&name, &length) != 0) {
        return -1;
    }
    snprintf(address, size, "127.0.0.1:%d", ntohs(name.sin_port));
    return fd;
}

/* Whether the dial was answered with a connection that the pool had kept; -1: it failed. */
static int dial(vcp_pool *pool, const char *address)
{
    vcp_conn *conn = NULL;
    int reused;
    if (vcp_dial(pool, "tcp", address, &conn) < 0) {
        return -1;
    }
    reused = vcp_conn_is_reused(conn);
    return vcp_conn_close(conn) == VCP_OK ? reused : -1;
}

int main(void)
{
    char address[32];
    vcp_pool *pool = NULL;
    int first, second;
    int listener = listen_on_a_free_port(address, sizeof address);
    if (listener < 0 || vcp_pool_new(NULL, &pool) != VCP_OK) {
        return 1;
    }
    first = dial(pool, address);
    second = dial(pool, address);
    if (first != 0 || second != 1) {
        fprintf(stderr, "dials: %d, then %d: %s\n", first, second, vcp_last_error());
        return 1;
    }
    if (vcp_version_number() != VCP_VERSION_NUMBER) {
        fprintf(stderr, "header %s, library %s\n", VCP_VERSION_STRING, vcp_version_string());
        return 1;
    }
    close(listener);
    return vcp_pool_close(pool) != VCP_OK || !other_library_works();
}
