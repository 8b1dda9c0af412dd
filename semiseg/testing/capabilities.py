"""Contract tests of the capabilities that a backbone declares."""

from abc import abstractmethod
from collections import Counter
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.component import declared_axes
from semiseg.interfaces.split import SplitNetwork, Upsampling, keep
from semiseg.types import Task

KNOWN = frozenset({"split", "scales", "upsampling"})
WAYS_UP: tuple[Upsampling, ...] = ("transposed", "trilinear", "nearest")


def declared_or_skip(spatial_dims: int, component: Any) -> int:
    """Return a number of axes; skip the test if the component's class or object does not declare it."""
    declared = declared_axes(component)
    if spatial_dims not in declared:
        pytest.skip(f"it declares spatial_dims {sorted(declared)}")
    return spatial_dims


class CapabilityTests:
    """Tests of each capability; those of undeclared ones are skipped."""

    own_capabilities: ClassVar[frozenset[str]] = frozenset()
    """Further names, besides the known ones, that your backbone and strategy agree on."""

    @staticmethod
    @abstractmethod
    def build(backbone: Backbone, task: Task, seed: int = 0) -> nn.Module:
        """Build a network with a seed."""

    @staticmethod
    @abstractmethod
    def images(task: Task, count: int = 2) -> torch.Tensor:
        """Return noise of the task's shape."""

    def test_capabilities_are_known(self, backbone: Backbone) -> None:
        """A misspelled one would serve no strategy; ``scales`` requires ``split``."""
        unknown = backbone.capabilities - KNOWN - self.own_capabilities
        assert not unknown, f"unknown capabilities: {', '.join(sorted(unknown))}; known: {', '.join(sorted(KNOWN))}"
        assert "split" in backbone.capabilities or "scales" not in backbone.capabilities

    def test_the_parts_one_after_another_are_the_network(self, backbone: Backbone, task: Task) -> None:
        """``split``: the logits are the same, and decoding does not modify the features, which may be decoded again."""
        network, images = self._split(backbone, task), self.images(task)
        with torch.no_grad():
            features = network.encode(images)
            before = [feature.clone() for feature in features]
            logits = network.classify(network.decode(features))
            torch.testing.assert_close(logits, network(images), rtol=1e-4, atol=1e-4)
        assert all(torch.equal(one, other) for one, other in zip(features, before, strict=True))

    def test_levels_are_what_is_decoded(self, backbone: Backbone, task: Task) -> None:
        """``split``: channels and sizes match ``levels``; features and levels are ordered finest first."""
        network = self._split(backbone, task)
        with torch.no_grad():
            features = network.encode(self.images(task))
            decoded = network.decode(features)
        told = [
            (2, level.channels, *(n // f for n, f in zip(task.patch_size, level.factor, strict=True)))
            for level in network.levels
        ]
        assert [tuple(values.shape) for values in decoded] == told
        for each in (features, decoded):
            sizes = [values[0, 0].numel() for values in each]
            assert sizes == sorted(sizes, reverse=True)

    def test_every_parameter_belongs_to_one_part(self, backbone: Backbone, task: Task) -> None:
        """``split``: the encoder, the decoder or the head."""
        network = self._split(backbone, task)
        assert network.parts.keys() == {"encoder", "decoder", "head"}
        owners = Counter(
            name
            for names in network.parts.values()
            for part in names
            for name, _ in network.get_submodule(part).named_parameters(prefix=part)
        )
        assert [name for name, _ in network.named_parameters() if owners[name] != 1] == []

    def test_a_part_works_without_the_others(self, backbone: Backbone, task: Task) -> None:
        """``split``: the encoder alone works, and so does the rest without the encoder."""
        whole, encoder, rest = (self._split(backbone, task) for _ in range(3))
        keep(encoder, "encoder")
        keep(rest, "decoder", "head")
        with torch.no_grad():
            expected = whole.encode(self.images(task))
            features = encoder.encode(self.images(task))
            assert all(torch.equal(one, other) for one, other in zip(features, expected, strict=True))
            assert torch.equal(rest.classify(rest.decode(features)), whole.classify(whole.decode(expected)))

    def test_a_level_is_coarser_than_the_image(self, backbone: Backbone, task: Task) -> None:
        """``scales``: at least one level besides the finest can provide logits."""
        network = self._split(backbone, task, "scales")
        assert any(max(level.factor) > 1 for level in network.levels)

    def test_each_upsampling_makes_a_different_network(self, backbone: Backbone, task: Task) -> None:
        """``upsampling``: an option of this name, whose values give different networks for the same seed."""
        _require(backbone, "upsampling")
        assert "upsampling" in type(backbone).Options.model_fields
        before = backbone.options.model_dump()
        logits = []
        for mode in WAYS_UP:
            other = backbone.with_upsampling(mode)
            assert other.options.model_dump() == {**before, "upsampling": mode}
            with torch.no_grad():
                logits.append(self.build(other, task).eval()(self.images(task)))
            assert logits[-1].shape == (2, task.out_channels, *task.patch_size)
        assert backbone.options.model_dump() == before
        for i, mode in enumerate(WAYS_UP):
            same = [WAYS_UP[j] for j in range(i) if torch.equal(logits[i], logits[j])]
            assert not same, f"{mode} and {same[0]} give the same network"

    def _split(self, backbone: Backbone, task: Task, capability: str = "split") -> Any:
        """Return a network in parts, in evaluation mode."""
        _require(backbone, capability)
        network = self.build(backbone, task).eval()
        assert isinstance(network, SplitNetwork), f"{type(network).__name__} is not a SplitNetwork"
        return network


def _require(backbone: Backbone, capability: str) -> None:
    if capability not in backbone.capabilities:
        pytest.skip(f"{capability!r} is not declared")
