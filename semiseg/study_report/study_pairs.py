"""A study's arms beside the baseline with as many labeled cases."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from semiseg.comparison.chance import are_untrained
from semiseg.comparison.metric import verdict_of
from semiseg.comparison.result import Entry, MetricComparison, Row
from semiseg.statistics.paired import holm
from semiseg.study_report.arms import Arm, StudyResults
from semiseg.study_report.study_metric import StudyMetric, compare_with, method_curve

NOT_TOLD_APART = "not told apart"
NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The baseline's arm and a method's, compared by one metric; one of them is None where there is none.

    ``withheld`` is why there is no verdict, in words that follow "since"; empty where there may be one.
    """

    baseline: Arm | None
    arm: Arm | None
    compared: MetricComparison
    withheld: str = ""

    @property
    def shown(self) -> Arm:
        """The arm that the pair is named by: the method's, or the baseline's where it stands alone."""
        arm = self.arm or self.baseline
        assert arm is not None
        return arm

    @property
    def seeds(self) -> tuple[int, ...]:
        """How many seeds each of the arms has."""
        return tuple(len(arm.runs) for arm in (self.baseline, self.arm) if arm is not None)

    @property
    def seeds_differ(self) -> bool:
        """Whether two arms do not have the same seeds, and with them not the same labeled sets."""
        named = [sorted(str(run.seed) for run in arm.runs) for arm in (self.baseline, self.arm) if arm is not None]
        return any(seeds != named[0] for seeds in named)

    @property
    def classes(self) -> tuple[Row, ...]:
        """The rows that the mean is of: classes, or regions where there is no class."""
        rows = self.compared.rows
        return tuple(row for row in rows if row.kind == "class") or tuple(row for row in rows if row.kind == "region")

    @property
    def mean(self) -> Row:
        """The row of the mean over classes; the one class's where there is but one."""
        return next(row for row in self.compared.rows if row.name == self.compared.ranked_by)

    def values(self, row: Row) -> tuple[float | None, float | None]:
        """The baseline's mean and the method's."""
        means = {entry.method: entry.mean for entry in row.entries}
        baseline, value = (None if arm is None else means[arm.method] for arm in (self.baseline, self.arm))
        return baseline, value

    def entry(self, row: Row) -> Entry | None:
        """The method's figures beside the baseline; None where one stands alone."""
        return row.entries[1] if len(row.entries) > 1 else None

    def judged(self, row: Row) -> Entry | None:
        """The same; None also where there is no verdict."""
        return None if self.withheld else self.entry(row)


MakePair = Callable[[Arm | None, Arm | None, StudyMetric], Pair]
"""``make_pair``, or what a study's report makes pairs by: ``untrained.pair_maker``."""


def make_pair(baseline: Arm | None, arm: Arm | None, metric: StudyMetric) -> Pair:
    """Compare two arms; one of them may be missing. Two of one method, such as a control, are told apart by name.

    The verdict is withheld where neither has learned to segment (``are_untrained``).
    """
    untrained = baseline is not None and arm is not None and are_untrained((*baseline.runs, *arm.runs))
    withheld = "neither has learned to segment" if untrained else ""
    if baseline is not None and arm is not None and baseline.method == arm.method:
        baseline = replace(baseline, method=f"{baseline.method} with {baseline.total} cases in all")
    return Pair(baseline, arm, compare_with(baseline, arm, metric), withheld)


def pairs(results: StudyResults, metric: StudyMetric, make: MakePair = make_pair) -> Iterator[Pair]:
    """By setting the fully labeled baseline alone, then by labeled cases each method beside the baseline."""
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
    """Holm's p of each pair's test of the mean, over the tests of all of them; None where a pair has none."""
    entries = [pair.entry(pair.mean) for pair in pairs]
    found = [None if entry is None else entry.p for entry in entries]
    adjusted = iter(holm([p for p in found if p is not None]))
    return [None if p is None else next(adjusted) for p in found]


def verdict_on(pair: Pair, p: float | None, metric: StudyMetric) -> str:
    """What an adjusted ``p`` and the interval let one say of a pair: better, worse, mixed, not told apart, not judged.

    "better" and "worse" need both: ``p`` below 0.05, and an interval of the difference that excludes 0 on that side.
    "mixed": ``p`` is below 0.05, but ranks and mean point to different sides.
    """
    if pair.withheld:
        return NOT_JUDGED
    entry = pair.entry(pair.mean)
    if entry is None or p is None:
        return NOT_TOLD_APART
    verdict = verdict_of(entry, p, metric.higher_is_better)
    if verdict == "mixed" or (verdict and excludes_zero(entry)):
        return verdict
    return NOT_TOLD_APART


def verdicts_on(pairs: Sequence[Pair], metric: StudyMetric) -> list[str]:
    """The verdict on each pair, with Holm's correction over all of them."""
    return [verdict_on(pair, p, metric) for pair, p in zip(pairs, adjusted_p(pairs), strict=True)]


def excludes_zero(entry: Entry | None) -> bool:
    """Whether the interval of a difference lies on its side of 0; not where there is none."""
    if entry is None or entry.difference is None or entry.interval is None:
        return False
    low, high = entry.interval
    return low > 0 if entry.difference > 0 else high < 0


def shows_gain(entry: Entry | None, metric: StudyMetric) -> bool:
    """Whether the method is better in the mean, with an interval of the difference that excludes 0."""
    if entry is None or entry.difference is None:
        return False
    return excludes_zero(entry) and (entry.difference > 0) == metric.higher_is_better


def _counts(results: StudyResults, setting: str, arms: list[Arm]) -> list[int]:
    return sorted({arm.labeled for arm in (*arms, *results.curve(setting, results.baseline))})
