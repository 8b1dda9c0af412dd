"""Initial weights in the run folder: the tensors, from which a run starts and resumes, and a report of the match."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from semiseg.errors import Problem, RunError, TrainingError, raise_all
from semiseg.interfaces.roles import Role
from semiseg.io.atomic import write_json
from semiseg.io.json import read_json
from semiseg.messages import some
from semiseg.pipeline.initial_weights.find import Initial
from semiseg.recipe.components import Components
from semiseg.runs.checkpoint import file_digest, load_state, save_state
from semiseg.runs.folder import RunFolder


def keep(initial: Initial, folder: RunFolder) -> None:
    """Write ``initial_weights.pt``, a tensor by name and role, and ``initial_weights.json``.

    Raises TrainingError if a tensor is not finite.
    """
    state: dict[str, dict[str, Tensor]] = {}
    roles, problems = {}, []
    read: dict[object, dict[str, Tensor]] = {}  # roles that start alike share tensors
    digests = {file: file_digest(file) for file in {start.origin.file for start in initial.starts}}
    for start in initial.starts:
        name, same = start.role.name, start.identity
        if same not in read:
            read[same] = {here: value.clone() for here, value in start.weights().items()}  # without what it is part of
        state[name] = read[same]
        bad = [here for here, value in state[name].items() if not value.isfinite().all()]
        if bad:
            problems.append(Problem(start.origin.title, f"weights are not finite: {some(bad, 3)}"))
        file = start.origin.file
        roles[name] = {"file": str(file), "sha256": digests[file], **start.origin.chosen, **start.match.record()}
    raise_all(problems, TrainingError)
    save_state(folder.initial_weights, state)
    made_with = [seen.record() for seen in initial.seen]
    write_json(folder.initial_report, {"roles": roles, "made_with": made_with, "notes": list(initial.notes)})


def from_folder(components: Components, folder: RunFolder) -> Components:
    """Return components whose roles start from the weights in a run folder, if these have any for them."""
    path = folder.initial_weights
    roles = [
        role if role.initialized_like is not None else replace(role, initial_weights=partial(_kept, role, path))
        for role in components.roles
    ]
    return replace(components, roles=tuple(roles))


def initial_weights(folder: RunFolder) -> dict[str, str]:
    """Return a line for the run's report, label to text; empty if the run started from random weights."""
    if not folder.initial_report.exists():
        return {}
    texts = []
    for role, one in read_json(folder.initial_report)["roles"].items():
        n, drawn = len(one["matched"]), len(one["drawn_anew"])
        texts.append(f"{role}: {n} of {n + drawn} tensors from {one['file']} ({one['sha256'][:12]})")
    return {"initial weights": "; ".join(texts)}


def _kept(role: Role, path: Path) -> Mapping[str, Tensor]:
    device = "meta" if torch.get_default_device().type == "meta" else "cpu"
    try:
        state = load_state(path, device)
    except RunError as error:
        what = f"{error.problems[0].what.rstrip('.')}; this run starts from it."
        raise RunError(
            what, "Restore it from a copy of the run folder, or start again with another --output."
        ) from error
    if role.name in state:
        found: Mapping[str, Tensor] = state[role.name]
        return found
    return role.initial_weights() if role.initial_weights is not None else {}
