"""nnU-Net's augmentation: its contract in 3D, in an anisotropic patch and in 2D, its options, and its rules by hand."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from semiseg.registry import load
from semiseg.testing.augmentation import AugmentationContract
from semiseg_nnunet.augmentation import NNUNetAugmentation
from semiseg_nnunet.augmentation_options import PROBABILITIES
from semiseg_nnunet.augmentation_rules import coarse_axis, largest_angle, size_to_read

ALWAYS = dict.fromkeys(PROBABILITIES, 1.0)


def made(**options):
    return NNUNetAugmentation(NNUNetAugmentation.Options(**options))


class TestNNUNetAugmentation(AugmentationContract):
    @pytest.fixture(params=[{}, {"probabilities": ALWAYS, "keep_background": False}], ids=["default", "always"])
    def augmentation(self, request):
        return made(**request.param)


class TestInAnAnisotropicPatch(AugmentationContract):
    @pytest.fixture
    def augmentation(self):
        return made(probabilities={"rotation": 1, "zoom_out": 1}, flip_axes=["left-right", "superior-inferior"])

    @pytest.fixture
    def patch_size(self):
        return (36, 8, 32)


def test_it_is_found_by_its_name():
    assert load("augmentation", "nnunet") is NNUNetAugmentation


def test_numpy_s_random_state_is_left_as_it_was():
    before = np.random.get_state()[1].copy()
    made(probabilities=ALWAYS)(torch.ones(1, 8, 8), None, (8, 8))
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    ("patch", "axis", "degrees"),
    [
        ((40, 56, 40), None, 30),
        ((40, 120, 40), None, 30),  # three times, not more
        ((20, 256, 224), 0, 180),
        ((256, 224, 20), 2, 180),
        ((64, 16, 128), 1, 180),
        ((256, 224), None, 180),
        ((96, 64), None, 180),  # 1.5 times, not more
        ((64, 128), None, 15),
    ],
)
def test_the_patch_decides_plane_and_angle(patch, axis, degrees):
    """``configure_rotation_dummyDA_mirroring_and_inital_patch_size`` of nnU-Net 2, with the coarse axis anywhere."""
    assert (coarse_axis(patch), largest_angle(patch)) == (axis, degrees)


@pytest.mark.parametrize(
    ("patch", "degrees", "zoom_out", "margin", "size"),
    [
        # sin 30 + sin² 30 = 0.75: (40 + 0.75 * 96) * 1.4 = 156.8 and (56 + 0.75 * 80) * 1.4 = 162.4, even excess
        ((40, 56, 40), 30, 1.4, 9, (158, 164, 158)),
        ((40, 56, 40), 30, 1.4, 0.6, (64, 90, 64)),  # 40 + 24, 56 + 33.6
        ((40, 56, 40), 0, 1.4, 0.6, (56, 80, 56)),
        ((40, 56, 40), 0, 0.9, 0.6, (40, 56, 40)),
        ((40, 56, 40), 30, 1.4, 0, (40, 56, 40)),
        ((10, 48, 40), 90, 1.0, 9, (10, 88, 88)),  # the coarse axis is neither rotated nor zoomed
        ((64, 48), 180, 1.0, 9, (112, 112)),
    ],
)
def test_the_size_to_read_by_hand(patch, degrees, zoom_out, margin, size):
    assert size_to_read(patch, degrees, zoom_out, margin) == size


def test_without_rotation_and_zoom_no_margin_is_read():
    augmentation = made(probabilities={"rotation": 0, "zoom_out": 0})
    assert augmentation.source_size((40, 56, 40)) == (40, 56, 40)
    assert made().source_size((40, 56, 40)) == (64, 90, 64)


def padding(augmentation, patch, seeds):
    """The mean share of a patch from beyond the border of what was read."""
    image = torch.ones(1, *augmentation.source_size(patch))
    shares = []
    with torch.random.fork_rng(devices=[]):
        for seed in range(seeds):
            torch.default_generator.manual_seed(seed)
            shares.append(float((augmentation(image, None, patch)[0] < 0.999).float().mean()))
    return sum(shares) / seeds


POSE_ALONE = dict.fromkeys(PROBABILITIES, 0) | {"rotation": 1, "zoom_out": 1}


@pytest.mark.parametrize("patch", [(8, 10, 6), (4, 16, 14), (16, 20), (8, 16)])
def test_with_the_whole_margin_rotation_and_zoom_bring_in_no_border(patch):
    assert padding(made(probabilities=POSE_ALONE, margin=9), patch, 60) == 0
    assert padding(made(probabilities=POSE_ALONE, margin=0), patch, 60) > 0.05


@pytest.mark.parametrize("patch", [(20, 28, 20), (64, 56)])
def test_with_the_default_margin_little_border_comes_in(patch):
    usual = {name: 0 for name in PROBABILITIES if name not in ("rotation", "zoom_out")}
    assert padding(made(probabilities=usual), patch, 200) < 0.005


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zoom_out": (1.4, 0.7)}, r"write \[0.7, 1.4\]"),
        ({"noise": (0.1, 0.0)}, r"write \[0.0, 0.1\]"),
        ({"gamma": (0.5, 0.8)}, "the range must contain 1"),
        ({"contrast": (1.1, 1.3)}, "the range must contain 1"),
        ({"low_resolution": (0.5, 2.0)}, "less than or equal to 1"),
        ({"low_resolution": (0.0, 1.0)}, "greater than 0"),
        ({"rotation": 0}, "greater than 0"),
        ({"probabilities": {"gama": 0.3}}, "gama"),
        ({"probabilities": {"gamma": 1.3}}, "less than or equal to 1"),
        ({"flip_axes": ["up-down"]}, "left-right"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        NNUNetAugmentation.Options(**options)


def test_mirrored_predictions_follow_the_flips():
    assert made().flipped_axes(3) == (0, 1, 2)
    assert made().flipped_axes(2) == (0, 1)
    assert made(flip_axes=["superior-inferior", "anterior-posterior"]).flipped_axes(3) == (1, 2)
    assert made(flip_axes=["superior-inferior"]).flipped_axes(2) == ()


@pytest.mark.parametrize(("size", "axes"), [((2, 2, 2), 3), ((2, 4), 2)], ids=["3D", "2D"])
def test_each_allowed_axis_is_flipped_half_of_the_time(size, axes):
    augmentation = made(probabilities=dict.fromkeys(PROBABILITIES, 0), flip_axes=["anterior-posterior"])
    image, label = torch.arange(1.0, 9).reshape(1, *size), torch.arange(1, 9).reshape(size)
    flipped = 0
    with torch.random.fork_rng(devices=[]):
        for seed in range(300):
            torch.default_generator.manual_seed(seed)
            changed, changed_label = augmentation(image, label, size)
            assert torch.equal(changed[0].long(), changed_label)
            is_flipped = torch.equal(changed, image.flip(2))
            assert is_flipped or torch.equal(changed, image)
            flipped += is_flipped
    assert abs(flipped - 150) < 4 * math.sqrt(300 / 4)
