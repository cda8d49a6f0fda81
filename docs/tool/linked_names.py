"""A Sphinx extension: `vcp_dial` in a page of the guide becomes a link to the reference.

It takes inline code that is the name of a function, a type, a constant or a field, and nothing
else. Parentheses after a function's name may stand. A field is `vcp_dial_options.flags`, or alone,
if its name is of several words: `max_conns`; it is then the pool's, if the pool's options have it.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform

from library import Library

NAME = re.compile(r"(\w+(?:\.\w+)?)(?:\(\))?")


class LinkNames(SphinxTransform):
    """Runs while a page is read, before links are resolved."""

    default_priority = 500

    def apply(self):
        known = self.config.targets_of_names
        for literal in list(self.document.findall(nodes.literal)):
            match = NAME.fullmatch(literal.astext())
            is_linked = isinstance(literal.parent, (pending_xref, nodes.reference))
            if match and match[1] in known and not is_linked:
                link = pending_xref(
                    "",
                    refdomain="c",
                    reftype="identifier",
                    reftarget=known[match[1]],
                    refexplicit=True,
                    refwarn=True,
                    refdoc=self.env.docname,
                )
                literal.replace_self(link)
                link += literal


def find_names(app, config):
    """name: what it is called in the C domain."""
    library = Library(Path(app.confdir).parent)
    targets = {name: name for name in library.kinds}
    for name, structs in library.fields.items():
        owner = next((struct for struct in structs if struct == "vcp_pool_options"), structs[0])
        targets.update({f"{struct}.{name}": f"{struct}.{name}" for struct in structs})
        if "_" in name:
            targets[name] = f"{owner}.{name}"
    config.targets_of_names = targets


def setup(app):
    app.add_config_value("targets_of_names", {}, "")
    app.connect("config-inited", find_names)
    app.add_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
