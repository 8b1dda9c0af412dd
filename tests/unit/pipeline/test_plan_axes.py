"""A component that does not support the patch's number of axes is refused before a network is built."""

import pytest

from semiseg.augmentation.none import NoAugmentation
from semiseg.backbones.unetr import UNETR
from semiseg.errors import RecipeError
from semiseg.interfaces.backbone import Backbone
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.testing.tiny import TinyBackbone

RECIPE = {
    "name": "small",
    "dataset": {"name": "phantom", "cases": 4, "size": [32, 32, 32]},
    "split": {"test": 1, "labeled": 2},
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2]},
    "strategy": {"name": "supervised"},
    "training": {"epochs": 1, "patch_size": [16, 16]},
}


class VolumeNet(Backbone):
    """Fails as networks for volumes do when they get a task of two axes."""

    spatial_dims = frozenset({3})

    def patch_problems(self, task):
        x, y, z = task.patch_size
        return [] if x == y == z else ["it is not a cube"]

    def build(self, task):
        raise AssertionError("built for a patch that it does not support")


class VolumeMethod(CrossPseudoSupervision):
    spatial_dims = frozenset({3})


class VolumeChanges(NoAugmentation):
    spatial_dims = frozenset({3})


class SliceMethod(CrossPseudoSupervision):
    spatial_dims = frozenset({2})


def problems(recipe):
    with pytest.raises(RecipeError) as raised:
        make_plan(recipe)
    return [(problem.what, problem.fix) for problem in raised.value.problems]


def test_a_backbone_for_volumes_is_refused_for_a_patch_of_two_sides():
    recipe = load_recipe(RECIPE).with_component("backbone", VolumeNet)
    assert problems(recipe) == [
        (
            "training.patch_size has two sides, but backbone VolumeNet supports only images with three axes.",
            "Choose three sides for training.patch_size, or another backbone.",
        )
    ]


def test_the_places_of_both_keys_are_given(tmp_path, monkeypatch):
    monkeypatch.setattr(UNETR, "spatial_dims", frozenset({3}))
    file = tmp_path / "flat.yaml"
    file.write_text(
        "name: flat\n"
        "dataset: {name: phantom, cases: 4, size: [32, 32, 32]}\n"
        "split: {test: 1, labeled: 2}\n"
        "strategy: supervised\n"
        "backbone: unetr\n"
        "training: {epochs: 1, patch_size: [16, 16]}\n"
    )
    ((what, _),) = problems(load_recipe(file))
    assert what.startswith(f"training.patch_size ({file}:6) has two sides, but backbone ({file}:5) unetr supports only")


def test_strategy_augmentation_and_the_backbone_of_one_role_are_told_at_once():
    recipe = load_recipe(RECIPE).with_component("strategy", VolumeMethod, networks={"student_b": VolumeNet})
    found = problems(recipe.with_component("augmentation", VolumeChanges))
    assert [fix.rpartition(", or ")[2] for _, fix in found] == [
        "another strategy.",
        "another backbone.",
        "another augmentation.",
    ]
    named = [what.partition("but ")[2].partition(" supports")[0] for what, _ in found]
    assert named == ["strategy VolumeMethod", "strategy.networks.student_b VolumeNet", "augmentation VolumeChanges"]


def test_a_backbone_that_the_strategy_names_itself_is_told_with_its_role(monkeypatch):
    monkeypatch.setattr(UNETR, "spatial_dims", frozenset({3}))
    ((what, fix),) = problems(load_recipe({**RECIPE, "strategy": "cross_teaching"}))
    assert "but backbone unetr, which strategy cross_teaching uses for student_b, supports only" in what
    assert fix.endswith("or another backbone in strategy.networks.student_b.")


def test_a_strategy_for_slices_is_refused_for_a_patch_of_three_sides():
    recipe = load_recipe({**RECIPE, "training": {"epochs": 1, "patch_size": [16, 16, 16]}})
    assert problems(recipe.with_component("strategy", SliceMethod)) == [
        (
            "training.patch_size has three sides, but strategy SliceMethod supports only images with two axes.",
            "Choose two sides for training.patch_size, or another strategy.",
        )
    ]


@pytest.mark.parametrize(("sides", "strategy"), [(2, SliceMethod), (3, VolumeMethod)])
def test_a_declared_number_of_axes_is_planned(sides, strategy):
    recipe = load_recipe({**RECIPE, "training": {"epochs": 1, "patch_size": [16] * sides}})
    recipe = recipe.with_component("strategy", strategy).with_component("backbone", TinyBackbone)
    assert make_plan(recipe).task.spatial_dims == sides
