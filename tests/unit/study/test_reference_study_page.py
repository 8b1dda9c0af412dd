"""The page on the reference study: each point is shown by a recipe's key and value, or by a test that exists."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from semiseg.recipe.yaml import parse_yaml, read_yaml

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/explanation/reference-study.md").read_text()
ROWS = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "shown by" not in line]
LINES = {one for row in ROWS for one in re.findall(r"`([^`]+)`", row[-1]) if "::" not in one}
OF_CPS = {"wait_epochs", "phi"}
"""Options of CPS alone."""
OF_UNLABELED = {"batch_size"}
"""Keys that a supervised recipe has with another value: four labeled samples."""


def recipe(name: str) -> Mapping[str, Any]:
    return read_yaml(ROOT / f"recipes/{name}.yaml")[0]


def values(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, at all depths."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield key, value
            yield from values(value)
    elif isinstance(data, list):
        for one in data:
            yield from values(one)


def lacks(data: Any, line: str) -> bool:
    """Return whether a recipe lacks a line "key: value", compared as values."""
    ((key, value),) = parse_yaml(line, "page")[0].items()
    return (key, value) not in list(values(data))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_what_shows_a_point_is_there(row):
    assert len(row) == 5
    shown = re.findall(r"`([^`]+)`", row[-1])
    for one in shown:
        path, _, name = one.partition("::")
        if name:
            assert re.search(rf"def {name}\(", (ROOT / path).read_text()), one
        else:
            assert not lacks(recipe("brats_cps"), one), one
    assert shown or row[3].strip().startswith("**differs**"), "a point that agrees is shown"


@pytest.mark.parametrize("name", ["brats_study", "brats_supervised"])
def test_the_other_recipes_of_the_study_have_the_same_settings(name):
    left_out = {"brats_supervised": OF_CPS | OF_UNLABELED}.get(name, set())
    wanted = {line for line in LINES if line.partition(":")[0] not in left_out}
    assert {line for line in wanted if lacks(recipe(name), line)} == set()
