"""DAN: its losses by hand, what the critic sees, and whom each gradient reaches."""

import math

import pytest
import torch
from torch import nn

from semiseg.losses.named import named_loss
from semiseg.registry import load
from semiseg.testing.batches import TASKS, in_double
from semiseg.testing.strategy import CLASSES, StrategyContract, make_batch
from semiseg_adversarial.dan import DAN


class TestDAN(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return DAN

    @pytest.fixture(
        params=[
            {"critic_channels": 4},
            {"critic_channels": 4, "loss": "dice", "weight": 1, "ramp": "constant", "critic_dropout": 0},
        ],
        ids=["default", "variant"],
    )
    def options(self, request):
        return request.param


class Given(nn.Module):
    """A network whose logits are its parameter, whatever the images."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images):
        return self.logits


class Linear(nn.Module):
    """A critic whose logit of "labeled" is the mean over voxels of a weighted sum of the maps' channels."""

    def __init__(self, *weights):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, maps, images, factors=None):
        score = torch.einsum("k,nkv->nv", self.weights, maps.flatten(2)).mean(dim=1)
        return torch.stack([torch.zeros_like(score), score], dim=1)


def at(strategy, index):
    return StrategyContract.at(strategy, index)


def test_it_is_found_by_its_name():
    assert load("strategy", "dan") is DAN


@pytest.mark.parametrize("axes", [2, 3])
def test_the_network_s_loss_by_hand(axes):
    """Uniform probabilities and the weights (3, 0, 0) make the critic's logit 1: -log sigmoid(1) = log(1 + 1/e)."""
    strategy = StrategyContract.make(DAN, {"weight": 0.2, "ramp_share": 1.0}, axes)
    size = TASKS[axes].patch_size
    batch = in_double(make_batch(1, 2, size=size))
    logits = torch.zeros(3, CLASSES, *size, dtype=torch.float64)
    strategy.networks["model"], strategy.networks["critic"] = Given(logits), Linear(3, 0, 0)
    step = at(strategy, 60)
    of_model, of_critic = strategy.losses(batch, step)
    adversarial = math.log1p(math.exp(-1))
    assert of_model.parts["adversarial"].item() == pytest.approx(adversarial, rel=1e-9)
    supervised = named_loss(logits[:1], batch.labeled.label, "dice_ce").item()
    weight = 0.2 * math.exp(-5 * 0.4**2)
    assert of_model.total.item() == pytest.approx(supervised + weight * adversarial, rel=1e-6)
    # One labeled sample and two others, all with the logit 1 of "labeled".
    assert of_critic.total.item() == pytest.approx((adversarial + 2 * (1 + adversarial)) / 3, rel=1e-9)
    assert of_critic.parts["critic_right"].item() == pytest.approx(1 / 3)


def test_the_gradients_by_hand():
    """With s the critic's logit, d(-log sigmoid(s)) is -sigmoid(-s) ds, and ds is 3 / V d p_0 at each voxel."""
    strategy = StrategyContract.make(DAN, {"weight": 1, "ramp": "constant"})
    batch = in_double(make_batch(1, 2))
    voxels, (of_zero, of_others) = 8**3, (1 / 3 * (1 - 1 / 3), -1 / 9)  # the derivative of softmax
    logits = torch.zeros(3, CLASSES, 8, 8, 8, dtype=torch.float64)
    strategy.networks["model"], strategy.networks["critic"] = Given(logits), Linear(3, 0, 0)
    of_model, of_critic = strategy.losses(batch, at(strategy, 99))
    pull = torch.sigmoid(torch.tensor(-1.0)).item()
    (found,) = torch.autograd.grad(of_model.terms["adversarial"].mean(), strategy.networks["model"].logits)
    assert not found[0].any()  # the labeled sample
    for unlabeled in found[1:]:
        assert unlabeled[0].unique().tolist() == pytest.approx([-pull * 3 / voxels * of_zero / 2], rel=1e-6)
        assert unlabeled[1:].unique().tolist() == pytest.approx([-pull * 3 / voxels * of_others / 2], rel=1e-6)
    (found,) = torch.autograd.grad(of_critic.total, strategy.networks["critic"].weights)
    # d s / d weight is the mean probability, 1/3: -sigmoid(-s) for the labeled sample, sigmoid(s) for the other two.
    assert found.tolist() == pytest.approx([(-pull + 2 * (1 - pull)) / 3 / 3] * 3, rel=1e-6)


@pytest.mark.parametrize("regions", [{}, {"all": (1, 2), "inner": (2,), "outer": (1,), "more": (1, 2)}])
@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_critic_sees_every_class_or_region_with_the_image(classes, axes, regions):
    from dataclasses import replace

    if regions and classes != 3:
        pytest.skip("the regions are of three classes")
    task = replace(TASKS[axes], classes=tuple(f"class {i}" for i in range(classes)), regions=regions)
    strategy = StrategyContract.make(DAN, {"critic_channels": 2}, task=task)
    batch, seen = make_batch(1, 3, size=task.patch_size), []
    if classes == 2:
        batch.labeled.label.clamp_(max=1)
    strategy.networks["critic"].register_forward_hook(lambda _, given, __: seen.append([one.shape for one in given]))
    for losses in strategy.losses(batch, at(strategy, 99)):
        assert torch.isfinite(losses.total)
    channels = len(regions) or classes
    (first, *images), (second, *others) = seen
    assert first == (3, channels, *task.patch_size)
    assert images == [(3, 2, *task.patch_size)]
    assert second == (4, channels, *task.patch_size)
    assert others == [(4, 2, *task.patch_size), (4, 7 * 2)]
