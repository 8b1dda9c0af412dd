"""Surface elements of a mask and their areas, by marching cubes.

A corner where eight voxels meet is a surface element if some of the eight are in the mask and some are not. Its area is
that of the polygons through the midpoints of the edges between voxels inside and outside (W. E. Lorensen and H. E.
Cline, "Marching cubes", SIGGRAPH 1987). The method leaves two choices, made here as in the surface-distance library (S.
Nikolov et al. 2021, doi:10.2196/26151), whose areas these are: on a face with two diagonal corners inside, the minority
kind of the eight corners is separated; a non-planar polygon is cut into the triangles with the largest total area for
cubic voxels.
"""

import itertools
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from semiseg.metrics.points import VOLUME, Flat, Mask, Points, Spacing
from semiseg.types import Shape

Place = tuple[float, ...]
Vectors = NDArray[np.float64]

_CORNERS = tuple(itertools.product((0, 1), repeat=3))


def surface_areas(mask: Mask, spacing: Spacing, flat: Flat = VOLUME) -> tuple[Points, NDArray[np.float64]]:
    """Return a mask's (X, Y, Z) surface elements: flat indices in the grid (X + 1, Y + 1, Z + 1) of corners, and areas.

    Areas are float64, in the squared unit of ``spacing``. Everything beyond the array counts as outside. Along a
    ``flat`` axis (``MaskPair.flat``) the mask is the same on both sides of a corner: elements are those of the contour,
    with their lengths, on a grid with one corner along that axis (``corner_shape``).
    """
    codes = np.zeros(corner_shape(mask.shape, flat), dtype=np.uint8)
    for bit, corner in enumerate(_CORNERS):
        # The voxel on a side of a corner: seen from the voxel, the corner is on the opposite side.
        sides = [
            slice(None) if none else slice(1 - side, n + 1 - side)
            for side, n, none in zip(corner, mask.shape, flat, strict=True)
        ]
        codes[tuple(sides)] |= mask.view(np.uint8) << bit
    found = np.flatnonzero((codes != 0) & (codes != 255))
    x, y, z = (1.0 if none else size for size, none in zip(spacing, flat, strict=True))
    return found, area_table((x, y, z))[codes.ravel()[found]]


def corner_shape(shape: Shape, flat: Flat) -> Shape:
    """Return the shape of the grid of corners of a grid of voxels."""
    return tuple(n if none else n + 1 for n, none in zip(shape, flat, strict=True))


@lru_cache(maxsize=64)
def area_table(spacing: Spacing) -> NDArray[np.float64]:
    """Return the area (256,) of each element by its code: bit 4x + 2y + z is set if voxel (x, y, z) is inside."""
    x, y, z = spacing
    return np.array([np.linalg.norm(normals * (y * z, x * z, x * y), axis=1).sum() for normals in _normals()])


@lru_cache(maxsize=1)
def _normals() -> tuple[Vectors, ...]:
    """Return for each code its triangles' normals (n, 3), with their areas for cubic voxels of side 1 as lengths."""
    nothing = np.zeros((1, 3))
    return tuple(np.concatenate([nothing, *(_largest(loop) for loop in _loops(_inside(code)))]) for code in range(256))


def _inside(code: int) -> dict[Place, bool]:
    return {corner: bool(code >> bit & 1) for bit, corner in enumerate(_CORNERS)}


def _loops(inside: dict[Place, bool]) -> Iterator[list[Place]]:
    """Yield the closed polygons through the midpoints of the cut edges."""
    neighbors: dict[Place, list[Place]] = {}
    for one, other in _lines(inside):
        neighbors.setdefault(one, []).append(other)
        neighbors.setdefault(other, []).append(one)
    while neighbors:
        loop = [next(iter(neighbors))]
        while onward := [place for place in neighbors.pop(loop[-1]) if place in neighbors]:
            loop.append(onward[0])
        yield loop


def _lines(inside: dict[Place, bool]) -> Iterator[tuple[Place, Place]]:
    """Yield the lines in which the surface meets the six faces of the cube."""
    apart = sum(inside.values()) <= 4  # the kind of corner to separate on a face with two diagonal ones
    for axis, side in itertools.product(range(3), (0, 1)):
        corners = [(*pair[:axis], side, *pair[axis:]) for pair in ((0, 0), (0, 1), (1, 1), (1, 0))]
        edges = [(corners[i - 1], corners[i]) for i in range(4)]
        middles = [
            tuple((a + b) / 2 for a, b in zip(*edge, strict=True)) if inside[edge[0]] != inside[edge[1]] else None
            for edge in edges
        ]
        cut = [middle for middle in middles if middle is not None]
        if len(cut) == 2:
            yield cut[0], cut[1]
        elif len(cut) == 4:
            yield from ((cut[i], cut[(i + 1) % 4]) for i in range(4) if inside[corners[i]] == apart)


def _largest(loop: list[Place]) -> Vectors:
    """Return the triangles' normals (n, 3) for the triangulation of a polygon with the largest area."""
    places = np.array(loop)

    def normal(a: int, b: int, c: int) -> Vectors:
        cross: Vectors = np.cross(places[b] - places[a], places[c] - places[a]) / 2
        return cross

    def cuts(first: int, last: int) -> Iterator[list[Vectors]]:
        if last - first < 2:
            yield []
        for middle in range(first + 1, last):
            for left, right in itertools.product(cuts(first, middle), cuts(middle, last)):
                yield [*left, *right, normal(first, middle, last)]

    return np.array(max(cuts(0, len(loop) - 1), key=lambda cut: round(sum(map(float, map(np.linalg.norm, cut))), 9)))
