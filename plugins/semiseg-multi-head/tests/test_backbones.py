"""What the strategies require of a backbone, and how many scales the built-in ones give."""

import pytest
from torch import nn

from semiseg.errors import RecipeError
from semiseg.interfaces.backbone import Backbone
from semiseg.pipeline.check import check
from semiseg.recipe.load import load_recipe
from semiseg.registry import create
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
    for name in ("unet", "unetr", "vnet"):
        assert f"{name} (semiseg" in text


@pytest.mark.parametrize(
    ("name", "options", "scales"),
    [
        ("unet", {"channels": (2, 2, 2, 2, 2)}, 4),
        ("unet", {"channels": (2, 2, 2, 2), "strides": (2, 2, 2)}, 3),
        ("unetr", {"feature_size": 2, "hidden_size": 12, "mlp_dim": 12, "num_heads": 2}, 3),
        ("vnet", {}, 3),
    ],
)
def test_urpc_has_the_scales_that_its_docstring_tells(name, options, scales):
    task = Task(1, ("background", "a"), (16, 16, 16))
    assert len(with_scales(0.0)(create("backbone", name, options), task).scales) == scales
