"""The page on the reference study: each point is shown by a recipe line or a test that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/explanation/reference-study.md").read_text()
ROWS = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "shown by" not in line]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_what_shows_a_point_is_there(row):
    assert len(row) == 5
    recipe = " ".join((ROOT / "recipes/brats_cps.yaml").read_text().split())
    shown = re.findall(r"`([^`]+)`", row[-1])
    for one in shown:
        path, _, name = one.partition("::")
        if name:
            assert re.search(rf"def {name}\(", (ROOT / path).read_text()), one
        else:
            assert one in recipe, one
    assert shown or row[3].strip().startswith("**differs**"), "a point that agrees is shown"


def test_the_study_has_the_settings_of_the_single_recipe():
    study = " ".join((ROOT / "recipes/brats_study.yaml").read_text().split())
    lines = {one for row in ROWS for one in re.findall(r"`([^`]+)`", row[-1]) if "::" not in one}
    assert {line for line in lines if line not in study} == set()
