"""No augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semiseg.interfaces.augmentation import Augmentation
from semiseg.types import Shape

if TYPE_CHECKING:
    from torch import Tensor


class NoAugmentation(Augmentation):
    """Samples unchanged."""

    def geometric(self) -> NoAugmentation:
        """Return itself."""
        return self

    def __call__(self, image: Tensor, label: Tensor | None, patch_size: Shape) -> tuple[Tensor, Tensor | None]:
        """Return the sample itself, which was read at the patch size."""
        return image, label
