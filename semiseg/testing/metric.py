"""Contract tests of metrics: subclass ``MetricContract`` and provide a ``metric`` fixture.

Example::

    class TestMyMetric(MetricContract):
        @pytest.fixture
        def metric(self) -> Metric:
            return MyMetric()
"""

import itertools
import math
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from semiseg.interfaces.metric import MaskPair, Metric
from semiseg.types import Shape

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]


def make_pair(
    reference: Mask, prediction: Mask, spacing: Spacing = (1.0, 1.0, 1.0), image_shape: Shape | None = None
) -> MaskPair:
    """Return masks (X, Y, Z) in mm as a pair like the harness's; the image shape is theirs by default."""
    x, y, z = reference.shape
    return MaskPair(reference, prediction, spacing, "mm", image_shape or (x, y, z))


def _blocks() -> tuple[Mask, Mask]:
    """Return two overlapping blobs with rough surfaces, not invariant under any symmetry of the grid."""
    generator = np.random.default_rng(0)
    reference, prediction = np.zeros((2, 12, 10, 9), dtype=np.bool_)
    reference[2:8, 2:7, 1:6] = generator.random((6, 5, 5)) < 0.8
    prediction[4:11, 3:9, 2:8] = generator.random((7, 6, 6)) < 0.8
    return reference, prediction


def _cut(reference: Mask, prediction: Mask) -> tuple[Mask, Mask]:
    """Crop both masks to their joint bounding box, as the harness does."""
    box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(reference | prediction))
    return reference[box], prediction[box]


def _boxes(*corners: tuple[Shape, Shape]) -> tuple[Mask, Mask]:
    """Return two full boxes, each from a first corner to a second, exclusive one, in an image of 6 x 7 x 8 voxels."""
    masks = np.zeros((2, *_IMAGE), dtype=np.bool_)
    for mask, (low, high) in zip(masks, corners, strict=True):
        mask[tuple(slice(*ends) for ends in zip(low, high, strict=True))] = True
    return masks[0], masks[1]


_IMAGE = (6, 7, 8)
_VOXEL, _CUBE = ((1, 1, 1), (2, 2, 2)), ((1, 1, 1), (4, 5, 4))
_EXTREMES = {
    "one voxel, found": (_VOXEL, _VOXEL),
    "one voxel, next to it": (_VOXEL, ((2, 1, 1), (3, 2, 2))),
    "one voxel, far away": (_VOXEL, ((5, 6, 7), _IMAGE)),
    "one voxel of many": (_CUBE, _VOXEL),
    "many for one voxel": (_VOXEL, _CUBE),
    "equal masks that fill their box": (_CUBE, _CUBE),
    "masks without overlap": (_CUBE, ((4, 5, 4), _IMAGE)),
}


class MetricContract:
    """Contract of every metric. The fixture ``metric`` returns the one under test."""

    uses_spacing: ClassVar[bool] = False
    """Set to True for a metric without unit that still depends on the spacing, such as one with a tolerance in mm."""

    def test_a_perfect_prediction_has_the_best_value(self, metric: Metric) -> None:
        """No other prediction is better than the reference itself; a distance is then 0."""
        reference, prediction = _blocks()
        best = metric(make_pair(reference, reference.copy()))
        others = [metric(make_pair(reference, other)) for other in (prediction, np.roll(reference, 2, 0))]
        sign = 1 if metric.higher_is_better else -1
        assert math.isfinite(best)
        assert all(sign * other <= sign * best for other in others)
        assert any(sign * other < sign * best for other in others)
        assert best == 0 or not metric.distance

    def test_empty_masks_have_the_declared_values(self, metric: Metric) -> None:
        """Missed, spurious and both empty give the values declared by the class."""
        full, empty = np.ones((2, 3, 4), dtype=np.bool_), np.zeros((2, 3, 4), dtype=np.bool_)
        cases = [(full, empty, metric.missed), (empty, full, metric.spurious), (empty, empty, metric.both_empty)]
        for reference, prediction, declared in cases:
            np.testing.assert_equal(metric(make_pair(reference, prediction)), declared)

    def test_spacing_is_honored(self, metric: Metric) -> None:
        """A distance scales with the voxels, also along a single axis that it spans; other metrics do not change."""
        reference, prediction = _blocks()
        values = [metric(make_pair(reference, prediction, s)) for s in ((0.5, 0.75, 2.0), (1.5, 2.25, 6.0))]
        if metric.distance:
            assert values[1] == pytest.approx(3 * values[0])
        elif not self.uses_spacing:
            assert values[1] == pytest.approx(values[0])
        for axis in range(3) if metric.distance else ():
            near, far = (_apart_along(metric, axis, size) for size in (1.0, 3.0))
            assert far > near, f"the spacing along axis {axis} is not used"

    def test_order_and_direction_of_axes_do_not_matter(self, metric: Metric) -> None:
        """The same scan, stored with permuted and flipped axes, has the same value."""
        masks, spacing = _blocks(), (0.5, 0.75, 2.0)
        expected = metric(make_pair(*masks, spacing))
        for order in itertools.permutations(range(3)):
            turned = [np.flip(mask.transpose(order), axis=order[0]) for mask in masks]
            value = metric(make_pair(turned[0], turned[1], (spacing[order[0]], spacing[order[1]], spacing[order[2]])))
            assert value == pytest.approx(expected)

    def test_the_box_around_the_masks_does_not_matter(self, metric: Metric) -> None:
        """Masks of the same image have the same value, whether or not they are cropped to their joint bounding box."""
        reference, prediction = _blocks()
        whole = make_pair(reference, prediction, (0.5, 0.75, 2.0))
        cut = make_pair(*_cut(reference, prediction), whole.spacing, whole.image_shape)
        assert metric(cut) == pytest.approx(metric(whole))

    @pytest.mark.parametrize("masks", _EXTREMES)
    def test_masks_of_any_size_have_a_value(self, metric: Metric, masks: str) -> None:
        """Nonempty masks give a finite number; a distance is not negative, and 0 for equal masks."""
        reference, prediction = _boxes(*_EXTREMES[masks])
        value = metric(make_pair(*_cut(reference, prediction), image_shape=_IMAGE))
        assert math.isfinite(value)
        if metric.distance:
            assert value >= 0
            assert value == 0 or not np.array_equal(reference, prediction)

    def test_an_image_of_one_slice_is_a_plane(self, metric: Metric) -> None:
        """In a 2D image, it does not matter which axis has one voxel; for a distance, nor does the size along it."""
        masks = [mask[..., 4:5] for mask in _blocks()]
        expected = metric(make_pair(masks[0], masks[1], (0.5, 0.75, 2.0)))
        assert math.isfinite(expected)
        for order, spacing in (((2, 0, 1), (2.0, 0.5, 0.75)), ((0, 2, 1), (0.5, 2.0, 0.75))):
            turned = [mask.transpose(order) for mask in masks]
            assert metric(make_pair(turned[0], turned[1], spacing)) == pytest.approx(expected)
        if metric.distance:
            thick = metric(make_pair(masks[0], masks[1], (0.5, 0.75, 40.0)))
            assert thick == pytest.approx(expected), "the size of the only slice counts as a distance"

    @pytest.mark.parametrize("masks", _EXTREMES)
    def test_masks_of_any_size_in_a_plane_have_a_value(self, metric: Metric, masks: str) -> None:
        """Nonempty masks in a 2D image give a finite number; a distance is 0 for equal masks."""
        reference, prediction = (np.asarray(mask.any(axis=2, keepdims=True)) for mask in _boxes(*_EXTREMES[masks]))
        value = metric(make_pair(*_cut(reference, prediction), image_shape=(*_IMAGE[:2], 1)))
        assert math.isfinite(value)
        assert not metric.distance or value >= 0
        assert not metric.distance or value == 0 or not np.array_equal(reference, prediction)

    def test_masks_are_not_written_to(self, metric: Metric) -> None:
        """The harness passes the same masks to every metric."""
        masks = _blocks()
        copies = [mask.copy() for mask in masks]
        for mask in masks:
            mask.setflags(write=False)
        metric(make_pair(*masks))
        for mask, copy in zip(masks, copies, strict=True):
            np.testing.assert_array_equal(mask, copy)

    def test_unknown_options_are_rejected(self, metric: Metric) -> None:
        """A misspelled key in a recipe is an error."""
        with pytest.raises(ValidationError, match="no_such_option"):
            metric.Options.model_validate({"no_such_option": 1})


def _apart_along(metric: Metric, axis: int, size: float) -> float:
    """Return the value for two voxels that are two steps apart along an axis with voxels of ``size`` mm."""
    reference, prediction = np.zeros((2, 3, 3, 3), dtype=np.bool_)
    reference[0, 0, 0] = True
    prediction[tuple(2 if i == axis else 0 for i in range(3))] = True
    x, y, z = (size if i == axis else 1.0 for i in range(3))
    return metric(make_pair(reference, prediction, (x, y, z)))
