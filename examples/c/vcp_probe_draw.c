/*
 * vcp_probe_draw.c - two histograms side by side: a row for each span of times, in steps of 1,
 * 2, 5.
 */
#include "vcp_probe.h"

enum { LABEL = 9, PERCENT = 8, GAP = 2, MOST_ROWS = 36 };

/* The requests of one kind by rows, as shares of all of them. */
typedef struct {
    const char *name;
    double shares[MOST_ROWS];
} column;

static const int DIGITS[] = {1, 2, 5};

/* 1 ns, 2 ns, 5 ns, 10 ns and so on: the longest time of a row. The last row has what is longer
 * than 200 s, too. */
static uint64_t end_of_row(int row)
{
    uint64_t end = (uint64_t)DIGITS[row % 3];
    for (int i = 0; i < row / 3; i++)
        end *= 10;
    return end;
}

static void draw_label(int row, int has_unicode)
{
    static const int tens[] = {1, 10, 100};
    if (row + 1 == MOST_ROWS) {
        printf("%*s", LABEL, "longer");
        return;
    }
    printf("%*d %-2s", LABEL - 3, DIGITS[row % 3] * tens[row / 3 % 3],
           unit_name(row / 9, has_unicode));
}

/* A bucket belongs to the row that its longest time belongs to. */
static column column_of(const tally *of, kind one)
{
    const histogram *times = &of->kinds[one].request;
    column made = {KIND_NAMES[one], {0}};
    int row = 0;
    for (size_t i = 0; i < BUCKETS && times->count > 0; i++) {
        while (row + 1 < MOST_ROWS && bucket_end(i) > end_of_row(row))
            row++;
        made.shares[row] += (double)times->counts[i] / (double)times->count;
    }
    return made;
}

/* A full block, and parts of one by eighths. */
static void draw_bar(double share, double largest, size_t width, int has_unicode)
{
    static const char *const eighths[] = {"",
                                          "\342\226\217",
                                          "\342\226\216",
                                          "\342\226\215",
                                          "\342\226\214",
                                          "\342\226\213",
                                          "\342\226\212",
                                          "\342\226\211"};
    size_t parts = (size_t)(share / largest * (double)width * 8 + 0.5);
    size_t full = has_unicode ? parts / 8 : (parts + 4) / 8;
    size_t part = has_unicode ? parts % 8 : 0;
    for (size_t i = 0; i < full; i++)
        fputs(has_unicode ? "\342\226\210" : "#", stdout);
    fputs(eighths[part], stdout);
    for (size_t i = full + (part > 0); i < width; i++)
        putchar(' ');
}

static void draw_cell(const column *of, int row, double largest, size_t width, int has_unicode)
{
    printf("%*s", GAP, "");
    draw_bar(of->shares[row], largest, width, has_unicode);
    if (of->shares[row] > 0)
        printf("%*.2f %%", PERCENT - 2, 100 * of->shares[row]);
    else
        printf("%*s", PERCENT, "");
}

static double larger(double one, double other)
{
    return one > other ? one : other;
}

static void draw_columns(const column *left, const column *right, terminal shown)
{
    size_t width = (shown.columns - 1 - LABEL) / 2 - GAP - PERCENT;
    int first = MOST_ROWS, last = -1;
    double largest = 0;
    for (int row = 0; row < MOST_ROWS; row++) {
        double share = larger(left->shares[row], right->shares[row]);
        largest = larger(largest, share);
        first = share > 0 && row < first ? row : first;
        last = share > 0 ? row : last;
    }
    printf("\n%*s%*s%-*s%*s%s\n", LABEL, "up to", GAP, "", (int)width + PERCENT, left->name, GAP,
           "", right->name);
    for (int row = first; row <= last; row++) {
        draw_label(row, shown.has_unicode);
        draw_cell(left, row, largest, width, shown.has_unicode);
        draw_cell(right, row, largest, width, shown.has_unicode);
        putchar('\n');
    }
}

void draw(const tally *of, terminal shown)
{
    /* Where nothing was reused, what had to be dialed over the pool is drawn. */
    column fresh = column_of(of, FRESH);
    column pooled = column_of(of, requests_of(of, REUSED) > 0 ? REUSED : MISSED);
    draw_columns(&fresh, &pooled, shown);
}
