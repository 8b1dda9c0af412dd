"""Time of Dice and HD95 of three classes against MONAI, as called and with its inputs cropped by the caller.

Run with ``pytest tests/benchmarks/test_metrics_speed.py --benchmark-enable -s``: the ratios are printed at the end.
A real BraTS case is used where SEMISEG_REAL_DATA is set, else masks of its size that are made here. Values are
asserted, times are not.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter

from semiseg.evaluation.harness import score_case
from semiseg.metrics.dice import Dice
from semiseg.metrics.hausdorff import HD95
from semiseg.types import Geometry

CLASSES = ("background", "necrosis", "edema", "enhancing")
METRICS = {"dice": Dice(), "hd95": HD95()}
SHAPE = (240, 240, 155)

pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's call of itself


@pytest.fixture(scope="module")
def truth():
    root = os.environ.get("SEMISEG_REAL_DATA")
    if not root:
        return made_truth()
    from semiseg.evaluation.labels import LabelMap
    from semiseg.io.nifti import read_nifti

    path = min(Path(root).glob("brats2018/*/*_seg.nii.gz"))
    return LabelMap.of({1: "necrosis", 2: "edema", 4: "enhancing"}).to_indices(read_nifti(path)[0])


def made_truth():
    """Necrosis within enhancing within edema, with rough surfaces."""
    center = np.ones(SHAPE, dtype=bool)
    center[100, 130, 70] = False
    roughness = gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), 3)
    depth = 35 - distance_transform_edt(center) + 100 * roughness
    return np.array([0, 2, 3, 1], dtype=np.uint8)[np.digitize(depth, [0, 12, 20])]


def predict(truth, quality):
    generator = np.random.default_rng(1)
    good = np.roll(truth, (1, 1, 0), axis=(0, 1, 2))
    if quality == "good":
        return good
    if quality == "scattered":  # false positives far off
        noise = generator.random(truth.shape) < 1e-4
        return np.where(noise, generator.integers(1, 4, truth.shape), good).astype(np.uint8)
    # Wrong in all of the head, as early in training.
    head = tuple(slice(n // 5, n - n // 5) for n in truth.shape)
    wrong = np.zeros_like(truth)
    wrong[head] = np.digitize(gaussian_filter(generator.standard_normal(truth.shape), 1)[head], [-0.05, 0, 0.05])
    return wrong


def ours(truth, prediction):
    geometry = Geometry(truth.shape, np.eye(4))
    scores = score_case(truth, prediction, geometry, CLASSES, METRICS, case="case")
    return [s.value for s in scores if s.metric == "dice"], [s.value for s in scores if s.metric == "hd95"]


def monai(truth, prediction):
    import torch
    from monai.metrics import compute_dice, compute_hausdorff_distance

    one_hot = [
        torch.from_numpy(np.stack([array == index for index in range(1, 4)]))[None] for array in (prediction, truth)
    ]
    dice = compute_dice(*one_hot)
    hd95 = compute_hausdorff_distance(*one_hot, include_background=True, percentile=95, spacing=(1.0, 1.0, 1.0))
    return dice[0].tolist(), hd95[0].tolist()


def monai_cropped(truth, prediction):
    (box,) = find_objects(((truth > 0) | (prediction > 0)).astype(np.uint8))
    box = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
    return monai(truth[box], prediction[box])


@pytest.fixture(scope="module")
def ratios(request):
    medians = {}
    yield medians
    lines = []
    for quality in sorted({key[0] for key in medians}):
        own = medians.get((quality, "ours"))
        for name in ("monai", "monai_cropped"):
            if own and (quality, name) in medians:
                other = medians[quality, name]
                lines.append(
                    f"{quality}: {name} {other * 1e3:.0f} ms, semiseg {own * 1e3:.0f} ms: {other / own:.1f} times"
                )
    if lines:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print("", *lines, sep="\n")


@pytest.mark.parametrize("method", [ours, monai, monai_cropped])
@pytest.mark.parametrize("quality", ["good", "scattered", "wrong"])
def test_dice_and_hd95_of_three_classes(benchmark, truth, quality, method, ratios):
    if not benchmark.enabled:
        truth = truth[::4, ::4, ::4]  # values only, in little time
    prediction = predict(truth, quality)
    dice, hd95 = benchmark.pedantic(method, (truth, prediction), rounds=3, warmup_rounds=1)
    if benchmark.enabled:
        ratios[quality, method.__name__] = benchmark.stats.stats.median
    expected = ours(truth, prediction)
    np.testing.assert_allclose(dice, expected[0], rtol=1e-6)
    np.testing.assert_allclose(hd95, expected[1], atol=1e-3)
