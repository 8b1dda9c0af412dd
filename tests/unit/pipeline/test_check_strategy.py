"""``check`` makes the strategy as a run will: what only its code knows is told before anything is trained."""

import pytest
import torch
from torch import nn

from semiseg import check, load_recipe
from semiseg.engine.runtime import Runtime
from semiseg.errors import ComponentError, RecipeError
from semiseg.interfaces.strategy import Stage
from semiseg.pipeline import new_strategy as module
from semiseg.pipeline.model import new_model
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.dump import to_yaml
from semiseg.registry import installed
from semiseg.strategies.supervised import Supervised


def recipe(strategy, backbone="unet", **options):
    small = {"channels": [4, 8], "strides": [2]} if backbone == "unet" else {}
    return {
        "name": "small",
        "dataset": {"name": "phantom", "cases": 4, "size": [32, 32, 32]},
        "split": {"test": 1, "labeled": 2},
        "backbone": {"name": backbone, **small},
        "strategy": {"name": strategy, **options},
        "training": {"epochs": 1, "patch_size": [32, 32, 32], "device": "cpu"},
    }


class Weighed(Supervised):
    """Its weight of a loss is to be learned, but no role has it."""

    def __init__(self, options, networks):
        super().__init__(options, networks)
        self.log_variance = nn.Parameter(torch.zeros(()))


class Failing(Supervised):
    """Its code has a fault."""

    def __init__(self, options, networks):
        super().__init__(options, networks)
        self.half = networks["network"]


class Half(Supervised):
    """Its stages are half of a training."""

    def stages(self):
        return (Stage("first", 0.5),)


class Looks(Supervised):
    """Takes a number from its network's weights, which are to be those that it will train."""

    seen = []  # noqa: RUF012

    def __init__(self, options, networks):
        super().__init__(options, networks)
        self.scale = next(self.networks.parameters()).std().item()
        self.seen.append(self.scale)


@pytest.mark.parametrize(
    ("strategy", "error", "words"),
    [
        (Weighed, ComponentError, r"Strategy Weighed has parameters outside its roles' networks, .*: log_variance\."),
        (Failing, KeyError, "network"),
    ],
)
def test_what_making_a_strategy_raises_is_raised_by_check_in_the_same_words(strategy, error, words, monkeypatch):
    asked = load_recipe(recipe("supervised")).with_component("strategy", strategy)
    with pytest.raises(error) as of_run:
        new_model(make_plan(asked), Runtime("cpu", "32"))
    monkeypatch.setattr("semiseg.pipeline.check.verify_cases", None)  # no file is read before

    with pytest.raises(error, match=words) as of_check:
        check(asked)
    assert str(of_check.value) == str(of_run.value)


def test_stages_that_make_no_training_are_told():
    with pytest.raises(ComponentError, match=r"The shares of the stages add up to 0\.5, not to 1\."):
        check(load_recipe(recipe("supervised")).with_component("strategy", Half))


def test_a_strategy_that_looks_at_its_networks_sees_those_of_the_run():
    asked = load_recipe(recipe("supervised")).with_component("strategy", Looks)

    assert check(asked, quick=True)[-1] == "No problems found."
    of_run = new_model(make_plan(asked), Runtime("cpu", "32")).strategy.scale
    assert Looks.seen == [of_run, of_run]


class Loading(Supervised):
    """Takes weights that were trained before."""

    def __init__(self, options, networks):
        super().__init__(options, networks)
        self.networks.load_state_dict({name: torch.zeros(p.shape) for name, p in self.networks.state_dict().items()})


def test_weights_that_the_meta_device_does_not_take_are_no_matter():
    """Warnings are errors in these tests."""
    assert check(load_recipe(recipe("supervised")).with_component("strategy", Loading), quick=True)


def test_what_making_a_strategy_raises_comes_alone():
    with pytest.raises(KeyError) as caught:
        check(load_recipe(recipe("supervised")).with_component("strategy", Failing))
    assert caught.value.__context__ is None


UNET = {"name": "unet", "channels": [4, 8], "strides": [2]}


@pytest.mark.parametrize("other", [{**UNET, "channels": [4, 4]}, {"name": "vnet"}], ids=["options", "kind"])
def test_a_teacher_that_cannot_begin_as_its_student_is_told_with_its_line(tmp_path, other):
    asked = recipe("fixmatch", labels_from="teacher", networks={"teacher": other})
    path = tmp_path / "recipe.yaml"
    path.write_text(to_yaml(asked))
    line = 1 + path.read_text().splitlines().index("  networks:")

    with pytest.raises(RecipeError) as caught:
        check(path)
    assert str(caught.value) == (
        f"strategy.networks ({path}:{line}) gives teacher a different network from model, although it starts as a copy"
        " of it.\n"
        "    Give both the same backbone with the same options, or list neither."
    )


def test_a_teacher_of_its_student_s_kind_may_be_named():
    asked = recipe("fixmatch", labels_from="teacher", networks={"teacher": UNET})

    assert check(asked, quick=True)[-1] == "No problems found."


@pytest.mark.parametrize("backbone", ["unet", "unetr", "vnet", "basic_unet", "vnet_la"])
def test_no_installed_strategy_takes_memory_for_it(backbone, monkeypatch):
    made, devices = module.build_strategy, set()

    def build(*arguments):
        strategy = made(*arguments)
        devices.update(tensor.device.type for tensor in strategy.state_dict().values())
        return strategy

    monkeypatch.setattr(module, "build_strategy", build)
    for entry in installed("strategy"):
        assert make_plan(load_recipe(recipe(entry.name, backbone))).draws.n_samples
    assert devices == {"meta"}
