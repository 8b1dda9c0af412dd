"""UA-MT: where the teacher is sure, by hand, and the published normalization."""

import math

import pytest
import torch
from torch import nn

from semiseg.losses.named import named_loss
from semiseg.registry import load
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg_mean_teacher.ua_mt import UAMT, entropy, masked_difference


class TestUAMT(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return UAMT

    @pytest.fixture(params=[{}, {"passes": 2, "threshold": 0.9, "loss": "dice_ce", "ramp": "constant"}])
    def options(self, request):
        return request.param


def made(**options):
    return StrategyContract.make(UAMT, {"loss": "dice", "ramp_share": 1.0, **options})


def at(strategy, index):
    return StrategyContract.at(strategy, index)


def test_it_is_found_by_its_name():
    assert load("strategy", "ua_mt") is UAMT


def test_of_two_classes_it_is_the_published_formula():
    student, teacher = (torch.rand(2, 2, 3, 3, 3, dtype=torch.float64).softmax(1) for _ in range(2))
    mask = torch.rand(2, 3, 3, 3) < 0.4
    m = mask[:, None].double()
    published = (m * (student - teacher) ** 2).sum() / (2 * m.sum() + 1e-16)
    assert masked_difference(student, teacher, mask).item() == pytest.approx(published.item(), rel=1e-12)


def test_the_mean_is_over_the_sure_voxels_and_their_classes():
    student = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.3, -0.3]]).reshape(1, 3, 2, 1, 1)
    teacher = torch.zeros(1, 3, 2, 1, 1)
    one = torch.tensor([True, False]).reshape(1, 2, 1, 1)
    assert masked_difference(student, teacher, one).item() == pytest.approx((0.04 + 0.25 + 0.09) / 3)
    assert masked_difference(student, teacher, ~one & one).item() == 0


def test_entropy_by_hand():
    probabilities = torch.tensor([[0.5, 1.0], [0.5, 0.0]]).reshape(1, 2, 2, 1, 1)
    assert entropy(probabilities).flatten().tolist() == pytest.approx([math.log(2), 0.0], abs=1e-5)


@pytest.mark.parametrize(("index", "share"), [(0, 0.75 + 0.25 * math.exp(-5)), (50, 0.75 + 0.25 * math.exp(-1.25))])
def test_the_threshold_rises_from_three_quarters_of_the_largest_entropy(index, share):
    strategy = made()
    assert strategy._limit(at(strategy, index), 3) == pytest.approx(share * math.log(3))
    assert strategy._limit(at(strategy, index), 2) == pytest.approx(share * math.log(2))


class Scripted(nn.Module):
    """A teacher that gives the next of its answers, and notes what it was shown."""

    def __init__(self, answers):
        super().__init__()
        self.answers, self.shown = list(answers), []

    def forward(self, images):
        self.shown.append(images)
        return self.answers[len(self.shown) - 1].expand(len(images), -1, 8, 8, 8)


def logits(*probabilities):
    return torch.tensor(probabilities).log().reshape(1, -1, 1, 1, 1)


def test_passes_that_contradict_one_another_are_not_listened_to():
    """Each pass is sure, the mean of them is not: the entropy is that of the mean, not the mean of entropies."""
    sure, other, third = logits(0.98, 0.01, 0.01), logits(0.01, 0.98, 0.01), logits(0.01, 0.01, 0.98)
    strategy = made(passes=3)
    strategy.networks["teacher"] = Scripted([sure, sure, other, third])
    (losses,) = strategy.losses(make_batch(), at(strategy, 50))
    assert losses.parts["sure"].item() == 0
    assert losses.parts["consistency"].item() == 0
    strategy.networks["teacher"] = Scripted([sure, sure, sure, sure])
    (losses,) = strategy.losses(make_batch(), at(strategy, 50))
    assert losses.parts["sure"].item() == 1
    batch = make_batch()
    student = strategy.networks["student"](batch.unlabeled.image).softmax(1)
    target = torch.tensor([0.98, 0.01, 0.01]).reshape(1, 3, 1, 1, 1)
    assert losses.parts["consistency"].item() == pytest.approx(((student - target) ** 2).mean().item(), rel=1e-4)


def test_every_pass_has_noise_of_its_own_on_the_unlabeled_samples_alone():
    strategy, batch = made(), make_batch()
    strategy.networks["teacher"] = teacher = Scripted([logits(0.8, 0.1, 0.1)] * 9)
    list(strategy.losses(batch, at(strategy, 0)))
    assert len(teacher.shown) == 9
    noises = [images - batch.unlabeled.image for images in teacher.shown]
    assert all(0 < noise.abs().max() <= 0.2 + 1e-5 for noise in noises)
    assert all(not torch.allclose(a, b) for i, a in enumerate(noises) for b in noises[:i])


@pytest.mark.parametrize("index", [0, 60])
def test_the_loss_is_the_paper_s_where_half_of_the_voxels_are_sure(index):
    strategy, batch = made(weight=50.0), make_batch()
    answer = torch.zeros(1, 3, 8, 8, 8)  # alike for all classes: of the largest entropy
    answer[:, 1, :4] = 5
    strategy.networks["teacher"] = Scripted([answer] * 9)
    (losses,) = strategy.losses(batch, at(strategy, index))
    on_labeled, on_unlabeled = strategy.networks["student"](batch.images()).split(2)
    squared = (on_unlabeled.softmax(1) - answer.softmax(1)) ** 2
    weight = 50 * math.exp(-5 * (1 - index / 100) ** 2)
    dice = named_loss(on_labeled, batch.labeled.label, "dice").mean()
    assert losses.parts["sure"].item() == 0.5
    assert losses.total.item() == pytest.approx((dice + weight * squared[:, :, :4].mean()).item(), rel=1e-5)
