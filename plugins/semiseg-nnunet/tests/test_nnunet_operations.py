"""Each operation of nnU-Net's augmentation alone, against its definition: formulas, closed forms and frequencies."""

import math

import pytest
import torch

from semiseg.plugin import IGNORED
from semiseg_nnunet.augmentation import NNUNetAugmentation
from semiseg_nnunet.augmentation_options import PER_CHANNEL, PROBABILITIES

NEVER = dict.fromkeys(PROBABILITIES, 0.0)
SEEDS = range(40)


def only(*operations, probability=1.0, **options):
    """The augmentation with these operations alone, without flips."""
    chosen = NEVER | dict.fromkeys(operations, probability)
    return NNUNetAugmentation(NNUNetAugmentation.Options(probabilities=chosen, flip_axes=(), **options))


def samples(augmentation, image, patch, label=None, seeds=SEEDS):
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            torch.default_generator.manual_seed(seed)
            yield augmentation(image, label, patch)


def images(augmentation, image, seeds=SEEDS):
    """Changed images, of the size of the image itself."""
    return [changed for changed, _ in samples(augmentation, image, tuple(image.shape[1:]), seeds=seeds)]


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def places(size):
    """Each voxel's position relative to the center, as channels."""
    return torch.stack(torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in size), indexing="ij"))


@pytest.mark.parametrize("operation", PROBABILITIES)
def test_operations_happen_as_often_as_in_nnunet(operation):
    others = {name: 0 for name in PROBABILITIES if name != operation}
    augmentation = NNUNetAugmentation(NNUNetAugmentation.Options(probabilities=others, flip_axes=(), margin=0))
    image, count = noise(1, 10, 12), 500
    changed = sum(not torch.equal(result, image) for result in images(augmentation, image, range(count)))
    expected = PROBABILITIES[operation] * (PER_CHANNEL if operation in ("blur", "low_resolution") else 1)
    assert abs(changed - count * expected) < 4 * math.sqrt(count * expected * (1 - expected))


def matrices(augmentation, patch):
    """The linear map from a patch's voxels to the source's, around their centers, of each sample."""
    source = places(augmentation.source_size(patch))
    voxels = places(patch).flatten(1).double()
    for moved, _ in samples(augmentation, source, patch):
        found = torch.linalg.lstsq(voxels.T, moved.flatten(1).double().T).solution.T
        assert torch.allclose(found @ voxels, moved.flatten(1).double(), atol=1e-3)  # it is linear, without a shift
        yield found


POSE = {"margin": 9, "keep_background": False}


@pytest.mark.parametrize(("patch", "degrees"), [((6, 8, 10), 30), ((8, 10), 180), ((8, 16), 15)])
def test_rotation_keeps_distances_within_the_largest_angle(patch, degrees):
    n, angles = len(patch), []
    for matrix in matrices(only("rotation", **POSE), patch):
        assert torch.allclose(matrix @ matrix.T, torch.eye(n, dtype=torch.float64), atol=1e-4)
        assert torch.linalg.det(matrix) > 0
        # the axes are turned about one after the other: Rz Ry Rx
        z = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
        y = math.degrees(math.asin(-matrix[2, 0])) if n == 3 else 0
        x = math.degrees(math.atan2(matrix[2, 1], matrix[2, 2])) if n == 3 else 0
        angles.append((x, y, z)[3 - 2 * n :] if n == 3 else (z,))
    largest = torch.tensor(angles).abs().amax(0)
    assert (largest < degrees + 0.01).all()
    assert (largest > 0.8 * degrees).all()


def test_zoom_is_the_same_along_all_axes():
    factors = []
    for matrix in matrices(only("zoom_out", **POSE), (6, 8, 10)):
        assert torch.allclose(matrix, matrix[0, 0] * torch.eye(3, dtype=torch.float64), atol=1e-4)
        factors.append(float(matrix[0, 0]))
    assert 0.7 <= min(factors) < 0.75
    assert 1.35 < max(factors) <= 1.4


def test_an_anisotropic_patch_moves_in_its_plane():
    angles = []
    for matrix in matrices(only("rotation", "zoom_out", **POSE), (16, 4, 14)):
        assert torch.allclose(matrix[1], torch.tensor([0.0, 1, 0]).double(), atol=1e-4)
        assert torch.allclose(matrix[:, 1], torch.tensor([0.0, 1, 0]).double(), atol=1e-4)
        plane = matrix[[0, 2]][:, [0, 2]]
        assert torch.allclose(plane @ plane.T, torch.linalg.det(plane) * torch.eye(2, dtype=torch.float64), atol=1e-3)
        angles.append(abs(math.degrees(math.atan2(plane[1, 0], plane[0, 0]))))
    assert max(angles) > 150


@pytest.mark.parametrize("patch", [(8, 10, 12), (16, 4, 14), (12, 16)])
def test_a_label_is_the_class_with_the_largest_interpolated_indicator(patch):
    augmentation = only("rotation", "zoom_out", margin=0, keep_background=False)
    classes = torch.tensor([0, 1, 2, IGNORED])
    label = classes[torch.randint(4, patch, generator=torch.Generator().manual_seed(0))]
    indicators = torch.stack([(label == value).float() for value in classes])
    for moved, moved_label in samples(augmentation, indicators, patch, label):
        # Beyond the border no class has an indicator, and if nothing outweighs that, it is background.
        outside = 1 - moved.sum(0)
        scores, index = moved.sort(0, descending=True)
        is_clear = (scores[0] - torch.maximum(scores[1], outside)) > 1e-2
        assert torch.equal(moved_label[is_clear], classes[index[0]][is_clear])
        assert (moved_label[outside - scores[0] > 1e-2] == 0).all()
        assert is_clear.float().mean() > 0.25


def test_noise_has_the_drawn_deviation_alike_in_all_channels():
    image = torch.ones(2, 24, 24, 24)
    deviations = []
    for changed in images(only("noise"), image):
        added = changed - image
        one, other = added.flatten(1).std(1)
        assert torch.allclose(one, other, rtol=0.05)
        assert abs(added.mean()) < 4 * one / math.sqrt(added.numel())
        assert abs(torch.corrcoef(added.flatten(1))[0, 1]) < 0.05  # but not the same noise
        deviations.append(float(one))
    assert max(deviations) <= 0.102
    assert sum(deviations) / len(deviations) == pytest.approx(0.05, abs=4 * 0.1 / math.sqrt(12 * len(deviations)))
    fixed = images(only("noise", noise=(0.5, 0.5)), image, range(1))[0] - image
    assert float(fixed.std()) == pytest.approx(0.5, rel=0.02)


def test_blur_is_a_gaussian_of_the_drawn_widths():
    """An impulse becomes a product of kernels of exp(-x² / 2 sigma²), cut at 3 voxels, with a sum of 1."""
    image = torch.zeros(1, 15, 17, 13)
    image[0, 7, 8, 6] = 1
    blurred = [c for c in images(only("blur", blur=(1, 1), keep_background=False), image) if not torch.equal(c, image)]
    assert len(blurred) > 10
    kernel = torch.exp(-(torch.arange(-3, 4) ** 2) / 2.0)
    kernel /= kernel.sum()
    expected = torch.zeros_like(image)
    expected[0, 4:11, 5:12, 3:10] = torch.einsum("i,j,k->ijk", kernel, kernel, kernel)
    assert all(torch.allclose(changed, expected, atol=1e-6) for changed in blurred)


def test_blur_has_a_width_for_each_axis_and_keeps_the_mean_of_a_constant():
    image = torch.zeros(1, 15, 15, 15)
    image[0, 7, 7, 7] = 1
    ratios = []
    for changed in images(only("blur", keep_background=False), image):
        if not torch.equal(changed, image):
            x, y, z = (changed[0].sum([a for a in range(3) if a != axis]) for axis in range(3))
            assert float(changed.sum()) == pytest.approx(1, abs=1e-5)
            ratios.append([float(one[8] / one[7]) for one in (x, y, z)])  # exp(-1 / 2 sigma²)
    ratios = torch.tensor(ratios)
    assert (ratios > math.exp(-1 / (2 * 0.5**2)) - 1e-4).all()
    assert (ratios < math.exp(-1 / 2) + 1e-4).all()
    assert (ratios[:, 0] - ratios[:, 1]).abs().max() > 0.1
    constant = torch.full((1, 8, 8), 3.0)
    assert all(torch.allclose(changed, constant, atol=1e-5) for changed in images(only("blur"), constant))


def test_brightness_multiplies_each_channel():
    image = noise(2, 6, 6) + 3
    factors = torch.stack([(changed / image).flatten(1)[:, 0] for changed in images(only("brightness"), image)])
    for changed, factor in zip(images(only("brightness"), image), factors, strict=True):
        assert torch.allclose(changed, image * factor[:, None, None])
    assert (factors[:, 0] != factors[:, 1]).all()
    assert ((factors >= 0.75) & (factors <= 1.25)).all()
    below = int((factors < 1).sum())
    assert abs(below - factors.numel() / 2) < 4 * math.sqrt(factors.numel() / 4)


def test_contrast_scales_the_differences_from_the_mean_and_clips_to_the_range():
    image = noise(1, 8, 8)
    mean, low, high = image.mean(), image.min(), image.max()
    middle = ((image - mean).abs() - 0.5).abs().argmin()  # far from the ends of the range
    factors = []
    for changed in images(only("contrast"), image):
        factor = ((changed - mean) / (image - mean)).flatten()[middle]
        assert torch.allclose(changed, ((image - mean) * factor + mean).clamp(low, high), atol=1e-5)
        factors.append(float(factor))
    assert 0.75 <= min(factors) < 1 < max(factors) <= 1.2501


def test_low_resolution_takes_every_other_voxel_and_interpolates():
    """Of 4 voxels at half the resolution voxels 1 and 3 remain, each at the center of its half."""
    image = torch.tensor([[[8.0, 0, 8, 4]] * 4])
    changed = [c for c in images(only("low_resolution", low_resolution=(0.5, 0.5)), image) if not torch.equal(c, image)]
    assert len(changed) > 10
    # Voxel 1 is background, and stays 0; without keep_background it is a quarter of the way from 0 to 4.
    assert all(torch.allclose(c, torch.tensor([[[0.0, 0, 3, 4]] * 4])) for c in changed)
    free = only("low_resolution", low_resolution=(0.5, 0.5), keep_background=False)
    assert any(torch.allclose(c, torch.tensor([[[0.0, 1, 3, 4]] * 4])) for c in images(free, image))


def test_low_resolution_keeps_shape_and_the_coarse_axis():
    image = noise(2, 5, 24, 21)
    for changed in images(only("low_resolution", low_resolution=(0.4, 0.9)), image):
        assert changed.shape == image.shape
    varies_along_coarse = torch.arange(1.0, 6)[None, :, None, None].expand(1, 5, 24, 21)
    for changed in images(only("low_resolution"), varies_along_coarse):
        assert torch.allclose(changed, varies_along_coarse)


@pytest.mark.parametrize(("operation", "inverted"), [("gamma", False), ("inverted_gamma", True)])
def test_gamma_is_a_power_of_the_range_and_retains_mean_and_deviation(operation, inverted):
    """Of the values a, b in the middle and c, the share (b - a) / (c - a) becomes its power: 0.5 ** gamma."""
    image = torch.tensor([-1.0, 1, 3]).repeat(3, 3, 3).reshape(1, 9, 9)
    exponents = []
    for changed in images(only(operation), image):
        assert float(changed.mean()) == pytest.approx(float(image.mean()), abs=1e-4)
        assert float(changed.std()) == pytest.approx(float(image.std()), rel=1e-4)
        a, b, c = (float(changed[image == value][0]) for value in (-1, 1, 3))
        assert a < b < c
        share = (c - b) / (c - a) if inverted else (b - a) / (c - a)
        exponents.append(math.log(share) / math.log(0.5))
    assert 0.699 < min(exponents) < 0.8
    assert 1.3 < max(exponents) < 1.501
    below = sum(exponent < 1 for exponent in exponents)
    assert abs(below - len(exponents) / 2) < 4 * math.sqrt(len(exponents) / 4)


def test_background_stays_zero_unless_told_otherwise():
    intensities = [name for name in PROBABILITIES if name not in ("rotation", "zoom_out")]
    image = noise(2, 10, 10, 10) + 1
    image[:, :5] = 0
    image[1, 5, 5, 5] = 0  # each channel has its own
    for changed in images(only(*intensities), image, range(8)):
        assert torch.equal(changed == 0, image == 0)
    for changed in images(only(*intensities, keep_background=False), image, range(8)):
        assert (changed[:, :5] != 0).float().mean() > 0.9


@pytest.mark.parametrize("shape", [(1, 12, 12), (2, 12, 12), (12, 3, 12), (12, 1), (5, 5)])
def test_sides_of_few_voxels_can_be_blurred_and_reduced(shape):
    """nnU-Net stops where a kernel does not fit, or no voxel remains."""
    augmentation = only(*PROBABILITIES, blur=(2, 3), low_resolution=(0.1, 0.3))
    for changed in images(augmentation, noise(2, *shape), range(10)):
        assert changed.shape == (2, *shape)
        assert torch.isfinite(changed).all()
