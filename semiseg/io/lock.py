"""One process for one run folder: a lock that names its holder, and is taken over from the dead."""

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from semiseg.errors import RunError
from semiseg.io.atomic import told_where_refused
from semiseg.platforms import require_platform

try:
    import fcntl
except ImportError:  # Windows: what needs no lock works there
    fcntl = None  # type: ignore[assignment]

_NAME = "lock.json"
_ASIDE, _DEAD = ".lock-", ".dead-lock-"
"""How the names of locks begin that are being written, and of dead ones that are being removed."""
_TRIES = 10
_WRITING = 0.2
"""Seconds after which a lock that cannot be read is taken as damaged, not as being written."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises RunError, naming host and process, where a living process holds it.

    So it does on a system that has no such locks.
    """
    require_platform()
    path = folder / _NAME
    mine = _record()
    _acquire(path, mine)
    try:
        yield
    finally:
        with suppress(OSError):
            if _read(path) == mine:
                path.unlink()


def is_of_lock(path: Path) -> bool:
    """Whether a file is a folder's lock, or one that a kill left while the lock was taken: it says nothing of a run."""
    return path.name == _NAME or path.name.startswith((_ASIDE, _DEAD))


def holder(folder: Path) -> Mapping[str, Any]:
    """Who holds the folder's lock, if a living process does; empty where nobody.

    Its keys: ``host``, ``pid``, ``started``, ``job`` (its SLURM job) and ``gpus`` (its CUDA_VISIBLE_DEVICES), the last
    two None where there is no such thing. Raises RunError on a system that has no such locks.
    """
    require_platform()
    found = _read(folder / _NAME)
    return found if _alive(found) else {}


def is_here(holder: Mapping[str, Any]) -> bool:
    """Whether a lock's holder is a process of this host."""
    return bool(holder) and holder.get("host") == socket.gethostname()


def told(holder: Mapping[str, Any]) -> str:
    """A lock's holder in words: process and host, and its SLURM job."""
    job = f" (SLURM job {holder['job']})" if holder.get("job") else ""
    return f"process {holder.get('pid')} on {holder.get('host')}{job}"


def this_process() -> dict[str, Any]:
    """This process, as a lock's holder is written down."""
    return _record()


def may_be_alive(holder: Mapping[str, Any]) -> bool:
    """Whether what was written down by ``this_process`` runs still; of another host's process that is assumed."""
    return _alive(holder)


def remove_lock_of_job(folder: Path, job: str) -> None:
    """Remove the folder's lock where it is of a SLURM job of which the caller knows that it is over."""
    path = folder / _NAME
    with suppress(OSError):
        held = _read(path)
        if held.get("job") == job:
            _take_away(path, held)


def _record() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": _start_time(os.getpid()),
        "job": os.environ.get("SLURM_JOB_ID"),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }


def _acquire(path: Path, mine: Mapping[str, Any]) -> None:
    whole = path.with_name(f"{_ASIDE}{uuid.uuid4().hex}")
    try:
        text = json.dumps(mine)
        with told_where_refused(path, len(text)):
            whole.write_text(text, encoding="utf-8")
        for _ in range(_TRIES):
            with told_where_refused(path, len(text)):
                if _create(path, whole):
                    return
            held = _read(path)
            if not held:
                time.sleep(_WRITING)
                held = _read(path)
            if _alive(held):
                raise RunError(
                    f"{path.parent} is in use by {told(held)}.",
                    f"Wait for it, choose another --output, or, if that process is gone, delete {path}.",
                )
            _take_away(path, held)
    finally:
        whole.unlink(missing_ok=True)
    raise RunError(f"{path} changes hands too fast to be locked.", "Run one process per folder.")


def _create(path: Path, whole: Path) -> bool:
    """Give a file that is written already the lock's name, so that nobody ever reads half a lock; False if taken."""
    try:
        os.link(whole, path)
    except FileExistsError:
        # Where the server's answer was lost, NFS asks again, and finds the name taken: by this very link.
        return whole.stat().st_nlink > 1
    except OSError:  # a file system without hard links
        try:
            made = path.open("x", encoding="utf-8")
        except FileExistsError:
            return False
        try:
            with made:
                made.write(whole.read_text(encoding="utf-8"))
        except OSError:  # half of it is no lock
            path.unlink(missing_ok=True)
            raise
    return True


def _take_away(path: Path, dead: Mapping[str, Any]) -> None:
    """Remove a lock, but only the one that was read: another process may have put its own there since."""
    with _one_at_a_time(path.parent):
        if _read(path) != dead:
            return
        aside = path.with_name(f"{_DEAD}{uuid.uuid4().hex}")
        with suppress(FileNotFoundError):
            path.rename(aside)
            if _read(aside) != dead:
                _create(path, aside)
            aside.unlink()


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Where the file system can: no other process of this host is in such a block of the same folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _alive(holder: Mapping[str, Any]) -> bool:
    if not holder:
        return False  # damaged
    if not is_here(holder):
        # It cannot be seen from here. But SLURM runs a job once at a time: a lock of this very job, from another
        # node, is from before the job was requeued.
        job = os.environ.get("SLURM_JOB_ID")
        return job is None or holder.get("job") != job
    try:
        return _start_time(int(holder["pid"])) == holder.get("started")
    except (KeyError, ValueError, TypeError):
        return False


def _start_time(pid: int) -> str:
    """When a process started, in a form that differs for two processes of the same number; empty where none runs."""
    try:
        # Fields after the command's closing bracket; the 20th of them is the start time in clock ticks.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return "unknown"
    except OSError:
        return ""
    return "unknown"
