/*
 * vcp_probe_options.c - the command line of vcp-probe.
 */
#define _GNU_SOURCE /* getopt_long(3) */

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "vcp_probe.h"

enum { MOST_THREADS = 256, MOST_RATE = 1000000, MOST_TIMEOUT_MS = 3600000, MOST_CONNS = 100000 };
static const double LEAST_SECONDS = 0.1, MOST_SECONDS = 86400;

static const char HELP[] =
    "usage: vcp-probe [OPTION]... ADDRESS\n"
    "Measures what a connection pool saves against the server at ADDRESS: host:port, or what\n"
    "--network asks for. Requests with a fresh connection and requests over a pool take turns.\n"
    "\n"
    "  -t, --threads N      so many threads, 1 to 256 [4]\n"
    "  -s, --seconds N      for so long [10]\n"
    "  -r, --rate N         all threads begin at most so many pairs of requests in a second; 0: "
    "no\n"
    "                       pause [1000]\n"
    "  -n, --network NAME   tcp, tcp4, tcp6, unix, and what else vcp_dial takes [tcp]\n"
    "      --send TEXT      what each request sends; escapes: \\r \\n \\t \\0 \\\\ \\xHH\n"
    "      --expect TEXT    what its answer ends with\n"
    "      --timeout MS     how long a dial may take, and a ping [5000]\n"
    "      --max-conns N    at most so many connections with the pool, and as many without; 0: no\n"
    "                       limit [0]\n"
    "      --liveness NAME  how an idle connection is checked: strict, allow-data, watch [strict]\n"
    "      --json           the results as JSON\n"
    "  -h, --help           this text\n"
    "  -V, --version        the version of the library\n"
    "\n"
    "SIGINT (ctrl-C) ends it early, with the results so far. It speaks no TLS. The status is 0; 1\n"
    "if a request failed; 2 after a wrong option; 3 if nothing could be measured.\n";

static const char *const LIVENESS_NAMES[] = {
    [VCP_LIVENESS_STRICT] = "strict",
    [VCP_LIVENESS_ALLOW_DATA] = "allow-data",
    [VCP_LIVENESS_WATCH] = "watch",
};

const char *liveness_name(int32_t liveness)
{
    return LIVENESS_NAMES[liveness];
}

static int complain(const char *option, const char *why)
{
    fprintf(stderr, "vcp-probe: --%s: %s\nTry 'vcp-probe --help'.\n", option, why);
    return -1;
}

static int read_count(const char *option, const char *word, long least, long most, long *out)
{
    char *end;
    long value = strtol(word, &end, 10);
    char why[80];
    if (*word != '\0' && *end == '\0' && value >= least && value <= most) {
        *out = value;
        return 0;
    }
    snprintf(why, sizeof why, "not a whole number from %ld to %ld", least, most);
    return complain(option, why);
}

static int read_seconds(const char *word, double *out)
{
    char *end;
    double value = strtod(word, &end);
    /* A number that is none compares as false. */
    if (*word != '\0' && *end == '\0' && value >= LEAST_SECONDS && value <= MOST_SECONDS) {
        *out = value;
        return 0;
    }
    return complain("seconds", "not a number from 0.1 to 86400");
}

static int read_liveness(const char *word, int32_t *out)
{
    int32_t count = sizeof LIVENESS_NAMES / sizeof LIVENESS_NAMES[0];
    for (int32_t i = 0; i < count; i++) {
        if (strcmp(word, LIVENESS_NAMES[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    return complain("liveness", "neither strict nor allow-data nor watch");
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *found = c == '\0' ? NULL : strchr(digits, c);
    return found == NULL ? -1 : (int)((found - digits) % 16);
}

/* The byte that an escape stands for, whose backslash was read; -1: it is none. Moves *word behind
 * it. */
static int escaped_byte(const char **word)
{
    static const char letters[] = "rnt0\\", bytes[] = "\r\n\t\0\\";
    const char *at = *word;
    const char *found = *at == '\0' ? NULL : strchr(letters, *at);
    if (found != NULL) {
        *word = at + 1;
        return bytes[found - letters];
    }
    if (*at != 'x' || hex_digit(at[1]) < 0 || hex_digit(at[2]) < 0)
        return -1;
    *word = at + 3;
    return hex_digit(at[1]) * 16 + hex_digit(at[2]);
}

static int read_text(const char *option, const char *word, text *out)
{
    char *bytes = malloc(strlen(word) + 1);
    size_t size = 0;
    int byte = 0;
    if (bytes == NULL)
        return complain(option, "no memory");
    while (byte >= 0 && *word != '\0') {
        byte = (unsigned char)*word++;
        if (byte == '\\')
            byte = escaped_byte(&word);
        bytes[size++] = (char)byte;
    }
    if (byte < 0 || size == 0) {
        free(bytes);
        return complain(option, size == 0 ? "an empty text" : "a backslash that begins no escape");
    }
    free(out->bytes);
    *out = (text){bytes, size};
    return 0;
}

static int read_expected(const char *word, text *out)
{
    char why[80];
    if (read_text("expect", word, out) < 0)
        return -1;
    if (out->size <= MOST_EXPECTED)
        return 0;
    snprintf(why, sizeof why, "a text of more than %d bytes", MOST_EXPECTED);
    return complain("expect", why);
}

static const struct option LONG_OPTIONS[] = {
    {"threads", required_argument, NULL, 't'},
    {"seconds", required_argument, NULL, 's'},
    {"rate", required_argument, NULL, 'r'},
    {"network", required_argument, NULL, 'n'},
    {"send", required_argument, NULL, 'S'},
    {"expect", required_argument, NULL, 'E'},
    {"timeout", required_argument, NULL, 'T'},
    {"max-conns", required_argument, NULL, 'C'},
    {"liveness", required_argument, NULL, 'L'},
    {"json", no_argument, NULL, 'J'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* One option that is no --help and no --version. */
static int read_option(options *read, int letter, const char *word)
{
    switch (letter) {
    case 't':
        return read_count("threads", word, 1, MOST_THREADS, &read->threads);
    case 's':
        return read_seconds(word, &read->seconds);
    case 'r':
        return read_count("rate", word, 0, MOST_RATE, &read->rate);
    case 'n':
        read->network = word;
        return 0;
    case 'S':
        return read_text("send", word, &read->send);
    case 'E':
        return read_expected(word, &read->expect);
    case 'T':
        return read_count("timeout", word, 1, MOST_TIMEOUT_MS, &read->timeout_ms);
    case 'C':
        return read_count("max-conns", word, 0, MOST_CONNS, &read->max_conns);
    case 'L':
        return read_liveness(word, &read->liveness);
    case 'J':
        read->as_json = 1;
        return 0;
    default:
        fprintf(stderr, "Try 'vcp-probe --help'.\n");
        return -1; /* getopt_long has said what is wrong */
    }
}

static int check_the_rest(options *read, int argc, char **argv)
{
    if ((read->send.bytes == NULL) != (read->expect.bytes == NULL))
        return complain(read->send.bytes == NULL ? "expect" : "send",
                        "--send and --expect go together");
    if (argc - optind != 1) {
        fprintf(stderr, "vcp-probe: %s\nTry 'vcp-probe --help'.\n",
                argc == optind ? "which ADDRESS?" : "more than one ADDRESS");
        return -1;
    }
    read->address = argv[optind];
    return 0;
}

options_verdict options_read(options *read, int argc, char **argv)
{
    int letter;
    *read = (options){.network = "tcp",
                      .threads = 4,
                      .seconds = 10,
                      .rate = 1000,
                      .timeout_ms = 5000,
                      .liveness = VCP_LIVENESS_STRICT};
    while ((letter = getopt_long(argc, argv, "t:s:r:n:hV", LONG_OPTIONS, NULL)) != -1) {
        if (letter == 'h' || letter == 'V') {
            if (letter == 'h')
                fputs(HELP, stdout);
            else
                printf("vcp-probe of libvconnpool %s\n", vcp_version_string());
            return END_WELL;
        }
        if (read_option(read, letter, optarg) < 0)
            return END_BY_USAGE;
    }
    return check_the_rest(read, argc, argv) < 0 ? END_BY_USAGE : PROBE;
}

void options_free(options *read)
{
    free(read->send.bytes);
    free(read->expect.bytes);
}
