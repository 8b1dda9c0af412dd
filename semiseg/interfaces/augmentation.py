"""The augmentation interface: one sample in, one sample of the patch size out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from semiseg.interfaces.component import Component
from semiseg.types import Shape

if TYPE_CHECKING:
    from torch import Tensor


class Augmentation(Component, ABC):
    """A random transform of a training sample.

    Random numbers must come only from torch's default generator: the data path seeds it for every sample, so a sample
    depends only on (seed, step, slot), whatever the number of workers. Workers receive the augmentation by pickle: no
    attribute may be a lambda, an open file or a lock.
    """

    spatial_dims: ClassVar[frozenset[int]] = frozenset({2, 3})
    """Numbers of spatial axes of the images that can be augmented."""

    def source_size(self, patch_size: Shape) -> Shape:
        """Return the size to read around a patch of ``patch_size`` voxels so that rotating it introduces no border.

        Raises ComponentError for a patch that the augmentation cannot make; ``check`` reports it.
        """
        return patch_size

    def flipped_axes(self, spatial_dims: int) -> tuple[int, ...]:
        """Return the spatial axes that samples are flipped along, which prediction may mirror (``inference.mirror``).

        Axes are those of samples with this many spatial axes. The default, none, is also that of an augmentation that
        does not say.
        """
        return ()

    def geometric(self) -> Augmentation | None:
        """Return this augmentation without its changes of intensities, for weak views; None, as here, if it cannot.

        That reads the same ``source_size`` and, from the same seed, moves voxels as this one does.
        """
        return None

    @abstractmethod
    def __call__(self, image: Tensor, label: Tensor | None, patch_size: Shape) -> tuple[Tensor, Tensor | None]:
        """Return the augmented sample, cut to the patch size, without modifying the inputs.

        Args:
            image: (C, \\*spatial) float32, normalized, of ``source_size(patch_size)``; axes R, A, S, or the two of them
                in a slice's plane; any number of channels.
            label: (\\*spatial) int64 class indices, or None for an unlabeled sample. The image's transform and the
                random draws must not depend on whether there is a label.
            patch_size: voxels along each axis of the result.

        Returns:
            The image (C, \\*patch_size) float32 and the label (\\*patch_size) int64, aligned, without new label values.
        """


class BatchAugmentation(Augmentation):
    """An augmentation that draws parameters separately from applying them, so that a GPU can augment whole batches.

    ``__call__`` equals ``apply`` of one ``draw``, up to the numerical differences between devices.
    """

    @abstractmethod
    def draw(self, n_channels: int) -> Any:
        """Draw the parameters for one sample from torch's default generator, whether or not it has a label."""

    @abstractmethod
    def apply(
        self, images: Tensor, labels: Tensor | None, changes: Sequence[Any], patch_size: Shape
    ) -> tuple[Tensor, Tensor | None]:
        """Apply each sample's drawn parameters and cut to the patch size, without modifying the inputs.

        Args:
            images: (B, C, \\*spatial) float32 on any device, each of ``source_size(patch_size)``.
            labels: (B, \\*spatial) int64 class indices on the same device, or None.
            changes: one for each sample, from ``draw``.
            patch_size: voxels along each axis of the result.

        Returns:
            Images (B, C, \\*patch_size) float32 and labels (B, \\*patch_size) int64, on that device.
        """
