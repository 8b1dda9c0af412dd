"""Pictures: what is read from every kind of PNG, JPEG and TIFF, what is refused, and masks that are read back."""

import struct
import zlib

import helpers_pictures as made
import numpy as np
import pytest
from PIL import Image

from semiseg.errors import DataError
from semiseg.io.labels import label_bytes, read_stored_label, write_label
from semiseg.io.orientation import from_ras, to_ras
from semiseg.io.pictures import read_mask, read_picture, read_picture_header
from semiseg.io.volumes import label_values, read_image_files, read_image_geometry, read_label_file
from semiseg.render.preview import radiological
from semiseg.types import Geometry

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20  # 3 rows of 4 columns
RGB = np.random.default_rng(0).integers(0, 255, (24, 32, 3)).astype(np.uint8)


def refusal(function, *args, **options):
    with pytest.raises(DataError) as caught:
        function(*args, **options)
    return str(caught.value)


def png(path, width, height, bits, color, rows, extra=b""):
    """Write a PNG from its raw samples, for kinds that Pillow does not write."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + extra + pixels + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("ending", [".png", ".tif", ".TIFF", ".PNG"])
def test_columns_are_the_first_axis_and_rows_the_second(tmp_path, ending):
    array, geometry = read_picture(made.save(tmp_path / f"a{ending}", GRAY))
    assert (array.shape, array.dtype) == ((4, 3, 1), np.uint8)
    np.testing.assert_array_equal(array[..., 0].T, GRAY)
    assert (geometry.shape, geometry.spacing, geometry.unit) == ((4, 3, 1), (1, 1, 1), "pixel")
    header, shape = read_picture_header(tmp_path / f"a{ending}")
    assert (shape, header.shape, header.difference(geometry, 0)) == ((4, 3, 1), geometry.shape, "")


def test_reorientation_flips_a_picture_and_back(tmp_path):
    array, geometry = read_picture(made.save(tmp_path / "a.png", GRAY))
    turned, grid = to_ras(array, geometry)
    assert grid.shape == geometry.shape
    np.testing.assert_array_equal(turned, array[::-1, ::-1])
    np.testing.assert_array_equal(from_ras(turned, geometry), array)
    np.testing.assert_array_equal(radiological(turned[..., 0]), GRAY)  # row 0 is at the top


def test_an_rgb_picture_is_one_file_with_three_modalities(tmp_path):
    path = made.save(tmp_path / "a.png", RGB)
    volume = read_image_files([path], ["red", "green", "blue"])
    assert volume.array.shape == (3, 32, 24, 1)
    assert volume.array.flags.c_contiguous
    np.testing.assert_array_equal(volume.array[..., 0].transpose(2, 1, 0), RGB)
    assert read_image_geometry([path], ["red", "green", "blue"]).shape == (32, 24, 1)


def test_gray_pictures_are_one_file_per_modality(tmp_path):
    paths = [made.save(tmp_path / f"a_000{i}.png", (GRAY + i).astype(kind)) for i, kind in enumerate("BH")]
    volume = read_image_files(paths, ["a", "b"])
    assert volume.array.dtype == np.uint16
    np.testing.assert_array_equal(volume.array[1, ..., 0].T, GRAY + 1)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_16_bits_are_kept(tmp_path, ending):
    gray = np.array([[0, 1, 65535], [256, 40000, 7]], dtype=np.uint16)
    array, _ = read_picture(made.save(tmp_path / f"a{ending}", gray))
    assert array.dtype == np.uint16
    np.testing.assert_array_equal(array[..., 0].T, gray)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_32_bits_of_tiff_are_kept(tmp_path, dtype):
    gray = (GRAY.astype(dtype) * 1000) - 5
    array, _ = read_picture(made.save(tmp_path / "a.tif", gray))
    np.testing.assert_array_equal(array[..., 0].T, gray)
    bad = GRAY.astype(np.float32)
    bad[0, 0] = np.nan
    assert "1 of 12 voxels are not finite" in refusal(read_picture, made.save(tmp_path / "bad.tif", bad))


def test_a_jpeg_is_read_by_its_content_whatever_its_name(tmp_path):
    picture, _ = made.disk(0)
    path = made.save(tmp_path / "a.jpg", picture, quality=95)
    array, _ = read_picture(path)
    assert np.abs(array[:, :, 0].transpose(1, 0, 2) - picture.astype(int)).mean() < 15
    path.rename(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png")[0], array)


def test_masks_of_1_2_and_4_bits_have_their_stored_values(tmp_path):
    assert read_mask(png(tmp_path / "a.png", 4, 1, 2, 0, [bytes([0b00011011])]))[0].ravel().tolist() == [0, 1, 2, 3]
    assert read_mask(png(tmp_path / "b.png", 2, 1, 4, 0, [bytes([0x5F])]))[0].ravel().tolist() == [5, 15]
    Image.fromarray(np.eye(3) > 0).save(tmp_path / "c.png")
    Image.fromarray(np.eye(3) > 0).save(tmp_path / "c.tif")
    for name in ("c.png", "c.tif"):
        array, _ = read_mask(tmp_path / name)
        assert (array.dtype, array[..., 0].tolist()) == (np.uint8, np.eye(3).tolist())


def test_values_of_an_indexed_mask_are_its_indices(tmp_path):
    mask = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    mask.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    mask.save(tmp_path / "a.png", transparency=0)
    assert read_mask(tmp_path / "a.png")[0][..., 0].T.tolist() == [[0, 1], [2, 1]]
    assert label_values(tmp_path / "a.png") == {0, 1, 2}
    told = refusal(read_picture, tmp_path / "a.png")
    assert "a.png: it is an indexed picture" in told
    assert "convert('RGB')" in told


@pytest.mark.parametrize("values", [(0, 1, 2), (0, 255), (0, 7, 300, 65535)])
def test_written_masks_are_read_back_exactly(tmp_path, values):
    grid = Geometry((5, 4, 1), np.diag([-1.0, -1, 1, 1]), "pixel")
    label = np.resize(values, (5, 4, 1))
    write_label(tmp_path / "a.png", label, grid)
    array, geometry = read_stored_label(tmp_path / "a.png")
    np.testing.assert_array_equal(array, label)
    assert not grid.difference(geometry, 0)
    assert label_bytes(label, grid) == (tmp_path / "a.png").read_bytes()
    assert label_values(tmp_path / "a.png") == set(values)
    classes = read_label_file(tmp_path / "a.png", {value: index for index, value in enumerate(values)})
    assert np.unique(classes.array).tolist() == list(range(len(values)))


def test_written_masks_have_distinct_colors_and_0_and_255_are_black_and_white(tmp_path):
    grid = Geometry((256, 1, 1), np.diag([-1.0, -1, 1, 1]), "pixel")
    write_label(tmp_path / "a.png", np.arange(256).reshape(256, 1, 1), grid)
    colors = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))[0]
    assert len(np.unique(colors, axis=0)) == 256
    assert colors[[0, 255]].tolist() == [[0] * 3, [255] * 3]
    with pytest.raises(DataError, match="cannot store the label value 70000"):
        label_bytes(np.full((256, 1, 1), 70000), grid)
    deep = Geometry((4, 3, 2), grid.affine, "pixel")
    with pytest.raises(ValueError, match=r"not a label map on a grid of \(4, 3, 2\)"):
        label_bytes(np.zeros((4, 3, 2), np.uint8), deep)


@pytest.mark.parametrize("cut", [1, 5, 30, 0.5, 0.1])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "progressive.jpg", "a.tif"])
@pytest.mark.filterwarnings("ignore:.*(EXIF|Truncated|Tag data)")
def test_truncated_files_are_refused(tmp_path, name, cut):
    options = {"progressive.jpg": {"progressive": True}, "a.tif": {"compression": "tiff_deflate"}}.get(name, {})
    path = made.save(tmp_path / name, RGB, **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: -cut if isinstance(cut, int) else int(cut * len(whole))])
    told = refusal(read_picture, path)
    assert told.startswith(f"{path}: the file is ")
    assert "copy it again" in told


@pytest.mark.parametrize("place", [40, 60, -20])
def test_flipped_bits_of_a_png_are_found(tmp_path, place):
    path = made.save(tmp_path / "a.png", RGB)
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    assert "the file is damaged: " in refusal(read_picture, path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty"),
        (b"GIF89a" + bytes(20), "the file is not a PNG, JPEG or TIFF picture"),
        (b"<!DOCTYPE html><html>", "the file is not a PNG, JPEG or TIFF picture: it is a web page\n    The download"),
    ],
)
def test_other_content_is_refused(tmp_path, content, told):
    (tmp_path / "a.png").write_bytes(content)
    for read in (read_picture, read_mask, read_picture_header):
        assert refusal(read, tmp_path / "a.png").startswith(f"{tmp_path / 'a.png'}: {told}")
    assert "file not found" in refusal(read_picture, tmp_path / "b.png")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_refused(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "a.png")
    for read in (read_picture, read_mask, read_picture_header):
        told = refusal(read, tmp_path / "a.png")
        assert f"it has an alpha channel (transparency): its mode is {mode}\n    Save it without." in told


def test_other_colors_and_more_than_8_bits_per_color_are_refused(tmp_path):
    Image.new("CMYK", (4, 3)).save(tmp_path / "a.jpg")
    assert "its colors are CMYK, not gray or RGB" in refusal(read_picture, tmp_path / "a.jpg")
    path = png(tmp_path / "deep.png", 1, 1, 16, 2, [bytes(range(6))])
    assert "it has 16 bits per color, of which only 8 would be read" in refusal(read_picture, path)


@pytest.mark.parametrize(("name", "parts"), [("a.tif", "3 pages"), ("a.png", "3 frames")])
def test_several_pages_and_frames_are_refused(tmp_path, name, parts):
    pages = [Image.fromarray(RGB + np.uint8(i)) for i in range(3)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    for read in (read_picture, read_mask):
        assert f"{name}: it has {parts}\n    Save each as a separate picture" in refusal(read, tmp_path / name)


@pytest.mark.parametrize("ending", [".jpg", ".tif", ".png"])
def test_a_rotating_exif_tag_is_refused(tmp_path, ending):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = made.save(tmp_path / f"a{ending}", RGB, exif=exif)
    told = refusal(read_picture, path)
    assert "by its EXIF tag (Orientation 6), it is displayed rotated or mirrored" in told
    assert "exif_transpose" in told
    exif[0x0112] = 1
    assert read_picture(made.save(path, RGB, exif=exif))[1].shape == (32, 24, 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_malformed_exif_tags_are_ignored(tmp_path):
    path = made.save(tmp_path / "a.jpg", RGB, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05 no tags")
    assert read_picture(path)[1].shape == (32, 24, 1)


def test_rgb_and_jpeg_masks_are_refused(tmp_path):
    assert "it is an RGB picture, but a mask has one value per pixel" in refusal(
        read_mask, made.save(tmp_path / "a.png", RGB)
    )
    path = made.save(tmp_path / "a.jpg", GRAY)
    assert "it is a mask with JPEG compression, which changes values" in refusal(read_mask, path)
    path.rename(tmp_path / "renamed.png")
    assert "JPEG compression" in refusal(read_mask, tmp_path / "renamed.png")
    path = made.save(tmp_path / "a.tif", RGB[..., 0], compression="jpeg")
    assert "JPEG compression" in refusal(read_mask, path)


def test_a_small_file_that_declares_a_huge_picture_is_refused(tmp_path):
    path = png(tmp_path / "a.png", 60_000, 60_000, 8, 0, [bytes(10)])
    for read in (read_picture, read_picture_header):
        assert "it declares 60,000 x 60,000 pixels; at most 268,435,456 are read" in refusal(read, path)
    path = png(tmp_path / "b.png", 16_000, 16_000, 8, 0, [bytes(10)])
    assert "more than a file of its size can hold" in refusal(read_picture, path)


def test_wrong_numbers_of_channels(tmp_path):
    rgb, gray = made.save(tmp_path / "rgb.png", RGB), made.save(tmp_path / "gray.png", GRAY)
    for read in (read_image_files, read_image_geometry):
        told = refusal(read, [rgb], ["image"])
        assert f"{rgb}: it is RGB (3 channels), but one channel per file is expected (image)" in told
        assert "[red, green, blue]" in told
        assert f"{gray}: it is gray (1 channel), not RGB" in refusal(read, [gray], ["r", "g", "b"])
        assert "it is RGB (3 channels), but there are 4 modalities" in refusal(read, [rgb], list("abcd"))
        assert "are on different grids: shape (4, 3, 1) vs. (2, 2, 1)" in refusal(
            read, [gray, made.save(tmp_path / "other.png", GRAY[:2, :2])], ["a", "b"]
        )


def test_values_between_0_and_255_are_unknown(tmp_path):
    path = made.save(tmp_path / "a.png", np.array([[0, 253, 254, 255]], np.uint8))
    told = refusal(read_label_file, path, {0: 0, 255: 1})
    assert "it has values that belong to no class: 253 (1 voxels), 254 (1 voxels)" in told


def test_numbers_that_would_be_read_as_others_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(path, tiffinfo={339: 2})
    assert "signed numbers of 8 bits" in refusal(read_mask, path)
    Image.fromarray(np.zeros((4, 5), np.int32)).save(path)
    sample_format = struct.pack("<HHIH", 339, 3, 1, 2)
    content = path.read_bytes()
    assert content.count(sample_format) == 1
    path.write_bytes(content.replace(sample_format, struct.pack("<HHIH", 339, 3, 1, 1)))
    assert "unsigned numbers of 32 bits" in refusal(read_mask, path)


def test_white_as_0_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(np.full((4, 5), 1, np.uint8)).save(path, tiffinfo={262: 0})
    told = refusal(read_mask, path)
    assert "MinIsWhite" in told
