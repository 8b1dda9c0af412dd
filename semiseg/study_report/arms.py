"""A study's results, as its tables and figures take them: by setting, method and number of cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semiseg.comparison.methods import Method
from semiseg.comparison.read import ScoredRun


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """The models that differ in nothing but the seed.

    Attributes:
        setting: what else the study varies, such as the backbone: ``unetr``; empty where it varies nothing else.
        method: the strategy, with the options that the study varies: ``cps``.
        labeled: cases trained on with their labels.
        total: cases trained on in all; ``labeled`` for a method that takes no unlabeled cases.
        runs: one for each seed, ordered by seed, each at the study's checkpoint.
        logs: for each run the records of its log.jsonl, an epoch each: ``epoch``, ``train`` (losses by name, ``loss``
            their sum) and, in some, ``validation`` with ``loss``, ``dice`` by class and ``mean_dice``.
    """

    setting: str
    method: str
    labeled: int
    total: int
    runs: tuple[ScoredRun, ...]
    logs: tuple[Sequence[Mapping[str, Any]], ...] = ()

    def as_method(self) -> Method:
        """The arm under its method's name, as ``compare_metric`` takes it."""
        return Method(self.method, self.runs)


@dataclass(frozen=True, slots=True, eq=False)
class StudyResults:
    """All arms of a study that have results.

    Attributes:
        name: the study's.
        baseline: the method that others are compared with, trained on labeled cases alone.
        arms: ordered by setting, method, labeled and total.
        training_cases: how many training cases there are, labeled or not.
        policy: what distances to missed structures count (``semiseg.scoring.policy``).
        missing: models without results yet, by name.
        published: name of the published study whose data these are; empty where there is none.
    """

    name: str
    baseline: str
    arms: tuple[Arm, ...]
    training_cases: int
    policy: str = "image_diagonal"
    missing: tuple[str, ...] = ()
    published: str = ""

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings in their order."""
        return tuple(dict.fromkeys(arm.setting for arm in self.arms))

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods other than the baseline, in their order."""
        return tuple(dict.fromkeys(arm.method for arm in self.arms if arm.method != self.baseline))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that every run has."""
        runs = [run for arm in self.arms for run in arm.runs]
        return tuple(m for m in (runs[0].metrics if runs else ()) if all(m in run.metrics for run in runs))

    def find(self, setting: str, method: str, labeled: int, total: int | None = None) -> Arm | None:
        """An arm; without ``total`` the one with the most cases in all. None where there is none."""
        fitting = [
            arm
            for arm in self.arms
            if (arm.setting, arm.method, arm.labeled) == (setting, method, labeled) and total in (None, arm.total)
        ]
        return max(fitting, key=lambda arm: arm.total, default=None)

    def curve(self, setting: str, method: str) -> tuple[Arm, ...]:
        """A method's arms by number of labeled cases, each with the most cases in all."""
        counts = sorted({arm.labeled for arm in self.arms if (arm.setting, arm.method) == (setting, method)})
        found = (self.find(setting, method, labeled) for labeled in counts)
        return tuple(arm for arm in found if arm is not None)

    def full(self, setting: str) -> Arm | None:
        """The baseline with every training case labeled; None where the study has none."""
        return self.find(setting, self.baseline, self.training_cases)
