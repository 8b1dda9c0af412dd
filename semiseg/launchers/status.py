"""How a study's models stand: read off their run folders, which tell the same whoever trains them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from semiseg.runs.folder import RunFolder
from semiseg.runs.log import epoch_record

State = Literal["waiting", "queued", "running", "elsewhere", "done", "kept", "failed"]
"""queued: its launcher has it, which has not started it; kept: it had its scores before; elsewhere: a process that is
not this study's trains it."""

_TAIL = 65_536
_RECENT = 5


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: the last finished epoch, the last validation's mean Dice, and seconds of training left."""

    epoch: int = 0
    dice: float | None = None
    left: float | None = None


@dataclass(slots=True)
class Status:
    """How a model stands.

    Attributes:
        name: the model's.
        epochs: of its recipe.
        state: what becomes of it.
        progress: how far it is.
        code: the exit code of a failed run.
        reason: why it failed, as what follows the model's name; of a waiting one, why it could not be started.
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
        """Whether nothing more will happen."""
        return self.state in {"done", "kept", "failed"}


def read_progress(folder: RunFolder, epochs: int) -> Progress:
    """How far the run in a folder is; nothing where it has not begun."""
    records = _records(folder.log)
    if not records:
        return Progress()
    validated = [record["validation"].get("mean_dice") for record in records if record.get("validation")]
    recent = [float(record["seconds"]) for record in records[-_RECENT:]]
    epoch = int(records[-1]["epoch"])
    return Progress(epoch, validated[-1] if validated else None, sum(recent) / len(recent) * (epochs - epoch))


def log_end(path: Path, lines: int = 12) -> str:
    """The last lines of a text file; empty where there is none."""
    return "\n".join(_tail(path).splitlines()[-lines:])


def _records(path: Path) -> list[Mapping[str, Any]]:
    """The records in the file's end; a line that is cut, at either side, is left out."""
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
