"""The strategy interface: a method's networks, losses and state; not files, devices, precision or checkpoints."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.component import ComponentOptions


@dataclass(frozen=True, slots=True)
class StreamNeeds:
    """What a strategy needs of one stream: at least ``minimum`` samples, in groups of ``unit`` that stay together.

    ``uses=False`` says that the strategy takes none: where a recipe gives some, the whole batch is labeled instead.
    """

    minimum: int = 0
    unit: int = 1
    uses: bool = True


@dataclass(frozen=True, slots=True)
class BatchNeeds:
    """What a strategy needs of a batch, per stream."""

    labeled: StreamNeeds = StreamNeeds(minimum=1)
    unlabeled: StreamNeeds = StreamNeeds()


@dataclass(frozen=True, slots=True)
class Role:
    """One of a strategy's networks.

    Attributes:
        name: its name in recipes and checkpoints (student_a, teacher, critic).
        trained: whether an optimizer updates it.
        predicts: whether its probabilities go into the prediction.
        initialized_like: another role whose first weights it copies (a teacher's student).
        backbone: name of the backbone that it has unless ``strategy.networks`` of a recipe says otherwise, with that
            backbone's default options; None is the recipe's ``backbone``.
    """

    name: str
    trained: bool = True
    predicts: bool = True
    initialized_like: str | None = None
    backbone: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of training: its share of the steps, and what is reset where it begins.

    "optimizer" starts optimizers and schedules anew, "all" the networks too (drawn anew, from other seeds).
    """

    name: str = "train"
    share: float = 1.0
    reset: Literal["none", "optimizer", "all"] = "none"


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """One loss for the engine to run backward on.

    Attributes:
        total: scalar; a sum over samples divided by the stream's ``count``.
        updates: roles whose parameters get gradients from it; None means every trained role.
        parts: named scalars to report; they are summed over a step and carry no gradient.
        step_now: step the optimizers of ``updates`` before the strategy goes on.
    """

    total: Tensor
    updates: frozenset[str] | None = None
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    step_now: bool = False


class StrategyOptions(ComponentOptions):
    """Base of a strategy's options."""


class Strategy(nn.Module, ABC):
    """A way to train on labeled and unlabeled samples.

    Everything that must survive a restart is a parameter, a buffer or a submodule; changes of state happen in
    ``after_step``. A network's part is run by ``self.run(role, images)``: precision and random state are the
    engine's. No ``with`` block spans a ``yield``.
    """

    Options: ClassVar[type[ComponentOptions]] = StrategyOptions
    needs: ClassVar[BatchNeeds] = BatchNeeds()
    requires: ClassVar[frozenset[str]] = frozenset()
    """Capabilities that every role's backbone must offer."""
    exact: ClassVar[frozenset[str]] = frozenset()
    """Step modes and "micro_batch", where they leave gradients unchanged; joint on the whole batch needs no mention.

    "micro_batch": ``losses`` may be called for parts of a step's batch, one after another, and their gradients add up:
    no loss steps at once (``step_now``), none couples samples. "alternating", "split": see ``Mutual``.
    """

    def __init__(self, options: Any, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.options: Any = options
        self.networks = nn.ModuleDict(networks)
        self._around: Callable[[str], AbstractContextManager[Any]] = lambda role: nullcontext()

    @classmethod
    @abstractmethod
    def roles(cls, options: Any) -> tuple[Role, ...]:
        """The networks that these options ask for. The engine builds one for each and gives them to ``__init__``."""

    def stages(self) -> tuple[Stage, ...]:
        """The parts of training, in order; their shares add up to 1."""
        return (Stage(),)

    @abstractmethod
    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """The losses of one (micro-)batch. The engine runs backward on each before it asks for the next."""

    def after_step(self, step: Step) -> None:
        """Changes of state after the optimizers' step: moving averages, class statistics, memory banks."""

    def predict(self, images: Tensor) -> Tensor:
        """Class probabilities (B, K, X, Y, Z) float32 of images (B, C, X, Y, Z): the predicting roles' mean."""
        names = [role.name for role in self.roles(self.options) if role.predicts]
        total = torch.softmax(self.run(names[0], images), dim=1)
        for name in names[1:]:
            total = total + torch.softmax(self.run(name, images), dim=1)
        return total / len(names)

    def run(self, role: str, images: Tensor) -> Tensor:
        """The logits (B, K, X, Y, Z), float32 or more, of one network, in the engine's precision and random state."""
        with self._around(role):
            logits: Tensor = self.networks[role](images)
        return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits

    def attach(self, around: Callable[[str], AbstractContextManager[Any]]) -> None:
        """For the engine: the context that every ``run`` happens in."""
        self._around = around
