from contextlib import suppress

import pytest
import torch
from torch import nn

from semiseg.strategy_parts.ema import teaching, update_teacher, warmed_decay


def network(value=0.0):
    net = nn.Sequential(nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2))
    with torch.no_grad():
        for tensor in [*net.parameters(), *net.buffers()]:
            tensor.fill_(value)
    return net.double().requires_grad_(False)


def taught(students, decay, buffers="copy"):
    """A teacher that starts as the first weights, after one update with each student."""
    teacher = network(7.0)
    for index, value in enumerate(students):
        update_teacher(teacher, network(value), warmed_decay(index, decay), buffers)
    return teacher


def test_the_first_update_makes_the_teacher_the_student():
    """Not zero, as in PyMIC, whose teacher became 0 at the first iteration and stayed so."""
    assert all(torch.equal(p, torch.full_like(p, 3.0)) for p in taught([3.0], 0.99).parameters())


@pytest.mark.parametrize("n", [1, 2, 5, 10, 30])
def test_the_teacher_is_the_closed_form(n):
    """The plain mean of the first students while 1 - 1/(t+1) <= decay, then their exponential average."""
    decay, students = 0.9, [1.0 + i**2 for i in range(n)]
    young = min(n, 10)  # 1 - 1/10 = 0.9: the tenth update is the last of the mean
    expected = decay ** (n - young) * sum(students[:young]) / young
    expected += sum((1 - decay) * decay ** (n - 1 - i) * students[i] for i in range(young, n))
    for parameter in taught(students, decay).parameters():
        assert torch.allclose(parameter, torch.full_like(parameter, expected), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("policy", "statistics", "batches"), [("copy", 4.0, 4), ("ema", 3.0, 4), ("own", 7.0, 7)])
def test_buffers_follow_the_policy(policy, statistics, batches):
    """After students of 2 and 4, of which the mean is 3."""
    norm = taught([2.0, 4.0], 0.99, policy)[1]
    assert norm.running_mean.tolist() == pytest.approx([statistics] * 2)
    assert norm.running_var.tolist() == pytest.approx([statistics] * 2)
    assert norm.num_batches_tracked.item() == batches
    assert norm.weight.tolist() == pytest.approx([3.0] * 2)


def test_the_student_is_left_alone_and_nothing_has_a_gradient():
    student, teacher = network(2.0).requires_grad_(True), network(1.0)
    update_teacher(teacher, student, 0.5)
    assert all((p == 2).all() for p in student.parameters())
    assert not any(p.requires_grad for p in teacher.parameters())


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(ValueError, match="Invalid decay value"):
        update_teacher(network(), network(), decay)


def test_other_architectures_are_refused():
    with pytest.raises(ValueError, match="different architectures"):
        update_teacher(network(), nn.Sequential(nn.Conv3d(1, 3, 1), nn.BatchNorm3d(3)), 0.9)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("before", [True, False])
def test_a_teacher_teaches_in_its_mode_and_is_left_as_it_was(mode, before):
    """In prediction (eval) it stays so whatever its mode in training is."""
    teacher = network().train(before)
    with teaching(teacher, mode):
        assert teacher.training == teacher[1].training == (before and mode == "train")
    assert teacher.training == teacher[1].training == before
    with suppress(KeyError), teaching(teacher, mode):
        raise KeyError
    assert teacher.training == before
