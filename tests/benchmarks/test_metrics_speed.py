"""Time and memory of Dice and HD95 of three classes, against MONAI as called, MONAI cropped by the caller, and MedPy.

Run with ``pytest tests/benchmarks/test_metrics_speed.py --benchmark-enable -s``: a table of ratios is printed at the
end. The real BraTS cases are used where SEMISEG_REAL_DATA is set (all of them only with --benchmark-enable), else
masks of their size that are made here. Values and memory are asserted, times are not.
"""

import json
import math
import os
import statistics
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from resident_memory import RESET, memory, reset_peak
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter

from semiseg.io.nifti import read_nifti
from semiseg.metrics import points
from semiseg.registry import create
from semiseg.scoring.masks import boxes
from semiseg.scoring.score_case import score_case
from semiseg.types import Geometry

CLASSES = ("background", "necrosis", "edema", "enhancing")
METRICS = {"dice": create("metric", "dice"), "hd95": create("metric", "hd95")}
SHAPE = (240, 240, 155)
QUALITIES = ("good", "noisy", "wrong", "empty")
PEERS = ("monai", "monai cropped", "medpy")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning"),  # MONAI's call of itself
    pytest.mark.filterwarnings("ignore:the (prediction|ground truth).*may result in nan/inf"),
]


def cases():
    root = os.environ.get("SEMISEG_REAL_DATA")
    paths = sorted(Path(root).glob("brats20*/*/*_seg.nii.gz")) if root else []
    return {path.parent.name: path for path in paths} or {"made": None}


@cache
def truth(case):
    path = cases()[case]
    if path is None:
        return made_truth()
    stored = read_nifti(path)[0]
    return np.where(stored == 4, 3, stored).astype(np.uint8, order="F")


def made_truth():
    """Necrosis within enhancing within edema, with rough surfaces."""
    center = np.ones(SHAPE, dtype=bool)
    center[100, 130, 70] = False
    roughness = gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), 3)
    depth = 35 - distance_transform_edt(center) + 100 * roughness
    return np.array([0, 2, 3, 1], dtype=np.uint8)[np.digitize(depth, [0, 12, 20])]


def predict(reference, quality):
    """A prediction of some quality: moved by a voxel, false positives far off, wrong in all of the head, or nothing."""
    generator = np.random.default_rng(1)
    good = np.roll(reference, (1, 1, 0), axis=(0, 1, 2))
    if quality == "noisy":
        false = generator.random(reference.shape) < 1e-4
        noise = generator.integers(1, 4, reference.shape)
        return np.where(false, noise, good).astype(np.uint8, order="F")  # as it comes from a NIfTI file
    if quality == "wrong":  # as early in training
        head = tuple(slice(n // 5, n - n // 5) for n in reference.shape)
        good = np.zeros_like(reference)
        noise = gaussian_filter(generator.standard_normal(reference.shape), 1)
        good[head] = np.digitize(noise[head], [-0.05, 0, 0.05])
    return np.zeros_like(reference) if quality == "empty" else good


def ours(reference, prediction):
    geometry = Geometry(reference.shape, np.eye(4))
    scores = score_case(reference, prediction, geometry, CLASSES, METRICS, case="case")
    return [[score.value for score in scores if score.metric == name] for name in METRICS]


def monai(reference, prediction):
    import torch
    from monai.metrics import compute_dice, compute_hausdorff_distance

    one_hot = [
        torch.from_numpy(np.stack([array == index for index in range(1, 4)]))[None] for array in (prediction, reference)
    ]
    hd95 = compute_hausdorff_distance(*one_hot, include_background=True, percentile=95, spacing=(1.0, 1.0, 1.0))
    return compute_dice(*one_hot)[0].tolist(), hd95[0].tolist()


def monai_cropped(reference, prediction):
    (box,) = find_objects(((reference > 0) | (prediction > 0)).astype(np.uint8))
    box = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
    return monai(reference[box], prediction[box])


def medpy(reference, prediction):
    from medpy.metric import binary

    pairs = [(prediction == index, reference == index) for index in range(1, 4)]
    there = [bool(p.any() and r.any()) for p, r in pairs]  # it raises where one is not
    dice = [binary.dc(*pair) for pair in pairs]
    return dice, [binary.hd95(*pair) if ok else math.nan for pair, ok in zip(pairs, there, strict=True)]


METHODS = {"semiseg": ours, "semiseg, no numba": ours, "monai": monai, "monai cropped": monai_cropped, "medpy": medpy}


@pytest.fixture(scope="module")
def times(request):
    found = {}
    yield found
    lines = [line for own in ("semiseg", "semiseg, no numba") for line in table(found, own)]
    if lines:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print("", *lines, sep="\n")


def table(found, own):
    """Rows of ratios: the median over cases, and the smallest and largest."""
    done = {quality: [case for case, q, m in found if (q, m) == (quality, own)] for quality in QUALITIES}
    if not any(done.values()):
        return
    yield f"| prediction | {own}, ms | " + " | ".join(f"{peer} / it" for peer in PEERS) + " |"
    yield "|---|---|" + "---|" * len(PEERS)
    for quality, names in [*done.items(), ("all", None)]:
        keys = [(c, q) for q, some in done.items() for c in some if names is None or q == quality]
        cells = [spread([found[(*key, own)] * 1e3 for key in keys], 0)]
        for peer in PEERS:
            cells.append(spread([found[(*k, peer)] / found[(*k, own)] for k in keys if (*k, peer) in found], 1))
        yield f"| {quality} (n = {len(keys)}) | " + " | ".join(cells) + " |"


def spread(values, digits):
    if not values:
        return "–"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("case", cases())
def test_dice_and_hd95_of_three_classes(benchmark, monkeypatch, case, quality, method, times):
    reference = truth(case)
    if not benchmark.enabled:
        if case != next(iter(cases())):
            pytest.skip("one case is enough to see that values agree")
        reference = np.asfortranarray(reference[::4, ::4, ::4])  # values only, in little time
    if method == "semiseg, no numba":
        monkeypatch.setattr(points, "kernels", lambda: None)
        monkeypatch.setattr(boxes, "_kernels", lambda: None)
    prediction = predict(reference, quality)
    rounds = {"medpy": 1}.get(method, 5 if method.startswith("semiseg") else 3)
    dice, hd95 = benchmark.pedantic(
        METHODS[method], (reference, prediction), rounds=rounds, warmup_rounds=int(method != "medpy")
    )
    if benchmark.enabled:
        times[case, quality, method] = benchmark.stats.stats.median
    expected = ours(reference, prediction)
    there = np.isfinite(expected[1])
    np.testing.assert_allclose(np.array(dice)[there], np.array(expected[0])[there], rtol=1e-6)
    if method != "medpy":  # which pools both directions: tests/unit/metrics compares that
        np.testing.assert_allclose(np.array(hd95)[there], np.array(expected[1])[there], atol=1e-3)


@pytest.mark.skipif(not RESET.exists(), reason="needs Linux's high-water mark of memory")
def test_memory_above_the_inputs():
    """At most 32 MiB, compiled code's own arrays included, which only the operating system sees.

    In a process of its own, in which freed arrays are given back at once and so do not hide what is used.
    """
    pytest.importorskip("numba")
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20), "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    used = json.loads(done.stdout)
    print({quality: f"{value:.1f} MiB" for quality, value in used.items()})
    assert used.keys() == set(QUALITIES)
    assert max(used.values()) <= 32


def memory_above_the_inputs(quality):
    """The most that scoring holds at a time, in MiB."""
    reference = truth(next(iter(cases())))
    prediction = predict(reference, quality)
    ours(reference, prediction)  # compiled
    before = memory("VmRSS")
    reset_peak()
    ours(reference, prediction)
    return (memory("VmHWM") - before) / 2**20


if __name__ == "__main__":
    print(json.dumps({quality: memory_above_the_inputs(quality) for quality in QUALITIES}))
