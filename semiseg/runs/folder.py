"""The run folder: its files, and whether a recipe may continue in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from semiseg.data.split import ROLES
from semiseg.errors import Problem, RecipeError, RunError
from semiseg.io.atomic import append_line, sweep_temporaries, write_json, write_text
from semiseg.io.json import read_json
from semiseg.io.lock import is_of_lock
from semiseg.messages import some
from semiseg.recipe.diff import EPOCHS, Change, Continuation, changes, continuation, data_paths, recipe_hash
from semiseg.recipe.dump import dump_recipe
from semiseg.recipe.schema import Recipe
from semiseg.recipe.yaml import read_yaml
from semiseg.runs.belonging import json_digest
from semiseg.runs.checkpoint import checksum_file, weights_file
from semiseg.runs.environment import environment, records
from semiseg.runs.log import JsonLog

EXTENDED, RESCORED = "extended", "rescored"
"""Keys of environment.json: trainings for more epochs, and changes of how test cases are predicted and scored."""
LASTING = "recipe_but_epochs"
"""Key of model.json, and of records of such changes."""


class _Id(BaseModel):
    id: str


class _Split(BaseModel):
    labeled: list[_Id]
    unlabeled: list[_Id]
    validation: list[_Id]
    test: list[_Id]


class RunFolder:
    """The paths and contents of a run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.recipe = self.path / "recipe.yaml"
        self.split = self.path / "split.json"
        self.environment = self.path / "environment.json"
        self.model = self.path / "model.json"
        self.initial_weights = self.path / "initial_weights.pt"
        self.initial_report = self.path / "initial_weights.json"
        self.plan = self.path / "plan.txt"
        self.log = self.path / "log.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.published_weights = self.path / "model.safetensors"
        self.pseudo_labels = self.path / "pseudo_labels"
        self.pseudo_label_files = self.path / "pseudo_label_files.json"
        self.predictions = self.path / "predictions"
        self.agreement = self.path / "agreement"
        self.postprocessing = self.path / "postprocessing.json"
        self.quality = self.path / "quality.json"
        self.expected = self.path / "quality.csv"
        self.scores = self.path / "scores.csv"
        self.summary = self.path / "summary.json"
        self.preview = self.path / "preview.png"
        self.report = self.path / "report.html"
        self.test_openings = self.path / "test_openings.jsonl"

    def weights(self, checkpoint: str) -> Path:
        """Return the path of ``last`` or ``best``; in a published run, of its only weights."""
        return self.published_weights if self.is_published else weights_file(self.checkpoints, checkpoint)

    @property
    def is_published(self) -> bool:
        """Whether this is not a run folder but a model repository made from one (``semiseg export huggingface``)."""
        return self.published_weights.exists() and not self.checkpoints.exists()

    @property
    def is_finished(self) -> bool:
        """Whether the run has its scores and their summary, which is written last."""
        return self.summary.exists() and self.scores.exists()

    def log_records(self) -> list[dict[str, Any]]:
        """Return the log's records, one per epoch; damaged lines are skipped."""
        return JsonLog(self.log).read()

    def prepare(self, recipe: Recipe, resume: bool) -> Continuation:
        """Check that the folder is free, or that this recipe may continue in it.

        Returns what the recipe changes of the run that is there.

        Raises RunError if the folder is not empty and ``resume`` is not set, or if the recipe has other changes.
        """
        sweep_temporaries(self.path)
        if self.recipe.exists():
            if not resume:
                raise RunError(
                    f"{self.path} already contains a run.", "Continue it with --resume, or choose another --output."
                )
            return self._refuse_changes(recipe)
        if self.path.exists() and any(not self._is_of_a_start(path) for path in self.path.iterdir()):
            raise RunError(f"{self.path} is not empty and does not contain a run.", "Choose another --output.")
        return Continuation()

    def _is_of_a_start(self, path: Path) -> bool:
        """Return whether a file may exist without a run: recipe.yaml is written last, and locks may outlive a kill."""
        initial = {self.initial_weights, checksum_file(self.initial_weights), self.initial_report}
        of_a_start = {self.split, self.model, self.environment, self.plan, self.pseudo_label_files, *initial}
        return path in of_a_start or is_of_lock(path)

    def read_split(self) -> dict[str, Any]:
        """Return split.json. Raises RunError if it cannot be read."""
        return read_json(self.split, _Split)

    def require_split(self, split: Mapping[str, Any]) -> None:
        """Check that every case still has its role from the start of the run.

        A count in a recipe draws from the available cases. With one case more or less, a training case may be drawn as
        a test case.

        Args:
            split: the result of ``Split.as_dict``.

        Raises RunError, naming the cases by their old and new role.
        """
        before, now = _roles(self.read_split()), _roles(split)
        moved: dict[tuple[str, str], list[str]] = {}
        for case_id in {**before, **now}:
            old, new = before.get(case_id, "absent"), now.get(case_id, "absent")
            if old != new:
                moved.setdefault((old, new), []).append(case_id)
        if moved:
            raise RunError(
                [Problem(some(ids), f"was {old}, would be {new}") for (old, new), ids in moved.items()]
                + [
                    Problem(
                        str(self.split),
                        "The dataset's cases have changed since this run began, so their roles would be redrawn.",
                        "Restore the old cases (and no others), or choose another --output.",
                    )
                ]
            )

    def write_start(
        self, recipe: Recipe, split: dict[str, Any], model: dict[str, Any], plan: Sequence[str] = ()
    ) -> None:
        """Write the files known before training. ``recipe.yaml`` comes last and makes the folder a run.

        ``plan`` says in words what was planned from the data; the values are in the model.
        """
        if plan:
            write_text(self.plan, "".join(f"{line}.\n" for line in plan))
        write_json(self.split, split)
        self.write_model(recipe, model)
        write_json(self.environment, environment())
        write_text(self.recipe, dump_recipe(recipe))

    def planned(self) -> Mapping[str, Any]:
        """Return the values that the run began with in place of "auto", by key; empty if there are none, or no run.

        Raises RunError if they were edited.
        """
        try:
            record = json.loads(self.model.read_text(encoding="utf-8"))
            found, digest = record.get("planned", {}), record.get(_PLANNED)
        except (OSError, ValueError, AttributeError):
            return {}
        if not isinstance(found, dict):
            return {}
        if digest is not None and digest != json_digest(found):
            what = "its planned values are not those that the run began with: it was edited"
            raise RunError(Problem(str(self.model), what, _BACK))
        return found

    def write_model(self, recipe: Recipe, model: Mapping[str, Any]) -> None:
        """Write model.json with the hash of its recipe without data paths.

        It also has the hash without epochs of the recipe that the run began with, by which its weights know it.
        """
        paths = data_paths(recipe)
        lasting = self._lasting_hash() or recipe_hash(recipe, [*paths, EPOCHS])
        planned = {_PLANNED: json_digest(model["planned"])} if model.get("planned") else {}
        hashes = {"recipe": recipe_hash(recipe, paths), LASTING: lasting, "data_paths": paths}
        write_json(self.model, {**model, **planned, **hashes})

    def _lasting_hash(self) -> str:
        """Return the hash that model.json has of the recipe without epochs, or had when results were last changed."""
        if not self.recipe.exists():
            return ""  # a model.json without a run is of a start that was killed
        try:
            return str(read_json(self.model)[LASTING])
        except (RunError, KeyError):
            changed = records(self.environment, RESCORED)
            return str(changed[-1].get(LASTING, "")) if changed else ""

    def kept_recipe(self) -> dict[Any, Any]:
        """Return recipe.yaml as plain data. Raises RunError if it is damaged or not the recipe the run began with."""
        try:
            written = read_yaml(self.recipe)[0]
        except RecipeError as error:
            raise RunError(Problem("", f"{error.problems[0].what.rstrip('.')}: the file is damaged.", _BACK)) from error
        (began, paths), what = self._began_with(), ""
        if began and recipe_hash(written, paths) != began:
            what = "the file is damaged or was edited: it is not the recipe that the run began with"
        elif lacking := [] if began else [key for key in Recipe.model_fields if key not in written]:
            what = f"the file is damaged: it lacks {some(lacking)}"
        if what:
            raise RunError(Problem(str(self.recipe), what, _BACK))
        return written

    def _began_with(self) -> tuple[str, list[str]]:
        """Return the hash of the recipe that the run began with, and the keys excluded from it.

        The hash is empty if unknown: for an earlier version, or if model.json is damaged.
        """
        try:
            model = json.loads(self.model.read_text(encoding="utf-8"))
            return str(model["recipe"]), list(map(str, model["data_paths"]))
        except (OSError, ValueError, LookupError, TypeError):
            return "", []

    def _is_as_begun(self, recipe: Recipe | Mapping[str, Any]) -> bool:
        began, paths = self._began_with()
        return recipe_hash(recipe, paths) == began

    def _changes(self, recipe: Recipe) -> list[Change]:
        """Return changes from recipe.yaml; if it is damaged, none if the run began with this recipe, else RunError."""
        try:
            return changes(self.kept_recipe(), recipe)
        except RunError:
            if self._is_as_begun(recipe):
                return []
            raise

    def recipe_problems(self, recipe: Recipe) -> list[Problem]:
        """Return differences from the run's recipe; a damaged recipe.yaml counts as none if the run began with this."""
        try:
            return [change.problem() for change in self._changes(recipe)]
        except RunError as error:
            return list(error.problems)

    def mend_recipe(self, recipe: Recipe) -> str:
        """Rewrite a damaged recipe.yaml if the run began with this recipe; return a message, or ""."""
        if not self.recipe.exists() or not self._is_as_begun(recipe):
            return ""
        try:
            self.kept_recipe()
        except RunError:
            write_text(self.recipe, dump_recipe(recipe))
            return f"{self.recipe} was damaged or edited and has been restored to the recipe that the run began with"
        return ""

    def _refuse_changes(self, recipe: Recipe) -> Continuation:
        changed = self._changes(recipe)
        continued = continuation(changed)
        if continued is None:
            *first, last = [change.problem() for change in changed]
            fix = (
                "A run cannot continue with a different recipe, except with more training.epochs, or with another "
                "inference.mirror, inference.postprocess or evaluation. Give the same --set again, use the run's own "
                f"recipe, {self.recipe}, or choose another --output."
            )
            raise RunError([*first, replace(last, fix=fix)])
        return continued

    def extensions(self) -> list[list[int]]:
        """Return the run's number of epochs before and after each extension."""
        return [record["epochs"] for record in records(self.environment, EXTENDED) if "epochs" in record]

    def open_test_set(self, purpose: str, details: dict[str, Any]) -> None:
        """Record that the test cases are being read, in an append-only log."""
        record = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "purpose": purpose, **details}
        append_line(self.test_openings, json.dumps(record))


_PLANNED = "planned_sha256"
"""Key in model.json of the digest of the planned values."""
_BACK = (
    "Restore it from a copy. Or run `semiseg run RECIPE -o FOLDER --resume` with the recipe that the run began with,"
    " which rewrites it."
)


def _roles(split: Mapping[str, Any]) -> dict[str, str]:
    return {case["id"]: role for role in ROLES for case in split[role]}
