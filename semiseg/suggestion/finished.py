"""Finished labels of suggested cases: found by their names, checked as ``semiseg check`` checks labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from semiseg.data.verify import verify_cases
from semiseg.errors import DataError, Problem, raise_all
from semiseg.interfaces.dataset import Dataset
from semiseg.io.case_labels import read_case_label
from semiseg.io.finding import find
from semiseg.io.names import image_stem
from semiseg.messages import some
from semiseg.progress import Reporter
from semiseg.recipe.adopted import AdoptedLabels, by_case
from semiseg.suggestion.files import IMAGES
from semiseg.suggestion.record import Suggestion
from semiseg.types import Case, Volume


@dataclass(frozen=True)
class Finished:
    """Finished labels.

    Attributes:
        cases: the cases with a finished label, in the order of the suggestion; their ``label`` is it.
        foreign: ids of those that the dataset does not have.
        missing: ids of the suggested cases without one.
        unchanged: ids of those whose label equals the proposal.
        empty: ids of those whose label has no structure.
    """

    cases: tuple[Case, ...]
    foreign: frozenset[str]
    missing: tuple[str, ...]
    unchanged: tuple[str, ...]
    empty: tuple[str, ...]


def drawn_labels(found: Suggestion, dataset: Dataset, folder: Path, reporter: Reporter) -> Finished:
    """Return the labels in a folder, after reading each to its end with its image.

    Raises DataError with all problems: no labels, labels of other cases, several of one case, cases without an image,
    and unusable labels.
    """
    if not folder.is_dir():
        raise DataError(Problem(str(folder), "there is no such folder", "Put the finished labels into it."))
    held, suggested = find(folder, image_stem), [one.case for one in found.cases]
    problems = [*held.problems]
    labels = by_case(held.files, problems)
    if other := sorted(labels.keys() - {*suggested}):
        fix = f"Name each label like its case: {some(suggested, 5)}."
        problems.append(Problem(str(folder), f"labels of cases that were not suggested: {some(other)}", fix))
    if not labels and not problems:
        example = f"{folder / suggested[0]}.seg.nrrd or .nii.gz"
        what = "it holds no finished label"
        raise DataError(Problem(str(folder), what, f"Correct a proposal and save it there, such as {example}."))
    named = [name for name in suggested if name in labels]
    cases, foreign = _cases(found, dataset, named, problems)
    raise_all(problems, DataError)
    ready = [replace(cases[name], label=labels[name]) for name in named]
    return _checked(found, AdoptedLabels(dataset, [folder]), ready, foreign, reporter)


def own_labels(found: Suggestion, dataset: Dataset, reporter: Reporter) -> Finished:
    """Return the labels that the dataset itself has of the suggested cases; raises DataError as ``drawn_labels``."""
    known = {case.id: case for case in dataset.cases()}
    wanted = [known[one.case] for one in found.cases if one.case in known and known[one.case].label is not None]
    if not wanted:
        what = "the recipe's dataset has no label of a suggested case"
        raise DataError(Problem(str(found.folder), what, "Give the folder of the finished labels as --labels."))
    return _checked(found, dataset, wanted, frozenset(), reporter)


def _cases(
    found: Suggestion, dataset: Dataset, names: Sequence[str], problems: list[Problem]
) -> tuple[dict[str, Case], frozenset[str]]:
    """Return the cases of labels, and which of them are not the dataset's but read from the suggestion's images."""
    known = {case.id: case for case in dataset.cases()}
    foreign = [name for name in names if name not in known]
    if foreign and found.request["images"] is not None:
        new = {case.id: case for case in dataset.new_cases([found.folder / IMAGES])}
        known |= {name: new[name] for name in foreign if name in new}
    for name in names:
        if name not in known:
            what = "the recipe's dataset has no such case, and does not read its image in the suggestion by this name"
            fix = "Add the image to the dataset's unlabeled images, or give the recipe of the runs."
            problems.append(Problem(f"case {name}", what, fix))
    return {name: known[name] for name in names if name in known}, frozenset(foreign)


def _checked(
    found: Suggestion, dataset: Dataset, cases: Sequence[Case], foreign: frozenset[str], reporter: Reporter
) -> Finished:
    labels: dict[str, Volume] = {}
    with reporter.work("checking labels", len(cases), unit="case") as meter:
        problems = verify_cases(
            dataset, cases, progress=meter.advance, look=lambda case, label: labels.update({case.id: label})
        )
    raise_all(problems, DataError)
    proposals = {one.case: found.folder / one.proposal for one in found.cases}
    unchanged = [case.id for case in cases if _equals(labels[case.id], proposals[case.id], dataset, case)]
    empty = [case.id for case in cases if not labels[case.id].array.any()]
    done = {case.id for case in cases}
    missing = [one.case for one in found.cases if one.case not in done]
    return Finished(tuple(cases), foreign, tuple(missing), tuple(unchanged), tuple(empty))


def _equals(label: Volume, proposal: Path, dataset: Dataset, case: Case) -> bool:
    """Return whether a label has the classes of the proposal, which may have been deleted since."""
    if not proposal.is_file():
        return False
    try:
        proposed = read_case_label(case.id, proposal, None, partial(dataset.read_geometry, case), dataset.info())
    except DataError:
        return False
    return bool(np.array_equal(label.array, proposed.array))
