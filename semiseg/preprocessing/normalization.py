"""Normalization of intensities: the values by which each modality is shifted, scaled and clipped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import RecipeError
from semiseg.recipe import schema

Array = NDArray[np.integer | np.float32]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scaling:
    """A modality's normalization: values are clipped to ``limits``, if any, then reduced by ``offset``, then scaled."""

    offset: float = 0.0
    scale: float = 1.0
    limits: Range | None = None


def methods_of(options: schema.Preprocessing, modalities: Sequence[str]) -> list[str]:
    """Return each modality's method of normalization. Raises RecipeError for a mapping that is not of these."""
    if not isinstance(options.normalize, dict):
        return [options.normalize] * len(modalities)
    if set(options.normalize) != set(modalities):
        what = f"preprocessing.normalize is by modality, for {', '.join(options.normalize) or 'none'}"
        raise RecipeError(f"{what}; the dataset's are {', '.join(modalities)}.", "List each of these.")
    return [options.normalize[name] for name in modalities]


def scalings(image: NDArray[np.generic], options: schema.Preprocessing, modalities: Sequence[str]) -> list[Scaling]:
    """Return the scaling of each channel of an image (C, x, y, z).

    Raises RecipeError for a method that needs values which the recipe does not have: "auto" must be settled.
    """
    nonzero = options.foreground == "nonzero"
    names = modalities or [""] * len(image)  # one method for all needs no names
    pairs = zip(image, names, methods_of(options, names), strict=True)
    return [_scaling(channel, method, nonzero, options.intensities, name) for channel, name, method in pairs]


def _scaling(channel: NDArray[np.generic], method: str, nonzero: bool, known: object, name: str) -> Scaling:
    if method == "none":
        return Scaling()
    if method == "minmax":
        low, high = foreground_range(channel, nonzero)
        return Scaling(low, 1 / (high - low) if high > low else 1.0)
    if method == "ct":
        found = known.get(name) if isinstance(known, dict) else None
        if found is None:
            what = f"preprocessing.normalize is ct, but preprocessing.intensities has none of modality {name}."
            raise RecipeError(what, "Add them, or set preprocessing.intensities to auto.")
        return Scaling(found.mean, 1 / found.deviation, (found.low, found.high))
    mean, deviation = foreground_statistics(channel, nonzero)
    return Scaling(mean, 1 / deviation if deviation > 0 else 1.0)


def foreground_statistics(channel: NDArray[np.generic], nonzero: bool) -> tuple[float, float]:
    """Return mean and standard deviation of a channel's foreground (all voxels unless ``nonzero``); (0, 0) if none.

    The deviation is computed around the mean, in two passes, so that a large mean costs no precision.
    """
    count = _total(channel, nonzero, lambda values: float(values.size))
    if not count:
        return 0.0, 0.0
    mean = _total(channel, nonzero, lambda values: float(values.sum())) / count
    variance = _total(channel, nonzero, lambda values: float(np.square(values - mean).sum())) / count
    return mean, variance**0.5


def foreground_range(channel: NDArray[np.generic], nonzero: bool) -> Range:
    """Return minimum and maximum of a channel's foreground; (0, 0) if it has none."""
    ends = [(float(values.min()), float(values.max())) for values in _slabs(channel, nonzero) if values.size]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 0.0)


def _total(channel: NDArray[np.generic], nonzero: bool, measure: Callable[[NDArray[np.float64]], float]) -> float:
    return sum(measure(values) for values in _slabs(channel, nonzero))


def _slabs(channel: NDArray[np.generic], nonzero: bool) -> Iterator[NDArray[np.float64]]:
    for slab in channel:
        yield (slab[slab != 0] if nonzero else slab).astype(np.float64)
