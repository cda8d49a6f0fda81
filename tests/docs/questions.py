"""Looks whether the site answers the questions that people come with, where the list says.

questions.py HTML QUESTIONS
"""

import sys
from pathlib import Path

from page import Page


def fault(site, where, heading, words):
    path = site / f"{where}.html"
    if not path.is_file():
        return "no such page"
    headings = Page(path).headings
    if heading not in headings:
        return f"no heading {heading!r}, only {sorted(headings)}"
    text = " ".join(headings[heading].split())
    return None if words in text else f"nothing of {words!r} under {heading!r}"


def main(site, questions):
    lines = questions.read_text(encoding="utf-8").splitlines()
    rows = [
        [cell.strip() for cell in line.split("|")] for line in lines if not line.startswith("#")
    ]
    faults = 0
    for question, *place in rows:
        wrong = fault(site, *place)
        if wrong:
            faults += 1
            print(f"{question} {place[0]}: {wrong}")
    print(f"questions: {len(rows) - faults} of {len(rows)} are answered where the list says")
    return 1 if faults or len(rows) < 10 else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2])))
