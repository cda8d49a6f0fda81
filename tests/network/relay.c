/*
 * relay.c - a slow road: `relay DEVICE NAMESPACE ROUND_TRIP_MS` carries every packet that this
 * network namespace sends into its TUN device DEVICE to the device of the same name in NAMESPACE,
 * ROUND_TRIP_MS late. Answers take another road, which is quick; so the delay of the way there is
 * the whole round trip. (The kernels this runs on have no tc-netem(8).)
 *
 * Both devices must exist. The program returns when it has attached to them and carries packets in
 * the background from then on, until it is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Packets on their way at once; one more is lost, as on any road. */
#define MOST 1024
#define PACKET_SIZE 65536

typedef struct packet {
    int64_t due_ns;
    size_t size;
    char *bytes;
} packet;

static packet road[MOST];
static size_t first;
static size_t count;

static void must(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int attached(const char *device)
{
    struct ifreq request;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    must(fd >= 0, "/dev/net/tun");
    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    must(ioctl(fd, TUNSETIFF, &request) == 0, device);
    return fd;
}

static void enter(const char *namespace)
{
    char path[256];
    int fd;
    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && setns(fd, CLONE_NEWNET) == 0, path);
    close(fd);
}

static void take_in(int from, int64_t delay_ns)
{
    static char bytes[PACKET_SIZE];
    ssize_t size;
    while ((size = read(from, bytes, sizeof bytes)) > 0) {
        packet *last = &road[(first + count) % MOST];
        if (count == MOST) {
            continue;
        }
        last->due_ns = now_ns() + delay_ns;
        last->size = (size_t)size;
        last->bytes = malloc((size_t)size);
        must(last->bytes != NULL, "malloc");
        memcpy(last->bytes, bytes, (size_t)size);
        count++;
    }
    must(errno == EAGAIN, "read");
}

/* A packet that the far device does not take is lost. */
static void hand_on(int to)
{
    while (count > 0 && road[first].due_ns <= now_ns()) {
        if (write(to, road[first].bytes, road[first].size) < 0) {
            perror("write");
        }
        free(road[first].bytes);
        first = (first + 1) % MOST;
        count--;
    }
}

static void await_next(int from)
{
    struct pollfd one = {from, POLLIN, 0};
    struct timespec until = {0, 0};
    if (count > 0) {
        int64_t left = road[first].due_ns - now_ns();
        left = left < 0 ? 0 : left;
        until.tv_sec = left / 1000000000;
        until.tv_nsec = left % 1000000000;
    }
    must(ppoll(&one, 1, count > 0 ? &until : NULL, NULL) >= 0, "ppoll");
}

int main(int argc, char **argv)
{
    int from;
    int to;
    if (argc != 4) {
        fprintf(stderr, "usage: relay DEVICE NAMESPACE ROUND_TRIP_MS\n");
        return 2;
    }
    from = attached(argv[1]);
    enter(argv[2]);
    to = attached(argv[1]);
    must(daemon(1, 1) == 0, "daemon");
    for (;;) {
        await_next(from);
        take_in(from, atoll(argv[3]) * 1000000);
        hand_on(to);
    }
}
