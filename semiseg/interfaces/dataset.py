"""The dataset interface: listing cases and reading one; everything else is shared."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from semiseg.interfaces.component import Component
from semiseg.types import Case, DatasetInfo, Geometry, Volume


class Dataset(Component, ABC):
    """A collection of scans, some with labels.

    ``cases()`` reads only names; voxels are read one case at a time and from several threads at once, so reading must
    not modify the object.
    """

    version: ClassVar[int] = 1
    """Increase this if the same files are read differently for a reason that semiseg cannot detect, such as a table
    in your package.

    Changes in the code of the class's package and in the modules of its bases are detected, as are changes in the
    options and in files that options name by a ``Path``.
    """

    @abstractmethod
    def info(self) -> DatasetInfo:
        """Return modalities, classes and label values."""

    @abstractmethod
    def cases(self) -> Sequence[Case]:
        """Return all cases in a fixed order, from file names only.

        Raises DataError with every problem (folder missing or empty, modality missing, unknown file name).
        """

    def notes(self) -> Sequence[str]:
        """Return remarks for the user before training that are not errors, such as excluded images.

        Each is a sentence without its period. Like ``cases()``, which is always called first, it reads only names.
        """
        return ()

    def folds(self) -> tuple[tuple[str, ...], ...] | None:
        """Return the folds that come with the data, as ids of the validation cases of each; None if there are none.

        Each labeled case for training is in exactly one. Like ``cases()``, it reads only names and lists. Raises
        DataError for a damaged list, or folds that cannot be used.
        """
        return None

    @abstractmethod
    def new_cases(self, paths: Sequence[Path]) -> Sequence[Case]:
        """Return cases to predict, without labels: one folder, or the image files of one case in modality order.

        Raises DataError if the number of modalities is wrong, or their order according to the file names, and
        SomeCasesError, with the other cases, if that concerns some cases of a folder: the others are predicted.
        Problems inside a file are reported by ``read_geometry`` and ``read_image`` and do not affect other cases.
        """

    @abstractmethod
    def read_image(self, case: Case) -> Volume:
        """Return the image (C, X, Y, Z) in its stored numeric type, channels in the order of ``info().modalities``.

        Raises DataError for a damaged file, non-finite voxels, or modalities on different grids.
        """

    @abstractmethod
    def read_label(self, case: Case) -> Volume:
        """Return the label (X, Y, Z) as uint8 class indices. Raises DataError for a damaged file or unknown value."""

    @abstractmethod
    def read_geometry(self, case: Case) -> Geometry:
        """Return the grid of the case's image, from headers only. Raises DataError for an unreadable header."""
