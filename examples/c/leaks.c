/*
 * leaks - what a pool tells: its events, who keeps a connection for too long, and its state in
 * words.
 *
 *     leaks host:port
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <vconnpool.h>

enum { THRESHOLD_MS = 100 };

/* On the thread that caused it; a leak is found by a thread of the library. */
static void tell(void *user, const vcp_event *event)
{
    static const char *const kinds[] = {"dial start", "dial done",    "dial failed", "reused",
                                        "released",   "closed",       "wait start",  "wait done",
                                        "LEAKED",     "leak returned"};
    (void)user;
    if (event->kind < 0 || event->kind > VCP_EVENT_LEAK_RETURNED)
        return; /* of a later version */
    printf("%-13s %s %s", kinds[event->kind], event->network, event->address);
    if (event->label[0] != '\0')
        printf(" by \"%s\"", event->label);
    if (event->duration_us > 0)
        printf(" after %" PRId64 " ms", event->duration_us / 1000);
    if (event->message[0] != '\0')
        printf(": %s", event->message);
    printf("\n");
}

static int borrow(vcp_pool *pool, const char *address, const char *label, vcp_conn **conn)
{
    vcp_dial_options options;
    int fd = vcp_dial_options_init(&options, sizeof options);
    if (fd == VCP_OK) {
        options.label = label;
        fd = vcp_dial_with(pool, "tcp", address, &options, conn);
    }
    if (fd < 0)
        fprintf(stderr, "leaks: %s\n", vcp_last_error());
    return fd < 0 ? -1 : 0;
}

/* The pool's state as a person reads it. It may grow between the two calls: then once more. */
static int show(vcp_pool *pool)
{
    char *text = NULL;
    int64_t size = 0;
    int64_t needed = vcp_pool_describe(pool, VCP_FORMAT_TEXT, NULL, 0);
    while (needed >= size) {
        char *larger;
        size = needed + 1;
        larger = (char *)realloc(text, (size_t)size);
        if (larger == NULL)
            break;
        text = larger;
        needed = vcp_pool_describe(pool, VCP_FORMAT_TEXT, text, (size_t)size);
    }
    if (needed >= 0 && needed < size)
        printf("\n%s\n", text);
    free(text);
    return needed >= 0 && needed < size ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct timespec a_while = {0, 3L * THRESHOLD_MS * 1000 * 1000};
    vcp_pool_options options;
    vcp_pool *pool;
    vcp_conn *careful;
    vcp_conn *forgetful;
    if (argc < 2) {
        fprintf(stderr, "usage: leaks host:port\n");
        return 2;
    }
    if (vcp_pool_options_init(&options, sizeof options) != VCP_OK)
        return 1;
    options.name = "example";
    options.leak_threshold_ms = THRESHOLD_MS;
    options.on_event = tell;
    if (vcp_pool_new(&options, &pool) != VCP_OK) {
        fprintf(stderr, "leaks: %s\n", vcp_last_error());
        return 1;
    }
    if (borrow(pool, argv[1], "careful", &careful) != 0 ||
        borrow(pool, argv[1], "forgetful", &forgetful) != 0)
        return 1;
    if (vcp_conn_close(careful) != VCP_OK || nanosleep(&a_while, NULL) != 0 || show(pool) != 0)
        return 1;
    if (vcp_conn_close(forgetful) != VCP_OK || vcp_pool_close(pool) != VCP_OK)
        return 1;
    return 0;
}
