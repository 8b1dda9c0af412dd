"""The backbone interface: how a network is built, and what it offers beyond logits."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from semiseg.interfaces.component import Component
from semiseg.types import Task


class Backbone(Component, ABC):
    """A recipe for networks.

    A network takes images (B, C, X, Y, Z) float and gives logits (B, K, X, Y, Z). Its parameters are drawn from
    torch's default generator, which is seeded for each role before ``build``.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset()
    """What the networks offer beyond logits; a strategy's ``requires`` is checked against it before training."""
    unused_parameters: ClassVar[frozenset[str]] = frozenset()
    """Parts of the names of parameters that never get a gradient, as they are in some published networks."""

    @abstractmethod
    def build(self, task: Task) -> nn.Module:
        """A new network with freshly drawn parameters."""

    def patch_problems(self, task: Task) -> list[str]:
        """What is wrong with ``task.patch_size`` for these networks, in words; empty where nothing is."""
        return []
