"""BCP: the teacher, and the two stages."""

import pytest
import torch
from helpers_copy_paste import double_batch, with_other_teacher

from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import TrainingSchedule
from semiseg.interfaces.batch import Step
from semiseg.testing.steps import run_steps
from semiseg.testing.strategy import make_batch
from semiseg_copy_paste.bcp import BidirectionalCopyPaste

PRETRAIN = Step(3, 100, 10, "pretrain", 3, 12, seed=2)
SELF_TRAIN = Step(40, 100, 10, "self_train", 28, 88, seed=2)


def made(**options):
    return with_other_teacher(BidirectionalCopyPaste, options)


def test_the_teacher_runs_without_gradient():
    strategy, enabled = made(), []
    strategy.networks["teacher"].register_forward_pre_hook(lambda *_: enabled.append(torch.is_grad_enabled()))
    list(strategy.losses(double_batch(), SELF_TRAIN))
    assert enabled == [False]


def test_the_teacher_starts_as_the_model_and_is_then_its_average():
    strategy = made(pretrain_share=0.4, decay=0.9)
    table = TrainingSchedule(strategy.stages(), 10, 1, 1, seed=1)
    assert [table.step(i).stage for i in (3, 4)] == ["pretrain", "self_train"]
    model, teacher = strategy.networks["model"], strategy.networks["teacher"]
    first = [p.detach().clone() for p in model.parameters()]
    average = None
    for index in range(7):
        run_steps(strategy, [(double_batch(labeled=2, unlabeled=2), table.step(index))], Runtime("cpu", "32"), lr=0.5)
        now = [p.detach().clone() for p in model.parameters()]
        average = now if index < 4 else [0.9 * a + 0.1 * p for a, p in zip(average, now, strict=True)]
        assert all(torch.allclose(p, a, atol=1e-14) for p, a in zip(teacher.parameters(), average, strict=True))
        if index == 3:
            assert all(torch.equal(p, q) for p, q in zip(teacher.parameters(), model.parameters(), strict=True))
    assert not torch.equal(now[0], first[0])
    assert not torch.equal(now[0], average[0])


class Normalized(torch.nn.Module):
    """A network with running statistics."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm3d(2)
        self.head = torch.nn.Conv3d(2, 3, 1)

    def forward(self, images):
        return self.head(self.norm(images))


def test_running_statistics_are_copied_with_the_first_weights_and_then_the_teachers_own():
    strategy = BidirectionalCopyPaste(BidirectionalCopyPaste.Options(), {r: Normalized() for r in ("model", "teacher")})
    batch = make_batch()
    run_steps(strategy, [(batch, PRETRAIN)], Runtime("cpu", "32"))
    model, teacher = (strategy.networks[role].norm for role in ("model", "teacher"))
    start = model.running_mean.clone()
    assert torch.equal(teacher.running_mean, start)
    run_steps(strategy, [(batch, SELF_TRAIN)], Runtime("cpu", "32"))
    own = 0.9 * start + 0.1 * batch.unlabeled.image.mean((0, 2, 3, 4))
    assert torch.allclose(teacher.running_mean, own, atol=1e-6)
    assert not torch.allclose(model.running_mean, own, atol=1e-6)


def test_stages_are_the_published_shares_and_the_second_has_a_new_optimizer():
    first, second = made().stages()
    assert first.share == pytest.approx(2000 / 17000)
    assert (first.reset, second.reset) == ("none", "optimizer")
    assert (first.unlabeled, second.unlabeled) == (False, True)
