/*
 * redis_hiredis - hiredis over pooled connections: the context rides along, and a restarted server
 * stops nobody.
 *
 *     redis_hiredis host:port [rounds]
 *
 * Each round sends ten commands in one go and reads ten answers. Says what it has done when it
 * ends. vconnpool/hiredis.h makes the contexts, and looks at each that is given back.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <vconnpool/hiredis.h>

enum { PIPELINE = 10, GIVE_UP_AFTER_S = 20, ANSWER_WITHIN_S = 5 };

/* Ten commands, ten answers; 0, or -1 and the context says why. */
static int pipeline(redisContext *context, int round)
{
    int i;
    int failed = 0;
    for (i = 0; i < PIPELINE; i++)
        if (redisAppendCommand(context, "SET key-%d %d", i, round) != REDIS_OK)
            return -1;
    for (i = 0; i < PIPELINE; i++) {
        void *reply = NULL;
        if (redisGetReply(context, &reply) != REDIS_OK)
            return -1;
        failed |= ((redisReply *)reply)->type != REDIS_REPLY_STATUS;
        freeReplyObject(reply);
    }
    return failed ? -1 : 0;
}

/* Ten commands on that connection; 0, or -1 and it is not to be kept. */
static int use(vcp_conn *conn, int round)
{
    struct timeval patience = {ANSWER_WITHIN_S, 0};
    redisContext *context = vcp_hiredis_session(conn);
    if (redisSetTimeout(context, patience) == REDIS_OK && pipeline(context, round) == 0)
        return 0;
    return -1;
}

/* On any connection that works, as long as it takes; SET may be done twice. */
static int do_round(vcp_pool *pool, const char *address, int round, int *repeated)
{
    time_t begun = time(NULL);
    do {
        vcp_conn *conn;
        int failed = 1;
        if (vcp_dial(pool, "tcp", address, &conn) >= 0) {
            failed = use(conn, round);
            if (failed && vcp_conn_discard(conn) != VCP_OK)
                return -1;
            if (vcp_conn_close(conn) != VCP_OK)
                return -1;
        } else {
            struct timespec pause = {0, 20 * 1000 * 1000};
            nanosleep(&pause, NULL);
        }
        if (!failed)
            return 0;
        ++*repeated;
    } while (time(NULL) - begun < GIVE_UP_AFTER_S);
    fprintf(stderr, "redis_hiredis: %s\n", vcp_last_error());
    return -1;
}

int main(int argc, char **argv)
{
    int rounds = argc > 2 ? atoi(argv[2]) : 1000;
    int repeated = 0;
    int i;
    vcp_pool *pool;
    vcp_stats stats;
    if (argc < 2 || rounds < 1) {
        fprintf(stderr, "usage: redis_hiredis host:port [rounds]\n");
        return 2;
    }
    /* The library never raises SIGPIPE, but hiredis writes by itself: to a server that has reset
     * the connection, that would. */
    signal(SIGPIPE, SIG_IGN);
    if (vcp_hiredis_pool_new(NULL, NULL, NULL, NULL, &pool) != VCP_OK) {
        fprintf(stderr, "redis_hiredis: %s\n", vcp_last_error());
        return 1;
    }
    for (i = 0; i < rounds; i++) {
        if (do_round(pool, argv[1], i, &repeated) != 0)
            return 1;
        if (i == rounds / 2) {
            puts("half");
            fflush(stdout);
        }
    }
    if (vcp_pool_stats(pool, &stats, sizeof stats) != VCP_OK || vcp_pool_close(pool) != VCP_OK)
        return 1;
    printf("%d rounds of %d commands, %d repeated, %" PRIu64 " connections\n", rounds, PIPELINE,
           repeated, stats.dials - stats.dial_failures);
    return 0;
}
