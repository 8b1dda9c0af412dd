"""``dataset.pseudo_labels`` in ``check`` and in a run's beginning: what is refused, and what is said."""

import json
from pathlib import Path

import helpers_pseudo as pseudo
import helpers_volumes as made
import numpy as np
import pytest

from semiseg import check
from semiseg.data.pseudo.files import PseudoFiles
from semiseg.engine.runtime import Runtime
from semiseg.errors import DataError, RecipeError, RunError, SemisegError
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.samples.external_pseudo import require_same_files
from semiseg.pipeline.train import fill_store, training_batches
from semiseg.progress import Reporter
from semiseg.recipe.load import load_recipe
from semiseg.runs.folder import RunFolder


@pytest.fixture
def recipe(tmp_path):
    pseudo.write_dataset(tmp_path / "data")
    pseudo.write_pseudo(tmp_path / "predicted")
    return pseudo.recipe_of(tmp_path / "data", tmp_path / "predicted")


def refusal(recipe, *overrides, error=SemisegError, **options):
    with pytest.raises(error) as caught:
        check(recipe, overrides=overrides, **options)
    return str(caught.value)


def notes(recipe, *overrides):
    return [line[6:] for line in check(recipe, overrides=overrides) if line.startswith("Note: ")]


@pytest.mark.parametrize("quick", [False, True])
def test_what_is_used_is_said(recipe, tmp_path, quick):
    lines = check(recipe, quick=quick)
    assert f"Pseudo-labels: 3 of 3 unlabeled cases, from {tmp_path / 'predicted'}" in lines
    assert lines[-1] == "No problems found."
    assert not [line for line in lines if line.startswith("Note:") and "pseudo" in line]


def test_the_share_of_ignored_voxels_is_said(recipe, tmp_path):
    pseudo.write_pseudo(tmp_path / "predicted", confidence=True)
    sure = np.stack([pseudo.sure_of(number) for number in (4, 5, 6)])
    share = f"{(sure < np.float32(0.25)).mean():.1%}"
    (line,) = [line for line in check(recipe, overrides=["dataset.pseudo_confidence=0.25"]) if "Pseudo-labels" in line]
    assert line.endswith(f"; {share} of their voxels are ignored (confidence below 0.25)")


def test_a_strategy_that_takes_none_does_not_use_them_and_that_is_said(recipe):
    assert "dataset.pseudo_labels is not used: strategy cps takes no pseudo-labels of another model." in notes(
        recipe, "strategy.name=cps"
    )
    own = notes(recipe, "strategy.teacher=own")
    assert any(note.endswith("another model; self_training does with teacher: external.") for note in own)
    plan = make_plan(load_recipe(recipe, ["strategy.name=cps"]))
    store = fill_store(plan, Reporter())
    assert plan.pseudo is None
    (batch,) = training_batches(plan, store, Runtime("cpu", "32")).steps(11, 12)
    assert len(batch.unlabeled) == 1
    assert batch.unlabeled.pseudo is None


def test_a_strategy_that_needs_them_is_refused_without(recipe):
    del recipe["dataset"]["pseudo_labels"]
    told = refusal(recipe, error=RecipeError)
    assert "self_training trains on pseudo-labels of another model, but dataset.pseudo_labels is not set." in told


def test_cases_without_a_file_are_not_drawn_and_counted(recipe, tmp_path):
    (tmp_path / "predicted" / "f.nii.gz").unlink()
    assert "1 unlabeled case has no file in dataset.pseudo_labels and is not drawn: f." in notes(recipe)
    plan = make_plan(load_recipe(recipe))
    store = fill_store(plan, Reporter())
    batches = training_batches(plan, store, Runtime("cpu", "32"))
    assert {batch.unlabeled.cases[0] for batch in batches.steps(0, 12)} == {"e", "g"}


def test_files_of_other_cases_and_of_none_are_not_used_and_named(recipe, tmp_path):
    pseudo.write_pseudo(tmp_path / "predicted", "abc")
    (tmp_path / "predicted" / "a.nii.gz").write_bytes(b"never read")
    pseudo.write_pseudo(tmp_path / "predicted", "e", confidence=True)
    made.save(tmp_path / "predicted" / "zz.nii.gz", pseudo.values_of(9))
    found = notes(recipe)
    only = "pseudo-labels are for unlabeled cases alone; those"
    assert f"{only} of test cases are not used: a." in found
    assert f"{only} of validation cases are not used: b." in found
    assert f"{only} of labeled cases are not used: c." in found
    assert "1 file in dataset.pseudo_labels belongs to no case of the dataset: zz.nii.gz." in found
    assert "the confidence maps in dataset.pseudo_labels are not used: set dataset.pseudo_confidence." in found
    fewer = notes(recipe, "split.labeled=[c]", "split.total=[c, e]")
    assert f"{only} of cases that are not in the split are not used: f, g." in fewer


def test_a_folder_without_a_file_of_any_unlabeled_case_is_refused(recipe, tmp_path):
    for name in pseudo.UNLABELED:
        (tmp_path / "predicted" / f"{name}.nii.gz").rename(tmp_path / "predicted" / f"{name}_seg.nii.gz")
    told = refusal(recipe)
    assert "dataset.pseudo_labels has no label map of any of the 3 unlabeled cases" in told
    assert "It has e_seg.nii.gz, f_seg.nii.gz, g_seg.nii.gz. Name each file as its case, such as e.nii.gz." in told
    assert "is not a folder" in refusal(recipe, f"dataset.pseudo_labels={tmp_path / 'nowhere'}")


def test_with_a_threshold_every_label_map_needs_its_confidence(recipe, tmp_path):
    pseudo.write_pseudo(tmp_path / "predicted", "e", confidence=True)
    (tmp_path / "predicted" / "g.nii.gz").rename(tmp_path / "predicted" / "g_confidence.nii.gz")
    told = refusal(recipe, "dataset.pseudo_confidence=0.5")
    assert "is set, but f_confidence.nii.gz is missing" in told
    assert "there is no label map of case g" in told
    assert "case e" not in told
    assert "there is no label map of case g" in refusal(recipe)


@pytest.mark.parametrize("quick", [False, True])
def test_every_problem_of_every_file_is_told_at_once(recipe, tmp_path, quick):
    folder = tmp_path / "predicted"
    pseudo.write_pseudo(folder, confidence=True)
    moved = made.LPS.copy()
    moved[0, 3] = 4
    made.save(folder / "e.nii.gz", pseudo.values_of(4), moved)
    made.save(folder / "e_confidence.nii.gz", pseudo.sure_of(4)[:, :, 1:])
    made.save(folder / "f.nii.gz", np.stack([pseudo.values_of(5)] * 2, axis=-1))
    made.save(folder / "g.nii.gz", np.full(pseudo.SHAPE, 7, np.uint8))
    made.save(folder / "g_confidence.nii.gz", 100 * pseudo.sure_of(6))
    (tmp_path / "data/labeled/labels/c.nii.gz").write_bytes(b"damaged")
    told = refusal(recipe, "dataset.pseudo_confidence=0.5", quick=quick, error=DataError)
    assert f"{folder}/e.nii.gz: it is on another grid than the case's image: affines that differ by 4.00 voxels" in told
    assert f"{folder}/e_confidence.nii.gz: it is on another grid" in told
    assert f"{folder}/f.nii.gz: its shape is (20, 18, 16, 2), not (X, Y, Z)" in told
    assert f"{tmp_path}/data/labeled/labels/c.nii.gz" in told
    assert (f"{folder}/g.nii.gz: it has values that belong to no class: 7" in told) is not quick
    assert ("have a confidence outside of 0 to 1" in told) is not quick


def test_an_image_that_cannot_be_read_does_not_hide_the_other_problems(recipe, tmp_path):
    (tmp_path / "data/unlabeled/images/e.nii.gz").write_bytes(b"damaged")
    made.save(tmp_path / "predicted" / "f.nii.gz", np.full(pseudo.SHAPE, 7, np.uint8))
    told = refusal(recipe)
    assert "unlabeled/images/e.nii.gz" in told
    assert "it has values that belong to no class: 7" in told


def test_the_own_label_of_an_unlabeled_case_is_refused(recipe, tmp_path):
    labels = tmp_path / "data/labeled/labels"
    told = refusal(recipe, f"dataset.pseudo_labels={labels}", "split.labeled=[c]")
    assert f"{labels}/d.nii.gz: it is the case's own label, not a prediction" in told
    assert "c.nii.gz" not in told


def test_a_control_without_unlabeled_cases_needs_no_file(recipe):
    lines = check(recipe, overrides=["split.total=2", "split.labeled=2"])
    assert lines[-1] == "No problems found."
    assert not [line for line in lines if line.startswith("Pseudo-labels")]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("dataset.pseudo_confidence=0", "more than 0"),
        ("dataset.pseudo_confidence=1.5", "at most 1"),
        ("dataset={name: folder, root: x, classes: {a: 1}, pseudo_confidence: 0.5}", "set without pseudo_labels"),
        ("dataset.pseudo_label=x", "pseudo_labels"),
        ("strategy.reliable_share=0.5", "no teacher is trained: leave out reliable_share"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused(recipe, change, word):
    assert word in refusal(recipe, change, error=RecipeError)


FILES = PseudoFiles(Path("predicted"), {})
DIGESTS = {"e": ["1"], "f": ["2", "3"]}


def test_a_resumed_run_needs_the_files_that_it_began_with(tmp_path):
    folder = RunFolder(tmp_path)
    assert require_same_files(folder, None, {}, True) == ""
    assert not folder.pseudo_label_files.exists()
    assert require_same_files(folder, FILES, DIGESTS, True) == ""
    assert json.loads(folder.pseudo_label_files.read_text())["sha256"] == DIGESTS
    assert require_same_files(folder, FILES, DIGESTS, False) == ""
    with pytest.raises(RunError) as caught:
        require_same_files(folder, FILES, {"f": ["2", "4"], "h": ["5"]}, False)
    told = str(caught.value)
    assert "pseudo-labels have changed since this run began: f" in told
    assert "pseudo-labels are missing since this run began: e" in told
    assert "pseudo-labels were added since this run began: h" in told
    assert require_same_files(folder, FILES, {"g": ["6"]}, True) == ""  # it was killed before it began
    folder.pseudo_label_files.write_text("{")
    assert "was missing or damaged" in require_same_files(folder, FILES, DIGESTS, False)
    assert require_same_files(folder, FILES, DIGESTS, False) == ""
