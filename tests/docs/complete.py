"""Looks whether each function that the library exports is described: a man page and a place on the
site, each with its errors, its result and its version. What it says of parameters is true of that
function: it names no parameter and no kind of handle that the function does not have, and does not
allow a NULL that is an error.

    complete.py ROOT MAN HTML
"""

import re
import sys
from pathlib import Path

from page import pages

# abi/vconnpool.map is what the linker exports; .ci/abi.sh compares it with the library.
EXPORTED = re.compile(r"^\s+(vcp_\w+);$", re.M)
SECTIONS = (
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "RETURN VALUE",
    "ERRORS",
    "THREADS",
    "HISTORY",
    "SEE ALSO",
)


HANDLES = {"a token": "vcp_cancel", "a queue": "vcp_queue", "a vcp_resolved": "vcp_resolved"}
# "conn, network or address is NULL", "pool or options->cancel is no handle".
LISTED = r"((?:(?:its )?[\w>-]+, )*(?:[\w>-]+ or )?[\w>-]+) is "
NO_NULL = re.compile(LISTED + r"NULL(?! and)")
NO_HANDLE = re.compile(LISTED + "no handle")
PARAMETER = re.compile(r"\\fI(\w+)\\fP")


def sections_of(path):
    """A man page as {name of a section: its text}."""
    parts = re.split(r"\n\.SH (.+)\n", path.read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], parts[2::2]))


def without_marks(roff):
    text = re.sub(r"\\f[BIP]|\(3\)", "", roff).replace("\\-", "-")
    return " ".join(line for line in text.split("\n") if not line.startswith("."))


def listed(pattern, text):
    """The names in the lists that the pattern finds."""
    return {name.lower() for each in pattern.findall(text) for name in re.split(r", | or ", each)}


def untrue_of(name, sections, every_parameter):
    """What the sections PARAMETERS and ERRORS say that cannot be true of the function."""
    own = set(PARAMETER.findall(sections["SYNOPSIS"]))
    declared = without_marks(sections["SYNOPSIS"])
    text = without_marks(sections["ERRORS"])
    no_null = listed(NO_NULL, text)
    named = {each.split("->")[0] for each in no_null | listed(NO_HANDLE, text)}
    named |= {"options"} if "an option is" in text else set()
    faults = [f"{name}: it has no {each}" for each in sorted((named & every_parameter) - own)]
    for words, kind in HANDLES.items():
        if re.search(f"names [^.;]*{words}", text) and not re.search(rf"{kind} \*\w", declared):
            faults.append(f"{name}: it takes no {kind}")
    for row in sections.get("PARAMETERS", "").split("\n.TP\n"):
        parameter, _, what = without_marks(row).partition(" ")
        is_no_null = parameter in no_null or "or NULL too" in text
        if is_no_null and "; NULL" in what:
            faults.append(f"{name}: {parameter} may be NULL, and must not be")
    return faults


def faults_of(name, man, anchors, every_parameter):
    path = man / f"man3/{name}.3"
    if not path.is_file():
        return [f"{name}: no man page"]
    sections = sections_of(path)
    lacking = [section for section in SECTIONS if section not in sections]
    errors = sections.get("ERRORS", "")
    faults = [f"{name}: no section {section}" for section in lacking]
    if not re.search(r"VCP_ERR_\w+|None\.", errors):
        faults.append(f"{name}: no error named, nor that there is none")
    if f"c.{name}" not in anchors:
        faults.append(f"{name}: not on the site")
    faults += [] if lacking else untrue_of(name, sections, every_parameter)
    return faults


def main(root, man, site):
    exported = EXPORTED.findall((root / "abi/vconnpool.map").read_text(encoding="utf-8"))
    anchors = set().union(*(page.anchors for page in pages(site).values()))
    synopses = [sections_of(path).get("SYNOPSIS", "") for path in man.glob("man3/*.3")]
    parameters = set(PARAMETER.findall("".join(synopses)))
    faults = [
        fault for name in exported for fault in faults_of(name, man, anchors, parameters)
    ]
    print("\n".join(faults), end="\n" if faults else "")
    print(f"complete: {len(exported)} exported functions, {len(faults)} faults")
    return 1 if faults or len(exported) < 60 else 0


if __name__ == "__main__":
    sys.exit(main(*(Path(argument).resolve() for argument in sys.argv[1:4])))
