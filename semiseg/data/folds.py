"""Cross-validation: the division of the labeled cases of a split into folds.

nnU-Net (Isensee et al., Nature Methods 18, 2021) divides all training cases into five folds, counted from 0. Here only
the cases that a recipe labels are divided, so that ``split.labeled`` remains the number of labels that are needed.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from semiseg.errors import Problem
from semiseg.messages import counted, some
from semiseg.types import Case


@dataclass(frozen=True, slots=True)
class Fold:
    """The fold of a split: its number, counted from 0, the number of folds, and notes for the user."""

    number: int
    count: int
    notes: tuple[str, ...] = ()

    def describe(self, n_labeled: int, n_validation: int) -> str:
        """Return a line on the fold, whose run has this many labeled and validation cases."""
        return (
            f"Fold {self.number} of {self.count}, counted from 0: {n_validation} of {n_labeled + n_validation} labeled "
            f"cases are validation, {n_labeled} are for training; test and unlabeled cases are the same in every fold"
        )


def divide(cases: Sequence[Case], count: int) -> tuple[tuple[str, ...], ...]:
    """Divide cases into folds of similar size, and return the ids of each.

    Patient by patient, in the order of the cases, all cases of a patient go to the smallest fold so far, the first of
    equal ones. Sizes then differ by at most the number of cases of one patient. If more cases follow, the folds only
    grow: no case changes its fold.
    """
    patients: dict[str, list[str]] = {}
    for case in cases:
        patients.setdefault(case.patient, []).append(case.id)
    folds: list[list[str]] = [[] for _ in range(count)]
    for ids in patients.values():
        min(folds, key=len).extend(ids)
    return tuple(map(tuple, folds))


def problems_of_count(labeled: Sequence[Case], count: int) -> Iterator[Problem]:
    """Yield a problem if there are fewer patients with labeled cases than folds."""
    patients = len({case.patient for case in labeled})
    if patients < count:
        what = f"{count} folds need as many patients, but the labeled cases are of {counted(patients, 'patient')}"
        yield Problem("split.folds", what, "Choose fewer folds, or more labeled cases.")


def problems_of_given(
    folds: Sequence[Sequence[str]] | None, number: int, labeled: Sequence[Case], known: Container[str]
) -> Iterator[Problem]:
    """Yield problems of a dataset's own folds: none at all, unknown cases, or a fold that the recipe cannot use."""
    if folds is None:
        yield Problem("split.folds", "the dataset has no folds of its own", "Give the number of folds.")
        return
    for index, ids in enumerate(folds):
        unknown = [name for name in ids if name not in known]
        if unknown:
            what = f"fold {index} of the dataset has cases that the dataset does not return: {some(unknown)}"
            yield Problem("split.folds", what, "Correct the dataset's folds, or give a number of folds.")
    if number >= len(folds):
        yield Problem("split.fold", f"there is no fold {number}: the dataset's folds are 0 to {len(folds) - 1}")
        return
    chosen = set(folds[number])
    validation = [case for case in labeled if case.id in chosen]
    rest = [case for case in labeled if case.id not in chosen]
    if not validation or not rest:
        what = f"fold {number} of the dataset has {'none' if not validation else 'all'} of the recipe's labeled cases"
        yield Problem("split.fold", what, "Use more labeled cases (split.labeled: all), or give a number of folds.")
    by_patient = {case.patient: case.id for case in validation}
    for case in rest:
        if case.patient in by_patient:
            twin = by_patient[case.patient]
            what = (
                f"patient {case.patient!r} is in fold {number} of the dataset ({twin!r}) and outside it ({case.id!r})"
            )
            yield Problem("split.folds", what, "Correct the dataset's folds, or give a number of folds.")


def notes_on_fold(folds: Sequence[Sequence[str]], labeled: Sequence[Case], left_out: Sequence[Case]) -> tuple[str, ...]:
    """Return notes on labeled cases in no fold, and on unlabeled cases ``left_out`` because of their patient."""
    divided = {name for fold in folds for name in fold}
    never = [case.id for case in labeled if case.id not in divided]
    notes = []
    if never:
        are = "is in no fold and is" if len(never) == 1 else "are in no fold and are"
        notes.append(f"{counted(len(never), 'labeled case')} {are} never validated: {some(never, 3)}")
    if left_out:
        cases = counted(len(left_out), "unlabeled case")
        are = "is" if len(left_out) == 1 else "are"
        named = some([case.id for case in left_out], 3)
        notes.append(f"{cases} {are} not used, because labeled cases of the same patient are validated: {named}")
    return tuple(notes)
