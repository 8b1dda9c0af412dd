"""Documented defaults: a table of each option's default, the published value and its source, against the code.

A page (Markdown) has a table | strategy | option | default | published | source or reason |, and a table of the public
code that its sources start with: | name | owner/repository@commit |.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from semiseg.interfaces.strategy import Strategy

COLUMNS = ["strategy", "option", "default", "published", "source or reason"]
UNKNOWN = "–"
"""The published value of an option that the public code does not have."""
_CODE = re.compile(r"[\w-]+/[\w.-]+@[0-9a-f]{7}\b")
_PLACE = r"[\w/.+-]+\.(py|ya?ml|md):\d+(-\d+)?(,\d+(-\d+)?)*"


@dataclass(frozen=True)
class Row:
    """A row of the table; ``strategies`` is empty for all of the page's."""

    strategies: tuple[str, ...]
    option: str
    default: str
    published: str
    source: str


def rows_of(page: str) -> list[Row]:
    """Return the rows of a page's tables of defaults."""
    found, columns = [], None
    for cells in _table_rows(page):
        if cells and cells[0] == COLUMNS[0]:
            columns = cells
        elif not cells:
            columns = None
        elif columns == COLUMNS and not cells[0].startswith("--"):
            strategies = () if cells[0] == "all" else tuple(re.findall(r"`(\w+)`", cells[0]))
            found.append(Row(strategies, cells[1].strip("`"), *cells[2:]))
    return found


def problems(page: str, strategies: Mapping[str, type[Strategy]]) -> list[str]:
    """Return how a page's table differs from the options of its strategies, by name; empty if it does not.

    Every option of each strategy has one row, with the default of ``Options``. Where the published value is the same,
    the row has a place in the public code; where it is not, it says why the default is "ours: …". Published values are
    those of the preset "paper", if the strategy has one.
    """
    names = [cells[0] for cells in _table_rows(page) if len(cells) == 2 and _CODE.match(cells[1])]
    place = re.compile(rf"({'|'.join(map(re.escape, names))}) {_PLACE}") if names else None
    written: dict[tuple[str, str], int] = {}
    found = []
    for row in rows_of(page):
        for strategy in row.strategies or strategies:
            written[strategy, row.option] = written.get((strategy, row.option), 0) + 1
            options = strategies[strategy].Options.model_fields if strategy in strategies else {}
            field = options.get(row.option)
            if field is None:
                found.append(f"{strategy} has no option {row.option}")
            elif not means(row.default, field.get_default(call_default_factory=True)):
                found.append(f"{strategy}.{row.option} is {field.default!r}, not {row.default}")
            found += _preset_problems(strategy, row, strategies.get(strategy))
        ours = row.source.startswith("ours: ")
        if ours == (row.published == row.default):
            found.append(f"{row.option}: {row.default} here, {row.published} published, with the reason {row.source!r}")
        if not ours and (place is None or not place.match(row.source)):
            found.append(f"{row.option}: {row.source!r} is no place in {', '.join(names)}")
    for name, strategy_class in strategies.items():
        for option in strategy_class.Options.model_fields:
            if written.get((name, option), 0) != 1:
                found.append(f"{name}.{option} has {written.get((name, option), 0)} rows")
    return found


def _preset_problems(name: str, row: Row, strategy: type[Strategy] | None) -> list[str]:
    """Return a problem if the strategy's preset "paper" has another value than the published one."""
    if strategy is None or "paper" not in strategy.presets or row.published == UNKNOWN:
        return []
    value = getattr(strategy.Options(**strategy.presets["paper"]), row.option, None)
    return [] if means(row.published, value) else [f"{name}: {row.option} is {value!r} in the preset paper"]


def means(text: str, value: Any) -> bool:
    """Return whether a cell means a value: none, true, a number or fraction such as 2/17, a list, or a word."""
    if value is None or isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, tuple):
        parts = text.removeprefix("[").removesuffix("]").split(", ")
        return len(parts) == len(value) and all(map(means, parts, value))
    if isinstance(value, int | float):
        try:
            return float(Fraction(text)) == float(value)
        except ValueError:
            return False
    return text == str(value)


def _table_rows(page: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a Markdown page's tables, and an empty list for each other line."""
    for line in page.splitlines():
        yield [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
