"""Labels saved by methods: one panel per setting and method, with the baseline's curve."""

import math
from collections.abc import Sequence
from functools import partial

from semiseg.render.document import Figure
from semiseg.render.figure_style import PANELS_A_LINE, draw, method_look, panel_size
from semiseg.study_report.figures.savings_panel import CurvePoint, SavingsPanel, SavingsPoint, draw_panel, scale_of

__all__ = ["CurvePoint", "SavingsPanel", "SavingsPoint", "savings_figure"]

_AROUND = 55
"""Space in points that a panel loses to its labels, title and legend."""


def savings_figure(
    panels: Sequence[SavingsPanel],
    *,
    baseline: str = "supervised",
    metric: str = "Dice",
    higher_is_better: bool = True,
    digits: int = 3,
    note: str = "",
) -> Figure | None:
    """Draw one panel per setting and method, with a shared scale within each setting; None if none can be drawn.

    Guides lead from each point to the baseline's curve, and down to the number of labels there. The bar is the interval
    of that number; arrows point beyond the curve. A panel without points or curve is left out, but its method keeps its
    color. ``metric`` is the axis label, ``digits`` the decimals of scores, ``note`` the start of the figure's note.
    """
    methods = list(dict.fromkeys(panel.method for panel in panels))
    panels = [
        panel._replace(points=sorted(panel.points), curve=sorted(panel.curve))
        for panel in panels
        if panel.points and panel.curve
    ]
    if not panels:
        return None
    width, height = (72 * inches - _AROUND for inches in panel_size(len(panels)))
    settings = {panel.setting: [each for each in panels if each.setting == panel.setting] for panel in panels}

    def drawn(panel: SavingsPanel | None) -> partial[None] | None:
        if panel is None:
            return None
        scale = scale_of(settings[panel.setting], higher_is_better, width, height)
        look = method_look(methods.index(panel.method)) | {"linestyle": "none", "label": panel.method}
        return partial(
            draw_panel, panel=panel, baseline=baseline, look=look, up=higher_is_better, scale=scale, width=width
        )

    places = [drawn(panel) for panel in _places(panels)]
    alone = len({panel.method for panel in panels}) == 1
    title = f"How many labels {panels[0].method if alone else 'each method'} saves"
    alt = [
        f"{metric} by number of labeled cases.",
        *(_words(s, baseline, digits, higher_is_better) for s in settings.values()),
    ]
    guides = (
        f"Dotted lines: to the number of {baseline} labels with the same score, printed at the foot. "
        "Horizontal bars: its 95 % interval; arrows: beyond the curve."
    )
    note, columns = " ".join(filter(None, (note, guides))), _columns(panels)
    return draw("savings", title, " ".join(alt), places, note=note, y_label=metric, share_y=False, columns=columns)


def _columns(panels: Sequence[SavingsPanel]) -> int:
    """Return the panels per line: a setting's methods side by side or, with one method, the settings."""
    methods = len({panel.method for panel in panels})
    count = methods if methods > 1 else len(panels)
    return math.ceil(count / math.ceil(count / PANELS_A_LINE))


def _places(panels: Sequence[SavingsPanel]) -> list[SavingsPanel | None]:
    """Return the panels in grid order: each setting starts a line, and a missing method leaves its place empty."""
    settings, methods = (dict.fromkeys(getattr(panel, field) for panel in panels) for field in ("setting", "method"))
    if len(methods) == 1:
        return list(panels)
    found = {(panel.setting, panel.method): panel for panel in panels}
    padding = [None] * (-len(methods) % _columns(panels))
    return [place for setting in settings for place in (*(found.get((setting, m)) for m in methods), *padding)]


def _words(panels: Sequence[SavingsPanel], baseline: str, digits: int, up: bool) -> str:
    """Describe what is drawn for one setting."""
    setting, _, _, curve = panels[0]
    drawn = ", ".join(f"{each.mean:.{digits}f} with {each.labeled}" for each in curve)
    said = [f"{baseline}: {drawn}"]
    for panel in panels:
        placed = (f"{p.score:.{digits}f} with {p.labeled} labeled, {_worth(p, panel, up)}" for p in panel.points)
        said.append(f"{panel.method}: {', '.join(placed)}")
    return f"{f'{setting} – ' if setting else ''}{'; '.join(said)}."


def _worth(point: SavingsPoint, panel: SavingsPanel, up: bool) -> str:
    number = panel.beyond(panel.is_better(point.score, up)) if point.worth is None else f"{point.worth:.0f}"
    text = f"worth {number} {'label' if number == '1' else 'labels'}"
    if point.worth is None and point.low is None and point.high is None:
        return text
    low = "less than the curve shows" if point.low is None else f"{point.low:.0f}"
    high = "more than it shows" if point.high is None else f"{point.high:.0f}"
    return f"{text} (95 % interval {low} to {high})"
