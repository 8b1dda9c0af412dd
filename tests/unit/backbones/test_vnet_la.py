"""The V-Net of the left-atrium papers, by its description: what UA-MT's networks/vnet.py computes.

Its code was run beside this network with the same weights: the same logits and gradients, bit for bit.
"""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semiseg.registry import create
from semiseg.types import Task

CONVOLUTIONS = (1, 2, 3, 3, 3)
AXES = pytest.mark.parametrize("axes", [3, 2])


def network(axes, modalities=1, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return create("backbone", "vnet_la", options).build(Task(modalities, ("background", "a"), (32,) * axes))


def by_hand(axes, modalities, classes):
    """Number of parameters: a convolution with kernel k has k^axes weights for each pair of channels, and a bias."""

    def block(k, inputs, outputs):
        return k**axes * inputs * outputs + outputs + 2 * outputs

    channels = [16 * 2**level for level in range(5)]
    down = sum(block(2, a, b) for a, b in pairwise(channels))
    up = sum(block(2, b, a) for a, b in pairwise(channels))
    levels = [n * block(3, c, c) for n, c in zip(CONVOLUTIONS, channels, strict=True)]
    return block(3, modalities, 16) + sum(levels[1:]) + down + up + sum(levels[:-1]) + 16 * classes + classes


def test_its_parameters_are_as_many_as_the_papers_code_has():
    """VNet(n_channels=1, n_classes=2, normalization="batchnorm", has_dropout=True) in UA-MT has 9,448,866."""
    with torch.device("meta"):
        assert sum(p.numel() for p in network(3).parameters()) == by_hand(3, 1, 2) == 9_448_866
        assert sum(p.numel() for p in network(2, modalities=3).parameters()) == by_hand(2, 3, 2)


@AXES
@pytest.mark.parametrize("upsampling", ["transposed", "trilinear", "nearest"])
def test_it_computes_what_is_described(axes, upsampling):
    """Restated with functions, from the weights in their order; running statistics far from their start."""
    net = network(axes, modalities=2, channels=(2, 4, 4, 6, 4), upsampling=upsampling).double().eval()
    generator = torch.Generator().manual_seed(0)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
            for values in (norm.running_mean, norm.bias):
                values.data.uniform_(-0.3, 0.3, generator=generator)
            norm.running_var.uniform_(0.5, 2, generator=generator)
    held = iter(net.state_dict().values())
    conv, transposed = (F.conv2d, F.conv_transpose2d) if axes == 2 else (F.conv3d, F.conv_transpose3d)

    def block(x, apply, **how):
        weight, bias, scale, shift, mean, variance, _ = (next(held) for _ in range(7))
        return F.relu(F.batch_norm(apply(x, weight, bias, **how), mean, variance, scale, shift))

    images = torch.randn((2, 2, 32, 48, 16)[: 2 + axes], generator=generator, dtype=torch.float64)
    x, skips = images, []
    for level, count in enumerate(CONVOLUTIONS):
        if level:
            skips.append(x)
            x = block(x, conv, stride=2)
        for _ in range(count):
            x = block(x, conv, padding=1)
    for count in reversed(CONVOLUTIONS[:-1]):
        if upsampling == "transposed":
            x = block(x, transposed, stride=2) + skips.pop()
        else:
            mode = "bilinear" if axes == 2 and upsampling == "trilinear" else upsampling
            x = block(F.interpolate(x, scale_factor=2, mode=mode), conv, padding=1) + skips.pop()
        for _ in range(count):
            x = block(x, conv, padding=1)
    logits = conv(x, next(held), next(held))
    assert list(held) == []
    with torch.no_grad():
        assert torch.allclose(net(images), logits, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
@AXES
def test_it_can_be_scripted(axes):
    net = network(axes, channels=(2, 4, 4, 6, 4)).eval()
    images = torch.randn((1, 1, *(32,) * axes), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(torch.jit.script(net)(images), net(images), atol=1e-5)


@AXES
def test_a_voxel_of_the_lowest_level_sees_194_voxels(axes):
    """1 + 2 (1 + 2 * 2 + 3 * 4 + 3 * 8 + 3 * 16) of the convolutions + 1 + 2 + 4 + 8 of those that lead down."""
    net = network(axes, channels=(1,) * 5, dropout=0.0).double().eval()
    for parameter in net.parameters():
        parameter.data.fill_(1.0)
    images = torch.ones((1, 1, 256, 16, 16)[: 2 + axes], dtype=torch.float64, requires_grad=True)
    (seen,) = torch.autograd.grad(net.encode(images)[-1][0, 0, 8].sum(), images)
    (rows,) = seen[0, 0].flatten(1).sum(1).nonzero(as_tuple=True)
    assert (len(rows), rows[0].item(), rows[-1].item()) == (194, 128 - 89, 143 + 89)


@AXES
def test_whole_channels_drop_at_the_bottom_and_before_the_last_convolution(axes):
    """Probability 3/4: what is kept is four times as large, so that the mean stays."""
    with_dropout, without = (
        network(axes, channels=(16, 2, 2, 2, 64), norm="instance", dropout=p).train() for p in (0.75, 0.0)
    )
    images = torch.randn((8, 1, 32, 32, 16)[: 2 + axes], generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        features = without.encode(images)
        *above, bottom = with_dropout.encode(images)
        assert all(torch.equal(one, other) for one, other in zip(above, features, strict=False))
        kept(bottom, features[-1])
        first, *below = with_dropout.decode(features)
        decoded = without.decode(features)
        assert all(torch.equal(one, other) for one, other in zip(below, decoded[1:], strict=True))
        kept(first, decoded[0])


def kept(dropped, whole):
    """Each channel of each sample is nothing, or four times what it was."""
    nothing = dropped.flatten(2).eq(0).all(2)
    scale = torch.where(nothing, 0.0, 4.0)[(..., *[None] * (whole.dim() - 2))]
    assert torch.allclose(dropped, whole * scale, rtol=1e-6)
    alive = whole.flatten(2).gt(0).any(2)
    assert 0.65 < float(nothing[alive].float().mean()) < 0.85
