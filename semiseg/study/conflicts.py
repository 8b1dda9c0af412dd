"""Conflicts between the models of a study, and notes for the user."""

from collections import Counter
from collections.abc import Iterator, Sequence

from semiseg.errors import Problem
from semiseg.recipe.diff import changes
from semiseg.study.models import StudyModel
from semiseg.study.schema import StudyRecipe, full_key

_LONGEST = 200  # bytes of a name: related files add suffixes, and file systems allow 255
_OF_AN_ARM = {"seed", "name", "split.fold", "split.labeled", "split.total", "split.draw"}


def conflicts(models: Sequence[StudyModel], recipe: StudyRecipe) -> list[Problem]:
    """Return problems of models that are indistinguishable, misnamed, or not comparable."""
    return [
        *_names(models),
        *_same(models),
        *_mixed(models),
        *_counts(models),
        *_evaluation(models),
        *_baseline(models, recipe),
        *_seeds(models, recipe),
    ]


def notes_on(models: Sequence[StudyModel], recipe: StudyRecipe, overrides: Sequence[str]) -> list[str]:
    """Return notes: overrides without effect, settings without the baseline, labeled counts without a control."""
    notes = []
    for override in overrides:
        key = full_key(override.partition("=")[0].strip())
        blocks = [[full_key(name) for name in block] for block in recipe.matrix]
        if key in {"seed", "name"} or all(any(_covers(name, key) for name in names) for names in blocks):
            notes.append(f"--set {override} has no effect: the study sets {key} of every model")
    with_baseline = {model.setting for model in models if model.method == recipe.baseline}
    for setting in dict.fromkeys(model.setting for model in models):
        if setting not in with_baseline:
            notes.append(
                f"no model of {recipe.baseline} has the setting {setting or '(none)'}: nothing to compare with"
            )
    return [*notes, *_without_control(models)]


def _without_control(models: Sequence[StudyModel]) -> Iterator[str]:
    """Yield a note for each method that has a control with some labeled counts but not with others."""
    for setting, method in dict.fromkeys((model.setting, model.method) for model in models):
        own = [model for model in models if (model.setting, model.method) == (setting, method)]
        known = [model for model in own if model.counts_tell]
        used = dict.fromkeys(model.labeled for model in known if model.any_unlabeled)
        controls = {model.labeled for model in known if model.takes_unlabeled and not model.any_unlabeled}
        lacking = [str(labeled) for labeled in used if labeled not in controls]
        if controls and lacking:
            yield (
                f"{method}{f' ({setting})' if setting else ''} has no control with {', '.join(lacking)} labeled cases "
                "(split.total: [all, labeled] in its block): the effect of unlabeled cases is unknown there"
            )


def _covers(name: str, key: str) -> bool:
    return key == name or key.startswith(f"{name}.")


def _names(models: Sequence[StudyModel]) -> Iterator[Problem]:
    for name, times in Counter(model.name for model in models).items():
        if times > 1:
            fix = (
                "Vary an option by a key of its own (strategy.phi: [0.5, 1.0]), name the blocks' methods (method: …), "
                "or leave one of them out; a strategy that takes no unlabeled cases needs no split.total."
            )
            yield Problem("matrix", f"{times} models would be called {name}", fix)
        if len(name.encode()) > _LONGEST:
            yield Problem("matrix", f"the name {name[:60]}… is too long for a folder", "Name the blocks: method: …")


def _same(models: Sequence[StudyModel]) -> Iterator[Problem]:
    names: dict[str, list[str]] = {}
    for model in models:
        if not model.is_waiting:  # its recipe has the number of its cases only
            names.setdefault(model.hash, []).append(model.name)
    for alike in names.values():
        if len(set(alike)) > 1:
            yield Problem("matrix", f"these models are identical: {', '.join(alike)}", "Leave one out.")


def _mixed(models: Sequence[StudyModel]) -> Iterator[Problem]:
    """Require that a method's models in one setting differ only in counts, seed, fold: they form one curve."""
    first: dict[tuple[str, str], StudyModel] = {}
    told: set[tuple[str, str]] = set()
    for model in models:
        key = model.setting, model.method
        other = first.setdefault(key, model)
        differing = {change.key for change in changes(other.recipe, model.recipe)} - _OF_AN_ARM
        if differing and key not in told:
            told.add(key)
            what = f"{other.name} and {model.name} would be one method, {model.method}, but differ in "
            fix = "Give their blocks names of their own (method: …), or vary the key itself."
            yield Problem("matrix", what + ", ".join(sorted(differing)), fix)


def _counts(models: Sequence[StudyModel]) -> Iterator[Problem]:
    for model in models:
        split = model.recipe.split
        if isinstance(split.labeled, int) and isinstance(split.total, int) and split.labeled > split.total:
            what = f"{split.labeled} labeled cases are more than the total, {split.total}"
            yield Problem(model.name, what, "split.total counts labeled and unlabeled cases.")


def _evaluation(models: Sequence[StudyModel]) -> Iterator[Problem]:
    if any(model.recipe.split.test in (0, []) for model in models):
        yield Problem("base.split.test", "without test cases nothing would be scored", "Set split.test.")
    if any(model.recipe.evaluation != models[0].recipe.evaluation for model in models):
        what = "models would be scored differently, and could not be compared"
        yield Problem("matrix", what, "Leave evaluation out of the matrix: set it in base.")


def _baseline(models: Sequence[StudyModel], recipe: StudyRecipe) -> Iterator[Problem]:
    if recipe.baseline not in {model.method for model in models}:
        methods = ", ".join(dict.fromkeys(model.method for model in models))
        yield Problem("baseline", f"no model is of the baseline {recipe.baseline!r}", f"The methods are {methods}.")


def _seeds(models: Sequence[StudyModel], recipe: StudyRecipe) -> Iterator[Problem]:
    if any(model.recipe.split.draw is not None for model in models) and len(recipe.seeds) > 1:
        what = "split.draw is set, so that every seed has the same labeled cases"
        yield Problem("split.draw", what, "Leave it out: each of a study's seeds draws other labeled cases.")
