"""The part of a report on expected against true Dice: a scatter figure and a table."""

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes

from semiseg.messages import counted
from semiseg.quality.held_out import Compared, HeldOut, held_out
from semiseg.render import cells
from semiseg.render.document import Cell, Figure, Section, Table
from semiseg.render.figure_style import BASELINE_COLOR, COLORS, draw

TITLE = "Expected Dice"
COLUMNS = ("class", "cases", "rank correlation", "mean error", "in the interval", "mean width", "without")
NOTES = (
    "Calibrated on the validation cases, tested on the test cases. Rank correlation: Spearman's, of expected and true"
    " Dice. Mean error: of absolute differences. In the interval: share of cases, on average 90 % over draws of the"
    " validation cases; of a single draw of few cases it may be far from that. Without: cases with a Dice but no"
    " expected Dice.",
)
_MOST_PANELS = 9
_MOST_BARS = 150


def quality_section(rows: Sequence[Compared], checkpoint: str, title: str) -> Section | None:
    """Return the section of a run's report for a checkpoint, shown by its ``title``; None without pairs of values."""
    found = held_out(rows)
    if not found:
        return None
    text = "semiseg predict gives the Dice to expect of new images (quality.csv); here the true Dice is known."
    table = Table(
        f"expected_dice_{checkpoint}",
        f"expected against true Dice, {title} weights",
        COLUMNS,
        tuple((Cell(one.structure), *figures(one)) for one in found),
        NOTES,
    )
    return Section(TITLE, (text,), (table,), (quality_figure(rows, f"expected_dice_{checkpoint}"),))


def figures(one: HeldOut) -> tuple[Cell, ...]:
    """Return the cells of a structure's figures, as in COLUMNS."""
    return (
        cells.count(one.n),
        cells.number(one.rank_correlation, 2),
        cells.number(one.mean_error, 3),
        cells.number(one.coverage, 2),
        cells.number(one.width, 3),
        cells.count(one.left_out),
    )


def quality_figure(rows: Sequence[Compared], key: str) -> Figure:
    """Draw expected against true Dice, a panel per structure (at most nine), with intervals if cases are few."""
    structures = list(dict.fromkeys(one.quality.structure for one in rows if one.is_pair))
    shown, said = structures[:_MOST_PANELS], []
    pairs = {name: [one for one in rows if one.is_pair and one.quality.structure == name] for name in shown}
    values = [v for some in pairs.values() for one in some for v in (one.quality.expected_dice, one.dice)]
    least = max(min(v for v in values if v is not None) - 0.05, 0.0)
    for name, some in pairs.items():
        inside = sum(_inside(one) for one in some)
        said.append(f"{name}: {counted(len(some), 'case')}, {inside} with the true Dice within the interval.")
    left = len(structures) - len(shown)
    bars = "Bars: 90 % intervals. " if any(len(some) <= _MOST_BARS for some in pairs.values()) else ""
    note = f"{bars}Dashed: expected equals true.{f' {left} more in the table.' if left else ''}"
    panels = [partial(_panel, title=name, rows=some, least=least) for name, some in pairs.items()]
    alt = " ".join(["Expected and true Dice of the test cases.", *said])
    return draw(key, "Expected and true Dice", alt, panels, note=note, y_label="true Dice")


def _inside(one: Compared) -> bool:
    low, high, dice = one.quality.low, one.quality.high, one.dice
    return low is not None and high is not None and dice is not None and low <= dice <= high


def _panel(ax: Axes, title: str, rows: Sequence[Compared], least: float) -> None:
    ax.plot([least, 1], [least, 1], linestyle="--", color=BASELINE_COLOR, linewidth=0.8)
    for one in rows if len(rows) <= _MOST_BARS else ():
        low, high = one.quality.low, one.quality.high
        if low is not None and high is not None and one.dice is not None:
            ax.plot([low, high], [one.dice, one.dice], color=COLORS[0], linewidth=0.5, alpha=0.35)
    expected = [one.quality.expected_dice or 0.0 for one in rows]
    true = [one.dice or 0.0 for one in rows]
    ax.plot(expected, true, linestyle="none", marker="o", markersize=3, color=COLORS[0], alpha=0.8)
    ax.set_xlim(least, 1)
    ax.set_ylim(least, 1)
    ax.set_title(title)
    ax.set_xlabel("expected Dice")
