/*
 * The pieces of docs/guide/moving.md at work: the old pool beside its successor.
 */
#include "check.h"

#include <apr_general.h>
#include <apr_reslist.h>

static int dials_by_hand;

static int connect_to(const char *address)
{
    struct sockaddr_in name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&name, 0, sizeof name);
    name.sin_family = AF_INET;
    name.sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1));
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    dials_by_hand++;
    return fd;
}

/* A request and its answer; the server echoes. */
static int talk(int fd)
{
    char byte = 'x';
    return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, MSG_WAITALL) == 1 ? 0 : -1;
}

#include "moving.h"

TEST(a_reslist_and_a_pool_do_the_same,
     "docs/guide/moving.md: A pool takes the place of apr_reslist")
{
    fixture f = fixture_new(NULL);
    apr_reslist_t *list;
    apr_pool_t *memory;
    vcp_cancel *cancel;
    server_start_echo(&f.s);
    CHECK_EQ(apr_initialize(), APR_SUCCESS);
    CHECK_EQ(apr_pool_create(&memory, NULL), APR_SUCCESS);
    CHECK_EQ(
        apr_reslist_create(&list, 0, 8, 20, 90000000, open_one, close_one, f.s.address, memory),
        APR_SUCCESS);
    CHECK_EQ(ask_by_reslist(list), 0);
    CHECK_EQ(ask_by_reslist(list), 0);
    CHECK_EQ(dials_by_hand, 1);
    CHECK_EQ(apr_reslist_destroy(list), APR_SUCCESS);
    apr_pool_destroy(memory);
    apr_terminate();
    CHECK_EQ(ask_by_pool(f.pool, f.s.address), 0);
    CHECK_EQ(ask_by_pool(f.pool, f.s.address), 0);
    CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
    CHECK_EQ(ask_until(f.pool, f.s.address, vcp_now_ms() + 5000, cancel), 0);
    CHECK_EQ(stats_of(f.pool).dials, 1);
    CHECK_EQ(ask_until(f.pool, f.s.address, vcp_now_ms() - 1, cancel), -1);
    CHECK_EQ(vcp_cancel_fire(cancel), VCP_OK);
    CHECK_EQ(ask_until(f.pool, f.s.address, vcp_now_ms() + 5000, cancel), -1);
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
    FIXTURE_END(&f);
}
