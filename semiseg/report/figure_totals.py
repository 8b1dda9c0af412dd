"""A metric by the number of cases in all, labeled or not: what more unlabeled cases do."""

from collections.abc import Mapping, Sequence
from functools import partial

from matplotlib.axes import Axes

from semiseg.report.arms import Arm, StudyResults
from semiseg.report.document import Figure
from semiseg.report.figure_style import draw, method_look
from semiseg.report.study_metric import StudyMetric, estimate, varied_totals

_NO_UNLABELED = "no\nunlabeled"
_Values = Mapping[int, Mapping[int, float]]
"""Means by labeled cases and total; the total is 0 where there are no unlabeled cases."""


def totals_figure(results: StudyResults, metric: StudyMetric) -> Figure | None:
    """The reference study's figure 5, a panel for each setting and method whose totals vary; None where none do.

    Stars are the baseline's.
    """
    panels, said = [], []
    for setting, method in varied_totals(results):
        arms = [arm for arm in results.arms if (arm.setting, arm.method) == (setting, method)]
        values = _means(arms, metric)
        found = [results.find(setting, results.baseline, labeled) for labeled in values]
        stars = {arm.labeled: mean for arm in found if arm and (mean := estimate(arm, metric).mean) is not None}
        title = ", ".join(filter(None, (setting, method)))
        panels.append(partial(_panel, title=title, values=values, stars=stars, baseline=results.baseline))
        said.append(f"{title}: {_words(values, stars, metric, results.baseline)}.")
    if not panels:
        return None
    title = f"{metric.title} by number of cases in all"
    return draw(f"totals_{metric.key}", title, " ".join([f"{title}.", *said]), panels, y_label=metric.axis)


def _means(arms: Sequence[Arm], metric: StudyMetric) -> dict[int, dict[int, float]]:
    values: dict[int, dict[int, float]] = {}
    for arm in arms:
        mean = estimate(arm, metric).mean
        if mean is not None:
            values.setdefault(arm.labeled, {})[arm.total if arm.total > arm.labeled else 0] = mean
    return values


def _panel(ax: Axes, title: str, values: _Values, stars: Mapping[int, float], baseline: str) -> None:
    totals = sorted({total for line in values.values() for total in line} | ({0} if stars else set()))
    for index, (labeled, line) in enumerate(values.items()):
        at = [totals.index(total) for total in sorted(line)]
        ax.plot(at, [line[total] for total in sorted(line)], **method_look(index), label=f"{labeled} labeled")
        if labeled in stars:
            ax.plot([-0.22], [stars[labeled]], "*", color=method_look(index)["color"], markersize=10, zorder=4)
    if stars:
        ax.plot([], [], "*", color="#777777", markersize=10, label=baseline)
    ax.set_xticks(range(len(totals)), [str(total) if total else _NO_UNLABELED for total in totals])
    ax.set_xlim(-0.5, len(totals) - 0.7)
    ax.set_xlabel("cases in all, labeled or not")
    ax.set_title(title)


def _words(values: _Values, stars: Mapping[int, float], metric: StudyMetric, baseline: str) -> str:
    lines = []
    for labeled, line in values.items():
        parts = [f"{baseline} {stars[labeled]:.{metric.digits}f}"] if labeled in stars else []
        for total, mean in sorted(line.items()):
            parts.append(f"{mean:.{metric.digits}f} {f'of {total} in all' if total else 'without unlabeled cases'}")
        lines.append(f"with {labeled} labeled {', '.join(parts)}")
    return "; ".join(lines)
