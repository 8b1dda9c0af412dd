"""A tiny task: 8-voxel patches whose bright half is the foreground."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from semiseg.interfaces.batch import Batch, LabeledStream, UnlabeledStream
from semiseg.seeding import derive_seed
from semiseg.strategies.cps import CrossPseudoSupervision

SIZE = (8, 8, 8)


def sample(seed):
    generator = torch.Generator().manual_seed(seed)
    label = (torch.rand(SIZE, generator=generator) > 0.5).long()
    image = label[None].float() + 0.3 * torch.randn((1, *SIZE), generator=generator)
    return image, label


class MadeBatches:
    """Batches that depend on the step's number alone, as the data path's do."""

    def __init__(self, labeled=2, unlabeled=2, poison_at=None):
        self.labeled, self.unlabeled, self.poison_at = labeled, unlabeled, poison_at

    def steps(self, start: int, stop: int) -> Iterator[Batch]:
        for step in range(start, stop):
            yield self.batch(step)

    def finish(self, batch: Batch, step: int) -> Batch:
        return batch

    def batch(self, step):
        drawn = [sample(derive_seed("sample", step, slot)) for slot in range(self.labeled + self.unlabeled)]
        images = torch.stack([image for image, _ in drawn])
        if step == self.poison_at:
            images[0, 0, 0, 0, 0] = float("nan")
        labels = torch.stack([label for _, label in drawn])
        n, names = self.labeled, tuple(f"case{slot}" for slot in range(len(drawn)))
        slots = tuple(range(len(drawn)))
        return Batch(
            LabeledStream(images[:n], n, slots[:n], names[:n], labels[:n]),
            UnlabeledStream(images[n:], self.unlabeled, slots[n:], names[n:]),
        )


@dataclass
class MadeCase:
    case_id: str
    seed: int
    slice_axis: int = 2

    def image(self):
        return sample(self.seed)[0].numpy()

    def label(self):
        return sample(self.seed)[1].numpy().astype(np.uint8)


class Net(nn.Module):
    """Two convolutions with dropout, so that random state matters, and batch norm, so that buffers do."""

    def __init__(self, seed):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.Dropout(0.2), nn.Conv3d(4, 2, 1)
            )

    def forward(self, x):
        return self.layers(x)


def cps(**options):
    networks = {"student_a": Net(1), "student_b": Net(2)}
    return CrossPseudoSupervision(CrossPseudoSupervision.Options(**options), networks)
