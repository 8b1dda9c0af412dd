import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from semiseg.augmentation.fused import FusedAugmentation
from semiseg.augmentation.luque2023 import Luque2023Augmentation
from semiseg.errors import ComponentError

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


@pytest.mark.parametrize("kind", [Luque2023Augmentation, FusedAugmentation])
@pytest.mark.parametrize("size", [(8, 8, 5), (8, 8)])
def test_quarter_turns_are_one_to_three_and_exact(kind, size):
    image = torch.randn((2, *size), generator=torch.Generator().manual_seed(3))
    augmentation, found = kind(kind.Options(probability=0, quarter_turns=1.0)), set()
    for seed in range(30):
        changed, label = apply(augmentation, image, image[0].long(), seed)
        (turns,) = (k for k in range(4) if torch.equal(changed, image.rot90(k, (1, 2))))
        assert torch.equal(label, image[0].long().rot90(turns, (0, 1)))
        found.add(turns)
    assert found == {1, 2, 3}


@pytest.mark.parametrize("kind", [Luque2023Augmentation, FusedAugmentation])
def test_quarter_turns_need_a_square_patch(kind):
    with pytest.raises(ComponentError, match="square in its first two axes"):
        kind(kind.Options(quarter_turns=0.5)).source_size((8, 6, 8))


def test_exponents_and_control_points_are_drawn_from_their_ranges():
    options = Luque2023Augmentation.Options(gamma=(0.5, 2), gamma_distribution="uniform", histogram_points=(5, 15))
    augmentation = Luque2023Augmentation(options)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        exponents = [augmentation._draw_gamma() for _ in range(2000)]
        points = [augmentation._draw_points() for _ in range(2000)]
    assert 0.5 <= min(exponents) < 0.51
    assert 1.99 < max(exponents) <= 2
    assert sum(exponents) / 2000 == pytest.approx(1.25, abs=0.03)  # log-uniform: 1.08
    assert set(points) == set(range(5, 16))


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
        {"histogram_points": [15, 5]},
        {"histogram_points": [2, 5]},
        {"quarter_turns": 1.5},
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
