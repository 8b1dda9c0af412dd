"""dataset.json as written by the Medical Segmentation Decathlon, nnU-Net and MONAI: channels, labels and cases."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.errors import DataError, Problem
from semiseg.io.whole import LARGEST

_IGNORE = "ignore"


def read_dataset_json(path: Path) -> Any:
    """Return the content of the file, which may start with a byte order mark. Raises DataError if it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DataError(Problem(str(path), "file not found", "Set dataset.root to its folder.")) from error
    except (OSError, ValueError) as error:
        raise DataError(Problem(str(path), f"it cannot be read as JSON: {error}", "Fix the file.")) from error


def channels(manifest: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the channel names by their numbers, from ``modality`` or ``channel_names``; None if not understood.

    If several channels share a name, their numbers are added to it.
    """
    named = manifest.get("modality") or manifest.get("channel_names")
    if not isinstance(named, dict) or not named or not all(str(key).isdecimal() for key in named):
        return None
    names = [str(named[key]) for key in sorted(named, key=int)]
    return tuple(f"{name}_{number}" if names.count(name) > 1 else name for number, name in enumerate(names))


def classes(manifest: Mapping[str, Any]) -> dict[int, str] | None:
    """Return class names by stored value, from either direction, including background; None if not understood.

    Labels are understood if values and names correspond one to one and some are foreground. The label ``ignore`` is no
    class: see ``ignored``.
    """
    names = _names(manifest)
    found = {value: name for value, name in (names or {}).items() if name.casefold() != _IGNORE}
    return found if len(found) >= 2 else None


def ignored(manifest: Mapping[str, Any]) -> int | None:
    """Return the stored value of the label named ``ignore``, as in nnU-Net; None if there is none."""
    return next((value for value, name in (_names(manifest) or {}).items() if name.casefold() == _IGNORE), None)


def _names(manifest: Mapping[str, Any]) -> dict[int, str] | None:
    labels = manifest.get("labels")
    if not isinstance(labels, dict):
        return None
    by_name = all(isinstance(value, int) and value >= 0 for value in labels.values())
    if not by_name and not all(isinstance(name, str) and value.isdecimal() for value, name in labels.items()):
        return None
    pairs = [(value, name) for name, value in labels.items()] if by_name else labels.items()
    found = {int(value): str(name) for value, name in pairs}
    names = {0: "background"} | found
    distinct = len(found) == len(labels) and len(set(names.values())) == len(names) >= 2
    return names if distinct and max(names) <= LARGEST else None


def has_cases(items: Any, *, label: bool = False) -> bool:
    """Return whether this is a list of cases: paths, or objects with ``image`` (one or more paths) and ``label``."""
    return isinstance(items, list) and all(_is_case(item, label) for item in items)


def _is_case(item: Any, label: bool) -> bool:
    if isinstance(item, str):
        return not label
    if not isinstance(item, dict) or (label and not isinstance(item.get("label"), str)):
        return False
    images = item.get("image")
    several = isinstance(images, list) and bool(images) and all(isinstance(one, str) for one in images)
    return several or isinstance(images, str)


def images_of(item: str | Mapping[str, Any]) -> Sequence[str]:
    """Return the paths of a case's images: one, or one per modality."""
    images = item if isinstance(item, str) else item["image"]
    return [images] if isinstance(images, str) else images
