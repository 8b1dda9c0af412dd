"""Generated names for modalities and classes that have none."""

from collections.abc import Sequence
from pathlib import Path

from semiseg.errors import DataError, Problem, raise_all
from semiseg.init.segment_names import segment_classes
from semiseg.io.names import image_stem, is_picture, shared_start
from semiseg.io.volumes import label_values, read_image_header

_LABELS_READ = 10
_NEARLY_WHITE = range(240, 255)


def modality_names(images: Sequence[Path]) -> list[str]:
    """Return names of a case's modalities: the distinct endings of its file names, or else numbers.

    A single file may hold several modalities along a last axis; it counts as one if its header cannot be read. Those of
    an RGB picture are its colors.
    """
    stems = [image_stem(path) or path.name for path in images]
    if len(stems) > 1:
        shared = shared_start(stems)
        ends = [stem.removeprefix(shared).strip("-_. ") for stem in stems]
        named = all(ends) and len(set(ends)) == len(ends) and not all(end.isdecimal() for end in ends)
        return ends if named else _numbered(len(stems))
    try:
        _, shape = read_image_header(images[0])
    except (DataError, OSError):
        return ["image"]
    if is_picture(images[0]):
        return ["red", "green", "blue"] if len(shape) == 4 else ["image"]
    return _numbered(shape[3]) if len(shape) == 4 and shape[3] > 1 else ["image"]


def _numbered(count: int) -> list[str]:
    return [f"modality_{number}" for number in range(count)]


def class_names(labels: Sequence[Path], where: Path) -> dict[str, int]:
    """Return names by the values in some of the label files, evenly chosen, and those of segments, if they have names.

    Raises DataError if there are none (``where`` is the source of the files), and with all values that cannot be
    classes.
    """
    named, labels = segment_classes(labels)
    if named and not labels:
        return named
    values: set[int] = set()
    problems: list[Problem] = []
    for path in labels[:: -(-len(labels) // _LABELS_READ)]:
        try:
            values |= label_values(path)
        except DataError as error:
            problems += error.problems
    raise_all(problems, DataError)
    values.discard(0)
    if not values:
        raise DataError(Problem(str(where), "all labels are 0 everywhere", "Classes must have values of 1 or more."))
    if is_picture(labels[0]) and 255 in values and any(value in values for value in _NEARLY_WHITE):
        near = ", ".join(str(value) for value in sorted(values))
        what = f"its masks have values next to 255 ({near}): they were resampled, or saved as JPEG in between"
        raise DataError(
            Problem(str(where), what, "Export them again as PNG. Or set values from 128 on to 255, others to 0.")
        )
    return named | {f"class_{value}": value for value in sorted(values - {*named.values()})}
