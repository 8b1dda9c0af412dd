"""Results as tables for notebooks: HTML, and data frames of pandas where that is installed."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from semiseg.errors import ComponentError

if TYPE_CHECKING:
    from rich.table import Table


def data_frame(records: Iterable[Mapping[str, Any]]) -> Any:
    """Return records as a pandas.DataFrame, a row each. Raises ComponentError if pandas is not installed."""
    try:
        from pandas import DataFrame  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise ComponentError("A data frame needs pandas, which is not installed.", "pip install pandas") from error
    return DataFrame(list(records))


def as_html(tables: Iterable["Table"]) -> str:
    """Return tables of the terminal as HTML for a notebook: title, header, rows and caption, without styles."""
    return "\n".join(map(_table, tables))


def _table(table: "Table") -> str:
    aligned = [f' style="text-align: {column.justify}"' for column in table.columns]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    lines = ["<table>"]
    if table.title:
        lines.append(f"<caption>{_text(table.title)}</caption>")
    heads = [column.header for column in table.columns]
    lines += ["<thead>", _row("th", heads, aligned), "</thead>", "<tbody>"]
    lines += [_row("td", row, aligned) for row in rows]
    lines += ["</tbody>", "</table>"]
    if table.caption:
        lines.append(f"<p>{_text(table.caption)}</p>")
    return "\n".join(lines)


def _row(tag: str, cells: Iterable[Any], aligned: Iterable[str]) -> str:
    made = (f"<{tag}{align}>{_text(cell)}</{tag}>" for cell, align in zip(cells, aligned, strict=True))
    return f"<tr>{''.join(made)}</tr>"


def _text(cell: Any) -> str:
    from rich.text import Text

    return escape((cell if isinstance(cell, Text) else Text.from_markup(str(cell))).plain).replace("\n", "<br>")
