/*
 * Threads that fight for few connections. Knows no pool.
 *
 * Each line "run MS" lets THREADS threads take a connection, echo ECHO_SIZE bytes over it and give
 * it back, over and over, for so many milliseconds. The answer is a line of five numbers: the
 * operations of the thread that had the fewest, those of the one that had the most, the longest
 * 99th percentile of a thread's waits, the longest wait, the mean wait; times in nanoseconds.
 */
#ifndef CONTENTION_H
#define CONTENTION_H

enum { THREADS = 8 };

/* Waits for a connection: its descriptor, and what gives it back. */
typedef int contention_take(void **held);
typedef void contention_give(void *held);

/* Answers the driver until it hangs up; returns main's result. */
int answer_contentions(contention_take *take, contention_give *give);

#endif
