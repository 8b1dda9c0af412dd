"""Tables as files, in every format."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from semiseg.io.atomic import write_text
from semiseg.report.document import Cell, Table
from semiseg.report.table_cells import NONE
from semiseg.report.table_markup import as_latex, as_markdown
from semiseg.report.table_text import as_text

_ONE_NUMBER = re.compile(r"<?[-+]?\d+(\.\d+)?")


def as_csv(table: Table) -> str:
    """Columns and rows alone; a number in full precision where a cell shows one, and nothing where there is none."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_raw(cell) for cell in row] for row in table.rows)
    return file.getvalue()


FORMATS: Mapping[str, Callable[[Table], str]] = {"txt": as_text, "csv": as_csv, "md": as_markdown, "tex": as_latex}
"""By the ending of a file's name."""


def write_tables(folder: Path, tables: Iterable[Table]) -> tuple[Path, ...]:
    """Write KEY.txt, KEY.csv, KEY.md and KEY.tex of each table, each atomically, and tell their paths.

    Raises StorageError where the disk is full.
    """
    paths = []
    for table in tables:
        for ending, show in FORMATS.items():
            path = folder / f"{table.key}.{ending}"
            write_text(path, show(table))
            paths.append(path)
    return tuple(paths)


def _raw(cell: Cell) -> str:
    if cell.text == NONE:
        return ""
    if cell.value is None or not _ONE_NUMBER.fullmatch(cell.text):
        return cell.text
    return f"{cell.value:.15g}"
