"""A split: the role of each case, fixed before any voxels are read, with hashes to compare splits."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from semiseg.data.folds import Fold
from semiseg.data.split_drawing import Drawing
from semiseg.recipe import schema
from semiseg.types import Case

Role = Literal["labeled", "unlabeled", "validation", "test"]
ROLES: tuple[Role, ...] = ("labeled", "unlabeled", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Cases by role, each ordered by id. Unlabeled cases carry no path of a label.

    ``fold`` is the fold of a cross-validation whose cases are the validation cases; None without one.
    """

    labeled: tuple[Case, ...]
    unlabeled: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]
    fold: Fold | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "unlabeled", tuple(case.without_label() for case in self.unlabeled))

    def cases(self, role: Role) -> tuple[Case, ...]:
        """Return the cases of a role."""
        return {
            "labeled": self.labeled,
            "unlabeled": self.unlabeled,
            "validation": self.validation,
            "test": self.test,
        }[role]

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all cases, role by role."""
        return tuple(case.id for role in ROLES for case in self.cases(role))

    def role_of(self, case_id: str) -> Role | None:
        """Return the role of a case, or None if it is not in the split."""
        return self._role_by_id.get(case_id)

    @cached_property
    def _role_by_id(self) -> dict[str, Role]:
        return {case.id: role for role in ROLES for case in self.cases(role)}

    @property
    def n_labels(self) -> int:
        """Number of cases whose labels are the budget of a run: labeled ones and, of a fold, its validation cases."""
        return len(self.labeled) + (len(self.validation) if self.fold else 0)

    @property
    def evaluation_hash(self) -> str:
        """SHA-256 of the test and validation ids: results are comparable if it is equal.

        Of a fold it is that of the test ids without validation, as all folds are compared on the same test cases.
        """
        if self.fold:
            return replace(self, validation=(), fold=None).evaluation_hash
        return self._hash(("test", "validation"))

    @property
    def cases_hash(self) -> str:
        """SHA-256 of the ids of all roles."""
        return self._hash(ROLES)

    def _hash(self, roles: Sequence[Role]) -> str:
        ids = {role: sorted(case.id for case in self.cases(role)) for role in roles}
        return hashlib.sha256(json.dumps(ids, sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Return the split as stored in a run folder: both hashes, the fold, and ids and patients by role."""
        values: dict[str, Any] = {"evaluation_hash": self.evaluation_hash, "cases_hash": self.cases_hash}
        if self.fold:
            values |= {"folds": self.fold.count, "fold": self.fold.number}
        for role in ROLES:
            values[role] = [{"id": case.id, "patient": case.patient} for case in self.cases(role)]
        return values


def make_split(
    cases: Sequence[Case], options: schema.Split, draw: int, own_folds: Sequence[Sequence[str]] | None = None
) -> Split:
    """Split the cases as specified in a recipe.

    The cases of a patient stay on one side of test, validation and training. ``options.seed`` alone draws test and
    validation; ``draw`` orders the training cases. Labeled sets are nested, and so are totals, which contain their
    labeled set: ``labeled=12`` is part of ``labeled=25``. The order is by hash: a new case does not move others. A case
    without a label can only be unlabeled; it is left out if its patient is in test or validation.

    With ``options.folds`` the labeled cases are those of the same split without validation cases. They are divided into
    folds, one of which is validated (``semiseg.data.folds``); ``own_folds`` are the dataset's, for ``folds: dataset``.
    Test and unlabeled cases are the same in every fold. So that a patient's cases stay on one side in every fold,
    unlabeled cases of patients with labeled cases are left out.

    Raises:
        DataError: with all problems: unknown ids, a case in two roles, a patient on two sides, more cases requested
            than available, counts that cannot be met without separating a patient's cases, no labeled case, folds that
            are missing, empty or unknown.
    """
    drawing = Drawing(cases, options, draw, own_folds)
    roles = drawing.roles()
    labeled, unlabeled, validation, test = (tuple(sorted(roles[role], key=lambda case: case.id)) for role in ROLES)
    return Split(labeled, unlabeled, validation, test, drawing.fold)
