"""A metric against the number of labeled cases: the baseline, methods and their controls, one panel per setting."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from semiseg.render.document import Figure
from semiseg.render.figure_style import BAND, BASELINE_COLOR, count_axis, draw, method_look
from semiseg.study_report.figures.notes import interval_note
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_controls import control_curve
from semiseg.study_report.study_metric import Estimate, StudyMetric, baseline_curve, estimate, method_curve
from semiseg.types import UNIT_NAMES

Curve = Sequence[tuple[int, Estimate]]
_DODGE, _WIDEST = 1.04, 1.2  # methods are shifted sideways so that their bars do not overlap, within the axis


def curves_figure(results: StudyResults, metric: StudyMetric) -> Figure | None:
    """Return one panel per setting, with a curve per method and, hollow, one per control.

    None if no setting has the baseline and a method.
    """
    panels, said, shown = [], [], list[Estimate]()
    for setting in results.settings:
        baseline = _curve(baseline_curve(results, setting), metric)
        methods = {method: _curve(method_curve(results, setting, method), metric) for method in results.methods}
        methods = {method: curve for method, curve in methods.items() if curve}
        if not baseline or not methods:
            continue
        controls = {name: _curve(control_curve(results, setting, name), metric) for name in methods}
        controls = {name: curve for name, curve in controls.items() if curve and curve != methods[name]}
        full = _curve([arm for arm in [results.full(setting)] if arm], metric)
        panels.append(partial(_panel, setting=setting, results=results, curves=(baseline, methods, controls, full)))
        shown += [score for curve in (baseline, *methods.values(), *controls.values()) for _, score in curve]
        words = [f"{name}: {_words(curve, metric)}" for name, curve in {results.baseline: baseline, **methods}.items()]
        words += [f"{name} without unlabeled cases: {_words(curve, metric)}" for name, curve in controls.items()]
        words += [f"{results.baseline} with all {labeled} labeled: {_value(found, metric)}" for labeled, found in full]
        said.append(f"{setting + ' – ' if setting else ''}{'; '.join(words)}.")
    if not panels:
        return None
    title = f"{metric.title} by number of labeled cases"
    alt = " ".join([f"{title}, 95 % intervals in parentheses.", *said])
    note = interval_note("Band and bars", shown)
    return draw(f"curves_{metric.key}", title, alt, panels, note=note, y_label=metric.directed_axis)


def _curve(arms: Sequence[StudyArm], metric: StudyMetric) -> Curve:
    found = [(arm.labeled, estimate(arm, metric)) for arm in arms]
    return [(labeled, score) for labeled, score in found if score.mean is not None]


def _panel(
    ax: Axes,
    setting: str,
    results: StudyResults,
    curves: tuple[Curve, dict[str, Curve], dict[str, Curve], Curve],
) -> None:
    baseline, methods, controls, full = curves
    look: dict[str, Any] = {"color": BASELINE_COLOR, "marker": "o", "label": results.baseline}
    if len(baseline) > 1:
        counts, means, low, high = _columns(baseline)
        ax.fill_between(counts, low, high, color=BASELINE_COLOR, alpha=BAND, linewidth=0)
        ax.plot(counts, means, **look)
    else:
        _bars(ax, baseline, 1.0, look)
    for labeled, score in full:
        label = f"{results.baseline}, all {labeled} labeled"
        ax.axhline(score.mean or 0.0, color=BASELINE_COLOR, linestyle=(0, (4, 3)), linewidth=1.1, label=label)
    series: list[tuple[Curve, dict[str, Any]]] = []
    for method, curve in methods.items():
        look = method_look(results.methods.index(method))
        if method in controls:  # beside its method
            hollow = {"markerfacecolor": "white", "linestyle": ":", "label": f"{method} without unlabeled cases"}
            series.append((controls[method], look | hollow))
        series.append((curve, look | {"label": method}))
    dodge = min(_DODGE, _WIDEST ** (1 / len(series)))
    middle = (len(series) - 1) / 2 if len(baseline) > 1 else -1  # all to the right of a lone baseline
    for index, (curve, look) in enumerate(series):
        _bars(ax, curve, dodge ** (index - middle), look)
    count_axis(ax, sorted({labeled for curve in (baseline, *methods.values()) for labeled, _ in curve}))
    ax.set_title(setting)


def _bars(ax: Axes, curve: Curve, shift: float, look: dict[str, Any]) -> None:
    counts, means, low, high = _columns(curve)
    bars = [np.subtract(means, low), np.subtract(high, means)]
    ax.errorbar([count * shift for count in counts], means, bars, capsize=2, elinewidth=1, **look)


def _columns(curve: Curve) -> tuple[list[int], list[float], list[float], list[float]]:
    """Return counts, means and interval ends; the mean where there is no interval."""
    scores = [(labeled, score.mean or 0.0, score.interval) for labeled, score in curve]
    counts, means, intervals = zip(*scores, strict=True)
    ends = [interval or (mean, mean) for mean, interval in zip(means, intervals, strict=True)]
    return list(counts), list(means), [low for low, _ in ends], [high for _, high in ends]


def _words(curve: Curve, metric: StudyMetric) -> str:
    return ", ".join(f"{_value(score, metric)} with {labeled} labeled" for labeled, score in curve)


def _value(score: Estimate, metric: StudyMetric) -> str:
    unit = "" if metric.unit == "1" else f" {UNIT_NAMES.get(metric.unit, metric.unit)}"
    text = f"{score.mean:.{metric.digits}f}"
    if score.interval is not None:
        text += f" ({score.interval[0]:.{metric.digits}f} to {score.interval[1]:.{metric.digits}f})"
    return text + unit
