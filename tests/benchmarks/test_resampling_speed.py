"""Resampling against nnU-Net's way, which is scikit-image's ``resize``: the same values first, then time.

Run with ``pytest tests/benchmarks/test_resampling_speed.py --benchmark-enable -s``: a table is printed at the end. A
BraTS case is used where SEMISEG_REAL_DATA is set, else noise. nnU-Net 2 (``resample_data_or_seg``) resizes each channel
in double precision: all slices of a coarse axis in their plane, then it takes the nearest slice along that axis. Of a
label it resizes the mask of each class (``resize_segmentation`` of batchgenerators 0.25.4 or later). That the values
are the same is asserted, times (the processor's) are not.
"""

import os
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from semiseg.preprocessing.resampling import axis_apart, resample_channel, resample_label, resampled_shape

skimage = pytest.importorskip("skimage.transform")
BRATS = Path(os.environ.get("SEMISEG_REAL_DATA", "/nonexistent")) / "brats2018" / "Brats18_2013_11_1"
KINDS = ("image", "label")
GRIDS = {
    "1 mm to 1.25 mm": ((1.0, 1.0, 1.0), (1.25, 1.25, 1.25)),
    "1.25 mm to 1 mm": ((1.25, 1.25, 1.25), (1.0, 1.0, 1.0)),
    "1 x 1 x 5 mm to 1 mm": ((1.0, 1.0, 5.0), (1.0, 1.0, 1.0)),
    "1.2 x 1.2 x 6 mm to 1 x 1 x 3 mm": ((1.2, 1.2, 6.0), (1.0, 1.0, 3.0)),
}


def ours(array, kind, grid, apart):
    return resample_channel(array, grid, apart) if kind == "image" else resample_label(array, grid, apart)


def nnunets(array, kind, grid, apart):
    values = array.astype(np.float64)
    if kind == "image":
        return sliced(values, grid, apart, lambda a, shape: resize(a, shape, 3)).astype(np.float32)
    return sliced(values, grid, apart, largest_share).astype(np.uint8)


def resize(array, shape, order):
    return skimage.resize(array, shape, order, mode="edge", clip=True, anti_aliasing=False)


def largest_share(labels, shape):
    """The class with the largest share; of equal ones the nearest voxel's, or else the lowest."""
    classes = np.unique(labels)
    shares = np.stack([resize((labels == value).astype(np.float64), shape, 1) for value in classes])
    nearest = resize(labels, shape, 0)
    of_nearest = np.take_along_axis(shares, np.searchsorted(classes, nearest)[None], axis=0)[0]
    return np.where(of_nearest == shares.max(axis=0), nearest, classes[shares.argmax(axis=0)])


def sliced(values, grid, apart, resized):
    """All slices in their plane, then the nearest along the axis; or all axes at once."""
    if apart is None:
        return resized(values, grid)
    plane = (*grid[:apart], *grid[apart + 1 :])
    found = np.stack([resized(one, plane) for one in np.moveaxis(values, apart, 0)], axis=apart)
    if found.shape == grid:
        return found
    scale = found.shape[apart] / grid[apart]
    places = np.indices(grid, np.float64)
    places[apart] = scale * (places[apart] + 0.5) - 0.5
    return map_coordinates(found, places, order=0, mode="nearest")


def subject(kind, spacing, small):
    """An array of 1 mm, or of the spacing by taking every so manieth voxel; cut to 40 mm a side if ``small``."""
    if BRATS.exists():
        ending = {"image": "t1ce", "label": "seg"}[kind]
        array = np.asarray(nibabel.load(BRATS / f"{BRATS.name}_{ending}.nii.gz").dataobj)[40:200, 30:215]
        array = array[60:100, 80:120, 60:100] if small else array
    else:
        array = np.random.default_rng(0).integers(0, 5, (40,) * 3 if small else (160, 185, 155))
    steps = tuple(slice(None, None, round(size)) for size in spacing)
    return np.ascontiguousarray(array[steps], np.float32 if kind == "image" else np.uint8)


def on_grids(name, kind, small):
    spacing, target = GRIDS[name]
    array = subject(kind, spacing, small)
    return array, kind, resampled_shape(array.shape, spacing, target), axis_apart(spacing, target)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", GRIDS)
def test_the_values_are_nnunets(name, kind):
    arguments = on_grids(name, kind, small=True)
    found, expected = ours(*arguments), nnunets(*arguments)
    assert len(np.unique(found)) > 2
    if kind == "label":  # they differ in voxels of which two classes have equal shares, but for rounding
        differ = found != expected
        assert differ.mean() < 1e-3
        mine, theirs = (share_of(labels, *arguments)[differ] for labels in (found, expected))
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    else:
        np.testing.assert_allclose(found, expected, atol=2e-6 * np.ptp(arguments[0]))


def share_of(labels, array, kind, grid, apart):
    """The share that each voxel's class has of it."""
    found = np.zeros(grid)
    for value in np.unique(array):
        share = sliced((array == value).astype(np.float64), grid, apart, lambda a, shape: resize(a, shape, 1))
        found = np.where(labels == value, share, found)
    return found


@pytest.fixture(scope="module")
def times(request):
    found = {}
    yield found
    if found:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print("", *table(found), sep="\n")


def table(found):
    yield "| one channel | semiseg, s | nnU-Net's way, s | ratio |"
    yield "|---|---|---|---|"
    for name, kind in dict.fromkeys((name, kind) for name, kind, _ in found):
        one, other = (found.get((name, kind, way)) for way in WAYS)
        if one and other:
            yield f"| {kind}, {name} | {one:.2f} | {other:.2f} | {other / one:.1f} |"


WAYS = {"semiseg": ours, "nnunet": nnunets}


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", GRIDS)
def test_time(benchmark, name, kind, way, times):
    if not benchmark.enabled:
        pytest.skip("times are of interest with --benchmark-enable alone")
    benchmark.pedantic(WAYS[way], on_grids(name, kind, small=False), rounds=2)
    times[name, kind, way] = benchmark.stats.stats.min  # what else runs on the machine only adds
