"""A teacher as the exponential moving average of a student."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

BufferPolicy = Literal["copy", "ema", "own"]
TeacherMode = Literal["train", "eval"]


def warmed_decay(updates: int, decay: float) -> float:
    """The decay after so many earlier updates: min(1 - 1 / (updates + 1), decay).

    Tarvainen and Valpola 2017 (arXiv:1703.01780) in their public code: while the average is young it is the plain mean
    of all students so far. At the first update (``updates`` 0) the decay is 0, and the teacher becomes the student.
    """
    return min(1 - 1 / (updates + 1), decay)


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, decay: float, buffers: BufferPolicy = "copy") -> None:
    """Move a teacher's weights toward a student's: teacher = decay * teacher + (1 - decay) * student, in place.

    Call it in ``after_step``, with ``warmed_decay(step.index, decay)``: then it happens once a step, after the
    optimizer, and survives a restart without a counter of its own.

    Args:
        teacher: a network of the student's architecture.
        student: is not changed.
        decay: in [0, 1]; 0 copies the student.
        buffers: what becomes of running statistics. ``copy``: the student's. ``ema``: averaged like weights
            (UniMatch V2), but for integers such as counts of batches, which are copied. ``own``: left alone, for a
            teacher that runs in training mode and gathers its own (UA-MT, SSL4MIS).

    Raises:
        ValueError: for a decay outside [0, 1], or networks of different architectures.
    """
    average = get_ema_multi_avg_fn(decay)
    ours, theirs = _weights(teacher, buffers), _weights(student, buffers)
    if [(k, t.shape) for k, t in ours.items()] != [(k, t.shape) for k, t in theirs.items()]:
        raise ValueError("teacher and student are of different architectures")
    if ours:
        average(list(ours.values()), list(theirs.values()), None)
    if buffers != "own":
        for own, other in zip(teacher.buffers(), student.buffers(), strict=True):
            if buffers == "copy" or not own.is_floating_point():
                own.copy_(other)


def has_statistics(network: nn.Module) -> bool:
    """Whether a network has running statistics, which have to be gathered or copied."""
    return any(True for _ in network.buffers())


@contextmanager
def teaching(teacher: nn.Module, mode: TeacherMode) -> Iterator[None]:
    """A block in which a teacher is in a mode; afterwards it is in the one that it was in.

    ``train``: as the engine puts all networks for a step, with dropout and statistics of the batch. ``eval``: as it
    predicts; its running statistics have then to come from the student (``update_teacher``, copy or ema).
    """
    before = teacher.training
    teacher.train(before and mode == "train")
    try:
        yield
    finally:
        teacher.train(before)


def _weights(network: nn.Module, buffers: BufferPolicy) -> dict[str, torch.Tensor]:
    """What is averaged."""
    weights: dict[str, torch.Tensor] = dict(network.named_parameters())
    if buffers == "ema":
        weights |= {name: buffer for name, buffer in network.named_buffers() if buffer.is_floating_point()}
    return weights
