"""The parts of the built-in networks: together they are MONAI's own network, weights and outputs."""

import pytest
import torch
from monai.networks.nets.unet import UNet
from monai.networks.nets.unetr import UNETR
from monai.networks.nets.vnet import VNet

from semiseg.errors import ComponentError
from semiseg.registry import create
from semiseg.types import Task

TASK = Task(2, ("background", "a", "b"), (32, 32, 48))
SMALL_UNETR = {"feature_size": 4, "hidden_size": 12, "mlp_dim": 12, "num_heads": 2}
CASES = {
    "unet": (
        {"channels": (4, 8, 16), "strides": (2, 2)},
        lambda o: UNet(3, 2, 3, num_res_units=2, norm="instance", **o),
    ),
    "unet-two": (
        {"channels": (4, 8), "strides": (2,), "num_res_units": 0},
        lambda o: UNet(3, 2, 3, norm="instance", **o),
    ),
    "unet-strides": (
        {"channels": (4, 8, 8, 8), "strides": (1, 2, 4)},
        lambda o: UNet(3, 2, 3, num_res_units=2, norm="instance", **o),
    ),
    "vnet": ({"dropout": 0.0}, lambda o: VNet(3, 2, 3, dropout_prob_down=0.0, dropout_prob_up=(0.0, 0.0))),
    "unetr": (SMALL_UNETR, lambda o: UNETR(2, 3, (32, 32, 48), **o)),
}


def drawn(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return make().eval()


@pytest.fixture(params=CASES)
def case(request):
    options, theirs = CASES[request.param]
    backbone = create("backbone", request.param.partition("-")[0], options)
    return drawn(lambda: backbone.build(TASK)), drawn(lambda: theirs(options)), backbone


def images():
    return torch.randn((2, 2, *TASK.patch_size), generator=torch.Generator().manual_seed(1))


def test_weights_names_and_outputs_are_monai_s(case):
    ours, theirs, _ = case
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())
    with torch.no_grad():
        assert torch.allclose(ours(images()), theirs(images()), atol=1e-5)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
def test_a_network_can_be_scripted(case):
    ours, _, _ = case
    with torch.no_grad():
        assert torch.allclose(torch.jit.script(ours)(images()), ours(images()), atol=1e-5)


@pytest.mark.parametrize("mode", ["trilinear", "nearest"])
def test_other_upsampling_replaces_what_goes_up_in_the_decoder_alone(case, mode):
    _, _, backbone = case
    other = backbone.with_upsampling(mode)
    assert other.options.upsampling == mode
    assert backbone.options.upsampling == "transposed"
    network = drawn(lambda: other.build(TASK))
    up = [
        m for part in ("decoder", "head") for name in network.parts[part] for m in network.get_submodule(name).modules()
    ]
    assert not any(isinstance(m, torch.nn.ConvTranspose3d) for m in up)
    assert {m.mode for m in up if isinstance(m, torch.nn.Upsample)} == {mode}
    with torch.no_grad():
        assert network(images()).shape == (2, 3, *TASK.patch_size)


def test_an_unknown_way_up_is_refused():
    with pytest.raises(ComponentError, match="upsampling"):
        create("backbone", "unet", {"upsampling": "bicubic"})
