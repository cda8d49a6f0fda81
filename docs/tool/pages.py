"""Lays the committed pages together for Sphinx, with the tables of contents that it asks for.

    pages.py ROOT OUT

The pages are plain Markdown, as a reader of the repository sees them. The order of the guide is
the order of the links in docs/guide/index.md, so that it is written once. A link to a header leads
to the reference ("MEMORY in vconnpool.h" to that chapter of the manual); another file of the
repository that a page links to is carried along.
"""

import os
import re
import shutil
import sys
from pathlib import Path

from library import FOR_CXX
from rest import label

# The page that comes before the guide.
FIRST = "install.md"
# What stands in docs and is no page of the site.
NO_PAGES = ("README.md", "index.md")
# Pages that stand at the root, and those for who works on the library, which come last.
AT_ROOT = ("SECURITY.md", "CHANGELOG.md")
LAST = ("targets.md", "architecture.md", "release.md")
ADDRESS = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
# "MEMORY in [vconnpool.h](...)": a chapter of the manual.
CHAPTER = re.compile(r"\b([A-Z]{3,}(?: [A-Z]{3,})*)\s+in\s+\[vconnpool\.h\]\([^)]*/vconnpool\.h\)")
IN_GUIDE = re.compile(r"\]\(([\w-]+)\.md\)")


class BrokenLink(Exception):
    """A page links to a file that is not there."""


class Site:
    """The pages of the repository at root, and where they go below out."""

    def __init__(self, root, out):
        self.root, self.out = root.resolve(), out.resolve()
        docs = self.root / "docs"
        more = {page for page in docs.glob("*.md") if page.name not in NO_PAGES}
        last = [docs / name for name in LAST if docs / name in more]
        self.more = [*sorted(more.difference(last)), *(self.root / name for name in AT_ROOT), *last]
        self.guide = sorted((docs / "guide").glob("*.md"))
        self.places = {page: page.name for page in [docs / "index.md", *self.more]}
        self.places.update({page: f"guide/{page.name}" for page in self.guide})
        self.places[self.root / "include/vconnpool.h"] = "reference/index.rst"
        for header in (self.root / "include/vconnpool").glob("*.h"):
            self.places[header] = f"reference/adapter-{header.stem}.rst"
        self.places[self.root / "include" / FOR_CXX["cpp"]] = "reference/cpp.rst"
        self.places[self.root / "include" / FOR_CXX["asio"]] = "reference/cpp-asio.rst"

    def lay(self):
        """Writes every page."""
        self.out.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.out / "files", ignore_errors=True)
        for page, place in self.places.items():
            if page.suffix == ".md":
                write_if_new(self.out / place, self.text_of(page) + self.contents_of(page))

    def text_of(self, page):
        text = page.read_text(encoding="utf-8")
        text = CHAPTER.sub(
            lambda match: f"{{ref}}`{match[1]} in vconnpool.h <{label(match[1])}>`", text
        )
        return ADDRESS.sub(lambda match: self.address(page, match), text)

    def address(self, page, match):
        """The address of a link, as the site has it."""
        target = (page.parent / match[1]).resolve()
        if ":" in match[1] or page.parent == target:
            return match[0]
        if not target.exists():
            raise BrokenLink(f"{page}: {match[1]}")
        place = self.places.get(target) or self.carry(target)
        here = os.path.dirname(self.places[page])
        return f"]({os.path.relpath(place, here or '.')}{match[2] or ''})"

    def carry(self, target):
        """Copies a file of the repository to where the site can link to it."""
        name = target.relative_to(self.root)
        place = Path("files") / (name if target.is_file() else name / "README.md")
        source = target if target.is_file() else target / "README.md"
        (self.out / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, self.out / place)
        # Sphinx would take Markdown for a page.
        if place.suffix == ".md":
            (self.out / place).rename((self.out / place).with_suffix(".md.txt"))
            place = place.with_suffix(".md.txt")
        return place

    def contents_of(self, page):
        if page == self.root / "docs/index.md":
            guide = ["guide/index"] if self.guide else []
            first = FIRST.removesuffix(".md")
            more = [page.name.removesuffix(".md") for page in self.more if page.name != FIRST]
            pages = [first, *guide, "reference/index"]
            parts = toctree(pages, ":includehidden:", ":maxdepth: 2")
            return parts + toctree(more, ":caption: More", ":maxdepth: 1")
        if page == self.root / "docs/guide/index.md":
            links = IN_GUIDE.findall(page.read_text(encoding="utf-8"))
            return toctree(dict.fromkeys(links), ":hidden:")
        return ""


def toctree(pages, *options):
    return "\n".join(["", "```{toctree}", ":titlesonly:", *options, "", *pages, "```", ""])


def write_if_new(path, text):
    """Sphinx reads a page again only if it has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    Site(Path(sys.argv[1]), Path(sys.argv[2])).lay()
