"""Files of probabilities: one NPZ per case, one NIfTI per class, or one NIfTI with the confidence of the label map."""

import gzip
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from semiseg.codings.coding import Coding
from semiseg.inference.windows import Part
from semiseg.io.atomic import told_where_refused
from semiseg.io.names import CONFIDENCE
from semiseg.io.nifti import nifti_header_bytes
from semiseg.io.orientation import to_ras
from semiseg.types import Geometry

Format = Literal["npz", "nifti", "confidence"]
FORMATS: tuple[Format, ...] = ("npz", "nifti", "confidence")
PROBABILITIES = "probabilities"
"""Subfolder of an output folder, so that tools that read its labels do not find them."""
STEPS = 32767
"""Steps from 0 to 1 in a NIfTI file: 16-bit integers with the slope 1 / 32767, as NIfTI has no 16-bit floats."""
_GRID = ("affine", "spacing")


def file_names(kind: Format, label: str, outputs: Sequence[str], in_folder: bool) -> list[str]:
    """Return the files that belong to a label map, named without its ending, relative to its folder.

    In a folder of predictions ``probabilities/LABEL.npz`` or ``probabilities/LABEL/CLASS.nii.gz``, with characters that
    names may have; next to a single prediction with ``LABEL_probabilities`` instead. In both, the confidence is
    ``LABEL_confidence.nii.gz``, as ``dataset.pseudo_labels`` reads it.
    """
    if kind == "confidence":
        return [f"{label}{CONFIDENCE}.nii.gz"]
    stem = f"{PROBABILITIES}/{label}" if in_folder else f"{label}_{PROBABILITIES}"
    if kind == "npz":
        return [f"{stem}.npz"]
    names = [re.sub(r"[^\w .+-]+|^[. -]", "_", name) for name in outputs]
    unique = len({name.lower() for name in names}) == len(names)
    return [f"{stem}/{name if unique else f'{number}_{name}'}.nii.gz" for number, name in enumerate(names)]


def array_names(outputs: Sequence[str]) -> list[str]:
    """Return the names of the arrays in an NPZ file: the outputs, apart from those of the grid's arrays."""
    return [f"class {name}" if name in _GRID else name for name in outputs]


class ProbabilityWriter:
    """Collects an image's probabilities in a temporary file, and writes the final ones class by class.

    Args:
        temporary: the temporary file, of 2 bytes per voxel and output, or per voxel for the confidence.
        grid: the image's own grid.
        background: the probabilities (K,) outside the foreground box.
        kind: of the final files.
        coding: of the probabilities.

    Raises StorageError if the disk has no room for it.
    """

    def __init__(self, temporary: Path, grid: Geometry, background: Tensor, kind: Format, coding: Coding) -> None:
        self.grid, self.kind, self._coding, self._temporary = grid, kind, coding, temporary
        outside_box = self._kept(background)
        shape = (len(outside_box), *grid.shape)
        dtype = np.dtype(np.float16 if kind == "npz" else np.int16)
        size = int(np.prod(shape)) * dtype.itemsize
        with told_where_refused(temporary, size), temporary.open("wb") as file:
            # A mapped file on a full disk would kill the process at a later write.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            file.truncate(size)
        self._array: Any = np.memmap(temporary, dtype, "r+", shape=shape)
        self._turned, _ = to_ras(self._array, grid)
        for values, outside in zip(self._array, outside_box.tolist(), strict=True):
            if outside:
                values[:] = self._stored(np.float32(outside))

    def receive(self, part: Part, probabilities: Tensor) -> None:
        """Store probabilities (K, x, y, z) of a part of the grid turned to R, A, S."""
        for target, values in zip(self._turned, self._kept(probabilities), strict=True):
            target[tuple(slice(*span) for span in part)] = self._stored(values.numpy())

    def _kept(self, probabilities: Tensor) -> Tensor:
        """Return what the files have of probabilities (K, ...): all of them, or the confidence (1, ...)."""
        return self._coding.certainty(probabilities)[None] if self.kind == "confidence" else probabilities

    def _stored(self, values: Any) -> Any:
        if self.kind == "npz":
            return values.astype(np.float16)
        return np.rint(values * STEPS).astype(np.int16)

    def write(self, folder: Path, outputs: Sequence[str]) -> list[Path]:
        """Write the final files into an empty folder, in the order of ``file_names``, whatever their names here.

        Equal probabilities give equal bytes. Raises StorageError if the disk is full.
        """
        with told_where_refused(folder.parent, self._array.nbytes):
            if self.kind == "npz":
                self._write_npz(folder / "0", outputs)
                return [folder / "0"]
            files = [folder / str(number) for number in range(len(self._array))]
            for file, values in zip(files, self._array, strict=True):
                _write_nifti(file, values, self.grid)
            return files

    def _write_npz(self, target: Path, outputs: Sequence[str]) -> None:
        affine, spacing = np.asarray(self.grid.affine), np.asarray(self.grid.spacing)
        with zipfile.ZipFile(target, "w") as archive:
            arrays = [*zip(array_names(outputs), self._array, strict=True), ("affine", affine), ("spacing", spacing)]
            for name, values in arrays:
                entry = zipfile.ZipInfo(f"{name}.npy")  # with a fixed date
                entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)

    def close(self) -> None:
        """Remove the temporary file."""
        del self._array, self._turned
        self._temporary.unlink(missing_ok=True)


def _write_nifti(target: Path, values: NDArray[np.int16], grid: Geometry) -> None:
    with target.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
        file.write(nifti_header_bytes(grid, np.dtype(np.int16), 1 / STEPS))
        for index in range(values.shape[2]):
            file.write(np.asarray(values[:, :, index]).tobytes(order="F"))
