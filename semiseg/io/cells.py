"""Texts in CSV files: what a spreadsheet would run as a formula is marked as text."""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_MARKED = re.compile(r"'+[=+\-@\t\r\n]")


def as_cell(text: str) -> str:
    """A text for a cell of a CSV file, with ``'`` before one that begins as a formula does: ``=``, ``+``, ``-``, ``@``.

    ``from_cell`` gives the text back.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """The text of a cell that ``as_cell`` made."""
    return cell[1:] if _MARKED.match(cell) else cell
