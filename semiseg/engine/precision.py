"""Checks, before training, for a precision that is wrong or slow on this machine."""

import math
import time
from collections.abc import Iterator, Sequence
from functools import cache
from statistics import median

import torch
from torch import Tensor, nn

from semiseg.errors import Problem

BF16_TOLERANCE = 0.02
"""Tolerated error of bf16, as a fraction of the largest value; bf16 rounds to 8 bits, which is 0.004."""
_SLOW = 1.5
"""Factor from which bf16 is called slow: CPUs with bf16 are faster than in float32, others several times slower."""


def cpu_bf16_problems(network: nn.Module, inputs: Sequence[Tensor]) -> list[Problem]:
    """Return what is wrong with training a network with such inputs (both on the meta device) in bf16 on the CPU.

    In torch 2.13, the bf16 weight gradient of a convolution whose kernel is larger than the image along every axis
    reads uninitialized memory, so gradients are wrong and sometimes not finite. One axis at least as long as the kernel
    makes them right in 3D (tests/unit/engine/test_precision.py). In 2D a gradient that was not finite was seen at a
    level of 5 x 1 pixels, so there a single axis shorter than the kernel is refused.
    """
    found: list[nn.Module] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Conv2d | nn.Conv3d) and max(module.kernel_size) > 1:
            sides = zip(inputs[0].shape[2:], module.kernel_size, strict=True)
            shorter = [extent < kernel for extent, kernel in sides]
            if all(shorter) or (len(shorter) == 2 and any(shorter)):
                found.append(module)

    hooks = [module.register_forward_pre_hook(look) for module in network.modules()]
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    what = "training.precision is bf16: on the CPU, gradients are wrong if a kernel is larger than its input."
    fix = "A level of the network is that small: use a larger training.patch_size, or set training.precision=32."
    return [Problem("", what, fix)] if found else []


def slow_bf16_notes(placed: str, spatial_dims: int) -> list[str]:
    """Return a note if bf16 is set on a CPU that only emulates it; ``placed`` is the key with its place."""
    factor = cpu_bf16_factor(spatial_dims)
    if factor < _SLOW:
        return []
    return [
        f"{placed} is bf16, which this CPU emulates: a convolution takes {factor:.1f} times as long as in float32"
        " (timed just now); training.precision=32 is faster here"
    ]


@cache
def cpu_bf16_factor(spatial_dims: int) -> float:
    """Return the time of a 2D or 3D convolution with its gradients in bf16 on this CPU, relative to float32.

    Timed once per process, in at most half a second. The random state is preserved.
    """
    with torch.random.fork_rng(devices=[]):
        dtypes = (torch.bfloat16, torch.float32)
        pairs = [[_conv_seconds(dtype, spatial_dims) for dtype in dtypes] for _ in range(4)]
    return median(low / single for low, single in pairs[1:])


def _conv_seconds(dtype: torch.dtype, spatial_dims: int) -> float:
    convolution, extent = (nn.Conv3d, (16, 16, 16)) if spatial_dims == 3 else (nn.Conv2d, (64, 64))
    layer = convolution(16, 16, 3, padding=1)
    image = torch.randn(1, 16, *extent, requires_grad=True)
    started = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        result = layer(image)
    result.float().square().mean().backward()
    return time.perf_counter() - started


def bf16_problems(device: torch.device, spatial_dims: int) -> list[Problem]:
    """Return what is wrong with 2D or 3D convolutions in bf16 on a device: a self-test of at most a second.

    Compares small convolutions of the kinds in MONAI's networks with float32 on the CPU: results, and gradients of
    image and weight. The inputs are exact in bf16, so results may differ only by its rounding. This finds a build of
    torch that is wrong in general, not errors at large sizes only. The random state is preserved.
    """
    error, where = max(_bf16_errors(device, spatial_dims))
    if error <= BF16_TOLERANCE:
        return []
    versions = f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    what = (
        f"training.precision resolves to bf16, which gives wrong results on this machine's {device.type}: the {where}"
        f" is off by {error:.0%} of its largest value ({versions})."
    )
    return [Problem("", what, "Set training.precision=32, or install another version of torch and cuDNN.")]


def _bf16_errors(device: torch.device, spatial_dims: int) -> Iterator[tuple[float, str]]:
    is_2d = spatial_dims == 2
    convolution, transposed = (nn.Conv2d, nn.ConvTranspose2d) if is_2d else (nn.Conv3d, nn.ConvTranspose3d)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        layers: dict[str, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d] = {
            "convolution": convolution(16, 32, 3, padding=1, bias=False),
            "strided convolution": convolution(4, 16, 3, stride=2, padding=1, bias=False),
            "pointwise convolution": convolution(32, 8, 1, bias=False),
            "transposed convolution": transposed(32, 16, 3, 2, padding=1, output_padding=1, bias=False),
        }
        for name, layer in layers.items():
            image = torch.randn(2, layer.in_channels, *(16, 12, 8)[:spatial_dims]).bfloat16()
            upstream = torch.randn(layer(image.float()).shape).bfloat16()
            in_bf16 = _results(layer.to(device, torch.bfloat16), image.to(device), upstream.to(device))
            in_float = _results(layer.to("cpu", torch.float32), image.float(), upstream.float())
            for what, (found, right) in zip(_RESULTS, zip(in_bf16, in_float, strict=True), strict=True):
                error = float((found.cpu().float() - right).abs().max() / right.abs().max())
                yield math.inf if math.isnan(error) else error, f"{what} of a {name}"


_RESULTS = ("result", "gradient of the image", "gradient of the weight")


def _results(layer: nn.Module, image: Tensor, upstream: Tensor) -> tuple[Tensor, ...]:
    image = image.detach().requires_grad_()
    out = layer(image)
    return (out.detach(), *torch.autograd.grad(out, [image, *layer.parameters()], upstream))
