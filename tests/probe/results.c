/*
 * results.c - what vcp-probe prints of times that are given: lines "KIND NANOSECONDS" from stdin,
 * as JSON after the argument "json", else as text.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "vcp_probe.h"

const char *const KIND_NAMES[KINDS] = {"fresh", "reused", "missed"};
const char *const SIDE_NAMES[SIDES] = {"fresh", "pooled"};

static void add(tally *to, const char *name, uint64_t ns)
{
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(name, KIND_NAMES[i]) == 0) {
            histogram_add(&to->kinds[i].request, ns);
            histogram_add(&to->kinds[i].dial, ns);
            to->connected += i != FRESH;
        }
    }
}

int main(int argc, char **argv)
{
    options how = {.network = "tcp", .address = "a:1", .threads = 1};
    results *out = calloc(1, sizeof *out);
    char name[16];
    uint64_t ns;
    if (out == NULL)
        return EXIT_FAILURE;
    while (scanf("%15s %" SCNu64, name, &ns) == 2)
        add(&out->total, name, ns);
    if (argc > 1 && strcmp(argv[1], "json") == 0)
        json_print(&how, out);
    else
        report_print(&how, out);
    free(out);
    return EXIT_SUCCESS;
}
