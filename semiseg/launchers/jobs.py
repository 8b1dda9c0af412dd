"""A job: one model's run as a command, and the interface of its launchers."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from semiseg.runs.folder import RunFolder


@dataclass(frozen=True, slots=True)
class Job:
    """One model's run.

    Attributes:
        name: name of the model.
        recipe: its resolved recipe.
        folder: its run folder.
        log: file for its output.
        epochs: number of epochs of its recipe.
    """

    name: str
    recipe: Path
    folder: RunFolder
    log: Path
    epochs: int

    @property
    def arguments(self) -> list[str]:
        """Arguments of ``semiseg``, which starts the run or resumes it."""
        return ["run", str(self.recipe), "--output", str(self.folder.path), "--resume", "--quiet"]

    @property
    def command(self) -> list[str]:
        """Command, with this Python."""
        return [sys.executable, "-m", "semiseg.cli.main", *self.arguments]

    def __str__(self) -> str:
        return shlex.join(["semiseg", *self.arguments])


class Running(Protocol):
    """A started job."""

    queued: bool
    """True while waiting for its turn, as of the last ``poll``."""
    reason: str
    """After a failure, the reason beyond the exit code, in words that follow the model's name; may be empty."""

    def poll(self) -> int | None:
        """Return the exit code, or None while running, without waiting."""

    def stop(self) -> None:
        """Ask the job to save its state and end, without waiting."""


class Launcher(Protocol):
    """A way to run jobs."""

    slots: int
    """Maximum number of jobs at a time."""
    survives: bool
    """True if jobs continue after the study's command ends."""
    how_to_go_on: str
    """Message for users who stopped the study's command."""
    refusal: str
    """Reason why the last ``start`` was refused."""

    def find(self, job: Job) -> Running | None:
        """Return the job if it was started before, by this study or an earlier command, and has not ended."""

    def start(self, job: Job, taken: Sequence[str] = ()) -> Running | None:
        """Start a job; return None if refused for now. ``taken``: GPUs used by other commands."""
