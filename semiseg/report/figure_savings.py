"""How many labels a method saves: its points beside the baseline's curve, and where on the curve they belong."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from semiseg.report.document import Figure
from semiseg.report.figure_style import BAND, BASELINE_COLOR, COLORS, count_axis, draw


class CurvePoint(NamedTuple):
    """The baseline's score with so many labeled cases, and its 95 % interval."""

    labeled: int
    mean: float
    low: float
    high: float


class SavingsPoint(NamedTuple):
    """A method's score with so many labeled cases, and how many labels the baseline needs for it.

    ``worth`` is None where the curve does not reach the score; ``low`` and ``high``, the ends of its 95 % interval,
    are None where they are beyond the curve.
    """

    labeled: int
    score: float
    score_low: float
    score_high: float
    worth: float | None
    low: float | None
    high: float | None


def savings_figure(
    points: Sequence[SavingsPoint],
    curve: Sequence[CurvePoint],
    *,
    method: str,
    baseline: str = "supervised",
    metric: str = "Dice",
    higher_is_better: bool = True,
    setting: str = "",
    key: str = "savings",
) -> Figure | None:
    """Guides lead from each point of the method to the baseline's curve, and down to the number of labels there.

    The bar at the guide's end is the interval of that number; an arrow says that it goes on beyond the curve.
    Between its points the curve is straight over the logarithm of the number. ``metric`` is the axis' label, with its
    unit. None where there is no point, or no curve.
    """
    if not points or not curve:
        return None
    title = f"How many labels {method} saves" + (f", {setting}" if setting else "")
    points, curve = sorted(points), sorted(curve)
    panel = partial(_panel, points=points, curve=curve, names=(method, baseline), up=higher_is_better)
    return draw(key, title, _words(points, curve, method, baseline, metric, higher_is_better), [panel], y_label=metric)


def _panel(
    ax: Axes,
    points: Sequence[SavingsPoint],
    curve: Sequence[CurvePoint],
    names: tuple[str, str],
    up: bool,
) -> None:
    method, baseline = names
    counts, means, low, high = zip(*curve, strict=True)
    ax.fill_between(counts, low, high, color=BASELINE_COLOR, alpha=BAND, linewidth=0)
    ax.plot(counts, means, color=BASELINE_COLOR, marker="o", label=baseline)
    at, scores = [point.labeled for point in points], [point.score for point in points]
    bars = [[point.score - point.score_low for point in points], [point.score_high - point.score for point in points]]
    ax.errorbar(at, scores, bars, fmt="s", color=COLORS[0], capsize=2, elinewidth=1, zorder=4, label=method)
    count_axis(ax, sorted({*counts, *at}))
    ax.margins(y=0.12)  # room for what is said beside the outermost points
    for point in points:
        _interval(ax, point)
        _guide(ax, point, curve, up)


def _interval(ax: Axes, point: SavingsPoint) -> None:
    """The bar of the interval, with an arrow where it goes on beyond the curve."""
    if point.worth is None and point.low is None and point.high is None:
        return
    left, right = ax.get_xlim()
    low, high = point.low or left * 1.04, point.high or right / 1.04
    ax.plot([low, high], [point.score] * 2, color=COLORS[0], alpha=0.25, linewidth=5, solid_capstyle="butt")
    ends = [(low, "<")] * (point.low is None) + [(high, ">")] * (point.high is None)
    for end, marker in ends:
        ax.plot([end], [point.score], marker, color=COLORS[0], markersize=4, alpha=0.6)


def _guide(ax: Axes, point: SavingsPoint, curve: Sequence[CurvePoint], up: bool) -> None:
    if point.worth is None:
        above = _is_better(point, curve, up) == up  # away from the curve
        left = point.labeled**2 > ax.get_xlim()[0] * ax.get_xlim()[1]  # to where there is more room
        end = point.score_high if above else point.score_low
        _say(ax, _beyond(point, curve, up), (point.labeled, end), above, left)
        return
    bottom = ax.get_ylim()[0]
    corner = [point.labeled, point.worth, point.worth], [point.score, point.score, bottom]
    ax.plot(*corner, color=COLORS[0], linestyle=":", linewidth=1.1, zorder=3)
    ax.plot([point.worth], [point.score], "o", color="white", markeredgecolor=COLORS[0], markersize=4, zorder=4)
    ax.set_ylim(bottom=bottom)
    _say(ax, f"worth {point.worth:.0f} labels", (point.worth, point.score), not up, False)


def _say(ax: Axes, text: str, at: tuple[float, float], above: bool, left: bool) -> None:
    """Text beside a point, with a white rim that keeps it readable over lines."""
    offset = (-5 if left else 5, 5 if above else -5)
    said = ax.annotate(text, at, offset, textcoords="offset points", fontsize=8, color=COLORS[0], zorder=5)
    said.set(va="bottom" if above else "top", ha="right" if left else "left")
    said.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _is_better(point: SavingsPoint, curve: Sequence[CurvePoint], up: bool) -> bool:
    """Whether a point that the curve does not reach is better than all of it."""
    means = [each.mean for each in curve]
    return point.score > max(means) if up else point.score < min(means)


def _beyond(point: SavingsPoint, curve: Sequence[CurvePoint], up: bool) -> str:
    limit = f">{curve[-1].labeled}" if _is_better(point, curve, up) else f"<{curve[0].labeled}"
    return f"worth {limit} labels"


def _words(
    points: Sequence[SavingsPoint], curve: Sequence[CurvePoint], method: str, baseline: str, metric: str, up: bool
) -> str:
    def worth(point: SavingsPoint) -> str:
        if point.worth is None:
            return _beyond(point, curve, up)
        low = "less than the curve shows" if point.low is None else f"{point.low:.0f}"
        high = "more than it shows" if point.high is None else f"{point.high:.0f}"
        return f"worth {point.worth:.0f} labels (95 % interval {low} to {high})"

    drawn = ", ".join(f"{each.mean:.3g} with {each.labeled}" for each in curve)
    placed = "; ".join(f"{point.score:.3g} with {point.labeled} labeled, {worth(point)}" for point in points)
    return f"{metric} by number of labeled cases. {baseline}: {drawn}. {method}: {placed}."
