"""A strategy's networks, as roles: how each is built, trained and initialized."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from semiseg.interfaces.backbone import Backbone
from semiseg.types import Shape, Task


@dataclass(frozen=True, slots=True)
class RoleOptimizer:
    """A role's differences from the recipe's ``training.optimizer``; None means the recipe's value.

    The learning-rate schedule is the recipe's for all roles, from each role's own ``lr``.
    """

    name: str | None = None
    lr: float | None = None
    weight_decay: float | None = None
    momentum: float | None = None


@dataclass(frozen=True, slots=True)
class Role:
    """One of a strategy's networks.

    Attributes:
        name: its name in recipes and checkpoints (student_a, teacher, critic).
        trained: whether an optimizer updates it.
        predicts: whether its probabilities contribute to the prediction.
        initialized_like: another role whose initial weights it copies (a teacher's student).
        backbone: name of its backbone, with default options, unless ``strategy.networks`` in the recipe overrides it;
            None means the recipe's ``backbone``.
        network: builds the network from its backbone and the task, if it is not simply ``backbone.build(task)``: one
            with additional decoders or heads, for example (``MoreDecoders``, ``MoreHeads``). It must be a single
            function object.
        standalone: builds a network from the task alone, without a backbone: a critic, for example. It must be a
            single function object.
        input_shapes: returns the shapes of one sample's inputs, channels first and without the batch axis, if they are
            not one image (C, \\*spatial). Such a role cannot predict.
        optimizer: differences from the recipe's optimizer.
        initial_weights: returns the weights that the network starts from, by name as in its state dict, instead of
            those drawn; names that are missing stay as drawn (a pretrained encoder). Called whenever training starts
            the network anew, so it must return the same weights every time. Not called if the recipe names others in
            ``training.initial_weights``.
        requires: capabilities that its backbone must offer besides the strategy's ``requires``.
    """

    name: str
    trained: bool = True
    predicts: bool = True
    initialized_like: str | None = None
    backbone: str | None = None
    network: Callable[[Backbone, Task], nn.Module] | None = None
    standalone: Callable[[Task], nn.Module] | None = None
    input_shapes: Callable[[Task], tuple[Shape, ...]] | None = None
    optimizer: RoleOptimizer = RoleOptimizer()
    initial_weights: Callable[[], Mapping[str, Tensor]] | None = None
    requires: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Raise ValueError for attributes that contradict each other."""
        if self.standalone is not None and (self.backbone is not None or self.network is not None):
            raise ValueError(f"role {self.name} has a standalone network, so it takes neither backbone nor network")
        if self.input_shapes is not None and self.predicts:
            raise ValueError(f"role {self.name} has inputs other than an image, so it cannot predict: predicts=False")
        if self.initial_weights is not None and self.initialized_like is not None:
            raise ValueError(f"role {self.name} takes either initial_weights or those of {self.initialized_like}")

    def build(self, backbone: Backbone | None, task: Task) -> nn.Module:
        """Return a new network for this role, with freshly drawn parameters; a standalone one needs no backbone."""
        if self.standalone is not None:
            return self.standalone(task)
        if backbone is None:
            raise ValueError(f"role {self.name} needs a backbone")
        return backbone.build(task) if self.network is None else self.network(backbone, task)

    def meta_inputs(self, task: Task) -> tuple[Tensor, ...]:
        """Return the network's inputs for one sample, without memory (on the meta device)."""
        image = (task.in_channels, *task.patch_size)
        shapes = (image,) if self.input_shapes is None else self.input_shapes(task)
        return tuple(torch.empty((1, *shape), device="meta") for shape in shapes)
