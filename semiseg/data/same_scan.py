"""Whether two cases are one scan, found by the values of their voxels: a copy may have another name, file or header."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from semiseg.data.preprocess import nonzero_box
from semiseg.data.split import Split
from semiseg.errors import Problem
from semiseg.io.orientation import to_ras
from semiseg.types import Volume
from semiseg.wording import some

_SLAB = 16
"""How many planes are digested at a time."""


def scan_digest(volume: Volume) -> str:
    """A digest that equal images share: see ``digest_of``. Empty for an image of zeros."""
    return digest_of(to_ras(volume.array, volume.geometry)[0])


def digest_of(array: NDArray[np.generic]) -> str:
    """The digest of an image (C, X, Y, Z) with axes R, A, S; empty where every voxel is 0.

    It is of the values in float32, whatever type they are stored in, within the box that holds all that is not 0, and
    does not depend on the order of channels.
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
    """Scans that are there under several ids: problems where they have several roles, notes where training alone.

    ``digests`` are by case id; a case without one, or with an empty one, is like no other.
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
            what = f"their images are equal, voxel by voxel, in {' and '.join(sorted(sides))}"
            problems.append(Problem(f"cases {some(named)}", what, _FIX))
        elif len(ids) > 1:
            notes.append(f"the same image is there as {len(ids)} cases: {some(named)}")
    return problems, notes


def _side(split: Split, case_id: str) -> str:
    role = split.role_of(case_id)
    return "training" if role in {"labeled", "unlabeled"} else str(role)


_FIX = "It is one scan: scores on it would be of what was trained on. Keep one of these cases, move the others away."
