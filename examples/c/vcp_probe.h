/*
 * vcp_probe.h - what the files of vcp-probe share.
 *
 * vcp_probe_options.c reads the command line. vcp_probe_run.c has the threads, whose requests are
 * in vcp_probe_request.c and end early by vcp_probe_stop.c. vcp_probe_histogram.c keeps their
 * times, which vcp_probe_report.c, vcp_probe_draw.c and vcp_probe_json.c print.
 */
#ifndef VCP_PROBE_H
#define VCP_PROBE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <vconnpool.h>

/* ---- vcp_probe_options.c ---- */

typedef struct {
    char *bytes; /* NULL: none was given */
    size_t size;
} text;

typedef struct {
    const char *network;
    const char *address;
    long threads;
    double seconds;
    long rate; /* pairs of requests a second at most; 0: as fast as they go */
    long timeout_ms;
    long max_conns;
    int32_t liveness;
    text send;
    text expect;
    int as_json;
} options;

/* What is left to do after the command line was read. */
typedef enum { PROBE, END_WELL, END_BY_USAGE } options_verdict;

options_verdict options_read(options *read, int argc, char **argv);
void options_free(options *read);
const char *liveness_name(int32_t liveness);

/* ---- vcp_probe_histogram.c ---- */

/* Each power of two is cut into 128 buckets, so a bucket is at most 1/128 of its values wide; times
 * below 256 ns have a bucket each. */
enum {
    STEPS = 128,
    MOST_SHIFTS = 33, /* times up to 2^41 ns, 36 minutes; longer ones count as that */
    BUCKETS = (MOST_SHIFTS + 2) * STEPS
};

typedef struct {
    uint64_t counts[BUCKETS];
    uint64_t count;
    uint64_t sum_ns;
    uint64_t min_ns;
    uint64_t max_ns;
} histogram;

void histogram_add(histogram *times, uint64_t ns);
void histogram_join(histogram *times, const histogram *others);
/* The least time that so many per 1,000 of the times do not exceed: never below the true one, and
 * at most 1/128 above it. 0 if there are none. */
uint64_t histogram_percentile(const histogram *times, unsigned per_mille);
double histogram_mean(const histogram *times);
/* The longest time that falls into a bucket. */
uint64_t bucket_end(size_t bucket);

/* ---- vcp_probe_stop.c ---- */

#define SECOND_NS UINT64_C(1000000000)

uint64_t now_ns(void);
/* Lets SIGINT and SIGTERM fire the token that stop_token returns. Returns 0, or -1 with a message
 * on stderr. */
int stop_prepare(void);
void stop_end(void);
vcp_cancel *stop_token(void);
int is_stopped(void);
void stop_now(void);
/* Waits until that time. Returns 1 if it was stopped before, else 0. */
int is_stopped_before(uint64_t until_ns);

/* ---- vcp_probe_request.c ---- */

/* Requests without a pool, and over one. */
typedef enum { FRESH_SIDE, POOLED_SIDE, SIDES } side;

/* A request over the pool had an idle connection, or had to dial one after all. */
typedef enum { FRESH, REUSED, MISSED, KINDS } kind;

/* Two pools of the same limits, which differ in one thing: the fresh side keeps nothing. */
typedef struct {
    const options *how;
    vcp_pool *pools[SIDES];
    vcp_dial_options take_idle;
    vcp_dial_options dial_any;
    vcp_dial_options dial_fresh;
} client;

/* The end of an answer fits the buffer twice: where only the end is kept, half of the buffer is
 * free. */
enum { MOST_EXPECTED = 65536, ANSWER_SIZE = 2 * MOST_EXPECTED };

/* What a request came to. The message of a failure is in vcp_last_error. */
typedef struct {
    int status; /* below 0: it failed */
    kind kind;
    int has_connected;   /* the dial succeeded, whatever came after it */
    uint64_t dial_ns;    /* the dial, and a look at the clock */
    uint64_t request_ns; /* dial, ping and giving back, and two looks at the clock */
    int retries;
} outcome;

/* Returns 0 or a status. */
int client_open(client *opened, const options *how);
void client_close(client *opened);
/* answer has room for ANSWER_SIZE bytes. */
outcome request(const client *from, side of, char *answer);

/* ---- vcp_probe_run.c ---- */

typedef struct {
    histogram request;
    histogram dial;
} timing;

enum { STATUSES = 128 }; /* failures are counted under -status, which is below that */

typedef struct {
    uint64_t count;
    char *sample; /* the first message */
} failure;

typedef struct {
    timing kinds[KINDS];
    failure failures[SIDES][STATUSES];
    uint64_t connected; /* requests over the pool that got a connection, failed ones too */
    uint64_t retries;
} tally;

typedef struct {
    tally total;
    vcp_stats pool; /* of the pooled side */
    double seconds;
    double clock_ns; /* what one look at the clock takes */
    int was_interrupted;
} results;

/* Returns 0, or -1 after telling on stderr why nothing could be measured. */
int run(const options *how, results *out);
void results_free(results *out);
uint64_t requests_of(const tally *some, kind of);
uint64_t failures_of(const tally *some, side of);

/* ---- vcp_probe_report.c, vcp_probe_draw.c, vcp_probe_json.c ---- */

/* What a terminal shows. */
typedef struct {
    size_t columns;
    int has_unicode;
} terminal;

extern const char *const KIND_NAMES[KINDS];
extern const char *const SIDE_NAMES[SIDES];

terminal terminal_of(FILE *file);
/* ns, us, ms, s: what so many thousands of a nanosecond are called. */
const char *unit_name(int thousands, int has_unicode);
/* "1.23 us", in three digits. */
const char *time_text(char *buffer, size_t size, double ns, int has_unicode);
/* "12,345". */
const char *count_text(char *buffer, size_t size, uint64_t count);
/* What the pool saves, per request: time of those that succeeded, and connections of those that got
 * one. Returns 0 if there is nothing to compare. */
int saved(const results *of, double *ns, double *connections);
/* Requests a second that all threads would do of this kind without a pause. 0 if that cannot be
 * told: there are none, or the clock is too coarse. */
double per_second(const options *how, const histogram *times);
void report_print(const options *how, const results *of);
void draw(const tally *of, terminal shown);
void json_print(const options *how, const results *of);

#endif
