"""Dropout of whole channels of an encoder's features, before the decoder; each sample's draw has its own seed."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Literal, cast

import torch
from torch import Tensor, nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import Step
from semiseg.interfaces.split import Outputs, SplitNetwork
from semiseg.seeding import derive_seed
from semiseg.types import Task

FeatureDropout = Literal["none", "separate", "complementary"]
Features = tuple[Tensor, ...]


class DroppedFeatures(nn.Module):
    """One network that also decodes features with dropped channels. Capability: "split".

    - ``separate``: the features of the last samples are decoded once more for each rate: every channel of every level
      is 0 with that probability, and the others are divided by its complement (UniMatch, arXiv:2208.09910).
    - ``complementary``: the last samples are two views of each image, all first views before all second ones. Each
      channel is doubled in one view and 0 in the other (UniMatch V2, arXiv:2410.10777); half of the images, drawn by
      chance, keep their features.
    """

    def __init__(
        self, backbone: Backbone, task: Task, way: Literal["separate", "complementary"], rates: Sequence[float]
    ) -> None:
        super().__init__()
        self.network = backbone.build(task)
        self.way, self.rates = way, tuple(rates)

    def forward(self, images: Tensor, drawn: Tensor | None = None) -> Outputs:
        """Return logits, with ``drawn`` of dropped features of the last samples.

        ``drawn``: a seed for each of these samples, or pairs of views; int64, on the CPU.

        ``separate``: ``Outputs.decoders`` has the logits of these samples for each rate. ``complementary``:
        ``Outputs.logits`` are those of the dropped features.
        """
        network, seeds = cast(SplitNetwork, self.network), [] if drawn is None else drawn.tolist()
        features = network.encode(images)
        if self.way == "complementary":
            return Outputs(self._classified(_complementary(features, seeds) if seeds else features))
        logits = self._classified(features)
        if not seeds:
            return Outputs(logits)
        last = tuple(level[-len(seeds) :] for level in features)
        return Outputs(logits, tuple(self._classified(_dropped(last, rate, seeds)) for rate in self.rates))

    def _classified(self, features: Features) -> Tensor:
        network = cast(SplitNetwork, self.network)
        return network.classify(network.decode(features))


def _build(
    backbone: Backbone, task: Task, way: Literal["separate", "complementary"], rates: tuple[float, ...]
) -> nn.Module:
    return DroppedFeatures(backbone, task, way, rates)


@lru_cache
def with_dropped_features(
    way: Literal["separate", "complementary"], rates: tuple[float, ...] = ()
) -> "partial[nn.Module]":
    """Return the builder of a network with dropped features; the same object for the same arguments."""
    return partial(_build, way=way, rates=rates)


def feature_seeds(slots: Sequence[int], step: Step, name: str) -> tuple[int, ...]:
    """Return a seed for each sample's dropout, which depends only on (seed, step, slot, name)."""
    return tuple(derive_seed(step.seed, name, step.index, slot) for slot in slots)


def _dropped(features: Features, rate: float, seeds: Sequence[int]) -> Features:
    generators = [torch.Generator().manual_seed(derive_seed(seed, str(rate))) for seed in seeds]

    def factor(generator: torch.Generator, channels: int) -> Tensor:
        return (torch.rand(channels, generator=generator) >= rate) / (1 - rate)

    return tuple(level * _factors([factor(g, level.shape[1]) for g in generators], level) for level in features)


def _complementary(features: Features, seeds: Sequence[int]) -> Features:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    kept = [bool(torch.rand((), generator=generator) < 0.5) for generator in generators]
    found = []
    for level in features:
        rest = torch.ones((len(level) - 2 * len(seeds), level.shape[1]))
        drawn = [2.0 * (torch.rand(level.shape[1], generator=generator) < 0.5) for generator in generators]
        first = [torch.ones_like(one) if keep else one for one, keep in zip(drawn, kept, strict=True)]
        found.append(level * _factors([*rest, *first, *(2 - one for one in first)], level))
    return tuple(found)


def _factors(rows: Sequence[Tensor], level: Tensor) -> Tensor:
    """Return factors of the samples' channels, (n, C, 1, ...), on the device of a level of features."""
    return torch.stack(list(rows)).to(level).reshape(*level.shape[:2], *[1] * (level.dim() - 2))
