"""The forms in which hospitals have their data: partly labeled, from 3D Slicer, and in other formats than NIfTI."""

import json

import helpers_dicom as dicom
import helpers_slicer as slicer
import helpers_volumes as made
import numpy as np
import pytest

from semiseg.data.verify import verify_cases
from semiseg.datasets.brats import Brats
from semiseg.datasets.decathlon import Decathlon
from semiseg.datasets.folder import Folder
from semiseg.errors import DataError
from semiseg.init.recognize import recognize
from semiseg.registry import create

CLASSES = {"front": 1, "back": 2}
SEGMENTS = [("front", 1, 0), ("back", 2, 0)]


def folder(root, **options):
    return Folder(Folder.Options(root=root, **{"classes": CLASSES, **options}))


def recognized(root):
    options = recognize(root)
    return create("dataset", options.pop("name"), options)


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


def ids(cases, labeled):
    return [case.id for case in cases if (case.label is not None) == labeled]


def sound(dataset):
    return [str(problem) for quick in (False, True) for problem in verify_cases(dataset, dataset.cases(), quick=quick)]


class TestPartlyLabeled:
    def test_images_and_labels_of_some(self, tmp_path):
        for number in range(4):
            made.save(tmp_path / "images" / f"c{number}.nii.gz", made.image(number))
        made.save(tmp_path / "labels" / "c1.nii.gz", made.label())
        dataset = recognized(tmp_path)
        assert recognize(tmp_path) == {
            "name": "folder",
            "root": str(tmp_path),
            "images": "images",
            "labels": "labels",
            "classes": {"class_1": 1, "class_2": 2},
        }
        assert ids(dataset.cases(), True) == ["c1"]
        assert ids(dataset.cases(), False) == ["c0", "c2", "c3"]
        assert dataset.notes() == (f"{tmp_path}/images: 3 images have no label, counted as unlabeled: c0, c2, c3",)
        assert sound(dataset) == []

    def test_one_below_is_pointed_at(self, tmp_path):
        made.save(tmp_path / "mine" / "images" / "a.nii.gz", made.image())
        made.save(tmp_path / "mine" / "labels" / "a.nii.gz", made.label())
        assert f"semiseg init {tmp_path}/mine" in refusal(recognize, tmp_path)

    def test_some_of_the_labeled_images(self, tmp_path):
        root = made.write_folder(tmp_path)
        (root / "labeled" / "labels" / "a_1.nii.gz").unlink()
        dataset = folder(root)
        assert ids(dataset.cases(), False) == ["a_1", "b_1"]
        assert dataset.notes() == (f"{root}/labeled/images: 1 image has no label, counted as unlabeled: a_1",)

    def test_a_misnamed_label_is_an_error_that_names_the_images(self, tmp_path):
        root = made.write_folder(tmp_path)
        label = root / "labeled" / "labels" / "a_1.nii.gz"
        label.rename(label.with_name("A_1.nii.gz"))
        told = refusal(folder(root).cases)
        assert f"{label.with_name('A_1.nii.gz')}: it has no image" in told
        assert "Images without a label: a_1." in told

    def test_labels_in_subfolders_and_no_labels_at_all(self, tmp_path):
        root = made.write_folder(tmp_path)
        labels = root / "labeled" / "labels"
        (labels / "old").mkdir()
        (labels / "a_1.nii.gz").rename(labels / "old" / "a_1.nii.gz")
        told = refusal(folder(root).cases)
        assert "old/a_1.nii.gz: by its name, it is the label of case a_1, but it is in a subfolder" in told
        (labels / "old" / "a_1.nii.gz").unlink()
        (labels / "a_2.nii.gz").unlink()
        assert "there are no labels, only images" in refusal(folder(root).cases)


@pytest.mark.parametrize("ending", [".nrrd", ".nhdr", ".mha", ".mhd"])
class TestOtherFormats:
    def test_a_folder_is_read_as_its_nifti_copy(self, tmp_path, ending):
        nifti, other = made.write_folder(tmp_path / "nifti", modalities=2), tmp_path / "other"
        for path in nifti.rglob("*.nii.gz"):
            name = path.relative_to(nifti).as_posix().replace(".nii.gz", ending)
            seed = made.nibabel.load(path)
            slicer.save(other / name, np.asarray(seed.dataobj), seed.affine)
        one, two = (folder(root, modalities=("t1", "t2")) for root in (nifti, other))
        assert [case.id for case in one.cases()] == [case.id for case in two.cases()]
        assert recognize(other)["modalities"] == ["modality_0", "modality_1"]
        for a, b in zip(one.cases(), two.cases(), strict=True):
            np.testing.assert_array_equal(one.read_image(a).array, two.read_image(b).array)
            assert one.read_geometry(a).difference(two.read_geometry(b), tolerance=1e-4) == ""
            if a.label is not None:
                np.testing.assert_array_equal(one.read_label(a).array, two.read_label(b).array)
        assert sound(two) == []
        assert two.notes() == ()

    def test_damage_is_told_by_check_and_its_quick_form(self, tmp_path, ending):
        root = tmp_path / "d"
        for part in ("images", "labels"):
            slicer.save(root / "labeled" / part / f"a{ending}", made.label(), made.LPS)
        (root / "labeled" / "images" / f"a{ending}").write_bytes(b"")
        slicer.save(root / "labeled" / "labels" / f"a{ending}", made.label(shape=(9, 8, 6)), made.LPS)
        for quick in (False, True):
            dataset = folder(root)
            assert "the file is empty" in str(verify_cases(dataset, dataset.cases(), quick=quick)[0])

    def test_an_nnunet_dataset_by_its_dataset_json(self, tmp_path, ending):
        for number in range(2):
            slicer.save(tmp_path / "imagesTr" / f"c{number}_0000{ending}", made.image(number), made.LPS)
            slicer.save(tmp_path / "labelsTr" / f"c{number}{ending}", made.label(), made.LPS)
        manifest = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "front": 1, "back": 2}}
        (tmp_path / "dataset.json").write_text(json.dumps({**manifest, "file_ending": ending, "numTraining": 2}))
        dataset = recognized(tmp_path)
        assert (dataset.modalities, dataset.info().classes) == (("CT",), ("background", "front", "back"))
        assert ids(dataset.cases(), True) == ["c0", "c1"]
        assert sound(dataset) == []

    def test_decathlon_and_brats(self, tmp_path, ending):
        made.write_decathlon(tmp_path / "d")
        made.write_brats(tmp_path / "b")
        for path in [*tmp_path.rglob("*.nii.gz")]:
            seed = made.nibabel.load(path)
            new = path.with_name(path.name.replace(".nii.gz", ending))
            slicer.save(new, np.asarray(seed.dataobj), seed.affine)
            path.unlink()
        manifest = tmp_path / "d" / "dataset.json"
        manifest.write_text(manifest.read_text().replace(".nii.gz", ending))
        decathlon = Decathlon(Decathlon.Options(root=tmp_path / "d"))
        assert [case.id for case in decathlon.cases()] == ["part_0", "part_1", "part_2"]
        assert [case.id for case in decathlon.new_cases([tmp_path / "d" / "imagesTr"])] == ["part_0", "part_1"]
        brats = Brats(Brats.Options(root=tmp_path / "b"))
        assert [case.id for case in brats.cases()] == ["BraTS_00", "BraTS_01", "BraTS_02", "BraTS_09"]
        assert recognize(tmp_path / "b")["name"] == "brats"
        assert sound(decathlon) == sound(brats) == []


class TestPairs:
    def write(self, root, number, label, name="c{}"):
        case = name.format(number)
        slicer.save(root / f"{case}.nrrd", made.image(number), made.LPS)
        if label:
            slicer.save(root / f"{case}{label}", made.label(made.turned((0, 1, 2), number)), made.LPS)

    def test_labels_beside_their_images(self, tmp_path):
        for number, ending in enumerate(["-label.nrrd", "_seg.nii.gz", "-seg.mha", ".seg.nrrd", ""]):
            self.write(tmp_path, number, ending)
        dataset = recognized(tmp_path)
        assert dataset.options.images == dataset.options.labels == "."
        assert ids(dataset.cases(), True) == ["c0", "c1", "c2", "c3"]
        assert ids(dataset.cases(), False) == ["c4"]
        assert dataset.notes() == (f"{tmp_path}: 1 image has no label, counted as unlabeled: c4",)
        assert sound(dataset) == []
        assert [case.id for case in dataset.new_cases([tmp_path])] == ["c0", "c1", "c2", "c3", "c4"]

    def test_a_label_without_image_and_two_labels(self, tmp_path):
        self.write(tmp_path, 0, "-label.nrrd")
        self.write(tmp_path, 0, ".seg.nrrd")
        self.write(tmp_path, 1, "-label.nrrd")
        (tmp_path / "c1.nrrd").rename(tmp_path / "C1.nrrd")
        told = refusal(folder(tmp_path, images=".", labels=".", unlabeled="").cases)
        assert "case c0: more than one label: c0-label.nrrd, c0.seg.nrrd" in told
        assert f"{tmp_path / 'c1-label.nrrd'}: it has no image" in told
        assert "Images without a label: C1." in told

    def test_modalities_by_numbers(self, tmp_path):
        for number in range(2):
            for channel in range(2):
                slicer.save(tmp_path / f"c{number}_{channel:04d}.nrrd", made.image(number), made.LPS)
        slicer.save(tmp_path / "c0-label.nrrd", made.label(), made.LPS)
        dataset = recognized(tmp_path)
        assert dataset.modalities == ("modality_0", "modality_1")
        assert [(case.id, len(case.images)) for case in dataset.cases()] == [("c0", 2), ("c1", 2)]

    def test_one_folder_per_case(self, tmp_path):
        for number, name in enumerate(["Segmentation.seg.nrrd", "Segmentation_1.seg.nrrd", ""]):
            slicer.save(tmp_path / f"p{number}" / "2 CT.nrrd", made.image(number), made.LPS)
            if name:
                slicer.segmentation(tmp_path / f"p{number}" / name, made.label(), made.LPS, SEGMENTS)
        dataset = recognized(tmp_path)
        assert dataset.info().classes == ("background", "front", "back")
        assert ids(dataset.cases(), True) == ["p0", "p1"]
        assert ids(dataset.cases(), False) == ["p2"]
        assert sound(dataset) == []
        slicer.save(tmp_path / "p2" / "4 CT.nrrd", made.image(), made.LPS)
        assert "case p2: it has 2 images: p2/2 CT.nrrd, p2/4 CT.nrrd" in refusal(dataset.cases)
        assert "unknown layout" in refusal(recognize, tmp_path)

    def test_what_has_no_pairs_is_not_understood(self, tmp_path):
        self.write(tmp_path, 0, "")
        slicer.save(tmp_path / "other-label.nrrd", made.label(), made.LPS)
        assert "unknown layout; it contains c0.nrrd, other-label.nrrd" in refusal(recognize, tmp_path)

    def test_no_image_is_taken_for_a_label(self, tmp_path):
        self.write(tmp_path, 0, "", name="head mask")
        self.write(tmp_path, 1, "-label.nrrd")
        assert [case.id for case in folder(tmp_path).new_cases([tmp_path])] == ["c1", "head mask"]


class TestSegments:
    def write(self, root, values):
        """Cases whose segments have these values, and labels that are a part of the grid."""
        for number, segments in enumerate(values):
            slicer.save(root / "images" / f"c{number}.nrrd", made.image(number), made.LPS)
            label = np.zeros(made.SHAPE, np.uint8)
            for place, value in enumerate(segments.values()):
                label[2 + place, 3:5, 1:4] = value
            listed = [(name, value, 0) for name, value in segments.items()]
            slicer.segmentation(root / "labels" / f"c{number}.seg.nrrd", label[1:, 2:], made.LPS, listed, (1, 2, 0))
        return root

    def test_names_are_classes_whatever_their_values(self, tmp_path):
        root = self.write(tmp_path, [{"liver": 1, "big tumor": 2}, {"Big tumor": 1, "liver": 2}, {"liver": 1}])
        dataset = recognized(root)
        assert dataset.info().classes == ("background", "big tumor", "liver")
        for case, expected in zip(dataset.cases(), ((2, 1), (1, 2), (2, 0)), strict=True):
            label = dataset.read_label(case)
            assert (label.array[2, 3, 1], label.array[3, 3, 1]) == expected
            assert label.geometry.shape == made.SHAPE
            assert np.count_nonzero(label.array) == 6 * np.count_nonzero(expected)
        assert sound(dataset) == []

    def test_values_are_kept_if_they_agree(self, tmp_path):
        root = self.write(tmp_path, [{"liver": 5, "tumor": 3}, {"tumor": 3}])
        assert recognize(root)["classes"] == {"tumor": 3, "liver": 5}
        slicer.save(root / "images" / "c9.nrrd", made.image(9), made.LPS)
        slicer.save(root / "labels" / "c9-label.nrrd", made.label((0, 3, 7)), made.LPS)
        assert recognize(root)["classes"] == {"tumor": 3, "liver": 5, "class_7": 7}
        self.write(root, [{"liver": 1, "tumor": 2}])
        assert "the values of segments differ between files, and some labels have no names: c9-label.nrrd" in refusal(
            recognize, root
        )

    def test_the_segment_named_ignore_is_ignored(self, tmp_path):
        root = self.write(tmp_path, [{"liver": 1, "ignore": 2}])
        dataset = folder(root, images="images", labels="labels", classes={"liver": 1}, ignore=255)
        assert set(np.unique(dataset.read_label(dataset.cases()[0]).array)) == {0, 1, 255}


class TestDicom:
    def write(self, root, cases=2, modalities=1):
        label = made.label()
        for number in range(cases):
            for channel in range(modalities):
                name = f"p{number}_{channel:04d}" if modalities > 1 else f"p{number}"
                dicom.write_series(root / "images" / name, made.image(number + 5 * channel))
            if number == 0:
                slicer.save(root / "labels" / f"p{number}.nrrd", label, dicom.affine())
        return root

    @pytest.mark.parametrize("modalities", [1, 2])
    def test_one_folder_per_case_and_modality(self, tmp_path, modalities):
        dataset = recognized(self.write(tmp_path, modalities=modalities))
        first, second = dataset.cases()
        assert (first.id, second.id, second.label) == ("p0", "p1", None)
        image = dataset.read_image(first)
        np.testing.assert_array_equal(image.array, [made.image(5 * channel) for channel in range(modalities)])
        np.testing.assert_array_equal(dataset.read_label(first).array, made.label())
        assert sound(dataset) == []
        (new,) = dataset.new_cases(first.images)
        assert (new.id, new.images) == ("p0", first.images)
        assert [case.id for case in dataset.new_cases([tmp_path / "images"])] == ["p0", "p1"]

    def test_a_folder_of_slices_is_one_image_unless_other_volumes_are_in_it(self, tmp_path):
        dataset, one = folder(tmp_path), dicom.write_series(tmp_path / "p", made.image())
        assert [case.images for case in dataset.new_cases([one])] == [(one,)]
        other = slicer.save(one / "q.nrrd", made.image(), made.LPS)
        assert [case.images for case in dataset.new_cases([one])] == [(other,)]

    def test_a_segmentation_beside_the_slices(self, tmp_path):
        for number in range(2):
            dicom.write_series(tmp_path / f"p{number}" / "CT", made.image(number))
        slicer.segmentation(tmp_path / "p0" / "Segmentation.seg.nrrd", made.label(), dicom.affine(), SEGMENTS)
        dataset = recognized(tmp_path)
        assert ids(dataset.cases(), True) == ["p0"]
        assert ids(dataset.cases(), False) == ["p1"]
        assert sound(dataset) == []

    def test_a_missing_slice_is_told_with_its_case(self, tmp_path):
        root = self.write(tmp_path)
        image = made.image(1)
        for path in (root / "images" / "p1").iterdir():
            path.unlink()
        dicom.write_series(root / "images" / "p1", image, places=[0, 1, 2, 3, 5, 6, 7])
        told = sound(folder(root, images="images", labels="labels"))
        assert len(told) == 2
        assert all(f"{root}/images/p1: slices are missing: 1 between" in one for one in told)

    def test_a_model_of_brats_predicts_from_folders(self, tmp_path):
        folders = [dicom.write_series(tmp_path / f"p_{name}", made.image()) for name in ("t1", "t1ce", "t2", "flair")]
        brats = Brats(Brats.Options(root=tmp_path))
        (case,) = brats.new_cases(folders)
        assert case.id == "p"
        assert brats.read_image(case).array.shape == (4, *made.SHAPE)
