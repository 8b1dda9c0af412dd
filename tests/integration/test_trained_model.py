"""``semiseg.load``: a trained model on arrays and files gives what ``semiseg predict`` writes."""

import helpers_pictures as pictures
import nibabel as nib
import numpy as np
import pytest
import torch
from drawn_run import drawn_run, tied
from helpers_reporter import Heard
from PIL import Image
from small_run import SMALL, of_pictures
from torch import nn

import semiseg as library
from semiseg.errors import ArgumentError, DataError, RunError
from semiseg.pipeline.plan import make_plan


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs, in 3D and of slices."""
    home = tmp_path_factory.mktemp("drawn")
    return [drawn_run(home / "one", SMALL), drawn_run(home / "flat", SMALL, "training.patch_size=[16,16]")]


@pytest.fixture(scope="module")
def case():
    """The files of a case, and its modalities as one array (C, X, Y, Z) with their affine."""
    files = make_plan(library.load_recipe(SMALL)).cases[0].images
    images = [nib.load(file) for file in files]
    return files, np.stack([np.asanyarray(image.dataobj) for image in images]), images[0].affine


@pytest.mark.parametrize("which", [slice(0, 1), slice(1, 2), slice(0, 2)], ids=["3D", "slices", "both"])
def test_label_maps_are_those_that_predict_writes(runs, case, which, tmp_path):
    files, array, affine = case
    (written,) = library.predict(runs[which], files, tmp_path / "out", quality=False)
    expected = np.asanyarray(nib.load(written).dataobj)
    model = library.load(runs[which])
    assert len(np.unique(expected)) > 1
    for found in (
        model.predict(files),
        model.predict(array, affine=affine),
        model.predict(torch.from_numpy(array), affine=affine),
        library.load(runs[which], checkpoint="best", device="cpu").predict([str(file) for file in files]),
    ):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(library.load(runs[which], checkpoint="last").predict(files), expected)
    assert {*np.unique(expected)} <= {0, *model.labels}


def test_probabilities_decide_the_labels_and_equal_the_files_of_predict(runs, case, tmp_path):
    files, array, affine = case
    model = library.load(runs[0])
    found = model.probabilities(array, affine=affine)
    assert found.shape == (len(model.outputs), *array.shape[1:])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    values = np.array([0, *model.labels])
    np.testing.assert_array_equal(values[found.argmax(axis=0)], model.predict(files))
    (written,) = library.predict(runs[0], files, tmp_path / "out", quality=False, probabilities="npz")
    with np.load(written.parent / "probabilities" / f"{written.name.split('.')[0]}.npz") as stored:
        np.testing.assert_allclose(found, [stored[name] for name in model.outputs], atol=5e-4)


def test_axes_that_run_otherwise_are_told_by_the_affine(runs, case):
    """The same voxels with axes in another order and direction, as another program stores them."""
    _, array, affine = case
    model = library.load(runs[0])
    image = nib.Nifti1Image(np.moveaxis(array, 0, -1), affine)
    turned = image.as_reoriented(np.array([[2, -1], [0, 1], [1, -1], [3, 1]])[:3])
    other = np.moveaxis(np.asanyarray(turned.dataobj), -1, 0)
    assert other.shape != array.shape or not np.array_equal(other, array)
    found = nib.Nifti1Image(model.predict(other, affine=turned.affine), turned.affine)
    back = nib.as_closest_canonical(found)
    expected = nib.as_closest_canonical(nib.Nifti1Image(model.predict(array, affine=affine), affine))
    np.testing.assert_array_equal(np.asanyarray(back.dataobj), np.asanyarray(expected.dataobj))
    probabilities = model.probabilities(other, affine=turned.affine)
    np.testing.assert_array_equal(np.array([0, *model.labels])[probabilities.argmax(0)], np.asanyarray(found.dataobj))


def test_spacing_means_axes_to_the_right_front_and_top(runs, case):
    _, array, _ = case
    model = library.load(runs[0])
    np.testing.assert_array_equal(
        model.predict(array, spacing=(1, 1, 1.5)), model.predict(array, affine=np.diag([1, 1, 1.5, 1]))
    )


def test_a_picture_is_rows_and_columns(tmp_path):
    pictures.write_pictures(tmp_path / "photos")
    recipe = of_pictures(tmp_path / "photos", {"labeled": 2, "validation": 1, "test": 1, "draw": 0})
    run = drawn_run(tmp_path / "run", recipe)
    tied(run, spacing={"unit": "pixel"})
    file = pictures.save(tmp_path / "new.png", pictures.disk(9)[0])
    model = library.load(run)
    (written,) = library.predict(run, file, tmp_path / "out", quality=False)
    expected = np.asarray(Image.open(written))
    assert 0 < np.count_nonzero(expected) < expected.size
    np.testing.assert_array_equal(model.predict(np.asarray(Image.open(file))), expected)
    assert model.probabilities(np.asarray(Image.open(file))).shape == (2, *expected.shape)
    assert model.labels == {255: "disk"}
    with pytest.raises(ArgumentError, match=r"its shape is \(32, 40\).*channels of the model's pictures are"):
        model.predict(expected)
    with pytest.raises(ArgumentError, match="pictures, which have no spacing"):
        model.predict(np.asarray(Image.open(file)), spacing=(1, 1, 1))


def test_the_networks_are_plain_modules_with_the_run_s_weights(runs, case):
    model = library.load(runs[0])
    assert [*model.networks] == ["student_a", "student_b"]
    assert all(type(network).__module__.startswith(("semiseg", "monai")) for network in model.networks.values())
    weights = torch.load(runs[0] / "checkpoints" / "best.pt", weights_only=True)["strategy"]
    for role, network in model.networks.items():
        assert isinstance(network, nn.Module)
        assert not network.training
        for name, value in network.state_dict().items():
            assert torch.equal(value, weights[f"networks.{role}.{name}"])
    both = library.load(runs)
    assert [*both.networks] == [f"{run}:{role}" for run in runs for role in ("student_a", "student_b")]
    assert model.task.patch_size == (16, 16, 16)
    assert len(model.modalities) == 4


def test_unusable_arrays_are_refused_with_all_problems(runs, case):
    files, array, affine = case
    model = library.load(runs[0])
    holes = array.astype(np.float32)
    holes[0, 0, 0] = np.nan
    with pytest.raises(ArgumentError) as caught:
        model.predict(holes[:3], spacing=(1, 0, 1))
    told = "\n".join(map(str, caught.value.problems))
    for said in ("it has 3 channels", "t1, t1ce, t2, flair", "values are not finite", "spacing", "sizes above 0"):
        assert said in told
    for image, options, said in (
        (array[0, 0], {}, "it has 2 axes"),
        (array[:, :0], {}, "it is empty"),
        (array.astype(complex), {}, "values of type complex"),
        (np.array(["a"]), {}, "values of type"),
        (array, {"spacing": (1, 1, 1), "affine": affine}, "Give one of the two"),
        (array, {"affine": np.zeros((4, 4))}, "not an invertible matrix"),
        (array, {"spacing": (1, 1)}, "not three sizes"),
        (files, {"spacing": (1, 1, 1)}, "in its header"),
        (files[0].parent.parent, {}, "6 images, not one"),
    ):
        with pytest.raises(ArgumentError, match=said):
            model.predict(image, **options)
    with pytest.raises(DataError, match="the array: the image is empty"):
        model.predict(np.zeros_like(array))
    with pytest.raises(DataError, match="nothing_there"):
        model.predict([file.with_name(f"nothing_there_{number}.nii.gz") for number, file in enumerate(files)])


def test_unknown_runs_checkpoints_and_none_are_refused(runs, tmp_path):
    for given, options, said in (
        (tmp_path, {}, "is not a run folder"),
        ([], {}, "No run is given"),
        (runs[0], {"checkpoint": "first"}, "no checkpoint 'first'"),
        (runs[0], {"postprocess": "smooth"}, "no postprocessing 'smooth'"),
        (runs[0], {"memory_gib": -1}, "limit of memory is -1"),
    ):
        with pytest.raises(RunError, match=said):
            library.load(given, **options)


def test_images_unlike_the_training_cases_are_told(case, tmp_path):
    _, array, _ = case
    run, heard = drawn_run(tmp_path / "run", SMALL), Heard()
    size = [5.0, 5.0, 5.0]
    tied(run, spacing={"unit": "mm", "min": size, "median": size, "max": size})
    model = library.load(run, reporter=heard)
    model.predict(array, spacing=(5, 5, 5))
    assert not [line for line in heard.said if "spacing" in line]
    model.predict(array, spacing=(5, 5, 9))
    assert [line for line in heard.said if "different spacing" in line and "the array (5 x 5 x 9)" in line]
