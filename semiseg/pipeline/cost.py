"""Estimates of the time and memory of predictions, reported in advance if large."""

import math
from collections.abc import Iterable, Mapping, Sequence

from semiseg.engine.memory import memory_room
from semiseg.inference.estimate import Subject, Way, choose_way, window_count
from semiseg.inference.image import Ensemble, Member
from semiseg.inference.windows import whole
from semiseg.io.orientation import grid_in_ras
from semiseg.messages import gib
from semiseg.preprocessing.slices import box_of
from semiseg.progress import duration
from semiseg.types import Geometry, Task

MUCH_MEMORY = 2 * 2**30
"""Bytes from which on a prediction's memory is reported."""
LONG = 120.0
"""Seconds from which on the predictions' time is reported."""
_TRIED = 200
"""Batches of windows from which on one batch is timed, which is then a small part of the work."""


def cost_note(images: Mapping[str, Geometry], ensemble: Ensemble, task: Task, rounds: int = 1) -> str:
    """Return a note on the time of all predictions and the memory of the largest; empty if neither is large.

    Based on whole images: images cropped to their foreground take less. If there are many windows, one batch is timed.

    Args:
        images: the grid of each image, by case.
        ensemble: the models that predict each image together.
        task: channels and classes.
        rounds: number of predictions per image, with different weights.
    """
    if not images:
        return ""
    shapes = {name: grid_in_ras(grid).shape for name, grid in images.items()}
    seconds = _seconds(images.values(), ensemble.members, task.in_channels, rounds)
    largest = max(shapes, key=lambda name: math.prod(shapes[name]))
    shape, limit = shapes[largest], ensemble.limit.bytes
    way = choose_way(_subjects(images[largest], ensemble, task.in_channels), shape, whole(shape), limit)
    room = memory_room("cpu")
    too_large = room is not None and way.memory > room
    parts = [f"about {duration(seconds)} in total"] if seconds >= LONG else []
    if way.memory >= MUCH_MEMORY or too_large or not way.whole:
        size, outputs = " x ".join(map(str, shape)), "regions" if task.regions else "classes"
        image = f"{largest} ({size} voxels, {task.out_channels} {outputs})"
        parts.append(f"about {gib(way.memory)} of memory for {image}{_slabs(way, limit)}")
    if not parts:
        return ""
    told = f"prediction takes {' and '.join(parts)}"
    if room is None or not too_large:
        return told
    return (
        f"{told}, more than the {gib(room)} available to this process: the system may kill it without a message."
        " Crop or downsample the image, or use a machine with more memory"
    )


def _seconds(images: Iterable[Geometry], members: Sequence[Member], channels: int, rounds: int) -> float:
    """Return the estimated time of all predictions; 0 if there are few windows."""
    grids, batches = list(images), []
    for member in members:
        predictor = member.predictor
        overlap, batch = predictor.options.overlap, predictor.options.batch_size
        counts = (
            window_count(member.grid(g), box_of(predictor.patch_size, member.slice_axis(g)), overlap) for g in grids
        )
        batches.append(rounds * sum(math.ceil(count / batch) for count in counts))
    if sum(batches) < _TRIED:
        return 0.0
    timed = zip(batches, members, strict=True)
    return sum(count * member.predictor.seconds_per_batch(channels) for count, member in timed)


def _subjects(image: Geometry, ensemble: Ensemble, channels: int) -> list[Subject]:
    shape = grid_in_ras(image).shape
    return [
        Subject(m.predictor, channels, ensemble.n_outputs, whole(shape), m.grid(image), m.slice_axis(image))
        for m in ensemble.members
    ]


def _slabs(way: Way, limit: int) -> str:
    if way.whole:
        return ""
    parts = f"in {len(way.parts)} parts, " if len(way.parts) > 1 else ""
    kept = "within" if not way.least else "which is more than"
    return f", {parts}slab by slab, {kept} the limit of {gib(limit)} (inference.memory_gib)"
