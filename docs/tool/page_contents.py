"""A Sphinx extension: what a page's contents say of declarations of C++.

A name stands there once, though a function has several forms, and without its class, which the
heading above names.
"""

from sphinx.addnodes import desc, desc_signature

WITH_HEADINGS = ("class", "struct", "enum-class")


def name_each_once(_app, domain, kind, content):
    """Runs when a declaration has been read, and all that stands in it."""
    if domain != "cpp":
        return
    own = [node for node in content.parent if isinstance(node, desc_signature)]
    below = [node for one in content if isinstance(one, desc) for node in one]
    named = set()
    for signature in own + [node for node in below if isinstance(node, desc_signature)]:
        name = signature["_toc_name"].split("::")[-1]
        is_left_out = name in named or (signature in own and kind in WITH_HEADINGS)
        signature["_toc_name"] = "" if is_left_out else name
        named.add(name)


def setup(app):
    app.connect("object-description-transform", name_each_once)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
