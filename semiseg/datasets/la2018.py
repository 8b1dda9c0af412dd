"""Left atria of the 2018 challenge, as used by the semi-supervised papers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from semiseg.datasets._nifti import checked_cases, existing_root, only_folder
from semiseg.errors import DataError, Problem, ProtocolError, raise_all
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.dataset import Dataset
from semiseg.io.finding import Found, find
from semiseg.io.gzipped import MOST_EXPANSION
from semiseg.io.memory import memory_for
from semiseg.io.nifti import not_finite
from semiseg.io.volumes import to_classes
from semiseg.messages import some
from semiseg.types import Case, DatasetInfo, Geometry, Volume

_FILE = "mri_norm2.h5"


class LA2018(Dataset):
    """Left atria in MR images, as the h5 files of the semi-supervised papers (UA-MT and later).

    Each case is a file ``ID/mri_norm2.h5`` with ``image`` (float32, z-scored) and ``label`` (0 or 1). Lists of cases
    (``train.list``) are not read: the recipe's split names the cases.

    The volumes, including the test cases, were cropped around the true label with random margins of 10 to 20 voxels.
    Scores are comparable with the papers, but optimistic for uncropped scans. The files store no spacing; distances are
    in voxels, as published, unless ``spacing_mm`` is given.

    Plain HDF5 has no checksum: a flipped bit in uncompressed voxels is not detected.

    Source: Xiong et al., Medical Image Analysis 67 (2021) 101832; Yu et al., arXiv:1907.07034 (the h5 files).
    """

    class Options(ComponentOptions):
        """Options of the LA 2018 reader."""

        root: Path
        """Folder that contains ID/mri_norm2.h5 files, at any depth."""
        spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
        """Voxel size in mm (0.625 in the challenge), which files do not store; without it, distances are in voxels."""
        ignore: int | None = None
        """Stored value of ignored voxels, which count in no loss and no score."""

        newer = frozenset({"ignore"})

    def info(self) -> DatasetInfo:
        """Return one MR channel; background and left atrium."""
        classes = ("background", "left atrium")
        return DatasetInfo("la2018", ("mri",), classes, {0: 0, 1: 1}, (0, 1), ignore=self.options.ignore)

    def cases(self) -> tuple[Case, ...]:
        """Return all cases, ordered by id, which is the name of their folder."""
        root = existing_root(self.options.root)
        held = self._held(root)
        raise_all(held.problems, DataError)
        if not held.files:
            fix = f"Expected ROOT/2018LA_Seg_Training Set/ID/{_FILE} (https://github.com/yulequan/UA-MT)."
            raise DataError(Problem(str(root), f"it contains no {_FILE}", fix))
        return checked_cases(Case(_case_id(path), (path,), path) for path in held.files)

    def notes(self) -> tuple[str, ...]:
        """Return remarks on files that were found but are not read."""
        return tuple(self._held(self.options.root).notes())

    def _held(self, root: Path) -> Found:
        return find(root, lambda path: path.name.lower() == _FILE, recursive=True)

    def new_cases(self, paths: Sequence[Path]) -> tuple[Case, ...]:
        """Return cases to predict: all h5 files in a folder and its subfolders, or one h5 file."""
        folder = only_folder(paths)
        files: Sequence[Path] = paths
        if folder is not None:
            held = find(folder, lambda path: path.suffix.lower() == ".h5", recursive=True)
            raise_all(held.lost, DataError)
            files = held.files
        if folder is not None and not files:
            raise DataError(Problem(str(folder), "it contains no .h5 files", "Give the folder of the images."))
        if folder is None and len(files) > 1:
            raise DataError(f"{len(files)} files for one modality (mri).", "Give one file, or a folder of cases.")
        return checked_cases(Case(_case_id(path), (path,)) for path in files)

    def read_image(self, case: Case) -> Volume:
        """Return the image (1, X, Y, Z) float32."""
        path = case.images[0]
        with _open(path) as file:
            array = _voxels(path, file, "image")
        return Volume(array[None], self._geometry(array.shape))

    def read_label(self, case: Case) -> Volume:
        """Return the label (X, Y, Z) as class indices or IGNORED, uint8."""
        if case.label is None:
            raise ProtocolError(f"Case {case.id} has no label here.", "Its label must not be read.")
        with _open(case.label) as file:
            array, image_shape = _voxels(case.label, file, "label"), _dataset(case.label, file, "image").shape
        if array.shape != image_shape:
            what = f"image and label are on different grids: shapes {image_shape} and {array.shape}"
            raise DataError(Problem(str(case.label), what, "Download the file again."))
        info = self.info()
        return Volume(to_classes(case.label, array, info.label_map, info.ignore), self._geometry(array.shape))

    def read_geometry(self, case: Case) -> Geometry:
        """Return the grid of the image, without reading voxels."""
        with _open(case.images[0]) as file:
            return self._geometry(_dataset(case.images[0], file, "image").shape)

    def _geometry(self, shape: tuple[int, ...]) -> Geometry:
        spacing = self.options.spacing_mm
        affine = np.diag([*(spacing or (1.0, 1.0, 1.0)), 1.0])
        return Geometry((shape[0], shape[1], shape[2]), affine, "mm" if spacing else "voxel")


def _case_id(path: Path) -> str:
    return path.parent.name if path.name.lower() == _FILE else path.stem


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError as error:
        raise DataError(Problem(str(path), "file not found", "Check the path.")) from error
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:  # raised by h5py for a malformed file
        what = f"the file is damaged, truncated or not HDF5: {error}"
        raise DataError(Problem(str(path), what, "Download or copy it again.")) from error


def _dataset(path: Path, file: Any, name: str) -> Any:
    """Return an array of a file, with all voxels in this file. Raises DataError if they are not, or cannot be."""
    import h5py

    link = file.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise _elsewhere(path, name, link.filename)
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise DataError(Problem(str(path), f"it has no {name!r}", "Each file must have 'image' and 'label'."))
    if found.file.filename != file.filename:  # by a link to a link
        raise _elsewhere(path, name, found.file.filename)
    pieces = found.external or (found.virtual_sources() if found.is_virtual else ())
    others = {_file_of(piece) for piece in pieces} - {"."}  # "." is this file
    if others:
        raise _elsewhere(path, name, some(sorted(others), 3))
    if found.ndim != 3 or not found.size or found.dtype.kind not in "iuf":
        what = f"{name!r} is {found.dtype} {found.shape}, not a volume (X, Y, Z) of numbers"
        raise DataError(Problem(str(path), what, "Convert the file to the papers' layout."))
    size, held = _bytes(found), path.stat().st_size
    if size > MOST_EXPANSION * held:
        what = f"the file is damaged or truncated: {name!r} takes {size:,} bytes, more than {held:,} can hold"
        raise DataError(Problem(str(path), what, "Download or copy it again."))
    return found


def _elsewhere(path: Path, name: str, other: str) -> DataError:
    what = f"{name!r} is in another file ({other}), which semiseg does not open"
    return DataError(Problem(str(path), what, "Write the arrays into the file itself."))


def _file_of(source: Any) -> str:
    """Return the file name of an external piece (name, offset, size), or of a virtual dataset's source."""
    name = source.file_name if hasattr(source, "file_name") else source[0]
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _bytes(dataset: Any) -> int:
    return int(dataset.size) * int(dataset.dtype.itemsize)


def _voxels(path: Path, file: Any, name: str) -> NDArray[Any]:
    found = _dataset(path, file, name)
    with memory_for(str(path), _bytes(found)):
        array: NDArray[Any] = found[()]
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise DataError(not_finite(str(path), bad, array.size))
    return array
