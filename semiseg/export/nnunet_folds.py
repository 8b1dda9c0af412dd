"""The folds of an exported dataset: the recipe's split first, then its labeled cases in turn."""

from collections.abc import Sequence

from semiseg.data.split import Split
from semiseg.types import Case

_FOLDS = 5
Folds = list[dict[str, list[str]]]


def nnunet_folds(split: Split) -> Folds:
    """Return splits_final.json for the labeled and validation cases of a split; empty if they cannot be divided.

    Fold 0 trains on the labeled cases and validates on the validation cases. Up to four more folds divide the labeled
    cases by patient, so that, as in nnU-Net's own folds, each case is validated once.
    """
    cases = (*split.labeled, *split.validation)
    first = [split.validation] if split.validation else []
    parts = [*first, *_divided(split.labeled, _FOLDS - len(first))]
    return [_fold(cases, part) for part in parts] if len(parts) > 1 else []


def _divided(cases: Sequence[Case], most: int) -> list[tuple[Case, ...]]:
    patients = sorted({case.patient for case in cases})
    count = min(most, len(patients))
    groups = [set(patients[start::count]) for start in range(count)]
    return [tuple(case for case in cases if case.patient in group) for group in groups]


def _fold(cases: Sequence[Case], validation: Sequence[Case]) -> dict[str, list[str]]:
    val = {case.id for case in validation}
    return {"train": sorted(case.id for case in cases if case.id not in val), "val": sorted(val)}
