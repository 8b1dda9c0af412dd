import numpy as np

from semiseg.inference.components import keep_largest


def test_smaller_components_of_the_named_classes_become_background():
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[0, 0, :4] = 1
    labels[3, 3, 2:4] = 1
    labels[5, :3, 0] = 2
    labels[5, 5, 5] = 2
    expected = labels.copy()
    expected[3, 3, 2:4] = 0
    keep_largest(labels, [1, 3])
    np.testing.assert_array_equal(labels, expected)
    expected[5, 5, 5] = 0
    keep_largest(labels, range(1, 4))
    np.testing.assert_array_equal(labels, expected)


def test_voxels_that_touch_in_a_corner_are_one_component():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = labels[2, 2, 0] = 1
    labels[3, 3, 3] = 1
    keep_largest(labels, [1])
    assert np.argwhere(labels).tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 0]]


def test_of_equal_components_the_first_stays():
    labels = np.array([0, 1, 1, 0, 1, 1, 0, 1], np.uint8).reshape(1, 8, 1)
    keep_largest(labels, [1])
    assert labels.ravel().tolist() == [0, 1, 1, 0, 0, 0, 0, 0]
