/*
 * peers.h - a server process for all runs of a program: one socket of each kind, and a number of
 * its own for each connection, by which two borrowers of one connection would be found.
 *
 * What a message begins with says what it answers: '?' the connection's number, 'x' it closes, 'd'
 * one byte more than was asked for; all else comes back as it was.
 */
#ifndef PEERS_H
#define PEERS_H

#include <sys/epoll.h>
#include <sys/prctl.h>

#define NUMBERS 4096
#define NUMBER_BYTES 8

enum peer_kind { TCP4, TCP6, UDP4, UNIX, UNIXGRAM, UNIXPACKET, PEERS };

static server peers[PEERS];
static full_server silent; /* answers no connect */
/* By connection's number: borrowed. */
static int owners[NUMBERS];

static inline void peer_answers(int fd, unsigned number, char *bytes, ssize_t count)
{
    if (bytes[0] == '?') {
        count = snprintf(bytes, NUMBER_BYTES + 1, "%08x", number);
    } else if (bytes[0] == 'd') {
        bytes[count++] = '!';
    }
    (void)send(fd, bytes, (size_t)count, MSG_NOSIGNAL);
}

static inline void peer_reads(int fd, unsigned number)
{
    char bytes[4096];
    ssize_t count = recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
    if (count > 0 && bytes[0] != 'x') {
        peer_answers(fd, number, bytes, count);
    } else if (count >= 0 || errno != EAGAIN) {
        close(fd);
    }
}

static inline void peer_watches(int epoll, int fd, unsigned number)
{
    struct epoll_event event;
    event.events = EPOLLIN;
    event.data.u64 = (uint64_t)number << 32 | (unsigned)fd;
    CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

/* The number of a listening socket is its kind; those of connections come after them. */
static inline void peer_is_ready(int epoll, int fd, unsigned number)
{
    static unsigned last = PEERS;
    if (number >= PEERS) {
        peer_reads(fd, number);
    } else if (peers[number].type == SOCK_DGRAM) {
        server_echo_dgram(fd);
    } else {
        int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (connection >= 0) {
            peer_watches(epoll, connection, ++last);
        }
    }
}

static inline void peers_serve(void)
{
    struct epoll_event events[64];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    unsigned kind;
    CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
    for (kind = 0; kind < PEERS; kind++) {
        peer_watches(epoll, peers[kind].fd, kind);
    }
    for (;;) {
        int count = epoll_wait(epoll, events, 64, -1);
        while (count-- > 0) {
            uint64_t data = events[count].data.u64;
            peer_is_ready(epoll, (int)(data & 0xffffffffu), (unsigned)(data >> 32));
        }
    }
}

static inline void peers_start(void)
{
    peers[TCP4] = tcp_server();
    peers[TCP6] = tcp6_server();
    peers[UDP4] = udp_server();
    peers[UNIX] = unix_server(SOCK_STREAM, 1);
    peers[UNIXGRAM] = unix_server(SOCK_DGRAM, 1);
    peers[UNIXPACKET] = unix_server(SOCK_SEQPACKET, 1);
    silent = full_server_new();
    if (fork() == 0) {
        peers_serve();
    }
}

/* ---- what a borrower does ---- */

/* By the program's own calls, which nobody makes fail. */
static inline void asks_peer(int fd, const char *question, char *answer, size_t size)
{
    size_t have = 0;
    CHECK_EQ(send(fd, question, strlen(question), MSG_NOSIGNAL), (ssize_t)strlen(question));
    while (have < size) {
        ssize_t count;
        CHECK(readable_within(fd, 5000));
        count = recv(fd, answer + have, size - have, 0);
        CHECK(count > 0);
        have += (size_t)count;
    }
}

/* The connection's number; the descriptor is in the mode that is promised. */
static inline unsigned number_of(int fd)
{
    char answer[NUMBER_BYTES + 1] = "";
    CHECK(!is_nonblocking(fd));
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    asks_peer(fd, "?", answer, NUMBER_BYTES);
    return (unsigned)strtoul(answer, NULL, 16);
}

static inline void echoes_datagram(int fd)
{
    char answer[5] = "";
    asks_peer(fd, "gram", answer, 4);
    CHECK_STR(answer, "gram");
}

/* Nobody else has it: returns the number, to be given to disowns. */
static inline unsigned owns(int fd)
{
    unsigned number = number_of(fd);
    CHECK_EQ(__sync_lock_test_and_set(&owners[number % NUMBERS], 1), 0);
    return number;
}

static inline void disowns(unsigned number)
{
    __sync_lock_release(&owners[number % NUMBERS]);
}

#endif
