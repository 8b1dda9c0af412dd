"""Synthetic heads with tumors, to try everything without any data."""

import errno
import os
import shutil
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from semiseg.datasets._heads import Head, make_head
from semiseg.datasets.brats import Brats
from semiseg.errors import StorageError
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.dataset import Dataset
from semiseg.io.cache import cache_folder
from semiseg.io.nifti import nifti_bytes
from semiseg.seeding import derive_seed
from semiseg.types import Case, DatasetInfo, Geometry, Volume

VERSION = 1
"""Increase this with every change of the images: it is part of the folder's name."""
_HEAD_MM = 160.0
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}
Length = Annotated[int, Field(ge=32, le=256)]


class Phantom(Dataset):
    """Synthetic heads with nested tumors, in BraTS files: made once, then read like any other data.

    Necrosis lies within enhancing tumor within edema. Shape, position, contrast, bias field and noise vary from case to
    case; vessels and small lesions resemble parts of a tumor. Equal options give equal files on every machine. The
    images do not resemble any patient, and scores on them say nothing about real scans.
    """

    class Options(ComponentOptions):
        """Options of the synthetic data."""

        root: Path | None = None
        """Parent of the folder with the files; by default $SEMISEG_CACHE/phantom or ~/.cache/semiseg/phantom."""
        cases: int = Field(default=40, ge=1, le=9999)
        """Number of cases, all with labels: the recipe's split determines whose labels are used."""
        size: tuple[Length, Length, Length] = (64, 76, 60)
        """Voxels along the left-right, front-back and vertical axes; the head is about 14 cm wide."""
        seed: int = 0
        """Seed; other seeds make other heads."""

    @cached_property
    def _reader(self) -> Brats:
        return Brats(Brats.Options(root=self.folder, enhancing_value=4))

    @property
    def folder(self) -> Path:
        """The folder of the files, which need not exist yet; it is specific to these options."""
        options: Phantom.Options = self.options
        size = "x".join(map(str, options.size))
        return (
            options.root or cache_folder() / "phantom"
        ) / f"v{VERSION}-{options.cases}-cases-{size}-seed-{options.seed}"

    def info(self) -> DatasetInfo:
        """Return the same as BraTS."""
        return replace(self._reader.info(), name="phantom")

    def cases(self) -> tuple[Case, ...]:
        """Return all cases, after making the files if they do not exist. Raises StorageError if that fails."""
        if not self.folder.exists():
            self._make()
        return self._reader.cases()

    def new_cases(self, paths: Sequence[Path]) -> tuple[Case, ...]:
        """Return the same as BraTS."""
        return self._reader.new_cases(paths)

    def read_image(self, case: Case) -> Volume:
        """Read as BraTS."""
        return self._reader.read_image(case)

    def read_label(self, case: Case) -> Volume:
        """Read as BraTS."""
        return self._reader.read_label(case)

    def read_geometry(self, case: Case) -> Geometry:
        """Read as BraTS."""
        return self._reader.read_geometry(case)

    def _make(self) -> None:
        """Write all cases to a temporary folder, then rename it: if the folder exists, it is complete."""
        folder = self.folder
        beside = folder.with_name(f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}")
        try:
            beside.mkdir(parents=True)
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda index: self._write_case(beside, index), range(self.options.cases)))
            self._publish(beside)
        except OSError as error:
            fix = "Set dataset.root, or the environment variable SEMISEG_CACHE, to a writable folder."
            raise StorageError(f"{folder} could not be written: {error.strerror}.", fix) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _publish(self, beside: Path) -> None:
        try:
            beside.rename(self.folder)
        except OSError as error:
            if error.errno not in _TAKEN:  # otherwise another process has made the same files
                raise

    def _write_case(self, folder: Path, index: int) -> None:
        rng = np.random.default_rng(derive_seed("phantom", VERSION, self.options.seed, index))
        name = f"Phantom_{index:03d}"
        (folder / name).mkdir()
        for what, content in _files(make_head(rng, self.options.size), self.options.size).items():
            (folder / name / f"{name}_{what}.nii.gz").write_bytes(content)


def _files(head: Head, size: tuple[int, int, int]) -> dict[str, bytes]:
    # As in BraTS: axes to the left, to the back and up, the origin in the front corner.
    step = _HEAD_MM / size[0]
    affine = np.diag([-step, -step, step, 1.0])
    affine[:3, 3] = 0.0, (size[1] - 1) * step, 0.0
    geometry = Geometry(size, affine.astype(np.float32).astype(np.float64))
    arrays: dict[str, NDArray[Any]] = {**head.images, "seg": head.label}
    return {name: nifti_bytes(array, geometry) for name, array in arrays.items()}
