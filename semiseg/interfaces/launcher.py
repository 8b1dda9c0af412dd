"""The launcher interface: how the jobs of a study are run."""

import shlex
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from semiseg.interfaces.component import Component


@dataclass(frozen=True, slots=True)
class Job:
    """One model's run.

    Attributes:
        name: name of the model.
        recipe: its resolved recipe.
        folder: its run folder.
        log: file for its output.
        epochs: number of epochs of its recipe.
        again: whether it has scores, but its test cases are to be predicted or scored in another way.
        observers: those that follow the run, each as ``NAME`` or ``NAME:OPTION=VALUE,…``.
    """

    name: str
    recipe: Path
    folder: Path
    log: Path
    epochs: int
    again: bool = field(default=False, kw_only=True)
    observers: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def arguments(self) -> list[str]:
        """Arguments of ``semiseg``, which starts the run or resumes it."""
        observed = [word for one in self.observers for word in ("--observe", one)]
        return ["run", str(self.recipe), "--output", str(self.folder), "--resume", "--quiet", *observed]

    @property
    def command(self) -> list[str]:
        """Command, with this Python. SIGTERM makes it save its state and end."""
        return [sys.executable, "-m", "semiseg.cli.main", *self.arguments]

    def __str__(self) -> str:
        return shlex.join(["semiseg", *self.arguments])


class Running(ABC):
    """A started job."""

    queued: bool = False
    """True while waiting for its turn, as of the last ``poll``."""
    reason: str = ""
    """After a failure, the reason beyond the exit code, in words that follow the model's name; may be empty."""

    @abstractmethod
    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the job waits or runs; without waiting."""

    @abstractmethod
    def stop(self) -> None:
        """Ask the job to save its state and end, without waiting. Has no effect on a job that has ended."""


class Launcher(Component, ABC):
    """A way to run the jobs of a study, chosen by ``semiseg study run --launcher NAME``.

    Its options come from the study recipe's block ``launchers.NAME``.
    """

    here: ClassVar[bool] = True
    """True if jobs run on the machine of the study's command. It then checks the recipes against this machine's
    hardware, and prepares the cases once, before the first job."""
    survives: ClassVar[bool] = False
    """True if jobs continue after the study's command ends; ``find`` then has to find them."""
    resume_hint: ClassVar[str] = "To resume, run the same command again."
    """Message for users who stopped the study's command."""

    slots: int
    """Maximum number of jobs at a time."""
    refusal: str = ""
    """Reason why the last ``start`` was refused."""

    def __init__(self, options: Any = None, *, folder: Path = Path("jobs"), jobs: int | None = None) -> None:
        """Set the launcher up for one study.

        Args:
            options: an instance of ``Options``.
            folder: folder for the launcher's own files, the same at every command of this study. It may not exist yet.
            jobs: maximum number of jobs at a time, if the user has set one; otherwise the launcher sets ``slots``.
        """
        super().__init__(options)
        self.folder = folder
        self.slots = jobs or 1

    def find(self, job: Job) -> Running | None:
        """Return the job if it was started before, by an earlier command on this study, and has not ended.

        Jobs are the same if their ``folder`` is: an extended study may rename a model.
        """
        return None

    @abstractmethod
    def start(self, job: Job, taken: Sequence[str] = ()) -> Running | None:
        """Start ``job.command`` with its output appended to ``job.log``, whose folder may not exist yet.

        Return None if the job is refused for now, with the reason in ``refusal``; the study tries again later.
        ``taken``: GPUs of this machine that are used by runs of other commands.
        """
