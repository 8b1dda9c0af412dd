"""MetaImage headers, attached (.mha) or detached (.mhd): https://itk.org/Wiki/MetaIO/Documentation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.errors import DataError, Problem
from semiseg.io.formats.stored import (
    AGAIN,
    LPS_TO_RAS,
    Stored,
    damaged_header,
    data_beside,
    decoded,
    numbers,
    require_beginning,
)
from semiseg.io.gzipped import opened

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_LAST = "ElementDataFile"
_MOST_LINES = 10_000
_UNUSUAL = {
    "ElementToIntensityFunctionSlope": {"1"},
    "ElementToIntensityFunctionOffset": {"0"},
    "HeaderSize": {"0"},
    "BinaryData": {"true"},
    "DistanceUnits": {"mm", "?", "unknown"},
}
"""Values of fields that change how voxels or lengths are read; others are refused."""


def read_metaimage_header(path: Path) -> Stored:
    """Return what the header of a MetaImage declares; ``fields`` has all of its entries. Raises DataError."""
    fields: dict[str, str] = {}
    with opened(path) as stream:
        require_beginning(stream, path, rb"[A-Za-z]\w*\s*=", "a MetaImage", ".mha")
        for _ in range(_MOST_LINES):
            line = decoded(stream.readline(2**16))
            name, equals, value = line.partition("=")
            if not equals:
                raise DataError(Problem(str(path), f"the file is truncated: its header has no {_LAST}", AGAIN))
            fields[name.strip()] = value.strip()
            if name.strip() == _LAST:
                break
        offset = stream.tell()
    try:
        return _stored(path, fields, offset)
    except ValueError as error:
        raise damaged_header(path, str(error)) from error


def _stored(path: Path, fields: Mapping[str, str], offset: int) -> Stored:
    missing = [name for name in ("DimSize", "ElementType", _LAST) if name not in fields]
    if missing:
        raise DataError(Problem(str(path), f"the file is truncated: its header has no {', '.join(missing)}", AGAIN))
    for name, usual in _UNUSUAL.items():
        if name in fields and fields[name].lower() not in usual:
            raise ValueError(f"{name} = {fields[name]}")
    sizes = tuple(int(word) for word in fields["DimSize"].split())
    if len(sizes) != int(fields.get("NDims", len(sizes))):
        raise ValueError(f"{len(sizes)} sizes for NDims = {fields['NDims']}")
    channels = int(fields.get("ElementNumberOfChannels", "1"))
    first = 1 if channels != 1 else 0
    name = fields[_LAST]
    local = name.upper() == "LOCAL"
    spaced = "ElementSpacing" in fields or "ElementSize" in fields
    return Stored(
        path,
        (channels, *sizes) if first else sizes,
        tuple(range(first, first + min(len(sizes), 3))),
        _dtype(fields),
        LPS_TO_RAS @ _affine(fields, len(sizes)),
        "mm" if spaced else "voxel",
        path if local else data_beside(path, name),
        offset if local else 0,
        fields.get("CompressedData", "False").lower() == "true",
        fields,
    )


def _dtype(fields: Mapping[str, str]) -> np.dtype[Any]:
    name = fields["ElementType"].upper()
    if name not in _TYPES:
        raise ValueError(f"ElementType = {name}")
    order = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False"))
    return np.dtype(_TYPES[name]).newbyteorder(">" if order.lower() == "true" else "<")


def _affine(fields: Mapping[str, str], dimension: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the affine of the first three axes in LPS; row i of the matrix in the file is the direction of axis i."""
    matrix, affine = np.eye(dimension), np.eye(4)
    if text := _first(fields, "TransformMatrix", "Rotation", "Orientation"):
        matrix = np.array(numbers(text)).reshape(dimension, dimension)
    spacing = numbers(_first(fields, "ElementSpacing", "ElementSize") or "1 " * dimension)
    origin = numbers(_first(fields, "Offset", "Position", "Origin") or "0 " * dimension)
    if len(spacing) != dimension or len(origin) != dimension:
        raise ValueError(f"spacing and offset must have {dimension} numbers")
    if dimension >= 3:
        affine[:3, :3] = (matrix[:3, :3] * np.array(spacing[:3])[:, None]).T
        affine[:3, 3] = origin[:3]
    return affine


def _first(fields: Mapping[str, str], *names: str) -> str:
    return next((fields[name] for name in names if fields.get(name)), "")
