"""Classes from the names of segments in label files of 3D Slicer."""

from collections.abc import Sequence
from pathlib import Path

from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.formats.segments import Segment, read_segments
from semiseg.io.names import is_slicer
from semiseg.messages import some


def segment_classes(labels: Sequence[Path]) -> tuple[dict[str, int], tuple[Path, ...]]:
    """Return the stored value of each segment's name in the files' headers, and the label files without such names.

    The values are those in the files if each name has one value, and each value one name. Otherwise they are numbers
    from 1: 3D Slicer numbers the segments of each file by themselves. Raises DataError, with the problems of all files,
    for unreadable headers, and for values that differ between files if there are also files without names.
    """
    found, others, problems = list[Segment](), list[Path](), list[Problem]()
    for path in labels:
        try:
            segments = read_segments(path) if is_slicer(path) else ()
        except DataError as error:
            problems += error.problems
            continue
        found += segments
        others += [] if segments else [path]
    raise_all(problems, DataError)
    spelled: dict[str, str] = {}
    pairs = set[tuple[str, int]]()
    for segment in found:
        name = spelled.setdefault(" ".join(segment.name.split()).casefold(), segment.name)
        pairs.add((name, segment.value))
    pairs = {(name, value) for name, value in pairs if name.casefold() != "background"}
    names, values = {name for name, _ in pairs}, {value for _, value in pairs}
    if len(pairs) == len(names) == len(values) and min(values, default=1) > 0:
        return dict(sorted(pairs, key=lambda pair: pair[1])), tuple(others)
    if others:
        named = some([path.name for path in others], 3)
        what = f"the values of segments differ between files, and some labels have no names: {named}"
        fix = "Save these in 3D Slicer as segmentations with the same names (.seg.nrrd)."
        raise DataError(Problem(str(labels[0].parent), what, fix))
    return {name: number for number, name in enumerate(sorted(names), 1)}, ()
