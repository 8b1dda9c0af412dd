"""Simulated rounds of labeling: models whose labeled cases a rule chooses with the model of the round before.

The cases of the first round are drawn at random, by the seed: it is the model with as many random labeled cases, which
the study has to have, and which all rules share. The data have all labels; a model only reads those of its cases.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from semiseg.errors import ComponentError, Problem, RecipeError, raise_all
from semiseg.messages import Place, explain
from semiseg.recipe.components import resolve
from semiseg.recipe.source_locations import Places
from semiseg.registry import load, make_options
from semiseg.study.matrix import Point
from semiseg.study.models import Acquired, StudyModel, named_rule


def chained(spanned: Sequence[Point], models: Sequence[StudyModel], places: Places) -> tuple[StudyModel, ...]:
    """Return the models, each chosen one with the model that it comes after; first rounds are left out.

    ``models`` are those of the points, ``places`` those of the study's file. Raises RecipeError with all problems: of
    rules and their options, of counts, of first rounds without a random model, and of models that do not fit a rule.
    """
    pairs = list(zip(spanned, models, strict=True))
    drawn = {model.hash: model.name for point, model in pairs if not point.rule}
    chains: dict[tuple[Any, ...], list[tuple[Point, StudyModel]]] = {}
    for point, model in pairs:
        if point.rule:
            chains.setdefault((model.setting, model.method, point.seed), []).append((point, model))
    problems: dict[Problem, None] = {}
    for chain in chains.values():
        block = f"matrix.{chain[0][0].block}"
        problems |= dict.fromkeys(_problems(chain, drawn, f"{block} ({places.where(block)})"))
    raise_all(list(problems), RecipeError)
    acquired: dict[str, Acquired | None] = {}
    for chain in chains.values():
        (_, first), *rest = _ordered(chain)
        acquired[first.name] = None
        previous = drawn[first.hash], first
        for point, model in rest:
            acquired[model.name] = Acquired(point.rule, previous[0], _count(model) - _count(previous[1]))
            previous = model.name, model
    found = (replace(model, acquired=acquired.get(model.name)) for model in models)
    return tuple(
        model for point, model in zip(spanned, found, strict=True) if model.acquired is not None or not point.rule
    )


def _ordered(chain: Sequence[tuple[Point, StudyModel]]) -> list[tuple[Point, StudyModel]]:
    return sorted(chain, key=lambda pair: _count(pair[1]))


def _count(model: StudyModel) -> int:
    assert isinstance(model.labeled, int)
    return model.labeled


def _problems(chain: Sequence[tuple[Point, StudyModel]], drawn: Mapping[str, str], where: str) -> Iterator[Problem]:
    point, first = chain[0]
    yield from _of_rule(point.rule, first, where)
    if any(not isinstance(model.recipe.split.labeled, int) for _, model in chain):
        yield Problem(where, "acquisition needs counts in split.labeled", "For example split.labeled: [4, 8, 12].")
        return
    if any(model.recipe.split.folds is not None for _, model in chain):
        yield Problem(where, "acquisition cannot be combined with folds", "Use split.validation instead.")
    if len(chain) < 2:
        fix = "List at least two: the first is drawn at random, the rule chooses what is added."
        yield Problem(where, "acquisition needs several counts in split.labeled", fix)
    if any(model.labeled == model.total and model.draws_unlabeled for _, model in chain):
        fix = "Give the block split.total: all, or leave split.total out."
        yield Problem(where, "acquisition has nothing to choose from: split.total is the labeled cases", fix)
    ordered = _ordered(chain)
    if any(_count(one) == _count(other) for (_, one), (_, other) in pairwise(ordered)):
        yield Problem(where, "a count in split.labeled is listed twice")
    start = ordered[0][1]
    if start.hash not in drawn:
        yield Problem(
            where,
            f"no model of the study has {start.labeled} labeled cases at random, with which the rounds begin",
            f"Add a block with the same values without acquisition: it is what {first.method} is compared with.",
        )


def _of_rule(rule: Mapping[str, Any], model: StudyModel, where: str) -> Iterator[Problem]:
    name, options = named_rule(rule)
    try:
        cls: Any = load("acquisition", name)
        make_options(cls, options)
    except ComponentError as error:
        yield from (replace(problem, where=f"{where}, acquisition") for problem in error.problems)
        return
    except ValidationError as error:
        yield from explain(error, cls.Options, options, Place(f"{where}, acquisition"))
        return
    components = resolve(model.recipe)
    predicting = [role for role in components.roles if role.predicts]
    if len(predicting) < cls.members:
        fix = "Choose a method whose networks predict together, such as cps, or a rule that needs one, such as entropy."
        what = (
            f"{name} compares {cls.members} networks, and {model.recipe.strategy.name} predicts with {len(predicting)}"
        )
        yield Problem(f"{where}, acquisition", what, fix)
    if cls.uses_features:
        lacking = [role.name for role in predicting if "split" not in components.backbones[role.name].capabilities]
        if lacking or not predicting:
            what = f"{name} needs the features of an encoder, which {model.recipe.backbone.name} does not offer"
            yield Problem(f"{where}, acquisition", what, '`semiseg plugins` shows the backbones with "split".')
