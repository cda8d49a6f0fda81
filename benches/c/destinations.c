/* See destinations.h. */
#include "destinations.h"
#include "bench.h"

#include <stdio.h>
#include <string.h>

char destinations[VISITS][DESTINATION_SIZE];
uint16_t visits[VISITS];

/* xorshift64 (Marsaglia, 2003), as in the Rust peers. */
static uint64_t draw(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

void make_destinations(const char *address, uint32_t count)
{
    const char *port = strrchr(address, ':');
    if (port == NULL || count > VISITS)
        fail(address);
    for (uint32_t i = 0; i < count; i++)
        snprintf(destinations[i], DESTINATION_SIZE, "127.1.%u.%u%s", i >> 8 & 255, i & 255, port);
    for (size_t i = 0; i < VISITS; i++)
        visits[i] = (uint16_t)(draw() % count);
}
