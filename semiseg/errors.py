"""All exceptions that semiseg raises deliberately, with their exit codes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: where it is (file, line or case), what is wrong, and how to fix it."""

    where: str
    what: str
    fix: str = ""

    def kind(self) -> tuple[str, str]:
        """Return what problems of one kind share: the text and the fix, without names and numbers."""
        return _PARTICULAR.sub("#", self.what), _PARTICULAR.sub("#", self.fix)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n    {self.fix}" if self.fix else head


_MOST_ALIKE = 10
_SHOWN_ALIKE = 3
_NAMED_ALIKE = 20
_PARTICULAR = re.compile(r"'[^']*'|\S*/\S*|\d[\d.,]*")


def _more(alike: Sequence[Problem]) -> str:
    """Return a line for problems that differ from those above only in file, case or numbers."""
    named = [problem.where for problem in alike[:_NAMED_ALIKE] if problem.where]
    more = f"… and {len(alike)} more like these"
    places = ", ".join(named) + (", …" if len(alike) > _NAMED_ALIKE else "")
    return f"   {more}{f': {places}' if named else ''}"


class SemisegError(Exception):
    """Base of all errors caused by the input or the machine rather than by a bug in semiseg.

    It carries one or more problems, so that a user can fix all of them at once.
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
        groups: dict[tuple[str, str], list[Problem]] = {}
        for problem in self.problems:
            groups.setdefault(problem.kind(), []).append(problem)
        lines = [f"{len(self.problems)} problems:"]
        number = 1
        for alike in groups.values():
            shown = alike if len(alike) <= _MOST_ALIKE else alike[:_SHOWN_ALIKE]
            lines += [f"{number + i}. {problem}" for i, problem in enumerate(shown)]
            number += len(alike)
            if len(shown) < len(alike):
                lines.append(_more(alike[len(shown) :]))
        return "\n".join(lines)


class RecipeError(SemisegError):
    """A recipe that cannot be run as written."""

    exit_code = 2


class ComponentError(SemisegError):
    """An unknown, ambiguous, broken or unsuitable component."""

    exit_code = 2


class DataError(SemisegError):
    """A file, case or split that cannot be used."""

    exit_code = 3


class SomeCasesError(DataError):
    """Some of the cases to predict cannot be used.

    Attributes:
        cases: the cases (``semiseg.types.Case``) that can.
    """

    def __init__(self, problems: Sequence[Problem], cases: Sequence[Any]) -> None:
        super().__init__(problems)
        self.cases = tuple(cases)


class ArgumentError(DataError):
    """An argument that is invalid whatever the data; a subclass of DataError."""

    exit_code = 2


class ProtocolError(SemisegError):
    """An attempt to access what the protocol withholds: a test case or the label of an unlabeled case."""

    exit_code = 3


class RunError(SemisegError):
    """A run folder or checkpoint that cannot be used: locked, damaged, or from another recipe."""

    exit_code = 4


class StorageError(SemisegError):
    """A result that could not be written; the previous content is intact."""

    exit_code = 4


class TrainingError(SemisegError):
    """Training that cannot continue, for example because of a non-finite loss or lack of memory."""

    exit_code = 5


class Interrupted(SemisegError):  # noqa: N818 (a user's request, not an error)
    """Ctrl-C, SIGTERM or SIGUSR1: the state is saved, and the message explains how to resume."""

    exit_code = 130

    def __init__(self, message: str, fix: str = "", signum: int = 2) -> None:
        super().__init__(message, fix)
        self.signum = signum


def raise_all(problems: Sequence[Problem], error: type[SemisegError]) -> None:
    """Raise one error with all problems, if there are any."""
    if problems:
        raise error(problems)
