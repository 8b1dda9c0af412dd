"""Every built-in dataset keeps the contract, on tiny files, and on real ones where they are."""

import os
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import h5py
import helpers_nnunet as nnunet
import helpers_pictures as pictures
import helpers_volumes as made
import numpy as np
import pytest

from semiseg.datasets.acdc import ACDC
from semiseg.datasets.brats import Brats
from semiseg.datasets.decathlon import Decathlon
from semiseg.datasets.folder import Folder
from semiseg.datasets.la2018 import LA2018
from semiseg.datasets.nnunet import NnUNet
from semiseg.datasets.phantom import Phantom
from semiseg.interfaces.component import ComponentOptions
from semiseg.io.nifti import read_nifti
from semiseg.registry import installed
from semiseg.testing.dataset import DatasetContract, watch_opens
from semiseg.types import IGNORED, Volume


def test_the_built_in_datasets_are_installed():
    assert {"acdc", "brats", "decathlon", "folder", "la2018", "nnunet", "phantom"} <= {
        entry.name for entry in installed("dataset")
    }


class TestBrats(DatasetContract):
    name = "brats"

    @pytest.fixture
    def dataset(self, tmp_path):
        return Brats(Brats.Options(root=made.write_brats(tmp_path)))


class TestBrats2023(DatasetContract):
    name = "brats"

    @pytest.fixture
    def dataset(self, tmp_path):
        return Brats(Brats.Options(root=made.write_brats_2023(tmp_path), modalities=("flair", "t1ce")))


class TestDecathlon(DatasetContract):
    name = "decathlon"

    @pytest.fixture
    def dataset(self, tmp_path):
        return Decathlon(Decathlon.Options(root=made.write_decathlon(tmp_path)))


class TestDecathlonOfTwoModalities(DatasetContract):
    name = "decathlon"

    @pytest.fixture
    def dataset(self, tmp_path):
        return Decathlon(Decathlon.Options(root=made.write_decathlon(tmp_path, channels=2)))


class TestFolder(DatasetContract):
    name = "folder"

    @pytest.fixture
    def dataset(self, tmp_path):
        return Folder(Folder.Options(root=made.write_folder(tmp_path), classes={"front": 1, "back": 2}))


class TestFolderWithAnIgnoredValue(DatasetContract):
    name = "folder"

    @pytest.fixture
    def dataset(self, tmp_path):
        return Folder(Folder.Options(root=made.write_folder(tmp_path), classes={"front": 1}, ignore=2))


class TestFolderOfTwoModalities(DatasetContract):
    name = "folder"

    @pytest.fixture
    def dataset(self, tmp_path):
        root = made.write_folder(tmp_path, modalities=2)
        return Folder(Folder.Options(root=root, classes={"front": 1, "back": 2}, modalities=("t1", "t2")))


class TestFolderOfPictures(DatasetContract):
    name = "folder"

    @pytest.fixture
    def dataset(self, tmp_path):
        root = pictures.write_pictures(tmp_path, labeled=3, unlabeled=1)
        return Folder(Folder.Options(root=root, classes={"disk": 255}, modalities=("red", "green", "blue")))


class TestFolderOfGrayPictures(DatasetContract):
    name = "folder"

    @pytest.fixture
    def dataset(self, tmp_path):
        root = pictures.write_pictures(tmp_path, labeled=3, unlabeled=1, gray=True, ending=".jpg")
        return Folder(Folder.Options(root=root, classes={"disk": 255}))


class TestNnUNet(DatasetContract):
    name = "nnunet"

    @pytest.fixture
    def dataset(self, tmp_path):
        root = nnunet.write_nnunet(tmp_path, channels=("CT", "PET"), test=1, unlabeled=1)
        nnunet.write_folds(root, ["x_0"], ["x_1", "x_2"])
        return NnUNet(NnUNet.Options(root=root, test_images="unlabeled"))


class TestNnUNetWithRegionsAndAnIgnoredValue(DatasetContract):
    name = "nnunet"

    @pytest.fixture
    def dataset(self, tmp_path):
        labels = {**nnunet.BRATS_LABELS, "ignore": 4}
        return NnUNet(NnUNet.Options(root=nnunet.write_regions(tmp_path, values=(0, 1, 2, 3, 4), labels=labels)))


class TestLA2018(DatasetContract):
    name = "la2018"

    @pytest.fixture
    def dataset(self, tmp_path):
        return LA2018(LA2018.Options(root=made.write_la2018(tmp_path)))


class TestLA2018WithAnIgnoredValue(DatasetContract):
    name = "la2018"

    @pytest.fixture
    def dataset(self, tmp_path):
        root = made.write_la2018(tmp_path)
        for path in root.rglob("*.h5"):
            with h5py.File(path, "r+") as file:
                label = file["label"][()].astype(np.int8)
                del file["label"]
                label[0] = -1
                file["label"] = label
        return LA2018(LA2018.Options(root=root, ignore=-1))

    def test_ignored_voxels_are_marked(self, dataset):
        label = dataset.read_label(dataset.cases()[0]).array
        assert (label[0] == IGNORED).all()
        assert (label[1:] != IGNORED).all()


class TestACDC(DatasetContract):
    name = "acdc"

    @pytest.fixture(params=[made.write_acdc, made.write_acdc_nifti])
    def dataset(self, request, tmp_path):
        return ACDC(ACDC.Options(root=request.param(tmp_path)))


class TestPhantom(DatasetContract):
    name = "phantom"

    @pytest.fixture(scope="class")
    @classmethod
    def dataset(cls, tmp_path_factory):
        return Phantom(Phantom.Options(root=tmp_path_factory.mktemp("phantom"), cases=3, size=(32, 32, 32)))


def real(name):
    folder = os.environ.get("SEMISEG_REAL_DATA")
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"SEMISEG_REAL_DATA holds no {name}")
    return Path(folder) / name


@pytest.mark.real_data
class TestRealBrats2018(DatasetContract):
    name = "brats"
    sample = 1

    @pytest.fixture
    def dataset(self):
        return Brats(Brats.Options(root=real("brats2018")))


@pytest.mark.real_data
class TestRealBrats2021(DatasetContract):
    name = "brats"
    sample = 1

    @pytest.fixture
    def dataset(self):
        return Brats(Brats.Options(root=real("brats2021"), modalities=("flair", "t1ce")))


@pytest.mark.real_data
class TestRealHippocampus(DatasetContract):
    name = "decathlon"
    sample = 200

    @pytest.fixture
    def dataset(self):
        return Decathlon(Decathlon.Options(root=real("hippocampus")))


@pytest.mark.real_data
class TestRealLA2018(DatasetContract):
    name = "la2018"

    @pytest.fixture
    def dataset(self):
        return LA2018(LA2018.Options(root=real("la2018")))


@pytest.mark.real_data
class TestRealACDC(DatasetContract):
    name = "acdc"

    @pytest.fixture
    def dataset(self):
        return ACDC(ACDC.Options(root=real("acdc")))


class ReadsWhileListing(Brats):
    """A fault that the contract has to catch."""

    def cases(self):
        found = super().cases()
        read_nifti(found[0].images[0])
        return found


def test_the_contract_catches_a_dataset_that_reads_while_listing(tmp_path):
    dataset = ReadsWhileListing(Brats.Options(root=made.write_brats(tmp_path)))
    with pytest.raises(AssertionError):
        DatasetContract().test_cases_are_found_without_opening_their_files(dataset)


class OpensWhileListing(LA2018):
    """Likewise, through HDF5's own input and output."""

    def cases(self):
        found = super().cases()
        self.read_geometry(found[0])
        return found


def test_the_contract_catches_hdf5_too(tmp_path):
    dataset = OpensWhileListing(LA2018.Options(root=made.write_la2018(tmp_path)))
    with pytest.raises(AssertionError):
        DatasetContract().test_cases_are_found_without_opening_their_files(dataset)


class Leaks(Folder):
    """A label is added to the image: found by the case's id, though it be withheld."""

    def read_image(self, case):
        image = super().read_image(case)
        path = self.options.root / "labeled" / "labels" / f"{case.id}.nii.gz"
        return Volume(image.array + read_nifti(path)[0], image.geometry) if path.exists() else image


class LeaksWhatIsGiven(LA2018):
    """A label is added to the image where the case carries one."""

    def read_image(self, case):
        image = super().read_image(case)
        return Volume(image.array + self.read_label(case).array, image.geometry) if case.label else image


class FirstLabel(Folder):
    """Every case has the first one's label."""

    def read_label(self, case):
        return super().read_label(case if case.label is None else self.cases()[0])


class OneLabel(FirstLabel):
    """Likewise, without opening the file again."""

    def read_label(self, case):
        self.kept = getattr(self, "kept", None) or super().read_label(case)
        return self.kept


class Mapped(Folder):
    """Regions that are none."""

    regions: ClassVar = {}

    def info(self):
        return replace(super().info(), regions=self.regions)


def folder(cls, root):
    return cls(cls.Options(root=made.write_folder(root), classes={"front": 1, "back": 2}))


@pytest.mark.parametrize(
    ("cls", "caught_by", "reason"),
    [
        (Leaks, "test_a_case_is_read_from_its_own_files", r"the image of a_1 .*labels/a_1\.nii\.gz"),
        (FirstLabel, "test_a_case_is_read_from_its_own_files", r"the label of a_2 .*labels/a_1\.nii\.gz"),
        (FirstLabel, "test_each_case_has_its_own_label", "the labels of all patients are identical"),
        (OneLabel, "test_each_case_has_its_own_label", "the labels of all patients are identical"),
    ],
)
def test_the_contract_catches_what_is_read_from_elsewhere(cls, caught_by, reason, tmp_path):
    with pytest.raises(AssertionError, match=reason):
        getattr(DatasetContract(), caught_by)(folder(cls, tmp_path))


def test_the_contract_catches_an_image_that_depends_on_the_label_in_the_same_file(tmp_path):
    dataset = LeaksWhatIsGiven(LA2018.Options(root=made.write_la2018(tmp_path)))
    with pytest.raises(AssertionError, match="depends on whether there is a label"):
        DatasetContract().test_a_case_is_read_from_its_own_files(dataset)


@pytest.mark.parametrize(
    "regions", [{"x": ("nowhere",)}, {"x": ("background", "front")}, {"x": ()}, {"front": ("front", "back")}]
)
def test_the_contract_catches_wrong_regions(regions, tmp_path):
    dataset = folder(Mapped, tmp_path)
    dataset.regions = {"both": ("front", "back")}
    DatasetContract().test_regions_are_unions_of_foreground_classes(dataset)
    dataset.regions = regions
    with pytest.raises(AssertionError, match="region '"):
        DatasetContract().test_regions_are_unions_of_foreground_classes(dataset)


def test_the_same_label_twice_may_be(tmp_path):
    """Of a patient who was scanned twice, and where there is nothing to see."""
    dataset, contract = folder(Folder, tmp_path), DatasetContract()
    first, second, _ = dataset.cases()
    second.label.write_bytes(first.label.read_bytes())
    with pytest.raises(AssertionError, match="labels of all patients"):
        contract.test_each_case_has_its_own_label(dataset)
    twice = folder(SamePatient, tmp_path)
    second.label.write_bytes(first.label.read_bytes())
    contract.test_each_case_has_its_own_label(twice)
    for case in (first, second):
        made.save(case.label, np.zeros(made.SHAPE, np.uint8))
    contract.test_each_case_has_its_own_label(dataset)


class SamePatient(Folder):
    """All cases are of one patient."""

    def cases(self):
        return tuple(replace(case, patient="p") for case in super().cases())


def test_opens_are_heard_within_the_block_only(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    with watch_opens() as opened:
        path.read_text()
    (tmp_path / "other").write_text("y")
    assert opened == {os.path.realpath(path)}


@pytest.mark.parametrize("cls", [Brats, Decathlon, Folder, LA2018, Phantom])
def test_every_option_is_described(cls):
    assert issubclass(cls.Options, ComponentOptions)
    assert all(field.description for field in cls.Options.model_fields.values())
