"""Image and label files of nnU-Net: one file per channel, as NIfTI, or as PNG if the images are pictures."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.export.nnunet_labels import Labels
from semiseg.interfaces.dataset import Dataset
from semiseg.io.atomic import atomic_file, make_folder, told_where_refused, write_bytes
from semiseg.io.nifti import nifti_bytes, nifti_label_bytes
from semiseg.types import Case, Geometry, Unit, Volume

_GZIP = b"\x1f\x8b"
_NIFTI_1 = 348
"""Size of its header in bytes."""
_NIFTI_TYPES: dict[str, type[np.generic]] = {"float16": np.float32, "int64": np.int32, "uint64": np.int32}


def file_ending(unit: Unit) -> str:
    """Return nnU-Net's ``file_ending`` for images on grids with this unit."""
    return ".png" if unit == "pixel" else ".nii.gz"


class Files:
    """Writes the files of cases; those that can stay as they are are copied, or linked.

    Args:
        dataset: reads the cases.
        labels: the values to write.
        link: whether to link instead of copying.

    Attributes:
        linked: number of links.
        written: number of other files.
        unscaled: number of images without a spacing in mm.
    """

    def __init__(self, dataset: Dataset, labels: Labels, link: bool) -> None:
        self.dataset, self.labels, self.link = dataset, labels, link
        self.linked = self.written = self.unscaled = 0
        self._info = dataset.info()
        self._keeps_labels = labels.keeps(self._info)

    def image(self, case: Case, folder: Path) -> None:
        """Write ``CASE_0000``, ``CASE_0001`` … into a folder. Raises DataError for an unusable image."""
        grid, n = self.dataset.read_geometry(case), len(self._info.modalities)
        self.unscaled += grid.unit == "voxel"
        targets = [folder / f"{case.id}_{channel:04d}{file_ending(grid.unit)}" for channel in range(n)]
        first, stays = case.images[0], grid.unit != "pixel" and len(case.images) == n
        if stays and all(_stays(path, first, grid) for path in case.images):
            for source, target in zip(case.images, targets, strict=True):
                self._take(source, target)
            return
        volume = self.dataset.read_image(case)
        if grid.unit == "pixel" and len(case.images) == 1 and n == 3:
            self._write(targets[0], _png(case, volume.array[..., 0]))
            return
        for channel, target in zip(volume.array, targets, strict=True):
            content = _png(case, channel[None, ..., 0]) if grid.unit == "pixel" else _nifti(case, channel, grid)
            self._write(target, content)

    def label(self, case: Case, folder: Path) -> None:
        """Write the label of a case into a folder. Raises DataError for an unusable label."""
        grid, source = self.dataset.read_geometry(case), case.label
        label = self.dataset.read_label(case)
        target = folder / f"{case.id}{file_ending(grid.unit)}"
        stays = source is not None and self._keeps_labels and _stays(source, case.images[0], grid)
        if source is not None and stays and _has_integers(source):
            self._take(source, target)
        else:
            # On the grid of the image: nnU-Net refuses spacings that differ by a rounding.
            self._write(target, label_content(self.labels, Volume(label.array, grid)))

    def _take(self, source: Path, target: Path) -> None:
        make_folder(target.parent)
        if self.link:
            with told_where_refused(target, 0):
                target.symlink_to(source.resolve())
            self.linked += 1
        else:
            with atomic_file(target) as temporary:
                shutil.copyfile(source, temporary)
            self.written += 1

    def _write(self, target: Path, content: bytes) -> None:
        write_bytes(target, content)
        self.written += 1


def label_content(labels: Labels, label: Volume) -> bytes:
    """Return the content of a label file with nnU-Net's values for class indices; PNG are gray, not indexed."""
    values = labels.of(label.array)
    if label.geometry.unit == "pixel":
        return _gray_or_rgb(values[None, ..., 0])
    return nifti_label_bytes(values, label.geometry)


def _stays(path: Path, image: Path, grid: Geometry) -> bool:
    """Return whether nnU-Net reads a file as semiseg does, on the grid of the case's first image.

    It is a ``.nii.gz`` with three axes. nnU-Net refuses files of a case whose spacings differ, whatever their affines.
    """
    header, first = _header(path), _header(image)
    if header is None or header.get_data_shape() != grid.shape:
        return False
    same = np.allclose(header.get_best_affine(), grid.affine, atol=1e-5)
    return bool(same and (first is None or np.allclose(header.get_zooms(), first.get_zooms()[:3])))


def _has_integers(path: Path) -> bool:
    """Return whether a ``.nii.gz`` stores integers that its header does not scale."""
    header = _header(path)
    return header.get_data_dtype().kind in "iu" and header.get_slope_inter() in {(None, None), (1.0, 0.0)}


def _header(path: Path) -> Any:
    """Return the NIfTI-1 header of a ``.nii.gz``; None for any other file."""
    import nibabel

    if not path.name.lower().endswith(".nii.gz") or not path.is_file():
        return None
    with path.open("rb") as file:
        if file.read(len(_GZIP)) != _GZIP:
            return None
    header: Any = nibabel.load(path).header
    return header if int(header["sizeof_hdr"]) == _NIFTI_1 else None


def _nifti(case: Case, channel: NDArray[Any], grid: Geometry) -> bytes:
    if (target := _NIFTI_TYPES.get(channel.dtype.name)) is not None:
        limits = np.iinfo(np.int32)
        if channel.dtype.kind in "iu" and (channel.min() < limits.min or channel.max() > limits.max):
            what = f"its voxels are {channel.dtype} beyond 32 bits, which other tools do not read"
            raise DataError(Problem(f"case {case.id}", what, "Store the image as float32 or int32."))
        channel = channel.astype(target)
    return nifti_bytes(channel, grid)


def _png(case: Case, planes: NDArray[Any]) -> bytes:
    """Return the content of a PNG from (1, X, Y) of 8 or 16 bits, or (3, X, Y) of 8 bits."""
    deepest = np.uint8 if len(planes) == 3 else np.uint16
    if planes.dtype not in {np.dtype(np.uint8), np.dtype(deepest)}:
        what = f"its pixels are {planes.dtype}, which a PNG cannot store"
        raise DataError(Problem(f"case {case.id}", what, "Store pictures with unsigned numbers of 8 or 16 bits."))
    return _gray_or_rgb(planes)


def _gray_or_rgb(planes: NDArray[Any]) -> bytes:
    from PIL import Image

    rows = planes[0].T if len(planes) == 1 else planes.transpose(2, 1, 0)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rows)).save(file, "PNG")
    return file.getvalue()
