"""Training's output for the user: figures next to the progress bar, a line per validated epoch, final remarks."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from semiseg.losses.dice_kernels import verdicts
from semiseg.progress import Reporter, duration
from semiseg.runs.lagging_networks import behind
from semiseg.runs.log import waiting_for_data


class StatusLines:
    """Reports on a training with ``epochs`` epochs; for a resumed run, call ``recall`` first."""

    def __init__(self, epochs: int, reporter: Reporter) -> None:
        self._epochs, self._reporter = epochs, reporter
        self._started = time.monotonic()
        self._dice: float | None = None
        self._before = 0.0

    def recall(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Restore the last validation and the steps' time from the log of a resumed run."""
        self._before = sum(record.get(key, 0.0) for record in records for key in ("seconds", "seconds_waited_for_data"))
        for record in records:
            if record.get("validation"):
                dice = record["validation"].get("mean_dice")
                self._dice = math.nan if dice is None else dice

    def figures(self, epoch: int, losses: Mapping[str, float], step_memory: int) -> dict[str, float | str]:
        """Return the figures next to the progress bar, most important first: a narrow terminal cuts off the end.

        Args:
            epoch: the current one, from 1.
            losses: their means in this epoch so far.
            step_memory: bytes, as in ``StepMemory``; 0 if unknown.
        """
        found: dict[str, float | str] = {}
        if self._dice is not None:
            found["validation Dice"] = _dice(self._dice)
        found |= {"epoch": f"{epoch}/{self._epochs}", **losses}
        if step_memory:
            found["step memory"] = f"{step_memory / 2**30:.2f} GiB"
        return found

    def validated(self, epoch: int, dice: float, is_best: bool, loss: float) -> None:
        """Report a validated epoch: mean Dice, whether its weights are the best so far, training loss, and time.

        The time is since training began; for training before a stop, it includes only the steps.
        """
        self._dice = dice
        after = duration(self._before + time.monotonic() - self._started)
        best = " (lowest validation loss)" if is_best else ""
        self._reporter.say(
            f"epoch {epoch}/{self._epochs}  validation Dice {_dice(dice)}{best}  loss {loss:.3f}  after {after}"
        )

    def end(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Report conclusions from the whole log."""
        for sentence in (waiting_for_data(records), *verdicts()):
            self._reporter.say(sentence)
        for one in behind(records):
            self._reporter.say(f"Note: on the validation cases, {one}.")


def _dice(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
