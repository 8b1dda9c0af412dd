"""Small photographs with a bright disk, and masks of it, in the folder layout."""

import numpy as np
from PIL import Image


def disk(seed, size=(40, 32)):
    """Return an RGB picture (rows, columns, 3) and its mask of 0 and 255; no two seeds give the same."""
    width, height = size
    random = np.random.default_rng(seed)
    row, column = random.integers(12, height - 10), random.integers(12, width - 10)
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - row) ** 2 + (columns - column) ** 2 <= 64
    picture = random.integers(20, 60, (height, width, 3))
    picture[inside] += np.array([150, 90, 30])
    return picture.astype(np.uint8), (255 * inside).astype(np.uint8)


def save(path, array, **options):
    """Write an array (rows, columns) or (rows, columns, 3) with Pillow, in the format of the ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def write_pictures(root, labeled=5, unlabeled=2, gray=False, ending=".png", size=(40, 32)):
    """Write labeled and unlabeled pictures; masks are always PNG."""
    for number in range(labeled + unlabeled):
        picture, mask = disk(number, size)
        part = root / ("labeled" if number < labeled else "unlabeled")
        save(part / "images" / f"p_{number:02d}{ending}", picture[..., 0] if gray else picture)
        if number < labeled:
            save(part / "labels" / f"p_{number:02d}.png", mask)
    return root
