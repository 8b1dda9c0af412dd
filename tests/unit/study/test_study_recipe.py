import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from semiseg.data.split import make_split
from semiseg.engine.probe import Measured
from semiseg.errors import DataError, RecipeError
from semiseg.recipe.dump import to_yaml
from semiseg.recipe.load import load_recipe
from semiseg.recipe.yaml import read_yaml
from semiseg.registry import installed
from semiseg.study.forecast import forecasts
from semiseg.study.load import load_study
from semiseg.study.schema import study_schema
from semiseg.types import Case

RECIPES = Path(__file__).parents[3] / "recipes"
STUDIES = sorted(RECIPES.glob("*_study.yaml"))
OF_PACKAGES = "acdc_methods_study"  # of methods in packages that need not be installed

BASE = """
base:
  dataset: {name: phantom}
  split: {test: 3, validation: 2, labeled: 2}
  backbone: unet
  strategy: supervised
"""


@pytest.fixture
def study(tmp_path):
    def load(text, *overrides, base=BASE):
        path = tmp_path / "my_study.yaml"
        path.write_text(f"name: my_study\n{text}\n{base}")
        return load_study(path, overrides)

    return load


def names(study):
    return [model.name for model in study.models]


@pytest.fixture(scope="module")
def models():
    return load_study(RECIPES / "brats_study.yaml", expand=False).models


class TestTheReferenceStudy:
    @pytest.mark.slow
    def test_it_has_the_thirty_models_of_table_1(self, models):
        found = {(m.setting, m.method, m.labeled, m.total) for m in models}
        counts = (12, 25, 50, 100)
        supervised = {(net, "supervised", n, n) for net in ("unetr", "basic_unet") for n in (*counts, 1050)}
        unetr = {("unetr", "cps", n, total) for n in counts for total in (150, 600, 1050)}
        unet = {("basic_unet", "cps", n, 1050) for n in counts}
        alone = {("unetr", "cps", n, n) for n in counts}
        assert (len(supervised), len(unetr | unet), len(alone)) == (10, 16, 4)
        assert found == supervised | unetr | unet | alone
        assert len(models) == 30

    def test_no_variable_has_to_be_set(self, models, monkeypatch):
        monkeypatch.delenv("BRATS_ROOT", raising=False)
        assert {m.recipe.dataset.values["root"] for m in models} == {"${BRATS_ROOT}"}

    def test_models_have_the_study_s_settings_and_their_own_recipes(self, models):
        single = load_recipe(RECIPES / "brats_cps.yaml", expand=False)
        model = next(m for m in models if m.name == "unetr_cps_25of1050_s0")
        assert model.recipe.training == single.training
        assert model.recipe.strategy.values == single.strategy.values
        assert model.recipe.split == single.split

    def test_the_labeled_subsets_are_nested_and_the_test_cases_common(self, models):
        cases = [Case(f"case_{i:04d}", (Path("x"),), Path("y")) for i in range(1251)]
        splits = {m.name: make_split(cases, m.recipe.split, m.seed) for m in models}
        first = splits["unetr_supervised_12_s0"]
        assert (len(first.test), len(first.validation)) == (176, 25)
        assert {split.evaluation_hash for split in splits.values()} == {first.evaluation_hash}
        labeled = [{c.id for c in splits[f"unetr_supervised_{n}_s0"].labeled} for n in (12, 25, 50, 100, 1050)]
        assert [len(ids) for ids in labeled] == [12, 25, 50, 100, 1050]
        assert all(small < large for small, large in pairwise(labeled))
        for m in models:
            split = splits[m.name]
            assert {c.id for c in split.labeled} == {
                c.id for c in splits[f"basic-unet_supervised_{m.labeled}_s0"].labeled
            }
            if m.takes_unlabeled:
                assert len(split.labeled) + len(split.unlabeled) == m.total

    def test_steps_batches_and_memory_are_the_paper_s(self, models):
        found = dict(zip([m.name for m in models], forecasts(models), strict=True))
        assert {f.steps for f in found.values()} == {250_000}
        with_unlabeled = found["unetr_cps_25of150_s0"].batch
        alone = found["unetr_cps_25of25_s0"].batch
        assert (with_unlabeled.labeled, with_unlabeled.unlabeled) == (2, 2)
        assert (alone.labeled, alone.unlabeled) == (4, 0)
        supervised, cps = found["unetr_supervised_25_s0"].memory, found["unetr_cps_25of150_s0"].memory
        assert 10 < supervised / 2**30 < 12.4  # the paper measured 12.4 GB and 27.4 GB, workspaces included
        assert 20 < cps / 2**30 < 27.4
        assert found["unetr_cps_25of150_s0"].least < supervised
        assert {f.hours for f in found.values()} == {None}


@pytest.mark.slow
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_shipped_studies_load_and_fit_the_schema(path):
    if path.stem == OF_PACKAGES:
        strategies = {entry.name for entry in installed("strategy")}
        if not {"cps_cutmix", "bcp", "ad_mt"} <= strategies:
            with pytest.raises(RecipeError, match=r"(?s)semiseg-copy-paste.*semiseg-mean-teacher"):
                load_study(path, expand=False)
            return
    assert load_study(path, expand=False).name == path.stem
    assert [error.message for error in Draft7Validator(study_schema()).iter_errors(read_yaml(path)[0])] == []


def test_the_schema_refuses_what_loading_refuses():
    schema = study_schema()
    Draft7Validator.check_schema(schema)
    data = read_yaml(RECIPES / "la_study.yaml")[0]
    for key, value in (("seeds", ["one"]), ("matrix", []), ("base", {**data["base"], "traning": {}}), ("extra", 1)):
        assert not Draft7Validator(schema).is_valid({**data, key: value}), key


class TestMatrix:
    def test_lists_are_multiplied_and_seeds_are_innermost(self, study):
        found = study("seeds: [3, 4]\nmatrix:\n  - {strategy: supervised, split.labeled: [2, 4]}")
        assert names(found) == ["supervised_2_s3", "supervised_2_s4", "supervised_4_s3", "supervised_4_s4"]
        assert [m.recipe.seed for m in found.models] == [3, 4, 3, 4]
        assert {m.recipe.name for m in found.models} == set(names(found))

    def test_options_that_vary_are_part_of_the_method_and_other_keys_of_the_setting(self, study):
        found = study(
            "matrix:\n"
            "  - {strategy: supervised, training.optimizer.lr: [0.1, 0.01]}\n"
            "  - {strategy: cps, strategy.phi: [0.5, 1.0], training.optimizer.lr: 0.1}"
        )
        assert [(m.setting, m.method) for m in found.models] == [
            ("lr=0.1", "supervised"),
            ("lr=0.01", "supervised"),
            ("lr=0.1", "cps phi=0.5"),
            ("lr=0.1", "cps phi=1.0"),
        ]
        assert names(found)[2] == "lr-0.1_cps_phi-0.5_2_s0"
        assert [m.recipe.strategy.values.get("phi") for m in found.models] == [None, None, 0.5, 1.0]

    def test_a_block_may_name_its_method_which_then_owns_its_single_values(self, study):
        found = study(
            "matrix:\n"
            "  - {backbone: [unet, vnet], strategy: supervised}\n"
            "  - method: ours\n    backbone: [unet, vnet]\n    strategy: {name: cps, phi: 0.2}\n"
            "    training.batch_size: {labeled: 3, unlabeled: 1}"
        )
        assert [(m.setting, m.method) for m in found.models] == [
            ("unet", "supervised"),
            ("vnet", "supervised"),
            ("unet", "ours"),
            ("vnet", "ours"),
        ]
        assert names(found)[2] == "unet_ours_2_s0"
        assert [m.recipe.training.batch_size.labeled for m in found.models] == [2, 2, 3, 3]

    def test_an_option_may_stand_before_its_component(self, study):
        found = study("matrix:\n  - {strategy: supervised}\n  - {strategy.phi: 0.7, strategy: cps}")
        assert found.models[1].recipe.strategy.values == {"phi": 0.7}

    def test_what_a_block_leaves_to_the_base_has_the_base_s_setting(self, study):
        found = study(
            "matrix:\n  - {strategy: supervised}\n  - {strategy: cps, backbone: [unet, vnet]}\n"
            "  - {strategy: supervised, backbone: vnet}"
        )
        assert [(m.setting, m.method) for m in found.models] == [
            ("unet", "supervised"),
            ("unet", "cps"),
            ("vnet", "cps"),
            ("vnet", "supervised"),
        ]

    def test_overrides_without_effect_and_settings_without_baseline_are_told(self, study):
        text = "matrix:\n  - {strategy: supervised}\n  - {strategy: cps, backbone: [unet, vnet]}"
        found = study(text, "strategy.loss=dice_ce", "seed=4", "training.epochs=3")
        assert found.notes == (
            "--set strategy.loss=dice_ce has no effect: the study sets strategy.loss of every model",
            "--set seed=4 has no effect: the study sets seed of every model",
            "no model of supervised has the setting vnet: nothing to compare with",
        )

    def test_labeled_counts_without_the_control_that_others_have_are_told(self, study):
        controls = "\n  - {strategy: cps, split.labeled: 2, split.total: 2}"
        cps = "matrix:\n  - {strategy: supervised}\n  - {strategy: cps, split.labeled: [2, 3, all]}"
        assert study(cps).notes == ()  # without any control, none is asked for
        assert study(cps + controls).notes == (
            "cps has no control with 3 labeled cases (split.total: [all, labeled] in its block): "
            "the effect of unlabeled cases is unknown there",
        )
        assert study(cps + controls + controls.replace("2", "3")).notes == ()

    def test_a_method_and_its_control_at_each_labeled_count_are_one_block(self, study):
        method = (
            "matrix:\n  - {strategy: supervised, split.labeled: [2, 3]}\n  - {strategy: cps, split.labeled: [2, 3], "
        )
        together = study(method + "split.total: [all, labeled]}")
        controls = "".join(f"\n  - {{strategy: cps, split.labeled: {n}, split.total: {n}}}" for n in (2, 3))
        apart = study(method + "split.total: all}" + controls)
        assert {(m.name, m.hash) for m in together.models} == {(m.name, m.hash) for m in apart.models}
        cps = [(m.labeled, m.total) for m in together.models if m.method == "cps"]
        assert sorted(cps, key=str) == sorted([(2, "all"), (2, 2), (3, "all"), (3, 3)], key=str)

    def test_the_study_with_its_overrides_can_be_loaded_again(self, study, tmp_path):
        found = study("seeds: [1, 2]\nmatrix:\n  - {split.labeled: [2, 4]}", "training.epochs=7")
        (tmp_path / "again.yaml").write_text(to_yaml(found.as_data()))
        again = load_study(tmp_path / "again.yaml")
        assert [(m.name, m.hash) for m in again.models] == [(m.name, m.hash) for m in found.models]

    def test_a_list_of_lists_gives_a_key_a_list(self, study):
        found = study("matrix:\n  - {training.patch_size: [[16, 16, 16], [32, 32, 32]]}")
        assert [m.recipe.training.patch_size for m in found.models] == [(16, 16, 16), (32, 32, 32)]

    def test_overrides_change_the_base_and_the_matrix_has_the_last_word(self, study):
        found = study("matrix:\n  - {split.labeled: [2, 4]}", "training.epochs=7", "split.labeled=9", "dataset.cases=9")
        assert [m.recipe.training.epochs for m in found.models] == [7, 7]
        assert [m.labeled for m in found.models] == [2, 4]

    def test_the_base_may_be_a_file_beside_the_study(self, study, tmp_path):
        (tmp_path / "one.yaml").write_text("name: one\n" + BASE.replace("base:\n", "").replace("\n  ", "\n"))
        found = study("base: one.yaml\nmatrix:\n  - {split.labeled: [2, 4]}", base="")
        assert names(found) == ["supervised_2_s0", "supervised_4_s0"]

    def test_the_base_may_be_that_of_another_study(self, study, tmp_path):
        (tmp_path / "other.yaml").write_text("name: other\nmatrix: [{split.labeled: [5]}]\n" + BASE)
        (tmp_path / "third.yaml").write_text("name: third\nmatrix: [{split.labeled: [6]}]\nbase: other.yaml\n")
        own, other, third = (
            study("matrix:\n  - {split.labeled: [2, 4]}", "training.epochs=7", base=base)
            for base in (BASE, "base: other.yaml", "base: third.yaml")
        )
        assert [(m.name, m.hash) for m in own.models] == [(m.name, m.hash) for m in other.models]
        assert [(m.name, m.hash) for m in own.models] == [(m.name, m.hash) for m in third.models]

    def test_the_base_may_be_a_shipped_recipe_by_name(self, study):
        by_name = study("baseline: cps\nmatrix:\n  - {split.labeled: [2, 4]}", base="base: quickstart")
        file = RECIPES / "quickstart.yaml"
        by_path = study("baseline: cps\nmatrix:\n  - {split.labeled: [2, 4]}", base=f"base: {file}")
        assert [m.hash for m in by_name.models] == [m.hash for m in by_path.models]

    def test_a_base_that_is_none_is_refused_with_its_place(self, study, tmp_path):
        for base, said in (
            ("base: quickstrat", r"base \(.*my_study.yaml:3\): there is neither .*Did you mean 'quickstart'"),
            ("base: my_study.yaml", r"base \(.*my_study.yaml:3\): my_study.yaml leads back"),
            ("base: other.yaml", r"other.yaml:1: a study's base is a recipe"),
        ):
            (tmp_path / "other.yaml").write_text("base: [1]\nmatrix: [{split.labeled: [5]}]\n")
            with pytest.raises(RecipeError, match=said):
                study("matrix: [{split.labeled: [2, 4]}]", base=base)


def test_steps_are_timed_once_for_models_that_differ_in_cases_and_seed_only(study, monkeypatch):
    timed = []
    monkeypatch.setattr("semiseg.study.forecast._time", lambda plan: timed.append(plan) or Measured(2.0, 0))
    models = study(
        "seeds: [1, 2]\nmatrix:\n  - {split.labeled: [2, 4]}\n  - {strategy: cps, split.labeled: [2, 4]}",
        "training.epochs=90",
        "training.examples_per_epoch=40",
    ).models
    found = forecasts(models, measure=True)
    assert [plan.recipe.strategy.name for plan in timed] == ["supervised", "cps"]
    assert {f.steps for f in found} == {900}
    assert {f.hours for f in found} == {0.5}


@pytest.mark.slow
def test_a_step_is_really_timed(study):
    small = "training: {patch_size: [16, 16, 16], epochs: 1}\n  backbone: {name: unet, channels: [4, 8], strides: [2]}"
    base = BASE.replace("backbone: unet", small)
    found = forecasts(study("matrix:\n  - {strategy: [supervised, cps, fixmatch]}", base=base).models, measure=True)
    assert all(f.measured.seconds > 0 for f in found)


def test_what_the_data_alone_tell_is_unknown_without_them_and_cannot_be_timed(study):
    base = BASE.replace("{name: phantom}", "{name: decathlon, root: /nowhere}")
    models = study("matrix:\n  - {split.labeled: [2, 4]}", base=base).models
    assert [(f.steps, f.memory, f.hours) for f in forecasts(models)] == [(63_000, None, None)] * 2
    with pytest.raises(DataError, match="nowhere"):
        forecasts(models, measure=True)


class TestErrors:
    def test_all_problems_of_all_models_are_told_once_with_their_place(self, study):
        text = (
            "seeds: [1, 2]\nmatrix:\n  - {strategy: cpss, split.labeled: [2, 4]}\n  - {training.epohcs: 3}\n"
            "  - {backbone: [unet, vnett]}"
        )
        with pytest.raises(RecipeError) as caught:
            study(text)
        said = [str(problem) for problem in caught.value.problems]
        assert len(said) == 3
        assert all("my_study.yaml:" in line for line in said)
        assert "'cpss'" in said[0]
        assert "my_study.yaml:4" in said[0]
        assert "epohcs" in said[1]
        assert "'vnett'" in said[2]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("matrix: []", "matrix"),
            ("matrix:\n  - {seed: [1, 2]}", "seeds has its own key"),
            ("matrix:\n  - {method: [a, b]}", "method must be a name"),
            ("matrix:\n  - {split.labeled: []}", "split.labeled has no value"),
            ("seeds: [1, 1]\nmatrix:\n  - {split.labeled: 2}", "a seed is listed twice"),
            ("baseline: mean_teacher\nmatrix:\n  - {split.labeled: 2}", "no model is of the baseline 'mean_teacher'"),
            ("matrix:\n  - {split.labeled: 2}\n  - {split.labeled: 2}", "2 models would be called supervised_2_s0"),
            (
                "matrix:\n  - {strategy: supervised}\n  - {strategy: [{name: cps, phi: 0.1}, {name: cps, phi: 0.2}]}",
                "by a key of its own",
            ),
            ("seeds: [1, 2]\nmatrix:\n  - {split.draw: 5}", "every seed has the same labeled cases"),
            (
                "published: luque\nmatrix:\n  - {split.labeled: 2}",
                r"published \(.*my_study\.yaml:2\): 'luque' is not known",
            ),
            ("matrix:\n  - {split.test: 0}", "nothing would be scored"),
            ("matrix:\n  - {evaluation.missed: [exclude, image_diagonal]}", "Leave evaluation out of the matrix"),
            ("matrix:\n  - {strategy: supervised}\n  - {strategy: cps, split.labeled: 4, split.total: 3}", "4 labeled"),
            ("matrix:\n  - {strategy: cps, strategy.name: supervised}", "a block sets strategy twice"),
            ("matrix:\n  - {method: " + 30 * "very_long_" + ", strategy: supervised}", "too long for a folder"),
            (
                "matrix:\n  - {strategy: supervised}\n  - {strategy: {name: cps, phi: 0.5}, split.labeled: [2, 3]}\n"
                "  - {strategy: {name: cps, phi: 2.0}, split.labeled: [4, 5]}",
                "cps_2_s0 and cps_4_s0 would be one method, cps, but differ in strategy.phi",
            ),
            ("matrx:\n  - {split.labeled: 2}", "Did you mean 'matrix'"),
            ("checkpoint: bset\nmatrix:\n  - {split.labeled: 2}", "checkpoint"),
        ],
    )
    def test_what_is_refused(self, study, text, said):
        with pytest.raises(RecipeError, match=said):
            study(text)

    def test_a_run_s_recipe_is_no_study_and_a_study_no_run_s_recipe(self):
        with pytest.raises(RecipeError, match=r"no matrix\.\n +semiseg run .*la_cps\.yaml"):
            load_study(RECIPES / "la_cps.yaml")
        with pytest.raises(RecipeError, match=r"is a study recipe\.\n +semiseg study run .*la_study\.yaml"):
            load_recipe(RECIPES / "la_study.yaml")


def test_an_override_that_names_the_base_is_told_what_to_write(study):
    with pytest.raises(RecipeError) as caught:
        study("matrix: [{split.labeled: [2, 3]}]", "base.training.epochs=3", "seed=1", "base.seed=2")
    assert [problem.where for problem in caught.value.problems] == ["--set base.training.epochs=3", "--set base.seed=2"]
    assert caught.value.problems[0].fix == "Write --set training.epochs=3."


@pytest.mark.parametrize(("unlabeled", "known"), [(1, True), (0, False)])
def test_where_the_counts_do_not_tell_the_data_say_whether_there_are_unlabeled_cases(study, tmp_path, unlabeled, known):
    import helpers_volumes as made

    root = made.write_folder(tmp_path / "data")
    if not unlabeled:
        shutil.rmtree(root / "unlabeled")
    base = f"""
base:
  dataset: {{name: folder, root: {root}, classes: {{front: 1, back: 2}}}}
  split: {{test: 1, validation: 1, labeled: all}}
  backbone: unet
  strategy: cps
"""
    (found,) = forecasts(study("matrix:\n  - {strategy: cps}\nbaseline: cps", base=base).models)
    assert found.any_unlabeled is known
    assert bool(found.batch.unlabeled) is known
    shutil.rmtree(root)
    (found,) = forecasts(study("matrix:\n  - {strategy: cps}\nbaseline: cps", base=base).models)
    assert found.any_unlabeled is None
