"""A dataset of small .npy files, and augmentations that fail, for the tests of the data path."""

import os
import signal
from pathlib import Path

import numpy as np

from semiseg.errors import DataError, Problem
from semiseg.interfaces.augmentation import Augmentation
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.dataset import Dataset
from semiseg.types import Case, DatasetInfo, Geometry, Volume

SHAPE = (20, 18, 16)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class MadeDataset(Dataset):
    """Cases a, b, c … of two modalities: a bright ball in a box, with zeros around. It counts what is read."""

    class Options(ComponentOptions):
        root: Path
        n_cases: int = 8

    def __init__(self, root, n_cases=8, unlabeled=0, dtype=np.int16):
        super().__init__(self.Options(root=root, n_cases=n_cases))
        self.read = []
        root.mkdir(parents=True, exist_ok=True)
        names = [chr(ord("a") + i) for i in range(n_cases)]
        for i, name in enumerate(names):
            if not (root / f"{name}_0.npy").exists():
                self.make(root, name, i, dtype)
        labeled = names[: n_cases - unlabeled]
        self._cases = [
            Case(
                name,
                tuple(root / f"{name}_{m}.npy" for m in range(2)),
                root / f"{name}_label.npy" if name in labeled else None,
            )
            for name in names
        ]

    @staticmethod
    def make(root, name, seed, dtype):
        rng = np.random.default_rng(seed)
        grid = np.indices(SHAPE) - np.array([9, 8, 7])[:, None, None, None]
        ball = (grid**2).sum(0) < 9 + seed % 5
        for m in range(2):
            image = np.zeros(SHAPE, dtype)
            image[2:18, 3:15, 1:14] = rng.integers(100 * (m + 1), 300, (16, 12, 13))
            image[ball] += 500
            np.save(root / f"{name}_{m}.npy", image)
        np.save(root / f"{name}_label.npy", ball.astype(np.uint8))
        old = 1_600_000_000
        for path in root.glob(f"{name}_*"):
            os.utime(path, (old, old))

    def info(self):
        return DatasetInfo("made", ("one", "two"), ("background", "ball"), {0: 0, 1: 1}, (0, 1))

    def cases(self):
        return self._cases

    def new_cases(self, paths):
        raise NotImplementedError

    def read_image(self, case):
        self.read.append((case.id, "image"))
        return Volume(np.stack([self._load(path) for path in case.images]), Geometry(SHAPE, LPS))

    def read_label(self, case):
        self.read.append((case.id, "label"))
        array = self._load(case.label)
        return Volume(array, Geometry(array.shape, LPS))

    def read_geometry(self, case):
        self.read.append((case.id, "geometry"))
        return Geometry(SHAPE, LPS)

    @staticmethod
    def _load(path):
        try:
            return np.load(path)
        except (ValueError, EOFError) as error:
            raise DataError(Problem(str(path), "the file is damaged", "Copy it again.")) from error


class Refuses(Augmentation):
    """Raises a DataError with two problems."""

    def __call__(self, image, label, patch_size):
        raise DataError([Problem("here", "is wrong", "mend it"), Problem("there", "too")])


class Dies(Augmentation):
    """Its process is killed, as when memory runs out."""

    def __call__(self, image, label, patch_size):
        os.kill(os.getpid(), signal.SIGKILL)


class HasADefect(Augmentation):
    """Divides by zero."""

    def __call__(self, image, label, patch_size):
        return image / (1 // 0), label
