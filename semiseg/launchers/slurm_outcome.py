"""How the command of a SLURM job ended: a JSON file that the job writes on its node, and the launcher reads."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from semiseg.errors import RunError
from semiseg.io.atomic import write_json
from semiseg.io.json import read_json

_LONGEST = 300


class Outcome(BaseModel):
    """How the command of a job ended.

    Attributes:
        submission: the submission that it belongs to.
        restart: how often SLURM had requeued the job before.
        code: the command's exit code; None if the command could not be started, or its job gave up.
        reason: in that case the error, in one line.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    submission: str
    restart: int
    code: int | None
    reason: str = ""


class OutcomeFile:
    """The file in which a submitted job leaves its outcome, named after its submission."""

    def __init__(self, folder: Path, submission: str) -> None:
        self.path = folder.absolute() / f"{submission}.outcome.json"
        self._submission = submission

    def read(self) -> Outcome | None:
        """Return the outcome; None if there is none, or the file is damaged or belongs to another submission."""
        try:
            found = Outcome.model_validate(read_json(self.path, Outcome))
        except RunError:
            return None
        return found if found.submission == self._submission else None

    def write(self, code: int | None, reason: str = "") -> None:
        """Write the outcome, in a job of several tasks only by the first."""
        if _is_first_task():
            outcome = Outcome(submission=self._submission, restart=_restart(), code=code, reason=reason[:_LONGEST])
            write_json(self.path, outcome.model_dump())

    def clear(self) -> None:
        """Remove what the job left before it was requeued."""
        if _is_first_task():
            self.path.unlink(missing_ok=True)


def _is_first_task() -> bool:
    return os.environ.get("SLURM_PROCID", "0") == "0"


def _restart() -> int:
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0)
