"""dataset.json, as the Medical Segmentation Decathlon, nnU-Net and MONAI write it: channels, labels, lists of cases."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.errors import DataError, Problem
from semiseg.io.whole import LARGEST


def read_dataset_json(path: Path) -> Any:
    """The content of the file, which may begin with a byte order mark. Raises DataError where it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DataError(Problem(str(path), "there is no such file", "Set dataset.root to its folder.")) from error
    except (OSError, ValueError) as error:
        raise DataError(Problem(str(path), f"it cannot be read as JSON: {error}", "Mend the file.")) from error


def channels(manifest: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the channels by their numbers, from ``modality`` or ``channel_names``; None if not understood.

    A name that several channels have gets their numbers.
    """
    named = manifest.get("modality") or manifest.get("channel_names")
    if not isinstance(named, dict) or not named or not all(str(key).isdecimal() for key in named):
        return None
    names = [str(named[key]) for key in sorted(named, key=int)]
    return tuple(f"{name}_{number}" if names.count(name) > 1 else name for number, name in enumerate(names))


def classes(manifest: Mapping[str, Any]) -> dict[int, str] | None:
    """Class names by stored value, from either direction, background too; None if not understood.

    Understood are labels whose values and names belong to each other one to one, some of them foreground.
    """
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
    """Whether it is a list of cases: paths, or objects with ``image`` (a path or a list of them), and ``label``."""
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
    """The paths of a case's images, one or one for each modality."""
    images = item if isinstance(item, str) else item["image"]
    return [images] if isinstance(images, str) else images
