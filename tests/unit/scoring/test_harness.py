"""The scores of one case."""

import math

import numpy as np
import pytest

from semiseg.errors import ComponentError, DataError
from semiseg.metrics.distances import HD95
from semiseg.metrics.overlap import Dice
from semiseg.scoring.masks import boxes
from semiseg.scoring.score_case import score_case
from semiseg.types import Geometry

CLASSES = ("background", "core", "edema", "rare")
METRICS = {"dice": Dice(), "hd95": HD95()}


def grid(shape=(10, 8, 6), spacing=(1.0, 1.0, 3.0), unit="mm"):
    return Geometry(shape, np.diag([*spacing, 1.0]), unit)


def labels(shape=(10, 8, 6), dtype=np.uint8, **places):
    array = np.zeros(shape, dtype=dtype)
    for name, place in places.items():
        array[place] = CLASSES.index(name)
    return array


def by_key(scores):
    return {(score.class_name, score.metric): score for score in scores}


def test_every_class_and_metric_has_one_row_in_order():
    reference = labels(core=np.s_[1:3, 1:3, 1], edema=np.s_[5, 5, 1])
    prediction = labels(core=np.s_[1:3, 1:3, 1:3], rare=np.s_[9, 7, 5])
    scores = score_case(reference, prediction, grid(), CLASSES, METRICS, case="c1", run="r", checkpoint="best")
    names = [(name, metric) for name in CLASSES[1:] for metric in METRICS]
    assert [(score.class_name, score.metric) for score in scores] == names
    assert {(score.run, score.checkpoint, score.case) for score in scores} == {("r", "best", "c1")}
    rows = by_key(scores)
    core, missed, spurious = rows["core", "dice"], rows["edema", "hd95"], rows["rare", "hd95"]
    assert (core.value, core.unit, core.status) == (2 * 4 / 12, "1", "ok")
    assert (core.n_reference, core.n_prediction) == (4, 8)
    assert (rows["core", "hd95"].value, rows["core", "hd95"].unit) == (3.0, "mm")
    assert (missed.value, missed.status, missed.n_reference, missed.n_prediction) == (math.inf, "missed", 1, 0)
    assert (spurious.value, spurious.status, spurious.n_reference, spurious.n_prediction) == (
        math.inf,
        "spurious",
        0,
        1,
    )
    assert rows["edema", "dice"].value == 0
    assert rows["rare", "dice"].value == 0


def test_a_class_in_neither_is_not_defined():
    scores = score_case(labels(), labels(), grid(), CLASSES, METRICS, case="c")
    assert {score.status for score in scores} == {"both_empty"}
    assert all(math.isnan(score.value) for score in scores)


def test_the_diagonal_is_of_the_whole_image():
    scores = score_case(labels(), labels(), grid(), CLASSES, METRICS, case="c")
    assert scores[0].image_diagonal == pytest.approx(math.hypot(10, 8, 18))


def test_distances_without_known_spacing_are_in_voxels():
    voxel = grid(spacing=(1, 1, 1), unit="voxel")
    scores = score_case(labels(core=np.s_[0, 0, 0]), labels(core=np.s_[0, 0, 2]), voxel, CLASSES, METRICS, case="c")
    row = by_key(scores)["core", "hd95"]
    assert (row.value, row.unit) == (2.0, "voxel")
    assert row.is_distance
    assert not by_key(scores)["core", "dice"].is_distance


def test_boxes_change_nothing():
    """Against metrics of whole-image masks, with objects at the edges of the image."""
    generator = np.random.default_rng(0)
    from semiseg.testing.metric import make_pair

    for _ in range(20):
        reference, prediction = generator.choice(4, size=(2, 10, 8, 6), p=[0.97, 0.01, 0.01, 0.01]).astype(np.uint8)
        for index, name in enumerate(CLASSES[1:], start=1):
            whole = make_pair(reference == index, prediction == index, (1.0, 1.0, 3.0))
            rows = by_key(score_case(reference, prediction, grid(), CLASSES, METRICS, case="c"))
            for key, metric in METRICS.items():
                np.testing.assert_allclose(rows[name, key].value, metric(whole), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64, np.uint64, ">i2"])
def test_any_integer_type(dtype):
    reference = labels(dtype=dtype, core=np.s_[1:3, 1:3, 1])
    scores = score_case(reference, reference, grid(), CLASSES, METRICS, case="c")
    assert by_key(scores)["core", "dice"].value == 1
    assert by_key(scores)["core", "dice"].n_reference == 4


def test_slices_and_transposed_views_are_read_right():
    big = labels((12, 8, 10), core=np.s_[2:5, 1:3, 1:4])
    view = big.transpose(2, 1, 0)[:, :, 1:7]
    copy = np.ascontiguousarray(view)
    first, second = (score_case(a, a, grid(), CLASSES, METRICS, case="c") for a in (view, copy))
    assert by_key(first)["core", "dice"] == by_key(second)["core", "dice"]
    assert by_key(first)["core", "dice"].n_reference == 18


def test_background_alone_has_no_rows():
    assert score_case(labels(), labels(), grid(), ("background",), METRICS, case="c") == []


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(DataError) as caught:
        score_case(labels((3, 3, 3)), np.zeros((10, 8, 6)), grid(), CLASSES, METRICS, case="case_7")
    text = str(caught.value)
    assert "case case_7, reference: shape (3, 3, 3), but the grid is (10, 8, 6)" in text
    assert "case case_7, prediction: class indices have to be integers, not float64" in text


@pytest.mark.parametrize("value", [-1, 4])
def test_indices_that_are_no_class(value):
    wrong = labels(dtype=np.int16)
    wrong[0, 0, 0] = value
    with pytest.raises(DataError, match="there are 4 classes"):
        score_case(labels(), wrong, grid(), CLASSES, METRICS, case="c")


def test_a_reference_is_known_again_whatever_it_is_scored_against_and_however_it_lies_in_memory():
    reference = labels(core=np.s_[1:3, 1:4, 1], edema=np.s_[5, 5, 1])
    other = labels(core=np.s_[1:3, 1:4, 2], edema=np.s_[5, 5, 1])

    def digests(reference, prediction, geometry=None):
        scores = score_case(reference, prediction, geometry or grid(), CLASSES, {"dice": Dice()}, case="c")
        return [score.reference_digest for score in scores]

    found = digests(reference, reference)
    assert len(set(found)) == 3
    assert digests(reference, labels()) == found
    assert digests(np.asfortranarray(reference), other) == found
    assert digests(reference.astype(np.int64), np.asfortranarray(other)) == found
    assert [a == b for a, b in zip(digests(other, reference), found, strict=True)] == [False, True, True]
    assert not set(digests(reference, reference, grid(spacing=(1.0, 1.0, 2.0)))) & set(found)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_order_in_memory_changes_no_value(order):
    generator = np.random.default_rng(0)
    reference, prediction = generator.integers(0, 4, (2, 10, 8, 6)).astype(np.uint8)
    expected = score_case(reference, prediction, grid(spacing=(0.5, 1.0, 3.0)), CLASSES, METRICS, case="c")
    turned = np.asarray(reference, order="F"), np.asarray(prediction, order=order)
    found = score_case(*turned, grid(spacing=(0.5, 1.0, 3.0)), CLASSES, METRICS, case="c")
    assert [s.value for s in found] == pytest.approx([s.value for s in expected], rel=1e-12)
    assert [s.n_prediction for s in found] == [s.n_prediction for s in expected]


@pytest.mark.parametrize("backend", ["numba", "scipy"])
def test_boxes_of_classes(monkeypatch, backend):
    if backend == "scipy":
        monkeypatch.setattr(boxes, "_kernels", lambda: None)
    generator = np.random.default_rng(1)
    for _ in range(200):
        shape = tuple(generator.integers(1, 7, 3))
        array = np.where(generator.random(shape) < 0.15, generator.integers(0, 5, shape), 0).astype(np.uint8)
        for index, box in enumerate(boxes.class_boxes(array, 5), start=1):
            places = np.argwhere(array == index)
            assert (box is None) == (places.size == 0)
            if box is not None:
                assert [(s.start, s.stop) for s in box] == list(zip(places.min(0), places.max(0) + 1, strict=True))
    with pytest.raises(ValueError, match="class index 4 of 4"):
        boxes.class_boxes(np.full((1, 1, 1), 4, dtype=np.uint8), 4)


def test_a_metric_that_fails_is_named_with_case_and_class():
    class Small(Dice):
        def __call__(self, pair):
            raise ValueError("too small")

    reference = labels(core=(1, 1, 1), edema=(slice(2, 4), 2, 2))
    with pytest.raises(ComponentError) as caught:
        score_case(reference, reference, grid(), CLASSES, {"dice": Dice(), "small": Small()}, case="c7")
    (problem,) = caught.value.problems
    assert problem.where == "case c7, class core"
    assert problem.what == (
        "metric small failed (1 voxels in the reference, 1 in the prediction): ValueError: too small"
    )
