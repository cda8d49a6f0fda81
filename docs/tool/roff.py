"""Writes the header's prose in the language of man(7)."""

import re

import prose


def plain(text):
    """Text that stands as it is."""
    text = text.replace("\\", "\\e").replace("^", "\\(ha").replace("~", "\\(ti")
    return re.sub(r"(?<=[\s(\"])-(?=[\w-])|^-", r"\\-", text)


def exact(text):
    """Code: its quotes and dashes are those of C."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return text.replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")


def bold(text):
    return f"\\fB{exact(text)}\\fP" if text else ""


def italic(text):
    return f"\\fI{exact(text)}\\fP"


def apart(lines):
    """Lines of text none of which looks like a request."""
    return [f"\\&{line}" if line[:1] in (".", "'") else line for line in lines]


def sentences(text):
    """A text in roff, a sentence a line."""
    return apart(re.split(r"(?<=[a-z)\]0-9P][.:]) +(?=[A-Z])", text))


def code_block(text):
    """Lines that are shown as they are."""
    return [".PP", ".in +4", ".nf", *apart(exact(text).split("\n")), ".fi", ".in"]


class Roff:
    """Knows the library, so that a name gets its section."""

    def __init__(self, library):
        self.library = library
        # The group whose text the page has as a section.
        self.own_group = None

    # ---- words ----

    def inline(self, text, own=()):
        return "".join(self.word(kind, word, own) for kind, word in prose.words(text))

    def word(self, kind, word, own):
        if kind in ("", "rfc"):
            return plain(word)
        if kind == "pointer":
            return self.pointer(word)
        if kind == "page":
            name, section = word.split("(")
            return f"{bold(name)}({section}"
        if word in own or word.lstrip("*") in own:
            return italic(word)
        bare = word.removesuffix("()")
        if kind == "name" and self.library.kinds.get(bare) == "function":
            return f"{bold(bare)}(3)"
        return bold(word)

    def pointer(self, word):
        """A chapter of vconnpool(7), or the section of a page that has the group's text."""
        name, group = self.library.pointed_at(word)
        if group is None:
            return f"{name} in {bold('vconnpool')}(7)"
        if name == self.own_group:
            return f"{name} below"
        return f"{name} in {bold(self.library.page_with(group))}(3)"

    # ---- blocks ----

    def filled(self, text, own=()):
        return sentences(self.inline(text, own))

    def table(self, block, own):
        if block.head:
            return self.grid(block, own)
        lines = []
        for row in block.rows:
            lines += [".TP", *self.filled(row[0], own), *self.filled(" ".join(row[1:]), own)]
        return lines

    def grid(self, block, own):
        """A table with a head: tbl(1)."""
        count = len(block.head)
        lines = [".PP", ".TS", " ".join(["lbx"] * count), " ".join(["lx"] * count) + "."]
        for row in [block.head, *block.rows]:
            cells = []
            for cell in row:
                cells.append("\n".join(["T{", *self.filled(cell, own), "T}"]))
            lines += "\t".join(cells).split("\n")
        return lines + [".TE"]

    def block(self, block, own, heading):
        if block.kind == "heading":
            name = block.text.upper() if heading == ".SH" else block.text
            return [f"{heading} {plain(name)}"]
        if block.kind == "paragraph":
            return [".PP", *self.filled(block.text, own)]
        if block.kind == "code":
            return code_block(block.text)
        if block.kind == "table":
            return self.table(block, own)
        if block.kind == "items":
            return [
                line for row in block.rows for line in [".IP \\(bu 2", *self.filled(row[0], own)]
            ]
        lines = [line for row in block.rows for line in [".br", *self.filled(row[0], own)]]
        return [".PP", ".in +4", *lines[1:], ".in"]

    def blocks(self, blocks, own=(), heading=".SS"):
        return [line for block in blocks for line in self.block(block, own, heading)]
