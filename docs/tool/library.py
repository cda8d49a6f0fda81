"""What the documentation knows of the library: its headers, its version, who inherits which error.

All of it is read from the repository: the header, the adapters' headers, Cargo.toml, and
abi/vconnpool.map, which says in which version a function came.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

import header
import prose
import suited

ADAPTERS = ("libpq", "mariadb", "openssl", "hiredis")
# page: header for C++, whose opening is its manual.
FOR_CXX = {"cpp": "vconnpool.hpp", "asio": "vconnpool/asio.hpp"}
OWN_RESULT = re.compile(r"(?:^|(?<=[.:] ))Returns (.*?)(?:\.(?= [A-Z]|$)|:?$)")
GROUP_RESULT = re.compile(r"and returns (.*?)\.(?= |$)")


@dataclass
class Library:
    """The repository at root."""

    root: Path

    @cached_property
    def header(self):
        return header.read(self.root / "include/vconnpool.h")

    @cached_property
    def adapters(self):
        folder = self.root / "include/vconnpool"
        return {name: header.read(folder / f"{name}.h") for name in ADAPTERS}

    @cached_property
    def for_cxx(self):
        """page: the blocks of the opening of a header for C++."""
        openings = {
            name: header.opening_of_cxx(self.root / "include" / path)
            for name, path in FOR_CXX.items()
        }
        return {name: prose.blocks(opening) for name, opening in openings.items()}

    @cached_property
    def version(self):
        text = (self.root / "Cargo.toml").read_text(encoding="utf-8")
        return re.search(r'^version = "(.*)"', text, re.M)[1]

    @cached_property
    def date(self):
        """When the version was released; before that, when the header was changed last."""
        text = (self.root / "CHANGELOG.md").read_text(encoding="utf-8")
        released = re.search(rf"^## \[{self.version}\] - (\S+)", text, re.M)
        if released:
            return released[1]
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch:
            return datetime.fromtimestamp(int(epoch), timezone.utc).strftime("%Y-%m-%d")
        command = ["git", "log", "-1", "--format=%cs", "--", "include/vconnpool.h"]
        output = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        return output.stdout.strip() or datetime.now(timezone.utc).strftime("%Y-%m-%d")

    @cached_property
    def since(self):
        """function: the version that it came with."""
        found, version = {}, None
        for line in (self.root / "abi/vconnpool.map").read_text(encoding="utf-8").split("\n"):
            opened = re.match(r"VCONNPOOL_([\d.]+) \{", line)
            version = opened[1] if opened else version
            name = re.match(r"\s+(vcp_\w+);", line)
            if name:
                found[name[1]] = version
        return found

    @cached_property
    def kinds(self):
        """name: kind, for all that the headers declare."""
        headers = [self.header, *self.adapters.values()]
        return {entry.name: entry.kind for each in headers for entry in each.entries()}

    @cached_property
    def fields(self):
        """field: the structs that have it."""
        found = {}
        for struct in self.header.entries("struct"):
            for each in struct.fields:
                if each.kind == "field":
                    found.setdefault(each.name, []).append(struct.name)
        return found

    @cached_property
    def functions(self):
        """All functions, those of the adapters too."""
        headers = [self.header, *self.adapters.values()]
        return [entry for each in headers for entry in each.entries("function")]

    def since_of(self, entry):
        """The version that a function came with; the adapters came with the first."""
        return self.since.get(entry.name) or min(self.since.values())

    @cached_property
    def described(self):
        """function: its comment in its parts."""
        return {entry.name: prose.describe(entry.comment) for entry in self.functions}

    @cached_property
    def manual(self):
        """The header's opening, without what is true of the file alone."""
        blocks = prose.blocks(self.header.opening)[2:]
        of_file = chapter(blocks, "What is where")
        return [block for block in blocks if block not in of_file and block.text != "What is where"]

    @cached_property
    def chapters(self):
        """The names of the chapters of the manual, as the header's opening has them: in capitals."""
        return {block.text.upper() for block in self.manual if block.kind == "heading"}

    def pointed_at(self, pointer):
        """What "MEMORY" or "TIMES above" names: the name, and its group, or None for a chapter."""
        name = pointer.removesuffix(" above")
        group = next((group for group in self.header.groups if group.name == name), None)
        if name not in self.chapters and group is None:
            raise ValueError(f"{name} is no chapter and no group of the header")
        return name, None if name in self.chapters else group

    @cached_property
    def parameters(self):
        """The table of the chapter "Parameters": name: what it is in every function."""
        table = chapter(prose.blocks(self.header.opening), "Parameters")
        rows = [row for block in table if block.kind == "table" for row in block.rows]
        return {name.strip(): text for names, text in rows for name in names.split(",")}

    @cached_property
    def codes(self):
        """code: the first sentence of its comment, without the functions that it is about."""
        constants = self.header.entries("constant")
        return {entry.name: first_sentence(entry.comment) for entry in constants}

    def has_page(self, name):
        """Whether a page of its own in section 3 describes it."""
        return self.kinds.get(name) in ("function", "struct", "callback", "number")

    def page_with(self, group):
        """The page in section 3 that has the text of a group."""
        return next(
            entry.name
            for entry in group.entries
            if entry.kind in ("function", "callback") and not entry.name.endswith("_init")
        )

    def group_of(self, entry):
        headers = [self.header, *self.adapters.values()]
        return next(group for each in headers for group in each.groups if entry in group.entries)

    def constants_of(self, number):
        """The constants of a kind of number: its comment names them, or how they begin."""
        wanted = re.findall(r"VCP_\w+\*?", " ".join(number.comment))
        exact = {name for name in wanted if not name.endswith("*")}
        begins = tuple(name[:-1] for name in wanted if name.endswith("*"))
        return [
            entry
            for entry in self.header.entries("constant")
            if entry.name in exact or (begins and entry.name.startswith(begins))
        ]

    def parameter_rows(self, entry):
        """The parameters of a function: pairs (name, text)."""
        rows, errors = [], self.errors(entry.name)
        for code, name in entry.parameters:
            text = self.parameters.get("*" * (code.count("*") - 1) + name) or self.parameters.get(
                name
            )
            if text:
                refused = suited.refuses_null(entry, name, self.described[entry.name], errors)
                rows.append((name, suited.parameter(text, code, name, entry, refused)))
        return rows

    def result(self, entry):
        """What a function returns when it does not fail: the sentence that says so, or VCP_OK."""
        blocks = self.described[entry.name].text
        around = prose.blocks(self.group_of(entry).text)
        for pattern, where in ((OWN_RESULT, blocks), (GROUP_RESULT, around)):
            for block in where:
                said = pattern.search(block.text)
                if said:
                    return prose.sentence(said[1], [name for _, name in entry.parameters])
        if self.errors(entry.name):
            return "VCP_OK."
        return prose.sentence(prose.summary(blocks[0].text))

    def errors(self, function):
        """Every error of a function, its own and those that it inherits: pairs (code, when)."""
        described = self.described[function]
        found = {}
        by_name = {entry.name: entry for entry in self.functions}
        for other, without in described.inherits:
            for code, when in self.errors(other):
                if code not in without:
                    found[code] = suited.taken_over(when, by_name[other], by_name[function])
        for code, when in described.errors:
            kept = found.get(code, "")
            found[code] = f"{kept}; {when}" if kept and when else kept or when
        return list(found.items())

    def error_texts(self, entry):
        """Every error of a function, with a sentence on each: pairs (code, text)."""
        return [
            (code, suited.error(when, self.codes[code], entry))
            for code, when in self.errors(entry.name)
        ]


def chapter(blocks, title):
    """The blocks under a heading of the opening."""
    found, is_inside = [], False
    for block in blocks:
        if block.kind == "heading":
            is_inside = block.text == title
        elif is_inside:
            found.append(block)
    return found


def first_sentence(comment):
    text = " ".join(line.strip() for line in comment if line.strip())
    return prose.summary(re.sub(r"^vcp_\w+[^:.]*: ", "", text))
