"""The run's log: one JSON object a line, which a resumed run cuts back to its checkpoint."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class JsonLog:
    """An append-only JSONL file. Values that are not finite are written as null."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, record: dict[str, Any]) -> None:
        """Append one record and flush it to the system."""
        clean = {key: _clean(value) for key, value in record.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(clean, allow_nan=False) + "\n")

    def size(self) -> int:
        """Bytes written so far; a checkpoint remembers them."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, size: int) -> None:
        """Drop what was written after a checkpoint."""
        if self.size() > size:
            os.truncate(self.path, size)

    def read(self) -> list[dict[str, Any]]:
        """All records; a line cut off by a kill is left out."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]


def waiting_for_data(records: Sequence[Mapping[str, Any]]) -> str:
    """What share of the training's time, by its log, steps waited for their batches; and what to do where it is large.

    The time of a step is from when it has its batch; validation is not counted.
    """
    waited = sum(record["seconds_waited_for_data"] for record in records)
    share = waited / max(waited + sum(record["seconds"] for record in records), 1e-9)
    hint = "" if share < 0.1 else "; `semiseg bench` says what to change"
    return f"Steps waited for data {share:.0%} of the time{hint}."


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    return None if isinstance(value, float) and value - value != 0.0 else value
