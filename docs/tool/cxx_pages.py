"""Writes the pages of the reference for C++, in Sphinx's C++ domain."""

import re

import prose
from cxx import CxxError, entries_of
from rest import Writer, apart, escape_role, indent

# page: title, and what stands on it, in this order; what ends in a colon is a heading. A class has
# its name as a heading if others stand beside it. What stands on no page is an error.
PAGES = {
    "cpp-pool": ("vcp::pool", ["pool"]),
    "cpp-conn": ("vcp::conn", ["conn", "conn_ref"]),
    "cpp-cancel": ("vcp::cancel", ["cancel"]),
    "cpp-queue": ("vcp::queue", ["queue", "completion"]),
    "cpp-sessions": (
        "vcp::session_pool",
        ["session_pool", "session", "session_ref", "session_request"],
    ),
    "cpp-options": (
        "Options and callbacks",
        [
            "pool_options",
            "dial_options",
            "callbacks",
            "Times:",
            "forever",
            "as_the_pool",
            "time_point",
        ],
    ),
    "cpp-errors": (
        "Errors",
        [
            "error",
            "Codes:",
            "errc",
            "Functions:",
            "last_error",
            "errno_of",
            "operator==",
            "operator!=",
            "category",
            "make_error_code",
            "make_error_condition",
        ],
    ),
    "cpp-asio": ("vcp::asio", ["asio::async_dial", "asio::stream"]),
}
DIRECTIVE = {
    "function": "function",
    "variable": "member",
    "typedef": "type",
    "enum": "enum-class",
    "enumerator": "enumerator",
    "class": "class",
    "struct": "struct",
}
# Forms that only a newer standard has.
NEWER = {"std::span": "C++20", "std::expected": "C++23"}
# Where a name alone may come from, beside the class that is described.
SCOPES = ("callbacks", "pool_options", "errc", "asio")
CODE = re.compile(
    r"(?:\b[a-z]\w*::)+\w+(?:<\w[\w, ]*>)?(?:\([\w, ]*\))?"
    r"|\b(?!vcp_)[a-z]\w*(?:<[A-Z][\w, ]*>(?:\(\w*\))?|\([a-z_]*\))"
    r'|\b(?:ec|conn|errc|forever|nullptr)\b|""|<vconnpool[^<>]*>'
)


class CxxWriter(Writer):
    """Knows the headers for C++ as well. scope: the class that is described."""

    language = "cpp"

    def __init__(self, library, cxx):
        super().__init__(library)
        self.cxx, self.scope = cxx, ""

    # ---- words ----

    def inline(self, text, own=()):
        done, at = "", 0
        for match in CODE.finditer(text):
            done += super().inline(text[at : match.start()], own) + self.code(match[0])
            at = match.end()
        return done + super().inline(text[at:], own)

    def word(self, kind, word, own):
        if kind == "literal" and word not in own and self.find(word):
            return self.code(word)
        return super().word(kind, word, own)

    def code(self, code):
        name = self.find(re.sub(r"<.*>|\(.*\)", "", code))
        if name is None:
            return apart(f"``{code}``")
        return apart(f":cpp:any:`{escape_role(code)} <vcp::{name}>`")

    def find(self, name):
        """What a name in a comment means: the full name below vcp, or None."""
        name = name.removeprefix("vcp::")
        owner, _, member = name.rpartition("::")
        for where in (owner,) if owner else (self.scope, *SCOPES):
            place = f"{self.cxx.owner_of(where, member) or where}::{member}"
            if place in self.cxx.names:
                return place
        return name if name in self.cxx.names else None

    # ---- declarations ----

    def page(self, page, opening=()):
        """A page's lines; opening: what it says first."""
        title, names = PAGES[page]
        lines = [title, "=" * len(title), "", *opening]
        for name in names:
            space, _, short = f"vcp::{name}".rpartition("::")
            heading = name[:-1] if is_heading(name) else short
            if is_heading(name) or (len(names) > 1 and name in self.cxx.classes):
                lines += [heading, "~" * len(heading), ""]
            if is_heading(name):
                continue
            lines += [f".. cpp:namespace:: {space}", ""]
            lines += self.described(name)
        return lines

    def described(self, name):
        if name in self.cxx.classes:
            return self.of_class(name)
        entries = entries_of(self.cxx.free[name])
        return [line for entry in entries for line in self.entry(entry)]

    def of_class(self, name):
        one, self.scope = self.cxx.classes[name], name
        body = self.blocks(one.text)
        for owner in dict.fromkeys(owner for owner, _ in one.taken):
            names = ", ".join(self.taken(*each) for each in one.taken if each[0] == owner)
            body += [f"As in :cpp:any:`{owner} <vcp::{owner}>`: {names}.", ""]
        for entry in entries_of(one.members):
            body += self.entry(entry)
        self.scope = ""
        return [f".. cpp:{one.kind}:: {one.code}", ""] + indent(body)

    def taken(self, owner, member):
        place = self.cxx.owner_of(owner, member)
        if place is None:
            raise CxxError(f"using {owner}::{member}: no such member")
        is_function = not member.startswith("operator")
        return f":cpp:any:`{member}{'()' * is_function} <vcp::{place}::{member}>`"

    def entry(self, entry):
        directive = f".. cpp:{DIRECTIVE[entry.kind]}::"
        if entry.kind == "variable" and not self.scope:
            directive = ".. cpp:var::"
        lines = [f"{directive} {entry.forms[0].code}"]
        lines += [" " * (len(directive) + 1) + form.code for form in entry.forms[1:]]
        body = self.blocks(entry.text) + self.blocks(self.more(entry))
        for value in entry.forms[0].members:
            body += [f".. cpp:enumerator:: {value.code}", ""]
            body += indent(self.blocks(value.text))
        return lines + [""] + indent(body)

    def more(self, entry):
        texts = list(entry.more)
        codes = [form.code for form in entry.forms]
        for kind, standard in NEWER.items():
            count = sum(kind in code for code in codes)
            if count == len(codes):
                texts.append(f"Under {standard}.")
            elif count:
                texts.append(f"The forms with {kind} are there under {standard}.")
        return [prose.Block("paragraph", " ".join(texts))] if texts else []

    def names_of(self, page):
        """What stands on a page, each with a line on it."""
        rows = []
        for name in PAGES[page][1]:
            if is_heading(name):
                continue
            place = self.cxx.classes.get(name) or self.cxx.free[name][0]
            line = prose.sentence(prose.summary(place.text[0].text))
            rows.append((f":cpp:any:`vcp::{name}`", self.inline(line)))
        return rows


def is_heading(name):
    return name.endswith(":")


def refuse_what_has_no_page(cxx):
    placed = {name for _, names in PAGES.values() for name in names if not is_heading(name)}
    lost = sorted({*cxx.classes, *cxx.free} ^ placed)
    if lost:
        raise CxxError(f"on no page of the reference, or in no header: {', '.join(lost)}")
