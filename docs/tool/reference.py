"""Writes the pages of the reference: the manual, and a page for each group of the header, for each
adapter, for each class of the headers for C++.

    reference.py ROOT OUT XML

XML is what Doxygen made of the headers for C++.
"""

import re
import sys
from pathlib import Path

import cxx_pages
import prose
from cxx import Cxx
from cxx_pages import CxxWriter
from library import Library
from pages import write_if_new
from rest import ROLE, Writer, label, slug

# part: title, and what its page says first.
PARTS = {
    "functions": (
        "Functions",
        "All functions, by what they are for. Each has a man page in section 3.",
    ),
    "types": ("Types", "Handles, callbacks, options, statistics."),
    "constants": ("Constants", "Status codes, events, modes, flags."),
    "adapters": ("Adapters", "Pools of a driver's sessions, a header for each driver."),
    "cpp": ("C++", "The classes of ``vconnpool.hpp`` and ``vconnpool/asio.hpp``."),
}


def titled(title, mark="="):
    return [title, mark * len(title), ""]


def part_of(group):
    kinds = {entry.kind for entry in group.entries}
    if "function" in kinds:
        return "functions"
    return "constants" if kinds == {"constant"} else "types"


def manual(library, writer):
    """The header's opening, as one page."""
    lines = titled("The manual")
    for block in library.manual:
        if block.kind == "heading":
            lines += [f".. _{label(block.text)}:", ""]
        lines += writer.block(block)
    return lines


def group_page(group, writer):
    text = prose.blocks(group.text)
    lines = titled(group.name.capitalize()) + writer.blocks(text)
    if any(block.kind == "heading" for block in text):
        lines += titled(PARTS[part_of(group)][0], "~")
    for entry in group.entries:
        lines += writer.entry(entry)
    return lines


def opening(blocks, writer):
    """The opening of a header, without its name: what it is for begins the text."""
    what = blocks[0].text.split(" - ", 1)[-1]
    is_file = "." in what.split(" ")[0]
    first = prose.Block("paragraph", what if is_file else what[:1].upper() + what[1:])
    return writer.blocks([first, *blocks[1:]])


def adapter_page(name, adapter, writer):
    lines = titled(f"vconnpool/{name}.h") + opening(prose.blocks(adapter.opening), writer)
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
        rows = []
        for entry in entries:
            line = prose.sentence(prose.summary(" ".join(prose.unmarked(entry.comment))))
            rows.append((f":c:{ROLE[entry.kind]}:`{entry.name}`", writer.inline(line)))
        lines += table_of_names(rows)
    return lines


def table_of_names(rows):
    lines = [".. list-table::", "   :class: names", ""]
    for name, line in rows:
        lines += [f"   * - {name}", f"     - {line}"]
    return [*lines, ""]


def cxx_part(library, writer):
    """The opening of vconnpool.hpp, and the names of C++, page by page."""
    lines = titled(PARTS["cpp"][0]) + opening(library.for_cxx["cpp"], writer)
    lines += toctree(cxx_pages.PAGES)
    for page, (title, _) in cxx_pages.PAGES.items():
        lines += titled(f":doc:`{title} <{page}>`", "-") + table_of_names(writer.names_of(page))
    return lines


def contents():
    """The reference's first page."""
    lines = titled("Reference")
    lines += ["It is made from the comments of the headers, and so are the man pages.", ""]
    lines += ["- :doc:`manual`: what every program must know, as in ``vconnpool(7)``"]
    lines += [f"- :doc:`{part}`: {text[:1].lower()}{text[1:]}" for part, (_, text) in PARTS.items()]
    return lines + [""] + toctree(["manual", *PARTS])


def pages_for_cxx(library, cxx):
    """page: its lines."""
    writer = CxxWriter(library, cxx)
    cxx_pages.refuse_what_has_no_page(cxx)
    pages = {"cpp": cxx_part(library, writer)}
    for page in cxx_pages.PAGES:
        blocks = library.for_cxx.get(page.removeprefix("cpp-"))
        pages[page] = writer.page(page, opening(blocks, writer) if blocks else ())
    return pages


def write(root, out, xml):
    library = Library(root)
    writer = Writer(library)
    out.mkdir(parents=True, exist_ok=True)
    pages = {"manual": manual(library, writer), "index": contents()}
    parts = {part: [] for part in PARTS if part != "cpp"}
    for group in library.header.groups:
        pages[slug(group.name)] = group_page(group, writer)
        parts[part_of(group)].append((slug(group.name), group.name.capitalize(), group.entries))
    for name, adapter in library.adapters.items():
        pages[f"adapter-{name}"] = adapter_page(name, adapter, writer)
        parts["adapters"].append((f"adapter-{name}", f"vconnpool/{name}.h", adapter.entries()))
    for part, groups in parts.items():
        pages[part] = part_page(part, groups, writer)
    pages.update(pages_for_cxx(library, Cxx(root, xml)))
    for name, lines in pages.items():
        write_if_new(out / f"{name}.rst", "\n".join(lines) + "\n")


if __name__ == "__main__":
    write(*(Path(argument) for argument in sys.argv[1:4]))
