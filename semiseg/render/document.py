"""Content of reports: tables, figures, cases to view. Independent of how they are displayed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.types import IGNORED


@dataclass(frozen=True, slots=True)
class Cell:
    """A table's cell: its text, a flag for an improvement (bold), and a number to sort by, if any.

    ``parts`` are the numbers of a cell that may show several, by the names of their columns in a CSV file.
    """

    text: str
    bold: bool = False
    value: float | None = None
    parts: tuple[tuple[str, float | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row has one cell per column.

    The ``text_columns`` first and ``text_at_end`` last columns, such as a column of notes, are left-aligned text.
    ``key`` is a file name without its suffix; ``notes`` explain how the numbers were computed. A page shows only the
    first ``page_columns``, if set; files have all.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    text_columns: int = 1
    text_at_end: int = 0
    page_columns: int | None = None

    def on_page(self) -> "Table":
        """Return the table as a page shows it."""
        if self.page_columns is None:
            return self
        rows = tuple(row[: self.page_columns] for row in self.rows)
        return replace(self, columns=self.columns[: self.page_columns], rows=rows, page_columns=None)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: ``svg`` is a complete file, ``png`` draws another one, ``alt`` describes the content in words.

    ``note`` goes below the title: the meaning of bands and bars, and the numbers of cases and seeds.
    """

    key: str
    title: str
    alt: str
    svg: bytes
    png: Callable[[], bytes] = field(compare=False)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A number at the top of a page: what it is, its value, and its uncertainty or comparison below."""

    title: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of an image: ``png`` is a complete file, ``alt`` describes it, ``note`` goes below the title."""

    png: bytes
    alt: str
    title: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report under a heading: sentences, then pictures, then figures, then tables."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseScore:
    """One value of the per-case table; ``value`` is None if undefined or infinite, as explained by ``shown``."""

    run: str
    checkpoint: str
    case: str
    class_name: str
    metric: str
    value: float | None
    shown: str
    status: str


@dataclass(frozen=True, slots=True, eq=False)
class ViewedCase:
    """A case in the slice viewer.

    ``image`` (X, Y, Z) is one channel, ``labels`` are class indices (X, Y, Z) by title (truth first, then predictions).
    Axes are R, A, S; ``spacing`` is in mm; ``about`` is a line such as "mean Dice 0.41 supervised, 0.52 CPS". With
    ``has_ignored``, the truth may hold IGNORED. A ``picture`` has one slice, shown as a whole and as stored; in color
    if ``image`` is (X, Y, 1, 3) uint8.
    """

    name: str
    about: str
    image: NDArray[Any]
    labels: Mapping[str, NDArray[np.uint8]]
    spacing: tuple[float, float, float]
    has_ignored: bool = False
    picture: bool = False

    def of_classes(self) -> Mapping[str, NDArray[np.uint8]]:
        """Return the label maps with background instead of IGNORED."""
        if not self.has_ignored:
            return self.labels
        return {title: np.where(labels == IGNORED, np.uint8(0), labels) for title, labels in self.labels.items()}


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report, in the order of report.html.

    Attributes:
        title: title of the page.
        summary: sentences with the main results.
        answer: one sentence with the main result, at the top; then the summary is a section of its own.
        cards: its numbers, next to each other.
        first: figures and tables below them, without a heading.
        sections: tables and figures.
        scores: every value of every test case, for sorting and filtering.
        cases: worst cases, worst first, for the slice viewer.
        classes: names by index, background first: the viewer's legend.
        protocol: the split of the cases, and when the test set was opened; label to text.
        environment: versions and machine; label to text.
    """

    title: str
    summary: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    scores: tuple[CaseScore, ...] = ()
    cases: Sequence[ViewedCase] = ()
    classes: tuple[str, ...] = ()
    protocol: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    answer: str = ""
    cards: tuple[Card, ...] = ()
    first: Section = Section("")
