"""From stored values to class indices."""

import numpy as np
import pytest

from semiseg.errors import ArgumentError, DataError
from semiseg.scoring.labels import LabelMap, as_integers, parse_labels, stored_values
from semiseg.types import IGNORED


def test_values_of_one_name_are_one_class():
    label_map = LabelMap.of({1: "necrosis", 2: "edema", 4: "enhancing", 3: "enhancing"})
    assert label_map.classes == ("background", "necrosis", "edema", "enhancing")
    np.testing.assert_array_equal(label_map.to_indices(np.array([0, 1, 2, 3, 4])), [0, 1, 2, 3, 3])


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", ">i2", "u2", "i4", "i8", "u8", "f4", "f8", ">f4"])
def test_any_numeric_type(dtype):
    indices = LabelMap.of({2: "a", 100: "b"}).to_indices(np.array([[0, 2], [100, 0]], dtype=dtype))
    assert indices.dtype == np.uint8
    np.testing.assert_array_equal(indices, [[0, 1], [2, 0]])


def test_large_values():
    assert LabelMap.of({70_000: "a"}).to_indices(np.array([70_000, 0])).tolist() == [1, 0]


@pytest.mark.parametrize(("value", "dtype"), [(2**31 - 1, np.int32), (10**15, np.float64), (70_000, np.uint32)])
def test_values_are_looked_up_without_a_table_of_all_below(value, dtype):
    label_map = LabelMap.of({1: "a", value: "b"})
    np.testing.assert_array_equal(label_map.to_indices(np.array([0, value, 1, 0], dtype=dtype)), [0, 2, 1, 0])


def test_values_named_background_are_the_one_background():
    label_map = LabelMap.of(parse_labels("1=liver,255=background,0=background"))
    assert label_map.classes == ("background", "liver")
    assert label_map.to_indices(np.array([0, 1, 255])).tolist() == [0, 1, 0]
    with pytest.raises(DataError, match="label 7 has no class; known: 0=background, 1=liver, 255=background"):
        label_map.to_indices(np.array([7]))


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4"])
def test_all_others_can_be_background(dtype):
    values = np.array([0, 5, 7, 90, 104], dtype)
    label_map = LabelMap.of(parse_labels("5=liver,90=spleen,other=background"))
    assert label_map.classes == ("background", "liver", "spleen")
    assert label_map.to_indices(values).tolist() == [0, 1, 0, 2, 0]
    assert LabelMap.of({5: "liver", "other": "background"}).to_indices(values).tolist() == [0, 1, 0, 0, 0]
    assert label_map.to_indices(np.array([-1, 5, 70_000, -90])).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("value", [255, 7, -1])
@pytest.mark.parametrize("name", ["ignore", "Ignore"])
def test_a_value_can_be_ignored(value, name):
    label_map = LabelMap.of(parse_labels(f"1=liver,{value}={name}"))
    assert label_map.classes == ("background", "liver")
    assert label_map.has_ignored
    assert label_map.to_indices(np.array([0, value, 1])).tolist() == [0, IGNORED, 1]
    assert not LabelMap.of({1: "liver"}).has_ignored
    with pytest.raises(DataError, match=f"label 9 has no class; known: 0=background, 1=liver, {value}=ignore"):
        label_map.to_indices(np.array([9]))


def test_all_other_values_cannot_be_ignored():
    with pytest.raises(ArgumentError, match=r"other=ignore: 'other' is not a stored value\n.*other=background"):
        LabelMap.of(parse_labels("1=liver,other=ignore"))
    with pytest.raises(ArgumentError, match="0 is the background"):
        LabelMap.of(parse_labels("1=liver,0=ignore"))


def test_others_are_background_or_nothing():
    with pytest.raises(ArgumentError, match=r"other=organ: 'other' is not a stored value\n.*other=background"):
        LabelMap.of(parse_labels("1=liver,other=organ"))
    with pytest.raises(ArgumentError, match="no classes are named"):
        LabelMap.of(parse_labels("255=background,other=background"))


def test_values_without_a_class_are_told():
    with pytest.raises(DataError, match=r"label -2, 4, 205 has no class; known: 0=background, 1=necrosis"):
        LabelMap.of({1: "necrosis"}).to_indices(np.array([0, 1, 4, 205, -2]))
    with pytest.raises(DataError, match=r"10, 11 and 30 more has no class"):
        LabelMap.of({1: "a"}).to_indices(np.arange(2, 42))


def test_fractions_and_what_is_not_finite_are_no_labels():
    with pytest.raises(DataError, match="3 voxels are not whole numbers"):
        as_integers(np.array([0.0, 0.5, np.nan, np.inf, 2.0]))


def test_roundings_of_a_float_are_no_fractions():
    near = np.array([0.99999994, 3.0000005, -1e-9], np.float32)
    assert as_integers(near).tolist() == as_integers(near.astype(np.float64)).tolist() == [1, 3, 0]
    with pytest.raises(DataError, match="2 voxels are not whole numbers"):
        as_integers(np.array([0.98, 0.5, 1]))


def test_stored_values_by_counting_and_by_sorting():
    assert stored_values(np.array([3, 0, 3, 7], dtype=np.uint8)) == {0, 3, 7}
    assert stored_values(np.array([-5, 0, 10**9])) == {-5, 0, 10**9}
    assert stored_values(np.zeros((0, 2, 2), dtype=int)) == set()


def test_parsing():
    assert parse_labels("1=necrosis, 2=edema,3 = enhancing") == {1: "necrosis", 2: "edema", 3: "enhancing"}
    with pytest.raises(DataError) as caught:
        parse_labels("1=necrosis,edema,x=y,-1=z,1=twice,5=")
    told = [problem.what for problem in caught.value.problems]
    assert told == [
        "'edema' is not VALUE=NAME",
        "'x=y' is not VALUE=NAME",
        "'-1=z' is not VALUE=NAME",
        "1 is named twice: necrosis and twice",
        "'5=' is not VALUE=NAME",
    ]


def test_labels_that_cannot_be():
    with pytest.raises(DataError) as caught:
        LabelMap.of({0: "brain", -1: "x"})
    assert len(caught.value.problems) == 2
    with pytest.raises(DataError, match="no classes are named"):
        LabelMap.of({})
    with pytest.raises(DataError, match="at most 254"):
        LabelMap.of({value: str(value) for value in range(1, 300)})
