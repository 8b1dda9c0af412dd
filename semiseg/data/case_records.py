"""Cases as the store serves them: memory-mapped, and without anything that their role does not allow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.foreground import Planes
from semiseg.errors import DataError
from semiseg.preprocessing.preparation import Preparation
from semiseg.types import Shape


@dataclass(frozen=True, slots=True, eq=False)
class StoredImage:
    """A preprocessed image, without any reference to a label.

    The file is opened for each read: a thousand open cases would take a thousand file descriptors.
    """

    case_id: str
    image_file: Path
    preparation: Preparation

    @property
    def shape(self) -> Shape:
        """Shape of the foreground box, in voxels along R, A, S."""
        return self.preparation.shape

    @property
    def slice_axis(self) -> int:
        """The axis across which the image is sliced for networks of two dimensions."""
        return self.preparation.slice_axis

    @property
    def channels(self) -> int:
        """Number of modalities."""
        return len(self.preparation.offset)

    def raw(self) -> NDArray[Any]:
        """Return the stored values (C, x, y, z), memory-mapped. Raises DataError if the file is missing or damaged."""
        return _open(self.image_file, self.case_id)

    def image(self) -> NDArray[np.float32]:
        """Return the normalized image (C, x, y, z)."""
        return self.preparation.normalize(self.raw())


@dataclass(frozen=True, slots=True, eq=False)
class StoredPseudo(StoredImage):
    """A preprocessed image with a prediction of it in a file, class indices (x, y, z) uint8 in the image's box.

    ``planes`` are the prediction's, or None. ``has_ignored``: the prediction may contain IGNORED.
    """

    pseudo_file: Path
    planes: Planes | None = None
    has_ignored: bool = False

    def raw_pseudo(self) -> NDArray[np.uint8]:
        """Return the pseudo-label, memory-mapped. Raises DataError if the file is missing or damaged."""
        return _open(self.pseudo_file, self.case_id)


@dataclass(frozen=True, slots=True, eq=False)
class StoredLabeled(StoredImage):
    """A preprocessed image with its label.

    The file holds only the part of the label around its foreground and its IGNORED voxels; the rest is background.
    ``n_foreground`` counts the stored foreground voxels, ``n_outside`` those outside the image's foreground box, which
    are not stored, and ``n_known`` the voxels in the box that are not ignored; None if the dataset ignores none.
    ``planes`` are those of the file; None unless the store was asked for them.
    """

    label_file: Path
    label_start: Shape
    n_foreground: int
    n_outside: int
    n_known: int | None = None
    planes: Planes | None = None

    def raw_label(self) -> NDArray[np.uint8]:
        """Return class indices or IGNORED of the part that begins at ``label_start`` in the image's box, memory-mapped.

        Raises DataError if the file is missing or damaged.
        """
        return _open(self.label_file, self.case_id)

    def label(self) -> NDArray[np.uint8]:
        """Return class indices or IGNORED (x, y, z)."""
        part, label = self.raw_label(), np.zeros(self.shape, np.uint8)
        label[tuple(slice(s, s + n) for s, n in zip(self.label_start, part.shape, strict=True))] = part
        return label


def _open(path: Path, case_id: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # whatever the reader fails on, the file is not a valid entry
        raise DataError(
            f"case {case_id} cannot be read from the case store: {error}",
            "Run the same command again to rebuild the entry.",
        ) from error
    return array
