"""``semiseg bench``: the figures of a small recipe, what it reads, and what it leaves."""

import copy
import json
import time
from pathlib import Path

import pytest
from helpers_processes import run as semiseg
from small_run import SMALL

from semiseg.bench.bench import bench, n_validations
from semiseg.datasets.phantom import Phantom
from semiseg.errors import RecipeError
from semiseg.inference.sliding_window import Predictor
from semiseg.interfaces.augmentation import Augmentation
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.dump import to_yaml
from semiseg.recipe.load import load_recipe


@pytest.fixture
def recipe(tmp_path):
    made = copy.deepcopy(SMALL)
    made["preprocessing"] = {"store": str(tmp_path / "store")}
    return made


class Slow(Augmentation):
    """Takes a while."""

    def __call__(self, image, label, patch_size):
        time.sleep(0.05)
        return image.clone(), None if label is None else label.clone()


def test_stages_of_a_small_recipe(recipe):
    result = bench(recipe, steps=2)
    counts = {stage.name: stage.count for stage in result.stages}
    # 3 epochs of 4 steps of 2 samples; one validation case each epoch; one test case with two checkpoints
    assert counts == {"prepare": 6, "read": 24, "augment": 24, "wait": 12, "step": 12, "validate": 3, "predict": 2}
    assert all(stage.seconds > 0 for stage in result.stages)
    assert result.hours["total"] == pytest.approx(sum(result.hours.values()) / 2)
    assert (result.recipe, result.batch, result.n_cases) == ("small", 2, 6)
    assert (result.machine.device, result.machine.workers, result.machine.precision) == ("CPU", 0, "32")
    assert result.machine.step_mode == "joint on the whole batch"
    assert result.machine.peak > 2**20
    assert result.suggestions


def test_a_second_bench_reads_training_cases_alone(recipe, monkeypatch):
    bench(recipe, steps=1)
    read = []
    whole = Phantom.read_image
    monkeypatch.setattr(Phantom, "read_image", lambda self, case: read.append(case.id) or whole(self, case))
    result = bench(recipe, steps=1)
    assert "prepare" not in {stage.name for stage in result.stages}
    assert read == [make_plan(load_recipe(recipe)).split.labeled[0].id]


def test_waiting_for_a_slow_augmentation_is_measured(recipe):
    recipe["augmentation"] = {"name": Slow()}
    result = bench(recipe, steps=3)
    assert 0.05 <= result.seconds("augment") < 0.1
    assert result.seconds("wait") >= 2 * 0.05
    assert result.seconds("read") < 0.05
    assert result.wait_share == pytest.approx(
        result.seconds("wait") / (result.seconds("wait") + result.seconds("step"))
    )


def test_stages_that_a_recipe_does_not_have(recipe):
    recipe["split"] = {"labeled": 2, "total": 4}
    assert {stage.name for stage in bench(recipe, steps=1).stages} == {"prepare", "read", "augment", "wait", "step"}


def test_augmentation_on_the_device_is_part_of_the_step(recipe):
    recipe["augmentation"] = {"name": "fused"}
    result = bench(recipe, overrides=["training.augmentation_on=device"], steps=1)
    names = {stage.name for stage in result.stages}
    assert "augment" not in names
    assert {"read", "step"} < names


def test_a_stage_with_pseudo_labels_is_timed_with_them(recipe):
    recipe["strategy"] = {"name": "self_training"}
    assert bench(recipe, steps=1).seconds("step") > 0
    assert not list(Path(recipe["preprocessing"]["store"]).rglob("pseudo*"))


@pytest.mark.parametrize("mode", ["volume", "patch"])
def test_what_is_validated_is_what_the_recipe_says(recipe, mode, monkeypatch):
    shapes = []
    whole = Predictor.probabilities
    monkeypatch.setattr(
        Predictor,
        "probabilities",
        lambda self, image, axis=2: shapes.append(image.shape[1:]) or whole(self, image, axis),
    )
    bench(recipe, overrides=[f"training.validation.mode={mode}"], steps=1)
    patch = (16, 16, 16)
    untimed, validated, again, predicted = shapes
    assert untimed == again == patch
    assert (validated == patch) == (mode == "patch")
    assert min(predicted) > 16


@pytest.mark.parametrize(("epochs", "every"), [(3, 1), (10, 2), (10, 3), (1, 5), (7, 7)])
def test_how_often_a_run_validates(epochs, every):
    plan = make_plan(load_recipe(SMALL, [f"training.epochs={epochs}", f"training.validation.every={every}"]))
    assert n_validations(plan) == sum(e % every == 0 or e == epochs for e in range(1, epochs + 1))


def test_what_cannot_be_measured_is_refused(recipe):
    with pytest.raises(ValueError, match="at least 1"):
        bench(recipe, steps=0)
    with pytest.raises(TypeError, match="overrides cannot be applied"):
        bench(load_recipe(recipe), overrides=["seed=1"])
    with pytest.raises(RecipeError, match="needs 2 processes"):
        bench(recipe, overrides=["training.step.mode=split"])


def test_the_command_with_a_worker(recipe, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    path = folder / "recipe.yaml"
    path.write_text(to_yaml(recipe))
    done = semiseg("bench", path, "--steps", "2", "--set", "training.workers=1", "-o", folder / "bench.json")
    found = json.loads((folder / "bench.json").read_text())
    assert found["machine"]["workers"] == 1
    assert set(found["stages"]) == {"prepare", "read", "augment", "wait", "step", "validate", "predict"}
    for text in ("step: forward, backward, update", "The full recipe would take about", "Suggestions:"):
        assert text in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["bench.json", "recipe.yaml"]
