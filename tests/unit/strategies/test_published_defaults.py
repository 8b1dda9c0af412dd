"""The documented defaults, published values and their sources, against the code."""

import re
from pathlib import Path

import pytest

from semiseg.recipe.load import load_recipe
from semiseg.registry import load
from semiseg.strategies.cps import CPSOptions
from semiseg.strategy_parts.durations import ramp_share, teacher_decay, wait_share
from semiseg.testing.published.defaults import means, problems, rows_of

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "reference/strategy-defaults.md").read_text()
NAMES = (
    "cps", "cross_teaching", "dhc", "entropy_minimization", "fixmatch", "pi_model", "pseudo_label", "self_training",
    "supervised", "unimatch",
)  # fmt: skip
STRATEGIES = {name: load("strategy", name) for name in NAMES}


def test_the_page_is_the_code_s():
    assert len(rows_of(PAGE)) > 40
    assert problems(PAGE, STRATEGIES) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("| `phi` | 0.5 | 0.5 |", "| `phi` | 1.5 | 1.5 |", "cps.phi is 0.5, not 1.5"),
        ("| `cps` | `pseudo_mean` |", "| `cps` | `pseudo_maen` |", "cps has no option pseudo_maen"),
        ("| `cps` | `phi` | 0.5 | 0.5 | brats-semisup train_semi.py:32 |\n", "", "cps.phi has 0 rows"),
        ("| 0.5 | 0.5 | brats-semisup train_semi.py:32 |", "| 0.5 | 0.5 | the paper |", "phi: 'the paper' is no place"),
        (
            "| 0.5 | 0.5 | brats-semisup train_semi.py:32 |",
            "| 0.5 | 1 | brats-semisup train_semi.py:32 |",
            "1 published",
        ),
        ("| auto | 1 | ours: steps / 30 000", "| auto | auto | ours: steps / 30 000", "auto published"),
    ],
)
def test_a_page_that_is_not_is_told(old, new, problem):
    assert old in PAGE
    assert any(problem in each for each in problems(PAGE.replace(old, new), STRATEGIES))


def test_what_a_cell_means():
    assert means("none", None)
    assert means("true", True)
    assert not means("1", True)
    assert means("2/17", 2 / 17)
    assert means("[0.25, 0.5]", (0.25, 0.5))
    assert not means("[0.25]", (0.25, 0.5))
    assert not means("auto", 0.99)
    assert not means("0.99", "auto")


WORDS = {
    "dice": "Dice", "cross_entropy": "cross entropy", "dice_ce": "Dice + cross entropy",
    "labeled_and_unlabeled": "labeled and unlabeled",
}  # fmt: skip


def variants():
    """The rows of the page on CPS, by name."""
    table = (DOCS / "explanation/cps.md").read_text().split("## Variants")[1].split("## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "|" in line]
    return {row[0].split(" (")[0]: row[1:] for row in rows if row[0] and not row[0].startswith("-")}


def test_the_page_on_cps_has_the_defaults():
    o = CPSOptions()
    assert (o.pseudo_mean, o.wait_epochs, o.wait_share) == ("joint", None, "auto")
    steps, least, most = round(wait_share(1000) * 1000), wait_share(10**9), wait_share(1)
    wait = f"{steps} steps, {100 * least:g} % to {100 * most:g} %"
    assert variants()["default"] == [WORDS[o.loss], WORDS[o.pseudo_loss], WORDS[o.pseudo_on], f"{o.phi:g}", wait]


def test_the_page_on_cps_has_the_study_s_recipe():
    recipe = load_recipe("brats_cps", expand=False)
    o = CPSOptions.model_validate(recipe.strategy.values)
    assert (o.loss, o.pseudo_loss, recipe.training.dice.background) == ("dice", "dice", False)
    assert variants()["Luque et al. 2023"] == [
        "Dice without background", "the same", WORDS[o.pseudo_on], f"{o.phi:g}",
        f"{o.wait_epochs} epochs of {recipe.training.epochs}",
    ]  # fmt: skip


def test_durations_are_the_published_ones_in_trainings_as_long_as_published():
    """Steps: brats-semisup 250 000 (train_semi.py:29,35,63), SSL4MIS 30 000 and 60 000, UA-MT 6000."""
    assert wait_share(250_000) == pytest.approx(15 / 1000)
    assert [ramp_share(steps) for steps in (30_000, 60_000)] == [1, 1]
    assert [teacher_decay(steps) for steps in (6000, 30_000)] == pytest.approx([0.99, 0.99])


def test_every_method_is_on_the_page_of_strategies():
    page = (DOCS / "reference/strategies.md").read_text().split("## Deep supervision")[0]
    assert set(NAMES) <= set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
