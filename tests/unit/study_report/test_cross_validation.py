"""Folds in a study's report: the table of the cross-validation, and how folds are counted elsewhere."""

from pathlib import Path

import pytest
from helpers_scores import score
from helpers_study import flat, log, study

from semiseg.comparison.read import ScoredRun
from semiseg.study_report.findings import findings
from semiseg.study_report.results import StudyArm
from semiseg.study_report.study_metric import arm_values, estimate, study_metric
from semiseg.study_report.study_pairs import make_pair
from semiseg.study_report.tables.arm_tables import arms_table
from semiseg.study_report.tables.cross_validation import cross_validation_table
from semiseg.study_report.tables.finding_tables import finding_tables
from semiseg.study_report.text.headlines import headlines


def run(value, seed, fold, mode="volume"):
    """A run with this mean Dice on eight test cases."""
    values = flat(value)
    rows = [
        score(str(case), one, class_name=name) for name, column in values.items() for case, one in enumerate(column)
    ]
    recipe = {"name": "made", "seed": seed, "training": {"validation": {"mode": mode}}}
    if fold is not None:
        recipe["split"] = {"folds": 2, "fold": fold}
    return ScoredRun(Path("made"), "last", {(s.metric, s.class_name, s.case): s for s in rows}, recipe, {})


def arm(method, *runs, total=4, logs=()):
    return StudyArm("", method, 4, total, runs, logs)


def two_methods(seeds):
    """Folds 0 and 1 of each seed; the second fold is 0.1 better, and cps 0.05."""
    values = {(seed, fold): 0.4 + 0.04 * seed + 0.1 * fold for seed in seeds for fold in (0, 1)}
    base, cps = ([run(value + more, *key) for key, value in values.items()] for more in (0.0, 0.05))
    return study(arm("supervised", *base), arm("cps", *cps, total=10))


def validated(losses, dice):
    records = log([1.0] * len(losses), dice)
    for record, loss in zip(records, losses, strict=True):
        record["validation"] |= {"loss": loss, "dice": {"a": record["validation"]["mean_dice"], "b": None}}
    return records


def text(table, row=0):
    return dict(zip(table.columns, (cell.text for cell in table.rows[row]), strict=True))


def test_the_table_of_the_cross_validation_by_hand():
    logs = (validated([0.5, 0.3, 0.4], [0.4, 0.6, 0.5]), validated([0.5, 0.6, 0.7], [0.5, 0.6, 0.7]), [])
    runs = [run(0.5, 1, fold) for fold in (0, 1, 2)]
    table = cross_validation_table(study(arm("supervised", *runs, logs=logs), arm("cps", run(0.5, 1, None))))
    assert len(table.rows) == 1
    row = text(table)
    assert (row["method"], row["labeled"], row["models"]) == ("supervised", "4", "2")
    assert row["last: mean ± sd"] == "0.600 ± 0.141"  # of 0.5 and 0.7
    assert row["best: mean ± sd"] == "0.550 ± 0.071"  # of 0.6, with a loss of 0.3, and 0.5
    assert (row["last: a"], row["last: b"]) == ("0.600 ± 0.141", "–")
    assert "its Dice is too high" in table.notes[1]
    assert len(table.notes) == 2


def test_a_loss_that_is_not_finite_is_not_the_best():
    logs = (validated([None, 0.6], [0.9, 0.2]),)
    assert (
        text(cross_validation_table(study(arm("supervised", run(0.5, 1, 0), logs=logs))))["best: mean ± sd"] == "0.200"
    )


def test_a_validation_of_patches_is_noted():
    made = study(arm("supervised", run(0.5, 1, 0, mode="patch"), logs=(validated([0.5], [0.4]),)))
    assert "center patch" in cross_validation_table(made).notes[-1]


def test_without_folds_there_is_no_such_table():
    assert cross_validation_table(study(arm("supervised", run(0.5, 1, None), logs=(validated([0.5], [0.4]),)))) is None


def test_folds_are_averaged_within_the_seeds():
    results = two_methods((1, 2, 3))
    metric = study_metric(results, "dice")
    assert arm_values(results.arms[0], metric).shape == (3, 8, 3)
    found = estimate(results.arms[0], metric)
    assert (found.seeds, found.seed_std) == (3, pytest.approx(0.04))
    table = arms_table(results, metric)
    assert text(table)["seeds"] == "3"
    assert table.notes[-1] == "Folds: a seed's value of a test case is the mean over its folds."
    assert headlines(results, findings(results, metric), metric, "last")[0].startswith(
        "12 models with scores, 3 seeds, 2 folds, 8 test cases"
    )


def test_the_folds_of_a_single_seed_are_counted_and_called_folds():
    results = two_methods((1,))
    metric = study_metric(results, "dice")
    found = findings(results, metric)
    table = arms_table(results, metric)
    assert text(table)["folds"] == "2"
    assert "seeds" not in table.columns
    assert "with one seed, each fold counts as a seed" in table.notes[-1]
    said = headlines(results, found, metric, "last")
    assert said[0].startswith("4 models with scores, 1 seed, 2 folds")
    assert any("How certain? 1 seed, 2 folds: folds share most of their labeled cases" in line for line in said)
    power = next(table for table in finding_tables(results, found, (), metric) if table.key == "power")
    seeds = next(row for row in power.rows if "seeds" in {cell.text for cell in row})
    assert seeds[-1].text == "folds of one seed share labeled cases"


def test_missing_folds_are_seen():
    base, cps = [run(0.5, 1, 0), run(0.6, 1, 1), run(0.5, 2, 0)], [run(0.5, 1, 0), run(0.6, 1, 1)]
    metric = study_metric(study(arm("supervised", *base)), "dice")
    assert make_pair(arm("supervised", *base), arm("cps", *cps, total=10), metric).seeds_differ
    assert not make_pair(arm("supervised", *cps), arm("cps", *cps, total=10), metric).seeds_differ
