"""The study folder: its content, and the run that belongs to each model."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from semiseg.errors import Problem, RunError, SemisegError
from semiseg.io.atomic import write_json, write_text
from semiseg.io.json import read_json
from semiseg.pipeline.plan import Plan
from semiseg.recipe.diff import recipe_hash, training_hash
from semiseg.recipe.dump import dump_recipe, to_yaml
from semiseg.recipe.yaml import read_yaml
from semiseg.runs.folder import RunFolder
from semiseg.study.load import Study
from semiseg.study.models import StudyModel
from semiseg.study.published import FOLDER


class _Model(BaseModel):
    name: str
    run: str
    setting: str
    method: str
    labeled: int
    total: int
    recipe_hash: str
    evaluation_hash: str
    cases_hash: str


class _Manifest(BaseModel):
    """Keys of study.json that readers rely on; others may be present."""

    name: str
    baseline: str
    checkpoint: Literal["last", "best"]
    published: str | None
    seeds: list[int]
    training_cases: int
    evaluation_hash: str
    models: list[_Model]


class StudyFolder:
    """Paths of a study folder."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.manifest = self.path / "study.json"
        self.published = self.path / FOLDER
        self.study_recipe = self.path / "study.yaml"
        self.recipes = self.path / "recipes"
        self.models = self.path / "models"
        self.logs = self.path / "logs"
        self.jobs = self.path / "jobs"
        self.choices = self.path / "choices"
        self.report = self.path / "report"

    def run(self, name: str) -> RunFolder:
        """Return a model's run folder."""
        return RunFolder(self.models / name)

    def recipe(self, name: str) -> Path:
        """Return the path of a model's resolved recipe, the input of ``semiseg run``."""
        return self.recipes / f"{name}.yaml"

    def log(self, name: str) -> Path:
        """Return the path of the log of a model's run."""
        return self.logs / f"{name}.log"

    def choice(self, name: str) -> Path:
        """Return the path of the labeled cases chosen for a model."""
        return self.choices / f"{name}.json"

    def read(self) -> dict[str, Any]:
        """Return the content of study.json. Raises RunError if it is missing or damaged."""
        if not self.manifest.exists():
            fix = "`semiseg study run RECIPE -o FOLDER` creates one."
            raise RunError(Problem(str(self.path), "contains no study (no study.json)", fix))
        return read_json(self.manifest, _Manifest, "Run `semiseg study run` again to rewrite it.")

    def places(self, models: Sequence[StudyModel]) -> dict[str, str]:
        """Return for each model the name of its run: its own, or that of an earlier run with an equivalent recipe.

        An extended study, which may rename its models, thus keeps the runs it has, and one that predicts and scores
        test cases in another way keeps its trainings. Raises RunError, listing all conflicts, if a model's folder holds
        the run of another recipe.
        """
        runs = dict(self._earlier())
        exact = {recipe_hash(recipe): name for name, recipe in runs.items()}
        alike = {training_hash(recipe): name for name, recipe in runs.items()}
        places = {model.name: exact[model.hash] for model in models if model.hash in exact}
        problems: list[Problem] = []
        for model in models:
            if model.name in places:
                continue
            here, found = self.run(model.name), alike.get(training_hash(model.recipe))
            if found and found not in places.values():
                places[model.name] = found
            elif here.recipe.exists():
                problems += self._changed(model, here)
            else:
                places[model.name] = model.name
        if problems:
            *first, last = problems
            fix = (
                "A model cannot be resumed with another recipe. Undo the changes, delete or rename these folders in "
                f"{self.models}, or choose another --output."
            )
            raise RunError([*first, replace(last, fix=f"{last.fix} {fix}".strip())])
        return places

    def outdated(self, models: Sequence[StudyModel], places: Mapping[str, str]) -> list[str]:
        """Return the models whose runs have other settings for predicting and scoring test cases than the study."""
        hashes = {name: recipe_hash(recipe) for name, recipe in self._earlier()}
        return [model.name for model in models if hashes.get(places[model.name], model.hash) != model.hash]

    def _earlier(self) -> Iterator[tuple[str, dict[Any, Any]]]:
        """Return runs by name, with their recipes; of equivalent ones the last has scores, or is the first by name."""
        found = sorted(self.models.glob("*/recipe.yaml"), reverse=True)
        for recipe in sorted(found, key=lambda path: self.run(path.parent.name).summary.exists()):
            with suppress(SemisegError):  # a damaged recipe is reported when its model is run
                yield recipe.parent.name, read_yaml(recipe)[0]

    def _changed(self, model: StudyModel, here: RunFolder) -> list[Problem]:
        return [
            replace(problem, where=f"{model.name}: {problem.where}" if problem.where else model.name)
            for problem in here.recipe_problems(model.recipe)
        ]

    def write(self, study: Study, plans: Mapping[str, Plan], places: Mapping[str, str]) -> None:
        """Write the models' recipes, a copy of the published values, and study.json with both hashes of each model's
        split.
        """
        known = [model for model in study.models if not model.is_waiting]
        outdated = self.outdated(known, places)
        for model in known:
            place = places[model.name]
            if not self.run(place).recipe.exists() or not self.recipe(place).exists() or model.name in outdated:
                write_text(self.recipe(place), dump_recipe(model.recipe))
        if study.published:
            write_text(self.published / study.published.name, study.published.read_text(encoding="utf-8"))
        write_text(self.study_recipe, to_yaml(study.as_data()))
        write_json(self.manifest, _manifest(study, plans, places))


def _manifest(study: Study, plans: Mapping[str, Plan], places: Mapping[str, str]) -> dict[str, Any]:
    recipe = study.recipe
    first = next(iter(plans.values()))
    waiting = {model.name: model.acquired.after for model in study.models if model.is_waiting and model.acquired}
    return {
        "name": study.name,
        "baseline": recipe.baseline,
        "checkpoint": recipe.checkpoint,
        "published": recipe.published,
        "seeds": recipe.seeds,
        "training_cases": _training_cases(plans),
        "evaluation_hash": first.split.evaluation_hash,
        "dataset": first.info.name,
        "classes": list(first.info.classes),
        "models": [
            _record(model, plans[model.name], places[model.name]) for model in study.models if not model.is_waiting
        ],
        **({"waiting": waiting} if waiting else {}),
    }


def _record(model: StudyModel, plan: Plan, run: str) -> dict[str, Any]:
    labeled = plan.split.n_labels
    unlabeled = len(plan.split.unlabeled) if model.draws_unlabeled else 0
    how = model.acquired
    return {
        "name": model.name,
        "run": run,
        "setting": model.setting,
        "method": model.method,
        "labeled": labeled,
        "total": labeled + unlabeled,
        "seed": model.seed,
        **({} if model.fold is None else {"fold": model.fold}),
        **({} if how is None else {"acquisition": {"rule": how.rule, "after": how.after}}),
        "recipe_hash": model.hash,
        "evaluation_hash": plan.split.evaluation_hash,
        "cases_hash": plan.split.cases_hash,
    }


def _training_cases(plans: Mapping[str, Plan]) -> int:
    """Return the largest number of training cases in any model's split, used by its method or not.

    The validation cases of a fold are included: other folds train on them.
    """
    return max(plan.split.n_labels + len(plan.split.unlabeled) for plan in plans.values())
