"""Images and labels in one folder, told apart by their names, as 3D Slicer saves them."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from semiseg.errors import Problem
from semiseg.io.finding import Found, find
from semiseg.io.formats.series import with_series
from semiseg.io.names import image_stem, is_slicer
from semiseg.messages import some

_MARK = re.compile(r"([-_. ]|^)(labels?|label ?map|segm?|segmentation|mask)(_\d+)?$", re.IGNORECASE)
_NUMBER = re.compile(r"._\d{4}$")


def is_label(path: Path) -> bool:
    """Return whether a file is a label by its name: ``x-label.nrrd``, ``x_seg.nii.gz``, ``x.seg.nrrd`` and the like."""
    return is_slicer(path) or bool(_MARK.search(image_stem(path)))


def unnumbered(stem: str) -> str:
    """Return a name without the number of a modality, ``_0000``."""
    return stem[:-5] if _NUMBER.search(stem) else stem


def labels_by_case(paths: Iterable[Path], ids: Collection[str]) -> dict[str, list[Path]]:
    """Return the labels of each case.

    A label has its case's name, that name with a mark (``is_label``), or the name of one of its modalities, as
    ``CASE_0000``.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        stem = image_stem(path)
        names = (stem, _MARK.sub("", stem), unnumbered(stem))
        found[next((name for name in names if name in ids), stem)].append(path)
    return found


def without_labels(paths: Sequence[Path]) -> list[Path]:
    """Return the files without those that are, by their names, labels of others among them."""
    ids = {image_stem(path) or path.name for path in paths if not is_label(path)}
    ids |= {stem[:-5] for stem in ids if _NUMBER.search(stem)}
    return [path for path in paths if not is_label(path) or ids.isdisjoint(labels_by_case([path], ids))]


def find_pairs(folder: Path) -> tuple[Found, Found, "CaseFolders | None"]:
    """Return the images and the labels of a folder; if it has no image files itself, those of one folder per case."""
    plain = find(folder, image_stem)
    found = with_series(plain)
    if plain.files or not (plain.deeper or found.files):
        return *_divided(found), None
    deep = find(folder, image_stem, recursive=True)
    return *_divided(with_series(deep)), CaseFolders(folder)


def _divided(found: Found) -> tuple[Found, Found]:
    labels = tuple(path for path in found.files if is_label(path))
    images = tuple(path for path in found.files if not is_label(path))
    return replace(found, files=images), Found(found.folder, labels)


@dataclass(frozen=True, slots=True)
class CaseFolders:
    """The naming of image files in one folder per case, each with one image and at most one label."""

    root: Path

    def case_id(self, path: Path) -> str:
        """Return the case id of a file: the name of its folder below the root."""
        return path.relative_to(self.root).parts[0]

    def group(self, files: Sequence[Path], problems: list[Problem]) -> Mapping[str, tuple[Path, ...]]:
        """Return the image of each case; problems are appended to ``problems``."""
        found = self.labels(files)
        for case_id, paths in found.items():
            if len(paths) > 1:
                what = f"it has {len(paths)} images: {some([str(path.relative_to(self.root)) for path in paths], 4)}"
                fix = (
                    "Leave one image per folder. For several modalities, use the folders images and labels, with files"
                    " CASE_0000.nrrd, CASE_0001.nrrd, …"
                )
                problems.append(Problem(f"case {case_id}", what, fix))
        return {case_id: (paths[0],) for case_id, paths in found.items()}

    def labels(self, paths: Iterable[Path]) -> dict[str, list[Path]]:
        """Return the labels of each case."""
        found: dict[str, list[Path]] = defaultdict(list)
        for path in paths:
            found[self.case_id(path)].append(path)
        return found
