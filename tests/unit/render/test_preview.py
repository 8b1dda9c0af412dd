import numpy as np
import pytest
from PIL import Image

from semiseg.render.document import ViewedCase
from semiseg.render.preview import COLORS, HEADER, MARGIN, PANEL, best_slice, overlay, write_preview


def test_the_slice_with_most_foreground_is_shown():
    labels = np.zeros((4, 4, 5), np.uint8)
    assert best_slice(labels) == 2
    labels[0, 0, 1], labels[:2, :2, 3] = 1, 2
    assert best_slice(labels) == 3


def test_class_colors_lie_over_the_gray():
    gray = np.full((1, 3), 100, np.uint8)
    picture = overlay(gray, np.array([[0, 1, 2]], np.uint8))
    assert picture[0, 0].tolist() == [100, 100, 100]
    for column, color in ((1, COLORS[0]), (2, COLORS[1])):
        assert np.abs(picture[0, column] - (0.5 * 100 + 0.5 * np.array(color))).max() <= 1


def test_left_is_on_the_right_and_front_is_up(tmp_path):
    # One bright voxel at the patient's left front: R axis low index is left in RAS+ (index grows to the right).
    image = np.zeros((8, 8, 3))
    image[0, 7, :] = 1000
    labels = np.zeros((8, 8, 3), np.uint8)
    labels[4, 4, 1] = 1
    path = tmp_path / "p.png"
    write_preview(path, [ViewedCase("c", "", image, {"truth": labels, "last": labels}, (1, 1, 1))], ("background", "a"))
    picture = np.asarray(Image.open(path).convert("L"))
    panel = picture[HEADER : HEADER + PANEL, MARGIN : MARGIN + PANEL]
    row, column = np.unravel_index(panel[: PANEL // 2].argmax(), (PANEL // 2, PANEL))
    assert (row, column // (PANEL // 8)) == (0, 7)


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb\n", "\n", ""])
def test_a_class_name_of_several_lines_is_written_in_one(tmp_path, name):
    labels = np.ones((5, 6, 7), np.uint8)
    case = ViewedCase("a", "", np.ones((5, 6, 7)), {"truth": labels}, (1, 1, 1))
    write_preview(tmp_path / "lines.png", [case], ("background", name))
    write_preview(tmp_path / "line.png", [case], ("background", " ".join(name.split())))
    assert (tmp_path / "lines.png").read_bytes() == (tmp_path / "line.png").read_bytes()


def test_rows_and_panels(tmp_path):
    labels = np.ones((5, 6, 7), np.uint8)
    case = ViewedCase(
        "a", "", np.random.default_rng(0).normal(size=(5, 6, 7)), {"truth": labels, "x": labels}, (1, 2, 3)
    )
    write_preview(tmp_path / "p.png", [case, case], ("background", "a"))
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size == (MARGIN + 3 * (PANEL + MARGIN), 2 * HEADER + 2 * (PANEL + MARGIN))
