/*
 * Threads that fight for few connections. Knows no pool.
 *
 * Each line "run MS" lets CROWD threads take a connection, echo ECHO_SIZE bytes over it and give it back, over and over, for so
 * many milliseconds. The answer is a line of five numbers: the operations of the thread that had the fewest, those of the one that
 * had the most, the longest 99th percentile of a thread's waits, the longest wait, the mean wait; times in nanoseconds.
 */
#ifndef CROWD_H
#define CROWD_H

enum { CROWD = 8 };

/* Waits for a connection: its descriptor, and what gives it back. */
typedef int crowd_take(void **held);
typedef void crowd_give(void *held);

/* Answers the driver until it hangs up; returns main's result. */
int answer_crowds(crowd_take *take, crowd_give *give);

#endif
