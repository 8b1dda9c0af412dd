"""The README's defaults, published values and their sources, against the code."""

from pathlib import Path

from semiseg.registry import load
from semiseg.testing.published.defaults import problems, rows_of

README = (Path(__file__).parents[1] / "README.md").read_text()
NAMES = ("dan", "sassnet")


def test_the_readme_has_the_defaults_of_the_code():
    assert rows_of(README)
    assert problems(README, {name: load("strategy", name) for name in NAMES}) == []
