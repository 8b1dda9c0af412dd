"""What a plan makes of a GPU, without one: what it refuses, what it notes, how many workers there are."""

import pytest
import torch
from torch import nn

from semiseg.engine.determinism import take_kernels, without_deterministic_gradient
from semiseg.errors import RecipeError
from semiseg.interfaces.strategy import BatchNeeds, Target
from semiseg.pipeline import train
from semiseg.pipeline.checks import plan_checks
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe
from semiseg.strategies.supervised import Supervised
from semiseg.testing.tiny import TinyBackbone

RECIPE = {
    "name": "small",
    "dataset": {"name": "phantom", "cases": 4, "size": [32, 32, 32]},
    "split": {"test": 1, "labeled": 2},
    "augmentation": {"name": "fused"},
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2]},
    "strategy": {"name": "supervised"},
    "training": {"epochs": 1, "patch_size": [16, 16, 16], "precision": "32", "deterministic": True},
}


class Pooling(TinyBackbone):
    def build(self, task):
        network = super().build(task)
        network.pool = nn.AvgPool3d(2)
        return network


class WithTargets(Supervised):
    needs = BatchNeeds(targets=(Target("distance", lambda labels, classes: labels.float()),))


@pytest.fixture
def on_a_gpu(monkeypatch):
    monkeypatch.setattr(plan_checks, "accelerator", lambda device: "cuda")


def test_a_layer_without_deterministic_gradient_is_refused_before_anything_is_trained(on_a_gpu):
    recipe = {**RECIPE, "backbone": Pooling()}
    with pytest.raises(RecipeError, match="no deterministic GPU gradient for AvgPool3d") as caught:
        make_plan(load_recipe(recipe))
    assert "set it to false" in str(caught.value)
    make_plan(load_recipe({**recipe, "training": {**RECIPE["training"], "deterministic": False}}))
    make_plan(load_recipe(RECIPE))


def test_on_a_cpu_every_layer_is_deterministic():
    make_plan(load_recipe({**RECIPE, "backbone": Pooling()}))


def test_layers_are_named_once():
    networks = [nn.Sequential(nn.AvgPool3d(2), nn.AvgPool3d(2), nn.MaxPool3d(2)), nn.ReflectionPad3d(1)]
    assert without_deterministic_gradient(networks) == ["AvgPool3d", "ReflectionPad3d"]


def test_the_mean_over_all_voxels_is_deterministic():
    """As squeeze-and-excitation has it."""
    images = torch.ones((1, 2, 4, 4, 4), requires_grad=True)
    for size in (1, (1, 1, 1)):
        assert type(nn.AdaptiveAvgPool3d(size)(images).grad_fn).__name__ == "MeanBackward1"
        assert without_deterministic_gradient([nn.AdaptiveAvgPool3d(size)]) == []
    assert without_deterministic_gradient([nn.AdaptiveAvgPool3d((1, 1, 2))]) == ["AdaptiveAvgPool3d"]


def test_the_next_run_of_a_process_is_deterministic_only_if_it_asks_for_it(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    take_kernels(deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    take_kernels(deterministic=False)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark


def test_what_the_process_itself_switched_on_is_left_on(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    torch.use_deterministic_algorithms(True)
    try:
        take_kernels(deterministic=True)
        take_kernels(deterministic=False)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("where", "noted"), [("device", True), ("workers", False)])
def test_targets_that_a_gpu_would_wait_for_are_noted(where, noted):
    training = {**RECIPE["training"], "augmentation_on": where}
    notes = make_plan(load_recipe({**RECIPE, "strategy": WithTargets, "training": training})).notes
    assert any("(distance) are computed between steps" in note for note in notes) == noted


def test_processes_of_one_machine_share_its_cores_among_their_workers(monkeypatch):
    monkeypatch.setattr(train, "available_cores", lambda: 16)
    monkeypatch.setattr(train, "_main_can_be_imported", lambda: True)
    assert train.n_workers("auto", on_gpu=True) == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert train.n_workers("auto", on_gpu=True) == 3
    assert train.n_workers("auto", on_gpu=False) == 1
    assert train.n_workers(6, on_gpu=True) == 6
