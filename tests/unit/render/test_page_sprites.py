import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from semiseg.render.document import ViewedCase
from semiseg.render.sprites import MARGIN, MAX_SIDE, MAX_SLICES, make_sprites


def case(image, *labels, spacing=(1, 1, 1)):
    return ViewedCase("c", "", image, {str(i): part for i, part in enumerate(labels)}, spacing)


def decode(uri):
    return Image.open(io.BytesIO(b64decode(uri.removeprefix("data:image/png;base64,"))))


def tiles(uri, sprites):
    strip = np.asarray(decode(uri))
    assert strip.shape == (sprites.height * len(sprites.slices), sprites.width)
    return strip.reshape(-1, sprites.height, sprites.width)


@pytest.mark.parametrize("classes", [2, 3, 5, 17, 256])
def test_labels_come_back_exactly_rows_from_the_front_columns_from_the_right(classes):
    labels = np.random.default_rng(classes).integers(0, classes, (7, 6, 5)).astype(np.uint8)
    sprites = make_sprites(case(np.ones(labels.shape), labels), classes)
    assert (sprites.width, sprites.height, sprites.slices) == (7, 6, (0, 1, 2, 3, 4))
    for z, tile in enumerate(tiles(sprites.labels["0"], sprites)):
        for x in range(7):
            for y in range(6):
                assert tile[5 - y, 6 - x] == labels[x, y, z]


def test_browsers_see_grays_far_apart():
    labels = np.array([0, 1, 2, 3], np.uint8).reshape(4, 1, 1)
    picture = decode(make_sprites(case(np.ones(labels.shape), labels), 4).labels["0"])
    assert np.asarray(picture.convert("L")).ravel().tolist() == [255, 170, 85, 0]


def test_the_image_is_windowed_over_the_whole_volume():
    image = np.tile(np.array([10.0, 20.0, 30.0]), (2, 2, 1))
    sprites = make_sprites(case(image, np.zeros(image.shape, np.uint8)), 2)
    assert tiles(sprites.image, sprites)[:, 0, 0].tolist() == [0, 128, 255]


def test_what_is_empty_is_cut_off_but_for_a_margin():
    image = np.zeros((40, 50, 30))
    image[10:20, 20:25, 5:9] = 1
    labels = np.zeros(image.shape, np.uint8)
    labels[30, 22, 12] = 1  # outside the image's foreground: not to be lost
    sprites = make_sprites(case(image, np.zeros_like(labels), labels), 2)
    assert (sprites.width, sprites.height) == (31 - 10 + 2 * MARGIN, 5 + 2 * MARGIN)
    assert sprites.slices == tuple(range(5, 13))
    assert tiles(sprites.labels["1"], sprites)[7].sum() == 1


def test_an_empty_volume_is_shown_whole():
    image = np.zeros((4, 5, 6))
    sprites = make_sprites(case(image, image.astype(np.uint8)), 2)
    assert (sprites.width, sprites.height, len(sprites.slices), sprites.start) == (4, 5, 6, 3)


def test_a_case_without_label_maps_begins_in_the_middle():
    sprites = make_sprites(case(np.ones((4, 5, 6))), 2)
    assert (sprites.start, sprites.labels) == (3, {})


@pytest.mark.parametrize("best", [0, 37, 199])
def test_many_slices_are_thinned_and_the_fullest_is_kept(best):
    labels = np.zeros((3, 3, 200), np.uint8)
    labels[1, 1] = 1
    labels[:, :, best] = 1
    sprites = make_sprites(case(np.ones(labels.shape), labels), 2)
    assert len(sprites.slices) == len(set(sprites.slices)) == MAX_SLICES
    assert sprites.slices == tuple(sorted(sprites.slices))
    assert (sprites.slices[0], sprites.slices[-1]) == (0, 199)
    assert sprites.slices[sprites.start] == best
    assert np.diff(sprites.slices).max() <= 5
    assert tiles(sprites.labels["0"], sprites)[sprites.start].all()
    assert sprites.note == "64 axial slices between 0 and 199 of 200, numbered from 0."


def test_wide_slices_shrink_and_labels_stay_classes():
    labels = np.zeros((400, 300, 2), np.uint8)
    labels[:200] = 3
    image = labels + 1.0
    sprites = make_sprites(case(image, labels), 4)
    assert (sprites.width, sprites.height) == (MAX_SIDE, 144)
    tile = tiles(sprites.labels["0"], sprites)[0]
    assert np.unique(tile).tolist() == [0, 3]
    assert (tile == 3).sum(axis=1).tolist() == [96] * 144
    assert sprites.note == "Axial slices 0 to 1 of 2, numbered from 0; shrunk to 48%."


def test_a_slice_s_size_is_in_mm():
    image = np.ones((400, 300, 2))
    sprites = make_sprites(case(image, image.astype(np.uint8), spacing=(0.5, 2, 7)), 2)
    assert sprites.size == (200, 600)


def test_maps_that_do_not_fit_are_refused():
    image = np.ones((4, 5, 6))
    with pytest.raises(ValueError, match=r"'0' has shape \(4, 5, 5\)"):
        make_sprites(case(image, np.zeros((4, 5, 5), np.uint8)), 2)
    with pytest.raises(ValueError, match="has class 2, but there are 2 classes"):
        make_sprites(case(image, np.full(image.shape, 2, np.uint8)), 2)
