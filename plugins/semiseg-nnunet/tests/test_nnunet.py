"""Both networks against those of dynamic-network-architectures, built with the arguments of nnU-Net's plans."""

import gc
import weakref

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from pydantic import ValidationError
from torch import nn

from semiseg.interfaces.split import Level, keep
from semiseg.registry import load
from semiseg.testing.backbone import BackboneContract
from semiseg.types import Task
from semiseg_nnunet.nnunet_plain import NNUNetPlain
from semiseg_nnunet.nnunet_resenc import NNUNetResEnc

TASK = Task(2, ("background", "a", "b"), (32, 48, 32))
FLAT = Task(2, ("background", "a", "b"), (32, 48))
NARROW = {"features_per_stage": (4, 6, 8)}
BOTH = pytest.mark.parametrize("kind", [NNUNetPlain, NNUNetResEnc])
ALL = (2, 2, 2)
ODD_STRIDES = {"strides": ((1, 1, 1), (1, 2, 2), (2, 2, 1)), "kernel_sizes": ((1, 3, 3), (3, 3, 3))}
FLAT_STRIDES = {"strides": ((1, 1), (1, 2), (2, 2)), "kernel_sizes": ((1, 3), (3, 3))}
TASKS = pytest.mark.parametrize("task", [TASK, FLAT], ids=["3D", "2D"])


def made(kind, task=TASK, **options):
    torch.manual_seed(0)
    return kind(kind.Options(**{**NARROW, **options})).build(task)


def theirs(kind, axes=3):
    """The network that nnU-Net builds for ``TASK`` or ``FLAT``, but narrow."""
    arguments = {
        "input_channels": 2,
        "num_classes": 3,
        "n_stages": 4,
        "features_per_stage": (4, 6, 8, 8),
        "conv_op": nn.Conv3d if axes == 3 else nn.Conv2d,
        "kernel_sizes": [[3] * axes] * 4,
        "strides": [[1] * axes, [2] * axes, [2] * axes, [2] * axes],
        "conv_bias": True,
        "norm_op": nn.InstanceNorm3d if axes == 3 else nn.InstanceNorm2d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
    }
    torch.manual_seed(0)
    if kind is NNUNetPlain:
        network = PlainConvUNet(**arguments, n_conv_per_stage=(2,) * 4, n_conv_per_stage_decoder=(2,) * 3)
    else:
        network = ResidualEncoderUNet(**arguments, n_blocks_per_stage=(1, 3, 4, 6), n_conv_per_stage_decoder=(1,) * 3)
    network.apply(network.initialize)
    return network


def images(task=TASK, count=2):
    return torch.randn((count, task.in_channels, *task.patch_size), generator=torch.Generator().manual_seed(1))


def scrambled(network):
    """Residual blocks start as the identity, and biases at zero: other weights show more."""
    with torch.no_grad():
        for parameter in network.parameters():
            generator = torch.Generator().manual_seed(parameter.numel())
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return network


class TestNNUNetPlain(BackboneContract):
    @pytest.fixture
    def backbone(self):
        return NNUNetPlain(NNUNetPlain.Options(**NARROW))


class TestNNUNetResEnc(BackboneContract):
    @pytest.fixture
    def backbone(self):
        return NNUNetResEnc(NNUNetResEnc.Options(**NARROW))


class OfTheStrides(BackboneContract):
    """Strides fix the number of axes."""

    @pytest.fixture
    def spatial_dims(self, backbone):
        return len(backbone.options.strides[0])


class TestNNUNetPlainWithStrides(OfTheStrides):
    @pytest.fixture(params=[ODD_STRIDES, FLAT_STRIDES], ids=["3D", "2D"])
    def backbone(self, request):
        more = {"upsampling": "trilinear", "n_conv_per_stage": (1, 2)}
        return NNUNetPlain(NNUNetPlain.Options(**NARROW, **request.param, **more))


class TestNNUNetResEncWithStrides(OfTheStrides):
    @pytest.fixture(params=[ODD_STRIDES, FLAT_STRIDES], ids=["3D", "2D"])
    def backbone(self, request):
        more = {"upsampling": "nearest", "n_blocks_per_stage": (1,)}
        return NNUNetResEnc(NNUNetResEnc.Options(**NARROW, **request.param, **more))


def test_they_are_found_by_their_names():
    assert load("backbone", "nnunet_plain") is NNUNetPlain
    assert load("backbone", "nnunet_resenc") is NNUNetResEnc


@TASKS
@BOTH
def test_weights_and_logits_are_those_of_nnunet_s_network(kind, task):
    ours, reference = made(kind, task), theirs(kind, task.spatial_dims)
    expected = reference.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in ours.state_dict().items())
    assert torch.equal(ours(images(task)), reference(images(task)))


@TASKS
@BOTH
def test_a_state_dict_of_nnunet_s_fits(kind, task):
    ours, reference = made(kind, task), scrambled(theirs(kind, task.spatial_dims))
    assert ours.load_state_dict(reference.state_dict(), strict=False).missing_keys == []
    with torch.no_grad():
        assert torch.equal(ours(images(task)), reference(images(task)))


@TASKS
@BOTH
def test_each_parameter_has_one_name(kind, task):
    network, reference = made(kind, task), theirs(kind, task.spatial_dims)
    names = [name for name, _ in network.named_parameters()]
    assert list(network.state_dict()) == names
    assert sorted(names) == sorted(name for name, _ in network.named_parameters(remove_duplicate=False))
    unused = {f"decoder.seg_layers.{i}.{what}" for i in (0, 1) for what in ("weight", "bias")}
    values = sum(p.numel() for name, p in reference.named_parameters() if name not in unused)
    assert sum(p.numel() for p in network.parameters()) == values


@TASKS
@BOTH
def test_the_stages_work_for_nnunet_s_estimate_of_memory(kind, task):
    """``compute_conv_feature_map_size`` reads the encoder's strides through the decoder."""
    ours, reference = made(kind, task), theirs(kind, task.spatial_dims)
    size = reference.compute_conv_feature_map_size(task.patch_size)
    assert ours.compute_conv_feature_map_size(task.patch_size) == size


@BOTH
def test_what_is_not_kept_is_freed(kind):
    network, other = made(kind), made(kind)
    encoder = weakref.ref(next(network.encoder.parameters()))
    with torch.no_grad():
        decoded, expected = other.decode(other.encode(images())), other(images())
    keep(network, "decoder", "head")
    gc.collect()
    assert encoder() is None
    assert not any(name.startswith("encoder") or ".encoder" in name for name in network.state_dict())
    keep(network, "head")
    assert [name for name, _ in network.named_parameters()] == [f"decoder.seg_layers.2.{w}" for w in ("weight", "bias")]
    assert torch.equal(network.classify(decoded), expected)
    keep(other, "encoder")
    assert all(name.startswith("encoder.") for name, _ in other.named_parameters())


@BOTH
def test_channels_double_up_to_320(kind):
    with torch.device("meta"):
        network = kind().build(Task(1, ("background", "a"), (112, 160, 128)))
    assert network.levels == (
        Level(32, (1, 1, 1)),
        Level(64, ALL),
        Level(128, (4, 4, 4)),
        Level(256, (8, 8, 8)),
        Level(320, (16, 16, 16)),
    )
    assert network.encoder.output_channels == (32, 64, 128, 256, 320, 320)


def test_a_spacing_of_equal_sides_fits_any_number_of_axes():
    flat = {spacing: made(NNUNetPlain, FLAT, spacing=spacing) for spacing in ((1, 1, 1), (2, 2))}
    assert {network.encoder.strides[1] for network in flat.values()} == {(2, 2)}
    assert made(NNUNetPlain, FLAT, spacing=(1, 5)).encoder.strides[1] == (2, 1)


def test_blocks_and_convolutions_a_stage_are_the_presets():
    task = Task(1, ("background", "a"), (128, 128, 128))
    with torch.device("meta"):
        plain, resenc = NNUNetPlain().build(task), NNUNetResEnc().build(task)
    assert [len(stage[0].convs) for stage in plain.encoder.stages] == [2] * 6
    assert [len(stage.convs) for stage in plain.decoder.stages] == [2] * 5
    assert [len(stage.blocks) for stage in resenc.encoder.stages] == [1, 3, 4, 6, 6, 6]
    assert [len(stage.convs) for stage in resenc.decoder.stages] == [1] * 5


def test_a_decoder_s_convolutions_are_given_lowest_first():
    network = made(NNUNetPlain, n_conv_per_stage_decoder=(3, 1))
    assert [len(stage.convs) for stage in network.decoder.stages] == [3, 1, 1]


def test_a_coarse_axis_has_flat_kernels_and_strides():
    network = made(NNUNetPlain, spacing=(1, 1, 5))
    assert network.encoder.strides[:3] == [(1, 1, 1), (2, 2, 1), (2, 2, 1)]
    assert network.encoder.stages[0][0].convs[0].all_modules[0].kernel_size == (3, 3, 1)


@TASKS
@BOTH
def test_with_upsampling_replaces_every_transposed_convolution(kind, task):
    backbone = kind(kind.Options(**NARROW))
    transposed = nn.ConvTranspose3d if task is TASK else nn.ConvTranspose2d
    for mode, count in (("transposed", 3), ("trilinear", 0), ("nearest", 0)):
        network = backbone.with_upsampling(mode).build(task)
        assert sum(isinstance(module, transposed) for module in network.modules()) == count


@pytest.mark.parametrize(
    ("patch", "options", "told"),
    [
        ((33, 35, 37), {}, ["33 is not a multiple of 8", "35 is not a multiple of 8", "37 is not a multiple of 8"]),
        ((112, 160, 120), {}, ["120 is not a multiple of 32"]),
        ((16, 8, 8), {}, ["nnU-Net plans 2 stages for a patch of 16 x 8 x 8, fewer than 3"]),
        ((32, 32, 32), {"n_stages": 6}, ["nnU-Net plans 4 stages for a patch of 32 x 32 x 32, fewer than 6"]),
        ((30, 30, 30), ODD_STRIDES, ["30 is not a multiple of 4"]),
        (
            (4, 4, 4),
            {"strides": ((1, 1, 1), ALL, ALL)},
            ["a patch of 4 x 4 x 4 leaves a single voxel at the lowest stage: double one side"],
        ),
        ((216, 256), {}, ["216 is not a multiple of 32"]),
        ((8, 8), {}, ["nnU-Net plans 2 stages for a patch of 8 x 8, fewer than 3"]),
        (
            (64, 64),
            {**ODD_STRIDES, "spacing": (1, 1, 5)},
            [
                "spacing has 3 numbers, but the patch has 2 sides",
                "strides has 3 numbers per stage, but the patch has 2 sides",
                "kernel_sizes has 3 numbers per stage, but the patch has 2 sides",
            ],
        ),
        ((64, 64, 64), {"spacing": (1, 5)}, ["spacing has 2 numbers, but the patch has 3 sides"]),
    ],
)
def test_a_patch_that_does_not_fit_is_refused_in_words(patch, options, told):
    backbone, task = NNUNetPlain(NNUNetPlain.Options(**options)), Task(1, ("background", "a"), patch)
    assert backbone.patch_problems(task) == told
    with pytest.raises(ValueError, match=told[0]):
        backbone.build(task)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": (ALL, ALL, ALL)}, "first stage must have stride 1"),
        ({"strides": ((1, 1, 1), ALL)}, "at least 3"),
        ({"strides": ((1, 1, 1), ALL, ALL), "n_stages": 4}, "3 strides make 3 stages"),
        ({"kernel_sizes": ((2, 3, 3),)}, "odd sizes"),
        ({"strides": ((1, 1), (2, 2), (2, 2, 2))}, "some stages have two numbers and some three"),
        ({"kernel_sizes": ((3, 3), (3, 3, 3))}, "some stages have two numbers and some three"),
        ({"strides": ((1, 2), (2, 2), (2, 2))}, "first stage must have stride 1"),
        ({"spacing": (1,)}, "at least 2"),
        ({"spacing": (1, 1, 1, 1)}, "at most 3"),
        ({"features_per_stage": ()}, "at least 1"),
        ({"n_stages": 2}, "greater than or equal to 3"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        NNUNetPlain.Options(**options)
