import pytest
import torch

from semiseg.backbones.unet import UNet
from semiseg.backbones.vnet import VNet
from semiseg.engine.precision import cpu_bf16_problems
from semiseg.types import Task


def problems(backbone, side):
    task = Task(1, ("background", "a"), (side, side, side))
    with torch.device("meta"):
        network = backbone.build(task)
    return cpu_bf16_problems(network, task)


@pytest.mark.parametrize(("backbone", "wrong", "right"), [(UNet(), 32, 48), (VNet(), 64, 80)])
def test_levels_smaller_than_a_kernel_are_refused_in_bf16(backbone, wrong, right):
    (problem,) = problems(backbone, wrong)
    assert "gradients are wrong" in problem.what
    assert "training.precision=32" in problem.fix
    assert problems(backbone, right) == []


def gradient(extent):
    """The gradient of a convolution in bf16, with memory around it that holds no number."""
    torch.manual_seed(0)
    layer, images = torch.nn.Conv3d(32, 32, 3, padding=1), torch.randn(2, 32, *extent)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(images)
    junk = [torch.full((n,), float("nan")) for n in (1000, 10_000, 100_000, 1_000_000) for _ in range(20)]
    del junk
    out.float().square().mean().backward()
    return layer.weight.grad, layer, images


@pytest.mark.parametrize("extent", [(3, 3, 3), (6, 8, 6), (3, 2, 2), (4, 4, 4)])
def test_the_extents_that_are_allowed_have_right_gradients(extent):
    found, layer, images = gradient(extent)
    layer.zero_grad()
    layer(images).square().mean().backward()
    assert torch.allclose(found, layer.weight.grad, atol=0.03 * float(layer.weight.grad.abs().max()))
