"""The coding of a task."""

from semiseg.codings.classes import CLASSES, Classes
from semiseg.codings.coding import Coding
from semiseg.codings.regions import Regions
from semiseg.losses.dice_form import MONAI, DiceForm
from semiseg.types import Task


def coding_of(task: Task, form: DiceForm = MONAI) -> Coding:
    """Return the coding of a task's outputs, with Dice losses in a form."""
    if task.regions:
        return Regions(list(task.regions.values()), len(task.classes), form)
    return CLASSES if form == MONAI else Classes(form)
