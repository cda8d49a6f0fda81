/*
 * What every program shares: the protocol with the driver, a clock, plain sockets. Knows no pool.
 *
 * A program is started once, as "program ADDRESS VARIANT AMOUNT", prepares itself, and then answers
 * each line "run N" on standard input with the nanoseconds that N cycles took, on standard output.
 * It ends with its standard input. AMOUNT is how many connections or destinations there are, in
 * programs that say so.
 */
#ifndef BENCH_H
#define BENCH_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ECHO_SIZE = 64 };

/* Ends the program with what failed and errno's text. */
__attribute__((noreturn)) void fail(const char *what);

/*
 * Ends the program unless it was started with an address, one of the variants and an amount;
 * returns the variant's number.
 */
int variant_of(int argc, char **argv, const char *const *variants);

/* The amount, once variant_of has looked at the arguments. */
uint32_t amount_of(char **argv);

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* How long so many cycles take. */
uint64_t time_of(void (*run)(uint64_t count), uint64_t count);

/* Answers the driver until it hangs up; returns main's result. */
int answer_runs(void (*run)(uint64_t count));

/*
 * The same for cycles over connections that are kept: ends the program if connect_to was called
 * meanwhile.
 */
int answer_kept_runs(void (*run)(uint64_t count));

/* The same for cycles that take their time themselves and return it. */
int answer_timed_runs(uint64_t (*run)(uint64_t count));

/*
 * The same for cycles with more to tell: what they return is printed, as numbers with spaces
 * between.
 */
int answer_told_runs(const char *(*run)(uint64_t count));

/* Of "a.b.c.d:port". */
struct sockaddr_in sockaddr_of(const char *address);

/* Listens on the port that the name has; 0 lets the kernel choose one, and the name tells which. */
int listen_on_loopback(struct sockaddr_in *name, int backlog);

/*
 * A connected TCP socket, close-on-exec, in blocking mode, with no option set. The address is
 * "a.b.c.d:port".
 */
int connect_to(const char *address);

/* Sends ECHO_SIZE bytes and waits until as many are back. */
void echo_over(int fd);

#ifdef __cplusplus
}
#endif

#endif
