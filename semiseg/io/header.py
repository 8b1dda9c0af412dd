"""NIfTI headers: detection of the format, and the grid."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.types import Geometry

HEADER_SIZE = 540
"""Number of bytes that covers the header of either version: 348 (NIfTI-1) or 540 (NIfTI-2)."""
PLAUSIBLE_MM = (1e-6, 100.0)
"""Range of plausible voxel sizes, from electron microscopy on; outside it, the header must be wrong."""
_SHEAR = 1e-3
"""Largest cosine between two axes that is attributed to rounding."""
_QUIET = logging.Logger("nifti header", level=logging.CRITICAL + 1)
"""Logger for nibabel, which fixes small flaws of a header, as every tool does; its remarks would only be noise."""
_NOT_MM = {1: "meters", 3: "micrometers"}


def parse_header(path: Path, data: bytes) -> Any:
    """Return the nibabel header from a file's first bytes. Raises DataError if they are not a single-file NIfTI."""
    import nibabel

    if not data:
        raise DataError(Problem(str(path), "the file is empty", "Download or copy it again."))
    for header_class in (nibabel.Nifti1Header, nibabel.Nifti2Header):
        if len(data) >= header_class.sizeof_hdr and header_class.may_contain_header(data):
            return _checked(path, header_class, data)
    raise DataError(Problem(str(path), f"the file is not a NIfTI image{looks_like(data)}", how_to_replace(data)))


def _checked(path: Path, header_class: Any, data: bytes) -> Any:
    try:
        header = header_class(data[: header_class.sizeof_hdr], check=False)
        _require_finite(header)
        if header["vox_offset"] < header.single_vox_offset and header["magic"].item().startswith(b"n+"):
            # By the format, an offset below 352 (544 in NIfTI-2) in a single file means 352, after the header.
            header["vox_offset"] = header.single_vox_offset
        header.check_fix(logger=_QUIET)
        header.get_data_shape(), header.get_slope_inter(), header.get_best_affine()
    except Exception as error:  # nibabel raises many exception types for a malformed header
        raise DataError(
            Problem(str(path), f"its NIfTI header is damaged: {error}", "Download or copy the file again.")
        ) from error
    if not header["magic"].item().startswith(b"n+"):
        raise DataError(Problem(str(path), "it is one file of a .hdr/.img pair", "Convert the pair to one .nii.gz."))
    return header


def _require_finite(header: Any) -> None:
    """Require finite numbers for voxel offset and scaling. The intercept matters only with a slope."""
    slope = float(header["scl_slope"])
    for name in ("vox_offset", "scl_slope", *(("scl_inter",) if slope else ())):
        if not np.isfinite(header[name]):
            raise ValueError(f"{name} is {float(header[name])}, not a finite number")


def looks_like(data: bytes) -> str:
    """Return the kind of file that other bytes indicate, as ": it is …"; empty if unknown."""
    start = data[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return ": it is a web page"
    if data[128:132] == b"DICM":
        return ": it is DICOM"
    if start.startswith(b"nrrd"):
        return ": it is NRRD"
    return ""


def how_to_replace(data: bytes, wanted: str = ".nii.gz") -> str:
    """Return the fix for a file with other content than its name says."""
    if looks_like(data) == ": it is a web page":
        return "The download failed, perhaps because of a missing login. Download the file again."
    return f"Convert it to {wanted}, or download it again."


def header_geometry(path: Path, header: Any) -> tuple[Geometry, tuple[int, ...]]:
    """Return the grid of the first three axes, and the shape of the whole array without later axes of length 1.

    Those carry no information: tools write (X, Y, Z, 1) and (X, Y, Z, 1, C). Raises DataError for an invalid grid.
    """
    shape = tuple(int(n) for n in header.get_data_shape())
    if len(shape) < 3 or min(shape) < 1:
        raise DataError(
            Problem(str(path), f"it is not a volume: its shape is {shape}", "Give three-dimensional images.")
        )
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    problem = _unit_problem(header) or affine_problem(affine, "sform, qform, pixdim")
    if problem:
        raise DataError(Problem(str(path), *problem))
    return Geometry((shape[0], shape[1], shape[2]), affine), (*shape[:3], *(n for n in shape[3:] if n > 1))


def _unit_problem(header: Any) -> tuple[str, str] | None:
    unit = _NOT_MM.get(int(header["xyzt_units"]) & 7)
    if unit is None:
        return None
    return (
        f"its lengths are in {unit}",
        "Convert it to mm: scale the affine, and set the header's xyzt_units to mm (2).",
    )


def affine_problem(affine: NDArray[np.float64], fields: str) -> tuple[str, str] | None:
    """Return what is wrong with an affine, and how to fix it; ``fields`` are those of the header that set it."""
    axes = affine[:3, :3]
    lengths = np.sqrt((axes**2).sum(axis=0))
    if not np.isfinite(affine).all() or not lengths.all():
        return "its affine is singular: voxels have no size", f"Fix the header ({fields}), or convert again."
    cosines = (axes / lengths).T @ (axes / lengths)
    worst = float(np.abs(cosines - np.eye(3)).max())
    if worst > 1 - _SHEAR:
        return "its affine is singular: axes coincide", f"Fix the header ({fields}), or convert again."
    if worst > _SHEAR:
        return (
            f"its affine is sheared: the cosine between two axes is {worst:.3g}",
            "Resample it to a grid with right angles (3D Slicer: Resample Image), or fix the header.",
        )
    if lengths.min() < PLAUSIBLE_MM[0] or lengths.max() > PLAUSIBLE_MM[1]:
        return (
            f"its voxels are {' x '.join(f'{n:.3g}' for n in lengths)} mm, which no scan has",
            f"Fix the header ({fields}{', xyzt_units' if 'qform' in fields else ''}), or convert again.",
        )
    return None
