"""The spacing that a run keeps, and what is told of images that are spaced otherwise."""

import numpy as np
import pytest

from semiseg.preprocessing.spacing import mixed_spacing_note, spacing_note, training_spacing
from semiseg.types import Geometry


def grid(*sizes, unit="mm"):
    return Geometry((4, 5, 6), np.diag([*sizes, 1.0]), unit)


def turned():
    """Voxels of 5 mm along the first array axis, which is superior, and 1 and 2 mm along right and anterior."""
    affine = np.array([[0, -1.0, 0, 0], [0, 0, 2.0, 0], [5.0, 0, 0, 0], [0, 0, 0, 1]])
    return Geometry((6, 4, 5), affine)


def test_what_is_kept_is_along_the_axes_that_networks_see():
    kept = training_spacing([turned(), grid(1.5, 2, 5), grid(1.2, 2, 3)])
    assert kept == {"unit": "mm", "min": [1, 2, 3], "median": [1.2, 2, 5], "max": [1.5, 2, 5]}
    assert training_spacing([grid(1, 1, 1, unit="voxel")]) is None


@pytest.mark.parametrize(
    ("size", "noted"), [(1.0, False), (1.25, False), (0.8, False), (1.26, True), (0.79, True), (3.0, True)]
)
def test_a_quarter_beyond_all_training_cases_is_clear(size, noted):
    trained = training_spacing([grid(1, 1, 1)])
    assert bool(spacing_note(trained, {"x": grid(1, 1, size)})) == noted


def test_an_image_within_the_range_of_mixed_training_cases_is_none():
    trained = training_spacing([grid(1, 1, 1), grid(1, 1, 6)])
    assert spacing_note(trained, {"x": grid(1, 1, 3)}) == ""
    assert "whose voxels are 1 x 1 x 1 to 6 mm" in spacing_note(trained, {"x": grid(1, 1, 9)})


def test_nothing_is_told_where_a_spacing_is_not_known():
    assert spacing_note(None, {"x": grid(3, 3, 3)}) == ""
    assert spacing_note(training_spacing([grid(1, 1, 1)]), {"x": grid(3, 3, 3, unit="voxel")}) == ""


def test_networks_of_two_dimensions_do_not_see_the_distance_of_slices():
    thin, thick = grid(1, 1, 5), grid(1, 1, 10)
    assert mixed_spacing_note([thin, thick])
    assert mixed_spacing_note([thin, thick], "auto") == []
    (note,) = mixed_spacing_note([thin, grid(1, 2, 10)], "auto")
    assert "left-right 1, 1, 1; front-back 1, 1.5, 2)" in note
    (note,) = mixed_spacing_note([thin, thick], "right")  # sagittal slices
    assert "front-back 1, 1, 1; up-down 5, 7.5, 10)" in note
    trained = training_spacing([thin])
    assert spacing_note(trained, {"x": thick})
    assert spacing_note(trained, {"x": thick}, "auto") == ""
    assert "x (1 x 2 x 5)" in spacing_note(trained, {"x": grid(1, 2, 5)}, "auto")


def test_pictures_for_a_model_of_volumes_and_the_reverse_are_noted():
    picture = Geometry((4, 5, 1), np.eye(4), "pixel")
    assert training_spacing([picture]) == {"unit": "pixel"}
    assert spacing_note({"unit": "pixel"}, {"x": picture}) == ""
    assert spacing_note({"unit": "pixel"}, {"x": grid(1, 1, 1)}) == (
        "the model was trained on 2D images, and these are volumes: x"
    )
    for trained in (None, training_spacing([grid(1, 1, 1)])):
        assert spacing_note(trained, {"x": picture}) == "the model was trained on volumes, and these are 2D images: x"
