"""Contract tests of backbones; subclass them in your package's tests."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from semiseg.interfaces.backbone import Backbone
from semiseg.testing.capabilities import CapabilityTests, declared_or_skip
from semiseg.types import Task

MOST_BF16_OPERATIONS = 2e9
"""Limit of operations of a computed training step: emulated bf16 on a CPU then takes a few seconds."""


class BackboneContract(CapabilityTests):
    """Contract tests of a backbone, for each number of spatial axes that it declares (``Backbone.spatial_dims``).

    Provide a ``backbone`` fixture and, if needed, a small ``task`` with ``spatial_dims`` axes that it accepts.
    """

    @pytest.fixture
    def backbone(self) -> Backbone:
        """Return the backbone under test."""
        raise NotImplementedError

    @pytest.fixture(params=[2, 3], ids=["2D", "3D"])
    def spatial_dims(self, request: pytest.FixtureRequest, backbone: Backbone) -> int:
        """Return the number of spatial axes of the test's images."""
        return declared_or_skip(request.param, backbone)

    @pytest.fixture
    def task(self, spatial_dims: int) -> Task:
        """Return a task with two modalities, three classes and patches of 32 voxels per side."""
        return Task(2, ("background", "a", "b"), (32,) * spatial_dims)

    @pytest.fixture
    def bf16_task(self, backbone: Backbone, task: Task) -> Task:
        """Return the task for bf16: long along one axis, and as thin as the backbone allows.

        Long, because torch's CPU kernels are wrong if they are larger than a level (see semiseg.engine.precision);
        thin, because many CPUs emulate bf16. In 2D both axes are long.
        """
        sides = (48, 80) if task.spatial_dims == 2 else (8, 16)
        tasks = [replace(task, patch_size=(80, *(side,) * (task.spatial_dims - 1))) for side in sides]
        fitting = (thin for thin in tasks if not backbone.patch_problems(thin))
        return next(fitting, replace(task, patch_size=(80, *task.patch_size[1:])))

    @staticmethod
    def build(backbone: Backbone, task: Task, seed: int = 0) -> nn.Module:
        """Build a network with a seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return backbone.build(task)

    @staticmethod
    def images(task: Task, count: int = 2) -> torch.Tensor:
        """Return noise of the task's shape."""
        return torch.randn((count, task.in_channels, *task.patch_size), generator=torch.Generator().manual_seed(1))

    def test_logits_have_one_channel_per_class(self, backbone: Backbone, task: Task) -> None:
        """(B, C, *spatial) gives finite (B, K, *spatial)."""
        assert backbone.patch_problems(task) == []
        logits = self.build(backbone, task)(self.images(task))
        assert logits.shape == (2, task.out_channels, *task.patch_size)
        assert torch.isfinite(logits).all()

    def test_numbers_of_axes_are_declared(self, backbone: Backbone) -> None:
        """``spatial_dims``: 2, 3 or both."""
        assert backbone.spatial_dims
        assert backbone.spatial_dims <= {2, 3}

    def test_weights_come_from_torch_s_seed(self, backbone: Backbone, task: Task) -> None:
        """The same seed gives the same weights; another seed gives others."""
        one, same, other = (self.build(backbone, task, seed).state_dict() for seed in (0, 0, 1))
        assert all(torch.equal(one[key], same[key]) for key in one)
        assert any(not torch.equal(one[key], other[key]) for key in one)

    def test_every_parameter_gets_a_gradient(self, backbone: Backbone, task: Task) -> None:
        """Parameters that the backbone declares unused are exempt."""
        network = self.build(backbone, task)
        network(self.images(task)).square().sum().backward()
        missing = [name for name, p in network.named_parameters() if p.grad is None]
        assert [name for name in missing if not any(part in name for part in backbone.unused_parameters)] == []

    def test_evaluation_is_deterministic_and_sample_by_sample(self, backbone: Backbone, task: Task) -> None:
        """In eval mode, a sample's logits do not depend on the rest of the batch."""
        network = self.build(backbone, task).eval()
        images = self.images(task)
        with torch.no_grad():
            together = network(images)
            alone = torch.cat([network(images[:1]), network(images[1:])])
        assert torch.allclose(together, alone, atol=1e-4, rtol=1e-4)

    def test_a_patch_that_does_not_fit_is_refused(self, backbone: Backbone, task: Task) -> None:
        """A patch with odd sides either runs or is reported as a problem beforehand."""
        odd = Task(task.in_channels, task.classes, (33, 35, 37)[: task.spatial_dims])
        if not backbone.patch_problems(odd):
            assert self.build(backbone, odd)(self.images(odd)).shape[2:] == odd.patch_size

    def test_unknown_options_are_refused(self, backbone: Backbone) -> None:
        """A misspelled option is an error."""
        with pytest.raises(ValidationError):
            type(backbone).Options.model_validate({"no_such_option": 1})

    def test_it_trains_in_bf16(self, backbone: Backbone, bf16_task: Task) -> None:
        """Forward runs under autocast, backward outside; gradients have the weights' dtype, finite in small networks.

        Networks with more than two billion operations per patch are only traced for shapes and dtypes.
        """
        with FakeTensorMode():
            with FlopCounterMode(display=False) as counter:
                gradients = self.bf16_gradients(backbone, bf16_task)
            assert {gradient.dtype for gradient in gradients} == {torch.float32}
        if counter.get_total_flops() <= MOST_BF16_OPERATIONS:
            assert all(torch.isfinite(gradient).all() for gradient in self.bf16_gradients(backbone, bf16_task))

    def bf16_gradients(self, backbone: Backbone, task: Task) -> list[torch.Tensor]:
        """Return the gradients for one sample."""
        network: Any = self.build(backbone, task)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(self.images(task, 1))
        logits.float().square().mean().backward()
        return [p.grad for p in network.parameters() if p.grad is not None]
