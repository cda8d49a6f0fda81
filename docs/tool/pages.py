"""Lays the committed pages together for Sphinx, with the tables of contents that it asks for.

    pages.py DOCS OUT

The pages are plain Markdown, as a reader of the repository sees them. The order of the guide is
the order of the links in docs/guide/index.md, so that it is written once.
"""

import re
import shutil
import sys
from pathlib import Path

LINK = re.compile(r"\]\(([\w-]+)\.md\)")


def toctree(pages, caption=None):
    lines = ["", "```{toctree}", ":hidden:", ":maxdepth: 2"]
    lines += [f":caption: {caption}"] if caption else []
    return "\n".join(lines + ["", *pages, "```", ""])


def guide_pages(docs):
    """The names of the guide's pages, each once, in the order of its index."""
    text = (docs / "guide/index.md").read_text(encoding="utf-8")
    return list(dict.fromkeys(LINK.findall(text)))


def lay(docs, out):
    out.mkdir(parents=True, exist_ok=True)
    top = ["reference/index"]
    if (docs / "guide/index.md").exists():
        shutil.rmtree(out / "guide", ignore_errors=True)
        shutil.copytree(docs / "guide", out / "guide")
        with (out / "guide/index.md").open("a", encoding="utf-8") as index:
            index.write(toctree(guide_pages(docs)))
        top.insert(0, "guide/index")
    text = (docs / "index.md").read_text(encoding="utf-8")
    (out / "index.md").write_text(text + toctree(top), encoding="utf-8")


if __name__ == "__main__":
    lay(Path(sys.argv[1]), Path(sys.argv[2]))
