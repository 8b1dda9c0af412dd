"""Other ways up, by hand: what is interpolated, what is replaced, and what stays."""

import pytest
import torch
from torch import nn

from semiseg.interfaces.split import Level, SplitNetwork
from semiseg.strategy_parts.upsampling import replace_upsampling


class Network(SplitNetwork, nn.Module):
    """Transposed convolutions in every part, in the decoder nested and of unequal strides."""

    def __init__(self, axes=3):
        nn.Module.__init__(self)
        transposed, stride = (nn.ConvTranspose3d, (1, 2, 4)) if axes == 3 else (nn.ConvTranspose2d, (1, 4))
        self.inside = transposed(1, 1, 1)
        self.blocks = nn.Sequential(nn.Sequential(transposed(1, 2, stride, stride=stride, bias=False), nn.PReLU()))
        self.last = transposed(2, 3, 2, stride=2)
        self.levels = (Level(2, (2,) * axes),)
        self.parts = {"encoder": ("inside",), "decoder": ("blocks",), "head": ("last",)}

    def encode(self, images):
        return (self.inside(images),)

    def decode(self, features):
        return (self.blocks(features[0]),)

    def classify(self, decoded):
        return self.last(decoded[0])

    def forward(self, images):
        return self.classify(self.decode(self.encode(images)))


def drawn(mode, seed=0, axes=3):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(axes)
        replace_upsampling(network, mode)
    return network


def up(mode, row, axes):
    """A row of voxels through the head's replacement, with a convolution that changes nothing."""
    resize, convolution = drawn(mode, axes=axes).last
    with torch.no_grad():
        convolution.weight.zero_()[:, 0][(slice(None), *(1,) * axes)] = 1
        convolution.bias.zero_()
        images = torch.tensor(row).reshape(1, 1, -1, *(1,) * (axes - 1)).expand(1, 2, *(-1,) * axes)
        return convolution(resize(images))[0, 0][(slice(None), *(0,) * (axes - 1))].tolist()


AXES = pytest.mark.parametrize("axes", [3, 2])


@AXES
def test_nearest_repeats_each_voxel(axes):
    assert up("nearest", [0.0, 1.0, 5.0], axes) == [0, 0, 1, 1, 5, 5]


@AXES
def test_trilinear_goes_between_voxels_centers_and_not_between_the_corners(axes):
    assert up("trilinear", [0.0, 1.0, 5.0], axes) == pytest.approx([0, 0.25, 0.75, 2, 4, 5])


@pytest.mark.parametrize("mode", ["trilinear", "nearest"])
def test_the_decoder_and_the_head_change_and_keep_their_sizes(mode):
    network = drawn(mode)
    images = torch.zeros(1, 1, 3, 4, 5)
    assert network(images).shape == Network()(images).shape == (1, 3, 6, 16, 40)
    left = [name for name, module in network.named_modules() if isinstance(module, nn.ConvTranspose3d)]
    assert left == ["inside"]
    assert {module.mode for module in network.modules() if isinstance(module, nn.Upsample)} == {mode}
    convolution = network.blocks[0][0][1]
    assert (convolution.kernel_size, convolution.bias) == ((3, 3, 3), None)
    assert isinstance(network.blocks[0][1], nn.PReLU)
    assert network.last[1].bias is not None


def test_in_2d_trilinear_is_bilinear_with_2d_convolutions():
    network = drawn("trilinear", axes=2)
    images = torch.zeros(1, 1, 3, 5)
    assert network(images).shape == Network(axes=2)(images).shape == (1, 3, 6, 40)
    resize, convolution = network.blocks[0][0]
    assert (resize.mode, resize.scale_factor, resize.align_corners) == ("bilinear", (1, 4), False)
    assert (type(convolution), convolution.kernel_size, convolution.bias) == (nn.Conv2d, (3, 3), None)
    assert {m.mode for m in drawn("nearest", axes=2).modules() if isinstance(m, nn.Upsample)} == {"nearest"}


def test_the_new_convolutions_are_drawn_from_the_default_generator():
    one, two, other = (drawn("nearest", seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert not torch.equal(one["last.1.weight"], other["last.1.weight"])


def test_transposed_changes_nothing():
    network = Network()
    modules = list(network.modules())
    replace_upsampling(network, "transposed")
    assert all(one is other for one, other in zip(modules, network.modules(), strict=True))
