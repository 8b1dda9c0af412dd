"""The networks that predict together: each predicting role of each run is one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from semiseg.codings.coding import Coding
from semiseg.errors import Problem, RunError
from semiseg.inference.image import Ensemble, Member
from semiseg.interfaces.acquisition import Acquisition
from semiseg.interfaces.split import SplitNetwork
from semiseg.messages import counted
from semiseg.prediction.ensemble import LoadedRun, limit_of
from semiseg.prediction.postprocessing import largest_for, mode_of
from semiseg.progress import Reporter


@dataclass(frozen=True)
class Networks:
    """The networks that predict each case.

    Attributes:
        ensemble: one member per network.
        names: of each, the run and the role.
        coding: the meaning of their probabilities.
        role: the role of the first one, whose encoder gives features; empty if the run predicts as a whole.
    """

    ensemble: Ensemble
    names: tuple[str, ...]
    coding: Coding
    role: str

    @property
    def first(self) -> Member:
        """The first member."""
        return self.ensemble.members[0]


def find_networks(
    runs: Sequence[LoadedRun], checkpoint: str, memory: float | Literal["auto"] | None, reporter: Reporter
) -> Networks:
    """Return the networks of runs, each with its run's preprocessing and mirroring."""
    members, names, first = list[Member](), list[str](), ""
    for run in runs:
        model = run.model
        roles: tuple[str | None, ...] = model.strategy.predicting or (None,)
        first = first or (roles[0] or "" if not members else "")
        for role in roles:
            predictor = model.predictor(run.runtime.device, role, mirror=run.mirror)
            members.append(Member(predictor, model.recipe.preprocessing, model.info.modalities))
            names.append(f"{role} of {run.name}" if role else run.name)
    limit = limit_of(runs, memory)
    largest = largest_for(runs, mode_of(runs, None), checkpoint, limit, reporter)
    model = runs[0].model
    return Networks(
        Ensemble(members, model.task.out_channels, limit, largest), tuple(names), model.strategy.coding, first
    )


def require_fitting(rule: Acquisition, name: str, networks: Networks, runs: Sequence[LoadedRun]) -> None:
    """Raise RunError if a rule needs more networks than there are, or features that the first one does not have."""
    count = len(networks.names)
    if count < rule.members:
        have = "1 network predicts" if count == 1 else f"{count} networks predict"
        fix = "Give a further run, or one of a co-training method such as cps, or use --by entropy."
        raise RunError(f"The rule {name} needs {counted(rule.members, 'network')}, but {have}.", fix)
    if not rule.uses_features:
        return
    owned = runs[0].model.strategy.networks
    if networks.role not in owned or not isinstance(owned[networks.role], SplitNetwork):
        backbone = runs[0].model.recipe.backbone.name
        what = f"the rule {name} needs features, which its backbone {backbone} does not offer (the capability split)"
        fix = "Put a run with another backbone first (such as unet), or use --by entropy, disagreement or random."
        raise RunError(Problem(runs[0].name, what, fix))
