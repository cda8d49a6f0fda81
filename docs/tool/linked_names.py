"""A Sphinx extension: `vcp_dial` in a page of the guide becomes a link to the reference.

It takes inline code that is the name of a function, a type, a constant or a field
(`vcp_pool_options.max_conns`) and nothing else; parentheses after a function's name may stand.
"""

import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform

NAME = re.compile(r"((?:vcp|VCP)_\w+(?:\.\w+)?)(?:\(\))?")


class LinkNames(SphinxTransform):
    """Runs while a page is read, before links are resolved."""

    default_priority = 500

    def apply(self):
        known = self.config.known_names
        for literal in list(self.document.findall(nodes.literal)):
            match = NAME.fullmatch(literal.astext())
            is_linked = isinstance(literal.parent, (pending_xref, nodes.reference))
            if match and match[1] in known and not is_linked:
                link = pending_xref("", refdomain="c", reftype="identifier", reftarget=match[1],
                                    refexplicit=True, refwarn=True, refdoc=self.env.docname)
                literal.replace_self(link)
                link += literal


def known_names(app, config):
    from library import Library

    library = Library(app.confdir.parent if hasattr(app.confdir, "parent") else app.confdir)
    fields = (f"{struct}.{name}" for name, structs in library.fields.items() for struct in structs)
    config.known_names = {*library.kinds, *fields}


def setup(app):
    app.add_config_value("known_names", set(), "")
    app.connect("config-inited", known_names)
    app.add_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
