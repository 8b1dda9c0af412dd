"""What a source of weights in a recipe refers to: a network of an earlier run, or a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from semiseg.errors import Problem, RecipeError
from semiseg.messages import nearest
from semiseg.pipeline.initial_weights.earlier_run import EarlierRun, open_run
from semiseg.pipeline.initial_weights.weight_files import read_weights
from semiseg.recipe.blocks.initial_weights import WeightsSource

_OF_RUNS = {"role": None, "checkpoint": "best", "overlap": "refuse"}
_OF_FILES = {"key": None, "prefix": None}


@dataclass(frozen=True)
class Origin:
    """Weights of one network, as found.

    Attributes:
        title: the weights in a sentence.
        file: the file that holds them.
        read: reads them, on the "cpu", or on "meta" for names and shapes only.
        chosen: what was chosen in the file or run, for the record.
        run: the earlier run, if they are of one.
        role: the network in that run.
        notes: notes for the user.
    """

    title: str
    file: Path
    read: Callable[[str], Mapping[str, Tensor]]
    chosen: Mapping[str, Any]
    run: EarlierRun | None = None
    role: str = ""
    notes: tuple[str, ...] = ()


def find_origin(source: WeightsSource, role: str) -> Origin:
    """Return what a source refers to, for a role of this run. Raises SemisegError with what is wrong with it."""
    path = source.path
    if not path.exists():
        raise RecipeError(Problem(str(path), "does not exist.", "Give a run folder, or a file of weights."))
    _refuse_options(source)
    return _of_run(source, role) if path.is_dir() else _of_file(source)


def _refuse_options(source: WeightsSource) -> None:
    is_run = source.path.is_dir()
    without_use = _OF_FILES if is_run else _OF_RUNS
    given = [name for name, default in without_use.items() if getattr(source, name) != default]
    if given:
        kinds = ("a run folder", "a file") if is_run else ("a file", "a run folder")
        what = f"is {kinds[0]}, and {', '.join(given)} {'is' if len(given) == 1 else 'are'} for {kinds[1]}."
        raise RecipeError(Problem(str(source.path), what, f"Remove {', '.join(given)}."))


def _of_run(source: WeightsSource, role: str) -> Origin:
    run = open_run(source.path, source.checkpoint)
    if source.role is not None and source.role not in run.roles:
        what = f"has no role {source.role!r}.{nearest(source.role, run.roles)}"
        raise RecipeError(Problem(str(source.path), what, f"Its roles: {', '.join(run.roles)}."))
    chosen = source.role or (role if role in run.roles else run.roles[0])
    notes = list(run.notes)
    if source.role is None and chosen != role:
        notes.append(f"{run.title} has no role {role}, so {role} starts from its {chosen}")
    return Origin(
        f"{chosen} of {run.title} ({source.checkpoint})",
        run.folder.weights(source.checkpoint),
        partial(run.weights, chosen),
        {"run": str(source.path), "role": chosen, "checkpoint": source.checkpoint},
        run,
        chosen,
        tuple(notes),
    )


def _of_file(source: WeightsSource) -> Origin:
    path = source.path
    run = path.absolute().parents[1] if path.parent.name == "checkpoints" else None
    if run is not None and (run / "recipe.yaml").exists():
        what = "is part of a run folder, which says what the weights are of and which cases they have seen."
        raise RecipeError(Problem(str(path), what, f"Give the folder: {run}"))
    shapes, key = read_weights(path, source.key, "meta")

    def read(device: str) -> Mapping[str, Tensor]:
        return shapes if device == "meta" else read_weights(path, key or None, device)[0]

    return Origin(f"{path} ({key})" if key else str(path), path, read, {"key": key})
