"""A teacher as the exponential moving average of a student."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from semiseg.interfaces.batch import Step
from semiseg.strategy_parts.durations import teacher_decay

Decay = Annotated[float, Field(ge=0, le=1)] | Literal["auto"]
"""The decay of a teacher in a strategy's options; auto: by the number of steps (``teacher_decay``)."""
BufferPolicy = Literal["copy", "ema", "own"]
TeacherMode = Literal["train", "eval"]


def warmed_decay(updates: int, decay: float) -> float:
    """Return the decay after ``updates`` earlier updates: min(1 - 1 / (updates + 1), decay).

    Tarvainen and Valpola 2017 (arXiv:1703.01780) in their public code: early on, the average is the plain mean of all
    students so far. At the first update (``updates`` 0) the decay is 0, and the teacher becomes the student.
    """
    return min(1 - 1 / (updates + 1), decay)


def decay_at(step: Step, decay: Decay) -> float:
    """Return the warmed-up decay of a step; see ``Decay``."""
    return warmed_decay(step.index, settled_decay(step, decay))


def settled_decay(step: Step, decay: Decay) -> float:
    """Return the decay without a warm-up; see ``Decay``."""
    return teacher_decay(step.total) if decay == "auto" else decay


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, decay: float, buffers: BufferPolicy = "copy") -> None:
    """Move a teacher's weights toward a student's: teacher = decay * teacher + (1 - decay) * student, in place.

    Call it in ``after_step`` with ``decay_at(step, decay)``: then it runs once per step, after the optimizer,
    and survives a restart without a separate counter.

    Args:
        teacher: a network of the student's architecture.
        student: is not modified.
        decay: in [0, 1]; 0 copies the student.
        buffers: treatment of running statistics. ``copy``: copied from the student. ``ema``: averaged like weights
            (UniMatch V2), except that integers such as batch counts are copied. ``own``: unchanged, for a teacher that
            runs in training mode and collects its own (UA-MT, SSL4MIS).

    Raises:
        ValueError: for a decay outside [0, 1], or networks of different architectures.
    """
    average = get_ema_multi_avg_fn(decay)
    ours, theirs = _weights(teacher, buffers), _weights(student, buffers)
    if [(k, t.shape) for k, t in ours.items()] != [(k, t.shape) for k, t in theirs.items()]:
        raise ValueError("teacher and student have different architectures")
    if ours:
        average(list(ours.values()), list(theirs.values()), None)
    if buffers != "own":
        for own, other in zip(teacher.buffers(), student.buffers(), strict=True):
            if buffers == "copy" or not own.is_floating_point():
                own.copy_(other)


def has_statistics(network: nn.Module) -> bool:
    """Return whether a network has running statistics, which must be collected or copied."""
    return any(True for _ in network.buffers())


def statistics_problem(mode: TeacherMode, buffers: BufferPolicy) -> str:
    """Return why a teacher in this mode cannot have these running statistics; empty if it can."""
    if mode == "eval" and buffers == "own":
        return "a teacher in eval mode does not collect its own statistics: set buffers to copy or ema"
    return ""


@contextmanager
def teaching(teacher: nn.Module, mode: TeacherMode) -> Iterator[None]:
    """Put a teacher in a mode within the block, and restore its previous mode afterwards.

    ``train``: as all networks during a step, with dropout and batch statistics. ``eval``: as in prediction; the running
    statistics must then come from the student (``update_teacher``, copy or ema).
    """
    before = teacher.training
    teacher.train(before and mode == "train")
    try:
        yield
    finally:
        teacher.train(before)


def _weights(network: nn.Module, buffers: BufferPolicy) -> dict[str, torch.Tensor]:
    """Return the tensors to average."""
    weights: dict[str, torch.Tensor] = dict(network.named_parameters())
    if buffers == "ema":
        weights |= {name: buffer for name, buffer in network.named_buffers() if buffer.is_floating_point()}
    return weights
