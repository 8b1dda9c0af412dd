"""A job: one model's run as a command and what a launcher makes of it."""

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
        name: the model's.
        recipe: its resolved recipe.
        folder: its run folder.
        log: where what it says is written.
        epochs: of its recipe.
    """

    name: str
    recipe: Path
    folder: RunFolder
    log: Path
    epochs: int

    @property
    def arguments(self) -> list[str]:
        """What ``semiseg`` is given: it begins, or goes on where it stopped."""
        return ["run", str(self.recipe), "--output", str(self.folder.path), "--resume", "--quiet"]

    @property
    def command(self) -> list[str]:
        """The command, in this Python."""
        return [sys.executable, "-m", "semiseg.cli.main", *self.arguments]

    def __str__(self) -> str:
        return shlex.join(["semiseg", *self.arguments])


class Running(Protocol):
    """A job that was started."""

    queued: bool
    """Whether it waits for its turn, as of the last ``poll``."""
    reason: str
    """Once it is over, what is known of a failure beyond its exit code; what was said then follows the model's name."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs. It does not wait."""

    def stop(self) -> None:
        """Ask it to save its state and end; it is not waited for."""


class Launcher(Protocol):
    """Where jobs are run."""

    slots: int
    """How many at a time."""
    survives: bool
    """Whether jobs go on when the study's command ends."""
    how_to_go_on: str
    """What to tell whoever stopped the study's command."""
    refusal: str
    """Why the last ``start`` that came to nothing did."""

    def find(self, job: Job) -> Running | None:
        """The job where it was started before, by this study or an earlier command, and has not ended."""

    def start(self, job: Job, taken: Sequence[str] = ()) -> Running | None:
        """Start a job; None where it is refused for now. ``taken``: GPUs that other commands use."""
