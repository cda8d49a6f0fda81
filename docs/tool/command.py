"""Writes the man page of a command, in the language of man(7), from its page in docs.

    command.py VERSION DATE PAGE OUT

The page is Markdown: "# name", then "## NAME", "## SYNOPSIS" and the other headings of a man page.
Below them stand paragraphs, lists and pieces of code. An item of a list that is "`word`: text", or
"word: text", becomes a tagged paragraph.
"""

import re
import sys
import textwrap
from pathlib import Path

TAG = re.compile(r"((?:`[^`]+`(?:, )?)+|[\w ,.-]{1,24}): (.*)", re.S)
SPAN = re.compile(r"`([^`]+)`|\*([^*]+)\*|\[([^\]]+)\]\([^)]+\)")
WRAP = textwrap.TextWrapper(width=78, break_long_words=False, break_on_hyphens=False)
PAGE = re.compile(r"\b([\w-]+)\((\d)\)")


def exact(text):
    """Code: its quotes and dashes are those of a keyboard."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return text.replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")


def plain(text):
    """Words. A backslash is one; a dash before a letter begins an option."""
    text = text.replace("\\", "\\e").replace("^", "\\(ha").replace("~", "\\(ti")
    text = re.sub(r"(?<![\w])-(?=[\w-])", r"\\-", text)
    return PAGE.sub(r"\\fB\1\\fP(\2)", text)


def inline(text):
    """Code is bold, what is emphasised is italic, a link is its words."""
    out, end = [], 0
    for span in SPAN.finditer(text):
        code, emphasis, link = span.groups()
        out.append(plain(text[end:span.start()]))
        out.append(f"\\fB{exact(code)}\\fP" if code else f"\\fI{plain(emphasis or link)}\\fP")
        end = span.end()
    return "".join(out) + plain(text[end:])


def sentences(text):
    """A sentence begins a line, and none looks like a request."""
    words = inline(" ".join(text.split()))
    whole = re.split(r"(?<=[a-z)\]0-9P][.?!:]) +(?=[A-Z\\])", words)
    lines = [line for one in whole for line in WRAP.wrap(one)]
    return [f"\\&{line}" if line[:1] in (".", "'") else line for line in lines]


def item(text):
    tagged = TAG.fullmatch(text)
    if tagged:
        return [".TP", inline(tagged[1]), *sentences(tagged[2])]
    return [".IP \\(bu 2", *sentences(text)]


def code(lines, is_synopsis):
    """The synopsis stands at the margin, and its command is bold."""
    if is_synopsis:
        return [re.sub(r"^(\S+)", r"\\fB\1\\fP", exact(line)) for line in lines]
    kept = [f"\\&{exact(line)}" if line[:1] in (".", "'") else exact(line) for line in lines]
    return [".PP", ".in +4", ".nf", *kept, ".fi", ".in"]


def blocks(text):
    """Paragraphs, items and pieces of code, each with its kind."""
    for part, piece in enumerate(re.split(r"^```.*\n", text, flags=re.M)):
        if part % 2 == 1:
            yield "code", piece.rstrip("\n").split("\n")
            continue
        for paragraph in re.split(r"\n\s*\n|\n(?=- )", piece):
            if paragraph.startswith("- "):
                yield "item", " ".join(paragraph[2:].split())
            elif paragraph.strip():
                yield "paragraph", paragraph.strip()


def section(heading, text):
    lines = [f".SH {heading}"]
    if heading == "NAME":
        name, what = text.strip().split(" - ", 1)
        return [*lines, f"{exact(name)} \\- {plain(what)}"]
    for kind, content in blocks(text):
        if kind == "code":
            lines += code(content, heading == "SYNOPSIS")
        elif kind == "item":
            lines += item(content)
        else:
            lines += [".PP", *sentences(content)]
    # A paragraph that follows its heading needs no break.
    return [lines[0], *lines[2:]] if lines[1] == ".PP" else lines


def man_page(page, version, date):
    title, *sections = re.split(r"^## ", page, flags=re.M)
    name = title.removeprefix("# ").strip().upper()
    lines = [f'.TH {name} 1 {date} "libvconnpool {version}" "libvconnpool"']
    for one in sections:
        heading, _, text = one.partition("\n")
        lines += section(heading.strip(), text)
    return "\n".join(lines) + "\n"


def main():
    version, date, page, out = sys.argv[1:]
    source = Path(page)
    written = Path(out) / "man1" / f"{source.stem}.1"
    written.parent.mkdir(parents=True, exist_ok=True)
    text = man_page(source.read_text(encoding="utf-8"), version, date)
    written.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
