"""Sphinx: the site of libvconnpool. docs/build lays the pages together and calls it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs/tool"))

from library import Library  # noqa: E402  (found by the path above)

project = "libvconnpool"
author = "the libvconnpool project"
copyright = "the libvconnpool project; MIT OR Apache-2.0"
release = version = Library(ROOT).version

extensions = ["myst_parser", "linked_names", "page_contents"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
highlight_language = "text"
primary_domain = "c"
manpages_url = "https://manpages.debian.org/{path}"
nitpicky = True
nitpick_ignore_regex = [
    ("c:identifier", r"(u?int\d+|size|ssize)_t"),
    ("c:identifier", r"PG\w+|MYSQL|SSL(_CTX)?|redis\w+"),
    ("cpp:identifier", r"(std|net)(::.*)?|milliseconds"),
]
show_warning_types = True
# Dashes alone: quotation marks are those of C.
smartquotes_action = "D"

html_theme = "furo"
html_title = f"libvconnpool {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "friendly"
