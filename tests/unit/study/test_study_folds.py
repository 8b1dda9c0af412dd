"""A study with folds: its models, what it refuses, and the splits it plans."""

import json

import pytest
from jsonschema import Draft7Validator

from semiseg.errors import RecipeError
from semiseg.progress import Reporter
from semiseg.study.folder import StudyFolder
from semiseg.study.load import load_study
from semiseg.study.run import make_plans
from semiseg.study.schema import study_schema

BASE = """
base:
  dataset: {name: phantom, cases: 12, size: [32, 32, 32]}
  split: {test: 3, labeled: 2, total: 8}
  backbone: {name: unet, channels: [4, 8], strides: [2]}
  strategy: supervised
  training: {patch_size: [16, 16, 16]}
"""
TWO = "seeds: [1, 2]\nfolds: 3\nmatrix:\n  - {strategy: [supervised, cps], split.labeled: [3, 5]}"


@pytest.fixture
def study(tmp_path):
    def load(text, *overrides, base=BASE):
        path = tmp_path / "my_study.yaml"
        path.write_text(f"name: my_study\n{text}\n{base}")
        return load_study(path, overrides)

    return load


def test_every_model_is_trained_once_for_each_fold_and_seed(study):
    models = study(TWO).models
    assert len(models) == 2 * 2 * 3 * 2
    assert [model.name for model in models[:7]] == [
        *("supervised_3_f0_s1", "supervised_3_f0_s2", "supervised_3_f1_s1"),
        *("supervised_3_f1_s2", "supervised_3_f2_s1", "supervised_3_f2_s2"),
        "supervised_5_f0_s1",
    ]
    assert {model.setting for model in models} == {""}
    assert {(m.recipe.split.folds, m.recipe.split.fold) for m in models} == {(3, 0), (3, 1), (3, 2)}


def test_folds_in_the_matrix_are_an_axis_too(study):
    text = "matrix:\n  - {strategy: [supervised, cps], split.fold: [0, 2]}"
    models = study(text, "split.folds=3").models
    assert [model.name for model in models] == [f"{name}_2_f{k}_s0" for name in ("supervised", "cps") for k in (0, 2)]
    assert {model.setting for model in models} == {""}


def test_without_folds_names_and_recipes_are_as_before(study):
    models = study("matrix:\n  - {strategy: supervised}").models
    assert [model.name for model in models] == ["supervised_2_s0"]
    assert "folds" not in models[0].recipe.split.model_dump()


@pytest.mark.parametrize(
    ("text", "overrides", "words"),
    [
        ("folds: 3\nmatrix: [{split.fold: [0, 1]}]", (), "folds are given twice, here and in the matrix"),
        ("folds: 1\nmatrix: [{strategy: supervised}]", (), "folds.*at least 2"),
        (TWO, ("split.folds=5",), "split.folds .*the study's folds set this key of every model"),
        (TWO, ("split.validation=1",), "set validation to 0 or leave it out"),
        ("matrix: [{strategy: supervised}]", ("split.folds=3",), "a study trains every fold with `folds: 5`"),
    ],
)
def test_what_is_refused(study, text, overrides, words):
    with pytest.raises(RecipeError, match=words):
        study(text, *overrides)


def test_the_schema_has_folds():
    schema = study_schema()
    Draft7Validator.check_schema(schema)
    assert schema["properties"]["folds"]["anyOf"][0]["minimum"] == 2


def test_models_share_their_test_and_unlabeled_cases_and_count_all_labels(study, tmp_path):
    found = study(TWO, "seed=0")
    plans = make_plans(found, Reporter())
    assert len({plan.split.test for plan in plans.values()}) == 1
    assert len({plan.split.evaluation_hash for plan in plans.values()}) == 1
    for seed in (1, 2):
        folds = [plans[f"cps_5_f{k}_s{seed}"].split for k in range(3)]
        assert len({split.unlabeled for split in folds}) == 1
        assert sorted(len(split.validation) for split in folds) == [1, 2, 2]
        assert [plans[f"supervised_5_f{k}_s{seed}"].split for k in range(3)] == folds
    folder = StudyFolder(tmp_path / "study")
    folder.write(found, plans, folder.places(found.models))
    records = json.loads(folder.manifest.read_text())["models"]
    assert {(one["method"], one["labeled"], one["total"]) for one in records} == {
        *(("supervised", n, n) for n in (3, 5)),
        *(("cps", n, 8) for n in (3, 5)),
    }
    assert [one["fold"] for one in records[:6]] == [0, 0, 1, 1, 2, 2]
