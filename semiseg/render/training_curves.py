"""Training curves: losses and validation Dice by epoch, of one run or of several methods."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes

from semiseg.render.document import Figure
from semiseg.render.figure_style import BASELINE_COLOR, COLORS, draw

_Log = Sequence[Mapping[str, Any]]
_Value = Callable[[Mapping[str, Any]], float | None]
_Series = Mapping[int, float]
"""Values by epoch."""
_Looks = Sequence[Mapping[str, Any]]
"""Drawing style of each mean."""
_SEED: Mapping[str, Any] = {"linewidth": 0.6, "alpha": 0.45}


@dataclass(frozen=True, slots=True)
class TrainingLogs:
    """Training logs of a method.

    Attributes:
        method: the strategy.
        labeled: number of labeled training cases.
        total: number of training cases, labeled and unlabeled.
        logs: records of log.jsonl, one run per seed.
        repeated: what the runs differ in: seed, or "seed or fold".
    """

    method: str
    labeled: int
    total: int
    logs: tuple[_Log, ...]
    repeated: str = "seed"


def run_figure(logs: TrainingLogs) -> Figure | None:
    """Return the curves of one run, in a method's color or the baseline's; None if its log is empty."""
    if not any(logs.logs):
        return None
    color = COLORS[0] if logs.total > logs.labeled else BASELINE_COLOR
    return training_curves("Training", {logs.method: logs}, ({"color": color, "linestyle": "-"},))


def training_curves(title: str, arms: Mapping[str, TrainingLogs], looks: _Looks) -> Figure:
    """Draw losses and validation Dice by epoch, by method; thin lines for seeds, thick lines for their means."""
    panels = [
        partial(_panel, arms=arms, looks=looks, value=_loss, label="training loss, all terms"),
        partial(_panel, arms=arms, looks=looks, value=_dice, label="validation Dice"),
    ]
    said = [f"{_name(name, each)}: {_words(each)}." for name, each in arms.items()]
    alt = " ".join([f"{title}: loss and validation Dice by epoch.", *said])
    return draw("training", title, alt, panels, note=_note(arms), share_y=False)


def _note(arms: Mapping[str, TrainingLogs]) -> str:
    counts = sorted({len(arm.logs) for arm in arms.values()})
    seeds = " or ".join(map(str, counts))
    what = "seeds" if all(arm.repeated == "seed" for arm in arms.values()) else "models, which differ in seed or fold"
    several = f"Thin lines: each of {seeds} {what}. Thick lines: their mean, in the epochs common to all."
    sums = "The loss is the sum of all its terms" + (", which differ between methods." if len(arms) > 1 else ".")
    return f"{several if counts[-1] > 1 else 'One seed.'} {sums}"


def _loss(record: Mapping[str, Any]) -> float | None:
    loss: float | None = record.get("train", {}).get("loss")
    return loss


def _dice(record: Mapping[str, Any]) -> float | None:
    dice: float | None = (record.get("validation") or {}).get("mean_dice")
    return dice


def _series(log: _Log, value: _Value) -> _Series:
    found = {record["epoch"]: value(record) for record in log}
    return {epoch: number for epoch, number in found.items() if number is not None}


def _mean(series: Sequence[_Series]) -> _Series:
    """Return the mean over the seeds, at the epochs that all have."""
    epochs = set.intersection(*(set(each) for each in series)) if series else set()
    return {epoch: sum(each[epoch] for each in series) / len(series) for epoch in sorted(epochs)}


def _panel(ax: Axes, arms: Mapping[str, TrainingLogs], looks: _Looks, value: _Value, label: str) -> None:
    for (name, arm), look in zip(arms.items(), looks, strict=True):
        series = [_series(log, value) for log in arm.logs]
        for each in series if len(series) > 1 else ():
            ax.plot(list(each), list(each.values()), color=look["color"], **_SEED)
        mean = _mean(series)
        ax.plot(list(mean), list(mean.values()), **look, label=_name(name, arm))
    ax.set_xlabel("epoch")
    ax.set_ylabel(label)


def _name(method: str, arm: TrainingLogs) -> str:
    unlabeled = f" of {arm.total}" if arm.total > arm.labeled else ""
    return f"{method}, {arm.labeled}{unlabeled} labeled"


def _words(arm: TrainingLogs) -> str:
    loss, dice = (_mean([_series(log, value) for log in arm.logs]) for value in (_loss, _dice))
    parts = [f"{len(arm.logs)} {'seed' if len(arm.logs) == 1 else 'seeds'}"]
    if loss:
        first, last = min(loss), max(loss)
        parts.append(f"loss from {loss[first]:.3g} in epoch {first} to {loss[last]:.3g} in epoch {last}")
    if dice:
        best = max(dice, key=lambda epoch: dice[epoch])
        parts.append(f"validation Dice {dice[max(dice)]:.3f} at the end, at most {dice[best]:.3f} in epoch {best}")
    return ", ".join(parts)
