"""Checkpoints: whole or not there, with a checksum, two kept; damaged ones are passed over and said."""

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from semiseg.errors import RunError
from semiseg.io.atomic import atomic_file, sweep_temporaries, write_text

KEPT = 2
_NAME = re.compile(r"step-(\d+)\.pt")


def save_state(path: Path, state: Mapping[str, Any]) -> str:
    """Write a state (tensors and plain values) and its checksum; returns the SHA-256.

    The checksum file comes first, so that a checkpoint is never without it. Raises StorageError on a full disk.
    """
    with atomic_file(path) as temporary:
        with temporary.open("wb") as file:
            torch.save(dict(state), file)
        digest = file_digest(temporary)
        write_text(checksum_file(path), f"{digest}  {path.name}\n")
    return digest


def load_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a state. Raises RunError where the file is missing, damaged, or holds more than data."""
    if not path.exists():
        raise RunError(f"There is no checkpoint {path}.")
    if not checksum_file(path).exists() or checksum_file(path).read_text().split()[:1] != [file_digest(path)]:
        raise RunError(f"The checkpoint {path} is damaged: it does not match its checksum.")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever the reader stumbles over, the file is not ours
        raise RunError(f"The checkpoint {path} cannot be read: {error}") from error
    return state


def checksum_file(path: Path) -> Path:
    """Where a checkpoint's checksum stands."""
    return path.with_name(path.name + ".sha256")


def weights_file(folder: Path, name: str) -> Path:
    """Where ``best`` or ``last`` stands in a folder of checkpoints."""
    return folder / f"{name}.pt"


def snapshot_file(folder: Path, stage: str, number: int) -> Path:
    """Where a snapshot of a stage stands, numbered from 1, in a folder of checkpoints: weights only."""
    return weights_file(folder, f"snapshot-{stage}-{number}")


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Checkpoints:
    """A run's checkpoints: ``step-….pt`` to resume from; ``best.pt`` and ``last.pt``, weights only."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self._say = say

    def steps(self) -> list[Path]:
        """Checkpoints to resume from, oldest first."""
        found = [p for p in self.folder.glob("step-*.pt") if _NAME.fullmatch(p.name)]
        return sorted(found, key=lambda p: int(_NAME.fullmatch(p.name)[1]))  # type: ignore[index]

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write the state after ``step`` steps; older ones beyond the newest two go."""
        path = self.folder / f"step-{step:08d}.pt"
        save_state(path, state)
        for old in self.steps()[:-KEPT]:
            old.unlink()
            checksum_file(old).unlink(missing_ok=True)
        return path

    def newest(self) -> dict[str, Any] | None:
        """The newest state that is whole, or None where there is none; what is damaged is said."""
        sweep_temporaries(self.folder)
        for path in reversed(self.steps()):
            try:
                return load_state(path)
            except RunError as error:
                self._say(f"{error} Going back to the one before.")
        return None

    def save_weights(self, name: str, strategy_state: Mapping[str, Any], step: int) -> str:
        """Write ``best`` or ``last``: weights and the step they are of."""
        return save_state(self.weights_file(name), {"strategy": dict(strategy_state), "step": step})

    def weights_file(self, name: str) -> Path:
        """Where ``best`` or ``last`` stands."""
        return weights_file(self.folder, name)
