"""Label maps of another model, from their files to a batch: cut, resampled, thresholded and augmented as labels are."""

import shutil

import helpers_pictures as pictures
import helpers_pseudo as pseudo
import helpers_volumes as made
import nibabel
import numpy as np
import pytest
import torch

from semiseg.augmentation.fused import FusedAugmentation
from semiseg.augmentation.none import NoAugmentation
from semiseg.data.batches import TrainingBatches
from semiseg.data.draws import Draws
from semiseg.data.pseudo.files import PseudoFile, PseudoFiles, find_pseudo
from semiseg.data.pseudo.reading import read_pseudo
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.datasets.folder import Folder
from semiseg.errors import DataError, ProtocolError
from semiseg.recipe import schema
from semiseg.types import IGNORE, IGNORED, Geometry

INDEX = np.array([0, 9, 9, 1, 9, 2], np.uint8)
"""Class index by stored value."""
PATCH = (12, 8, 10)
PIR = np.array([[0, 0, 2.0, 5], [-1, 0, 0, 7], [0, -3.0, 0, 1], [0, 0, 0, 1]])


def dataset_in(root, **options):
    return Folder(Folder.Options(root=root, classes={"x": 3, "y": 5}, **options))


def files_in(folder, threshold=None, names=pseudo.UNLABELED):
    confidence = {} if threshold is None else {n: folder / f"{n}_confidence.nii.gz" for n in names}
    return PseudoFiles(folder, {n: PseudoFile(folder / f"{n}.nii.gz", confidence.get(n)) for n in names}, threshold)


def filled(dataset, files, root, **options):
    cases = dataset.cases()
    split = make_split(cases, schema.Split(labeled="all", validation=["b"]), 0)
    store = CaseStore(dataset, schema.Preprocessing(**options), split, root / "store", with_planes=True, pseudo=files)
    return store, store.fill(cases)


@pytest.fixture(scope="module", params=["LPS", "PIR"])
def written(request, tmp_path_factory):
    """A dataset and its pseudo-labels with confidence, on a grid that is flipped, and on one that is also turned."""
    affine = made.LPS if request.param == "LPS" else PIR
    root = tmp_path_factory.mktemp(request.param)
    pseudo.write_dataset(root / "data", affine)
    pseudo.write_pseudo(root / "predicted", affine=affine, confidence=True)
    return root


def in_ras(stored, values, root):
    """Values of the file's grid in the box of the stored image, as nibabel turns them."""
    affine = nibabel.load(root / "predicted/e.nii.gz").affine
    turned = nibabel.as_closest_canonical(nibabel.Nifti1Image(values, affine)).dataobj
    return np.asarray(turned)[tuple(slice(*side) for side in stored.preparation.box)]


def test_it_is_cut_to_the_box_of_its_image_with_the_axes_of_the_networks(written, tmp_path):
    store, notes = filled(dataset_in(written / "data"), files_in(written / "predicted"), tmp_path)
    assert [case.case_id for case in store.unlabeled()] == list(pseudo.UNLABELED)
    for number, case in enumerate(store.unlabeled(), len(pseudo.LABELED)):
        values = INDEX[pseudo.values_of(number)]
        assert sorted(case.shape) == [12, 13, 16]
        assert np.array_equal(case.raw_pseudo(), in_ras(case, values, written))
        assert np.array_equal(case.planes, [[(plane == k).sum() for plane in case.raw_pseudo()] for k in (1, 2)])
        assert not case.has_ignored
    assert not [note for note in notes if "pseudo" in note]
    assert {path.parent.name for path in (case.pseudo_file for case in store.unlabeled())} <= set(store.entries())


def test_voxels_below_the_confidence_are_ignored_and_no_others(written, tmp_path):
    store, _ = filled(dataset_in(written / "data"), files_in(written / "predicted", 0.4), tmp_path)
    for number, case in enumerate(store.unlabeled(), len(pseudo.LABELED)):
        expected = np.where(pseudo.sure_of(number) < np.float32(0.4), IGNORED, INDEX[pseudo.values_of(number)])
        assert case.has_ignored
        assert np.array_equal(case.raw_pseudo(), in_ras(case, expected.astype(np.uint8), written))


def test_it_is_resampled_as_a_label_is_and_the_confidence_linearly(written, tmp_path):
    """The label of a labeled case, given as the pseudo-label of an unlabeled copy of it, is stored alike."""
    data = tmp_path / "data"
    shutil.copytree(written / "data", data)
    shutil.copy(data / "labeled/images/c.nii.gz", data / "unlabeled/images/e.nii.gz")
    shutil.copy(data / "labeled/labels/c.nii.gz", tmp_path / "e.nii.gz")
    shape = nibabel.load(tmp_path / "e.nii.gz").shape
    affine = nibabel.load(tmp_path / "e.nii.gz").affine
    ramp = np.broadcast_to(np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None], shape)
    made.save(tmp_path / "e_confidence.nii.gz", np.ascontiguousarray(ramp), affine)
    spacing = (1.5, 1.5, 1.5)
    plain, _ = filled(dataset_in(data), files_in(tmp_path, names="e"), tmp_path, spacing=spacing)
    (case,), labeled = plain.unlabeled(), plain.labeled("c")
    assert case.preparation.grid is not None
    assert np.array_equal(case.raw_pseudo(), labeled.label())
    sure, _ = filled(dataset_in(data), files_in(tmp_path, 0.5, names="e"), tmp_path, spacing=spacing)
    (case,) = sure.unlabeled()
    ignored = case.raw_pseudo() == IGNORED
    assert 0.3 < ignored.mean() < 0.7
    assert np.array_equal(case.raw_pseudo()[~ignored], labeled.label()[~ignored])
    along = [axis for axis in range(3) if (ignored.any(axis=axis) != ignored.all(axis=axis)).any()]
    assert len(along) == 1  # one plane parts what is ignored from what is not


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_it_moves_with_its_image_and_losses_get_ignore(written, tmp_path, workers, deferred):
    """The image of a case is its pseudo-label: whatever the augmentation does, they stay alike, voxel by voxel."""
    store, _ = filled(dataset_in(written / "data"), files_in(written / "predicted", 0.4), tmp_path)
    labeled = [store.labeled("c")]
    flips = FusedAugmentation(FusedAugmentation.Options(scaling=(1, 1), rotation=0, probability=1.0))
    drawn = TrainingBatches(labeled, store.unlabeled(), flips, PATCH, Draws.same(1, 3), 5, workers, deferred=deferred)
    plain = TrainingBatches(labeled, store.unlabeled(), NoAugmentation(), PATCH, Draws.same(1, 3), 5, 0)
    batches = [drawn.finish(batch, step) for step, batch in enumerate(drawn.steps(0, 4))]
    for batch, still in zip(batches, plain.steps(0, 4), strict=True):
        assert batch.unlabeled.has_ignored
        assert batch.unlabeled.pseudo.dtype == torch.int64
        assert set(batch.unlabeled.pseudo.unique().tolist()) == {IGNORE, 0, 1, 2}
        part = batch.part(slice(0, 0), slice(1, 2))
        assert part.unlabeled.has_ignored
        assert torch.equal(part.unlabeled.pseudo, batch.unlabeled.pseudo[1:2])
        for moved, before in zip(batch.unlabeled.pseudo, still.unlabeled.pseudo, strict=True):
            flipped = [before.flip([a for a in range(3) if code >> a & 1]) for code in range(8)]
            assert any(torch.equal(moved, one) for one in flipped)


def test_it_is_sliced_with_its_image(written, tmp_path):
    store, _ = filled(dataset_in(written / "data"), files_in(written / "predicted"), tmp_path, slice_axis="superior")
    planes = {
        plane.tobytes()
        for case in store.unlabeled()
        for plane in np.ascontiguousarray(np.moveaxis(case.raw_pseudo(), 2, 0))
    }
    x, y, _ = store.unlabeled()[0].shape
    batches = TrainingBatches([store.labeled("c")], store.unlabeled(), NoAugmentation(), (x, y), Draws.same(1, 4), 5, 0)
    (batch,) = batches.steps(0, 1)
    assert all(plane.numpy().astype(np.uint8).tobytes() in planes for plane in batch.unlabeled.pseudo)


def test_only_unlabeled_cases_with_a_file_are_drawn_and_no_other_is_served(written, tmp_path):
    """A file of a labeled, validation or test case is not opened, whatever it holds."""
    files = files_in(written / "predicted", names="eg")
    more = {**files.by_case, "a": PseudoFile(tmp_path / "none.nii.gz"), "b": PseudoFile(tmp_path / "none.nii.gz")}
    store, _ = filled(dataset_in(written / "data"), PseudoFiles(files.folder, more), tmp_path)
    assert [case.case_id for case in store.unlabeled()] == ["e", "g"]
    assert list(store.pseudo_digests()) == ["e", "g"]
    with pytest.raises(ProtocolError):
        store.labeled("e")


def test_entries_follow_the_content_of_the_files_and_the_threshold(written, tmp_path):
    affine = nibabel.load(written / "predicted/e.nii.gz").affine
    folder = pseudo.write_pseudo(tmp_path / "predicted", affine=affine, confidence=True)
    dataset = dataset_in(written / "data")
    first, _ = filled(dataset, files_in(folder, 0.4), tmp_path)
    again, _ = filled(dataset, files_in(folder, 0.4), tmp_path)
    higher, _ = filled(dataset, files_in(folder, 0.5), tmp_path)
    assert again.n_made == 0
    assert higher.n_made == 3
    made.save(folder / "e.nii.gz", pseudo.values_of(50), affine)
    changed, _ = filled(dataset, files_in(folder, 0.4), tmp_path)
    assert changed.n_made == 1
    names = [[case.pseudo_file for case in store.unlabeled()] for store in (first, again, changed)]
    assert names[0] == names[1]
    assert [one == other for one, other in zip(names[0], names[2], strict=True)] == [False, True, True]
    assert first.pseudo_digests().keys() == changed.pseudo_digests().keys()


def test_a_pseudo_label_without_a_sure_voxel_is_noted(written, tmp_path):
    affine = nibabel.load(written / "predicted/e.nii.gz").affine
    folder = pseudo.write_pseudo(tmp_path / "predicted", affine=affine, confidence=True)
    made.save(folder / "f_confidence.nii.gz", np.zeros(pseudo.SHAPE, np.float32), affine)
    _, notes = filled(dataset_in(written / "data"), files_in(folder, 0.4), tmp_path)
    assert "1 pseudo-label has only ignored voxels, so that no loss uses these cases: f" in notes


def test_the_dataset_s_ignored_value_is_ignored_in_pseudo_labels_too(written, tmp_path):
    affine = nibabel.load(written / "predicted/e.nii.gz").affine
    values = np.where(pseudo.values_of(4) == 5, 9, pseudo.values_of(4)).astype(np.uint8)
    folder = tmp_path / "predicted"
    made.save(folder / "e.nii.gz", values, affine)
    store, _ = filled(dataset_in(written / "data", ignore=9), files_in(folder, names="e"), tmp_path)
    (case,) = store.unlabeled()
    assert case.has_ignored
    assert set(np.unique(case.raw_pseudo())) == {0, 1, IGNORED}


def test_the_store_reports_every_problem_of_every_file_at_once(written, tmp_path):
    affine = nibabel.load(written / "predicted/e.nii.gz").affine
    folder = tmp_path / "predicted"
    made.save(folder / "e.nii.gz", np.full(pseudo.SHAPE, 4, np.uint8), affine)
    made.save(folder / "e_confidence.nii.gz", np.full(pseudo.SHAPE, 95, np.uint8), affine)
    made.save(folder / "f.nii.gz", pseudo.values_of(5)[1:], affine)
    made.save(folder / "f_confidence.nii.gz", pseudo.sure_of(5)[..., 1:], affine)
    (folder / "g.nii.gz").write_bytes(b"no image")
    made.save(folder / "g_confidence.nii.gz", np.stack([pseudo.sure_of(6)] * 2, axis=-1), affine)
    with pytest.raises(DataError) as caught:
        filled(dataset_in(written / "data"), files_in(folder, 0.5), tmp_path)
    told = {(problem.where.rpartition("/")[2], problem.what.partition(":")[0]) for problem in caught.value.problems}
    assert {where for where, _ in told} == {path.name for path in folder.iterdir()}
    text = str(caught.value)
    assert "it has values that belong to no class: 4 (5,760 voxels)" in text
    assert "5,760 voxels have a confidence outside of 0 to 1 (95 to 95)" in text
    assert "it is on another grid than the case's image: shape (20, 18, 16) vs. (19, 18, 16)" in text
    assert "it is on another grid than the case's image: shape (20, 18, 16) vs. (20, 18, 15)" in text
    assert all(problem.fix for problem in caught.value.problems)


def test_confidence_in_a_picture_is_a_fraction_of_the_highest_level(tmp_path):
    mask = np.array([[0, 255], [255, 0], [0, 0]], np.uint8)
    levels = np.array([[0, 51], [255, 102], [153, 204]], np.uint8)
    pictures.save(tmp_path / "p.png", mask)
    pictures.save(tmp_path / "p_confidence.png", levels)
    pictures.save(tmp_path / "q_confidence.png", levels.astype(np.uint16) * 257)
    pictures.save(tmp_path / "r_confidence.tif", levels.astype(np.float32) / 255)
    root = tmp_path / "data"
    pictures.write_pictures(root, gray=True)
    info = Folder(Folder.Options(root=root, classes={"disk": 255})).info()
    grid = Geometry((2, 3, 1), np.diag([-1.0, -1.0, 1.0, 1.0]), "pixel")
    for name in ("p_confidence.png", "q_confidence.png", "r_confidence.tif"):
        label, sure = read_pseudo(PseudoFile(tmp_path / "p.png", tmp_path / name), info, grid)
        assert label[..., 0].T.tolist() == [[0, 1], [1, 0], [0, 0]]
        np.testing.assert_allclose(sure[..., 0].T, levels / 255, atol=1e-6)


def test_probabilities_stored_as_scaled_integers_may_end_a_rounding_above_1(tmp_path):
    grid = Geometry((2, 2, 2), np.eye(4))
    made.save(tmp_path / "p.nii.gz", np.zeros((2, 2, 2), np.uint8), np.eye(4))
    image = nibabel.Nifti1Image(np.full((2, 2, 2), 32767, np.int16), np.eye(4))
    image.header.set_slope_inter(1 / 32767 * (1 + 1e-6), 0)
    nibabel.save(image, tmp_path / "p_confidence.nii.gz")
    info = dataset_in(tmp_path).info()
    _, sure = read_pseudo(PseudoFile(tmp_path / "p.nii.gz", tmp_path / "p_confidence.nii.gz"), info, grid)
    assert sure.max() <= 1


def test_files_are_found_by_the_ids_of_cases(tmp_path):
    for name in ("a.nii.gz", "b.nrrd", "b_confidence.nii", "c_confidence.nii.gz", "other.nii.gz", "plans.json"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "probabilities").mkdir()
    found = find_pseudo(tmp_path, {"a", "b", "c", "c_confidence"})
    assert {case: path.name for case, path in found.labels.items()} == {
        "a": "a.nii.gz", "b": "b.nrrd", "c_confidence": "c_confidence.nii.gz",
    }  # fmt: skip
    assert {case: path.name for case, path in found.confidence.items()} == {"b": "b_confidence.nii"}
    assert found.others == ("other.nii.gz",)
    assert not found.problems


def test_two_files_of_a_case_and_no_folder_are_problems(tmp_path):
    for name in ("a.nii.gz", "a.nii", "a_confidence.nii", "a_confidence.png"):
        (tmp_path / name).write_bytes(b"")
    one, other = find_pseudo(tmp_path, {"a"}).problems
    assert "more than one label map: " in one.what
    assert "more than one confidence map: " in other.what
    (problem,) = find_pseudo(tmp_path / "none", {"a"}).problems
    assert problem.where == "dataset.pseudo_labels"
    assert "is not a folder" in problem.what
