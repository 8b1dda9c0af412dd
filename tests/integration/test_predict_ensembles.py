"""``semiseg predict`` with several runs, mirrored, and with files of probabilities."""

import json

import nibabel as nib
import numpy as np
import pytest
from drawn_run import copied_to, drawn_run
from helpers_processes import run as semiseg
from helpers_reporter import Heard
from small_run import SMALL

import semiseg as library
from semiseg.errors import RunError, TrainingError
from semiseg.export.nnunet_predictions import export_predictions
from semiseg.inference import estimate
from semiseg.pipeline.plan import make_plan

NAMES = ("background", "necrosis", "edema", "enhancing")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs: in 3D, with another patch size and uncropped, and of slices."""
    home = tmp_path_factory.mktemp("drawn")
    changes = {
        "one": (),
        "two": ("training.patch_size=[16,24,16]", "preprocessing.crop=false", "backbone.channels=[4,6]"),
        "flat": ("training.patch_size=[16,16]",),
    }
    return {name: drawn_run(home / name, SMALL, *change) for name, change in changes.items()}


@pytest.fixture(scope="module")
def cases():
    return make_plan(library.load_recipe(SMALL)).cases[:2]


@pytest.fixture
def images(tmp_path, cases):
    return copied_to(tmp_path / "new", cases)


def probabilities(folder, case="Phantom_000"):
    with np.load(folder / "probabilities" / f"{case}.npz") as file:
        return {name: file[name] for name in file.files}


def test_runs_predict_by_their_mean_probabilities(runs, images, tmp_path):
    for name in runs:
        library.predict(runs[name], images, tmp_path / name, probabilities="npz")
    for together in (("one", "two"), ("one", "two", "flat")):
        out = tmp_path / "-".join(together)
        paths = library.predict([runs[name] for name in together], images, out, probabilities="npz")
        for path in paths:
            case = path.name.split(".")[0]
            found = probabilities(out, case)
            classes = [name for name in found if name not in ("affine", "spacing")]
            for name in classes:
                assert found[name].dtype == np.float16
                mean = np.mean([probabilities(tmp_path / one, case)[name] for one in together], 0, np.float64)
                np.testing.assert_allclose(found[name], mean, atol=2e-3)
            stack = np.stack([found[name] for name in classes]).astype(np.float32)
            np.testing.assert_allclose(stack.sum(0), 1, atol=5e-3)
            image, values = nib.load(path), stack.argmax(0)
            np.testing.assert_array_equal(found["affine"], image.affine)
            clear = np.sort(stack, 0)[-1] - np.sort(stack, 0)[-2] > 2e-3
            stored = np.unique(np.asarray(image.dataobj)[clear & (values > 0)])
            assert (np.asarray(image.dataobj)[clear] == np.array([0, *_values(runs)])[values[clear]]).all(), stored
        record = json.loads((out / "predictions.json").read_text())
        assert [member["run"] for member in record["runs"]] == [str(runs[name]) for name in together]
        assert {member["weights"] for member in record["runs"]}.isdisjoint({record["weights"]})
    before = {path.name: path.stat().st_mtime_ns for path in paths}
    assert library.predict([runs["flat"], runs["two"], runs["one"]], images, out, probabilities="npz") == paths
    assert {path.name: path.stat().st_mtime_ns for path in paths} == before
    with pytest.raises(RunError, match="by other weights"):
        library.predict(runs["one"], images, out)


def _values(runs):
    return json.loads((runs["one"] / "model.json").read_text())["class_values"][1:]


def test_images_larger_than_the_limit_are_predicted_slab_by_slab(runs, images, tmp_path, monkeypatch):
    heard = Heard()
    with monkeypatch.context() as small:
        small.setattr(estimate, "DEFAULT_LIMIT", 1)
        (first, *_) = library.predict(list(runs.values()), images, tmp_path / "a", reporter=heard)
    assert any("slab by slab, which is more than the limit of" in text for text in heard.said)
    (second, *_) = library.predict(list(runs.values()), images, tmp_path / "b")
    found, expected = (np.asarray(nib.load(path).dataobj) for path in (first, second))
    assert (found != expected).mean() < 1e-4
    with pytest.raises(TrainingError, match="takes at least"):
        library.predict(runs["one"], images, tmp_path / "c", memory_gib=0.0001)


def test_mirrored_predictions_are_others_and_do_not_mix_with_plain_ones(runs, images, cases, tmp_path):
    (plain,) = library.predict(runs["one"], list(cases[0].images), tmp_path / "plain")
    (mirrored,) = library.predict(runs["one"], list(cases[0].images), tmp_path / "mirrored", mirror=True)
    assert plain.read_bytes() != mirrored.read_bytes()
    record = json.loads((tmp_path / "mirrored" / "predictions.json").read_text())
    assert [*record["settings"]["mirrored_axes"].values()] == [[0, 1, 2]]
    assert "settings" not in json.loads((tmp_path / "plain" / "predictions.json").read_text())
    with pytest.raises(RunError, match="made with other settings"):
        library.predict(runs["one"], images, tmp_path / "plain", mirror=True)
    still = drawn_run(tmp_path / "still", SMALL, "augmentation.name=none")
    with pytest.raises(RunError, match=r"still: its augmentation, none, flips no axis"):
        library.predict([runs["one"], still], images, tmp_path / "both", mirror=True)


def test_the_recipe_s_mirroring_is_that_of_predictions(runs, cases, tmp_path):
    run = drawn_run(tmp_path / "run", SMALL, "inference.mirror=true")
    (found,) = library.predict(run, list(cases[0].images), tmp_path / "as set")
    (expected,) = library.predict(runs["one"], list(cases[0].images), tmp_path / "asked", mirror=True)
    assert found.read_bytes() == expected.read_bytes()
    (plain,) = library.predict(run, list(cases[0].images), tmp_path / "not", mirror=False)
    assert plain.read_bytes() != found.read_bytes()


def test_runs_that_do_not_fit_together_are_told_with_all_differences(runs, images, tmp_path):
    other = drawn_run(tmp_path / "regions", SMALL, "training.outputs=regions", "strategy.name=supervised")
    record = json.loads((other / "model.json").read_text())
    record["modalities"] = record["modalities"][::-1]
    (other / "model.json").write_text(json.dumps(record))
    with pytest.raises(RunError) as caught:
        library.predict([runs["one"], other], images, tmp_path / "out")
    assert len(caught.value.problems) == 2
    assert "its modalities are" in str(caught.value)
    assert "and those of" in str(caught.value)
    assert "one per class" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_runs_is_told_with_the_runs_in_it(runs, images, tmp_path):
    home = runs["one"].parent
    with pytest.raises(RunError, match=r"not a run folder, but contains 3: .*/flat, .*/one, .*/two"):
        library.predict(home, images, tmp_path / "out")
    with pytest.raises(RunError, match="given more than once"):
        library.predict([runs["one"], runs["one"]], images, tmp_path / "out")


def test_probabilities_as_nifti_have_the_precision_that_is_said(runs, cases, tmp_path):
    target = tmp_path / "seg.nii.gz"
    library.predict(runs["one"], list(cases[0].images), target, probabilities="nifti")
    library.predict(runs["one"], list(cases[0].images), tmp_path / "out", probabilities="npz")
    found = sorted((tmp_path / "seg_probabilities").iterdir())
    arrays = {path.name.removesuffix(".nii.gz"): nib.load(path) for path in found}
    expected = probabilities(tmp_path / "out")
    assert {*arrays} == {*expected} - {"affine", "spacing"}
    for name, image in arrays.items():
        np.testing.assert_allclose(image.get_fdata(), expected[name], atol=2**-12)
        np.testing.assert_array_equal(image.affine, nib.load(target).affine)
    total = sum(image.get_fdata() for image in arrays.values())
    np.testing.assert_allclose(total, 1, atol=len(arrays) / 32767)
    assert not list(tmp_path.rglob(".tmp*"))
    target.unlink()
    with pytest.raises(RunError, match=r"already exist"):
        library.predict(runs["one"], list(cases[0].images), target, probabilities="nifti")


def test_confidence_is_the_probability_of_the_predicted_class(runs, cases, images, tmp_path):
    several = [runs["one"], runs["two"]]
    library.predict(several, images, tmp_path / "all", probabilities="npz")
    out = tmp_path / "out"
    (first, *_) = library.predict(several, images, out, probabilities="confidence")
    found = nib.load(out / "Phantom_000_confidence.nii.gz")
    expected = np.max([probabilities(tmp_path / "all")[name] for name in NAMES], 0)
    assert expected.min() < 0.9
    np.testing.assert_allclose(found.get_fdata(), expected, atol=2**-11)
    np.testing.assert_array_equal(found.affine, nib.load(first).affine)
    assert not (out / "probabilities").exists()

    library.predict(several, list(cases[0].images), tmp_path / "seg.nii.gz", probabilities="confidence")
    beside = nib.load(tmp_path / "seg_confidence.nii.gz")
    np.testing.assert_array_equal(beside.get_fdata(), found.get_fdata())


def test_predictions_of_several_runs_are_exported_by_their_record(runs, images, tmp_path):
    paths = library.predict([runs["one"], runs["two"]], images, tmp_path / "both")
    home = export_predictions(tmp_path / "both", tmp_path / "exported")
    assert sorted(path.name for path in home.glob("*.nii.gz")) == sorted(path.name for path in paths)


def test_lost_probabilities_are_made_again(runs, images, tmp_path):
    out = tmp_path / "out"
    library.predict(runs["one"], images, out, probabilities="npz")
    path = out / "probabilities" / "Phantom_001.npz"
    whole = path.read_bytes()
    path.unlink()
    library.predict(runs["one"], images, out, probabilities="npz")
    assert path.read_bytes() == whole


def test_files_of_one_case_may_follow_one_option(runs, cases, tmp_path):
    target = tmp_path / "seg.nii.gz"
    done = semiseg("predict", runs["one"], runs["two"], "-i", *cases[0].images, "-o", target, "--memory", "1", "-q")
    assert done.stdout.strip() == str(target)
    mixed = semiseg(
        "predict", runs["one"], "-i", *cases[0].images[:2], "-i", *cases[0].images[2:], "-o", "x", check=False
    )
    assert mixed.returncode == 2
    assert "their order matters" in mixed.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"probabilities": "mat"}, "no format 'mat' of probabilities"),
        ({"postprocess": "all"}, "no postprocessing 'all'"),
        ({"memory_gib": -1}, "limit of memory is -1 GiB"),
        ({"memory_gib": float("inf")}, "limit of memory is inf GiB"),
    ],
)
def test_unknown_options_are_told(runs, images, tmp_path, options, said):
    with pytest.raises(RunError, match=said):
        library.predict(runs["one"], images, tmp_path / "out", **options)
