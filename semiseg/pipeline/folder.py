"""The run folder: what it holds, who may use it, and whether a recipe may continue in it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from semiseg.data.split import ROLES
from semiseg.engine.checkpoint import weights_file
from semiseg.engine.lock import is_of_lock
from semiseg.errors import Problem, RunError
from semiseg.io.atomic import sweep_temporaries, write_json, write_text
from semiseg.io.json import read_json
from semiseg.pipeline.environment import changes_since, environment
from semiseg.recipe.compare import changes, epochs_before
from semiseg.recipe.dump import dump_recipe
from semiseg.recipe.schema import Recipe
from semiseg.recipe.yaml import read_yaml
from semiseg.wording import some


class RunFolder:
    """Paths of a run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.recipe = self.path / "recipe.yaml"
        self.split = self.path / "split.json"
        self.environment = self.path / "environment.json"
        self.model = self.path / "model.json"
        self.log = self.path / "log.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.pseudo_labels = self.path / "pseudo_labels"
        self.predictions = self.path / "predictions"
        self.scores = self.path / "scores.csv"
        self.summary = self.path / "summary.json"
        self.preview = self.path / "preview.png"
        self.report = self.path / "report.html"
        self.test_openings = self.path / "test_openings.jsonl"

    def weights(self, checkpoint: str) -> Path:
        """Where ``last`` or ``best`` stands."""
        return weights_file(self.checkpoints, checkpoint)

    def log_records(self) -> list[dict[str, Any]]:
        """The records of the log, an epoch each; a line that was cut is left out, and so is all where there is none."""
        records = []
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        for line in text.splitlines():
            with suppress(ValueError):
                records.append(json.loads(line))
        return [record for record in records if isinstance(record, dict) and "epoch" in record]

    def prepare(self, recipe: Recipe, resume: bool) -> int | None:
        """Make the folder, or make sure that this recipe may continue in it.

        Returns the epochs that the run there was to have, where the recipe differs in nothing but that it has more.

        Raises RunError where it holds something and ``resume`` is not asked for, or the recipe has changed otherwise.
        """
        sweep_temporaries(self.path)
        if self.recipe.exists():
            if not resume:
                raise RunError(
                    f"{self.path} already holds a run.", "Continue it with --resume, or choose another --output."
                )
            return self._refuse_changes(recipe)
        if self.path.exists() and any(not self._is_of_a_start(path) for path in self.path.iterdir()):
            raise RunError(f"{self.path} is not empty and holds no run.", "Choose another --output.")
        return None

    def _is_of_a_start(self, path: Path) -> bool:
        """Whether a file may be there though no run is: recipe.yaml comes last, and locks may outlive a kill."""
        return path in {self.split, self.model, self.environment} or is_of_lock(path)

    def require_split(self, split: Mapping[str, Any]) -> None:
        """Make sure that every case still has the role that it had when the run began.

        A count in a recipe draws from the cases that are there. With one more or one less of them a case that was
        trained on may be drawn as a test case.

        Args:
            split: as ``Split.as_dict`` gives it.

        Raises RunError, naming the cases by their old and new role.
        """
        before, now = _roles(read_json(self.split)), _roles(split)
        moved: dict[tuple[str, str], list[str]] = {}
        for case_id in {**before, **now}:
            old, new = before.get(case_id, "not there"), now.get(case_id, "not there")
            if old != new:
                moved.setdefault((old, new), []).append(case_id)
        if moved:
            raise RunError(
                [Problem(some(ids), f"was {old}, would be {new}") for (old, new), ids in moved.items()]
                + [
                    Problem(
                        str(self.split),
                        "The dataset has other cases than when this run began, and its roles would be drawn anew.",
                        "Bring the old cases back (and no others), or choose another --output.",
                    )
                ]
            )

    def write_start(self, recipe: Recipe, split: dict[str, Any], model: dict[str, Any]) -> None:
        """Write what is known before training. ``recipe.yaml`` comes last: with it, the folder is a run."""
        write_json(self.split, split)
        write_json(self.model, model)
        write_json(self.environment, environment())
        write_text(self.recipe, dump_recipe(recipe))

    def _refuse_changes(self, recipe: Recipe) -> int | None:
        changed = changes(read_yaml(self.recipe)[0], recipe)
        before = epochs_before(changed)
        if changed and before is None:
            *first, last = [Problem(c.key, f"was {c.old!r}, is {c.new!r}") for c in changed]
            fix = "A run cannot go on with another recipe, save with more training.epochs. Undo the changes, or choose"
            raise RunError([*first, replace(last, fix=f"{fix} another --output.")])
        return before

    def note_resumption(self) -> str:
        """Add to environment.json in what the machine differs from the one that the run began on; says it, or ""."""
        try:
            first = json.loads(self.environment.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""  # it is for readers; a run goes on without
        changed = changes_since(first, environment())
        if changed:
            write_json(self.environment, {**first, "resumed": [*first.get("resumed", []), changed]})
        return changed

    def extensions(self) -> list[list[int]]:
        """The epochs that the run was to have, before and after, for each time that it was given more."""
        try:
            return [record["epochs"] for record in read_json(self.environment).get("extended", [])]
        except (RunError, KeyError, TypeError):
            return []

    def open_test_set(self, purpose: str, details: dict[str, Any]) -> None:
        """Note that the test cases are being read, in a log that is only ever added to."""
        record = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "purpose": purpose, **details}
        with self.test_openings.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def _roles(split: Mapping[str, Any]) -> dict[str, str]:
    return {case["id"]: role for role in ROLES for case in split[role]}
