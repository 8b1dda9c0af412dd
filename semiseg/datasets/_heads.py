"""Synthetic heads with tumors: artificial anatomy, with the modalities and labels of BraTS."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from semiseg.types import Shape

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

MODALITIES = ("t1", "t1ce", "t2", "flair")
NECROSIS, EDEMA, ENHANCING = 1, 2, 4

# Brightness of each tissue in T1, T1ce, T2 and FLAIR, ordered as in real scans.
_BRIGHTNESS: Mapping[str, tuple[float, float, float, float]] = MappingProxyType(
    {
        "scalp": (0.85, 0.90, 0.50, 0.55),
        "skull": (0.12, 0.13, 0.08, 0.10),
        "fluid": (0.18, 0.20, 1.00, 0.14),
        "gray": (0.43, 0.45, 0.60, 0.53),
        "white": (0.66, 0.68, 0.40, 0.40),
        "vessel": (0.40, 1.05, 0.25, 0.30),
        "lesion": (0.52, 0.54, 0.72, 0.82),
        "edema": (0.44, 0.46, 0.80, 0.86),
        "enhancing": (0.47, 1.05, 0.66, 0.72),
        "necrosis": (0.28, 0.30, 0.88, 0.50),
    }
)
_TUMOR = ("edema", "enhancing", "necrosis")


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """One case: ``images`` by modality and ``label`` (stored values), all (X, Y, Z), axes L, P, S as in BraTS."""

    images: Mapping[str, NDArray[np.int16]]
    label: NDArray[np.uint8]


def make_head(rng: np.random.Generator, size: Shape) -> Head:
    """Make a head with random shape, tissue, tumor, contrast, bias field and noise."""
    points = _points(rng, size)
    tissues = _anatomy(rng, points)
    label = _tumor(rng, points, tissues)
    masks = {**tissues, "edema": label == EDEMA, "enhancing": label == ENHANCING, "necrosis": label == NECROSIS}
    inside = np.any([*tissues.values()], axis=0)
    contrast = rng.uniform(0.5, 1.05)
    images = {name: _image(rng, index, masks, inside, contrast) for index, name in enumerate(MODALITIES)}
    return Head(images, label)


def _noise(rng: np.random.Generator, size: Shape, knots: int) -> Field:
    """Return a smooth random field of unit variance: a cubic B-spline with about ``knots`` random weights per axis."""
    field: Field = rng.standard_normal((knots + 3,) * 3, dtype=np.float32)
    for n in size:  # each pass consumes the first axis and appends the finer one
        field = np.tensordot(field, _splines(n, knots), axes=(0, 1))
    field -= field.mean()
    field /= field.std()
    return field


def _splines(n: int, knots: int) -> Field:
    """Return Values of ``knots + 3`` cubic B-splines at ``n`` places: (n, knots + 3)."""
    places = np.linspace(1, knots + 1, n)[:, None]
    t = np.abs(places - np.arange(knots + 3))
    values = np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6)
    return values.astype(np.float32)


def _size(field: NDArray[Any]) -> Shape:
    x, y, z = field.shape
    return x, y, z


def _points(rng: np.random.Generator, size: Shape) -> Field:
    """Return coordinates (3, X, Y, Z) in which the head is the unit ball: scaled, rotated and slightly deformed."""
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in size]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    angles = rng.normal(0, 0.08, 3)
    turn = np.eye(3)
    for (i, j), angle in zip(((0, 1), (0, 2), (1, 2)), angles, strict=True):
        rotation = np.eye(3)
        rotation[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        turn = turn @ rotation
    extent = np.array([0.86, 0.9, 0.88]) * rng.uniform(0.92, 1.04, 3)
    turned = np.tensordot((turn / extent[:, None]).astype(np.float32), grid, axes=1)
    bend = np.stack([_noise(rng, size, 3) for _ in range(3)])
    points: Field = turned + 0.03 * bend
    # A head is narrower at the front, which is at negative y.
    points[0] *= 1 - 0.12 * points[1]
    return points


def _ellipsoid(points: Field, center: tuple[float, float, float], radii: tuple[float, float, float]) -> Field:
    """Return the distance from the center, 1 at the surface."""
    offset = points - np.array(center, np.float32)[:, None, None, None]
    distance: Field = np.sqrt(((offset / np.array(radii, np.float32)[:, None, None, None]) ** 2).sum(axis=0))
    return distance


def _anatomy(rng: np.random.Generator, points: Field) -> dict[str, Mask]:
    """Return masks of tissues that do not overlap and fill the head; "white" is the remainder."""
    size = _size(points[0])
    folds, blobs = _noise(rng, size, 16), _noise(rng, size, 12)
    depth = _ellipsoid(points, (0, 0, 0), (1, 1, 1))
    brain = depth < 0.82
    fissure = (np.abs(points[0]) < 0.018) & (depth > 0.45) & (points[2] > -0.3)
    sulci = (depth > 0.63) & (np.abs(folds) < 0.14)  # thin sheets, as between the folds of a cortex
    fluid = brain & ((depth > 0.79) | sulci | fissure | _ventricles(rng, points))
    nuclei = [_ellipsoid(points, (side * 0.2, -0.02, -0.06), (0.11, 0.2, 0.13)) < 1 for side in (-1, 1)]
    cortex = (depth > 0.73) | ((depth > 0.56) & (np.abs(folds) < 0.45))
    vessel = brain & (_noise(rng, size, 18) > 2.7) & (depth > 0.3)
    lesion = brain & (blobs > 2.2) & (depth < 0.6)
    layers = {
        "scalp": (depth >= 0.92) & (depth < 1),
        "skull": (depth >= 0.82) & (depth < 0.92),
        "fluid": fluid,
        "vessel": vessel,
        "lesion": lesion,
        "gray": brain & (cortex | nuclei[0] | nuclei[1]),
        "white": brain,
    }
    taken = np.zeros(size, dtype=np.bool_)
    for name, mask in layers.items():
        layers[name] = mask & ~taken
        taken |= mask
    return layers


def _ventricles(rng: np.random.Generator, points: Field) -> Mask:
    width, length = rng.uniform(0.06, 0.12), rng.uniform(0.28, 0.4)
    bodies = []
    for side in (-1, 1):
        # The horns diverge toward the back.
        center_x = side * (0.05 + width + 0.12 * np.clip(points[1], 0, None))
        shifted = np.stack([points[0] - center_x, points[1] - 0.05, points[2] - 0.08 + 0.4 * points[1] ** 2])
        bodies.append(_ellipsoid(shifted, (0, 0, 0), (width, length, 0.13)) < 1)
    third = _ellipsoid(points, (0, 0.02, -0.12), (0.025, 0.14, 0.12)) < 1
    ventricles: Mask = bodies[0] | bodies[1] | third
    return ventricles


def _tumor(rng: np.random.Generator, points: Field, tissues: Mapping[str, Mask]) -> NDArray[np.uint8]:
    """Return stored label values: necrosis within enhancing tumor within edema, all of them present."""
    size = _size(points[0])
    depth = _ellipsoid(points, (0, 0, 0), (1, 1, 1))
    places = np.argwhere((depth > 0.25) & (depth < 0.6) & (np.abs(points[2]) < 0.4) & tissues["white"])
    center = points[:, *places[rng.integers(len(places))]]
    radius = rng.uniform(0.18, 0.34)
    stretch = rng.uniform(0.8, 1.25, 3)
    x, y, z = (float(v) for v in center)
    a, b, c = (float(v) for v in radius * stretch)
    distance = _ellipsoid(points, (x, y, z), (a, b, c))
    brain = depth < 0.79
    core = _largest(brain & (distance + 0.17 * _noise(rng, size, 7) < 1))
    rim = rng.uniform(0.2, 0.4)
    inner = ndimage.binary_erosion(core)
    necrosis = inner & ((distance + 0.15 * _noise(rng, size, 9) < 1 - rim) | (distance < 0.35))
    # Edema spreads along white matter in finger-like extensions.
    spread = rng.uniform(1.4, 2.2)
    reach = distance + 0.25 * _noise(rng, size, 8) + 0.25 * tissues["gray"]
    whole = _largest(core | (brain & ~tissues["fluid"] & (reach < spread)))
    label = np.zeros(size, np.uint8)
    label[whole] = EDEMA
    label[core] = ENHANCING
    label[necrosis] = NECROSIS
    return label


def _largest(mask: Mask) -> Mask:
    pieces, _ = ndimage.label(mask)
    largest: Mask = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    return largest


def _image(
    rng: np.random.Generator, modality: int, masks: Mapping[str, Mask], inside: Mask, contrast: float
) -> NDArray[np.int16]:
    """Return one modality: tissues with blurred borders and texture, times a bias field, with Rician noise."""
    size = _size(inside)
    clean = np.zeros(size, np.float32)
    surroundings = (_BRIGHTNESS["white"][modality] + _BRIGHTNESS["gray"][modality]) / 2
    for name, mask in masks.items():
        brightness = _BRIGHTNESS[name][modality]
        if name in _TUMOR:
            brightness = surroundings + contrast * rng.uniform(0.8, 1.2) * (brightness - surroundings)
        clean[mask] = brightness * rng.normal(1, 0.04)
    clean = ndimage.gaussian_filter(clean, 0.6) * (1 + 0.04 * _noise(rng, size, 16))
    clean *= np.exp(0.17 * _noise(rng, size, 2))
    level = rng.uniform(0.02, 0.05)
    real, imaginary = level * rng.standard_normal((2, *size), dtype=np.float32)
    gain = 600 * np.exp(rng.uniform(-0.7, 0.7))
    # Voxels within the head are above 0, so that 0 marks the outside.
    image: NDArray[np.int16] = np.where(inside, np.hypot(clean + real, imaginary) * gain + 1, 0).astype(np.int16)
    return image
