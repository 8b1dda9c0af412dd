"""The augmentation interface: one sample in, one sample of the patch size out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from semiseg.interfaces.component import Component
from semiseg.types import Shape

if TYPE_CHECKING:
    from torch import Tensor


class Augmentation(Component, ABC):
    """A random change of a training sample.

    Random numbers come from torch's default generator and nowhere else: the data path seeds it for every sample, so
    a sample depends on (seed, step, slot) alone, whatever the number of workers. It travels to them by pickle: no
    attribute may be a lambda, an open file or a lock.
    """

    def source_size(self, patch_size: Shape) -> Shape:
        """How much to read around a patch of ``patch_size`` voxels, so that turning it brings in no border."""
        return patch_size

    @abstractmethod
    def __call__(self, image: Tensor, label: Tensor | None, patch_size: Shape) -> tuple[Tensor, Tensor | None]:
        """The changed sample, cut to the patch size; the inputs are not written to.

        Args:
            image: (C, X, Y, Z) float32, normalized, of ``source_size(patch_size)``; axes are R, A, S, and there may be
                any number of channels.
            label: (X, Y, Z) int64 class indices, or None for an unlabeled sample. The image's change and the draws
                must not depend on whether a label is there.
            patch_size: voxels along each axis of the result.

        Returns:
            The image (C, \\*patch_size) float32 and the label (\\*patch_size) int64, aligned, without new values.
        """


class BatchAugmentation(Augmentation):
    """An augmentation whose draws are apart from their application: a GPU can then change whole batches.

    ``__call__`` is ``apply`` of one ``draw``, within the tolerance of another device's arithmetic.
    """

    @abstractmethod
    def draw(self, n_channels: int) -> Any:
        """What is to be done to one sample, from torch's default generator, whether it has a label or not."""

    @abstractmethod
    def apply(
        self, images: Tensor, labels: Tensor | None, changes: Sequence[Any], patch_size: Shape
    ) -> tuple[Tensor, Tensor | None]:
        """Samples changed, each as it was drawn, and cut to the patch size; the inputs are not written to.

        Args:
            images: (B, C, X, Y, Z) float32 on any device, each of ``source_size(patch_size)``.
            labels: (B, X, Y, Z) int64 class indices on the same device, or None.
            changes: one for each sample, from ``draw``.
            patch_size: voxels along each axis of the result.

        Returns:
            Images (B, C, \\*patch_size) float32 and labels (B, \\*patch_size) int64, on that device.
        """
