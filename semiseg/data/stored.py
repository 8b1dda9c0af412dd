"""Cases as the store serves them: memory-mapped, and able to give no more than their role allows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.preparation import Preparation
from semiseg.errors import DataError
from semiseg.types import Shape


@dataclass(frozen=True, slots=True, eq=False)
class StoredImage:
    """A preprocessed image. It does not know whether there is a label.

    The file is opened for each reading: a thousand cases kept open are a thousand file descriptors.
    """

    case_id: str
    image_file: Path
    preparation: Preparation

    @property
    def shape(self) -> Shape:
        """Of the foreground box, in voxels along R, A, S."""
        return self.preparation.shape

    @property
    def channels(self) -> int:
        """Number of modalities."""
        return len(self.preparation.offset)

    def raw(self) -> NDArray[Any]:
        """The stored values (C, x, y, z), memory-mapped. Raises DataError where the file is gone or damaged."""
        return _open(self.image_file, self.case_id)

    def image(self) -> NDArray[np.float32]:
        """The normalized image (C, x, y, z)."""
        return self.preparation.normalize(self.raw())


@dataclass(frozen=True, slots=True, eq=False)
class StoredPseudo(StoredImage):
    """A preprocessed image with a prediction of it, class indices (x, y, z) uint8 in the image's box, in a file."""

    pseudo_file: Path

    def raw_pseudo(self) -> NDArray[np.uint8]:
        """The pseudo-label, memory-mapped. Raises DataError where the file is gone or damaged."""
        return _open(self.pseudo_file, self.case_id)


@dataclass(frozen=True, slots=True, eq=False)
class StoredLabeled(StoredImage):
    """A preprocessed image with its label.

    Of the label the file holds the part around its foreground, which is background beyond. ``n_foreground`` counts the
    label's voxels of any class but background, ``n_outside`` those of them that lie outside the image's foreground box
    and are not stored.
    """

    label_file: Path
    label_start: Shape
    n_foreground: int
    n_outside: int

    def raw_label(self) -> NDArray[np.uint8]:
        """Class indices of the part that begins at ``label_start`` in the image's box, memory-mapped.

        Raises DataError where the file is gone or damaged.
        """
        return _open(self.label_file, self.case_id)

    def label(self) -> NDArray[np.uint8]:
        """Class indices (x, y, z)."""
        part, label = self.raw_label(), np.zeros(self.shape, np.uint8)
        label[tuple(slice(s, s + n) for s, n in zip(self.label_start, part.shape, strict=True))] = part
        return label


def _open(path: Path, case_id: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # whatever the reader stumbles over in a header, the file is not the store's
        raise DataError(
            f"case {case_id} cannot be read from the case store: {error}", "Run again: the entry is then made anew."
        ) from error
    return array
