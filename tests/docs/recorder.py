"""Writes a library in C that stands between a program and libvconnpool (LD_PRELOAD) and notes each
failure once, as a line "function status", in the file that VCP_RECORD names.

    recorder.py ROOT >recorder.c
"""

import sys
from pathlib import Path

ROOT = Path(sys.argv[1]).resolve()
sys.path.insert(0, str(ROOT / "docs/tool"))

from library import Library  # noqa: E402

# A line is written at once, by system calls alone: a child may end by _exit(2), and a signal
# handler may call vcp_cancel_fire.
BEGIN = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "vconnpool.h"

static const char *record_path;

static void note(volatile unsigned char *seen, const char *name, long long status)
{
    char digits[24], line[96];
    int length = 0, count = 0, number = (int)-status, fd, before = errno;
    if (status >= 0 || status < -127 || seen[number] || record_path == NULL)
        return;
    seen[number] = 1;
    while (*name)
        line[length++] = *name++;
    line[length++] = ' ';
    line[length++] = '-';
    for (; number > 0; number /= 10)
        digits[count++] = (char)('0' + number % 10);
    while (count > 0)
        line[length++] = digits[--count];
    line[length++] = '\n';
    fd = open(record_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0 && write(fd, line, (size_t)length) == length)
        close(fd);
    errno = before;
}
"""

WRAPPER = """
static {result} (*next_{name})({types});
{result} {name}({parameters})
{{
    static volatile unsigned char seen[128];
    {result} returned = next_{name}({names});
    note(seen, "{name}", (long long)returned);
    return returned;
}}
"""

END = """
__attribute__((constructor)) static void find_them(void)
{{
    record_path = getenv("VCP_RECORD");
{lines}
}}
"""


def recorder(library):
    text, lines = BEGIN, []
    for entry in library.header.entries("function"):
        result = entry.code.split(" ", 1)[0]
        if not library.errors(entry.name) or entry.name == "vcp_set_last_error":
            continue
        text += WRAPPER.format(
            result=result,
            name=entry.name,
            types=", ".join(code.removesuffix(name) for code, name in entry.parameters),
            parameters=", ".join(code for code, _ in entry.parameters),
            names=", ".join(name for _, name in entry.parameters),
        )
        lines.append(f'    *(void **)&next_{entry.name} = dlsym(RTLD_NEXT, "{entry.name}");')
    return text + END.format(lines="\n".join(lines))


if __name__ == "__main__":
    print(recorder(Library(ROOT)))
