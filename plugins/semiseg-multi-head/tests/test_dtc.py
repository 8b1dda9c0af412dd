"""DTC against the formula of its paper, and the sign of its distances."""

import math

import pytest
import torch
from torch import nn

from semiseg.losses.named import named_loss
from semiseg.registry import load
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg_multi_head.dtc import DTC, HEAD


class TestDTC(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return DTC

    @pytest.fixture(params=[{}, {"loss": "dice_ce", "beta": 1.0, "steepness": 10.0, "ramp": "constant"}])
    def options(self, request):
        return request.param


def made(**options):
    strategy = StrategyContract.make(DTC, {"loss": "dice", "ramp_share": 1.0, **options})
    return strategy, make_batch(targets=DTC.needs.targets)


def at(strategy, index):
    return StrategyContract.at(strategy, index)


def test_it_is_found_by_its_name():
    assert load("strategy", "dtc") is DTC


def test_the_loss_is_the_paper_s():
    strategy, batch = made(steepness=20.0)
    (losses,) = strategy.losses(batch, at(strategy, 60))
    images = batch.images()
    network = strategy.networks["model"]
    outputs = network(images)
    phi, p = outputs.heads[HEAD].tanh(), outputs.logits.softmax(1)
    assert phi.shape[1] == 2
    dice = named_loss(outputs.logits[:2], batch.labeled.label, "dice").mean()
    error = ((phi[:2] - batch.labeled.targets[HEAD]) ** 2).mean()
    consistency = ((torch.sigmoid(-20 * phi) - p[:, 1:]) ** 2).mean()  # labeled and unlabeled alike
    weight = math.exp(-5 * (1 - 0.6) ** 2)
    assert losses.total.item() == pytest.approx((dice + 0.3 * error + weight * consistency).item(), rel=1e-5)


def test_negative_is_inside():
    """With the true distance map and a sure, right prediction the consistency is 0; with its negative it is large."""
    strategy, batch = made()

    class Perfect(nn.Module):
        sign = 1.0

        def forward(self, images):
            from semiseg.interfaces.split import Outputs

            label = torch.zeros(len(images), *images.shape[2:], dtype=torch.int64)
            label[:, 2:6, 2:6, 2:6] = 1
            distance = DTC.needs.targets[0].make(label, 3)
            logits = 50 * nn.functional.one_hot(label, 3).movedim(-1, 1).float()
            # 0 on the boundary is a mask of one half: a little inside, so that it counts as the class
            inner = torch.where(label[:, None] == torch.tensor([1, 2]).view(1, 2, 1, 1, 1), distance - 0.05, distance)
            inner[:, 1] = 1  # the absent class is far away everywhere
            return Outputs(logits, heads={HEAD: self.sign * torch.atanh(inner.clamp(-0.99, 0.99))})

    strategy.networks["model"] = network = Perfect()
    (right,) = strategy.losses(batch, at(strategy, 99))
    network.sign = -1.0
    (wrong,) = strategy.losses(batch, at(strategy, 99))
    assert right.parts["consistency"].item() < 1e-6
    assert wrong.parts["consistency"].item() > 0.9


PUBLISHED = (0, math.exp(-5)), (50, math.exp(-1.25)), (99, math.exp(-5 * 0.01**2))


@pytest.mark.parametrize(
    ("options", "weights"),
    [({}, PUBLISHED), ({"weight": 0.1, "ramp": "constant"}, ((0, 0.1), (99, 0.1)))],
    ids=["train_la_dtc", "train_la_dtc_v2"],
)
def test_the_weight_reaches_one_at_the_end_alone_or_is_constant(options, weights):
    strategy, batch = made(beta=0.0, **options)
    for index, weight in weights:
        (losses,) = strategy.losses(batch, at(strategy, index))
        found = (losses.total - losses.parts["supervised"]) / losses.parts["consistency"]
        assert found.item() == pytest.approx(weight, rel=1e-3)
