"""The critic: a network that tells predictions of labeled samples from those of unlabeled ones."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.plugin import Role, RoleOptimizer, Shape, Step, Task

UNLABELED, LABELED = 0, 1
"""The critic's classes."""
_LEVELS = 4
_DROPPED = 1 + 2 + 4
"""Channels that can be dropped, as a multiple of those of the first level."""


class Critic(nn.Module):
    """Judges what a network predicts of an image: four convolutions that halve each side, a mean, and two logits.

    HiLab-git/SSL4MIS at 06df604, code/networks/discriminator.py:6-55 (``FC3DDiscriminator``), and kleinzcy/SASSnet at
    1761aa8, code/networks/discriminator.py:54-98, the same but for the size of the mean: convolutions of size 4 and
    stride 2, of C, 2 C, 4 C and 8 C channels, the first one of the prediction plus that of the image; leaky ReLU with
    slope 0.2 and, after the first three, dropout of whole channels; the mean over the patch and a linear layer.

    Differences: images may have several channels; an axis with one voxel left is not halved further (size 3, stride
    1), and the mean is over what is left of the patch, whatever its size. There windows of 6 x 6 x 6 or 7 x 7 x 5
    voxels fit patches of 96 x 96 x 96 or 112 x 112 x 80 alone. ``FCDiscriminator`` there, for slices (SSL4MIS:58-100),
    has no activation before the second convolution, windows of 7 x 7 that leave out an eighth of each axis of 16
    pixels, and a linear layer for patches of 256 x 256 alone; slices have the layers of volumes here.

    Args:
        task: gives the channels and the size of the images.
        maps: number of channels of the predictions.
        channels: C.
    """

    def __init__(self, task: Task, maps: int, channels: int = 64) -> None:
        super().__init__()
        convolution: Callable[..., nn.Module] = nn.Conv2d if task.spatial_dims == 2 else nn.Conv3d
        sides = list(task.patch_size)
        layers: list[nn.Module] = []
        for level in range(_LEVELS):
            halved = [side > 1 for side in sides]
            kernel, stride = tuple(4 if half else 3 for half in halved), tuple(2 if half else 1 for half in halved)
            sides = [side // 2 if half else side for side, half in zip(sides, halved, strict=True)]
            wide = channels * 2**level
            ins = (maps, task.in_channels) if level == 0 else (wide // 2,)
            layers += [convolution(given, wide, kernel, stride, padding=1) for given in ins]
        self.of_maps, self.of_images, *deeper = layers
        self.deeper = nn.ModuleList(deeper)
        self.classifier = nn.Linear(channels * 2 ** (_LEVELS - 1), 2)

    def forward(self, maps: Tensor, images: Tensor, factors: Tensor | None = None) -> Tensor:
        """Return logits (n, 2) of ``UNLABELED`` and ``LABELED``.

        Args:
            maps: predictions (n, maps, \\*spatial).
            images: (n, C, \\*spatial).
            factors: of the channels after the first three levels, (n, 7 * channels), on any device, if some are to be
                dropped (``channel_factors``).
        """
        x = F.leaky_relu(self.of_maps(maps) + self.of_images(images), 0.2)
        parts = None if factors is None else factors.to(x).split([layer.in_channels for layer in self.deeper], dim=1)
        for level, convolution in enumerate(self.deeper):
            if parts is not None:
                x = x * parts[level].reshape(*parts[level].shape, *[1] * (x.dim() - 2))
            x = F.leaky_relu(convolution(x), 0.2)
        logits: Tensor = self.classifier(x.flatten(2).mean(dim=2))
        return logits


def critic_role(maps: Callable[[Task], int], channels: int, lr: float) -> Role:
    """Return the role ``critic``, with Adam at its own learning rate, without weight decay.

    Args:
        maps: a module's function that returns the number of channels of the predictions for a task.
        channels: those of the first level.
        lr: the learning rate at the start; the recipe's schedule applies to it.
    """
    optimizer = RoleOptimizer(name="adam", lr=lr, weight_decay=0.0)
    return Role(
        "critic",
        predicts=False,
        standalone=_builder(maps, channels),
        input_shapes=_input_shapes(maps),
        optimizer=optimizer,
    )


def channel_factors(slots: Sequence[int], step: Step, rate: float, channels: int) -> Tensor:
    """Return the factors of a dropout of the critic's channels for each sample, (n, 7 * channels) float32, on the CPU.

    A channel is 0 with the probability ``rate``, and otherwise 1 / (1 - rate). The draw of a sample depends only on
    (seed, step, slot), so that a step can be divided.
    """
    drawn = [torch.rand(_DROPPED * channels, generator=step.generator(slot, "critic")) for slot in slots]
    return (torch.stack(drawn) >= rate) / (1 - rate)


def _build(task: Task, maps: Callable[[Task], int], channels: int) -> nn.Module:
    return Critic(task, maps(task), channels)


@lru_cache
def _builder(maps: Callable[[Task], int], channels: int) -> "partial[nn.Module]":
    """Return the critic's builder; the same object for the same arguments."""
    return partial(_build, maps=maps, channels=channels)


def _shapes(task: Task, maps: Callable[[Task], int]) -> tuple[Shape, ...]:
    return (maps(task), *task.patch_size), (task.in_channels, *task.patch_size)


@lru_cache
def _input_shapes(maps: Callable[[Task], int]) -> "partial[tuple[Shape, ...]]":
    return partial(_shapes, maps=maps)
