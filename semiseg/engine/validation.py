"""Validation: the soft Dice loss of the prediction, which selects the best checkpoint, and Dice by class."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.codings.coding import Coding
from semiseg.engine.runtime import Runtime
from semiseg.registry import create
from semiseg.scoring.score_case import score_case
from semiseg.types import IGNORE, IGNORED, Geometry, Task


class ValidationCase(Protocol):
    """A case with its label, normalized, as in the case store."""

    case_id: str

    @property
    def slice_axis(self) -> int:
        """Return the axis across which networks of two dimensions slice the image."""

    def image(self) -> NDArray[np.float32]:
        """Return the image (C, X, Y, Z)."""

    def label(self) -> NDArray[np.uint8]:
        """Return class indices or IGNORED (X, Y, Z)."""


@dataclass(frozen=True, slots=True)
class ValidationScore:
    """Means over the validation cases. ``dice`` is by foreground class, and NaN if no case has the class."""

    loss: float
    dice: tuple[float, ...]

    @property
    def mean_dice(self) -> float:
        """Mean over the classes that occur in some case."""
        known = [value for value in self.dice if not math.isnan(value)]
        return sum(known) / len(known) if known else float("nan")

    def by_class(self, class_names: Sequence[str]) -> dict[str, float]:
        """Return Dice by class name; the first of ``class_names`` is the background."""
        return dict(zip(class_names[1:], self.dice, strict=True))

    def record(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return the log entry."""
        return {"loss": self.loss, "dice": self.by_class(class_names), "mean_dice": self.mean_dice}


Validate = Callable[[Callable[[], None], str | None], ValidationScore]
"""Scores the validation cases, using a single role's network if one is named. The first argument is called between
cases."""


def validate(
    cases: Sequence[ValidationCase],
    predict: Callable[[NDArray[np.float32], int], Tensor],
    task: Task,
    coding: Coding,
    runtime: Runtime,
    after_case: Callable[[], None],
    has_ignored: bool = False,
) -> ValidationScore:
    """Score the cases; each process takes its share.

    Args:
        cases: the cases to score.
        predict: maps an image (C, X, Y, Z) and its slice axis to class probabilities (K, X, Y, Z).
        task: the classes.
        coding: of the probabilities, with the form of the Dice loss.
        runtime: the processes that share the work.
        after_case: called after each case; may raise to stop.
        has_ignored: labels may hold IGNORED; these voxels count neither in the loss nor in Dice.
    """
    scores = []
    for index in range(runtime.rank, len(cases), runtime.world):
        case = cases[index]
        probabilities = predict(case.image(), case.slice_axis)
        label = torch.from_numpy(case.label().astype(np.int64)).to(probabilities.device)
        if has_ignored:
            label = torch.where(label == IGNORED, IGNORE, label)
        loss = float(coding.dice_of_probabilities(probabilities[None], label[None], has_ignored)[0])
        scores.append((index, loss, _dice(case, coding.decide(probabilities), task.classes, has_ignored)))
        after_case()
    gathered = sorted(score for part in runtime.gather(scores) for score in part)
    dice = np.array([d for _, _, d in gathered], dtype=np.float64)
    known = ~np.isnan(dice)
    means = np.where(known.any(0), np.where(known, dice, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)
    return ValidationScore(float(np.mean([loss for _, loss, _ in gathered])), tuple(map(float, means)))


def _dice(case: ValidationCase, prediction: Tensor, names: Sequence[str], has_ignored: bool) -> tuple[float, ...]:
    """Return Dice by foreground class, computed as for the test cases."""
    indices = prediction.cpu().numpy()
    label = case.label()
    x, y, z = label.shape
    grid = Geometry((x, y, z), np.eye(4), "voxel")  # irrelevant to Dice
    metrics = {"dice": create("metric", "dice")}
    scores = score_case(label, indices, grid, names, metrics, case=case.case_id, has_ignored=has_ignored)
    return tuple(score.value for score in scores)
