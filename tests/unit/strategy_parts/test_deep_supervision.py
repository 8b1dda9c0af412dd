"""Deep supervision: nnU-Net's weights, the weighted sum of the scales' losses, and what it requires."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from semiseg import check, load_recipe
from semiseg.engine.build import build_strategy
from semiseg.errors import RecipeError
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import Step
from semiseg.losses.named import named_loss
from semiseg.registry import create, load
from semiseg.strategy_parts.deep_supervision import over_scales, scale_weights
from semiseg.strategy_parts.heads import MoreScales
from semiseg.strategy_parts.streams import supervised_loss
from semiseg.testing.batches import make_batch
from semiseg.testing.tiny import TinyBackbone, TinyNetwork
from semiseg.types import Task

STEP = Step(5, 10, 5, seed=0)
SINGLE = ("supervised", "entropy_minimization", "fixmatch", "pi_model", "pseudo_label", "self_training")
TASK = Task(2, ("background", "a", "b"), (8, 8, 8))


def built(name, backbone=None, **options):
    cls = load("strategy", name)
    chosen = cls.Options(**options)
    roles = cls.roles(chosen)
    made = backbone or TinyBackbone()
    return build_strategy(cls, chosen, roles, {role.name: made for role in roles}, TASK, 0)


@pytest.mark.parametrize("n_outputs", [3, 4, 6])
def test_weights_are_nnunet_s(n_outputs):
    """_build_loss in nnU-Net 2, with the coarsest output, whose weight is 0."""
    weights = np.array([1 / (2**i) for i in range(n_outputs)])
    weights[-1] = 0
    assert scale_weights(n_outputs - 1) == pytest.approx((weights / weights.sum())[:-1])


def test_the_loss_is_the_weighted_sum_of_the_scales_losses():
    generator = torch.Generator().manual_seed(0)
    batch = make_batch(2, 1)
    logits, half, quarter = (torch.randn((3, 3, 8, 8, 8), generator=generator) for _ in range(3))
    found = supervised_loss(logits[:2], batch, "dice_ce", scales=(half, quarter)).mean()
    each = [named_loss(one[:2], batch.labeled.label, "dice_ce").mean() for one in (logits, half, quarter)]
    torch.testing.assert_close(found, (4 * each[0] + 2 * each[1] + each[2]) / 7)
    assert over_scales(logits, (), lambda one: one) is logits


def test_the_coarsest_of_several_levels_is_left_out_and_prediction_has_none():
    backbone = create("backbone", "unet", {"channels": (4, 8, 16, 16), "strides": (2, 2, 2), "num_res_units": 1})
    task = replace(TASK, patch_size=(16, 16, 16))
    every, some = MoreScales(backbone, task), MoreScales(backbone, task, for_supervision=True)
    images = torch.randn((1, 2, 16, 16, 16), generator=torch.Generator().manual_seed(0))
    assert (len(every(images).scales), len(some(images).scales)) == (3, 2)
    assert len(MoreScales(TinyBackbone(), TASK, for_supervision=True)(images).scales) == 1
    assert (len(every.eval()(images).scales), len(some.eval()(images).scales)) == (3, 0)


@pytest.mark.parametrize("name", SINGLE)
def test_every_strategy_with_one_network_has_it(name):
    """Its supervised loss is that of both scales, with weights 2/3 and 1/3."""
    strategy, batch = built(name, loss="dice_ce", deep_supervision=True), make_batch()
    images = batch.images()[: 2 if name in {"supervised", "self_training"} else 4]
    found = next(iter(strategy.losses(batch, STEP))).parts["supervised"]
    outputs = strategy.outputs("model", images)
    fine, coarse = (
        named_loss(one[:2], batch.labeled.label, "dice_ce").mean() for one in (outputs.logits, *outputs.scales)
    )
    torch.testing.assert_close(found, (2 * fine + coarse).detach() / 3)


@pytest.mark.parametrize("name", ["cps", "cross_teaching"])
def test_networks_that_label_for_each_other_have_it(name):
    strategy, batch = built(name, loss="dice_ce", deep_supervision=True), make_batch()
    plain = built(name, loss="dice_ce")
    plain.load_state_dict(
        {key.replace(".network.", "."): value for key, value in strategy.state_dict().items() if ".scales." not in key}
    )
    for losses, others in zip(strategy.losses(batch, STEP), plain.losses(batch, STEP), strict=True):
        (role,) = losses.updated
        outputs = strategy.outputs(role, batch.images())
        fine, coarse = (
            named_loss(one[:2], batch.labeled.label, "dice_ce").mean() for one in (outputs.logits, *outputs.scales)
        )
        torch.testing.assert_close(losses.parts["supervised"], (2 * fine + coarse).detach() / 3)
        torch.testing.assert_close(others.parts["supervised"], fine.detach())
        assert torch.equal(losses.parts["pseudo"], others.parts["pseudo"])


def test_recipes_without_the_option_are_written_as_before():
    for name in (*SINGLE, "cps", "cross_teaching"):
        assert "deep_supervision" not in load("strategy", name).Options().model_dump()


class Plain(Backbone):
    """A backbone without capabilities."""

    def build(self, task):
        return TinyNetwork(task)


@pytest.mark.parametrize("name", ["supervised", "cps"])
def test_a_backbone_without_scales_is_refused(name):
    recipe = load_recipe("quickstart", ["strategy.networks={}"]).with_component("backbone", Plain)
    assert check(recipe.with_component("strategy", name), quick=True)
    with pytest.raises(RecipeError, match=r"does not offer scales, which strategy .* requires of (model|student_a)"):
        check(recipe.with_component("strategy", name, deep_supervision=True), quick=True)
