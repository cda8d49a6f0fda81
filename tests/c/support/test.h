/*
 * test.h - TEST, which registers itself, and the main of every program.
 */
#ifndef TEST_H
#define TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process_counts.h"

/*
 * TEST(name, "subject: the rule that it shows") { ... } is all that a new test takes: it registers
 * itself, and `make rules` prints its rule. `setting` is for programs whose tests need one of
 * several surroundings.
 */
typedef struct test_entry {
    const char *name;
    const char *rule;
    const char *setting;
    int line;
    void (*body)(void);
    struct test_entry *next;
} test_entry;

static test_entry *first_test;                /* in the order of the source */
static void (*before_the_tests)(char **argv); /* or NULL */

static inline void register_test(test_entry *entry)
{
    test_entry **place = &first_test;
    while (*place != NULL && (*place)->line < entry->line) {
        place = &(*place)->next;
    }
    entry->next = *place;
    *place = entry;
}

#define AT_START(function) __attribute__((constructor)) static void function(void)

#define TEST_IN(setting, name, rule)                                               \
    static void name(void);                                                        \
    static test_entry name##_entry = {#name, rule, setting, __LINE__, name, NULL}; \
    AT_START(name##_registers)                                                     \
    {                                                                              \
        register_test(&name##_entry);                                              \
    }                                                                              \
    static void name(void)

#define TEST(name, rule) TEST_IN("", name, rule)

/* BEFORE_THE_TESTS(char **argv) { ... } runs once, before the first test. */
#define BEFORE_THE_TESTS(argument)  \
    static void prepare(argument);  \
    AT_START(prepare_registers)     \
    {                               \
        before_the_tests = prepare; \
    }                               \
    static void prepare(__attribute__((unused)) argument)

/* What cannot be tested on this machine is said, never passed over in silence. */
#define SKIP(why)                       \
    do {                                \
        printf("  SKIPPED: %s\n", why); \
        fflush(stdout);                 \
        return;                         \
    } while (0)

static inline void run_named(const test_entry *entry)
{
    printf("%s\n", entry->name);
    fflush(stdout);
    entry->body();
}

/*
 * A program whose tests need something around each, or leave threads on purpose, defines these
 * first.
 */
#ifndef RUN_TEST
#define RUN_TEST(entry) run_named(entry)
#endif
#ifndef AFTER_THE_TESTS
#define AFTER_THE_TESTS() await_end_of_threads()
#endif

static inline const test_entry *find_test(const char *name)
{
    const test_entry *entry = first_test;
    while (entry != NULL && strcmp(entry->name, name) != 0) {
        entry = entry->next;
    }
    if (entry == NULL) {
        fprintf(stderr, "no TEST(%s) here; --list prints all\n", name);
        exit(2);
    }
    return entry;
}

static inline void list_tests(void)
{
    const test_entry *entry;
    for (entry = first_test; entry != NULL; entry = entry->next) {
        printf("%s\t%s%s%s\n", entry->name, entry->rule, entry->setting[0] == '\0' ? "" : "\t",
               entry->setting);
    }
}

/* All tests in the order of the source, or those named; --list: their names and rules. */
int main(int argc, char **argv)
{
    const test_entry *entry;
    int i;
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list_tests();
        return 0;
    }
    if (before_the_tests != NULL) {
        before_the_tests(argv);
    }
    for (i = 1; i < argc; i++) {
        RUN_TEST(find_test(argv[i]));
    }
    for (entry = first_test; argc < 2 && entry != NULL; entry = entry->next) {
        RUN_TEST(entry);
    }
    AFTER_THE_TESTS();
    return 0;
}

#endif
