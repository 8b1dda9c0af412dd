"""The bar in terminals of several widths."""

import io
import re
import time

import pytest
from rich.console import Console

from semiseg.cli.console import RichReporter

FIGURES = {
    "validation Dice": "0.612",
    "epoch": "120/1000",
    "loss": 2.784,
    "supervised": 1.46,
    "step memory": "9.86 GiB",
}


def shown(width):
    reporter = RichReporter()
    reporter.console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    return reporter


def last_bar(reporter):
    return next(line for line in reversed(reporter.console.file.getvalue().splitlines()) if "training" in line)


@pytest.mark.parametrize(
    ("width", "last"), [(80, "validation Dice 0.612"), (100, "epoch 120/1000"), (160, "step memory 9.86 GiB")]
)
def test_in_a_narrow_terminal_the_first_figures_and_the_time_left_are_seen(width, last):
    reporter = shown(width)
    with reporter.work("training", 150_000, done=12_000, unit="step") as meter:
        meter.at(12_001, FIGURES)
        time.sleep(0.3)  # a pace of some steps a second: hours are left
        meter.at(12_002, FIGURES)
    line = last_bar(reporter)
    for part in ("training", "12002/150000", "steps", last):
        assert part in line
    assert re.search(r" \d+:\d\d:\d\d ", line)
    assert ("…" in line) == (width < 160)


def test_what_is_said_stays_above_the_bar():
    reporter = shown(80)
    line = "epoch 120/1000  validation Dice 0.612 (best)  loss 2.784  after 12 h 10 min"
    with reporter.work("training", 4000, unit="step") as meter:
        meter.at(1200, FIGURES)
        reporter.say(line)
        meter.at(1201, FIGURES)
    text = reporter.console.file.getvalue()
    assert text.index(line) < text.rindex("training")
    assert text.count(line) == 1
