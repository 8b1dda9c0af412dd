"""The cases that may be suggested: the runs' own unlabeled ones, or new images in a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from semiseg.errors import DataError, Problem, RunError, SemisegError, SomeCasesError
from semiseg.interfaces.dataset import Dataset
from semiseg.messages import counted, some
from semiseg.prediction.ensemble import LoadedRun
from semiseg.recipe.components import resolve
from semiseg.recipe.load import load_recipe
from semiseg.types import Case

_OWN = ("labeled", "unlabeled", "validation", "test")


@dataclass(frozen=True)
class Pool:
    """Cases that may be suggested, and their reader.

    Attributes:
        dataset: reads the cases.
        cases: without labels, ordered by id.
        labeled: the labeled cases of the first run, for rules that compare with them; empty if they are unknown.
        own: reads the labeled cases; None if they are unknown.
        notes: what the user should know.
        problems: of images that cannot be used.
    """

    dataset: Dataset
    cases: tuple[Case, ...]
    labeled: tuple[Case, ...] = ()
    own: Dataset | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def find_pool(runs: Sequence[LoadedRun], images: Path | None, *, with_labeled: bool) -> Pool:
    """Return the cases that may be suggested; ``with_labeled``: and the labeled ones.

    Raises RunError if the runs have none, or their data cannot be read, and DataError for images that cannot be used.
    """
    return _new(runs, images, with_labeled) if images is not None else _unlabeled(runs)


def _unlabeled(runs: Sequence[LoadedRun]) -> Pool:
    splits = [run.kept.folder.read_split() for run in runs]
    common = set.intersection(*({case["id"] for case in split["unlabeled"]} for split in splits))
    if not common:
        shared = "no unlabeled case in common" if len(runs) > 1 else "no unlabeled cases"
        named = some([run.name for run in runs])
        raise RunError(Problem(named, f"there is {shared}", "Give a folder of images with --images."))
    dataset, known = _own_cases(runs[0])
    missing = sorted(common - {*known})
    if missing:
        what = f"{counted(len(missing), 'unlabeled case')} not found in its data: {some(missing)}"
        raise RunError(Problem(runs[0].name, what, "Restore the data, or give a folder of images with --images."))
    left = sorted({case["id"] for split in splits for case in split["unlabeled"]} - common)
    notes = [f"{counted(len(left), 'case')} unlabeled in some of the runs only, left out: {some(left)}"] if left else []
    cases = tuple(known[name].without_label() for name in sorted(common))
    return Pool(dataset, cases, _labeled(splits[0], known), dataset, tuple(notes))


def _new(runs: Sequence[LoadedRun], folder: Path, with_labeled: bool) -> Pool:
    if not folder.is_dir():
        raise DataError(Problem(str(folder), "it is not a folder", "Give a folder of images."))
    dataset, problems = runs[0].model.components.dataset, tuple[Problem, ...]()
    try:
        cases: Sequence[Case] = dataset.new_cases([folder])
    except SomeCasesError as error:
        cases, problems = error.cases, error.problems
    roles, notes = _roles(runs), list[str]()
    for role in ("labeled", "validation", "test"):
        known = [case.id for case in cases if roles.get(case.id) == role]
        if known:
            are = f"{counted(len(known), 'image')} {'is' if len(known) == 1 else 'are'}"
            notes.append(f"{are} named like {role} cases of the runs and left out: {some(known)}")
    left = tuple(replace(case, label=None) for case in cases if roles.get(case.id) in (None, "unlabeled"))
    if not left:
        raise DataError([*problems, Problem(str(folder), "it has no image that is not a case of the runs already")])
    own: Dataset | None = None
    labeled: tuple[Case, ...] = ()
    if with_labeled:
        try:
            own, found = _own_cases(runs[0])
            labeled = _labeled(runs[0].kept.folder.read_split(), found)
        except RunError as error:
            notes.append(f"the labeled cases are not compared with: {error.problems[0].what}")
    return Pool(dataset, tuple(sorted(left, key=lambda case: case.id)), labeled, own, tuple(notes), tuple(problems))


def _own_cases(run: LoadedRun) -> tuple[Dataset, dict[str, Case]]:
    """Return a run's dataset, and its cases by id."""
    try:
        dataset = resolve(load_recipe(run.kept.folder.recipe)).dataset
        return dataset, {case.id: case for case in dataset.cases()}
    except SemisegError as error:
        first = Problem(run.name, "its data cannot be used", "Make them available, or give images with --images.")
        raise RunError([first, *error.problems]) from error


def _labeled(split: Mapping[str, Any], known: Mapping[str, Case]) -> tuple[Case, ...]:
    return tuple(known[case["id"]].without_label() for case in split["labeled"] if case["id"] in known)


def _roles(runs: Sequence[LoadedRun]) -> dict[str, str]:
    """Return the role of each case; one that is not unlabeled in some run counts as that."""
    found: dict[str, str] = {}
    for run in runs:
        split = run.kept.folder.read_split()
        for role in sorted(_OWN, key=lambda name: name != "unlabeled"):
            found.update({case["id"]: role for case in split[role] if found.get(case["id"]) in (None, "unlabeled")})
    return found
