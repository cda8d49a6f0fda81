"""Follows every link of the built site that stays in it, and looks at the form of the others.

links.py HTML
"""

import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from page import pages


def fault(page, address, site, known):
    """What is wrong with a link, or None."""
    parts = urlsplit(address)
    if parts.scheme or address.startswith("//"):
        is_good = parts.scheme == "https" and "." in parts.netloc and " " not in address
        return None if is_good or parts.scheme in ("data", "mailto") else "is no https address"
    path, anchor = urldefrag(address)
    target = (page.path.parent / unquote(path.split("?")[0])).resolve() if path else page.path
    if not target.is_file():
        return "leads to no file"
    other = known.get(str(target.relative_to(site))) if target.is_relative_to(site) else None
    if anchor and other and unquote(anchor) not in other.anchors | {"", "top"}:
        return "leads to no anchor"
    return None


def main(site):
    known, count, faults = pages(site), 0, []
    for name, page in known.items():
        for address in page.links:
            count += 1
            wrong = fault(page, address, site, known)
            faults += [f"{name}: {address} {wrong}"] if wrong else []
    print("\n".join(faults), end="\n" if faults else "")
    print(f"links: {count} of {len(known)} pages, {len(faults)} broken")
    return 1 if faults or count < 1000 else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
