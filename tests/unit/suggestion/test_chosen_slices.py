"""Which slices of a volume are named as worth drawing first, and their pictures."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from semiseg.io.orientation import from_ras
from semiseg.render.preview import COLORS
from semiseg.suggestion.measuring import STEPS
from semiseg.suggestion.pictures import contour, draw
from semiseg.suggestion.slices import apart, choose_slices
from semiseg.types import Geometry


def test_the_next_slice_is_the_largest_beyond_the_gap():
    # 8 uncertain slices and at most 2: slices within 8 // 4 = 2 of a chosen one are left out.
    assert apart([0, 1, 2, 9, 8, 7, 3, 4, 5], 2) == (3, 8)
    assert apart([0, 0, 5, 0], 3) == (2,)
    assert apart([0, 0], 3) == ()


@given(st.lists(st.floats(0, 10), min_size=1, max_size=40), st.integers(1, 6))
def test_chosen_slices_are_uncertain_apart_and_ordered(sums, most):
    chosen = apart(sums, most)
    gap = max(sum(value > 0 for value in sums) // (2 * most), 1)
    assert len(chosen) <= most
    assert all(sums[index] > 0 for index in chosen)
    assert all(abs(a - b) > gap for n, a in enumerate(chosen) for b in chosen[:n])
    assert [sums[index] for index in chosen] == sorted((sums[index] for index in chosen), reverse=True)


@pytest.mark.parametrize(
    "affine", [np.diag([1.0, 1, 5, 1]), np.array([[0, 0, 5.0, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])]
)
def test_slices_have_the_numbers_of_the_file_and_the_places_of_the_scanner(affine):
    grid = Geometry((4, 6, 20), affine)
    found = np.zeros(grid.shape, np.int16)
    found[:, :, 15] = 100
    found[:, :, 3] = 50
    axis = int(np.abs(affine[:3, 2]).argmax())
    slices = choose_slices(found, grid, axis, 5)
    assert slices.numbers == (15, 3)
    assert slices.file_axis == 2
    assert slices.places == (f"{'S' if axis == 2 else 'R'} 75.0 mm", f"{'S' if axis == 2 else 'R'} 15.0 mm")
    assert "15 (" in slices.sentence()
    assert "of 20, counted from 0 along axis 3 of the file" in slices.sentence()


def test_flipped_files_keep_their_own_numbers():
    grid = Geometry((4, 4, 10), np.diag([1.0, 1, -2, 1]))
    turned = np.zeros((4, 4, 10), np.int16)
    turned[:, :, 0] = 1  # the lowest slice is the last one of the file
    slices = choose_slices(np.ascontiguousarray(from_ras(turned, grid)), grid, 2, 3)
    assert (slices.chosen, slices.numbers, slices.places) == ((0,), (9,), ("I 18.0 mm",))


def test_thin_and_certain_volumes_have_no_choice():
    grid = Geometry((4, 4, 5), np.eye(4))
    assert choose_slices(np.ones(grid.shape, np.int16), grid, 2, 5) is None
    assert choose_slices(np.zeros(grid.shape, np.int16), grid, 2, 2) is None


def test_a_contour_is_the_rim():
    mask = np.zeros((5, 6), bool)
    mask[1:4, 1:5] = True
    rim = mask.copy()
    rim[2, 2:4] = False
    np.testing.assert_array_equal(contour(mask), rim)
    assert contour(np.ones((3, 3), bool)).sum() == 8


def test_pictures_show_uncertainty_in_color_and_contours_in_the_classes_colors():
    gray = np.full((40, 40), 100, np.uint8)
    uncertainty, labels = np.zeros((40, 40), np.int16), np.zeros((40, 40), np.uint8)
    uncertainty[:20] = STEPS  # the patient's left is the picture's right
    labels[25:35, 10:30] = 1
    picture = np.asarray(Image.open(io.BytesIO(draw(gray, uncertainty, labels, (1.0, 0.5)))))
    assert picture.shape == (160, 320, 3)
    assert tuple(picture[80, 10]) == (100, 100, 100)
    assert tuple(picture[80, 310]) == (201, 139, 178)  # 0.35 x 100 + 0.65 x (255, 160, 220)
    assert (picture == COLORS[0]).all(-1).any()
    assert not (picture == COLORS[0]).all(-1)[:, 160:].any()
