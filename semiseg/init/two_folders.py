"""Folders of images and of their labels, by usual names."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.finding import find, is_folder
from semiseg.io.names import image_stem

_IMAGES = {"image", "images", "img", "imgs", "scan", "scans", "volume", "volumes"}
_LABELS = {"annotation", "annotations", "gt", "label", "labels", "mask", "masks", "seg", "segmentation"}
_LABELS |= {"segmentations", "segs"}
_MORE = {"unlabeled", "unlabelled", "images_unlabeled", "unlabeled_images", "unannotated"}
_USUAL = ("images", "labels", "unlabeled")


@dataclass(frozen=True, slots=True)
class TwoFolders:
    """The folders of a dataset's images, of their labels, and of further images without labels, if there is one."""

    images: str
    labels: str
    unlabeled: str = ""

    def options(self) -> dict[str, str]:
        """Return options of the dataset ``folder``."""
        more = {"unlabeled": self.unlabeled} if self.unlabeled else {}
        return {"images": self.images, "labels": self.labels, **more}


def two_folders(folder: Path) -> TwoFolders | None:
    """Return the folders of images and labels, such as ``images`` and ``labels`` or ``Scans`` and ``masks``.

    Of several, ``images`` and ``labels`` are taken. None if that does not leave one of each.
    """
    images, labels, more = (_chosen(found, usual) for found, usual in zip(_candidates(folder), _USUAL, strict=True))
    return TwoFolders(images, labels, more) if images and labels else None


def ambiguous(folder: Path) -> str:
    """Return what keeps ``two_folders`` from choosing; empty if there are no folders to choose from."""
    images, labels, _ = _candidates(folder)
    if not images or not labels:
        return ""
    several = [", ".join(found) for found in (images, labels) if len(found) > 1]
    return f"several folders may be meant: {'; '.join(several)}" if several else ""


def named_folders(folder: Path, images: str, labels: str, unlabeled: str) -> TwoFolders:
    """Return the folders with these names, in ``folder`` or as paths into it; without the first two, the usual ones.

    Raises DataError for those that do not exist or are elsewhere, and for unlabeled images that are also the others.
    """
    problems: list[Problem] = []
    inside = [_inside(folder, name, problems) if name else "" for name in (images, labels, unlabeled)]
    if unlabeled and inside[2] in inside[:2]:
        problems.append(Problem(unlabeled, "it is given twice", "Images without a label are unlabeled anyway."))
    raise_all(problems, DataError)
    usual = None if images else two_folders(folder)
    if usual is None and not images:
        raise DataError(Problem(str(folder), "folders of images and labels are not recognized", "Name all three."))
    return replace(usual, unlabeled=inside[2]) if usual else TwoFolders(*inside)


def _candidates(folder: Path) -> tuple[list[str], list[str], list[str]]:
    try:
        usual = [path for path in sorted(folder.iterdir()) if path.name.lower() in _IMAGES | _LABELS | _MORE]
    except OSError:
        return [], [], []
    names = [path.name for path in usual if is_folder(path)]
    images, labels, more = ([name for name in names if name.lower() in kind] for kind in (_IMAGES, _LABELS, _MORE))
    return images, labels, [name for name in more if find(folder / name, image_stem).files]


def _chosen(names: list[str], usual: str) -> str:
    """Return the usual name, or the only one; empty if there are several others, or none."""
    exact = [name for name in names if name.lower() == usual]
    found = exact or names
    return found[0] if len(found) == 1 else ""


def _inside(folder: Path, name: str, problems: list[Problem]) -> str:
    """Return a folder's path below another; problems are appended to ``problems``."""
    place = next((one for one in (folder / name, Path(name)) if one.is_dir()), None)
    if place is None:
        problems.append(Problem(str(folder / name), "there is no such folder", f"Give its name in {folder}."))
        return ""
    plain = [Path(os.path.normpath(path.absolute())) for path in (place, folder)]
    for here, top in (plain, [place.resolve(), folder.resolve()]):
        if here.is_relative_to(top):
            return str(here.relative_to(top))
    fix = "Give a folder that contains all of them, or link it there."
    problems.append(Problem(str(place), f"it is not inside {folder}", fix))
    return ""
