/* Every vcp_conn_read that had to wait made an eventfd and closed it. */
#include "check.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>

static int eventfds;

#ifdef __cplusplus
extern "C" {
#define NEVER_THROWS noexcept
#else
#define NEVER_THROWS
#endif

/* A symbol of the executable comes before libc's: the library asks this one. */
int eventfd(unsigned int count, int flags) NEVER_THROWS
{
    __sync_add_and_fetch(&eventfds, 1);
    return (int)syscall(SYS_eventfd2, count, flags);
}

#ifdef __cplusplus
}
#endif

static int made(void)
{
    return __sync_add_and_fetch(&eventfds, 0);
}

enum { WAITS = 100 };

/* Answers each byte 1 ms later: the reader has to wait. */
static void *answers_late(void *peer)
{
    char byte;
    while (recv(*(int *)peer, &byte, 1, 0) == 1) {
        let_pass(1);
        CHECK_EQ(send(*(int *)peer, &byte, 1, MSG_NOSIGNAL), 1);
    }
    return NULL;
}

static void ask(vcp_conn *conn)
{
    char byte;
    CHECK_EQ(vcp_conn_write(conn, "?", 1), 1);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 1);
}

TEST(a_hundred_waits_of_one_connection_make_no_eventfd_each,
     "I/O: A hundred reads that wait make no descriptor each")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    int peer = server_accept(&f.s);
    pthread_t answering;
    int before, i;
    CHECK_EQ(pthread_create(&answering, NULL, answers_late, &peer), 0);
    ask(conn);
    before = made();
    for (i = 0; i < WAITS; i++) {
        ask(conn);
    }
    CHECK_BETWEEN(made() - before, 0, 2);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(pthread_join(answering, NULL), 0);
    close(peer);
    FIXTURE_END(&f);
}

TEST(a_hundred_borrows_that_wait_make_no_eventfd_each,
     "I/O: A hundred borrows of a connection whose reads wait make no descriptor each")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    int peer = server_accept(&f.s);
    pthread_t answering;
    int before, i;
    CHECK_EQ(pthread_create(&answering, NULL, answers_late, &peer), 0);
    ask(conn);
    before = made();
    for (i = 0; i < WAITS; i++) {
        give_back(conn);
        conn = borrow(f.pool, &f.s);
        ask(conn);
    }
    CHECK_BETWEEN(made() - before, 0, 2);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(pthread_join(answering, NULL), 0);
    close(peer);
    FIXTURE_END(&f);
}
