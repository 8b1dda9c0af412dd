"""One pass over a label in compiled loops (numba)."""

from typing import Any

import numpy as np

from semiseg.numba_jit import compiled


@compiled
def class_bounds(labels: Any, n_classes: int) -> Any:
    """Return each class's first voxel along each axis and the one after its last, (n_classes, 3, 2); 0 if absent.

    ``labels`` (X, Y, Z) uint8 in C order, all below ``n_classes``: bounds are not checked.
    """
    nx, ny, nz = labels.shape
    bounds = np.zeros((n_classes, 3, 2), dtype=np.int64)
    for x in range(nx):
        for y in range(ny):
            some = np.uint8(0)
            for z in range(nz):  # branch-free: most rows are background, and are skipped at memory speed
                some |= labels[x, y, z]
            if some == 0:
                continue
            for z in range(nz):
                k = labels[x, y, z]
                if k == 0:
                    continue
                b = bounds[k]
                if b[0, 1] == 0:
                    b[0, 0], b[1, 0], b[2, 0] = x, y, z
                b[0, 1] = x + 1
                b[1, 0], b[1, 1] = min(b[1, 0], y), max(b[1, 1], y + 1)
                b[2, 0], b[2, 1] = min(b[2, 0], z), max(b[2, 1], z + 1)
    return bounds
