"""What is written lies in the image's own grid, in any tool, and is the same for the same labels."""

import os
from itertools import permutations, product
from pathlib import Path

import helpers_volumes as made
import nibabel
import numpy as np
import pytest

from semiseg.errors import StorageError
from semiseg.io.labels import write_label
from semiseg.io.nifti import read_nifti, read_nifti_header
from semiseg.types import Geometry


def written_like(path, target):
    """Write a label in the grid of a file; that grid, and the one that is read again."""
    geometry, _ = read_nifti_header(path)
    values = made.label((0, 1, 2, 4), geometry.shape)
    write_label(target, values, geometry)
    array, again = read_nifti(target)
    np.testing.assert_array_equal(array, values)
    return geometry, again


@pytest.mark.parametrize("how", ["sform", "qform", "both", "voxel size"])
def test_the_affine_is_the_same_however_the_image_stored_it(tmp_path, how):
    signed = [np.eye(3)[list(p)] * s for p in permutations(range(3)) for s in product((-1, 1), repeat=3)]
    assert len(signed) == 48
    turn = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
    for axes in (*signed[::5], turn):
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = axes * [0.8, 1.1, 2.3], [1.1, -50.3, 7]
        header = nibabel.Nifti1Header()
        header.set_data_shape(made.SHAPE)
        header.set_qform(affine, int(how in ("qform", "both")))
        header.set_sform(affine, int(how in ("sform", "both")))
        image = nibabel.Nifti1Image(made.image(), None, header)
        nibabel.save(image, tmp_path / "image.nii.gz")
        geometry, again = written_like(tmp_path / "image.nii.gz", tmp_path / "label.nii.gz")
        np.testing.assert_array_equal(again.affine, geometry.affine)


def test_both_forms_are_set_where_they_can_be(tmp_path):
    write_label(tmp_path / "label.nii.gz", made.label(), Geometry(made.SHAPE, made.LPS))
    header = nibabel.load(tmp_path / "label.nii.gz").header
    assert (header["sform_code"], header["qform_code"]) == (1, 1)
    np.testing.assert_array_equal(header.get_sform(), made.LPS)
    np.testing.assert_allclose(header.get_qform(), made.LPS, atol=1e-6)
    assert header.get_xyzt_units()[0] == "mm"


def test_an_affine_beyond_float32_is_written_to_rounding(tmp_path):
    affine = np.diag([1 / 3, 0.1, np.pi, 1])
    affine[:3, 3] = 1 / 7
    write_label(tmp_path / "label.nii.gz", made.label(), Geometry(made.SHAPE, affine))
    np.testing.assert_allclose(read_nifti(tmp_path / "label.nii.gz")[1].affine, affine, rtol=1e-7)


def test_equal_labels_are_equal_files(tmp_path):
    geometry = Geometry(made.SHAPE, made.LPS)
    write_label(tmp_path / "a.nii.gz", made.label(), geometry)
    write_label(tmp_path / "b.nii.gz", made.label(dtype=np.int64).copy(order="F"), geometry)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize(("values", "dtype"), [((0, 255), np.uint8), ((0, 820), np.int16), ((0, 70000), np.int32)])
def test_the_smallest_type_that_fits_is_written(tmp_path, values, dtype):
    write_label(tmp_path / "label.nii.gz", made.label(values, dtype=np.int64), Geometry(made.SHAPE, made.LPS))
    assert read_nifti(tmp_path / "label.nii.gz")[0].dtype == dtype


def test_arrays_that_are_no_label_of_this_grid_are_a_mistake_of_the_caller(tmp_path):
    geometry = Geometry((9, 8, 6), made.LPS)
    with pytest.raises(ValueError, match="grid"):
        write_label(tmp_path / "label.nii.gz", made.label(), geometry)
    with pytest.raises(ValueError, match="float"):
        write_label(tmp_path / "label.nii.gz", made.label(shape=geometry.shape, dtype=np.float32), geometry)


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "label.nii.gz"
    write_label(path, made.label(), Geometry(made.SHAPE, made.LPS))
    before = path.read_bytes()

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError):
        write_label(path, made.label((0, 2)), Geometry(made.SHAPE, made.LPS))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["label.nii.gz"]


def test_simpleitk_reads_the_same_grid(tmp_path):
    simpleitk = pytest.importorskip("SimpleITK")
    affine = made.LPS @ np.diag([0.5, 2, 1.25, 1])
    image = made.save(tmp_path / "image.nii.gz", made.image(), affine)
    write_label(tmp_path / "label.nii.gz", made.label(), read_nifti(image)[1])
    first, second = (simpleitk.ReadImage(str(path)) for path in (image, tmp_path / "label.nii.gz"))
    for what in ("GetOrigin", "GetSpacing", "GetDirection", "GetSize"):
        assert getattr(first, what)() == getattr(second, what)()


@pytest.mark.real_data
def test_the_affine_of_every_real_file_is_kept(tmp_path):
    folder = os.environ.get("SEMISEG_REAL_DATA")
    if not folder:
        pytest.skip("SEMISEG_REAL_DATA is not set")
    files = sorted(Path(folder).rglob("*.nii.gz"))
    affines = {read_nifti_header(path)[0].affine.tobytes() for path in files}
    assert len(affines) > 1
    for content in affines:
        affine = np.frombuffer(content).reshape(4, 4)
        write_label(tmp_path / "label.nii.gz", made.label(), Geometry(made.SHAPE, affine))
        np.testing.assert_array_equal(read_nifti(tmp_path / "label.nii.gz")[1].affine, affine)
