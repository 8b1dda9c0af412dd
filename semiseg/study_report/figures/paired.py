"""Every test case with the baseline, a method's control and the method, joined by a line: who gains, and who loses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from semiseg.render.document import Figure
from semiseg.render.figure_style import BASELINE_COLOR, draw, method_look
from semiseg.statistics.bootstrap import finite_mean
from semiseg.study_report.results import StudyResults
from semiseg.study_report.study_controls import control_curve
from semiseg.study_report.study_metric import StudyMetric, arm_values, method_curve
from semiseg.study_report.text.sentences import named

MOST_PANELS = 6


@dataclass(frozen=True, slots=True, eq=False)
class _Cases:
    """One panel: values (stations, cases) of the same test cases, by the station's name."""

    title: str
    stations: tuple[str, ...]
    values: NDArray[np.float64]
    index: int

    def words(self, metric: StudyMetric) -> str:
        """Return how many cases gained, in words."""
        change = self.values[-1] - self.values[0]
        better = int(np.count_nonzero(change > 0 if metric.higher_is_better else change < 0))
        return f"{self.title}: {better} of {len(change)} cases are better than {self.stations[0]}"


def paired_figure(results: StudyResults, metric: StudyMetric) -> Figure | None:
    """Return a panel per method and labeled count, fewest labels first, at most six; None without a comparison."""
    found = sorted(_found(results, metric), key=lambda one: one[0])
    if not found:
        return None
    shown = [cases for _, cases in found[:MOST_PANELS]]
    title = f"{metric.title} of each test case"
    left_out = f" The first {len(shown)} of {len(found)} comparisons." if len(found) > len(shown) else ""
    note = f"A line is a test case: mean over classes and seeds. Thick: the mean of the cases.{left_out}"
    alt = f"{title}. {'; '.join(cases.words(metric) for cases in shown)}."
    panels = [partial(_panel, cases=cases) for cases in shown]
    return draw(f"paired_{metric.key}", title, alt, panels, note=note, y_label=metric.directed_axis)


def _found(results: StudyResults, metric: StudyMetric) -> Iterator[tuple[int, _Cases]]:
    for setting in results.settings:
        baseline = {arm.labeled: arm for arm in results.curve(setting, results.baseline)}
        for index, method in enumerate(results.methods):
            controls = {arm.labeled: arm for arm in control_curve(results, setting, method)}
            for arm in method_curve(results, setting, method):
                if arm.labeled not in baseline:
                    continue
                control = controls.get(arm.labeled)
                arms = [baseline[arm.labeled], *([control] if control not in (None, arm) else []), arm]
                values = np.array([finite_mean(finite_mean(arm_values(one, metric), 0), 1) for one in arms if one])
                values = values[:, np.isfinite(values).all(axis=0)]
                if not values.shape[1]:
                    continue
                names = (results.baseline, *(["without\nunlabeled"] if len(arms) == 3 else []), method)
                title = f"{named(method, setting)}, {arm.labeled} labeled"
                yield arm.labeled, _Cases(title, names, values, index)


def _panel(ax: Axes, cases: _Cases) -> None:
    places: Sequence[int] = range(len(cases.stations))
    look = method_look(cases.index)
    ax.plot(places, cases.values, color=look["color"], alpha=0.3, linewidth=0.8)
    ax.plot(places, cases.values.mean(axis=1), color=BASELINE_COLOR, marker="o", linewidth=2.2)
    ax.set_xticks(list(places), cases.stations)
    ax.set_xlim(-0.3, len(cases.stations) - 0.7)
    ax.set_title(cases.title)
