"""Pseudo-labels of another model (``dataset.pseudo_labels``): which files a run uses, and their digests on resuming."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from filecmp import cmp
from typing import Any

from pydantic import BaseModel

from semiseg.data.pseudo.files import FoundPseudo, PseudoFile, PseudoFiles, find_pseudo
from semiseg.data.split import Role, Split
from semiseg.errors import Problem, RunError, raise_all
from semiseg.io.atomic import write_json
from semiseg.io.json import read_json
from semiseg.io.names import CONFIDENCE
from semiseg.messages import counted, some
from semiseg.recipe.component_slots import component_title
from semiseg.recipe.components import Components
from semiseg.recipe.schema import Recipe
from semiseg.runs.folder import RunFolder
from semiseg.types import Case

_KEY = "dataset.pseudo_labels"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class External:
    """The pseudo-labels of a plan; ``files`` is None if its strategy takes none, or the recipe names none."""

    files: PseudoFiles | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def find_external(recipe: Recipe, components: Components, cases: Sequence[Case], split: Split) -> External:
    """Return the pseudo-label files of the split's unlabeled cases, by their names.

    ``cases`` are the dataset's, with their labels: a pseudo-label with the content of its case's label is a problem.
    Files of other cases are never used; the notes name them, by the role of their case.
    """
    folder, threshold, strategy = recipe.dataset.pseudo_labels, recipe.dataset.pseudo_confidence, recipe.strategy
    needed = components.needs.external_pseudo
    if folder is None:
        return External(problems=(_lacking(recipe),)) if needed else External()
    if not needed:
        what = f"{_KEY} is not used: strategy {component_title(strategy.name)} takes no pseudo-labels of another model"
        also = "; self_training does with teacher: external" if strategy.name == "self_training" else ""
        return External(notes=(what + also,))
    found = find_pseudo(folder, {case.id for case in cases})
    if found.problems:
        return External(problems=found.problems)
    ids = [case.id for case in split.unlabeled]
    confidence = found.confidence if threshold is not None else {}
    files = {i: PseudoFile(found.labels[i], confidence.get(i)) for i in ids if i in found.labels}
    problems = _unpaired(recipe, found, ids) + _own_labels(files, cases)
    if ids and not files:
        what = f"{recipe.placed(_KEY)} has no label map of any of the {counted(len(ids), 'unlabeled case')}"
        there = f"It has {some(list(found.others), _NAMED)}. " if found.others else ""
        problems.append(Problem(str(folder), what, f"{there}Name each file as its case, such as {ids[0]}.nii.gz."))
    notes = [*found.notes, *_left_out(files, ids), *_not_used(found, split, threshold)]
    return External(PseudoFiles(folder, files, threshold), tuple(problems), tuple(notes))


def _lacking(recipe: Recipe) -> Problem:
    title = component_title(recipe.strategy.name)
    what = f"{recipe.placed('strategy')} {title} trains on pseudo-labels of another model, but {_KEY} is not set."
    return Problem("", what, "Set it to the folder of their files, CASE.nii.gz for each unlabeled case.")


def _unpaired(recipe: Recipe, found: FoundPseudo, ids: Sequence[str]) -> list[Problem]:
    """Return confidence maps without a label map and, if a threshold needs them, label maps without confidence."""
    fix = f"Name its label map {{}}.nii.gz, in the same folder; {CONFIDENCE} marks a confidence map."
    problems = [
        Problem(str(found.confidence[i]), f"there is no label map of case {i}", fix.format(i))
        for i in ids
        if i in found.confidence and i not in found.labels
    ]
    if recipe.dataset.pseudo_confidence is None:
        return problems
    key = recipe.placed("dataset.pseudo_confidence")
    fix = "Add it, or leave dataset.pseudo_confidence out."
    return problems + [
        Problem(str(found.labels[i]), f"{key} is set, but {i}{CONFIDENCE}.nii.gz is missing", fix)
        for i in ids
        if i in found.labels and i not in found.confidence
    ]


def _own_labels(files: Mapping[str, PseudoFile], cases: Sequence[Case]) -> list[Problem]:
    """Return pseudo-labels that are, byte for byte, the withheld label of their case."""
    what = "it is the case's own label, not a prediction, but the split uses the case without its label"
    fix = "Give the folder of the predictions. To train on this label, add the case to split.labeled."
    found = []
    for case in cases:
        file = files.get(case.id)
        if file is not None and case.label is not None:
            with suppress(OSError):  # reported when the files are read
                if cmp(file.label, case.label, shallow=False):
                    found.append(Problem(str(file.label), what, fix))
    return found


def _left_out(files: Mapping[str, PseudoFile], ids: Sequence[str]) -> list[str]:
    without = [i for i in ids if i not in files]
    if not without or not files:
        return []
    have = "has no file" if len(without) == 1 else "have no file"
    are = "is" if len(without) == 1 else "are"
    return [f"{counted(len(without), 'unlabeled case')} {have} in {_KEY} and {are} not drawn: {some(without, _NAMED)}"]


def _not_used(found: FoundPseudo, split: Split, threshold: float | None) -> list[str]:
    """Return notes on files that are not used: of other cases than unlabeled ones, of no case, and confidence."""
    others: dict[Role | None, list[str]] = {}
    for case_id in sorted({*found.labels, *found.confidence}):
        role = split.role_of(case_id)
        if role != "unlabeled":
            others.setdefault(role, []).append(case_id)
    notes = []
    for role, ids in others.items():
        of = f"of {role} cases" if role else "of cases that are not in the split"
        notes.append(f"pseudo-labels are for unlabeled cases alone; those {of} are not used: {some(ids, _NAMED)}")
    if found.others:
        files = counted(len(found.others), "file")
        belong = "belongs" if len(found.others) == 1 else "belong"
        notes.append(f"{files} in {_KEY} {belong} to no case of the dataset: {some(found.others, _NAMED)}")
    if found.confidence and threshold is None:
        notes.append(f"the confidence maps in {_KEY} are not used: set dataset.pseudo_confidence")
    return notes


class _Record(BaseModel):
    sha256: dict[str, list[str]]


def require_same_files(
    folder: RunFolder, files: PseudoFiles | None, digests: Mapping[str, Sequence[str]], begins: bool
) -> str:
    """Record the files that a run trains on when it ``begins``; later, check that they are the same.

    Args:
        folder: the run's; it gets ``pseudo_label_files.json``.
        files: those that are used; None if none are.
        digests: SHA-256 of each case's files, ``CaseStore.pseudo_digests``.
        begins: the run has not begun yet.

    Returns:
        A note if the record was lost or damaged and is written again; otherwise an empty string.

    Raises:
        RunError: files changed, are missing or were added since the run began.
    """
    if files is None:
        return ""
    path, note = folder.pseudo_label_files, ""
    record: dict[str, Any] = {
        "folder": str(files.folder),
        "confidence": files.threshold,
        "sha256": {case: list(of) for case, of in digests.items()},
    }
    if not begins:
        try:
            before: Mapping[str, Sequence[str]] = read_json(path, _Record)["sha256"]
        except RunError:
            note = f"{path} was missing or damaged and has been rewritten: whether the files changed is not known"
        else:
            raise_all(_changes(files, before, record["sha256"]), RunError)
            return ""
    write_json(path, record)
    return note


def _changes(
    files: PseudoFiles, before: Mapping[str, Sequence[str]], now: Mapping[str, Sequence[str]]
) -> list[Problem]:
    """Return the cases whose pseudo-labels are not those that the run began with."""
    kinds = {
        "have changed": [case for case in before if case in now and list(now[case]) != list(before[case])],
        "are missing": [case for case in before if case not in now],
        "were added": [case for case in now if case not in before],
    }
    fix = "A run continues only with the files that it began with. Restore them, or choose another --output."
    return [
        Problem(str(files.folder), f"pseudo-labels {what} since this run began: {some(sorted(cases), _NAMED)}", fix)
        for what, cases in kinds.items()
        if cases
    ]
