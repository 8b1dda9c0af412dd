"""The folder layout with PNG, JPEG and TIFF instead of NIfTI."""

import helpers_pictures as made
import helpers_volumes as volumes
import numpy as np
import pytest

from semiseg.data.verify import verify_cases
from semiseg.datasets.brats import Brats
from semiseg.datasets.decathlon import Decathlon
from semiseg.datasets.folder import Folder
from semiseg.errors import DataError

COLORS = ("red", "green", "blue")


def folder(root, **options):
    return Folder(Folder.Options(root=root, **{"classes": {"disk": 255}, "modalities": COLORS, **options}))


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".TIF"])
def test_rgb_pictures_with_masks_of_0_and_255(tmp_path, ending):
    dataset = folder(made.write_pictures(tmp_path, labeled=2, unlabeled=1, ending=ending))
    cases = dataset.cases()
    assert [(case.id, len(case.images), case.label is None) for case in cases] == [
        ("p_00", 1, False),
        ("p_01", 1, False),
        ("p_02", 1, True),
    ]
    assert dataset.read_image(cases[0]).array.shape == (3, 40, 32, 1)
    label = dataset.read_label(cases[0])
    assert (label.array.shape, np.unique(label.array).tolist()) == ((40, 32, 1), [0, 1])
    assert not verify_cases(dataset, cases)
    assert not verify_cases(dataset, cases, quick=True)
    (new,) = dataset.new_cases(cases[2].images)
    assert (new.id, new.images) == ("p_02", cases[2].images)


def test_names_of_nnunet_with_all_colors_in_one_file(tmp_path):
    for number in range(2):
        picture, mask = made.disk(number)
        made.save(tmp_path / "labeled" / "images" / f"a_{number}_0000.png", picture)
        made.save(tmp_path / "labeled" / "labels" / f"a_{number}.png", mask)
    dataset = folder(tmp_path)
    assert [case.id for case in dataset.cases()] == ["a_0", "a_1"]
    assert [case.id for case in dataset.new_cases([tmp_path / "labeled" / "images"])] == ["a_0", "a_1"]


def test_ids_that_look_like_modality_numbers(tmp_path):
    for number in range(1, 6):
        picture, mask = made.disk(number)
        made.save(tmp_path / "labeled" / "images" / f"photo_{number:04d}.png", picture)
        made.save(tmp_path / "labeled" / "labels" / f"photo_{number:04d}.png", mask)
    assert [case.id for case in folder(tmp_path).cases()] == [f"photo_{number:04d}" for number in range(1, 6)]


def test_one_gray_picture_per_modality(tmp_path):
    for number in range(2):
        picture, mask = made.disk(number)
        for channel in range(3):
            made.save(tmp_path / "labeled" / "images" / f"a_{number}_{channel:04d}.png", picture[..., channel])
        made.save(tmp_path / "labeled" / "labels" / f"a_{number}.png", mask)
    dataset = folder(tmp_path)
    first = dataset.cases()[0]
    assert len(first.images) == 3
    np.testing.assert_array_equal(dataset.read_image(first).array[..., 0].T, made.disk(0)[0])
    (new,) = dataset.new_cases(first.images)
    assert new.images == first.images
    first.images[1].unlink()
    assert "case a_0: modality _0001 (green) is missing" in refusal(dataset.cases)


def test_an_indexed_mask_has_its_indices_as_values(tmp_path):
    from PIL import Image

    root = made.write_pictures(tmp_path, labeled=1, unlabeled=0)
    mask = Image.fromarray((made.disk(0)[1] > 0).astype(np.uint8) * 2)
    mask.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0])
    mask.save(root / "labeled" / "labels" / "p_00.png")
    dataset = folder(root, classes={"other": 1, "disk": 2})
    assert np.unique(dataset.read_label(dataset.cases()[0]).array).tolist() == [0, 2]


def test_volumes_and_pictures_in_one_dataset_are_a_problem(tmp_path):
    root = made.write_pictures(tmp_path, labeled=2, unlabeled=0)
    volumes.save(root / "unlabeled" / "images" / "v.nii.gz", volumes.image())
    told = refusal(folder(root).cases)
    assert f"{root}: it has volumes (unlabeled/images/v.nii.gz) and pictures (labeled/images/p_00.png, " in told
    volumes.save(root / "labeled" / "images" / "v.nii.gz", volumes.image())
    assert "it has volumes (v.nii.gz) and pictures (p_00.png" in refusal(
        folder(root).new_cases, [root / "labeled" / "images"]
    )


def test_sizes_of_picture_and_mask_that_differ(tmp_path):
    root = made.write_pictures(tmp_path, labeled=2, unlabeled=0)
    made.save(root / "labeled" / "labels" / "p_01.png", made.disk(1, (32, 40))[1])
    dataset = folder(root)
    for quick in (False, True):
        (problem, *_) = verify_cases(dataset, dataset.cases(), quick=quick)
        assert "are on different grids: shape (40, 32, 1) vs. (32, 40, 1)" in str(problem)


def test_all_problems_of_labels_at_once(tmp_path):
    root = made.write_pictures(tmp_path, labeled=4, unlabeled=0)
    labels = root / "labeled" / "labels"
    made.save(labels / "p_00.png", made.disk(0)[0])
    made.save(labels / "p_01.jpg", made.disk(1)[1]).rename(labels / "p_01.png")
    (labels / "p_02.png").write_bytes(b"")
    dataset = folder(root)
    for quick in (False, True):
        told = "\n".join(map(str, verify_cases(dataset, dataset.cases(), quick=quick)))
        for part in ("p_00.png: it is an RGB", "p_01.png: it is a mask with JPEG", "p_02.png: the file is empty"):
            assert part in told
    (labels / "p_03.png").rename(labels / "p_3.png")
    assert f"{labels / 'p_3.png'}: it has no image" in refusal(dataset.cases)


def test_a_picture_in_two_formats_is_named(tmp_path):
    root = made.write_pictures(tmp_path, labeled=1, unlabeled=0)
    made.save(root / "labeled" / "images" / "p_00.jpg", made.disk(0)[0])
    assert "more than one file for red, green, blue: p_00.jpg, p_00.png" in refusal(folder(root).cases)


def test_values_that_no_png_can_store(tmp_path):
    dataset = folder(made.write_pictures(tmp_path, labeled=1, unlabeled=0), classes={"disk": 70_000})
    assert "dataset.classes: disk has the value 70000" in refusal(dataset.cases)


def test_other_datasets_do_not_read_pictures(tmp_path):
    case = volumes.write_brats_case(tmp_path / "brats", "A")
    (case / "A_seg.nii.gz").rename(case / "A_seg.png")
    told = refusal(Brats(Brats.Options(root=tmp_path / "brats")).cases)
    assert "by its name, it is the seg of case A, but pictures is not supported" in told
    made.save(tmp_path / "d" / "imagesTr" / "a.png", made.disk(0)[0][..., 0])
    made.save(tmp_path / "d" / "labelsTr" / "a.png", made.disk(0)[1])
    training = [{"image": "./imagesTr/a.png", "label": "./labelsTr/a.png"}]
    volumes.write_decathlon(tmp_path / "d", training=training)
    dataset = Decathlon(Decathlon.Options(root=tmp_path / "d"))
    told = "\n".join(map(str, verify_cases(dataset, [c for c in dataset.cases() if c.label])))
    assert "a.png: the file is not a volume\n    Convert it to .nii.gz, or use the dataset folder" in told
