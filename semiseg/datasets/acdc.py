"""Hearts of the ACDC challenge, as downloaded or as the h5 files of the semi-supervised papers."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import PositiveFloat

from semiseg.datasets._h5 import h5_geometry, h5_image, h5_label, h5_shape, is_h5
from semiseg.datasets._nifti import (
    NiftiDataset,
    NiftiOptions,
    cases_to_predict,
    checked_cases,
    existing_root,
    merged_label_map,
    only_folder,
)
from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.finding import CONVERT, Found, find
from semiseg.io.names import nifti_stem
from semiseg.io.volumes import to_classes
from semiseg.messages import counted
from semiseg.types import Case, DatasetInfo, Geometry, Volume

CLASSES = ("background", "right ventricle", "myocardium", "left ventricle")
_AXES = "(Z, Y, X)"
_VOLUME = re.compile(r"(?P<patient>patient\d+)_frame\d+", re.IGNORECASE)
_LABEL = re.compile(rf"(?P<case>{_VOLUME.pattern})_gt", re.IGNORECASE)
_SLICE = re.compile(rf"{_VOLUME.pattern}_slice_?\d+", re.IGNORECASE)
_SERIES = re.compile(r"patient\d+_4d", re.IGNORECASE)
_EXPECTED = (
    "Expected patientNNN_frameMM.h5, or patientNNN/patientNNN_frameMM.nii.gz and patientNNN_frameMM_gt.nii.gz, at any"
    " depth."
)

_DIRECTIONS = (-1, -1, 1)
"""As in the challenge's files, of which the h5 files are copies: to the left, to the back and up."""


class ACDC(NiftiDataset):
    """Short-axis heart MR of the ACDC challenge, end diastole and end systole: challenge NIfTI, or the papers' h5.

    The files in the folder show which of two forms they have:

    - ``patientNNN_frameMM.h5`` with ``image`` and ``label`` (Z, Y, X), as in the semi-supervised papers (SSL4MIS). They
      store no spacing; distances are in voxels, as published, unless ``spacing_mm`` is given. Files of single slices
      (``patientNNN_frameMM_slice_K.h5``) are not read, since the volumes contain them.
    - ``patientNNN_frameMM.nii.gz`` with ``patientNNN_frameMM_gt.nii.gz``, the challenge's files. The series
      ``patientNNN_4d.nii.gz`` is not read. An image without label is an unlabeled case.

    A patient has two cases, which stay on one side of a split. Lists of cases are not read.

    Source: Bernard et al., IEEE TMI 37 (2018) 2514; Luo, SSL4MIS, https://github.com/HiLab-git/SSL4MIS (the h5 files).
    """

    class Options(NiftiOptions):
        """Options of the ACDC reader."""

        root: Path
        """Folder that contains the h5 or NIfTI files, at any depth."""
        spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
        """Voxel size of h5 files in mm, which they do not store; without it, distances are in voxels."""

    def info(self) -> DatasetInfo:
        """Return one MR channel; background, right ventricle, myocardium and left ventricle."""
        values = tuple(range(len(CLASSES)))
        label_map = merged_label_map(dict(zip(values, values, strict=True)), self.options.label_map, CLASSES)
        return DatasetInfo("acdc", ("mri",), CLASSES, label_map, values, ignore=self.options.ignore)

    def cases(self) -> tuple[Case, ...]:
        """Return all cases, ordered by id, such as patient001_frame01. Raises DataError with all problems."""
        root = existing_root(self.options.root)
        held = find(root, _is_read, recursive=True)
        forms = {is_h5(path) for path in held.files}
        if len(forms) > 1:
            what = "it contains both h5 and NIfTI files of ACDC, which are the same scans"
            raise DataError(Problem(str(root), what, "Set dataset.root to the folder of one of them."))
        raise_all(held.problems, DataError)
        if not held.files:
            raise DataError(Problem(str(root), "it contains no files with names of ACDC", _EXPECTED))
        if forms == {True}:
            return checked_cases(_case(path, path) for path in held.files)
        return _pairs(held.files)

    def notes(self) -> tuple[str, ...]:
        """Return remarks on files that were found but are not read."""
        root = self.options.root
        held = find(root, _is_read, recursive=True)
        others = tuple(path for path in held.other if not _SLICE.fullmatch(_stem(path)))
        return (*replace(held, other=others).notes(), *_left_out(root), *self._spacing_note(held))

    def _spacing_note(self, held: Found) -> Iterator[str]:
        if self.options.spacing_mm and not any(map(is_h5, held.files)):
            yield "dataset.spacing_mm is not used: NIfTI files store the voxel size"

    def new_cases(self, paths: Sequence[Path]) -> tuple[Case, ...]:
        """Return cases to predict: all images in a folder and its subfolders, or one file. Labels are ignored."""
        folder = only_folder(paths)
        if folder is None:
            if len(paths) > 1:
                raise DataError(f"{len(paths)} files for one modality (mri).", "Give one file, or a folder of cases.")
            if not _stem(paths[0]):
                what = "by its name, it is neither an h5 nor a NIfTI file"
                raise DataError(Problem(str(paths[0]), what, "Images must be .h5, .nii.gz or .nii."))
            return checked_cases([_case(paths[0])])
        held = find(folder, _is_image, recursive=True)
        raise_all(held.lost, DataError)
        if not held.files:
            fix = CONVERT if held.other else "Give the folder of the images."
            raise DataError(Problem(str(folder), "it contains no .h5, .nii.gz or .nii files of volumes", fix))
        return cases_to_predict([_case(path) for path in held.files])

    def read_image(self, case: Case) -> Volume:
        """Return the image (1, X, Y, Z) in its stored numeric type."""
        path = case.images[0]
        if not is_h5(path):
            return super().read_image(case)
        array = h5_image(path, _AXES).T
        return Volume(array[None], h5_geometry(array.shape, self.options.spacing_mm, _DIRECTIONS))

    def read_geometry(self, case: Case) -> Geometry:
        """Return the grid of the image, without reading voxels."""
        path = case.images[0]
        if not is_h5(path):
            return super().read_geometry(case)
        return h5_geometry(h5_shape(path, _AXES)[::-1], self.options.spacing_mm, _DIRECTIONS)

    def read_label(self, case: Case) -> Volume:
        """Return the label (X, Y, Z) as class indices or IGNORED, uint8."""
        if case.label is None or not is_h5(case.label):
            return super().read_label(case)
        array, info = h5_label(case.label, _AXES).T, self.info()
        geometry = h5_geometry(array.shape, self.options.spacing_mm, _DIRECTIONS)
        return Volume(to_classes(case.label, array, info.label_map, info.ignore), geometry)


def _stem(path: Path) -> str:
    """Return the name of an h5 or NIfTI file without its ending; empty for any other file."""
    return path.stem if is_h5(path) else nifti_stem(path)


def _is_read(path: Path) -> bool:
    stem = _stem(path)
    return bool(_VOLUME.fullmatch(stem) or (_LABEL.fullmatch(stem) and not is_h5(path)))


def _is_image(path: Path) -> bool:
    """Return whether this may be the image of a new case: not a label, a single slice or a series."""
    stem = _stem(path)
    return bool(stem) and not any(pattern.fullmatch(stem) for pattern in (_LABEL, _SLICE, _SERIES))


def _case(image: Path, label: Path | None = None) -> Case:
    stem = _stem(image)
    named = _VOLUME.fullmatch(stem)
    return Case(stem, (image,), label, named["patient"] if named else "")


def _pairs(files: Sequence[Path]) -> tuple[Case, ...]:
    """Return the cases of NIfTI images and labels, paired by name within a folder."""
    labels = {(path.parent, found["case"]): path for path in files if (found := _LABEL.fullmatch(_stem(path)))}
    images = [path for path in files if _VOLUME.fullmatch(_stem(path))]
    cases = [_case(path, labels.pop((path.parent, _stem(path)), None)) for path in images]
    fix = "A label is in the folder of its image, with the image's name and _gt."
    return checked_cases(cases, [Problem(str(path), "it has no image", fix) for path in labels.values()])


def _left_out(root: Path) -> Iterator[str]:
    """Yield a remark for each kind of file that is part of ACDC but not a volume."""
    stems = [_stem(path) for path in find(root, _stem, recursive=True).files]
    for pattern, what in (
        (_SLICE, "single slices, which the volumes contain"),
        (_SERIES, "whole series over time (4d), of which only the frames with labels are used"),
    ):
        count = sum(bool(pattern.fullmatch(stem)) for stem in stems)
        if count:
            yield f"{root}: {counted(count, 'file')} of {what}, {'is' if count == 1 else 'are'} left out"
