import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from semiseg.augmentation.luque2023 import Luque2023Augmentation

SIZES = [(16, 12, 10), (16, 12)]


def only(operation, **options):
    """An augmentation that always does one thing and nothing else."""
    return Luque2023Augmentation(
        Luque2023Augmentation.Options(probability=0, probabilities={operation: 1.0}, **options)
    )


def apply(augmentation, image, label=None, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return augmentation(image, label, tuple(image.shape[1:]))


@pytest.fixture(params=SIZES, ids=["3D", "2D"])
def image(request):
    image = torch.randn((2, *request.param), generator=torch.Generator().manual_seed(3))
    image[:, :5] = 0
    return image


def test_flips_only_the_axes_it_may(image):
    for axes, dims in (["left-right"], (1,)), ([1, 2], (2, 3)), (["superior-inferior"], (3,)):
        changed, label = apply(only("flipping", flip_axes=axes), image, image[0].long())
        present = [dim for dim in dims if dim < image.ndim]  # an image in 2D has no third axis
        assert torch.equal(changed, image.flip(present))
        assert torch.equal(label, image[0].long().flip([dim - 1 for dim in present]))


def test_a_volume_of_one_slice_is_flipped_along_all_axes():
    image = torch.randn((2, 8, 6, 1), generator=torch.Generator().manual_seed(3))
    assert torch.equal(apply(only("flipping"), image)[0], image.flip(1, 2))


def test_in_2d_it_turns_in_the_plane_by_the_angle_around_the_third_axis(monkeypatch):
    image = torch.arange(49.0).reshape(1, 7, 7)
    augmentation = Luque2023Augmentation(Luque2023Augmentation.Options(probability=0))
    monkeypatch.setattr(augmentation, "_draw_pose", lambda: (1.0, (20.0, -30.0, 90.0)))
    changed, label = apply(augmentation, image, image[0].long())
    torch.testing.assert_close(changed, torch.rot90(image, 1, (1, 2)), atol=1e-3, rtol=0)
    assert torch.equal(label, torch.rot90(image[0].long()))


def test_in_2d_rotations_out_of_the_plane_and_a_zoom_of_1_change_nothing(monkeypatch):
    image = torch.randn((2, 7, 9), generator=torch.Generator().manual_seed(3))
    augmentation = Luque2023Augmentation(Luque2023Augmentation.Options(probability=0))
    monkeypatch.setattr(augmentation, "_draw_pose", lambda: (1.0, (20.0, -30.0, 0.0)))
    assert torch.equal(apply(augmentation, image)[0], image)


@pytest.mark.parametrize("operation", ["gamma", "histogram_shift", "intensity_shift", "intensity_scaling"])
def test_intensity_operations_move_values_of_each_channel_alone_and_no_background(image, operation):
    same = image[:1].expand_as(image)
    changed, label = apply(only(operation), same, (same[0] > 0).long())
    assert not torch.equal(changed[0], changed[1])
    assert torch.equal(changed == 0, same == 0)
    assert torch.equal(label, (same[0] > 0).long())
    order = same[0].flatten().argsort()
    foreground = same[0].flatten()[order] != 0
    assert (changed[0].flatten()[order][foreground].diff() >= -1e-5).all()


def test_ranges_are_kept(image):
    constant = torch.ones_like(image)
    for seed in range(50):
        factor = apply(only("intensity_scaling", intensity_scaling=0.2), constant, seed=seed)[0].unique()
        assert ((factor >= 0.8) & (factor <= 1.2)).all()
        shifted = apply(only("intensity_shift", intensity_shift=0.3), image, seed=seed)[0] - image
        for channel, values in zip(shifted, image, strict=True):
            amount = channel[values != 0].unique()
            assert amount.abs().max() <= 0.3 * values[values != 0].std() + 1e-4


def test_nothing_happens_with_probability_0(image):
    changed, _ = apply(Luque2023Augmentation(Luque2023Augmentation.Options(probability=0)), image)
    assert torch.equal(changed, image)


@pytest.mark.parametrize(
    "options",
    [
        {"flip_axes": ["left"]},
        {"flip_axes": [3]},
        {"scaling": [1.1, 0.9]},
        {"probabilities": {"flips": 0.5}},
        {"probabilities": {"gamma": 1.5}},
        {"gamma": [0, 1]},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValidationError):
        Luque2023Augmentation.Options(**options)


def test_options_are_read_without_torch_or_torchio():
    code = (
        "import sys; from semiseg.augmentation.luque2023 import Luque2023Augmentation as P; P(P.Options());"
        "assert not {'torch', 'torchio', 'monai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_axes_that_are_flipped():
    def axes(spatial_dims, **options):
        return Luque2023Augmentation(Luque2023Augmentation.Options(**options)).flipped_axes(spatial_dims)

    assert axes(3) == (0, 1, 2)
    assert axes(2) == (0, 1)
    assert axes(3, flip_axes=("superior-inferior", "left-right")) == (0, 2)
    assert axes(2, flip_axes=("superior-inferior",)) == ()
    assert axes(3, probabilities={"flipping": 0}) == ()
