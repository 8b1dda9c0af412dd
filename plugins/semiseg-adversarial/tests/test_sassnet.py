"""SASSNet: its losses against the formulas of the paper, and what the critic sees."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from semiseg.interfaces.split import Outputs
from semiseg.losses.named import named_loss
from semiseg.registry import load
from semiseg.testing.batches import TASKS, in_double
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg_adversarial.sassnet import SASSNet

(TARGET,) = SASSNet.needs.targets


class TestSASSNet(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return SASSNet

    @pytest.fixture(
        params=[
            {"critic_channels": 4},
            {"critic_channels": 4, "loss": "dice", "beta": 1, "weight": 1, "ramp": "constant", "critic_dropout": 0},
        ],
        ids=["default", "variant"],
    )
    def options(self, request):
        return request.param


def at(strategy, index):
    return StrategyContract.at(strategy, index)


def test_it_is_found_by_its_name():
    assert load("strategy", "sassnet") is SASSNet


@pytest.mark.parametrize("labeled", [1, 3])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("axes", [2, 3])
def test_the_losses_are_the_paper_s(axes, classes, labeled):
    task = replace(TASKS[axes], classes=tuple(f"class {i}" for i in range(classes)))
    options = {"loss": "dice", "weight": 0.01, "ramp_share": 1.0, "critic_channels": 2, "critic_dropout": 0}
    strategy = StrategyContract.make(SASSNet, options, task=task).double()
    batch = make_batch(labeled, 2, size=task.patch_size)
    label = batch.labeled.label.clamp(max=classes - 1)
    distances = TARGET.make(label, classes)
    batch = in_double(replace(batch, labeled=replace(batch.labeled, label=label, targets={TARGET.name: distances})))
    of_model, of_critic = strategy.losses(batch, at(strategy, 60))
    model, critic = strategy.networks["model"], strategy.networks["critic"]
    outputs, images = model(batch.images()), batch.images()
    phi = outputs.heads[TARGET.name].tanh()
    assert phi.shape[1] == classes - 1
    dice = named_loss(outputs.logits[:labeled], batch.labeled.label, "dice").mean()
    error = ((phi[:labeled] - distances) ** 2).mean()
    d = critic(phi, images).softmax(dim=1)
    adversarial = -d[labeled:, 1].log().mean()
    weight = 0.01 * math.exp(-5 * 0.4**2)
    assert of_model.total.item() == pytest.approx((dice + 0.3 * error + weight * adversarial).item(), rel=1e-9)
    expected = (-d[:labeled, 1].log().sum() - d[labeled:, 0].log().sum()) / (labeled + 2)
    assert of_critic.total.item() == pytest.approx(expected.item(), rel=1e-9)


def test_a_network_that_knows_the_distances_has_no_error_of_them():
    strategy = StrategyContract.make(SASSNet, {"critic_channels": 2})
    batch = make_batch(2, 2, targets=SASSNet.needs.targets)
    right = batch.labeled.targets[TARGET.name]

    class Perfect(nn.Module):
        sign = 1.0

        def forward(self, images):
            maps = torch.cat([right, torch.zeros_like(right)]).clamp(-0.999, 0.999)
            return Outputs(torch.zeros(4, 3, 8, 8, 8), heads={TARGET.name: self.sign * torch.atanh(maps)})

    strategy.networks["model"] = network = Perfect()
    of_model, _ = strategy.losses(batch, at(strategy, 99))
    assert of_model.parts["distance"].item() < 1e-5
    network.sign = -1.0  # inside is negative
    of_model, _ = strategy.losses(batch, at(strategy, 99))
    assert of_model.parts["distance"].item() == pytest.approx(4 * right.square().mean().item(), rel=1e-2)


def test_the_adversarial_gradient_reaches_the_head_of_distances_and_not_that_of_classes():
    strategy = StrategyContract.make(SASSNet, {"critic_channels": 2})
    batch = make_batch(2, 2, targets=SASSNet.needs.targets)
    of_model, _ = strategy.losses(batch, at(strategy, 99))
    parameters = dict(strategy.networks["model"].named_parameters())
    term = of_model.terms["adversarial"].mean()
    gradients = torch.autograd.grad(term, list(parameters.values()), allow_unused=True)
    without = {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None}
    assert without == {"network.head.weight", "network.head.bias"}
