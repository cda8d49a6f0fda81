"""A Sphinx extension: `vcp_dial` in a page of the guide becomes a link to the reference.

It takes inline code that is the name of a function, a type, a constant or a field, and nothing
else. Parentheses after a function's name may stand. A field is `vcp_dial_options.flags`, or alone,
if its name is of several words: `max_conns`; it is then the pool's, if the pool's options have it.
Of C++ it takes names that begin with `vcp::`; arguments of a template may stand.

In declarations of C++ names of C are linked, too.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform

from library import Library

NAME = re.compile(r"(\w+(?:\.\w+)?)(?:\(\))?")
CXX_NAME = re.compile(r"(vcp(?:::\w+)+)(?:<[\w:, ]+>)?(?:\(\))?")


class LinkNames(SphinxTransform):
    """Runs while a page is read, before links are resolved."""

    default_priority = 500

    def apply(self):
        known = self.config.targets_of_names
        for literal in list(self.document.findall(nodes.literal)):
            if isinstance(literal.parent, (pending_xref, nodes.reference)):
                continue
            name = NAME.fullmatch(literal.astext())
            cxx_name = CXX_NAME.fullmatch(literal.astext())
            if name and name[1] in known:
                self.link(literal, "c", "identifier", known[name[1]])
            elif cxx_name:
                self.link(literal, "cpp", "any", cxx_name[1])

    def link(self, literal, domain, kind, target):
        link = pending_xref(
            "",
            refdomain=domain,
            reftype=kind,
            reftarget=target,
            refexplicit=True,
            refwarn=True,
            refdoc=self.env.docname,
        )
        literal.replace_self(link)
        link += literal


def link_c_names(app, env, node, content):
    """Resolves a name in a declaration of C++ that is one of C."""
    target = node.get("reftarget")
    if node.get("refdomain") != "cpp" or target not in app.config.targets_of_names:
        return None
    return env.get_domain("c").resolve_xref(
        env, node["refdoc"], app.builder, "identifier", target, node, content
    )


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
    app.connect("missing-reference", link_c_names)
    app.add_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
