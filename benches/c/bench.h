/*
 * What every contestant shares: the protocol with the driver, a clock, plain sockets. Knows no pool.
 *
 * A contestant is started once, as "program ADDRESS VARIANT", prepares itself, and then answers each line "run N" on standard
 * input with the nanoseconds that N cycles took, on standard output. It ends with its standard input.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stddef.h>

enum { ECHO_SIZE = 64 };

/* Ends the program with what failed and errno's text. */
_Noreturn void fail(const char *what);

/* Ends the program unless it was started with an address and one of the variants; returns the variant's number. */
int variant_of(int argc, char **argv, const char *const *variants);

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* Answers the driver until it hangs up; returns main's result. */
int answer_runs(void (*cycles)(uint64_t count));

/* The same for cycles that take their time themselves and return it. */
int answer_timed_runs(uint64_t (*cycles)(uint64_t count));

/* A connected TCP socket, close-on-exec, in blocking mode, with no option set. The address is "a.b.c.d:port". */
int connect_to(const char *address);

/* Sends ECHO_SIZE bytes and waits until as many are back. */
void echo_over(int fd);

#endif
