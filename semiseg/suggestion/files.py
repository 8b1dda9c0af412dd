"""The files of a suggestion for an annotator: images, proposals and uncertainty maps."""

import gzip
import io
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import StorageError
from semiseg.io.atomic import make_folder, write_bytes
from semiseg.io.formats.contents import contents
from semiseg.io.formats.segments_written import NamedValue, segmentation_bytes
from semiseg.io.labels import label_bytes, label_ending
from semiseg.io.names import image_stem
from semiseg.io.nifti import nifti_bytes, nifti_header_bytes
from semiseg.pipeline.predictions import stored_values
from semiseg.render.preview import COLORS, GRAY
from semiseg.suggestion.measuring import STEPS, Predicted
from semiseg.suggestion.record import PROPOSALS
from semiseg.types import Case, DatasetInfo, Geometry, Volume

IMAGES, UNCERTAINTY = "images", "uncertainty"


def write_case(folder: Path, case: Case, found: Predicted, info: DatasetInfo) -> tuple[tuple[str, ...], str]:
    """Write a case's files; return the paths of its images and its proposal, relative to the folder.

    Raises StorageError.
    """
    grid = found.image.geometry
    values = stored_values(found.labels, info)
    proposal = f"{PROPOSALS}/{case.id}{label_ending(grid.unit)}"
    write_bytes(folder / proposal, label_bytes(values, grid))
    if grid.unit != "pixel":
        segments = segments_of(info)
        write_bytes(folder / PROPOSALS / f"{case.id}.seg.nrrd", segmentation_bytes(values, grid, segments))
    write_bytes(folder / UNCERTAINTY / f"{case.id}{label_ending(grid.unit)}", _map_bytes(found.uncertainty, grid))
    return tuple(f"{IMAGES}/{name}" for name in _images(folder / IMAGES, case, found.image)), proposal


def segments_of(info: DatasetInfo) -> list[NamedValue]:
    """Return the segments of proposals: the classes, in the colors of the page, and the ignored value if there is one.

    Regions that overlap are not segments: their classes are.
    """
    named = zip(info.classes[1:], info.class_values[1:], strict=True)
    found = [NamedValue(name, value, COLORS[i % len(COLORS)]) for i, (name, value) in enumerate(named)]
    return [*found, *([] if info.ignore is None else [NamedValue("ignore", info.ignore, GRAY)])]


def _map_bytes(values: NDArray[np.int16], grid: Geometry) -> bytes:
    """Return an uncertainty map from 0 to 1 as NIfTI, or as a gray PNG from 0 to 255 for a picture."""
    if grid.unit != "pixel":
        content = nifti_header_bytes(grid, np.dtype(np.int16), 1 / STEPS) + values.tobytes(order="F")
        return gzip.compress(content, compresslevel=6, mtime=0)
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.rint(values[:, :, 0].T * (255 / STEPS)).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _images(folder: Path, case: Case, image: Volume) -> list[str]:
    """Link a case's images into a folder; return their names there.

    Images that other tools do not open, such as h5 files, which also hold labels, are written as NIfTI.
    """
    make_folder(folder)
    usable = [path for path in case.images if image_stem(path) or path.is_dir()]
    if len(usable) < len(case.images) or not case.images:
        return _written(folder, case, image)
    return [_linked(folder, case, path, usable) for path in usable]


def _linked(folder: Path, case: Case, path: Path, others: Sequence[Path]) -> str:
    single = len({other.name for other in others}) == len(others)
    name = path.name if single and path.name.startswith(case.id) else f"{case.id}_{path.parent.name}_{path.name}"
    _link(path, folder / name)
    files = () if path.is_dir() else contents(path)
    for data in files:  # a detached header names its data by their own name
        if data != path:
            _link(data, folder / data.name)
    return name


def _link(path: Path, target: Path) -> None:
    """Link to a file or folder, or copy it where the file system has no links. Raises StorageError."""
    with suppress(FileNotFoundError):
        if target.is_symlink() or target.is_file():
            target.unlink()
    source = path.resolve()
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        try:
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)
        except OSError as error:
            what = f"{target} cannot be written: {error.strerror or error}."
            raise StorageError(what, "Choose another --output.") from error


def _written(folder: Path, case: Case, image: Volume) -> list[str]:
    several, names = len(image.array) > 1, list[str]()
    for number, channel in enumerate(image.array):
        names.append(f"{case.id}_{number:04d}.nii.gz" if several else f"{case.id}.nii.gz")
        write_bytes(folder / names[-1], nifti_bytes(_storable(channel), image.geometry))
    return names


def _storable(channel: NDArray[Any]) -> NDArray[Any]:
    """Return voxels in a type that every NIfTI reader supports."""
    known = (np.uint8, np.int16, np.int32, np.float32, np.float64)
    return channel if channel.dtype in known else channel.astype(np.float32)
