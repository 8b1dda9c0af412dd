"""The table of one metric: means, differences, tests and ranks of methods on the same cases."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.comparison.methods import Method
from semiseg.comparison.repetitions import average
from semiseg.comparison.result import Entry, Interval, MetricComparison, Rank, Row, Verdict
from semiseg.scoring.score_case import Score
from semiseg.statistics.bootstrap import class_means, finite_mean, has_spread, mean_of_means, resampled_means
from semiseg.statistics.paired import holm, paired_differences, signed_rank
from semiseg.statistics.ranking import rank_stability

Array = NDArray[np.float64]
LEVEL = 0.95
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class _Line:
    """A row to be computed: the columns of its classes, averaged with equal weights."""

    name: str
    kind: Literal["class", "region", "mean"]
    columns: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class _Values:
    """Values of each method (seeds, cases, classes), and means of bootstrap samples (RESAMPLES, classes).

    A value that is undefined for one run is nan for all: ``left_out`` (cases, classes).
    """

    raw: Mapping[str, Array]
    samples: Mapping[str, Array]
    left_out: NDArray[np.bool_]
    one_sided: NDArray[np.bool_]

    def of(self, line: _Line, name: str) -> Array:
        """Return a method's values (seeds, cases, classes of the line)."""
        return self.raw[name][..., line.columns]

    def seed_means(self, line: _Line, name: str) -> Array:
        """Return a method's mean for each seed."""
        return mean_of_means(self.of(line, name))

    def sample_means(self, line: _Line, name: str) -> Array:
        """Return a method's mean in each bootstrap sample."""
        return class_means(self.samples[name][:, line.columns])


def compare_metric(
    metric: str, methods: Sequence[Method], baseline: str, value: Callable[[Score], float], *, higher_is_better: bool
) -> MetricComparison:
    """Compare methods whose runs scored the same cases and classes (``require_comparable``).

    ``value`` maps a score to its value, nan if undefined; its case is then excluded, for that class, in all methods. A
    case's value is its mean over a method's seeds (``semiseg.comparison.repetitions``), so that the cases are the units
    of the test: n is their number, regardless of the number of seeds. The mean's row averages the classes' means; its
    test uses each case's mean over its defined classes. A table of one class has no such row.
    """
    first = methods[0].tables[0]
    kinds = {key[1]: score.kind for key, score in first.scores.items() if key[0] == metric}
    cases = sorted({key[2] for key in first.scores if key[0] == metric})
    values = _gather(metric, methods, cases, tuple(kinds), value)
    lines, summed_up = _lines(kinds)
    rows = [_row(line, values, baseline) for line in lines]
    rows, tests = _adjust(rows, higher_is_better)
    ranks, tau = _ranks(summed_up, values, higher_is_better)
    unit = next(score.unit for key, score in first.scores.items() if key[0] == metric)
    return MetricComparison(metric, unit, higher_is_better, tuple(rows), tests, summed_up.name, ranks, tau)


def _gather(
    metric: str,
    methods: Sequence[Method],
    cases: Sequence[str],
    classes: Sequence[str],
    value: Callable[[Score], float],
) -> _Values:
    def table(method: Method) -> Array:
        scores = [run.scores for run in method.tables]
        rows = [[[value(one[metric, name, case]) for name in classes] for case in cases] for one in scores]
        return np.array(rows, dtype=np.float64)

    raw = {method.name: table(method) for method in methods}
    undefined = np.isnan(np.concatenate(list(raw.values())))
    left_out = undefined.any(axis=0)
    for array in raw.values():
        array[:, left_out] = np.nan
    raw = {method.name: average(raw[method.name], method.repetitions) for method in methods}
    samples = resampled_means(raw, {method.name: method.seeds for method in methods})
    return _Values(raw, samples, left_out, left_out & ~undefined.all(axis=0))


def _lines(kinds: Mapping[str, str]) -> tuple[list[_Line], _Line]:
    """Return a line for each class, then each region, then the mean; and the line that methods are ranked by.

    That is the mean of the classes, or of the regions if there are no classes. A single class has no mean: it would
    repeat the same test and count in Holm's correction.
    """
    names = list(kinds)
    classes = [_Line(names[i], "class", [i]) for i, kind in enumerate(kinds.values()) if kind == "class"]
    regions = [_Line(names[i], "region", [i]) for i, kind in enumerate(kinds.values()) if kind == "region"]
    averaged = classes or regions
    if len(averaged) == 1:
        return [*classes, *regions], averaged[0]
    title = f"mean of {len(averaged)} {'classes' if classes else 'regions'}"
    mean = _Line(title, "mean", [column for line in averaged for column in line.columns])
    return [*classes, *regions, mean], mean


def _row(line: _Line, values: _Values, baseline: str) -> Row:
    pooled = {name: finite_mean(values.of(line, name).mean(axis=0), axis=1) for name in values.raw}
    n = int(np.isfinite(pooled[baseline]).sum())
    entries = []
    for name in values.raw:
        seeds = values.seed_means(line, name)
        seed_std = _number(seeds.std(ddof=1)) if len(seeds) > 1 else None
        entry = Entry(name, _number(seeds.mean()), seed_std)
        if name != baseline and n:
            samples = values.sample_means(line, name) - values.sample_means(line, baseline)
            test = signed_rank(paired_differences(pooled[name], pooled[baseline]))
            entry = replace(
                entry,
                difference=float(seeds.mean() - values.seed_means(line, baseline).mean()),
                interval=_interval(samples) if has_spread(values.of(line, name)) else None,
                p=test.p,
                effect=test.effect,
            )
        entries.append(entry)
    left_out, one_sided = (int(mask[:, line.columns].sum()) for mask in (values.left_out, values.one_sided))
    return Row(line.name, line.kind, n, left_out, one_sided, tuple(entries))


def _interval(differences: Array) -> Interval:
    low, high = np.nanquantile(differences, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _adjust(rows: Sequence[Row], higher_is_better: bool) -> tuple[list[Row], int]:
    """Return rows with Holm's p over all tests of the table, including the mean's, and the number of tests."""
    p_values = [entry.p for row in rows for entry in row.entries if entry.p is not None]
    adjusted = iter(holm(p_values))

    def finish(entry: Entry) -> Entry:
        if entry.p is None:
            return entry
        p = next(adjusted)
        return replace(entry, p_adjusted=p, verdict=verdict_of(entry, p, higher_is_better))

    return [replace(row, entries=tuple(finish(entry) for entry in row.entries)) for row in rows], len(p_values)


def verdict_of(entry: Entry, p: float, higher_is_better: bool) -> Verdict:
    """Return the verdict for an entry with adjusted ``p``: better, worse, mixed, or none."""
    if p >= SIGNIFICANT or entry.difference is None or entry.effect is None:
        return ""
    if entry.difference * entry.effect <= 0:
        return "mixed"
    return "better" if (entry.difference > 0) == higher_is_better else "worse"


def _ranks(line: _Line, values: _Values, higher_is_better: bool) -> tuple[tuple[Rank, ...], float | None]:
    if (~values.left_out[:, line.columns]).any(axis=1).sum() < 2:
        return (), None
    means = np.array([values.seed_means(line, name).mean() for name in values.raw])
    samples = np.stack([values.sample_means(line, name) for name in values.raw], axis=1)
    samples = samples[np.isfinite(samples).all(axis=1)]
    found = rank_stability(means, samples, higher_is_better=higher_is_better, level=LEVEL)
    per_method = zip(values.raw, found.ranks, found.first, found.mean_ranks, found.intervals, strict=True)
    return tuple(Rank(*figures) for figures in per_method), found.tau


def _number(value: np.floating | float) -> float | None:
    return float(value) if math.isfinite(value) else None
