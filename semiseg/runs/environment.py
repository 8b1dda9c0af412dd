"""The file environment.json: the machine and versions of a run, and its changes when it resumes."""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from semiseg.errors import RunError
from semiseg.io.atomic import write_json
from semiseg.io.json import read_json

_PACKAGES = (
    *("semiseg", "torch", "monai", "torchio", "numpy", "scipy", "nibabel", "numba", "lightning-fabric", "pydantic"),
)
_DIGITS_DEPEND_ON = ("torch_threads", "gpus", "cuda", "cudnn")


def environment() -> dict[str, Any]:
    """Return versions and hardware, to explain why two runs differ."""
    import torch

    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpus": gpus,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "packages": versions,
        "command": sys.argv,
    }


def records(path: Path, key: str) -> list[dict[str, Any]]:
    """Return the records of a run's changes under a key of environment.json, oldest first; none if it is damaged."""
    found = _read(path).get(key)
    return [record for record in found if isinstance(record, dict)] if isinstance(found, list) else []


def write_down(path: Path, key: str, record: Mapping[str, Any], same: Sequence[str]) -> None:
    """Add a record of a change to environment.json, unless the last one is the same in the keys ``same``."""
    known = records(path, key)
    if not (known and all(known[-1].get(name) == record[name] for name in same)):
        time = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(path, {**_read(path), key: [*known, {"time": time, **record}]})


def note_resumption(path: Path) -> str:
    """Add changes of the machine since the run began to environment.json; return them, or ""."""
    first = _read(path)
    if not first or not isinstance(first.get("packages", {}), dict):
        return ""
    changed = changes_since(first, environment())
    if changed:
        write_json(path, {**first, "resumed": [*first.get("resumed", []), changed]})
    return changed


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except RunError:
        return {}  # only informative; the run continues without it


def changes_since(first: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return changes that affect last digits: ``torch threads 1, now 2; torch 2.12.0, now 2.13.0``, or "".

    These are the number of threads, which changes the order of sums; GPUs; and versions, listed by package.
    """
    before, after = _flat(first), _flat(now)
    return "; ".join(
        f"{key.replace('_', ' ')} {_word(before.get(key))}, now {_word(after.get(key))}"
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    )


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: record.get(key) for key in _DIGITS_DEPEND_ON}, **(record.get("packages") or {})}


def _word(value: Any) -> str:
    return (", ".join(map(str, value)) if isinstance(value, list) else str(value or "")) or "none"
