"""What the strategies require of a backbone, and how many scales the built-in ones give."""

import pytest
import torch
from torch import nn

from semiseg.engine.build import build_networks
from semiseg.engine.probe import noise_batch
from semiseg.engine.runtime import Runtime
from semiseg.errors import RecipeError
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import Step
from semiseg.pipeline.check import check
from semiseg.recipe.load import load_recipe
from semiseg.registry import create, load
from semiseg.testing.steps import run_steps
from semiseg.types import Task
from semiseg_multi_head.urpc import with_scales


class Plain(Backbone):
    """A backbone that offers nothing beyond logits."""

    def build(self, task):
        return nn.Conv3d(task.in_channels, task.out_channels, 1)


class Rigid(Plain):
    """One that has parts, but goes up in one way alone."""

    capabilities = frozenset({"split", "scales"})


@pytest.mark.parametrize(
    ("backbone", "strategy", "lacks"),
    [(Plain, "dtc", "split"), (Plain, "urpc", "scales"), (Plain, "mc_net", "split"), (Rigid, "mc_net", "upsampling")],
)
def test_check_refuses_a_backbone_that_lacks_something_with_those_that_fit(backbone, strategy, lacks):
    recipe = load_recipe(
        {
            "name": "x",
            "dataset": {"name": "phantom"},
            "split": {"labeled": 1},
            "backbone": {"name": "unet"},
            "strategy": {"name": strategy},
        }
    ).with_component("backbone", backbone)
    with pytest.raises(RecipeError) as raised:
        check(recipe, quick=True)
    text = str(raised.value)
    assert f"'{backbone.__name__}' does not offer {lacks}" in text
    assert f"which strategy '{strategy}' requires of model" in text
    for name in ("basic_unet", "unet", "unetr", "vnet", "vnet_la"):
        assert f"{name} (semiseg" in text


AXES = pytest.mark.parametrize("axes", [3, 2])
SMALL_UNETR = {"feature_size": 2, "hidden_size": 12, "mlp_dim": 12, "num_heads": 2}


@AXES
@pytest.mark.parametrize(
    ("name", "options", "scales"),
    [
        ("unet", {"channels": (2, 2, 2, 2, 2)}, 4),
        ("unet", {"channels": (2, 2, 2, 2), "strides": (2, 2, 2)}, 3),
        ("unetr", SMALL_UNETR, 3),
        ("vnet", {}, 3),
        ("basic_unet", {"features": (2, 2, 2, 2, 2, 2)}, 3),
        ("vnet_la", {"channels": (2, 2, 2, 2, 2)}, 3),
    ],
)
def test_urpc_has_the_scales_that_its_docstring_tells(name, options, scales, axes):
    task = Task(1, ("background", "a"), (16,) * axes)
    assert len(with_scales(0.0)(create("backbone", name, options), task).scales) == scales


@AXES
@pytest.mark.parametrize("strategy", ["dtc", "mc_net", "urpc"])
@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("unet", {"channels": (2, 4, 4), "strides": (2, 2)}),
        ("unetr", SMALL_UNETR),
        ("vnet", {"dropout": 0.0}),
        ("basic_unet", {"features": (4, 4, 4, 4, 4, 4)}),
        ("vnet_la", {"channels": (4, 4, 4, 4, 4), "dropout": 0.0}),
    ],
)
def test_a_step_on_each_backbone_changes_encoder_decoders_and_heads(backbone, options, strategy, axes):
    task = Task(2, ("background", "a", "b"), (16, 16, 32)[3 - axes :])
    cls = load("strategy", strategy)
    networks = build_networks(cls.roles(cls.Options()), {"model": create("backbone", backbone, options)}, task, 0)
    method = cls(cls.Options(), networks)
    layers = {type(module) for module in method.modules()}
    assert not layers & {nn.Conv2d if axes == 3 else nn.Conv3d, nn.ConvTranspose2d if axes == 3 else nn.ConvTranspose3d}
    before = {name: value.clone() for name, value in method.named_parameters()}
    batch = noise_batch(task, 1, 1, torch.device("cpu"), cls.needs.targets)
    (told,) = run_steps(method, [(batch, Step(99, 100, 9))], Runtime("cpu", "32"), lr=0.1)
    assert torch.isfinite(torch.tensor(list(told.values()))).all()
    same = [name for name, value in method.named_parameters() if torch.equal(value, before[name])]
    # Biases before a normalization and UNETR's cross attention get no gradient.
    assert [name for name in same if name.endswith("weight") and "norm_cross_attn" not in name] == []
