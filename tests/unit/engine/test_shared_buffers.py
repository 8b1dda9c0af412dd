"""Buffers of two real processes that share a batch: running statistics are averaged, all else is rank 0's."""

import pytest
import torch
from torch import nn

from semiseg.interfaces.batch import Step
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import Strategy, StrategyOptions
from semiseg.testing.batches import in_double
from semiseg.testing.steps import in_two_processes
from semiseg.testing.strategy import make_batch

STEP = Step(0, 1, 1, seed=1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.head = nn.BatchNorm3d(2), nn.Conv3d(2, 3, 1)

    def forward(self, images):
        return self.head(self.norm(images))


class Averaged(Strategy):
    """A student on all samples, a teacher on unlabeled ones alone, and a buffer that is no statistic."""

    def __init__(self, options, networks):
        super().__init__(options, networks)
        self.register_buffer("kept", torch.zeros(2))
        self.seen = []

    @classmethod
    def roles(cls, options):
        return Role("student"), Role("teacher", trained=False)

    def losses(self, batch, step):
        if len(batch.unlabeled):
            with torch.no_grad():
                self.run("teacher", batch.unlabeled.image)
        self.seen = [float(len(batch.labeled)), float(len(batch.unlabeled))]
        values = self.run("student", batch.images()).square().flatten(1).mean(1)
        yield Losses(Term(values, batch.labeled, batch.unlabeled), "student")

    def after_step(self, step):
        self.kept.copy_(torch.tensor(self.seen))


def make():
    return Averaged(StrategyOptions(), {"student": Net(), "teacher": Net()})


def double(batch):
    return in_double(batch)


@pytest.fixture(scope="module")
def shared():
    """The batch of a step, and the state of both processes after it: one had what is labeled, the other the rest."""
    batch = double(make_batch(1, 1))
    return batch, in_two_processes(make, [(batch, STEP)])


def mean(image):
    return image.mean(dim=(0, 2, 3, 4))


def variance(image):
    return image.var(dim=(0, 2, 3, 4))


@pytest.mark.slow
def test_running_statistics_are_the_mean_over_processes(shared):
    batch, (state, _) = shared
    labeled, unlabeled = batch.labeled.image, batch.unlabeled.image
    momentum = 0.1  # torch's default; statistics begin as 0 and 1
    of_student = momentum * (mean(labeled) + mean(unlabeled)) / 2
    torch.testing.assert_close(state["networks.student.norm.running_mean"], of_student)
    spread = (1 - momentum) + momentum * (variance(labeled) + variance(unlabeled)) / 2
    torch.testing.assert_close(state["networks.student.norm.running_var"], spread)


def test_a_teacher_that_the_main_process_did_not_run_gathers_statistics(shared):
    batch, (state, _) = shared
    expected = 0.1 * mean(batch.unlabeled.image) / 2  # the main process had still 0
    torch.testing.assert_close(state["networks.teacher.norm.running_mean"], expected)


def test_all_else_is_the_main_process_s_and_all_is_alike(shared):
    _, (one, two) = shared
    assert one["kept"].tolist() == [1, 0]
    assert one["networks.student.norm.num_batches_tracked"] == 1
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[key]) for key, value in one.items())
