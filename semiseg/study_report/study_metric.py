"""What a study's arms score by one metric: means with their intervals, and differences from the baseline."""

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
from semiseg.comparison.result import Interval, MetricComparison
from semiseg.scoring.policy import find_policy
from semiseg.statistics.bootstrap import finite_mean, mean_of_means, resampled_means
from semiseg.study_report.arms import Arm, StudyResults
from semiseg.types import Unit

_ACRONYMS = {"hd", "hd95", "assd", "nsd"}


@dataclass(frozen=True, slots=True)
class StudyMetric:
    """A metric as a study's tables and figures show it; ``unit`` as in scores.csv, ``policy`` as in StudyResults."""

    name: str
    unit: str
    higher_is_better: bool
    policy: str

    @property
    def title(self) -> str:
        """The name for people: Dice, HD95, Volume difference."""
        name, space, options = self.name.partition(" ")
        shown = name.upper() if name in _ACRONYMS else name.replace("_", " ").capitalize()
        return shown + space + options

    @property
    def key(self) -> str:
        """The name as a part of a file's name."""
        return re.sub(r"\W+", "_", self.name).strip("_")

    @property
    def axis(self) -> str:
        """The title with its unit."""
        return self.title if self.unit == "1" else f"{self.title} [{self.unit}]"

    @property
    def directed_axis(self) -> str:
        """The same, and that lower is better where it is: for a figure's axis."""
        return self.directed(self.axis)

    @property
    def is_distance(self) -> bool:
        """Whether it is a length, which a missed structure has no finite value of."""
        return self.unit in get_args(Unit)

    def directed(self, title: str) -> str:
        """A title, and that lower is better where it is."""
        return title if self.higher_is_better else f"{title}, lower is better"

    @property
    def digits(self) -> int:
        """Digits after the point."""
        return 3 if self.unit == "1" else 2

    def gain(self, baseline: float | None, value: float | None) -> float | None:
        """The improvement on the baseline in percent of the baseline: a gain, or a reduction where lower is better."""
        if baseline is None or value is None or baseline == 0:
            return None
        change = 100 * (value - baseline) / baseline
        return change if self.higher_is_better else -change


@dataclass(frozen=True, slots=True)
class Estimate:
    """An arm's mean over classes and cases.

    Attributes:
        mean: of the seeds' means; None where nothing is defined.
        seed_std: standard deviation (n - 1) of the seeds' means; None with one seed.
        interval: 95 % bootstrap interval of the mean, over cases and seeds; None with one case.
        n: cases.
        seeds: how many.
    """

    mean: float | None
    seed_std: float | None
    interval: Interval | None
    n: int
    seeds: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What stands beside an arm's mean, summed up over its seeds, its test cases, and the classes of the mean.

    ``missed`` structures are in the reference alone, ``spurious`` ones in the prediction alone; ``left_out`` values are
    not in the mean.
    """

    missed: int
    spurious: int
    left_out: int


def study_metric(results: StudyResults, name: str) -> StudyMetric:
    """A metric of the results by its name in scores.csv."""
    run = results.arms[0].runs[0]
    unit = next(score.unit for key, score in run.scores.items() if key[0] == name)
    return StudyMetric(name, unit, metric_direction(name, run)[0], results.policy)


def estimate(arm: Arm, metric: StudyMetric) -> Estimate:
    """An arm's mean on its own: a value that is undefined for one seed is left out for all."""
    values = arm_values(arm, metric)
    means = mean_of_means(values)
    n = int(np.isfinite(values[0]).any(axis=1).sum())
    seed_std = float(means.std(ddof=1)) if len(means) > 1 and n else None
    interval = None
    if n > 1:
        samples = resampled_means({arm.method: values}, {arm.method: arm.as_method().seeds})[arm.method]
        low, high = np.nanquantile(finite_mean(samples, axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        interval = float(low), float(high)
    mean = float(means.mean())
    return Estimate(mean if math.isfinite(mean) else None, seed_std, interval, n, len(arm.runs))


def arm_counts(arm: Arm, metric: StudyMetric) -> Counts:
    """Missed and spurious structures of an arm, and the values that its mean on its own leaves out."""
    classes = _averaged(arm, metric)
    scores = [score for run in arm.runs for key, score in run.scores.items() if key[0] == metric.name]
    statuses = Counter(score.status for score in scores if score.class_name in classes)
    return Counts(statuses["missed"], statuses["spurious"], int(np.isnan(arm_values(arm, metric)).sum()))


def arm_values(arm: Arm, metric: StudyMetric) -> NDArray[np.float64]:
    """An arm's values (seeds, cases, classes), cases by id; nan where one is undefined for any seed.

    Columns are the classes; the regions where there is no class. Raises DataError where its runs did not score alike.
    """
    require_comparable(arm.runs, [metric.name])
    value, scores = find_policy(metric.policy), arm.runs[0].scores
    classes = _averaged(arm, metric)
    cases = sorted({key[2] for key in scores if key[0] == metric.name})
    rows = [[[value(run.scores[metric.name, name, case]) for name in classes] for case in cases] for run in arm.runs]
    values = np.array(rows, dtype=np.float64)
    values[:, np.isnan(values).any(axis=0)] = np.nan
    return values


def _averaged(arm: Arm, metric: StudyMetric) -> list[str]:
    """What the mean is of: the classes, or the regions where there is no class."""
    kinds = {key[1]: score.kind for key, score in arm.runs[0].scores.items() if key[0] == metric.name}
    return [name for name, kind in kinds.items() if kind == "class"] or list(kinds)


def compare_with(baseline: Arm | None, arm: Arm | None, metric: StudyMetric) -> MetricComparison:
    """An arm beside the baseline; either alone where the other is None."""
    arms = [found for found in (baseline, arm) if found is not None]
    require_comparable([run for found in arms for run in found.runs], [metric.name])
    methods = [found.as_method() for found in arms]
    value, higher = find_policy(metric.policy), metric.higher_is_better
    return compare_metric(metric.name, methods, methods[0].name, value, higher_is_better=higher)


def method_curve(results: StudyResults, setting: str, method: str) -> tuple[Arm, ...]:
    """A method's arms by labeled cases, each with the most cases in all, as it is compared with the baseline.

    A method that takes unlabeled cases is not judged by an arm without any, which a study has to tell the two apart.
    """
    takes_unlabeled = any(arm.total > arm.labeled for arm in results.arms if arm.method == method)
    arms = results.curve(setting, method)
    return tuple(arm for arm in arms if arm.total > arm.labeled or not takes_unlabeled)


def baseline_curve(results: StudyResults, setting: str) -> tuple[Arm, ...]:
    """The baseline's arms by labeled cases, but for the one with every training case labeled."""
    arms = results.curve(setting, results.baseline)
    return tuple(arm for arm in arms if arm.labeled != results.training_cases)


def varied_totals(results: StudyResults) -> tuple[tuple[str, str], ...]:
    """Settings and methods for which, with the same labeled cases, the number of unlabeled ones was varied."""
    arms = [arm for arm in results.arms if arm.method != results.baseline]
    counted = Counter((arm.setting, arm.method, arm.labeled) for arm in arms)
    return tuple(dict.fromkeys((setting, method) for (setting, method, _), times in counted.items() if times > 1))
