"""Estimates of the time and memory of predictions, reported in advance if large."""

import math
from collections.abc import Mapping

from semiseg.engine.memory import memory_room
from semiseg.inference.estimate import prediction_memory, window_count
from semiseg.inference.sliding_window import Predictor
from semiseg.io.orientation import grid_in_ras
from semiseg.preprocessing.slices import box_of, slice_axis
from semiseg.progress import duration
from semiseg.recipe.schema import Preprocessing
from semiseg.types import Geometry, Task

MUCH_MEMORY = 2 * 2**30
"""Bytes from which on a prediction's memory is reported."""
LONG = 120.0
"""Seconds from which on the predictions' time is reported."""
_TRIED = 200
"""Batches of windows from which on one batch is timed, which is then a small part of the work."""


def cost_note(
    images: Mapping[str, Geometry], predictor: Predictor, task: Task, preprocessing: Preprocessing, rounds: int = 1
) -> str:
    """Return a note on the time of all predictions and the memory of the largest; empty if neither is large.

    Based on whole images: images cropped to their foreground take less. If there are many windows, one batch is timed.

    Args:
        images: the grid of each image, by case.
        predictor: the predictor to use.
        task: channels and classes.
        preprocessing: the recipe's, for the slice axis.
        rounds: number of predictions per image, with different weights.
    """
    shapes = {name: grid_in_ras(grid).shape for name, grid in images.items()}
    if not shapes:
        return ""
    options = predictor.options
    boxes = {
        name: box_of(predictor.patch_size, slice_axis(grid, preprocessing.slice_axis)) for name, grid in images.items()
    }
    windows = (window_count(shape, boxes[name], options.overlap) for name, shape in shapes.items())
    batches = sum(math.ceil(count / options.batch_size) for count in windows)
    seconds = rounds * batches * predictor.seconds_per_batch(task.in_channels) if rounds * batches >= _TRIED else 0.0
    largest = max(shapes, key=lambda name: math.prod(shapes[name]))
    memory, room = prediction_memory(shapes[largest], task.in_channels, task.out_channels), memory_room("cpu")
    too_large = room is not None and memory > room
    parts = [f"about {duration(seconds)} in total"] if seconds >= LONG else []
    if memory >= MUCH_MEMORY or too_large:
        size, outputs = " x ".join(map(str, shapes[largest])), "regions" if task.regions else "classes"
        image = f"{largest} ({size} voxels, {task.out_channels} {outputs})"
        parts.append(f"about {_gib(memory)} of memory for {image}")
    if not parts:
        return ""
    told = f"prediction takes {' and '.join(parts)}"
    if room is None or not too_large:
        return told
    return (
        f"{told}, more than the {_gib(room)} available to this process: the system may kill it without a message."
        " Crop or downsample the image, or use a machine with more memory"
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
