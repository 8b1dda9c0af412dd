"""A dataset with labels that were drawn later, in the folders of ``dataset.adopted``: for datasets of every kind."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from semiseg.errors import DataError, Problem, ProtocolError, SomeCasesError, raise_all
from semiseg.interfaces.dataset import Dataset
from semiseg.io.case_labels import read_case_label
from semiseg.io.finding import find
from semiseg.io.names import image_stem
from semiseg.messages import counted, some
from semiseg.types import Case, DatasetInfo, Geometry, Volume

IMAGES = "images"
"""Subfolder with the images of cases that the dataset does not have."""
_FIX = "Restore it: `semiseg adopt` wrote it. Its labels are part of the training data."


class AdoptedLabels(Dataset):
    """A dataset together with labels in folders: ``CASE.nii.gz``, ``CASE.seg.nrrd`` and the other formats of labels.

    A label's file name says its case: one of the dataset, or one whose image is in the folder's subfolder ``images``,
    which the dataset reads as it reads new images. A label here takes the place of the dataset's own.
    """

    def __init__(self, inner: Dataset, folders: Sequence[Path]) -> None:
        super().__init__(inner.options)
        self.inner, self.folders = inner, tuple(folders)

    def info(self) -> DatasetInfo:
        """Return the dataset's."""
        return self.inner.info()

    def cases(self) -> Sequence[Case]:
        """Return all cases, ordered by id. Raises DataError for labels without a case, and for two of one case."""
        known = {case.id: case for case in self.inner.cases()}
        problems: list[Problem] = []
        labels: dict[str, Path] = {}
        for folder in self.folders:
            found = self._labels(folder, problems)
            known |= {case.id: case for case in self._new(folder, found.keys() - known.keys(), problems)}
            for case_id, path in found.items():
                if case_id in labels:
                    what = f"it has two labels: {labels[case_id]} and {path}"
                    problems.append(Problem(f"case {case_id}", what, "Remove one of them."))
                elif case_id in known:
                    labels[case_id] = path
        raise_all(problems, DataError)
        cases = (replace(case, label=labels.get(case.id, case.label)) for case in known.values())
        return tuple(sorted(cases, key=lambda case: case.id))

    def _labels(self, folder: Path, problems: list[Problem]) -> Mapping[str, Path]:
        if not folder.is_dir():
            problems.append(Problem(str(folder), "this folder of dataset.adopted does not exist", _FIX))
            return {}
        held = find(folder, image_stem)
        problems += held.problems
        return by_case(held.files, problems)

    def _new(self, folder: Path, wanted: Iterable[str], problems: list[Problem]) -> Iterator[Case]:
        """Yield the cases that the dataset does not have, with their images in the folder."""
        missing = set(wanted)
        if missing and (folder / IMAGES).is_dir():
            cases: Sequence[Case] = ()
            try:
                cases = self.inner.new_cases([folder / IMAGES])
            except DataError as error:
                cases = error.cases if isinstance(error, SomeCasesError) else ()
                problems += error.problems
            for case in cases:
                if case.id in missing:
                    missing.discard(case.id)
                    yield case
        for case_id in sorted(missing):
            what = f"a label of {case_id}, which is no case of the dataset and has no image in {folder / IMAGES}"
            problems.append(Problem(str(folder), what, "Restore the image, or remove the label."))

    def notes(self) -> Sequence[str]:
        """Return the dataset's remarks, and one on labels that take the place of its own."""
        own = {case.id: case.label for case in self.inner.cases()}
        adopted = [case.id for case in self.cases() if self._is_adopted(case)]
        notes = [*self.inner.notes()]
        if adopted:
            count = counted(len(adopted), "adopted label")
            notes.append(f"{count} from {counted(len(self.folders), 'folder')}: {some(adopted, 5)}")
        if twice := [name for name in adopted if own.get(name) is not None]:
            are = "1 adopted label takes" if len(twice) == 1 else f"{len(twice)} adopted labels take"
            notes.append(f"{are} the place of the dataset's own: {some(twice, 5)}")
        return notes

    def folds(self) -> tuple[tuple[str, ...], ...] | None:
        """Return the dataset's."""
        return self.inner.folds()

    def new_cases(self, paths: Sequence[Path]) -> Sequence[Case]:
        """Return the same as the dataset."""
        return self.inner.new_cases(paths)

    def read_image(self, case: Case) -> Volume:
        """Read as the dataset."""
        return self.inner.read_image(case)

    def read_geometry(self, case: Case) -> Geometry:
        """Read as the dataset."""
        return self.inner.read_geometry(case)

    def read_label(self, case: Case) -> Volume:
        """Read a label in one of the folders, or as the dataset."""
        if case.label is None:
            raise ProtocolError(f"Case {case.id} has no label here.", "Its label must not be read.")
        if not self._is_adopted(case):
            return self.inner.read_label(case)
        image = case.images[0] if case.images else None
        return read_case_label(case.id, case.label, image, partial(self.read_geometry, case), self.info())

    def _is_adopted(self, case: Case) -> bool:
        return case.label is not None and case.label.parent in self.folders


def by_case(paths: Iterable[Path], problems: list[Problem]) -> Mapping[str, Path]:
    """Return label files by case; several of one case are added to ``problems``."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(image_stem(path), []).append(path)
    for case_id, files in found.items():
        if len(files) > 1:
            what = f"it has more than one label: {', '.join(path.name for path in files)}"
            problems.append(Problem(f"case {case_id}", what, "Keep the right one."))
    return {case_id: files[0] for case_id, files in found.items()}
