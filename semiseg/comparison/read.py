"""A table of scores to compare, with information from its run folder."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from semiseg.errors import DataError, Problem, raise_all
from semiseg.messages import some
from semiseg.recipe.yaml import read_yaml
from semiseg.scoring.score_case import Score
from semiseg.scoring.table import read_scores

Key = tuple[str, str, str]
"""Metric, class, case."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRun:
    """The scores of one checkpoint of one run, or of predictions from elsewhere.

    Attributes:
        path: as given.
        checkpoint: last, best, or empty.
        scores: by metric, class and case.
        recipe: the resolved recipe; empty if absent.
        summary: summary.json; empty if absent.
    """

    path: Path
    checkpoint: str
    scores: Mapping[Key, Score]
    recipe: Mapping[str, Any]
    summary: Mapping[str, Any]

    @property
    def folder_name(self) -> str:
        """The folder's name, or the file's if it is not ``scores``."""
        path = self.path.absolute()
        return path.stem if path.is_file() and path.stem != "scores" else _folder(path).name

    @property
    def name(self) -> str:
        """The recipe's name, or otherwise the folder's."""
        return str(self.recipe.get("name") or self.folder_name)

    @property
    def seed(self) -> int | None:
        """The recipe's seed; None without a recipe."""
        seed = self.recipe.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def fold(self) -> int | None:
        """The fold of a cross-validation whose test cases are those of all folds (``split.fold``); None without one."""
        split = self.recipe.get("split")
        fold = split.get("fold") if isinstance(split, Mapping) else None
        return fold if isinstance(fold, int) else None

    @property
    def labeled_and_total(self) -> tuple[int, int] | None:
        """Numbers of labeled cases and of these and unlabeled ones; None if unknown.

        The validation cases of a fold are labeled cases too.
        """
        counts = self.summary.get("cases", {})
        if not {"labeled", "unlabeled"} <= set(counts):
            return None
        labeled = counts["labeled"] + (0 if self.fold is None else counts.get("validation", 0))
        return labeled, labeled + counts["unlabeled"]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics in table order."""
        return tuple(dict.fromkeys(metric for metric, _, _ in self.scores))


def read_run(path: Path, checkpoint: str | None = None, scores: Sequence[Score] | None = None) -> ScoredRun:
    """Read a run folder, an output folder of ``semiseg evaluate``, or a scores.csv.

    ``checkpoint`` is last or best; by default last, if a table has several. A table without checkpoints is used as it
    is. ``scores`` are the contents of its scores.csv, if already read. Raises DataError, and RecipeError for a damaged
    recipe.yaml.
    """
    file = path / "scores.csv" if path.is_dir() else path
    if not file.exists():
        if not path.exists():
            raise DataError(Problem(str(path), "there is no such file or folder"))
        fix = "A run has one when it is complete (semiseg run … --resume); semiseg evaluate … -o writes one."
        raise DataError(Problem(str(path), "contains no scores.csv", fix))
    scores = read_scores(file) if scores is None else scores
    chosen = _choose(path, scores, checkpoint)
    folder = _folder(file)
    recipe = read_yaml(folder / "recipe.yaml")[0] if (folder / "recipe.yaml").exists() else {}
    rows = [score for score in scores if score.checkpoint == chosen]
    return ScoredRun(path, chosen, _by_key(path, rows), recipe, _summary(folder / "summary.json"))


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _choose(path: Path, scores: Sequence[Score], wanted: str | None) -> str:
    found = list(dict.fromkeys(score.checkpoint for score in scores))
    if not found:
        raise DataError(Problem(str(path), "contains no scores"))
    if found == [""] or (wanted is None and len(found) == 1):
        return found[0]
    if (wanted or "last") not in found:
        known = ", ".join(name or "(none)" for name in found)
        raise DataError(Problem(str(path), f"has no scores of the checkpoint {wanted or 'last'!r}; it has {known}"))
    return wanted or "last"


def _by_key(path: Path, rows: Sequence[Score]) -> dict[Key, Score]:
    runs = sorted({score.run for score in rows})
    count = Counter((score.metric, score.class_name, score.case) for score in rows)
    twice = {key: times for key, times in count.items() if times > 1}
    if twice and len(runs) > 1:
        common = list(dict.fromkeys(case for _, _, case in twice))
        what = f"contains scores of {len(runs)} runs: {', '.join(map(repr, runs))}; some cases twice: {some(common, 5)}"
        fix = "Give each run a table of its own; one table may hold folds, which have no case in common."
        raise DataError(Problem(str(path), what, fix))
    problems = [
        Problem(str(path), f"{metric} of {name} of case {case} occurs {times} times")
        for (metric, name, case), times in twice.items()
    ]
    raise_all(problems, DataError)
    return {(score.metric, score.class_name, score.case): score for score in rows}


def _summary(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(Problem(str(path), f"cannot be read: {error}", _WITHOUT)) from error
    if not isinstance(summary, dict):
        raise DataError(Problem(str(path), "is not what semiseg wrote: no JSON object", _WITHOUT))
    try:
        _Told.model_validate(summary)
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise DataError(Problem(str(path), f"is not what semiseg wrote: {key} is of another type", _WITHOUT)) from error
    return summary


_WITHOUT = "The scores can be compared without this file."


class _Told(BaseModel):
    """The keys of summary.json that a comparison uses, all optional."""

    cases: dict[str, int] = {}
    metric_versions: dict[str, int | str] = {}
    recipe_hash: str = ""
    evaluation_hash: str = ""
    cases_hash: str = ""
