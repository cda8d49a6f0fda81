/*
 * looks.c - requests of vcp-probe by a clock that only looks at it move: a line for each of a fresh
 * one and three over the pool, with the time of its dial and its own.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "vcp_probe.h"

uint64_t now_ns(void)
{
    static uint64_t looks;
    return ++looks;
}

vcp_cancel *stop_token(void)
{
    return NULL;
}

static int print(const client *from, side of)
{
    static char answer[ANSWER_SIZE];
    outcome out = request(from, of, answer);
    printf("%" PRIu64 " %" PRIu64 "\n", out.dial_ns, out.request_ns);
    return out.status;
}

int main(int argc, char **argv)
{
    client client;
    options how = {.network = "tcp",
                   .address = argv[argc - 1],
                   .threads = 1,
                   .timeout_ms = 5000,
                   .send = {"PING\r\n", 6},
                   .expect = {"+PONG\r\n", 7}};
    int status = client_open(&client, &how);
    if (status >= 0)
        status = print(&client, FRESH_SIDE);
    for (int i = 0; i < 3 && status >= 0; i++)
        status = print(&client, POOLED_SIDE);
    if (status < 0)
        fprintf(stderr, "%s\n", vcp_last_error());
    client_close(&client);
    return status < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
