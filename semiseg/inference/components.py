"""Removal of small components from label maps."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.preprocessing.prepare import nonzero_box

NEIGHBORS = 26
"""Voxels that touch in a face, an edge or a corner are connected (in a picture or a single slice: 8 pixels)."""


def keep_largest(labels: NDArray[np.uint8], classes: Sequence[int]) -> None:
    """Set every component of some classes (indices) to background, in place, except the largest of each class.

    ``labels`` is (X, Y, Z). The largest component has the most voxels; of equals, the first one stays.
    """
    from scipy.ndimage import label

    for index in classes:
        mask = labels == index
        box = nonzero_box(mask[None])
        if box is None:
            continue
        inside = tuple(slice(*side) for side in box)
        components = np.empty(mask[inside].shape, np.int32)
        if label(mask[inside], np.ones((3, 3, 3)), output=components) > 1:
            sizes = np.bincount(components.ravel())
            sizes[0] = 0
            labels[inside][(components > 0) & (components != sizes.argmax())] = 0
