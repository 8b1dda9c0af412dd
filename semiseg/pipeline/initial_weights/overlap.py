"""Cases of this run that an earlier one was trained on: test cases among them would make its scores meaningless."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semiseg.data.split import Split
from semiseg.errors import Problem
from semiseg.io.json import read_json
from semiseg.messages import counted, some
from semiseg.runs.folder import RunFolder
from semiseg.types import Case

SEEN = ("labeled", "unlabeled", "validation")


@dataclass(frozen=True, slots=True)
class Seen:
    """The cases that weights were made with: their patients by case id, for each part of a run's split but the test."""

    run: str
    dataset: str
    cases: Mapping[str, Mapping[str, str]]

    def record(self) -> dict[str, Any]:
        """Return the cases as data for the run folder, in the form of split.json."""
        parts = {part: [{"id": i, "patient": p} for i, p in of.items()] for part, of in self.cases.items()}
        return {"run": self.run, "dataset": self.dataset, **parts}

    @classmethod
    def of(cls, run: str, dataset: str, split: Mapping[str, Any]) -> "Seen":
        """Return the cases of a split.json, or of a ``record``."""
        parts = {part: {case["id"]: case.get("patient", case["id"]) for case in split[part]} for part in SEEN}
        return cls(run, dataset, parts)

    def shared(self, part: str, cases: Sequence[Case]) -> list[str]:
        """Return the ids of those of some cases that a part has too, or of whose patients it has other cases."""
        ids, patients = self.cases[part], set(self.cases[part].values())
        return [case.id for case in cases if case.id in ids or case.patient in patients]

    def trained(self, cases: Sequence[Case]) -> list[str]:
        """Return the ids of those of some cases that training has seen."""
        return list(dict.fromkeys(i for part in SEEN[:2] for i in self.shared(part, cases)))


def seen_by(folder: RunFolder, dataset: str, *, uses_unlabeled: bool) -> list[Seen]:
    """Return the cases that a run was made with, and those of the runs that it started from itself.

    Raises RunError if its records cannot be read.
    """
    split = folder.read_split()
    own = Seen.of(str(folder.path), dataset, split if uses_unlabeled else {**split, "unlabeled": []})
    if not folder.initial_report.exists():
        return [own]
    earlier = read_json(folder.initial_report)["made_with"]
    return [own, *(Seen.of(one["run"], one["dataset"], one) for one in earlier)]


def overlap_problems(seen: Sequence[Seen], split: Split, dataset: str, key: str) -> list[Problem]:
    """Return a problem for each earlier run that was trained on this run's test cases."""
    problems = []
    for one in seen:
        found = {part: one.shared(part, split.test) for part in SEEN[:2]}
        cases = [f"{some(ids, 5)} ({part} there)" for part, ids in found.items() if ids]
        if cases and one.dataset == dataset:
            n = counted(len(one.trained(split.test)), "test case")
            what = f"{key}: run {one.run} was trained on {n} of this run: {', '.join(cases)}."
            fix = (
                "The scores would not be of unseen cases: train it with the same test cases (split.test, split.seed)."
                " If the ids are of other scans, or the overlap is wanted: {path: …, overlap: allow}."
            )
            problems.append(Problem("", what, fix))
    return problems


def overlap_notes(seen: Sequence[Seen], split: Split, dataset: str) -> Iterator[str]:
    """Yield notes on overlaps that are allowed, uncertain, or of other cases than the test cases."""
    for one in seen:
        tested = counted(len(trained := one.trained(split.test)), "test case")
        if one.dataset != dataset:
            if trained:
                where = f"in another dataset ({one.dataset}, here {dataset})"
                yield f"run {one.run} was trained on cases with ids of {tested}, {where}: {some(trained, 5)}"
            continue
        if trained:
            yield f"the initial weights have seen {tested}, in run {one.run}: {some(trained, 5)}"
        if chosen := one.shared("validation", split.test):
            yield f"test cases of this run are validation cases of run {one.run}: {some(chosen, 5)}"
        if known := one.trained(split.validation):
            yield f"validation cases of this run are training cases of run {one.run}: {some(known, 5)}"
        if labeled := one.shared("labeled", split.unlabeled):
            n = counted(len(labeled), "unlabeled case")
            yield f"{n} of this run had labels in run {one.run}: more labels were used than split.labeled says"
