"""Display of tables on a page: kinds of columns, and the font size in print."""

import re
from collections.abc import Sequence

from semiseg.render.document import Cell, Table

_WORD = re.compile(r"[^\W\d_]{2,}")
_OF_NUMBERS = {"to", "more", "fewer", "less", "than", "inf", "nan", "mm", "undefined"}
_PRINT_SIZES = {"": 8, "wide": 7, "wider": 6, "widest": 5}
"""Font size in points by class, as in report.css."""
_PAGE_WIDTH, _LETTER, _PADDING = 774, 0.58, 1.0  # points of A4 landscape within margins; the others in ems
_LEAST_TEXT = 22  # least width of a text column in characters


def column_kinds(table: Table) -> tuple[str, ...]:
    """Return the cell class of each column: empty for a name, ``text`` for words beyond names, else ``number``."""
    end = len(table.columns) - table.text_at_end
    return tuple(
        "" if index < table.text_columns else "text" if index >= end or _is_text(cells) else "number"
        for index, cells in enumerate(zip(*table.rows, strict=True))
    )


def print_size(table: Table) -> str:
    """Return the class of a table that does not fit a printed page at the usual font size; empty for others."""
    columns = zip(column_kinds(table), table.columns, zip(*table.rows, strict=True), strict=True)
    ems = sum(_PADDING + _LETTER * _letters(*column) for column in columns)
    return next((name for name, size in _PRINT_SIZES.items() if ems * size <= _PAGE_WIDTH), "widest")


def _is_text(cells: Sequence[Cell]) -> bool:
    """Return whether a column has no number to sort by and contains words beyond those of numbers ("0.61 to 0.66")."""
    words = {word for cell in cells for word in _WORD.findall(cell.text.lower())}
    return all(cell.value is None for cell in cells) and not words <= _OF_NUMBERS


def _letters(kind: str, title: str, cells: Sequence[Cell]) -> int:
    """Return the minimum width of a column in characters: titles and text break between words, numbers do not."""
    longest = max((len(cell.text) for cell in cells), default=0)
    words = [len(word) for text in (title, *(cell.text for cell in cells if kind != "number")) for word in text.split()]
    return max([*words, longest if kind == "number" else min(longest, _LEAST_TEXT)])
