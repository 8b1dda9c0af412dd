"""One panel of the savings figure: a method's points, the baseline's curve, and the labels each point is worth."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from semiseg.render.figure_style import BAND, BASELINE_COLOR, count_axis

# In points: height of a line of numbers, width of a digit, minimum gap between two numbers in a line.
_LINE, _DIGIT, _GAP = 11, 5.1, 10


class CurvePoint(NamedTuple):
    """The baseline's score with ``labeled`` cases, and its 95 % interval."""

    labeled: int
    mean: float
    low: float
    high: float


class SavingsPoint(NamedTuple):
    """A method's score with ``labeled`` cases, and the number of labels that the baseline needs for the same score.

    ``worth`` is None if the curve does not reach the score; ``low`` and ``high``, the ends of its 95 % interval, are
    None if they are beyond the curve.
    """

    labeled: int
    score: float
    score_low: float
    score_high: float
    worth: float | None
    low: float | None
    high: float | None


class SavingsPanel(NamedTuple):
    """A method in a setting, with the baseline's curve there."""

    setting: str
    method: str
    points: Sequence[SavingsPoint]
    curve: Sequence[CurvePoint]

    @property
    def title(self) -> str:
        """Setting and method."""
        return ", ".join(filter(None, (self.setting, self.method)))

    def is_better(self, score: float, up: bool) -> bool:
        """Return whether a score that the curve does not reach is better than all of it."""
        means = [each.mean for each in self.curve]
        return score > max(means) if up else score < min(means)

    def beyond(self, better: bool) -> str:
        """Return the number of labels that a score beyond the curve is worth."""
        return f">{self.curve[-1].labeled}" if better else f"<{self.curve[0].labeled}"


def _ends(panel: SavingsPanel, up: bool, width: float) -> tuple[float, float]:
    """Return the ends of the axis of counts, with room for the texts at arrows."""
    counts = [*(each.labeled for each in panel.curve), *(point.labeled for point in panel.points)]
    ends = min(counts) / 1.25, max(counts) * 1.25
    room = (ends[1] / ends[0]) ** (6 * _DIGIT / width)
    better = {panel.is_better(point.score, up) for point in panel.points if point.worth is None}
    return ends[0] / (room if False in better else 1), ends[1] * (room if True in better else 1)


def _levels(panel: SavingsPanel, up: bool, width: float) -> list[int]:
    """Return for each point the line of its number, counted from the foot: close numbers get different lines."""
    left, right = map(math.log, _ends(panel, up, width))
    taken: list[float] = []
    levels = {}
    for worth in sorted({point.worth for point in panel.points if point.worth is not None}):
        at, half = width * (math.log(worth) - left) / (right - left), len(f"{worth:.0f}") * _DIGIT / 2
        level = next((level for level, end in enumerate(taken) if at - half >= end + _GAP), len(taken))
        taken[level : level + 1] = [at + half]
        levels[worth] = level
    return [0 if point.worth is None else levels[point.worth] for point in panel.points]


def scale_of(panels: Sequence[SavingsPanel], up: bool, width: float, height: float) -> tuple[float, float]:
    """Return the ends of a setting's score axis, with room for the numbers at the foot and one above."""
    ends = [end for panel in panels for each in panel.curve for end in each[1:]]
    ends += [end for panel in panels for point in panel.points for end in point[1:4]]
    foot = _LINE * (1.6 + max(level for panel in panels for level in _levels(panel, up, width)))
    point = ((max(ends) - min(ends)) or 1.0) / (height - foot - _LINE)
    return min(ends) - foot * point, max(ends) + _LINE * point


def draw_panel(
    ax: Axes,
    panel: SavingsPanel,
    baseline: str,
    look: Mapping[str, Any],
    up: bool,
    scale: tuple[float, float],
    width: float,
) -> None:
    """Draw on axes ``width`` points wide; ``scale``: ends of the score axis, ``up``: higher is better."""
    counts, means, low, high = zip(*panel.curve, strict=True)
    ax.fill_between(counts, low, high, color=BASELINE_COLOR, alpha=BAND, linewidth=0)
    ax.plot(counts, means, color=BASELINE_COLOR, marker="o", label=baseline)
    at, scores, lows, highs = zip(*(point[:4] for point in panel.points), strict=True)
    bars = [[s - low for s, low in zip(scores, lows, strict=True)], [h - s for s, h in zip(scores, highs, strict=True)]]
    ax.errorbar(at, scores, bars, capsize=2, elinewidth=1, zorder=4, **look)
    count_axis(ax, sorted({*counts, *at}))
    ax.set_xlim(_ends(panel, up, width))
    ax.set_ylim(scale)
    ax.set_title(panel.title)
    for point, level in zip(panel.points, _levels(panel, up, width), strict=True):
        _interval(ax, point, look["color"])
        if point.worth is not None:
            _guide(ax, point, point.worth, level, look["color"])
    _arrows(ax, panel, up, look["color"])


def _interval(ax: Axes, point: SavingsPoint, color: str) -> None:
    """Draw the interval as a bar, with an arrow where it continues beyond the curve."""
    if point.worth is None and point.low is None and point.high is None:
        return
    left, right = ax.get_xlim()
    low, high = point.low or left * 1.04, point.high or right / 1.04
    ax.plot([low, high], [point.score] * 2, color=color, alpha=0.25, linewidth=5, solid_capstyle="butt")
    ends = [(low, "<")] * (point.low is None) + [(high, ">")] * (point.high is None)
    for end, marker in ends:
        ax.plot([end], [point.score], marker, color=color, markersize=4, alpha=0.6)


def _guide(ax: Axes, point: SavingsPoint, worth: float, level: int, color: str) -> None:
    corner = [point.labeled, worth, worth], [point.score, point.score, ax.get_ylim()[0]]
    ax.plot(*corner, color=color, linestyle=":", linewidth=1.1, zorder=3)
    ax.plot([worth], [point.score], "o", color="white", markeredgecolor=color, markersize=4, zorder=4)
    foot = (worth, ax.get_ylim()[0])
    _say(ax, f"{worth:.0f}", foot, (0, 2 + level * _LINE), color, ha="center", va="bottom")


def _arrows(ax: Axes, panel: SavingsPanel, up: bool, color: str) -> None:
    """Draw arrows from points that the curve does not reach to the edge; of close ones, label only the outermost."""
    bottom, top = ax.get_ylim()
    for better in (False, True):
        points = [p for p in panel.points if p.worth is None and panel.is_better(p.score, up) == better]
        above = better == up  # away from the curve
        said: float | None = None
        for point in sorted(points, key=lambda p: p.score, reverse=above):
            edge = ax.get_xlim()[1] / 1.04 if better else ax.get_xlim()[0] * 1.04
            ax.plot([point.labeled, edge], [point.score] * 2, color=color, linestyle=":", linewidth=1.1, zorder=3)
            ax.plot([edge], [point.score], ">" if better else "<", color=color, markersize=5, zorder=4)
            if said is None or abs(point.score - said) > 0.08 * (top - bottom):
                look = {"ha": "right" if better else "left", "va": "bottom" if above else "top"}
                _say(ax, panel.beyond(better), (edge, point.score), (0, 4 if above else -4), color, **look)
                said = point.score


def _say(ax: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], color: str, **look: str) -> None:
    """Write text next to a position, with a white rim that keeps it readable over lines."""
    said = ax.annotate(text, at, offset, textcoords="offset points", fontsize=8, color=color, zorder=5)
    said.set(**look)
    said.set_path_effects([withStroke(linewidth=3, foreground="white")])
