/*
 * One recv(MSG_PEEK | MSG_DONTWAIT) on an idle connection: what looking at it costs without any
 * pool.
 */
#include "bench.h"

#include <errno.h>
#include <sys/socket.h>

static int fd;

static void cycles(uint64_t count)
{
    while (count-- > 0) {
        char byte;
        if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)
            fail("recv");
    }
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"plain", NULL};
    variant_of(argc, argv, variants);
    fd = connect_to(argv[1]);
    return answer_runs(cycles);
}
