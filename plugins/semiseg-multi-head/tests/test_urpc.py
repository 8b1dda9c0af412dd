"""URPC against its formula: all scales supervised, and the direction of the divergence."""

import math

import pytest
import torch

from semiseg.losses.named import named_loss
from semiseg.registry import load
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg_multi_head.urpc import URPC, pyramid_consistency


class TestURPC(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return URPC

    @pytest.fixture(params=[{}, {"loss": "dice_ce", "dropout": 0.3, "ramp": "linear", "ramp_share": 0.5}])
    def options(self, request):
        return request.param


def voxel(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log().reshape(1, -1, 1, 1, 1)


def test_it_is_found_by_its_name():
    assert load("strategy", "urpc") is URPC


def test_two_scales_at_one_voxel_by_hand():
    """One voxel: the weight cancels, and what is left is the squared distance and KL(mean || scale)."""
    p, q = (0.9, 0.1), (0.3, 0.7)
    m = (0.6, 0.4)
    expected = 0.0
    for scale in (p, q):
        divergence = sum(a * math.log(a / b) for a, b in zip(m, scale, strict=True))  # not KL(scale || mean)
        distance = sum((a - b) ** 2 for a, b in zip(m, scale, strict=True)) / 2
        expected += (distance + divergence) / 2
    assert pyramid_consistency([voxel(*p), voxel(*q)]).item() == pytest.approx(expected, rel=1e-6)


def test_voxels_where_scales_differ_count_less():
    """Two voxels, by hand: the sure one has weight 1, the other exp(-KL), normalized by their mean."""
    sure, p, q = voxel(0.5, 0.5), voxel(0.9, 0.1), voxel(0.3, 0.7)
    scales = [torch.cat([sure, p], dim=2), torch.cat([sure, q], dim=2)]
    expected = 0.0
    for scale in ((0.9, 0.1), (0.3, 0.7)):
        divergence = 0.6 * math.log(0.6 / scale[0]) + 0.4 * math.log(0.4 / scale[1])
        distance = ((0.6 - scale[0]) ** 2 + (0.4 - scale[1]) ** 2) / 2
        weight = math.exp(-divergence)
        expected += ((distance * weight / 2) / ((1 + weight) / 2 + 1e-8) + divergence / 2) / 2
    assert pyramid_consistency(scales).item() == pytest.approx(expected, rel=1e-6)


def test_scales_that_agree_cost_nothing_and_no_samples_neither():
    logits = torch.randn(2, 3, 4, 4, 4)
    assert pyramid_consistency([logits, logits, logits]).item() == pytest.approx(0, abs=1e-6)
    assert pyramid_consistency([logits[:0], logits[:0]]).item() == 0


def test_all_scales_are_supervised_and_only_unlabeled_samples_are_consistent():
    strategy, batch = StrategyContract.make(URPC, {"loss": "dice", "ramp_share": 1.0}), make_batch()
    step = StrategyContract.at(strategy, 50)
    (losses,) = strategy.losses(batch, step)
    outputs = strategy.networks["model"](batch.images())
    scales = (outputs.logits, *outputs.scales)
    assert len(scales) == 2
    dice = [named_loss(logits[:2], batch.labeled.label, "dice").mean().item() for logits in scales]
    consistency = pyramid_consistency([logits[2:] for logits in scales])
    expected = sum(dice) / 2 + 0.2 * math.exp(-5 * 0.25) * consistency.item()
    assert losses.total.item() == pytest.approx(expected, rel=1e-5)


def test_what_makes_the_network_is_the_same_for_the_same_options():
    roles = [URPC.roles(URPC.Options(dropout=value))[0] for value in (0.1, 0.1, 0.2)]
    assert roles[0].network is roles[1].network
    assert roles[0].network is not roles[2].network
