"""Writes the pages of the reference: the manual, a page for each group, a page for each adapter.

reference.py ROOT OUT
"""

import re
import sys
from pathlib import Path

import prose
from library import FOR_CXX, Library
from pages import write_if_new
from rest import ROLE, Writer

# part: title, and what its page says first.
PARTS = {
    "functions": (
        "Functions",
        "All functions, by what they are for. Each has a man page in section 3.",
    ),
    "types": ("Types", "Handles, callbacks, options, statistics."),
    "constants": ("Constants", "Status codes, events, modes, flags."),
    "adapters": (
        "Adapters and C++",
        "Pools of a driver's sessions, a header for each driver; the headers for C++.",
    ),
}


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def titled(title, mark="="):
    return [title, mark * len(title), ""]


def part_of(group):
    kinds = {entry.kind for entry in group.entries}
    if "function" in kinds:
        return "functions"
    return "constants" if kinds == {"constant"} else "types"


def manual(library, writer):
    """The header's opening, as one page."""
    return titled("The manual") + writer.blocks(library.manual)


def group_page(group, writer):
    text = prose.blocks(group.text)
    lines = titled(group.name.capitalize()) + writer.blocks(text)
    if any(block.kind == "heading" for block in text):
        lines += titled(PARTS[part_of(group)][0], "~")
    for entry in group.entries:
        lines += writer.entry(entry)
    return lines


def opening(name, blocks, writer):
    """The opening of a header: its name is the title, and what it is for begins the text."""
    what = blocks[0].text.split(" - ", 1)[-1]
    first = prose.Block("paragraph", what[:1].upper() + what[1:])
    return titled(name) + writer.blocks([first, *blocks[1:]])


def adapter_page(name, adapter, writer):
    lines = opening(f"vconnpool/{name}.h", prose.blocks(adapter.opening), writer)
    lines += titled("Functions and types", "~")
    for entry in adapter.entries():
        lines += writer.entry(entry)
    return lines


def toctree(pages):
    return [".. toctree::", "   :hidden:", ""] + [f"   {page}" for page in pages] + [""]


def part_page(part, groups, writer):
    """The names of a part with a line on each, group by group."""
    title, text = PARTS[part]
    lines = titled(title) + [text, ""] + toctree(page for page, _, _ in groups)
    for page, name, entries in groups:
        lines += titled(f":doc:`{name} <{page}>`", "-")
        if not entries:
            continue
        lines += [".. list-table::", "   :class: names", ""]
        for entry in entries:
            role = ROLE[entry.kind]
            line = prose.sentence(prose.summary(" ".join(prose.unmarked(entry.comment))))
            lines += [f"   * - :c:{role}:`{entry.name}`", f"     - {writer.inline(line)}"]
        lines.append("")
    return lines


def contents():
    """The reference's first page."""
    lines = titled("Reference")
    lines += ["It is made from the comments of ``vconnpool.h``, and so are the man pages.", ""]
    lines += ["- :doc:`manual`: what every program must know, as in ``vconnpool(7)``"]
    lines += [f"- :doc:`{part}`: {text[:1].lower()}{text[1:]}" for part, (_, text) in PARTS.items()]
    return lines + [""] + toctree(["manual", *PARTS])


def write(root, out):
    library = Library(root)
    writer = Writer(library)
    out.mkdir(parents=True, exist_ok=True)
    pages = {"manual": manual(library, writer), "index": contents()}
    parts = {part: [] for part in PARTS}
    for group in library.header.groups:
        pages[slug(group.name)] = group_page(group, writer)
        parts[part_of(group)].append((slug(group.name), group.name.capitalize(), group.entries))
    for name, adapter in library.adapters.items():
        pages[f"adapter-{name}"] = adapter_page(name, adapter, writer)
        parts["adapters"].append((f"adapter-{name}", f"vconnpool/{name}.h", adapter.entries()))
    for name, blocks in library.for_cxx.items():
        pages[f"adapter-{name}"] = opening(FOR_CXX[name], blocks, writer)
        parts["adapters"].append((f"adapter-{name}", FOR_CXX[name], []))
    for part, groups in parts.items():
        pages[part] = part_page(part, groups, writer)
    for name, lines in pages.items():
        write_if_new(out / f"{name}.rst", "\n".join(lines) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
