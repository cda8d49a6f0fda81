/*
 * checks.h - checks that print what they saw and what was wanted, and end the process when they
 * fail.
 */
#ifndef CHECKS_H
#define CHECKS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vconnpool.h"

static inline void check_failed(const char *file, int line, const char *what)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: FAILED: %s\n  vcp_last_error: %s (errno %d)\n", file, line, what,
            vcp_last_error(), vcp_last_errno());
    exit(1);
}

static inline void check_true(const char *file, int line, const char *text, int holds)
{
    if (!holds) {
        check_failed(file, line, text);
    }
}

static inline void check_equal(const char *file, int line, const char *text, long long seen,
                               long long wanted)
{
    if (seen != wanted) {
        fprintf(stderr, "  seen %lld, wanted %lld\n", seen, wanted);
        check_failed(file, line, text);
    }
}

static inline void check_between(const char *file, int line, const char *text, long long seen,
                                 long long least, long long most)
{
    if (seen < least || seen > most) {
        fprintf(stderr, "  seen %lld, wanted %lld to %lld\n", seen, least, most);
        check_failed(file, line, text);
    }
}

static inline void check_text(const char *file, int line, const char *text, const char *seen,
                              const char *wanted)
{
    if (seen == NULL || strcmp(seen, wanted) != 0) {
        fprintf(stderr, "  seen \"%s\", wanted \"%s\"\n", seen == NULL ? "(NULL)" : seen, wanted);
        check_failed(file, line, text);
    }
}

static inline void check_has(const char *file, int line, const char *text, const char *seen,
                             const char *part)
{
    if (seen == NULL || strstr(seen, part) == NULL) {
        fprintf(stderr, "  seen \"%s\", wanted it to hold \"%s\"\n", seen == NULL ? "(NULL)" : seen,
                part);
        check_failed(file, line, text);
    }
}

#define CHECK(holds) check_true(__FILE__, __LINE__, #holds, (holds) ? 1 : 0)
#define CHECK_EQ(seen, wanted) \
    check_equal(__FILE__, __LINE__, #seen " == " #wanted, (long long)(seen), (long long)(wanted))
#define CHECK_BETWEEN(seen, least, most)                                            \
    check_between(__FILE__, __LINE__, #seen, (long long)(seen), (long long)(least), \
                  (long long)(most))
#define CHECK_STR(seen, wanted) check_text(__FILE__, __LINE__, #seen, seen, wanted)
#define CHECK_HAS(seen, part) check_has(__FILE__, __LINE__, #seen, seen, part)

#endif
