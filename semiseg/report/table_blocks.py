"""Blocks of a table: neighboring rows whose first cell is the same text, which is shown once."""

from collections.abc import Iterator
from itertools import pairwise

from semiseg.report.document import Cell, Table


def blocks(table: Table) -> Iterator[tuple[bool, tuple[Cell, ...]]]:
    """Each row, its repeated name left out, and whether it begins a block below another."""
    has_blocks = table.text_columns > 0 and any(a[0].text == b[0].text for a, b in pairwise(table.rows))
    before: str | None = None
    for row in table.rows:
        repeated = has_blocks and row[0].text == before
        begins = has_blocks and not repeated and before is not None
        yield begins, (Cell(""), *row[1:]) if repeated else row
        before = row[0].text
