"""Compares the failures that programs provoked with those that the header names.

    provoked.py ROOT SEEN [--missing]

SEEN has lines "function status" (recorder.py). A failure that its function's comment does not name
is an error. --missing lists what is named and was not provoked.
"""

import sys
from pathlib import Path

ROOT = Path(sys.argv[1]).resolve()
sys.path.insert(0, str(ROOT / "docs/tool"))

from library import Library  # noqa: E402

# The manual names these once for all functions.
GENERAL = {"VCP_ERR_INTERNAL", "VCP_ERR_CALLBACK"}


def main(seen, shows_missing):
    library = Library(ROOT)
    constants = library.header.entries("constant")
    errors = [entry for entry in constants if entry.name.startswith("VCP_ERR_")]
    names = {entry.code.split()[2]: entry.name for entry in errors}
    named = {
        (entry.name, code)
        for entry in library.header.entries("function")
        for code, _ in library.errors(entry.name)
    }
    lines = {tuple(line.split()) for line in seen.read_text(encoding="utf-8").splitlines()}
    provoked = {(function, names.get(status, status)) for function, status in lines}
    unnamed = {pair for pair in provoked - named if pair[1] not in GENERAL}
    for function, code in sorted(unnamed):
        print(f"{function} returned {code}, which its comment does not name")
    share = 100 * len(provoked & named) / len(named)
    if shows_missing:
        print("\n".join(" ".join(pair) for pair in sorted(named - provoked)))
    print(
        f"errors: {len(provoked & named)} of {len(named)} named ones were provoked ({share:.0f} %),"
        f" {len(unnamed)} others"
    )
    return 1 if unnamed or not provoked else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[2]), "--missing" in sys.argv[3:]))
