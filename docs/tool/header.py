"""Reads a C header as cbindgen prints it: its opening, its groups, and what each group declares.

A group begins with a comment "---- NAME ----". A comment that begins with two stars describes the
declaration that follows it. The adapters' headers are read in the same way; there a declaration
ends where the body of the function begins.
"""

import re
from dataclasses import dataclass, field

GROUP = re.compile(r"^---- (.+) ----$")
NAMES = (
    ("constant", re.compile(r"^#define (\w+) ")),
    ("callback", re.compile(r"^typedef [^(]*\(\*(\w+)\)\(")),
    ("struct", re.compile(r"^typedef struct \{.*\} (\w+);$", re.S)),
    ("handle", re.compile(r"^typedef struct (\w+) \1;$")),
    ("struct", re.compile(r"^typedef struct (\w+) \{.*\}", re.S)),
    ("number", re.compile(r"^typedef u?int\d+_t (\w+);$")),
    ("function", re.compile(r"^(?:static inline )?[\w ]+?[ *](\w+)\(")),
)


class HeaderError(Exception):
    """The header is not of the form that this reader knows."""


@dataclass
class Entry:
    """One declaration with its comment."""

    kind: str
    name: str
    code: str
    comment: list
    parameters: list = field(default_factory=list)
    fields: list = field(default_factory=list)


@dataclass
class Group:
    """What stands under one "---- NAME ----": a text and declarations."""

    name: str
    text: list
    entries: list = field(default_factory=list)


@dataclass
class Header:
    """A whole header."""

    opening: list
    groups: list

    def entries(self, kind=None):
        every = (entry for group in self.groups for entry in group.entries)
        return [entry for entry in every if kind in (None, entry.kind)]


def comment_at(lines, index):
    """The text of the comment that begins at that line, and the line after it."""
    first = lines[index].strip()
    if first.endswith("*/"):
        return [first.lstrip("/*").rstrip("*/").strip()], index + 1
    end = next(n for n in range(index, len(lines)) if lines[n].endswith("*/"))
    inside = [lines[index].strip().lstrip("/*"), *lines[index + 1 : end], lines[end][:-2]]
    text = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in inside]
    return without_ends(text), end + 1


def without_ends(lines):
    """The lines without the empty ones at both ends."""
    full = [number for number, line in enumerate(lines) if line]
    return lines[full[0] : full[-1] + 1] if full else []


def opening_of_cxx(path):
    """The opening of a header for C++, whose comments begin with //."""
    lines = path.read_text(encoding="utf-8").split("\n")
    end = next(number for number, line in enumerate(lines) if not line.startswith("//"))
    return [line.removeprefix("//").removeprefix(" ") for line in lines[:end]]


def declaration_at(lines, index):
    """The code of the declaration that begins at that line, and the line after it."""
    if lines[index].startswith("#define"):
        return lines[index], index + 1
    if re.match(r"typedef struct (\w+ )?\{", lines[index]):
        end = next(n for n in range(index, len(lines)) if lines[n].startswith("}"))
    else:
        end = next(
            n
            for n in range(index, len(lines))
            if re.search(r"[;{]$", lines[n]) or lines[n + 1 : n + 2] == ["{"]
        )
    return "\n".join(lines[index : end + 1]), end + 1


def split_parameters(code):
    """ "int f(void *a, int b);" as [("void *a", "a"), ("int b", "b")]."""
    inside = code[code.rindex("(") + 1 : code.rindex(")")]
    parts = [" ".join(part.split()) for part in inside.split(",")]
    return [(part, part.rsplit(" ", 1)[-1].lstrip("*")) for part in parts if part != "void"]


def fields_of(code):
    """The fields of a struct, and the texts that introduce groups of them."""
    lines = [line[4:] if line.startswith("    ") else line for line in code.split("\n")[1:-1]]
    found, index, pending = [], 0, []
    while index < len(lines):
        line = lines[index]
        if line.startswith("/*"):
            text, after = comment_at(lines, index)
            title = GROUP.match(text[0])
            if title:
                found.append(Entry("title", title[1], "", without_ends(text[1:])))
            else:
                pending = text
            index = after
        elif line:
            name = re.search(r"(\w+)(?:\)\(.*\))?;", line)[1]
            found.append(Entry("field", name, line.rstrip(";"), pending))
            pending, index = [], index + 1
        else:
            index += 1
    return found


def entry_of(code, comment):
    for kind, pattern in NAMES:
        match = pattern.match(code)
        if match:
            entry = Entry(kind, match[1], code, comment)
            break
    else:
        raise HeaderError(f"no declaration that this reader knows: {code}")
    if kind in ("function", "callback"):
        entry.code = " ".join(code.rstrip(" {").removeprefix("static inline ").split())
        entry.parameters = split_parameters(entry.code)
    if kind == "struct":
        entry.fields = fields_of(code)
    return entry


def read(path):
    """Reads the header at that path."""
    lines = path.read_text(encoding="utf-8").split("\n")
    opening, index = comment_at(lines, 0)
    groups = [Group("", [])]
    while index < len(lines):
        if not lines[index].startswith("/*"):
            index += 1
            continue
        is_documentation = lines[index].startswith("/**")
        comment, index = comment_at(lines, index)
        title = GROUP.match(comment[0]) if comment else None
        if title:
            groups.append(Group(title[1], comment[1:]))
        elif is_documentation:
            code, index = declaration_at(lines, index)
            groups[-1].entries.append(entry_of(code, comment))
    return Header(opening, [group for group in groups if group.entries or group.text])
