"""What reports are made of: tables, figures, cases to look at. How they are shown is for others to know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Cell:
    """A table's cell: its text, whether it is an improvement (bold), and a number to sort by where it has one.

    ``parts`` are the numbers of a text that shows several, or may, by the names of their columns in a CSV file.
    """

    text: str
    bold: bool = False
    value: float | None = None
    parts: tuple[tuple[str, float | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table: a row has as many cells as there are columns; ``text_columns`` leading ones are left-aligned text.

    So are the last ``text_at_end``, such as a column of notes. ``key`` is a file name without its ending; ``notes`` say
    how the figures came to be.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    text_columns: int = 1
    text_at_end: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: ``svg`` and ``png`` are whole files, ``alt`` says in words what is to be seen.

    ``note`` goes below the title: what bands and bars are, and of how many cases and seeds.
    """

    key: str
    title: str
    alt: str
    svg: bytes
    png: bytes
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report under a heading: sentences, then figures, then tables."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseScore:
    """One value of the per-case table; ``value`` is None where it is undefined or infinite, and ``shown`` says what."""

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

    ``image`` (X, Y, Z) is one channel, ``labels`` are class indices (X, Y, Z) by title (truth first, then predictions);
    axes are R, A, S; ``spacing`` in mm; ``about`` a line such as "mean Dice 0.41 supervised, 0.52 CPS".
    """

    name: str
    about: str
    image: NDArray[Any]
    labels: Mapping[str, NDArray[np.uint8]]
    spacing: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report: what report.html shows, in this order.

    Attributes:
        title: of the page.
        summary: sentences that answer what the reader came for.
        sections: tables and figures.
        scores: every value of every test case, to be sorted and filtered.
        cases: worst cases, worst first, to be looked at slice by slice.
        classes: names by index, background first: the viewer's legend.
        protocol: how cases were split and what was opened when; label to text.
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
