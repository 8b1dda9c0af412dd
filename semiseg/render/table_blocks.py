"""Layout of a table: alignment of its columns, and its blocks.

A block consists of neighboring rows with the same text in their first cell; the text is shown once.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from semiseg.render.document import Cell, Table

_TEXT_TITLES = ("note", "verdict")


def blocks(table: Table) -> Iterator[tuple[bool, tuple[Cell, ...]]]:
    """Yield each row without its repeated name, and whether it starts a block below another."""
    has_blocks = table.text_columns > 0 and any(a[0].text == b[0].text for a, b in pairwise(table.rows))
    before: str | None = None
    for row in table.rows:
        repeated = has_blocks and row[0].text == before
        begins = has_blocks and not repeated and before is not None
        yield begins, (Cell(""), *row[1:]) if repeated else row
        before = row[0].text


def side(table: Table, index: int) -> Literal["left", "right"]:
    """Return the alignment of a column: left for text, right for numbers."""
    ends = len(table.columns) - table.text_at_end
    is_text = index < table.text_columns or index >= ends or table.columns[index] in _TEXT_TITLES
    return "left" if is_text else "right"
