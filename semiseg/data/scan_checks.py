"""Checks of cases by their voxels: the same scan under two ids, modalities in another order."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.data.split import Split
from semiseg.errors import Problem
from semiseg.io.orientation import to_ras
from semiseg.messages import some
from semiseg.preprocessing.prepare import nonzero_box
from semiseg.types import Volume

_SLAB = 16
"""Number of planes digested at a time."""


def scan_digest(volume: Volume) -> str:
    """Return a digest that equal images share: see ``digest_of``. Empty for an image of zeros."""
    return digest_of(to_ras(volume.array, volume.geometry)[0])


def digest_of(array: NDArray[np.generic]) -> str:
    """Return the digest of an image (C, X, Y, Z) with axes R, A, S; empty if every voxel is 0.

    It covers the values as float32, whatever their stored dtype, within the box of nonzero voxels, and does not depend
    on the order of channels.
    """
    box = nonzero_box(array)
    if box is None:
        return ""
    cut = array[(slice(None), *(slice(*side) for side in box))]
    channels = sorted(_channel_digest(channel) for channel in cut)
    return hashlib.sha256("\n".join([str(cut.shape), *channels]).encode()).hexdigest()


def _channel_digest(channel: NDArray[np.generic]) -> str:
    digest = hashlib.sha256()
    with np.errstate(over="ignore"):
        for first in range(0, len(channel), _SLAB):
            values = np.ascontiguousarray(channel[first : first + _SLAB], np.float32)
            digest.update((values + np.float32(0)).data)  # -0 becomes 0
    return digest.hexdigest()


def same_scans(split: Split, digests: Mapping[str, str]) -> tuple[list[Problem], list[str]]:
    """Find scans present under several ids: problems if on several sides of the split, notes if on a single one.

    ``digests`` are by case id; a case without one, or with an empty one, matches no other.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for case_id in split.ids():
        if digest := digests.get(case_id):
            found[digest].append(case_id)
    problems, notes = [], []
    for ids in found.values():
        sides = {_side(split, case_id) for case_id in ids}
        named = [f"{case_id} ({split.role_of(case_id)})" for case_id in ids]
        if len(sides) > 1:
            what = f"identical images, voxel by voxel, in {' and '.join(sorted(sides))}"
            problems.append(Problem(f"cases {some(named)}", what, _FIX))
        elif len(ids) > 1:
            notes.append(f"{len(ids)} cases have the same image: {some(named)}")
    return problems, notes


def _side(split: Split, case_id: str) -> str:
    role = split.role_of(case_id)
    return "training" if role in {"labeled", "unlabeled"} else str(role)


_FIX = "These are one scan, so scores would include training data. Keep one of these cases and move the others away."


_SAMPLES = 64
"""Approximate number of voxels sampled along an axis."""
_OTHERS = 4
"""With fewer other cases, the spread of intensities cannot be estimated."""
_GAP = 1
"""Minimum distance between two modalities to distinguish them, relative to the spread of either."""

Statistics = NDArray[np.float64]


def channel_statistics(array: NDArray[np.generic]) -> Statistics:
    """Return statistics (C, 6) of the nonzero voxels of each channel of (C, X, Y, Z); NaN if there are none.

    Mean, skewness (a single channel may be brighter), the logarithms of standard deviation and root mean square, and
    the deviations of these two from their averages over the channels (a whole scan may be brighter).
    """
    steps = tuple(slice(None, None, max(n // _SAMPLES, 1)) for n in array.shape[1:])
    found = np.array([_numbers(channel[steps]) for channel in array])
    return np.concatenate([found, found[:, 2:] - found[:, 2:].mean(axis=0)], axis=1)


def _numbers(channel: NDArray[np.generic]) -> tuple[float, float, float, float]:
    values = channel[channel != 0].astype(np.float64)
    if not values.size or not values.std():
        return np.nan, np.nan, np.nan, np.nan
    mean, deviation = values.mean(), values.std()
    skewness = (((values - mean) / deviation) ** 3).mean()
    return mean, skewness, np.log(deviation), np.log(mean**2 + deviation**2) / 2


def exchanged(
    found: Mapping[str, Statistics], training: Collection[str], modalities: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the cases whose channels seem to be in another order, with a description.

    A case is listed if some of its channels each look like another channel in the training cases, by a statistic that
    clearly separates these modalities in the training cases. If no statistic does, no case is listed.

    Args:
        found: ``channel_statistics`` by case id.
        training: ids of the reference cases.
        modalities: their names, in the order of the channels.
    """
    named = []
    for case_id, own in found.items():
        others = np.array([found[name] for name in found if name in training and name != case_id])
        if len(others) < _OTHERS:
            continue
        for index in range(own.shape[1]):
            order = _order(own[:, index], others[:, :, index])
            moved = [channel for channel, home in enumerate(order) if home != channel]
            if moved:
                looks = (f"{modalities[channel]} looks like {modalities[order[channel]]}" for channel in moved)
                named.append((case_id, ", ".join(looks)))
                break
    return named


def _order(own: NDArray[np.float64], others: NDArray[np.float64]) -> list[int]:
    """Return the modality that each channel of a case looks like, from a statistic of it (C) and of others (N, C)."""
    same = list(range(len(own)))
    if not (np.isfinite(own).all() and np.isfinite(others).all()):
        return same
    ordered = np.sort(others, axis=0)
    outliers = len(others) // 6  # others may be exchanged, too
    low, high = ordered[outliers], ordered[len(others) - 1 - outliers]
    away = np.maximum(np.maximum(low[None] - own[:, None], own[:, None] - high[None]), 0)  # channel, modality
    order = []
    for channel in same:
        home = int(away[channel].argmin())
        gap = max(low[channel] - high[home], low[home] - high[channel])
        spread = max(high[channel] - low[channel], high[home] - low[home])
        clear = gap > _GAP * spread and away[channel, home] < away[channel, channel] / 4
        order.append(home if clear else channel)
    return order if sorted(order) == same else same
