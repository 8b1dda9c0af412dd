"""A table as plain text."""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

from semiseg.render.document import Cell, Table
from semiseg.render.table_blocks import blocks, side

_NOTES_WIDTH = 100


def as_text(table: Table) -> str:
    """Return aligned columns between title and notes: ``*…*`` is bold; a block's repeated name is left out."""
    bold = [any(row[i].bold for row in table.rows) for i in range(len(table.columns))]
    rows = [[_starred(cell, marked) for cell, marked in zip(row, bold, strict=True)] for _, row in blocks(table)]
    columns = list(zip(table.columns, *rows, strict=True))
    widths = [max(map(cell_len, [*title.split(), *texts])) for title, *texts in columns]
    heads = [textwrap.wrap(title, width) for title, width in zip(table.columns, widths, strict=True)]
    height = max(map(len, heads))
    heads = [[""] * (height - len(head)) + head for head in heads]
    lines = [_aligned(table, line, widths) for line in zip(*heads, strict=True)]
    lines.append("  ".join("-" * width for width in widths))
    for row, (begins, _) in zip(rows, blocks(table), strict=True):
        lines += [*([""] if begins else []), _aligned(table, row, widths)]
    notes = [textwrap.fill(note, _NOTES_WIDTH) for note in table.notes]
    return "\n".join([table.title, "", *lines, *([""] if notes else []), *notes]) + "\n"


def _starred(cell: Cell, marked: bool) -> str:
    if not marked:
        return cell.text
    return f"*{cell.text}*" if cell.bold else f" {cell.text} "


def _aligned(table: Table, texts: Sequence[str], widths: Sequence[int]) -> str:
    padded = []
    for index, (text, width) in enumerate(zip(texts, widths, strict=True)):
        space = " " * (width - cell_len(text))
        padded.append(text + space if side(table, index) == "left" else space + text)
    return "  ".join(padded).rstrip()
