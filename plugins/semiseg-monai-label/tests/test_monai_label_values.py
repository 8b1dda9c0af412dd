"""Labels as clients send them, with the values of the dataset afterwards."""

import nibabel as nib
import numpy as np
import pytest

from semiseg.errors import DataError
from semiseg_monai_label.labels import names_in, with_dataset_values

VALUES = {"necrosis": 1, "edema": 2, "enhancing": 4}
AFFINE = np.array([[0, -2.0, 0, 30], [1.5, 0, 0, -20], [0, 0, 3.0, 7], [0, 0, 0, 1]])


@pytest.fixture
def drawn(tmp_path):
    """As 3D Slicer sends it: segments numbered from 1 in their order, here enhancing and necrosis, as int16."""
    array = np.zeros((3, 4, 5), np.int16)
    array[0], array[1, 1] = 1, 2
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "drawn.nii.gz")
    return tmp_path / "drawn.nii.gz"


def test_segments_get_the_values_of_their_names(drawn, tmp_path):
    segments = [{"name": "enhancing", "idx": 1}, {"name": "necrosis", "idx": 2}]
    found = with_dataset_values(drawn, tmp_path / "label.nii.gz", segments, VALUES, "a")
    assert found == [{"name": "enhancing", "idx": 4}, {"name": "necrosis", "idx": 1}]
    written = nib.load(tmp_path / "label.nii.gz")
    expected = np.zeros((3, 4, 5), np.uint8)
    expected[0], expected[1, 1] = 4, 1
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), expected)
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(written.affine, AFFINE)


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([{"name": "Segment_1", "idx": 1}, {"name": "edema", "idx": 2}], "'Segment_1' is no class of the model"),
        ([{"name": "edema", "idx": 2}, {"name": "necrosis", "idx": 3}], "not numbered from 1 in their order"),
        ([{"name": "edema", "idx": 1}], "values without a segment: 2"),
    ],
)
def test_what_cannot_be_named_is_refused_and_nothing_is_written(drawn, tmp_path, segments, message):
    with pytest.raises(DataError, match=message):
        with_dataset_values(drawn, tmp_path / "label.nii.gz", segments, VALUES, "a")
    assert not (tmp_path / "label.nii.gz").exists()


def test_names_are_those_of_the_values_that_are_there_in_ascending_order():
    assert [*names_in(np.array([4, 0, 1]), {"enhancing": 4, "edema": 2, "necrosis": 1})] == ["necrosis", "enhancing"]
    assert names_in(np.zeros(3), VALUES) == {}
