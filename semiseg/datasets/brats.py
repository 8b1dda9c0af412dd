"""Glioma cases of the BraTS challenges, as downloaded."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from semiseg.datasets._brats_files import EXPECTED, SEG, Scan, find_scans, parse_name
from semiseg.datasets._nifti import (
    NiftiDataset,
    NiftiOptions,
    cases_to_predict,
    checked_cases,
    existing_root,
    merged_label_map,
    no_modality_twice,
    one_case,
    only_folder,
)
from semiseg.errors import Problem
from semiseg.io.finding import find
from semiseg.io.names import volume_stem
from semiseg.types import Case, DatasetInfo

Modality = Literal["t1", "t1ce", "t2", "flair"]
CLASSES = ("background", "necrosis", "edema", "enhancing")
REGIONS = {
    "whole tumor": ("necrosis", "edema", "enhancing"),
    "tumor core": ("necrosis", "enhancing"),
    "enhancing tumor": ("enhancing",),
}
_ENHANCING = CLASSES.index("enhancing")


class Brats(NiftiDataset):
    """BraTS glioma cases of 2018 and later: T1, contrast-enhanced T1, T2 and FLAIR, in folders or flat.

    Both naming schemes are supported: ``CASE_{t1,t1ce,t2,flair,seg}.nii.gz`` (2018 to 2022) and
    ``CASE-{t1n,t1c,t2w,t2f,seg}.nii.gz`` (2023 and later, with a patient's time point as last group of digits). A case
    without ``seg`` is unlabeled. Label values: 1 necrosis, 2 edema, 4 (until 2022) or 3 (since 2023) enhancing tumor.

    Source: Menze et al., IEEE TMI 34 (2015) 1993; Baid et al., arXiv:2107.02314.
    """

    class Options(NiftiOptions):
        """Options of the BraTS reader."""

        root: Path
        """Folder of the cases; they may be in subfolders, such as HGG/CASE."""
        modalities: tuple[Modality, ...] = Field(default=("t1", "t1ce", "t2", "flair"), min_length=1)
        """Modalities to use, in this order, by these names for either naming scheme."""
        enhancing_value: Literal[3, 4] | None = None
        """Value written for enhancing tumor; by default 4, or 3 if all cases have 2023 and later names."""

        _no_duplicates = field_validator("modalities")(no_modality_twice)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the image's channels, in order."""
        return tuple(self.options.modalities)

    @cached_property
    def _all_modern(self) -> bool:
        return all(scan.modern for scan in find_scans(existing_root(self.options.root)))

    def info(self) -> DatasetInfo:
        """Return modalities, classes and label values.

        If all cases have 2023 and later names, a stored 4 is not enhancing tumor: in 2024 it is the resection cavity.
        Names are read, so the folder must exist unless ``enhancing_value`` is 4.
        """
        written = self.options.enhancing_value or (3 if self._all_modern else 4)
        label_map = {0: 0, 1: 1, 2: 2, 3: _ENHANCING}
        if written == 4 or not self._all_modern:
            label_map[4] = _ENHANCING
        label_map = merged_label_map(label_map, self.options.label_map, CLASSES)
        values, ignore = (0, 1, 2, written), self.options.ignore
        return DatasetInfo("brats", self.modalities, CLASSES, label_map, values, REGIONS, ignore)

    def cases(self) -> tuple[Case, ...]:
        """Return all cases, ordered by id. Raises DataError with every missing modality and duplicate file."""
        return self._cases(find_scans(existing_root(self.options.root)))

    def notes(self) -> tuple[str, ...]:
        """Return remarks on files that were found but are not read."""
        return tuple(find(self.options.root, volume_stem, recursive=True).notes())

    def new_cases(self, paths: Sequence[Path]) -> tuple[Case, ...]:
        """Return cases to predict: a folder with the files of one or more cases, or one case's files in modality order.

        Labels in the folder are ignored.
        """
        folder = only_folder(paths)
        if folder is None:
            return (one_case(paths, self.modalities, parse_name),)
        return self._cases(find_scans(folder, to_predict=True), labels=False)

    def _cases(self, scans: Sequence[Scan], labels: bool = True) -> tuple[Case, ...]:
        problems, cases = [], []
        for scan in scans:
            found = list(self._problems(scan, labels))
            problems += found
            if not found:
                images = tuple(scan.files[name][0] for name in self.modalities)
                label = scan.files[SEG][0] if labels and SEG in scan.files else None
                cases.append(Case(scan.case_id, images, label, scan.patient))
        return checked_cases(cases, problems) if labels else cases_to_predict(cases, problems)

    def _problems(self, scan: Scan, labels: bool) -> Iterator[Problem]:
        where = f"case {scan.case_id}"
        names = (*self.modalities, SEG) if labels else self.modalities
        twice = {name: scan.files[name] for name in names if len(scan.files.get(name, ())) > 1}
        if twice:
            files = "; ".join(f"for {name}: {', '.join(map(str, paths))}" for name, paths in twice.items())
            yield Problem(where, f"more than one file {files}", "Keep the right one and move the others away.")
        missing = [name for name in self.modalities if name not in scan.files]
        if missing:
            some = sorted(map(str, scan.folders))[0]
            or_else = "Or set dataset.modalities to those that all cases have." if labels else "Or move the case away."
            yield Problem(where, f"{', '.join(missing)} missing in {some}", f"Expected {EXPECTED}. {or_else}")
