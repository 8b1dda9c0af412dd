"""The dataset interface: what cases there are and how one is read; all else is shared."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from semiseg.interfaces.component import Component
from semiseg.types import Case, DatasetInfo, Geometry, Volume


class Dataset(Component, ABC):
    """A collection of scans, some with labels.

    ``cases()`` looks at names only; voxels are read one case at a time and from several threads at once, so reading
    must not change the object.
    """

    version: ClassVar[int] = 1
    """To be raised where the same files are read otherwise for a reason that semiseg cannot see, such as a table in
    your package.

    A change of the code itself is seen, of the class's package and of the modules of its bases; and so is one of the
    options and of the files that they name by a ``Path``.
    """

    @abstractmethod
    def info(self) -> DatasetInfo:
        """Modalities, classes and label values."""

    @abstractmethod
    def cases(self) -> Sequence[Case]:
        """All cases in a fixed order, read from file names only.

        Raises DataError with every problem (folder missing or empty, modality missing, name not understood).
        """

    def notes(self) -> Sequence[str]:
        """What its user is told before training of data that are no error, such as images that are left out.

        Each is a sentence without its period; read from names only, as ``cases()``, which has been called before.
        """
        return ()

    @abstractmethod
    def new_cases(self, paths: Sequence[Path]) -> Sequence[Case]:
        """Cases to predict, without labels: one folder, or the image files of one case in modality order.

        Raises DataError where the number of modalities is wrong, or their order by the names of the files. What is
        wrong inside of a file is for ``read_geometry`` and ``read_image`` to say: it stops no other case.
        """

    @abstractmethod
    def read_image(self, case: Case) -> Volume:
        """The image (C, X, Y, Z) in its stored numeric type, channels in the order of ``info().modalities``.

        Raises DataError for a damaged file, voxels that are not finite, or modalities on different grids.
        """

    @abstractmethod
    def read_label(self, case: Case) -> Volume:
        """The label (X, Y, Z) as class indices, uint8. Raises DataError for a damaged file or an unknown value."""

    @abstractmethod
    def read_geometry(self, case: Case) -> Geometry:
        """The grid of the case's image, from headers only. Raises DataError for a header that cannot be read."""
