"""The largest connected component, by hand."""

import torch

from semiseg_copy_paste.components import largest_components


def volume(*voxels):
    """A 4 x 4 x 4 label map of background with (x, y, z, class) in it."""
    labels = torch.zeros(1, 4, 4, 4, dtype=torch.int64)
    for x, y, z, label in voxels:
        labels[0, x, y, z] = label
    return labels


def test_the_smaller_piece_of_each_class_becomes_background():
    ones = [(0, 0, 0, 1), (0, 0, 1, 1), (3, 3, 3, 1)]
    twos = [(0, 3, 0, 2), (3, 0, 0, 2), (3, 0, 1, 2)]
    expected = volume(*ones[:2], *twos[1:])
    assert torch.equal(largest_components(volume(*ones, *twos)), expected)


def test_a_corner_connects_and_another_class_between_does_not():
    diagonal = [(0, 0, 0, 1), (1, 1, 1, 1), (2, 2, 2, 1)]
    assert torch.equal(largest_components(volume(*diagonal)), volume(*diagonal))
    cut = [(0, 0, 0, 1), (0, 0, 1, 1), (0, 0, 2, 2), (0, 0, 3, 1)]
    assert torch.equal(largest_components(volume(*cut)), volume(*cut[:3]))


def test_in_2d_a_corner_connects_too():
    """The public code for ACDC labels each slice with skimage's default, all eight neighbors."""
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    labels[0, [0, 1, 2], [0, 1, 2]] = 1
    kept = labels.clone()
    labels[0, 0, 3] = 1
    assert torch.equal(largest_components(labels), kept)
    assert torch.equal(largest_components(labels[..., None])[..., 0], kept)


def test_of_two_of_one_size_the_first_is_kept():
    assert torch.equal(largest_components(volume((0, 0, 0, 1), (3, 3, 3, 1))), volume((0, 0, 0, 1)))


def test_a_class_that_is_not_there_stays_away_and_samples_are_apart():
    """The public code for ACDC once asserted that there is every class."""
    both = torch.cat([volume(), volume((0, 0, 0, 2)), volume((0, 0, 0, 2), (0, 0, 1, 2), (3, 3, 3, 2))])
    before = both.clone()
    expected = torch.cat([volume(), volume((0, 0, 0, 2)), volume((0, 0, 0, 2), (0, 0, 1, 2))])
    assert torch.equal(largest_components(both), expected)
    assert torch.equal(both, before)


def test_no_sample_gives_none():
    assert largest_components(volume()[:0]).shape == (0, 4, 4, 4)
