"""The parts of MONAI's networks: together they are the network itself, weights and outputs."""

import pytest
import torch
from monai.networks.nets.basic_unet import BasicUNet
from monai.networks.nets.unet import UNet
from monai.networks.nets.unetr import UNETR
from monai.networks.nets.vnet import VNet

from semiseg.errors import ComponentError
from semiseg.registry import create
from semiseg.types import Task

PATCHES = {"3D": (32, 32, 48), "2D": (32, 48)}
SMALL_UNETR = {"feature_size": 4, "hidden_size": 12, "mlp_dim": 12, "num_heads": 2}
CASES = {
    "unet": (
        {"channels": (4, 8, 16), "strides": (2, 2)},
        lambda n, o: UNet(n, 2, 3, num_res_units=2, norm="instance", **o),
    ),
    "unet-two": (
        {"channels": (4, 8), "strides": (2,), "num_res_units": 0},
        lambda n, o: UNet(n, 2, 3, norm="instance", **o),
    ),
    "unet-strides": (
        {"channels": (4, 8, 8, 8), "strides": (1, 2, 4)},
        lambda n, o: UNet(n, 2, 3, num_res_units=2, norm="instance", **o),
    ),
    "basic_unet": (
        {"features": (2, 4, 4, 6, 4, 3), "norm": "batch", "dropout": 0.2},
        lambda n, o: BasicUNet(n, 2, 3, act="LeakyReLU", **o),
    ),
    "vnet": ({"dropout": 0.0}, lambda n, o: VNet(n, 2, 3, dropout_prob_down=0.0, dropout_prob_up=(0.0, 0.0))),
    "unetr": (SMALL_UNETR, lambda n, o: UNETR(2, 3, PATCHES[f"{n}D"], spatial_dims=n, **o)),
}


def drawn(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return make().eval()


@pytest.fixture(params=PATCHES)
def task(request):
    return Task(2, ("background", "a", "b"), PATCHES[request.param])


@pytest.fixture(params=CASES)
def case(request, task):
    options, theirs = CASES[request.param]
    backbone = create("backbone", request.param.partition("-")[0], options)
    return drawn(lambda: backbone.build(task)), drawn(lambda: theirs(task.spatial_dims, options)), backbone


@pytest.fixture
def images(task):
    return torch.randn((2, 2, *task.patch_size), generator=torch.Generator().manual_seed(1))


def test_weights_names_and_outputs_are_monai_s(case, images):
    ours, theirs, _ = case
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())
    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), atol=1e-5)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
def test_a_network_can_be_scripted(case, images):
    ours, _, _ = case
    with torch.no_grad():
        assert torch.allclose(torch.jit.script(ours)(images), ours(images), atol=1e-5)


@pytest.mark.parametrize("mode", ["trilinear", "nearest"])
def test_other_upsampling_replaces_what_goes_up_in_the_decoder_alone(case, task, images, mode):
    _, _, backbone = case
    other = backbone.with_upsampling(mode)
    assert other.options.upsampling == mode
    assert backbone.options.upsampling == "transposed"
    network = drawn(lambda: other.build(task))
    up = [
        m for part in ("decoder", "head") for name in network.parts[part] for m in network.get_submodule(name).modules()
    ]
    assert not any(isinstance(m, torch.nn.ConvTranspose2d | torch.nn.ConvTranspose3d) for m in up)
    in_2d = {"trilinear": "bilinear"}.get(mode, mode)
    assert {m.mode for m in up if isinstance(m, torch.nn.Upsample)} == {mode if task.spatial_dims == 3 else in_2d}
    with torch.no_grad():
        assert network(images).shape == (2, 3, *task.patch_size)


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
def test_v_net_drops_whole_channels_and_no_whole_sample(patch):
    network = drawn(lambda: create("backbone", "vnet", {"dropout": 0.5}).build(Task(1, ("background", "a"), patch)))
    dropped = []
    for module in network.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd) and module.p:
            module.train().register_forward_hook(lambda _, __, out: dropped.append(out.flatten(2).eq(0).all(2)))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network(torch.randn((4, 1, *patch)))
    assert len(dropped) == 8
    assert all(0.1 < float(share) < 0.9 for each in dropped for share in each.float().mean(dim=1))


def test_basic_unet_is_by_default_the_network_of_the_reference_study_s_code():
    """The call is that of brats-semisup, network/network.py."""
    theirs = drawn(
        lambda: BasicUNet(
            spatial_dims=3,
            in_channels=4,
            out_channels=4,
            features=(16, 32, 64, 128, 256, 32),
            act="LeakyRELU",
            norm="instance",
            dropout=0.0,
            bias=True,
            upsample="deconv",
        )
    )
    ours = drawn(lambda: create("backbone", "basic_unet", {}).build(Task(4, tuple("abcd"), (32, 16, 16))))
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())
    images = torch.randn((1, 4, 32, 16, 16), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), atol=1e-5)


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
def test_basic_unet_drops_in_training_as_monai_s_does(patch):
    options, theirs = CASES["basic_unet"]
    networks = [
        drawn(lambda: create("backbone", "basic_unet", options).build(Task(2, ("background", "a", "b"), patch))),
        drawn(lambda: theirs(len(patch), options)),
    ]
    images = torch.randn((2, 2, *patch), generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        one = networks[0].train()(images)
        torch.manual_seed(4)
        assert torch.allclose(one, networks[1].train()(images), atol=1e-5)
        assert not torch.allclose(one, networks[0](images), atol=0.1)


def test_features_of_basic_unet_that_cannot_be_halved_are_refused():
    with pytest.raises(ComponentError, match="give each at least 2"):
        create("backbone", "basic_unet", {"features": (1, 1, 2, 1, 2, 1)})
    least = create("backbone", "basic_unet", {"features": (1, 1, 2, 2, 2, 1)})
    with torch.no_grad():
        assert least.build(Task(1, ("background", "a"), (32, 32)))(torch.zeros(1, 1, 32, 32)).shape == (1, 2, 32, 32)


@pytest.mark.parametrize("name", ["basic_unet", "vnet_la"])
@pytest.mark.parametrize(
    ("patch", "problems"),
    [
        ((16, 16, 16), ["a patch of 16 voxels leaves a single voxel at the lowest level: double one side"]),
        ((16, 16), ["a patch of 16 voxels leaves a single voxel at the lowest level: double one side"]),
        ((32, 40, 24), ["40 is not a multiple of 16", "24 is not a multiple of 16"]),
        ((16, 16, 32), []),
        ((16, 32), []),
    ],
)
def test_patches_of_five_levels(name, patch, problems):
    assert create("backbone", name, {}).patch_problems(Task(1, ("background", "a"), patch)) == problems


def test_an_unknown_way_up_is_refused():
    with pytest.raises(ComponentError, match="upsampling"):
        create("backbone", "unet", {"upsampling": "bicubic"})
