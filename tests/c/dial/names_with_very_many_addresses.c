/* Whoever answers for a name chooses how many addresses it has: a dial, a cache and a lookup take
 * some of them. */
#include "check.h"

#include <arpa/inet.h>
#include <netdb.h>

#define MANY 3000
#define TAKEN 256 /* of each family: the header, RESOLVING */

/* What a dial tried. */
static int attempts;

static int on_control(void *user, const char *network, const char *address, int fd)
{
    (void)user;
    (void)network;
    (void)address;
    (void)fd;
    attempts++;
    return 0;
}

/* All of them are this machine. */
static void ip_text(int number, char *text, size_t size)
{
    snprintf(text, size, "127.1.%d.%d", number / 250, number % 250 + 1);
}

static int on_resolve(void *user, const char *network, const char *host, int64_t timeout_ms,
                      vcp_resolved *out)
{
    char text[64];
    int i;
    (void)user;
    (void)network;
    (void)host;
    (void)timeout_ms;
    for (i = 0; i < MANY; i++) {
        ip_text(i, text, sizeof text);
        CHECK_EQ(vcp_resolved_add(out, text), VCP_OK);
    }
    return 0;
}

/* A symbol of the executable comes before libc's: the answer of a name server of the test's own. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **list)
{
    int i;
    (void)host;
    (void)service;
    (void)hints;
    *list = NULL;
    for (i = 0; i < MANY; i++) {
        struct addrinfo *one =
            (struct addrinfo *)calloc(1, sizeof *one + sizeof(struct sockaddr_in));
        struct sockaddr_in *name = (struct sockaddr_in *)(one + 1);
        char text[64];
        ip_text(i, text, sizeof text);
        name->sin_family = AF_INET;
        CHECK_EQ(inet_pton(AF_INET, text, &name->sin_addr), 1);
        one->ai_family = AF_INET;
        one->ai_socktype = SOCK_STREAM;
        one->ai_addr = (struct sockaddr *)name;
        one->ai_addrlen = sizeof *name;
        one->ai_next = *list;
        *list = one;
    }
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

/* A port on which nobody listens and that nobody else gets. */
static int refusing_port(int *fd)
{
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    memset(&name, 0, sizeof name);
    name.sin_family = AF_INET;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(*fd, (struct sockaddr *)&name, length), 0);
    CHECK_EQ(getsockname(*fd, (struct sockaddr *)&name, &length), 0);
    return ntohs(name.sin_port);
}

static void check_that_some_are_tried(vcp_pool_options *options)
{
    vcp_conn *conn = NULL;
    vcp_pool *pool;
    char address[64];
    int fd;
    int round;
    snprintf(address, sizeof address, "many.test:%d", refusing_port(&fd));
    options->control = on_control;
    options->dns_cache_ms = 60000;
    pool = pool_new(options);
    /* The second time the addresses come from the cache. */
    for (round = 0; round < 2; round++) {
        attempts = 0;
        CHECK_EQ(vcp_dial(pool, "tcp", address, &conn), VCP_ERR_CONNECT);
        CHECK_EQ(attempts, TAKEN);
        /* 16 are named, the others counted. */
        CHECK(strlen(vcp_last_error()) < 1024);
        CHECK(strstr(vcp_last_error(), "; 240 more failed") != NULL);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(fd);
}

TEST(a_name_server_cannot_make_a_dial_try_thousands_of_addresses,
     "resolving: Of each family the first 256 addresses of a name are tried")
{
    vcp_pool_options options = pool_options();
    check_that_some_are_tried(&options);
}

TEST(a_resolve_callback_cannot_make_a_dial_try_thousands_of_addresses,
     "resolving: What a resolve callback adds is bounded like the answer of a name server")
{
    vcp_pool_options options = pool_options();
    options.resolve = on_resolve;
    check_that_some_are_tried(&options);
}
