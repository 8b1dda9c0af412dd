"""The run's log: one JSON object per line, truncated to the checkpoint when a run resumes."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.io.atomic import append_line
from semiseg.messages import some

_FIGURES = ("step", "seconds", "seconds_waited_for_data")


class JsonLog:
    """An append-only JSONL file. Values that are not finite are written as null.

    ``say`` is called once for each damaged line.
    """

    def __init__(self, path: Path, say: Callable[[str], None] = lambda text: None) -> None:
        self.path = path
        self._say = say
        self._told = set[int]()

    def write(self, record: dict[str, Any]) -> None:
        """Append one record and flush it to the system. Raises StorageError if the disk is full or writing fails."""
        append_line(self.path, json.dumps({key: _clean(value) for key, value in record.items()}, allow_nan=False))

    def size(self) -> int:
        """Return the number of bytes written so far, which checkpoints store."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, size: int) -> None:
        """Drop everything written after a checkpoint."""
        if self.size() > size:
            os.truncate(self.path, size)

    def read(self) -> list[dict[str, Any]]:
        """Return all records, skipping damaged lines and one cut off by a kill."""
        lines = list(self._lines())
        damaged = [number for number, record in lines if record is None and number not in self._told]
        if damaged:
            where = some([f"line {number}" for number in damaged], 5)
            self._say(f"Note: {self.path} is damaged; skipped: {where}.")
        self._told |= set(damaged)
        return [record for _, record in lines if record is not None]

    def _lines(self) -> Iterator[tuple[int, dict[str, Any] | None]]:
        if self.path.exists():
            for number, line in enumerate(self.path.read_bytes().split(b"\n")[:-1], 1):
                yield number, epoch_record(line)


def epoch_record(line: bytes | str) -> dict[str, Any] | None:
    """Return an epoch's record; None for an invalid line, or one whose figures are not numbers."""
    try:
        value = json.loads(line)
        validation = value.get("validation") or {}
        figures = [value["epoch"], *(value[key] for key in _FIGURES if key in value)]
        networks = [dice for each in validation.get("networks", {}).values() for dice in each.values()]
        others = [*value.get("train", {}).values(), validation.get("mean_dice"), *networks]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    fits = all(map(_is_number, figures)) and all(one is None or _is_number(one) for one in others)
    return value if fits else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def waiting_for_data(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the fraction of the log's training time that steps waited for batches, with a hint if it is large.

    A step's own time starts when it has its batch; validation is not counted.
    """
    waited = sum(record.get("seconds_waited_for_data", 0.0) for record in records)
    share = waited / max(waited + sum(record.get("seconds", 0.0) for record in records), 1e-9)
    hint = "" if share < 0.1 else "; `semiseg bench` shows how to reduce it"
    return f"Steps waited for data {share:.0%} of the time{hint}."


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    return None if isinstance(value, float) and value - value != 0.0 else value
