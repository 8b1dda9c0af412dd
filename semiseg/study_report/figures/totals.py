"""A metric against the total number of cases, labeled or not: the effect of more unlabeled cases."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from semiseg.render.document import Figure
from semiseg.render.figure_style import MARKERS, draw
from semiseg.study_report.figures.notes import interval_note
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_metric import Estimate, StudyMetric, estimate, varied_totals

_NO_UNLABELED = "no\nunlabeled"
_DODGE, _STAR = 0.07, -0.3
_BARS: Mapping[str, Any] = {"capsize": 2, "elinewidth": 1}
_Values = Mapping[int, Mapping[int, Estimate]]
"""Scores by labeled cases and total; the total is 0 without unlabeled cases."""


def totals_figure(results: StudyResults, metric: StudyMetric) -> Figure | None:
    """Return one panel per setting and method whose totals vary; None if none do.

    Stars show the baseline.
    """
    panels, said, shown = [], [], list[Estimate]()
    for setting, method in varied_totals(results):
        arms = [arm for arm in results.arms if (arm.setting, arm.method) == (setting, method)]
        values = _scores(arms, metric)
        found = [results.find(setting, results.baseline, labeled) for labeled in values]
        scores = {arm.labeled: estimate(arm, metric) for arm in found if arm}
        stars = {labeled: score for labeled, score in scores.items() if score.mean is not None}
        title = ", ".join(filter(None, (setting, method)))
        panels.append(partial(_panel, title=title, values=values, stars=stars, baseline=results.baseline))
        said.append(f"{title}: {_words(values, stars, metric, results.baseline)}.")
        shown += [*stars.values(), *(score for line in values.values() for score in line.values())]
    if not panels:
        return None
    title = f"{metric.title} by number of cases in all"
    note = " ".join(filter(None, (f"Stars: {results.baseline}.", interval_note("Bars", shown))))
    alt = " ".join([f"{title}.", *said])
    return draw(f"totals_{metric.key}", title, alt, panels, note=note, y_label=metric.directed_axis)


def _scores(arms: Sequence[StudyArm], metric: StudyMetric) -> dict[int, dict[int, Estimate]]:
    values: dict[int, dict[int, Estimate]] = {}
    for arm in arms:
        score = estimate(arm, metric)
        if score.mean is not None:
            values.setdefault(arm.labeled, {})[arm.total if arm.total > arm.labeled else 0] = score
    return values


def _panel(ax: Axes, title: str, values: _Values, stars: Mapping[int, Estimate], baseline: str) -> None:
    totals = sorted({total for line in values.values() for total in line} | ({0} if stars else set()))
    for index, (labeled, line) in enumerate(values.items()):
        color = _color(index, len(values))
        shift = (index - (len(values) - 1) / 2) * min(_DODGE, 0.4 / len(values))  # keeps bars from overlapping
        at = [totals.index(total) + shift for total in sorted(line)]
        look = {"color": color, "marker": MARKERS[index % len(MARKERS)], "label": f"{labeled} labeled"}
        _bars(ax, at, [line[total] for total in sorted(line)], look)
        if labeled in stars:
            star = {"color": color, "marker": "*", "markersize": 10, "linestyle": "none", "zorder": 4}
            _bars(ax, [_STAR + shift], [stars[labeled]], star)
    if stars:
        ax.plot([], [], "*", color="#777777", markersize=10, label=baseline)
    ax.set_xticks(range(len(totals)), [str(total) if total else _NO_UNLABELED for total in totals])
    ax.set_xlim(-0.55, len(totals) - 0.7)
    ax.set_xlabel("cases in all, labeled or not")
    ax.set_title(title)


def _color(index: int, count: int) -> str:
    """Return a color that darkens with the count, and differs from the colors of methods in other figures."""
    return to_hex(matplotlib.colormaps["RdPu"](0.5 + 0.5 * index / max(count - 1, 1)))


def _bars(ax: Axes, at: Sequence[float], scores: Sequence[Estimate], look: Mapping[str, Any]) -> None:
    means = [score.mean or 0.0 for score in scores]
    ends = [score.interval or (mean, mean) for score, mean in zip(scores, means, strict=True)]
    low, high = ([abs(end[side] - mean) for end, mean in zip(ends, means, strict=True)] for side in (0, 1))
    ax.errorbar(at, means, [low, high], **_BARS, **look)


def _words(values: _Values, stars: Mapping[int, Estimate], metric: StudyMetric, baseline: str) -> str:
    lines = []
    for labeled, line in values.items():
        parts = [f"{baseline} {_number(stars[labeled], metric)}"] if labeled in stars else []
        for total, score in sorted(line.items()):
            parts.append(f"{_number(score, metric)} {f'of {total} in all' if total else 'without unlabeled cases'}")
        lines.append(f"with {labeled} labeled {', '.join(parts)}")
    return "; ".join(lines)


def _number(score: Estimate, metric: StudyMetric) -> str:
    return f"{score.mean:.{metric.digits}f}"
