"""State of a study's models, read from their run folders, independent of the process that trains them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from semiseg.runs.folder import RunFolder
from semiseg.runs.log import epoch_record

State = Literal["waiting", "queued", "running", "elsewhere", "done", "kept", "failed"]
"""queued: submitted, not started; kept: scored before; elsewhere: trained by a process outside this study."""

_TAIL = 65_536
_RECENT = 5


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run: last finished epoch, mean Dice of the last validation, and seconds of training left."""

    epoch: int = 0
    dice: float | None = None
    left: float | None = None


@dataclass(slots=True)
class Status:
    """State of a model.

    Attributes:
        name: name of the model.
        epochs: number of epochs of its recipe.
        state: see ``State``.
        progress: its progress.
        code: exit code of a failed run.
        reason: cause of a failure, in words that follow the model's name; for a waiting model, why it could not start.
        where: the process that trains it elsewhere, and its host.
    """

    name: str
    epochs: int
    state: State = "waiting"
    progress: Progress = Progress()
    code: int | None = None
    reason: str = ""
    where: str = ""

    @property
    def is_over(self) -> bool:
        """True if the state is final."""
        return self.state in {"done", "kept", "failed"}


def read_progress(folder: RunFolder, epochs: int) -> Progress:
    """Return the progress of the run in a folder; empty if it has not started."""
    records = _records(folder.log)
    if not records:
        return Progress()
    validated = [record["validation"].get("mean_dice") for record in records if record.get("validation")]
    recent = [float(record["seconds"]) for record in records[-_RECENT:]]
    epoch = int(records[-1]["epoch"])
    return Progress(epoch, validated[-1] if validated else None, sum(recent) / len(recent) * (epochs - epoch))


def log_end(path: Path, lines: int = 12) -> str:
    """Return the last lines of a text file; empty if there is none."""
    return "\n".join(_tail(path).splitlines()[-lines:])


def _records(path: Path) -> list[Mapping[str, Any]]:
    """Return the records at the end of the file, without truncated lines."""
    found = map(epoch_record, _tail(path).splitlines())
    return [record for record in found if record is not None and "seconds" in record]


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            return file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
