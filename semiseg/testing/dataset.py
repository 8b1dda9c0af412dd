"""Contract tests of datasets: subclass ``DatasetContract`` and provide a ``dataset`` fixture.

Example::

    class TestMyDataset(DatasetContract):
        name = "mine"  # its entry point

        @pytest.fixture
        def dataset(self, tmp_path: Path) -> Dataset:
            write_tiny_files(tmp_path)
            return MyDataset(MyDataset.Options(root=tmp_path))
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from semiseg.errors import DataError, ProtocolError
from semiseg.interfaces.dataset import Dataset
from semiseg.io.names import safe_name
from semiseg.registry import load
from semiseg.types import IGNORED, Case


class _Watch:
    """Recorder of the files opened by Python or HDF5. Audit hooks cannot be removed, so there is only one."""

    def __init__(self) -> None:
        self.opened: set[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.opened is not None and event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            self.opened.add(os.path.realpath(os.fsdecode(args[0])))

    @contextmanager
    def listening(self) -> Iterator[set[str]]:
        import h5py

        opened: set[str] = set()
        open_hdf5 = h5py.h5f.open

        def open_and_tell(name: str | bytes, *args: Any, **kwargs: Any) -> Any:
            opened.add(os.path.realpath(os.fsdecode(name)))
            return open_hdf5(name, *args, **kwargs)

        h5py.h5f.open = open_and_tell
        self.opened = opened
        try:
            yield opened
        finally:
            self.opened = None
            h5py.h5f.open = open_hdf5


_WATCH: list[_Watch] = []


@contextmanager
def watch_opens() -> Iterator[set[str]]:
    """Collect the real paths of all files that Python or h5py opens within the block."""
    if not _WATCH:
        _WATCH.append(_Watch())
    with _WATCH[0].listening() as opened:
        yield opened


class DatasetContract:
    """Contract of every dataset. The fixture ``dataset`` returns the one under test, with at least one labeled case."""

    name: ClassVar[str] = ""
    """Its entry point, if registered."""
    sample: ClassVar[int] = 3
    """Number of cases to read."""

    def test_cases_are_found_without_opening_their_files(self, dataset: Dataset) -> None:
        """A dataset of thousands of cases is listed in an instant."""
        dataset.cases()  # the first call may open files that it creates
        with watch_opens() as opened:
            cases = dataset.cases()
        files = {os.path.realpath(path) for case in cases for path in _files(case)}
        assert cases
        assert not files & opened

    def test_ids_are_unique_file_names_in_a_fixed_order(self, dataset: Dataset) -> None:
        """An id names a case in splits, predictions and scores."""
        ids = [case.id for case in dataset.cases()]
        assert ids == [case.id for case in dataset.cases()]
        assert len(set(ids)) == len(ids)
        assert [safe_name(case_id) for case_id in ids] == ids
        assert all(case.patient for case in dataset.cases())

    def test_info_is_consistent(self, dataset: Dataset) -> None:
        """Classes, stored values and written values are consistent: a written class is read back as the same class."""
        info = dataset.info()
        assert info.modalities
        assert len(info.classes) == len(info.class_values) == len(set(info.class_values)) >= 2
        assert len(set(info.classes)) == len(info.classes)
        assert set(info.label_map.values()) == set(range(len(info.classes)))
        assert [info.label_map[value] for value in info.class_values] == list(range(len(info.classes)))
        assert info.ignore not in info.class_values

    def test_regions_are_unions_of_foreground_classes(self, dataset: Dataset) -> None:
        """Each region consists of existing foreground classes, and its name is not that of a class."""
        info = dataset.info()
        for region, members in info.regions.items():
            assert members, f"region {region!r} contains no class"
            assert not set(members) - set(info.classes[1:]), (
                f"region {region!r} has members that are not foreground classes"
            )
            assert region not in info.classes, f"region {region!r} has the name of a class"

    def test_folds_hold_labeled_cases_once(self, dataset: Dataset) -> None:
        """A case is validated in at most one fold, and has a label."""
        folds = dataset.folds()
        ids = [case_id for fold in folds or () for case_id in fold]
        assert len(set(ids)) == len(ids)
        assert not set(ids) - {case.id for case in dataset.cases() if case.label is not None}
        assert folds is None or all(folds)

    def test_images_have_one_channel_per_modality(self, dataset: Dataset) -> None:
        """Images are (C, X, Y, Z), finite, on the grid given by the headers."""
        for case in dataset.cases()[: self.sample]:
            image = dataset.read_image(case)
            assert image.array.ndim == 4
            assert image.array.shape == (len(dataset.info().modalities), *image.geometry.shape)
            assert image.array.dtype.kind in "iuf"
            assert np.isfinite(image.array).all()
            geometry = dataset.read_geometry(case)
            assert not geometry.difference(image.geometry, tolerance=0)
            assert geometry.unit == image.geometry.unit

    def test_labels_are_class_indices_on_the_image_grid(self, dataset: Dataset) -> None:
        """Labels are (X, Y, Z) uint8, with no index beyond the classes but IGNORED, if a value is ignored."""
        labeled = self._labeled(dataset)
        assert labeled
        for case in labeled:
            label = dataset.read_label(case)
            assert label.array.dtype == np.uint8
            assert label.array.shape == label.geometry.shape
            known = label.array[label.array != IGNORED] if dataset.info().has_ignored else label.array
            assert known.max(initial=0) < len(dataset.info().classes)
            assert not dataset.read_geometry(case).difference(label.geometry)

    def test_each_case_has_its_own_label(self, dataset: Dataset) -> None:
        """Labels of several patients are not all the same; generated test files should differ, too.

        Two may be the same: for a patient scanned twice, or without foreground.
        """
        arrays = {case.patient: dataset.read_label(case).array for case in self._labeled(dataset)}
        filled = [array for array in arrays.values() if array.any()]
        same = [np.array_equal(filled[0], other) for other in filled[1:]]
        assert not same or not all(same), "the labels of all patients are identical"

    def test_a_case_is_read_from_its_own_files(self, dataset: Dataset) -> None:
        """Images come from image files only, with or without the label; labels come from no other case's files.

        Cached results are stored and found by the content of the case's own files.
        """
        files = {os.path.realpath(path) for case in dataset.cases() for path in _files(case)}
        for case in self._labeled(dataset):
            withheld = case.without_label()
            with watch_opens() as opened:
                image, geometry = dataset.read_image(withheld), dataset.read_geometry(withheld)
            foreign = opened & files - {os.path.realpath(path) for path in case.images}
            assert not foreign, f"the image of {case.id} is read from a label or another case: {sorted(foreign)}"
            known = dataset.read_image(case)
            np.testing.assert_array_equal(image.array, known.array, "the image depends on whether there is a label")
            assert not geometry.difference(dataset.read_geometry(case), tolerance=0)
            with watch_opens() as opened:
                dataset.read_label(case)
            foreign = opened & files - {os.path.realpath(path) for path in _files(case)}
            assert not foreign, f"the label of {case.id} is read from another case: {sorted(foreign)}"

    def test_a_case_without_label_gives_none(self, dataset: Dataset) -> None:
        """A label withheld by the protocol cannot be read."""
        with pytest.raises(ProtocolError):
            dataset.read_label(dataset.cases()[0].without_label())

    def test_reading_does_not_change_the_dataset(self, dataset: Dataset) -> None:
        """The same case gives the same data in every thread."""
        case = dataset.cases()[0]
        with ThreadPoolExecutor(4) as pool:
            volumes = list(pool.map(dataset.read_image, [case] * 4))
        for volume in volumes[1:]:
            np.testing.assert_array_equal(volume.array, volumes[0].array)

    def test_new_cases_have_no_label(self, dataset: Dataset) -> None:
        """New cases are found by files and by folder, and are read like others."""
        case = dataset.cases()[0]
        (by_files,) = dataset.new_cases(case.images)
        by_folder = dataset.new_cases([case.images[0].parent])
        assert by_files.images == case.images
        assert by_folder
        assert all(new.label is None for new in (by_files, *by_folder))
        np.testing.assert_array_equal(dataset.read_image(by_files).array, dataset.read_image(case).array)

    def test_a_wrong_number_of_files_is_refused(self, dataset: Dataset) -> None:
        """One modality too many is an error, and so is a path that does not exist."""
        case = dataset.cases()[0]
        with pytest.raises(DataError):
            dataset.new_cases(case.images * (len(dataset.info().modalities) + 1))
        with pytest.raises(DataError):
            dataset.new_cases([case.images[0].parent / "no-such-file.nii.gz"])

    def test_unknown_options_are_rejected(self, dataset: Dataset) -> None:
        """A misspelled key in a recipe is an error."""
        with pytest.raises(ValidationError, match="no_such_option"):
            dataset.Options.model_validate({"no_such_option": 1})

    def test_the_entry_point_loads(self, dataset: Dataset) -> None:
        """The name in a recipe refers to this class."""
        if not self.name:
            pytest.skip("no entry point")
        assert load("dataset", self.name) is type(dataset)

    def _labeled(self, dataset: Dataset) -> list[Case]:
        return [case for case in dataset.cases() if case.label is not None][: self.sample]


def _files(case: Case) -> tuple[Path, ...]:
    return (*case.images, *([case.label] if case.label else []))
