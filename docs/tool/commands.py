"""Writes the man pages of programs, from Markdown pages that have a heading NAME.

Python's own library is enough, so that a package's build needs no network for man pages. It knows
what such pages have, and refuses all else: headings, paragraphs, lists of items, fences; code,
emphasis and man pages in a line. An item "`-t N`: what it does" or "0: what it means" has a tag.
"""

import re

from roff import bold, code_block, italic, plain, sentences

TAG = re.compile(r"^((?:`[^`]+`(?:, )?)+|\w+): (.*)$", re.S)
INLINE = re.compile(r"`(?P<code>[^`]+)`|\*(?P<emphasis>[^*]+)\*|\b(?P<page>[\w.]+\(\d\))|\[(?P<link>[^\]]+)\]\([^)]+\)")


class UnknownMarkdown(Exception):
    """The page has what this writer does not know."""


def inline(text):
    out, at = "", 0
    for match in INLINE.finditer(text):
        out += plain(text[at : match.start()])
        if match["page"]:
            name, section = match["page"].split("(")
            out += f"{bold(name)}({section}"
        else:
            out += bold(match["code"]) if match["code"] else italic(match["emphasis"] or match["link"])
        at = match.end()
    return out + plain(text[at:])


def filled(text):
    return sentences(inline(" ".join(text.split())))


def item(text):
    tag = TAG.match(text)
    if tag:
        return [".TP", inline(tag[1]), *filled(tag[2])]
    return [".IP \\(bu 2", *filled(text)]


def piece(text):
    """The lines of one piece between empty lines."""
    if text.startswith("```"):
        return code_block(text.split("\n", 1)[1].removesuffix("\n```"))
    if text.startswith("## "):
        return [f".SH {plain(text[3:])}"]
    if text.startswith("### "):
        return [f".SS {plain(text[4:])}"]
    if text.startswith("- "):
        return [line for each in re.split(r"\n(?=- )", text) for line in item(each[2:])]
    if re.match(r"[#|>!]|\d+\. ", text):
        raise UnknownMarkdown(text)
    return [".PP", *filled(text)]


def pieces(text):
    """The page between empty lines; a fence is one piece."""
    for part in re.split(r"(^```.*?^```$)", text, flags=re.M | re.S):
        if part.startswith("```"):
            yield part
        else:
            yield from (one.strip("\n") for one in re.split(r"\n{2,}", part) if one.strip())


def page(text, version, date):
    """(name, lines) of a page; None if it is no program's."""
    title, *rest = pieces(text)
    if rest[:1] != ["## NAME"]:
        return None
    name = title.removeprefix("# ")
    lines = [f'.TH {name} 1 {date} "libvconnpool {version}" "libvconnpool"', ".SH NAME"]
    what = rest[1].split(" - ", 1)[1]
    lines.append(f"{plain(name)} \\- {plain(' '.join(what.split()))}")
    return name, lines + [line for one in rest[2:] for line in piece(one)]
