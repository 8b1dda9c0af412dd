"""Scores of a study's arms in one metric: means with their intervals, and differences from the baseline."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from semiseg.comparison.checks import require_comparable
from semiseg.comparison.compare import metric_direction
from semiseg.comparison.metric import LEVEL, compare_metric
from semiseg.comparison.repetitions import average
from semiseg.comparison.result import Interval, MetricComparison
from semiseg.scoring.policy import find_policy
from semiseg.statistics.bootstrap import has_spread, interval_of, mean_of_means, resampled_means
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.types import Unit

_ACRONYMS = {"hd", "hd95", "assd", "nsd"}


@dataclass(frozen=True, slots=True)
class StudyMetric:
    """A metric as displayed in tables and figures; ``unit`` as in scores.csv, ``policy`` as in StudyResults."""

    name: str
    unit: str
    higher_is_better: bool
    policy: str

    @property
    def title(self) -> str:
        """Display name: Dice, HD95, Volume difference."""
        name, space, options = self.name.partition(" ")
        shown = name.upper() if name in _ACRONYMS else name.replace("_", " ").capitalize()
        return shown + space + options

    @property
    def key(self) -> str:
        """Name as part of a file name."""
        return re.sub(r"\W+", "_", self.name).strip("_")

    @property
    def axis(self) -> str:
        """Title with unit."""
        return self.title if self.unit == "1" else f"{self.title} [{self.unit}]"

    @property
    def directed_axis(self) -> str:
        """Axis label of a figure: title with unit, and a note if lower is better."""
        return self.directed(self.axis)

    @property
    def is_distance(self) -> bool:
        """True for a length, which has no finite value for a missed structure."""
        return self.unit in get_args(Unit)

    def directed(self, title: str) -> str:
        """Return a title with a note if lower is better."""
        return title if self.higher_is_better else f"{title}, lower is better"

    @property
    def digits(self) -> int:
        """Number of decimals."""
        return 3 if self.unit == "1" else 2

    def gain(self, baseline: float | None, value: float | None) -> float | None:
        """Return the improvement in percent of the baseline: a gain, or a reduction if lower is better; or None."""
        if baseline is None or value is None or baseline == 0:
            return None
        change = 100 * (value - baseline) / baseline
        return change if self.higher_is_better else -change


@dataclass(frozen=True, slots=True)
class Estimate:
    """An arm's mean over classes and cases.

    Attributes:
        mean: mean of the seeds' means; None if no value is defined.
        seed_std: standard deviation (n - 1) of the seeds' means; None with one seed.
        interval: 95 % bootstrap interval of the mean, over cases and seeds; None with one case.
        n: number of cases.
        seeds: number of seeds, or of the folds of a single seed.
        repeated: which of the two, seed or fold.
    """

    mean: float | None
    seed_std: float | None
    interval: Interval | None
    n: int
    seeds: int
    repeated: str = "seed"


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts shown with an arm's mean, summed over its seeds, its test cases and the classes of the mean.

    ``missed`` structures are only in the reference, ``spurious`` ones only in the prediction; ``left_out`` values are
    not in the mean.
    """

    missed: int
    spurious: int
    left_out: int


def study_metric(results: StudyResults, name: str) -> StudyMetric:
    """Return a metric of the results by its name in scores.csv."""
    run = results.arms[0].runs[0]
    unit = next(score.unit for key, score in run.scores.items() if key[0] == name)
    return StudyMetric(name, unit, metric_direction(name, run)[0], results.policy)


def estimate(arm: StudyArm, metric: StudyMetric) -> Estimate:
    """Return the mean of a single arm; a value that is undefined for one seed is left out for all."""
    values = arm_values(arm, metric)
    means = mean_of_means(values)
    n = int(np.isfinite(values[0]).any(axis=1).sum())
    seed_std = float(means.std(ddof=1)) if len(means) > 1 and n else None
    interval = None
    if has_spread(values):
        interval = interval_of(resampled_means({"": values}, {"": arm.seeds})[""], LEVEL)
    mean = float(means.mean())
    return Estimate(mean if math.isfinite(mean) else None, seed_std, interval, n, len(values), arm.repeated)


def arm_counts(arm: StudyArm, metric: StudyMetric) -> Counts:
    """Return the number of missed and spurious structures of an arm, and of values left out of its mean."""
    classes = _averaged(arm, metric)
    scores = [score for run in arm.runs for key, score in run.scores.items() if key[0] == metric.name]
    statuses = Counter(score.status for score in scores if score.class_name in classes)
    return Counts(statuses["missed"], statuses["spurious"], int(np.isnan(_values_of_runs(arm, metric)).sum()))


def arm_values(arm: StudyArm, metric: StudyMetric) -> NDArray[np.float64]:
    """Return an arm's values (seeds, cases, classes), cases by id; nan if a value is undefined for any run.

    Rows are those of ``StudyArm.seeds``; columns are the classes, or the regions if there are no classes. Raises
    DataError if its runs are not comparable.
    """
    return average(_values_of_runs(arm, metric), arm.as_method().repetitions)


def _values_of_runs(arm: StudyArm, metric: StudyMetric) -> NDArray[np.float64]:
    """Return the same values for each run (runs, cases, classes)."""
    require_comparable(arm.runs, [metric.name])
    value, scores = find_policy(metric.policy), arm.runs[0].scores
    classes = _averaged(arm, metric)
    cases = sorted({key[2] for key in scores if key[0] == metric.name})
    rows = [[[value(run.scores[metric.name, name, case]) for name in classes] for case in cases] for run in arm.runs]
    values = np.array(rows, dtype=np.float64)
    values[:, np.isnan(values).any(axis=0)] = np.nan
    return values


def _averaged(arm: StudyArm, metric: StudyMetric) -> list[str]:
    """Return the parts that the mean is over: the classes, or the regions if there are no classes."""
    kinds = {key[1]: score.kind for key, score in arm.runs[0].scores.items() if key[0] == metric.name}
    return [name for name, kind in kinds.items() if kind == "class"] or list(kinds)


def compare_with(baseline: StudyArm | None, arm: StudyArm | None, metric: StudyMetric) -> MetricComparison:
    """Compare an arm with the baseline; either may be None, and the other is then summarized alone."""
    arms = [found for found in (baseline, arm) if found is not None]
    require_comparable([run for found in arms for run in found.runs], [metric.name])
    methods = [found.as_method() for found in arms]
    value, higher = find_policy(metric.policy), metric.higher_is_better
    return compare_metric(metric.name, methods, methods[0].name, value, higher_is_better=higher)


def method_curve(results: StudyResults, setting: str, method: str) -> tuple[StudyArm, ...]:
    """Return a method's arms by labeled cases, each with the largest total, as compared with the baseline.

    A method that uses unlabeled cases is not judged by an arm without any; such arms serve as controls.
    """
    takes_unlabeled = any(arm.total > arm.labeled for arm in results.arms if arm.method == method)
    arms = results.curve(setting, method)
    return tuple(arm for arm in arms if arm.total > arm.labeled or not takes_unlabeled)


def baseline_curve(results: StudyResults, setting: str) -> tuple[StudyArm, ...]:
    """Return the baseline's arms by labeled cases, except the one with every training case labeled."""
    arms = results.curve(setting, results.baseline)
    return tuple(arm for arm in arms if arm.labeled != results.training_cases)


def varied_totals(results: StudyResults) -> tuple[tuple[str, str], ...]:
    """Return settings and methods for which the number of unlabeled cases varies with the same labeled cases."""
    arms = [arm for arm in results.arms if arm.method != results.baseline]
    counted = Counter((arm.setting, arm.method, arm.labeled) for arm in arms)
    return tuple(dict.fromkeys((setting, method) for (setting, method, _), times in counted.items() if times > 1))
