"""The weights that each role of a run starts from, with problems and notes, before anything is trained."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from semiseg.data.split import Split
from semiseg.engine.memory import meta_networks
from semiseg.errors import Problem, SemisegError
from semiseg.interfaces.roles import Role
from semiseg.messages import nearest, some
from semiseg.pipeline.checks.plan_checks import Networks
from semiseg.pipeline.initial_weights.earlier_run import axes_problem, plan_notes
from semiseg.pipeline.initial_weights.match import Match, NoMatchError, described, match
from semiseg.pipeline.initial_weights.origin import Origin, find_origin
from semiseg.pipeline.initial_weights.overlap import Seen, overlap_notes, overlap_problems
from semiseg.recipe.blocks.initial_weights import WeightsSource, sources
from semiseg.recipe.components import Components
from semiseg.recipe.schema import Recipe
from semiseg.types import DatasetInfo, Task

_KEY = "training.initial_weights"


@dataclass(frozen=True)
class Start:
    """What one role starts from: the tensors that match, and where they are."""

    role: Role
    origin: Origin
    match: Match

    @property
    def identity(self) -> tuple[object, ...]:
        """What is equal for roles that start from the same tensors."""
        return self.origin.title, tuple(self.match.taken.items())

    def weights(self) -> Mapping[str, Tensor]:
        """Return the tensors by name in the network; without memory if the default device is "meta"."""
        found = self.origin.read("meta" if torch.get_default_device().type == "meta" else "cpu")
        return {here: found[there] for here, there in self.match.taken.items()}


@dataclass(frozen=True)
class Initial:
    """What the roles start from, the cases that these weights were made with, and what to report."""

    starts: tuple[Start, ...] = ()
    seen: tuple[Seen, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def into(self, components: Components) -> Components:
        """Return components whose roles start from these weights; they replace those that a strategy gives a role."""
        given = {start.role.name: start.weights for start in self.starts}
        roles = (replace(role, initial_weights=given.get(role.name, role.initial_weights)) for role in components.roles)
        return replace(components, roles=tuple(roles))


@dataclass(frozen=True)
class _Target:
    """A role that a source is for, and the place of the source in the recipe; all roles if it names none."""

    role: Role
    source: WeightsSource
    key: str
    is_for_all: bool


def find_initial(
    recipe: Recipe, components: Components, info: DatasetInfo, task: Task, split: Split, networks: Networks
) -> Initial:
    """Find what ``training.initial_weights`` refers to, and match it to the networks without reading values."""
    asked = recipe.training.initial_weights
    if asked is None:
        return Initial()
    targets, problems, notes = _targets(sources(asked), components.roles, recipe)
    starts: list[Start] = []
    unfit: dict[tuple[str, str, str, str], list[_Target]] = {}
    outputs = _output_layers(components, task, networks) if targets else {}
    for target in targets:
        try:
            origin = find_origin(target.source, target.role.name)
        except SemisegError as error:
            problems += [_at(target.key, problem) for problem in error.problems]
            continue
        if origin.run and (wrong := axes_problem(origin.run, task, target.key)):
            problems.append(wrong)
            continue
        renew = target.source.heads == "new" or (origin.run is not None and not origin.run.has_classes_of(task))
        layers, network = outputs.get(target.role.name), networks()[target.role.name]
        try:
            found = match(network, layers or (), origin.read("meta"), target.source.prefix, renew)
        except NoMatchError as error:
            unfit.setdefault((target.key, f"{origin.title} does not fit", error.why, error.fix), []).append(target)
            continue
        if renew and layers is None:
            text = "but which ones depend on the classes cannot be told: all of the same shape are taken"
            notes.append(f"output layers of {target.role.name} are to be drawn anew, {text}")
        starts.append(Start(target.role, origin, found))
    for (key, title, why, fix), without in unfit.items():
        text = f"{title} {', '.join(target.role.name for target in without)}: {why}"
        if without[0].is_for_all and starts:
            notes.append(f"{text}; drawn as without initial weights")
        else:
            problems.append(Problem("", f"{key}: {text}.", fix))
    seen, overlaps, told = _overlaps(starts, targets, split, info)
    notes = [*_notes(starts, task), *_plan_notes(starts, recipe, info), *notes, *told]
    problems = list(dict.fromkeys([*problems, *overlaps]))
    return Initial(tuple(starts), tuple(seen), tuple(dict.fromkeys(notes)), tuple(problems))


def _targets(
    asked: Mapping[str | None, WeightsSource], roles: Sequence[Role], recipe: Recipe
) -> tuple[list[_Target], list[Problem], list[str]]:
    if None in asked:
        key, source = recipe.placed(_KEY), asked[None]
        taking = [role for role in roles if role.initialized_like is None and role.standalone is None]
        own = [role.name for role in roles if role.standalone is not None]
        notes = [f"initial weights are not for {some(own)}: no backbone. Name the role to give it some"] if own else []
        return [_Target(role, source, key, is_for_all=True) for role in taking], [], notes
    known = {role.name: role for role in roles}
    targets, problems = [], []
    for name, source in asked.items():
        assert name is not None
        key = recipe.placed(f"{_KEY}.{name}")
        if name not in known:
            what = f"{key}: the strategy has no role {name!r}.{nearest(name, list(known))}"
            problems.append(Problem("", what, f"Roles of {recipe.strategy.name}: {', '.join(known)}."))
        elif (first := known[name].initialized_like) is not None:
            problems.append(Problem("", f"{key}: {name} starts as a copy of {first}.", f"Name {first} instead."))
        else:
            targets.append(_Target(known[name], source, key, is_for_all=False))
    return targets, problems, []


def _at(key: str, problem: Problem) -> Problem:
    what = f"{problem.where} {problem.what}" if problem.where else problem.what
    return Problem("", f"{key}: {what}", problem.fix)


def _output_layers(components: Components, task: Task, networks: Networks) -> dict[str, frozenset[str]]:
    """Return the tensors whose size depends on the number of classes, by role: those that one more class changes."""
    more = replace(task, classes=(*task.classes, "one more"))
    if task.regions:
        more = replace(more, regions={**task.regions, "one more": (len(task.classes),)})
    found = {}
    with suppress(Exception):  # a backbone for two classes only
        wider = meta_networks(components.roles, components.backbones, more)
        for role, network in networks().items():
            shapes = {name: value.shape for name, value in wider[role].state_dict().items()}
            own = network.state_dict().items()
            found[role] = frozenset(name for name, value in own if shapes.get(name) != value.shape)
    return found


def _overlaps(
    starts: Sequence[Start], targets: Sequence[_Target], split: Split, info: DatasetInfo
) -> tuple[list[Seen], list[Problem], list[str]]:
    """Return the cases that the weights were made with, and the problems and notes of those that are of this run."""
    of_role = {target.role.name: target for target in targets}
    seen: dict[str, Seen] = {}
    problems: list[Problem] = []
    for start in starts:
        target, found = of_role[start.role.name], start.origin.run.seen if start.origin.run else ()
        if target.source.overlap == "refuse":
            problems += overlap_problems(found, split, info.name, target.key)
        seen |= {one.run: one for one in found}
    return list(seen.values()), problems, list(overlap_notes(list(seen.values()), split, info.name))


def _plan_notes(starts: Sequence[Start], recipe: Recipe, info: DatasetInfo) -> Iterator[str]:
    for start in starts:
        yield from start.origin.notes
        if start.origin.run is not None:
            yield from plan_notes(start.origin.run, recipe, info, {start.role.name: start.origin.role})


def _notes(starts: Sequence[Start], task: Task) -> Iterator[str]:
    """Yield what matched, once for roles that start alike."""
    groups: dict[object, list[Start]] = {}
    for start in starts:
        groups.setdefault(start.identity, []).append(start)
    for alike in groups.values():
        yield from _group_notes([start.role.name for start in alike], alike[0], task)
        trained = [start.role.name for start in alike if start.role.trained]
        if len(trained) > 1:
            differ = "but for what is drawn anew" if alike[0].match.drawn else "in every tensor"
            own = ", ".join(f"{name}: …" for name in trained)
            teach = f"networks that teach each other need different starts: {_KEY}={{{own}}}"
            yield f"{', '.join(trained)} start equal {differ}; {teach}"
    for path in dict.fromkeys(start.origin.file for start in starts if start.origin.run is None):
        yield f"{path} does not say which cases its weights have seen: no test case may be among them"


def _group_notes(roles: Sequence[str], start: Start, task: Task) -> Iterator[str]:
    found, origin, names = start.match, start.origin, ", ".join(roles)
    total = len(found.taken) + len(found.drawn)
    prefix = f" (prefix {found.prefix})" if str(found.prefix) else ""
    begin = "starts" if len(roles) == 1 else "start"
    yield f"{names} {begin} from {origin.title}: {len(found.taken)} of {total} tensors{prefix}"
    if found.drawn:
        yield f"drawn anew in {names}: {described(found.drawn)}{_because(start, task)}"
    if found.unused:
        yield f"not used of {origin.title}: {some(found.unused, 3)}"
    if origin.run is None and found.outputs:
        what = f"the output layer of {names} ({some(found.outputs, 2)}) is taken by its shape"
        yield f"{origin.title} does not name its classes, and {what}; heads: new draws it anew"


def _because(start: Start, task: Task) -> str:
    """Return that the classes of the earlier run are others, if output layers are drawn for that reason."""
    run = start.origin.run
    if run is None or run.has_classes_of(task) or not any(one.is_output for one in start.match.drawn):
        return ""
    there = [name for name, _ in run.record.get("regions", [])] or run.record["classes"]
    return f" (outputs {', '.join(there)} there, {', '.join(task.regions or task.classes)} here)"
