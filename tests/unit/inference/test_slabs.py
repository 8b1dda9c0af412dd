"""Prediction in slabs: the probabilities of the whole image, in less memory."""

import tracemalloc

import numpy as np
import pytest
import torch
from helpers_memory import LivePeak
from torch import nn

from semiseg.codings.regions import Regions
from semiseg.errors import TrainingError
from semiseg.inference.image import Ensemble, Limit, Member
from semiseg.inference.sliding_window import Predictor
from semiseg.inference.windows import Windows, starts, whole
from semiseg.recipe import schema
from semiseg.strategies.supervised import Supervised, SupervisedOptions
from semiseg.types import Geometry, Volume

NONE = Limit(0)
"""A limit that no image keeps: it is predicted slab by slab."""
PLENTY = Limit(2**40)


def predictor(patch, outputs=4, kernel=3, mirrored_axes=(), **options):
    """A convolution: each voxel's outputs depend on its place in the window."""
    torch.manual_seed(0)
    conv = nn.Conv3d if len(patch) == 3 else nn.Conv2d
    strategy = Supervised(SupervisedOptions(), {"model": conv(1, outputs, kernel, padding=kernel // 2)})
    return Predictor(strategy, patch, schema.Inference(**options), "cpu", mirrored_axes=mirrored_axes)


def image(shape, seed=0):
    return np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)


@pytest.mark.parametrize("shape", [(20, 17, 9), (8, 8, 8), (5, 30, 8), (3, 4, 2), (31, 9, 14)])
@pytest.mark.parametrize("patch", [(8, 8, 8), (8, 6, 5), (8, 6)])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_slabs_have_the_probabilities_of_the_whole_image(shape, patch, overlap):
    for weighting, batch in (("gaussian", 1), ("constant", 3), ("gaussian", 16)):
        each = predictor(patch, overlap=overlap, weighting=weighting, batch_size=batch)
        expected = each.probabilities(image(shape), 1)
        for axis in range(3):
            blocks = [block.clone() for block in each.planes(image(shape), 1, axis, whole(shape))]
            found = torch.cat(blocks, 1).movedim(1, 1 + axis)
            assert found.shape == expected.shape
            assert (found - expected).abs().max() <= 1e-6


def test_a_part_has_the_probabilities_that_the_whole_image_has_there():
    each, shape = predictor((8, 8, 8), overlap=0.75), (20, 17, 25)
    expected = each.probabilities(image(shape))
    part = (5, 11), (0, 9), (0, 25)
    found = torch.cat([block.clone() for block in each.planes(image(shape), 2, 2, part)], 1).movedim(1, 3)
    assert (found - expected[:, 5:11, 0:9]).abs().max() <= 1e-6


@pytest.mark.parametrize("batch", [1, 3])
def test_a_part_along_the_slabs_begins_and_ends_inside_the_image(batch):
    """As where the axis of the slabs is resampled by nearest neighbor: the outermost planes are then not needed."""
    each, shape = predictor((8, 8, 8), overlap=0.5, batch_size=batch), (20, 17, 25)
    expected = each.probabilities(image(shape))
    for first, last in ((3, 25), (0, 22), (5, 6), (9, 19)):
        blocks = each.planes(image(shape), 2, 2, ((0, 20), (0, 17), (first, last)))
        found = torch.cat([block.clone() for block in blocks], 1).movedim(1, 3)
        assert found.shape == expected[..., first:last].shape
        assert (found - expected[..., first:last]).abs().max() <= 1e-6


@pytest.mark.parametrize(
    ("n", "window", "overlap"), [(20, 8, 0.5), (8, 8, 0.5), (3, 8, 0.5), (30, 8, 0.95), (21, 7, 0)]
)
def test_windows_stand_where_monai_has_them(n, window, overlap):
    from monai.data.utils import dense_patch_slices
    from monai.inferers.utils import _get_scan_interval

    padded = (max(n, window),)
    interval = _get_scan_interval(padded, (window,), 1, (overlap,))
    before = max(window - n, 0) // 2
    assert starts(n, window, overlap) == [s.start - before for (s,) in dense_patch_slices(padded, (window,), interval)]


def test_planes_in_memory_by_hand():
    layout = Windows((16, 16, 64), (16, 16, 16), 0.5, 1, 2, whole((16, 16, 64)))
    assert layout.depth() == 16
    assert Windows((16, 16, 64), (16, 16, 16), 0.5, 3, 2, whole((16, 16, 64))).depth() == 32
    assert Windows((16, 16, 10), (16, 16, 16), 0.5, 3, 2, whole((16, 16, 10))).depth() == 10


def volume(shape=(40, 37, 50), empty=(6, 30)):
    """A volume whose axes are neither in the order nor in the direction of R, A, S, with empty margins."""
    array = np.random.default_rng(0).integers(1, 900, (1, *shape)).astype(np.int16)
    array[:, : empty[0]] = 0
    array[:, :, empty[1] :] = 0
    turned = np.array([[0, -2.0, 0, 0], [-1, 0, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])
    return Volume(array, Geometry(shape, turned))


def predicted(members, limit, regions=None):
    """Labels, and the mean probabilities in the file's grid turned to R, A, S; nan outside the box."""
    if regions:
        for member in members:
            member.predictor.strategy.coding = regions
    found = np.full((4, 37, 40, 50), np.nan, np.float32)

    def receive(part, values):
        place = (slice(None), *(slice(*span) for span in part))
        assert np.isnan(found[place]).all()
        found[place] = values.numpy()

    return Ensemble(members, 4, limit).predict(volume(), "x", receive), found


def members(*names):
    made = {
        "box": Member(predictor((16, 16, 12)), schema.Preprocessing()),
        "flat": Member(predictor((16, 16)), schema.Preprocessing()),
        "uncropped": Member(predictor((12, 16, 16)), schema.Preprocessing(crop=False)),
    }
    return [made[name] for name in names]


@pytest.mark.parametrize("names", [["box"], ["flat"], ["box", "flat"], ["box", "uncropped"], ["uncropped", "flat"]])
@pytest.mark.parametrize("regions", [None, Regions([(1, 2, 3), (1,), (2, 3), (3,)], 4)])
def test_images_larger_than_the_limit_get_the_same_labels(names, regions):
    labels, expected = predicted(members(*names), PLENTY, regions)
    assert len(np.unique(labels)) > 2
    for limit in (NONE, Limit(14_000_000)):  # as one part, and as several
        found, probabilities = predicted(members(*names), limit, regions)
        np.testing.assert_array_equal(found, labels)
        np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_an_ensemble_has_the_mean_of_its_members():
    (_, one), (_, two) = (predicted(members(name), PLENTY) for name in ("box", "uncropped"))
    outside = np.isnan(one)
    assert outside.any()
    one[outside] = 0
    one[0][outside[0]] = 1
    labels, mean = predicted(members("box", "uncropped"), PLENTY)
    np.testing.assert_allclose(mean, (one + two) / 2, atol=1e-7)
    from semiseg.io.orientation import to_ras

    np.testing.assert_array_equal(to_ras(labels, volume().geometry)[0], mean.argmax(0))


def test_a_single_model_predicts_as_its_predictor_does_bit_for_bit():
    (member,) = members("box")
    prepared = member.prepare(volume(), "")
    labels, probabilities = predicted([member], PLENTY)
    box = tuple(slice(*side) for side in prepared.preparation.box)
    expected = member.predictor.probabilities(prepared.normalized()).numpy()
    np.testing.assert_array_equal(probabilities[(slice(None), *box)], expected)
    np.testing.assert_array_equal(labels, prepared.restore(member.predictor.labels(prepared.normalized())))


def test_an_image_that_takes_more_than_a_limit_that_was_set_is_refused():
    with pytest.raises(TrainingError, match=r"takes at least \d+ MiB of memory, more than the limit of [\d.]+ MiB"):
        Ensemble(members("box"), 4, Limit(1000, strict=True)).predict(volume())


def test_probabilities_that_are_not_finite_are_refused_in_slabs_too():
    (member,) = members("box")
    with torch.no_grad():
        next(member.predictor.strategy.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="not finite"):
        Ensemble([member], 4, NONE).predict(volume())


@pytest.mark.parametrize("patch", [(16, 16, 16), (32, 32)])
def test_fourteen_classes_of_a_large_volume_keep_the_limit(patch):
    shape, outputs = (60, 56, 128), 14
    large = Volume(np.random.default_rng(0).integers(1, 900, (1, *shape)).astype(np.int16), Geometry(shape, np.eye(4)))
    member = Member(predictor(patch, outputs, 1, overlap=0.25), schema.Preprocessing())
    with LivePeak():
        Ensemble([member], outputs, NONE).predict(volume())  # imports what both need
    probabilities = 4 * outputs * large.array.size
    limit = probabilities * 6 // 7

    def peak(bound):
        """Bytes of torch's and numpy's arrays; memory that both have counts twice."""
        tracemalloc.start()
        try:
            with LivePeak() as live:
                Ensemble([member], outputs, bound).predict(large)
            return live.peak + tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(Limit(limit, strict=True)) <= limit
    assert peak(PLENTY) > probabilities


def test_mirrored_predictions_are_the_mean_over_flips():
    plain, mirrored = (predictor((8, 8, 8), mirrored_axes=axes, overlap=0.0) for axes in ((), (0, 2)))
    x = image((8, 8, 8))
    flips = [(), (1,), (3,), (1, 3)]
    mean = sum(plain.probabilities(np.flip(x, flip).copy()).flip(flip) for flip in flips) / 4
    assert (mirrored.probabilities(x) - mean).abs().max() <= 1e-6
    assert (mirrored.probabilities(x) - plain.probabilities(x)).abs().max() > 1e-3


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_slices_are_mirrored_in_their_plane(slice_axis):
    plain, mirrored = (predictor((8, 8), mirrored_axes=axes, overlap=0.0) for axes in ((), (0,)))
    x, first = image((8, 8, 8)), 1 if slice_axis else 2
    mean = (
        plain.probabilities(x, slice_axis) + plain.probabilities(np.flip(x, first).copy(), slice_axis).flip(first)
    ) / 2
    assert (mirrored.probabilities(x, slice_axis) - mean).abs().max() <= 1e-6
