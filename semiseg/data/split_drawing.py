"""Drawing of the cases of each role, patient by patient."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from semiseg.data.folds import Fold, divide, notes_on_fold, problems_of_count, problems_of_given
from semiseg.errors import DataError, Problem, raise_all
from semiseg.messages import nearest
from semiseg.recipe import schema
from semiseg.seeding import derive_seed
from semiseg.types import Case


class Drawing:
    """One draw of a split from the cases of a dataset."""

    def __init__(
        self,
        cases: Sequence[Case],
        options: schema.Split,
        draw: int,
        own_folds: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self.cases = {case.id: case for case in cases}
        self.options, self.draw, self.own_folds = options, draw, own_folds
        self.fold: Fold | None = None
        self._left_out: list[Case] = []
        self.problems = [
            Problem(f"case {name}", f"the dataset returns it {n} times", "Case ids must be unique.")
            for name, n in Counter(case.id for case in cases).items()
            if n > 1
        ]
        self.lists = {
            role: self._resolve(role, asked)
            for role in ("test", "validation", "labeled", "total")
            if isinstance(asked := getattr(options, role), list)
        }
        self.evaluation = {role: self.lists.get(role, []) for role in ("test", "validation")}

    def roles(self) -> dict[str, list[Case]]:
        """Return cases by role: test, validation, labeled, unlabeled. Raises DataError with all problems."""
        self._check_lists()
        roles: dict[str, list[Case]] = {}
        if self._numbers_are_possible():
            for role in ("test", "validation"):
                self._draw_patients(role)
            self._check_training_lists()
            roles = {role: self.evaluation[role] for role in ("test", "validation")}
            roles["labeled"], roles["unlabeled"] = self._training()
            if self.options.folds is not None:
                self._take_fold(roles)
        raise_all(self.problems, DataError)
        return roles

    def _problem(self, key: str, what: str, fix: str = "") -> None:
        self.problems.append(Problem(f"split.{key}" if key else "split", what, fix))

    def _resolve(self, role: str, ids: Sequence[str]) -> list[Case]:
        for name, n in Counter(ids).items():
            if n > 1:
                self._problem(role, f"case {name!r} is listed {n} times")
            if name not in self.cases:
                hint = nearest(name, self.cases).strip() or f"There are {len(self.cases)} cases."
                self._problem(role, f"there is no case {name!r}", hint)
            elif role != "total" and self.cases[name].label is None:
                self._problem(role, f"case {name!r} has no label", "A case without a label can only be unlabeled.")
        return [self.cases[name] for name in dict.fromkeys(ids) if name in self.cases]

    def _check_lists(self) -> None:
        lists = dict(self.lists)
        labeled, total = lists.pop("labeled", []), lists.pop("total", [])
        if labeled and total:
            for case in _without(labeled, total):
                self._problem(
                    "labeled", f"case {case.id!r} is not in split.total", "It must include all labeled cases."
                )
        lists["training"] = [*labeled, *_without(total, labeled)]
        for (one, first), (other, second) in combinations(lists.items(), 2):
            for case in _within(first, second):
                self._problem("", f"case {case.id!r} is listed in both {one} and {other}")
            by_patient = {case.patient: case.id for case in _without(second, first)}
            for case in _without(first, second):
                if case.patient in by_patient:
                    twin = by_patient[case.patient]
                    self._problem("", f"patient {case.patient!r} is in both {one} ({case.id!r}) and {other} ({twin!r})")

    def _numbers_are_possible(self) -> bool:
        before = len(self.problems)
        asked = {role: self._number(role) for role in ("test", "validation", "labeled", "total")}
        if asked["labeled"] == 0:
            self._problem("labeled", "there are no labeled cases", "Training needs at least one.")
        if self.options.total != "all" and asked["total"] < asked["labeled"]:
            what = f"{asked['labeled']} labeled cases exceed the total of {asked['total']}"
            self._problem("labeled", what, "split.total counts labeled and unlabeled cases.")
        n_with_label = sum(case.label is not None for case in self.cases.values())
        self._check_sum({role: asked[role] for role in ("test", "validation", "labeled")}, n_with_label, " with labels")
        if asked["total"] > asked["labeled"]:
            self._check_sum({role: asked[role] for role in ("test", "validation", "total")}, len(self.cases), "")
        return len(self.problems) == before

    def _number(self, role: str) -> int:
        asked = getattr(self.options, role)
        if asked == "all":
            return 1
        return asked if isinstance(asked, int) else len(asked)

    def _check_sum(self, asked: Mapping[str, int], available: int, kind: str) -> None:
        if sum(asked.values()) > available:
            numbers = " + ".join(f"{n} {role}" for role, n in asked.items())
            self._problem("", f"{numbers} = {sum(asked.values())} cases{kind} requested, but only {available} exist")

    def _draw_patients(self, role: str) -> None:
        count = getattr(self.options, role)
        if not isinstance(count, int):
            return
        taken, groups = self._evaluation_patients(), dict[str, list[Case]]()
        for case in self.cases.values():
            if case.label is not None and case.patient not in taken:
                groups.setdefault(case.patient, []).append(case)
        order = sorted(groups, key=lambda patient: (derive_seed("split", role, self.options.seed, patient), patient))
        sizes = [len(groups[patient]) for patient in order]
        chosen = choose_groups(sizes, count)
        if chosen is None:
            near = " or ".join(map(str, possible_sums(sizes, count)))
            what = f"{count} cases cannot be selected without splitting a patient's cases; {near} can"
            self._problem(role, what, "All cases of a patient must be in the same part: test, validation or training.")
        self.evaluation[role] = [case for index in chosen or () for case in groups[order[index]]]

    def _check_training_lists(self) -> None:
        drawn = {
            case.patient: role for role, cases in self.evaluation.items() if role not in self.lists for case in cases
        }
        for key in ("labeled", "total"):
            for case in self.lists.get(key, ()):
                if case.patient in drawn:
                    what = f"case {case.id!r} is of patient {case.patient!r}, who was drawn for {drawn[case.patient]}"
                    self._problem(key, what, "List the test and validation cases too, or choose another split.seed.")

    def _evaluation_patients(self) -> set[str]:
        return {case.patient for cases in self.evaluation.values() for case in cases}

    def _training(self) -> tuple[list[Case], list[Case]]:
        options, taken = self.options, self._evaluation_patients()
        pool = [case for case in self.lists.get("total", self.cases.values()) if case.patient not in taken]
        pool.sort(key=self._training_order)
        if options.labeled == "all" and isinstance(options.total, int):
            self._check_left("total", options.total, len(pool), "")
            pool = pool[: options.total]
        labeled = self.lists.get("labeled", [case for case in pool if case.label is not None])
        if isinstance(options.labeled, int):
            self._check_left("labeled", options.labeled, len(labeled), "with labels ")
            labeled = labeled[: options.labeled]
        elif options.labeled == "all" and not labeled:
            self._problem("labeled", "there are no labeled cases among the training cases")
        unlabeled = _without(pool, labeled)
        if options.folds is not None:
            patients = {case.patient for case in labeled}
            self._left_out = [case for case in unlabeled if case.patient in patients]
            unlabeled = _without(unlabeled, self._left_out)
        if isinstance(options.total, int) and options.labeled != "all":
            kind = f"(without {len(self._left_out)} of patients with labels) " if self._left_out else ""
            self._check_left("total", options.total, len(labeled) + len(unlabeled), kind)
            unlabeled = unlabeled[: options.total - len(labeled)]
        return labeled, unlabeled

    def _take_fold(self, roles: dict[str, list[Case]]) -> None:
        """Make one fold of the labeled cases the validation cases."""
        count, number = self.options.folds, self.options.fold
        assert count is not None
        assert number is not None
        labeled = sorted(roles["labeled"], key=self._training_order)
        if count == "dataset":
            self.problems += problems_of_given(self.own_folds, number, labeled, self.cases)
        else:
            self.problems += problems_of_count(labeled, count)
        if self.problems:
            return
        folds = (self.own_folds or ()) if count == "dataset" else divide(labeled, count)
        roles["validation"] = [case for case in labeled if case.id in folds[number]]
        roles["labeled"] = _without(labeled, roles["validation"])
        self.fold = Fold(number, len(folds), notes_on_fold(folds, labeled, self._left_out))

    def _training_order(self, case: Case) -> tuple[int, str, int, str]:
        # By patient first: the border between labeled and unlabeled then seldom separates two scans of a patient.
        by_patient = derive_seed("split", "training", self.draw, case.patient)
        return by_patient, case.patient, derive_seed("split", "training", self.draw, case.patient, case.id), case.id

    def _check_left(self, key: str, asked: int, left: int, kind: str) -> None:
        if asked > left:
            self._problem(key, f"{asked} cases requested, but only {left} {kind}are left after test and validation")


def _within(cases: Iterable[Case], others: Iterable[Case]) -> list[Case]:
    ids = {case.id for case in others}
    return [case for case in cases if case.id in ids]


def _without(cases: Iterable[Case], others: Iterable[Case]) -> list[Case]:
    ids = {case.id for case in others}
    return [case for case in cases if case.id not in ids]


def choose_groups(sizes: Sequence[int], count: int) -> list[int] | None:
    """Return indices of groups whose sizes sum to exactly ``count``, early ones first; None if no choice does.

    If all sizes are 1, these are the first ``count``.
    """
    reachable = _reachable_from(sizes)
    if not reachable[0] >> count & 1:
        return None
    chosen = []
    for index, size in enumerate(sizes):
        if size <= count and reachable[index + 1] >> (count - size) & 1:
            chosen.append(index)
            count -= size
    return chosen


def possible_sums(sizes: Sequence[int], count: int) -> list[int]:
    """Return the nearest sums below and above ``count`` that some choice of groups reaches."""
    sums = _reachable_from(sizes)[0]
    below = next((n for n in range(count - 1, -1, -1) if sums >> n & 1), None)
    above = next((n for n in range(count + 1, sum(sizes) + 1) if sums >> n & 1), None)
    return [n for n in (below, above) if n is not None]


def _reachable_from(sizes: Sequence[int]) -> list[int]:
    """Return for each index a bit set of the sums that the groups from there on can reach."""
    reachable = [1]
    for size in reversed(sizes):
        reachable.append(reachable[-1] | reachable[-1] << size)
    return reachable[::-1]
