"""Results of a study by setting, method and number of cases, as input of its tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from semiseg.comparison.methods import Method
from semiseg.comparison.read import ScoredRun
from semiseg.comparison.repetitions import are_folds
from semiseg.study.published import Published


@dataclass(frozen=True, slots=True, eq=False)
class StudyArm:
    """Models that differ only in the seed and the fold.

    Attributes:
        setting: varied keys other than method, cases, seed and fold, such as the backbone: ``unetr``; empty if there
            are none.
        method: the strategy, with its varied options: ``cps``.
        labeled: number of labeled training cases; a fold's validation cases are included.
        total: number of training cases; ``labeled`` for a method that uses no unlabeled cases.
        runs: one per seed and fold, ordered by seed and then fold, each at the study's checkpoint.
        logs: for each run the records of its log.jsonl, one per epoch: ``epoch``, ``train`` (losses by name, ``loss``
            is their sum) and, in some, ``validation`` with ``loss``, ``dice`` by class and ``mean_dice``.
    """

    setting: str
    method: str
    labeled: int
    total: int
    runs: tuple[ScoredRun, ...]
    logs: tuple[Sequence[Mapping[str, Any]], ...] = ()

    def as_method(self) -> Method:
        """Return the arm under its method's name, as input of ``compare_metric``."""
        return Method(self.method, self.runs)

    @property
    def seeds(self) -> tuple[int | str, ...]:
        """Names of its repetitions: the seeds, whose folds are averaged, or the folds of a single seed."""
        return self.as_method().seeds

    @property
    def repeated(self) -> Literal["seed", "fold"]:
        """The kind of its repetitions."""
        return "fold" if are_folds(self.runs) else "seed"

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds of its runs, in order; empty without a cross-validation."""
        return tuple(sorted({run.fold for run in self.runs if run.fold is not None}))


@dataclass(frozen=True, slots=True, eq=False)
class StudyResults:
    """All arms of a study that have results.

    Attributes:
        name: name of the study.
        baseline: the method that others are compared with, trained on labeled cases only.
        arms: ordered by setting, method, labeled and total.
        training_cases: number of training cases, labeled or not.
        policy: distance counted for missed structures (``semiseg.scoring.policy``).
        missing: names of models without results yet.
        published: values of a published study on the same data; None if the study names none.
        rules: by method, the rule that chooses its labeled cases; those of other methods are drawn at random.
    """

    name: str
    baseline: str
    arms: tuple[StudyArm, ...]
    training_cases: int
    policy: str = "image_diagonal"
    missing: tuple[str, ...] = ()
    published: Published | None = None
    rules: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings in order."""
        return tuple(dict.fromkeys(arm.setting for arm in self.arms))

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods other than the baseline, in order."""
        return tuple(dict.fromkeys(arm.method for arm in self.arms if arm.method != self.baseline))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that every run has."""
        runs = [run for arm in self.arms for run in arm.runs]
        return tuple(m for m in (runs[0].metrics if runs else ()) if all(m in run.metrics for run in runs))

    @property
    def repeated(self) -> Literal["seed", "fold"]:
        """The kind of the arms' repetitions: folds if there is only one seed of some arm."""
        return "fold" if any(arm.repeated == "fold" for arm in self.arms) else "seed"

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds of all arms, in order; empty without a cross-validation."""
        return tuple(sorted({fold for arm in self.arms for fold in arm.folds}))

    def find(self, setting: str, method: str, labeled: int, total: int | None = None) -> StudyArm | None:
        """Return an arm, or None; without ``total`` the one with the most training cases."""
        fitting = [
            arm
            for arm in self.arms
            if (arm.setting, arm.method, arm.labeled) == (setting, method, labeled) and total in (None, arm.total)
        ]
        return max(fitting, key=lambda arm: arm.total, default=None)

    def curve(self, setting: str, method: str) -> tuple[StudyArm, ...]:
        """Return a method's arms by number of labeled cases, each with the most training cases."""
        counts = sorted({arm.labeled for arm in self.arms if (arm.setting, arm.method) == (setting, method)})
        found = (self.find(setting, method, labeled) for labeled in counts)
        return tuple(arm for arm in found if arm is not None)

    def full(self, setting: str) -> StudyArm | None:
        """Return the baseline with every training case labeled, or None."""
        return self.find(setting, self.baseline, self.training_cases)
