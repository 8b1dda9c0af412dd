"""The backbone interface: how a network is built, and what it offers beyond logits."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from semiseg.interfaces.component import Component
from semiseg.interfaces.split import Upsampling
from semiseg.types import Task


class Backbone(Component, ABC):
    """A recipe for networks.

    A network takes images (B, C, X, Y, Z) float and gives logits (B, K, X, Y, Z). Its parameters are drawn from
    torch's default generator, which is seeded for each role before ``build``.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset()
    """What the networks offer beyond logits; a strategy's ``requires`` is checked against it before training.

    "split": networks are ``SplitNetwork``; "scales": with a level that is coarser than the image; "upsampling": the
    backbone has an option of that name, see ``with_upsampling``.
    """
    unused_parameters: ClassVar[frozenset[str]] = frozenset()
    """Parts of the names of parameters that never get a gradient, as they are in some published networks."""

    @abstractmethod
    def build(self, task: Task) -> nn.Module:
        """A new network with freshly drawn parameters."""

    def with_upsampling(self, mode: Upsampling) -> "Backbone":
        """The same backbone whose decoders go from level to level in another way (capability "upsampling")."""
        return type(self)(self.options.model_copy(update={"upsampling": mode}))

    def patch_problems(self, task: Task) -> list[str]:
        """What is wrong with ``task.patch_size`` for these networks, in words; empty where nothing is."""
        return []
