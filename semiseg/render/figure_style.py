"""Style of figures, and deterministic drawing to files: the same data give the same bytes."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from semiseg.render.document import Figure

Panel = Callable[[Axes], None]
"""Function that draws a panel on its axes."""
DPI = 150
PANEL = 3.5, 3.0
"""Width and height in inches of one of several panels."""
SINGLE = 4.8, 3.5
"""Width and height in inches of a single panel."""
PANELS_A_LINE = 3
BASELINE_COLOR = "#333333"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colors of methods; together with the baseline's, distinguishable by color-blind readers.

Source: M. Okabe and K. Ito, Color universal design, 2008.
"""
MARKERS = ("s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":")
BAND = 0.15
"""Opacity of an interval's band."""
_STYLE: Mapping[str, Any] = {
    "svg.hashsalt": "semiseg",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are the same on every machine
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
}


def draw(
    key: str,
    title: str,
    alt: str,
    panels: Sequence[Panel | None],
    *,
    note: str = "",
    y_label: str = "",
    share_y: bool = True,
    columns: int | None = None,
) -> Figure:
    """Draw a figure of panels, in lines of up to three, with one shared legend below them.

    A panel that is None leaves its place empty; ``columns`` is the number of panels per line, by default at most three.
    ``y_label`` applies to the first panel of every line. Global state is not changed: pyplot is not used, and style
    settings apply to this drawing only.
    """
    columns = columns or min(len(panels), PANELS_A_LINE)
    lines = math.ceil(len(panels) / columns)
    width, height = panel_size(len(panels))
    with matplotlib.style.context(["default", dict(_STYLE)]):
        drawing = Drawing(figsize=(width * columns, height * lines), layout="constrained")
        grid = drawing.subplots(lines, columns, sharey=share_y, squeeze=False)
        padded = [*panels, *[None] * (lines * columns - len(panels))]
        drawn = []
        for line, start in zip(grid, range(0, len(padded), columns), strict=True):
            places = list(zip(padded[start : start + columns], line, strict=True))
            for ax in [ax for panel, ax in places if panel is None]:
                ax.remove()
            filled = [(panel, ax) for panel, ax in places if panel is not None]
            if filled and y_label:
                filled[0][1].set_ylabel(y_label)
            drawn += filled
        for panel, ax in drawn:
            panel(ax)
        _legend(drawing, [ax for _, ax in drawn], width * columns)
        svg = _file(drawing, "svg", {"Date": None, "Title": title})

    def png() -> bytes:
        with matplotlib.style.context(["default", dict(_STYLE)]):
            return _file(drawing, "png", {"Title": title})

    return Figure(key, title, alt, svg, png, note)


def panel_size(count: int) -> tuple[float, float]:
    """Return width and height in inches of each panel of a figure with ``count`` panels."""
    return PANEL if count > 1 else SINGLE


def count_axis(ax: Axes, counts: Sequence[int]) -> None:
    """Set up a logarithmic axis of numbers of labeled cases, with a tick at each."""
    ax.set_xscale("log")
    ax.set_xticks(list(counts), [str(count) for count in counts])
    ax.minorticks_off()
    ax.set_xlim(min(counts) / 1.25, max(counts) * 1.25)
    ax.set_xlabel("labeled cases")


def method_look(index: int) -> dict[str, Any]:
    """Return color, marker and line of the n-th method; methods also differ when printed without color."""
    line = LINES[index // len(COLORS) % len(LINES)]
    return {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)], "linestyle": line}


def _legend(drawing: Drawing, axes: Sequence[Axes], width: float) -> None:
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if handles:
        entries = [0.65 + 0.07 * len(label) for label in handles]  # inches: line sample, and text at this font size
        columns = len(entries) if sum(entries) < width else max(1, int(width / max(entries)))
        drawing.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)


def _file(drawing: Drawing, kind: str, metadata: Mapping[str, str | None]) -> bytes:
    file = io.BytesIO()
    drawing.savefig(file, format=kind, dpi=DPI, metadata=dict(metadata))
    return file.getvalue()
