import pytest
import torch

from semiseg.backbones.basic_unet import BasicUNet
from semiseg.backbones.unet import UNet
from semiseg.backbones.vnet import VNet
from semiseg.backbones.vnet_la import VNetLA
from semiseg.engine import precision
from semiseg.engine.precision import bf16_problems, cpu_bf16_factor, cpu_bf16_problems, slow_bf16_notes
from semiseg.interfaces.roles import Role
from semiseg.types import Task

AXES = pytest.mark.parametrize("axes", [3, 2])


def problems(backbone, side, axes):
    return problems_of(backbone, (side,) * axes)


def problems_of(backbone, patch):
    task = Task(1, ("background", "a"), patch)
    with torch.device("meta"):
        network = backbone.build(task)
    return cpu_bf16_problems(network, Role("model").meta_inputs(task))


@AXES
@pytest.mark.parametrize(
    ("backbone", "wrong", "right"), [(UNet(), 32, 48), (BasicUNet(), 32, 48), (VNetLA(), 32, 48), (VNet(), 64, 80)]
)
def test_levels_smaller_than_a_kernel_are_refused_in_bf16(backbone, wrong, right, axes):
    (problem,) = problems(backbone, wrong, axes)
    assert "gradients are wrong" in problem.what
    assert "training.precision=32" in problem.fix
    assert problems(backbone, right, axes) == []


def test_one_axis_that_is_long_enough_suffices_in_3d_alone():
    assert problems_of(UNet(), (80, 16, 16)) == []
    assert len(problems_of(UNet(), (80, 16))) == 1
    assert problems_of(UNet(), (80, 48)) == []


def gradient(extent):
    """The gradient of a convolution in bf16, with memory around it that holds no number."""
    torch.manual_seed(0)
    convolution = torch.nn.Conv3d if len(extent) == 3 else torch.nn.Conv2d
    layer, images = convolution(32, 32, 3, padding=1), torch.randn(2, 32, *extent)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(images)
    junk = [torch.full((n,), float("nan")) for n in (1000, 10_000, 100_000, 1_000_000) for _ in range(20)]
    del junk
    out.float().square().mean().backward()
    return layer.weight.grad, layer, images


@pytest.mark.parametrize("extent", [(3, 3, 3), (6, 8, 6), (3, 2, 2), (4, 4, 4), (3, 3), (5, 3), (6, 8)])
def test_the_extents_that_are_allowed_have_right_gradients(extent):
    found, layer, images = gradient(extent)
    layer.zero_grad()
    layer(images).square().mean().backward()
    assert torch.allclose(found, layer.weight.grad, atol=0.03 * float(layer.weight.grad.abs().max()))


@AXES
def test_bf16_is_right_here_and_the_random_state_is_left_alone(axes):
    before = torch.random.get_rng_state()
    assert bf16_problems(torch.device("cpu"), axes) == []
    assert torch.equal(torch.random.get_rng_state(), before)


class WrongGradient(torch.autograd.Function):
    """As it is, but for the gradient, which is ``factor`` times what it should be."""

    @staticmethod
    def forward(ctx, values, factor):
        ctx.factor = factor
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.factor * gradient, None


@pytest.mark.parametrize("what", ["result", "gradient of the image", "gradient of the weight"])
@pytest.mark.parametrize("factor", [1.1, float("nan")])
@pytest.mark.parametrize("kind", ["conv3d", "conv_transpose3d", "conv2d", "conv_transpose2d"])
def test_wrong_bf16_is_found(monkeypatch, what, factor, kind):
    right = getattr(torch.nn.functional, kind)

    def wrong(image, weight, *args):
        if weight.dtype != torch.bfloat16:
            return right(image, weight, *args)
        if what == "gradient of the image":
            image = WrongGradient.apply(image, factor)
        if what == "gradient of the weight":
            weight = WrongGradient.apply(weight, factor)
        out = right(image, weight, *args)
        return out + (factor - 1) * out.detach() if what == "result" else out  # its gradients stay right

    monkeypatch.setattr(torch.nn.functional, kind, wrong)
    (problem,) = bf16_problems(torch.device("cpu"), int(kind[-2]))
    assert f"the {what} of a" in problem.what
    assert torch.__version__ in problem.what
    assert "training.precision=32" in problem.fix


@AXES
def test_the_factor_of_bf16_is_timed_and_leaves_the_random_state_alone(axes):
    before = torch.random.get_rng_state()
    assert 0.05 < cpu_bf16_factor(axes) < 100
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(("factor", "said"), [(0.4, False), (1.2, False), (5.04, True)])
def test_emulated_bf16_is_told_with_its_factor(monkeypatch, factor, said):
    monkeypatch.setattr(precision, "cpu_bf16_factor", lambda spatial_dims: factor)
    notes = slow_bf16_notes("training.precision (r.yaml:40)", 3)
    assert bool(notes) == said
    if said:
        assert notes[0].startswith("training.precision (r.yaml:40) is bf16, which this CPU emulates")
        assert "5.0 times as long as in float32" in notes[0]
