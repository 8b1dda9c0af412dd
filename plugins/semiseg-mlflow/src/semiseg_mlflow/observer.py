"""An observer that keeps a run in MLflow."""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.plugin import ComponentOptions, ObservedRun, Observer

KEPT = "mlflow.json"
"""File of the run folder with the tracking URI and the id of the run in MLflow."""
FAILURE = "semiseg.failure"
"""Tag with the reason for which a run ended early."""
MOST_PARAMS, MOST_METRICS, LONGEST = 100, 1000, 6000
"""MLflow's limits: params and metrics in a batch, characters of a param."""


class MLflow(Observer):
    """Keeps recipe, curves, test scores and report in MLflow; a resumed run stays one run there.

    Source: MLflow, https://mlflow.org/docs/latest/ml/tracking. The recipe's values are params by their keys, such as
    ``training.optimizer.lr``, curves and scores are metrics by step, and files are artifacts.
    """

    class Options(ComponentOptions):
        """Options of ``--observe mlflow:OPTION=VALUE``."""

        tracking_uri: str = ""
        """Server or database, such as http://host:5000 or sqlite:///runs.db; if empty, MLflow's own choice, which is
        that of MLFLOW_TRACKING_URI."""
        experiment: str = "semiseg"
        """Name of the experiment, which is created if there is none."""

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options)
        self._client: Any = None
        self._run = ""
        self._last = 0

    def begin(self, run: ObservedRun) -> None:
        """Create the run in MLflow, or continue the one whose id is in the run folder."""
        from mlflow.tracking import MlflowClient  # here, because lists of components import this module, too

        # Not earlier: it connects to databases, and an error from here on costs the observer, not the run.
        self._client = MlflowClient(tracking_uri=self.options.tracking_uri or None)
        kept = run.folder / KEPT
        found = self._existing(kept) if run.resumed else None
        if found is None:
            tags = {"semiseg.folder": str(run.folder.absolute())}
            found = self._client.create_run(self._experiment(), run_name=run.name, tags=tags)
            record = {"tracking_uri": self._client.tracking_uri, "run_id": found.info.run_id}
            kept.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        self._run = found.info.run_id
        self._last = self._last_step(found)
        self._client.update_run(self._run, status="RUNNING")
        if FAILURE in found.data.tags:
            self._client.delete_tag(self._run, FAILURE)
        self._write_recipe(run.recipe, found.data.params)

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Write a metric for each value, unless MLflow has the step from before the run was resumed."""
        if step > self._last:
            self._write(values, step)
            self._last = step

    def end(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """Write the scores at the last step, upload the files, and mark the run as finished."""
        self._write(scores, self._last)
        for path in files:
            self._client.log_artifact(self._run, str(path))
        self._client.set_terminated(self._run, "FINISHED")

    def fail(self, reason: str) -> None:
        """Mark the run as failed, with the reason as a tag."""
        self._client.set_tag(self._run, FAILURE, reason[:LONGEST])
        self._client.set_terminated(self._run, "FAILED")

    def _existing(self, kept: Path) -> Any:
        """Return the run whose id is kept; None if it is of another store, or was deleted there."""
        from mlflow.exceptions import MlflowException

        if not kept.exists():
            return None
        record = json.loads(kept.read_text(encoding="utf-8"))
        if record["tracking_uri"] != self._client.tracking_uri:
            return None
        try:
            found = self._client.get_run(record["run_id"])
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return found if found.info.lifecycle_stage == "active" else None

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.options.experiment)
        return str(found.experiment_id if found else self._client.create_experiment(self.options.experiment))

    def _last_step(self, run: Any) -> int:
        histories = (self._client.get_metric_history(run.info.run_id, key) for key in run.data.metrics)
        return max((point.step for history in histories for point in history), default=0)

    def _write_recipe(self, recipe: Mapping[str, Any], written: Mapping[str, str]) -> None:
        """Write the recipe's values as params; MLflow's never change, so that changed ones become tags."""
        from mlflow.entities import Param

        values = {_key(key): value[:LONGEST] for key, value in flat(recipe)}
        new = [Param(key, value) for key, value in values.items() if key not in written]
        for start in range(0, len(new), MOST_PARAMS):
            self._client.log_batch(self._run, params=new[start : start + MOST_PARAMS])
        for key, value in values.items():
            if written.get(key, value) != value:
                self._client.set_tag(self._run, f"resumed.{key}", value)

    def _write(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_key(name), value, now, step) for name, value in values.items()]
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self._run, metrics=metrics[start : start + MOST_METRICS])


def flat(recipe: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of nested mappings by their keys, joined with dots: texts as they are, others as JSON."""
    for key, value in recipe.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return re.sub(r"[^\w\-. :/]", "_", name)  # what MLflow permits in names
