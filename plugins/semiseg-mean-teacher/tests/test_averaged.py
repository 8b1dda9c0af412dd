"""The teacher's running statistics, for each method: its own, or the student's."""

import pytest
import torch
from torch import nn

from semiseg.engine.runtime import Runtime
from semiseg.testing.steps import run_steps
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg.testing.tiny import TinyBackbone
from semiseg_mean_teacher.ict import ICT
from semiseg_mean_teacher.mean_teacher import MeanTeacher
from semiseg_mean_teacher.ua_mt import UAMT


class NormalizedBackbone(TinyBackbone):
    """The tiny network after a batch normalization."""

    def build(self, task):
        return nn.Sequential(nn.BatchNorm3d(task.in_channels), super().build(task))


class Normalized(StrategyContract):
    @staticmethod
    def backbone():
        return NormalizedBackbone()


def trained(method, options, labeled, unlabeled, steps=60):
    """A strategy trained on labeled images about 300 and unlabeled ones about 100; its two normalizations."""
    strategy = Normalized.make(method, options)
    batch = make_batch(labeled, unlabeled)
    batch.labeled.image.add_(300)
    batch.unlabeled.image.add_(100)
    run_steps(strategy, [(batch, Normalized.at(strategy, index)) for index in range(steps)], Runtime("cpu", "32"))
    return (strategy.networks[name][0] for name in ("student", "teacher"))


@pytest.mark.parametrize("method", [MeanTeacher, UAMT, ICT])
def test_a_teacher_has_statistics_where_nothing_is_unlabeled(method):
    """It predicts with them, though it has nothing to teach."""
    student, teacher = trained(method, {}, 4, 0)
    assert torch.allclose(teacher.running_mean, student.running_mean)
    assert teacher.running_mean.min() > 290


@pytest.mark.parametrize("method", [MeanTeacher, UAMT, ICT])
def test_its_own_statistics_are_of_the_unlabeled_samples_alone(method):
    _, teacher = trained(method, {}, 2, 2)
    assert 90 < teacher.running_mean.min() <= teacher.running_mean.max() < 110


@pytest.mark.parametrize("method", [MeanTeacher, UAMT, ICT])
def test_a_part_of_a_step_without_unlabeled_samples_leaves_its_statistics_alone(method):
    strategy, part = Normalized.make(method, {}).train(), make_batch().part(slice(0, 2), slice(0, 0))
    list(strategy.losses(part, Normalized.at(strategy, 1)))
    assert strategy.networks["student"][0].num_batches_tracked == 1
    assert strategy.networks["teacher"][0].num_batches_tracked == 0


@pytest.mark.parametrize("sizes", [(4, 0), (2, 2)])
def test_copied_statistics_are_the_student_s(sizes):
    student, teacher = trained(MeanTeacher, {"buffers": "copy"}, *sizes, steps=3)
    assert torch.equal(teacher.running_mean, student.running_mean)
    assert student.running_mean.min() > 10
