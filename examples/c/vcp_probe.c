/*
 * vcp-probe - what a connection pool saves against a server of one's own, in ten seconds.
 *
 *     vcp-probe [OPTION]... ADDRESS
 *
 * docs/vcp-probe.md is its page. vcp_probe.h says which file does what.
 */
#include <locale.h>
#include <stdlib.h>
#include "vcp_probe.h"

enum { SOME_FAILED = 1, WRONG_USAGE = 2, NOTHING_MEASURED = 3 };

const char *const KIND_NAMES[KINDS] = {"fresh", "reused", "missed"};
const char *const SIDE_NAMES[SIDES] = {"fresh", "pooled"};

static int probe(const options *how)
{
    int status = NOTHING_MEASURED;
    results *out = calloc(1, sizeof *out);
    if (out == NULL) {
        fputs("vcp-probe: no memory\n", stderr);
        return status;
    }
    if (run(how, out) == 0) {
        uint64_t failed =
            failures_of(&out->total, FRESH_SIDE) + failures_of(&out->total, POOLED_SIDE);
        status = failed > 0 ? SOME_FAILED : EXIT_SUCCESS;
        if (how->as_json)
            json_print(how, out);
        else
            report_print(how, out);
    }
    results_free(out);
    return status;
}

int main(int argc, char **argv)
{
    options how;
    int status = EXIT_SUCCESS;
    setlocale(LC_CTYPE, ""); /* whether the terminal shows more than ASCII */
    options_verdict verdict = options_read(&how, argc, argv);
    if (verdict == END_BY_USAGE)
        status = WRONG_USAGE;
    else if (verdict == PROBE)
        status = probe(&how);
    options_free(&how);
    /* A write that failed before has left nothing to flush. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("vcp-probe: the results cannot be written\n", stderr);
        status = NOTHING_MEASURED;
    }
    return status;
}
