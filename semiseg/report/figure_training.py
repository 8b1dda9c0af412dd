"""How training went: losses and validation Dice by epoch, of a method beside the baseline."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes

from semiseg.report.arms import Arm, StudyResults
from semiseg.report.document import Figure
from semiseg.report.figure_style import BASELINE_COLOR, COLORS, draw, method_look
from semiseg.report.study_metric import method_curve

_Log = Sequence[Mapping[str, Any]]
_Value = Callable[[Mapping[str, Any]], float | None]
_Series = Mapping[int, float]
"""Values by epoch."""
_Looks = Sequence[Mapping[str, Any]]
"""How each arm's mean is drawn."""
_SEED: Mapping[str, Any] = {"linewidth": 0.6, "alpha": 0.45}


def training_figure(
    results: StudyResults, labeled: int | None = None, setting: str | None = None, method: str | None = None
) -> Figure | None:
    """The reference study's figure 4: total losses and validation Dice, seeds thin and their mean thick.

    By default of the first setting and method that have logs, with the second smallest number of labeled cases. None
    where there are no logs of such a pair.
    """
    found = _choose(results, labeled, setting, method)
    if found is None:
        return None
    baseline, arm = found
    title = f"Training with {arm.labeled} labeled cases" + (f", {arm.setting}" if arm.setting else "")
    color = method_look(results.methods.index(arm.method))["color"]
    looks = ({"color": BASELINE_COLOR, "linestyle": "--"}, {"color": color, "linestyle": "-"})
    return _figure(title, {results.baseline: baseline, arm.method: arm}, looks)


def run_figure(arm: Arm) -> Figure | None:
    """The same of one run alone, in a method's color or the baseline's; None where its log has nothing."""
    color = COLORS[0] if arm.total > arm.labeled else BASELINE_COLOR
    return _figure("Training", {arm.method: arm}, ({"color": color, "linestyle": "-"},)) if any(arm.logs) else None


def _figure(title: str, arms: Mapping[str, Arm], looks: _Looks) -> Figure:
    panels = [
        partial(_panel, arms=arms, looks=looks, value=_loss, label="training loss, all terms"),
        partial(_panel, arms=arms, looks=looks, value=_dice, label="validation Dice"),
    ]
    said = [f"{_name(name, each)}: {_words(each)}." for name, each in arms.items()]
    alt = " ".join([f"{title}: loss and validation Dice by epoch.", *said])
    return draw("training", title, alt, panels, note=_note(arms), share_y=False)


def _note(arms: Mapping[str, Arm]) -> str:
    counts = sorted({len(arm.logs) for arm in arms.values()})
    seeds = " or ".join(map(str, counts))
    several = f"Thin lines: each of {seeds} seeds. Thick lines: their mean, in the epochs that all have."
    sums = "The loss is the sum of all its terms" + (", which differ between methods." if len(arms) > 1 else ".")
    return f"{several if counts[-1] > 1 else 'One seed.'} {sums}"


def _choose(
    results: StudyResults, labeled: int | None, setting: str | None, method: str | None
) -> tuple[Arm, Arm] | None:
    for each in results.settings if setting is None else (setting,):
        for name in results.methods if method is None else (method,):
            arms = [arm for arm in method_curve(results, each, name) if arm.logs]
            pairs = [(base, arm) for arm in arms if (base := results.find(each, results.baseline, arm.labeled))]
            pairs = [pair for pair in pairs if pair[0].logs and labeled in (None, pair[1].labeled)]
            if pairs:
                return pairs[min(1, len(pairs) - 1)]
    return None


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
    """The mean over the seeds, at the epochs that all have."""
    epochs = set.intersection(*(set(each) for each in series)) if series else set()
    return {epoch: sum(each[epoch] for each in series) / len(series) for epoch in sorted(epochs)}


def _panel(ax: Axes, arms: Mapping[str, Arm], looks: _Looks, value: _Value, label: str) -> None:
    for (name, arm), look in zip(arms.items(), looks, strict=True):
        series = [_series(log, value) for log in arm.logs]
        for each in series if len(series) > 1 else ():
            ax.plot(list(each), list(each.values()), color=look["color"], **_SEED)
        mean = _mean(series)
        ax.plot(list(mean), list(mean.values()), **look, label=_name(name, arm))
    ax.set_xlabel("epoch")
    ax.set_ylabel(label)


def _name(method: str, arm: Arm) -> str:
    unlabeled = f" of {arm.total}" if arm.total > arm.labeled else ""
    return f"{method}, {arm.labeled}{unlabeled} labeled"


def _words(arm: Arm) -> str:
    loss, dice = (_mean([_series(log, value) for log in arm.logs]) for value in (_loss, _dice))
    parts = [f"{len(arm.logs)} {'seed' if len(arm.logs) == 1 else 'seeds'}"]
    if loss:
        first, last = min(loss), max(loss)
        parts.append(f"loss from {loss[first]:.3g} in epoch {first} to {loss[last]:.3g} in epoch {last}")
    if dice:
        best = max(dice, key=lambda epoch: dice[epoch])
        parts.append(f"validation Dice {dice[max(dice)]:.3f} at the end, at most {dice[best]:.3f} in epoch {best}")
    return ", ".join(parts)
