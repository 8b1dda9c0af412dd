"""Folders of images and of their labels, by usual names."""

from dataclasses import dataclass
from pathlib import Path

from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.finding import find, is_folder
from semiseg.io.names import image_stem

_IMAGES = {"image", "images", "img", "imgs", "scan", "scans", "volume", "volumes"}
_LABELS = {"annotation", "annotations", "gt", "label", "labels", "mask", "masks", "seg", "segmentation"}
_LABELS |= {"segmentations", "segs"}
_UNLABELED = {"unlabeled", "unlabelled", "images_unlabeled", "unlabeled_images", "unannotated"}


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

    None unless exactly one folder has a name for images and one has a name for labels, in whatever capitals.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if is_folder(path))
    except OSError:
        return None
    images, labels = ([name for name in names if name.lower() in usual] for usual in (_IMAGES, _LABELS))
    if len(images) != 1 or len(labels) != 1:
        return None
    more = [name for name in names if name.lower() in _UNLABELED and find(folder / name, image_stem).files]
    return TwoFolders(images[0], labels[0], more[0] if len(more) == 1 else "")


def named_folders(folder: Path, images: str, labels: str, unlabeled: str) -> TwoFolders:
    """Return the folders with these names. Raises DataError for those that do not exist."""
    given = [name for name in (images, labels, unlabeled) if name]
    missing = [name for name in given if not (folder / name).is_dir()]
    problems = [
        Problem(str(folder / name), "there is no such folder", "Name it relative to the first.") for name in missing
    ]
    raise_all(problems, DataError)
    return TwoFolders(images, labels, unlabeled)
