"""``suggestion.json``: what was asked of which runs, and the cases that were chosen."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from semiseg.errors import Problem, RunError
from semiseg.io.atomic import make_folder, write_json
from semiseg.io.json import read_json
from semiseg.io.lock import is_of_lock
from semiseg.messages import counted, show

RECORD = "suggestion.json"
PROGRESS = "progress.jsonl"
LABELS, PROPOSALS = "labels", "proposals"
_ELSEWHERE = "Nothing was changed. Choose another --output."


@dataclass(frozen=True, slots=True)
class SuggestedCase:
    """A case to label.

    Attributes:
        rank: that of its patient, from 1.
        patient: the patient; all cases of a patient are suggested together.
        case: the case's id.
        score: the number that decided; None if none did.
        reason: the reason in words.
        image: its image files, relative to the suggestion's folder.
        proposal: the ensemble's prediction, to be corrected, relative to the folder.
        slices: the slices that are worth drawing first, in words; empty for all.
    """

    rank: int
    patient: str
    case: str
    score: float | None
    reason: str
    image: tuple[str, ...]
    proposal: str
    slices: str = ""

    def row(self) -> list[str]:
        """Return the case's row of ``suggestions.csv``."""
        score = "" if self.score is None else f"{self.score:.6g}"
        image, reason = "; ".join(self.image), self.reason
        return [str(self.rank), self.patient, self.case, score, reason, image, self.proposal, self.slices]


@dataclass(frozen=True, slots=True, repr=False)
class Suggestion:
    """The result of ``semiseg suggest``.

    Attributes:
        folder: the folder with its files.
        request: rule, options, seed, runs with the digests of their weights, and images, as in ``suggestion.json``.
        cases: the suggested cases, the best first.
        counts: numbers of candidates, by what they are.
        date: when it was made, in UTC.
    """

    folder: Path
    request: Mapping[str, Any]
    cases: tuple[SuggestedCase, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    date: str = ""

    @property
    def rule(self) -> str:
        """The name of the rule."""
        return str(self.request["rule"])

    def __repr__(self) -> str:
        chosen = f"{counted(len(self.cases), 'case')} of {self.counts.get('cases', 0)} by {self.rule}"
        width = max((len(one.case) for one in self.cases), default=0)
        lines = [f"  {one.rank:>3}  {one.case:{width}}  {one.reason}" for one in self.cases]
        return "\n".join([f"Suggestion in {self.folder}: {chosen}", *lines])


class _Case(BaseModel):
    rank: int
    patient: str
    case: str
    score: float | None
    reason: str
    image: list[str]
    proposal: str
    slices: str


class _Request(BaseModel):
    rule: str
    options: dict[str, Any]
    seed: int
    n: int
    runs: list[dict[str, str]]
    images: str | None


class _Record(BaseModel):
    request: _Request
    finished: bool


class _Finished(_Record):
    counts: dict[str, int]
    date: str
    cases: list[_Case]


def read_suggestion(folder: Path) -> Suggestion:
    """Return the suggestion in a folder. Raises RunError if there is none, or an unfinished or damaged one."""
    path = folder / RECORD
    if not path.is_file():
        raise RunError(f"{folder} holds no suggestion: {RECORD} is missing.", "Give the --output of semiseg suggest.")
    known = read_json(path, _Record)
    if not known["finished"]:
        what = "the suggestion is not finished"
        raise RunError(Problem(str(folder), what, "Run the same semiseg suggest again: it continues."))
    known = read_json(path, _Finished)
    cases = tuple(SuggestedCase(**{**case, "image": tuple(case["image"])}) for case in known["cases"])
    return Suggestion(folder, known["request"], cases, known["counts"], known["date"])


def begin(folder: Path, request: Mapping[str, Any]) -> bool:
    """Claim a folder for a request; return whether its suggestion is finished. Call it under the folder's lock.

    Raises RunError if the folder holds something else, or another request; nothing is changed then.
    """
    path = folder / RECORD
    if path.is_file():
        known = read_json(path, _Record)
        if known["request"] != request:
            what = f"it holds another suggestion: {_difference(known['request'], request)}"
            raise RunError(Problem(str(folder), what, _ELSEWHERE))
        return bool(known["finished"])
    require_usable(folder)
    write_json(path, {"request": request, "finished": False})
    return False


def require_usable(folder: Path) -> None:
    """Raise RunError if a folder is a file, or is neither empty nor a suggestion's; create it if it is missing."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} already exists and is a file.", _ELSEWHERE)
    make_folder(folder)
    there = [entry for entry in folder.iterdir() if not is_of_lock(entry) and not entry.name.startswith(".tmp-")]
    if there and not (folder / RECORD).is_file():
        raise RunError(f"{folder} is not empty and holds no suggestion.", _ELSEWHERE)


def finish(suggestion: Suggestion) -> None:
    """Write the finished record, the last of the folder's files."""
    cases = [{**_fields(case), "image": [*case.image]} for case in suggestion.cases]
    record = {"counts": dict(suggestion.counts), "date": suggestion.date, "cases": cases}
    write_json(suggestion.folder / RECORD, {"request": dict(suggestion.request), "finished": True, **record})


def plain_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request as it is read back from JSON, so that the two compare equal."""
    return dict(json.loads(json.dumps(request)))


def _fields(case: SuggestedCase) -> dict[str, Any]:
    return {name: getattr(case, name) for name in _Case.model_fields}


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    names: Sequence[str] = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    told = {"pool": "other cases or images", "runs": "other runs or weights"}
    said = [told.get(key) or f"{key} {show(before.get(key))} instead of {show(now.get(key))}" for key in names]
    return ", ".join(said)
