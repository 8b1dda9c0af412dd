"""NRRD headers, attached (.nrrd) or detached (.nhdr): https://teem.sourceforge.net/nrrd/format.html."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.io.formats.stored import (
    AGAIN,
    LPS_TO_RAS,
    Stored,
    damaged_header,
    data_beside,
    header_lines,
    numbers,
    require_beginning,
)
from semiseg.io.gzipped import opened
from semiseg.types import Unit

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": (
        *("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    ),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_DTYPE = {name: code for code, names in _TYPES.items() for name in names}
_ENCODINGS = {"raw": False, "gzip": True, "gz": True}
_RAS, _LAS = {"right-anterior-superior", "ras", "rast"}, {"left-anterior-superior", "las", "last"}
_SPATIAL = {"domain", "space", "???", "none"}
"""Kinds of axes that may be spatial: as in ITK, an unknown kind is one."""
_MM = {"mm", "millimeter", "millimeters", "???", ""}
_FIELDS = re.compile(r"([^:]+?)(:=|:)\s*(.*)")


def read_nrrd_header(path: Path) -> Stored:
    """Return what the header of an NRRD file declares; ``fields`` has its key/value pairs. Raises DataError."""
    with opened(path) as stream:
        require_beginning(stream, path, rb"NRRD000\d\s*\n", "an NRRD image", ".nrrd")
        stream.readline()
        lines = header_lines(stream, path)
        offset = stream.tell()
    fields, pairs = _parse(path, lines)
    try:
        return _stored(path, fields, pairs, offset)
    except ValueError as error:
        raise damaged_header(path, str(error)) from error


def _parse(path: Path, lines: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fields by lower-case name, and the key/value pairs, of the lines of a header."""
    fields, pairs = dict[str, str](), dict[str, str]()
    for line in lines:
        match = _FIELDS.fullmatch(line)
        if match is None:
            raise damaged_header(path, f"the line {line[:60]!r}")
        name, separator, value = match.groups()
        if separator == ":=":
            pairs[name] = value
        else:
            fields[name.strip().lower()] = value.strip()
    return fields, pairs


def _stored(path: Path, fields: Mapping[str, str], pairs: Mapping[str, str], offset: int) -> Stored:
    named = fields.get("data file", fields.get("datafile"))
    if "sizes" not in fields or "type" not in fields or "encoding" not in fields:
        missing = ", ".join(name for name in ("type", "sizes", "encoding") if name not in fields)
        raise DataError(Problem(str(path), f"the file is truncated: its header has no {missing}", AGAIN))
    sizes = tuple(int(word) for word in fields["sizes"].split())
    if len(sizes) != int(fields.get("dimension", len(sizes))):
        raise ValueError(f"{len(sizes)} sizes for dimension {fields['dimension']}")
    encoding = fields["encoding"].lower()
    if encoding not in _ENCODINGS:
        raise ValueError(f"encoding {encoding}")
    for skip in ("byte skip", "byteskip", "line skip", "lineskip"):
        if fields.get(skip, "0") != "0":
            raise ValueError(f"{skip} {fields[skip]}")
    spatial, affine, unit = _grid(fields, len(sizes))
    return Stored(
        path,
        sizes,
        spatial,
        _dtype(fields),
        affine,
        unit,
        path if named is None else data_beside(path, named),
        offset if named is None else 0,
        _ENCODINGS[encoding],
        dict(pairs),
    )


def _dtype(fields: Mapping[str, str]) -> np.dtype[Any]:
    name = fields["type"].lower()
    if name not in _DTYPE:
        raise ValueError(f"type {name}")
    dtype = np.dtype(_DTYPE[name])
    endian = fields.get("endian", "").lower()
    if dtype.itemsize > 1 and endian not in {"little", "big"}:
        raise ValueError(f"endian {endian or 'is missing'}")
    return dtype.newbyteorder(">" if endian == "big" else "<")


def _grid(fields: Mapping[str, str], dimension: int) -> tuple[tuple[int, ...], NDArray[np.float64], Unit]:
    """Return the spatial axes, their affine in RAS+, and its unit."""
    _require_mm(fields)
    kinds = fields.get("kinds", "").lower().split()
    if kinds and len(kinds) != dimension:
        raise ValueError(f"{len(kinds)} kinds for dimension {dimension}")
    affine = np.eye(4)
    if "space directions" in fields:
        vectors = _vectors(fields["space directions"])
        if len(vectors) != dimension:
            raise ValueError(f"{len(vectors)} space directions for dimension {dimension}")
        origin = (_vectors(fields.get("space origin", "(0,0,0)")) or [None])[0]
        if dimension == 4 and all(vector is not None and len(vector) == 4 for vector in vectors):
            vectors, origin = _without_time(vectors), (origin or [])[:3]
        spatial = tuple(axis for axis, vector in enumerate(vectors) if vector is not None)
        directions = [vector for vector in vectors if vector is not None]
        if any(len(vector) != 3 for vector in (*directions, origin or ())) or len(directions) != 3:
            return spatial[:2], affine, "mm"  # reported as not a volume
        affine[:3, :3] = np.array(directions).T
        affine[:3, 3] = origin
        return spatial, _to_ras(fields.get("space", "")) @ affine, "mm"
    spatial = tuple(axis for axis in range(dimension) if not kinds or kinds[axis] in _SPATIAL)[:3]
    spacings = fields.get("spacings", "").split()
    if spacings and len(spacings) != dimension:
        raise ValueError(f"{len(spacings)} spacings for dimension {dimension}")
    known = numbers(" ".join(spacings[axis] for axis in spatial)) if spacings else []
    if len(known) == 3:
        affine[:3, :3] = np.diag(known)
    return spatial, LPS_TO_RAS @ affine, "mm" if known else "voxel"


def _without_time(vectors: Sequence[list[float] | None]) -> list[list[float] | None]:
    """Return three directions in space, from four in space and time, which SimpleITK writes for four axes."""
    matrix = np.array(vectors, np.float64)
    if matrix[:3, 3].any() or matrix[3, :3].any():
        raise ValueError("its fourth axis is not separate from the others")
    return [*matrix[:3, :3].tolist(), None]


def _vectors(text: str) -> list[list[float] | None]:
    """Return the vectors in a text such as ``none (1,0,0) (0,1,0)``."""
    words = re.findall(r"none|\([^)]*\)", text.lower())
    return [None if word == "none" else numbers(word.strip("()").replace(",", " ")) for word in words]


def _to_ras(space: str) -> NDArray[np.float64]:
    """Return the matrix from a space to RAS+; as in ITK, a space without anatomical axes counts as LPS."""
    name = space.lower().removesuffix("-time")
    if name in _RAS:
        return np.eye(4)
    return np.diag([-1.0, 1.0, 1.0, 1.0]) if name in _LAS else LPS_TO_RAS


def _require_mm(fields: Mapping[str, str]) -> None:
    units = re.findall(r'"([^"]*)"', fields.get("space units", ""))
    if other := sorted({unit for unit in units if unit.strip().lower() not in _MM}):
        raise ValueError(f"space units {', '.join(other)}; lengths must be in mm")
