"""Ramp-ups of an unsupervised loss's weight, as a function of the completed fraction of training."""

import math
from typing import Annotated, Literal, Protocol

from pydantic import Field

from semiseg.interfaces.batch import Step
from semiseg.strategy_parts.durations import ramp_share

RampName = Literal["constant", "linear", "sigmoid", "step"]
RampShare = Annotated[float, Field(ge=0, le=1)] | Literal["auto"]
"""The length of a ramp-up in a strategy's options; auto: by the number of steps (``durations.ramp_share``)."""


def ramp(name: RampName, done: float, share: float, start: float = 0.0) -> float:
    """Return the factor of a weight, in [0, 1]: 0 before ``start``, 1 from ``start + share`` on.

    With t the completed fraction of the ramp: ``sigmoid`` is exp(-5 (1 - t)^2) (Laine and Aila 2017, arXiv:1610.02242,
    section 2.2), so it starts at 0.0067; ``linear`` is t; ``step`` is 0 until t is 1; ``constant`` is 1 at once. Public
    code counts iterations and often updates only once in 150 of them (SSL4MIS); this function changes at every step.

    Args:
        name: one of RampName.
        done: fraction of training before this step: ``step.index / step.total``, or ``step.progress`` of a stage.
        share: length of the ramp, as a fraction of training; 0 for no ramp.
        start: fraction of training before the ramp begins.

    Raises:
        ValueError: for an unknown name.
    """
    if done < start:
        return 0.0
    t = min((done - start) / share, 1.0) if share > 0 else 1.0
    match name:
        case "constant":
            return 1.0
        case "linear":
            return t
        case "sigmoid":
            return math.exp(-5 * (1 - t) ** 2)
        case "step":
            return float(t >= 1)
    raise ValueError(f"there is no ramp {name!r}: choose constant, linear, sigmoid or step")


class RampedWeight(Protocol):
    """Options with a weight that rises: ``weight``, ``ramp`` and ``ramp_share``."""

    @property
    def weight(self) -> float:
        """The weight after the ramp-up."""

    @property
    def ramp(self) -> RampName:
        """The shape of the ramp-up."""

    @property
    def ramp_share(self) -> RampShare:
        """The length of the ramp-up, as a fraction of training."""


def weight_at(options: RampedWeight, step: Step, start: float = 0.0) -> float:
    """Return the weight of the options at a step; ``start``: fraction of training before the ramp begins."""
    return options.weight * ramp(options.ramp, step.index / step.total, _share(options, step), start)


def has_begun(options: RampedWeight, step: Step, start: float = 0.0) -> bool:
    """Return whether a step is after the wait that ``weight_at`` has: ``start``, and with ``step`` also the ramp.

    A linear ramp has begun at its first step, although its weight is still 0 there.
    """
    shape: RampName = "step" if options.ramp == "step" else "constant"
    return ramp(shape, step.index / step.total, _share(options, step), start) > 0


def _share(options: RampedWeight, step: Step) -> float:
    return ramp_share(step.total) if options.ramp_share == "auto" else options.ramp_share
