"""The dataset.json of nnU-Net v2: channels, labels or regions, file ending and listed cases."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semiseg.datasets._nnunet_labels import named_values
from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.dataset_json import channels, read_dataset_json
from semiseg.io.finding import CONVERT
from semiseg.io.names import image_stem
from semiseg.io.whole import LARGEST

CLASS_NAMES = "class_names"
"""A key of ours: names by stored value, written where ``labels`` are regions. nnU-Net ignores it."""
_IGNORE = "ignore"
_READERS = {"None", "NaturalImage2DIO", "SimpleITKIO", "Tiff3DIO", "NibabelIO", "NibabelIOWithReorient"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """The used parts of a dataset.json.

    Attributes:
        channels: names of the channels, in order.
        names: name of each class by its stored value, background included.
        regions: stored values of each region by its name, in the order of the file; empty for plain labels.
        derived: the values of ``names`` that the file does not name.
        order: ``regions_class_order``, the value that nnU-Net writes for each region; None if absent.
        ignore: stored value of ignored voxels.
        ending: ending of all files, such as ``.nii.gz``.
        count: ``numTraining``; None if absent.
        listed: image paths and label path by case id, if the file lists cases under ``dataset``.
        reader: the reader that ``overwrite_image_reader_writer`` names, if it is not one of nnU-Net's own.
    """

    channels: tuple[str, ...]
    names: Mapping[int, str]
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    derived: tuple[int, ...] = ()
    order: tuple[int, ...] | None = None
    ignore: int | None = None
    ending: str = ".nii.gz"
    count: int | None = None
    listed: Mapping[str, tuple[tuple[str, ...], str]] | None = None
    reader: str = ""


def read_manifest(path: Path, own_names: Mapping[str, int]) -> Manifest:
    """Return the content of a dataset.json; ``own_names`` of stored values replace its names.

    Raises DataError with all problems.

    Source: nnU-Net v2, documentation/dataset_format.md and nnunetv2/utilities/label_handling/label_handling.py.
    """
    manifest = read_dataset_json(path)
    if not isinstance(manifest, dict):
        raise DataError(Problem(str(path), "it is not a JSON object", 'It must begin with {"channel_names": …}.'))
    problems: list[Problem] = []

    def problem(what: str, fix: str) -> None:
        problems.append(Problem(str(path), what, fix))

    names = channels(manifest)
    if names is None:
        problem('"channel_names" is missing or not understood', 'Write, for example, "channel_names": {"0": "CT"}.')
    ending = f".{str(manifest.get('file_ending', '.nii.gz')).lstrip('.')}".lower()
    if not image_stem(Path(f"a{ending}")):
        problem(f"its images are {ending} files, which are not supported", CONVERT)
    labels = _values(manifest.get("labels"))
    if labels is None:
        fix = 'Write "labels": {"background": 0, "liver": 1}, or lists of values for regions: {"whole tumor": [1, 2]}.'
        problem('"labels" is missing or not understood', fix)
    listed = _listed(manifest)
    if listed is None and "dataset" in manifest:
        fix = 'Write "dataset": {"CASE": {"images": ["a.nii.gz"], "label": "b.nii.gz"}}.'
        problem('"dataset" is not understood', fix)
    raise_all(problems, DataError)
    ignored = {name for name in labels or {} if name.casefold() == _IGNORE}
    ignore = next((values[0] for name, values in (labels or {}).items() if name in ignored), None)
    known = {name: values for name, values in (labels or {}).items() if name not in ignored}
    if any(len((labels or {})[name]) > 1 for name in ignored):
        problem("the label ignore is a list", "One value marks ignored voxels.")
    problems += [Problem(str(path), *found) for found in _label_problems(known)]
    raise_all(problems, DataError)
    given = {value: name for name, value in own_names.items()}
    unknown = sorted(given.keys() - {value for values in known.values() for value in values})
    if unknown:
        what = f"no label of dataset.json has the value {', '.join(map(str, unknown))}"
        raise DataError(Problem("dataset.classes", what, "Name values that occur in its labels."))
    by_value, regions, derived = named_values(known, {**_class_names(manifest), **given})
    taken = [*by_value.values(), *regions]
    if twice := sorted({name for name in taken if taken.count(name) > 1}):
        what = f"several classes, or a class and a region, are named {', '.join(twice)}"
        raise DataError(Problem("dataset.classes", what, "Give each class a name of its own: {NAME: VALUE}."))
    count, reader = manifest.get("numTraining"), str(manifest.get("overwrite_image_reader_writer", "None"))
    return Manifest(
        names or (),
        by_value,
        regions,
        derived,
        _order(path, manifest, regions) if regions else None,
        ignore,
        ending,
        count if isinstance(count, int) else None,
        listed,
        "" if reader in _READERS else reader,
    )


def _values(labels: Any) -> dict[str, tuple[int, ...]] | None:
    """Return the values of each label: one, or several for a region; None if not understood.

    Version 1 maps values to names: ``{"1": "liver"}``.
    """
    if not isinstance(labels, dict) or not labels:
        return None
    if all(key.isdecimal() and isinstance(name, str) and not name.isdecimal() for key, name in labels.items()):
        found: dict[str, tuple[int, ...]] = {name: (int(value),) for value, name in labels.items()}
        return found if len(found) == len(labels) else None
    many = {name: values if isinstance(values, list) else [values] for name, values in labels.items()}
    if not all(values and all(map(_is_value, values)) for values in many.values()):
        return None
    return {name: tuple(sorted({int(value) for value in values})) for name, values in many.items()}


def _is_value(value: Any) -> bool:
    if isinstance(value, str):
        return value.isdecimal() and int(value) <= LARGEST
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def _label_problems(labels: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, str]]:
    single = [values[0] for values in labels.values() if len(values) == 1]
    if labels.get("background", (0,)) != (0,):
        yield f"the label background is {list(labels['background'])}", "In nnU-Net, the background is 0."
    if mixed := [name for name, values in labels.items() if 0 in values and len(values) > 1]:
        yield f"regions contain the background (0): {', '.join(mixed)}", "A region is a union of foreground values."
    if twice := sorted({value for value in single if single.count(value) > 1}):
        yield f"several labels have the value {', '.join(map(str, twice))}", "Give each label its own value."
    if not any(any(values) for values in labels.values()):
        yield "its labels have no foreground", 'Write, for example, "labels": {"background": 0, "liver": 1}.'


def _class_names(manifest: Mapping[str, Any]) -> dict[int, str]:
    """Return the names by value that ``semiseg export`` adds for regions; empty if there are none."""
    named = manifest.get(CLASS_NAMES)
    if not isinstance(named, dict) or not all(key.isdecimal() for key in named):
        return {}
    return {int(value): str(name) for value, name in named.items()}


def _order(path: Path, manifest: Mapping[str, Any], regions: Mapping[str, Sequence[int]]) -> tuple[int, ...] | None:
    order = manifest.get("regions_class_order")
    if order is None:
        return None
    if isinstance(order, list) and len(order) == len(regions) and all(map(_is_value, order)):
        return tuple(map(int, order))
    what = f'"regions_class_order" is {order}, but there are {len(regions)} regions: {", ".join(regions)}'
    raise DataError(Problem(str(path), what, "List the value to write for each region, in the order of labels."))


def _listed(manifest: Mapping[str, Any]) -> dict[str, tuple[tuple[str, ...], str]] | None:
    """Return the cases under ``dataset``; None if there are none or they are not understood."""
    items = manifest.get("dataset")
    if not isinstance(items, dict):
        return None
    found = {}
    for case_id, item in items.items():
        images, label = (item.get("images"), item.get("label")) if isinstance(item, dict) else (None, None)
        if not isinstance(images, list) or not all(isinstance(name, str) for name in images) or not images:
            return None
        if not isinstance(label, str):
            return None
        found[case_id] = tuple(images), label
    return found
