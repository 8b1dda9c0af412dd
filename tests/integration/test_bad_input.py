"""Everything that users bring along: one clear message each, which names what to mend, and an exit code."""

import copy
import shutil

import nibabel as nib
import numpy as np
import pytest
from helpers_processes import run as semiseg
from ruamel.yaml import YAML
from small_run import SMALL

from semiseg import check, run
from semiseg.errors import ComponentError, DataError, RecipeError, RunError, SemisegError
from semiseg.progress import Reporter
from semiseg.registry import create


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Six BraTS-named cases."""
    dataset = create("dataset", "phantom", {"cases": 6, "size": [32, 32, 32], "root": tmp_path_factory.mktemp("made")})
    return dataset.cases()[0].images[0].parents[1]


@pytest.fixture
def root(made, tmp_path):
    """A copy to damage."""
    return shutil.copytree(made, tmp_path / "cases")


@pytest.fixture
def recipe(root):
    recipe = copy.deepcopy(SMALL)
    recipe["dataset"] = {"name": "brats", "root": str(root)}
    return recipe


def file(root, number, name):
    return sorted(root.glob(f"*/*_{name}.nii.gz"))[number]


def rewrite(path, change=lambda a: a, affine=None):
    image = nib.load(path)
    array = change(np.asarray(image.dataobj).copy())
    nib.save(nib.Nifti1Image(array, image.affine if affine is None else affine), path)


class Listener(Reporter):
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def problem(recipe, error=DataError, **options):
    """The one message that both ``check`` and ``run`` give."""
    with pytest.raises(error) as caught:
        check(recipe, **options)
    return str(caught.value)


def test_good_input_is_called_good(recipe):
    lines = check(recipe)
    assert lines[-1] == "No problems found."
    assert any("2 labeled, 2 unlabeled, 1 validation, 1 test, of 6" in line for line in lines)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_truncated_files_are_all_named(recipe, root, share):
    paths = [file(root, 0, "t1"), file(root, 3, "seg")]
    for path in paths:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
    message = problem(recipe)
    assert all(str(path) in message for path in paths)


def test_a_flipped_bit_is_noticed(recipe, root):
    path = file(root, 1, "flair")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)
    assert str(path) in problem(recipe)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_not_finite_are_counted(recipe, root, value):
    path = file(root, 2, "t2")

    def change(array):
        array = array.astype(np.float32)
        array[:2, 0, 0] = value
        return array

    rewrite(path, change)
    message = problem(recipe)
    assert str(path) in message
    assert "2 of 32,768 voxels" in message


def test_another_affine_names_both_files_and_grids(recipe, root):
    image, label = file(root, 0, "t1"), file(root, 0, "seg")
    affine = nib.load(label).affine.copy()
    affine[0, 3] += 5
    rewrite(label, affine=affine)
    message = problem(recipe)
    assert str(image) in message
    assert str(label) in message
    assert "affine" in message


def test_another_shape_is_refused(recipe, root):
    label = file(root, 4, "seg")
    rewrite(label, lambda array: array[:-1])
    message = problem(recipe)
    assert str(label) in message
    assert "shape" in message


def test_missing_modalities_are_all_listed(recipe, root):
    file(root, 1, "t1ce").unlink()
    file(root, 4, "flair").unlink()
    message = problem(recipe, quick=True)
    assert "t1ce missing" in message
    assert "flair missing" in message


def test_unknown_label_values_are_listed_with_the_mend(recipe, root):
    label = file(root, 5, "seg")
    path = label

    def change(array):
        array[0, 0, :3] = 205
        return array.astype(np.int16)

    rewrite(path, change)
    message = problem(recipe)
    assert "205 (3 voxels)" in message
    assert "label_map: {205: INDEX}" in message


def test_labels_of_unlabeled_and_test_cases_are_looked_at_too(recipe, root):
    for number in range(6):
        data = file(root, number, "seg").read_bytes()
        file(root, number, "seg").write_bytes(data[:-20])
    assert problem(recipe).count("_seg.nii.gz") >= 6


def test_a_case_in_two_roles(recipe, root):
    names = sorted(p.name for p in root.iterdir() if p.is_dir())
    recipe["split"] = {"test": names[:1], "validation": names[:1], "labeled": 2}
    assert names[0] in problem(recipe)


def test_more_cases_than_there_are(recipe):
    recipe["split"] = {"test": 3, "validation": 2, "labeled": 4}
    message = problem(recipe)
    assert "6" in message
    assert "4" in message


def test_a_patch_larger_than_the_image_is_padded_and_said(recipe, tmp_path):
    recipe["training"] |= {"patch_size": [48, 48, 48], "epochs": 1, "examples_per_epoch": 2}
    assert any("smaller than the patch" in line and "padded" in line for line in check(recipe))
    listener = Listener()
    result = run(recipe, tmp_path / "run", reporter=listener)
    assert len(result.scores) == 2 * 2 * (3 + 3)  # checkpoints, metrics, classes and regions
    assert any("4 training images are smaller than the patch" in line for line in listener.said)


def test_a_patch_that_the_network_cannot_take(recipe):
    recipe["training"]["patch_size"] = [17, 16, 16]
    recipe["backbone"] = {"name": "unetr", "hidden_size": 12}
    message = problem(recipe, RecipeError)
    assert "17 is not a multiple of 16" in message


def test_a_precision_that_torch_gets_wrong(recipe):
    recipe["training"] |= {"patch_size": [32, 32, 32], "precision": "bf16"}
    recipe["backbone"] = {"name": "unet"}
    assert "gradients are wrong" in problem(recipe, RecipeError)


def test_bf16_on_a_cpu_that_emulates_it_is_told_and_goes_on(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("semiseg.engine.precision.cpu_bf16_factor", lambda spatial_dims: 5.0)
    recipe["training"] |= {"precision": "bf16", "epochs": 1, "examples_per_epoch": 2, "device": "cpu"}
    recipe["backbone"]["strides"] = [1]  # no level smaller than a kernel
    listener = Listener()
    run(recipe, tmp_path / "run", reporter=listener)
    for lines in (check(recipe), listener.said):
        assert any("5.0 times as long as in float32" in line for line in lines)
    recipe["training"]["precision"] = "auto"
    assert not any("float32 (timed" in line for line in check(recipe))


def test_misspelt_and_duplicate_keys_and_unknown_components(recipe, tmp_path):
    path = tmp_path / "bad.yaml"
    recipe["training"]["epohcs"] = 3
    recipe["strategy"] = {"name": "cpss"}
    with path.open("w") as target:
        YAML(typ="safe").dump(recipe, target)
    message = problem(path, RecipeError)
    assert "'epohcs'" in message
    assert "Did you mean 'epochs'?" in message
    assert "Did you mean 'cps'?" in message
    assert message.count("bad.yaml:") == 2
    path.write_text("name: a\nseed: 1\nseed: 2\n")
    message = problem(path, RecipeError)
    assert "seed" in message
    assert "bad.yaml:3" in message


def test_an_empty_folder(recipe, tmp_path):
    (tmp_path / "empty").mkdir()
    recipe["dataset"]["root"] = str(tmp_path / "empty")
    assert str(tmp_path / "empty") in problem(recipe)


def test_exit_codes_and_no_traceback(recipe, root, tmp_path):
    path = tmp_path / "recipe.yaml"
    with path.open("w") as target:
        YAML(typ="safe").dump(recipe, target)
    label = file(root, 0, "seg")
    label.write_bytes(label.read_bytes()[:-10])
    for command, code in (
        (["check", path], 3),
        (["run", path, "-o", tmp_path / "run"], 3),
        (["check", path, "--set", "training.epohcs=1"], 2),
        (["check", tmp_path / "none.yaml"], 2),
        (["predict", tmp_path, "-i", root, "-o", tmp_path / "out"], 4),
    ):
        done = semiseg(*command, check=False)
        assert done.returncode == code, done.stderr
        assert done.stderr.startswith("Error: ") or "\nError: " in done.stderr
        assert "Traceback" not in done.stderr


def test_a_bad_file_is_mended_and_the_run_goes_on(recipe, root, tmp_path):
    label = file(root, 0, "seg")
    good = label.read_bytes()
    label.write_bytes(good[:-10])
    with pytest.raises(DataError):
        run(recipe, tmp_path / "run")
    label.write_bytes(good)
    assert run(recipe, tmp_path / "run", resume=True).scores


def test_a_folder_of_something_else_is_left_alone(recipe, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    with pytest.raises(RunError, match="not empty"):
        run(recipe, tmp_path / "thesis")
    assert sorted(p.name for p in (tmp_path / "thesis").iterdir()) == ["chapter.tex"]


def test_all_errors_are_of_one_family():
    assert issubclass(ComponentError, SemisegError)


def test_an_augmentation_that_cannot_change_whole_batches_and_regions_of_no_class(recipe, tmp_path):
    recipe["training"]["augmentation_on"] = "device"
    recipe["evaluation"] = {"regions": {"core": ["necrosis", "cyst"]}}
    message = problem(recipe, RecipeError)
    assert "augmentation luque2023 works on single samples only" in message
    assert "evaluation.regions, region core: there is no class cyst" in message
    recipe["augmentation"] = {"name": "fused"}
    recipe["evaluation"]["regions"] = {"core": ["necrosis", "enhancing"]}
    recipe["training"] |= {"epochs": 1, "examples_per_epoch": 4}
    result = run(recipe, tmp_path / "run")
    assert {score.class_name for score in result.scores if score.kind == "region"} == {"core"}
