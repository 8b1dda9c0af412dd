"""Optimizers by name, and the learning rate as a pure function of the step, with no state to restore."""

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from semiseg.engine.schedule import TrainingSchedule
from semiseg.interfaces.roles import Role
from semiseg.recipe import schema


def make_optimizer(options: schema.Optimizer, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Create the recipe's optimizer for one role's parameters."""
    trained = [p for p in parameters if p.requires_grad]
    if options.name == "sgd":
        decay, nesterov = options.weight_decay, options.nesterov
        return torch.optim.SGD(trained, options.lr, options.momentum, weight_decay=decay, nesterov=nesterov)
    cls = torch.optim.Adam if options.name == "adam" else torch.optim.AdamW
    fused = bool(trained) and all(p.is_cuda for p in trained)
    return cls(trained, lr=options.lr, weight_decay=options.weight_decay, fused=fused)


def options_of(role: Role, options: schema.Optimizer) -> schema.Optimizer:
    """Return the recipe's options with the role's differences, and without Nesterov if these exclude it.

    Raises pydantic's ValidationError if one is invalid.
    """
    own: dict[str, Any] = {key: value for key, value in asdict(role.optimizer).items() if value is not None}
    if own.get("name", "sgd") != "sgd" or own.get("momentum") == 0:
        own["nesterov"] = False
    return schema.Optimizer.model_validate({**options.model_dump(), **own}) if own else options


def make_optimizers(options: schema.Optimizer, networks: nn.ModuleDict, roles: Iterable[Role]) -> dict[str, Optimizer]:
    """Create the optimizer of each of these roles: the recipe's, with the role's differences."""
    return {role.name: make_optimizer(options_of(role, options), networks[role.name].parameters()) for role in roles}


def rate_at(options: schema.Schedule, base: float, timetable: TrainingSchedule, index: int) -> float:
    """Return the rate of a step of a training, in the schedule that it belongs to."""
    return learning_rate(options, base, *timetable.span(index).in_schedule(index), timetable.epoch_length)


def learning_rate(options: schema.Schedule, base: float, step: int, total: int, epoch_length: int) -> float:
    """Return the rate of step ``step`` (from 0) of ``total``: cosine (Loshchilov and Hutter 2017, no restart) or poly.

    Both decay to 0. ``epoch_length``: steps of an epoch, for a rate that changes with epochs.
    """
    done = (step - step % epoch_length if options.per == "epoch" else step) / total
    if options.name == "cosine":
        return base * 0.5 * (1 + math.cos(math.pi * done))
    if options.name == "poly":
        return float(base * (1 - done) ** options.power)
    return base
