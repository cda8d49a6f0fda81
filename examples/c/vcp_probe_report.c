/*
 * vcp_probe_report.c - the results as text: a table, the drawing, what the pool saves, failures.
 */
#define _XOPEN_SOURCE 700 /* nl_langinfo(3) */

#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "vcp_probe.h"

enum { LABEL = 14, CELL = 12, LEAST_COLUMNS = 40, MOST_COLUMNS = 200, USUAL_COLUMNS = 80 };

/* COLUMNS, as a shell sets it, else what the terminal says, else 80. */
static size_t columns_of(FILE *file)
{
    struct winsize size = {0, 0, 0, 0};
    const char *said = getenv("COLUMNS");
    long columns = said == NULL ? 0 : strtol(said, NULL, 10);
    if (columns <= 0 && ioctl(fileno(file), TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    if (columns <= 0)
        columns = USUAL_COLUMNS;
    if (columns < LEAST_COLUMNS)
        columns = LEAST_COLUMNS;
    return (size_t)(columns > MOST_COLUMNS ? MOST_COLUMNS : columns);
}

terminal terminal_of(FILE *file)
{
    terminal shown = {columns_of(file), strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
    return shown;
}

const char *unit_name(int thousands, int has_unicode)
{
    static const char *const ascii[] = {"ns", "us", "ms", "s"};
    static const char *const unicode[] = {"ns", "\302\265s", "ms", "s"};
    return has_unicode ? unicode[thousands] : ascii[thousands];
}

const char *time_text(char *buffer, size_t size, double ns, int has_unicode)
{
    int unit = 0;
    while (unit < 3 && ns >= 999.5) {
        ns /= 1000;
        unit++;
    }
    int decimals = ns >= 99.95 || unit == 0 ? 0 : ns >= 9.995 ? 1 : 2;
    snprintf(buffer, size, "%.*f %s", decimals, ns, unit_name(unit, has_unicode));
    return buffer;
}

const char *count_text(char *buffer, size_t size, uint64_t count)
{
    char digits[24];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count);
    size_t at = 0;
    for (size_t i = 0; i < length && at + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            buffer[at++] = ',';
        buffer[at++] = digits[i];
    }
    buffer[at] = '\0';
    return buffer;
}

static double mean_of_pooled(const tally *of)
{
    const histogram *reused = &of->kinds[REUSED].request, *missed = &of->kinds[MISSED].request;
    return (double)(reused->sum_ns + missed->sum_ns) / (double)(reused->count + missed->count);
}

int saved(const results *of, double *ns, double *connections)
{
    uint64_t pooled = requests_of(&of->total, REUSED) + requests_of(&of->total, MISSED);
    if (requests_of(&of->total, FRESH) == 0 || pooled == 0)
        return 0;
    *ns = histogram_mean(&of->total.kinds[FRESH].request) - mean_of_pooled(&of->total);
    *connections =
        1 - (double)(of->pool.dials - of->pool.dial_failures) / (double)of->total.connected;
    return 1;
}

double per_second(const options *how, const histogram *times)
{
    double mean = histogram_mean(times);
    return mean > 0 ? (double)how->threads * 1e9 / mean : 0;
}

/* ---- the table ---- */

/* Right-aligned. The second byte of a micro sign takes no column. */
static void print_cell(const char *cell)
{
    printf("%*s", CELL + (strchr(cell, '\302') != NULL), cell);
}

/* Kinds that have no request have no column. */
static int is_shown(const tally *of, kind one)
{
    return requests_of(of, one) > 0;
}

typedef double number_function(const options *how, const timing *of);

static double mean_dial(const options *how, const timing *of)
{
    (void)how;
    return histogram_mean(&of->dial);
}

static double mean_request(const options *how, const timing *of)
{
    (void)how;
    return histogram_mean(&of->request);
}

static double longest(const options *how, const timing *of)
{
    (void)how;
    return (double)of->request.max_ns;
}

static void print_times(const char *label, const options *how, const tally *of, terminal shown,
                        number_function *number)
{
    char cell[32];
    printf("%-*s", LABEL, label);
    for (int i = 0; i < KINDS; i++)
        if (is_shown(of, (kind)i))
            print_cell(time_text(cell, sizeof cell, number(how, &of->kinds[i]), shown.has_unicode));
    putchar('\n');
}

static void print_percentile(const char *label, unsigned per_mille, const tally *of, terminal shown)
{
    char cell[32];
    printf("%-*s", LABEL, label);
    for (int i = 0; i < KINDS; i++) {
        double ns = (double)histogram_percentile(&of->kinds[i].request, per_mille);
        if (is_shown(of, (kind)i))
            print_cell(time_text(cell, sizeof cell, ns, shown.has_unicode));
    }
    putchar('\n');
}

static void print_counts(const options *how, const tally *of)
{
    char cell[32];
    printf("%-*s", LABEL, "requests");
    for (int i = 0; i < KINDS; i++)
        if (is_shown(of, (kind)i))
            print_cell(count_text(cell, sizeof cell, requests_of(of, (kind)i)));
    printf("\n%-*s", LABEL, "/s, no pause");
    for (int i = 0; i < KINDS; i++) {
        double rate = per_second(how, &of->kinds[i].request);
        if (is_shown(of, (kind)i))
            print_cell(rate > 0 ? count_text(cell, sizeof cell, (uint64_t)rate) : "-");
    }
    putchar('\n');
}

static void print_table(const options *how, const tally *of, terminal shown)
{
    printf("%-*s", LABEL, "");
    for (int i = 0; i < KINDS; i++)
        if (is_shown(of, (kind)i))
            print_cell(KIND_NAMES[i]);
    putchar('\n');
    print_counts(how, of);
    print_times("mean", how, of, shown, mean_request);
    print_percentile("p50", 500, of, shown);
    print_percentile("p90", 900, of, shown);
    print_percentile("p99", 990, of, shown);
    print_percentile("p99.9", 999, of, shown);
    print_times("max", how, of, shown, longest);
    print_times("mean dial", how, of, shown, mean_dial);
}

/* ---- what follows the drawing ---- */

static void print_saved(const results *of, terminal shown)
{
    char time[32];
    double ns, connections, fresh = histogram_mean(&of->total.kinds[FRESH].request);
    if (!saved(of, &ns, &connections)) {
        printf("\nNothing to compare: a side has no request that succeeded.\n");
        return;
    }
    time_text(time, sizeof time, ns < 0 ? -ns : ns, shown.has_unicode);
    printf("\nOver the pool a request takes %s %s", time, ns < 0 ? "more" : "less");
    if (fresh > 0)
        printf(" (%.0f %%)", 100 * (ns < 0 ? -ns : ns) / fresh);
    printf(" and opens %.3g connections instead of 1.\n", 1 - connections);
}

static void print_miss(uint64_t count, const char *what)
{
    if (count > 0)
        printf("%" PRIu64 " %s\n", count, what);
}

static void print_misses(const results *of)
{
    const vcp_stats *pool = &of->pool;
    print_miss(of->total.retries, "requests were done once more: the server hung up under them.");
    print_miss(pool->stale_at_borrow, "idle connections had been closed by the server.");
    print_miss(pool->dirty_at_borrow, "idle connections held bytes that nobody had read: does "
                                      "--expect name the end of the answer?");
    print_miss(pool->closed_while_idle,
               "idle connections were closed in the background: the server "
               "hung up, or sent bytes unasked.");
    print_miss(pool->waits, "requests waited for a connection (--max-conns).");
}

static void print_failures(const tally *of)
{
    for (int i = 0; i < SIDES * STATUSES; i++) {
        const failure *one = &of->failures[i / STATUSES][i % STATUSES];
        if (one->count > 0)
            printf("%s: %" PRIu64 " %s: %s\n", SIDE_NAMES[i / STATUSES], one->count,
                   vcp_status_name(-(i % STATUSES)), one->sample == NULL ? "" : one->sample);
    }
}

void report_print(const options *how, const results *of)
{
    terminal shown = terminal_of(stdout);
    char time[32];
    printf("%s %s: %ld thread%s, %.1f s%s, %s\n\n", how->network, how->address, how->threads,
           how->threads == 1 ? "" : "s", of->seconds, of->was_interrupted ? " (interrupted)" : "",
           how->send.bytes == NULL ? "no ping" : "with a ping");
    print_table(how, &of->total, shown);
    draw(&of->total, shown);
    print_saved(of, shown);
    print_misses(of);
    print_failures(&of->total);
    printf("A look at the clock takes %s. A dial's time has one in it, a request's two.\n",
           time_text(time, sizeof time, of->clock_ns, shown.has_unicode));
    printf("Percentiles are at most 0.8 %% high.\n");
}
