"""The test images of a Decathlon dataset, which have no labels: in ``imagesTs``, and listed in dataset.json."""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.errors import Problem
from semiseg.io.finding import find
from semiseg.io.names import volume_stem
from semiseg.messages import some

FOLDER = "imagesTs"
_NAMED = 4


@dataclass(frozen=True, slots=True)
class ImagesTs:
    """Test images, without duplicates, hidden files, and training or unlabeled images.

    Attributes:
        found: existing files, listed or in the folder.
        unlisted: those that are only in the folder.
        missing: listed files that do not exist.
        is_list: whether ``test`` is a list of images, or absent.
        problems: what cannot be opened in the folder.
    """

    found: tuple[Path, ...]
    unlisted: tuple[Path, ...]
    missing: tuple[Path, ...]
    is_list: bool = True
    problems: tuple[Problem, ...] = ()

    @property
    def _them(self) -> str:
        return "it" if len(self.found) == 1 else "them"

    def notes(self, *, taken: bool) -> Iterator[str]:
        """Return remarks before training, depending on whether the images are ``taken`` as unlabeled cases."""
        found = _images(self.found)
        if self.found and taken:
            yield f"{found} counted as unlabeled cases; set dataset.test_images=exclude to leave {self._them} out"
        elif self.found:
            as_cases = "an unlabeled case" if len(self.found) == 1 else "unlabeled cases"
            yield f"{found} left out; set dataset.test_images=unlabeled to use {self._them} as {as_cases}"
        elif taken:
            yield f"dataset.test_images is unlabeled, but dataset.json lists no test images, and {FOLDER} has none"
        if not self.is_list:
            yield '"test" in dataset.json is not a list of images and is ignored'
        elif self.unlisted:
            yield f"{_images(self.unlisted)} in {FOLDER}, but not listed in dataset.json: {_some(self.unlisted)}"
        if self.missing:
            yield f"{_listed(self.missing)} not exist: {_some(self.missing)}"


def find_images_ts(root: Path, manifest: Mapping[str, Any], others: Collection[Path]) -> ImagesTs:
    """Return the test images of a root and its dataset.json; ``others`` are the images that are read anyway."""
    known = {_plain(path) for path in others}
    items: Any = manifest.get("test")
    listed = [root / image_of(item) for item in items] if are_images(items) else []
    kept = dict.fromkeys(_plain(path) for path in listed if not path.name.startswith("."))
    held = find(root / FOLDER, volume_stem)
    in_folder = dict.fromkeys(_plain(path) for path in held.files)
    files = [path for path in {**kept, **in_folder} if path not in known]
    there = tuple(path for path in files if path.is_file())
    return ImagesTs(
        there,
        tuple(path for path in there if path not in kept),
        tuple(path for path in files if not path.is_file() and path in kept),
        items is None or are_images(items),
        held.problems,
    )


def are_images(items: Any) -> bool:
    """Return whether this is a list of image paths as in dataset.json: strings, or objects with ``image``."""
    return isinstance(items, list) and all(
        isinstance(item, str) or (isinstance(item, dict) and isinstance(item.get("image"), str)) for item in items
    )


def image_of(item: str | Mapping[str, str]) -> str:
    """Return the path of such an item."""
    return item if isinstance(item, str) else item["image"]


def _plain(path: Path) -> Path:
    return Path(os.path.normpath(path))


def _images(paths: Collection[Path]) -> str:
    return "1 test image is" if len(paths) == 1 else f"{len(paths)} test images are"


def _listed(paths: Collection[Path]) -> str:
    images = "1 test image" if len(paths) == 1 else f"{len(paths)} test images"
    return f"{images} listed in dataset.json {'does' if len(paths) == 1 else 'do'}"


def _some(paths: Collection[Path]) -> str:
    return some([path.name for path in paths], _NAMED)
