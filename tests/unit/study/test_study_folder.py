import json

import pytest

from semiseg.errors import DataError, RecipeError, RunError
from semiseg.io.atomic import write_text
from semiseg.progress import Reporter
from semiseg.recipe.dump import dump_recipe
from semiseg.recipe.load import load_recipe
from semiseg.study import run as study_run
from semiseg.study.folder import StudyFolder
from semiseg.study.load import load_study
from semiseg.study.run import make_plans, run_study
from semiseg.study_report.report import report_study

TEXT = """
name: small
seeds: [1]
matrix:
  - {strategy: [supervised, cps], split.labeled: [2, 3]}
base:
  dataset: {name: phantom, cases: 8, size: [32, 32, 32]}
  split: {test: 3, validation: 1, labeled: 2}
  backbone: {name: unet, channels: [4, 8], strides: [2]}
  strategy: supervised
  training: {patch_size: [16, 16, 16]}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the study, with overrides, into its folder as ``study run`` does."""
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "small.yaml").write_text(TEXT)
    folder = StudyFolder(tmp_path / "study")

    def into_folder(*overrides):
        study = load_study(tmp_path / "small.yaml", overrides)
        folder.write(study, make_plans(study, Reporter()), folder.places(study.models))
        return study, folder

    return into_folder


def begin(study, folder, name, scored=False):
    """What a run of a model leaves once it has begun."""
    (model,) = (model for model in study.models if model.name == name)
    write_text(folder.run(name).recipe, dump_recipe(model.recipe))
    if scored:
        folder.run(name).summary.write_text("{}")


def test_a_model_that_has_not_begun_follows_the_recipe(write):
    write("training.epochs=9")
    study, folder = write("training.epochs=4")
    assert load_recipe(folder.recipe("cps_2_s1")).training.epochs == 4
    hashes = {record["name"]: record["recipe_hash"] for record in folder.read()["models"]}
    assert hashes == {model.name: model.hash for model in study.models}


def test_models_that_have_begun_are_all_told_where_the_recipe_changed(write):
    study, folder = write("training.epochs=9")
    begin(study, folder, "cps_2_s1")
    begin(study, folder, "supervised_3_s1")
    with pytest.raises(RunError) as caught:
        write("training.epochs=4")
    said = [str(problem) for problem in caught.value.problems]
    assert said[0] == "supervised_3_s1: training.epochs: was 9, is 4"
    assert said[1].startswith("cps_2_s1: training.epochs: was 9, is 4\n")
    assert "choose another --output" in said[1]
    assert len(said) == 2


def test_a_run_s_changes_are_told_with_how_to_mend_them_and_nothing_else_is_counted(write):
    study, folder = write()
    model = study.models[0]
    begin(study, folder, model.name)
    with pytest.raises(RunError) as caught:
        folder.run(model.name).prepare(model.recipe.model_copy(update={"seed": 5}), resume=True)
    fix = (
        "A run cannot continue with a different recipe, except with more training.epochs, or with another "
        "inference.mirror, inference.postprocess or evaluation. Give the same --set again,"
        f" use the run's own recipe, {folder.run(model.name).recipe}, or choose another --output."
    )
    assert str(caught.value) == f"seed: was 1, is 5\n    {fix}"


def test_of_two_runs_alike_the_one_with_scores_is_the_model_s(write):
    study, folder = write()
    begin(study, folder, "cps_2_s1", scored=True)
    (folder.models / "cps_2_s1").rename(folder.models / "earlier")
    begin(study, folder, "cps_2_s1")
    assert folder.places(study.models)["cps_2_s1"] == "earlier"
    assert folder.places(study.models)["cps_3_s1"] == "cps_3_s1"


def test_other_settings_for_test_cases_keep_what_was_trained(write):
    study, folder = write()
    begin(study, folder, "cps_2_s1", scored=True)
    (folder.models / "cps_2_s1").rename(folder.models / "earlier")
    begin(study, folder, "supervised_2_s1", scored=True)
    study, folder = write("inference.postprocess=largest_component", "evaluation.missed=exclude")
    places = folder.places(study.models)
    assert (places["cps_2_s1"], places["supervised_2_s1"]) == ("earlier", "supervised_2_s1")
    assert folder.outdated(study.models, places) == ["supervised_2_s1", "cps_2_s1"]
    assert load_recipe(folder.recipe("earlier")).inference.postprocess == "largest_component"


def test_models_that_differ_in_such_settings_alone_have_a_run_each(write, tmp_path):
    study, folder = write()
    begin(study, folder, "supervised_2_s1", scored=True)
    more = "  - {strategy: supervised, split.labeled: 2, inference.postprocess: [none, largest_component]}"
    (tmp_path / "small.yaml").write_text(TEXT.replace("  - {strategy: [supervised, cps], split.labeled: [2, 3]}", more))
    study, folder = write()
    places = folder.places(study.models)
    assert len(places) == 2
    assert len(set(places.values())) == 2
    assert "supervised_2_s1" in places.values()
    assert folder.outdated(study.models, places) == []


def test_a_damaged_recipe_of_a_run_is_told(write):
    study, folder = write()
    begin(study, folder, "cps_2_s1")
    folder.run("cps_2_s1").recipe.write_text("name: [")
    with pytest.raises(RunError, match=r"models/cps_2_s1/recipe\.yaml"):
        folder.places(study.models)


def test_the_manifest_says_who_is_who(write):
    _, folder = write()
    manifest = json.loads(folder.manifest.read_text())
    assert (manifest["training_cases"], manifest["baseline"]) == (4, "supervised")
    assert manifest["classes"] == ["background", "necrosis", "edema", "enhancing"]
    found = {m["name"]: (m["method"], m["labeled"], m["total"]) for m in manifest["models"]}
    assert found["cps_3_s1"] == ("cps", 3, 4)
    assert found["supervised_3_s1"] == ("supervised", 3, 3)


def test_what_has_not_become_a_run_may_be_begun_anew(write):
    study, folder = write()
    run = folder.run("cps_2_s1")
    run.path.mkdir(parents=True)
    for name in ("split.json", "model.json", "environment.json", ".dead-lock-7", ".lock-7"):
        (run.path / name).write_text("{}")  # killed before recipe.yaml was written
    run.prepare(study.models[0].recipe, resume=True)
    (run.path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty and does not contain a run"):
        run.prepare(study.models[0].recipe, resume=True)


def test_a_recipe_that_was_cut_off_is_one_problem_of_its_model(write):
    study, folder = write()
    begin(study, folder, "cps_2_s1")
    path = folder.run("cps_2_s1").recipe
    path.write_text(path.read_text().split("training:")[0])
    with pytest.raises(RunError) as caught:
        write("training.epochs=4")
    (problem,) = caught.value.problems
    assert problem.where == f"cps_2_s1: {path}"
    assert problem.what == "the file is damaged: it lacks training, inference, evaluation"


@pytest.mark.parametrize("at_fault", ["--only", "data"])
def test_another_study_replaces_nothing_before_all_of_it_is_checked(write, tmp_path, monkeypatch, at_fault):
    _, folder = write()
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    (tmp_path / "other.yaml").write_text(TEXT.replace("name: small", "name: other").replace("[2, 3]", "[2]"))

    def damaged(plans, reporter):
        raise DataError("an image is damaged")

    monkeypatch.setattr(study_run, "_fill_stores", damaged)
    error, only = (RecipeError, ["none"]) if at_fault == "--only" else (DataError, [])
    with pytest.raises(error):
        run_study(tmp_path / "other.yaml", folder.path, only=only)
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


def without(key):
    return lambda manifest: manifest.pop(key)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("checkpoint"), "checkpoint is missing"),
        (without("models"), "models is missing"),
        (lambda manifest: manifest.update(models=3), "models: input should be a valid list"),
        (lambda manifest: manifest["models"][0].pop("run"), "models.0.run is missing"),
        (lambda manifest: manifest.update(checkpoint="first"), "checkpoint: input should be 'last' or 'best'"),
        (dict.clear, "and 5 more"),
    ],
)
def test_a_study_json_that_does_not_fit_is_told_in_a_sentence(write, change, said):
    _, folder = write()
    manifest = folder.read()
    change(manifest)
    folder.manifest.write_text(json.dumps(manifest))
    with pytest.raises(RunError) as caught:
        report_study(folder.path)
    (problem,) = caught.value.problems
    assert problem.where == str(folder.manifest)
    assert problem.what.startswith("is not what semiseg wrote: ")
    assert said in problem.what
    assert "semiseg study run" in problem.fix
