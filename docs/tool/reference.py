"""Writes the pages of the reference: the manual, a page for each group, a page for each adapter.

    reference.py ROOT OUT
"""

import re
import sys
from pathlib import Path

import prose
from library import Library
from rest import Writer

PARTS = {
    "functions": "Functions",
    "types": "Types and options",
    "constants": "Constants",
    "adapters": "Adapters",
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
    blocks = prose.blocks(library.header.opening)
    return [":description: What every program must know.", ""] + titled("The manual") + \
        writer.blocks(blocks[2:])


def group_page(group, writer):
    lines = titled(group.name.capitalize()) + writer.blocks(prose.blocks(group.text))
    for entry in group.entries:
        lines += writer.entry(entry)
    return lines


def adapter_page(name, adapter, writer):
    blocks = prose.blocks(adapter.opening)
    lines = titled(f"vconnpool/{name}.h") + writer.blocks(blocks)
    for entry in adapter.entries():
        lines += writer.entry(entry)
    return lines


def contents(pages):
    """The reference's first page: all the others in their parts."""
    lines = titled("Reference")
    lines += ["All of it is made from the comments of ``vconnpool.h``; each function has a man page, too.", ""]
    lines += [".. toctree::", "   :maxdepth: 1", "", "   manual", ""]
    for part, title in PARTS.items():
        lines += titled(title, "-") + [".. toctree::", "   :maxdepth: 2", ""]
        lines += [f"   {page}" for page, where in pages if where == part] + [""]
    return lines


def write(root, out):
    library = Library(root)
    writer = Writer(library)
    out.mkdir(parents=True, exist_ok=True)
    pages = {"manual": manual(library, writer)}
    order = []
    for group in library.header.groups:
        pages[slug(group.name)] = group_page(group, writer)
        order.append((slug(group.name), part_of(group)))
    for name, adapter in library.adapters.items():
        pages[f"adapter-{name}"] = adapter_page(name, adapter, writer)
        order.append((f"adapter-{name}", "adapters"))
    pages["index"] = contents(order)
    for name, lines in pages.items():
        write_if_new(out / f"{name}.rst", "\n".join(lines) + "\n")


def write_if_new(path, text):
    """Sphinx reads a page again only if it has changed."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
