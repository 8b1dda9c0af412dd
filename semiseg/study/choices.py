"""The labeled cases that rules have chosen in a study, kept in its folder: each is chosen once."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic import BaseModel

from semiseg.errors import DataError, Problem
from semiseg.interfaces.acquisition import Acquisition, Choice
from semiseg.io.atomic import write_json
from semiseg.io.json import read_json
from semiseg.messages import counted
from semiseg.prediction.ensemble import load_runs
from semiseg.progress import Reporter
from semiseg.recipe.diff import recipe_hash
from semiseg.recipe.yaml import read_yaml
from semiseg.registry import create
from semiseg.runs.folder import RunFolder
from semiseg.study.folder import StudyFolder
from semiseg.study.models import StudyModel, named_rule
from semiseg.suggestion.candidates import Candidates, unlabeled_candidates


class _Record(BaseModel):
    """Keys of a choice that readers rely on."""

    model: str
    after: str
    after_hash: str
    rule: dict[str, Any]
    labeled: list[str]
    chosen: list[str]


def with_choices(models: Sequence[StudyModel], folder: StudyFolder) -> tuple[StudyModel, ...]:
    """Return the models; those whose labeled cases have been chosen have these, the others are waiting.

    A choice made with another run than the present one of the model before, or under another rule, does not count.
    """
    while True:
        places = folder.places([model for model in models if not model.is_waiting])
        found = tuple(_settled(model, folder, places) for model in models)
        if found == tuple(models):
            return found
        models = found


def _settled(model: StudyModel, folder: StudyFolder, places: Mapping[str, str]) -> StudyModel:
    how, path = model.acquired, folder.choice(model.name)
    if not model.is_waiting or how is None or not path.exists() or how.after not in places:
        return model
    if not folder.run(places[how.after]).recipe.exists():
        return model
    record = read_json(path, _Record, "Delete it: the cases are then chosen again.")
    same = record["rule"] == dict(how.rule) and len(record["chosen"]) == how.count
    if not same or record["after_hash"] != _hash(folder.run(places[how.after])):
        return model
    return model.with_labeled(record["labeled"])


def choose_cases(model: StudyModel, before: RunFolder, folder: StudyFolder, reporter: Reporter) -> None:
    """Let a model's rule choose among the unlabeled cases of the run before it, and keep the choice in the folder.

    The rule gets the run's last weights and the model's seed. Patients are
    taken in its order as long as their cases fit into the count. Raises DataError if whole patients cannot meet it.
    """
    how = model.acquired
    assert how is not None
    name, options = named_rule(how.rule)
    reporter.say(f"{model.name}: {name} chooses {counted(how.count, 'case')} with {how.after}.")
    rule: Acquisition = create("acquisition", name, options)
    (run,) = load_runs(before.path, "last", "auto", None, reporter)
    pool = unlabeled_candidates(run, rule, name, "last", reporter)
    chosen = _fitting(rule, pool, how.count, model)
    known = [case["id"] for case in before.read_split()["labeled"]]
    cases = [case for choice in chosen for case in choice.candidate.cases]
    labeled = sorted([*known, *cases])
    record = {
        "model": model.name,
        "after": how.after,
        "after_hash": _hash(before),
        "rule": dict(how.rule),
        "seed": model.seed,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "labeled": labeled,
        "chosen": cases,
        "reasons": [
            {
                "patient": choice.candidate.patient,
                "cases": list(choice.candidate.cases),
                "score": None if math.isnan(choice.score) else choice.score,
                "reason": choice.reason,
            }
            for choice in chosen
        ],
    }
    write_json(folder.choice(model.name), record)


def _fitting(rule: Acquisition, pool: Candidates, count: int, model: StudyModel) -> list[Choice]:
    """Return the choices of whole patients that have ``count`` cases together."""
    for n in range(1, len(pool.candidates) + 1):
        if sum(sorted((len(one.cases) for one in pool.candidates), reverse=True)[:n]) < count:
            continue
        generator = np.random.default_rng(model.seed)
        taken: list[Choice] = []
        for choice in rule.choose(pool.candidates, n, generator, pool.labeled):
            if sum(len(one.candidate.cases) for one in [*taken, choice]) <= count:
                taken.append(choice)
        if sum(len(one.candidate.cases) for one in taken) == count:
            return taken
    n_cases = sum(len(one.cases) for one in pool.candidates)
    what = f"no {count} of the {n_cases} unlabeled cases can be chosen without separating a patient's cases"
    raise DataError(Problem(model.name, what, "Choose other counts in split.labeled."))


def _hash(run: RunFolder) -> str:
    return recipe_hash(read_yaml(run.recipe)[0])
