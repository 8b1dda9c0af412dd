"""Who is in which role: a split, fixed before anything is read, with hashes that say when two are alike."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from semiseg.data.drawing import Drawing
from semiseg.recipe import schema
from semiseg.types import Case

Role = Literal["labeled", "unlabeled", "validation", "test"]
ROLES: tuple[Role, ...] = ("labeled", "unlabeled", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Cases by role, each ordered by id. An unlabeled case does not know where a label is."""

    labeled: tuple[Case, ...]
    unlabeled: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "unlabeled", tuple(case.without_label() for case in self.unlabeled))

    def cases(self, role: Role) -> tuple[Case, ...]:
        """The cases of a role."""
        return {
            "labeled": self.labeled,
            "unlabeled": self.unlabeled,
            "validation": self.validation,
            "test": self.test,
        }[role]

    def ids(self) -> tuple[str, ...]:
        """The ids of all cases, role by role."""
        return tuple(case.id for role in ROLES for case in self.cases(role))

    def role_of(self, case_id: str) -> Role | None:
        """The role of a case; None for one that is not in the split."""
        return self._role_by_id.get(case_id)

    @cached_property
    def _role_by_id(self) -> dict[str, Role]:
        return {case.id: role for role in ROLES for case in self.cases(role)}

    @property
    def evaluation_hash(self) -> str:
        """SHA-256 of the test and validation ids: results can be compared where it is the same."""
        return self._hash(("test", "validation"))

    @property
    def cases_hash(self) -> str:
        """SHA-256 of the ids of all roles."""
        return self._hash(ROLES)

    def _hash(self, roles: Sequence[Role]) -> str:
        ids = {role: sorted(case.id for case in self.cases(role)) for role in roles}
        return hashlib.sha256(json.dumps(ids, sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """What a run folder keeps: ids and patients by role, and both hashes."""
        values: dict[str, Any] = {"evaluation_hash": self.evaluation_hash, "cases_hash": self.cases_hash}
        for role in ROLES:
            values[role] = [{"id": case.id, "patient": case.patient} for case in self.cases(role)]
        return values


def make_split(cases: Sequence[Case], options: schema.Split, draw: int) -> Split:
    """Split the cases as a recipe asks.

    The cases of a patient stay on one side of test, validation and training. ``options.seed`` alone draws test and
    validation; ``draw`` orders the training cases. Labeled sets are nested, and so are totals, which contain their
    labeled set: ``labeled=12`` is part of ``labeled=25``. The order is by hash: a new case moves no other. A case
    without a label can only be unlabeled; it is left out where its patient is in test or validation.

    Raises:
        DataError: with all problems: unknown ids, a case in two roles, a patient on two sides, more cases asked for
            than there are, counts that cannot be met without parting a patient, no labeled case.
    """
    roles = Drawing(cases, options, draw).roles()
    labeled, unlabeled, validation, test = (tuple(sorted(roles[role], key=lambda case: case.id)) for role in ROLES)
    return Split(labeled, unlabeled, validation, test)
