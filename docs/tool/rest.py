"""Writes the header's prose and declarations as reStructuredText, in Sphinx's C domain."""

import re

import prose

ROLE = {
    "function": "func",
    "constant": "macro",
    "struct": "type",
    "handle": "type",
    "callback": "type",
    "number": "type",
}


class Writer:
    """Knows the library, so that a name becomes a link."""

    # Of the code in a text.
    language = "c"

    def __init__(self, library):
        self.library = library

    # ---- words ----

    def inline(self, text, own=()):
        """One line of text; own: names of the parameters or fields that are described here."""
        return "".join(self.word(kind, word, own) for kind, word in prose.words(text))

    def word(self, kind, word, own):
        if kind == "":
            return escape(word)
        if kind == "pointer":
            return self.pointer(word)
        if kind == "page":
            return apart(f":manpage:`{word}`")
        if kind == "rfc":
            return apart(rfc(word))
        bare = word.split("(")[0]
        if kind == "name" and bare in self.library.kinds:
            role = ROLE[self.library.kinds[bare]]
            shown = word if word == bare or role != "func" else f"{bare}()"
            link = apart(f":c:{role}:`{escape_role(shown)} <{bare}>`")
            return link if shown == word else apart(f"``{word}``")
        owners = self.library.fields.get(bare, [])
        if kind == "literal" and word not in own and "vcp_pool_options" in owners:
            return apart(f":c:member:`{word} <vcp_pool_options.{word}>`")
        if kind == "field" and word.split(".")[0] in self.library.fields.get(
            word.split(".")[1], []
        ):
            return apart(f":c:member:`{word}`")
        return apart(f"``{word}``")

    def pointer(self, word):
        """A link to a chapter of the manual, or to a group's page."""
        name, group = self.library.pointed_at(word)
        if group:
            return apart(f":doc:`{name} <{slug(name)}>`")
        return apart(f":ref:`{name} <{label(name)}>`")

    # ---- blocks ----

    def block(self, block, own=()):
        lines = {
            "heading": lambda: [self.inline(block.text), "~" * len(block.text)],
            "paragraph": lambda: [self.inline(block.text, own)],
            "code": lambda: (
                [f".. code-block:: {self.language}", "   :force:", ""]
                + indent(block.text.split("\n"))
            ),
            "lines": lambda: ["| " + self.inline(row[0], own) for row in block.rows],
            "items": lambda: ["- " + self.inline(row[0], own) for row in block.rows],
            "table": lambda: self.table(block, own),
        }[block.kind]()
        return lines + [""]

    def table(self, block, own):
        head = 1 if block.head else 0
        lines = [".. list-table::", f"   :header-rows: {head}", "   :class: columns", ""]
        for row in ([block.head] if block.head else []) + block.rows:
            for number, cell in enumerate(row):
                mark = "   * - " if number == 0 else "     - "
                lines.append(mark + self.inline(cell, own))
        return lines

    def blocks(self, blocks, own=()):
        return [line for block in blocks for line in self.block(block, own)]

    # ---- declarations ----

    def entry(self, entry):
        """One declaration as an object of the C domain."""
        method = {"function": self.function, "struct": self.struct, "callback": self.callback}
        return method.get(entry.kind, self.plain)(entry)

    def plain(self, entry):
        comment = prose.unmarked(entry.comment)
        body = self.blocks(prose.blocks(comment))
        if entry.kind == "constant":
            value = " ".join(entry.code.split()[2:])
            return [f".. c:macro:: {entry.name}", ""] + indent([f"``{value}``", ""] + body)
        if entry.kind == "number":
            return [f".. c:type:: {entry.code.removeprefix('typedef ').rstrip(';')}", ""] + indent(
                body
            )
        return [f".. c:type:: {entry.name}", ""] + indent(body)

    def callback(self, entry):
        code = entry.code.removeprefix("typedef ").rstrip(";")
        own = [name for _, name in entry.parameters]
        return [f".. c:type:: {code}", ""] + indent(self.blocks(prose.blocks(entry.comment), own))

    def struct(self, entry):
        lines = [f".. c:struct:: {entry.name}", ""]
        body = self.blocks(prose.blocks(entry.comment))
        for each in entry.fields:
            if each.kind == "title":
                body += [f".. rubric:: {each.name.capitalize()}", ""]
                body += self.blocks(prose.blocks(each.comment))
            else:
                text = self.blocks(prose.blocks(prose.unmarked(each.comment)), (each.name,))
                text = self.started(each.comment, text)
                body += [f".. c:member:: {each.code}", ""] + indent(text)
        return lines + indent(body)

    def function(self, entry):
        described = self.library.described[entry.name]
        own = [name for _, name in entry.parameters]
        body = self.started(entry.comment, self.blocks(described.text, own))
        body += self.parameter_fields(entry)
        result = self.library.result(entry)
        body += [f":Returns: {self.inline(result, own)}"] if result else []
        body += self.error_field(entry, own)
        if described.threads:
            body.append(f":Threads: {self.inline(prose.sentence(described.threads), own)}")
        body += [f":Since: {self.library.since_of(entry)}", ""]
        if described.example:
            body += [".. rubric:: Example", ""]
            body += self.block(prose.Block("code", described.example))
        return [f".. c:function:: {entry.code.rstrip(';')}", ""] + indent(body) + [""]

    def started(self, comment, lines):
        """Shows what is to be read first."""
        if prose.is_start(comment):
            return [f"**Start here.** {lines[0]}"] + lines[1:]
        return lines

    def parameter_fields(self, entry):
        rows = self.library.parameter_rows(entry)
        return [f":param {name}: {self.inline(text)}" for name, text in rows]

    def error_field(self, entry, own):
        errors = self.library.error_texts(entry)
        if not errors:
            return [":Errors: None."]
        lines = [":Errors:"]
        for code, text in errors:
            lines += indent([f":c:macro:`{code}`"]) + indent([self.inline(text, own), ""], 6)
        return lines


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def label(chapter):
    """What links to a chapter of the manual name; the pages of the guide, too."""
    return f"manual-{slug(chapter)}"


def rfc(word):
    number = re.search(r"RFC (\d+)", word)[1]
    section = re.search(r"section ([\d.]+)", word)
    target = f"{number}#section-{section[1]}" if section else number
    return f":rfc:`{word} <{target}>`"


def apart(markup):
    """Markup that may touch the letters around it."""
    return f"\\ {markup}\\ "


def escape(text):
    return re.sub(r"([*`_|\\])", r"\\\1", text)


def escape_role(text):
    return text.replace("<", "\\<")


def indent(lines, by=3):
    return [" " * by + line if line else "" for line in lines]
