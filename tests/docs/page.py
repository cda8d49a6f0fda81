"""A page of the built site as checks read it: anchors, links, the text under each heading."""

from html.parser import HTMLParser

HEADINGS = {f"h{level}": level for level in range(1, 7)}


class Page(HTMLParser):
    """headings: title: text up to the next heading of its level or above."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.anchors, self.links, self.headings = set(), [], {}
        self.open, self.title, self.is_article = [], None, 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if attributes.get("id"):
            self.anchors.add(attributes["id"])
        address = attributes.get("href") or attributes.get("src")
        if address:
            self.links.append(address)
        if tag == "article":
            self.is_article += 1
        if tag in HEADINGS and self.is_article:
            self.open = [(level, name) for level, name in self.open if level < HEADINGS[tag]]
            self.title = ""

    def handle_endtag(self, tag):
        if tag == "article":
            self.is_article -= 1
        if tag in HEADINGS and self.title is not None:
            name = " ".join(self.title.rstrip("¶#").split())
            self.open.append((HEADINGS[tag], name))
            self.headings[name] = ""
            self.title = None

    def handle_data(self, data):
        if self.title is not None:
            self.title += data
        elif self.is_article:
            for _, name in self.open:
                self.headings[name] += data


def pages(site):
    """path from the site's root: Page, of all pages."""
    found = sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)
    return {str(path.relative_to(site)): Page(path) for path in found}
