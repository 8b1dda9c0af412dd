"""A study with folds as a user runs it: planned, run, compared and reported."""

import csv
import json

import pytest
from helpers_processes import run as semiseg
from ruamel.yaml import YAML
from small_run import SMALL

STUDY = {
    "name": "folded",
    "folds": 2,
    "matrix": [
        {"strategy": "supervised", "split.labeled": 4},
        {"strategy": {"name": "cps", "wait_share": 0.3}, "split.labeled": 4},
    ],
    "base": {
        **{key: value for key, value in SMALL.items() if key not in {"name", "seed"}},
        "dataset": {"name": "phantom", "cases": 9, "size": [32, 32, 32]},
        "split": {"test": 3, "labeled": 4, "total": 6},
        "training": {**SMALL["training"], "epochs": 1, "checkpoint": {}},
    },
}
NAMES = ["supervised_4_f0_s0", "supervised_4_f1_s0", "cps_4_f0_s0", "cps_4_f1_s0"]


def ids(split, role):
    return {case["id"] for case in split[role]}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "folded.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump(STUDY, file)
    return path


@pytest.fixture(scope="module")
def study(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "study"
    semiseg("study", "run", recipe, "-o", folder, "--only", "*_f0_*")
    assert {path.parent.name for path in folder.glob("models/*/summary.json")} == {NAMES[0], NAMES[2]}
    semiseg("study", "run", recipe, "-o", folder, "--jobs", "2")
    return folder


def test_the_plan_lists_every_fold(recipe):
    said = semiseg("study", "plan", recipe).stdout
    assert all(name in said for name in NAMES)
    assert "4 models: 2 supervised, 2 cps. Seeds: 0. Folds: 0, 1." in said
    assert "3 test; each validates one fold of its labeled cases" in said


@pytest.mark.slow
def test_folds_divide_the_labeled_cases_and_share_the_others(study):
    splits = [json.loads((study / f"models/{name}/split.json").read_text()) for name in NAMES]
    assert [split["fold"] for split in splits] == [0, 1, 0, 1]
    assert len({frozenset(ids(split, "test")) for split in splits}) == 1
    assert len({frozenset(ids(split, "unlabeled")) for split in splits}) == 1
    assert ids(splits[0], "validation") == ids(splits[1], "labeled")
    assert ids(splits[0], "labeled") == ids(splits[1], "validation")
    assert splits[0]["cases_hash"] == splits[2]["cases_hash"]


@pytest.mark.slow
def test_the_study_is_reported_with_its_cross_validation(study):
    said = semiseg("study", "report", study).stdout
    assert "4 models with scores, 1 seed, 2 folds, 3 test cases" in said
    with (study / "report/tables/cross_validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["labeled"], row["models"]) for row in rows] == [
        ("supervised", "4", "2"),
        ("cps", "4", "2"),
    ]
    logs = [json.loads((study / f"models/{name}/log.jsonl").read_text().splitlines()[-1]) for name in NAMES[2:]]
    mean = sum(log["validation"]["mean_dice"] for log in logs) / 2
    assert float(rows[1]["last"]) == pytest.approx(mean)
    assert {"last sd", "best", "best sd", "last edema"} <= set(rows[0])
    assert "Cross-validation" in (study / "report/report.html").read_text()
    numbers = json.loads((study / "report/summary.json").read_text())
    assert [one["folds"] for one in numbers["answers"][0]["differences"]] == [[2, 2]]
    assert "Fold 1 of 2, counted from 0" in (study / f"models/{NAMES[1]}/report.html").read_text()


@pytest.mark.slow
def test_its_runs_are_two_methods(study):
    done = semiseg("compare", *(study / "models" / name for name in NAMES))
    assert "supervised_4: 2 runs, seed 0, folds 0, 1, 4 of 6 cases labeled" in done.stdout + done.stderr
    assert "Each fold of supervised_4, cps_4 counts as a seed." in done.stdout + done.stderr


@pytest.mark.slow
def test_a_run_is_not_continued_with_another_fold(study):
    run = study / "models" / NAMES[0]
    done = semiseg("run", run / "recipe.yaml", "-o", run, "--resume", "--set", "split.fold=1", check=False)
    assert done.returncode == 4
    assert "split.fold: was 0, is 1" in done.stderr
