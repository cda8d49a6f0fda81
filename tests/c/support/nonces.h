/*
 * nonces.h - the proof that no connection and no descriptor has two owners. Who borrows one marks
 * it as owned, by its number and by the server's nonce in each answer; a mark that is there already
 * is another owner.
 */
#ifndef NONCES_H
#define NONCES_H

#include "nonce_server.h"

/* A nonce is marked only while it is asked about: so many later ones must not come meanwhile. */
enum { NONCE_MARKS = 1 << 20, FD_MARKS = 1 << 16 };

static unsigned char nonce_marks[NONCE_MARKS];
static unsigned char fd_marks[FD_MARKS];

/* Relaxed: the marks must not order what the library itself fails to order. */
static inline void mark(unsigned char *one)
{
    unsigned char free_one = 0;
    CHECK(__atomic_compare_exchange_n(one, &free_one, 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

static inline void unmark(unsigned char *one)
{
    unsigned char owned = 1;
    CHECK(__atomic_compare_exchange_n(one, &owned, 0, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

/* From a successful dial until just before the connection is given back. */
static inline void own_fd(int fd)
{
    CHECK_BETWEEN(fd, 0, FD_MARKS - 1);
    mark(&fd_marks[fd]);
}

static inline void disown_fd(int fd)
{
    unmark(&fd_marks[fd]);
}

static inline void own_nonce(uint32_t nonce)
{
    CHECK(nonce != 0);
    mark(&nonce_marks[nonce % NONCE_MARKS]);
}

static inline void disown_nonce(uint32_t nonce)
{
    unmark(&nonce_marks[nonce % NONCE_MARKS]);
}

static inline question question_of(uint32_t serial, uint32_t wish)
{
    question asked;
    memset(&asked, 0, sizeof asked);
    asked.pid = getpid();
    asked.serial = serial;
    asked.wish = wish;
    return asked;
}

/*
 * A question and its answer, which must be the answer to this question. Returns the nonce, owned
 * from now on; 0 if the connection failed or ended (the library discards it then), and *status says
 * how.
 */
static inline uint32_t ask_wishing(vcp_conn *conn, uint32_t serial, uint32_t wish, int64_t *status)
{
    question asked = question_of(serial, wish);
    answer heard;
    *status = vcp_conn_write(conn, &asked, sizeof asked);
    if (*status != (int64_t)sizeof asked) {
        return 0;
    }
    *status = vcp_conn_read_full(conn, &heard, sizeof heard);
    if (*status != (int64_t)sizeof heard) {
        return 0;
    }
    CHECK_EQ(memcmp(&heard.asked, &asked, sizeof asked), 0);
    own_nonce(heard.nonce);
    return heard.nonce;
}

/* As ask_wishing for an ordinary answer, which must come; the nonce is not owned any more. */
static inline uint32_t ask(vcp_conn *conn, uint32_t serial)
{
    int64_t status;
    uint32_t nonce = ask_wishing(conn, serial, WISH_ANSWER, &status);
    CHECK_EQ(status, sizeof(answer));
    disown_nonce(nonce);
    return nonce;
}

/* The same on a bare descriptor, which is a driver's; 0 if it failed. */
static inline uint32_t ask_raw(int fd, uint32_t serial)
{
    question asked = question_of(serial, WISH_ANSWER);
    answer heard;
    size_t have = 0;
    ssize_t sent;
    do {
        sent = send(fd, &asked, sizeof asked, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)sizeof asked) {
        return 0;
    }
    while (have < sizeof heard) {
        ssize_t got = recv(fd, (char *)&heard + have, sizeof heard - have, 0);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return 0;
        }
        have += got > 0 ? (size_t)got : 0;
    }
    CHECK_EQ(memcmp(&heard.asked, &asked, sizeof asked), 0);
    own_nonce(heard.nonce);
    return heard.nonce;
}

#endif
