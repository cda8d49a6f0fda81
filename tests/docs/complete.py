"""Looks whether each function that the library exports is described: a man page and a place on the
site, each with its errors, its result and its version.

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


def faults_of(name, man, anchors):
    path = man / f"man3/{name}.3"
    if not path.is_file():
        return [f"{name}: no man page"]
    text = path.read_text(encoding="utf-8")
    lacking = [section for section in SECTIONS if f"\n.SH {section}\n" not in text]
    parts = re.split(r"\n\.SH (.+)\n", text)
    errors = dict(zip(parts[1::2], parts[2::2])).get("ERRORS", "")
    faults = [f"{name}: no section {section}" for section in lacking]
    if not re.search(r"VCP_ERR_\w+|None\.", errors):
        faults.append(f"{name}: no error named, nor that there is none")
    if f"c.{name}" not in anchors:
        faults.append(f"{name}: not on the site")
    return faults


def main(root, man, site):
    exported = EXPORTED.findall((root / "abi/vconnpool.map").read_text(encoding="utf-8"))
    anchors = set().union(*(page.anchors for page in pages(site).values()))
    faults = [fault for name in exported for fault in faults_of(name, man, anchors)]
    print("\n".join(faults), end="\n" if faults else "")
    print(f"complete: {len(exported)} exported functions, {len(faults)} faults")
    return 1 if faults or len(exported) < 60 else 0


if __name__ == "__main__":
    sys.exit(main(*(Path(argument).resolve() for argument in sys.argv[1:4])))
