"""A file is read to its end, and every fault that its bytes can show is named."""

import gzip
import os
import tracemalloc
from itertools import product
from pathlib import Path

import helpers_volumes as made
import nibabel
import numpy as np
import pytest

from semiseg.errors import DataError
from semiseg.io.nifti import read_nifti, read_nifti_header, read_nifti_label


@pytest.fixture
def scan(tmp_path):
    return made.save(tmp_path / "scan.nii.gz", made.image())


def refusal(path):
    """What the reader says, the file's name included."""
    with pytest.raises(DataError) as caught:
        read_nifti(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n    " in text, "no way to mend it"
    return text


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_voxels_are_as_stored(tmp_path, dtype, suffix):
    stored = made.image(dtype=dtype)
    array, geometry = read_nifti(made.save(tmp_path / f"scan{suffix}", stored))
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, stored)
    np.testing.assert_array_equal(geometry.affine, made.LPS)
    assert (geometry.shape, geometry.unit) == (made.SHAPE, "mm")


def test_big_endian_and_nifti2_are_read(tmp_path):
    for name, header in (("big", nibabel.Nifti1Header(endianness=">")), ("two", nibabel.Nifti2Header())):
        cls = nibabel.Nifti2Image if name == "two" else nibabel.Nifti1Image
        path = tmp_path / f"{name}.nii.gz"
        nibabel.save(cls(made.image(), made.LPS, header, dtype=np.int16), path)
        array, geometry = read_nifti(path)
        np.testing.assert_array_equal(array, made.image())
        assert array.dtype == np.int16
        assert array.dtype.isnative
        np.testing.assert_array_equal(geometry.affine, made.LPS)
        np.testing.assert_array_equal(read_nifti_header(path)[0].affine, made.LPS)


def test_scaled_values_are_float32(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(made.SHAPE)
    header["scl_slope"], header["scl_inter"], header["vox_offset"] = 0.5, -3, 352
    (tmp_path / "scan.nii").write_bytes(header.binaryblock + b"\0" * 4 + made.image().tobytes(order="F"))
    array, _ = read_nifti(tmp_path / "scan.nii")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, made.image() * np.float32(0.5) - 3)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_gzip_stream_is_refused(scan, share):
    content = scan.read_bytes()
    scan.write_bytes(content[: int(len(content) * share)])
    assert "truncated" in refusal(scan)


def test_a_missing_checksum_is_noticed(scan):
    scan.write_bytes(scan.read_bytes()[:-8])
    assert "truncated" in refusal(scan)


@pytest.mark.parametrize("place", [0.2, 0.4, 0.6, 0.8, 0.95])
@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_flipped_bit_is_refused(scan, place, bit):
    content = bytearray(scan.read_bytes())
    content[int(len(content) * place)] ^= 1 << bit
    scan.write_bytes(content)
    assert "damaged" in refusal(scan) or "truncated" in refusal(scan)


@pytest.mark.parametrize("place", [-1, -5])
def test_a_wrong_length_or_checksum_is_refused(scan, place):
    content = bytearray(scan.read_bytes())
    content[place] ^= 1
    scan.write_bytes(content)
    assert "damaged" in refusal(scan)


def test_plain_files_named_gz_and_gzip_streams_named_nii_are_read(tmp_path, scan):
    plain, packed = tmp_path / "plain.nii.gz", tmp_path / "packed.nii"
    plain.write_bytes(gzip.decompress(scan.read_bytes()))
    packed.write_bytes(scan.read_bytes())
    for path in (plain, packed):
        np.testing.assert_array_equal(read_nifti(path)[0], made.image())
        assert read_nifti_header(path)[1] == made.SHAPE


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (gzip.compress(b"  <html>Not found</html>", mtime=0), "web page"),
        (b"\0" * 128 + b"DICM" + b"\0" * 400, "DICOM"),
        (b"NRRD0004\n" + b"\0" * 400, "NRRD"),
        (bytes(range(7, 23)) * 60, "not a NIfTI"),
    ],
)
def test_what_is_no_nifti_is_refused(tmp_path, content, word):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    assert word in refusal(path)
    with pytest.raises(DataError, match=word):
        read_nifti_header(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    assert "file not found" in refusal(tmp_path / "nowhere.nii.gz")
    assert "directory" in refusal(tmp_path)


def test_half_of_a_pair_and_a_shape_that_makes_no_sense_are_refused(tmp_path, scan):
    content = bytearray(gzip.decompress(scan.read_bytes()))
    path = tmp_path / "scan.nii"
    path.write_bytes(content[:344] + b"ni1\0" + content[348:])
    assert "pair" in refusal(path)
    content[42:44] = (-9).to_bytes(2, "little", signed=True)
    path.write_bytes(content)
    assert "shape" in refusal(path)


def test_fewer_bytes_than_the_header_says_are_refused(tmp_path, scan):
    path = tmp_path / "short.nii.gz"
    path.write_bytes(gzip.compress(gzip.decompress(scan.read_bytes())[:-10]))
    text = refusal(path)
    assert f"{352 + 9 * 8 * 7 * 2:,}" in text
    assert f"{342 + 9 * 8 * 7 * 2:,}" in text


def with_header(path, change, two=False, content=None):
    """An uncompressed file whose header was changed on disk, after all that nibabel does to it."""
    cls = nibabel.Nifti2Image if two else nibabel.Nifti1Image
    data = cls(made.image() if content is None else content, made.LPS).to_bytes()
    header = type(cls.header_class())(data[: cls.header_class.sizeof_hdr], check=False)
    change(header)
    path.write_bytes(header.binaryblock + data[len(header.binaryblock) :])
    return path


@pytest.mark.parametrize("offset", [0, 16, 100, 348, -352])
@pytest.mark.parametrize("two", [False, True])
def test_voxels_never_begin_within_the_header(tmp_path, offset, two):
    def change(header):
        header["vox_offset"] = offset

    array, _ = read_nifti(with_header(tmp_path / "scan.nii", change, two))
    np.testing.assert_array_equal(array, made.image())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["vox_offset", "scl_slope", "scl_inter"])
def test_numbers_of_the_header_that_are_not_finite_are_refused(tmp_path, field, value):
    def change(header):
        header[field] = value

    path = with_header(tmp_path / "scan.nii", change)
    assert field in refusal(path)
    with pytest.raises(DataError, match=field):
        read_nifti_header(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_bytes_behind_the_voxels_are_damage(tmp_path, suffix):
    path = made.save(tmp_path / f"scan{suffix}", made.image())
    content = path.read_bytes() if suffix == ".nii" else gzip.decompress(path.read_bytes())
    longer = content + b"\0"
    path.write_bytes(longer if suffix == ".nii" else gzip.compress(longer))
    assert "more than the 1,360 bytes that its header declares" in refusal(path)


def test_an_axis_that_was_shortened_is_noticed(tmp_path):
    def change(header):
        header["dim"][2] = 3

    assert "that its header declares" in refusal(with_header(tmp_path / "scan.nii", change))


def test_nothing_is_unpacked_beyond_what_the_header_declares(tmp_path, scan):
    bomb = tmp_path / "bomb.nii.gz"
    bomb.write_bytes(gzip.compress(gzip.decompress(scan.read_bytes()) + bytes(64 << 20)))
    tracemalloc.start()
    text = refusal(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "that its header declares" in text
    assert peak < 4 << 20


def test_a_shape_that_no_file_of_this_size_can_hold(tmp_path):
    def change(header):
        header["dim"][1:4] = 30_000

    text = refusal(with_header(tmp_path / "scan.nii", change))
    assert f"declares {352 + 2 * 30_000**3:,} bytes" in text
    assert "more than a file of its size can hold" in text


def test_more_voxels_than_memory_are_refused_by_name(scan, monkeypatch):
    monkeypatch.setattr("semiseg.io.memory.machine_memory", lambda: 1007)
    assert "1,008 bytes of voxels, which do not fit into memory" in refusal(scan)
    monkeypatch.setattr("semiseg.io.memory.machine_memory", lambda: 1008)
    assert read_nifti(scan)[0].shape == made.SHAPE

    def refuses(*args):
        raise MemoryError

    monkeypatch.setattr("semiseg.io.nifti._scaled", refuses)
    assert "do not fit into memory" in refusal(scan)


@pytest.mark.parametrize("side", [1e-45, 1e-7, 352, 3.4e38])
def test_voxels_of_a_size_that_no_scan_has_are_refused(tmp_path, side):
    def change(header):
        header["srow_y"][1] = -side

    path = with_header(tmp_path / "scan.nii", change)
    assert f"1 x {np.float32(side):.3g} x 1 mm" in refusal(path)
    with pytest.raises(DataError, match="mm"):
        read_nifti_header(path)


@pytest.mark.parametrize("side", [4e-6, 0.001, 12.5, 100])
def test_voxels_from_electron_microscopy_to_thick_slices_are_read(tmp_path, side):
    path = made.save(tmp_path / "scan.nii.gz", made.image(), np.diag([side, side, side, 1]))
    assert read_nifti(path)[1].spacing == pytest.approx((side,) * 3)


@pytest.mark.parametrize("more", [(1,), (1, 1), (1, 1, 1, 1), (3,), (3, 1), (1, 3), (1, 3, 1)])
def test_later_axes_of_length_1_are_left_out(tmp_path, more):
    stored = made.image(shape=(*made.SHAPE, *more))
    path = made.save(tmp_path / "scan.nii.gz", stored)
    wanted = (*made.SHAPE, 3) if 3 in more else made.SHAPE
    array, geometry = read_nifti(path)
    np.testing.assert_array_equal(array, stored.reshape(wanted))
    assert (geometry.shape, read_nifti_header(path)[1]) == (made.SHAPE, wanted)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        *product((np.uint8, np.int16, np.uint16, np.int32), ((0, 1, 2), (0, 1, 2, 4), (0, 1, 2, 3, 4, 5), (-1, 0, 7))),
        *product((np.int16, np.uint16, np.int32), ((0, 205, 420, 500), (0, 1, 20_000))),
    ],
)
def test_labels_saved_as_floats_with_a_header_of_integers_are_whole(tmp_path, dtype, values):
    """As nibabel writes them from ``get_fdata``: scaled, so that 1 comes back as 1.00001526."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    stored = made.label(values, dtype=np.float64)
    path = tmp_path / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(stored, made.LPS, header), path)
    np.testing.assert_array_equal(read_nifti_label(path)[0], stored)


def test_a_scale_that_leaves_out_whole_numbers_is_not_guessed_at(tmp_path):
    """0 to 500 in 8 bits: 205 became 205.88, which is nearer to 206."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    path = tmp_path / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(made.label((0, 205, 500), dtype=np.float64), made.LPS, header), path)
    array, _ = read_nifti_label(path)
    np.testing.assert_array_equal(array, read_nifti(path)[0])
    assert np.unique(array)[1] == np.float32(205.88235)


def test_such_labels_are_not_whole_as_they_are_stored(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    path = tmp_path / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(made.label(dtype=np.float64), made.LPS, header), path)
    off = read_nifti(path)[0] - made.label()
    assert 0 < np.abs(off).max() <= 2 / 65535  # a step; what the header says that a value may be off is half of it


@pytest.mark.parametrize(("slope", "raw"), [(0.5, 1), (0.02, 49), (0.7, 1), (1 / 255, 128)])
def test_fractions_are_no_whole_numbers_whatever_the_scale(tmp_path, slope, raw):
    def change(header):
        header["scl_slope"] = slope

    stored = np.full(made.SHAPE, raw, np.uint8)
    array, _ = read_nifti_label(with_header(tmp_path / "label.nii", change, content=stored))
    np.testing.assert_allclose(array, slope * raw, rtol=1e-6)


def test_voxels_that_are_not_finite_are_counted(tmp_path):
    array = made.image(dtype=np.float32)
    array[0, 0, :2], array[3, 3, 3] = np.nan, -np.inf
    assert "3 of 504 voxels are not finite" in refusal(made.save(tmp_path / "nan.nii.gz", array))


@pytest.mark.parametrize(
    ("axes", "word"),
    [
        ([[1, 0.2, 0], [0, 1, 0], [0, 0, 1]], "sheared"),
        ([[1, 1, 0], [0, 0, 0], [0, 0, 1]], "singular"),
        ([[0, 0, 0], [0, 1, 0], [0, 0, 1]], "singular"),
    ],
)
def test_an_affine_that_is_no_grid_is_refused(tmp_path, axes, word):
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(made.SHAPE)
    affine = np.eye(4)
    affine[:3, :3] = axes
    header.set_sform(affine, 1)
    header["vox_offset"] = 352
    path = tmp_path / "scan.nii"
    path.write_bytes(header.binaryblock + b"\0" * 4 + made.image().tobytes(order="F"))
    assert word in refusal(path)
    with pytest.raises(DataError, match=word):
        read_nifti_header(path)


def test_a_slight_rounding_of_axes_is_no_shear(tmp_path):
    affine = np.eye(4)
    affine[0, 1] = 1e-4
    assert read_nifti(made.save(tmp_path / "scan.nii.gz", made.image(), affine))[1].shape == made.SHAPE


@pytest.mark.parametrize("unit", ["meter", "micron"])
def test_other_units_than_mm_are_refused(tmp_path, unit):
    image = nibabel.Nifti1Image(made.image(), made.LPS)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "scan.nii.gz")
    assert "mm" in refusal(tmp_path / "scan.nii.gz")


def test_voxels_that_are_no_numbers_and_flat_pictures_are_refused(tmp_path):
    colored = np.zeros(made.SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "not numbers" in refusal(made.save(tmp_path / "rgb.nii.gz", colored))
    assert "shape is (9, 8)" in refusal(made.save(tmp_path / "flat.nii.gz", made.image()[:, :, 0]))


def test_a_header_is_read_without_the_rest(scan):
    content = scan.read_bytes()
    geometry, shape = read_nifti_header(scan)
    scan.write_bytes(content[: len(content) // 2])
    again, shape_again = read_nifti_header(scan)
    assert shape == shape_again == made.SHAPE
    np.testing.assert_array_equal(geometry.affine, again.affine)


@pytest.mark.real_data
def test_real_files_are_read_as_nibabel_reads_them():
    folder = os.environ.get("SEMISEG_REAL_DATA")
    if not folder:
        pytest.skip("SEMISEG_REAL_DATA is not set")
    files = sorted(Path(folder).rglob("*.nii.gz"))[::12]
    assert files
    for path in files:
        array, geometry = read_nifti(path)
        image = nibabel.load(path)
        np.testing.assert_array_equal(array, np.asanyarray(image.dataobj))
        np.testing.assert_array_equal(geometry.affine, image.affine)
