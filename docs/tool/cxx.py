"""Reads the headers for C++ from what Doxygen makes of them (docs/Doxyfile): classes and functions.

What is private, or in a namespace `detail`, is no part of the interface. A public member that a
class has from a base in `detail` is the class's own. Members that a class takes over by
using-declarations are known by name alone: their text stands where they come from.
"""

import re
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import prose

NAMESPACES = ("vcp", "vcp::asio")
USING = re.compile(r"^    using (?:\w+::)*(\w+)::((?:operator )?\w+);$")
ERROR_CODE = "std::error_code &"
# What a comment may have in a line, as Doxygen names it. What else there is would be lost.
INLINE = ("computeroutput", "ref", "emphasis", "bold", "ndash", "mdash")
SENTENCE = re.compile(r"(?<=\.) (?=[A-Z])")


class CxxError(Exception):
    """A header is not as this reader knows it, or lacks a comment."""


@dataclass
class Member:
    """One declaration. parameters: pairs (type, whether there is a default)."""

    kind: str
    name: str
    code: str
    text: list
    parameters: list = field(default_factory=list)
    members: list = field(default_factory=list)


@dataclass
class Class:
    """taken: pairs (class, member) that using-declarations take over."""

    kind: str
    name: str
    code: str
    text: list
    bases: list
    members: list
    taken: list


@dataclass
class Entry:
    """The forms of one function: that which throws, those that set an error code.

    text is the comment of the first; more is what the comments of the others add.
    """

    kind: str
    name: str
    forms: list
    text: list
    more: list = field(default_factory=list)

    def has_twin(self, other):
        """Whether the other is a form that sets an error code instead."""
        types = [kind for kind, _ in other.parameters]
        return types[-1:] == [ERROR_CODE] and any(
            [kind for kind, _ in form.parameters[: len(types) - 1]] == types[:-1]
            and all(has_default for _, has_default in form.parameters[len(types) - 1 :])
            for form in self.forms
        )

    def add(self, other):
        """Takes a form in. Its first sentence says the same as that of the first form."""
        self.forms.append(other)
        said = " ".join(block.text for block in self.text).lower()
        for block in other.text:
            for one in SENTENCE.split(block.text)[1:]:
                if one.lower().rstrip(".") not in said and one not in self.more:
                    self.more.append(one)


def entries_of(members):
    """The members, with the forms of one function together."""
    found = []
    for one in members:
        near = [entry for entry in found if entry.name == one.name]
        twin = next((e for e in near if e.has_twin(one) or e.text == one.text), None)
        if twin:
            twin.add(one)
        else:
            found.append(Entry(one.kind, one.name, [one], one.text))
    return found


# ---- what Doxygen writes ----


def words_of(node):
    return " ".join("".join(node.itertext()).split())


def blocks_of(node):
    """The comment of a declaration."""
    found = []
    parts = ("briefdescription/*", "detaileddescription/*")
    for paragraph in [one for part in parts for one in node.iterfind(part)]:
        if paragraph.tag != "para":
            raise CxxError(f"{node.findtext('name')}: a {paragraph.tag} in a comment")
        text = paragraph.text or ""
        for part in paragraph:
            if part.tag == "verbatim":
                found += [prose.Block("paragraph", " ".join(text.split())), code_of(part)]
                text = ""
            elif part.tag not in INLINE:
                raise CxxError(f"{node.findtext('name')}: a {part.tag} in a comment")
            else:
                text += "".join(part.itertext())
            text += part.tail or ""
        found.append(prose.Block("paragraph", " ".join(text.split())))
    return [block for block in found if block.text]


def code_of(node):
    return prose.Block("code", "".join(node.itertext()).strip("\n"))


def tidy(code):
    """Code as it is written here, without what says nothing of how it is used."""
    code = re.sub(r"\s*=\s*default$| override$", "", " ".join(code.split()))
    return code.replace("< ", "<").replace(" >", ">")


def template_of(node):
    """ "template<...> ", without parameters that only choose among overloads."""
    params = node.findall("templateparamlist/param")
    shown = []
    for param in params:
        name = param.findtext("declname") or ""
        default = param.find("defval")
        code = f"{words_of(param.find('type'))} {name}".strip()
        code += f" = {words_of(default)}" if default is not None else ""
        if not code.startswith("if_"):
            shown.append(code)
    return tidy(f"template<{', '.join(shown)}> ") + " " if shown else ""


def member_of(node):
    kind, name = node.get("kind"), node.findtext("name")
    given = words_of(node.find("type")) if node.find("type") is not None else ""
    initial = node.find("initializer")
    initial = words_of(initial) if initial is not None else ""
    members, parameters = [], []
    if kind == "function":
        explicit = "explicit " if node.get("explicit") == "yes" else ""
        code = f"{explicit}{given} {name}{node.findtext('argsstring')}"
        for param in node.findall("param"):
            parameters.append((words_of(param.find("type")), param.find("defval") is not None))
    elif kind == "typedef":
        code = f"{name} = {given}"
    elif kind == "enum":
        code = f"{name} : {given}"
        members = [enumerator_of(value) for value in node.findall("enumvalue")]
    else:
        constant = initial if "constexpr" in given else ""
        code = f"{given} {name}{constant}"
    return Member(
        kind, name, tidy(template_of(node) + code), blocks_of(node), parameters, members
    )


def enumerator_of(node):
    code = f"{node.findtext('name')} {node.findtext('initializer')}"
    return Member("enumerator", node.findtext("name"), code, blocks_of(node))


def is_deleted(node):
    return (node.findtext("argsstring") or "").endswith("=delete")


def is_shown(node):
    return node.get("prot") == "public" and not is_deleted(node) and node.get("kind") != "friend"


def in_detail(name):
    return "::detail::" in name


class Cxx:
    """The interface of the headers. names: the full name of each class and member."""

    def __init__(self, root, folder):
        self.root = root
        index = xml.parse(folder / "index.xml").getroot()
        kinds = ("class", "struct", "namespace")
        files = [one.get("refid") for one in index if one.get("kind") in kinds]
        found = [xml.parse(folder / f"{name}.xml").getroot().find("compounddef") for name in files]
        self.compounds = {one.findtext("compoundname"): one for one in found}
        self.refuse_what_has_no_comment()

    @cached_property
    def classes(self):
        """name below vcp: Class."""
        return {
            name.removeprefix("vcp::"): self.read_class(name, node)
            for name, node in self.compounds.items()
            if name.startswith("vcp::") and node.get("kind") != "namespace" and not in_detail(name)
        }

    @cached_property
    def free(self):
        """name below vcp: the members of that name in a namespace; guides are of their classes."""
        found = {}
        for space in NAMESPACES:
            within = space.removeprefix("vcp").removeprefix("::")
            for one in self.members_of(self.compounds[space]):
                if "->" not in one.code:
                    name = f"{within}::{one.name}" if within else one.name
                    found.setdefault(name, []).append(one)
        return found

    @cached_property
    def names(self):
        """All names below vcp."""
        found = {*self.classes, *self.free}
        for name, one in self.classes.items():
            found |= {f"{name}::{member.name}" for member in one.members}
        for name, members in self.free.items():
            found |= {f"{name}::{value.name}" for one in members for value in one.members}
        return found

    def owner_of(self, class_name, member):
        """Which class the member stands at: that one, or a base."""
        while class_name in self.classes:
            if f"{class_name}::{member}" in self.names:
                return class_name
            class_name = next(iter(self.classes[class_name].bases), "").split(" ")[-1]
        return None

    # ---- reading ----

    def members_of(self, node):
        """What is public there, and stands there."""
        first, last = self.lines_of(node)
        found = []
        for member in node.iter("memberdef"):
            place = member.find("location")
            line = int(place.get("bodystart") or place.get("line"))
            is_here = node.get("kind") == "namespace" or first <= line <= last
            one = member_of(member) if is_shown(member) and is_here else None
            # A type without a comment only shortens another's name.
            if one and (one.text or one.kind != "typedef"):
                found.append(one)
        return found

    def read_class(self, name, node):
        short = name.split("::")[-1]
        members, taken = self.members_of(node), self.taken_over(node, {})
        bases = []
        for base in node.findall("basecompoundref"):
            other = base.text.split("<")[0].strip()
            if in_detail(other):
                inherited, used = self.from_detail(base.text)
                members += inherited
                taken += used
            elif base.get("prot") == "public":
                bases.append(f"public {tidy(base.text).removeprefix('vcp::')}")
        text = blocks_of(node)
        for one in self.members_of(self.compounds["vcp"]):
            if "->" in one.code and one.name == short:
                text += one.text
        code = template_of(node) + " : ".join([short, *[", ".join(bases)] * bool(bases)])
        return Class(node.get("kind"), short, code, text, bases, members, taken)

    def from_detail(self, base):
        """Members and names that a class has from a base in detail, such as owner<vcp_pool, f>."""
        name, arguments = base.split("<", 1)
        node = self.compounds[name.strip()]
        given = split_arguments(arguments.rsplit(">", 1)[0])
        parameters = [words_of(one.find("type")) for one in node.findall("templateparamlist/param")]
        values = {
            parameter.removeprefix("typename "): value
            for parameter, value in zip(parameters, given)
            if parameter.startswith("typename ")
        }
        members = []
        for one in self.members_of(node):
            if one.name.lstrip("~") != name.split("::")[-1].strip() and one.name != "operator=":
                for parameter, value in values.items():
                    one.code = re.sub(rf"\b{parameter}\b", value, one.code)
                members.append(one)
        return members, self.taken_over(node, values)

    def lines_of(self, node):
        place = node.find("location")
        return int(place.get("bodystart") or 0), int(place.get("bodyend") or 0)

    def taken_over(self, node, values):
        """The using-declarations of a class. Doxygen tells only some of them."""
        first, last = self.lines_of(node)
        path = Path(node.find("location").get("file"))
        lines = (self.root / path).read_text(encoding="utf-8").split("\n")[first - 1 : last]
        found = [match.groups() for match in map(USING.match, lines) if match]
        return [(values.get(owner, owner), name) for owner, name in found if owner != name]

    def refuse_what_has_no_comment(self):
        for name, one in self.classes.items():
            for each in (one, *one.members):
                self.refuse_empty(each, name)
        for members in self.free.values():
            for each in members:
                for every in (each, *each.members):
                    self.refuse_empty(every, "vcp")

    @staticmethod
    def refuse_empty(one, where):
        if not one.text:
            raise CxxError(f"{where}: {one.name} has no comment")


def split_arguments(text):
    """ "A, B<C, D>" as its two parts."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
