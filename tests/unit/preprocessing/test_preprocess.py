import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pydantic import ValidationError

from semiseg.errors import DataError
from semiseg.io.orientation import to_ras
from semiseg.preprocessing.preparation import Preparation
from semiseg.preprocessing.prepare import prepare
from semiseg.recipe.schema import Preprocessing
from semiseg.types import Geometry, Volume

RAS, LPS = np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0])


def volume(array, affine=RAS):
    array = np.asarray(array)
    return Volume(array, Geometry(array.shape[1:], np.asarray(affine, float)))


def line(*values, dtype=np.int16):
    """One channel along the first axis."""
    return np.array(values, dtype).reshape(1, -1, 1, 1)


def test_zscore_by_hand():
    # Foreground 1, 3: mean 2, deviation 1. The box leaves the outer zeros out, the inner one stays 0.
    prepared = prepare(volume(line(0, 1, 0, 3, 0)), Preprocessing())
    assert prepared.normalized().flatten().tolist() == [-1, 0, 1]
    assert prepared.array.dtype == np.int16
    assert prepared.preparation.box == ((1, 4), (0, 1), (0, 1))


def test_a_margin_around_the_foreground_ends_at_the_image():
    # One voxel on each side, two where the image has them; statistics are those of the foreground: mean 2, deviation 1.
    image = line(0, 1, 0, 3, 0, 0, 0)
    found = [prepare(volume(image), Preprocessing(crop_margin=margin)) for margin in (1, 2)]
    assert [one.preparation.box[0] for one in found] == [(0, 5), (0, 6)]
    assert found[1].normalized().flatten().tolist() == [0, -1, 0, 1, 0, 0]
    assert found[1].restore(np.arange(6, dtype=np.uint8).reshape(6, 1, 1)).flatten().tolist() == [0, 1, 2, 3, 4, 5, 0]


@pytest.mark.parametrize("options", [{"crop": False}, {"foreground": "all"}])
def test_a_margin_without_a_crop_is_refused(options):
    with pytest.raises(ValidationError, match=r"crop_margin is set, but .*: leave it out"):
        Preprocessing(crop_margin=3, **options)


def test_minmax_and_none_by_hand():
    image = volume(line(0, 2, 4, 6))
    assert prepare(image, Preprocessing(normalize="minmax")).normalized().flatten().tolist() == [0, 0.5, 1]
    assert prepare(image, Preprocessing(normalize="none")).normalized().flatten().tolist() == [2, 4, 6]
    whole = Preprocessing(normalize="minmax", foreground="all")
    assert prepare(image, whole).normalized().flatten().tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_each_modality_has_its_own_foreground():
    image = np.concatenate([line(0, 1, 3, 0), line(5, 5, 0, 9)])
    prepared = prepare(volume(image), Preprocessing())
    assert prepared.preparation.box[0] == (0, 4)
    first, second = prepared.normalized()[:, :, 0, 0]
    assert first.tolist() == [0, -1, 1, 0]
    values = np.array([5, 5, 9.0])
    assert second[[0, 1, 3]] == pytest.approx((values - values.mean()) / values.std())
    assert second[2] == 0


@pytest.mark.parametrize("normalize", ["zscore", "minmax"])
def test_a_constant_channel_is_not_divided_by_0(normalize):
    prepared = prepare(volume(line(7, 7, 7)), Preprocessing(normalize=normalize))
    assert prepared.normalized().flatten().tolist() == [0, 0, 0]


def test_a_modality_without_content_stays_0():
    prepared = prepare(volume(np.concatenate([line(1, 3), line(0, 0)])), Preprocessing())
    assert prepared.normalized()[1].tolist() == np.zeros((2, 1, 1)).tolist()


@pytest.mark.parametrize("options", [{}, {"crop": False}])
def test_an_empty_image_is_refused(options):
    with pytest.raises(DataError, match=r"case x: the image is empty: every voxel is 0"):
        prepare(volume(line(0, 0)), Preprocessing(**options), where="case x")


def test_values_beyond_float32_are_refused():
    with pytest.raises(DataError, match="too large for float32"):
        prepare(volume(line(1.0, 1e300, dtype=np.float64)), Preprocessing())


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        (np.uint8, np.uint8),
        (np.uint16, np.uint16),
        (np.int32, np.float32),
        (np.float64, np.float32),
        (np.float32, np.float32),
    ],
)
def test_small_integers_stay_as_they_are(dtype, stored):
    prepared = prepare(volume(line(0, 1, 3, dtype=dtype)), Preprocessing())
    assert prepared.array.dtype == stored
    assert prepared.normalized().dtype == np.float32


def test_a_large_mean_loses_no_digits():
    values = 1.7e6 + np.arange(1000)
    prepared = prepare(volume(line(*values, dtype=np.float32)), Preprocessing())
    assert 1 / prepared.preparation.scale[0] == pytest.approx(values.std(), rel=1e-9)
    assert prepared.preparation.offset[0] == pytest.approx(values.mean(), rel=1e-12)


ORIENTATIONS = [
    np.array(m, float)
    for m in (
        np.diag([1, 1, 1, 1]),
        np.diag([-1, -1, 1, 1]),
        [[0, -1, 0, 5], [0, 0, 2, 1], [3, 0, 0, 0], [0, 0, 0, 1]],
        [[0.1, 0, -1, 0], [1, 0, 0.1, 0], [0, -1, 0, 0], [0, 0, 0, 1]],
    )
]


@settings(max_examples=40)
@given(
    arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6), elements=st.integers(0, 3)),
    st.sampled_from(ORIENTATIONS),
    st.booleans(),
)
def test_labels_come_back_where_they_were(array, affine, crop):
    """Cut into the box and restored, a label that lies in the foreground is itself, in any orientation."""
    array[0, 0, 0] = 1
    prepared = prepare(volume(array[None], affine), Preprocessing(crop=crop))
    cut, n_outside = prepared.preparation.cut_label(array)
    assert n_outside == 0
    np.testing.assert_array_equal(prepared.restore(cut), array)
    # The image was turned in the same way.
    np.testing.assert_array_equal(prepared.array[0], cut)


def test_voxels_outside_the_box_are_counted():
    prepared = prepare(volume(line(0, 0, 5, 6, 0)), Preprocessing())
    cut, n_outside = prepared.preparation.cut_label(np.array([1, 0, 1, 2, 2], np.uint8).reshape(5, 1, 1))
    assert cut.flatten().tolist() == [1, 2]
    assert n_outside == 2


def test_the_record_survives_json():
    import json

    image = volume(np.random.default_rng(0).integers(0, 999, (2, 5, 4, 3)), ORIENTATIONS[3])
    before = prepare(image, Preprocessing())
    after = Preparation.from_dict(json.loads(json.dumps(before.preparation.as_dict())))
    np.testing.assert_array_equal(after.normalize(before.array), before.normalized())
    labels = np.ones(after.shape, np.uint8)
    np.testing.assert_array_equal(after.restore(labels), before.restore(labels))
    assert after.geometry.difference(image.geometry, 0) == ""


def test_axes_are_turned_to_ras():
    array = np.arange(24).reshape(1, 2, 3, 4).astype(np.int16) + 1
    prepared = prepare(volume(array, LPS), Preprocessing())
    np.testing.assert_array_equal(prepared.array, to_ras(array, volume(array, LPS).geometry)[0])
    np.testing.assert_array_equal(prepared.array, array[:, ::-1, ::-1])
