"""MC-Net+ against its formula, the published sharpening, and the gradient through both sides."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from semiseg.losses.named import named_loss
from semiseg.plugin import CLASSES, IGNORE
from semiseg.registry import load
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg_multi_head.mc_net import MCNet


class TestMCNet(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return MCNet

    @pytest.fixture(params=[{}, {"decoders": 2, "stop_gradient": True, "loss": "dice_ce"}], ids=["plus", "two"])
    def options(self, request):
        return request.param


def test_it_is_found_by_its_name():
    assert load("strategy", "mc_net") is MCNet


def test_of_two_classes_sharpening_is_the_published_one():
    logits = torch.randn(2, 2, 3, 3, 3, dtype=torch.float64)
    p = logits.softmax(1)
    published = p**10 / (p**10 + (1 - p) ** 10)
    assert torch.allclose(CLASSES.sharpened(logits, 0.1), published, atol=1e-12)


def test_of_more_classes_it_is_the_powers_normalized():
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).reshape(1, 3, 1, 1, 1)
    powers = [0.5**10, 0.3**10, 0.2**10]
    assert CLASSES.sharpened(p.log(), 0.1).flatten().tolist() == pytest.approx([x / sum(powers) for x in powers])
    assert CLASSES.sharpened(p.log(), 1.0).flatten().tolist() == pytest.approx([0.5, 0.3, 0.2])


def test_sharpening_is_finite_where_powers_would_be_0_by_0():
    even = torch.zeros(1, 3, 1, 1, 1, requires_grad=True)  # (1/3)^100 is no float32
    found = CLASSES.sharpened(even, 0.01)
    (gradient,) = torch.autograd.grad(found[0, 0].sum(), even)
    assert found.flatten().tolist() == pytest.approx([1 / 3] * 3)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("decoders", [2, 3])
def test_the_loss_is_the_paper_s(decoders):
    strategy, batch = StrategyContract.make(MCNet, {"loss": "dice", "decoders": decoders}), make_batch()
    (losses,) = strategy.losses(batch, StrategyContract.at(strategy, 20))
    outputs = strategy.networks["model"](batch.images())
    logits = (outputs.logits, *outputs.decoders)
    assert len(logits) == decoders
    dice = sum(named_loss(one[:2], batch.labeled.label, "dice").mean() for one in logits)
    consistency = 0.0
    for i, j in itertools.product(range(decoders), repeat=2):
        if i != j:
            p, q = logits[i].softmax(1), logits[j].softmax(1) ** 10
            consistency += ((p - q / q.sum(1, keepdim=True)) ** 2).mean()
    weight = math.exp(-5 * (1 - 0.2 / 0.4) ** 2)
    assert losses.total.item() == pytest.approx((0.5 * dice + weight * consistency).item(), rel=1e-5)


def test_the_consistency_leaves_out_ignored_voxels():
    strategy, batch = StrategyContract.make(MCNet, {}), make_batch()
    label = batch.labeled.label.clone()
    label[:, :3] = IGNORE
    batch = replace(batch, labeled=replace(batch.labeled, label=label, has_ignored=True))
    logits = [torch.randn((4, 3, *label.shape[1:]), generator=torch.Generator().manual_seed(i)) for i in range(3)]
    expected = strategy._consistency(tuple(logits), batch)
    for one in logits:
        one[:2, :, :3] *= -1
    assert torch.equal(strategy._consistency(tuple(logits), batch), expected)
    logits[0][2:, :, :3] *= -1
    found = strategy._consistency(tuple(logits), batch)
    assert torch.equal(found[:2], expected[:2])
    assert (found[2:] != expected[2:]).all()


def test_the_weight_is_full_after_40_percent():
    strategy, batch = StrategyContract.make(MCNet, {}), make_batch()
    for index in (40, 99):
        (losses,) = strategy.losses(batch, StrategyContract.at(strategy, index))
        found = (losses.total - losses.parts["supervised"]) / losses.parts["consistency"]
        assert found.item() == pytest.approx(1, rel=1e-3)


def gradient_of(parameter, **options):
    strategy, batch = StrategyContract.make(MCNet, {"loss": "dice", "decoders": 2, **options}), make_batch()
    (losses,) = strategy.losses(batch, StrategyContract.at(strategy, 99))
    losses.total.backward()
    return strategy.networks["model"].get_parameter(parameter).grad, strategy, batch


def test_the_gradient_goes_through_the_sharpened_side_unless_it_is_stopped():
    """With it stopped, the first decoder's gradient is that of its own prediction against a constant."""
    through, _, _ = gradient_of("network.head.weight")
    stopped, strategy, batch = gradient_of("network.head.weight", stop_gradient=True)
    outputs = strategy.networks["model"](batch.images())
    own, other = outputs.logits, outputs.decoders[0]
    target = CLASSES.sharpened(other, 0.1).detach()
    dice = 0.5 * named_loss(own[:2], batch.labeled.label, "dice").mean()
    (expected,) = torch.autograd.grad(
        dice + ((own.softmax(1) - target) ** 2).mean(), strategy.networks["model"].network.head.weight
    )
    assert torch.allclose(stopped, expected, atol=1e-6)
    assert not torch.allclose(through, expected, atol=1e-4)


def test_the_first_decoder_predicts():
    strategy, batch = StrategyContract.make(MCNet, {}).eval(), make_batch()
    images = batch.images()
    with torch.no_grad():
        assert torch.equal(strategy.predict(images), strategy.networks["model"](images).logits.softmax(1))
