"""The augmentation interface: one sample in, one sample of the patch size out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from semiseg.interfaces.component import Component
from semiseg.types import Shape

if TYPE_CHECKING:
    from torch import Tensor


class Augmentation(Component, ABC):
    """A random change of a training sample.

    Random numbers come from torch's default generator and nowhere else: the data path seeds it for every sample, so
    a sample depends on (seed, step, slot) alone, whatever the number of workers.
    """

    def source_size(self, patch_size: Shape) -> Shape:
        """How much to read around a patch of ``patch_size`` voxels, so that turning it brings in no border."""
        return patch_size

    @abstractmethod
    def __call__(self, image: Tensor, label: Tensor | None, patch_size: Shape) -> tuple[Tensor, Tensor | None]:
        """The changed sample, cut to the patch size; the inputs are not written to.

        Args:
            image: (C, X, Y, Z) float32, normalized, of ``source_size(patch_size)``; axes are R, A, S.
            label: (X, Y, Z) int64 class indices, or None for an unlabeled sample. The image's change and the draws
                must not depend on whether a label is there.
            patch_size: voxels along each axis of the result.

        Returns:
            The image (C, \\*patch_size) float32 and the label (\\*patch_size) int64, aligned, without new values.
        """
