import numpy as np
import pytest
from PIL import Image

from semiseg.render.document import ViewedCase
from semiseg.render.preview import COLORS, GRAY, HEADER, MARGIN, PANEL, best_slice, overlay, write_preview
from semiseg.render.sprites import make_sprites
from semiseg.types import IGNORED


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


def test_ignored_voxels_are_gray_and_named_in_the_legend(tmp_path):
    truth = np.zeros((8, 8, 3), np.uint8)
    truth[:, :, 0] = IGNORED
    truth[2, 2, 1], truth[3:6, :, 1] = 1, IGNORED
    image = np.zeros((8, 8, 3))
    gray = overlay(np.full((1, 1), 50, np.uint8), np.full((1, 1), IGNORED, np.uint8))
    assert gray[0, 0].tolist() == [(50 + GRAY[0]) // 2] * 3
    pictures = []
    for has_ignored in (False, True):
        case = ViewedCase("c", "", image, {"reference": np.where(truth == 1, 1, 0)}, (1, 1, 1))
        if has_ignored:
            case = ViewedCase("c", "", image, {"reference": truth}, (1, 1, 1), has_ignored=True)
        write_preview(tmp_path / "p.png", [case], ("background", "a"))
        pictures.append(np.asarray(Image.open(tmp_path / "p.png")).astype(int))
    before, after = pictures
    # The slice is that with most foreground; ignored voxels count for nothing.
    left = 2 * MARGIN + PANEL
    panel = np.s_[HEADER : HEADER + PANEL, left : left + PANEL]
    changed = (before[panel] != after[panel]).any(axis=2)
    assert changed.mean() == pytest.approx(3 / 8, abs=0.02)
    legend = np.s_[HEADER + PANEL + MARGIN :]
    assert (after[legend] == GRAY).all(axis=2).sum() > (before[legend] == GRAY).all(axis=2).sum() + 50


def test_the_viewer_shows_ignored_voxels_as_background_and_says_so():
    truth = np.zeros((6, 6, 3), np.uint8)
    truth[1, 1, 1], truth[3:, :, 1] = 1, IGNORED
    case = ViewedCase("c", "", np.ones((6, 6, 3)), {"reference": truth}, (1, 1, 1), has_ignored=True)
    plain = ViewedCase("c", "", np.ones((6, 6, 3)), {"reference": np.where(truth == 1, truth, 0)}, (1, 1, 1))
    marked, sprites = make_sprites(case, 2), make_sprites(plain, 2)
    assert marked.labels == sprites.labels
    assert marked.note == f"{sprites.note} Ignored voxels are shown as background."


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
