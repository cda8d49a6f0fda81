/*
 * acme.h - a driver that stands for any: it dials by itself, speaks lines, and keeps its socket.
 * Its server answers each line with "OK".
 */
#ifndef ACME_H
#define ACME_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

typedef struct acme {
    int fd;
    int is_broken;     /* a query got no answer */
    const char *error; /* of the login, or NULL */
} acme;

static inline acme *acme_adopt(int fd)
{
    acme *session = (acme *)calloc(1, sizeof *session);
    if (session != NULL)
        session->fd = fd;
    return session;
}

/* Sends a line and reads the answer; 0 if it is OK. */
static inline int acme_query(acme *session, const char *text)
{
    char line[256];
    int length = snprintf(line, sizeof line, "%s\n", text);
    if (send(session->fd, line, (size_t)length, MSG_NOSIGNAL) != length ||
        recv(session->fd, line, 3, MSG_WAITALL) != 3) {
        session->is_broken = 1;
        return -1;
    }
    return memcmp(line, "OK\n", 3) == 0 ? 0 : -1;
}

static inline int acme_is_broken(const acme *session)
{
    return session->is_broken;
}

/* How long a query waits for its answer; 0: no limit. */
static inline void acme_set_timeout(acme *session, int64_t timeout_ms)
{
    struct timeval limit;
    limit.tv_sec = (time_t)(timeout_ms / 1000);
    limit.tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000);
    setsockopt(session->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

/* Never NULL unless memory runs out; acme_error() says what failed. */
static inline acme *acme_connect(const char *address, const char *user, const char *password,
                                 int64_t timeout_ms)
{
    struct sockaddr_in name;
    const char *port = strrchr(address, ':');
    acme *session = acme_adopt(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    (void)timeout_ms; /* on loopback nothing takes long */
    memset(&name, 0, sizeof name);
    name.sin_family = AF_INET;
    name.sin_port = htons((uint16_t)atoi(port == NULL ? "" : port + 1));
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (session == NULL)
        return NULL;
    if (connect(session->fd, (struct sockaddr *)&name, sizeof name) != 0)
        session->error = "nobody listens";
    else if (user == NULL || password == NULL || acme_query(session, password) != 0)
        session->error = "the server does not know you";
    return session;
}

static inline const char *acme_error(const acme *session)
{
    return session->error;
}

static inline int acme_socket(const acme *session)
{
    return session->fd;
}

static inline int acme_has_unread(const acme *session)
{
    struct pollfd one = {session->fd, POLLIN, 0};
    return poll(&one, 1, 0) != 0;
}

static inline void acme_close(acme *session)
{
    if (session == NULL)
        return;
    send(session->fd, "BYE\n", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(session->fd);
    free(session);
}

/* Where secrets come from. */
typedef struct secret_store {
    const char *secret;
    int fetched;
} secret_store;

static inline int fetch_secret(secret_store *secrets, const char *address, char *secret,
                               size_t size)
{
    (void)address;
    secrets->fetched++;
    return snprintf(secret, size, "%s", secrets->secret) < (int)size ? 0 : -1;
}

#endif
