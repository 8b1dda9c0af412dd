"""Every exception that semiseg raises on purpose, and the exit code that a script sees for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (file, line or case), what, and how to mend it."""

    where: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n    {self.fix}" if self.fix else head


class SemisegError(Exception):
    """Base of all errors that are the input's or the machine's, not a defect of semiseg.

    It carries one or more problems, so that a user mends all of them at once.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problems: str | Problem | Sequence[Problem], fix: str = "") -> None:
        if isinstance(problems, str):
            problems = Problem("", problems, fix)
        if isinstance(problems, Problem):
            problems = (problems,)
        self.problems = tuple(problems)
        super().__init__(self._text())

    def _text(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        lines = [f"{len(self.problems)} problems:"]
        lines += [f"{i}. {problem}" for i, problem in enumerate(self.problems, 1)]
        return "\n".join(lines)


class RecipeError(SemisegError):
    """A recipe that cannot be run as it is written."""

    exit_code = 2


class ComponentError(SemisegError):
    """An unknown, ambiguous, broken or unsuitable component."""

    exit_code = 2


class DataError(SemisegError):
    """A file, case or split that cannot be used."""

    exit_code = 3


class ArgumentError(DataError):
    """An argument that cannot be used whatever the data are; a DataError to those who catch that."""

    exit_code = 2


class ProtocolError(SemisegError):
    """Code that reached for what the protocol withholds: a test case or an unlabeled case's label."""

    exit_code = 3


class RunError(SemisegError):
    """A run folder or checkpoint that cannot be used: locked, damaged, or of another recipe."""

    exit_code = 4


class StorageError(SemisegError):
    """A result that could not be written; what was there before is intact."""

    exit_code = 4


class TrainingError(SemisegError):
    """Training that cannot go on, such as a loss that is not finite or memory that ran out."""

    exit_code = 5


class Interrupted(SemisegError):  # noqa: N818 (a user's wish, not an error)
    """Ctrl-C, SIGTERM or SIGUSR1: the state was saved, and the message says how to go on."""

    exit_code = 130

    def __init__(self, message: str, fix: str = "", signum: int = 2) -> None:
        super().__init__(message, fix)
        self.signum = signum


def raise_all(problems: Sequence[Problem], error: type[SemisegError]) -> None:
    """Raise one error with all problems, or return where there is none."""
    if problems:
        raise error(problems)
