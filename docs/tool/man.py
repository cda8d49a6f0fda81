"""Writes the man pages, in the language of man(7).

    man.py ROOT OUT

man3: a page for each function, struct, callback and kind of number. man7: vconnpool(7), the manual
at the beginning of the header, and a page for each adapter. man1: what docs says of programs.
"""

import sys
from pathlib import Path

import command
import prose
from library import FOR_CXX, Library
from roff import Roff, bold, code_block, italic, plain

GENERAL = (
    "VCP_ERR_INTERNAL, a bug in the library, contained, may come from every function, and"
    " VCP_ERR_CALLBACK in a child that was forked inside a callback."
)
FAILURE = "On failure, a negative vcp_status; vcp_last_error() has the message."
# A function that says this has no message.
NO_MESSAGE = "does not become this thread's last error"
WHERE_ELSE = (
    "The guide, and this reference as HTML, lie in the documentation directory of vconnpool."
)
THREADS = "Any thread may call it at any time: vconnpool(7) has the rules."


class Pages:
    """The pages of one library."""

    def __init__(self, library):
        self.library = library
        self.roff = Roff(library)

    # ---- what pages have in common ----

    def head(self, name, section, what):
        """The first line, and NAME."""
        version = f"libvconnpool {self.library.version}"
        title = f'.TH {name} {section} {self.library.date} "{version}" "libvconnpool"'
        # Names are long: broken or drawn out they are hard to read.
        return [title, ".ad l", ".nh", ".SH NAME", f"{plain(name)} \\- {plain(what)}"]

    def synopsis(self, lines, include="vconnpool.h"):
        pkg_config = "pkg\\-config --cflags --libs vconnpool".replace("--", "\\-\\-")
        return [
            ".SH LIBRARY",
            f"libvconnpool (\\fB{pkg_config}\\fP)",
            ".SH SYNOPSIS",
            ".nf",
            bold(f"#include <{include}>"),
            ".PP",
            *lines,
            ".fi",
        ]

    def see_also(self, name, group, texts=()):
        near = [entry.name for entry in group.entries if self.library.has_page(entry.name)]
        mentioned = {word.split("(")[0] for text in texts for _, word in prose.words(text)}
        more = [other for other in sorted(mentioned) if self.library.has_page(other)]
        others = [other for other in dict.fromkeys(near + more) if other != name]
        names = [f"{bold(other)}(3)," for other in others]
        return [".SH SEE ALSO", *names, f"{bold('vconnpool')}(7)"]

    # ---- functions ----

    def function(self, entry, group, include="vconnpool.h"):
        described = self.library.described[entry.name]
        own = [name for _, name in entry.parameters]
        lines = self.head(entry.name, 3, what_for(described.text[0].text))
        lines += self.synopsis(declaration(entry), include)
        # Without its first .PP the text goes on after the mark.
        text = self.roff.blocks(described.text, own)[1:]
        lines += [".SH DESCRIPTION", *started(entry.comment), *text]
        lines += self.parameters(entry)
        lines += self.returns(entry, own)
        lines += self.errors(entry, own)
        lines += [
            ".SH THREADS",
            *self.roff.filled(prose.sentence(described.threads) or THREADS, own),
        ]
        lines += [".SH HISTORY", f"Added in version {self.library.since_of(entry)}."]
        if described.example:
            lines += [".SH EXAMPLES", *code_block(described.example)]
        lines += self.around(entry, group)
        return lines + self.see_also(entry.name, group, [b.text for b in described.text])

    def around(self, entry, group):
        """The text of the function's group: it holds for all of them."""
        if not shows_text(entry, group):
            return []
        return [f".SH {group.name}", *self.roff.blocks(prose.blocks(group.text))]

    def parameters(self, entry):
        rows = self.library.parameter_rows(entry)
        lines = [".SH PARAMETERS"] if rows else []
        for name, text in rows:
            lines += [".TP", italic(name), *self.roff.filled(text)]
        return lines

    def returns(self, entry, own):
        text = self.library.result(entry)
        if not text:
            return []
        lines = [".SH RETURN VALUE", *self.roff.filled(text, own)]
        if not self.library.errors(entry.name):
            return lines
        has_message = NO_MESSAGE not in " ".join(entry.comment)
        failure = FAILURE if has_message else f"{FAILURE.split(';')[0]}."
        return lines + self.roff.filled(failure)

    def errors(self, entry, own):
        errors = self.library.error_texts(entry)
        if not errors:
            return [".SH ERRORS", "None."]
        lines = [".SH ERRORS"]
        for code, text in errors:
            lines += [".TP", bold(code), *self.roff.filled(text, own)]
        return lines + [".PP", *self.roff.filled(GENERAL)]

    # ---- types ----

    def struct(self, entry, group):
        lines = self.head(entry.name, 3, what_for(" ".join(entry.comment)))
        lines += self.synopsis(struct_lines(entry))
        lines += [".SH DESCRIPTION", *self.roff.blocks(prose.blocks(entry.comment))]
        own = [each.name for each in entry.fields]
        for each in entry.fields:
            text = prose.blocks(prose.unmarked(each.comment))
            if each.kind == "title":
                lines += [f".SS {plain(each.name.capitalize())}", *self.roff.blocks(text)]
            else:
                lines += [".TP", bold(each.code), *started(each.comment)]
                lines += self.roff.filled(text[0].text, own)
                lines += self.roff.blocks(text[1:], own)
        lines += self.around(entry, group)
        return lines + self.see_also(entry.name, group)

    def callback(self, entry, group):
        text = " ".join(entry.comment)
        lines = self.head(entry.name, 3, what_for(text.split(": ", 1)[-1]))
        lines += self.synopsis(declaration(entry))
        own = [name for _, name in entry.parameters]
        lines += [".SH DESCRIPTION", *self.roff.blocks(prose.blocks(entry.comment), own)]
        lines += self.around(entry, group)
        return lines + self.see_also(entry.name, group, [text])

    def number(self, entry, group):
        lines = self.head(entry.name, 3, what_for(" ".join(entry.comment)))
        constants = self.library.constants_of(entry)
        codes = [bold(constant.code) for constant in constants]
        lines += self.synopsis([bold(entry.code), ".PP", *codes])
        lines += [".SH DESCRIPTION", *self.roff.blocks(prose.blocks(entry.comment))]
        lines += self.roff.blocks(prose.blocks(self.library.group_of(constants[0]).text))
        for constant in constants:
            text = prose.blocks(constant.comment)
            lines += [".TP", bold(constant.name), *self.roff.filled(text[0].text)]
            lines += self.roff.blocks(text[1:])
        return lines + [".SH SEE ALSO", f"{bold('vconnpool')}(7)"]

    # ---- section 7 ----

    def manual(self):
        blocks = self.library.manual
        lines = self.head("vconnpool", 7, "a connection pool and dialer for C and C++")
        lines += self.synopsis([])
        lines += [".SH DESCRIPTION", *self.roff.blocks(blocks, heading=".SH")]
        lines += [".SH FUNCTIONS"]
        for group in self.library.header.groups:
            names = [entry.name for entry in group.entries if self.library.has_page(entry.name)]
            if names:
                lines += [".TP", plain(group.name.capitalize())]
                lines += [f"{bold(name)}(3)," for name in names[:-1]] + [f"{bold(names[-1])}(3)"]
        return lines + [".SH SEE ALSO", WHERE_ELSE]

    def adapter(self, name, adapter):
        blocks = prose.blocks(adapter.opening)
        lines = self.head(f"vconnpool-{name}", 7, blocks[0].text.split(" - ")[-1].rstrip("."))
        functions = adapter.entries("function")
        declared = [line for entry in functions for line in declaration(entry) + [".PP"]]
        lines += self.synopsis(declared[:-1], f"vconnpool/{name}.h")
        lines += [".SH DESCRIPTION", *self.roff.blocks(blocks[1:], heading=".SH")]
        for entry in functions:
            lines += [f".SS {plain(entry.name)}()", *self.roff.blocks(prose.blocks(entry.comment))]
        return lines + [".SH SEE ALSO", f"{bold('vconnpool')}(7)"]

    def for_cxx(self, name, blocks):
        lines = self.head(f"vconnpool-{name}", 7, blocks[0].text.split(" - ")[-1].rstrip("."))
        lines += self.synopsis([], FOR_CXX[name])
        lines += [".SH DESCRIPTION", *self.roff.blocks(blocks[1:])]
        return lines + [".SH SEE ALSO", f"{bold('vconnpool')}(7)"]


def shows_text(entry, group):
    """Whether a declaration's page has the text of its group."""
    return any(group.text) and not entry.name.endswith("_init")


def started(comment):
    """The mark of what is to be read first."""
    return [bold("Start here.")] if prose.is_start(comment) else []


def what_for(text):
    """The line of NAME: the first sentence, without what would make it long."""
    first = prose.summary(text)
    return first if first[1:2].isupper() else first[:1].lower() + first[1:]


def declaration(entry):
    """The lines of a SYNOPSIS: a parameter's name in italics, broken at 76 columns."""
    code = entry.code.rstrip(";")
    begin, end = code.rindex("(") + 1, code.rindex(")")
    parts = entry.parameters or [(code[begin:end], "")]
    lines, line, width = [], bold(code[:begin]), begin
    for number, (part, name) in enumerate(parts):
        after = ", " if number + 1 < len(parts) else ");"
        if width + len(part) > 74 and number:
            lines.append(line.rstrip())
            line, width = " " * 8, 8
        shown = part.removesuffix(name) if name else part
        line += bold(shown) + (italic(name) if name else "") + bold(after)
        width += len(part) + 2
    return lines + [line]


def struct_lines(entry):
    fields = [bold(f"    {each.code};") for each in entry.fields if each.kind == "field"]
    return [bold("typedef struct {"), *fields, bold(f"}} {entry.name};")]


def tidy(lines):
    """Without the paragraphs that begin where a section does, or have nothing in them."""
    kept = []
    for line in lines:
        if kept and kept[-1] == ".PP" and line.startswith((".PP", ".SH", ".SS", ".TP", ".fi")):
            kept.pop()
        if line != ".PP" or not kept[-1].startswith((".SH", ".SS", ".TH")):
            kept.append(line)
    return kept


def write(root, out):
    library = Library(root)
    pages = Pages(library)
    make = {
        "function": pages.function,
        "struct": pages.struct,
        "callback": pages.callback,
        "number": pages.number,
    }
    texts = {"man7/vconnpool.7": pages.manual()}
    for group in library.header.groups:
        for entry in group.entries:
            if library.has_page(entry.name):
                pages.roff.own_group = group.name if shows_text(entry, group) else None
                texts[f"man3/{entry.name}.3"] = make[entry.kind](entry, group)
    pages.roff.own_group = None
    for name, adapter in library.adapters.items():
        texts[f"man7/vconnpool-{name}.7"] = pages.adapter(name, adapter)
        for entry in adapter.entries("function"):
            include = f"vconnpool/{name}.h"
            texts[f"man3/{entry.name}.3"] = pages.function(entry, adapter.groups[0], include)
    for name, blocks in library.for_cxx.items():
        texts[f"man7/vconnpool-{name}.7"] = pages.for_cxx(name, blocks)
    for source in sorted((root / "docs").glob("*.md")):
        text = source.read_text(encoding="utf-8")
        if "\n## NAME\n" in text:
            page = command.man_page(text, library.version, library.date)
            texts[f"man1/{source.stem}.1"] = page.rstrip("\n").split("\n")
    for path, lines in texts.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        begin = ["'\\\" t"] if ".TS" in lines else []
        (out / path).write_text("\n".join(begin + tidy(lines)) + "\n", encoding="utf-8")
    return texts


if __name__ == "__main__":
    print(f"man: {len(write(Path(sys.argv[1]), Path(sys.argv[2])))} pages in {sys.argv[2]}")
