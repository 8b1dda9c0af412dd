"""Other ways up, by hand: what is interpolated, what is replaced, and what stays."""

import pytest
import torch
from torch import nn

from semiseg.interfaces.split import Level, SplitNetwork
from semiseg.strategy_parts.upsampling import replace_upsampling


class Network(SplitNetwork, nn.Module):
    """Transposed convolutions in every part, in the decoder nested and of unequal strides."""

    def __init__(self):
        nn.Module.__init__(self)
        self.inside = nn.ConvTranspose3d(1, 1, 1)
        self.blocks = nn.Sequential(
            nn.Sequential(nn.ConvTranspose3d(1, 2, (1, 2, 4), stride=(1, 2, 4), bias=False), nn.PReLU())
        )
        self.last = nn.ConvTranspose3d(2, 3, 2, stride=2)
        self.levels = (Level(2, (2, 2, 2)),)
        self.parts = {"encoder": ("inside",), "decoder": ("blocks",), "head": ("last",)}

    def encode(self, images):
        return (self.inside(images),)

    def decode(self, features):
        return (self.blocks(features[0]),)

    def classify(self, decoded):
        return self.last(decoded[0])

    def forward(self, images):
        return self.classify(self.decode(self.encode(images)))


def drawn(mode, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network()
        replace_upsampling(network, mode)
    return network


def up(mode, row):
    """A row of voxels through the head's replacement, with a convolution that changes nothing."""
    resize, convolution = drawn(mode).last
    with torch.no_grad():
        convolution.weight.zero_()[:, 0, 1, 1, 1] = 1
        convolution.bias.zero_()
        images = torch.tensor(row).reshape(1, 1, -1, 1, 1).expand(1, 2, -1, 1, 1)
        return convolution(resize(images))[0, 0, :, 0, 0].tolist()


def test_nearest_repeats_each_voxel():
    assert up("nearest", [0.0, 1.0, 5.0]) == [0, 0, 1, 1, 5, 5]


def test_trilinear_goes_between_voxels_centers_and_not_between_the_corners():
    assert up("trilinear", [0.0, 1.0, 5.0]) == pytest.approx([0, 0.25, 0.75, 2, 4, 5])


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


def test_the_new_convolutions_are_drawn_from_the_default_generator():
    one, two, other = (drawn("nearest", seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert not torch.equal(one["last.1.weight"], other["last.1.weight"])


def test_transposed_changes_nothing():
    network = Network()
    modules = list(network.modules())
    replace_upsampling(network, "transposed")
    assert all(one is other for one, other in zip(modules, network.modules(), strict=True))
