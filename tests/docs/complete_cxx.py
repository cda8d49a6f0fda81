"""Looks whether each public class and function of the headers for C++ has a place in the reference,
a function as often as it has forms.

    complete_cxx.py ROOT HTML

It reads the headers by the form that clang-format gives them, and the site by its inventory: what
makes the reference reads them in another way.
"""

import re
import sys
import zlib
from collections import Counter
from pathlib import Path

from page import Page

HEADERS = ("include/vconnpool.hpp", "include/vconnpool/asio.hpp")
NAMESPACE = re.compile(r"^namespace ([\w:]+) \{$")
CLASS = re.compile(r"^(?:template <.*> )?(class|struct) (?:\[\[nodiscard\]\] )?(\w+)(?!.*;$)")
ACCESS = re.compile(r"^(public|protected|private):$")
FUNCTION = re.compile(
    r"^(?!using |static_assert|friend )"
    r"(?:[\w\[\]<>:,&*= ]*?[ &*])?(~?\w+|operator(?: \w+|[^\w(]+))\("
)
TAKEN_OVER = re.compile(r"^using (?:\w+::)*(?P<class>\w+)::(?!(?P=class);)(\w+);$")
ENTRY = re.compile(r"^(.+?)\s+(\S+)\s+-?\d+\s+(\S*)\s+.*$")


class Header:
    """classes: full names; functions: how often each is declared; taken: pairs (class, name)."""

    def __init__(self, text):
        self.classes, self.functions, self.taken = set(), Counter(), set()
        self.spaces, self.name, self.is_public = [], "", True
        lines = text.split("\n")
        for line, after in zip(lines, lines[1:]):
            self.read(line, after)

    def read(self, line, after):
        space, opened, access = (one.match(line) for one in (NAMESPACE, CLASS, ACCESS))
        if space:
            self.spaces.append(space[1])
        elif line.startswith("} // namespace"):
            self.spaces.pop()
        elif opened:
            self.name, self.is_public = opened[2], opened[1] == "struct"
            self.add(self.classes.add, opened[2])
        elif line == "};":
            self.name, self.is_public = "", True
        elif access:
            self.is_public = access[1] == "public"
        elif self.is_public:
            self.declaration(line, after)

    def declaration(self, line, after):
        indent = "    " * bool(self.name)
        code = line.removeprefix(indent)
        # What stands further right goes on with a declaration, or is a body.
        if not line.startswith(indent) or not re.match(r"[\w\[~]", code):
            return
        function, taken = FUNCTION.match(code), TAKEN_OVER.match(code)
        is_guide = after.strip().startswith("->")
        if function and not (code.endswith("= delete;") or "std::function" in code or is_guide):
            name = f"{self.name}::{function[1]}" if self.name else function[1]
            self.add(lambda full: self.functions.update([full]), name)
        if taken and self.name:
            self.add(lambda full: self.taken.add((full, taken[2])), self.name)

    def add(self, to, name):
        if self.spaces in (["vcp"], ["vcp::asio"]):
            to(f"{self.spaces[0]}::{name}")


def inventory(site):
    """(name, kind): the addresses."""
    data = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    found = {}
    for line in zlib.decompress(data).decode().splitlines():
        name, kind, address = ENTRY.match(line).groups()
        found.setdefault((name, kind), []).append(address)
    return found


def faults_of(header, known, site):
    for name in sorted(header.classes):
        if (name, "cpp:class") not in known:
            yield f"{name}: not on the site"
    for name, count in sorted(header.functions.items()):
        there = len(known.get((name, "cpp:function"), []))
        if there < count:
            yield f"{name}: {there} of {count} forms are on the site"
    for name, taken in sorted(header.taken):
        place = known.get((name, "cpp:class"), [""])[0].split("#")[0]
        links = Page(site / place).links if place else []
        if not any(f"{len(taken)}{taken}E" in link for link in links):
            yield f"{name}: no link to what {taken} is"


def main(root, site):
    known, faults, classes, forms = inventory(site), [], 0, 0
    for path in HEADERS:
        header = Header((root / path).read_text(encoding="utf-8"))
        faults += faults_of(header, known, site)
        classes += len(header.classes)
        forms += header.functions.total()
    print("\n".join(faults), end="\n" if faults else "")
    print(f"complete: {classes} classes and {forms} functions of C++, {len(faults)} faults")
    return 1 if faults or classes < 15 or forms < 200 else 0


if __name__ == "__main__":
    sys.exit(main(*(Path(argument).resolve() for argument in sys.argv[1:3])))
