"""Folds with the same test cases: averaged within a seed, or counted like seeds if there is one seed only."""

from pathlib import Path

import numpy as np
import pytest
from helpers_scores import table, write_run

from semiseg.comparison.compare import compare
from semiseg.comparison.methods import Method, read_methods
from semiseg.comparison.metric import compare_metric
from semiseg.comparison.read import ScoredRun
from semiseg.comparison.repetitions import average, repetitions
from semiseg.errors import DataError
from semiseg.scoring.policy import find_policy


def run(seed, fold, *values):
    """A run with the Dice of the cases a, b, …"""
    scores = table({"core": dict(zip("abcdefgh", values, strict=False))})
    recipe = {"name": f"m_f{fold}_s{seed}", "seed": seed}
    if fold is not None:
        recipe["split"] = {"folds": 2, "fold": fold}
    return ScoredRun(Path(recipe["name"]), "", {(s.metric, s.class_name, s.case): s for s in scores}, recipe, {})


def compared(*methods):
    dice = compare_metric("dice", methods, methods[0].name, find_policy("exclude"), higher_is_better=True)
    return {entry.method: entry for entry in dice.rows[0].entries}


def named(*tables):
    return [(one.name, one.tables) for one in repetitions("m", tables)]


def test_the_folds_of_a_seed_are_one_repetition_if_there_are_several_seeds():
    assert named(run(1, 0), run(1, 1), run(2, 0), run(2, 1)) == [(1, (0, 1)), (2, (2, 3))]


def test_the_folds_of_a_single_seed_are_repetitions():
    assert named(run(3, 0), run(3, 1)) == [("3 fold 0", (0,)), ("3 fold 1", (1,))]


def test_runs_without_folds_are_repetitions_each():
    assert named(run(1, None), run(2, None)) == [(1, (0,)), (2, (1,))]
    assert named(run(1, None), run(1, None)) == [(1, (0,)), (1, (1,))]
    assert named(run(None, None), run(None, None)) == [("m 0", (0,)), ("m 1", (1,))]
    assert named(run(4, 1)) == [(4, (0,))]


def test_average():
    values = np.array([[[0.2], [0.4]], [[0.4], [0.8]], [[0.5], [np.nan]]])
    found = repetitions("m", (run(1, 0), run(1, 1), run(2, 0)))
    np.testing.assert_allclose(average(values, found), [[[0.3], [0.6]], [[0.5], [np.nan]]])
    alone = repetitions("m", (run(1, None), run(2, None), run(3, None)))
    assert average(values, alone) is values


def test_a_method_s_spread_is_that_of_the_seeds_means_over_folds():
    runs = (run(1, 0, 0.1, 0.3), run(1, 1, 0.3, 0.5), run(2, 0, 0.5, 0.7), run(2, 1, 0.7, 0.9))
    entry = compared(Method("m", runs))["m"]
    assert entry.mean == pytest.approx(0.5)
    assert entry.seed_std == pytest.approx(np.std([0.3, 0.7], ddof=1))
    assert Method("m", runs).seeds == (1, 2)


def test_the_spread_of_a_single_seed_is_that_of_its_folds():
    entry = compared(Method("m", (run(1, 0, 0.1, 0.3), run(1, 1, 0.3, 0.5))))["m"]
    assert entry.seed_std == pytest.approx(np.std([0.2, 0.4], ddof=1))


def test_more_folds_of_the_same_scores_change_no_interval():
    """Cases are the units of the test, and folds add none."""
    base, new = (0.5, 0.6, 0.7, 0.4, 0.5, 0.6), (0.6, 0.6, 0.9, 0.5, 0.4, 0.8)
    plain = [Method(name, (run(1, None, *v), run(2, None, *v[::-1]))) for name, v in (("a", base), ("b", new))]
    folded = [
        Method(name, tuple(run(seed, fold, *v[:: 3 - 2 * seed]) for seed in (1, 2) for fold in range(5)))
        for name, v in (("a", base), ("b", new))
    ]
    one, two = compared(*plain)["b"], compared(*folded)["b"]
    assert two.difference == pytest.approx(one.difference)
    assert two.interval == pytest.approx(one.interval)
    assert (two.p, two.effect) == pytest.approx((one.p, one.effect))


def folds(tmp_path, name, seeds=(1, 2), phi=0.5, of=2, labels=(6, 2)):
    """Run folders of every fold and seed, as a study names them."""
    found = []
    for seed in seeds:
        for fold in range(of):
            labeled, validation = labels
            summary = {"cases": {"labeled": labeled, "validation": validation, "unlabeled": 10, "test": 4}}
            run = write_run(tmp_path / f"{name}_f{fold}_s{seed}", seed=seed, phi=phi, summary=summary)
            with (run / "recipe.yaml").open("a") as file:
                file.write(f"split: {{folds: {of}, fold: {fold}}}\n")
            found.append(run)
    return found


def test_runs_that_differ_in_fold_and_seed_are_one_method(tmp_path):
    runs = [*folds(tmp_path, "cps"), *folds(tmp_path, "weak", phi=0.1)]
    assert [(m.name, len(m.runs), m.seeds) for m in read_methods(runs)] == [("cps", 4, (1, 2)), ("weak", 4, (1, 2))]


def test_a_run_without_folds_is_another_method(tmp_path):
    runs = [*folds(tmp_path, "cps"), write_run(tmp_path / "plain")]
    assert [(m.name, len(m.runs)) for m in read_methods(runs)] == [("cps", 4), ("plain", 1)]


def test_folds_of_one_method_are_no_comparison(tmp_path):
    with pytest.raises(DataError, match="only the fold or the seed differs"):
        read_methods(folds(tmp_path, "cps"))


def test_a_comparison_tells_how_folds_are_counted(tmp_path):
    result = compare([*folds(tmp_path, "cps"), *folds(tmp_path, "weak", phi=0.1)])
    assert result.methods[0].description == "cps: 4 runs, seeds 1, 2, folds 0, 1, 8 of 18 cases labeled"
    assert "Folds are averaged within each seed: cps, weak." in result.notes
    assert not any("same seed" in note or "Only one seed" in note for note in result.notes)


def test_a_comparison_of_one_seed_tells_that_folds_are_no_seeds(tmp_path):
    result = compare([*folds(tmp_path, "cps", (1,)), *folds(tmp_path, "weak", (1,), phi=0.1, of=3)])
    said = " ".join(result.notes)
    assert "Each fold of cps, weak counts as a seed. Folds share most of their labeled cases" in said
    assert "The methods have different folds." in said
