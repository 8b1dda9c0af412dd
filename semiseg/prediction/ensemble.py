"""The models of several runs that predict together."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from semiseg.engine.runtime import Runtime
from semiseg.errors import Problem, RunError, raise_all
from semiseg.inference.image import Limit, Member
from semiseg.messages import some
from semiseg.pipeline.model import KeptModel, Model, kept_model
from semiseg.pipeline.predictions import CHECKPOINTS, weights_digest
from semiseg.prediction.precision import runtime_for
from semiseg.preprocessing.spacing import spacing_note
from semiseg.progress import Reporter
from semiseg.types import Geometry

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

    def spacing_note(self, grids: Mapping[str, Geometry]) -> str:
        """Return a note on images, by name, whose spacing is unlike that of the training cases; empty without."""
        options = self.model.recipe.preprocessing
        slices = options.slice_axis if self.model.task.spatial_dims == 2 else None
        return spacing_note(self.kept.record.get("spacing"), grids, slices, options.resamples)

    def member(self) -> Member:
        """Return the model for predicting images, together with others."""
        return self.model.member(self.runtime.device, self.mirror)


def load_runs(
    run: str | Path | Sequence[str | Path], checkpoint: str, device: str, mirror: bool | None, reporter: Reporter
) -> list[LoadedRun]:
    """Load the model of a run, or those of several, which must have the same modalities and outputs.

    ``mirror``: mirror, or not; by default as each run's recipe says.

    Raises RunError for an unknown checkpoint or no run, and, with all differences, if the runs do not belong together
    or cannot be mirrored.
    """
    if checkpoint not in CHECKPOINTS:
        raise RunError(f"There is no checkpoint {checkpoint!r}.", f"Choose one of {', '.join(CHECKPOINTS)}.")
    runs = [Path(run)] if isinstance(run, str | Path) else [Path(path) for path in run]
    if not runs:
        raise RunError("No run is given.", "Name a run folder.")
    require_runs(runs)
    kept = [kept_model(path) for path in runs]
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


def limit_of(runs: Sequence[LoadedRun], asked: float | Literal["auto"] | None) -> Limit:
    """Return the limit of memory for an image, as asked in GiB, or the lowest of the runs' recipes. Raises RunError."""
    if asked is not None:
        if asked != "auto" and not 0 < asked < math.inf:
            raise RunError(f"The limit of memory is {asked} GiB.", "Give a number above 0, or auto.")
        return Limit.of(asked)
    limits = [Limit.of(run.model.recipe.inference.memory_gib) for run in runs]
    return min(limits, key=lambda limit: (not limit.strict, limit.bytes))


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
