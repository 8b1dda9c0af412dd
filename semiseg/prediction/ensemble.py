"""The models of several runs that predict together."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.engine.runtime import Runtime
from semiseg.errors import Problem, RunError, raise_all
from semiseg.inference.image import Member
from semiseg.messages import some
from semiseg.pipeline.model import KeptModel, Model, kept_model
from semiseg.pipeline.predictions import weights_digest
from semiseg.prediction.precision import runtime_for
from semiseg.progress import Reporter

_RUN = "model.json"


@dataclass(frozen=True)
class LoadedRun:
    """A run with its model, on its device, and the digest of its weights."""

    kept: KeptModel
    model: Model
    runtime: Runtime
    weights: str
    mirror: bool

    @property
    def name(self) -> str:
        """The run folder."""
        return str(self.kept.folder.path)

    def member(self) -> Member:
        """Return the model for predicting images, together with others."""
        return self.model.member(self.runtime.device, self.mirror)


def load_runs(
    runs: Sequence[Path], checkpoint: str, device: str, mirror: bool | None, reporter: Reporter
) -> list[LoadedRun]:
    """Load the models of runs, which must have the same modalities and outputs.

    ``mirror``: mirror, or not; by default as each run's recipe says.

    Raises RunError, with all differences, if the runs do not belong together or cannot be mirrored.
    """
    require_runs(runs)
    kept = [kept_model(run) for run in runs]
    raise_all([problem for other in kept[1:] for problem in _differences(kept[0], other)], RunError)
    said: list[str] = []
    loaded = []
    for one in kept:
        runtime, notes = runtime_for(one, device)
        for note in notes:
            if note not in said:  # the same for several runs
                said.append(note)
                reporter.say(f"Note: {note}")
        model = one.load(checkpoint, runtime, reporter.say)
        # A run that is still training may replace its best weights at any time, so hash them right away.
        digest = weights_digest(one.folder, checkpoint)
        wanted = model.recipe.inference.mirror if mirror is None else mirror
        loaded.append(LoadedRun(one, model, runtime, digest, wanted))
    raise_all([_unmirrored(run) for run in loaded if run.mirror and not run.model.flipped_axes], RunError)
    return loaded


def require_runs(runs: Sequence[Path]) -> None:
    """Raise RunError, naming the runs below a folder, if it is not a run itself; and if a run is given twice."""
    problems = []
    for run in runs:
        if (run / _RUN).exists() or not run.is_dir():
            continue
        below = sorted({path.parent for depth in ("*", "*/*", "*/*/*") for path in run.glob(f"{depth}/{_RUN}")})
        if below:
            what = f"it is not a run folder, but contains {len(below)}: {some([str(path) for path in below], 20)}"
            problems.append(Problem(str(run), what, "Name those that should predict together."))
    resolved = [run.resolve() for run in runs]
    twice = sorted({str(run) for run in resolved if resolved.count(run) > 1})
    problems += [Problem(run, "the run is given more than once", "Name each run once.") for run in twice]
    raise_all(problems, RunError)


def weights_of(runs: Sequence[LoadedRun]) -> str:
    """Return the digest of a run's weights, or that of the digests of several, in any order."""
    if len(runs) == 1:
        return runs[0].weights
    return hashlib.sha256("".join(sorted(run.weights for run in runs)).encode()).hexdigest()


def _differences(one: KeptModel, other: KeptModel) -> list[Problem]:
    """Return the problems of predicting with two runs together."""
    compared = {
        "modalities": [run.record["modalities"] for run in (one, other)],
        "classes": [run.record["classes"] for run in (one, other)],
        "label values": [run.record["class_values"] for run in (one, other)],
        "outputs": [_outputs(run) for run in (one, other)],
    }
    fix = "Runs that predict together have the same modalities and outputs, in the same order. Predict with each alone."
    return [
        Problem(str(other.folder.path), f"its {name} are {theirs}, and those of {one.folder.path} are {ours}", fix)
        for name, (ours, theirs) in compared.items()
        if ours != theirs
    ]


def _outputs(run: KeptModel) -> Any:
    regions = run.record.get("regions")
    return [f"{name}: {', '.join(members)}" for name, members in regions] if regions else "one per class"


def _unmirrored(run: LoadedRun) -> Problem:
    name = run.model.recipe.augmentation.name
    what = f"its augmentation, {name}, flips no axis, so that there is nothing to mirror"
    return Problem(run.name, what, "Use --no-mirror: mirrored images would be unlike those that it was trained on.")
