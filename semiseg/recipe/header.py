"""The comment at the top of a recipe: a title, and entries such as Purpose, Data, Command and Time."""

import re

_ENTRY = re.compile(r"# ([A-Z][a-z]+) {2,}(\S.*)")
_MORE = re.compile(r"# {3,}(\S.*)")
_SENTENCE = re.compile(r"\.\s+(?=[A-Z])")


def read_header(text: str) -> dict[str, str]:
    """Return the entries of a recipe's first comment by keyword, and its first line as ``Title``; lines are joined."""
    entries: dict[str, str] = {}
    word = ""
    for line in text.removeprefix("\ufeff").splitlines():
        if not line.startswith("#"):
            break
        if entry := _ENTRY.match(line):
            word = entry[1]
            entries.setdefault(word, entry[2].strip())
        elif word and (more := _MORE.match(line)):
            entries[word] += f" {more[1].strip()}"
        else:
            word = ""
            entries.setdefault("Title", line.lstrip("# ").strip())
    return entries


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, without its full stop."""
    return _SENTENCE.split(text, maxsplit=1)[0].rstrip(".")
