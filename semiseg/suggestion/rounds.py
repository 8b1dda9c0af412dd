"""``rounds.json``: the history of annotation, in the newest folder of ``dataset.adopted``."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from semiseg.io.json import read_json
from semiseg.suggestion.finished import Finished
from semiseg.suggestion.record import Suggestion

ROUNDS = "rounds.json"


class _Rounds(BaseModel):
    rounds: list[dict[str, Any]]


def earlier_rounds(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the rounds before, from the last of a recipe's adopted folders. Raises RunError for a damaged file."""
    path = folders[-1] / ROUNDS if folders else None
    if path is None or not path.exists():
        return []
    return list(read_json(path, _Rounds)["rounds"])


def new_round(
    number: int, found: Suggestion, labels: Finished, minutes: Mapping[str, float], drawn: bool
) -> dict[str, Any]:
    """Return the record of a round: which rule chose which cases when, and what became of each.

    ``drawn``: whether the labels were drawn; otherwise they are the dataset's own.
    """
    adopted = {case.id for case in labels.cases}
    cases = []
    for one in found.cases:
        case: dict[str, Any] = {"case": one.case, "patient": one.patient, "rank": one.rank, "score": one.score}
        case |= {"reason": one.reason, "adopted": one.case in adopted, "unchanged": one.case in labels.unchanged}
        if one.case in minutes:
            case["minutes"] = minutes[one.case]
        cases.append(case)
    asked = {key: found.request[key] for key in ("rule", "options", "seed", "checkpoint", "runs", "images")}
    dates = {"suggested": found.date, "adopted": datetime.now(UTC).isoformat(timespec="seconds")}
    return {"round": number, **asked, **dates, "labels": "drawn" if drawn else "dataset", "cases": cases}


def sentence(one: Mapping[str, Any]) -> str:
    """Return a round in words."""
    cases = [case for case in one["cases"] if case["adopted"]]
    minutes = [case["minutes"] for case in cases if "minutes" in case]
    took = f", {sum(minutes):g} minutes for {len(minutes)} of them" if minutes else ""
    names = ", ".join(case["case"] for case in cases)
    return f"Round {one['round']}: {names} by {one['rule']} ({one['adopted'][:10]}){took}"
