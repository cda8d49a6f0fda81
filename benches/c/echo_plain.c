/* A 64-byte echo over one socket that is kept, as a C program does that without any library. */
#include "bench.h"

#include <stddef.h>

static int fd;

static void cycles(uint64_t count)
{
    while (count-- > 0)
        echo_over(fd);
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"kept", NULL};
    variant_of(argc, argv, variants);
    fd = connect_to(argv[1]);
    return answer_kept_runs(cycles);
}
