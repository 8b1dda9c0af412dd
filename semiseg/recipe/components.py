"""Resolving a recipe's names to components, reporting every problem of names, options and roles at once."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from semiseg.errors import ComponentError, Problem, RecipeError, raise_all
from semiseg.interfaces.augmentation import Augmentation
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.dataset import Dataset
from semiseg.interfaces.metric import Metric
from semiseg.messages import Place, explain, nearest
from semiseg.recipe.component_slots import OWN_KEYS, PRESET, ROLES, Slot, plain, slots
from semiseg.recipe.schema import Recipe
from semiseg.registry import installed, interface, load, make_options

Where = Callable[[str], str]
"""Returns the file and line of a dotted key; empty if unknown."""

if TYPE_CHECKING:
    from semiseg.interfaces.backbone import Backbone
    from semiseg.interfaces.roles import Role
    from semiseg.interfaces.strategy import BatchNeeds, Strategy


@dataclass(frozen=True)
class Components:
    """The components of a recipe, ready for use.

    A strategy is given as its class and options, since creating it takes networks. ``backbones`` are by role, without
    standalone ones; ``metrics`` are by name.
    """

    dataset: Dataset
    augmentation: Augmentation
    strategy: "type[Strategy]"
    strategy_options: Any
    roles: "tuple[Role, ...]"
    backbones: "Mapping[str, Backbone]"
    metrics: Mapping[str, Metric]

    @property
    def needs(self) -> "BatchNeeds":
        """What the strategy needs of the batches of a step, with its options."""
        return self.strategy.batch_needs(self.strategy_options)


def _with_adopted(dataset: Dataset, folders: Sequence[Path]) -> Dataset:
    if not folders:
        return dataset
    from semiseg.recipe.adopted import AdoptedLabels

    return AdoptedLabels(dataset, folders)


@dataclass(frozen=True)
class Found:
    """The component that a slot's name refers to: a class with valid options, or an object given by the caller."""

    slot: Slot
    component: Any
    options: ComponentOptions | None

    def make(self) -> Any:
        """Return the component."""
        return self.component if self.options is None else self.component(self.options)


def resolve(recipe: Recipe) -> Components:
    """Return a recipe's components. Raises RecipeError with every problem of their names, options and roles."""
    found = find_all(recipe, recipe.where)
    strategy = found[("strategy",)]
    roles = strategy.component.roles(strategy.options)
    return Components(
        dataset=_with_adopted(found[("dataset",)].make(), recipe.dataset.adopted),
        augmentation=found[("augmentation",)].make(),
        strategy=strategy.component,
        strategy_options=strategy.options,
        roles=roles,
        backbones=backbones_of(roles, found),
        metrics={metric.title(f.slot.title): metric for f, metric in _metrics(found)},
    )


def find_all(data: Any, where: Where) -> dict[tuple[str, ...], Found]:
    """Return the components that a recipe, or a part of one, names, by key, with those that roles choose.

    Raises RecipeError with every problem of names, options and roles.
    """
    wanted = list(slots(plain(data)))
    found, problems = find_components(wanted, where)
    raise_all(problems, RecipeError)
    return found | _find_each(list(_chosen_by_roles(found[("strategy",)], wanted)), where)[0]


def backbones_of(roles: "Sequence[Role]", found: Mapping[tuple[str, ...], Found]) -> "dict[str, Backbone]":
    """Return the backbone of each role that has one, by role: its own, or that of the recipe."""
    default = found[("backbone",)].make()
    own = {role.name: found.get(("strategy", ROLES, role.name)) for role in roles if role.standalone is None}
    return {name: other.make() if other else default for name, other in own.items()}


def find_components(wanted: Sequence[Slot], where: Where) -> tuple[dict[tuple[str, ...], Found], list[Problem]]:
    """Return the components found for a recipe's slots, by key, and all problems with them."""
    found, problems = _find_each(wanted, where)
    problems += _same_metrics(found, where)
    if strategy := found.get(("strategy",)):
        chosen = list(_chosen_by_roles(strategy, wanted))
        theirs, more = _find_each(chosen, where)
        problems += [*more, *_role_problems(strategy, {**found, **theirs}, [*wanted, *chosen], where)]
    return found, problems


def _find_each(wanted: Sequence[Slot], where: Where) -> tuple[dict[tuple[str, ...], Found], list[Problem]]:
    found: dict[tuple[str, ...], Found] = {}
    problems: list[Problem] = []
    for slot in wanted:
        try:
            found[slot.path] = _find(slot, where)
        except ComponentError as error:
            problems += error.problems
    return found, problems


def _chosen_by_roles(strategy: Found, wanted: Sequence[Slot]) -> Iterator[Slot]:
    """Yield the backbones that the strategy's roles name themselves, if the recipe names none for them."""
    named = {slot.path for slot in wanted}
    for role in strategy.component.roles(strategy.options):
        path = ("strategy", ROLES, role.name)
        if role.backbone is not None and path not in named:
            yield Slot("backbone", path, role.backbone, {})


def component_class(slot: Slot, where: Where) -> type | None:
    """Return the class of a slot's name; None if it is already a component. Raises ComponentError."""
    line = where(f"{slot.key}.name")
    if isinstance(slot.name, str) or inspect.isclass(slot.name):
        return load(slot.kind, slot.name, line)
    place = f" ({line})" if line else ""
    if slot.kind == "strategy" or not isinstance(slot.name, interface(slot.kind)):
        raise ComponentError(
            f"{slot.key}{place} must be the name of a {slot.kind}, not {slot.name!r}.",
            "`semiseg plugins` lists the names. From Python, a class also works and, except for a strategy, an object.",
        )
    if slot.values:
        options = ", ".join(slot.values)
        raise ComponentError(
            f"{slot.key}{place} is an object, which takes no options: {options}.",
            "Set them when you create the object, or give its class instead.",
        )
    return None


def _find(slot: Slot, where: Where) -> Found:
    cls = component_class(slot, where)
    if cls is None:
        return Found(slot, slot.name, None)
    try:
        return Found(slot, cls, make_options(cls, {**_preset(slot, cls, where), **slot.values}))
    except ValidationError as error:
        keys = ("name", *OWN_KEYS.get(slot.kind, ()))
        place = Place(slot.key, where, keys, f"Options of {slot.title}")
        raise ComponentError(explain(error, cls.Options, slot.values, place)) from error  # type: ignore[attr-defined]


def _preset(slot: Slot, cls: Any, where: Where) -> Mapping[str, Any]:
    """Return the options of a strategy's preset; none for "auto", which is the defaults."""
    if slot.preset in (None, "auto"):
        return {}
    if isinstance(slot.preset, str) and slot.preset in cls.presets:
        values: Mapping[str, Any] = cls.presets[slot.preset]
        return values
    names, key = ["auto", *cls.presets], f"{slot.key}.{PRESET}"
    raise ComponentError(
        f"{slot.title} has no preset {slot.preset!r}{Place(where=where).of((*slot.path, PRESET))}."
        f"{nearest(str(slot.preset), names)}",
        f"Set {key} to {' or '.join(names)}.",
    )


def _metrics(found: Mapping[tuple[str, ...], Found]) -> Iterator[tuple[Found, Metric]]:
    yield from ((f, f.make()) for f in found.values() if f.slot.kind == "metric")


def _same_metrics(found: Mapping[tuple[str, ...], Found], where: Where) -> Iterator[Problem]:
    first: dict[str, Slot] = {}
    for f, metric in _metrics(found):
        slot, title = f.slot, metric.title(f.slot.title)
        other = first.setdefault(title, slot)
        if other is not slot:
            lines = " and ".join(filter(None, dict.fromkeys(where(s.key) for s in (other, slot))))
            place = f" ({lines})" if lines else ""
            yield Problem("", f"Metric {title!r} is listed twice{place}.", "Remove one of the two.")


def _role_problems(
    strategy: Found, found: Mapping[tuple[str, ...], Found], wanted: Sequence[Slot], where: Where
) -> Iterator[Problem]:
    """Yield problems: no predicting role, unknown roles, backbones without a required capability."""
    every = strategy.component.roles(strategy.options)
    roles, standalone = [role.name for role in every], {role.name for role in every if role.standalone is not None}
    if not strategy.component.can_predict(strategy.options):
        place = Place(where=where).of(strategy.slot.path)
        yield Problem(
            "",
            f"Strategy {strategy.slot.title!r}{place} has no predicting role: it could be trained but not used.",
            "In its code, set predicts=True on a role, or override predict.",
        )
    own = {slot.path[-1]: slot for slot in wanted if slot.path[:2] == ("strategy", ROLES)}
    for role, slot in own.items():
        if role not in roles:
            place = Place(where=where).of(slot.path)
            yield Problem(
                "",
                f"Unknown role {role!r} in strategy.networks{place}.{nearest(role, roles)}",
                f"Roles of {strategy.slot.title}: {', '.join(roles)}.",
            )
        elif role in standalone:
            place = Place(where=where).of(slot.path)
            yield Problem(
                "",
                f"Role {role!r} of strategy {strategy.slot.title!r} has its own network and takes no backbone{place}.",
                "Remove it from strategy.networks.",
            )
    by_backbone: dict[tuple[str, ...], list[str]] = {}
    for role in roles:
        if role in standalone:
            continue
        by_backbone.setdefault(own[role].path if role in own else ("backbone",), []).append(role)
    for path, names in by_backbone.items():
        if path in found:
            yield from _lacking(found[path], names, strategy, where)


def _lacking(backbone: Found, roles: Sequence[str], strategy: Found, where: Where) -> Iterator[Problem]:
    required = (role.requires for role in strategy.component.roles(strategy.options) if role.name in roles)
    requires: frozenset[str] = strategy.component.requires.union(*required)
    lacks = sorted(requires - backbone.component.capabilities)
    if lacks:
        place = Place(where=where).of(backbone.slot.path)
        yield Problem(
            "",
            f"Backbone {backbone.slot.title!r}{place} does not offer {', '.join(lacks)}, which strategy"
            f" {strategy.slot.title!r} requires of {', '.join(roles)}.",
            f"Installed backbones that do: {', '.join(_offering(requires)) or 'none'}.",
        )


def _offering(requires: frozenset[str]) -> Iterator[str]:
    for entry in installed("backbone"):
        try:
            cls: Any = load("backbone", entry.name)
        except ComponentError:  # broken or ambiguous: not to be recommended
            continue
        if requires <= cls.capabilities:
            yield str(entry)
