"""Expected against true Dice in the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from semiseg.quality.held_out import HeldOut


def held_out_table(figures: Sequence[HeldOut]) -> Table:
    """Return a table with a row per structure."""
    table = Table(
        box=SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title="Expected against true Dice",
        title_justify="left",
    )
    table.add_column("class", overflow="fold", min_width=12)
    titles = ("n", "rank\ncorrelation", "mean\nerror", "within the\n90 % interval", "mean\nwidth", "without")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for one in figures:
        rank = "–" if one.rank_correlation is None else f"{one.rank_correlation:.2f}"
        values = (f"{one.mean_error:.3f}", f"{one.coverage:.0%}".replace("%", " %"), f"{one.width:.3f}")
        table.add_row(escape(one.structure), str(one.n), rank, *values, str(one.left_out))
    return table
