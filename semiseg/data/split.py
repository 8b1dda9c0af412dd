"""A split: the role of each case, fixed before any voxels are read, with hashes to compare splits."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from semiseg.data.split_drawing import Drawing
from semiseg.recipe import schema
from semiseg.types import Case

Role = Literal["labeled", "unlabeled", "validation", "test"]
ROLES: tuple[Role, ...] = ("labeled", "unlabeled", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Cases by role, each ordered by id. Unlabeled cases carry no path of a label."""

    labeled: tuple[Case, ...]
    unlabeled: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]

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
    def evaluation_hash(self) -> str:
        """SHA-256 of the test and validation ids: results are comparable if it is equal."""
        return self._hash(("test", "validation"))

    @property
    def cases_hash(self) -> str:
        """SHA-256 of the ids of all roles."""
        return self._hash(ROLES)

    def _hash(self, roles: Sequence[Role]) -> str:
        ids = {role: sorted(case.id for case in self.cases(role)) for role in roles}
        return hashlib.sha256(json.dumps(ids, sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Return the split as stored in a run folder: ids and patients by role, and both hashes."""
        values: dict[str, Any] = {"evaluation_hash": self.evaluation_hash, "cases_hash": self.cases_hash}
        for role in ROLES:
            values[role] = [{"id": case.id, "patient": case.patient} for case in self.cases(role)]
        return values


def make_split(cases: Sequence[Case], options: schema.Split, draw: int) -> Split:
    """Split the cases as specified in a recipe.

    The cases of a patient stay on one side of test, validation and training. ``options.seed`` alone draws test and
    validation; ``draw`` orders the training cases. Labeled sets are nested, and so are totals, which contain their
    labeled set: ``labeled=12`` is part of ``labeled=25``. The order is by hash: a new case does not move others. A case
    without a label can only be unlabeled; it is left out if its patient is in test or validation.

    Raises:
        DataError: with all problems: unknown ids, a case in two roles, a patient on two sides, more cases requested
            than available, counts that cannot be met without separating a patient's cases, no labeled case.
    """
    roles = Drawing(cases, options, draw).roles()
    labeled, unlabeled, validation, test = (tuple(sorted(roles[role], key=lambda case: case.id)) for role in ROLES)
    return Split(labeled, unlabeled, validation, test)
