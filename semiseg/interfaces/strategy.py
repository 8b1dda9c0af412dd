"""The strategy interface: a method's networks, losses and state, without files, devices, precision or checkpoints."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, ForwardRef, Generic, Literal, get_args, get_origin

import torch
from torch import Tensor, nn
from typing_extensions import TypeVar

from semiseg.codings.classes import CLASSES
from semiseg.codings.coding import Coding
from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.losses import Losses
from semiseg.interfaces.roles import Role
from semiseg.interfaces.split import Outputs


@dataclass(frozen=True, slots=True)
class StreamNeeds:
    """A strategy's requirements for one stream: at least ``minimum`` samples, in groups of ``unit`` that stay together.

    ``uses=False`` means that the strategy never uses the stream, and none of it is drawn. The needs of a stream hold in
    the steps that use it (``Strategy.uses_unlabeled``).
    """

    minimum: int = 0
    unit: int = 1
    uses: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """A target computed from the labels when samples are made, in worker processes: a distance map, for example.

    ``make`` takes labels (b, \\*spatial) int64, on any device, and the number of classes, and returns
    (b, C, \\*spatial) float32 on that device; b may be 0. Labels may contain IGNORE if the strategy supports it
    (``supports_ignored``). It must be a module-level function, since it is sent to other processes.
    """

    name: str
    make: Callable[[Tensor, int], Tensor]


@dataclass(frozen=True, slots=True)
class BatchNeeds:
    """A strategy's requirements for a batch, per stream, and ``targets`` in addition to the labels.

    ``external_pseudo``: unlabeled samples come with the label maps of another model (``dataset.pseudo_labels``), as
    ``batch.unlabeled.pseudo``, in every stage that has none of its own (``Stage.pseudo_labels``). They may contain
    IGNORE (``batch.unlabeled.has_ignored``), whatever ``supports_ignored`` says of labels.
    """

    labeled: StreamNeeds = StreamNeeds(minimum=1)
    unlabeled: StreamNeeds = StreamNeeds()
    targets: tuple[Target, ...] = ()
    external_pseudo: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of training.

    Attributes:
        name: its name in ``Step.stage`` and in the run folder.
        share: fraction of the training's steps.
        reset: what is reset at its beginning: "optimizer" resets optimizers and schedules, "all" also the networks
            (drawn from other seeds).
        pseudo_labels: before the reset, the current strategy predicts the unlabeled cases; in this stage they are
            served with that prediction, ``batch.unlabeled.pseudo``. Not allowed for the first stage.
        reliable: the fraction of the unlabeled cases that are pseudo-labeled and served in this stage: those whose
            prediction changed least from the previous stage's snapshots to its end, by the mean IoU of all classes
            (ST++).
        snapshots: number of intermediate states of the strategy to keep, at equal distances, for the next stage.
        unlabeled: whether its steps use unlabeled samples, apart from a wait (``Strategy.uses_unlabeled``).
    """

    name: str = "train"
    share: float = 1.0
    reset: Literal["none", "optimizer", "all"] = "none"
    pseudo_labels: bool = False
    reliable: float = 1.0
    snapshots: int = 0
    unlabeled: bool = True


class StrategyOptions(ComponentOptions):
    """Base of a strategy's options."""


OptionsT = TypeVar("OptionsT", bound=ComponentOptions, default=Any)


class Strategy(nn.Module, ABC, Generic[OptionsT]):
    """A method of training on labeled and unlabeled samples; ``class MyMethod(Strategy[MyOptions])``.

    Everything that must survive a restart is a parameter, a buffer or a submodule; state changes happen in
    ``after_step``. The trained parameters are those of the roles' networks. Run a network with ``self.run(role,
    images)``: the engine controls precision and random state. A ``with`` block must not span a ``yield``. ``semiseg
    check`` creates the strategy on torch's meta device, so ``__init__`` must have no side effects outside the object.
    """

    Options: ClassVar[type[ComponentOptions]] = StrategyOptions
    """The class of ``options``: that in ``Strategy[...]``, unless the class body sets it."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Sets of options by name, for ``strategy.preset`` in a recipe: "paper" for the published values, "short" for
    trainings of a thousand steps or two. Options that the recipe sets itself go before; "auto" is the defaults."""
    needs: ClassVar[BatchNeeds] = BatchNeeds()
    """What the batches of a step must have, with default options; see ``batch_needs``."""
    requires: ClassVar[frozenset[str]] = frozenset()
    """Capabilities that every role's backbone must offer."""
    spatial_dims: ClassVar[frozenset[int]] = frozenset({2, 3})
    """Numbers of spatial axes of the images that the strategy supports."""
    no_regions: ClassVar[str] = "its losses are written for classes that exclude each other"
    """Why networks cannot have overlapping regions as outputs (``training.outputs``); empty if they can.

    Such a strategy takes everything that depends on the meaning of logits from ``coding``."""
    supports_ignored: ClassVar[bool] = True
    """Whether labels may contain IGNORE: these voxels then count in no loss of the labeled samples."""
    whole_batch: ClassVar[bool] = False
    """Whether a loss is more than a mean over samples: ``losses`` then always gets a step's whole batch, and the step
    cannot be divided into micro-batches or among processes."""
    exact: ClassVar[frozenset[str]] = frozenset()
    """Step modes besides joint that leave gradients unchanged: "alternating", "split"; see ``CoTraining``."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Set ``Options`` to the class in ``Strategy[...]``."""
        super().__init_subclass__(**arguments)
        if "Options" in cls.__dict__:
            return
        for base in cls.__dict__.get("__orig_bases__", ()):
            origin = get_origin(base)
            if not (isinstance(origin, type) and issubclass(origin, Strategy)):
                continue
            for argument in get_args(base):
                if isinstance(argument, ForwardRef):
                    raise TypeError(
                        f"{cls.__name__}: {origin.__name__}[...] takes the class of its options, not its name"
                    )
                if isinstance(argument, type) and issubclass(argument, ComponentOptions):
                    cls.Options = argument
                    return

    def __init__(self, options: OptionsT, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.options: OptionsT = options
        self.networks = nn.ModuleDict(networks)
        self.coding: Coding = CLASSES
        """What logits mean: classes, or the regions of the task; set when the engine builds the strategy."""
        self._around: Callable[[str], AbstractContextManager[Any]] = lambda role: nullcontext()

    @classmethod
    @abstractmethod
    def roles(cls, options: OptionsT) -> tuple[Role, ...]:
        """Return the networks that these options require. The engine builds them and passes them to ``__init__``."""

    @classmethod
    def batch_needs(cls, options: OptionsT) -> BatchNeeds:
        """Return what the batches of a step must have with these options; by default ``needs``."""
        return cls.needs

    def stages(self) -> tuple[Stage, ...]:
        """Return the parts of training, in order; their shares sum to 1."""
        return (Stage(),)

    def uses_unlabeled(self, step: Step) -> bool:
        """Return whether a step uses unlabeled samples: by default as its stage says, ``Stage.unlabeled``.

        A step that does not draws labeled ones in their place (``training.batch_size.fill``). Override it for a wait
        within a stage: from a step of the stage on, it is true. It depends on the options and the step alone.
        """
        used = self.batch_needs(self.options).unlabeled.uses
        return used and all(stage.unlabeled for stage in self.stages() if stage.name == step.stage)

    @classmethod
    def weak_unlabeled(cls, options: OptionsT) -> bool:
        """Return whether unlabeled samples come in a weak view: with the augmentation's geometry alone.

        Its changes of intensities are left out (``Augmentation.geometric``), so that a network labels images as they
        are, and a strong view (``strong_view``) adds its own. By default, an option ``weak_view: geometry`` decides.
        """
        return getattr(options, "weak_view", "recipe") == "geometry"

    @abstractmethod
    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the losses of one (micro-)batch. The engine runs backward on each before requesting the next."""

    def after_step(self, step: Step) -> None:
        """Update the state after the optimizers' step: moving averages, class statistics, memory banks."""

    def predict(self, images: Tensor) -> Tensor:
        """Return class probabilities (B, K, \\*spatial) float32 of images (B, C, \\*spatial).

        They are the mean over the predicting roles.
        """
        first, *others = self.predicting
        total = self.predict_alone(first, images)
        for name in others:
            total = total + self.predict_alone(name, images)
        return total / (1 + len(others))

    @classmethod
    def can_predict(cls, options: OptionsT) -> bool:
        """Return whether a role predicts or the strategy overrides ``predict``, which then needs no predicting role."""
        return cls.predict is not Strategy.predict or any(role.predicts for role in cls.roles(options))

    def predict_alone(self, role: str, images: Tensor) -> Tensor:
        """Return the class probabilities (B, K, \\*spatial) float32 of a single network."""
        return self.probabilities(self.run(role, images))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities (n, K, \\*spatial) of logits, in the task's coding: softmax for classes."""
        return self.coding.probabilities(logits)

    def hard(self, logits: Tensor) -> Tensor:
        """Return the pseudo-label of logits (n, K, \\*spatial), (n, \\*spatial) uint8: the most probable class."""
        return self.coding.hard(logits)

    @property
    def predicting(self) -> tuple[str, ...]:
        """The names of the roles that predict."""
        return tuple(role.name for role in self.roles(self.options) if role.predicts)

    def run(self, role: str, *inputs: Tensor) -> Tensor:
        """Return one network's output, at least float32, in the engine's precision and random state.

        For images (B, C, \\*spatial), that are logits (B, K, \\*spatial); a role may have other inputs and outputs.
        """
        return self.outputs(role, *inputs).logits

    def outputs(self, role: str, *inputs: Tensor) -> Outputs:
        """Return all outputs of one network, at least float32; only logits for a network with one output."""
        if role not in self.networks:
            raise ValueError(f"{type(self).__name__} has no role {role!r}; its roles are {', '.join(self.networks)}")
        with self._around(role):
            given = self.networks[role](*inputs)
        if not isinstance(given, Outputs):
            return Outputs(_at_least_float32(given))
        return Outputs(
            _at_least_float32(given.logits),
            tuple(map(_at_least_float32, given.decoders)),
            tuple(map(_at_least_float32, given.scales)),
            {name: _at_least_float32(value) for name, value in given.heads.items()},
        )

    def attach(self, around: Callable[[str], AbstractContextManager[Any]]) -> None:
        """Set the context in which every ``run`` is executed (for the engine)."""
        self._around = around


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
