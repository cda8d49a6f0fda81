/*
 * redis_ping - SET, GET and PING from several threads over one pool.
 *
 *     redis_ping [-t threads] [-n operations per thread] [-w] host:port
 *
 * Exits with 0, with 1 and a message when anything fails, with 2 when called wrongly.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vconnpool.h>

enum { MOST_THREADS = 8, MOST_OPERATIONS = 100000000, DEADLINE_MS = 5000 };

/* What every thread gets; the pool is shared. */
typedef struct {
    pthread_t thread;
    vcp_pool *pool;
    const char *address;
    long operations;
    int number; /* which thread this is */
    int failed; /* 0, or -1 once an operation failed */
} client;

static int usage(void)
{
    fprintf(stderr,
            "usage: redis_ping [-t threads] [-n operations] [-w] host:port\n"
            "  -t  1 to %d threads [4]\n"
            "  -n  operations per thread, 1 to %d [1000]\n"
            "  -w  after the pool is closed, wait for the end of the input, so that the server can "
            "be asked what is left\n",
            MOST_THREADS, MOST_OPERATIONS);
    return 2;
}

/* A reply is one line, or two if it is a value ("$3", "abc"; "$-1" is none). The values here have
 * no line ends. */
static int is_whole(const char *reply)
{
    const char *end = strchr(reply, '\n');
    if (end != NULL && reply[0] == '$' && reply[1] != '-')
        end = strchr(end + 1, '\n');
    return end != NULL;
}

/* Sends a command and reads its reply. Returns the reply's length, 0 if Redis hung up, or a
 * vcp_status. */
static int64_t exchange(vcp_conn *conn, const char *command, char *reply, size_t size)
{
    size_t got = 0;
    int64_t result = vcp_conn_set_deadline(conn, DEADLINE_MS);
    if (result >= 0)
        result = vcp_conn_write(conn, command, strlen(command));
    for (reply[0] = '\0'; result > 0 && got + 1 < size && !is_whole(reply); reply[got] = '\0') {
        result = vcp_conn_read(conn, reply + got, size - 1 - got);
        if (result > 0)
            got += (size_t)result;
    }
    return result > 0 ? (int64_t)got : result;
}

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "redis_ping: %s%s\n", what, why);
    return -1;
}

/* One command over the pool, whose reply must be the wanted one. Returns 0, or -1 after telling
 * why. */
static int ask(const client *self, const char *command, const char *wanted)
{
    char reply[256];
    vcp_conn *conn;
    vcp_dial_options options;
    int retry = 0, failed = 0;
    if (vcp_dial_options_init(&options, sizeof options) < 0)
        return complain("", vcp_last_error());
    do {
        options.flags = retry ? VCP_DIAL_FRESH : 0;
        if (vcp_dial_with(self->pool, "tcp", self->address, &options, &conn) < 0)
            return complain("", vcp_last_error());
        int64_t result = exchange(conn, command, reply, sizeof reply);
        /* Redis may have closed an idle connection just now. These commands may be done twice, so
         * try once more. */
        retry = result <= 0 && vcp_conn_should_retry(conn) == 1;
        if (result <= 0 && !retry)
            failed = complain("", result < 0 ? vcp_last_error() : "the server hung up");
        if (result > 0 && strcmp(reply, wanted) != 0) {
            failed = complain("unexpected reply: ", reply);
            vcp_conn_discard(conn); /* what may follow it must not reach the next borrower */
        }
        if (vcp_conn_close(conn) < 0)
            failed = complain("", vcp_last_error());
    } while (retry);
    return failed;
}

static int ping(const client *self)
{
    return ask(self, "*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
}

/* SET, GET, PING, and again. Every thread has a key of its own, which expires after a minute. */
static void *work(void *argument)
{
    client *self = argument;
    char key[40], value[24], set[128], get[64], wanted[40];
    snprintf(key, sizeof key, "vconnpool:redis_ping:%d", self->number);
    snprintf(get, sizeof get, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key), key);
    for (long i = 0; i < self->operations && self->failed == 0; i++) {
        if (i % 3 == 0) {
            snprintf(value, sizeof value, "%ld", i);
            snprintf(set, sizeof set,
                     "*5\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$2\r\nEX\r\n$2\r\n60\r\n",
                     strlen(key), key, strlen(value), value);
            snprintf(wanted, sizeof wanted, "$%zu\r\n%s\r\n", strlen(value), value);
            self->failed = ask(self, set, "+OK\r\n");
        } else if (i % 3 == 1) {
            self->failed = ask(self, get, wanted);
        } else {
            self->failed = ping(self);
        }
    }
    return NULL;
}

/* Runs all threads to their end. Returns 0, or -1 if one failed. */
static int run(client *clients, int threads)
{
    int started = 0, failed = 0;
    while (started < threads &&
           pthread_create(&clients[started].thread, NULL, work, &clients[started]) == 0)
        started++;
    if (started < threads)
        failed = complain("", "a thread cannot be started");
    for (int i = 0; i < started; i++)
        if (pthread_join(clients[i].thread, NULL) != 0 || clients[i].failed != 0)
            failed = -1;
    return failed;
}

/* The number in text, if it is one from 1 to most; else 0. */
static long number(const char *text, long most)
{
    char *end;
    long value = strtol(text, &end, 10);
    return *text != '\0' && *end == '\0' && value >= 1 && value <= most ? value : 0;
}

int main(int argc, char **argv)
{
    long threads = 4, operations = 1000;
    int wait = 0, option;
    while ((option = getopt(argc, argv, "t:n:w")) != -1) {
        if (option == 't')
            threads = number(optarg, MOST_THREADS);
        else if (option == 'n')
            operations = number(optarg, MOST_OPERATIONS);
        else if (option == 'w')
            wait = 1;
        else
            return usage();
    }
    if (threads == 0 || operations == 0 || argc - optind != 1)
        return usage();

    client clients[MOST_THREADS];
    vcp_pool_options options;
    vcp_pool *pool;
    vcp_stats stats;
    /* A thread has one connection at a time: no limit is ever reached, and every connection that is
     * given back is kept. */
    int status = vcp_pool_options_init(&options, sizeof options);
    options.max_idle_per_address = MOST_THREADS;
    options.max_conns = MOST_THREADS;
    if (status < 0 || vcp_pool_new(&options, &pool) < 0) {
        complain("", vcp_last_error());
        return EXIT_FAILURE;
    }
    for (int i = 0; i < threads; i++)
        clients[i] =
            (client){.pool = pool, .address = argv[optind], .operations = operations, .number = i};

    int failed = ping(&clients[0]); /* one message, not one from each thread, if nothing listens */
    if (failed == 0)
        failed = run(clients, (int)threads);
    if (vcp_pool_stats(pool, &stats, sizeof stats) < 0 || vcp_pool_close(pool) < 0)
        failed = complain("", vcp_last_error());
    if (failed != 0)
        return EXIT_FAILURE;
    printf("%ld threads, %ld operations each: %" PRIu64 " dials, %" PRIu64 " reuses\n", threads,
           operations, stats.dials, stats.reuses);
    if (fflush(stdout) != 0)
        return EXIT_FAILURE;
    while (wait && getchar() != EOF)
        continue;
    return EXIT_SUCCESS;
}
