"""Pictures in previews and pages: as stored, row 0 at the top, in color."""

import io
from base64 import b64decode

import helpers_pictures as made
import numpy as np
import pytest
from PIL import Image

from semiseg.datasets.folder import Folder
from semiseg.io.labels import write_label
from semiseg.render.preview import HEADER, MARGIN, PANEL, write_preview
from semiseg.render.sprites import MAX_PICTURE, make_sprites
from semiseg.render.viewer_case import view_case


def viewed(root, tmp_path, picture, **options):
    made.save(root / "labeled" / "images" / "a.png", picture)
    mask = np.zeros(picture.shape[:2], np.uint8)
    mask[0, :2] = 255
    made.save(root / "labeled" / "labels" / "a.png", mask)
    dataset = Folder(Folder.Options(root=root, classes={"disk": 255}, **options))
    (case,) = dataset.cases()
    grid = dataset.read_geometry(case)
    write_label(tmp_path / "p.png", np.full(grid.shape, 255), grid)
    return view_case(case, dataset, dataset.info(), {"last": tmp_path / "p.png"})


def decode(uri):
    return np.asarray(Image.open(io.BytesIO(b64decode(uri.removeprefix("data:image/png;base64,")))))


@pytest.fixture
def rgb(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (16, 32, 3)).astype(np.uint8)
    return picture, viewed(tmp_path / "d", tmp_path, picture, modalities=("red", "green", "blue"))


def test_a_preview_shows_the_stored_colors_with_row_0_at_the_top(tmp_path, rgb):
    picture, case = rgb
    write_preview(tmp_path / "preview.png", [case], ("background", "disk"))
    panels = np.asarray(Image.open(tmp_path / "preview.png"))[HEADER : HEADER + PANEL, MARGIN:]
    scale = PANEL // 32  # the picture is twice as wide as high, in the middle of its panel
    shown = panels[PANEL // 4 + scale // 2 : 3 * PANEL // 4 : scale, scale // 2 : PANEL : scale]
    np.testing.assert_array_equal(shown[:14], picture[:14])  # the case's name is written below
    reference = panels[PANEL // 4 + scale // 2 :: scale, PANEL + MARGIN + scale // 2 :: scale][:14, :32]
    changed = (reference != picture[:14]).any(axis=-1)
    assert changed[0, :2].all()
    assert changed.sum() == 2


def test_sprites_hold_the_whole_picture_in_color(rgb):
    picture, case = rgb
    sprites = make_sprites(case, 2)
    np.testing.assert_array_equal(decode(sprites.image), picture)
    assert decode(sprites.labels["reference"])[0].tolist() == [1, 1] + [0] * 30
    assert decode(sprites.labels["last"]).all()
    assert (sprites.size, sprites.slices, sprites.note, sprites.picture) == ((32, 16), (0,), "32 x 16 pixels.", True)


def test_a_gray_picture_keeps_its_levels_and_black_edges(tmp_path):
    picture = np.zeros((20, 30), np.uint8)
    picture[8:12, 8:12] = 77
    sprites = make_sprites(viewed(tmp_path / "d", tmp_path, picture), 2)
    np.testing.assert_array_equal(decode(sprites.image), picture)


def test_gray_pictures_of_three_modalities_are_gray(tmp_path):
    for channel in range(3):
        made.save(
            tmp_path / "d" / "labeled" / "images" / f"a_{channel:04d}.png", np.full((4, 5), 50 * channel, np.uint8)
        )
    made.save(tmp_path / "d" / "labeled" / "labels" / "a.png", np.zeros((4, 5), np.uint8))
    options = {"classes": {"disk": 255}, "modalities": ("a", "b", "c")}
    dataset = Folder(Folder.Options(root=tmp_path / "d", **options))
    (case,) = dataset.cases()
    shown = view_case(case, dataset, dataset.info(), {})
    assert shown.image.shape == (5, 4, 1)
    assert decode(make_sprites(shown, 2).image).tolist() == [[100] * 5] * 4


def test_a_large_picture_is_shrunk(tmp_path):
    picture = np.full((500, 2 * MAX_PICTURE), 9, np.uint8)
    sprites = make_sprites(viewed(tmp_path / "d", tmp_path, picture), 2)
    assert (sprites.width, sprites.height, sprites.size) == (MAX_PICTURE, 250, (2 * MAX_PICTURE, 500))
    assert sprites.note == f"{2 * MAX_PICTURE} x 500 pixels, shrunk to 50%."
