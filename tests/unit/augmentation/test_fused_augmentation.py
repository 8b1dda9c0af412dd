"""``fused`` against ``luque2023`` on the same draws, and what is drawn."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from semiseg.augmentation import fused
from semiseg.augmentation.fused import FusedAugmentation
from semiseg.augmentation.luque2023 import Luque2023Augmentation
from semiseg.testing.augmentation import AugmentationContract

OPTIONS = [
    {},
    {"probability": 1.0},
    {"probability": 1.0, "rotation": 30.0, "margin": 0.5, "flip_axes": ["left-right"]},
    {"probability": 1.0, "keep_background": False, "flip_axes": []},
    {"probability": 0.0, "probabilities": {"flipping": 0.5, "gamma": 0.5}},
]
OF_THE_STUDY = {"quarter_turns": 0.7, "gamma_distribution": "uniform", "histogram_points": (5, 15)}


@pytest.fixture(params=["numba", "torch"])
def way(request, monkeypatch):
    """With numba, and as where it cannot be imported."""
    if request.param == "torch":
        monkeypatch.setattr(fused, "_numba_works", lambda: False)
    return request.param


class TestFused(AugmentationContract):
    @pytest.fixture(params=OPTIONS)
    def augmentation(self, request, way):
        return FusedAugmentation(FusedAugmentation.Options(**request.param))


def made_sample(size):
    """Smooth noise within a ball or disk, 0 around it; classes 0 to 3."""
    noise = torch.randn((2, *(n // 3 + 2 for n in size)), generator=torch.Generator().manual_seed(5))
    mode = "trilinear" if len(size) == 3 else "bilinear"
    image = torch.nn.functional.interpolate(noise[None], size=size, mode=mode)[0]
    away = torch.meshgrid(*((torch.arange(n) - (n - 1) / 2) / n for n in size), indexing="ij")
    outside = torch.stack(away).square().sum(0) > 0.2
    label = torch.bucketize(image[0], torch.tensor([0.0, 0.3, 0.6]))
    return image.masked_fill(outside, 0), label.masked_fill(outside, 0)


def compare(options, image, label, size, seed):
    """Where the image of ``fused`` is off that of ``luque2023``, in ranges of a channel, and the two labels."""
    results = []
    for kind in (Luque2023Augmentation, FusedAugmentation):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            results.append((*kind(options)(image, label, size), torch.rand(1)))
    (expected, expected_label, number), (changed, changed_label, other_number) = results
    assert number == other_number, "the number of draws differs"
    axes = tuple(range(1, expected.ndim))
    extent = expected.amax(axes, True) - expected.amin(axes, True)
    return (changed - expected).abs() / extent, changed_label, expected_label


@pytest.mark.parametrize("size", [(40, 40, 36), (72, 72)], ids=["3D", "2D"])
def test_with_quarter_turns_too(size, way):
    test_the_same_seed_gives_what_torchio_gives(OF_THE_STUDY, size, way)


@pytest.mark.parametrize("size", [(40, 36, 44), (80, 68)], ids=["3D", "2D"])
@pytest.mark.parametrize("options", [*OPTIONS, {"probability": 1.0, "flip_axes": ["superior-inferior"]}])
def test_the_same_seed_gives_what_torchio_gives(options, size, way):
    options = Luque2023Augmentation.Options(**options)
    image, label = made_sample(FusedAugmentation(options).source_size(size))
    for seed in range(10):
        error, changed, expected = compare(options, image, label, size, seed)
        assert (error < 1e-3).float().mean() > 0.999
        assert (changed == expected).float().mean() > 0.999
        assert set(changed.unique().tolist()) <= {0, 1, 2, 3}


@pytest.mark.real_data
@pytest.mark.parametrize("seed", range(3))
def test_the_same_on_a_real_case(seed, way):
    root = os.environ.get("SEMISEG_REAL_DATA")
    if not root:
        pytest.skip("SEMISEG_REAL_DATA is not set")
    from semiseg.data.samples import center_patch
    from semiseg.io.nifti import read_nifti

    options, size = Luque2023Augmentation.Options(probability=1.0), (96, 96, 96)
    source = FusedAugmentation(options).source_size(size)
    path = min(Path(root).glob("brats2018/*/*_seg.nii.gz"))
    label = torch.from_numpy(center_patch(np.asarray(read_nifti(path)[0]).astype(np.int64), source))
    arrays = [read_nifti(min(path.parent.glob(f"*_{name}.nii.gz")))[0] for name in ("flair", "t1ce")]
    image = torch.from_numpy(np.stack([center_patch(a.astype(np.float32) / 300, source) for a in arrays]))
    error, changed, expected = compare(options, image, label, size, seed)
    assert (error < 1e-3).float().mean() > 0.999
    assert (changed == expected).float().mean() > 0.999
    assert set(changed.unique().tolist()) <= set(label.unique().tolist())


@pytest.fixture(scope="module")
def drawn():
    augmentation = FusedAugmentation(FusedAugmentation.Options(probabilities={"gamma": 0.2, "flipping": 0.3}))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return [augmentation.draw(2) for _ in range(2000)]


def test_operations_happen_as_often_as_they_should(drawn):
    curves = [curve for change in drawn for curve in change.curves]
    happened = {
        "scaling": (0.5, [change.zoom != 1 for change in drawn]),
        "rotation": (0.5, [any(change.degrees) for change in drawn]),
        "flipping": (0.3, [axis in change.flips for change in drawn for axis in range(3)]),
        "gamma": (0.2, [curve.gamma != 1 for curve in curves]),
        "histogram_shift": (0.5, [curve.heights is not None for curve in curves]),
        "intensity_shift": (0.5, [curve.shift != 0 for curve in curves]),
        "intensity_scaling": (0.5, [curve.factor != 1 for curve in curves]),
    }
    for operation, (probability, times) in happened.items():
        assert stats.binomtest(sum(times), len(times), probability).pvalue > 1e-3, operation


def test_parameters_are_uniform_in_their_ranges(drawn):
    curves = [curve for change in drawn for curve in change.curves]
    turned = np.array([change.degrees for change in drawn if any(change.degrees)])
    ranges = [
        ([change.zoom for change in drawn if change.zoom != 1], 0.9, 1.1),
        *((angles, -15, 15) for angles in turned.T),
        (np.log([curve.gamma for curve in curves if curve.gamma != 1]), np.log(0.7), np.log(1.5)),
        ([curve.shift for curve in curves if curve.shift], -0.1, 0.1),
        ([curve.factor for curve in curves if curve.factor != 1], 0.9, 1.1),
    ]
    for values, low, high in ranges:
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3
    assert np.abs(np.corrcoef(turned.T) - np.eye(3)).max() < 0.1


def test_channels_are_drawn_apart(drawn):
    both = np.array([[curve.factor for curve in change.curves] for change in drawn])
    assert abs(np.corrcoef(both.T)[0, 1]) < 0.08


def test_without_numba_and_torchio_it_runs_in_torch():
    code = (
        "import sys; sys.modules['numba'] = sys.modules['torchio'] = None\n"
        "import torch; from semiseg.augmentation.fused import FusedAugmentation as F\n"
        "image, label = F(F.Options(probability=1.0))(torch.ones(1, 12, 12, 12), None, (8, 8, 8))\n"
        "assert image.shape == (1, 8, 8, 8) and label is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
