"""The result of a comparison and its files: compare.json with every figure, compare.csv with the tables."""

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from semiseg.csv_cells import as_cell
from semiseg.io.atomic import atomic_file, write_json
from semiseg.tabular import as_html, data_frame

Verdict = Literal["better", "worse", "mixed", ""]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """One method in one row; a figure that does not exist is None, such as the baseline's comparison with itself.

    Attributes:
        method: its name.
        mean: mean over cases of the means over seeds; in the mean's row, over the classes' means.
        seed_std: standard deviation (n - 1) of the seeds' means; None with one seed.
        difference: this mean minus the baseline's.
        interval: 95 % bootstrap interval of the difference, over cases and seeds.
        p: Wilcoxon's signed-rank test of the cases' differences, two-sided.
        p_adjusted: p adjusted by Holm over all tests of the metric's table.
        effect: matched-pairs rank-biserial correlation, from -1 to 1.
        verdict: better or worse if p_adjusted is below 0.05, in the metric's direction; mixed if the ranks and the mean
            point in opposite directions; otherwise empty.
    """

    method: str
    mean: float | None
    seed_std: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None
    p_adjusted: float | None = None
    effect: float | None = None
    verdict: Verdict = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One class or region, or the mean of the classes, with the same cases for all methods.

    ``left_out`` values (cases; in the mean's row, over all its classes) are undefined for at least one run, and
    ``one_sided`` of them not for all. ``n`` is the number of remaining cases.
    """

    name: str
    kind: Literal["class", "region", "mean"]
    n: int
    left_out: int
    one_sided: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Rank:
    """One method's rank by its mean; 1 is the best, ties share their average rank.

    ``first`` is the fraction of bootstrap samples that it leads; ``mean_rank`` and ``interval`` (95 %) are over these.
    """

    method: str
    rank: float
    first: float
    mean_rank: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """The table of one metric.

    ``tests`` is the size of Holm's family; ``ranked_by`` the row that the ranks are based on. ``ranks`` is empty with
    fewer than two cases, ``tau`` (mean of Kendall's tau-b over samples) None if all methods tie.
    """

    metric: str
    unit: str
    higher_is_better: bool
    rows: tuple[Row, ...]
    tests: int
    ranked_by: str
    ranks: tuple[Rank, ...]
    tau: float | None


@dataclass(frozen=True, slots=True)
class MethodRuns:
    """The runs of a method, and a line that describes them."""

    name: str
    paths: tuple[str, ...]
    seeds: tuple[int | None, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compared methods; ``notes`` has differences that are allowed and checks that could not be made."""

    methods: tuple[MethodRuns, ...]
    baseline: str
    policy: str
    notes: tuple[str, ...]
    metrics: tuple[MetricComparison, ...]
    statistics: str

    def write(self, folder: Path) -> None:
        """Write compare.json and compare.csv, each atomically. Raises StorageError if the disk is full."""
        write_json(folder / "compare.json", asdict(self))
        path = folder / "compare.csv"
        with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(COLUMNS), lineterminator="\n")
            writer.writeheader()
            writer.writerows(
                {key: as_cell(value) if isinstance(value, str) else value for key, value in record.items()}
                for record in self._records()
            )

    def to_dataframe(self) -> Any:
        """Return the rows of compare.csv as a pandas.DataFrame. Raises ComponentError without pandas."""
        return data_frame({key: record[key] for key in COLUMNS} for record in self._records())

    def _repr_html_(self) -> str:
        """Return the tables for a notebook."""
        from semiseg.comparison.show import comparison_tables

        return as_html(comparison_tables(self))

    def _records(self) -> Iterator[dict[str, Any]]:
        for metric in self.metrics:
            about = {"metric": metric.metric, "unit": metric.unit}
            for row in metric.rows:
                where = about | {"class": row.name, "kind": row.kind, "n": row.n, "left_out": row.left_out}
                for entry in row.entries:
                    figures = asdict(entry)
                    low, high = figures.pop("interval") or (None, None)
                    yield where | figures | {"low": low, "high": high}


COLUMNS = (
    *("metric", "unit", "class", "kind", "n", "left_out", "method", "mean", "seed_std"),
    *("difference", "low", "high", "p", "p_adjusted", "effect", "verdict"),
)
