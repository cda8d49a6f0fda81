"""The form of the header's prose: blocks of a text, the parts of a function's comment, its words.

A text is paragraphs, and blocks that are indented by four columns: a table (its columns are two or
more spaces apart), code, or a list of lines. A line in capitals is a heading, and so are capitals
that begin a paragraph ("RESOLVING. A name ..."). Lines that begin with " - " are items.

A function's comment has a regular end: a paragraph "Returns ...", a paragraph "Threads: ...", one
"Example:" with its code, and one "Errors: A, B if this; C if that.", with a table instead if there
are many.
"""

import re
from dataclasses import dataclass, field

START = "START HERE. "
RUN_IN = re.compile(r"^([A-Z][A-Z, ]{2,})\. +(?=\S)")
HEADING = re.compile(r"^[A-Z][A-Z, ]{3,}$")
CODE = re.compile(r"[;{}]$|^\s*=", re.M)


@dataclass
class Block:
    """kind: heading, paragraph, code, table, lines, items. Only its own fields are set."""

    kind: str
    text: str = ""
    head: list = field(default_factory=list)
    rows: list = field(default_factory=list)


def chunks(lines):
    """The pieces between empty lines; code keeps the empty lines that stand in it."""
    pieces = [[]]
    for line in lines:
        if not line.strip():
            pieces.append([])
        elif not pieces[-1] and line.startswith("    ") and is_code(last_full(pieces)):
            pieces = [piece for piece in pieces if piece]
            pieces[-1] += ["", line]
        else:
            pieces[-1].append(line)
    return [piece for piece in pieces if piece]


def last_full(pieces):
    return next((piece for piece in reversed(pieces) if piece), [])


def is_code(piece):
    return bool(piece) and piece[0].startswith("    ") and bool(CODE.search("\n".join(piece)))


def column_starts(lines):
    """Where the columns of a table begin: under its line of dashes, or where most lines agree."""
    if len(lines) > 1 and re.fullmatch(r"[- ]+", lines[1]):
        return [match.start() for match in re.finditer(r"-+", lines[1])]
    starts = [match.end() for line in lines for match in re.finditer(r"\S {2,}(?=\S)", line)]
    for start in sorted(set(starts), key=lambda start: (-starts.count(start), start)):
        if all(not line[start - 2 : start].strip() for line in lines):
            return [0, start]
    return []


def rows_of(lines, starts):
    rows = []
    ends = starts[1:] + [None]
    for line in lines:
        cells = [line[start:end].rstrip() for start, end in zip(starts, ends)]
        if rows and (not cells[0] or cells[0].startswith("  ")):
            rows[-1] = [f"{old} {new.strip()}".strip() for old, new in zip(rows[-1], cells)]
        else:
            rows.append([cell.strip() for cell in cells])
    return rows


def indented(piece):
    """The block of an indented piece."""
    lines = [line[4:] for line in piece]
    if is_code(piece):
        return Block("code", "\n".join(lines))
    starts = column_starts(lines)
    if len(starts) < 2:
        return Block("lines", rows=[[line.strip()] for line in lines])
    has_head = re.fullmatch(r"[- ]+", lines[1]) if len(lines) > 1 else None
    head = rows_of(lines[:1], starts)[0] if has_head else []
    return Block("table", head=head, rows=rows_of(lines[2:] if has_head else lines, starts))


def items(piece):
    """The block of a list of items."""
    texts = re.split(r"\n - ", "\n".join(piece)[3:])
    return Block("items", rows=[[" ".join(text.split())] for text in texts])


def blocks(lines):
    """The blocks of a text."""
    found = []
    for piece in chunks(lines):
        if piece[0].startswith("    "):
            found.append(indented(piece))
            continue
        if piece[0].startswith(" - "):
            found.append(items(piece))
            continue
        text = " ".join(line.strip() for line in piece)
        run_in = RUN_IN.match(text)
        if HEADING.match(text):
            found.append(Block("heading", text.capitalize()))
        elif run_in:
            found.append(Block("heading", run_in[1].capitalize()))
            found.append(Block("paragraph", text[run_in.end() :]))
        else:
            found.append(Block("paragraph", text))
    return found


# ---- the parts of a function's comment ----

CODES = re.compile(r"VCP_(?:ERR_\w+|OK)(?:(?:, | and |, and | or )VCP_ERR_\w+)*")
THOSE_OF = re.compile(r"those of (vcp_\w+)(?:, except ([^.;]*))?")


@dataclass
class Described:
    """A function's comment in its parts; errors are pairs (code, when), when "" is "as ever"."""

    text: list
    returns: str = ""
    threads: str = ""
    errors: list = field(default_factory=list)
    inherits: list = field(default_factory=list)
    example: str = ""


def clauses(text):
    """ "A, B if x; C: y. D." as pairs (codes, words)."""
    found = []
    for part in re.split(r"(?:[;.]|, and) +(?=VCP_ERR_|those of )", text.rstrip(".")):
        found.append(part.strip())
    return found


def read_errors(described, text):
    for clause in clauses(text):
        inherited = THOSE_OF.match(clause)
        if inherited:
            without = re.findall(r"VCP_ERR_\w+", inherited[2] or "")
            described.inherits.append((inherited[1], without))
            continue
        match = CODES.match(clause)
        if match is None:
            raise ValueError(f"an Errors paragraph begins each part with a code: {clause}")
        when = clause[match.end() :].lstrip(":,").strip()
        codes = re.findall(r"VCP_(?:ERR_\w+|OK)", match[0])
        described.errors += [(code, when if code == codes[-1] else "") for code in codes]


def describe(comment):
    """The parts of a function's comment."""
    found = Described(text=[])
    comment = unmarked(comment)
    expected = None
    for block in blocks(comment):
        name = re.match(r"(Returns|Errors|Threads|Example):? ?", block.text)
        if expected == "Errors" and block.kind == "table":
            found.errors += [(code, when) for code, when in block.rows]
        elif expected == "Example" and block.kind == "code":
            found.example = block.text
        elif block.kind != "paragraph" or name is None:
            found.text.append(block)
        elif name[1] == "Errors" and block.text != "Errors:":
            read_errors(found, block.text[name.end() :])
        elif name[1] == "Returns" and found.text:
            found.returns = block.text
        elif name[1] == "Threads":
            found.threads = block.text[name.end() :]
        elif name[1] == "Returns":
            found.text.append(block)
        expected = name[1] if name else None
    return found


def is_start(comment):
    """Whether the comment is marked as one to read first."""
    return bool(comment) and comment[0].startswith(START)


def unmarked(comment):
    """A comment without the mark of what is to be read first."""
    return [line.removeprefix(START) for line in comment[:1]] + comment[1:]


def summary(text):
    """The first sentence of a text, without what stands in parentheses."""
    text = re.sub(r" \([^()]*\)", "", text)
    return re.split(r"(?<=[\w)\]\"])[.:;] |\.$", text, maxsplit=1)[0]


def sentence(text, names=()):
    """A condition "if it is so" as a sentence; a name at its beginning stays small."""
    if not text:
        return ""
    first = re.match(r"[\w*]+", text)
    is_name = first and (first[0] in names or "_" in first[0])
    text = text if is_name else text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


# ---- words that mean something ----

# "(see MEMORY)", "the table TIMES above": a chapter of the header's opening, or a group.
POINTED_AT = r"(?:(?<=\bsee )|(?<=\btable ))(?!RFC )[A-Z]{3,}(?: [A-Z]{3,})*\b(?: above)?"
WORDS = re.compile(
    rf"(?P<pointer>{POINTED_AT})"
    r"|(?P<shell>\$\([^)]*\)|(?<!\S)--[a-z]\S*)"
    r"|(?P<field>vcp_[a-z_]+\.[a-z_]+)"
    r"|(?P<wild>(?:vcp|VCP)_\w*\*)"
    r"|(?P<name>(?:vcp|VCP)_\w+(?:\([a-z*]*\))?)"
    r"|(?P<page>[_A-Za-z][\w.]*\([1-8]\))"
    r"|(?P<rfc>RFC \d+(?:, section [\d.]*\d)?)"
    r"|(?P<literal>sizeof(?:\(\w+\)| \*\w+)|(?<![\w*])\*[a-z_]+"
    r"|\b(?:NULL|INT64_M\w+|[A-Z]+_[A-Z_0-9]+"
    r"|E[A-Z]*AGAIN|EINTR|E[MN]FILE|ENOBUFS|EPOLL[A-Z]*|SIG[A-Z]{3,}|errno|MSG_PEEK)\b"
    r"|\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b)"
)


def words(text):
    """The text as pairs (kind, text); kind "" is plain."""
    at = 0
    for match in WORDS.finditer(text):
        if match.start() > at:
            yield "", text[at : match.start()]
        yield match.lastgroup, match[0]
        at = match.end()
    if at < len(text):
        yield "", text[at:]
