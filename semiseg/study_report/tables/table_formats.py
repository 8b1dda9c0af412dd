"""Tables as files, in every format."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from semiseg.csv_cells import as_cell
from semiseg.io.atomic import write_text
from semiseg.render.cells import NONE
from semiseg.render.document import Cell, Table
from semiseg.render.table_markup import as_latex, as_markdown
from semiseg.render.table_text import as_text

_ONE_NUMBER = re.compile(r"<?[-+]?\d+(\.\d+)?%?")


def as_csv(table: Table) -> str:
    """Return only columns and rows; numbers in full precision, and nothing for a missing number.

    A column whose cells have ``parts`` becomes one column per part, under the parts' names.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    parts = [_part_names(row[index] for row in table.rows) for index in range(len(table.columns))]
    titles = [names or [title] for title, names in zip(table.columns, parts, strict=True)]
    writer.writerow([as_cell(title) for names in titles for title in names])
    for row in table.rows:
        named = [replace(cell, text=as_cell(cell.text)) for cell in row[: table.text_columns]]
        cells = zip([*named, *row[table.text_columns :]], parts, strict=True)
        writer.writerow([text for cell, names in cells for text in _raw_parts(cell, names)])
    return file.getvalue()


FORMATS: Mapping[str, Callable[[Table], str]] = {"txt": as_text, "csv": as_csv, "md": as_markdown, "tex": as_latex}
"""Formatters by file suffix."""


def write_tables(folder: Path, tables: Iterable[Table]) -> tuple[Path, ...]:
    """Write KEY.txt, KEY.csv, KEY.md and KEY.tex of each table, each atomically, and return their paths.

    Raises StorageError if the disk is full.
    """
    paths = []
    for table in tables:
        for ending, show in FORMATS.items():
            path = folder / f"{table.key}.{ending}"
            write_text(path, show(table))
            paths.append(path)
    return tuple(paths)


def _part_names(cells: Iterable[Cell]) -> list[str]:
    return list(dict.fromkeys(name for cell in cells for name, _ in cell.parts))


def _raw_parts(cell: Cell, names: Sequence[str]) -> list[str]:
    if not names:
        return [_raw(cell)]
    if not cell.parts:
        return [_raw(cell), *[""] * (len(names) - 1)]
    values = dict(cell.parts)
    return ["" if (value := values.get(name)) is None else _number(value) for name in names]


def _raw(cell: Cell) -> str:
    if cell.text == NONE:
        return ""
    if cell.value is None or not _ONE_NUMBER.fullmatch(cell.text):
        return cell.text
    return _number(cell.value)


def _number(value: float) -> str:
    return f"{value:.15g}"
