"""The bar in terminals of several widths."""

import io

import pytest
from rich.console import Console

from semiseg.cli.console import RichReporter


@pytest.mark.parametrize(("width", "last"), [(80, "epoch 2/2"), (100, "loss 2.784"), (160, "GiB 0.859")])
def test_in_a_narrow_terminal_figures_are_cut_and_nothing_else(width, last):
    reporter = RichReporter()
    out = io.StringIO()
    reporter.console = Console(file=out, width=width, force_terminal=True, color_system=None)
    figures = {"epoch": "2/2", "loss": 2.784, "supervised": 1.46, "pseudo": 2.648, "val dice": 0.048, "GiB": 0.859}
    with reporter.work("training", 4000, unit="step") as meter:
        meter.at(1200, figures)
    line = next(line for line in reversed(out.getvalue().splitlines()) if "training" in line)
    for part in ("training", "1200/4000", "steps", last):
        assert part in line
    assert ("…" in line) == (width < 160)
