"""The strategy interface: a method's networks, losses and state; not files, devices, precision or checkpoints."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.split import Outputs
from semiseg.types import Task


@dataclass(frozen=True, slots=True)
class StreamNeeds:
    """What a strategy needs of one stream: at least ``minimum`` samples, in groups of ``unit`` that stay together.

    ``uses=False`` says that the strategy takes none: where a recipe gives some, the whole batch is labeled instead.
    """

    minimum: int = 0
    unit: int = 1
    uses: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """Something that is made of the labels where samples are made, in worker processes: a distance map, for instance.

    ``make`` takes labels (b, X, Y, Z) int64, on any device, and the number of classes, and gives (b, C, X, Y, Z)
    float32 there; b may be 0. It is a function of a module, for it travels to other processes.
    """

    name: str
    make: Callable[[Tensor, int], Tensor]


@dataclass(frozen=True, slots=True)
class BatchNeeds:
    """What a strategy needs of a batch, per stream, and ``targets`` beside the labels."""

    labeled: StreamNeeds = StreamNeeds(minimum=1)
    unlabeled: StreamNeeds = StreamNeeds()
    targets: tuple[Target, ...] = ()


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
        network: makes the network from its backbone and the task, where it is not just ``backbone.build(task)``: one
            with further decoders or heads, for instance (``MoreDecoders``, ``MoreHeads``). A function that exists once.
    """

    name: str
    trained: bool = True
    predicts: bool = True
    initialized_like: str | None = None
    backbone: str | None = None
    network: Callable[[Backbone, Task], nn.Module] | None = None

    def build(self, backbone: Backbone, task: Task) -> nn.Module:
        """A new network for this role, with freshly drawn parameters."""
        return backbone.build(task) if self.network is None else self.network(backbone, task)


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of training.

    Attributes:
        name: in ``Step.stage`` and in the run folder.
        share: of the steps of the training.
        reset: what is made new where it begins: "optimizer" starts optimizers and schedules anew, "all" the networks
            too (drawn anew, from other seeds).
        pseudo_labels: before the reset, the strategy as it then is predicts the unlabeled cases; in this stage they
            are served with that prediction, ``batch.unlabeled.pseudo``. Not for the first stage.
        reliable: the share of the unlabeled cases that are labeled, and served, in this stage: those whose prediction
            changed least from the snapshots of the stage before to its end, by the mean IoU of all classes (ST++).
        snapshots: how many states of the strategy are kept on the way, at equal distances, for the next stage.
    """

    name: str = "train"
    share: float = 1.0
    reset: Literal["none", "optimizer", "all"] = "none"
    pseudo_labels: bool = False
    reliable: float = 1.0
    snapshots: int = 0


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
    ``after_step``. The parameters that are trained are those of the roles' networks. A network's part is run by
    ``self.run(role, images)``: precision and random state are the engine's. No ``with`` block spans a ``yield``.
    ``semiseg check`` makes it on torch's meta device, so ``__init__`` leaves nothing behind outside of the object.
    """

    Options: ClassVar[type[ComponentOptions]] = StrategyOptions
    needs: ClassVar[BatchNeeds] = BatchNeeds()
    requires: ClassVar[frozenset[str]] = frozenset()
    """Capabilities that every role's backbone must offer."""
    exact: ClassVar[frozenset[str]] = frozenset()
    """Step modes and "micro_batch", where they leave gradients unchanged; joint on the whole batch needs no mention.

    "micro_batch": ``losses`` may be called for parts of a step's batch, one after another, and their gradients add up:
    no loss steps at once (``step_now``), none couples samples. "alternating", "split": see ``CoTraining``.
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
        first, *others = self.predicting
        total = self.predict_alone(first, images)
        for name in others:
            total = total + self.predict_alone(name, images)
        return total / (1 + len(others))

    @classmethod
    def can_predict(cls, options: Any) -> bool:
        """Whether a role predicts, or ``predict`` is the strategy's own, which need not ask for one."""
        return cls.predict is not Strategy.predict or any(role.predicts for role in cls.roles(options))

    def predict_alone(self, role: str, images: Tensor) -> Tensor:
        """The class probabilities (B, K, X, Y, Z) float32 of one network by itself."""
        return self.probabilities(self.run(role, images))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Class probabilities (n, K, X, Y, Z) of logits. Classes exclude one another: their softmax."""
        return torch.softmax(logits, dim=1)

    def hard(self, logits: Tensor) -> Tensor:
        """The class of the highest probability at each voxel, (n, X, Y, Z) uint8, of logits (n, K, X, Y, Z)."""
        return torch.argmax(logits, dim=1).to(torch.uint8)

    @property
    def predicting(self) -> tuple[str, ...]:
        """The names of the roles that predict."""
        return tuple(role.name for role in self.roles(self.options) if role.predicts)

    def run(self, role: str, images: Tensor) -> Tensor:
        """The logits (B, K, X, Y, Z), float32 or more, of one network, in the engine's precision and random state."""
        return self.outputs(role, images).logits

    def outputs(self, role: str, images: Tensor) -> Outputs:
        """All that one network gives, float32 or more; logits alone for a network of one output."""
        with self._around(role):
            given = self.networks[role](images)
        if not isinstance(given, Outputs):
            return Outputs(_at_least_float32(given))
        return Outputs(
            _at_least_float32(given.logits),
            tuple(map(_at_least_float32, given.decoders)),
            tuple(map(_at_least_float32, given.scales)),
            {name: _at_least_float32(value) for name, value in given.heads.items()},
        )

    def attach(self, around: Callable[[str], AbstractContextManager[Any]]) -> None:
        """For the engine: the context that every ``run`` happens in."""
        self._around = around


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
