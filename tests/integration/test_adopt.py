"""``semiseg adopt``: finished labels join the training data of the next recipe, and the history of rounds is kept."""

import json
import shutil

import helpers_pictures
import helpers_slicer as slicer
import nibabel as nib
import numpy as np
import pytest
from drawn_run import copied_to, drawn_run
from helpers_processes import run as semiseg
from helpers_reporter import Heard
from PIL import Image
from small_run import SMALL

import semiseg as library
from semiseg.errors import DataError, RecipeError, RunError
from semiseg.io.formats.segments import read_slicer_label
from semiseg.pipeline.plan import make_plan
from semiseg.suggestion.record import read_suggestion

MORE = ("dataset.cases=10", "split.total=8")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return drawn_run(tmp_path_factory.mktemp("drawn") / "run", SMALL, *MORE)


@pytest.fixture(scope="module")
def suggested(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suggested") / "round"
    library.suggest(run, folder, by="random", n=3)
    return folder


@pytest.fixture
def folder(suggested, tmp_path):
    """A copy of a suggestion, for labels of one's own."""
    return shutil.copytree(suggested, tmp_path / "round", symlinks=True)


def ids(folder):
    return [case.case for case in read_suggestion(folder).cases]


def edited(folder, case, values=4):
    """As in 3D Slicer: the proposal with a box drawn in, saved on the part of the grid with segments, renumbered."""
    grid = nib.load(folder / f"proposals/{case}.nii.gz")
    label = np.zeros((6, 5, 4), np.uint8)
    label[1:5, 1:4, 1:3] = 1
    path = folder / "labels" / f"{case}.seg.nrrd"
    slicer.segmentation(path, label, grid.affine, [("Enhancing", 1, 0), ("edema", 2, 0)], start=(10, 8, 7))
    whole = np.zeros(grid.shape, np.uint8)
    whole[10:16, 8:13, 7:11] = values * label
    return whole


def plan_of(path):
    return make_plan(library.load_recipe(path))


def label_of(plan, case_id):
    dataset = plan.components.dataset
    case = next(case for case in dataset.cases() if case.id == case_id)
    return dataset.read_label(case).array


def test_an_edited_proposal_is_a_label_of_the_next_recipe(run, folder, tmp_path):
    first, second, third = ids(folder)
    drawn = edited(folder, first)
    shutil.copy(folder / f"proposals/{second}.nii.gz", folder / "labels")
    before = sorted(path for path in folder.rglob("*"))
    heard = Heard()
    target = tmp_path / "next.yaml"
    found = library.adopt(folder, run / "recipe.yaml", target, minutes={first: 12}, reporter=heard)
    said = "\n".join(heard.said)
    assert f"1 suggested case has no finished label and stay as they are: {third}" in said
    assert f"1 label equals its proposal: {second}" in said
    assert (found.cases, found.missing, found.unchanged) == ((first, second), (third,), (second,))
    assert sorted(path for path in folder.rglob("*")) == before

    old, new = plan_of(run / "recipe.yaml"), plan_of(target)
    for role in ("validation", "test"):
        assert new.split.cases(role) == old.split.cases(role)
    assert new.split.evaluation_hash == old.split.evaluation_hash
    assert {c.id for c in new.split.labeled} == {c.id for c in old.split.labeled} | {first, second}
    assert {c.id for c in new.split.unlabeled} == {c.id for c in old.split.unlabeled} - {first, second}
    assert not any(case.label for case in new.split.unlabeled)
    np.testing.assert_array_equal(label_of(new, first), 3 * (drawn > 0))  # the class index of enhancing
    values = np.asarray(nib.load(folder / f"proposals/{second}.nii.gz").dataobj)
    np.testing.assert_array_equal(label_of(new, second), np.array([0, 1, 2, 0, 3])[values])
    titles = {start.role.name: start.origin.title for start in new.initial.starts}
    assert titles == {role: f"{role} of run {run} (best)" for role in ("student_a", "student_b")}
    assert any("2 adopted labels take the place of the dataset's own" in note for note in new.notes)

    history = json.loads((tmp_path / "next_labels/rounds.json").read_text())["rounds"]
    assert [one["rule"] for one in history] == ["random"]
    record = {case["case"]: case for case in history[0]["cases"]}
    assert record[first]["minutes"] == 12
    assert [record[name]["adopted"] for name in (first, second, third)] == [True, True, False]
    assert record[second]["unchanged"]
    assert "12 minutes for 1 of them" in repr(found)
    for call in (target, tmp_path / "next.txt"):
        with pytest.raises(RunError, match=r"exists already|a recipe is a \.yaml file"):
            library.adopt(folder, run / "recipe.yaml", call)


def test_a_second_round_keeps_the_labels_of_the_first(run, folder, tmp_path):
    chosen = [ids(folder)[0]]
    edited(folder, chosen[0])
    done = semiseg("adopt", folder, run / "recipe.yaml", "-o", tmp_path / "round_2.yaml", "-q")
    assert f"Round 1: {chosen[0]} by random" in done.stdout
    library.run(tmp_path / "round_2.yaml", overrides=["training.epochs=1"], output=tmp_path / "run_2")
    library.suggest(tmp_path / "run_2", tmp_path / "again", by="random", n=1)
    chosen += ids(tmp_path / "again")
    edited(tmp_path / "again", chosen[1])
    found = library.adopt(tmp_path / "again", tmp_path / "run_2" / "recipe.yaml", tmp_path / "round_3.yaml")
    assert [text[:7] for text in found.rounds] == ["Round 1", "Round 2"]
    recipe = library.load_recipe(tmp_path / "round_3.yaml")
    assert recipe.name == "small_round_3"
    assert recipe.dataset.adopted == [tmp_path / "round_2_labels", tmp_path / "round_3_labels"]
    old, new = plan_of(run / "recipe.yaml"), plan_of(tmp_path / "round_3.yaml")
    assert len({*chosen}) == 2
    assert {c.id for c in new.split.labeled} == {c.id for c in old.split.labeled} | {*chosen}
    assert new.split.evaluation_hash == old.split.evaluation_hash
    # A run predicts without its labels, but is not trained without them.
    shutil.rmtree(tmp_path / "round_2_labels")
    images = copied_to(tmp_path / "new", old.split.test[:1])
    assert len(library.predict(tmp_path / "run_2", images, tmp_path / "predicted")) == 1
    with pytest.raises(DataError, match=r"round_2_labels: this folder of dataset\.adopted does not exist"):
        library.check(tmp_path / "run_2" / "recipe.yaml")


def test_labels_of_the_dataset_itself_simulate_annotation(run, folder, tmp_path):
    found = library.adopt(folder, run / "recipe.yaml", tmp_path / "next.yaml", labels="dataset")
    assert [*found.cases] == ids(folder)
    old, new = plan_of(run / "recipe.yaml"), plan_of(tmp_path / "next.yaml")
    assert {c.id for c in new.split.labeled} == {c.id for c in old.split.labeled} | {*found.cases}
    for name in found.cases:
        np.testing.assert_array_equal(label_of(new, name), label_of(old, name))
    assert json.loads((found.folder / "rounds.json").read_text())["rounds"][0]["labels"] == "dataset"


def test_new_images_come_with_their_labels(run, tmp_path):
    """They are no cases of the dataset: the next recipe reads them from the folder of adopted labels."""
    cases = plan_of(run / "recipe.yaml").split.unlabeled[:2]
    new = copied_to(tmp_path / "new", cases)
    for case, name in zip(cases, ("Phantom_901", "Phantom_902"), strict=True):
        for path in sorted(new.glob(f"{case.id}*")):
            path.rename(path.with_name(path.name.replace(case.id, name)))
    library.suggest(run, tmp_path / "round", by="random", images=new, n=2)
    drawn = edited(tmp_path / "round", "Phantom_902")
    library.adopt(tmp_path / "round", run / "recipe.yaml", tmp_path / "next.yaml")
    plan = plan_of(tmp_path / "next.yaml")
    assert "Phantom_902" in {case.id for case in plan.split.labeled}
    assert "Phantom_901" not in plan.split.ids()
    np.testing.assert_array_equal(label_of(plan, "Phantom_902"), 3 * (drawn > 0))
    case = next(case for case in plan.split.labeled if case.id == "Phantom_902")
    assert plan.components.dataset.read_image(case).array.shape == (4, 32, 32, 32)
    for path in case.images[1:]:
        path.unlink()
    with pytest.raises(DataError, match=r"(?s)Phantom_902.*Phantom_902, which is no case of the dataset"):
        plan_of(tmp_path / "next.yaml")
    case.images[0].unlink()
    with pytest.raises(DataError, match="Phantom_902, which is no case of the dataset and has no image"):
        plan_of(tmp_path / "next.yaml")


def test_pictures(tmp_path):
    helpers_pictures.write_pictures(tmp_path / "photos", labeled=4, unlabeled=3)
    dataset = {"name": "folder", "root": str(tmp_path / "photos"), "classes": {"disk": 255}}
    recipe = {
        **SMALL,
        "dataset": {**dataset, "modalities": ["red", "green", "blue"]},
        "split": {"labeled": 2, "validation": 1, "test": 1},
        "training": {**SMALL["training"], "patch_size": [16, 16]},
    }
    run = drawn_run(tmp_path / "run", recipe)
    library.suggest(run, tmp_path / "round", by="entropy", n=1)
    (name,) = ids(tmp_path / "round")
    mask = helpers_pictures.disk(int(name[2:]))[1]
    helpers_pictures.save(tmp_path / "round/labels" / f"{name}.png", mask)
    library.adopt(tmp_path / "round", run / "recipe.yaml", tmp_path / "next.yaml")
    plan = plan_of(tmp_path / "next.yaml")
    np.testing.assert_array_equal(label_of(plan, name)[:, :, 0].T, mask == 255)
    with Image.open(tmp_path / "next_labels" / f"{name}.png") as copied:
        np.testing.assert_array_equal(copied, mask)


def test_all_problems_of_labels_are_told_at_once_and_nothing_is_written(run, folder, tmp_path):
    first, second, third = ids(folder)
    image = nib.load(folder / f"proposals/{first}.nii.gz")
    unknown = np.zeros(image.shape, np.uint8)
    unknown[3, 3, 3] = 7
    slicer.save(folder / "labels" / f"{first}.nii.gz", unknown, image.affine)
    slicer.save(folder / "labels" / f"{second}.nii.gz", np.zeros((32, 32, 31), np.uint8), image.affine)
    grid = nib.load(folder / f"proposals/{third}.nii.gz").affine
    slicer.segmentation(folder / "labels" / f"{third}.seg.nrrd", np.ones((2, 2, 2), np.uint8), grid, [("vessel", 1, 0)])
    with pytest.raises(DataError) as raised:
        library.adopt(folder, run / "recipe.yaml", tmp_path / "next.yaml")
    said = str(raised.value)
    assert "3 problems" in said
    assert "belong to no class: 7 (1 voxels)" in said
    assert f"case {second}" in said
    assert "are on different grids" in said
    assert "vessel" in said
    slicer.save(folder / "labels" / "somebody.nii.gz", unknown, image.affine)
    slicer.save(folder / "labels" / f"{third}.nii.gz", unknown, image.affine)
    with pytest.raises(DataError, match=r"(?s)more than one label.*not suggested: somebody"):
        library.adopt(folder, run / "recipe.yaml", tmp_path / "next.yaml")
    with pytest.raises(RunError, match=r"Phantom_x: it has minutes, but was not suggested"):
        library.adopt(folder, run / "recipe.yaml", tmp_path / "next.yaml", minutes={"Phantom_x": 1})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["round"]


def test_what_does_not_go_on_is_refused(run, folder, tmp_path):
    with pytest.raises(DataError, match=r"(?s)no finished label.*save it there, such as"):
        library.adopt(folder, run / "recipe.yaml", tmp_path / "next.yaml")
    edited(folder, ids(folder)[0])
    with pytest.raises(RunError, match=r"(?s)other validation cases than this run.*the run's own recipe"):
        library.adopt(folder, run / "recipe.yaml", tmp_path / "next.yaml", overrides=["split.seed=5"])
    folds = ["split.validation=0", "split.folds=2", "split.fold=0"]
    with pytest.raises(RecipeError, match=r"one fold of a cross-validation"):
        library.adopt(folder, run / "recipe.yaml", tmp_path / "next.yaml", overrides=folds)
    with pytest.raises(RunError, match=r"holds no suggestion"):
        library.adopt(run, run / "recipe.yaml", tmp_path / "next.yaml")
    record = json.loads((folder / "suggestion.json").read_text())
    record["request"]["runs"][0]["run"] = str(tmp_path / "moved")
    (folder / "suggestion.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"the run of this suggestion is not there"):
        library.adopt(folder, run / "recipe.yaml", tmp_path / "next.yaml")


def test_a_call_that_was_stopped_is_repeated(run, folder, tmp_path, monkeypatch):
    """The folder of labels is in its place, the recipe, written last, is not."""
    from semiseg.suggestion import adopt as module

    first = ids(folder)[0]
    edited(folder, first)

    def stop(path, text):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_text", stop)
        with pytest.raises(KeyboardInterrupt):
            library.adopt(folder, run / "recipe.yaml", tmp_path / "next.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["next_labels", "round"]
    library.adopt(folder, run / "recipe.yaml", tmp_path / "next.yaml")
    label, _ = read_slicer_label(tmp_path / "next_labels" / f"{first}.seg.nrrd")
    assert label.any()
    (tmp_path / "next.yaml").unlink()
    shutil.copy(folder / f"proposals/{ids(folder)[1]}.nii.gz", folder / "labels")
    with pytest.raises(RunError, match="it exists already, with other labels"):
        library.adopt(folder, run / "recipe.yaml", tmp_path / "next.yaml")
