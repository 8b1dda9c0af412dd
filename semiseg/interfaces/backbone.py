"""The backbone interface: how a network is built, and its capabilities beyond logits."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from semiseg.interfaces.component import Component
from semiseg.interfaces.split import Upsampling
from semiseg.types import Task


class Backbone(Component, ABC):
    """A factory of networks.

    A network maps images (B, C, \\*spatial) float to logits (B, K, \\*spatial), with ``task.spatial_dims`` spatial
    axes. Its parameters are drawn from torch's default generator, which is seeded for each role before ``build``.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset()
    """Capabilities of the networks beyond logits, checked against a strategy's ``requires`` before training.

    "split": networks are ``SplitNetwork``; "scales": at least one level is coarser than the image; "upsampling": the
    backbone has an option of that name, see ``with_upsampling``.
    """
    unused_parameters: ClassVar[frozenset[str]] = frozenset()
    """Substrings of the names of parameters that never receive a gradient, as in some published networks."""

    spatial_dims: ClassVar[frozenset[int]] = frozenset({2, 3})
    """Numbers of spatial axes for which networks can be built (``task.spatial_dims``)."""

    @abstractmethod
    def build(self, task: Task) -> nn.Module:
        """Return a new network with freshly drawn parameters."""

    def with_upsampling(self, mode: Upsampling) -> "Backbone":
        """Return the same backbone with another upsampling in its decoders (capability "upsampling")."""
        return type(self)(self.options.model_copy(update={"upsampling": mode}))

    def patch_problems(self, task: Task) -> list[str]:
        """Return the reasons why ``task.patch_size`` does not suit these networks; empty if it does."""
        return []

    def planned(self, task: Task) -> str:
        """Return what is planned from the task's patch and voxel size, in words; empty if the options set all."""
        return ""
