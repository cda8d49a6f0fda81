/*
 * verify_release: at give-back the fd is checked to be the pool's own socket, and its mode put
 * back. Section 4.
 */
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "check.h"

/* The kernel refuses to change the mode of a descriptor, as a filter of system calls may. */
static int mode_is_fixed;

#ifdef __cplusplus
extern "C" int ioctl(int fd, unsigned long request, ...) noexcept
#else
int ioctl(int fd, unsigned long request, ...)
#endif
{
    va_list rest;
    void *argument;
    va_start(rest, request);
    argument = va_arg(rest, void *);
    va_end(rest);
    if (request == FIONBIO && __atomic_load_n(&mode_is_fixed, __ATOMIC_SEQ_CST)) {
        errno = EPERM;
        return -1;
    }
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

static vcp_pool *verifying_pool(void)
{
    vcp_pool_options options = pool_options();
    options.verify_release = 1;
    return pool_new(&options);
}

TEST(a_foreign_file_under_its_number_is_left_open,
     "verify_release: another file under the number is left open, closed_foreign_fd counts")
{
    server s = tcp_server();
    vcp_pool *pool = verifying_pool();
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    int foreign;
    char byte = 1;
    close(fd);
    foreign = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    CHECK_EQ(foreign, fd);
    give_back(conn);
    CHECK_EQ(read(foreign, &byte, 1), 1);
    CHECK_EQ(byte, 0);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(stats_of(pool).closed_foreign_fd, 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK(is_open(foreign));
    close(foreign);
    server_close(&s);
}

TEST(a_socket_whose_mode_cannot_be_put_back_is_closed,
     "verify_release: a socket of the pool's own whose mode cannot be put back is closed")
{
    fixture f;
    vcp_pool_options options = pool_options();
    vcp_conn *conn;
    int fd;
    options.verify_release = 1;
    f = fixture_new(&options);
    conn = borrow(f.pool, &f.s);
    fd = vcp_conn_raw_fd(conn);
    __atomic_store_n(&mode_is_fixed, 1, __ATOMIC_SEQ_CST);
    give_back(conn);
    __atomic_store_n(&mode_is_fixed, 0, __ATOMIC_SEQ_CST);
    CHECK(!is_open(fd));
    CHECK_EQ(stats_of(f.pool).closed_foreign_fd, 0);
    FIXTURE_END(&f);
}

TEST(a_foreign_socket_under_its_number_is_left_open,
     "verify_release: another socket under the number is left open")
{
    server s = tcp_server();
    server other = tcp_server();
    vcp_pool *pool = verifying_pool();
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    int own = client_of(&other);
    CHECK_EQ(dup3(own, fd, O_CLOEXEC), fd);
    give_back(conn);
    CHECK(is_open(fd));
    CHECK_EQ(send(fd, "x", 1, MSG_NOSIGNAL), 1);
    CHECK_EQ(idle_in(pool), 0);
    CHECK_EQ(stats_of(pool).closed_foreign_fd, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK(is_open(fd));
    close(fd);
    close(own);
    server_close(&other);
    server_close(&s);
}

TEST(a_number_that_the_program_closed_is_forgotten,
     "verify_release: a number that the program closed is forgotten")
{
    server s = tcp_server();
    vcp_pool *pool = verifying_pool();
    vcp_conn *conn = borrow(pool, &s);
    close(vcp_conn_raw_fd(conn));
    give_back(conn);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(stats_of(pool).closed_foreign_fd, 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(what_is_discarded_is_verified_too,
     "verify_release: verify_release binds discarded connections too")
{
    server s = tcp_server();
    vcp_pool *pool = verifying_pool();
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    int foreign;
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    close(fd);
    foreign = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    CHECK_EQ(foreign, fd);
    give_back(conn);
    CHECK(is_open(foreign));
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(foreign);
    server_close(&s);
}

TEST(the_own_socket_is_kept, "verify_release: verify_release keeps the pool's own socket")
{
    server s = tcp_server();
    vcp_pool *pool = verifying_pool();
    vcp_conn *conn;
    int round;
    for (round = 1; round <= 3; round++) {
        conn = borrow(pool, &s);
        CHECK_EQ(vcp_conn_uses(conn), round);
        give_back(conn);
    }
    CHECK_EQ(stats_of(pool).closed_foreign_fd, 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(the_blocking_mode_is_put_back, "verify_release: verify_release puts blocking mode back")
{
    server s = tcp_server();
    vcp_pool *pool = verifying_pool();
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    CHECK(!is_nonblocking(fd));
    CHECK_EQ(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
    give_back(conn);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK(!is_nonblocking(fd));
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(the_non_blocking_mode_is_put_back,
     "verify_release: verify_release puts non-blocking mode back")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int fd;
    options.verify_release = 1;
    options.nonblocking = 1;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    fd = vcp_conn_raw_fd(conn);
    CHECK(is_nonblocking(fd));
    CHECK_EQ(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
    give_back(conn);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK(is_nonblocking(fd));
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
