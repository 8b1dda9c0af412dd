"""Text in CSV files: cells that a spreadsheet would run as a formula are marked as text."""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_MARKED = re.compile(r"'+[=+\-@\t\r\n]")


def as_cell(text: str) -> str:
    """Return text for a CSV cell, with ``'`` before text that starts like a formula: ``=``, ``+``, ``-``, ``@``.

    ``from_cell`` restores the text.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Return the text of a cell made by ``as_cell``."""
    return cell[1:] if _MARKED.match(cell) else cell
