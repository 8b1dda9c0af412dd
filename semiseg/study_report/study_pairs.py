"""Pairs of a method's arm and the baseline with the same number of labeled cases."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from semiseg.comparison.chance import are_untrained
from semiseg.comparison.metric import SIGNIFICANT, verdict_of
from semiseg.comparison.result import Entry, MetricComparison, Row
from semiseg.statistics.paired import holm
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_metric import StudyMetric, compare_with, method_curve

NOT_SIGNIFICANT = "not significantly different"
NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The arms of the baseline and of a method, compared in one metric; either may be None if missing.

    ``withheld`` is the reason for withholding the verdict, in words that follow "since"; empty if there may be a
    verdict.
    """

    baseline: StudyArm | None
    arm: StudyArm | None
    compared: MetricComparison
    withheld: str = ""

    @property
    def shown(self) -> StudyArm:
        """StudyArm that names the pair: the method's or, if that is missing, the baseline's."""
        arm = self.arm or self.baseline
        assert arm is not None
        return arm

    @property
    def seeds(self) -> tuple[int, ...]:
        """Number of seeds of each of the arms, or of the folds of a single seed."""
        return tuple(len(arm.seeds) for arm in (self.baseline, self.arm) if arm is not None)

    @property
    def seeds_differ(self) -> bool:
        """True if two arms have different seeds or folds, and therefore different labeled sets."""
        arms = [arm for arm in (self.baseline, self.arm) if arm is not None]
        named = [sorted(f"{run.seed} {run.fold}" for run in arm.runs) for arm in arms]
        return any(seeds != named[0] for seeds in named)

    @property
    def classes(self) -> tuple[Row, ...]:
        """Rows that the mean is over: classes, or regions if there are no classes."""
        rows = self.compared.rows
        return tuple(row for row in rows if row.kind == "class") or tuple(row for row in rows if row.kind == "region")

    @property
    def mean(self) -> Row:
        """Row of the mean over classes, or of the only class."""
        return next(row for row in self.compared.rows if row.name == self.compared.ranked_by)

    def values(self, row: Row) -> tuple[float | None, float | None]:
        """Return the means of the baseline and of the method."""
        means = {entry.method: entry.mean for entry in row.entries}
        baseline, value = (None if arm is None else means[arm.method] for arm in (self.baseline, self.arm))
        return baseline, value

    def entry(self, row: Row) -> Entry | None:
        """Return the method's entry in the comparison with the baseline; None for a single arm."""
        return row.entries[1] if len(row.entries) > 1 else None

    def judged(self, row: Row) -> Entry | None:
        """Return the same entry, or None if there is no verdict."""
        return None if self.withheld else self.entry(row)


MakePair = Callable[[StudyArm | None, StudyArm | None, StudyMetric], Pair]
"""``make_pair``, or the function that a study's report makes pairs with: ``untrained.pair_maker``."""


def make_pair(baseline: StudyArm | None, arm: StudyArm | None, metric: StudyMetric) -> Pair:
    """Compare two arms; one may be missing. Two of the same method, such as a control, are distinguished by name.

    The verdict is withheld if neither has learned to segment (``are_untrained``).
    """
    untrained = baseline is not None and arm is not None and are_untrained((*baseline.runs, *arm.runs))
    withheld = "neither has learned to segment" if untrained else ""
    if baseline is not None and arm is not None and baseline.method == arm.method:
        baseline = replace(baseline, method=f"{baseline.method} with {baseline.total} cases in all")
    return Pair(baseline, arm, compare_with(baseline, arm, metric), withheld)


def pairs(results: StudyResults, metric: StudyMetric, make: MakePair = make_pair) -> Iterator[Pair]:
    """Yield per setting the fully labeled baseline alone, then by labeled cases each method with the baseline."""
    for setting in results.settings:
        if full := results.full(setting):
            yield make(full, None, metric)
        curves = {method: method_curve(results, setting, method) for method in results.methods}
        for labeled in _counts(results, setting, [arm for curve in curves.values() for arm in curve]):
            baseline = results.find(setting, results.baseline, labeled)
            arms = [arm for curve in curves.values() for arm in curve if arm.labeled == labeled]
            for arm in arms:
                yield make(baseline, arm, metric)
            if not arms and baseline is not None and baseline is not full:
                yield make(baseline, None, metric)


def adjusted_p(pairs: Sequence[Pair]) -> list[float | None]:
    """Return Holm-corrected p-values of the pairs' tests of the mean, over all these tests; None without a test."""
    entries = [pair.entry(pair.mean) for pair in pairs]
    found = [None if entry is None else entry.p for entry in entries]
    adjusted = iter(holm([p for p in found if p is not None]))
    return [None if p is None else next(adjusted) for p in found]


def verdict_on(pair: Pair, p: float | None, metric: StudyMetric) -> str:
    """Return the verdict from an adjusted ``p`` and the interval: better, worse, mixed, not significantly different,
    or not judged.

    "better" and "worse" require both ``p`` below 0.05 and an interval of the difference that excludes 0 on that side.
    "mixed": ``p`` is below 0.05, but ranks and mean point in different directions.
    """
    if pair.withheld:
        return NOT_JUDGED
    entry = pair.entry(pair.mean)
    if entry is None or p is None:
        return NOT_SIGNIFICANT
    verdict = verdict_of(entry, p, metric.higher_is_better)
    if verdict == "mixed" or (verdict and excludes_zero(entry)):
        return verdict
    return NOT_SIGNIFICANT


def verdict_text(pair: Pair, p: float | None, metric: StudyMetric) -> str:
    """Return the verdict with its reason, where the difference and its interval do not say it: for a table's cell."""
    verdict = verdict_on(pair, p, metric)
    if verdict == NOT_JUDGED:
        return f"{verdict}: {pair.withheld}"
    if verdict == "mixed":
        return f"{verdict}: ranks and mean point in opposite directions"
    entry = pair.entry(pair.mean)
    if verdict != NOT_SIGNIFICANT or entry is None:
        return verdict
    reasons = []
    if p is None:
        reasons.append("no test")
    elif p >= SIGNIFICANT:
        reasons.append(f"p is {p:.2f}" if p >= 0.1 else f"p is {p:.3f}")
    if entry.interval is None:
        reasons.append("no interval")
    elif not excludes_zero(entry):
        reasons.append("the interval includes 0")
    return f"{verdict}: {' and '.join(reasons)}"


def verdicts_on(pairs: Sequence[Pair], metric: StudyMetric) -> list[str]:
    """Return the verdict on each pair, with Holm's correction over all of them."""
    return [verdict_on(pair, p, metric) for pair, p in zip(pairs, adjusted_p(pairs), strict=True)]


def excludes_zero(entry: Entry | None) -> bool:
    """Return whether the interval excludes 0 on the side of the difference; False without an interval."""
    if entry is None or entry.difference is None or entry.interval is None:
        return False
    low, high = entry.interval
    return low > 0 if entry.difference > 0 else high < 0


def shows_gain(entry: Entry | None, metric: StudyMetric) -> bool:
    """Return whether the method's mean is better, with an interval of the difference that excludes 0."""
    if entry is None or entry.difference is None:
        return False
    return excludes_zero(entry) and (entry.difference > 0) == metric.higher_is_better


def _counts(results: StudyResults, setting: str, arms: list[StudyArm]) -> list[int]:
    return sorted({arm.labeled for arm in (*arms, *results.curve(setting, results.baseline))})
