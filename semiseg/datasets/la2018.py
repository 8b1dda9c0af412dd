"""Left atria of the 2018 challenge, as used by the semi-supervised papers."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import PositiveFloat

from semiseg.datasets._h5 import h5_geometry, h5_image, h5_label, h5_shape, is_h5
from semiseg.datasets._nifti import cases_to_predict, checked_cases, existing_root, only_folder
from semiseg.errors import DataError, Problem, ProtocolError, raise_all
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.dataset import Dataset
from semiseg.io.finding import Found, find
from semiseg.io.volumes import to_classes
from semiseg.types import Case, DatasetInfo, Geometry, Volume

_FILE = "mri_norm2.h5"
_AXES = "(X, Y, Z)"


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
            held = find(folder, is_h5, recursive=True)
            raise_all(held.lost, DataError)
            files = held.files
        if folder is not None and not files:
            raise DataError(Problem(str(folder), "it contains no .h5 files", "Give the folder of the images."))
        if folder is None and len(files) > 1:
            raise DataError(f"{len(files)} files for one modality (mri).", "Give one file, or a folder of cases.")
        return cases_to_predict([Case(_case_id(path), (path,)) for path in files])

    def read_image(self, case: Case) -> Volume:
        """Return the image (1, X, Y, Z) float32."""
        array = h5_image(case.images[0], _AXES)
        return Volume(array[None], h5_geometry(array.shape, self.options.spacing_mm))

    def read_label(self, case: Case) -> Volume:
        """Return the label (X, Y, Z) as class indices or IGNORED, uint8."""
        if case.label is None:
            raise ProtocolError(f"Case {case.id} has no label here.", "Its label must not be read.")
        array, info = h5_label(case.label, _AXES), self.info()
        geometry = h5_geometry(array.shape, self.options.spacing_mm)
        return Volume(to_classes(case.label, array, info.label_map, info.ignore), geometry)

    def read_geometry(self, case: Case) -> Geometry:
        """Return the grid of the image, without reading voxels."""
        return h5_geometry(h5_shape(case.images[0], _AXES), self.options.spacing_mm)


def _case_id(path: Path) -> str:
    return path.parent.name if path.name.lower() == _FILE else path.stem
