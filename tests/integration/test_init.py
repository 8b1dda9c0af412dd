"""``semiseg init``: every layout that it knows, on files as users have them, and what it says to the others."""

import json
import os
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import semiseg
from semiseg.cli.init import init
from semiseg.data.verify import verify_cases
from semiseg.errors import DataError, RecipeError
from semiseg.init.propose import patch_size, propose_recipe, unlabeled_note
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe
from semiseg.recipe.yaml import parse_yaml
from semiseg.types import DatasetInfo

RAS, LPS = np.diag([1.0, 1, 1, 1]), np.diag([-1.0, -1, 1, 1])


def save(path, array, affine=RAS):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def scan(seed, shape=(40, 52, 36), skull_stripped=True):
    """A bright box in a dark one, with or without zeros around it."""
    image = np.random.default_rng(seed).normal(100, 5, shape).astype(np.float32)
    label = np.zeros(shape, dtype=np.uint8)
    label[12:20, 12:20, 12:20] = 1
    label[12:16, 12:16, 12:16] = 3
    image += 40 * label
    if skull_stripped:
        image[:2], image[-2:], image[:, :3], image[..., :1] = 0, 0, 0, 0
    return image, label


def fill_folder(root, labeled=10, unlabeled=3, channels=1, **options):
    for number in range(labeled + unlabeled):
        image, label = scan(number, **options)
        part = "labeled" if number < labeled else "unlabeled"
        for channel in range(channels):
            suffix = f"_{channel:04d}" if channels > 1 else ""
            save(root / part / "images" / f"scan_{number:02d}{suffix}.nii.gz", image)
        if part == "labeled":
            save(root / "labeled" / "labels" / f"scan_{number:02d}.nii.gz", label)
    return root


def fill_brats(root, ids, modern=False):
    image, label = scan(0, shape=(40, 36, 32))
    dash, names = ("-", ("t1n", "t1c", "t2w", "t2f")) if modern else ("_", ("t1", "t1ce", "t2", "flair"))
    for case in ids:
        for name in names:
            save(root / case / f"{case}{dash}{name}.nii.gz", image, LPS)
        save(root / case / f"{case}{dash}seg.nii.gz", label, LPS)
    return root


def fill_decathlon(root, classes, count=6):
    for number in range(count):
        image, label = scan(number, skull_stripped=False)
        save(root / "imagesTr" / f"h_{number}.nii.gz", image)
        save(root / "labelsTr" / f"h_{number}.nii.gz", label)
    names = {str(value): name for value, name in enumerate(("background", *classes))}
    training = [{"image": f"./imagesTr/h_{n}.nii.gz", "label": f"./labelsTr/h_{n}.nii.gz"} for n in range(count)]
    manifest = {"name": "H", "modality": {"0": "MRI"}, "labels": names, "training": training}
    (root / "dataset.json").write_text(json.dumps(manifest))
    return root


def proposed(folder, tmp_path, gpu=False):
    path = tmp_path / "recipe.yaml"
    path.write_text(propose_recipe(folder, gpu=gpu).text)
    return load_recipe(path)


def refusal(folder):
    with pytest.raises(DataError) as raised:
        propose_recipe(folder, gpu=False)
    return str(raised.value)


@given(st.tuples(*[st.integers(1, 700)] * 3), st.booleans())
def test_patches_are_multiples_of_16_within_the_image_and_the_machine(extent, gpu):
    patch = patch_size(extent, gpu)

    assert not [n for n in patch if n % 16]
    assert max(patch) <= (128 if gpu else 64)
    if max(extent) >= 32:
        assert all(n <= max(side, 16) for n, side in zip(patch, extent, strict=True))
        assert all(n + 16 > side for n, side in zip(patch, extent, strict=True) if side <= (128 if gpu else 64))
    assert patch != (16, 16, 16)


def test_a_plain_folder_with_unlabeled_images(tmp_path):
    folder = fill_folder(tmp_path / "my scans")
    recipe = proposed(folder, tmp_path)

    assert recipe.name == "my_scans"
    assert recipe.dataset.name == "folder"
    assert recipe.dataset.values == {"root": str(folder), "classes": {"class_1": 1, "class_3": 3}}
    assert (recipe.split.test, recipe.split.validation, recipe.split.labeled) == (2, 1, "all")
    # The foreground is 36 x 49 x 35 of 40 x 52 x 36 voxels.
    assert recipe.training.patch_size == (32, 48, 32)
    assert recipe.preprocessing.foreground == "nonzero"
    assert recipe.strategy.name == "fixmatch"
    assert recipe.strategy.preset == "short"
    assert recipe.augmentation.values["flip_axes"] == ["left-right"]


def test_several_modalities_by_their_numbers(tmp_path):
    recipe = proposed(fill_folder(tmp_path / "d", labeled=4, unlabeled=0, channels=2), tmp_path)

    assert recipe.dataset.values["modalities"] == ["modality_0", "modality_1"]


def test_a_gpu_gets_a_larger_network_and_a_longer_training(tmp_path):
    folder = fill_folder(tmp_path / "d", labeled=4, unlabeled=1)
    small, large = proposed(folder, tmp_path), proposed(folder, tmp_path, gpu=True)

    assert small.backbone.values["channels"] == [16, 32, 64, 128]
    assert large.backbone.values == {}
    assert large.training.epochs > small.training.epochs


def test_images_without_zeros_count_whole(tmp_path):
    recipe = proposed(fill_folder(tmp_path / "d", labeled=4, unlabeled=1, skull_stripped=False), tmp_path)

    assert recipe.preprocessing.foreground == "all"


def test_extents_are_along_right_anterior_superior_whatever_the_files_axes(tmp_path):
    image, label = scan(0, shape=(20, 36, 52))
    turned = np.array([[0, 0, 1.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # axes are A, S, R
    for number in range(4):
        save(tmp_path / "d" / "labeled" / "images" / f"s{number}.nii.gz", image, turned)
        save(tmp_path / "d" / "labeled" / "labels" / f"s{number}.nii.gz", label, turned)

    assert proposed(tmp_path / "d", tmp_path).training.patch_size == (48, 16, 32)


def test_where_every_case_has_a_label_some_serve_as_unlabeled_and_it_is_said(tmp_path):
    folder = fill_folder(tmp_path / "d", labeled=20, unlabeled=0)
    text = propose_recipe(folder, gpu=False).text
    recipe = proposed(folder, tmp_path)

    assert (recipe.split.test, recipe.split.validation, recipe.split.labeled) == (4, 2, 4)
    assert "Of the other 14, the labels of 4 are used" in text
    assert "--set split.labeled=all --set strategy.name=supervised --set strategy.loss=dice_ce" in text
    assert recipe.strategy.values["loss"] == "dice_ce"
    assert recipe.training.foreground_share == 0.33


def test_brats(tmp_path):
    recipe = proposed(fill_brats(tmp_path / "b", [f"BraTS2021_{n:05d}" for n in range(5)]), tmp_path)

    assert recipe.dataset.name == "brats"
    assert recipe.augmentation.values["flip_axes"] == ["left-right", "anterior-posterior", "superior-inferior"]


def test_counts_keep_a_patient_s_cases_together(tmp_path):
    ids = [f"BraTS-GLI-{patient:05d}-{time:03d}" for patient in range(5) for time in (100, 101)]
    recipe = proposed(fill_brats(tmp_path / "b", ids, modern=True), tmp_path)

    assert (recipe.split.test, recipe.split.validation) == (2, 2)


@pytest.mark.parametrize(
    ("classes", "axes"),
    [
        (("Anterior", "Posterior", "x"), ["left-right"]),
        (("left kidney", "right kidney", "x"), []),
        (("left_lung", "right_lung", "x"), []),
        (("left atrium", "x", "y"), ["left-right"]),
    ],
)
def test_decathlon_and_no_flips_where_left_and_right_are_classes(tmp_path, classes, axes):
    recipe = proposed(fill_decathlon(tmp_path / "d", classes), tmp_path)

    assert recipe.dataset.name == "decathlon"
    assert recipe.augmentation.values["flip_axes"] == axes


def with_test_images(root, count=3, folder="imagesTs"):
    """A Decathlon dataset as its archives are: images without labels, and a hidden file of macOS beside each."""
    fill_decathlon(root, ("front", "back", "third"))
    names = [f"h_{number}.nii.gz" for number in range(20, 20 + count)]
    for number, name in enumerate(names):
        save(root / folder / name, scan(number, skull_stripped=False)[0])
        (root / folder / f"._{name}").write_bytes(b"of macOS")
    manifest = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**manifest, "test": [f"./{folder}/{name}" for name in names]}))
    return root


def test_the_images_of_imagests_are_unlabeled_cases_and_never_evaluated(tmp_path):
    proposal = propose_recipe(with_test_images(tmp_path / "d", count=9), gpu=False)
    (tmp_path / "recipe.yaml").write_text(proposal.text)
    said = "9 test images are counted as unlabeled cases; set dataset.test_images=exclude to leave them out."
    assert "Cases: 15, 6 with a label, of 15 patients" in proposal.findings
    assert f"Note: {said}" in proposal.findings
    assert f"# {said}\n" in proposal.text

    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert recipe.dataset.values["test_images"] == "unlabeled"
    assert recipe.split.labeled == "all"
    for seed in range(10):  # whatever is drawn
        drawn = load_recipe(tmp_path / "recipe.yaml", [f"seed={seed}", f"split.seed={seed}", "split.test=4"])
        split = make_plan(drawn).split
        assert [case.id for case in split.unlabeled] == [f"h_{number}" for number in range(20, 29)]


def test_check_says_that_test_images_are_left_out_and_how_to_take_them(tmp_path):
    (tmp_path / "recipe.yaml").write_text(propose_recipe(with_test_images(tmp_path / "d"), gpu=False).text)
    said = semiseg.check(tmp_path / "recipe.yaml", overrides=["dataset.test_images=exclude"])
    note = "3 test images are left out; set dataset.test_images=unlabeled to use them as unlabeled cases"
    assert f"Note: {note}." in said
    assert any(", of 6" in line for line in said)


def test_test_images_that_cannot_be_taken_are_left_out_and_it_is_said_why(tmp_path):
    root = with_test_images(tmp_path / "d")
    (root / "imagesTs" / "h_21.nii.gz").unlink()
    proposal = propose_recipe(root, gpu=False)

    assert "test_images" not in parse_yaml(proposal.text, "proposed")[0]["dataset"]
    for text, mark in (("\n".join(proposal.findings), "Note: "), (proposal.text, "# ")):
        (line,) = [line for line in text.splitlines() if "est images are left out" in line]
        assert line.startswith(mark)
        assert f"{root}/dataset.json: 1 listed file does not exist: {root}/imagesTs/h_21.nii.gz; once" in line
        assert line.endswith("set dataset.test_images: unlabeled to use them as unlabeled cases.")


def test_an_image_that_cannot_be_read_costs_nobody_the_recipe(tmp_path):
    root = with_test_images(tmp_path / "d", count=9)
    for path in (root / "imagesTs").iterdir():
        path.write_bytes(b"no image")
    proposal = propose_recipe(root, gpu=False)
    assert "test_images" not in parse_yaml(proposal.text, "proposed")[0]["dataset"]
    assert any(line.startswith("Note: test images are left out because of") for line in proposal.findings)


def test_labels_of_test_images_that_dataset_json_names_are_seen(tmp_path):
    root = with_test_images(tmp_path / "d")
    content = json.loads((root / "dataset.json").read_text())
    content["test"] = [{"image": path, "label": path.replace("images", "other")} for path in content["test"]]
    (root / "dataset.json").write_text(json.dumps(content))
    proposal = propose_recipe(root, gpu=False)
    assert "test_images" not in parse_yaml(proposal.text, "proposed")[0]["dataset"]


def test_test_images_with_labels_are_not_trained_on_unasked(tmp_path):
    root = with_test_images(tmp_path / "d")
    save(root / "labelsTs" / "h_20.nii.gz", scan(0)[1])
    proposal = propose_recipe(root, gpu=False)
    assert "test_images" not in parse_yaml(proposal.text, "proposed")[0]["dataset"]
    assert any(line.startswith("Note: 3 test images are left out") for line in proposal.findings)


def test_left_atria(tmp_path):
    for number in range(5):
        image, label = scan(number, skull_stripped=False)
        path = tmp_path / "la" / "2018LA_Seg_Training Set" / f"CASE{number}" / "mri_norm2.h5"
        path.parent.mkdir(parents=True)
        with h5py.File(path, "w") as file:
            file["image"], file["label"] = image, np.minimum(label, 1)
    recipe = proposed(tmp_path / "la", tmp_path)

    assert recipe.dataset.name == "la2018"
    assert (recipe.preprocessing.normalize, recipe.preprocessing.crop) == ("none", False)


@pytest.mark.parametrize("has_json", [True, False])
def test_nnunet_is_read_where_it_lies(tmp_path, has_json):
    raw = tmp_path / "Dataset001_X"
    for number in range(8):
        image, label = scan(number)
        save(raw / "imagesTr" / f"x_{number:03d}_0000.nii.gz", image)
        save(raw / "labelsTr" / f"x_{number:03d}.nii.gz", label)
        save(raw / "imagesTs" / f"t_{number:03d}_0000.nii.gz", image)
    manifest = {"channel_names": {"0": "T1"}, "labels": {"background": 0, "edge": 1, "core": 3}, "numTraining": 8}
    if has_json:
        (raw / "dataset.json").write_text(json.dumps({**manifest, "file_ending": ".nii.gz"}))
    proposal = propose_recipe(raw, gpu=False)
    assert "Cases: 16, 8 with a label, of 16 patients" in proposal.findings
    said = "the images of imagesTs are counted as unlabeled cases"
    if has_json:
        said = "imagesTs: 8 images are counted as unlabeled cases; set dataset.test_images=exclude to leave them out"
    assert f"Note: {said}." in proposal.findings
    names = "edge, core" if has_json else "class_1, class_3"
    assert f"Modalities: {'T1' if has_json else 'image'}; classes: background, {names}" in proposal.findings
    recipe = proposed(raw, tmp_path)
    assert recipe.split.labeled == "all"
    assert semiseg.check(recipe, quick=True)[-1] == "No problems found."


def test_folders_that_are_not_understood(tmp_path):
    assert refusal(tmp_path / "nowhere") == (f"{tmp_path}/nowhere: there is no such folder\n    Check the path.")
    assert refusal(tmp_path).startswith(f"{tmp_path}: there are no images in it\n    Supported layouts:\n")
    save(tmp_path / "some" / "where.nii.gz", scan(0)[0])
    assert refusal(tmp_path).startswith(
        f"{tmp_path}: unknown layout; it contains some/where.nii.gz\n    Supported layouts:\n"
    )
    (tmp_path / "dataset.json").write_text("{")
    assert refusal(tmp_path).startswith(f"{tmp_path}/dataset.json: it cannot be read as JSON: ")


def test_too_few_labels(tmp_path):
    assert refusal(fill_folder(tmp_path / "d", labeled=2, unlabeled=1)).startswith(
        f"{tmp_path}/d: 2 of 3 cases have a label; training, validation and test need one each\n"
    )


def test_labels_that_say_nothing(tmp_path):
    image, label = scan(0)
    save(tmp_path / "labeled" / "images" / "a.nii.gz", image)
    (tmp_path / "labeled" / "labels").mkdir()
    assert refusal(tmp_path).startswith(f"{tmp_path}/labeled/labels: there are no labels in it\n")
    save(tmp_path / "labeled" / "labels" / "a.nii.gz", label * 0)
    assert refusal(tmp_path).startswith(f"{tmp_path}/labeled/labels: all labels are 0 everywhere\n")


def relabeled(folder, **changes):
    """The label of each named scan, changed by a function."""
    for name, change in changes.items():
        path = folder / "labeled" / "labels" / f"{name}.nii.gz"
        image = nibabel.load(path)
        save(path, change(np.asarray(image.dataobj)))
    return folder


def test_what_can_be_no_label_is_told_of_all_files_at_once(tmp_path):
    folder = relabeled(
        fill_folder(tmp_path / "d", labeled=5, unlabeled=0),
        scan_00=lambda label: np.where(label == 3, -1, label.astype(np.int16)).astype(np.int16),
        scan_01=lambda label: label.astype(np.float32) * 0.5,
        scan_02=lambda label: np.stack([label == 0, label == 1, label == 3], axis=-1).astype(np.uint8),
        scan_03=lambda label: (np.arange(label.size).reshape(label.shape) % 2000 - 1024).astype(np.int16),
    )
    with pytest.raises(DataError) as caught:
        propose_recipe(folder, gpu=False)
    told = [
        (problem.where.removeprefix(f"{folder}/labeled/labels/"), problem.what) for problem in caught.value.problems
    ]
    assert told[:3] == [
        ("scan_00.nii.gz", "it has values below 0: -1 (64 voxels)"),
        ("scan_01.nii.gz", "512 voxels are not whole numbers (0.5, 1.5)"),
        ("scan_02.nii.gz", "its shape is (40, 52, 36, 3), not (X, Y, Z)"),
    ]
    where, what = told[3]
    assert where == "scan_03.nii.gz"
    assert what.startswith("it has values below 0: -1024 (38 voxels), -1023 (38 voxels), ")
    assert what.endswith(" and 1021 others")
    assert "Hounsfield" in caught.value.problems[3].fix
    assert len(told) == 4


def test_labels_that_were_saved_as_scaled_integers_are_whole(tmp_path):
    folder = fill_folder(tmp_path / "d", labeled=4, unlabeled=1)
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    for path in (folder / "labeled" / "labels").iterdir():
        label = np.where(nibabel.load(path).get_fdata() == 3, 4, nibabel.load(path).get_fdata() * 2)
        nibabel.save(nibabel.Nifti1Image(label, RAS, header), path)
    assert proposed(folder, tmp_path).dataset.values["classes"] == {"class_2": 2, "class_4": 4}
    dataset = make_plan(load_recipe(tmp_path / "recipe.yaml")).components.dataset
    assert verify_cases(dataset, dataset.cases()) == []


@pytest.mark.parametrize(("mark", "noted"), [(255, True), (65535, True), (99, True), (4, False), (10, False)])
def test_a_value_that_may_mark_voxels_that_nobody_labeled_is_said_to_be_a_class(tmp_path, mark, noted):
    def change(label):
        return np.where(label == 3, mark, label.astype(np.uint16)).astype(np.uint16)

    folder = fill_folder(tmp_path / "d", labeled=4, unlabeled=1)
    proposal = propose_recipe(relabeled(folder, scan_00=change, scan_01=change, scan_02=change), gpu=False)
    said = [line for line in proposal.findings if line.startswith(f"Note: value {mark} is read as a class")]
    assert len(said) == noted
    if noted:
        assert f"class_{mark};" in said[0]
        assert f"set dataset.ignore: {mark}" in said[0]
        assert f"# Value {mark} is read as a class" in proposal.text


def test_classes_that_say_so_and_classes_that_do_not():
    def notes(classes, values):
        return unlabeled_note(DatasetInfo("d", ("ct",), classes, {}, values))

    assert notes(("background", "a", "Ignore"), (0, 1, 2))
    assert not notes(("background", "mask"), (0, 255))  # all of the foreground: what else should it be
    assert not notes(("background", "a", "b", "c"), (0, 205, 420, 500))
    assert not notes(("background",), (0,))


def test_where_spacings_differ_images_are_resampled_and_it_is_said(tmp_path):
    folder = fill_folder(tmp_path / "d", labeled=4, unlabeled=1)
    assert "resampled" not in "\n".join(propose_recipe(folder, gpu=False).findings)
    assert proposed(folder, tmp_path).preprocessing.spacing == (1, 1, 1)
    image, label = scan(0)
    save(folder / "labeled" / "images" / "scan_00.nii.gz", image, np.diag([1, 1, 3.0, 1]))
    save(folder / "labeled" / "labels" / "scan_00.nii.gz", label, np.diag([1, 1, 3.0, 1]))
    proposal = propose_recipe(folder, gpu=False)
    assert "Voxels: 1 x 1 x 1 to 3 mm; images are resampled to 1 x 1 x 1 mm" in proposal.findings
    assert "to which images are resampled: theirs are 1 x 1 x 1 to 3.\n" in proposal.text


def test_a_coarse_axis_has_patch_and_network_planned_for_it(tmp_path):
    for index in range(5):
        image, label = scan(index, (40, 52, 24))
        part = "labeled"
        save(tmp_path / "d" / part / "images" / f"s{index}.nii.gz", image, np.diag([1, 1, 4.0, 1]))
        save(tmp_path / "d" / part / "labels" / f"s{index}.nii.gz", label, np.diag([1, 1, 4.0, 1]))
    recipe = proposed(tmp_path / "d", tmp_path)
    assert (recipe.training.patch_size, recipe.backbone.values["strides"]) == ("auto", "auto")
    assert make_plan(recipe).task.patch_size[2] < make_plan(recipe).task.patch_size[0]


def test_ct_is_seen_in_its_values(tmp_path):
    folder = fill_folder(tmp_path / "d", labeled=4, unlabeled=1)
    for path in (folder / "labeled" / "images").iterdir():
        image = nibabel.load(path)
        array = np.asarray(image.dataobj).astype(np.int16)
        save(path, np.where(array == 0, -1000, array - 20).astype(np.int16), image.affine)
    recipe = proposed(folder, tmp_path)
    assert (recipe.preprocessing.normalize, recipe.preprocessing.foreground) == ("ct", "all")
    assert "CT: image" in propose_recipe(folder, gpu=False).findings
    assert set(make_plan(recipe).recipe.preprocessing.intensities) == {"image"}


def test_damaged_files_are_all_named(tmp_path):
    folder = fill_folder(tmp_path / "d", labeled=4, unlabeled=0)
    for name in ("scan_01", "scan_02"):
        path = folder / "labeled" / "images" / f"{name}.nii.gz"
        path.write_bytes(path.read_bytes()[:-2000])
    text = refusal(folder)

    assert "scan_01.nii.gz" in text
    assert "scan_02.nii.gz" in text


@pytest.fixture
def call():
    app = typer.Typer()
    app.command()(init)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


def test_the_command_tells_what_it_found_and_what_to_do_next(tmp_path, call):
    output = tmp_path / "out" / "mine.yaml"
    result = call(fill_folder(tmp_path / "d"), "--output", output)

    assert result.stdout.splitlines()[:5] == [
        "Read as: folder",
        "Cases: 13, 10 with a label, of 13 patients",
        "Modalities: image; classes: background, class_1, class_3",
        "Median image: 40 x 52 x 36 voxels, foreground: 36 x 49 x 35; patch: 32 x 48 x 32",
        "Split: 7 labeled, 3 unlabeled, 1 validation, 2 test",
    ]
    assert f"semiseg check {output}" in result.stdout
    assert output.read_text().startswith(f"# Written by `semiseg init` for {tmp_path}/d, as a starting point.\n#\n")


def test_a_recipe_that_is_there_is_not_overwritten(tmp_path, call):
    output = tmp_path / "mine.yaml"
    output.write_text("name: mine")

    with pytest.raises(RecipeError, match=r"mine\.yaml already exists\.\n    Choose another file with --output\."):
        call(fill_folder(tmp_path / "d", labeled=3, unlabeled=0), "-o", output)
    assert output.read_text() == "name: mine"


@pytest.mark.slow
def test_the_recipe_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path / "cache"))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(propose_recipe(fill_folder(tmp_path / "d", labeled=4, unlabeled=1), gpu=False).text)
    small = ["training.epochs=1", "training.examples_per_epoch=4", "training.device=cpu", "training.workers=0",
             "inference.overlap=0"]  # fmt: skip

    assert semiseg.check(recipe, overrides=small)[-1] == "No problems found."
    result = semiseg.run(recipe, tmp_path / "run", overrides=small)

    assert {score.class_name for score in result.scores} == {"class_1", "class_3"}


@pytest.mark.real_data
@pytest.mark.skipif("SEMISEG_REAL_DATA" not in os.environ, reason="SEMISEG_REAL_DATA is not set")
@pytest.mark.parametrize(
    ("folder", "dataset", "patch"),
    [
        ("brats2018", "brats", (128, 128, 128)),
        ("hippocampus", "decathlon", (32, 48, 32)),
        ("la2018", "la2018", (128, 128, 80)),
    ],
)
def test_real_data(tmp_path, folder, dataset, patch):
    recipe = proposed(Path(os.environ["SEMISEG_REAL_DATA"]) / folder, tmp_path, gpu=True)

    assert recipe.dataset.name == dataset
    assert recipe.training.patch_size == patch


def test_volumes_of_one_slice_are_planned_in_their_plane(tmp_path):
    for number in range(6):
        image, label = scan(number, shape=(48, 52, 30))
        affine = np.diag([1.0, 1, 5, 1])
        save(tmp_path / "images" / f"s{number}.nii.gz", image[..., 14:15], affine)
        save(tmp_path / "labels" / f"s{number}.nii.gz", label[..., 14:15], affine)
    recipe = load_recipe(parse_yaml(propose_recipe(tmp_path, gpu=False).text, "proposed")[0])
    assert recipe.training.patch_size == (32, 48)  # zeros around the head are cropped
    assert recipe.preprocessing.spacing == (1.0, 1.0)
    assert make_plan(recipe).task.spatial_dims == 2


def test_a_folder_with_every_label_says_what_is_done_with_them(tmp_path):
    proposal = propose_recipe(fill_folder(tmp_path, labeled=8, unlabeled=0), gpu=False)
    (told,) = [line for line in proposal.findings if "every case has a label" in line]
    assert told.startswith("Note: every case has a label: training uses 1, and 4 others serve as unlabeled;")
    assert "--set split.labeled=all" in told
    assert not [line for line in propose_recipe(fill_folder(tmp_path / "b"), gpu=False).findings if "every" in line]
    few = propose_recipe(fill_folder(tmp_path / "c", labeled=3, unlabeled=0), gpu=False).findings
    assert any("none is left to serve as unlabeled" in line for line in few)


def test_sessions_of_a_patient_are_kept_together(tmp_path):
    fill_folder(tmp_path)
    for path in [*tmp_path.rglob("*.nii.gz")]:
        number = int(path.name[5:7])
        path.rename(path.with_name(f"sub-{number // 2:02d}_ses-{number % 2}.nii.gz"))
    proposal = propose_recipe(tmp_path, gpu=False)
    assert any("of 7 patients" in line for line in proposal.findings)
    assert any("patients with several scans, which stay on one side" in line for line in proposal.findings)
    split = make_plan(load_recipe(parse_yaml(proposal.text, "proposed")[0])).split
    inside = [{case.patient for case in split.cases(role)} for role in ("test", "validation")]
    trained = {case.patient for role in ("labeled", "unlabeled") for case in split.cases(role)}
    assert not (inside[0] | inside[1]) & trained
    assert not inside[0] & inside[1]


def test_folders_of_other_names_are_given(tmp_path, capsys):
    fill_folder(tmp_path)
    (tmp_path / "labeled" / "images").rename(tmp_path / "mri")
    (tmp_path / "labeled" / "labels").rename(tmp_path / "manual")
    (tmp_path / "unlabeled" / "images").rename(tmp_path / "more")
    runner = CliRunner()
    app = typer.Typer()
    app.command()(init)
    out = tmp_path / "mine.yaml"
    done = runner.invoke(app, [str(tmp_path), "-o", str(out), "--images", "mri", "--labels", "manual"])
    assert done.exit_code == 0, done.output
    assert "more: 3 files are not read" in done.output
    out.unlink()
    given = ["--images", "mri", "--labels", "manual", "--unlabeled", "more"]
    assert "Cases: 13, 10 with a label" in runner.invoke(app, [str(tmp_path), "-o", str(out), *given]).output
    with pytest.raises(RecipeError, match="go together"):
        runner.invoke(app, [str(tmp_path), "--images", "mri"], catch_exceptions=False)
