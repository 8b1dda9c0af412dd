"""The models of a study: their names and their positions in tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, Literal

from semiseg.recipe.diff import recipe_hash
from semiseg.recipe.dump import resolved
from semiseg.recipe.schema import Recipe
from semiseg.registry import load

Count = int | Literal["all"]
Varied = Mapping[str, Any]
"""A model's values of the keys that the study varies."""

_COUNTS = ("split.labeled", "split.total")
_PLACES = ("seed", "name", "split.fold", *_COUNTS)


@dataclass(frozen=True, slots=True)
class Acquired:
    """How the labeled cases of a model are chosen.

    Attributes:
        rule: the name of the rule and its options.
        after: the model that has all but the last of them, and with which the rule chooses those.
        count: how many cases are chosen.
    """

    rule: Varied
    after: str
    count: int


@dataclass(frozen=True)
class StudyModel:
    """One model to train.

    Attributes:
        name: name of its run and its folder.
        recipe: everything that its run depends on.
        setting: varied keys other than method, cases, seed and fold, such as the backbone: ``unetr``; empty if there
            are none.
        method: the name given by the study; else the strategy's name with its varied options.
        acquired: how its labeled cases are chosen, if not at random. Until that happens, the recipe has their number.
    """

    name: str
    recipe: Recipe
    setting: str
    method: str
    acquired: Acquired | None = None

    @property
    def is_waiting(self) -> bool:
        """True while its labeled cases are not chosen."""
        return self.acquired is not None and not isinstance(self.recipe.split.labeled, list)

    def with_labeled(self, cases: Sequence[str]) -> "StudyModel":
        """Return the model with the ids of its labeled cases."""
        split = self.recipe.split.model_copy(update={"labeled": list(cases)})
        return replace(self, recipe=self.recipe.model_copy(update={"split": split}))

    @property
    def seed(self) -> int:
        """Seed of the recipe."""
        return self.recipe.seed

    @property
    def fold(self) -> int | None:
        """Fold of the recipe; None without a cross-validation."""
        return self.recipe.split.fold

    @property
    def labeled(self) -> Count:
        """Number of labeled cases, validation cases of a fold included; "all" if unknown without the data."""
        return _count(self.recipe.split.labeled)

    @property
    def total(self) -> Count:
        """Number of training cases used by the method, labeled and unlabeled."""
        return _count(self.recipe.split.total) if self.draws_unlabeled else self.labeled

    @property
    def takes_unlabeled(self) -> bool:
        """True if the strategy uses unlabeled cases."""
        return takes_unlabeled(self.recipe.strategy.name)

    @property
    def draws_unlabeled(self) -> bool:
        """True if the strategy uses unlabeled cases and its steps have samples of them, if there are any."""
        size = self.recipe.training.batch_size
        return self.takes_unlabeled and (size == "auto" or size.unlabeled > 0)

    @property
    def any_unlabeled(self) -> bool:
        """True if trained on unlabeled cases, as far as the counts tell: see ``counts_tell``."""
        return self.labeled != self.total

    @property
    def counts_tell(self) -> bool:
        """False for "all" labeled cases of "all": the data alone tell whether there are unlabeled ones to draw."""
        return not self.draws_unlabeled or not self.labeled == self.total == "all"

    @cached_property
    def hash(self) -> str:
        """Hash of everything that can change its result."""
        return recipe_hash(self.recipe)


@cache
def takes_unlabeled(strategy: str) -> bool:
    """Return whether an installed strategy uses unlabeled cases."""
    cls: Any = load("strategy", strategy)
    return bool(cls.needs.unlabeled.uses)


def varied_keys(recipes: Sequence[Varied]) -> tuple[str, ...]:
    """Return the keys of the matrix whose values differ between models, in the order of their first appearance."""
    keys = dict.fromkeys(key for values in recipes for key in values)
    return tuple(key for key in keys if len({repr(values.get(key)) for values in recipes}) > 1)


def method_of(strategy: str, values: Varied, varied: Sequence[str]) -> str:
    """Return the strategy's name with its varied options: ``cps phi=1.0``."""
    options = [f"{key.removeprefix('strategy.')}={_text(values[key])}" for key in varied if _is_option(key, values)]
    return " ".join([strategy, *options])


def named_rule(rule: Varied) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of a rule."""
    return str(rule["name"]), {key: value for key, value in rule.items() if key != "name"}


def chosen_by(method: str, rule: Varied) -> str:
    """Return a method's name with the rule that chooses its labeled cases: ``cps by hybrid pool=2``."""
    name, options = named_rule(rule)
    return " ".join([method, "by", name, *(f"{key}={_text(value)}" for key, value in options.items())])


def setting_of(recipe: Recipe, varied: Sequence[str]) -> str:
    """Return the other varied keys as in the recipe: components by name, other keys as ``lr=0.001``."""
    keys = [key for key in varied if _is_setting(key)]
    data = resolved(recipe) if keys else {}
    return " ".join(_token(key, _at(data, key)) for key in keys)


def name_of(setting: str, method: str, counts: str, seed: int, fold: int | None = None) -> str:
    """Return a name that is valid for a folder: ``unetr_cps_25of1050_s0``, or ``cps_25_f3_s0`` of a fold."""
    parts = [*setting.split(), *method.split(), counts, *([] if fold is None else [f"f{fold}"]), f"s{seed}"]
    return "_".join("".join(c if c.isalnum() or c in "-.+" else "-" for c in part) for part in parts)


def counts_of(model_labeled: Count, model_total: Count, total_is_varied: bool) -> str:
    """Return ``25of1050``, or ``25`` if the total is not varied."""
    return f"{model_labeled}of{model_total}" if total_is_varied else str(model_labeled)


def _count(asked: int | list[str] | Literal["all"]) -> Count:
    return len(asked) if isinstance(asked, list) else asked


def _at(data: Any, key: str) -> Any:
    for part in key.split("."):
        data = data.get(part, "none") if isinstance(data, dict) else "none"
    return data


def _is_option(key: str, values: Varied) -> bool:
    return key in values and key.startswith("strategy.") and key != "strategy.name"


def _is_setting(key: str) -> bool:
    return key not in _PLACES and key != "strategy" and not key.startswith("strategy.")


def _token(key: str, value: Any) -> str:
    last = key.rpartition(".")[2]
    is_component = last == "name" or (isinstance(value, dict) and "name" in value) or "." not in key
    return _text(value) if is_component else f"{last}={_text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("name", "-".join(f"{k}{v}" for k, v in value.items())))
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)
