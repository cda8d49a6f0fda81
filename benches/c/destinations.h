/* Many destinations that are all one server, and a random order to visit them in. Knows no pool. */
#ifndef DESTINATIONS_H
#define DESTINATIONS_H

#include <stddef.h>
#include <stdint.h>

enum { DESTINATION_SIZE = sizeof "127.1.255.255:65535", VISITS = 1 << 16 };

extern char destinations[VISITS][DESTINATION_SIZE];
extern uint16_t visits[VISITS];

/*
 * Writes "127.1.x.y:port" for the port of "127.0.0.1:port", so many times, and draws VISITS of
 * them: the same ones in every program, before anything is timed. The server listens on all
 * addresses of loopback.
 */
void make_destinations(const char *address, uint32_t count);

/* The one to be visited next. */
static inline const char *next_destination(void)
{
    static size_t visit;
    return destinations[visits[visit++ % VISITS]];
}

#endif
