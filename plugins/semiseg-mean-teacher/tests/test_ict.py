"""ICT: mixes of pairs, by hand."""

import math

import pytest
import torch

from semiseg.losses.named import named_loss
from semiseg.registry import load
from semiseg.strategy_parts.mixing import mixup_weights
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg_mean_teacher import ict
from semiseg_mean_teacher.ict import ICT, mix


class TestICT(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return ICT

    @pytest.fixture(params=[{}, {"alpha": 1.0, "weight": 1.0, "loss": "dice_ce", "predicts": "student"}])
    def options(self, request):
        return request.param


def made(**options):
    return StrategyContract.make(ICT, {"loss": "dice", "ramp_share": 1.0, **options})


def at(strategy, index):
    return StrategyContract.at(strategy, index)


def test_it_is_found_by_its_name():
    assert load("strategy", "ict") is ICT


def test_neighbors_are_mixed_with_the_weight_of_the_first():
    values = torch.tensor([1.0, 3.0, 10.0, 20.0]).reshape(4, 1, 1, 1, 1)
    assert mix(values, torch.tensor([0.25, 1.0])).flatten().tolist() == pytest.approx([2.5, 10.0])
    assert mix(values[:0], torch.empty(0)).shape == (0, 1, 1, 1, 1)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_at_the_ends_it_is_one_sample_s_consistency(weight, monkeypatch):
    monkeypatch.setattr(ict, "mixup_weights", lambda slots, *_: torch.full((len(slots),), weight))
    strategy, batch = made(), make_batch(2, 4)
    for p in strategy.networks["teacher"].parameters():
        p.data.mul_(1.5)
    (losses,) = strategy.losses(batch, at(strategy, 99))
    chosen = batch.unlabeled.image[0 if weight == 1 else 1 :: 2]
    student, teacher = (strategy.networks[name](chosen).softmax(1) for name in ("student", "teacher"))
    assert losses.parts["consistency"].item() == pytest.approx(((student - teacher) ** 2).mean().item(), rel=1e-4)
    assert losses.parts["consistency"].item() > 1e-6


def test_the_loss_is_the_paper_s():
    """Weights such that a ramp left out, or a teacher that is shown the mix, would be seen."""
    strategy, batch = made(alpha=20.0, weight=10.0), make_batch(2, 4)
    for p in strategy.networks["teacher"].parameters():
        p.data.mul_(3)
    step = at(strategy, 60)
    (losses,) = strategy.losses(batch, step)
    u = batch.unlabeled
    m = mixup_weights(u.slots[::2], step, "ict", 20.0).reshape(2, 1, 1, 1, 1)
    teacher = strategy.networks["teacher"](u.image).softmax(1)
    student = strategy.networks["student"](m * u.image[::2] + (1 - m) * u.image[1::2]).softmax(1)
    consistency = ((student - (m * teacher[::2] + (1 - m) * teacher[1::2])) ** 2).mean()
    labeled = strategy.networks["student"](batch.labeled.image)
    dice = named_loss(labeled, batch.labeled.label, "dice").mean()
    on_the_mix = strategy.networks["teacher"](m * u.image[::2] + (1 - m) * u.image[1::2]).softmax(1)
    assert not torch.allclose(on_the_mix, m * teacher[::2] + (1 - m) * teacher[1::2], atol=1e-2)
    assert losses.parts["consistency"].item() == pytest.approx(consistency.item(), rel=1e-5)
    expected = dice + 10 * math.exp(-5 * 0.4**2) * consistency
    assert losses.total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_unlabeled_samples_come_in_pairs():
    assert ICT.needs.unlabeled.unit == 2
