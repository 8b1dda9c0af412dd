"""One process per run folder: a lock that names its holder and can be taken over from a dead process."""

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
except ImportError:  # Windows: code that needs no lock still works
    fcntl = None  # type: ignore[assignment]

_NAME = "lock.json"
_ASIDE, _DEAD = ".lock-", ".dead-lock-"
"""Name prefixes of locks that are being written, and of stale ones that are being removed."""
_TRIES = 10
_WRITING = 0.2
"""Seconds after which an unreadable lock counts as damaged rather than being written."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises RunError, naming host and process, if a living process holds it.

    Also raises RunError on a system without such locks.
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
    """Return whether a file is a folder's lock or left over from taking one; it contains nothing of a run."""
    return path.name == _NAME or path.name.startswith((_ASIDE, _DEAD))


def holder(folder: Path) -> Mapping[str, Any]:
    """Return the living process that holds the folder's lock; empty if there is none.

    Keys: ``host``, ``pid``, ``started``, ``job`` (its SLURM job) and ``gpus`` (its CUDA_VISIBLE_DEVICES), the last two
    None if absent. Raises RunError on a system without such locks.
    """
    require_platform()
    found = _read(folder / _NAME)
    return found if _alive(found) else {}


def is_here(holder: Mapping[str, Any]) -> bool:
    """Return whether a lock's holder is a process of this host."""
    return bool(holder) and holder.get("host") == socket.gethostname()


def told(holder: Mapping[str, Any]) -> str:
    """Describe a lock's holder: process and host, and its SLURM job."""
    job = f" (SLURM job {holder['job']})" if holder.get("job") else ""
    return f"process {holder.get('pid')} on {holder.get('host')}{job}"


def this_process() -> dict[str, Any]:
    """Return this process in the format of a lock's holder."""
    return _record()


def may_be_alive(holder: Mapping[str, Any]) -> bool:
    """Return whether a process recorded by ``this_process`` is still running; assumed for other hosts."""
    return _alive(holder)


def remove_lock_of_job(folder: Path, job: str) -> None:
    """Remove the folder's lock if it belongs to a SLURM job that the caller knows has ended."""
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
                    f"Wait for it, or choose another --output. If that process is gone, delete {path}.",
                )
            _take_away(path, held)
    finally:
        with suppress(OSError):  # a disk that refused it
            whole.unlink(missing_ok=True)
    raise RunError(f"{path} changes owner too fast to be locked.", "Run one process per folder.")


def _create(path: Path, whole: Path) -> bool:
    """Give a completely written file the lock's name, so that no partial lock is ever read; False if taken."""
    try:
        os.link(whole, path)
    except FileExistsError:
        # If the server's reply was lost, NFS retries and finds the name taken by this very link.
        return whole.stat().st_nlink > 1
    except OSError:  # a file system without hard links
        try:
            made = path.open("x", encoding="utf-8")
        except FileExistsError:
            return False
        try:
            with made:
                made.write(whole.read_text(encoding="utf-8"))
        except OSError:  # a partial file is not a lock
            path.unlink(missing_ok=True)
            raise
    return True


def _take_away(path: Path, dead: Mapping[str, Any]) -> None:
    """Remove a lock, but only the one that was read: another process may have replaced it since."""
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
    """Exclude other processes of this host from such a block of the same folder, if the file system can."""
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
        # Not visible from here. But SLURM runs a job once at a time: a lock of this very job, from another
        # node, predates the job's requeue.
        job = os.environ.get("SLURM_JOB_ID")
        return job is None or holder.get("job") != job
    try:
        return _start_time(int(holder["pid"])) == holder.get("started")
    except (KeyError, ValueError, TypeError):
        return False


def _start_time(pid: int) -> str:
    """Return a process's start time, in a form that distinguishes processes with the same id; empty if not running."""
    try:
        # Fields after the command's closing parenthesis; the 20th of them is the start time in clock ticks.
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
