"""What the rules of ADR 0014 that differ from nnU-Net's change, in numbers: labels, background, z-score, intensities.

Run with ``pytest tests/benchmarks/test_values_from_the_data.py --benchmark-enable -s``: tables are printed at the end,
for the real volumes where SEMISEG_REAL_DATA is set (a few of them without --benchmark-enable), else for made ones.
What is said of our rules is asserted; nnU-Net's numbers are only printed.
"""

import os
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes, zoom

from semiseg.planning.measures import QUANTILES, CaseMeasures, ChannelMeasures
from semiseg.planning.rules import HIGH, LOW, intensities_of
from semiseg.preprocessing.normalization import foreground_statistics
from semiseg.preprocessing.prepare import prepare
from semiseg.preprocessing.resampling import resample_channel, resample_label, resampled_shape
from semiseg.recipe.schema import Preprocessing
from semiseg.types import Geometry, Volume

ROOT = Path(os.environ.get("SEMISEG_REAL_DATA", "/nonexistent"))
MODALITIES = ("t1", "t1ce", "t2", "flair")
FEW = 2
"""Cases without --benchmark-enable."""
TARGETS = (0.7, 1.5, 2.0)
"""Voxel sizes, in voxels of the file, to which labels are resampled and from which they are brought back."""


@pytest.fixture(scope="module")
def report(request):
    lines = []
    yield lines
    if request.config.getoption("--benchmark-enable"):
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print("", *lines, sep="\n")


@pytest.fixture(scope="module")
def most(request):
    return None if request.config.getoption("--benchmark-enable") else FEW


def brats(ending, most):
    paths = sorted((ROOT / "brats2018").glob(f"*/*_{ending}.nii.gz"))[:most]
    return [np.asarray(nibabel.load(path).dataobj) for path in paths]


def made_label(seed):
    """Four quarters of a ball, so that several classes meet."""
    size = 40 + seed
    x, y, z = np.indices((size,) * 3) - size / 2 + 0.3 * seed
    return np.where(x**2 + y**2 + z**2 < (0.4 * size) ** 2, 1 + (x > 2) + 2 * (y > z), 0).astype(np.uint8)


@cache
def labels_of(name, most):
    if name == "made":
        return [made_label(seed) for seed in range(most or 4)]
    if name == "brats":
        found = brats("seg", most)
    else:
        paths = sorted((ROOT / name / "labelsTr").glob("*.nii.gz"))[: most or 40]
        found = [np.asarray(nibabel.load(path).dataobj) for path in paths]
    return [cut_out(label.astype(np.uint8)) for label in found if label.any()]


def cut_out(label):
    """The part around the foreground, with some voxels of background."""
    ends = [(max(where.min() - 3, 0), where.max() + 4) for where in np.nonzero(label)]
    return np.ascontiguousarray(label[tuple(slice(*end) for end in ends)])


def shares(label, grid):
    """The classes and their shares of each voxel of another grid, by linear interpolation."""
    classes = np.unique(label)
    factors = [new / old for new, old in zip(grid, label.shape, strict=True)]
    masks = ((label == value).astype(np.float64) for value in classes)
    return classes, np.stack([zoom(mask, factors, order=1, mode="nearest", grid_mode=True) for mask in masks])


def at_least_half(label, grid):
    """nnU-Net's rule with batchgenerators up to 0.25.3: a share of at least a half, the highest of several classes."""
    found = np.zeros(grid, np.uint8)
    for value, share in zip(*shares(label, grid), strict=True):
        found[share >= 0.5] = value
    return found


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


RULES = {"largest share": lambda label, grid: resample_label(label, grid, None), "at least half": at_least_half}
SETS = ("brats", "hippocampus") if ROOT.exists() else ("made",)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SETS)
def test_labels(name, target, most, report):
    """Holes: voxels without any share of background, but of several classes, that become background."""
    rows = {rule: [] for rule in RULES}
    for label in labels_of(name, most):
        grid = resampled_shape(label.shape, (1.0,) * 3, (target,) * 3)
        classes, parts = shares(label, grid)
        meet = (parts[classes == 0].sum(axis=0) == 0) & (parts.max(axis=0) < 1)
        foreground = [value for value in classes if value]
        for rule, resample in RULES.items():
            there = resample(label, grid)
            back = resample(there, label.shape)
            overlap = np.mean([dice(label == value, back == value) for value in foreground])
            rows[rule].append([(there[meet] == 0).sum(), meet.sum(), overlap])
    if not report or not report[-1].startswith("labels"):
        report += ["", "labels | to voxels of | rule | holes where classes meet | Dice after both ways"]
    for rule, found in rows.items():
        holes, met, overlap = np.array(found).T
        share = holes.sum() / max(met.sum(), 1)
        report.append(f"labels {name} ({len(found)}) | {target} | {rule} | {share:.2%} | {overlap.mean():.4f}")
        assert rule != "largest share" or share == 0


def images(most):
    """Images of four modalities with a background of 0, (C, x, y, z)."""
    if ROOT.exists():
        return [np.stack(channels) for channels in zip(*(brats(ending, most) for ending in MODALITIES), strict=True)]
    found = []
    for seed in range(FEW):
        label, noise = made_label(seed), np.random.default_rng(seed)
        values = noise.integers(300, 900, (4, *label.shape)) * (label > 0)
        values[3, :, :, : label.shape[2] // 2] = 0  # covers half of the others
        found.append(values.astype(np.int16))
    return found


def test_background_of_zero(most, report):
    """Voxels of a cropped image that are mostly background: those that are not 0 on another grid, and how large."""
    rows = []
    few = most and 1  # without --benchmark-enable one channel of one image, since splines take long
    for image in (one[:few] for one in images(most)[:few]):
        options = {"foreground": "nonzero", "normalize": "zscore"}
        volume = Volume(image, Geometry(image.shape[1:], np.eye(4)))
        stored = prepare(volume, Preprocessing(**options))
        resampled = prepare(volume, Preprocessing(**options, spacing=(1.25,) * 3))
        channels = zip(stored.array != 0, stored.normalized(), resampled.normalized(), strict=True)
        for mask, before, found in channels:
            plain = resample_channel(before, found.shape, None)
            inside = resample_channel(mask.astype(np.float32), found.shape, None, "linear")
            outside = inside < 0.5
            wrong = np.abs(plain[outside])
            rows.append([(wrong > 0.01).mean(), np.quantile(wrong[wrong > 0.01], 0.95), found[outside].any()])
    share, size, ours = np.array(rows).T
    report += [
        "",
        f"background of 0, resampled to 1.25 voxels ({len(rows)} channels): with splines alone {share.mean():.1%} of it"
        f" is more than 0.01 deviations from 0, 5 % of that more than {size.mean():.1f}; with our rule none",
    ]
    assert not ours.any()


def test_zscore(most, report):
    """Mean and deviation of each modality's own nonzero voxels: 0 and 1 with our masks."""
    rows = {name: [] for name in MODALITIES}
    for image in images(most):
        mask = binary_fill_holes(image.any(axis=0))
        for name, channel in zip(MODALITIES, image, strict=True):
            own, theirs = channel[channel != 0].astype(np.float64), channel[mask].astype(np.float64)
            mean, deviation = foreground_statistics(channel, nonzero=True)
            assert ((own - mean) / deviation).mean() == pytest.approx(0, abs=1e-6)
            assert ((own - mean) / deviation).std() == pytest.approx(1, abs=1e-6)
            found = (own - theirs.mean()) / theirs.std()
            rows[name].append([(theirs == 0).mean(), found.mean(), found.std()])
    report += ["", "z-score over nnU-Net's mask | share of 0 in it | mean of the other voxels | their deviation"]
    for name, found in rows.items():
        columns = zip(np.array(found).T, (0, 0, 1), strict=True)
        cells = (f"{np.median(c):.3f} (up to {c[np.abs(c - wanted).argmax()]:.3f})" for c, wanted in columns)
        report.append(f"z-score {name} | " + " | ".join(cells))


def intensities(most):
    """Values within the classes, by case, of made CT (liver-like, a few large and many small cases) or of real MR."""
    noise = np.random.default_rng(0)
    made = []
    for count in (3_000, 10_000, 30_000, 100_000, 300_000, *([1_000_000] if most is None else [])) * 3:
        tissue = noise.normal(noise.normal(100, 15), 20, count)
        bright = noise.random(count) < 0.02  # vessels, and calcifications
        made.append(np.where(bright, tissue + noise.exponential(150, count), tissue).round())
    found = {"made CT": made}
    if ROOT.exists():
        for ending in ("t1ce", "flair"):
            pairs = zip(brats(ending, most), brats("seg", most), strict=True)
            found[f"BraTS {ending}"] = [image[label > 0].astype(np.float64) for image, label in pairs]
    return found


def exact(cases):
    """Percentiles, mean and deviation of all voxels, weighted so that each case counts alike."""
    values = np.concatenate(cases)
    weights = np.concatenate([np.full(len(case), 1 / len(case) / len(cases)) for case in cases])
    order = np.argsort(values)
    places = np.cumsum(weights[order]) - weights[order] / 2
    low, high = np.interp([LOW / 100, HIGH / 100], places, values[order])
    mean = float((weights * values).sum())
    return np.array([low, high, mean, float((weights * (values - mean) ** 2).sum()) ** 0.5])


def by_quantiles(cases):
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    measures = []
    for case in cases:
        quantiles = tuple(map(float, np.quantile(case, shares)))
        channel = ChannelMeasures(True, case.size, float(case.mean()), float(case.std()), quantiles)
        measures.append(CaseMeasures("", None, (1, 1, 1), (1, 1, 1), 0.0, "mm", (channel,)))
    found = intensities_of(0, measures)
    return np.array([found.low, found.high, found.mean, found.deviation])


def by_random_voxels(cases, total, seed=1234):
    """nnU-Net: a total of 10^8 voxels, as many of each case, drawn with replacement."""
    drawn = np.concatenate(
        [np.random.RandomState(seed).choice(case, int(total // len(cases)), replace=True) for case in cases]
    )
    return np.array([*np.percentile(drawn, [LOW, HIGH]), drawn.mean(), drawn.std()])


def test_intensities(most, report):
    """Errors of what ``normalize: ct`` clips and scales by, in deviations."""
    total = 10e7 if most is None else 10e4
    report += ["", "intensities | values kept | low | high | mean | deviation (errors, in deviations)"]
    for name, cases in intensities(most).items():
        right = exact(cases)
        ways = {
            "2 000 quantiles a case": (by_quantiles(cases), QUANTILES * len(cases)),
            "random voxels": (by_random_voxels(cases, total), int(total // len(cases)) * len(cases)),
        }
        for way, (found, kept) in ways.items():
            errors = (found - right) / right[-1]
            row = " | ".join(f"{error:+.4f}" for error in errors)
            report.append(f"intensities {name} ({len(cases)} cases), {way} | {kept:.1e} | {row}")
        errors = np.abs(ways["2 000 quantiles a case"][0] - right) / right[-1]
        assert errors[:2].max() < 0.1
        assert errors[2:].max() < 1e-5
