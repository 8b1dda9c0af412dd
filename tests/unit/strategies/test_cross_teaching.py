"""Cross teaching's equations 4 to 6, written out with MONAI's Dice loss; and where its networks come from."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss

from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner
from semiseg.engine.step_modes import StepMode
from semiseg.errors import RecipeError
from semiseg.interfaces.batch import Step
from semiseg.interfaces.roles import Role
from semiseg.recipe.components import resolve
from semiseg.recipe.load import load_recipe
from semiseg.strategies.cross_teaching import CrossTeaching
from semiseg.testing.batches import in_double
from semiseg.testing.strategy import StrategyContract, make_batch

DICE = DiceLoss(softmax=True, to_onehot_y=True)
LAST = Step(99, 100, 10)
WEIGHT = math.exp(-5 * (1 - 99 / 100) ** 2)


def made(**options):
    return StrategyContract.make(CrossTeaching, {"loss": "dice", "ramp_share": 1.0, **options}).double()


def double_batch(**sizes):
    return in_double(make_batch(**sizes))


@pytest.mark.parametrize("sizes", [{"labeled": 2, "unlabeled": 2}, {"labeled": 1, "unlabeled": 3}])
def test_loss_and_gradients_are_the_equations(sizes):
    """Twice the published code's, whose supervised loss is half of Dice plus cross entropy."""
    strategy, batch = made(loss="dice_ce", weight=0.2), double_batch(**sizes)
    a, b = strategy.networks.values()
    x, y, u = batch.labeled.image, batch.labeled.label, batch.unlabeled.image
    expected = 0
    for net, other in ((a, b), (b, a)):
        supervised = 0.5 * (F.cross_entropy(net(x), y) + DICE(net(x), y[:, None]))
        expected = expected + supervised + 0.1 * WEIGHT * DICE(net(u), other(u).argmax(1, keepdim=True))
    wanted = torch.autograd.grad(2 * expected, list(strategy.parameters()))
    total = 0
    for losses in strategy.losses(batch, LAST):
        losses.total.backward()
        total = total + losses.total.item()
    assert total == pytest.approx(2 * expected.item(), abs=1e-12)
    for parameter, gradient in zip(strategy.parameters(), wanted, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-13, rtol=1e-9)


def test_identical_networks_learn_from_their_own_argmax():
    strategy, batch = made(weight=0.5), double_batch()
    a, b = strategy.networks.values()
    b.load_state_dict(a.state_dict())
    u = batch.unlabeled.image
    own = DICE(a(batch.labeled.image), batch.labeled.label[:, None])
    own = own + 0.5 * WEIGHT * DICE(a(u), a(u).argmax(1, keepdim=True))
    assert [losses.total.item() for losses in strategy.losses(batch, LAST)] == pytest.approx([own.item()] * 2)


def test_no_gradient_goes_into_the_pseudo_label():
    strategy = made()
    next(iter(strategy.losses(double_batch(), LAST))).total.backward()
    assert all(p.grad is not None for p in strategy.networks["student_a"].parameters())
    assert all(p.grad is None for p in strategy.networks["student_b"].parameters())


@pytest.mark.parametrize("mode", [StepMode("joint"), StepMode("alternating"), StepMode("alternating", 1)])
def test_a_step_without_unlabeled_samples_is_supervised(mode):
    """And so are the micro-batches that hold no unlabeled sample."""
    strategy = made()
    optimizers = {name: torch.optim.SGD(net.parameters(), lr=0.1) for name, net in strategy.networks.items()}
    totals = StepRunner(strategy, optimizers, Runtime("cpu", "32"), mode)(double_batch(labeled=2, unlabeled=0), LAST)
    assert totals["loss"] == pytest.approx(totals["supervised"])
    assert totals["pseudo"] == 0


RECIPE = {
    "name": "crossed",
    "dataset": {"name": "phantom", "cases": 6, "size": [32, 32, 32]},
    "split": {"test": 1, "validation": 1, "labeled": 2},
    "augmentation": {"name": "luque2023"},
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2]},
    "strategy": {"name": "cps"},
    "training": {"epochs": 1, "examples_per_epoch": 8, "patch_size": [16, 16, 16]},
}


def recipe_of(strategy, **block):
    return load_recipe(copy.deepcopy(RECIPE)).with_component("strategy", strategy, **block)


def backbones(recipe):
    return {role: type(backbone).__name__ for role, backbone in resolve(recipe).backbones.items()}


def test_the_second_network_is_a_transformer_unless_the_recipe_says_otherwise():
    recipe = recipe_of(CrossTeaching)
    assert backbones(recipe) == {"student_a": "UNet", "student_b": "UNETR"}
    other = recipe_of(CrossTeaching, networks={"student_b": {"name": "vnet"}})
    assert backbones(other) == {"student_a": "UNet", "student_b": "VNet"}
    both = recipe_of(CrossTeaching, networks={"student_a": {"name": "vnet"}})
    assert backbones(both) == {"student_a": "VNet", "student_b": "UNETR"}


def test_a_default_backbone_that_is_not_installed_or_does_not_fit_is_told():
    class Missing(CrossTeaching):
        @classmethod
        def roles(cls, options):
            return (Role("student_a"), Role("student_b", backbone="unettr"))

    class Demanding(CrossTeaching):
        requires = frozenset({"wings"})

    with pytest.raises(RecipeError, match=r"unettr.*unetr"):
        resolve(recipe_of(Missing))
    with pytest.raises(RecipeError) as raised:
        resolve(recipe_of(Demanding))
    text = str(raised.value)
    assert "Backbone 'unet' " in text
    assert "Backbone 'unetr' does not offer wings, which strategy 'Demanding' requires of student_b" in text
    assert backbones(recipe_of(Missing, networks={"student_b": {"name": "vnet"}}))["student_b"] == "VNet"
