"""The coding of a task."""

from semiseg.codings.classes import CLASSES
from semiseg.codings.coding import Coding
from semiseg.codings.regions import Regions
from semiseg.types import Task


def coding_of(task: Task) -> Coding:
    """Return the coding of a task's outputs."""
    return Regions(list(task.regions.values()), len(task.classes)) if task.regions else CLASSES
