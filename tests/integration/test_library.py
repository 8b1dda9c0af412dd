"""semiseg as a library: components as classes or objects, prediction of new images, and what a run folder holds."""

import copy
import csv
import json
import shutil
from dataclasses import replace
from typing import ClassVar

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers_processes import run as semiseg
from small_run import SMALL

import semiseg as library
from semiseg.datasets.brats import REGIONS
from semiseg.errors import DataError, ProtocolError, RecipeError, RunError
from semiseg.interfaces.augmentation import Augmentation
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.observer import Observer
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import Strategy, StrategyOptions
from semiseg.losses.named import named_loss
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.train import fill_store
from semiseg.progress import Reporter


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    return library.run(SMALL, folder)


def test_the_run_folder_holds_what_the_documents_say(finished):
    folder = finished.folder
    for name in ("recipe.yaml", "split.json", "model.json", "environment.json", "log.jsonl", "scores.csv"):
        assert (folder / name).stat().st_size
    for name in ("checkpoints/last.pt", "checkpoints/best.pt", "preview.png", "summary.json", "test_openings.jsonl"):
        assert (folder / name).stat().st_size
    assert not (folder / "lock.json").exists()
    grids = [nib.load(case.images[0]).header.get_zooms() for case in make_plan(library.load_recipe(SMALL)).cases]
    spacing = json.loads((folder / "model.json").read_text())["spacing"]
    assert [spacing[name] for name in ("min", "median", "max")] == [pytest.approx(grids[0])] * 3
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["cases"] == {"labeled": 2, "unlabeled": 2, "validation": 1, "test": 1}
    with (folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (3 + 3) * 2  # checkpoints, classes and regions, metrics
    assert {row["checkpoint"] for row in rows} == {"last", "best"}
    assert {row["class"] for row in rows if row["kind"] == "class"} == {"necrosis", "edema", "enhancing"}
    assert {row["class"] for row in rows if row["kind"] == "region"} == set(REGIONS)


def test_predictions_are_on_the_image_s_grid_in_its_values(finished):
    plan = make_plan(library.load_recipe(SMALL))
    case = plan.split.test[0]
    image = nib.load(case.images[0])
    for checkpoint in ("last", "best"):
        prediction = nib.load(finished.folder / "predictions" / checkpoint / f"{case.id}.nii.gz")
        assert prediction.shape == image.shape
        assert np.array_equal(prediction.affine, image.affine)
        assert set(np.unique(np.asarray(prediction.dataobj))) <= {0, 1, 2, 4}


def test_the_resolved_recipe_runs_again_and_is_the_same(finished):
    again = library.load_recipe(finished.folder / "recipe.yaml")
    from semiseg.recipe.diff import changes

    assert changes(library.load_recipe(SMALL), again) == []


def test_new_images_are_predicted_as_the_run_predicted_them(finished, tmp_path):
    case = make_plan(library.load_recipe(SMALL)).split.test[0]
    new = tmp_path / "new"
    shutil.copytree(case.images[0].parent, new / case.id)
    (predicted,) = library.predict(finished.folder, new, tmp_path / "out", checkpoint="last")
    expected = finished.folder / "predictions" / "last" / f"{case.id}.nii.gz"
    assert predicted.read_bytes() == expected.read_bytes()
    one = library.predict(finished.folder, list(case.images), tmp_path / "one", checkpoint="last")
    assert one[0].read_bytes() == expected.read_bytes()
    done = semiseg("predict", finished.folder, "-i", new, "-o", tmp_path / "shell", "--checkpoint", "last")
    assert (tmp_path / "shell" / expected.name).read_bytes() == expected.read_bytes()
    assert expected.name in done.stdout


def test_wrong_modalities_are_refused(finished, tmp_path):
    case = make_plan(library.load_recipe(SMALL)).split.test[0]
    with pytest.raises(DataError, match="3 files for 4 modalities"):
        library.predict(finished.folder, list(case.images[:3]), tmp_path / "out")
    with pytest.raises(DataError, match="by its name"):
        library.predict(finished.folder, [case.images[i] for i in (1, 0, 2, 3)], tmp_path / "out")
    with pytest.raises(RunError, match="no checkpoint 'bets'"):
        library.predict(finished.folder, list(case.images), tmp_path / "out", checkpoint="bets")
    assert not (tmp_path / "out").exists()


def test_evaluating_the_predictions_gives_the_run_s_scores(finished, tmp_path):
    case = make_plan(library.load_recipe(SMALL)).split.test[0]
    (tmp_path / "truth").mkdir()
    shutil.copy(case.label, tmp_path / "truth" / f"{case.id}.nii.gz")
    labels = {1: "necrosis", 2: "edema", 4: "enhancing"}
    predictions = finished.folder / "predictions" / "best"
    found = library.evaluate(predictions, tmp_path / "truth", labels=labels, regions=REGIONS)
    mine = [replace(score, run="", checkpoint="") for score in finished.scores if score.checkpoint == "best"]
    assert mine == list(found.scores)  # digests of the references and definitions of the metrics among them


class Constant(Strategy):
    """A stranger's strategy, given as a class."""

    class Options(StrategyOptions):
        weight: float = 1.0

    @classmethod
    def roles(cls, options):
        return (Role("only"),)

    def losses(self, batch, step):
        labeled, unlabeled = batch.divide(self.run("only", batch.images()))
        confidence = unlabeled.softmax(1).amax(1).flatten(1).mean(1)
        supervised = Term(named_loss(labeled, batch.labeled.label, "dice"), batch.labeled)
        yield Losses({"supervised": supervised, "sure": -self.options.weight * Term(confidence, batch.unlabeled)})


class Center(Augmentation):
    """A stranger's augmentation, given as an object."""

    def __call__(self, image, label, patch_size):
        return image.clone(), None if label is None else label.clone()


def test_components_may_be_classes_and_objects(tmp_path):
    recipe = library.load_recipe({**SMALL, "augmentation": {"name": Center()}})
    recipe = recipe.with_component("strategy", Constant, weight=0.1)
    result = library.run(recipe, tmp_path / "run")
    assert len(result.scores) == 2 * 2 * (3 + 3)  # checkpoints, metrics, classes and regions
    assert "Constant" in (tmp_path / "run" / "recipe.yaml").read_text()
    assert library.run(recipe, tmp_path / "run", resume=True).scores == result.scores


def test_the_supervised_baseline_sees_the_labeled_samples_of_a_method():
    plan = make_plan(library.load_recipe(SMALL, ["strategy.name=supervised"]))
    assert plan.draws.kinds == ((1, 0),)
    assert "the strategy uses no unlabeled samples: a step has 1 labeled sample," in " ".join(plan.notes)
    alone = make_plan(library.load_recipe(SMALL, ["split.total=2"]))
    assert alone.draws.kinds == ((2, 0), (1, 0))  # the wait, and after it
    assert any("no unlabeled cases" in note for note in alone.notes)


def test_training_cannot_reach_a_test_case_or_an_unlabeled_label():
    plan = make_plan(library.load_recipe(SMALL))
    store = fill_store(plan, Reporter())
    for role in ("labeled", "validation"):
        assert store.labeled(plan.split.cases(role)[0].id).label().any()
    unlabeled = plan.split.unlabeled[0]
    assert unlabeled.label is None
    assert not [name for name in dir(store.image(unlabeled.id)) if "label" in name]
    with pytest.raises(ProtocolError):
        store.labeled(unlabeled.id)
    for ask in (store.image, store.labeled):
        with pytest.raises(ProtocolError):
            ask(plan.split.test[0].id)
    with pytest.raises(ProtocolError):
        plan.components.dataset.read_label(unlabeled)


def test_poisoned_labels_of_unlabeled_cases_change_nothing(tmp_path):
    """Labels of unlabeled cases are other, and the weights are the same to the last bit."""
    from semiseg.registry import create

    made = create("dataset", "phantom", {"cases": 6, "size": [32, 32, 32], "root": tmp_path / "made"})
    root = made.cases()[0].images[0].parents[1]
    recipe = copy.deepcopy(SMALL)
    recipe["dataset"] = {"name": "brats", "root": str(root)}
    one = library.run(recipe, tmp_path / "one")
    for case in make_plan(library.load_recipe(recipe)).split.unlabeled:
        path = root / case.id / f"{case.id}_seg.nii.gz"
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.full(image.shape, 2, np.uint8), image.affine), path)
    two = library.run(recipe, tmp_path / "two")
    a, b = (torch.load(r.folder / "checkpoints" / "last.pt", weights_only=True)["strategy"] for r in (one, two))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert one.scores == two.scores


class Followed(Observer):
    """Keeps what it is told."""

    told: ClassVar[list] = []

    def begin(self, run):
        self.told.append(("begin", run.resumed, run.recipe["training"]["epochs"]))

    def record(self, step, values):
        self.told.append(("record", step, {*values}))

    def end(self, scores, files):
        self.told.append(("end", {*scores}, [path.name for path in files]))

    def fail(self, reason):
        self.told.append(("fail", reason))


def test_observers_follow_a_run_to_its_end_and_through_an_interruption(tmp_path, monkeypatch):
    Followed.told.clear()
    result = library.run(SMALL, tmp_path / "run", observers=["tensorboard", Followed])
    assert list((result.folder / "tensorboard").glob("events.*"))
    (begin, *epochs, (what, scores, files)) = Followed.told
    assert begin == ("begin", False, 3)
    assert [(what, step) for what, step, _ in epochs] == [("record", 4 * n) for n in (1, 2, 3)]
    assert {"train/loss", "lr", "validation/dice/edema"} <= epochs[0][2]
    assert what == "end"
    assert {"test/last/dice/edema", "test/best/hd95/whole tumor"} <= scores
    assert files == ["recipe.yaml", "report.html", "preview.png", "scores.csv"]
    Followed.told.clear()
    library.run(SMALL, tmp_path / "run", observers=[Followed], resume=True)
    assert Followed.told == []  # nothing happened
    monkeypatch.setattr("semiseg.pipeline.run.predict_test_cases", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        library.run(SMALL, tmp_path / "other", observers=[Followed])
    assert Followed.told[-1] == ("fail", "division by zero")
    monkeypatch.undo()
    Followed.told.clear()
    library.run(SMALL, tmp_path / "other", observers=[Followed], resume=True)
    assert [what for what, *_ in Followed.told] == ["begin", "end"]
    assert Followed.told[0][1]


def test_an_unknown_observer_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(RecipeError, match="Did you mean 'tensorboard'"):
        library.run(SMALL, tmp_path / "run", observers=["tensorbored"])
    assert not (tmp_path / "run").exists()
