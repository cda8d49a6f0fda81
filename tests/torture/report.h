/*
 * report.h - what is printed of a trial that went wrong: what failed, the way that led there by
 * function and line, what the run printed, and the command that repeats it.
 */
#ifndef REPORT_H
#define REPORT_H

#include "runner.h"

static int shown;

/* The frames of a way, by addr2line(1); those of Rust's own library say nothing. */
static void way_prints(uint64_t way)
{
    char command[1024];
    const torture_site *site = torture_sites();
    const torture_site *end = site + TORTURE_SITES;
    size_t at;
    uint32_t i;
    while (site < end && site->way != way) {
        site++;
    }
    if (site == end) {
        return;
    }
    at = (size_t)snprintf(command, sizeof command, "addr2line -Cfps -e '%s'", library_path);
    for (i = 0; i < site->depth; i++) {
        /* One byte back: the call, not what comes after it. */
        at += (size_t)snprintf(command + at, sizeof command - at, " %x", site->frames[i] - 1);
    }
    snprintf(command + at, sizeof command - at, " | sed 's/^/      /' >&2");
    fprintf(stderr, "    way %llx, %s:\n", (unsigned long long)way,
            torture_row_at(site->row)->name);
    fflush(stderr);
    CHECK(system(command) >= 0);
}

static void output_prints(const worker *w, char *text)
{
    ssize_t count = pread(w->output, text, OUTPUT_BYTES - 1, 0);
    char *found = text;
    uint64_t last = 0;
    text[count > 0 ? count : 0] = '\0';
    fprintf(stderr, "%s", text);
    while ((found = strstr(found, "way=")) != NULL) {
        uint64_t way = strtoull(found + 4, &found, 16);
        if (way != last) {
            way_prints(way);
        }
        last = way;
    }
}

static void trial_shows(const test_entry *entry, const trial *t, const worker *w, int status)
{
    static char text[OUTPUT_BYTES];
    char plan[512];
    int i;
    total.lost++;
    plan_prints(&t->plan, plan, sizeof plan);
    fprintf(stderr, "FAILED: %s %s %s\n    tests/torture/run --repeat %s %s '%s'\n", entry->name,
            verdict(status), plan, program_invocation_short_name, entry->name, plan);
    if (++shown > MOST_SHOWN) {
        return;
    }
    for (i = 0; i < TORTURE_AT_ONCE && t->plan.at[i].way != 0; i++) {
        way_prints(t->plan.at[i].way);
    }
    output_prints(w, text);
}

#endif
