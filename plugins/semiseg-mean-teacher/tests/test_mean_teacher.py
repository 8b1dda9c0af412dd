"""Mean teacher: the average in closed form, the noise, the loss, and when its weight is full."""

import copy
import math

import pytest
import torch
from pydantic import ValidationError

from semiseg.engine.runtime import Runtime
from semiseg.losses.named import named_loss
from semiseg.plugin import weight_at
from semiseg.registry import load
from semiseg.testing.steps import run_steps
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg_mean_teacher.averaged import with_noise
from semiseg_mean_teacher.mean_teacher import MeanTeacher

TORCHSEMISEG = {
    "consistency_on": "labeled_and_unlabeled",
    "weight": 100,
    "ramp": "constant",
    "noise": 0.0,
    "predicts": "student",
}


class TestMeanTeacher(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return MeanTeacher

    @pytest.fixture(
        params=[
            {},
            TORCHSEMISEG,
            {"teacher_mode": "eval", "buffers": "ema", "ramp": "linear", "ramp_share": 0.5, "loss": "dice_ce"},
        ],
        ids=["ssl4mis", "torchsemiseg", "eval"],
    )
    def options(self, request):
        return request.param


def made(**options):
    return StrategyContract.make(MeanTeacher, {"loss": "dice", "ramp_share": 1.0, **options})


def at(strategy, index):
    return StrategyContract.at(strategy, index)


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_it_is_found_by_its_name():
    assert load("strategy", "mean_teacher") is MeanTeacher


def test_the_teacher_is_the_average_in_closed_form_the_first_step_included():
    """After the first step it is the student; then the plain mean of all students, until 1 / (t + 1) is below 0.3."""
    strategy, students = made(decay=0.7), []
    for index in range(6):
        step = at(strategy, index)
        run_steps(strategy, [(make_batch(seed=index), step)], Runtime("cpu", "32"), lr=0.5)
        students.append(weights(strategy.networks["student"]).double())
        decays = [min(1 - 1 / (t + 1), 0.7) for t in range(index + 1)]
        shares = [(1 - decays[t]) * math.prod(decays[t + 1 :]) for t in range(index + 1)]
        assert sum(shares) == pytest.approx(1)
        expected = sum(share * student for share, student in zip(shares, students, strict=True))
        assert torch.allclose(weights(strategy.networks["teacher"]).double(), expected, atol=1e-6)
    assert not torch.allclose(students[0], students[-1], atol=1e-3)


def test_after_the_first_step_the_teacher_is_the_student_and_not_zero():
    strategy = made()
    run_steps(strategy, [(make_batch(), at(strategy, 0))], Runtime("cpu", "32"))
    assert torch.equal(weights(strategy.networks["teacher"]), weights(strategy.networks["student"]))
    assert weights(strategy.networks["teacher"]).abs().sum() > 1


@pytest.mark.parametrize("on", ["unlabeled", "labeled_and_unlabeled"])
def test_the_loss_is_the_paper_s(on):
    strategy, batch = made(noise=0.0, consistency_on=on), make_batch()
    for p in strategy.networks["teacher"].parameters():
        p.data.mul_(1.5)
    (losses,) = strategy.losses(batch, at(strategy, 70))
    logits = strategy.networks["student"](batch.images())
    squared = (logits.softmax(1) - strategy.networks["teacher"](batch.images()).softmax(1)) ** 2
    consistency = (squared if on == "labeled_and_unlabeled" else squared[2:]).mean()
    dice = named_loss(logits[:2], batch.labeled.label, "dice").mean()
    weight = 2 * math.exp(-5 * (1 - 0.7) ** 2)
    assert losses.parts["consistency"].item() > 1e-6
    assert losses.total.item() == pytest.approx((dice + weight * consistency).item(), rel=1e-5)


def test_the_weight_is_full_at_the_end_alone():
    strategy = made(weight=2.0)
    assert weight_at(strategy.options, at(strategy, 0)) == pytest.approx(2 * math.exp(-5))
    assert weight_at(strategy.options, at(strategy, 99)) == pytest.approx(2 * math.exp(-5 * 0.01**2))
    early = made(weight=2.0, ramp_share=0.4)
    assert weight_at(early.options, at(early, 40)) == 2


def test_the_loss_of_torchsemiseg_has_its_full_weight_at_once():
    strategy, batch = made(**TORCHSEMISEG), make_batch(1, 3)
    for p in strategy.networks["teacher"].parameters():
        p.data.mul_(1.5)
    (losses,) = strategy.losses(batch, at(strategy, 0))
    logits = strategy.networks["student"](batch.images())
    consistency = ((logits.softmax(1) - strategy.networks["teacher"](batch.images()).softmax(1)) ** 2).mean()
    dice = named_loss(logits[:1], batch.labeled.label, "dice").mean()
    assert losses.total.item() == pytest.approx((dice + 100 * consistency).item(), rel=1e-5)
    assert consistency.item() > 1e-6


def test_noise_is_cut_off_and_of_its_slot_alone():
    images, step = torch.zeros(3, 2, 8, 8, 8), at(made(), 5)
    noisy = with_noise(images, (4, 5, 6), step, "x", 0.1, 0.15)
    assert noisy.abs().max().item() == pytest.approx(0.15)
    assert 0.08 < noisy.std() < 0.1
    assert torch.equal(noisy[1:2], with_noise(images[:1], (5,), step, "x", 0.1, 0.15))
    assert not torch.equal(noisy[0], noisy[1])
    assert not torch.equal(noisy, with_noise(images, (4, 5, 6), step, "y", 0.1, 0.15))
    assert with_noise(images, (4, 5, 6), step, "x", 0.0, 0.15) is images


class Watched(torch.nn.Module):
    """Notes in which mode it is called, and with what."""

    def __init__(self, network):
        super().__init__()
        self.network, self.seen, self.shown = network, [], []

    def forward(self, images):
        self.seen.append(self.training)
        self.shown.append(images)
        return self.network(images)


def test_the_teacher_alone_sees_noise():
    strategy, batch, step = made(noise=0.3, noise_limit=0.4), make_batch(), at(made(), 5)
    for name in ("student", "teacher"):
        strategy.networks[name] = Watched(strategy.networks[name])
    list(strategy.losses(batch, step))
    unlabeled = batch.unlabeled
    (student,), (teacher,) = (strategy.networks[name].shown for name in ("student", "teacher"))
    assert torch.equal(student, batch.images())
    assert torch.equal(teacher, with_noise(unlabeled.image, unlabeled.slots, step, "mean_teacher", 0.3, 0.4))
    assert (teacher - unlabeled.image).abs().max().item() == pytest.approx(0.4, rel=1e-4)


@pytest.mark.parametrize(("mode", "buffers"), [("train", "own"), ("eval", "copy")])
def test_the_teacher_s_mode_is_as_asked_and_is_left_as_it_was(mode, buffers):
    strategy = made(teacher_mode=mode, buffers=buffers)
    strategy.networks["teacher"] = teacher = Watched(strategy.networks["teacher"])
    strategy.train()
    list(strategy.losses(make_batch(), at(strategy, 1)))
    assert teacher.seen == [mode == "train"]
    assert teacher.training
    assert teacher.network.training


def test_a_teacher_in_eval_mode_cannot_have_statistics_of_its_own():
    with pytest.raises(ValidationError, match="set buffers to copy or ema"):
        MeanTeacher.Options(teacher_mode="eval")


@pytest.mark.parametrize("who", ["teacher", "student"])
def test_the_network_that_is_asked_for_predicts(who):
    strategy = made(predicts=who).eval()
    for p in strategy.networks["teacher"].parameters():
        p.data.mul_(1.5)
    images = make_batch().images()
    with torch.no_grad():
        assert torch.equal(strategy.predict(images), strategy.networks[who](images).softmax(1))


def test_no_gradient_reaches_the_teacher():
    strategy = made()
    before = copy.deepcopy(strategy.networks["teacher"].state_dict())
    strategy.requires_grad_()
    (losses,) = strategy.losses(make_batch(), at(strategy, 99))
    losses.total.backward()
    assert all(p.grad is None for p in strategy.networks["teacher"].parameters())
    assert all(torch.equal(v, before[k]) for k, v in strategy.networks["teacher"].state_dict().items())
