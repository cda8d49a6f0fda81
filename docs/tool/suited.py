"""Suits a sentence that many functions share to one of them.

The chapter PARAMETERS, the comments of the status codes and the errors that a function takes over
from another one speak of all functions. Here what one of them does not have is left out: parameters
of another function, kinds of handles, and a NULL that this function refuses.
"""

import re

from prose import sentence

# What may be gone, and the type of the parameter that can name it.
MAY_BE_GONE = {"a token": "vcp_cancel", "a queue": "vcp_queue", "a vcp_resolved": "vcp_resolved"}
GONE = re.compile(r", or it names ([\w, ]+?) that is gone")
LIST = re.compile(r"((?:[\w>-]+, )*(?:[\w>-]+ or )?(?:an )?[\w>-]+)(?= is )")
NULL_ALLOWED = re.compile(r"; NULL.*")
# What an error's words add to the comment of its code, and do not replace.
ADDED = ("also ", "for NULL too")
BY_OTHERS = "another thread"


def joined(names):
    """ "a", "a or b", "a, b or c"."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def parts(text):
    return re.split(r", | or ", text)


def names(entry):
    return {name for _, name in entry.parameters}


def taken_over(text, other, entry):
    """The words of another function's error, without parameters that this one does not have."""
    lacking = names(other) - names(entry)
    clauses = []
    for clause in text.split(", or "):
        listed = LIST.match(clause)
        if listed is None:
            clauses.append(clause)
            continue
        kept = [each for each in parts(listed[1]) if owner(each) not in lacking]
        if kept:
            clauses.append(joined(kept) + clause[listed.end() :])
    return ", or ".join(clauses)


def owner(name):
    """The parameter that a name of an error's words belongs to."""
    return "options" if name == "an option" else name.split("->")[0]


def takes(entry, kind):
    """Whether a parameter is a handle of that type."""
    return any(re.fullmatch(rf"(?:const )?{kind} \*\w+", code) for code, _ in entry.parameters)


def of_handles(text, entry):
    """The comment of VCP_ERR_INVALID_HANDLE, with the kinds that the function takes."""

    def those_taken(match):
        kept = [each for each in parts(match[1]) if takes(entry, MAY_BE_GONE[each])]
        return f", or it names {joined(kept)} that is gone" if kept else ""

    return GONE.sub(those_taken, text)


def error(when, comment, entry):
    """What an error means for a function: its own words, or the comment of the code."""
    comment = of_handles(comment, entry)
    if when.startswith(ADDED):
        # "... or closed by another thread; also if another thread closes it" says it twice.
        clauses = comment.split(", or ")
        kept = [clause for clause in clauses if not (BY_OTHERS in clause and BY_OTHERS in when)]
        return sentence(f"{', or '.join(kept)}; {when}", names(entry))
    return sentence(when or comment, names(entry))


def refuses_null(entry, name, described, errors):
    """Whether the function says that this parameter must not be NULL, or itself what NULL does."""
    listed = rf"\b{name}\b(?:, (?:its )?\w+)*(?: or \w+)? is NULL(?! and)"
    said = [words for _, words in errors]
    said += [block.text for block in described.text if "NULL is VCP_OK" in block.text]
    return any(
        re.search(listed, words) or "NULL is VCP_OK" in words or words.startswith("for NULL too")
        for words in said
    )


def parameter(text, code, name, entry, is_null_refused):
    """What the chapter PARAMETERS says of a parameter, for this function."""
    if is_null_refused:
        text = NULL_ALLOWED.sub("", text)
    if name == "options" and entry.name.endswith("_init"):
        return text.replace(", filled by its _init function", "")
    if name == "size":
        of_buffer, of_struct = text.split(", or ")
        return of_buffer if "buffer" in names(entry) else f"{of_struct} is"
    if name == "buffer":
        to_fill, to_write = text.split(", or ")
        return to_write if code.startswith("const ") else to_fill
    return text
